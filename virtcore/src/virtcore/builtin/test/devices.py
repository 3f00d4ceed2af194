"""Which devices come to, go from and change in running guests that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.changing_devices import ChangingDevices
from virtcore.errors import ConfigUnsupported, InternalError, OperationUnsupported

if TYPE_CHECKING:
    from virtcore.driver.toolkit.configuration.devices import LoadedDevice
    from virtcore.model.domain import Domain

__all__ = ["DeviceParts"]


class DeviceParts(ChangingDevices[TestState]):
    """Operations on devices."""

    def plug(self, config: Domain, loaded: LoadedDevice) -> None:
        from virtcore.driver.toolkit.configuration.devices import check_alias, check_boot_order
        from virtcore.model.domain.rules.device_group_validate import validate_aliases

        kinds = {"interface": _plug_interface, "hostdev": _plug_hostdev, "disk": _plug_disk}
        if loaded.kind not in kinds:
            super().plug(config, loaded)
        check_boot_order(config, loaded.device)
        check_alias(config, loaded.device)
        kinds[loaded.kind](config, loaded.device, self.state)
        validate_aliases(config, self.state.rules.context())

    def unplug(self, config: Domain, found: LoadedDevice) -> None:
        from virtcore.driver.toolkit.configuration.devices import remove

        device = found.device
        if found.kind == "disk":
            _check_unpluggable(device)
        elif found.kind == "interface":
            _check_interface(device, "live detach of interface type {} is not implemented yet")
        elif found.kind == "hostdev":
            if _mode(device) != "subsystem":
                raise ConfigUnsupported(f"hot unplug is not supported for hostdev mode '{_mode(device)}'")
        else:
            super().unplug(config, found)
        remove(config, found)

    def exchange(self, config: Domain, loaded: LoadedDevice, live: bool) -> None:
        from virtcore.driver.toolkit.configuration.devices import update_disk

        if loaded.kind != "disk":  # libvirt's driver says so of running guests, too
            raise OperationUnsupported(f"persistent update of device '{loaded.kind}' is not supported")
        update_disk(config, loaded)


# -- network interfaces


def _check_interface(interface: Any, complaint: str) -> None:
    from virtcore.model.domain.interface import InterfaceType

    kind = interface.type or InterfaceType.USER
    if kind not in (InterfaceType.ETHERNET, InterfaceType.BRIDGE):
        raise OperationUnsupported(complaint.format(kind.value))


def _plug_interface(config: Domain, interface: Any, state: TestState) -> None:
    from virtcore.model.domain.rules.device_list import devices_of

    _check_interface(interface, "hotplug of interface type of {} is not implemented yet")
    present = devices_of(config).interfaces
    if interface.alias is None:
        numbers = [_number(one.alias, "net") for one in present]
        interface.alias = f"net{max(numbers, default=-1) + 1}"
    present.append(interface)


def _number(alias: str | None, prefix: str) -> int:
    digits = (alias or "").removeprefix(prefix)
    return int(digits) if alias != digits and digits.isascii() and digits.isdecimal() else -1


# -- devices of the host


def _mode(hostdev: Any) -> str:
    from virtcore.xml import declaration

    tag = declaration(type(hostdev)).tag
    return str(tag[0] if isinstance(tag, tuple) else tag)


def _plug_hostdev(config: Domain, hostdev: Any, state: TestState) -> None:
    from virtcore.model.domain.hostdev import PCIDriverName, PCIHostdev
    from virtcore.model.domain.rules.device_list import devices_of
    from virtcore.xml import declaration

    if _mode(hostdev) != "subsystem":
        raise ConfigUnsupported(f"hotplug is not supported for hostdev mode '{_mode(hostdev)}'")
    if not isinstance(hostdev, PCIHostdev):
        tag = declaration(type(hostdev)).tag
        kind = tag[1] if isinstance(tag, tuple) else tag
        raise ConfigUnsupported(f"hotplug is not supported for hostdev subsys type '{kind}'")
    if hostdev.driver is not None and hostdev.driver.name is PCIDriverName.XEN:
        raise ConfigUnsupported("test hypervisor does not support device assignment mode 'xen'")
    devices_of(config).hostdevs.append(hostdev)


# -- disks


def _plug_disk(config: Domain, disk: Any, state: TestState) -> None:
    from virtcore.model.domain.disk import DiskBus, DiskDevice
    from virtcore.model.domain.rules.device_group_validate import validate_duplicate_disks
    from virtcore.model.domain.rules.device_list import devices_of, sort_disks

    devices = devices_of(config)
    if disk.device in (DiskDevice.CDROM, DiskDevice.FLOPPY):
        drive = next((one for one in devices.disks if one.target and one.target.dev == disk.target.dev), None)
        if drive is not None:  # another medium for a drive that is there
            drive.type, drive.source, drive.backing_store = disk.type, disk.source, disk.backing_store
            return
    if disk.device is DiskDevice.FLOPPY:
        raise OperationUnsupported("floppy device hotplug isn't supported")
    devices.disks = sort_disks([*devices.disks, disk])
    validate_duplicate_disks(config, state.rules.context())
    bus = disk.target.bus
    if bus is DiskBus.USB:
        if disk.device is DiskDevice.LUN:
            raise ConfigUnsupported("disk device='lun' is not supported for usb bus")
    elif bus is DiskBus.VIRTIO:
        if disk.device is DiskDevice.CDROM:
            raise OperationUnsupported("cdrom device with virtio bus isn't supported")
    else:
        raise OperationUnsupported(f"disk bus '{bus.value}' cannot be hotplugged.")
    if disk.alias is None:
        disk.alias = _disk_alias(config, disk)


def _disk_alias(config: Domain, disk: Any) -> str:
    from virtcore.model.domain.address import DriveAddress
    from virtcore.model.domain.rules.device_list import disk_index

    bus, address = disk.target.bus.value, disk.address
    if isinstance(address, DriveAddress):
        return f"{bus}{address.controller or 0}-{address.bus or 0}-{address.unit or 0}"
    return f"{bus}-disk{disk_index(disk.target.dev)}"


def _check_unpluggable(disk: Any) -> None:
    from virtcore.model.domain.disk import DiskBus, DiskDevice

    bus = disk.target.bus
    if disk.device in (None, DiskDevice.DISK, DiskDevice.LUN):
        if bus is None:
            raise InternalError("Unexpected enum value 0 for virDomainDiskBus")
        if bus not in (DiskBus.VIRTIO, DiskBus.USB, DiskBus.SCSI):
            raise OperationUnsupported("This type of disk cannot be hot unplugged")
    elif disk.device is not DiskDevice.CDROM or bus not in (DiskBus.USB, DiskBus.SCSI):
        raise OperationUnsupported(f"disk device type '{disk.device.value}' cannot be detached")
