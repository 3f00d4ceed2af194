"""Taking snapshots."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from virt_qemu.blockjobs.concluding import same_place
from virt_qemu.guest import Guest
from virt_qemu.guest_secrets import SecretsState
from virt_qemu.long_jobs import Held
from virt_qemu.migration.checks import check_guest
from virt_qemu.saving.cookie import cookie_of, format_cookie
from virt_qemu.saving.dump import DumpingState
from virt_qemu.saving.files import find_compressor
from virt_qemu.saving.image import SaveFormat, SaveImage
from virt_qemu.snapshots.internal import delete_inside, save_inside, snapshot_images
from virt_qemu.snapshots.overlays import (
    adopt_overlays,
    external_disks,
    make_overlays,
    make_overlays_offline,
    put_over,
    remove_files,
)
from virt_qemu.snapshots.prepare import Plan, check_document, plan_snapshot, settle
from virtcore.driver.toolkit.moment_state import MomentState
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import DomainEventStoppedDetailType
from virtcore.enums.domain_more import DomainJobOperation
from virtcore.enums.snapshot import DomainSnapshotCreateFlags as Flags
from virtcore.errors import OperationInvalid
from virtcore.model.domain.disk import SnapshotLocation
from virtcore.model.moment import disk_by_name, disks_of
from virtcore.runtime.threads import in_thread
from virtcore.types import DomainSnapshotRef

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.snapshot import Snapshot, SnapshotDisk, SnapshotParse, SnapshotRules
    from virtcore.model.storage.source import Source

__all__ = ["TakingSnapshots"]

log = logging.getLogger(__name__)


class TakingSnapshots(DumpingState, SecretsState, MomentState):
    """The part of the driver's state that takes snapshots."""

    def make_snapshot_rules(self) -> SnapshotRules:
        from virt_qemu.snapshots.rules import QemuSnapshotRules

        return QemuSnapshotRules()

    async def create_snapshot(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainSnapshotRef:
        from virtcore.model.snapshot import SnapshotParse, load_snapshot

        wanted = Flags(flags)
        if wanted & Flags.HALT and not obj.persistent:
            raise OperationInvalid("cannot halt after transient domain snapshot")
        redefine = bool(wanted & Flags.REDEFINE)
        how: SnapshotParse = SnapshotParse.REDEFINE if redefine else self.snapshot_parse_flags(obj, wanted)
        if wanted & Flags.VALIDATE:
            how |= SnapshotParse.VALIDATE
        snapshot = load_snapshot(xml, self.snapshot_rules, self._snapshot_context(how))
        check_document(obj, snapshot, wanted)
        name = snapshot.name or ""
        if redefine:
            async with obj.job.modify("domain_create_snapshot"):
                await self._redefine_snapshot(obj, snapshot, wanted)
        elif obj.active:
            async with self.long_job(obj, "domain_create_snapshot", DomainJobOperation.SNAPSHOT, flags) as held:
                plan = await self._prepare(obj, snapshot, wanted)
                await self._take_running(obj, held, snapshot, plan, wanted)
        else:
            async with obj.job.modify("domain_create_snapshot"):
                obj.require_known()
                plan = await self._prepare(obj, snapshot, wanted)
                await self._take_inactive(obj, snapshot, plan, wanted)
        return DomainSnapshotRef(obj.ref, name)

    async def _redefine_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
        self._settle_redefined(obj, snapshot, flags)
        current = bool(flags & Flags.CURRENT)
        if current:
            await self._clear_reverted(obj)
        await self._keep_snapshot(obj, snapshot, current, taken=False)

    async def _clear_reverted(self, obj: DomainObject) -> None:
        """The images that were made when the current snapshot was returned to are others' now."""
        keeper = self.snapshots(obj)
        node = keeper.tree.current
        if node is None:
            return
        snapshot = self.snapshot(obj, node)
        if snapshot.revert_disks:
            snapshot.revert_disks = []
            await self.keep_again(obj, snapshot)

    async def keep_again(self, obj: DomainObject, snapshot: Snapshot) -> None:
        """Write a known snapshot that has changed."""
        await self._keep_snapshot(obj, snapshot, False, taken=False)

    async def _prepare(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> Plan:
        """Settle what a snapshot comprises, and look whether it can be taken."""
        tree = self.snapshots(obj).tree
        kept = not flags & Flags.NO_METADATA
        if kept:
            snapshot.parent = tree.current.name if tree.current is not None else None
        if obj.active:
            assert obj.live is not None
            snapshot.domain = await self.load_saved(self.migratable_xml(obj.live, obj))
            snapshot.inactive_domain = self.definition(obj) if obj.persistent else None
        else:
            snapshot.domain = self.definition(obj)
        settle(obj, snapshot, flags)
        plan = await in_thread(plan_snapshot, obj, self._config(obj), snapshot, flags)
        if kept:
            tree.check_new(snapshot.name or "")
        return plan

    def _config(self, obj: DomainObject) -> Domain:
        """The configuration whose disks a snapshot is of."""
        return obj.live if obj.live is not None else self.definition(obj)

    async def finish_job(self, obj: DomainObject, guest: Guest, name: str) -> bool:
        if name == "snapshot":
            before = await adopt_overlays(guest)
            if before:
                log.warning("domain '%s' goes on in files of a snapshot that was cut off", obj.name)
                obj.touch()
                await self.save(obj, guest)
                await self.follow_in_definition(obj, before)
        return await super().finish_job(obj, guest, name)

    # -- of a domain that does not run

    async def _take_inactive(self, obj: DomainObject, snapshot: Snapshot, plan: Plan, flags: Flags) -> None:
        if plan.external:
            await self._take_outside(obj, snapshot, reuse=bool(flags & Flags.REUSE_EXT))
        else:
            await snapshot_images(self.definition(obj), snapshot, "-c", go_on=False)
        await self._keep(obj, snapshot, flags)

    async def _take_outside(self, obj: DomainObject, snapshot: Snapshot, *, reuse: bool) -> None:
        definition = self.definition(obj)
        if not reuse:
            await make_overlays_offline(definition, snapshot.disks)
        try:
            for entry, disk in list(external_disks(snapshot.disks, definition)):
                below = disk.backing_store
                put_over(disk, entry, chain=not reuse and below is not None and below.source is not None)
            async with obj.config_lock:
                await self.save_definition(obj, definition)
        except BaseException:
            if not reuse:
                await in_thread(remove_files, self._paths(snapshot.disks))
            raise

    @staticmethod
    def _paths(entries: list[SnapshotDisk]) -> list[str]:
        """The files of a snapshot."""
        from virtcore.model.storage.source import FileSource

        external = [entry.source for entry in entries if entry.snapshot is SnapshotLocation.EXTERNAL]
        return [source.file for source in external if isinstance(source, FileSource) and source.file is not None]

    # -- of a running guest

    async def _take_running(self, obj: DomainObject, held: Held, snapshot: Snapshot, plan: Plan, flags: Flags) -> None:
        outside = flags & Flags.DISK_ONLY or (
            snapshot.memory is not None and snapshot.memory.snapshot is SnapshotLocation.EXTERNAL
        )
        if outside:
            await self._take_running_outside(obj, held, snapshot, plan, flags)
        else:
            await self._take_running_inside(obj, held, snapshot, flags)

    async def _take_running_inside(self, obj: DomainObject, held: Held, snapshot: Snapshot, flags: Flags) -> None:
        guest = held.guest
        await check_guest(guest)
        ran = obj.state == DomainState.RUNNING
        try:
            await self.stop_cpus(obj, guest, DomainPausedReason.SAVE)
            await save_inside(guest, snapshot)
            try:
                snapshot.cookie = cookie_of(guest, guest.status.domain)
                await self._keep(obj, snapshot, flags)
            except BaseException:
                await delete_inside(guest, snapshot)
                raise
            if flags & Flags.HALT:
                await self._halt(obj)
        finally:
            if ran and not flags & Flags.HALT:
                await self.resume_after_failure(obj, guest, DomainRunningReason.UNPAUSED)
            elif ran and obj.active:
                await self.resume_after_failure(obj, guest)

    async def _halt(self, obj: DomainObject) -> None:
        await self.end_guest(obj, DomainShutoffReason.FROM_SNAPSHOT, DomainEventStoppedDetailType.FROM_SNAPSHOT)

    async def _take_running_outside(
        self, obj: DomainObject, held: Held, snapshot: Snapshot, plan: Plan, flags: Flags
    ) -> None:
        guest = held.guest
        thaw = bool(flags & Flags.QUIESCE) and await self.freeze_guest(obj) > 0
        memory = snapshot.memory is not None and snapshot.memory.snapshot is SnapshotLocation.EXTERNAL
        ran = obj.state == DomainState.RUNNING
        resume = ran and memory and not plan.manual
        written: str | None = None
        done = False
        try:
            if ran and (memory or plan.manual) and not flags & Flags.LIVE:
                await self.stop_cpus(obj, guest, DomainPausedReason.SNAPSHOT)
            if memory:
                assert snapshot.memory is not None
                path = snapshot.memory.file or ""
                existing = await in_thread(os.path.exists, path)
                await self._write_memory(obj, held, snapshot, path, running=resume)
                written = None if existing else path
            await self._switch(obj, held, snapshot, flags)
            await self._keep(obj, snapshot, flags)
            done = True
            if flags & Flags.HALT:
                await self._halt(obj)
        finally:
            if not done and written is not None:
                await in_thread(remove_files, [written])
            if obj.private is guest:
                if resume or (ran and not done):
                    await self.resume_after_failure(obj, guest, DomainRunningReason.UNPAUSED)
                if thaw:
                    await self.thaw_guest(obj)

    async def _write_memory(
        self, obj: DomainObject, held: Held, snapshot: Snapshot, path: str, *, running: bool
    ) -> None:
        job, guest = held
        await check_guest(guest)
        format = SaveFormat.named(self.settings.snapshot_image_format) or SaveFormat.RAW
        program = find_compressor(format, "snapshot")
        assert obj.live is not None
        snapshot.cookie = cookie_of(guest, guest.status.domain)
        xml = self.migratable_xml(obj.live, obj)
        image = SaveImage.make(xml, format_cookie(snapshot.cookie), running=running, format=format)
        guest.pausing = DomainPausedReason.SNAPSHOT  # QEMU stops it where it was to run meanwhile
        try:
            await self.write_image(guest, job, path, image, program, "snapshot job")
        finally:
            guest.pausing = DomainPausedReason.USER
        self.tell_completed(obj, job)

    async def _switch(self, obj: DomainObject, held: Held, snapshot: Snapshot, flags: Flags) -> None:
        """Have a running guest go on in other files, and its definition follow."""
        before = await self.go_on_in(obj, held.guest, snapshot.disks, reuse=bool(flags & Flags.REUSE_EXT))
        held.job.endable = False  # from here on it cannot be undone
        await self.follow_in_definition(obj, before)

    async def go_on_in(
        self, obj: DomainObject, guest: Guest, entries: list[SnapshotDisk], *, reuse: bool
    ) -> list[tuple[SnapshotDisk, Source | None]]:
        """Have a running guest go on in other files; returns what was in its disks before."""
        before = [(entry, disk.source) for entry, disk in external_disks(entries, guest.status.domain)]
        lookup = await self.secrets_for(*(entry.source for entry, _ in before))
        await make_overlays(guest, entries, reuse=reuse, lookup=lookup, tls=self.image_tls)
        obj.touch()
        await self.save(obj, guest)
        return before

    async def follow_in_definition(self, obj: DomainObject, before: list[tuple[SnapshotDisk, Source | None]]) -> None:
        """Put the files that a running guest goes on in into its definition, where that has what was there before."""
        if not obj.persistent:
            return
        async with obj.config_lock:
            definition = self.definition(obj)
            followed = False
            for entry, source in before:
                disk = disk_by_name(disks_of(definition), entry.name)
                if disk is not None and same_place(disk.source, source):
                    put_over(disk, entry, chain=True)
                    followed = True
            if followed:
                await self.save_definition(obj, definition)

    async def _keep(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
        """Write down what is known of a snapshot that was taken."""
        if flags & Flags.NO_METADATA:
            return
        await self._clear_reverted(obj)
        await self._keep_snapshot(obj, snapshot, True, taken=False)
