"""IOMMUs: ``<iommu>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.domain.address import Device
from virtcore.xml import ON_OFF, attribute, child, element

__all__ = [
    "IOMMU",
    "IOMMUDriver",
    "IOMMUModel",
]


class IOMMUModel(StrEnum):
    """Device the guest sees."""

    INTEL = "intel"
    SMMUV3 = "smmuv3"
    VIRTIO = "virtio"


@element("driver")
class IOMMUDriver:
    """Options of the device."""

    intremap: bool | None = attribute(codec=ON_OFF, doc="interrupt remapping")
    caching_mode: bool | None = attribute(codec=ON_OFF, doc="caching mode, needed for assigned devices")
    eim: bool | None = attribute(codec=ON_OFF, doc="extended interrupt mode")
    iotlb: bool | None = attribute(codec=ON_OFF, doc="IOTLB for vhost devices", since="3.5.0")
    aw_bits: int | None = attribute(omit=0, doc="width of addresses", since="6.5.0")
    dma_translation: bool | None = attribute(codec=ON_OFF, doc="translation of DMA", since="10.7.0")


@element("iommu")
class IOMMU(Device):
    """Translates the addresses devices use."""

    model: IOMMUModel = attribute(required=True, doc="device the guest sees")
    driver: IOMMUDriver | None = child()
