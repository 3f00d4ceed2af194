"""QEMU's stream of a guest's state, out to a descriptor and in from one, followed as a job."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from virt_qemu.monitor import COMMAND_LIMIT, JSON, Monitor, MonitorClosed
from virtcore.errors import InternalError, OperationFailed, VirtError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit.jobs import Job

__all__ = ["cancel_migration", "migrate_in", "migrate_out", "progress_of", "refuse_blocked", "tell_passes"]

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
            tell_passes(monitor),
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
                job.report(progress_of(info))  # it may have been done before anybody looked
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
            await asyncio.gather(tell_passes(monitor), monitor.give(_NAME, descriptor, limit=limit))
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


async def tell_passes(monitor: Monitor, limit: float = COMMAND_LIMIT) -> None:
    """Have QEMU tell when the status of a migration changes, and when it begins another pass."""
    wanted: list[JSON] = [{"capability": "events", "state": True}]
    await monitor.execute("migrate-set-capabilities", {"capabilities": wanted}, limit=limit)


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


#: Parameters of a job in libvirt's order: where ``query-migrate`` tells them, and as what.
_TOLD = (
    ("downtime", "", "downtime"),
    ("setup_time", "", "setup-time"),
    ("data_total", "ram", "total"),
    ("data_processed", "ram", "transferred"),
    ("data_remaining", "ram", "remaining"),
    ("memory_total", "ram", "total"),
    ("memory_processed", "ram", "transferred"),
    ("memory_remaining", "ram", "remaining"),
    ("memory_bps", "ram", "mbps"),
    ("memory_constant", "ram", "duplicate"),
    ("memory_normal", "ram", "normal"),
    ("memory_normal_bytes", "ram", "normal-bytes"),
    ("memory_dirty_rate", "ram", "dirty-pages-rate"),
    ("memory_iteration", "ram", "dirty-sync-count"),
    ("memory_postcopy_requests", "ram", "postcopy-requests"),
    ("memory_page_size", "ram", "page-size"),
)


def progress_of(info: dict[str, JSON]) -> dict[str, int]:
    """What ``query-migrate`` says, as parameters of a job."""
    values = {"downtime": 0}
    for ours, place, theirs in _TOLD:
        part = info.get(place) if place else info
        value = part.get(theirs) if isinstance(part, dict) else None
        if isinstance(value, int | float):
            values[ours] = int(value * 125_000) if theirs == "mbps" else int(value)
    return values
