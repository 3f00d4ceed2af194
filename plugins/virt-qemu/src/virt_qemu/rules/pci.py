"""PCI addresses and the controllers they need.

The order in which devices get slots is part of the guest's ABI: a guest defined today and one defined by an older
libvirt have the same addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.controllers import addressed_devices, insert_controller
from virt_qemu.rules.isolation_groups import IOMMUGroup, iommu_group_of, isolation_group
from virt_qemu.rules.machine import Machine, pci_root
from virt_qemu.rules.pci_connect import PCINeeds, is_pci_hostdev, is_placed_controller
from virt_qemu.rules.pci_controllers import complete_pci_controller
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import AddressType, CCWAddress, Device, PCIAddress, VirtioMMIOAddress
from virtcore.model.domain.addresses.pci import Connect, PCIAddressSet
from virtcore.model.domain.controller import (
    Controller,
    IDEController,
    PCIController,
    PCIControllerModel,
    SATAController,
    USBController,
    USBControllerModel,
)
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.input import InputBus
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.domain.memory_device import VirtioMEM, VirtioPMEM
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.video import VideoType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["assign_pci_address", "assign_pci_addresses", "wants_pci"]


_PCI_SLOT = Connect.AUTOASSIGN | Connect.PCI_DEVICE
_PCIE_SLOT = Connect.AUTOASSIGN | Connect.PCIE_DEVICE
_ROOTS = (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)
_NOT_PCI_SOUND = (SoundModel.SB16, SoundModel.PCSPK, SoundModel.USB)
_NOT_PCI_VIDEO = (VideoType.NONE, VideoType.RAMFB)
#: The functions that the parts of a USB 2 controller share a slot with.
_USB2_FUNCTION = {
    USBControllerModel.ICH9_EHCI1: 7,
    USBControllerModel.ICH9_UHCI1: 0,
    USBControllerModel.ICH9_UHCI2: 1,
    USBControllerModel.ICH9_UHCI3: 2,
}


def has_pci_address(device: Device | Controller) -> bool:
    """Whether a slot is chosen."""
    address = device.address
    return isinstance(address, PCIAddress) and not address.is_empty


def wants_pci(device: Device | Controller) -> bool:
    """Whether a slot is to be found: no address at all, or "some PCI slot"."""
    address = device.address
    return address is None or (isinstance(address, PCIAddress) and address.is_empty)


def assign_pci_addresses(
    domain: Domain, capabilities: EmulatorCapabilities, iommu_group: IOMMUGroup = iommu_group_of
) -> None:
    """Give every PCI device its address, adding the controllers that are missing.

    :param iommu_group: which devices of the host only go together.
    :raises VirtError: an address the user chose is impossible, or there is no room.
    """
    _Assignment(domain, capabilities, iommu_group).run()


def assign_pci_address(
    domain: Domain,
    capabilities: EmulatorCapabilities,
    device: Device | Controller,
    iommu_group: IOMMUGroup = iommu_group_of,
) -> None:
    """Give a device that joins a running guest its PCI address, if it is a PCI device. No controllers are added.

    :param domain: the guest, without the device.
    :param iommu_group: which devices of the host only go together.
    :raises VirtError: the address the user chose is impossible, or there is no room.
    """
    _Assignment(domain, capabilities, iommu_group).place(device)


class _Assignment:
    def __init__(self, domain: Domain, capabilities: EmulatorCapabilities, iommu_group: IOMMUGroup) -> None:
        assert domain.devices is not None
        self.domain = domain
        self.devices = domain.devices
        self.capabilities = capabilities
        self.machine = Machine.of(domain)
        self.iommu_group = iommu_group
        self.needs = PCINeeds(domain, capabilities)
        self.addresses = PCIAddressSet(0, dry_run=True)
        #: Every device that can have an address; what is added follows at the end.
        self.addressed = addressed_devices(domain)
        #: What has to be placed beside PCI controllers, in order, and what it needs: the same in both passes.
        self.others: list[tuple[Any, Connect]] | None = None

    def run(self) -> None:
        indexes = [controller.index or 0 for controller in self._pci_controllers()]
        highest = max(indexes, default=-1)
        buses = highest + 1
        if buses:
            buses = self._rehearse(highest)
        self.addresses = self._collect(buses, dry_run=False)
        if not self.machine.supports_pci:
            return
        self._place_chipset()
        self._place_devices()
        self._mark_multifunction()
        for controller in self._pci_controllers():
            complete_pci_controller(controller, self._pci_controllers(), self.machine, self.capabilities)

    def place(self, device: Device | Controller) -> None:
        """Find room for a further device among those there are."""
        needs = self.needs.of(device)
        if not needs or not self.machine.supports_pci or not (wants_pci(device) or has_pci_address(device)):
            return
        buses = max((controller.index or 0 for controller in self._pci_controllers()), default=-1) + 1
        self.addresses = self._collect(buses, dry_run=False)
        self._place_chipset()
        needs |= Connect.HOTPLUGGABLE
        if not has_pci_address(device):
            self._next(device, needs)
            return
        assert isinstance(device.address, PCIAddress)
        if device.address.function:
            raise ConfigUnsupported("Only PCI device addresses with function=0 are supported")
        self.addresses.reserve(device.address, needs, self._group(device))

    # -- the two passes

    def _rehearse(self, highest: int) -> int:
        """Find out how many buses are needed and add their controllers; returns the number of buses."""
        addresses = self.addresses = self._collect(highest + 1, dry_run=True)
        self._place_chipset()
        if pci_root(self.domain) is PCIControllerModel.PCI_ROOT and not all(bus.full for bus in addresses.buses):
            # Leave a slot for the bridge that a later device may need.
            addresses.take_next(_PCI_SLOT)
        self._place_devices()
        if (
            highest <= 0
            and len(addresses.buses) > highest + 1
            and pci_root(self.domain) is PCIControllerModel.PCIE_ROOT
        ):
            # The user left the topology to us: one free port for a device that comes later.
            addresses.take_next(_PCIE_SLOT)
        present = {controller.index or 0 for controller in self._pci_controllers()}
        index = 1
        while index < len(addresses.buses):
            if index not in present:
                model = addresses.buses[index].model
                added = PCIController(index=index, model=model)
                insert_controller(self.devices.controllers, added)
                self.addressed.append(added)
                if model not in _ROOTS:
                    addresses.take_next(self.needs.of(added))
            index += 1
        return len(addresses.buses)

    def _collect(self, buses: int, *, dry_run: bool) -> PCIAddressSet:
        """The buses there are, with what the document already says about them."""
        addresses = PCIAddressSet(
            buses,
            dry_run=dry_run,
            several_roots=self.machine.pseries,
            pcie_to_pci_bridge=self.capabilities.has("pcie-pci-bridge"),
        )
        express = False
        for controller in self._pci_controllers():
            bus = addresses.buses[controller.index or 0]
            if controller.model is None:
                raise InternalError("PCI controller model was not set correctly")
            hotplug = controller.target is None or controller.target.hotplug is not False
            bus.set_model(controller.model, hotplug=hotplug)
            express = express or controller.model is PCIControllerModel.PCIE_ROOT
        if addresses.buses and addresses.buses[0].model is None:
            addresses.buses[0].set_model(PCIControllerModel.PCI_ROOT, hotplug=True)
        missing = PCIControllerModel.PCIE_ROOT_PORT if express else PCIControllerModel.PCI_BRIDGE
        if self.machine.pseries:
            missing = PCIControllerModel.PCI_ROOT
            if addresses.buses:
                addresses.buses[0].group_locked = True  # what is emulated is there
        for bus in addresses.buses[1:]:
            if bus.model is None:
                bus.set_model(missing, hotplug=True)
        for device in self.addressed:
            if device.address is not None and has_pci_address(device) and not self._on_piix3(device, addresses):
                needs = self.needs.of(device) or Connect.PCI_DEVICE
                addresses.reserve(device.address, needs, self._group(device))
        return addresses

    def _group(self, device: Any) -> int:
        return isolation_group(device, self.iommu_group) if self.machine.pseries else 0

    def _on_piix3(self, device: Any, addresses: PCIAddressSet) -> bool:
        """Whether a device is a function of the PIIX3 chip, which is placed with the chipset."""
        address = device.address
        if not isinstance(device, Controller) or address.domain or address.bus or address.slot != 1:
            return False
        first = not device.index
        ide = isinstance(device, IDEController) and address.function == 1
        usb = isinstance(device, USBController) and _is_piix3_usb(device) and address.function == 2
        if not first or not (ide or usb):
            return False
        if addresses.buses and not addresses.buses[0].accepts & Connect.PCI_DEVICE:
            raise InternalError("Bus 0 must be PCI for integrated PIIX3 USB or IDE controllers")
        return True

    # -- what the chipset has built in

    def _place_chipset(self) -> None:
        if self.machine.i440fx:
            self._place_piix3()
        elif self.machine.q35:
            self._place_q35()

    def _place_piix3(self) -> None:
        needs = _PCI_SLOT
        for controller in self.devices.controllers:
            if controller.index:
                continue
            if isinstance(controller, IDEController):
                message = "Primary IDE controller must have PCI address 0:0:1.1"
                self._pin(controller, 1, 1, message)
            elif isinstance(controller, USBController) and _is_piix3_usb(controller):
                message = "PIIX3 USB controller at index 0 must have PCI address 0:0:1.2"
                self._pin(controller, 1, 2, message)
            else:
                continue
            if self.addresses.buses:
                assert isinstance(controller.address, PCIAddress)
                self.addresses.reserve(controller.address, needs)
        if self.addresses.buses:
            for function in (0, 3):  # the ISA bridge and power management
                self.addresses.reserve(_slot(1, function), needs)
        self._place_primary_video(2, needs)

    def _place_q35(self) -> None:
        needs = Connect.PCIE_DEVICE
        for controller in self.devices.controllers:
            if isinstance(controller, SATAController) and not controller.index:
                self._pin(controller, 0x1F, 2, "Primary SATA controller must have PCI address 0:0:1f.2")
            elif (
                isinstance(controller, USBController)
                and controller.model is USBControllerModel.ICH9_UHCI1
                and controller.address is None
            ):
                for slot in (0x1D, 0x1A):  # where the real chip has them
                    if not self.addresses.in_use(slot):
                        self.addresses.reserve(_slot(slot), needs)
                        controller.address = PCIAddress(domain=0, bus=0, slot=slot, function=0, multifunction=True)
                        break
            elif (
                isinstance(controller, PCIController)
                and controller.model is PCIControllerModel.DMI_TO_PCI_BRIDGE
                and controller.address is None
                and not self.addresses.in_use(0x1E)
            ):
                self.addresses.reserve(_slot(0x1E), needs)
                controller.address = _slot(0x1E)
        if self.addresses.buses:
            for function in (0, 3):  # the ISA bridge and the SMBus
                self.addresses.reserve(_slot(0x1F, function), needs)
        self._place_primary_video(1, needs)
        if self.addresses.in_use(0x1B):
            return
        for sound in self.devices.sounds:
            if sound.model is SoundModel.ICH9 and wants_pci(sound):
                self.addresses.reserve(_slot(0x1B), needs)
                sound.address = _slot(0x1B)
                break

    def _pin(self, controller: Controller, slot: int, function: int, otherwise: str) -> None:
        """A controller that can be nowhere else."""
        if not has_pci_address(controller):
            controller.address = _slot(slot, function)
            return
        address = controller.address
        assert isinstance(address, PCIAddress)
        where = (address.domain or 0, address.bus or 0, address.slot or 0, address.function or 0)
        if where != (0, 0, slot, function):
            raise InternalError(otherwise)

    def _place_primary_video(self, slot: int, needs: Connect) -> None:
        """QEMU puts the first video device into the first slot that the chipset leaves."""
        video = self.devices.videos[0] if self.devices.videos else None
        kind = video.model.type if video is not None and video.model is not None else None
        if video is None or kind in _NOT_PCI_VIDEO or not wants_pci(video):
            return
        address = _slot(slot)
        self.addresses.validate(address, needs)
        if self.addresses.in_use(slot):
            self._next(video)
        else:
            self.addresses.reserve(address, needs)
            video.address = address

    # -- the others, in the order that is ABI

    def _place_devices(self) -> None:
        controllers = [one for one in self._pci_controllers() if one.model not in _ROOTS and wants_pci(one)]
        if self.others is None:
            self.others = [(device, self.needs.of(device)) for device in self._in_order()]
        for controller in controllers:
            self._next(controller, self.needs.of(controller))
        for device, needs in self.others:
            if not wants_pci(device):
                continue
            if isinstance(device, USBController) and device.model in _USB2_FUNCTION:
                self._place_usb2(device)
            else:
                self._next(device, needs)

    def _in_order(self) -> Iterator[Any]:
        """Devices that want a slot, PCI controllers apart."""
        devices = self.devices

        def wanting(rows: list[Any], accept: Callable[[Any], bool] | None = None) -> list[Any]:
            if not rows:
                return rows
            return [device for device in rows if (accept is None or accept(device)) and wants_pci(device)]

        yield from wanting(
            devices.filesystems,
            lambda share: share.driver is None or share.driver.type is not FilesystemDriverType.MTP,
        )
        yield from wanting(
            devices.interfaces,
            lambda interface: interface.type is not InterfaceType.HOSTDEV and interface.model != "usb-net",
        )
        yield from wanting(devices.sounds, lambda sound: sound.model not in _NOT_PCI_SOUND)
        yield from wanting(devices.controllers, is_placed_controller)
        yield from self._virtio_disks()
        yield from wanting(devices.interfaces, is_pci_hostdev)
        yield from wanting(devices.hostdevs, is_pci_hostdev)
        if devices.memballoon is not None and devices.memballoon.model != "none":
            yield from wanting([devices.memballoon])
        yield from wanting(devices.rngs)
        yield from wanting(devices.watchdogs, lambda watchdog: watchdog.model == "i6300esb")
        yield from wanting(devices.videos, lambda video: video.model is None or video.model.type not in _NOT_PCI_VIDEO)
        yield from wanting(devices.shmems)
        yield from wanting(devices.inputs, lambda device: device.bus is InputBus.VIRTIO)
        yield from wanting(
            devices.serials, lambda serial: serial.target is not None and serial.target.type == "pci-serial"
        )
        if devices.iommu is not None and devices.iommu.model == "virtio":
            yield from wanting([devices.iommu])
        if devices.vsock is not None:
            yield from wanting([devices.vsock])
        yield from wanting(devices.memory, lambda device: isinstance(device, VirtioPMEM | VirtioMEM))
        yield from wanting(devices.cryptos)
        yield from wanting(devices.panics, lambda panic: panic.model == "pvpanic")
        if devices.pstore is not None:
            yield from wanting([devices.pstore])

    def _virtio_disks(self) -> Iterator[Any]:
        for disk in self.devices.disks:
            if disk.target is None or disk.target.bus is not DiskBus.VIRTIO:
                continue
            if has_pci_address(disk) or isinstance(disk.address, CCWAddress):
                continue
            if isinstance(disk.address, VirtioMMIOAddress) and self.capabilities.has("virtio-mmio"):
                continue
            if not wants_pci(disk):
                kind = _ADDRESS_NAMES.get(type(disk.address).__name__, "none")
                raise ConfigUnsupported(f"virtio disk cannot have an address of type '{kind}'")
            yield disk

    def _next(self, device: Any, needs: Connect | None = None) -> None:
        needs = self.needs.of(device) if needs is None else needs
        if self.addresses.dry_run:
            self.addresses.take_next(needs, self._group(device))
            return
        address = self.addresses.next(needs, self._group(device))
        if isinstance(device.address, PCIAddress):
            address.zpci = device.address.zpci
        device.address = address

    def _place_usb2(self, controller: USBController) -> None:
        """The parts of a USB 2 controller share a slot."""
        assert controller.model is not None
        function = _USB2_FUNCTION[controller.model]
        multifunction = True if function == 0 else None
        needs = self.needs.of(controller)
        for part in self.devices.controllers:
            if (
                isinstance(part, USBController)
                and part.model in _USB2_FUNCTION
                and part.index == controller.index
                and has_pci_address(part)
            ):
                assert isinstance(part.address, PCIAddress)
                address = PCIAddress(
                    domain=part.address.domain or 0,
                    bus=part.address.bus or 0,
                    slot=part.address.slot or 0,
                    function=function,
                    multifunction=multifunction,
                )
                self.addresses.reserve(address, needs)
                controller.address = address
                return
        address = self.addresses.next(needs, function=function)
        address.multifunction = multifunction
        if not self.addresses.dry_run:
            controller.address = address

    # -- finishing

    def _mark_multifunction(self) -> None:
        """Function 0 of a slot says whether there are others."""
        shared: set[tuple[int, int, int]] = set()
        first: list[PCIAddress] = []
        for device in self.addressed:
            address = device.address
            if isinstance(address, PCIAddress):
                if address.function:
                    shared.add((address.domain or 0, address.bus or 0, address.slot or 0))
                elif address.multifunction is None:
                    first.append(address)
        if shared:
            for address in first:
                if (address.domain or 0, address.bus or 0, address.slot or 0) in shared:
                    address.multifunction = True

    def _pci_controllers(self) -> list[PCIController]:
        return [controller for controller in self.devices.controllers if isinstance(controller, PCIController)]


_ADDRESS_NAMES = {
    "DriveAddress": AddressType.DRIVE,
    "VirtioSerialAddress": AddressType.VIRTIO_SERIAL,
    "CCIDAddress": AddressType.CCID,
    "USBAddress": AddressType.USB,
    "SpaprVIOAddress": AddressType.SPAPR_VIO,
    "VirtioMMIOAddress": AddressType.VIRTIO_MMIO,
    "ISAAddress": AddressType.ISA,
    "DIMMAddress": AddressType.DIMM,
    "UnassignedAddress": AddressType.UNASSIGNED,
}


def _slot(slot: int, function: int = 0) -> PCIAddress:
    return PCIAddress(domain=0, bus=0, slot=slot, function=function)


def _is_piix3_usb(controller: USBController) -> bool:
    return controller.model in (None, USBControllerModel.PIIX3_UHCI)
