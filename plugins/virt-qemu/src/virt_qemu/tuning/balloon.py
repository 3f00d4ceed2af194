"""The memory balloon of a running guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.toolkit.configuration.memory import has_balloon
from virtcore.errors import OperationInvalid

if TYPE_CHECKING:
    from virt_qemu.monitor import Monitor
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain.memballoon import Memballoon

__all__ = ["apply_size", "apply_stats_period", "set_stats_period"]


async def apply_size(change: GuestChange) -> None:
    """Ask the guest for another size: it tells itself when, and how far, it has followed."""
    new = change.new
    if not has_balloon(new):
        raise OperationInvalid(
            "Unable to change memory of active domain without the balloon device and guest OS balloon driver"
        )
    wanted = new.current_memory if new.current_memory is not None else new.memory_total
    await change.guest.channel().execute("balloon", {"value": wanted << 10})
    assert change.obj.live is not None
    new.current_memory = change.obj.live.current_memory


async def apply_stats_period(change: GuestChange) -> None:
    """Let the balloon collect statistics as often as the configuration says."""
    devices = change.new.devices
    assert devices is not None
    if devices.memballoon is not None:
        await set_stats_period(change.guest.channel(), devices.memballoon)


async def set_stats_period(monitor: Monitor, balloon: Memballoon, limit: float = 30.0) -> None:
    """Tell QEMU how often to ask a balloon for statistics."""
    await monitor.execute(
        "qom-set",
        {
            "path": f"/machine/peripheral/{balloon.alias}",
            "property": "guest-stats-polling-interval",
            "value": balloon.stats_period or 0,
        },
        limit=limit,
    )
