"""Memory that can be plugged in: the NUMA cell it needs, and the sizes that POWER wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.rules.machine import Machine
from virtcore.errors import XMLError
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import GuestCPU
from virtcore.model.cpu.numa import NUMA, NUMACell
from virtcore.model.domain.memory import Memory
from virtcore.model.domain.memory_device import DIMM, NVDIMM, VirtioMEM
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["WITHOUT_NODES", "complete_pluggable_memory"]

#: KiB; of memory modules on POWER.
#: Architectures whose guests need no NUMA node for it.
WITHOUT_NODES = (Arch.S390, Arch.S390X, Arch.PPC, Arch.SPARC, Arch.SPARC64)
_POWER_BLOCK = 256 * 1024


def complete_pluggable_memory(domain: Domain) -> None:
    """Of a new domain: give pluggable memory a cell to be in, and modules on POWER sizes that QEMU takes.

    :raises XMLError: a persistent module is too small.
    """
    from virtcore.model.domain.rules.devices import memory_device_size

    assert domain.devices is not None
    devices = domain.devices.memory
    numa = domain.cpu.numa if domain.cpu is not None else None
    if domain.max_memory is not None and domain.arch not in WITHOUT_NODES and (numa is None or not numa.cells):
        numa = _add_cell(domain, domain.memory_total - sum(map(memory_device_size, devices)))
    if Machine.of(domain).ppc64:
        for device in devices:
            _align(device)
    if numa is not None and numa.cells:
        domain.memory = domain.memory if domain.memory is not None else Memory()
        domain.memory.size = sum(cell.memory for cell in numa.cells) + sum(map(memory_device_size, devices))


def _add_cell(domain: Domain, memory: int) -> NUMA:
    assert domain.devices is not None
    for device in domain.devices.memory:
        if isinstance(device, DIMM | NVDIMM | VirtioMEM) and device.target is not None and device.target.node is None:
            device.target.node = 0
    cpu = domain.cpu = domain.cpu if domain.cpu is not None else GuestCPU()
    cell = NUMACell(id=0, cpus=CpuSet(range(domain.vcpu_maximum)), memory=memory)
    cpu.numa = NUMA(cells=[cell])
    return cpu.numa


def _align(device: object) -> None:
    target = getattr(device, "target", None)
    if target is None or target.size is None:
        return
    if isinstance(device, NVDIMM):
        label = target.label_size or 0
        if target.size < _POWER_BLOCK + label:
            raise XMLError("minimum target size for the NVDIMM must be 256MB plus the label size")
        target.size = (target.size - label) // _POWER_BLOCK * _POWER_BLOCK + label
    else:
        target.size = -(-target.size // _POWER_BLOCK) * _POWER_BLOCK
