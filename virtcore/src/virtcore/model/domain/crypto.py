"""Crypto devices: ``<crypto>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import attribute, child, element

__all__ = [
    "Crypto",
    "CryptoBackend",
    "CryptoBackendModel",
    "CryptoDriver",
    "CryptoModel",
    "CryptoType",
]


class CryptoModel(StrEnum):
    """Device the guest sees."""

    VIRTIO = "virtio"


class CryptoType(StrEnum):
    """Who implements it."""

    QEMU = "qemu"


class CryptoBackendModel(StrEnum):
    """What does the arithmetic."""

    BUILTIN = "builtin"
    LKCF = "lkcf"


@element("backend")
class CryptoBackend:
    """What does the arithmetic."""

    model: CryptoBackendModel = attribute(required=True, doc="implementation")
    queues: int | None = attribute(omit=0, doc="number of queues")


@element("driver")
class CryptoDriver(VirtioOptions):
    """Options of the virtio device."""


@element("crypto")
class Crypto(Device):
    """A cryptographic accelerator."""

    model: CryptoModel = attribute(required=True, doc="device the guest sees")
    type: CryptoType = attribute(required=True, doc="who implements it")
    backend: CryptoBackend | None = child(
        required=True,
        missing="only one crypto backend is supported",
        repeat="refuse",
        repeated="only one crypto backend is supported",
    )
    driver: CryptoDriver | None = child()
