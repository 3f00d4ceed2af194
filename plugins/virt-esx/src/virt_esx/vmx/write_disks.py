"""The disks of a domain as a VMX file has them, and the SCSI adapters they hang on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_esx.vmx.read_devices import SCSI_MODELS
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.controller import SCSIController, SCSIControllerModel
from virtcore.model.domain.disk import DiskBus, DiskCache, DiskDevice
from virtcore.model.domain.rules.device_list import disk_index
from virtcore.model.storage.source import BlockSource, FileSource, StartupPolicy, StorageType
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext
    from virt_esx.vmx.lines import VMXLines
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk

__all__ = ["write_disks"]

_FLOPPIES = 2
_PASSED_THROUGH = "/vmfs/devices/cdrom/"
_ADAPTER_UNIT = 7

_MODEL_NAMES = {model: name for name, model in SCSI_MODELS.items()}
_PATH = "/domain/devices/disk"

# In three messages libvirt looks words for the kind of disk and of its source up in its table of devices.
_DEVICE_WORDS = {
    DiskDevice.DISK: "none",
    DiskDevice.CDROM: "disk",
    DiskDevice.FLOPPY: "lease",
    DiskDevice.LUN: "filesystem",
}
_TYPE_WORDS = {
    StorageType.FILE: "disk",
    StorageType.BLOCK: "lease",
    StorageType.DIR: "filesystem",
    StorageType.NETWORK: "interface",
    StorageType.VOLUME: "input",
    StorageType.NVME: "sound",
    StorageType.VHOSTUSER: "video",
    StorageType.VHOSTVDPA: "hostdev",
}


def write_disks(devices: Devices, context: VMXContext, lines: VMXLines) -> bool:
    """SCSI adapters with disks, disks, and which floppy drives are absent.

    :return: whether there is a SCSI adapter.
    :raises VirtError: a disk that no VMware machine can have.
    """
    models = {
        controller.index or 0: controller.model
        for controller in devices.controllers
        if isinstance(controller, SCSIController)
    }
    for disk in devices.disks:
        _verify_address(disk)
        _apply_driver_name(disk, models)
    has_scsi = False
    for number, model in models.items():
        disks = [disk for disk in devices.disks if _bus(disk) is DiskBus.SCSI and _controller(disk) == number]
        if disks:
            models[number] = _adapter_model(number, model, disks, context)
    for number in sorted(models):
        if any(_bus(disk) is DiskBus.SCSI and _controller(disk) == number for disk in devices.disks):
            has_scsi = True
            lines.add(f"scsi{number}.present", True)
            known = models[number]
            if known is not None:
                lines.add(f"scsi{number}.virtualDev", _MODEL_NAMES[known])
    floppies = set()
    for disk in devices.disks:
        if disk.device is DiskDevice.FLOPPY:
            floppies.add(_write_floppy(disk, context, lines))
        else:
            _write_disk(disk, context, lines)
    for unit in range(_FLOPPIES):
        # Drives are there unless it is said that they are not.
        if unit not in floppies:
            lines.add(f"floppy{unit}.present", False)
    return has_scsi


def _bus(disk: Disk) -> DiskBus | None:
    return disk.target.bus if disk.target is not None else None


def _name(disk: Disk) -> str:
    return (disk.target.dev or "") if disk.target is not None else ""


def _controller(disk: Disk) -> int | None:
    return (disk.address.controller or 0) if isinstance(disk.address, DriveAddress) else None


# ------------------------------------------------------------------------------------------------------------ addresses


def _verify_address(disk: Disk) -> None:
    """A disk has to be where its name says, since the file names the place only.

    :raises VirtError: it is not, or VMware's machines have no such place.
    """
    address = disk.address
    if not isinstance(address, DriveAddress):
        kind = "none" if address is None else declaration(type(address)).tag
        raise ConfigUnsupported(f"Unsupported disk address type '{kind}'", path=f"{_PATH}/address/@type")
    controller, bus, unit = address.controller or 0, address.bus or 0, address.unit or 0
    name, kind = _name(disk), _bus(disk)
    if (controller, bus, unit) != _place(kind, _index(name)):
        raise InternalError(
            f"Disk address {controller}:{bus}:{unit} doesn't match target device '{name}'", path=f"{_PATH}/address"
        )
    ranges: tuple[tuple[str, int, int], ...]
    match kind:
        case DiskBus.SCSI:
            ranges = (("controller", controller, 3), ("bus", bus, 0))
            if unit > 15 or unit == _ADAPTER_UNIT:
                raise InternalError(f"SCSI unit index {unit} out of [0..6,8..15] range", path=f"{_PATH}/address/@unit")
        case DiskBus.IDE:
            ranges = (("controller", controller, 0), ("bus", bus, 1), ("unit", unit, 1))
        case DiskBus.FDC:
            ranges = (("controller", controller, 0), ("bus", bus, 0), ("unit", unit, 1))
        case _:
            raise ConfigUnsupported(f"Unsupported bus type '{kind}'", path=f"{_PATH}/target/@bus")
    for what, number, last in ranges:
        if number > last:
            valid = f"0..{last}" if last else "0"
            raise InternalError(
                f"{kind.upper()} {what} index {number} out of [{valid}] range", path=f"{_PATH}/address/@{what}"
            )


def _index(name: str) -> int:
    index = disk_index(name)
    if index < 0:
        raise InternalError("Could not verify disk address", path=f"{_PATH}/target/@dev", value=name)
    return index


def _place(bus: DiskBus | None, index: int) -> tuple[int, int, int]:
    """Controller, bus and unit of the disk with this number among those of its bus."""
    match bus:
        case DiskBus.SCSI:
            controller, unit = divmod(index, 15)
            return controller, 0, unit + (unit >= _ADAPTER_UNIT)
        case DiskBus.IDE:
            return index // 4, index % 4 // 2, index % 2
        case DiskBus.SATA:
            return index // 6, 0, index % 6
        case DiskBus.FDC:
            return index // 2, 0, index % 2
        case _:
            return 0, 0, 0


# ------------------------------------------------------------------------------------------------------------- adapters


def _apply_driver_name(disk: Disk, models: dict[int, SCSIControllerModel | None]) -> None:
    """The model of the adapter, where it is said the old way: as name of the disk's driver."""
    name = disk.driver.name if disk.driver is not None else None
    if _bus(disk) is not DiskBus.SCSI or name is None:
        return
    path = f"{_PATH}/driver/@name"
    try:
        model = SCSIControllerModel(name.lower())
    except ValueError:
        raise InternalError(f"Unknown driver name '{name}'", path=path, value=name) from None
    number = _controller(disk) or 0
    if number not in models:
        raise InternalError(f"Missing SCSI controller for index {number}", path=path)
    known = models[number]
    if known is None:
        models[number] = model
    elif known is not model:
        raise InternalError(
            f"Inconsistent SCSI controller model ('{name}' is not '{known}') for SCSI controller index {number}",
            path=path,
        )


def _adapter_model(
    number: int, model: SCSIControllerModel | None, disks: list[Disk], context: VMXContext
) -> SCSIControllerModel | None:
    if model is SCSIControllerModel.AUTO and context.scsi_model is not None:
        models = {context.scsi_model(disk) for disk in disks}
        if len(models) > 1:
            raise InternalError(
                f"Disks on SCSI controller {number} have inconsistent controller models, cannot autodetect model",
                path="/domain/devices/controller/@model",
            )
        model = models.pop()
    if model is not None and model not in _MODEL_NAMES:
        raise InternalError(
            "Expecting domain XML attribute 'model' of entry 'controller' to be 'buslogic' or 'lsilogic' or "
            f"'lsisas1068' or 'vmpvscsi' but found '{model}'",
            path="/domain/devices/controller/@model",
        )
    return model


# ---------------------------------------------------------------------------------------------------------------- disks


def _write_disk(disk: Disk, context: VMXContext, lines: VMXLines) -> None:
    """A hard disk or CD-ROM drive."""
    bus, name, device = _bus(disk), _name(disk), disk.device or DiskDevice.DISK
    source, kind = disk.source, disk.type or StorageType.FILE
    called, advice = f"{bus} {_DEVICE_WORDS[device]} '{name}'", f"it is a {device} of type {kind}"
    if kind not in (StorageType.FILE, StorageType.BLOCK):
        raise ConfigUnsupported(
            f"{called} has unsupported type '{_TYPE_WORDS[kind]}', expecting 'file' or 'block'",
            path=f"{_PATH}/@type",
            advice=advice,
        )
    slot = _slot(disk)
    device_type = _device_type(disk, device, kind)
    if device_type is None:
        raise ConfigUnsupported(
            f"{called} has an unsupported type '{_TYPE_WORDS[kind]}'", path=f"{_PATH}/@type", advice=advice
        )
    lines.add(f"{slot}.present", True)
    lines.add(f"{slot}.deviceType", device_type)
    if kind is StorageType.FILE:
        path = source.file if isinstance(source, FileSource) else None
        if path is not None:
            suffix = ".vmdk" if device is DiskDevice.DISK else ".iso"
            if not path.lower().endswith(suffix):
                raise InternalError(
                    f"Image file for {called} has unsupported suffix, expecting '{suffix}'",
                    path=f"{_PATH}/source/@file",
                    advice=advice,
                )
            lines.add(f"{slot}.fileName", context.files.write(path))
        elif device is DiskDevice.CDROM:
            lines.add(f"{slot}.fileName", "emptyBackingString")
        else:
            raise InternalError(f"{bus} {device} '{name}' has no image file", path=f"{_PATH}/source")
    else:
        dev = source.dev if isinstance(source, BlockSource) else None
        if dev is not None:
            lines.add(f"{slot}.fileName", dev)
        elif source is not None and source.startup_policy is StartupPolicy.OPTIONAL:
            lines.add(f"{slot}.autodetect", True)
            lines.add(f"{slot}.fileName", "auto detect")
        else:
            raise InternalError(f"{bus} {device} '{name}' has no block device", path=f"{_PATH}/source")
    _write_cache(disk, slot, lines)
    if disk.transient is not None:
        lines.add(f"{slot}.mode", "independent-nonpersistent")


def _slot(disk: Disk) -> str:
    """What the disk's entries begin with."""
    name = _name(disk)
    match _bus(disk):
        case DiskBus.SCSI:
            index = _numbered(name, "sd", "SCSI", 60)
            unit = index % 15
            return f"scsi{index // 15}:{unit + (unit >= _ADAPTER_UNIT)}"
        case DiskBus.IDE:
            index = _numbered(name, "hd", "IDE", 4)
            return f"ide{index // 2}:{index % 2}"
        case bus:
            raise ConfigUnsupported(f"Unsupported bus type '{bus}' for {disk.device}", path=f"{_PATH}/target/@bus")


def _numbered(name: str, prefix: str, kind: str, most: int) -> int:
    path = f"{_PATH}/target/@dev"
    if not name.startswith(prefix):
        raise InternalError(
            f"Expecting domain XML attribute 'dev' of entry 'devices/disk/target' to start with '{prefix}'", path=path
        )
    index = disk_index(name)
    if index < 0:
        raise InternalError(f"Could not parse valid disk index from '{name}'", path=path)
    if index >= most:
        raise InternalError(f"{kind} disk index (parsed from '{name}') is too large", path=path)
    return index


def _device_type(disk: Disk, device: DiskDevice, kind: StorageType) -> str | None:
    match device:
        case DiskDevice.DISK if kind is StorageType.FILE:
            return "scsi-hardDisk" if _bus(disk) is DiskBus.SCSI else "ata-hardDisk"
        case DiskDevice.CDROM:
            return "cdrom-image" if kind is StorageType.FILE else "atapi-cdrom"
        case DiskDevice.LUN:
            source = disk.source
            dev = source.dev if isinstance(source, BlockSource) else None
            passed = _bus(disk) is DiskBus.SCSI and dev is not None and dev.startswith(_PASSED_THROUGH)
            return "scsi-passthru" if passed else "cdrom-raw"
        case _:
            return None


def _write_cache(disk: Disk, slot: str, lines: VMXLines) -> None:
    cache = disk.driver.cache if disk.driver is not None else None
    if _bus(disk) is not DiskBus.SCSI or cache in (None, DiskCache.DEFAULT):
        return
    if cache is not DiskCache.WRITETHROUGH:
        raise ConfigUnsupported(
            f"scsi harddisk '{_name(disk)}' has unsupported cache mode '{cache}'", path=f"{_PATH}/driver/@cache"
        )
    lines.add(f"{slot}.writeThrough", True)


def _write_floppy(disk: Disk, context: VMXContext, lines: VMXLines) -> int:
    """A floppy drive; returns its number."""
    name, kind, source = _name(disk), disk.type or StorageType.FILE, disk.source
    unit = _numbered(name, "fd", "Floppy", _FLOPPIES)
    lines.add(f"floppy{unit}.present", True)
    if kind is StorageType.FILE:
        lines.add(f"floppy{unit}.fileType", "file")
        if isinstance(source, FileSource) and source.file is not None:
            lines.add(f"floppy{unit}.fileName", context.files.write(source.file))
    elif kind is StorageType.BLOCK:
        lines.add(f"floppy{unit}.fileType", "device")
        if isinstance(source, BlockSource) and source.dev is not None:
            lines.add(f"floppy{unit}.fileName", source.dev)
    else:
        raise ConfigUnsupported(
            f"Floppy '{name}' has unsupported type '{kind}', expecting 'file' or 'block'", path=f"{_PATH}/@type"
        )
    return unit
