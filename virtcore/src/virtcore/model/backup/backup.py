"""``<domainbackup>``: a copy of disks of a running domain, pushed into targets or pulled from an NBD server."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import DISK_TARGET
from virtcore.xml import YES_NO, Mode, attribute, child, children, element, extras, inherited, leaf, union

if TYPE_CHECKING:
    from virtcore.model.storage.source import BlockSource, FileSource, HostTransport, StorageFormat, StorageType
    from virtcore.xml import Extras

__all__ = [
    "Backup",
    "BackupDriver",
    "BackupMode",
    "BackupPrivateData",
    "BackupServer",
    "DiskBackupMode",
    "DiskBackupState",
    "PrivateSecret",
    "PullDisk",
    "PushDisk",
]


class BackupMode(StrEnum):
    """Who writes the copy: the hypervisor, or whoever reads from it."""

    PUSH = "push"
    PULL = "pull"


class DiskBackupMode(StrEnum):
    """How much of a disk is copied."""

    FULL = "full"
    INCREMENTAL = "incremental"


class DiskBackupState(StrEnum):
    """How far a disk's copy is."""

    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


@element("server")
class BackupServer:
    """Where the NBD server of a pull backup listens."""

    transport: HostTransport | None = attribute(doc="tcp by default")
    tls: bool | None = attribute(codec=YES_NO, doc="whether clients must use TLS", since="6.6.0")
    name: str | None = attribute(doc="address to listen on (tcp)")
    port: int | None = attribute(omit=0, doc="TCP port; one is chosen by default")
    socket: str | None = attribute(doc="absolute path of the socket (unix)")


@element("driver")
class BackupDriver:
    """Format of the image that is written."""

    type: StorageFormat | None = attribute(
        required=True, blank=False, invalid="unknown storage source format '{value}'", doc="format of the image"
    )


@element(None)
class _BackupDisk:
    """What the disks of push and pull backups share."""

    name: str = attribute(
        required=True,
        missing="missing name from disk backup element",
        pattern=DISK_TARGET,
        doc="target of the domain's disk",
    )
    backup: bool | None = attribute(codec=YES_NO, doc="whether it is copied")
    state: DiskBackupState | None = attribute(when=Mode.STATUS, read=Mode.STATUS, doc="how far the copy is")
    type: StorageType | None = attribute(
        shown=lambda self: self.backup is not False,
        invalid="unknown storage source type '{value}'",
        doc="file or block; file by default",
    )
    backupmode: DiskBackupMode | None = attribute(
        shown=lambda self: self.backup is not False, doc="how much is copied", since="6.9.0"
    )
    incremental: str | None = attribute(
        shown=lambda self: self.backup is not False,
        doc="checkpoint since which changes are copied; the backup's by default",
        since="6.9.0",
    )


def _index() -> int | None:
    """Number of the image within the running domain."""
    found: int | None = attribute(
        "index",
        read=Mode.STATUS,
        omit=0,
        invalid="invalid storage source index '{value}'",
        doc="number of the image within the running domain",
    )
    return found


@element("disk", tag=BackupMode.PUSH)
class PushDisk(_BackupDisk):
    """A disk that the hypervisor copies into a target."""

    _shared = inherited()
    index: int | None = _index()
    driver: BackupDriver | None = child(shown=lambda self: self.backup is not False)
    target: FileSource | BlockSource | None = union(
        "target", tag="type", default="file", shown=lambda self: self.backup is not False
    )

    @property
    def store(self) -> FileSource | BlockSource | None:
        """Where the copy goes."""
        return self.target

    @store.setter
    def store(self, store: FileSource | BlockSource | None) -> None:
        self.target = store


@element("disk", tag=BackupMode.PULL)
class PullDisk(_BackupDisk):
    """A disk that is exported, frozen by a scratch image that takes what the guest overwrites."""

    _shared = inherited()
    exportname: str | None = attribute(doc="name of the export; the target by default", since="6.6.0")
    exportbitmap: str | None = attribute(doc="name of the exported bitmap", since="6.6.0")
    index: int | None = _index()
    driver: BackupDriver | None = child(shown=lambda self: self.backup is not False)
    scratch: FileSource | BlockSource | None = union(
        "scratch", tag="type", default="file", shown=lambda self: self.backup is not False
    )

    @property
    def store(self) -> FileSource | BlockSource | None:
        """Where what the guest overwrites is kept meanwhile."""
        return self.scratch

    @store.setter
    def store(self, store: FileSource | BlockSource | None) -> None:
        self.scratch = store


@element("secret")
class PrivateSecret:
    """A secret object of the running emulator."""

    type: str | None = attribute(doc="tlskey")
    alias: str | None = attribute(doc="the object's name")


@element("privateData")
class BackupPrivateData:
    """Objects of the running emulator that belong to the job (status)."""

    secrets: list[PrivateSecret] = children("secret", within="objects")
    tls_alias: str | None = attribute("alias", within="objects/TLSx509", blank=False, doc="name of the TLS object")


@element("domainbackup", root=True, since="6.0.0")
class Backup:
    """A copy of disks of a running domain."""

    mode: BackupMode | None = attribute(
        invalid="unknown backup mode '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="push by default"
    )
    incremental: str | None = leaf(doc="checkpoint since which changes are copied")
    server: BackupServer | None = child(only={"mode": (BackupMode.PULL,)})
    disks: list[PushDisk | PullDisk] = children(
        "disk", within="disks", tag="mode", default=BackupMode.PUSH, doc="disks that take part"
    )
    private_data: BackupPrivateData | None = child("privateData", when=Mode.STATUS, read=Mode.STATUS)
    extra: Extras = extras()
