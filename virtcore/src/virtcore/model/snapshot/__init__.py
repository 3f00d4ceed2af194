"""``<domainsnapshot>``; names resolve on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.snapshot.align import (
        align_snapshot_disks as align_snapshot_disks,
        check_redefined_snapshot as check_redefined_snapshot,
    )
    from virtcore.model.snapshot.document import (
        format_snapshot as format_snapshot,
        load_snapshot as load_snapshot,
    )
    from virtcore.model.snapshot.rules import (
        SnapshotContext as SnapshotContext,
        SnapshotParse as SnapshotParse,
        SnapshotRules as SnapshotRules,
    )
    from virtcore.model.snapshot.snapshot import (
        DomainIdentity as DomainIdentity,
        SaveCookie as SaveCookie,
        Snapshot as Snapshot,
        SnapshotDisk as SnapshotDisk,
        SnapshotDriver as SnapshotDriver,
        SnapshotMemory as SnapshotMemory,
        SnapshotState as SnapshotState,
    )

_MODULES: dict[str, tuple[str, ...]] = {
    "align": (
        "align_snapshot_disks",
        "check_redefined_snapshot",
    ),
    "document": (
        "format_snapshot",
        "load_snapshot",
    ),
    "rules": (
        "SnapshotContext",
        "SnapshotParse",
        "SnapshotRules",
    ),
    "snapshot": (
        "DomainIdentity",
        "SaveCookie",
        "Snapshot",
        "SnapshotDisk",
        "SnapshotDriver",
        "SnapshotMemory",
        "SnapshotState",
    ),
}
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "Domain": "virtcore.model.domain.domain",
    "GuestCPU": "virtcore.model.cpu.element",
    "SnapshotLocation": "virtcore.model.domain.disk",
    "Source": "virtcore.model.storage.source",
    "StorageFormat": "virtcore.model.storage.source",
    "StorageType": "virtcore.model.storage.source",
}

_WHERE = _ELSEWHERE | {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}

__all__ = [
    "DomainIdentity",
    "SaveCookie",
    "Snapshot",
    "SnapshotContext",
    "SnapshotDisk",
    "SnapshotDriver",
    "SnapshotMemory",
    "SnapshotParse",
    "SnapshotRules",
    "SnapshotState",
    "align_snapshot_disks",
    "check_redefined_snapshot",
    "format_snapshot",
    "load_snapshot",
]


def __getattr__(name: str) -> object:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value
