"""Addresses of devices that are on no PCI bus, and all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virt_qemu.rules.controllers import addressed_devices, find_controller, insert_controller
from virt_qemu.rules.isolation_groups import IOMMUGroup, iommu_group_of
from virt_qemu.rules.pci import assign_pci_address, assign_pci_addresses
from virt_qemu.rules.virtio_bus import assign_ccw, assign_spapr_vio, assign_virtio_mmio
from virt_qemu.rules.zpci import assign_zpci
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import DIMMAddress, USBAddress, VirtioSerialAddress
from virtcore.model.domain.addresses.usb import HUB_PORTS, USBPorts, controller_ports
from virtcore.model.domain.addresses.virtio_serial import VirtioSerialPorts
from virtcore.model.domain.chardev import ConsoleTargetType, SerialTargetType, VirtioTarget
from virtcore.model.domain.controller import (
    CCIDController,
    USBController,
    USBControllerModel,
    VirtioSerialController,
)
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.hostdev import USBHostdev
from virtcore.model.domain.hub import Hub, HubType
from virtcore.model.domain.input import InputBus
from virtcore.model.domain.memory_device import DIMM, NVDIMM
from virtcore.model.domain.sound import SoundModel

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["assign_address", "assign_addresses"]


def assign_addresses(
    domain: Domain, capabilities: EmulatorCapabilities, *, new: bool, iommu_group: IOMMUGroup = iommu_group_of
) -> None:
    """Give every device its address.

    :param iommu_group: which devices of the host only go together.
    :param new: the domain is being defined; one that was loaded keeps the USB topology QEMU gave it.
    :raises VirtError: an address is impossible or taken, or there is no room.
    """
    _assign_virtio_serial(domain)
    assign_spapr_vio(domain)
    assign_ccw(domain, capabilities)
    assign_virtio_mmio(domain, capabilities)
    assign_pci_addresses(domain, capabilities, iommu_group)
    if capabilities.has("zpci"):
        assign_zpci(domain)
    _assign_usb(domain, new=new)
    _assign_memory_slots(domain)


def assign_address(domain: Domain, joined: Domain, device: Any, capabilities: EmulatorCapabilities) -> None:
    """Give a device that joins a running guest its address. Buses stay as they are.

    :param domain: the guest, without the device.
    :param joined: the same with it.
    :raises VirtError: an address is impossible or taken, or there is no room.
    """
    assign_ccw(joined, capabilities)
    assign_pci_address(domain, capabilities, device)
    if capabilities.has("zpci"):
        assign_zpci(joined)
    if _is_usb(device):
        _assign_usb_port(domain, device)
    _assign_virtio_serial_port(domain, device)
    if isinstance(device, DIMM | NVDIMM):
        _assign_memory_slots(joined)


def _assign_usb_port(domain: Domain, device: Any) -> None:
    ports = _usb_ports(domain)
    for other in addressed_devices(domain):
        if _is_usb(other) and _has_usb_port(other):
            ports.reserve(other.address)
    if _has_usb_port(device):
        ports.reserve(device.address)
    else:
        device.address = ports.assign(device.address if isinstance(device.address, USBAddress) else None)


def _assign_virtio_serial_port(domain: Domain, device: Any) -> None:
    console = type(device).__name__ == "Console"
    target = getattr(device, "target", None)
    if console:
        wanted = target is not None and target.type is ConsoleTargetType.VIRTIO
    else:
        wanted = isinstance(target, VirtioTarget)
    if not wanted:
        return
    ports = _virtio_serial_ports(domain)
    assert domain.devices is not None
    for other in domain.devices.consoles:
        virtio = other.target is not None and other.target.type is ConsoleTargetType.VIRTIO
        taken = ports.free(zero=True)
        if virtio and taken is not None and not _has_port(other):
            ports.reserve(taken)
    if _has_port(device):
        ports.reserve(device.address)
    elif isinstance(device.address, VirtioSerialAddress):
        device.address = ports.free_on(device.address.controller or 0)
    else:
        found = ports.free(zero=console)
        if found is None:
            raise InternalError("no virtio-serial controllers are available")
        if not console:  # consoles keep no address of their own
            device.address = found


# -- virtio-serial


def _assign_virtio_serial(domain: Domain) -> None:
    assert domain.devices is not None
    devices = domain.devices
    ports = _virtio_serial_ports(domain)
    for console in devices.consoles:
        virtio = console.target is not None and console.target.type is ConsoleTargetType.VIRTIO
        if virtio and not _has_port(console):
            # Consoles keep no address of their own; the port is only set aside.
            _take_port(domain, ports, console, zero=True)
    for channel in devices.channels:
        if isinstance(channel.target, VirtioTarget) and not _has_port(channel):
            channel.address = _take_port(domain, ports, channel, zero=False)


def _virtio_serial_ports(domain: Domain) -> VirtioSerialPorts:
    """The ports there are, with those that are taken."""
    assert domain.devices is not None
    ports = VirtioSerialPorts()
    for controller in domain.devices.controllers:
        if isinstance(controller, VirtioSerialController):
            ports.add_controller(controller)
    for device in addressed_devices(domain):
        if isinstance(device.address, VirtioSerialAddress) and device.address.port:
            ports.reserve(device.address)
    return ports


def _has_port(device: Any) -> bool:
    return isinstance(device.address, VirtioSerialAddress) and bool(device.address.port)


def _take_port(domain: Domain, ports: VirtioSerialPorts, device: Any, *, zero: bool) -> VirtioSerialAddress:
    if isinstance(device.address, VirtioSerialAddress):
        address = ports.free_on(device.address.controller or 0)
    else:
        found = ports.free(zero=zero)
        if found is None:
            if not ports.controllers:
                raise InternalError("no virtio-serial controllers are available")
            found = VirtioSerialAddress(controller=_add_virtio_serial(domain, ports), bus=0, port=0 if zero else 1)
        address = found
    ports.reserve(address)
    return address


def _add_virtio_serial(domain: Domain, ports: VirtioSerialPorts) -> int:
    """A further controller, with the lowest free index."""
    assert domain.devices is not None
    index = 0
    while find_controller(domain.devices.controllers, VirtioSerialController, index) is not None:
        index += 1
    controller = VirtioSerialController(index=index)
    insert_controller(domain.devices.controllers, controller)
    ports.add_controller(controller)
    return index


# -- USB


def _is_usb(device: Any) -> bool:
    """Whether a device, hubs apart, is on a USB bus."""
    name = type(device).__name__
    if name == "Disk":
        return device.target is not None and device.target.bus is DiskBus.USB
    if name == "Input":
        return device.bus is InputBus.USB
    if name == "Sound":
        return device.model is SoundModel.USB
    if name == "Serial":
        return device.target is not None and device.target.type is SerialTargetType.USB_SERIAL
    if name == "Redirdev":
        return bool(device.bus == "usb")
    if name == "Filesystem":
        return device.driver is not None and device.driver.type is FilesystemDriverType.MTP
    if name == "Interface":
        return bool(device.model == "usb-net")
    return isinstance(device, USBHostdev | CCIDController)


def _has_usb_port(device: Any) -> bool:
    return isinstance(device.address, USBAddress) and device.address.port is not None


def _assign_usb(domain: Domain, *, new: bool) -> None:
    assert domain.devices is not None
    devices = domain.devices
    on_usb = [device for device in addressed_devices(domain) if _is_usb(device)]
    if not new and not all(map(_has_usb_port, [*on_usb, *_usb_hubs(domain)])):
        return
    _add_hubs(domain, len(on_usb) + len(devices.hubs))
    ports = _usb_ports(domain)
    for device in on_usb:
        if _has_usb_port(device):
            ports.reserve(device.address)
    for hub in _usb_hubs(domain):
        if not _has_usb_port(hub):
            hub.address = ports.assign(hub.address if isinstance(hub.address, USBAddress) else None, hub=True)
    for device in on_usb:
        if device.address is None or (isinstance(device.address, USBAddress) and device.address.port is None):
            device.address = ports.assign(device.address)


def _usb_ports(domain: Domain) -> USBPorts:
    """The ports of controllers and of the hubs that have a place."""
    assert domain.devices is not None
    ports = USBPorts()
    for controller in domain.devices.controllers:
        if isinstance(controller, USBController):
            ports.add_controller(controller)
    for hub in _usb_hubs(domain):
        if _has_usb_port(hub):
            assert isinstance(hub.address, USBAddress)
            ports.add_hub(hub.address)
    return ports


def _usb_hubs(domain: Domain) -> list[Hub]:
    assert domain.devices is not None
    return [hub for hub in domain.devices.hubs if hub.type is HubType.USB]


def _add_hubs(domain: Domain, count: int) -> None:
    """Add the hubs that ``count`` USB devices need.

    :raises ConfigUnsupported: USB is switched off.
    """
    assert domain.devices is not None
    controllers = [c for c in domain.devices.controllers if isinstance(c, USBController)]
    if count and not any(controller.model is not USBControllerModel.NONE for controller in controllers):
        raise ConfigUnsupported("USB is disabled for this domain, but USB devices are present in the domain XML")
    room = sum(map(controller_ports, controllers)) + HUB_PORTS * len(_usb_hubs(domain))
    if count > room:
        # A hub takes one port and gives eight.
        for _ in range(-(-(count - room + 1) // (HUB_PORTS - 1))):
            domain.devices.hubs.append(Hub(type=HubType.USB))


# -- memory slots


def _assign_memory_slots(domain: Domain) -> None:
    assert domain.devices is not None
    if domain.max_memory is None or not domain.max_memory.slots:
        return
    modules = [device for device in domain.devices.memory if isinstance(device, DIMM | NVDIMM)]
    taken = {device.address.slot for device in modules if isinstance(device.address, DIMMAddress)}
    for device in modules:
        if isinstance(device.address, DIMMAddress):
            continue
        free = next((slot for slot in range(domain.max_memory.slots) if slot not in taken), None)
        if free is None:
            raise InternalError("failed to find an empty memory slot")
        taken.add(free)
        device.address = DIMMAddress(slot=free)
