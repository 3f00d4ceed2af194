"""The operations on snapshots and checkpoints, the same for every driver over a :class:`MomentState`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from virtcore.driver.toolkit.arguments import refuse_both, require_with
from virtcore.driver.toolkit.moment_state import MomentState
from virtcore.driver.toolkit.moments import CHECKPOINTS, SNAPSHOTS
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.checkpoint import (
    DomainCheckpointCreateFlags,
    DomainCheckpointDeleteFlags,
    DomainCheckpointListFlags,
    DomainCheckpointXMLFlags,
)
from virtcore.enums.snapshot import (
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainSnapshotListFlags,
    DomainSnapshotRevertFlags,
    DomainSnapshotXMLFlags,
)
from virtcore.operations.declare import inline
from virtcore.types import DomainCheckpointRef, DomainRef, DomainSnapshotRef

if TYPE_CHECKING:
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.driver.toolkit.moments import MomentNode

__all__ = ["MomentDriver"]

M = TypeVar("M", bound=MomentState)


def _flag(member: DomainSnapshotCreateFlags | DomainSnapshotRevertFlags, prefix: str) -> tuple[str, int]:
    return f"VIR_DOMAIN_SNAPSHOT_{prefix}_{member.name}", int(member)


_CURRENT, _REDEFINE, _NO_METADATA, _HALT, _QUIESCE, _DISK_ONLY, _LIVE = (
    _flag(DomainSnapshotCreateFlags[name], "CREATE")
    for name in ("CURRENT", "REDEFINE", "NO_METADATA", "HALT", "QUIESCE", "DISK_ONLY", "LIVE")
)
_REVERT_RUNNING, _REVERT_PAUSED = (_flag(DomainSnapshotRevertFlags[name], "REVERT") for name in ("RUNNING", "PAUSED"))


class MomentDriver(StatefulDriver[M]):
    """Base of drivers whose domains have snapshots and checkpoints."""

    #: Flags of the changes that the driver understands.
    snapshot_create_flags: ClassVar[int] = int(
        DomainSnapshotCreateFlags.REDEFINE | DomainSnapshotCreateFlags.CURRENT | DomainSnapshotCreateFlags.VALIDATE
    )
    snapshot_revert_flags: ClassVar[int] = int(
        DomainSnapshotRevertFlags.RUNNING | DomainSnapshotRevertFlags.PAUSED | DomainSnapshotRevertFlags.FORCE
    )
    snapshot_delete_flags: ClassVar[int] = sum(DomainSnapshotDeleteFlags)
    checkpoint_create_flags: ClassVar[int] = int(DomainCheckpointCreateFlags.REDEFINE)
    checkpoint_delete_flags: ClassVar[int] = sum(DomainCheckpointDeleteFlags)

    # -- snapshots of a domain

    async def domain_create_snapshot(
        self, domain: DomainRef, xml: str, flags: DomainSnapshotCreateFlags | int = 0
    ) -> DomainSnapshotRef:
        flags = int(flags)
        require_with(flags, _CURRENT, _REDEFINE)
        refuse_both(flags, _REDEFINE, _NO_METADATA)
        refuse_both(flags, _REDEFINE, _HALT)
        self.check_flags(flags, self.snapshot_create_flags, "domain_create_snapshot")
        require_with(flags, _QUIESCE, _DISK_ONLY)
        refuse_both(flags, _LIVE, _REDEFINE)
        return await self.state.create_snapshot(self.domain(domain), xml, int(flags))

    @inline
    def domain_list_snapshots(
        self, domain: DomainRef, flags: DomainSnapshotListFlags | int = 0
    ) -> list[DomainSnapshotRef]:
        self.check_flags(flags, SNAPSHOTS.list_flags, "domain_list_snapshots")
        obj = self.domain(domain)
        nodes = self.state.snapshots(obj).tree.select(int(flags))
        return [DomainSnapshotRef(obj.ref, node.name) for node in nodes]

    @inline
    def domain_lookup_snapshot(self, domain: DomainRef, name: str, flags: int = 0) -> DomainSnapshotRef:
        self.check_flags(flags, 0, "domain_lookup_snapshot")
        obj = self.domain(domain)
        return DomainSnapshotRef(obj.ref, self.state.snapshots(obj).tree.lookup(name).name)

    @inline
    def domain_has_current_snapshot(self, domain: DomainRef, flags: int = 0) -> bool:
        self.check_flags(flags, 0, "domain_has_current_snapshot")
        return self.state.snapshots(self.domain(domain)).tree.current is not None

    @inline
    def domain_current_snapshot(self, domain: DomainRef, flags: int = 0) -> DomainSnapshotRef:
        self.check_flags(flags, 0, "domain_current_snapshot")
        obj = self.domain(domain)
        return DomainSnapshotRef(obj.ref, self.state.snapshots(obj).tree.require_current().name)

    # -- one snapshot

    def _snapshot(self, snapshot: DomainSnapshotRef) -> tuple[DomainObject, MomentNode]:
        obj = self.domain(snapshot.domain)
        return obj, self.state.snapshots(obj).tree.lookup(snapshot.name)

    async def domain_snapshot_xml(self, snapshot: DomainSnapshotRef, flags: DomainSnapshotXMLFlags | int = 0) -> str:
        self.check_flags(flags, DomainSnapshotXMLFlags.SECURE, "domain_snapshot_xml")
        obj, node = self._snapshot(snapshot)
        return self.state.snapshots(obj).shown(node, bool(int(flags) & DomainSnapshotXMLFlags.SECURE))

    @inline
    def domain_snapshot_parent(self, snapshot: DomainSnapshotRef, flags: int = 0) -> DomainSnapshotRef:
        self.check_flags(flags, 0, "domain_snapshot_parent")
        obj, node = self._snapshot(snapshot)
        return DomainSnapshotRef(obj.ref, self.state.snapshots(obj).tree.parent(node).name)

    @inline
    def domain_snapshot_list_children(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotListFlags | int = 0
    ) -> list[DomainSnapshotRef]:
        self.check_flags(flags, SNAPSHOTS.list_flags, "domain_snapshot_list_children")
        obj, node = self._snapshot(snapshot)
        nodes = self.state.snapshots(obj).tree.select(int(flags), node)
        return [DomainSnapshotRef(obj.ref, found.name) for found in nodes]

    @inline
    def domain_snapshot_is_current(self, snapshot: DomainSnapshotRef, flags: int = 0) -> bool:
        self.check_flags(flags, 0, "domain_snapshot_is_current")
        obj, node = self._snapshot(snapshot)
        return self.state.snapshots(obj).tree.current is node

    @inline
    def domain_snapshot_has_metadata(self, snapshot: DomainSnapshotRef, flags: int = 0) -> bool:
        self.check_flags(flags, 0, "domain_snapshot_has_metadata")
        self._snapshot(snapshot)
        return True  # none is known otherwise

    async def domain_snapshot_revert(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotRevertFlags | int = 0
    ) -> None:
        refuse_both(int(flags), _REVERT_RUNNING, _REVERT_PAUSED)
        self.check_flags(flags, self.snapshot_revert_flags, "domain_snapshot_revert")
        await self.state.revert(self.domain(snapshot.domain), snapshot.name, int(flags))

    async def domain_snapshot_delete(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotDeleteFlags | int = 0
    ) -> None:
        self.check_flags(flags, self.snapshot_delete_flags, "domain_snapshot_delete")
        await self.state.delete_snapshot(self.domain(snapshot.domain), snapshot.name, int(flags))

    # -- checkpoints of a domain

    async def domain_create_checkpoint(
        self, domain: DomainRef, xml: str, flags: DomainCheckpointCreateFlags | int = 0
    ) -> DomainCheckpointRef:
        self.check_flags(flags, self.checkpoint_create_flags, "domain_create_checkpoint")
        return await self.state.create_checkpoint(self.domain(domain), xml, int(flags))

    @inline
    def domain_list_checkpoints(
        self, domain: DomainRef, flags: DomainCheckpointListFlags | int = 0
    ) -> list[DomainCheckpointRef]:
        self.check_flags(flags, CHECKPOINTS.list_flags, "domain_list_checkpoints")
        obj = self.domain(domain)
        nodes = self.state.checkpoints(obj).tree.select(int(flags))
        return [DomainCheckpointRef(obj.ref, node.name) for node in nodes]

    @inline
    def domain_lookup_checkpoint(self, domain: DomainRef, name: str, flags: int = 0) -> DomainCheckpointRef:
        self.check_flags(flags, 0, "domain_lookup_checkpoint")
        obj = self.domain(domain)
        return DomainCheckpointRef(obj.ref, self.state.checkpoints(obj).tree.lookup(name).name)

    # -- one checkpoint

    def _checkpoint(self, checkpoint: DomainCheckpointRef) -> tuple[DomainObject, MomentNode]:
        obj = self.domain(checkpoint.domain)
        return obj, self.state.checkpoints(obj).tree.lookup(checkpoint.name)

    async def domain_checkpoint_xml(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointXMLFlags | int = 0
    ) -> str:
        known = DomainCheckpointXMLFlags
        self.check_flags(flags, sum(known), "domain_checkpoint_xml")
        return await self.state.checkpoint_text(
            self.domain(checkpoint.domain),
            checkpoint.name,
            secure=bool(int(flags) & known.SECURE),
            domain=not int(flags) & known.NO_DOMAIN,
            size=bool(int(flags) & known.SIZE),
        )

    @inline
    def domain_checkpoint_parent(self, checkpoint: DomainCheckpointRef, flags: int = 0) -> DomainCheckpointRef:
        self.check_flags(flags, 0, "domain_checkpoint_parent")
        obj, node = self._checkpoint(checkpoint)
        return DomainCheckpointRef(obj.ref, self.state.checkpoints(obj).tree.parent(node).name)

    @inline
    def domain_checkpoint_list_children(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointListFlags | int = 0
    ) -> list[DomainCheckpointRef]:
        self.check_flags(flags, CHECKPOINTS.list_flags, "domain_checkpoint_list_children")
        obj, node = self._checkpoint(checkpoint)
        nodes = self.state.checkpoints(obj).tree.select(int(flags), node)
        return [DomainCheckpointRef(obj.ref, found.name) for found in nodes]

    async def domain_checkpoint_delete(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointDeleteFlags | int = 0
    ) -> None:
        self.check_flags(flags, self.checkpoint_delete_flags, "domain_checkpoint_delete")
        await self.state.delete_checkpoint(self.domain(checkpoint.domain), checkpoint.name, int(flags))
