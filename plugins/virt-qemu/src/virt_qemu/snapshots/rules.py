"""What QEMU's driver keeps with snapshots."""

from __future__ import annotations

from virtcore.model.snapshot import SnapshotRules

__all__ = ["QemuSnapshotRules"]


class QemuSnapshotRules(SnapshotRules):
    """Snapshots of running guests have a cookie."""

    save_cookies = True
