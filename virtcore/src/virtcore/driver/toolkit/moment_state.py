"""State of a driver whose domains have snapshots and checkpoints: who has which, and how they come and go."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.moments import MomentNode, MomentTree
from virtcore.driver.toolkit.snapshots import CheckpointKeeper, SnapshotKeeper, checkpoint_facts, snapshot_facts
from virtcore.driver.toolkit.state import DriverState
from virtcore.enums.checkpoint import DomainCheckpointCreateFlags, DomainCheckpointDeleteFlags
from virtcore.enums.domain import DomainState, DomainUndefineFlags
from virtcore.enums.snapshot import DomainSnapshotCreateFlags, DomainSnapshotDeleteFlags, DomainSnapshotRevertFlags
from virtcore.errors import InternalError, NoSupport, OperationFailed, OperationInvalid
from virtcore.types import DomainCheckpointRef, DomainSnapshotRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.driver.toolkit.snapshots import MomentKeeper
    from virtcore.enums.domain import DomainShutoffReason
    from virtcore.enums.domain_events import DomainEventStoppedDetailType
    from virtcore.model.checkpoint import Checkpoint
    from virtcore.model.domain import Domain
    from virtcore.model.snapshot import Snapshot, SnapshotContext, SnapshotParse, SnapshotRules

__all__ = ["MomentState"]


class MomentState(DriverState):
    """Base of a driver's state with snapshots and checkpoints.

    A driver fills in the hooks that do the work on images and guests; what is known of the results is kept here.
    """

    # -- hooks

    def make_snapshot_rules(self) -> SnapshotRules:
        """Hook: what completes snapshot documents; by default the rules of no driver in particular."""
        from virtcore.model.snapshot import SnapshotRules

        return SnapshotRules()

    def snapshot_parse_flags(self, obj: DomainObject, flags: DomainSnapshotCreateFlags) -> SnapshotParse:
        """Hook: how the document of a new snapshot is read: without memory where only disks are saved or none runs."""
        from virtcore.model.snapshot import SnapshotParse

        offline = flags & DomainSnapshotCreateFlags.DISK_ONLY or not obj.active
        return SnapshotParse.OFFLINE if offline else SnapshotParse.NONE

    async def take_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotCreateFlags) -> None:
        """Hook: take it: save what ``snapshot`` says. Called with the job held; raising means there is none."""
        raise NoSupport("virDomainSnapshotCreateXML")

    async def revert_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotRevertFlags) -> None:
        """Hook: take the domain back. Called with the job held; it is the current one when this returns."""
        raise NoSupport("virDomainRevertToSnapshot")

    async def discard_snapshot(self, obj: DomainObject, snapshot: Snapshot) -> None:
        """Hook: remove what was saved. Called with the job held, for leaves first."""
        raise NoSupport("virDomainSnapshotDelete")

    async def take_checkpoint(
        self, obj: DomainObject, checkpoint: Checkpoint, flags: DomainCheckpointCreateFlags
    ) -> None:
        """Hook: begin to record. Called with the job held; raising means there is none."""
        raise NoSupport("virDomainCheckpointCreateXML")

    async def check_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        """Hook: refuse a checkpoint that is said anew and of which nothing is recorded."""
        raise NoSupport("virDomainCheckpointCreateXML")

    async def discard_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        """Hook: give up what was recorded; what comes after it must go on to make sense."""
        raise NoSupport("virDomainCheckpointDelete")

    async def measure_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        """Hook: put into its disks how much has changed since. Called with the job held."""
        raise NoSupport("virDomainCheckpointGetXMLDesc")

    # -- who has which

    def snapshots(self, obj: DomainObject) -> SnapshotKeeper:
        """The snapshots of a domain."""
        keeper = self._snapshots.get(obj.uuid)
        if keeper is None:
            keeper = self._snapshots[obj.uuid] = SnapshotKeeper(obj.uuid, *self._place("snapshots", obj))
        return keeper

    def checkpoints(self, obj: DomainObject) -> CheckpointKeeper:
        """The checkpoints of a domain."""
        keeper = self._checkpoints.get(obj.uuid)
        if keeper is None:
            keeper = self._checkpoints[obj.uuid] = CheckpointKeeper(obj.uuid, *self._place("checkpoints", obj))
        return keeper

    def _place(self, kind: str, obj: DomainObject) -> tuple[Path, DiskWorker] | tuple[()]:
        return () if self.folders is None else (self.folders.lib / kind / obj.uuid, self.disk)

    @cached_property
    def _snapshots(self) -> dict[str, SnapshotKeeper]:
        return {}

    @cached_property
    def _checkpoints(self) -> dict[str, CheckpointKeeper]:
        return {}

    async def open(self) -> None:
        await super().open()
        try:
            for kind in ("snapshots", "checkpoints"):
                for obj in await self._owners(kind):
                    keeper: MomentKeeper = self.snapshots(obj) if kind == "snapshots" else self.checkpoints(obj)
                    await keeper.open()
                    self._count(obj)
        except BaseException:
            await self.close()
            raise

    async def _owners(self, kind: str) -> list[DomainObject]:
        """The known domains that have any."""
        if self.folders is None:
            return []
        folder = self.folders.lib / kind
        names = await self.disk.run(lambda: {path.name for path in folder.iterdir()} if folder.is_dir() else set())
        return [obj for obj in self.domains if obj.uuid in names]

    def _count(self, obj: DomainObject) -> None:
        obj.snapshots = len(self.snapshots(obj).tree)
        obj.checkpoints = len(self.checkpoints(obj).tree)

    async def forget_moments(self, obj: DomainObject, snapshots: bool = True, checkpoints: bool = True) -> None:
        """Remove what is known of them; what was saved stays."""
        if not obj.snapshots and not obj.checkpoints:
            return
        if snapshots and obj.snapshots:
            await self.snapshots(obj).clear()
        if checkpoints and obj.checkpoints:
            await self.checkpoints(obj).clear()
        self._count(obj)

    async def before_undefine(self, obj: DomainObject, flags: DomainUndefineFlags) -> None:
        await super().before_undefine(obj, flags)
        if not obj.active and (obj.snapshots or obj.checkpoints):
            await self.forget_moments(
                obj,
                bool(flags & DomainUndefineFlags.SNAPSHOTS_METADATA),
                bool(flags & DomainUndefineFlags.CHECKPOINTS_METADATA),
            )

    async def stopped(
        self, obj: DomainObject, reason: DomainShutoffReason, detail: DomainEventStoppedDetailType
    ) -> None:
        await super().stopped(obj, reason, detail)
        if obj.removed:  # it was transient
            await self.forget_moments(obj)

    # -- snapshots

    @cached_property
    def snapshot_rules(self) -> SnapshotRules:
        """What completes snapshot documents (:meth:`make_snapshot_rules`, once)."""
        return self.make_snapshot_rules()

    def _snapshot_context(self, flags: SnapshotParse) -> SnapshotContext:
        from virtcore.model.domain.rules import ParseFlag
        from virtcore.model.snapshot import SnapshotContext

        return SnapshotContext(
            flags=flags,
            domains=self.rules,
            domain_context=lambda: self.context(ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE),
            now=lambda: int(time.time()),
        )

    def snapshot(self, obj: DomainObject, node: MomentNode) -> Snapshot:
        """A kept snapshot as an object of the caller's own."""
        from virtcore.model.snapshot import SnapshotParse, load_snapshot

        context = self._snapshot_context(SnapshotParse.REDEFINE)
        return load_snapshot(self.snapshots(obj).text(node), self.snapshot_rules, context)

    async def add_snapshots(self, obj: DomainObject, documents: list[str]) -> None:
        """Take over snapshots that exist, from the driver's own files about them, in any order.

        :raises InternalError: two are the current one, or their parents make no tree.
        """
        from virtcore.model.snapshot import SnapshotParse, format_snapshot, load_snapshot

        keeper = self.snapshots(obj)
        context = self._snapshot_context(SnapshotParse.REDEFINE | SnapshotParse.INTERNAL)
        nodes: dict[str, MomentNode] = {}
        current: str | None = None
        for document in documents:
            snapshot = load_snapshot(document, self.snapshot_rules, context)
            assert snapshot.name is not None
            if snapshot.name in nodes:
                raise OperationFailed(f"domain moment {snapshot.name} already exists")
            if snapshot.active and current is not None:
                raise InternalError("more than one snapshot claims to be active")
            if snapshot.active:
                current = snapshot.name
            text = format_snapshot(snapshot, domain_uuid=obj.uuid)
            nodes[snapshot.name] = MomentNode(snapshot.name, snapshot_facts(snapshot), text)
        order = MomentTree(keeper.kind)
        if not order.fill(nodes.values()):
            raise InternalError(f"Snapshots have inconsistent relations for domain {obj.name}")
        for node in order.descendants():  # parents first
            await keeper.save(node.name, node.facts, node.text or "", current=node.name == current)
        self._count(obj)

    def copy_of_config(self, obj: DomainObject) -> Domain:
        """The configuration that counts now, as a definition."""
        from virtcore.model.domain.rules import ParseFlag

        if not obj.active:
            return self.definition(obj)
        assert obj.live is not None
        text = self.migratable_xml(obj.live, obj)
        return self.load(text, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)

    async def create_snapshot(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainSnapshotRef:
        """Take a snapshot, or redefine one; returns when what is known of it is on disk.

        :raises VirtError: the document is refused, or it cannot be taken; nothing has changed.
        """
        from virtcore.model.snapshot import SnapshotParse, load_snapshot

        wanted = DomainSnapshotCreateFlags(flags)
        async with obj.job.modify("domain_create_snapshot"):
            if wanted & DomainSnapshotCreateFlags.HALT and not obj.persistent:
                raise OperationInvalid("cannot halt after transient domain snapshot")
            redefine = bool(wanted & DomainSnapshotCreateFlags.REDEFINE)
            how = SnapshotParse.REDEFINE if redefine else self.snapshot_parse_flags(obj, wanted)
            if wanted & DomainSnapshotCreateFlags.VALIDATE:
                how |= SnapshotParse.VALIDATE
            snapshot = load_snapshot(xml, self.snapshot_rules, self._snapshot_context(how))
            if redefine:
                self._settle_redefined(obj, snapshot, wanted)
                current = bool(wanted & DomainSnapshotCreateFlags.CURRENT)
            else:
                self._settle_new(obj, snapshot, wanted)
                current = True
                await self.take_snapshot(obj, snapshot, wanted)
            if not wanted & DomainSnapshotCreateFlags.NO_METADATA:
                await self._keep_snapshot(obj, snapshot, current, taken=not redefine)
            assert snapshot.name is not None  # by the user or by the clock
            return DomainSnapshotRef(obj.ref, snapshot.name)

    async def _keep_snapshot(self, obj: DomainObject, snapshot: Snapshot, current: bool, taken: bool) -> None:
        from virtcore.model.snapshot import format_snapshot

        assert snapshot.name is not None
        text = format_snapshot(snapshot, domain_uuid=obj.uuid)
        try:
            await self.snapshots(obj).save(snapshot.name, snapshot_facts(snapshot), text, current=current)
        except BaseException:
            if taken:  # nobody would know of it
                await self.discard_snapshot(obj, snapshot)
            raise
        finally:
            self._count(obj)

    def _settle_new(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotCreateFlags) -> None:
        """What a new snapshot comprises."""
        from virtcore.model.domain.disk import SnapshotLocation
        from virtcore.model.snapshot import SnapshotMemory, SnapshotState, align_snapshot_disks

        tree = self.snapshots(obj).tree
        assert snapshot.name is not None
        tree.check_new(snapshot.name)
        snapshot.parent = tree.current.name if tree.current is not None else None
        snapshot.domain = self.copy_of_config(obj)
        snapshot.state = list(SnapshotState)[int(obj.state)]
        external = snapshot.memory is not None and snapshot.memory.snapshot is SnapshotLocation.EXTERNAL
        if flags & DomainSnapshotCreateFlags.DISK_ONLY:
            snapshot.state = SnapshotState.DISK_SNAPSHOT if obj.active else SnapshotState.SHUTOFF
            snapshot.memory = SnapshotMemory(snapshot=SnapshotLocation.NO)
            external = True
        elif not external:
            saved = SnapshotLocation.INTERNAL if obj.state != DomainState.SHUTOFF else SnapshotLocation.NO
            snapshot.memory = SnapshotMemory(snapshot=saved)
        align_snapshot_disks(
            snapshot,
            SnapshotLocation.EXTERNAL if external else SnapshotLocation.INTERNAL,
            uniform_internal=True,
        )

    def _settle_redefined(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotCreateFlags) -> None:
        """What is said anew of a snapshot that exists (``virDomainSnapshotRedefinePrep``)."""
        from virtcore.model.domain import Domain
        from virtcore.model.domain.disk import SnapshotLocation
        from virtcore.model.snapshot import SnapshotState, align_snapshot_disks, check_redefined_snapshot

        tree = self.snapshots(obj).tree
        assert snapshot.name is not None
        tree.check_parent(snapshot.name, snapshot.parent)
        node = tree.get(snapshot.name)
        other = None if node is None else self.snapshot(obj, node)
        disk_only = bool(flags & DomainSnapshotCreateFlags.DISK_ONLY)
        check_redefined_snapshot(snapshot, obj.uuid, other, disk_only=disk_only)
        known = other.domain if other is not None and isinstance(other.domain, Domain) else None
        external = snapshot.state is SnapshotState.DISK_SNAPSHOT or snapshot.is_external
        align_snapshot_disks(
            snapshot,
            SnapshotLocation.EXTERNAL if external else SnapshotLocation.INTERNAL,
            domain=known,
            uniform_internal=True,
        )
        if snapshot.domain is None:
            snapshot.domain = known

    async def delete_snapshot(self, obj: DomainObject, name: str, flags: int = 0) -> None:
        """Remove a snapshot, its descendants with it or alone; returns when that is durable."""
        wanted = DomainSnapshotDeleteFlags(flags)
        keeper = self.snapshots(obj)

        async def discard(node: MomentNode) -> None:
            await self.discard_snapshot(obj, self.snapshot(obj, node))

        async with obj.job.modify("domain_snapshot_delete"):
            try:
                await keeper.delete(
                    keeper.tree.lookup(name),
                    children=bool(wanted & DomainSnapshotDeleteFlags.CHILDREN),
                    children_only=bool(wanted & DomainSnapshotDeleteFlags.CHILDREN_ONLY),
                    discard=None if wanted & DomainSnapshotDeleteFlags.METADATA_ONLY else discard,
                )
            finally:
                self._count(obj)

    async def revert(self, obj: DomainObject, name: str, flags: int = 0) -> None:
        """Take the domain back to a snapshot."""
        keeper = self.snapshots(obj)
        async with obj.job.modify("domain_snapshot_revert"):
            node = keeper.tree.lookup(name)
            await self.revert_snapshot(obj, self.snapshot(obj, node), DomainSnapshotRevertFlags(flags))
            await keeper.make_current(node)

    # -- checkpoints

    async def create_checkpoint(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainCheckpointRef:
        """Make a checkpoint, or redefine one; returns when what is known of it is on disk.

        :raises VirtError: the document is refused, or it cannot be made; nothing has changed.
        """
        wanted = DomainCheckpointCreateFlags(flags)
        redefine = bool(wanted & DomainCheckpointCreateFlags.REDEFINE)
        async with obj.job.modify("domain_create_checkpoint"):
            checkpoint, current = self.settle_checkpoint(obj, xml, redefine=redefine)
            assert checkpoint.name is not None
            if not redefine:
                await self.take_checkpoint(obj, checkpoint, wanted)
            elif wanted & DomainCheckpointCreateFlags.REDEFINE_VALIDATE:
                await self.check_checkpoint(obj, checkpoint)
            try:
                await self.keep_checkpoint(obj, checkpoint, current=current)
            except BaseException:
                if not redefine:  # nobody would know of it
                    await self.discard_checkpoint(obj, checkpoint)
                raise
            return DomainCheckpointRef(obj.ref, checkpoint.name)

    def settle_checkpoint(self, obj: DomainObject, xml: str, *, redefine: bool = False) -> tuple[Checkpoint, bool]:
        """What a checkpoint comprises that is to be made, or said anew; and whether it is the current one then.

        :raises VirtError: the document is refused.
        """
        from virtcore.model.checkpoint import (
            CheckpointContext,
            align_checkpoint_disks,
            check_redefined_checkpoint,
            load_checkpoint,
        )
        from virtcore.model.domain.rules import ParseFlag

        context = CheckpointContext(
            redefine=redefine,
            domains=self.rules,
            domain_context=lambda: self.context(ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE),
            now=lambda: int(time.time()),
        )
        checkpoint = load_checkpoint(xml, context=context)
        assert checkpoint.name is not None
        tree = self.checkpoints(obj).tree
        now = tree.current
        if redefine:
            tree.check_parent(checkpoint.name, checkpoint.parent)
            check_redefined_checkpoint(checkpoint, obj.uuid)
            # The first one, and what follows the current one, is current.
            return checkpoint, now is None or checkpoint.parent == now.name
        tree.check_new(checkpoint.name)
        checkpoint.domain = self.copy_of_config(obj)
        align_checkpoint_disks(checkpoint)
        checkpoint.parent = None if now is None else now.name
        return checkpoint, True

    async def keep_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint, *, current: bool = True) -> None:
        """Write down a checkpoint that was made; returns when that is durable."""
        from virtcore.model.checkpoint import format_checkpoint

        assert checkpoint.name is not None
        try:
            text = format_checkpoint(checkpoint)
            await self.checkpoints(obj).save(checkpoint.name, checkpoint_facts(checkpoint), text, current=current)
        finally:
            self._count(obj)

    async def delete_checkpoint(self, obj: DomainObject, name: str, flags: int = 0) -> None:
        """Remove a checkpoint, its descendants with it or alone; returns when that is durable."""
        wanted = DomainCheckpointDeleteFlags(flags)
        keeper = self.checkpoints(obj)

        async def discard(node: MomentNode) -> None:
            await self.discard_checkpoint(obj, keeper.parsed(keeper.text(node)))

        async with obj.job.modify("domain_checkpoint_delete"):
            try:
                await keeper.delete(
                    keeper.tree.lookup(name),
                    children=bool(wanted & DomainCheckpointDeleteFlags.CHILDREN),
                    children_only=bool(wanted & DomainCheckpointDeleteFlags.CHILDREN_ONLY),
                    discard=None if wanted & DomainCheckpointDeleteFlags.METADATA_ONLY else discard,
                )
            finally:
                self._count(obj)

    async def checkpoint_text(self, obj: DomainObject, name: str, secure: bool, domain: bool, size: bool) -> str:
        """A checkpoint's document as a user gets it.

        :param secure: secrets included.
        :param domain: with the domain inside.
        :param size: with how much has changed since; of a running domain.
        """
        keeper = self.checkpoints(obj)
        node = keeper.tree.lookup(name)
        if not size:
            return keeper.shown(node, secure, domain)
        from virtcore.model.checkpoint import format_checkpoint

        obj.require_active()
        checkpoint = keeper.parsed(keeper.text(node))
        async with obj.job.modify("domain_checkpoint_xml"):
            await self.measure_checkpoint(obj, checkpoint)
        return format_checkpoint(checkpoint, secure=secure, domain=domain, size=True)
