"""``<domainsnapshot>``; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

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

_MODULES = {
    "align": ("align_snapshot_disks", "check_redefined_snapshot"),
    "document": ("format_snapshot", "load_snapshot"),
    "rules": ("SnapshotContext", "SnapshotParse", "SnapshotRules"),
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
    "virtcore.model.cpu.element": ("GuestCPU",),
    "virtcore.model.domain.disk": ("SnapshotLocation",),
    "virtcore.model.domain.domain": ("Domain",),
    "virtcore.model.storage.source": ("Source", "StorageFormat", "StorageType"),
}


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


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE)
