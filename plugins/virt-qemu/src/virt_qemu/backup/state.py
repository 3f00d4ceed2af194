"""The part of the driver's state that makes backups.

A backup holds the domain's long job from its begin until the jobs of all its disks have ended. What it is is in the
guest's status, so that it goes on when the process that began it has ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.backup import begin
from virt_qemu.block.bitmaps import Action
from virt_qemu.block.nodes import Attaching
from virt_qemu.block.running import NamedNodes, transaction
from virt_qemu.blockjobs.state import find_job, jobs_of
from virt_qemu.checkpoints import CheckpointState, recording
from virt_qemu.guest import guest_of
from virt_qemu.monitor import JSON, CommandError
from virt_qemu.settings.table import QemuSettings
from virtcore.driver.toolkit.jobs import Job, JobKind
from virtcore.enums.domain import DomainBackupBeginFlags
from virtcore.enums.domain_more import DomainJobOperation
from virtcore.errors import OperationAborted, OperationFailed, OperationUnsupported, VirtError
from virtcore.model.backup import BackupMode, DiskBackupState, align_backup_disks, load_backup
from virtcore.model.storage.source import FileSource
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block_jobs import BlockJob
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.backup import Backup, PullDisk, PushDisk

__all__ = ["BackupProgress", "BackupState", "backup_of"]

log = logging.getLogger(__name__)

_OPERATION = "domain_backup_begin"
#: Kinds of jobs that go on while a backup is made: what would disturb it is refused because of the jobs of its disks.
_ALLOWED = JobKind.QUERY | JobKind.MODIFY | JobKind.DESTROY
#: Seconds between two looks at how far it is.
_LOOK = 0.5

_ENDS = {
    "completed": DiskBackupState.COMPLETE,
    "cancelled": DiskBackupState.CANCELLED,
    "failed": DiskBackupState.FAILED,
}
_GOING_ON = (DiskBackupState.RUNNING, DiskBackupState.CANCELLING)


def backup_of(guest: Guest) -> Backup | None:
    """The backup that is being made of a guest."""
    return next(iter(guest.status.backups), None)


class BackupProgress:
    """How far the disks are whose jobs have ended, and what the first one that failed said."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.error: str | None = None
        self.changed = asyncio.Event()


class BackupState(CheckpointState):
    """Backups of QEMU guests."""

    settings: QemuSettings

    # -- beginning

    async def begin_backup(self, obj: DomainObject, xml: str, checkpoint: str | None, flags: int) -> None:
        """Begin a backup, which then goes on by itself.

        :param checkpoint: document of the checkpoint that is made at the same instant.
        :raises VirtError: it cannot be begun; nothing has changed.
        """
        backup = load_backup(xml)
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.spawn(self._hold_backup(obj, backup, begun, checkpoint, flags))
        await asyncio.shield(begun)

    async def _hold_backup(
        self, obj: DomainObject, backup: Backup, begun: asyncio.Future[None], checkpoint: str | None, flags: int
    ) -> None:
        """Hold the domain's long job for a backup."""
        try:
            async with self._backup_job(obj) as job:
                if not obj.active:
                    raise OperationUnsupported("cannot perform disk backup for inactive domain")
                guest = guest_of(obj)
                try:
                    await self._prepare_backup(obj, guest, backup, checkpoint, flags)
                except BaseException:
                    if backup_of(guest) is backup:  # its jobs have been begun
                        await self.cancel_backup(obj)
                        await self._accompany_backup(obj, guest, backup, job, flags)
                    raise
                begun.set_result(None)
                await self._accompany_backup(obj, guest, backup, job, flags)
        except BaseException as error:  # the caller's, as long as he waits
            if not begun.done():
                # Broken off by us in the middle: to the caller it is what ended it.
                cancelled = isinstance(error, asyncio.CancelledError)
                begun.set_exception(OperationAborted("the backup was ended") if cancelled else error)
                begun.exception()
            elif not isinstance(error, VirtError | asyncio.CancelledError):
                log.exception("backup of domain '%s'", obj.name)
        finally:
            self._tell_backup_completed(obj)

    def _backup_job(self, obj: DomainObject) -> Job:
        return obj.job.asynchronous(_OPERATION, DomainJobOperation.BACKUP, allows=_ALLOWED)

    async def _prepare_backup(
        self, obj: DomainObject, guest: Guest, backup: Backup, checkpoint_xml: str | None, flags: int
    ) -> None:
        monitor = guest.channel()
        assert obj.live is not None
        checkpoint = None
        if checkpoint_xml is not None:
            checkpoint, _ = self.settle_checkpoint(obj, checkpoint_xml)
        suffix = str(int(time.time())) if checkpoint is None else checkpoint.name
        align_backup_disks(backup, obj.live, suffix or "")
        begin.settle_server(backup)
        actions = [] if checkpoint is None else recording(obj, checkpoint)
        known = await NamedNodes.ask(monitor)
        disks = begin.prepare(self, obj, guest, backup, known)
        reuse = bool(flags & DomainBackupBeginFlags.REUSE_EXTERNAL)
        made: list[str] = []
        try:
            secrets = await self.secrets_for(*(disk.entry.store for disk in disks))
            async with Attaching(guest, secrets) as attaching:
                for disk in disks:
                    path = None if reuse else begin.new_store(disk)
                    made += [] if path is None else [path]
                    await begin.open_store(attaching, monitor, disk, known, reuse=reuse)
                actions += [each for disk in disks for each in disk.actions]
                await self._start_backup(obj, guest, attaching, backup, [disk.job for disk in disks], actions, flags)
        except BaseException:
            await self.dismiss_images(obj, guest, [disk.store.source for disk in disks])
            for path in made:
                _unlink(path)
            raise
        for disk in disks:
            disk.entry.state = DiskBackupState.RUNNING
        await self.block_jobs_begun(obj, *(disk.job for disk in disks))
        if checkpoint is not None:
            await self.keep_checkpoint(obj, checkpoint)
        if backup.mode is BackupMode.PULL:
            for disk in disks:
                await begin.export(monitor, disk)
                self._note_export(disk)
            await self.save(obj, guest)

    async def _start_backup(
        self,
        obj: DomainObject,
        guest: Guest,
        attaching: Attaching,
        backup: Backup,
        jobs: list[BlockJob],
        actions: list[Action],
        flags: int,
    ) -> None:
        """Begin the jobs of all disks at one instant, with the server ready where one is needed; all or none."""
        from virt_qemu.status import GuestJob

        monitor = guest.channel()
        if backup.mode is BackupMode.PULL:
            assert backup.server is not None
            credentials = await begin.add_credentials(self, guest, attaching, backup)
            await begin.start_server(monitor, backup.server, credentials)
        guest.backup = BackupProgress()
        guest.status.backups = [backup]
        guest.status.job = GuestJob(type="none", async_="backup", flags=flags, started=int(time.time() * 1000))
        self.note_block_jobs(guest, *jobs)
        try:
            await self.save(obj, guest)
            await transaction(monitor, actions)
        except BaseException:
            for job in jobs:
                self.forget_block_job(guest, job)
            self._forget_backup(guest)
            self.state_changed(obj, guest)
            if backup.mode is BackupMode.PULL:
                await _stop_server(guest)
            raise

    @staticmethod
    def _note_export(disk: begin.DiskBackup) -> None:
        from virtcore.model.backup import PullDisk

        entry = disk.entry
        assert isinstance(entry, PullDisk)
        entry.exportname = entry.exportname or entry.name
        entry.exportbitmap = entry.exportbitmap or disk.bitmap

    # -- going on and ending

    async def _accompany_backup(self, obj: DomainObject, guest: Guest, backup: Backup, job: Job, flags: int) -> None:
        """Wait until the jobs of all disks have ended, and clear up.

        :raises OperationFailed: a disk's failed.
        :raises OperationAborted: it was called off.
        """
        completed = False
        progress = guest.backup = guest.backup or BackupProgress()
        try:
            while any(_is_going_on(guest, entry) for entry in backup.disks):
                progress.changed.clear()
                try:
                    async with asyncio.timeout(_LOOK):
                        await progress.changed.wait()
                except TimeoutError:
                    await self._report_backup(guest, backup, job, progress)
            states = [entry.state for entry in backup.disks]
            job.report(_told(backup, progress.done, progress.total))
            if DiskBackupState.FAILED in states:
                raise OperationFailed(progress.error or "a disk's backup failed")
            completed = backup.mode is BackupMode.PULL or DiskBackupState.CANCELLED not in states
            if not completed:
                raise OperationAborted("canceled by client")
        finally:
            await self._clear_up_backup(backup, flags, completed)
            if obj.private is guest and guest.ending is None:
                self._forget_backup(guest)
                self.state_changed(obj, guest)

    def _forget_backup(self, guest: Guest) -> None:
        from virt_qemu.status import GuestJob

        guest.backup = None
        guest.status.backups = []
        guest.status.job = GuestJob(type="none", async_="none")

    async def _report_backup(self, guest: Guest, backup: Backup, job: Job, progress: BackupProgress) -> None:
        """Tell how far it is."""
        if guest.monitor is None or not guest.monitor.connected:
            return
        try:
            rows = await guest.monitor.execute("query-jobs")
        except VirtError as error:
            log.info("%s: %s", guest.monitor.name, error)
            return
        done, total = progress.done, progress.total
        names = {each.name for each in jobs_of(guest) if each.type == "backup"}
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and row.get("id") in names:
                done += _number(row, "current-progress")
                total += _number(row, "total-progress")
        job.report(_told(backup, done, total))

    async def _clear_up_backup(self, backup: Backup, flags: int, completed: bool) -> None:
        """Remove images that were made for the backup and are of no use."""
        if flags & DomainBackupBeginFlags.REUSE_EXTERNAL or (backup.mode is BackupMode.PUSH and completed):
            return
        for entry in backup.disks:
            if isinstance(entry.store, FileSource) and entry.store.file is not None:
                await in_thread(_unlink, entry.store.file)

    def _tell_backup_completed(self, obj: DomainObject) -> None:
        from virtcore.operations.events import DomainJobCompletedEvent

        stats = obj.job.completed(keep=True)
        if stats is not None and stats.params.get("operation") == DomainJobOperation.BACKUP and obj.published:
            self.events.emit(DomainJobCompletedEvent(obj.ref, stats.params))

    async def cancel_backup(self, obj: DomainObject) -> None:
        """Call off what is going on of a backup; how it ends is told when it has."""
        guest = guest_of(obj)
        backup = backup_of(guest)
        for entry in backup.disks if backup is not None else ():
            job = find_job(guest, disk=entry.name)
            if entry.state is not DiskBackupState.RUNNING or job is None:
                continue
            try:
                await guest.channel().execute("block-job-cancel", {"device": job.name, "force": True})
            except CommandError as error:
                log.info("domain '%s': %s", obj.name, error)  # it has just ended
                continue
            entry.state = DiskBackupState.CANCELLING
            job.state = "aborting"
        self.state_changed(obj, guest)

    async def block_job_ended(self, obj: DomainObject, guest: Guest, job: BlockJob, told: Mapping[str, JSON]) -> None:
        await super().block_job_ended(obj, guest, job, told)
        backup = backup_of(guest)
        if job.type != "backup" or backup is None or job.disk is None:
            return
        if backup.mode is BackupMode.PULL:
            await _stop_server(guest)
        progress = guest.backup = guest.backup or BackupProgress()
        progress.done += _number(told, "current-progress")
        progress.total += _number(told, "total-progress")
        progress.error = progress.error or job.error
        for entry in backup.disks:
            if entry.name == job.disk.target:
                entry.state = _ENDS.get(job.state, DiskBackupState.FAILED)
        states = [entry.state for entry in backup.disks]
        if DiskBackupState.FAILED in states or DiskBackupState.CANCELLED in states:
            await self.cancel_backup(obj)

    def forget_block_job(self, guest: Guest, job: BlockJob) -> None:
        super().forget_block_job(guest, job)
        if job.type == "backup" and guest.backup is not None:
            guest.backup.changed.set()

    # -- finding again

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        backup = backup_of(guest)
        if backup is not None:
            # Held before anybody can begin another one.
            begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.spawn(self._hold_backup_again(obj, guest, backup, begun))
            await begun
        await super().recover(obj, guest)

    async def _hold_backup_again(
        self, obj: DomainObject, guest: Guest, backup: Backup, begun: asyncio.Future[None]
    ) -> None:
        flags = guest.status.job.flags if guest.status.job is not None else 0
        try:
            async with self._backup_job(obj) as job:
                begun.set_result(None)
                await self._accompany_backup(obj, guest, backup, job, flags or 0)
        except VirtError as error:
            log.info("backup of domain '%s': %s", obj.name, error)
        finally:
            if not begun.done():
                begun.set_result(None)
            self._tell_backup_completed(obj)


def _is_going_on(guest: Guest, entry: PushDisk | PullDisk) -> bool:
    job = find_job(guest, disk=entry.name)
    return entry.state in _GOING_ON or (job is not None and job.type == "backup")


def _number(row: Mapping[str, JSON], key: str) -> int:
    value = row.get(key)
    return value if isinstance(value, int) else 0


def _told(backup: Backup, done: int, total: int) -> dict[str, int]:
    """Progress as parameters of the domain's job."""
    if backup.mode is BackupMode.PULL:
        return {"disk_temp_used": done, "disk_temp_total": total}
    return {"disk_total": total, "disk_processed": done, "disk_remaining": max(total - done, 0)}


async def _stop_server(guest: Guest) -> None:
    """Stop QEMU's NBD server, and let go of its certificates; it may have been stopped before."""
    monitor = guest.monitor
    if monitor is None or not monitor.connected:
        return
    steps: list[tuple[str, dict[str, JSON]]] = [
        ("nbd-server-stop", {}),
        ("object-del", {"id": begin.TLS_ALIAS}),
        ("object-del", {"id": f"{begin.TLS_ALIAS}-secret0"}),
    ]
    for command, arguments in steps:
        try:
            await monitor.execute(command, arguments)
        except VirtError as error:
            log.debug("%s: %s", monitor.name, error)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("failed to remove scratch file '%s': %s", path, error.strerror)
