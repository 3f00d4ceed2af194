"""Validation of memory devices that is the same for every driver."""

from __future__ import annotations

import mmap
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLDetail
from virtcore.model.domain.address import DIMMAddress
from virtcore.model.domain.memory_device import (
    DIMM,
    NVDIMM,
    SGXEPC,
    MemoryDeviceAccess,
    VirtioMEM,
    VirtioPMEM,
)

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.memory_device import AnyMemoryDevice

__all__ = ["refuse_overlaps", "validate_memory_device"]

# Where the kernel tells how large a transparent huge page is; KiB where it does not.
_HUGE_PAGE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
_HUGE_PAGE_KIB = 2048


def validate_memory_device(device: AnyMemoryDevice, domain: Domain) -> None:
    """One memory device (``virDomainMemoryDefValidate``)."""
    target = device.target
    assert target is not None
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = len(numa.cells) if numa is not None else 0
    if target.node is not None:
        if not cells:
            raise XMLDetail("can't add memory backend as guest has no NUMA nodes configured", path="target/node")
        if target.node >= cells:
            raise XMLDetail(
                f"can't add memory backend for guest node '{target.node}' as the guest has only '{cells}' NUMA nodes "
                "configured",
                path="target/node",
            )
    if isinstance(device, NVDIMM):
        _validate_nvdimm(device, domain)
    elif isinstance(device, VirtioPMEM):
        _validate_pmem(device)
    elif isinstance(device, VirtioMEM):
        _validate_virtio_mem(device)
    elif isinstance(device, SGXEPC) and device.address is not None:
        raise ConfigUnsupported("memory device address is not supported for model 'sgx-epc'", path="address")


def _validate_nvdimm(device: NVDIMM, domain: Domain) -> None:
    assert device.target is not None
    if device.source is None or device.source.path is None:
        raise XMLDetail("path is required for model 'nvdimm'", path="source/path")
    if device.discard:
        raise ConfigUnsupported("discard is not supported for nvdimms", path="@discard")
    if domain.arch is not None and domain.arch.is_ppc64:
        if not device.target.label_size:
            raise ConfigUnsupported("label size is required for NVDIMM device", path="target/label")
    elif device.uuid is not None:
        raise ConfigUnsupported("UUID is not supported for NVDIMM device", path="uuid")


def _validate_pmem(device: VirtioPMEM) -> None:
    assert device.target is not None
    if device.source is None or device.source.path is None:
        raise XMLDetail("path is required for model 'virtio-pmem'", path="source/path")
    if device.discard:
        raise ConfigUnsupported("discard is not supported for model 'virtio-pmem'", path="@discard")
    if device.access is not MemoryDeviceAccess.SHARED:
        raise ConfigUnsupported("shared access mode required for virtio-pmem device", path="@access")
    if device.target.node is not None:
        raise ConfigUnsupported("virtio-pmem does not support NUMA nodes", path="target/node")
    if (device.target.address or 0) % mmap.PAGESIZE:
        raise ConfigUnsupported(f"memory address must be aligned to {mmap.PAGESIZE} bytes", path="target/address")


def _huge_page_kib() -> int:
    try:
        return int(_HUGE_PAGE.read_text()) // 1024
    except (OSError, ValueError):
        return _HUGE_PAGE_KIB


def _validate_virtio_mem(device: VirtioMEM) -> None:
    target = device.target
    assert target is not None
    size, block, requested = target.size or 0, target.block or 0, target.requested or 0
    if requested > size:
        raise XMLDetail(f"requested size must be smaller than or equal to @size ({size}KiB)", path="target/requested")
    if not block or block & (block - 1):
        raise XMLDetail("block size must be a power of two", path="target/block")
    smallest = _huge_page_kib()
    if block < smallest:
        raise XMLDetail(f"block size too small, must be at least {smallest}KiB", path="target/block")
    if requested % block:
        raise XMLDetail("requested size must be an integer multiple of block size", path="target/requested")
    if (target.address or 0) % (block * 1024):
        raise XMLDetail("memory device address must be aligned to blocksize", path="target/address")


def _start(device: AnyMemoryDevice) -> int:
    """Where the device begins in guest memory, in bytes; 0: nobody said."""
    if isinstance(device, (VirtioPMEM, VirtioMEM)):
        return (device.target.address or 0) if device.target is not None else 0
    if isinstance(device, (DIMM, NVDIMM)) and isinstance(device.address, DIMMAddress):
        return device.address.base or 0
    return 0


def _mapped(device: AnyMemoryDevice) -> int:
    """How much of guest memory the device takes, in bytes: an NVDIMM's label area is not mapped."""
    assert device.target is not None
    size = device.target.size or 0
    if isinstance(device, NVDIMM) and device.target.label_size:
        align = (device.source.alignsize if device.source is not None else None) or mmap.PAGESIZE // 1024
        size -= -(-device.target.label_size // align) * align
    return size * 1024


def refuse_overlaps(devices: list[AnyMemoryDevice]) -> None:
    """A slot holds one module, a place in guest memory one device."""
    path = "/domain/devices/memory/address"
    slots: set[int | None] = set()
    placed: list[tuple[int, int, int]] = []
    for place, device in enumerate(devices):
        if isinstance(device, (DIMM, NVDIMM)) and isinstance(device.address, DIMMAddress):
            if device.address.slot in slots:
                raise ConfigUnsupported(
                    f"memory device slot '{device.address.slot}' is already being used by another memory device",
                    path=f"{path}/@slot",
                )
            slots.add(device.address.slot)
        start = _start(device)
        if start:
            placed.append((start, start + _mapped(device), place))
    placed.sort()
    for one, other in pairwise(placed):
        if other[0] < one[1]:
            # libvirt finds it at the device that comes first.
            (start, end, _), (begin, _, _) = sorted((one, other), key=lambda device: device[2])
            raise ConfigUnsupported(
                f"memory device address [0x{start:x}:0x{end:x}] overlaps with other memory device (0x{begin:x})",
                path=f"{path}/@base",
            )
