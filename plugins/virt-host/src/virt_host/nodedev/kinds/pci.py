"""PCI devices."""

from __future__ import annotations

import re

from virt_host.nodedev.kernel_device import HostFiles, KernelDevice
from virt_host.nodedev.kinds import Described, Host, NotShown, name_of
from virt_host.nodedev.kinds.mdev import mdev_types
from virt_host.nodedev.kinds.vpd import read_vpd
from virt_host.nodedev.pci_names import names_of
from virt_host.pci_config import BRIDGE, CARDBUS, PCIConfig
from virtcore.model.nodedev import (
    IOMMUGroup,
    LinkValidity,
    MdevTypesCapability,
    PCICapability,
    PCIELink,
    PCIELinkSpeed,
    PCIExpress,
    PCIHeaderCapability,
    PCIHeaderType,
    PCIProduct,
    PCIVendor,
    PhysicalFunctionCapability,
    VirtualFunctionsCapability,
    VPDCapability,
)
from virtcore.model.storage.source import SourcePCIAddress

__all__ = ["function", "parse_address"]

_ADDRESS = re.compile(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+)", re.IGNORECASE)
_HEADERS = {BRIDGE: PCIHeaderType.PCI_BRIDGE, CARDBUS: PCIHeaderType.CARDBUS_BRIDGE}
_SPEEDS = list(PCIELinkSpeed)

_Part = (
    PhysicalFunctionCapability | VirtualFunctionsCapability | PCIHeaderCapability | MdevTypesCapability | VPDCapability
)


def parse_address(text: str) -> SourcePCIAddress:
    """An address as the kernel spells it.

    :raises ValueError: it is none.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no PCI address")
    domain, bus, slot, number = (int(part, 16) for part in found.groups())
    return SourcePCIAddress(domain=domain, bus=bus, slot=slot, function=number)


def function(device: KernelDevice, host: Host) -> Described:
    address = parse_address(device.name)
    vendor, product = device.number("vendor", 16), device.number("device", 16)
    if vendor is None or product is None:
        raise NotShown
    class_ = device.property("PCI_CLASS")
    names = names_of(vendor, product, host.files.root)
    node = device.files.text(f"{device.path}/numa_node")
    capability = PCICapability(
        class_=None if class_ is None else int(class_, 16),
        domain=address.domain or 0,
        bus=address.bus or 0,
        slot=address.slot or 0,
        function=address.function or 0,
        product=PCIProduct(id=product, name=names[1]),
        vendor=PCIVendor(id=vendor, name=names[0]),
        iommu_group=_group(device),
        numa_node=None if node is None else int(node),
    )
    config = _config(device) if host.privileged else None
    header = None if config is None else _HEADERS.get(config.header(device.name))
    parts: list[_Part | None] = [
        _physical_function(device),
        _virtual_functions(device),
        None if header is None else PCIHeaderCapability(type=header),
        mdev_types(device),
        _vpd(device) if host.privileged else None,
    ]
    capability.capabilities = [part for part in parts if part is not None]
    if config is not None and config.is_express:
        capability.express = PCIExpress(links=_links(config))
    return Described(name_of(device), capability)


def _config(device: KernelDevice) -> PCIConfig:
    try:
        return PCIConfig.read(device.files.real(f"{device.path}/config"))
    except OSError:
        raise NotShown from None


def _links(config: PCIConfig) -> list[PCIELink]:
    try:
        place = config.link
        if place is None:
            return []
        could, does = config.number(place + 0x0C, 4), config.number(place + 0x12, 2)
    except EOFError:
        return []
    return [
        PCIELink(validity=LinkValidity.CAP, port=could >> 24, speed=_speed(could), width=could >> 4 & 0x3F),
        PCIELink(validity=LinkValidity.STA, speed=_speed(does), width=does >> 4 & 0x3F),
    ]


def _speed(register: int) -> PCIELinkSpeed | None:
    number = register & 0xF
    return _SPEEDS[number - 1] if 1 <= number <= len(_SPEEDS) else None


def _linked(files: HostFiles, path: str) -> SourcePCIAddress | None:
    """The PCI device that a link leads to."""
    found = files.link(path)
    return None if found is None else parse_address(found)


def _physical_function(device: KernelDevice) -> PhysicalFunctionCapability | None:
    address = _linked(device.files, f"{device.path}/physfn")
    return None if address is None else PhysicalFunctionCapability(address=address)


def _virtual_functions(device: KernelDevice) -> VirtualFunctionsCapability | None:
    most = device.number("sriov_totalvfs", 10) or 0
    found: list[SourcePCIAddress] = []
    while (address := _linked(device.files, f"{device.path}/virtfn{len(found)}")) is not None:
        found.append(address)
    return VirtualFunctionsCapability(max_count=most, addresses=found) if most or found else None


def _group(device: KernelDevice) -> IOMMUGroup | None:
    number = device.files.link(f"{device.path}/iommu_group")
    if number is None:
        return None
    addresses = [parse_address(name) for name in device.files.entries(f"{device.path}/iommu_group/devices")]
    return IOMMUGroup(number=int(number), addresses=addresses) if addresses else None


def _vpd(device: KernelDevice) -> VPDCapability | None:
    data = device.files.data(f"{device.path}/vpd")
    return None if data is None else read_vpd(data)
