"""Checks of memory devices that need the domain's room for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import CCWAddress, DIMMAddress, PCIAddress
from virtcore.model.domain.memory_device import DIMM, NVDIMM, VirtioMEM, VirtioPMEM

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["check_memory_device"]


def check_memory_device(device: object, domain: Domain) -> None:
    """Refuse a memory device that has no place in the guest.

    :raises ConfigUnsupported: with libvirt's message.
    """
    address = getattr(device, "address", None)
    assert domain.max_memory is not None
    if isinstance(device, DIMM | NVDIMM):
        if address is not None and not isinstance(address, DIMMAddress):
            raise ConfigUnsupported("only 'dimm' addresses are supported for the pc-dimm device")
        slots = domain.max_memory.slots or 0
        if address is not None and (address.slot or 0) >= slots:
            raise ConfigUnsupported(f"memory device slot '{address.slot or 0}' exceeds slots count '{slots}'")
    elif isinstance(device, VirtioPMEM | VirtioMEM):
        name = "virtio-mem" if isinstance(device, VirtioMEM) else "virtio-pmem"
        if address is not None and not isinstance(address, PCIAddress | CCWAddress):
            raise ConfigUnsupported(f"only 'pci' and 'ccw' addresses are supported for the {name} device")
    numa = domain.cpu.numa if domain.cpu is not None else None
    wants = isinstance(device, DIMM | NVDIMM | VirtioMEM) and numa is not None and bool(numa.cells)
    target = getattr(device, "target", None)
    if wants and target is not None and target.node is None:
        raise ConfigUnsupported("target NUMA node needs to be specified for memory device")
