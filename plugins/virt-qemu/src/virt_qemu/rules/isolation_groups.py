"""Devices of the host that only go together: on pSeries each group has a host bridge of the guest to itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from virtcore.errors import InternalError
from virtcore.model.domain.addresses.pci import Function, spell
from virtcore.model.domain.hostdev import PCIHostdev
from virtcore.model.domain.interface import HostdevInterfaceSource, Interface, InterfacePCIAddress

if TYPE_CHECKING:
    from virtcore.model.domain.address import Device
    from virtcore.model.domain.controller import Controller

__all__ = ["IOMMUGroup", "iommu_group_of", "isolation_group"]

#: The number of the IOMMU group of a PCI device of the host; None: it is in none.
IOMMUGroup: TypeAlias = Callable[[Function], int | None]


def iommu_group_of(address: Function) -> int | None:
    """The group of a device of this host."""
    from virt_host.passthrough import DeviceTree

    try:
        return DeviceTree().iommu_group(spell(address))
    except InternalError:
        return None


def isolation_group(device: Device | Controller, iommu_group: IOMMUGroup) -> int:
    """The devices that a device may share a host bridge with: 0 for what is emulated, and for what is in no group.

    Which device an interface on a network gets is not known before the guest starts: it is isolated from nothing.
    """
    address: Function | None = None
    if isinstance(device, PCIHostdev) and device.source is not None:
        address = device.source.address
    elif isinstance(device, Interface) and isinstance(device.source, HostdevInterfaceSource):
        address = device.source.address if isinstance(device.source.address, InterfacePCIAddress) else None
    number = iommu_group(address) if address is not None else None
    return number + 1 if number is not None else 0
