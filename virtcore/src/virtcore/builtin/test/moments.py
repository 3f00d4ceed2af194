"""Snapshots and checkpoints of guests that do not exist: nothing to save, everything to keep account of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.toolkit.moment_state import MomentState
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import (
    DomainEventResumedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.enums.snapshot import DomainSnapshotCreateFlags, DomainSnapshotRevertFlags
from virtcore.errors import OperationInvalid, OperationUnsupported, SnapshotRevertRisky

if TYPE_CHECKING:
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.enums.checkpoint import DomainCheckpointCreateFlags
    from virtcore.model.checkpoint import Checkpoint
    from virtcore.model.snapshot import Snapshot, SnapshotParse
    from virtcore.types import DomainCheckpointRef, DomainSnapshotRef

__all__ = ["TestMoments"]

#: What any disk has changed since any checkpoint, in bytes.
_CHANGED = 1024


class TestMoments(MomentState):
    """How the test driver takes snapshots and checkpoints, and returns to them."""

    __test__ = False  # no test case, whatever its name

    def snapshot_parse_flags(self, obj: DomainObject, flags: DomainSnapshotCreateFlags) -> SnapshotParse:
        from virtcore.model.snapshot import SnapshotParse

        return SnapshotParse.NONE

    async def create_snapshot(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainSnapshotRef:
        if obj.checkpoints:
            raise OperationUnsupported("cannot create snapshot while checkpoint exists")
        return await super().create_snapshot(obj, xml, flags)

    async def take_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotCreateFlags) -> None:
        if flags & DomainSnapshotCreateFlags.HALT and obj.active:
            await self._halt(obj)

    async def discard_snapshot(self, obj: DomainObject, snapshot: Snapshot) -> None:
        """There is nothing behind it."""

    async def create_checkpoint(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainCheckpointRef:
        if obj.snapshots:
            raise OperationUnsupported("cannot create checkpoint while snapshot exists")
        if not obj.active:
            raise OperationUnsupported("cannot create checkpoint for inactive domain")
        return await super().create_checkpoint(obj, xml, flags)

    async def take_checkpoint(
        self, obj: DomainObject, checkpoint: Checkpoint, flags: DomainCheckpointCreateFlags
    ) -> None:
        """There is nothing to record."""

    async def discard_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        """There is nothing behind it."""

    async def measure_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        from virtcore.model.checkpoint import CheckpointType

        for disk in checkpoint.disks:
            if disk.type is CheckpointType.BITMAP:
                disk.size = _CHANGED

    # -- returning

    async def revert_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotRevertFlags) -> None:
        from virtcore.model.domain import Domain
        from virtcore.model.snapshot import SnapshotState

        known = DomainSnapshotRevertFlags
        asked = flags & (known.RUNNING | known.PAUSED)
        if not obj.persistent and not snapshot.is_online and not asked:
            raise OperationInvalid("transient domain needs to request run or pause to revert to inactive snapshot")
        config = snapshot.domain if isinstance(snapshot.domain, Domain) else None
        if not flags & known.FORCE:
            if config is None:
                raise SnapshotRevertRisky(f"snapshot '{snapshot.name}' lacks domain '{obj.name}' rollback info")
            if obj.active and not snapshot.is_online and asked:
                raise SnapshotRevertRisky("must respawn guest to start inactive snapshot")
        if obj.active and not snapshot.is_online and obj.persistent:
            await self._halt(obj)
        if config is not None and obj.persistent:
            self.take_definition(obj, config)
        if not snapshot.is_online and not asked:
            return
        paused = not flags & known.RUNNING and bool(asked & known.PAUSED or snapshot.state is SnapshotState.PAUSED)
        if not obj.active:
            self.activate(obj, self.definition(obj))
            self.running(obj, DomainRunningReason.FROM_SNAPSHOT)
            self.emit(obj, DomainEventType.STARTED, DomainEventStartedDetailType.FROM_SNAPSHOT)
        if paused and obj.state != DomainState.PAUSED:
            self.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.FROM_SNAPSHOT)
        elif not paused and obj.state == DomainState.PAUSED:
            self.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.FROM_SNAPSHOT)
        if paused:
            self.set_state(obj, DomainState.PAUSED, DomainPausedReason.FROM_SNAPSHOT)
        else:
            self.running(obj, DomainRunningReason.FROM_SNAPSHOT)

    async def _halt(self, obj: DomainObject) -> None:
        await self.stopped(obj, DomainShutoffReason.FROM_SNAPSHOT, DomainEventStoppedDetailType.FROM_SNAPSHOT)
