"""The device of a running guest that somebody wants to be gone, and whether it may go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.blockjobs.state import refuse_busy
from virt_qemu.command.memory import align_module
from virt_qemu.hotplug.session import kind_of
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, devices_of, matching, same_device
from virtcore.errors import (
    ConfigUnsupported,
    DeviceMissing,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    VirtError,
)
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.chardev import Console, ConsoleTargetType
from virtcore.model.domain.controller import SCSIController
from virtcore.model.domain.disk import DiskBus, DiskDevice
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.hostdev import (
    HostdevMode,
    ISCSISource,
    MdevHostdev,
    PCIHostdev,
    SCSIAdapterSource,
    SCSIHostdev,
    USBHostdev,
)
from virtcore.model.domain.input import InputBus
from virtcore.model.domain.memory_device import MemoryModel
from virtcore.model.domain.rng import RNGBackendModel, RNGModel
from virtcore.model.domain.watchdog import WatchdogModel

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session

__all__ = ["find"]


def find(session: Session, wanted: LoadedDevice) -> LoadedDevice:
    """The guest's device that ``wanted`` describes.

    :raises VirtError: there is none, or it cannot leave a running guest.
    """
    way = _WAYS.get(wanted.kind)
    if way is None:
        raise OperationUnsupported(f"live detach of device '{wanted.kind}' is not supported")
    return wanted._replace(device=way(session, wanted))


def _described(session: Session, wanted: LoadedDevice, missing: VirtError) -> Any:
    """The device that is like the description, in its place and under its name where it says them."""
    device = wanted.device
    for one in devices_of(session.domain, wanted.field):
        if one is device:
            return one
        placed = device.address is None or one.address == device.address
        named = device.alias is None or one.alias == device.alias
        if placed and named and same_device(one, device):
            return one
    raise missing


def _disk(session: Session, wanted: LoadedDevice) -> Any:
    name = wanted.device.target.dev
    disk = next((one for one in session.devices.disks if one.target is not None and one.target.dev == name), None)
    if disk is None:
        raise DeviceMissing(f"disk {name} not found")
    bus = disk.target.bus if disk.target is not None else None
    if disk.device in (None, DiskDevice.DISK, DiskDevice.LUN):
        if bus not in (DiskBus.VIRTIO, DiskBus.USB, DiskBus.SCSI):
            raise OperationUnsupported("This type of disk cannot be hot unplugged")
    elif disk.device is not DiskDevice.CDROM or bus not in (DiskBus.USB, DiskBus.SCSI):
        raise OperationUnsupported(f"disk device type '{disk.device}' cannot be detached")
    refuse_busy(session.guest, disk)
    return disk


def _controller(session: Session, wanted: LoadedDevice) -> Any:
    device = wanted.device
    if not isinstance(device, SCSIController):
        raise OperationUnsupported(f"'{kind_of(device)}' controller cannot be hot unplugged.")
    index = device.index
    present = [one for one in session.devices.controllers if isinstance(one, SCSIController)]
    found = next((one for one in present if one.index == index), None)
    if found is None:
        raise DeviceMissing(f"controller scsi:{index} not found")
    disks = [disk for disk in session.devices.disks if disk.target is not None and disk.target.bus is DiskBus.SCSI]
    hostdevs = [hostdev for hostdev in session.devices.hostdevs if isinstance(hostdev, SCSIHostdev)]
    for user in (*disks, *hostdevs):
        if isinstance(user.address, DriveAddress) and (user.address.controller or 0) == (index or 0):
            raise OperationFailed("device cannot be detached: device is busy")
    return found


def _hostdev(session: Session, wanted: LoadedDevice) -> Any:
    device = wanted.device
    mode = kind_of(device)
    if mode != HostdevMode.SUBSYSTEM:
        raise ConfigUnsupported(f"hot unplug is not supported for hostdev mode '{mode}'")
    for one in session.devices.hostdevs:
        if one is device or (type(one) is type(device) and _same_source(one, device)):
            return one
    raise DeviceMissing(_missing_hostdev(device))


def _same_source(one: Any, wanted: Any) -> bool:
    """Whether two devices of the host are the same one."""
    if isinstance(wanted, MdevHostdev):
        return bool(one.uuid == wanted.uuid)
    if isinstance(wanted, USBHostdev):
        ours, theirs = one.source, wanted.source
        if ours is None or theirs is None:
            return False
        if theirs.address is not None and not _same_usb(ours.address, theirs.address):
            return False
        return theirs.vendor is None or (ours.vendor, ours.product) == (theirs.vendor, theirs.product)
    if isinstance(wanted, PCIHostdev):
        ours, theirs = (getattr(each.source, "address", None) for each in (one, wanted))
        return ours is not None and theirs is not None and spell(ours) == spell(theirs)
    pair = [getattr(each.source, "private_data", None) for each in (one, wanted)]
    if one.source is None or wanted.source is None:
        return False
    one.source.private_data = wanted.source.private_data = None
    try:
        return bool(one.source == wanted.source)
    finally:
        one.source.private_data, wanted.source.private_data = pair


def _same_usb(one: Any, wanted: Any) -> bool:
    return one is not None and (one.bus, one.device) == (wanted.bus, wanted.device)


def _missing_hostdev(device: Any) -> str:
    source = getattr(device, "source", None)
    if isinstance(device, PCIHostdev):
        address = source.address if source is not None else None
        where = "" if address is None else spell(address)
        return f"host pci device {where} not found"
    if isinstance(device, USBHostdev):
        address = source.address if source is not None else None
        if address is not None and address.bus and address.device:
            return f"host usb device {address.bus:03d}.{address.device:03d} not found"
        vendor, product = (source.vendor or 0, source.product or 0) if source is not None else (0, 0)
        return f"host usb device vendor=0x{vendor:04x} product=0x{product:04x} not found"
    if isinstance(source, ISCSISource):
        return f"host scsi iSCSI path {source.name} not found"
    if isinstance(source, SCSIAdapterSource):
        address = source.address
        bus, target, unit = (address.bus or 0, address.target or 0, address.unit or 0) if address else (0, 0, 0)
        return f"host scsi device {source.adapter}:{bus}:{target}.{unit} not found"
    if isinstance(device, MdevHostdev):
        return f"mediated device '{device.uuid}' not found"
    return "host device not found"


def _interface(session: Session, wanted: LoadedDevice) -> Any:
    if any(one is wanted.device for one in session.devices.interfaces):
        return wanted.device
    return matching(session.domain, wanted).device


def _character_device(session: Session, wanted: LoadedDevice) -> Any:
    kind = wanted.field.removesuffix("s")
    missing = DeviceMissing(f"chr type '{kind}' device not present in domain configuration")
    found = _described(session, wanted, missing)
    if isinstance(found, Console) and (found.target is None or found.target.type in (None, ConsoleTargetType.SERIAL)):
        raise OperationUnsupported("detaching of <console/> is unsupported. Try corresponding <serial/> instead")
    return found


def _rng(session: Session, wanted: LoadedDevice) -> Any:
    # libvirt looks the model up among the names of backends.
    model = list(RNGBackendModel)[list(RNGModel).index(wanted.device.model)] if wanted.device.model else "random"
    missing = f"model '{model}' RNG device not present in domain configuration"
    return _described(session, wanted, DeviceMissing(missing))


def _memory(session: Session, wanted: LoadedDevice) -> Any:
    align_module(session.domain, wanted.device)
    model = MemoryModel(kind_of(wanted.device))
    missing = f"model '{model}' memory device not present in the domain configuration"
    return _described(session, wanted, DeviceMissing(missing))


def _shmem(session: Session, wanted: LoadedDevice) -> Any:
    missing = f"model '{wanted.device.model}' shmem device not present in domain configuration"
    return _described(session, wanted, DeviceMissing(missing))


def _watchdog(session: Session, wanted: LoadedDevice) -> Any:
    found = _described(session, wanted, OperationInvalid("no matching watchdog was found"))
    if found.model is not WatchdogModel.I6300ESB:
        raise OperationUnsupported(f"hot unplug of watchdog of model {found.model} is not supported")
    return found


def _redirdev(session: Session, wanted: LoadedDevice) -> Any:
    return _described(session, wanted, OperationInvalid("no matching redirdev was not found"))


def _input(session: Session, wanted: LoadedDevice) -> Any:
    found = _described(session, wanted, DeviceMissing("matching input device not found"))
    if found.bus not in (InputBus.USB, InputBus.VIRTIO, InputBus.NONE, None):
        raise OperationUnsupported(f"input device on bus '{found.bus}' cannot be detached")
    return found


def _vsock(session: Session, wanted: LoadedDevice) -> Any:
    return _described(session, wanted, DeviceMissing("matching vsock device not found"))


def _filesystem(session: Session, wanted: LoadedDevice) -> Any:
    found = next((one for one in session.devices.filesystems if one.target == wanted.device.target), None)
    if found is None:
        raise DeviceMissing("matching filesystem not found")
    if found.driver is None or found.driver.type is not FilesystemDriverType.VIRTIOFS:
        raise OperationUnsupported("only virtiofs filesystems can be hotplugged")
    return found


def _lease(session: Session, wanted: LoadedDevice) -> Any:
    device = wanted.device
    for one in session.devices.leases:
        if (one.lockspace, one.key) == (device.lockspace, device.key):
            return one
    raise InvalidArg(f"Lease {device.key} in lockspace {device.lockspace or '<null>'} does not exist")


_WAYS: dict[str, Callable[[Session, LoadedDevice], Any]] = {
    "disk": _disk,
    "controller": _controller,
    "hostdev": _hostdev,
    "interface": _interface,
    "chr": _character_device,
    "rng": _rng,
    "memory": _memory,
    "shmem": _shmem,
    "watchdog": _watchdog,
    "redirdev": _redirdev,
    "input": _input,
    "vsock": _vsock,
    "filesystem": _filesystem,
    "lease": _lease,
}
