"""Adapter of suite ``qemu-blockdev``: QEMU's block nodes, what creates images, and their bitmaps."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from virt_qemu.block.bitmaps import (
    actions_after_commit,
    actions_after_copy,
    actions_for_backup,
    actions_for_removal,
    is_valid,
    read_bitmaps,
)
from virt_qemu.block.create import create_format_options, create_storage_options
from virt_qemu.block.image import Image, backing_image, disk_image, source_image
from virt_qemu.block.layers import format_layer, storage_layer
from virt_qemu.block.storage import backing_string, storage_properties
from virt_qemu.private_data import QemuSecret, SourcePrivate, register
from virtcore.model.domain.disk import Disk
from virtcore.model.storage import FileSource, NetworkSource, NVMeSource, StorageFormat
from virtcore.model.storage.backing import parse_backing
from virtcore.xml import Mode, format, parse

register()

_SOURCES = {"file": FileSource, "nvme": NVMeSource, "network": NetworkSource}


def pretty(value: object) -> str:
    """JSON as the reference prints it; it ends the line."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def disk_of(case: Any, role: str = "xml") -> Image:
    """A disk's images; the ids of secrets, which a guest's status tells, are the case's."""
    disk = parse(case.text(role), Disk)
    backing = disk.backing_store
    sources = [disk.source]
    while backing is not None and backing.source is not None:
        sources.append(backing.source)
        backing = backing.backing_store
    for source in sources:
        known = source.private_data if source is not None else None
        assert isinstance(known, SourcePrivate)
        names = {f"{node.type}-node": node.name for node in known.nodes}
        for kind, secret in (("auth", "secret_alias"), ("encryption", "encryption_alias")):
            if secret in case.params:
                alias = case.params[secret]
                for name, node in names.items():
                    alias = alias.replace("{" + name + "}", node)
                known.secrets.append(QemuSecret(type=kind, alias=alias))
    return disk_image(disk)


def blockdev(case: Any) -> Any:
    return _OPERATIONS[case.params["op"]](case)


def disk_properties(case: Any) -> dict[str, str]:
    chain = list(disk_of(case).chain())
    layers = [layer for image in chain for layer in (format_layer(image), storage_layer(image))]
    return {"props": "".join(map(pretty, layers)), "srconly": "".join(map(named, chain))}


def named(image: Image) -> str:
    """How other images may name an image, as the reference prints it."""
    lines = "source only properties:\n" + pretty(storage_properties(image, target_only=True))
    lines += "backing store string:\n" + backing_string(image, pretty)
    return "(\n" + textwrap.indent(lines, "  ") + "\n)\n"


def there_and_back(case: Any) -> str:
    source: Any = parse(case.text("xml"), _SOURCES[case.params["storage_type"]])
    image = source_image(source, StorageFormat.RAW, 0)
    told = json.dumps({"file": storage_properties(image, target_only=True)})
    return format(parse_backing(f"json:{told}").source, Mode.SECURE | Mode.INACTIVE)


def string_to_properties(case: Any) -> str:
    image = backing_image(parse_backing(case.text("json").strip()), StorageFormat.RAW, 0)
    return pretty(storage_properties(image, target_only=True))


def creation(case: Any) -> str:
    image = disk_of(case)
    below = disk_of(case, "backing") if case.has("backing") else None
    sections = {
        "protocol": create_storage_options(image, case.params["physical"]),
        "format": create_format_options(image, case.params["capacity"], below),
    }
    return "\n".join(f"{title}:\n{pretty(props)}" for title, props in sections.items() if props is not None)


def nodes_of(case: Any) -> list[str]:
    return [image["format_node"] for image in case.params["chain"]]


def found_bitmaps(case: Any) -> str:
    bitmaps = read_bitmaps(case.json("nodedata"))
    lines = []
    for number in range(case.params["nodes"]):
        node = case.params["node_name"].replace("{n}", str(number))
        if node in bitmaps:
            lines.append(f"{node}:")
        lines += [
            f"{one.name:>9}: record:{one.recording:d} busy:{one.busy:d} persist:{one.persistent:d}"
            f" inconsist:{one.inconsistent:d} gran:{one.granularity} dirty:{one.dirty}"
            for one in bitmaps.get(node, {}).values()
        ]
    return "\n".join(lines) + "\n"


def validity(case: Any) -> bool:
    return is_valid(read_bitmaps(case.json("nodedata")), nodes_of(case), case.params["bitmap"])


def backup(case: Any) -> str:
    bitmaps, params = read_bitmaps(case.json("nodedata")), case.params
    target, bitmap = params["target_node"], params["target_bitmap"]
    return pretty(actions_for_backup(bitmaps, nodes_of(case), params["incremental"], target, bitmap, "vda"))


def removal(case: Any) -> str:
    bitmaps, params = read_bitmaps(case.json("nodedata")), case.params
    actions, reopened = actions_for_removal(bitmaps, nodes_of(case), params["bitmap"], params["disk_target"])
    return pretty(actions) + "".join(f"{line}\n" for line in (["reopen nodes:", *reopened] if reopened else ()))


def copy(case: Any) -> str:
    bitmaps, params = read_bitmaps(case.json("nodedata")), case.params
    return pretty(actions_after_copy(bitmaps, nodes_of(case), params["mirror_node"], shallow=params["shallow"]))


def commit(case: Any) -> str:
    bitmaps = read_bitmaps(case.json("nodedata"))
    numbers = [image["id"] for image in case.params["chain"]]
    top, base = (numbers.index(case.params[which]) for which in ("top", "base"))
    actions = actions_after_commit(bitmaps, nodes_of(case), top, base, active=top == 0)
    # The reference's spelling.
    return "merge bitmpas:\n" + (pretty(actions) if actions else "")


_OPERATIONS = {
    "disk XML to blockdev props": disk_properties,
    "source XML to blockdev JSON and back": there_and_back,
    "backing JSON to storage props (target only)": string_to_properties,
    "blockdev-create props": creation,
    "named node data to bitmap list": found_bitmaps,
    "bitmap chain validity": validity,
    "incremental backup bitmap merge": backup,
    "checkpoint delete": removal,
    "bitmaps on block copy": copy,
    "bitmaps on block commit": commit,
}
