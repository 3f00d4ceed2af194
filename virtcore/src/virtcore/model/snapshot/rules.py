"""What libvirt's parser fills in and refuses in a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import ClassVar

from virtcore.errors import ErrorDomain, InternalError, VirtError, XMLError
from virtcore.model.definition import DefinitionRules
from virtcore.model.domain.disk import SnapshotLocation
from virtcore.model.domain.domain import Domain
from virtcore.model.domain.rules.context import DomainContext, ParseFlag
from virtcore.model.domain.rules.device_settle_disk import settle_source
from virtcore.model.moment import MomentContext, complete_nested_domain, stamp
from virtcore.model.snapshot.snapshot import Snapshot, SnapshotDisk, SnapshotMemory, SnapshotState
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import BlockSource, DirSource, FileSource, StorageFormat, StorageType
from virtcore.xml import Stage

__all__ = ["SnapshotContext", "SnapshotParse", "SnapshotRules"]


class SnapshotParse(IntFlag):
    """How a snapshot document is read (libvirt's ``VIR_DOMAIN_SNAPSHOT_PARSE_*``, same bits)."""

    NONE = 0
    #: It describes a snapshot that exists.
    REDEFINE = 1 << 0
    #: It is the driver's own file.
    INTERNAL = 1 << 1
    #: The domain does not run, or only disks are saved: no memory state.
    OFFLINE = 1 << 2
    #: Validate against the schema first.
    VALIDATE = 1 << 3


@dataclass(slots=True, kw_only=True)
class SnapshotContext(MomentContext):
    """What reading a snapshot needs to know.

    :param flags: how the document is read.
    """

    flags: SnapshotParse = SnapshotParse.NONE


def _settle(rules: SnapshotRules, snapshot: Snapshot, context: SnapshotContext) -> None:
    """Name and time: known of a snapshot that exists, given to a new one."""
    if SnapshotParse.REDEFINE not in context.flags:
        stamp(snapshot, context)
        return
    if snapshot.name is None:
        raise XMLError("a redefined snapshot must have a name", path="/domainsnapshot")
    if snapshot.creation_time is None:
        raise InternalError("missing creationTime from existing snapshot", path="/domainsnapshot")
    if snapshot.state is None:
        raise XMLError("missing state from existing snapshot", path="/domainsnapshot")


def _domains(rules: SnapshotRules, snapshot: Snapshot, context: SnapshotContext) -> None:
    if not isinstance(snapshot.domain, Domain):
        snapshot.domain = None  # its bare UUID says no more than whose snapshot it is
    else:
        complete_nested_domain(snapshot.domain, context, "/domainsnapshot/domain")
    if snapshot.inactive_domain is not None:
        complete_nested_domain(snapshot.inactive_domain, context, "/domainsnapshot/inactiveDomain")


def is_offline(snapshot: Snapshot, flags: SnapshotParse) -> bool:
    """Whether there is no memory state to speak of."""
    if SnapshotParse.REDEFINE in flags:
        return snapshot.state in (SnapshotState.SHUTOFF, SnapshotState.DISK_SNAPSHOT)
    return SnapshotParse.OFFLINE in flags


def _memory(rules: SnapshotRules, snapshot: Snapshot, context: SnapshotContext) -> None:
    offline = is_offline(snapshot, context.flags)
    memory = snapshot.memory or SnapshotMemory()
    place = "/domainsnapshot/memory"
    if memory.snapshot is SnapshotLocation.MANUAL:
        raise XMLError("'manual' memory snapshot mode not supported", path=f"{place}/@snapshot")
    if memory.snapshot is None:
        if memory.file is not None:
            memory.snapshot = SnapshotLocation.EXTERNAL
        elif SnapshotParse.REDEFINE in context.flags:
            memory.snapshot = SnapshotLocation.NO if offline else SnapshotLocation.INTERNAL
    external = memory.snapshot is SnapshotLocation.EXTERNAL
    if memory.file is not None and not external:
        raise XMLError(f"memory filename '{memory.file}' requires external snapshot", path=place)
    if memory.file is None and external:
        raise XMLError("external memory snapshots require a filename", path=place)
    if offline and memory.snapshot not in (None, SnapshotLocation.NO):
        raise XMLError("memory state cannot be saved with offline or disk-only snapshot", path=place)
    if memory.file is not None and not memory.file.startswith("/"):
        raise XMLError(f"memory snapshot file path ({memory.file}) must be absolute", path=f"{place}/@file")
    snapshot.memory = memory if memory.snapshot is not None else None


def _disks(rules: SnapshotRules, snapshot: Snapshot, context: SnapshotContext) -> None:
    # libvirt hands these flags on to the parser of sources, where INTERNAL happens to say INACTIVE.
    flags = ParseFlag.INACTIVE if SnapshotParse.INTERNAL in context.flags else ParseFlag.NONE
    sources = DomainContext(flags=flags)
    for name, disks in (("disks", snapshot.disks), ("revertDisks", snapshot.revert_disks)):
        for number, disk in enumerate(disks, 1):
            try:
                settle_disk(disk, sources)
            except VirtError as error:
                if error.path is None:
                    error.locate(f"/domainsnapshot/{name}/disk[{number}]")
                raise


def settle_disk(disk: SnapshotDisk, context: DomainContext) -> None:
    """One listed disk, as libvirt's parser leaves it.

    :raises VirtError: it can be no target of a snapshot.
    """
    if disk.type is None:
        disk.type = StorageType.FILE
    if disk.type in (StorageType.VOLUME, StorageType.DIR):
        raise XMLError(f"unsupported disk snapshot type '{disk.type}'", value=disk.type)
    if disk.source is not None:
        settle_source(disk.source, context)
        disk.source.index = disk.source.startup_policy = None
    if disk.driver is not None and disk.driver.type is StorageFormat.AIO:
        disk.driver.type = StorageFormat.RAW
    path = source_path(disk.source)
    if isinstance(disk.source, (FileSource, BlockSource, DirSource)) and path is not None and path[:1] != "/":
        raise XMLError(f"disk snapshot image path '{path}' must be absolute", value=path)
    if disk.snapshot is None and (path is not None or (disk.driver is not None and disk.driver.type is not None)):
        disk.snapshot = SnapshotLocation.EXTERNAL


def _metadata(rules: SnapshotRules, snapshot: Snapshot, context: SnapshotContext) -> None:
    """The marks of the driver's own file; what is saved beside the domain."""
    if SnapshotParse.INTERNAL in context.flags:
        if snapshot.active is None:
            raise InternalError("Could not find 'active' element", path="/domainsnapshot")
        snapshot.active = int(snapshot.active != 0)
    if is_offline(snapshot, context.flags) or not rules.save_cookies:
        snapshot.cookie = None
    elif snapshot.cookie is not None and snapshot.cookie.cpu is not None:
        from virtcore.model.cpu.document import complete_guest_cpu

        complete_guest_cpu(snapshot.cookie.cpu, "/domainsnapshot/cookie/cpu")


class SnapshotRules(DefinitionRules[Snapshot, SnapshotContext]):
    """Completion of snapshots; a driver subclasses it to say what it keeps with them."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.DOMAIN_SNAPSHOT
    #: The driver keeps something with a running state (``<cookie>``).
    save_cookies: ClassVar[bool] = False

    completion = (
        Stage("settle", _settle),
        Stage("domains", _domains),
        Stage("memory", _memory),
        Stage("disks", _disks),
        Stage("metadata", _metadata),
    )
