"""Devices of the host on pSeries: each IOMMU group has a host bridge of its own."""

from __future__ import annotations

from virt_qemu.capabilities.model import EmulatorCapabilities
from virt_qemu.rules.isolation_groups import isolation_group
from virt_qemu.rules.pci import assign_pci_address, assign_pci_addresses
from virtcore.model.arch import Arch
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.addresses.pci import Connect, Function, PCIAddressSet
from virtcore.model.domain.controller import PCIControllerModel
from virtcore.model.domain.domain import Domain
from virtcore.xml import parse


def group(address: Function) -> int | None:
    """By the slot on the host; those of slot 9 are in none."""
    return address.slot if address.slot != 9 else None


def hostdev(slot: int, function: int = 0) -> str:
    return f"""<hostdev mode='subsystem' type='pci'><source>
      <address domain='0' bus='1' slot='{slot}' function='{function}'/></source></hostdev>"""


def guest(*devices: str, machine: str = "pseries", arch: str = "ppc64") -> Domain:
    os_type = f"<os><type arch='{arch}' machine='{machine}'>hvm</type></os>"
    return parse(
        f"""<domain type='qemu'><name>x</name><memory>1</memory>{os_type}
        <devices><controller type='pci' index='0' model='pci-root'/>{"".join(devices)}</devices></domain>""",
        Domain,
    )


def buses(domain: Domain) -> list[int | None]:
    assert domain.devices is not None
    return [each.address.bus for each in domain.devices.hostdevs if isinstance(each.address, PCIAddress)]


CAPABILITIES = EmulatorCapabilities(
    arch=Arch.PPC64, version=10_000_000, binary="/bin/qemu", package="", flags=frozenset(), accelerators={}
)


def test_groups_have_host_bridges_of_their_own() -> None:
    domain = guest(hostdev(1), hostdev(2), hostdev(1, 1), hostdev(9))
    assign_pci_addresses(domain, CAPABILITIES, group)
    assert buses(domain) == [1, 2, 1, 0]
    assert domain.devices is not None
    roots = [each for each in domain.devices.controllers if getattr(each, "model", None) is PCIControllerModel.PCI_ROOT]
    assert [each.index for each in roots] == [0, 1, 2]


def test_other_machines_have_no_groups() -> None:
    domain = guest(hostdev(1), hostdev(2), machine="pc", arch="x86_64")
    assign_pci_addresses(domain, CAPABILITIES, group)
    assert buses(domain) == [0, 0]


def test_a_device_joins_its_group() -> None:
    domain = guest(hostdev(1), hostdev(2))
    assign_pci_addresses(domain, CAPABILITIES, group)
    assert domain.devices is not None
    [joining] = guest(hostdev(2, 1)).devices.hostdevs  # type: ignore[union-attr]
    assign_pci_address(domain, CAPABILITIES, joining, group)
    assert isinstance(joining.address, PCIAddress)
    assert joining.address.bus == 2


def test_what_is_in_no_group() -> None:
    assert isolation_group(guest(hostdev(9)).devices.hostdevs[0], group) == 0  # type: ignore[union-attr]
    assert isolation_group(guest(hostdev(3)).devices.hostdevs[0], group) == 4  # type: ignore[union-attr]


def test_an_address_of_the_user_mixes_groups() -> None:
    addresses = PCIAddressSet(2, dry_run=False, several_roots=True)
    for bus in addresses.buses:
        bus.set_model(PCIControllerModel.PCI_ROOT, hotplug=True)
    for number in (5, 6):
        addresses.reserve(PCIAddress(domain=0, bus=1, slot=number, function=0), Connect.PCI_DEVICE, number)
    assert addresses.buses[1].group == 0
