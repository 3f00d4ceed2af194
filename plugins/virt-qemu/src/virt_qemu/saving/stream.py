"""QEMU's stream of a guest's state, out and in, followed as a job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from virt_qemu.migration.control import ENDED, MigrationControl
from virt_qemu.migration.statistics import MigrationStatistics, now
from virt_qemu.monitor import COMMAND_LIMIT, JSON, Monitor, MonitorClosed
from virt_qemu.saving.sparse import StateFile, mapped
from virtcore.errors import InternalError, OperationFailed, VirtError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit.jobs import Job

__all__ = ["cancel_migration", "migrate_in", "migrate_out", "tell_passes"]

log = logging.getLogger(__name__)

_NAME = "migrate"
"""What the descriptor is called in QEMU."""
_UNLIMITED = ((1 << 63) - 1) >> 20 << 20
"""Bytes a second; the most that QEMU takes, in whole MiB."""
_INTERVAL = 0.5
"""Seconds between two questions how far it is."""
_ENDED = ENDED - {"none"}  # what has been begun only now may not have a state yet
_CANCEL_LIMIT = 30.0


@asynccontextmanager
async def _given(guest: Guest, end: int | StateFile, limit: float = COMMAND_LIMIT) -> AsyncIterator[str]:
    """Give QEMU what it is to write into or to read from; what that is called for it."""
    if isinstance(end, StateFile):
        async with mapped(guest, end) as uri:
            yield uri
        return
    monitor = guest.channel()
    await asyncio.gather(tell_passes(monitor, limit), monitor.give(_NAME, end, limit=limit))
    yield f"fd:{_NAME}"


async def migrate_out(guest: Guest, job: Job, end: int | StateFile, name: str) -> None:
    """Have QEMU write the guest's state. Its virtual CPUs stand still when this returns.

    Broken off, QEMU has stopped writing; whether the guest runs then is the caller's to see to.

    :param end: a descriptor, or a file that QEMU opens itself.
    :param name: what messages call it, such as ``domain save job``.
    :raises OperationFailed: it failed, with QEMU's reason where it tells one.
    """
    monitor, control = guest.channel(), MigrationControl(guest)
    statistics = MigrationStatistics(started=now() - int(job.age * 1000))
    told = await monitor.execute("query-migrate-parameters")
    before = told.get("max-bandwidth") if isinstance(told, dict) else None
    async with AsyncExitStack() as stack:
        events = stack.enter_context(monitor.events("MIGRATION"))
        unlimited = monitor.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED})
        uri, _ = await asyncio.gather(stack.enter_async_context(_given(guest, end)), unlimited)
        try:
            try:
                await monitor.execute("migrate", {"uri": uri})
                while True:
                    progress = await control.progress()
                    statistics.take(progress)
                    job.report(statistics.parameters(into_file=True))
                    if progress.status in _ENDED:
                        break
                    await events.next(_INTERVAL)
            except BaseException:
                await cancel_migration(guest)
                raise
            await control.settle()
            if progress.status != "completed":
                raise OperationFailed(f"{name}: {progress.error or 'unexpectedly failed'}")
        except BaseException:
            if monitor.connected:
                await monitor.execute("migrate-set-parameters", {"max-bandwidth": before})
            raise


async def migrate_in(guest: Guest, end: int | StateFile, limit: float) -> None:
    """Have a QEMU that waits for it (``-incoming defer``) read a guest's state.

    :param end: a descriptor, or a file that QEMU opens itself.
    :param limit: seconds that each question may take.
    :raises InternalError: it cannot read it, with what QEMU said of it.
    """
    monitor, control = guest.channel(), MigrationControl(guest)
    try:
        with monitor.events("MIGRATION") as events:
            async with _given(guest, end, limit) as uri:
                await monitor.execute("migrate-incoming", {"uri": uri}, limit=limit)
                while (progress := await control.progress()).status not in _ENDED:
                    await events.next(_INTERVAL)
                if progress.status != "completed":
                    raise OperationFailed(f"job: {progress.error or 'unexpectedly failed'}")
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


async def cancel_migration(guest: Guest) -> None:
    """Have QEMU stop writing, if it does; returns when it has. What it says against it is logged."""
    if guest.monitor is None or not guest.monitor.connected:
        return
    try:
        async with asyncio.timeout(_CANCEL_LIMIT):
            await MigrationControl(guest).cancel()
    except (VirtError, TimeoutError) as error:
        log.warning("%s: cannot cancel what QEMU writes: %s", guest.monitor.name, error)
