"""``<domainsnapshot>``: the state of a domain at a moment that it can return to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import DISK_NAME
from virtcore.model.storage.location import source_path
from virtcore.xml import (
    INT,
    LONG,
    UUID,
    Mode,
    attribute,
    child,
    children,
    element,
    extras,
    flag,
    leaf,
    scaled,
    union,
)

if TYPE_CHECKING:
    from virtcore.model.cpu import GuestCPU
    from virtcore.model.domain import Domain, SnapshotLocation
    from virtcore.model.storage.source import Source, StorageFormat, StorageType
    from virtcore.xml import Extras

__all__ = [
    "DomainIdentity",
    "SaveCookie",
    "Snapshot",
    "SnapshotDisk",
    "SnapshotDriver",
    "SnapshotMemory",
    "SnapshotState",
]


class SnapshotState(StrEnum):
    """State of the domain at the moment; ``disk-snapshot`` where only disks were saved."""

    NOSTATE = "nostate"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "shutdown"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"
    PMSUSPENDED = "pmsuspended"
    DISK_SNAPSHOT = "disk-snapshot"


@element("memory")
class SnapshotMemory:
    """Where the guest's memory was saved."""

    snapshot: SnapshotLocation | None = attribute(doc="no, internal or external")
    file: str | None = attribute(pattern="/.+", doc="absolute path, where external")


@element("driver")
class SnapshotDriver:
    """Format of the image that takes the changes from now on."""

    type: StorageFormat | None = attribute(
        blank=False,
        invalid="unknown disk snapshot driver '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="format of the image",
    )
    metadata_cache_max_size: int | None = leaf(
        "max_size",
        within="metadata_cache",
        codec=scaled("B", printed="bytes"),
        omit=0,
        doc="limit of the qcow2 metadata cache in bytes",
        since="7.0.0",
    )


def _has_target(self: SnapshotDisk) -> bool:
    return source_path(self.source) is not None or (self.driver is not None and self.driver.type is not None)


@element("disk", empty="keep")
class SnapshotDisk:
    """How one disk takes part."""

    name: str = attribute(
        required=True,
        missing="missing name from disk snapshot element",
        missing_code=ErrorCode.INTERNAL_ERROR,
        pattern=DISK_NAME,
        doc="target of the domain's disk, or the path of its image",
    )
    snapshot: SnapshotLocation | None = attribute(doc="whether and where its state is saved")
    type: StorageType | None = attribute(shown=_has_target, doc="kind of source; file by default", since="1.2.2")
    delete_in_progress: bool = flag(
        "snapshotDeleteInProgress", read=Mode.REDEFINE, doc="a deletion was interrupted", since="9.5.0"
    )
    driver: SnapshotDriver | None = child(shown=_has_target)
    source: Source | None = union(tag="type", default="file", shown=_has_target)


@element("domain", tag="")
class DomainIdentity:
    """All that snapshots of very old times say about their domain."""

    uuid: str | None = leaf(codec=UUID, doc="the domain's UUID")


@element("cookie", empty="open")
class SaveCookie:
    """What a driver needs beside the domain to return to a running state."""

    cpu: GuestCPU | None = child("cpu", doc="the processor the guest saw")
    slirp_helper: bool = flag("slirpHelper", doc="interfaces were served by slirp helpers")


@element("domainsnapshot", root=True)
class Snapshot:
    """The state of a domain at a moment that it can return to."""

    name: str | None = leaf(doc="unique within its domain; by default the time of creation")
    description: str | None = leaf(doc="text for people")
    state: SnapshotState | None = leaf(
        read=Mode.REDEFINE,
        omit=SnapshotState.NOSTATE,
        excluded=(SnapshotState.NOSTATE,),
        invalid="Invalid state '{value}' in domain snapshot XML",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="state of the domain",
    )
    parent: str | None = leaf("name", within="parent", read=Mode.REDEFINE, doc="name of the snapshot before it")
    creation_time: int | None = leaf(
        "creationTime",
        codec=LONG,
        read=Mode.REDEFINE,
        omit=0,
        invalid="missing creationTime from existing snapshot",
        code=ErrorCode.INTERNAL_ERROR,
        doc="seconds since the epoch",
    )
    memory: SnapshotMemory | None = child(since="1.0.1")
    disks: list[SnapshotDisk] = children("disk", within="disks", doc="disks that take part", since="0.9.5")
    revert_disks: list[SnapshotDisk] = children(
        "disk",
        within="revertDisks",
        read=Mode.REDEFINE,
        doc="images that were made when an external snapshot was returned to",
        since="9.9.0",
    )
    domain: Domain | DomainIdentity | None = child(
        "domain",
        tag="@type",
        default="",
        hide_default=True,
        read=Mode.REDEFINE,
        invalid="invalid domain type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="the domain as it was",
    )
    inactive_domain: Domain | None = child(
        "inactiveDomain", read=Mode.REDEFINE, doc="its definition, where it ran", since="6.9.0"
    )
    cookie: SaveCookie | None = child(since="3.6.0")
    active: int | None = leaf(
        codec=INT,
        read=Mode.METADATA,
        invalid="Could not find 'active' element",
        code=ErrorCode.INTERNAL_ERROR,
        doc="1 for the current snapshot (the driver's own files)",
    )
    extra: Extras = extras()

    @property
    def is_external(self) -> bool:
        """Whether anything of it is in a file of its own (``virDomainSnapshotDefIsExternal``)."""
        return (self.memory is not None and self.memory.snapshot == "external") or any(
            disk.snapshot == "external" for disk in self.disks
        )

    @property
    def is_online(self) -> bool:
        """Whether the domain ran."""
        return self.state in (SnapshotState.RUNNING, SnapshotState.PAUSED)
