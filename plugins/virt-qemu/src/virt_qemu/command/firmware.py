"""Firmware: images in ROM, and in flash memory with the variables beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import NULL, Builder
from virt_qemu.command.storage import source_properties
from virtcore.model.domain.os import LoaderType
from virtcore.model.storage.source import FileSource, StorageFormat

if TYPE_CHECKING:
    from virtcore.model.storage.source import Source

__all__ = ["add_firmware", "add_flash", "flash_words"]

_BACKING = (StorageFormat.QCOW2,)


def _in_flash(builder: Builder) -> bool:
    os = builder.domain.os
    return os is not None and os.loader is not None and os.loader.type is LoaderType.PFLASH


def _variables(builder: Builder) -> tuple[Source, StorageFormat] | None:
    os = builder.domain.os
    nvram = os.nvram if os is not None else None
    if nvram is None or (nvram.path is None and nvram.source is None):
        return None
    return nvram.source or FileSource(file=nvram.path), nvram.format or StorageFormat.RAW


def add_flash(builder: Builder) -> None:
    """Images that flash memory holds; the machine refers to them."""
    if not _in_flash(builder):
        return
    os = builder.domain.os
    assert os is not None
    loader = os.loader
    assert loader is not None
    storage = {"auto-read-only": True, "discard": "unmap"}
    image_format = loader.format or StorageFormat.RAW
    builder.json(
        "-blockdev",
        {"driver": "file", "filename": loader.path, "node-name": "libvirt-pflash0-storage"} | storage,
    )
    builder.json(
        "-blockdev",
        {
            "node-name": "libvirt-pflash0-format",
            "read-only": loader.readonly is True,
            "driver": str(image_format),
            "file": "libvirt-pflash0-storage",
            "backing": NULL if image_format in _BACKING else None,
        },
    )
    variables = _variables(builder)
    if variables is None:
        return
    source, image_format = variables
    name = "libvirt-pflash1-storage"
    node = source_properties(builder, source, node=name, floppy=False, cdrom=False, writable=True, auth=source.auth) | {
        "node-name": name
    }
    if image_format is StorageFormat.RAW and not _raw_layer(builder):
        builder.json("-blockdev", node | {"read-only": False})
        return
    builder.json("-blockdev", node | storage)
    builder.json(
        "-blockdev",
        {
            "node-name": "libvirt-pflash1-format",
            "read-only": False,
            "driver": str(image_format),
            "file": "libvirt-pflash1-storage",
            "backing": NULL if image_format in _BACKING else None,
        },
    )


def _raw_layer(builder: Builder) -> bool:
    """Whether a raw image gets a layer of its own: where storage must look as large as the flash memory is."""
    return builder.raw_layers


def flash_words(builder: Builder) -> list[str]:
    """Which images the machine's flash memory holds."""
    if not _in_flash(builder):
        return []
    words = ["pflash0=libvirt-pflash0-format"]
    variables = _variables(builder)
    if variables is not None:
        plain = variables[1] is StorageFormat.RAW and not _raw_layer(builder)
        words.append(f"pflash1=libvirt-pflash1-{'storage' if plain else 'format'}")
    return words


def add_firmware(builder: Builder) -> None:
    """A firmware image given as ROM, and what guards the one in flash memory."""
    os = builder.domain.os
    assert os is not None
    if os.loader is None:
        return
    if _in_flash(builder):
        if os.loader.secure:
            builder.add("-global", "driver=cfi.pflash01,property=secure,value=on")
    elif os.loader.path is not None:
        builder.add("-bios", os.loader.path)
