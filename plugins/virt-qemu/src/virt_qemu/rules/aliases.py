"""Names of devices while a guest runs: what QEMU calls them, and what users find them by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.machine import Machine
from virtcore.errors import InternalError
from virtcore.model.domain.address import DIMMAddress, DriveAddress
from virtcore.model.domain.chardev import ConsoleTargetType
from virtcore.model.domain.controller import (
    Controller,
    IDEController,
    PCIController,
    PCIControllerModel,
    SATAController,
    SCSIController,
    SCSIControllerModel,
    USBController,
)
from virtcore.model.domain.disk import Disk, DiskBus
from virtcore.model.domain.interface import Interface, InterfaceType
from virtcore.model.domain.memory_device import DIMM, NVDIMM
from virtcore.model.domain.os import OSType

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["assign_alias", "assign_aliases", "disk_index"]

_MEMORY_PREFIX = {
    "DIMM": "dimm",
    "NVDIMM": "nvdimm",
    "VirtioPMEM": "virtiopmem",
    "VirtioMEM": "virtiomem",
    "SGXEPC": "epc",
}
_CONTROLLER_PREFIX = {
    "IDEController": "ide",
    "FDCController": "fdc",
    "SCSIController": "scsi",
    "SATAController": "sata",
    "VirtioSerialController": "virtio-serial",
    "CCIDController": "ccid",
    "USBController": "usb",
    "PCIController": "pci",
    "XenbusController": "xenbus",
    "ISAController": "isa",
}


#: Families that a start numbers by their place, and how their members are called.
_PREFIX = {
    "sounds": "sound",
    "redirdevs": "redir",
    "videos": "video",
    "inputs": "input",
    "parallels": "parallel",
    "serials": "serial",
    "channels": "channel",
    "consoles": "console",
    "hubs": "hub",
    "shmems": "shmem",
    "smartcards": "smartcard",
    "watchdogs": "watchdog",
    "memballoon": "balloon",
    "tpms": "tpm",
    "vsock": "vsock",
    "iommu": "iommu",
    "pstore": "pstore",
}
#: Families whose members get the next number that is free.
_COUNTED = {"interfaces": "net", "filesystems": "fs", "rngs": "rng", "cryptos": "crypto"}


def assign_aliases(domain: Domain) -> None:
    """Name every device that has no name yet.

    :raises InternalError: a disk's controller is missing.
    """
    assert domain.devices is not None
    devices, machine = domain.devices, Machine.of(domain)
    for disk in devices.disks:
        disk.alias = disk.alias or _disk_alias(domain, disk)
    for interface in devices.interfaces:
        if _is_hostdev(interface):
            _name_next([*devices.hostdevs, *devices.interfaces], "hostdev", interface)
        else:
            _name_next(devices.interfaces, _COUNTED["interfaces"], interface)
    for share in devices.filesystems:
        _name_next(devices.filesystems, _COUNTED["filesystems"], share)
    for hostdev in devices.hostdevs:
        _name_next([*devices.hostdevs, *devices.interfaces], "hostdev", hostdev)
    for controller in devices.controllers:
        controller.alias = controller.alias or _controller_alias(controller, machine)
    for serial, console in zip(devices.serials[:1], devices.consoles[:1], strict=False):
        serial.alias = serial.alias or "serial0"
        if console.alias is None and _is_first_serial(domain):
            console.alias = serial.alias
    for rng in devices.rngs:
        _name_next(devices.rngs, _COUNTED["rngs"], rng)
    for crypto in devices.cryptos:
        _name_next(devices.cryptos, _COUNTED["cryptos"], crypto)
    for module in devices.memory:
        _name_memory(devices.memory, module)
    for field, prefix in _PREFIX.items():
        for position, device in enumerate(_family(domain, field)):
            device.alias = device.alias or f"{prefix}{position}"


def assign_alias(domain: Domain, field: str, device: Any) -> None:
    """Name a device that joins a running guest, unless it has a name.

    :param field: where it will be among the guest's devices, of which it is none yet.
    :raises InternalError: a disk's controller is missing.
    """
    if device.alias is not None:
        return
    assert domain.devices is not None
    devices = domain.devices
    if field == "disks":
        device.alias = _disk_alias(domain, device)
    elif field == "controllers":
        device.alias = _controller_alias(device, Machine.of(domain))
    elif field == "memory":
        _name_memory(devices.memory, device)
    elif field == "hostdevs" or (field == "interfaces" and _is_hostdev(device)):
        _name_next([*devices.hostdevs, *devices.interfaces], "hostdev", device)
    elif field == "consoles" and devices.consoles and _is_first_serial(domain):
        # The one that stands for the first serial port bears its name, and counts.
        _name_next([*devices.consoles, *devices.serials[:1]], "console", device, "serial")
    else:
        _name_next(_family(domain, field), _PREFIX.get(field) or _COUNTED[field], device)


def disk_index(name: str) -> int:
    """Number of a logical disk: 0 for ``vda``, 26 for ``vdaa``.

    :raises InternalError: the name does not end in letters.
    """
    match = re.fullmatch(r"(?:fd|hd|vd|sd|xvd|ubd)([a-z]+)\d*", name)
    if match is None:
        raise InternalError(f"Unknown disk name '{name}' and no address specified")
    index = 0
    for letter in match[1]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _family(domain: Domain, field: str) -> list[Any]:
    held = getattr(domain.devices, field)
    if isinstance(held, list):
        return held
    return [held] if held is not None else []


def _name_next(family: Iterable[Any], prefix: str, device: Any, also: str | None = None) -> None:
    """Name a device with the number behind the highest that its family uses.

    :param also: another prefix that members of the family have.
    """
    if device.alias is None:
        prefixes = [each for each in (prefix, also) if each is not None]
        numbers = [_number_of(known.alias, each) for known in family for each in prefixes]
        device.alias = f"{prefix}{max((number for number in numbers if number is not None), default=-1) + 1}"


def _number_of(alias: str | None, prefix: str) -> int | None:
    match = re.fullmatch(re.escape(prefix) + r"(\d+)", alias or "")
    return int(match[1]) if match is not None else None


def _is_hostdev(interface: Interface) -> bool:
    kind = interface.actual.type if interface.actual is not None else interface.type
    return kind is InterfaceType.HOSTDEV


def _is_first_serial(domain: Domain) -> bool:
    """Whether the first console is the first serial port seen from the other side."""
    assert domain.devices is not None
    target = domain.devices.consoles[0].target
    kind = target.type if target is not None else None
    return domain.os_type is OSType.HVM and bool(domain.devices.serials) and kind in (None, ConsoleTargetType.SERIAL)


def _disk_alias(domain: Domain, disk: Disk) -> str:
    assert disk.target is not None
    bus, address = disk.target.bus, disk.address
    if not isinstance(address, DriveAddress):
        return f"{bus}-disk{disk_index(disk.target.dev or '')}"
    controller, lane, target, unit = (
        address.controller or 0,
        address.bus or 0,
        address.target or 0,
        address.unit or 0,
    )
    if bus is DiskBus.SCSI and _scsi_model(domain, controller) is not SCSIControllerModel.LSILOGIC:
        return f"{bus}{controller}-{lane}-{target}-{unit}"
    return f"{bus}{controller}-{lane}-{unit}"


def _scsi_model(domain: Domain, index: int) -> SCSIControllerModel | None:
    assert domain.devices is not None
    for controller in domain.devices.controllers:
        if isinstance(controller, SCSIController) and (controller.index or 0) == index:
            return controller.model
    raise InternalError(f"unable to find a SCSI controller for idx={index}")


def _controller_alias(controller: Controller, machine: Machine) -> str:
    index = controller.index or 0
    if isinstance(controller, PCIController):
        if not machine.many_pci_buses:
            return "pci"
        root = controller.model is PCIControllerModel.PCIE_ROOT
        return f"pcie.{index}" if root else f"pci.{index}"
    first = index == 0
    if first and isinstance(controller, IDEController) and machine.builtin_ide:
        return "ide"
    if first and isinstance(controller, SATAController) and machine.q35:
        return "ide"
    if first and isinstance(controller, USBController):
        return "usb"
    if first and isinstance(controller, SCSIController) and controller.model is SCSIControllerModel.NCR53C90:
        return "scsi"
    return f"{_CONTROLLER_PREFIX[type(controller).__name__]}{index}"


def _name_memory(family: Iterable[Any], device: Any) -> None:
    prefix = _MEMORY_PREFIX[type(device).__name__]
    if device.alias is not None:
        return
    if isinstance(device, DIMM | NVDIMM):
        # The slot is the number: it is what the guest agent and QEMU's events speak of.
        slot = device.address.slot if isinstance(device.address, DIMMAddress) else 0
        device.alias = f"{prefix}{slot}"
    else:
        _name_next(family, prefix, device)
