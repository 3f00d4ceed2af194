"""What libvirt's parser fills in and refuses in a backup; its disks beside those of the domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtcore.errors import ConfigUnsupported, ErrorDomain, VirtError, XMLError
from virtcore.model.backup.backup import Backup, BackupMode, DiskBackupMode, PullDisk, PushDisk
from virtcore.model.definition import DefinitionRules
from virtcore.model.domain.rules.context import DomainContext, ParseFlag
from virtcore.model.domain.rules.device_settle_disk import settle_source
from virtcore.model.moment import disks_of, target_of
from virtcore.model.storage.location import is_empty, source_path
from virtcore.model.storage.source import FileSource, HostTransport, StorageFormat, StorageType
from virtcore.xml import Stage

if TYPE_CHECKING:
    from virtcore.model.backup.backup import BackupServer
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain

__all__ = ["BackupContext", "BackupRules", "align_backup_disks"]


@dataclass(slots=True, kw_only=True)
class BackupContext:
    """What reading a backup needs to know.

    :param internal: the document is part of the driver's status file.
    """

    internal: bool = False


def _settle(rules: BackupRules, backup: Backup, context: BackupContext) -> None:
    backup.mode = backup.mode or BackupMode.PUSH
    if backup.server is not None:
        _settle_server(backup.server)
    sources = DomainContext(flags=ParseFlag.STATUS if context.internal else ParseFlag.NONE)
    for number, disk in enumerate(backup.disks, 1):
        try:
            _settle_disk(disk, context, sources)
        except VirtError as error:
            if error.path is None:
                error.locate(f"/domainbackup/disks/disk[{number}]")
            raise
    data = backup.private_data
    if data is not None:
        data.secrets = [secret for secret in data.secrets if secret.type == "tlskey"][:1]


def _settle_server(server: BackupServer) -> None:
    place = "/domainbackup/server"
    transport = server.transport = server.transport or HostTransport.TCP
    if transport is HostTransport.UNIX:
        if server.socket is None:
            raise XMLError("missing socket for unix transport", path=place)
        server.name = server.port = None
        if not server.socket.startswith("/"):
            raise XMLError(f"backup socket path '{server.socket}' must be absolute", path=f"{place}/@socket")
        return
    if server.socket is not None:
        raise XMLError(f"transport '{transport}' does not support socket attribute", path=f"{place}/@socket")
    if server.name is None:
        raise XMLError("missing name for host", path=place)
    if transport is HostTransport.RDMA:
        raise ConfigUnsupported("transport rdma is not supported for <server>", path=f"{place}/@transport")
    if transport is HostTransport.FD:
        raise XMLError("transport 'fd' is now allowed", path=f"{place}/@transport")


def _settle_disk(disk: PushDisk | PullDisk, context: BackupContext, sources: DomainContext) -> None:
    if disk.backup is False:
        # What else is said about it does not count.
        disk.state = disk.type = disk.backupmode = disk.incremental = disk.index = disk.driver = disk.store = None
        if isinstance(disk, PullDisk):
            disk.exportname = disk.exportbitmap = None
        return
    disk.backup = True
    if context.internal and disk.state is None:
        raise XMLError("Missing required attribute 'state' in element 'disk'")
    disk.type = disk.type or StorageType.FILE
    if disk.type not in (StorageType.FILE, StorageType.BLOCK):
        raise XMLError(f"unsupported disk backup type '{disk.type}'", value=disk.type)
    if disk.driver is not None and disk.driver.type is StorageFormat.AIO:
        disk.driver.type = StorageFormat.RAW
    if disk.store is not None:
        settle_source(disk.store, sources)
        disk.store.index = disk.store.startup_policy = None


class BackupRules(DefinitionRules[Backup, BackupContext]):
    """Completion of backups."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.DOMAIN
    completion = (Stage("settle", _settle),)


def align_backup_disks(backup: Backup, domain: Domain, suffix: str) -> None:
    """Lists every disk of the domain, and gives each copy a file (``virDomainBackupAlignDisks``).

    Where none is listed, all that are writable are copied. Disks that were listed come first.

    :param suffix: ends the names of files that nobody named.
    :raises VirtError: a disk that the domain does not have, that is listed twice, has no medium, or whose copy gets
        no file.
    """
    disks = disks_of(domain)
    if not disks:
        raise ConfigUnsupported("domain must have at least one disk to perform backup", domain=ErrorDomain.DOMAIN)
    by_target = {target_of(disk): disk for disk in disks}
    seen: set[str] = set()
    for entry in backup.disks:
        disk = by_target.get(entry.name)
        if disk is None:
            raise _refused(f"no disk named '{entry.name}'", entry)
        if entry.name in seen:
            raise _refused(f"disk '{entry.name}' specified twice", entry)
        seen.add(entry.name)
        if entry.backupmode is DiskBackupMode.INCREMENTAL and entry.incremental is None and backup.incremental is None:
            raise _refused(
                f"'incremental' backup mode of disk '{entry.name}' requires setting 'incremental' field for disk "
                "or backup",
                entry,
            )
        if entry.backup:
            _assign_store(entry, disk, suffix, listed=True)
    everything = not backup.disks
    kind = PullDisk if backup.mode is BackupMode.PULL else PushDisk
    for target, disk in by_target.items():
        if target in seen:
            continue
        entry = kind(name=target, backup=everything and not is_empty(disk.source) and not disk.readonly)
        if entry.backup:
            _assign_store(entry, disk, suffix, listed=False)
        backup.disks.append(entry)
    for entry in backup.disks:
        if entry.backupmode is None:
            since = backup.incremental or entry.incremental
            entry.backupmode = DiskBackupMode.INCREMENTAL if since else DiskBackupMode.FULL
        if entry.incremental is None and entry.backupmode is DiskBackupMode.INCREMENTAL:
            entry.incremental = backup.incremental


def _assign_store(entry: PushDisk | PullDisk, disk: Disk, suffix: str, listed: bool) -> None:
    if listed and is_empty(disk.source):
        raise _refused(f"disk '{entry.name}' has no media", entry)
    if not is_empty(entry.store):
        return
    if not isinstance(disk.source, FileSource):
        raise _refused(f"refusing to generate file name for disk '{entry.name}'", entry)
    store = entry.store if isinstance(entry.store, FileSource) else FileSource()
    store.file = f"{source_path(disk.source)}.{suffix}"
    entry.type = StorageType.FILE
    entry.store = store


def _refused(message: str, entry: PushDisk | PullDisk) -> ConfigUnsupported:
    return ConfigUnsupported(
        message, domain=ErrorDomain.DOMAIN, path=f"/domainbackup/disks/disk[@name='{entry.name}']", value=entry.name
    )
