"""Sockets between host and guest: ``<vsock>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import YES_NO, attribute, child, element, inherited

__all__ = [
    "Vsock",
    "VsockCID",
    "VsockDriver",
    "VsockModel",
]


class VsockModel(StrEnum):
    """Variant of the virtio device."""

    DEFAULT = "default"
    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


@element("cid")
class VsockCID:
    """The guest's address."""

    auto: bool | None = attribute(codec=YES_NO, doc="chosen at start")
    address: int | None = attribute(nonzero=True, doc="context identifier, from 3")


@element("driver")
class VsockDriver(VirtioOptions):
    """Options of the virtio device."""


@element("vsock")
class Vsock(Device):
    """A socket device."""

    model: VsockModel | None = attribute(omit=VsockModel.DEFAULT, doc="variant of the virtio device")
    cid: VsockCID | None = child()
    _device = inherited()
    driver: VsockDriver | None = child()
