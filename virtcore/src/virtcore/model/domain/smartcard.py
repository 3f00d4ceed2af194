"""Smart cards: ``<smartcard>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.model.domain.chardev import CharacterType, ChardevSource
from virtcore.xml import attribute, element, leaf, union

__all__ = [
    "HostCertificatesSmartcard",
    "HostSmartcard",
    "PassthroughSmartcard",
    "Smartcard",
    "SmartcardMode",
]


class SmartcardMode(StrEnum):
    """Where the card is."""

    HOST = "host"
    HOST_CERTIFICATES = "host-certificates"
    PASSTHROUGH = "passthrough"


@element("smartcard", tag=SmartcardMode.HOST)
class HostSmartcard(Device):
    """The host's card reader is passed through."""


@element("smartcard", tag=SmartcardMode.HOST_CERTIFICATES)
class HostCertificatesSmartcard(Device):
    """An emulated card with three certificates of the host."""

    certificates: list[str] = leaf("certificate", blank=True, doc="names of exactly three certificates")
    database: str | None = leaf(doc="path of the NSS database")


@element("smartcard", tag=SmartcardMode.PASSTHROUGH)
class PassthroughSmartcard(Device):
    """A card at the other end of a character device."""

    type: CharacterType | None = attribute(
        required=True,
        missing="passthrough mode requires a character device type attribute",
        missing_code=ErrorCode.XML_ERROR,
        invalid="unknown type presented to host for character device: {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of character device",
    )
    source: ChardevSource | None = union(tag="type", inline=True)


Smartcard: TypeAlias = HostSmartcard | HostCertificatesSmartcard | PassthroughSmartcard
