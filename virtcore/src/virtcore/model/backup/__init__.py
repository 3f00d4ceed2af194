"""``<domainbackup>``; names resolve on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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

_MODULES: dict[str, tuple[str, ...]] = {
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
    "document": (
        "format_backup",
        "load_backup",
    ),
    "rules": (
        "BackupContext",
        "BackupRules",
        "align_backup_disks",
    ),
}
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "BlockSource": "virtcore.model.storage.source",
    "FileSource": "virtcore.model.storage.source",
    "HostTransport": "virtcore.model.storage.source",
    "StorageFormat": "virtcore.model.storage.source",
    "StorageType": "virtcore.model.storage.source",
}

_WHERE = _ELSEWHERE | {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

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


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value
