"""How much memory the emulator may lock: what devices of the host reach by themselves must stay where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.networks import actual_type
from virtcore.model.domain.controller import PCIController, PCIControllerModelName
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.hostdev import MdevHostdev, PCIHostdev
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.domain.memory import MEMORY_UNLIMITED
from virtcore.model.storage.source import NVMeSource, VhostVDPASource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk

__all__ = ["locked_memory"]

# In KiB, as everything below.
_MIB = 1024
_GIB = 1024 * _MIB


def locked_memory(domain: Domain, *, nvlink: bool = False) -> int:
    """The limit in bytes; 0: there is no need for one, ``MEMORY_UNLIMITED``: none can be told.

    :param domain: a complete domain, its devices with addresses.
    :param nvlink: a GPU behind NVLink2 of a POWER host is handed over.
    """
    hard_limit = domain.memtune.hard_limit if domain.memtune is not None else None
    if hard_limit and hard_limit < MEMORY_UNLIMITED:
        return hard_limit * 1024
    # How much the emulator takes for itself nobody knows.
    if domain.memory_backing is not None and domain.memory_backing.locked:
        return MEMORY_UNLIMITED
    if domain.arch is not None and domain.arch.is_ppc64 and domain.type is VirtType.KVM:
        return _power(domain, nvlink) * 1024
    vfio, own = _vfio_devices(domain), _nvme_disks(domain) + _vdpa_devices(domain)
    if not vfio and not own:
        return 0
    # Some devices have all memory locked once for each of them; those on VFIO share it unless there is an IOMMU.
    assert domain.devices is not None
    shared = vfio if domain.devices.iommu is not None else min(vfio, 1)
    return ((own + shared) * domain.memory_total + _GIB) * 1024


def _power(domain: Domain, nvlink: bool) -> int:
    """On POWER the host keeps tables for a guest: of its memory's pages, and of what each host bridge reaches."""
    assert domain.devices is not None
    bridges = sum(
        isinstance(controller, PCIController) and controller.model_name is PCIControllerModelName.SPAPR_PCI_HOST_BRIDGE
        for controller in domain.devices.controllers
    )
    memory = domain.memory_total
    most = domain.max_memory.size if domain.max_memory is not None and domain.max_memory.size else memory
    base = most // 128 + 4 * _MIB * bridges + 8 * _MIB
    if nvlink:
        # The GPU's memory ends at 128 TiB; that much is to be mapped through each bridge.
        return base + most + 128 * 1024 * _GIB // 512 * bridges + 8 * _MIB
    if _vfio_devices(domain) or _nvme_disks(domain) or _vdpa_devices(domain):
        windows = 2 * _GIB * bridges
        return base + max(windows, memory + memory // 512 * bridges + 8 * _MIB)
    return base


def _vfio_devices(domain: Domain) -> int:
    """PCI and mediated devices, network cards among them."""
    assert domain.devices is not None
    cards = sum(actual_type(interface) is InterfaceType.HOSTDEV for interface in domain.devices.interfaces)
    return cards + sum(isinstance(device, PCIHostdev | MdevHostdev) for device in domain.devices.hostdevs)


def _nvme_disks(domain: Domain) -> int:
    """Disks with an image on an NVMe controller that the emulator drives."""
    assert domain.devices is not None
    return sum(any(isinstance(source, NVMeSource) for source in _chain(disk)) for disk in domain.devices.disks)


def _vdpa_devices(domain: Domain) -> int:
    """Network cards and images on vDPA."""
    assert domain.devices is not None
    cards = sum(actual_type(interface) is InterfaceType.VDPA for interface in domain.devices.interfaces)
    return cards + sum(isinstance(source, VhostVDPASource) for disk in domain.devices.disks for source in _chain(disk))


def _chain(disk: Disk) -> Iterator[object]:
    """Sources of a disk's images."""
    yield disk.source
    backing = disk.backing_store
    while backing is not None:
        yield backing.source
        backing = backing.backing_store
