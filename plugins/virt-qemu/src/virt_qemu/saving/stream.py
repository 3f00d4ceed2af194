"""QEMU's stream of a guest's state, out to a descriptor and in from one, followed as a job."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from virt_qemu.monitor import JSON, Monitor, MonitorClosed
from virtcore.errors import InternalError, OperationFailed, VirtError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit.jobs import Job

__all__ = ["cancel_migration", "migrate_in", "migrate_out", "progress_of", "refuse_blocked"]

log = logging.getLogger(__name__)

_NAME = "migrate"
"""What the descriptor is called in QEMU."""
_UNLIMITED = ((1 << 63) - 1) >> 20 << 20
"""Bytes a second; the most that QEMU takes, in whole MiB."""
_INTERVAL = 0.5
"""Seconds between two questions how far it is."""
_ENDED = ("completed", "failed", "cancelled")
_CANCEL_LIMIT = 30.0


async def refuse_blocked(monitor: Monitor) -> None:
    """Refuse to save a guest that QEMU will not write out.

    :raises OperationInvalid: with QEMU's reasons.
    """
    from virtcore.errors import OperationInvalid

    info = await monitor.execute("query-migrate")
    reasons = info.get("blocked-reasons") if isinstance(info, dict) else None
    if isinstance(reasons, list) and reasons:
        raise OperationInvalid(f"cannot migrate domain: {'; '.join(str(reason) for reason in reasons)}")


async def migrate_out(guest: Guest, job: Job, descriptor: int, name: str) -> None:
    """Have QEMU write the guest's state into a descriptor. Its virtual CPUs stand still when this returns.

    Broken off, QEMU has stopped writing; whether the guest runs then is the caller's to see to.

    :param name: what messages call it, such as ``domain save job``.
    :raises OperationFailed: it failed, with QEMU's reason where it tells one.
    """
    monitor = guest.channel()
    told = await monitor.execute("query-migrate-parameters")
    before = told.get("max-bandwidth") if isinstance(told, dict) else None
    with monitor.events("MIGRATION") as events:
        await asyncio.gather(
            _tell_events(monitor),
            monitor.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED}),
            monitor.give(_NAME, descriptor),
        )
        try:
            try:
                await monitor.execute("migrate", {"uri": f"fd:{_NAME}"})
                status, info = await _ask(monitor)
                while status not in _ENDED:
                    await events.next(_INTERVAL)
                    status, info = await _ask(monitor)
                    job.report(progress_of(info))
            except BaseException:
                await cancel_migration(monitor)
                raise
            if status != "completed":
                raise OperationFailed(f"{name}: {info.get('error-desc') or 'unexpectedly failed'}")
        except BaseException:
            if monitor.connected:
                await monitor.execute("migrate-set-parameters", {"max-bandwidth": before})
            raise


async def migrate_in(guest: Guest, descriptor: int, limit: float) -> None:
    """Have a QEMU that waits for it (``-incoming defer``) read a guest's state from a descriptor.

    :param limit: seconds that each question may take.
    :raises InternalError: it cannot read it, with what QEMU said of it.
    """
    monitor = guest.channel()
    try:
        with monitor.events("MIGRATION") as events:
            await asyncio.gather(_tell_events(monitor), monitor.give(_NAME, descriptor, limit=limit))
            await monitor.execute("migrate-incoming", {"uri": f"fd:{_NAME}"}, limit=limit)
            status, info = await _ask(monitor)
            while status not in _ENDED:
                await events.next(_INTERVAL)
                status, info = await _ask(monitor)
            if status != "completed":
                raise OperationFailed(f"job: {info.get('error-desc') or 'unexpectedly failed'}")
        balloon = await monitor.execute("query-balloon", limit=limit) if _has_balloon(guest) else None
    except MonitorClosed:
        # QEMU ends when it cannot read; what it said is in its log a moment later.
        if guest.process is not None:
            async with asyncio.timeout(limit):
                await guest.process.wait()
        raise InternalError(
            f"QEMU unexpectedly closed the monitor (vm='{monitor.name}'): {guest.log.output()}"
        ) from None
    actual = balloon.get("actual") if isinstance(balloon, dict) else None
    if isinstance(actual, int):
        guest.balloon = actual >> 10


def _has_balloon(guest: Guest) -> bool:
    devices = guest.status.domain.devices
    balloon = devices.memballoon if devices is not None else None
    return balloon is not None and str(balloon.model) != "none"


async def _tell_events(monitor: Monitor) -> None:
    """Have QEMU tell when its migration's status changes."""
    wanted: list[JSON] = [{"capability": "events", "state": True}]
    await monitor.execute("migrate-set-capabilities", {"capabilities": wanted})


async def _ask(monitor: Monitor) -> tuple[str, dict[str, JSON]]:
    info = await monitor.execute("query-migrate")
    found = info if isinstance(info, dict) else {}
    return str(found.get("status") or ""), found


async def cancel_migration(monitor: Monitor) -> None:
    """Have QEMU stop writing, if it does; returns when it has. What it says against it is logged."""
    if not monitor.connected:
        return
    try:
        with monitor.events("MIGRATION") as events:
            await monitor.execute("migrate_cancel")
            async with asyncio.timeout(_CANCEL_LIMIT):
                while (status := (await _ask(monitor))[0]) and status not in _ENDED:
                    await events.next(_INTERVAL)
    except (VirtError, TimeoutError) as error:
        log.warning("%s: cannot cancel what QEMU writes: %s", monitor.name, error)


def progress_of(info: dict[str, JSON]) -> dict[str, int]:
    """What ``query-migrate`` says, as parameters of a job."""
    values: dict[str, int] = {}

    def take(place: object, names: dict[str, str], factor: float = 1) -> None:
        for theirs, ours in names.items():
            value = place.get(theirs) if isinstance(place, dict) else None
            if isinstance(value, int | float):
                values[ours] = int(value * factor)

    ram = info.get("ram")
    take(info, {"setup-time": "setup_time", "expected-downtime": "downtime"})
    take(info, {"downtime": "downtime"})
    take(
        ram,
        {
            "total": "memory_total",
            "remaining": "memory_remaining",
            "transferred": "memory_processed",
            "duplicate": "memory_constant",
            "normal": "memory_normal",
            "normal-bytes": "memory_normal_bytes",
            "dirty-pages-rate": "memory_dirty_rate",
            "page-size": "memory_page_size",
            "dirty-sync-count": "memory_iteration",
            "postcopy-requests": "memory_postcopy_requests",
        },
    )
    take(ram, {"mbps": "memory_bps"}, 1e6 / 8)
    for part in ("total", "remaining", "processed"):
        if f"memory_{part}" in values:
            values[f"data_{part}"] = values[f"memory_{part}"]
    return values
