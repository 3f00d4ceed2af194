"""Memory devices: ``<memory>`` below ``<devices>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.xml import HEX, INT, UUID, YES_NO, Mode, attribute, child, element, flag, leaf, scaled
from virtcore.xml.scalars import CPU_SET, CpuSet

__all__ = [
    "AnyMemoryDevice",
    "DIMM",
    "DIMMTarget",
    "MemoryDevice",
    "MemoryDeviceAccess",
    "MemoryModel",
    "NVDIMM",
    "NVDIMMSource",
    "NVDIMMTarget",
    "PagedSource",
    "SGXEPC",
    "SGXSource",
    "VirtioMEM",
    "VirtioMEMTarget",
    "VirtioPMEM",
    "VirtioPMEMSource",
    "VirtioPMEMTarget",
]


class MemoryModel(StrEnum):
    """Kind of memory device."""

    DIMM = "dimm"
    NVDIMM = "nvdimm"
    VIRTIO_PMEM = "virtio-pmem"
    VIRTIO_MEM = "virtio-mem"
    SGX_EPC = "sgx-epc"


class MemoryDeviceAccess(StrEnum):
    """Whether host processes see what the guest writes."""

    SHARED = "shared"
    PRIVATE = "private"


@element("source")
class PagedSource:
    """Host memory of chosen nodes and page size."""

    nodemask: CpuSet | None = leaf(codec=CPU_SET, doc="host NUMA nodes")
    pagesize: int | None = leaf(codec=scaled("KiB"), omit=0, doc="page size in KiB")


@element("source")
class NVDIMMSource:
    """A file or device that keeps its content."""

    path: str | None = leaf(doc="path of the backing file")
    alignsize: int | None = leaf(codec=scaled("KiB"), omit=0, doc="alignment in KiB", since="5.0.0")
    pmem: bool = flag(doc="the backing is real persistent memory", since="5.0.0")


@element("source")
class VirtioPMEMSource:
    """A file that keeps its content."""

    path: str | None = leaf(doc="path of the backing file")


@element("source")
class SGXSource:
    """Enclave pages of chosen host nodes."""

    nodemask: CpuSet | None = leaf(codec=CPU_SET, doc="host NUMA nodes")


def _size() -> int | None:
    field: int | None = leaf(
        codec=scaled("KiB", xpath="./size"),
        required=True,
        missing="missing element or attribute './size'",
        doc="size in KiB",
    )
    return field


def _node() -> int | None:
    field: int | None = leaf(codec=INT, minimum=0, invalid="invalid value of memory device node", doc="guest NUMA node")
    return field


@element("target")
class DIMMTarget:
    """What the guest gets."""

    size: int | None = _size()
    node: int | None = _node()


@element("target")
class NVDIMMTarget:
    """What the guest gets."""

    size: int | None = _size()
    node: int | None = _node()
    label_size: int | None = leaf(
        "size", within="label", codec=scaled("KiB"), omit=0, doc="size of the label area in KiB"
    )
    readonly: bool = flag(doc="the guest cannot write", since="5.0.0")


@element("target")
class VirtioPMEMTarget:
    """What the guest gets."""

    size: int | None = _size()
    node: int | None = _node()
    address: int | None = attribute(
        "base",
        within="address",
        codec=HEX("0x%x", bits=64, base=16),
        omit=0,
        doc="guest physical address",
        since="9.4.0",
    )


@element("target")
class VirtioMEMTarget:
    """What the guest gets, in blocks that come and go."""

    dynamic_memslots: bool | None = attribute(
        "dynamicMemslots", codec=YES_NO, doc="map it in pieces as it is used", since="10.1.0"
    )
    size: int | None = _size()
    node: int | None = _node()
    block: int | None = leaf(codec=scaled("KiB"), omit=0, doc="size of a block in KiB")
    requested: int | None = leaf(codec=scaled("KiB"), doc="how much the guest is asked to use, in KiB")
    current: int | None = leaf(
        codec=scaled("KiB"), when=Mode.LIVE, read=Mode.STATUS, doc="how much the guest uses, in KiB"
    )
    address: int | None = attribute(
        "base",
        within="address",
        codec=HEX("0x%x", bits=64, base=16),
        omit=0,
        doc="guest physical address",
        since="9.4.0",
    )


@element(None)
class MemoryDevice:
    """What all memory devices have."""

    access: MemoryDeviceAccess | None = attribute(doc="private or shared mapping", since="3.2.0")
    discard: bool | None = attribute(codec=YES_NO, doc="drop the content when the guest stops", since="4.4.0")


_TARGET = "missing <target> element for <memory> device"


@element("memory", tag=MemoryModel.DIMM)
class DIMM(MemoryDevice, Device):
    """A memory module."""

    source: PagedSource | None = child()
    target: DIMMTarget | None = child(required=True, missing=_TARGET)


@element("memory", tag=MemoryModel.NVDIMM)
class NVDIMM(MemoryDevice, Device):
    """A persistent memory module."""

    uuid: str | None = leaf(
        codec=UUID,
        invalid="malformed uuid element",
        code=ErrorCode.INTERNAL_ERROR,
        doc="identity of the module (ppc64)",
        since="6.2.0",
    )
    source: NVDIMMSource | None = child()
    target: NVDIMMTarget | None = child(required=True, missing=_TARGET)


@element("memory", tag=MemoryModel.VIRTIO_PMEM)
class VirtioPMEM(MemoryDevice, Device):
    """A paravirtual persistent memory device."""

    source: VirtioPMEMSource | None = child()
    target: VirtioPMEMTarget | None = child(required=True, missing=_TARGET)


@element("memory", tag=MemoryModel.VIRTIO_MEM)
class VirtioMEM(MemoryDevice, Device):
    """A paravirtual memory device that grows and shrinks."""

    source: PagedSource | None = child()
    target: VirtioMEMTarget | None = child(required=True, missing=_TARGET)


@element("memory", tag=MemoryModel.SGX_EPC)
class SGXEPC(MemoryDevice, Device):
    """Enclave page cache."""

    source: SGXSource | None = child()
    target: DIMMTarget | None = child(required=True, missing=_TARGET)


AnyMemoryDevice: TypeAlias = DIMM | NVDIMM | VirtioPMEM | VirtioMEM | SGXEPC
