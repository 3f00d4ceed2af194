"""The part of the driver's state that follows jobs of QEMU's block layer: from their begin to what they leave behind.

A job is written down before it is begun and forgotten when QEMU has forgotten it, so that it is dealt with by whoever
finds the guest, whenever the process that began it has ended. What QEMU tells of a job is dealt with while the domain's
job is held: by whoever waits for the block job, otherwise by a task of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virt_qemu.block.nodes import detach_chain
from virt_qemu.block.running import as_json
from virt_qemu.blockjobs import concluding
from virt_qemu.blockjobs.transitions import described, undescribed, without_indexes
from virt_qemu.guest import Guest, guest_of
from virt_qemu.guest_secrets import SecretsState
from virt_qemu.host_side.owner import owner_of
from virt_qemu.isolation.devices import deny_devices
from virt_qemu.monitor import JSON, MonitorClosed, MonitorTimeout
from virtcore.driver.toolkit.configuration.disks import find_disk
from virtcore.enums.domain_events import ConnectDomainEventBlockJobStatus as Status
from virtcore.enums.domain_more import DomainBlockJobType
from virtcore.errors import BlockCopyActive, InvalidArg, OperationUnsupported, VirtError
from virtcore.model.domain.disk import Disk, MirrorState, TransientDisk
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import StorageType

if TYPE_CHECKING:
    from virt_qemu.block_jobs import BlockJob
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.storage.source import Source

__all__ = ["BlockJobState", "check_block_job", "find_job", "jobs_of", "kind_of", "refuse_busy"]

log = logging.getLogger(__name__)

#: Seconds that what QEMU tells of a job waits for the domain's job: as long as it takes.
_PATIENCE = 7 * 86400.0
#: Seconds until what failed at the end of a job is tried again, at first and at last.
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: States of QEMU's that something follows from.
_TOLD = ("ready", "concluded")
#: States in which a job is about to end, or has.
_ENDING = ("aborting", "pivoting", "concluded", "completed", "failed", "cancelled")
_ENDED = ("completed", "failed", "cancelled")

_TYPES = {
    "pull": DomainBlockJobType.PULL,
    "copy": DomainBlockJobType.COPY,
    "commit": DomainBlockJobType.COMMIT,
    "active-commit": DomainBlockJobType.ACTIVE_COMMIT,
    "backup": DomainBlockJobType.BACKUP,
}
_STATUSES = {
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELED,
    "ready": Status.READY,
}


def jobs_of(guest: Guest) -> list[BlockJob]:
    """The jobs on images of a guest."""
    from virt_qemu.block_jobs import BlockJobs

    if guest.status.block_jobs is None:
        guest.status.block_jobs = BlockJobs(active=False)
    return guest.status.block_jobs.jobs


def find_job(guest: Guest, *, name: str | None = None, disk: str | None = None) -> BlockJob | None:
    """The job of an id, or on the disk of a target."""
    for job in jobs_of(guest):
        if job.name == name if name is not None else job.disk is not None and job.disk.target == disk:
            return job
    return None


def refuse_busy(guest: Guest, disk: Disk) -> None:
    """Refuse a disk that has a job.

    :raises BlockCopyActive: it is copied, or about to be merged away.
    :raises OperationUnsupported: another one.
    """
    name = disk.target.dev if disk.target is not None else None
    if disk.mirror is not None:
        raise BlockCopyActive(f"disk '{name}' already in active block job")
    if name is not None and find_job(guest, disk=name) is not None:
        raise OperationUnsupported(f"disk '{name}' already in active block job")


def kind_of(job: BlockJob) -> DomainBlockJobType:
    """What libvirt calls a job; ``UNKNOWN`` for jobs that are nobody's business."""
    return _TYPES.get(job.type, DomainBlockJobType.UNKNOWN)


class BlockJobState(SecretsState):
    """Jobs of the block layer."""

    # -- finding

    def disk_of(self, obj: DomainObject, name: str) -> Disk:
        """A disk of a running guest, by its target or the path of its source.

        :raises InvalidArg: there is none.
        """
        assert obj.live is not None
        disk = find_disk(obj.live, name)
        if disk is None or disk.target is None or disk.target.dev is None:
            raise InvalidArg(f"disk '{name}' not found in domain")
        return disk

    def disk_for_job(self, obj: DomainObject, name: str) -> Disk:
        """A disk on which a job can begin now.

        :raises VirtError: there is none, it has a job, or can have none.
        """
        disk = self.disk_of(obj, name)
        check_block_job(disk)
        refuse_busy(guest_of(obj), disk)
        return disk

    async def dismiss_images(self, obj: DomainObject, guest: Guest, sources: Iterable[Source]) -> None:
        """Give back the files of images that a guest does not use any more, unless another of its disks does."""
        pid = guest.process.pid if guest.process is not None else None
        for source in sources:
            image = Disk(source=source)
            await self.host_side.dismiss_image(owner_of(obj, guest.folder), image, pid)
            if obj.live is not None:
                deny_devices(guest, self.host_side, image, obj.live)

    # -- beginning and ending

    async def begin_block_job(
        self, obj: DomainObject, job: BlockJob, command: str, arguments: Mapping[str, object]
    ) -> None:
        """Write a job down and have QEMU begin it. Called with the domain's job held.

        :raises VirtError: QEMU refused; the job is forgotten.
        """
        guest = guest_of(obj)
        self.note_block_jobs(guest, job)
        try:
            await self.save(obj, guest)
            await guest.channel().execute(command, as_json({"job-id": job.name, **arguments}))
        except MonitorTimeout:
            raise  # it may have been begun: what QEMU tells of it is followed
        except BaseException:
            self.forget_block_job(guest, job)
            self.state_changed(obj, guest)
            raise
        await self.block_jobs_begun(obj, job)

    def note_block_jobs(self, guest: Guest, *jobs: BlockJob) -> None:
        """Jobs are about to be begun."""
        jobs_of(guest).extend(jobs)
        assert guest.status.block_jobs is not None
        guest.status.block_jobs.active = True

    async def block_jobs_begun(self, obj: DomainObject, *jobs: BlockJob) -> None:
        """Jobs have been begun; returns when that is on disk."""
        for job in jobs:
            if job.state == "new":
                job.state = "running"
        obj.touch()
        await self.save(obj, guest_of(obj))

    def forget_block_job(self, guest: Guest, job: BlockJob) -> None:
        """A job is no more."""
        jobs = jobs_of(guest)
        if job in jobs:
            jobs.remove(job)
        assert guest.status.block_jobs is not None
        guest.status.block_jobs.active = bool(jobs)

    @contextmanager
    def awaited(self, guest: Guest, job: BlockJob) -> Iterator[asyncio.Event]:
        """What QEMU tells of a job meanwhile is left to the caller, whom the event wakes."""
        told = guest.awaited_jobs[job.name] = asyncio.Event()
        if job.new_state is not None:
            told.set()
        try:
            yield told
        finally:
            guest.awaited_jobs.pop(job.name, None)
            if job.new_state is not None:
                self._start_follower(guest, job.name)

    async def wait_for_end(self, obj: DomainObject, guest: Guest, job: BlockJob, told: asyncio.Event) -> None:
        """Deal with what is told of a job until it has ended (:meth:`awaited`). Called with the domain's job held."""
        while job in jobs_of(guest):
            await told.wait()
            told.clear()
            await self.update_block_job(obj, guest, job)

    # -- following

    def block_job_changed(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        job = find_job(guest, name=str(data.get("id")))
        status = data.get("status")
        if job is None or status not in _TOLD or (status == "ready" and job.state in (*_ENDING, "ready")):
            return
        job.new_state = str(status)
        told = guest.awaited_jobs.get(job.name)
        if told is not None:
            told.set()
        else:
            guest.start_task(self._follow(obj, guest, job.name))

    def _start_follower(self, guest: Guest, name: str) -> None:
        obj = next((each for each in self.domains if each.private is guest), None)
        if obj is not None:
            guest.start_task(self._follow(obj, guest, name))

    async def _follow(self, obj: DomainObject, guest: Guest, name: str) -> None:
        """Deal with what is told of a job, again and again until that is done or the guest has gone."""
        pause = _PAUSE
        while obj.private is guest:
            try:
                async with obj.job.modify("block_job", limit=_PATIENCE):
                    job = find_job(guest, name=name)
                    if obj.private is guest and job is not None:
                        await self.update_block_job(obj, guest, job)
                return
            except MonitorClosed:
                return
            except VirtError as error:
                log.error("domain '%s': the end of block job '%s' cannot be dealt with: %s", obj.name, name, error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def update_block_job(self, obj: DomainObject, guest: Guest, job: BlockJob) -> None:
        """Deal with what QEMU has told of a job. Called with the domain's job held."""
        if job.new_state is None:
            return
        if job.new_state == "ready":
            job.new_state = None
            if job.state in _ENDING:
                return
            job.state = "ready"
            disk = self._live_disk(obj, job)
            if disk is not None and disk.mirror is not None:
                disk.mirror.ready = MirrorState.YES
            obj.touch()
            await self.save(obj, guest)
            self.emit_block_job(obj, job)
            return
        await self._conclude(obj, guest, job)

    def _live_disk(self, obj: DomainObject, job: BlockJob) -> Disk | None:
        if job.disk is None or obj.live is None:
            return None
        return find_disk(obj.live, job.disk.target)

    async def _conclude(self, obj: DomainObject, guest: Guest, job: BlockJob) -> None:
        """A job has ended: its outcome goes into the chain of images, QEMU forgets it, and everybody is told.

        Where a step fails this is called again: what was done is found in what is known of the job.
        """
        monitor = guest.channel()
        rows = await monitor.execute("query-jobs")
        found = [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []
        row: Mapping[str, JSON] = next((each for each in found if each.get("id") == job.name), {})
        if job.new_state == "concluded":
            error = row.get("error") if row else "QEMU has lost the job"
            job.error = None if error is None else str(error)
            job.new_state = "failed" if error is not None else "completed"
            if job.state == "aborting":
                job.new_state = "cancelled"
            await self.save(obj, guest)
        if job.state not in _ENDED:
            await self._take_outcome(obj, guest, job)
        if row:
            await monitor.execute("job-dismiss", {"id": job.name})
        await self.block_job_ended(obj, guest, job, row)
        removed = undescribed(guest, job.chain)
        await detach_chain(guest, removed)
        await self.dismiss_images(obj, guest, [image.source for image in removed])
        if job.delete_committed_images and job.state == "completed":
            await concluding.delete_images(removed)
        job.new_state = None
        self.forget_block_job(guest, job)
        await self.save(obj, guest)
        self.emit_block_job(obj, job)

    async def _take_outcome(self, obj: DomainObject, guest: Guest, job: BlockJob) -> None:
        """Let the chain of a job's disk be what the job has made of it."""
        disk = self._live_disk(obj, job)
        if disk is not None:
            old = disk.source
            removed = await concluding.conclude(guest, disk, job)
            job.chain = described(removed)
            if removed and job.type != "backup" and job.new_state == "completed" and old is not None:
                await self._redefine(obj, disk, old)
        assert job.new_state is not None
        job.state = job.new_state
        obj.touch()
        await self.save(obj, guest)

    async def block_job_ended(self, obj: DomainObject, guest: Guest, job: BlockJob, told: Mapping[str, JSON]) -> None:
        """Hook: a job has ended, and QEMU has forgotten it; what it used is there still.

        :param told: what QEMU said of it last.
        """

    async def _redefine(self, obj: DomainObject, disk: Disk, old: object) -> None:
        """The chain of a running guest's disk is another one: its definition, where it had the same image, follows."""
        if not obj.persistent:
            return
        async with obj.config_lock:
            definition = self.definition(obj)
            assert disk.target is not None
            other = find_disk(definition, disk.target.dev or "")
            if other is None or not concluding.same_place(other.source, old):
                return
            assert disk.source is not None
            if concluding.same_place(other.source, disk.source):
                if other.backing_store is None:
                    return
            else:
                other.source, other.type = without_indexes(disk.source), disk.type
                if disk.driver is not None and other.driver is not None:
                    other.driver.type = disk.driver.type
            other.backing_store = None
            await self.save_definition(obj, definition)

    def emit_block_job(self, obj: DomainObject, job: BlockJob) -> None:
        """Tell of a job's state, where libvirt does."""
        from virtcore.operations.events import DomainBlockJob2Event, DomainBlockJobEvent

        kind, status = _TYPES.get(job.type), _STATUSES.get(job.state)
        disk = self._live_disk(obj, job)
        if kind is None or status is None or disk is None or disk.target is None:
            return
        path = source_path(disk.source)
        if path is not None and disk.type in (None, StorageType.FILE, StorageType.BLOCK, StorageType.DIR):
            self.events.emit(DomainBlockJobEvent(obj.ref, path, kind, status))
        self.events.emit(DomainBlockJob2Event(obj.ref, disk.target.dev or "", kind, status))

    # -- finding again

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        await super().recover(obj, guest)
        while obj.private is guest:
            try:
                async with obj.job.modify("block_job", limit=_PATIENCE):
                    if obj.private is guest:
                        await self._recover_block_jobs(obj, guest)
                return
            except MonitorClosed:
                return
            except VirtError as error:
                log.error("block jobs of domain '%s' cannot be followed: %s", obj.name, error)
            await asyncio.sleep(_LONGEST_PAUSE)

    async def _recover_block_jobs(self, obj: DomainObject, guest: Guest) -> None:
        """Take up the jobs that were going on, and end those that nobody knows."""
        from virt_qemu.block_jobs import BlockJob

        rows = await guest.channel().execute("query-jobs")
        told = {str(row["id"]): row for row in rows if isinstance(row, dict)} if isinstance(rows, list) else {}
        for name, row in told.items():
            if find_job(guest, name=name) is None:
                log.warning("domain '%s': ending block job '%s', which nobody has begun", obj.name, name)
                self.note_block_jobs(guest, BlockJob(name=name, type="broken", state="running"))
                if row.get("status") != "concluded":
                    await guest.channel().execute("job-cancel", {"id": name})
        for job in list(jobs_of(guest)):
            status = told.get(job.name, {}).get("status")
            if job.name not in told:
                # Never begun, or ended, dealt with and forgotten by QEMU.
                job.new_state = job.new_state or (job.state if job.state in _ENDED else "failed")
            elif job.state in _ENDED:
                job.new_state = job.state
            elif status == "concluded":
                job.new_state = "concluded"
            elif status == "ready" and job.state not in (*_ENDING, "ready"):
                job.new_state = "ready"
            if job.state == "new" and job.name in told:
                job.state = "running"
            if job.new_state is not None:
                guest.start_task(self._follow(obj, guest, job.name))


def check_block_job(disk: Disk) -> None:
    """Refuse a disk that can have no block jobs.

    :raises OperationUnsupported: it cannot.
    """
    target = disk.target.dev if disk.target is not None else ""
    if disk.type is StorageType.VHOSTUSER:
        raise OperationUnsupported(f"block jobs are not supported on vhostuser disk '{target}'")
    if isinstance(disk.transient, TransientDisk):
        raise OperationUnsupported(f"block jobs are not supported on transient disk '{target}'")
