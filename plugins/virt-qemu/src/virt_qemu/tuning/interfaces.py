"""Limits of a running guest's network interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virt_qemu.tuning.live import GuestChange

__all__ = ["apply_bandwidth"]


async def apply_bandwidth(change: GuestChange) -> None:
    """Limit the bandwidth of the interfaces whose limits have changed.

    :raises VirtError: one cannot be limited; all are as they were.
    """
    from virt_qemu.host_side import interface_changes
    from virt_qemu.host_side.owner import owner_of

    side, owner = change.state.host_side, owner_of(change.obj, change.guest.folder)
    assert change.old.devices is not None
    assert change.new.devices is not None
    pairs = zip(change.old.devices.interfaces, change.new.devices.interfaces, strict=True)
    changed = [(old, new) for old, new in pairs if old.bandwidth != new.bandwidth]
    bandwidth = frozenset({"bandwidth"})
    done = []
    try:
        for old, new in changed:
            await interface_changes.change(side, owner, old, new, bandwidth)
            done.append((old, new))
    except BaseException:
        for old, new in reversed(done):
            await interface_changes.change(side, owner, new, old, bandwidth)
        raise
