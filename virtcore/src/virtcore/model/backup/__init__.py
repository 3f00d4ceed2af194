"""``<domainbackup>``; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.backup.backup import (
        Backup as Backup,
        BackupDriver as BackupDriver,
        BackupMode as BackupMode,
        BackupPrivateData as BackupPrivateData,
        BackupServer as BackupServer,
        DiskBackupMode as DiskBackupMode,
        DiskBackupState as DiskBackupState,
        PrivateSecret as PrivateSecret,
        PullDisk as PullDisk,
        PushDisk as PushDisk,
    )
    from virtcore.model.backup.document import (
        format_backup as format_backup,
        load_backup as load_backup,
    )
    from virtcore.model.backup.rules import (
        BackupContext as BackupContext,
        BackupRules as BackupRules,
        align_backup_disks as align_backup_disks,
    )

_MODULES = {
    "backup": (
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
    ),
    "document": ("format_backup", "load_backup"),
    "rules": ("BackupContext", "BackupRules", "align_backup_disks"),
}
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "virtcore.model.storage.source": ("BlockSource", "FileSource", "HostTransport", "StorageFormat", "StorageType"),
}


__all__ = [
    "Backup",
    "BackupContext",
    "BackupDriver",
    "BackupMode",
    "BackupPrivateData",
    "BackupRules",
    "BackupServer",
    "DiskBackupMode",
    "DiskBackupState",
    "PrivateSecret",
    "PullDisk",
    "PushDisk",
    "align_backup_disks",
    "format_backup",
    "load_backup",
]


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE)
