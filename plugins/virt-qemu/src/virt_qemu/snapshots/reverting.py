"""Returning to snapshots."""

from __future__ import annotations

import os
import time
from copy import deepcopy
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.blockjobs.state import jobs_of
from virt_qemu.guest import Boot, Guest
from virt_qemu.saving.cookie import read_cookie, use_cookie
from virt_qemu.snapshots.internal import load_inside, snapshot_images
from virt_qemu.snapshots.overlays import external_disks, make_overlays_offline, put_over, remove_files
from virt_qemu.snapshots.prepare import check_target
from virt_qemu.snapshots.taking import TakingSnapshots
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason
from virtcore.enums.domain_events import (
    DomainEventDefinedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.enums.domain_more import DomainJobOperation
from virtcore.enums.snapshot import DomainSnapshotRevertFlags as Flags
from virtcore.errors import InternalError, OperationInvalid, OperationUnsupported, SnapshotRevertRisky
from virtcore.model.domain.disk import SnapshotLocation
from virtcore.model.snapshot import Snapshot, SnapshotState
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.saving.image import SaveImage
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.snapshot import SnapshotDisk
    from virtcore.model.storage.source import Source

__all__ = ["RevertingSnapshots"]

_OFF = (SnapshotState.SHUTDOWN, SnapshotState.SHUTOFF, SnapshotState.CRASHED, SnapshotState.DISK_SNAPSHOT)
"""Without memory: to whoever returns there it is as if the power had been cut."""


class _Return(NamedTuple):
    """What a return makes of a domain.

    :ivar config: what runs; None where nothing does.
    :ivar definition: its definition.
    :ivar overlays: files over the images that the snapshot has, where these are not to be written to.
    :ivar memory: the file with its memory, where that is outside.
    """

    config: Domain | None
    definition: Domain
    overlays: Snapshot | None
    memory: tuple[str, SaveImage] | None


class RevertingSnapshots(TakingSnapshots):
    """The part of the driver's state that returns to snapshots."""

    async def revert(self, obj: DomainObject, name: str, flags: int = 0) -> None:
        wanted = Flags(flags)
        if isinstance(obj.private, Guest) and jobs_of(obj.private):
            raise OperationInvalid("domain has active block job")
        async with obj.job.asynchronous("domain_snapshot_revert", DomainJobOperation.SNAPSHOT_REVERT):
            obj.require_known()
            snapshot = self.snapshot(obj, self.snapshots(obj).tree.lookup(name))
            self._check_return(obj, snapshot, wanted)
            if snapshot.is_online:
                await self._return_running(obj, snapshot, wanted)
            elif snapshot.state in _OFF:
                await self._return_off(obj, snapshot, wanted)
            elif snapshot.state is SnapshotState.PMSUSPENDED:
                raise OperationUnsupported("qemu doesn't support reversion of snapshot taken in PMSUSPENDED state")
            else:
                raise InternalError(f"Invalid target domain state '{snapshot.state}'. Refusing snapshot reversion")

    def _check_return(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
        if not obj.persistent and not snapshot.is_online and not flags & (Flags.RUNNING | Flags.PAUSED):
            raise OperationInvalid("transient domain needs to request run or pause to revert to inactive snapshot")
        if snapshot.domain is None:
            raise SnapshotRevertRisky(f"snapshot '{snapshot.name}' lacks domain '{obj.name}' rollback info")
        if obj.managed_save and not snapshot.is_online and not flags & Flags.FORCE:
            raise SnapshotRevertRisky(
                "snapshot without memory state, removal of existing managed saved state strongly recommended to avoid "
                "corruption"
            )

    def _configs(self, obj: DomainObject, snapshot: Snapshot) -> tuple[Domain | None, Domain]:
        """What runs again, and the definition."""
        from virtcore.model.domain import Domain

        assert isinstance(snapshot.domain, Domain)
        config, definition = deepcopy(snapshot.domain), deepcopy(snapshot.inactive_domain or snapshot.domain)
        config.name = definition.name = obj.name
        return config if snapshot.is_online else None, definition

    async def _prepare_return(self, obj: DomainObject, snapshot: Snapshot) -> _Return:
        config, definition = self._configs(obj, snapshot)
        if not snapshot.is_external:
            return _Return(config, definition, None, None)
        domain = config or definition
        overlays = self._overlays(domain, active=config is not None)
        memory = None
        if config is not None and snapshot.memory is not None and snapshot.memory.file is not None:
            from virtcore.model.domain.stability import check_stability

            image, saved = await self.open_image(snapshot.memory.file)
            check_stability(saved, domain)
            memory = snapshot.memory.file, image
        return _Return(config, definition, overlays, memory)

    def _overlays(self, domain: Domain, *, active: bool) -> Snapshot:
        """Files over the images of a domain, named after the time."""
        from virtcore.model.snapshot import align_snapshot_disks

        for number in count(int(time.time())):
            made = Snapshot(name=str(number), domain=domain)
            align_snapshot_disks(made, SnapshotLocation.EXTERNAL, force_default=True)
            if not any(os.path.exists(path) for path in self._paths(made.disks)):
                break  # nobody has returned in this very second
        for entry, disk in external_disks(made.disks, domain):
            check_target(entry, disk, active=active, reuse=False)
        return made

    async def _end_for_return(self, obj: DomainObject) -> None:
        if obj.active:
            persistent, obj.persistent = obj.persistent, True  # a transient domain goes on in what it returns to
            try:
                await self.end_guest(obj, DomainShutoffReason.FROM_SNAPSHOT, DomainEventStoppedDetailType.FROM_SNAPSHOT)
            finally:
                obj.persistent = persistent

    # -- to a guest that ran

    async def _return_running(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
        # What can be refused is refused while the guest runs.
        prepared = await self._prepare_return(obj, snapshot)
        config = prepared.config
        assert config is not None
        await self._end_for_return(obj)
        if obj.persistent:
            async with obj.config_lock:
                await self.save_definition(obj, prepared.definition)
        paused = not flags & Flags.RUNNING and (snapshot.state is SnapshotState.PAUSED or bool(flags & Flags.PAUSED))
        cookie = snapshot.cookie
        if prepared.memory is not None and prepared.memory[1].cookie is not None:
            cookie = read_cookie(prepared.memory[1].cookie)
        original = use_cookie(config, cookie)

        before: list[tuple[SnapshotDisk, Source | None]] = []

        async def load(guest: Guest) -> None:
            if prepared.memory is not None:
                path, image = prepared.memory
                await self.read_state(path, image, guest)
            else:
                await load_inside(guest, snapshot)
            if prepared.overlays is not None:
                before.extend(await self.go_on_in(obj, guest, prepared.overlays.disks, reuse=False))

        how = Boot(
            paused=paused,
            incoming="defer" if prepared.memory is not None else None,
            load=load,
            reset_nvram=bool(flags & Flags.RESET_NVRAM),
            running=DomainRunningReason.FROM_SNAPSHOT,
            stands=DomainPausedReason.FROM_SNAPSHOT,
            original_cpu=original,
        )
        await self._bring_up(obj, config, how)
        await self.follow_in_definition(obj, before)
        await self._returned(obj, snapshot, prepared)

    async def _bring_up(self, obj: DomainObject, config: Domain, how: Boot) -> None:
        await self.bring_up(
            obj,
            config,
            partial(self.boot, obj, how),
            DomainEventStartedDetailType.FROM_SNAPSHOT,
            DomainEventSuspendedDetailType.FROM_SNAPSHOT,
        )
        if how.load is not None and not how.paused:
            self.tell_resumed(obj, how.running)

    # -- to a domain that did not run

    async def _return_off(self, obj: DomainObject, snapshot: Snapshot, flags: Flags) -> None:
        prepared = await self._prepare_return(obj, snapshot)
        definition = prepared.definition
        await self._end_for_return(obj)
        if prepared.overlays is not None:
            await make_overlays_offline(definition, prepared.overlays.disks)
            for entry, disk in list(external_disks(prepared.overlays.disks, definition)):
                below = disk.backing_store
                put_over(disk, entry, chain=below is not None and below.source is not None)
        else:
            await snapshot_images(definition, snapshot, "-a", go_on=True)
        if obj.persistent:
            async with obj.config_lock:
                await self.save_definition(obj, definition)
        if flags & (Flags.RUNNING | Flags.PAUSED):
            how = Boot(
                paused=bool(flags & Flags.PAUSED),
                reset_nvram=bool(flags & Flags.RESET_NVRAM),
                running=DomainRunningReason.FROM_SNAPSHOT,
                stands=DomainPausedReason.FROM_SNAPSHOT,
            )
            await self._bring_up(obj, deepcopy(definition), how)
        await self._returned(obj, snapshot, prepared)

    # -- afterwards

    async def _returned(self, obj: DomainObject, snapshot: Snapshot, prepared: _Return) -> None:
        """The domain follows the snapshot now."""
        job = obj.job.asynchronous_holder
        assert job is not None
        job.endable = False
        keeper = self.snapshots(obj)
        if prepared.overlays is not None:
            await self._forget_images(obj, snapshot.name or "")
            snapshot = self.snapshot(obj, keeper.tree.lookup(snapshot.name or ""))
            if keeper.tree.lookup(snapshot.name or "").children:
                snapshot.revert_disks = prepared.overlays.disks
            else:
                snapshot.disks = prepared.overlays.disks
            await self.keep_again(obj, snapshot)
        await keeper.make_current(keeper.tree.lookup(snapshot.name or ""))
        if obj.persistent:
            self.emit(obj, DomainEventType.DEFINED, DomainEventDefinedDetailType.FROM_SNAPSHOT)

    async def _forget_images(self, obj: DomainObject, name: str) -> None:
        """Remove the images that the domain wrote to until now: nothing leads there any more."""
        current = self.snapshots(obj).tree.current
        if current is None:
            return
        known = self.snapshot(obj, current)
        if known.revert_disks:
            await in_thread(remove_files, self._paths(known.revert_disks))
            known.revert_disks = []
            if current.name != name:
                await self.keep_again(obj, known)
        else:
            await in_thread(remove_files, self._paths(known.disks))
