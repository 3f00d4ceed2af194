"""The disks of a VMX file: hard disks, CD-ROM and floppy drives."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, NoReturn

from virtcore.errors import InternalError
from virtcore.model.domain.disk import (
    Disk,
    DiskBus,
    DiskCache,
    DiskDevice,
    DiskDriver,
    DiskTarget,
    TransientDisk,
)
from virtcore.model.storage.source import BlockSource, FileSource, StartupPolicy, StorageType

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext
    from virt_esx.vmx.settings import VMXSettings
    from virtcore.model.domain.address import DriveAddress

__all__ = ["Slot", "read_disk", "read_floppy"]

_PREFIXES = {DiskBus.SCSI: "sd", DiskBus.SATA: "sd", DiskBus.IDE: "hd", DiskBus.FDC: "fd"}
_CDROMS = ("atapi-cdrom", "cdrom-raw", "cdrom-image")
# What a hard disk's image may be called, on buses where there is a choice.
_HARD_DISKS = {DiskBus.SCSI: "scsi-hardDisk", DiskBus.IDE: "ata-hardDisk"}
_PASSED_THROUGH = "/vmfs/devices/cdrom/"
_EMPTY = "emptyBackingString"
_AUTO_DETECT = "auto detect"


class Slot(NamedTuple):
    """A place where a disk may be.

    :ivar prefix: what its entries begin with, as ``scsi0:1``.
    :ivar bus: the bus it is on.
    :ivar number: number of the disk among those of its bus, of which its name is made.
    :ivar address: its address in the domain.
    """

    prefix: str
    bus: DiskBus
    number: int
    address: DriveAddress


class _Entries(NamedTuple):
    """What the file says of a disk, whatever kind it is. Kinds are in lower case."""

    slot: Slot
    device_type: str | None
    file_type: str | None
    file_name: str | None
    write_through: bool
    mode: str

    @property
    def device_kind(self) -> str | None:
        return self.device_type.lower() if self.device_type is not None else None

    def ends_in(self, suffix: str) -> bool:
        return self.file_name is not None and self.file_name.lower().endswith(suffix)

    def entry(self, name: str) -> str:
        return f"{self.slot.prefix}.{name}"


def _entries(settings: VMXSettings, slot: Slot) -> _Entries | None:
    """None where there is no disk, or one that a client's own drive serves."""
    prefix = slot.prefix
    present = settings.boolean(f"{prefix}.present")
    settings.boolean(f"{prefix}.startConnected", True)
    if not present:
        return None
    if settings.boolean(f"{prefix}.clientDevice"):
        return None
    return _Entries(
        slot,
        settings.string(f"{prefix}.deviceType"),
        settings.string(f"{prefix}.fileType"),
        settings.string(f"{prefix}.fileName"),
        settings.boolean(f"{prefix}.writeThrough"),
        (settings.string(f"{prefix}.mode") or "").lower(),
    )


def read_disk(settings: VMXSettings, context: VMXContext, slot: Slot) -> Disk | None:
    """A hard disk or CD-ROM drive; None where there is none.

    :raises VirtError: an entry has a value that no domain can have.
    """
    found = _entries(settings, slot)
    if found is None:
        return None
    return _cdrom(found, context) if _is_cdrom(found) else _hard_disk(found, context)


def _is_cdrom(found: _Entries) -> bool:
    name = found.file_name
    return (
        name is None
        or found.ends_in(".iso")
        or name == _EMPTY
        or found.device_kind in _CDROMS
        or (found.device_kind == "scsi-passthru" and name.startswith(_PASSED_THROUGH))
    )


def _disk(slot: Slot, device: DiskDevice, type: StorageType) -> Disk:
    # Names count like spreadsheet columns: a to z, aa, ab, ...
    letters, rest = "", slot.number
    while rest >= 0:
        letters = chr(ord("a") + rest % 26) + letters
        rest = rest // 26 - 1
    return Disk(
        type=type,
        device=device,
        target=DiskTarget(dev=_PREFIXES[slot.bus] + letters, bus=slot.bus),
        address=slot.address,
    )


def _unhandled(found: _Entries) -> NoReturn:
    name = "<null>" if found.file_name is None else found.file_name
    raise InternalError(
        f"Invalid or not yet handled value '{name}' for VMX entry '{found.entry('fileName')}' for device type "
        f"'{found.device_type or 'unknown'}'",
        value=found.file_name,
    )


def _hard_disk(found: _Entries, context: VMXContext) -> Disk:
    name = found.file_name
    if name is None or not found.ends_in(".vmdk"):
        _unhandled(found)
    wanted = _HARD_DISKS.get(found.slot.bus)
    if found.device_kind is not None and wanted is not None and found.device_kind not in (wanted.lower(), "disk"):
        raise InternalError(
            f"Expecting VMX entry '{found.entry('deviceType')}' to be '{wanted}' or 'disk' "
            f"but found '{found.device_type}'"
        )
    disk = _disk(found.slot, DiskDevice.DISK, StorageType.FILE)
    disk.source = FileSource(file=context.files.read(name, optional=False))
    if found.write_through:
        disk.driver = DiskDriver(cache=DiskCache.WRITETHROUGH)
    if found.mode == "independent-nonpersistent":
        disk.transient = TransientDisk()
    return disk


def _cdrom(found: _Entries, context: VMXContext) -> Disk | None:
    name, kind = found.file_name, found.device_kind
    if found.ends_in(".vmdk"):
        return None
    disk = _disk(found.slot, DiskDevice.CDROM, StorageType.FILE)
    disk.readonly = True
    if name is not None and found.ends_in(".iso"):
        _expect_image(found)
        path = context.files.read(name, optional=True)
        disk.source = FileSource(file=path) if path is not None else None
    elif kind in ("atapi-cdrom", "cdrom-raw"):
        disk.type = StorageType.BLOCK
        if kind == "cdrom-raw":
            # The guest sees the drive itself.
            disk.device = DiskDevice.LUN
        if name is not None and name.lower() == _AUTO_DETECT:
            disk.source = BlockSource(startup_policy=StartupPolicy.OPTIONAL)
        elif name is not None:
            disk.source = BlockSource(dev=name)
    elif found.slot.bus is DiskBus.SCSI and kind == "scsi-passthru":
        if name is None or not name.startswith(_PASSED_THROUGH):
            return None
        disk.type, disk.device = StorageType.BLOCK, DiskDevice.LUN
        disk.source = BlockSource(dev=name)
    elif name in ("", _EMPTY):
        _expect_image(found)
    else:
        _unhandled(found)
    return disk


def _expect_image(found: _Entries) -> None:
    if found.device_kind not in (None, "cdrom-image"):
        raise InternalError(
            f"Expecting VMX entry '{found.entry('deviceType')}' to be 'cdrom-image' but found '{found.device_type}'"
        )


def read_floppy(settings: VMXSettings, context: VMXContext, slot: Slot) -> Disk | None:
    """A floppy drive; None where there is none.

    :raises VirtError: an entry has a value that no domain can have.
    """
    found = _entries(settings, slot)
    if found is None:
        return None
    name = found.file_name
    match found.file_type.lower() if found.file_type is not None else None:
        case "device":
            disk = _disk(slot, DiskDevice.FLOPPY, StorageType.BLOCK)
            disk.source = BlockSource(dev=name) if name is not None else None
        case "file":
            disk = _disk(slot, DiskDevice.FLOPPY, StorageType.FILE)
            disk.source = FileSource(file=context.files.read(name, optional=False)) if name is not None else None
        case _:
            _unhandled(found)
    return disk
