"""What a new snapshot comprises, and what of it is refused."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.chain import format_of
from virt_qemu.blockjobs.state import check_block_job, refuse_busy
from virt_qemu.guest import Guest
from virtcore.enums.snapshot import DomainSnapshotCreateFlags as Flags
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    OperationUnsupported,
    SystemError,
    XMLDetail,
)
from virtcore.model.domain.disk import DiskDevice, SnapshotLocation
from virtcore.model.moment import disks_of
from virtcore.model.snapshot import SnapshotDriver, SnapshotMemory, SnapshotState, align_snapshot_disks
from virtcore.model.storage.location import is_empty, source_path, source_type
from virtcore.model.storage.source import (
    BlockSource,
    FileSource,
    NetworkSource,
    StorageFormat,
    StorageType,
)

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.snapshot import Snapshot, SnapshotDisk
    from virtcore.model.storage.source import Source

__all__ = ["Plan", "check_document", "check_target", "plan_snapshot", "settle"]

_LOCAL = (StorageType.FILE, StorageType.BLOCK)
_OVERLAYS = (StorageFormat.QCOW2, StorageFormat.QED)
_TAKEN_IN = (
    SnapshotState.RUNNING,
    SnapshotState.PAUSED,
    SnapshotState.SHUTDOWN,
    SnapshotState.SHUTOFF,
    SnapshotState.CRASHED,
)


class Plan(NamedTuple):
    """How a snapshot is taken.

    :ivar manual: the user saves some of the disks: a running guest stands still then.
    :ivar external: disks go on in files of their own.
    """

    manual: bool
    external: bool


def check_document(obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
    """Refuse what no snapshot can be.

    :raises VirtError: it is refused.
    """
    name = snapshot.name or ""
    if not flags & Flags.NO_METADATA:
        if "/" in name:
            raise XMLDetail(f"invalid snapshot name '{name}': name can't contain '/'")
        if name.startswith("."):
            raise XMLDetail(f"invalid snapshot name '{name}': name can't start with '.'")
    if flags & Flags.LIVE and not (obj.active and _saves_memory_outside(snapshot)):
        raise OperationUnsupported("live snapshot creation is supported only during full system snapshots")
    redefine = bool(flags & Flags.REDEFINE)
    state = snapshot.state if redefine else list(SnapshotState)[int(obj.state)]
    if state is SnapshotState.PMSUSPENDED:
        raise OperationUnsupported("qemu doesn't support taking snapshots of PMSUSPENDED guests")
    if state not in _TAKEN_IN and not (redefine and state is SnapshotState.DISK_SNAPSHOT):
        raise InternalError(f"Invalid domain state {state}")


def _saves_memory_outside(snapshot: Snapshot) -> bool:
    return snapshot.memory is not None and snapshot.memory.snapshot is SnapshotLocation.EXTERNAL


def settle(obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
    """Say of every disk how it takes part, and of the memory; ``snapshot.domain`` is there already.

    :raises VirtError: it does not fit the domain.
    """
    outside = SnapshotLocation.INTERNAL
    snapshot.state = list(SnapshotState)[int(obj.state)]
    if flags & Flags.DISK_ONLY:
        outside = SnapshotLocation.EXTERNAL
        snapshot.state = SnapshotState.DISK_SNAPSHOT if obj.active else SnapshotState.SHUTOFF
        snapshot.memory = SnapshotMemory(snapshot=SnapshotLocation.NO)
    elif _saves_memory_outside(snapshot):
        outside = SnapshotLocation.EXTERNAL
    else:
        said = snapshot.memory.snapshot if snapshot.memory is not None else None
        if obj.active and said is SnapshotLocation.NO:
            raise OperationUnsupported("internal snapshot of a running VM must include the memory state")
        saved = SnapshotLocation.NO if snapshot.state is SnapshotState.SHUTOFF else SnapshotLocation.INTERNAL
        snapshot.memory = SnapshotMemory(snapshot=saved)
    align_snapshot_disks(snapshot, outside, uniform_internal=True)


def plan_snapshot(obj: DomainObject, domain: Domain, snapshot: Snapshot, flags: Flags) -> Plan:
    """Look whether a snapshot can be taken, and how. Looks at files: may block.

    :param domain: the configuration whose disks take part.
    :raises VirtError: it cannot be taken.
    """
    reuse = bool(flags & Flags.REUSE_EXT)
    taken = dict.fromkeys(SnapshotLocation, 0)
    inside_forbidden = False
    for entry, disk in zip(snapshot.disks, disks_of(domain), strict=True):
        location = entry.snapshot
        assert location is not None
        if location is not SnapshotLocation.NO and isinstance(obj.private, Guest):
            refuse_busy(obj.private, disk)
        taken[location] += 1
        if location is SnapshotLocation.INTERNAL:
            _check_inside(obj, snapshot, entry, disk)
        elif location is SnapshotLocation.EXTERNAL:
            check_target(entry, disk, active=obj.active, reuse=reuse)
        elif location is SnapshotLocation.MANUAL:
            inside_forbidden = True
        else:
            inside_forbidden = inside_forbidden or not (is_empty(disk.source) or disk.readonly)
    inside, outside = taken[SnapshotLocation.INTERNAL], taken[SnapshotLocation.EXTERNAL]
    memory = snapshot.memory.snapshot if snapshot.memory is not None else SnapshotLocation.NO
    if not inside and not outside and memory is SnapshotLocation.NO:
        raise ConfigUnsupported("nothing selected for snapshot")
    if (memory is SnapshotLocation.INTERNAL and not inside) or (inside and inside_forbidden):
        raise ConfigUnsupported("internal and full system snapshots require all disks to be selected for snapshot")
    if snapshot.state is SnapshotState.DISK_SNAPSHOT and not outside:
        raise ConfigUnsupported("disk-only snapshots require at least one disk to be selected for snapshot")
    mixed = (
        (inside and outside)
        or (memory is SnapshotLocation.INTERNAL and outside)
        or (memory is SnapshotLocation.EXTERNAL and inside)
    )
    if mixed:
        raise ConfigUnsupported("mixing internal and external targets for a snapshot is not yet supported")
    if obj.active and inside:
        _check_firmware(domain)
    return Plan(manual=bool(taken[SnapshotLocation.MANUAL]), external=bool(outside))


def _check_inside(obj: DomainObject, snapshot: Snapshot, entry: SnapshotDisk, disk: Disk) -> None:
    if snapshot.state is SnapshotState.DISK_SNAPSHOT and obj.active:
        raise ConfigUnsupported(
            f"active qemu domains require external disk snapshots; disk {entry.name} requested internal"
        )
    kind = _kind(disk.source)
    if not obj.active and kind not in _LOCAL:
        if isinstance(disk.source, NetworkSource):
            raise InternalError(
                "internal inactive snapshots are not supported on 'network' disks using "
                f"'{disk.source.protocol}' protocol"
            )
        raise InternalError(f"internal inactive snapshots are not supported on '{kind}' disks")
    if format_of(disk) is not StorageFormat.QCOW2:
        raise ConfigUnsupported(
            f"internal snapshot for disk {entry.name} unsupported for storage type {format_of(disk)}"
        )


def _kind(source: Source | None) -> str:
    return "none" if source is None else str(source_type(source))


def check_target(entry: SnapshotDisk, disk: Disk, *, active: bool, reuse: bool) -> None:
    """Settle the format of a file that takes the changes of a disk from now on, and look whether it can be had.

    :param reuse: it is there already.
    :raises VirtError: it cannot.
    """
    if entry.driver is None:
        entry.driver = SnapshotDriver()
    if entry.driver.type is None:
        entry.driver.type = StorageFormat.QCOW2
    if entry.driver.type not in _OVERLAYS:
        raise ConfigUnsupported(f"external snapshot format for disk {entry.name} is unsupported: {entry.driver.type}")
    if entry.driver.metadata_cache_max_size and entry.driver.type is not StorageFormat.QCOW2:
        raise ConfigUnsupported("metadata cache max size control is supported only with qcow2 images")
    if active:
        if disk.device is DiskDevice.LUN:
            raise ConfigUnsupported("external active snapshots are not supported on scsi passthrough devices")
        check_block_job(disk)
        if not isinstance(entry.source, FileSource | BlockSource | NetworkSource):
            raise InternalError(f"external active snapshots are not supported on '{_kind(entry.source)}' disks")
    else:
        for source in (disk.source, entry.source):
            if isinstance(source, NetworkSource) and source is disk.source:
                raise InternalError(
                    f"external inactive snapshots are not supported on 'network' disks using '{source.protocol}' "
                    "protocol"
                )
            if not isinstance(source, FileSource | BlockSource):
                raise InternalError(f"external inactive snapshots are not supported on '{_kind(source)}' disks")
    if disk.shareable and not disk.readonly:
        raise ConfigUnsupported(f"shared access for disk '{entry.name}' requires use of supported storage format")
    if isinstance(entry.source, FileSource | BlockSource):
        _check_file(entry, reuse)


def _check_file(entry: SnapshotDisk, reuse: bool) -> None:
    path = source_path(entry.source) or ""
    block = isinstance(entry.source, BlockSource)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if reuse:
            raise SystemError(
                f"missing existing file for disk {entry.name}: {path}: No such file or directory"
            ) from None
        if block:
            raise OperationUnsupported(f"block device snapshot target '{path}' doesn't exist") from None
        return
    except OSError as error:
        raise SystemError(f"unable to stat for disk {entry.name}: {path}: {error.strerror}") from None
    if not (stat.S_ISBLK(found.st_mode) if block else stat.S_ISREG(found.st_mode)):
        raise ConfigUnsupported(
            f"mismatch between configured type for snapshot disk '{entry.name}' and the type of existing file '{path}'"
        )
    if not reuse and not block and found.st_size:
        raise ConfigUnsupported(
            f"external snapshot file for disk {entry.name} already exists and is not a block device: {path}"
        )


def _check_firmware(domain: Domain) -> None:
    """Variables of firmware take part where they are in an image that can hold snapshots."""
    from virtcore.model.domain.os import LoaderType

    os_ = domain.os
    if os_ is None or os_.loader is None or os_.loader.type is not LoaderType.PFLASH:
        return
    if os_.nvram is None or os_.nvram.format is not StorageFormat.QCOW2:
        raise OperationUnsupported("internal snapshots of a VM with pflash based firmware require QCOW2 nvram format")
