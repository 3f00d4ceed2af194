"""Adapter of suite ``storage-backing-chain``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from virt_host.storage.chain import ChainImage, read_chain
from virtcore.model.storage import DirSource, FileSource, NetworkSource, StorageFormat, StorageType
from virtcore.model.storage.backing import parse_backing
from virtcore.xml import Mode, format
from virtcore.xml.declare import declaration

#: libvirt's numbers of formats; -1 is "to be probed".
_NUMBERS = {word: number for number, word in enumerate(["none", *(str(each) for each in StorageFormat)])}


def backing_chain(case: Any) -> str:
    if case.params["op"] == "parse":
        found = parse_backing(case.params["backing"])
        assert found.credentials == (case.params["result_code"] == 1)
        return format(found.source, Mode.SECURE | Mode.INACTIVE)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        shutil.copytree(case.path("images"), images)
        link(images)
        start = case.params["start"].replace("@IMAGES@", str(images))
        source = DirSource(dir=start) if Path(start).is_dir() else FileSource(file=start)
        word = case.params["format"]
        chain = read_chain(source, None if word == "auto" else StorageFormat(word))
        return text(chain).replace(str(images), "@IMAGES@")


def link(images: Path) -> None:
    """Symbolic links are stored as files that hold their target."""
    for file in images.rglob("*"):
        if file.is_file() and file.stat().st_size < 256:
            target = file.read_text()
            if (file.parent / target).exists():
                file.unlink()
                file.symlink_to(target)


def text(image: ChainImage) -> str:
    """The chain as the reference prints it."""
    blocks = []
    above: ChainImage | None = image
    while above is not None:
        blocks.append(block(above))
        above = above.backing
    return "\n".join(blocks)


def block(image: ChainImage) -> str:
    header, source = image.header, image.source
    server = source.hosts[0] if isinstance(source, NetworkSource) else None
    backing = header.backing if header is not None else None
    if backing is None:
        told = "none(0)"
    elif header is not None and header.backing_format is not None:
        told = f"{header.backing_format}({_NUMBERS[header.backing_format]})"
    else:
        told = "<null>(-1)"
    lines = [
        f"path:{image.path}",
        f"backingStoreRaw: {backing or '<null>'}",
        f"backingStoreRawFormat: {told}",
        *size(image),
        f"relPath:{image.relative or '<null>'}",
        f"type:{kind(image)}",
        f"format:{image.format}",
        f"protocol:{source.protocol if isinstance(source, NetworkSource) else 'none'}",
        f"hostname:{(server.name if server is not None else None) or '<null>'}",
    ]
    if header is not None and header.data_file is not None:
        data = image.data_file
        assert data is not None
        lines += ["", f"dataFileRaw: {header.data_file}", "", "", "dataFileStoreSource:", f"path: {data.path}"]
        lines += [*size(data), f"type:{kind(data)}", f"format:{data.format}"]
    return "".join(f"{line}\n" for line in lines)


def size(image: ChainImage) -> list[str]:
    header = image.header
    capacity = header.capacity if header is not None else None
    encrypted = header is not None and header.encryption is not None
    return [f"capacity: {capacity or 0}", f"encryption: {int(encrypted)}"]


def kind(image: ChainImage) -> StorageType:
    (tag,) = declaration(type(image.source)).tags
    return StorageType(str(tag))
