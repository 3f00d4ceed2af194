"""Slots of the one PCI bus that bhyve has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from virtcore.model.domain.address import DriveAddress, PCIAddress
from virtcore.model.domain.addresses.pci import Connect, PCIAddressSet
from virtcore.model.domain.controller import (
    ISAController,
    PCIController,
    PCIControllerModel,
    SATAController,
    USBController,
    USBControllerModel,
)
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.rules.device_list import devices_of, iterate_devices

__all__ = ["assign_addresses"]

#: The slot of the ISA bridge, kept free for it where nobody asked for it.
_LPC_SLOT = 1


def assign_addresses(domain: Domain) -> None:
    """Give every PCI device a slot.

    :raises VirtError: an address does not exist or is taken twice, or there is no room.
    """
    devices = devices_of(domain)
    slots = PCIAddressSet(1, dry_run=False)
    slots.buses[0].set_model(PCIControllerModel.PCI_ROOT, hotplug=True)
    for device in _addressed(domain):
        address = device.address
        # The host bridge's own slot stands for none.
        if isinstance(address, PCIAddress) and (address.domain or address.bus or address.slot):
            slots.reserve(address, Connect.PCI_DEVICE)
    if not slots.in_use(_LPC_SLOT):
        bridge = next((c for c in devices.controllers if isinstance(c, ISAController) and _wants_slot(c)), None)
        address = PCIAddress(domain=0, bus=0, slot=_LPC_SLOT, function=0)
        slots.reserve(address, Connect.PCI_DEVICE)
        if bridge is not None:
            bridge.address = address
    for device in _on_bus(devices):
        if _wants_slot(device):
            device.address = slots.next(Connect.PCI_DEVICE)


def _addressed(domain: Domain) -> Iterator[Any]:
    """Every device that can have an address; of different classes, which all have the field."""
    return iterate_devices(domain)


def _unset(address: PCIAddress) -> bool:
    return not (address.domain or address.bus or address.slot or address.function)


def _wants_slot(device: Any) -> bool:
    """Whether a device has no address yet, or only says that it is to be on the bus."""
    address = device.address
    return address is None or (isinstance(address, PCIAddress) and _unset(address))


def _on_bus(devices: Devices) -> Iterator[Any]:
    """The devices on the bus, in the order in which they get their slots."""
    for controller in devices.controllers:
        if isinstance(controller, USBController):
            on_bus = controller.model is USBControllerModel.NEC_XHCI
        elif isinstance(controller, PCIController):
            on_bus = controller.model is not PCIControllerModel.PCI_ROOT
        else:
            on_bus = isinstance(controller, SATAController | ISAController)
        if on_bus:
            yield controller
    yield from devices.interfaces
    for disk in devices.disks:
        # The others are behind a controller.
        if disk.target is not None and disk.target.bus is DiskBus.VIRTIO and not isinstance(disk.address, DriveAddress):
            yield disk
    yield from devices.videos
    yield from devices.sounds
    yield from devices.filesystems
    yield from devices.rngs
