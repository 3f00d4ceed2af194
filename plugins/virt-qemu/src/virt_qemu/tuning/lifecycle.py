"""What happens when a running guest reboots; what happens when it powers off or crashes is ours to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.model.domain.domain import LifecycleAction

if TYPE_CHECKING:
    from virt_qemu.tuning.live import GuestChange

__all__ = ["apply_actions"]


async def apply_actions(change: GuestChange) -> None:
    """Have QEMU stop instead of booting again where a reboot ends the guest."""
    ends = change.new.on_reboot is LifecycleAction.DESTROY
    if ends != (change.old.on_reboot is LifecycleAction.DESTROY):
        await change.guest.channel().execute("set-action", {"reboot": "shutdown" if ends else "reset"})
