"""Migrations that were under way when the process that led them ended: each guest is settled on one side."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_qemu.guest import Guest
from virt_qemu.migration.bitmaps import remove_gathered
from virt_qemu.migration.control import MigrationControl
from virt_qemu.migration.destination import Incoming
from virt_qemu.migration.side import MIGRATING_IN, MIGRATING_OUT, NO_JOB, POSTCOPY, MigrationPhase as Phase
from virt_qemu.migration.source import Outgoing
from virt_qemu.migration.storage import Mirrors
from virt_qemu.migration_parameters import read_parameters
from virt_qemu.status import GuestJob
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import DomainEventStoppedDetailType
from virtcore.errors import VirtError
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.host import QemuState
    from virtcore.driver.toolkit import DomainObject

__all__ = ["recover_migration"]

log = logging.getLogger(__name__)

_RESUMES = (Phase.POSTCOPY_FAILED, Phase.BEGIN_RESUME, Phase.PERFORM_RESUME, Phase.PREPARE_RESUME)
_POSTCOPY = (*POSTCOPY, "postcopy-paused")


async def recover_migration(state: QemuState, obj: DomainObject, guest: Guest) -> None:
    """Settle the migration that a found guest's status tells of, if any."""
    job = guest.status.job
    if job is None or job.async_ not in (MIGRATING_IN, MIGRATING_OUT):
        return
    try:
        phase = Phase(job.phase or Phase.NONE)
    except ValueError:
        log.warning("the status of domain '%s' tells of an unknown phase '%s'", obj.name, job.phase)
        phase = Phase.NONE
    log.info("domain '%s' was in phase %s of '%s'", obj.name, phase, job.async_)
    recovering = _Recovery(state, obj, guest, job, phase)
    try:
        if job.async_ == MIGRATING_IN:
            await recovering.incoming()
        else:
            await recovering.outgoing()
    except VirtError as error:
        log.error("migration of domain '%s' cannot be settled: %s", obj.name, error)


class _Recovery:
    def __init__(self, state: QemuState, obj: DomainObject, guest: Guest, job: GuestJob, phase: Phase) -> None:
        self.state = state
        self.obj = obj
        self.guest = guest
        self.job = job
        self.phase = phase
        self.flags = job.flags or 0

    async def incoming(self) -> None:
        """The guest was to come here. Before it runs here it may run at the source, which decides."""
        state, obj = self.state, self.obj
        status = (await MigrationControl(self.guest).progress()).status
        if self.phase in (Phase.NONE, Phase.PREPARE):
            # The source's daemon was told nothing, or is told now: the guest stays there.
            await self._end("incoming migration was interrupted before it was finished")
        elif self.phase in (Phase.FINISH3, Phase.FINISH2):
            if status in _POSTCOPY:
                await self._keep_failed(Incoming)
            elif obj.state == DomainState.RUNNING:
                # It runs: whoever asked has no answer, but this is where it is.
                state.running(obj, DomainRunningReason.MIGRATED)
                await self._forget_job()
            else:
                # It had come, and was not let run yet: the source still has it and goes on.
                await self._end("incoming migration was interrupted before the guest ran")
        elif self.phase in (*_RESUMES, Phase.FINISH_RESUME):
            if status == "completed":
                state.running(obj, DomainRunningReason.MIGRATED)
                await self._forget_job()
            else:
                await self._keep_failed(Incoming)

    async def outgoing(self) -> None:
        """The guest was to leave. Up to the point where the destination may run it, it goes on here."""
        state, obj = self.state, self.obj
        control = MigrationControl(self.guest)
        status = (await control.progress()).status
        if status in _POSTCOPY:
            if self.phase in (Phase.PERFORM3, Phase.PERFORM2) and status != "postcopy-paused":
                log.info("domain '%s' is in post-copy", obj.name)
            await self._keep_failed(Outgoing)
            return
        if self.phase in (Phase.NONE, Phase.BEGIN3):
            await self._forget_job()
        elif self.phase in (Phase.PERFORM2, Phase.PERFORM3):
            # Nobody will tell the destination to go on: it gives up.
            await self._cancel(control)
            await self._go_on()
            await self._forget_job()
        elif self.phase is Phase.PERFORM3_DONE:
            # The destination may run it: only somebody who looks can tell. As libvirt does, it is left as it is.
            log.warning(
                "Migration of domain %s finished but we don't know if the domain was successfully started on "
                "destination or not", obj.name,
            )  # fmt: skip
            if obj.state == DomainState.PAUSED:
                state.set_state(obj, DomainState.PAUSED, DomainPausedReason.MIGRATION)
            await self._forget_job()
        elif self.phase is Phase.CONFIRM3_CANCELLED:
            await self._go_on()
            await self._forget_job()
        elif self.phase in (Phase.CONFIRM3, Phase.CONFIRM_RESUME):
            await state.end_guest(obj, DomainShutoffReason.MIGRATED, DomainEventStoppedDetailType.MIGRATED)
        elif self.phase in _RESUMES:
            if status == "completed":
                await state.end_guest(obj, DomainShutoffReason.MIGRATED, DomainEventStoppedDetailType.MIGRATED)
            else:
                await self._keep_failed(Outgoing)

    async def _cancel(self, control: MigrationControl) -> None:
        domain = self.obj.live
        await control.cancel()
        moved = [each.dev for each in self.job.disks if each.migrating]
        if moved and domain is not None and domain.devices is not None:
            disks = [disk for disk in domain.devices.disks if disk.target is not None and disk.target.dev in moved]
            await Mirrors.left_over(self.guest, self.flags, disks).finish(give_up=True)
        await remove_gathered(self.guest, self.job.bitmaps)

    async def _go_on(self) -> None:
        """Let the guest run here, if it stands still for its migration only."""
        obj = self.obj
        if obj.state == DomainState.PAUSED and obj.reason in (DomainPausedReason.MIGRATION, DomainPausedReason.UNKNOWN):
            await self.state.start_cpus(obj, self.guest, DomainRunningReason.MIGRATION_CANCELED)

    async def _forget_job(self) -> None:
        control = MigrationControl(self.guest)
        supported = await control.supported()
        try:
            await control.set_capabilities(supported, ())
            await control.set_parameters(read_parameters(self.job.parameters))
        except VirtError as error:
            log.warning("settings of migration of domain '%s' cannot be restored: %s", self.obj.name, error)
        self.guest.status.job = GuestJob(type=NO_JOB, async_=NO_JOB)
        await self.state.save(self.obj, self.guest)

    async def _end(self, why: str) -> None:
        log.warning("domain '%s' is ended here: %s", self.obj.name, why)
        await self.state.end_guest(self.obj, DomainShutoffReason.FAILED, DomainEventStoppedDetailType.FAILED)

    async def _keep_failed(self, kind: type[Outgoing | Incoming]) -> None:
        """The guest's memory is in two places: the job is kept, for somebody who lets it go on."""
        side = kind(self.state, self.obj, TypedParameters(), self.flags)
        await side.hold()
        with side.job.going_on():
            side.phase = self.phase
            await side.postcopy_failed()
            side.rest(None)
