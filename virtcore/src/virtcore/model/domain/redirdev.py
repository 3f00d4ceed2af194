"""Devices of a client, redirected: ``<redirdev>`` and ``<redirfilter>``."""

from __future__ import annotations

import re
from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import BootableDevice
from virtcore.model.domain.chardev import CharacterType, ChardevSource
from virtcore.xml import YES_NO, Codec, attribute, children, element, union
from virtcore.xml.scalars import number

__all__ = [
    "RedirFilter",
    "RedirFilterUSB",
    "Redirdev",
    "RedirdevBus",
]


class RedirdevBus(StrEnum):
    """Bus of a redirected device."""

    USB = "usb"


@element("redirdev")
class Redirdev(BootableDevice):
    """A device of a remote client, through a character device."""

    bus: RedirdevBus | None = attribute(
        invalid="unknown redirdev bus '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="bus it is on"
    )
    type: CharacterType | None = attribute(
        required=True,
        missing="missing type in redirdev",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="unknown redirdev character device type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of character device",
    )
    source: ChardevSource | None = union(tag="type", inline=True)


def _read_version(text: str) -> int:
    found = re.fullmatch(r"\s*([0-9]{1,2})\.\s*([0-9]{1,2})", text)
    if found is None:
        raise ValueError(text)
    major, minor = int(found[1]), int(found[2])
    if len(found[2]) == 1:
        minor *= 10
    return (major // 10) << 12 | (major % 10) << 8 | (minor // 10) << 4 | minor % 10


def _write_version(version: int) -> str:
    major = ((version & 0xF000) >> 12) * 10 + ((version & 0x0F00) >> 8)
    minor = ((version & 0x00F0) >> 4) * 10 + (version & 0x000F)
    return f"{major}.{minor:02d}"


def _any(codec: Codec[int]) -> Codec[int]:
    """A number where ``-1`` (any) is spelt as absence."""
    return Codec(
        lambda text: -1 if text.strip() == "-1" else codec.read(text),
        codec.write,
        expected="Expected integer value",
        datatype="pattern:-1|(0x)?[0-9a-fA-F]+",
        safe=True,
    )


_VERSION = Codec(
    lambda text: -1 if text == "-1" else _read_version(text),
    _write_version,
    datatype="pattern:-1|[0-9]{1,2}\\.[0-9]{1,2}",
    safe=True,
)


@element("usbdev")
class RedirFilterUSB:
    """A rule for USB devices; what is absent matches all."""

    usb_class: int | None = attribute("class", codec=_any(number(31, base=0, form="0x%02X")), omit=-1, doc="class code")
    vendor: int | None = attribute(codec=_any(number(31, base=0, form="0x%04X")), omit=-1, doc="vendor identifier")
    product: int | None = attribute(codec=_any(number(31, base=0, form="0x%04X")), omit=-1, doc="product identifier")
    version: int | None = attribute(
        codec=_VERSION,
        omit=-1,
        invalid="Cannot parse USB device version {value}",
        doc="release in binary coded decimal: 0x0200 is 2.00",
    )
    allow: bool | None = attribute(codec=YES_NO, required=True, doc="whether matching devices may be redirected")


@element("redirfilter")
class RedirFilter:
    """Which devices may be redirected; the first matching rule counts."""

    usbdevs: list[RedirFilterUSB] = children("usbdev", doc="rules")
