"""Checks of single devices: their addresses, then what QEMU has of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.controllers import find_controller
from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate import characters, displays, peripherals
from virt_qemu.rules.validate.controllers import validate_controller
from virt_qemu.rules.validate.disks import validate_disk
from virt_qemu.rules.validate.hostdevs import validate_hostdev
from virt_qemu.rules.validate.interfaces import validate_interface
from virt_qemu.rules.validate.shared import require
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.address import (
    CCWAddress,
    DriveAddress,
    PCIAddress,
    ROMDevice,
    SpaprVIOAddress,
    UnassignedAddress,
    VirtioS390Address,
)
from virtcore.model.domain.controller import SCSIController, SCSIControllerModel
from virtcore.model.domain.disk import Disk, DiskBus
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["validate_device"]

_LAST_UID = 0xFFFF
_LAST_REGISTER = 0xFFFFFFFF
_LAST_TARGET = 7

Rule = Callable[[Any, "Domain", "EmulatorCapabilities"], None]
#: Class of device -> its rule.
_known: dict[type, Rule | None] = {}


def validate_device(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse a device that QEMU cannot provide.

    :raises VirtError: with libvirt's message.
    """
    _validate_place(device, domain, capabilities)
    kind = type(device)
    rule = _known[kind] if kind in _known else _find(kind)
    if rule is not None:
        rule(device, domain, capabilities)


def _find(kind: type) -> Rule | None:
    """The rule for a class of devices; noted for the next one."""
    found = _known[kind] = _RULES.get(declaration(kind).name or "")
    return found


def _validate_place(device: Any, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Where it is, and what only devices on PCI have."""
    address = getattr(device, "address", None)
    pci = address is None or isinstance(address, PCIAddress)
    if pci:
        if address is not None and address.zpci is not None:
            _zpci(address, capabilities)
    elif isinstance(address, SpaprVIOAddress):
        if address.reg is not None and address.reg > _LAST_REGISTER:
            raise ConfigUnsupported(
                f"spapr-vio reg='{address.reg:#x}' exceeds maximum possible value ({_LAST_REGISTER:#x})"
            )
    elif isinstance(address, VirtioS390Address):
        raise ConfigUnsupported("'virtio-s390' addresses are no longer supported")
    elif isinstance(address, CCWAddress) and not Machine.of(domain).s390_ccw:
        raise ConfigUnsupported(f"CCW addresses are not supported by machine type '{domain.machine}'")
    elif isinstance(address, DriveAddress):
        bus = device.target.bus if isinstance(device, Disk) and device.target is not None else DiskBus.SCSI
        _drive(address, bus, domain, capabilities)
    if getattr(device, "acpi_index", None):
        require(capabilities, "acpi-index", "ACPI index is not supported with this QEMU")
        if not pci:
            raise ConfigUnsupported("ACPI index is only supported for PCI devices")
    if pci or isinstance(address, UnassignedAddress) or not isinstance(device, ROMDevice):
        return
    if any(value is not None for value in (device.rom_enabled, device.rom_bar, device.rom_file)):
        raise ConfigUnsupported("ROM tuning is only supported for PCI devices")


def _zpci(address: PCIAddress, capabilities: EmulatorCapabilities) -> None:
    zpci = address.zpci
    if zpci is None or (zpci.uid is None and zpci.fid is None):
        return
    require(capabilities, "zpci", "This QEMU binary doesn't support zPCI")
    if zpci.uid is not None and not 0 < zpci.uid <= _LAST_UID:
        raise XMLError(f"Invalid PCI address uid='0x{zpci.uid:04x}', must be > 0x0000 and <= 0x{_LAST_UID:04x}")


def _drive(address: DriveAddress, bus: DiskBus | None, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """QEMU has one bus a controller, and few controllers."""
    if bus is DiskBus.SCSI:
        _scsi_drive(address, domain, capabilities)
    elif bus is DiskBus.IDE:
        if address.controller:
            raise InternalError("Only 1 IDE controller is supported")
        if address.target:
            raise ConfigUnsupported("target must be 0 for ide controller")
    elif bus is DiskBus.FDC:
        if address.controller:
            raise InternalError("Only 1 fdc controller is supported")
        if address.bus:
            raise InternalError("Only 1 fdc bus is supported")
        if address.target:
            raise ConfigUnsupported("target must be 0 for controller fdc")
    elif bus is DiskBus.SATA:
        for name in ("bus", "target"):
            if getattr(address, name):
                raise ConfigUnsupported(f"{name} must be 0 for sata controller")


def _scsi_drive(address: DriveAddress, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if address.bus:
        raise InternalError("SCSI controller only supports 1 bus")
    assert domain.devices is not None
    controller = find_controller(domain.devices.controllers, SCSIController, address.controller or 0)
    if not isinstance(controller, SCSIController):
        return
    if controller.model is SCSIControllerModel.LSILOGIC:
        if address.target:
            raise ConfigUnsupported("target must be 0 for controller model 'lsilogic'")
    elif not capabilities.has("scsi-disk.channel") and (address.target or 0) > _LAST_TARGET:
        raise ConfigUnsupported(f"This QEMU doesn't support target greater than {_LAST_TARGET}")


#: Name of the element -> its rule.
_RULES: dict[str, Rule] = {
    "audio": displays.validate_audio,
    "channel": characters.validate_character_device,
    "console": characters.validate_character_device,
    "controller": validate_controller,
    "crypto": peripherals.validate_crypto,
    "disk": validate_disk,
    "filesystem": peripherals.validate_filesystem,
    "graphics": displays.validate_graphics,
    "hostdev": validate_hostdev,
    "hub": peripherals.validate_hub,
    "input": displays.validate_input,
    "interface": validate_interface,
    "iommu": peripherals.validate_iommu,
    "memballoon": peripherals.validate_memballoon,
    "memory": peripherals.validate_memory,
    "nvram": peripherals.validate_nvram,
    "parallel": characters.validate_character_device,
    "pstore": peripherals.validate_pstore,
    "redirdev": characters.validate_redirdev,
    "rng": characters.validate_rng,
    "serial": characters.validate_serial,
    "shmem": peripherals.validate_shmem,
    "smartcard": characters.validate_smartcard,
    "sound": displays.validate_sound,
    "tpm": peripherals.validate_tpm,
    "video": displays.validate_video,
    "vsock": peripherals.validate_vsock,
    "watchdog": peripherals.validate_watchdog,
}
