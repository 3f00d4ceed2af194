"""How devices of a running guest change."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.hotplug.graphics import change_graphics, find_graphics
from virt_qemu.hotplug.interfaces import change_interface
from virt_qemu.hotplug.media import change_medium
from virt_qemu.hotplug.session import kind_of
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, check_boot_order
from virtcore.errors import ConfigUnsupported, InternalError, OperationDenied, OperationUnsupported
from virtcore.model.domain.disk import Disk, DiskDevice
from virtcore.model.domain.memory_device import VirtioMEM
from virtcore.model.storage.source import VolumeSource

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session
    from virtcore.model.storage.source import Source

__all__ = ["check_compatible", "exchange", "is_meant"]


async def exchange(session: Session, loaded: LoadedDevice, *, force: bool = False) -> None:
    """Make a device of a guest what a document says (``qemuDomainUpdateDeviceLive``).

    :param force: a medium is taken out of its drive though the guest holds it.
    :raises VirtError: something cannot change while a guest runs, or QEMU refused.
    """
    device = loaded.device
    match loaded.kind:
        case "disk":
            await _change_disk(session, device, force)
        case "graphics":
            found = find_graphics(session.devices.graphics, device)
            if found is not None:
                check_compatible(session, device, found)
            await change_graphics(session, device)
        case "interface":
            await change_interface(session, loaded)
        case "memory":
            await _change_memory(session, device)
        case _:
            raise ConfigUnsupported(f"live update of device '{loaded.kind}' is not supported")


def check_compatible(session: Session, new: Any, old: Any) -> None:
    """Refuse what no device may change: its name, and a place in the boot order that is taken."""
    check_boot_order(session.domain, new, old)
    for name, what in (("alias", "alias"), ("acpi_index", "'acpi index'")):
        wanted = getattr(new, name, None)
        if wanted is not None and wanted != getattr(old, name, None):
            raise OperationDenied(f"changing device {what} is not allowed")


# -- disks


async def _change_disk(session: Session, new: Disk, force: bool) -> None:
    name = new.target.dev if new.target is not None else None
    old = next((one for one in session.devices.disks if one.target is not None and one.target.dev == name), None)
    if old is None:
        raise InternalError(f"disk '{name}' not found")
    check_compatible(session, new, old)
    _check_fields(new, old)
    if not _same_location(new.source, old.source):
        if new.device not in (DiskDevice.CDROM, DiskDevice.FLOPPY):
            raise ConfigUnsupported("disk source can be changed only in removable drives")
        await change_medium(session, old, new, force=force)
    elif old.source is not None and new.source is not None:
        old.source.startup_policy = new.source.startup_policy
    old.snapshot = new.snapshot
    session.obj.touch()


def _same_location(one: Source | None, other: Source | None) -> bool:
    return _location(one) == _location(other)


def _location(source: Source | None) -> object:
    """What a source is, without how it is used; None for an empty drive."""
    from virt_qemu.command.disks import is_empty

    if source is None or is_empty(source):
        return None
    if isinstance(source, VolumeSource):  # whatever that was found to be
        return VolumeSource, source.pool, source.volume, source.mode
    plain = copy.copy(source)
    for name in ("index", "private_data", "startup_policy", "data_store", "reservations", "encryption", "auth"):
        if hasattr(plain, name):
            setattr(plain, name, None)
    return plain


def _of(*path: str) -> Callable[[Disk], Any]:
    """A field of a field; None where there is none."""

    def get(disk: Disk) -> Any:
        value: Any = disk
        for name in path:
            value = getattr(value, name, None)
        return value

    return get


#: What of a disk stays as it is, libvirt's name of it, and whether saying nothing leaves it so.
_FIXED: tuple[tuple[str, Callable[[Disk], Any], bool], ...] = (
    ("device", lambda disk: disk.device or DiskDevice.DISK, False),
    ("bus", _of("target", "bus"), False),
    ("tray", _of("target", "tray"), True),
    ("removable", _of("target", "removable"), True),
    ("geometry cylinders", _of("geometry", "cyls"), True),
    ("geometry heads", _of("geometry", "heads"), True),
    ("geometry sectors", _of("geometry", "secs"), True),
    ("BIOS-translation-modus", _of("geometry", "trans"), True),
    ("blockio logical_block_size", lambda disk: _of("blockio", "logical_block_size")(disk) or 0, False),
    ("blockio physical_block_size", lambda disk: _of("blockio", "physical_block_size")(disk) or 0, False),
    *(
        (f"blkdeviotune {name}", _of("iotune", name), True)
        for name in (
            *("total_bytes_sec", "read_bytes_sec", "write_bytes_sec"),
            *("total_iops_sec", "read_iops_sec", "write_iops_sec"),
            *("total_bytes_sec_max", "read_bytes_sec_max", "write_bytes_sec_max"),
            *("total_iops_sec_max", "read_iops_sec_max", "write_iops_sec_max"),
            "size_iops_sec",
        )
    ),
    ("blkdeviotune group name", _of("iotune", "group_name"), True),
    ("serial", _of("serial"), True),
    ("wwn", _of("wwn"), True),
    ("vendor", _of("vendor"), True),
    ("product", _of("product"), True),
    ("cache", _of("driver", "cache"), True),
    ("error_policy", _of("driver", "error_policy"), True),
    ("rerror_policy", _of("driver", "rerror_policy"), True),
    ("io", _of("driver", "io"), True),
    ("ioeventfd", _of("driver", "ioeventfd"), True),
    ("event_idx", _of("driver", "event_idx"), True),
    ("copy_on_read", _of("driver", "copy_on_read"), True),
    ("transient", _of("transient"), True),
    ("address", _of("address"), True),
    ("boot order", _of("boot_order"), True),
    ("rawio", _of("rawio"), True),
    ("sgio", _of("sgio"), True),
    ("discard", _of("driver", "discard"), True),
    ("iothread", _of("driver", "iothread"), True),
    ("backenddomain", _of("backend_domain"), True),
    ("readonly", _of("readonly"), True),
    ("shared", _of("shareable"), True),
)


def _check_fields(new: Disk, old: Disk) -> None:
    for name, get, optional in _FIXED:
        wanted = get(new)
        if not (optional and not wanted) and wanted != get(old):
            raise OperationUnsupported(f"cannot modify field '{name}' of the disk")


# -- memory

#: What of a module of virtio-mem stays as it is, and libvirt's words for it.
_FIXED_MEMORY: tuple[tuple[Callable[[Any], Any], str], ...] = (
    (_of("access"), "access from '{old}' to '{new}'"),
    (_of("discard"), "discard from '{old}' to '{new}'"),
    (_of("source", "nodemask"), "source nodes"),
    (lambda module: _of("source", "pagesize")(module) or 0, "pagesize from '{old}' to '{new}'"),
    (_of("target", "node"), "targetNode from '{old}' to '{new}'"),
    (_of("target", "size"), "size from '{old}' to '{new}'"),
    (_of("target", "block"), "block size from '{old}' to '{new}'"),
)


async def _change_memory(session: Session, new: Any) -> None:
    old = next((one for one in session.devices.memory if is_meant(one, new)), None)
    if old is None:
        raise ConfigUnsupported(f"memory '{new.alias or '<null>'}' not found")
    check_compatible(session, new, old)
    if not isinstance(old, VirtioMEM):
        raise ConfigUnsupported(f"cannot modify memory of model '{kind_of(old)}'")
    if type(new) is not type(old):
        raise ConfigUnsupported(f"cannot modify memory model from '{kind_of(old)}' to '{kind_of(new)}'")
    for get, what in _FIXED_MEMORY:
        ours, theirs = get(old), get(new)
        if ours != theirs:
            raise ConfigUnsupported("cannot modify memory " + what.format(old=_spelled(ours), new=_spelled(theirs)))
    assert old.target is not None
    address = new.target.address if new.target is not None else None
    if address and address != old.target.address:
        raise ConfigUnsupported(f"cannot modify memory address from '{old.target.address or 0:#x}' to '{address:#x}'")
    requested = (new.target.requested or 0) if new.target is not None else 0
    await session.monitor.execute(
        "qom-set",
        {"path": f"/machine/peripheral/{old.alias}", "property": "requested-size", "value": requested << 10},
    )
    old.target.requested = requested
    session.obj.touch()


def is_meant(one: Any, wanted: Any) -> bool:
    """Whether a module is where a description says."""
    return wanted.address is not None and one.address == wanted.address


def _spelled(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "default" if value is None else str(value)
