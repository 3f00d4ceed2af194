"""Memory balloons: ``<memballoon>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.model.domain.disk import VirtioOptions
from virtcore.xml import ON_OFF, attribute, child, element, inherited
from virtcore.xml.scalars import number

__all__ = [
    "Memballoon",
    "MemballoonDriver",
    "MemballoonModel",
]


class MemballoonModel(StrEnum):
    """Device the guest sees; ``none`` leaves it out."""

    VIRTIO = "virtio"
    XEN = "xen"
    NONE = "none"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


@element("driver")
class MemballoonDriver(VirtioOptions):
    """Options of the virtio device."""


@element("memballoon")
class Memballoon(Device):
    """Takes memory from the guest and gives it back."""

    model: MemballoonModel = attribute(required=True, doc="device the guest sees")
    autodeflate: bool | None = attribute(codec=ON_OFF, doc="deflate when the guest runs out of memory", since="1.3.1")
    free_page_reporting: bool | None = attribute(
        "freePageReporting", codec=ON_OFF, doc="give unused pages back", since="6.9.0"
    )
    stats_period: int | None = attribute(
        "period", within="stats", codec=number(32, signed=True, base=0), omit=0, doc="seconds between statistics"
    )
    _device = inherited()
    driver: MemballoonDriver | None = child()
