"""Firmware: images in ROM, and in flash memory with the variables beside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virt_qemu.block.image import source_image
from virt_qemu.command.images import add_image
from virt_qemu.command.line import Builder
from virtcore.model.domain.os import LoaderType
from virtcore.model.storage.source import FileSource, StorageFormat

if TYPE_CHECKING:
    from virt_qemu.block.image import Image

__all__ = ["add_firmware", "add_flash", "flash_words"]


def _in_flash(builder: Builder) -> bool:
    os = builder.domain.os
    return os is not None and os.loader is not None and os.loader.type is LoaderType.PFLASH


def _variables(builder: Builder) -> Image | None:
    os = builder.domain.os
    nvram = os.nvram if os is not None else None
    if nvram is None or (nvram.path is None and nvram.source is None):
        return None
    source = nvram.source or FileSource(file=nvram.path)
    image = source_image(source, nvram.format or StorageFormat.RAW, "pflash1", raw_layers=builder.raw_layers)
    return replace(image, ends=True)


def add_flash(builder: Builder) -> None:
    """Images that flash memory holds; the machine refers to them."""
    if not _in_flash(builder):
        return
    os = builder.domain.os
    assert os is not None
    loader = os.loader
    assert loader is not None
    code = source_image(FileSource(file=loader.path), loader.format or StorageFormat.RAW, "pflash0")
    add_image(builder, replace(code, readonly=loader.readonly is True, ends=True))
    variables = _variables(builder)
    if variables is not None:
        add_image(builder, variables)


def flash_words(builder: Builder) -> list[str]:
    """Which images the machine's flash memory holds."""
    if not _in_flash(builder):
        return []
    words = ["pflash0=libvirt-pflash0-format"]
    variables = _variables(builder)
    if variables is not None:
        words.append(f"pflash1={variables.top()}")
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
