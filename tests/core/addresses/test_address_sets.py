"""Finding guest addresses: PCI buses that grow, USB ports through hubs, virtio-serial ports."""

from __future__ import annotations

import pytest

from virtcore.errors import InternalError, XMLError
from virtcore.model.domain.address import PCIAddress, USBAddress, VirtioSerialAddress
from virtcore.model.domain.addresses.pci import Connect, PCIAddressSet, spell
from virtcore.model.domain.addresses.usb import USBPorts
from virtcore.model.domain.addresses.virtio_serial import VirtioSerialPorts
from virtcore.model.domain.controller import (
    PCIControllerModel,
    USBController,
    USBControllerModel,
    VirtioSerialController,
)

PCI = Connect.PCI_DEVICE | Connect.AUTOASSIGN
PCIE = Connect.PCIE_DEVICE | Connect.AUTOASSIGN
PORT = Connect.PCIE_ROOT_PORT | Connect.AGGREGATE_SLOT


def guest(root: PCIControllerModel, *, dry_run: bool = True, **options: bool) -> PCIAddressSet:
    addresses = PCIAddressSet(1, dry_run=dry_run, **options)
    addresses.buses[0].set_model(root, hotplug=True)
    return addresses


def models(addresses: PCIAddressSet) -> list[str]:
    return [str(bus.model) for bus in addresses.buses]


def test_a_conventional_root_fills_its_slots_then_grows_a_bridge() -> None:
    addresses = guest(PCIControllerModel.PCI_ROOT)
    placed = [spell(addresses.next(PCI)) for _ in range(32)]
    assert (placed[0], placed[30], placed[31]) == ("0000:00:01.0", "0000:00:1f.0", "0000:01:01.0")
    assert models(addresses) == ["pci-root", "pci-bridge"]


def test_an_express_device_gets_a_port_of_its_own() -> None:
    addresses = guest(PCIControllerModel.PCIE_ROOT)
    assert [spell(addresses.next(PCIE)) for _ in range(2)] == ["0000:01:00.0", "0000:02:00.0"]
    assert models(addresses) == ["pcie-root", "pcie-root-port", "pcie-root-port"]


@pytest.mark.parametrize(
    ("modern", "between"),
    [(True, ["pcie-root-port", "pcie-to-pci-bridge"]), (False, ["dmi-to-pci-bridge", "pci-bridge"])],
)
def test_a_conventional_device_on_an_express_guest_gets_a_bridge(modern: bool, between: list[str]) -> None:
    addresses = guest(PCIControllerModel.PCIE_ROOT, pcie_to_pci_bridge=modern)
    assert spell(addresses.next(PCI)) == "0000:02:01.0"
    assert models(addresses) == ["pcie-root", *between]


def test_root_ports_share_a_slot() -> None:
    addresses = guest(PCIControllerModel.PCIE_ROOT)
    placed = [spell(addresses.next(PORT)) for _ in range(9)]
    assert (placed[0], placed[7], placed[8]) == ("0000:00:01.0", "0000:00:01.7", "0000:00:02.0")


def test_without_room_nothing_is_handed_out() -> None:
    addresses = guest(PCIControllerModel.PCIE_ROOT, dry_run=False)
    with pytest.raises(InternalError, match="internal error: No more available PCI slots"):
        addresses.next(PCIE)


def test_the_users_choice_may_mix_what_automatic_placement_would_not() -> None:
    addresses = guest(PCIControllerModel.PCIE_ROOT, dry_run=False)
    addresses.reserve(PCIAddress(domain=0, bus=0, slot=3, function=0), PCI)
    assert addresses.in_use(3)


@pytest.mark.parametrize(
    ("address", "needs", "message"),
    [
        (PCIAddress(domain=1), PCI, "Invalid PCI address 0001:00:00.0. Only PCI domain 0 is available"),
        (PCIAddress(bus=4), PCI, "Invalid PCI address 0000:04:00.0. Only PCI buses up to 0 are available"),
        (PCIAddress(slot=0), PCI, "Invalid PCI address 0000:00:00.0. slot must be >= 1"),
        (PCIAddress(slot=40), PCI, "Invalid PCI address 0000:00:28.0. slot must be <= 31"),
        (PCIAddress(slot=2, function=9), PCI, "Invalid PCI address 0000:00:02.9. function must be <= 7"),
        (
            PCIAddress(slot=2),
            Connect.PCIE_SWITCH_DOWNSTREAM_PORT,
            (
                "The device at PCI address 0000:00:02.0 cannot be plugged into the PCI controller with index='0'. It "
                "requires a controller that accepts a pcie-switch-downstream-port."
            ),
        ),
    ],
)
def test_impossible_addresses_are_refused_with_libvirts_message(
    address: PCIAddress, needs: Connect, message: str
) -> None:
    with pytest.raises(XMLError) as refused:
        guest(PCIControllerModel.PCI_ROOT, dry_run=False).reserve(address, needs)
    assert str(refused.value) == f"XML error: {message}"


def test_an_address_is_given_once() -> None:
    addresses = guest(PCIControllerModel.PCI_ROOT, dry_run=False)
    addresses.reserve(PCIAddress(slot=5), PCI)
    with pytest.raises(XMLError, match=r"Attempted double use of PCI Address 0000:00:05\.0"):
        addresses.reserve(PCIAddress(slot=5), PCI)


def test_a_switch_port_is_never_added_by_itself() -> None:
    with pytest.raises(InternalError, match="model='pcie-switch-downstream-port', but none is available"):
        guest(PCIControllerModel.PCIE_ROOT).next(Connect.PCIE_SWITCH_DOWNSTREAM_PORT | Connect.AUTOASSIGN)


def test_devices_of_one_isolation_group_share_a_bus() -> None:
    addresses = guest(PCIControllerModel.PCI_ROOT)
    addresses.buses[0].group_locked = True
    assert addresses.next(PCI, group=7).bus == 1
    assert addresses.next(PCI).bus == 0
    assert addresses.next(PCI, group=7).bus == 1


def test_usb_ports_are_searched_through_hubs() -> None:
    ports = USBPorts()
    ports.add_controller(USBController(index=0, model=USBControllerModel.PIIX3_UHCI))
    assert ports.assign(None, hub=True).port == "1"
    placed = [ports.assign(None).port for _ in range(9)]
    assert placed == ["2", *(f"1.{port}" for port in range(1, 9))]
    with pytest.raises(InternalError, match="No free USB ports"):
        ports.assign(None)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (USBAddress(bus=3, port="1"), "Missing USB bus 3"),
        (USBAddress(bus=0, port="9"), "requested USB port 9 not present on USB bus 0"),
        (USBAddress(bus=0, port="9.1"), "port 9 out of range in USB address bus: 0 port: 9.1"),
        (USBAddress(bus=0, port="2.1"), "there is no hub at port 2 in USB address bus: 0 port: 2.1"),
        (USBAddress(bus=0, port="1"), "Duplicate USB address bus 0 port 1"),
    ],
)
def test_impossible_usb_ports_are_refused(address: USBAddress, message: str) -> None:
    ports = USBPorts()
    ports.add_controller(USBController(index=0, model=USBControllerModel.QEMU_XHCI))
    ports.reserve(USBAddress(bus=0, port="1"))
    with pytest.raises(XMLError) as refused:
        ports.reserve(address)
    assert str(refused.value) == f"XML error: {message}"


def test_virtio_serial_port_0_is_for_consoles() -> None:
    ports = VirtioSerialPorts()
    ports.add_controller(VirtioSerialController(index=0, ports=2))
    first = ports.free(zero=False)
    assert first is not None
    assert first.port == 1
    ports.reserve(first)
    assert ports.free(zero=False) is None
    console = ports.free(zero=True)
    assert console is not None
    assert console.port == 0
    with pytest.raises(XMLError, match="virtio serial port 1 on controller 0 is already occupied"):
        ports.reserve(VirtioSerialAddress(controller=0, port=1))
    with pytest.raises(XMLError, match="virtio serial controller 4 is missing"):
        ports.reserve(VirtioSerialAddress(controller=4, port=1))
