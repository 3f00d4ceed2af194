"""Disks in the card slots of boards: QEMU has them as drives of the old kind, whose nodes have no names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from virt_qemu.block.image import disk_image
from virt_qemu.block.objects import image_objects
from virt_qemu.block.storage import storage_properties
from virt_qemu.command.line import Builder, escape, on_off
from virt_qemu.rules.aliases import disk_index
from virtcore.model.storage.source import BlockSource, FileSource

if TYPE_CHECKING:
    from virt_qemu.block.storage import Props
    from virtcore.model.domain.disk import Disk

__all__ = ["add_sd_card"]


def add_sd_card(builder: Builder, disk: Disk) -> None:
    """A card with its image, and the objects that opens.

    :raises VirtError: QEMU cannot reach the image.
    """
    assert disk.target is not None
    image = disk_image(disk, gluster_debug=builder.host.gluster_debug)
    for each in image_objects(image, builder.secret_value, builder.sealed_object, builder.host.image_tls):
        builder.object(each)
    source = disk.source
    if isinstance(source, FileSource):
        where = [f"file={escape(source.file or '')}"]
    elif isinstance(source, BlockSource):
        where = [f"file={escape(source.dev or '')}"]
    else:
        where = list(_flat("file", storage_properties(image)))
    driver = disk.driver
    words = [*where, f"format={image.format}", f"if=sd,index={disk_index(disk.target.dev or '')}"]
    if disk.readonly:
        words.append("readonly=on")
    if driver is not None:
        words += [
            f"{name}={value}"
            for name, value in (
                ("cache", driver.cache if driver.cache != "default" else None),
                ("copy-on-read", on_off(driver.copy_on_read) if driver.copy_on_read is not None else None),
                ("discard", driver.discard),
                ("detect-zeroes", driver.detect_zeroes),
                ("werror", driver.error_policy),
                ("rerror", driver.rerror_policy),
                ("aio", driver.io),
            )
            if value is not None
        ]
    builder.add("-drive", ",".join(words))


def _flat(name: str, value: object) -> Iterator[str]:
    """A property of a node, and those below it, as dotted options."""
    if isinstance(value, dict):
        props: Props = value
        for key, inner in props.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _flat(f"{name}.{place}", inner)
    else:
        yield f"{name}={escape(on_off(value) if isinstance(value, bool) else str(value))}"
