"""Long jobs of guests, told in their status: whoever finds a guest again sees to what was being done with it."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.guest import Guest, guest_of
from virt_qemu.recovery import GuestRecovery
from virt_qemu.saving.stream import cancel_migration
from virt_qemu.status import GuestJob
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainState
from virtcore.enums.domain_more import DomainJobOperation
from virtcore.errors import VirtError
from virtcore.operations.events import DomainJobCompletedEvent

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.jobs import Job

__all__ = ["Held", "LongJobs"]

log = logging.getLogger(__name__)

#: What a status calls a job, by what it does.
_NAMES = {
    DomainJobOperation.SAVE: "save",
    DomainJobOperation.DUMP: "dump",
    DomainJobOperation.SNAPSHOT: "snapshot",
    DomainJobOperation.SNAPSHOT_REVERT: "snapshot",
    DomainJobOperation.SNAPSHOT_DELETE: "snapshot",
}
#: Why virtual CPUs stand still that a job has stopped; unknown where it was told to nobody yet.
_STOPPED_BY_JOBS = (
    DomainPausedReason.SAVE,
    DomainPausedReason.DUMP,
    DomainPausedReason.SNAPSHOT,
    DomainPausedReason.MIGRATION,
    DomainPausedReason.UNKNOWN,
)


class Held(NamedTuple):
    """A long job of a running guest, and the guest."""

    job: Job
    guest: Guest


class LongJobs(GuestRecovery):
    """The part of the driver's state that does long jobs on running guests."""

    @asynccontextmanager
    async def long_job(
        self, obj: DomainObject, operation: str, does: DomainJobOperation, flags: int = 0
    ) -> AsyncIterator[Held]:
        """Hold the asynchronous job of a running domain, and say so in its status.

        :param flags: of the call, as the status tells them.
        :raises OperationInvalid: it does not run.
        """
        obj.require_active()
        async with obj.job.asynchronous(operation, does) as job:
            obj.require_active()
            guest = guest_of(obj)
            started = int(time.time() * 1000)
            guest.status.job = GuestJob(
                type="none", async_=_NAMES[does], phase="none", flags=flags or None, started=started
            )
            try:
                await self.save(obj, guest)
                yield Held(job, guest)
            finally:
                guest.status.job = GuestJob(type="none", async_="none")
                if obj.private is guest:
                    self.state_changed(obj, guest)

    def tell_completed(self, obj: DomainObject, job: Job, stopped: float | None = None) -> None:
        """Tell subscribers that a long job has done its work.

        :param stopped: since when (monotonic) the guest has stood still for it; None where it has not.
        """
        if stopped is not None:
            job.report({"downtime": int((time.monotonic() - stopped) * 1000)})
        self.events.emit(DomainJobCompletedEvent(obj.ref, job.stats().params))

    async def resume_after_failure(
        self, obj: DomainObject, guest: Guest, reason: DomainRunningReason = DomainRunningReason.SAVE_CANCELED
    ) -> None:
        """Let a guest run on which a job that failed has stopped. Where it cannot, that is told and logged."""
        from virtcore.enums.domain_events import DomainEventSuspendedDetailType, DomainEventType

        if obj.private is not guest or guest.ending is not None or guest.monitor is None or not guest.monitor.connected:
            return  # it has ended, or is about to
        try:
            await self.start_cpus(obj, guest, reason)
        except VirtError as error:
            log.warning("domain '%s' cannot run on: %s", obj.name, error)
            self.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.API_ERROR)
            if obj.state == DomainState.PAUSED:
                self.set_state(obj, DomainState.PAUSED, DomainPausedReason.API_ERROR)

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        await super().recover(obj, guest)
        job = guest.status.job
        if job is None or job.async_ not in _NAMES.values():
            return
        try:
            async with obj.job.modify("recover"):
                if obj.private is guest:
                    await self._recover_job(obj, guest, job.async_)
        except VirtError as error:
            log.error("domain '%s': what job '%s' left cannot be cleared away: %s", obj.name, job.async_, error)

    async def _recover_job(self, obj: DomainObject, guest: Guest, name: str) -> None:
        await cancel_migration(guest)
        if await self.finish_job(obj, guest, name):
            return
        if obj.state == DomainState.PAUSED and obj.reason in _STOPPED_BY_JOBS:
            await self.resume_after_failure(obj, guest)
        guest.status.job = GuestJob(type="none", async_="none")
        await self.save(obj, guest)

    async def finish_job(self, obj: DomainObject, guest: Guest, name: str) -> bool:
        """Hook: a guest was found whose job was cut off; clear away what the job left.

        :param name: ``save``, ``dump`` or ``snapshot``.
        :returns: whether the job had done all but end the guest, and that is done now.
        """
        return False
