"""Removing snapshots: inside images, or by merging the files that go on from them into those before."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from virt_qemu.block.chain import format_of, images_of
from virt_qemu.blockjobs.commit import begin_commit
from virt_qemu.blockjobs.concluding import same_place
from virt_qemu.blockjobs.ending import begin_pivot, cancel_job
from virt_qemu.blockjobs.state import BlockJobState, find_job, jobs_of
from virt_qemu.guest import Boot, Guest, guest_of
from virt_qemu.programs import find_qemu_img, run_program
from virt_qemu.snapshots.internal import delete_inside, snapshot_images
from virt_qemu.snapshots.overlays import external_disks, remove_files
from virt_qemu.snapshots.reverting import RevertingSnapshots
from virtcore.enums.domain import DomainShutoffReason
from virtcore.enums.domain_more import DomainBlockCommitFlags, DomainJobOperation
from virtcore.enums.snapshot import DomainSnapshotDeleteFlags as Flags
from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    VirtError,
)
from virtcore.model.domain.disk import SnapshotLocation
from virtcore.model.moment import disk_by_name, disks_of
from virtcore.model.storage.location import source_path
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block_jobs import BlockJob
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.moments import MomentNode
    from virtcore.driver.toolkit.snapshots import SnapshotKeeper
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.snapshot import Snapshot, SnapshotDisk

__all__ = ["DeletingSnapshots"]

log = logging.getLogger(__name__)

_Discard: TypeAlias = "Callable[[MomentNode], Awaitable[None]]"


class _Merge(NamedTuple):
    """A file of a snapshot that is merged into the one before.

    :ivar disk: the guest's disk.
    :ivar entry: how the disk took part.
    :ivar before: the snapshot before that the disk took part in.
    """

    disk: Disk
    entry: SnapshotDisk
    before: Snapshot | None


class DeletingSnapshots(RevertingSnapshots, BlockJobState):
    """The part of the driver's state that removes snapshots."""

    async def delete_snapshot(self, obj: DomainObject, name: str, flags: int = 0) -> None:
        wanted = Flags(flags)
        keeper = self.snapshots(obj)
        below = bool(wanted & (Flags.CHILDREN | Flags.CHILDREN_ONLY))
        async with self._deleting(obj, flags):
            node = keeper.tree.lookup(name)
            try:
                if wanted & Flags.METADATA_ONLY:
                    await self._drop(keeper, node, wanted)
                    return
                snapshot = self.snapshot(obj, node)
                self._check_delete(obj, node, snapshot, wanted)
                if below or not snapshot.is_external:
                    await self._drop(keeper, node, wanted, self._discarding(obj))
                else:
                    await self._delete_outside(obj, node, snapshot)
                    await self._mend_descendants(obj, node, snapshot)
                    await self._drop(keeper, node, wanted)
            finally:
                self._count(obj)

    @asynccontextmanager
    async def _deleting(self, obj: DomainObject, flags: int) -> AsyncIterator[None]:
        if obj.active:
            does = DomainJobOperation.SNAPSHOT_DELETE
            async with self.long_job(obj, "domain_snapshot_delete", does, flags):
                yield
        else:
            async with obj.job.modify("domain_snapshot_delete", endable=False):
                obj.require_known()
                yield

    async def _drop(
        self, keeper: SnapshotKeeper, node: MomentNode, flags: Flags, discard: _Discard | None = None
    ) -> None:
        """Remove what is known of a snapshot, and what is behind it where ``discard`` says how."""
        parent = None if flags & Flags.CHILDREN_ONLY else keeper.tree.get(node.parent)
        await keeper.delete(
            node,
            children=bool(flags & Flags.CHILDREN),
            children_only=bool(flags & Flags.CHILDREN_ONLY),
            discard=discard,
        )
        if parent is not None:
            await self._take_reverted(keeper, parent)

    async def _take_reverted(self, keeper: SnapshotKeeper, parent: MomentNode) -> None:
        """What was made when the parent was returned to is how it goes on, now that nothing else follows it."""
        from virtcore.driver.toolkit.snapshots import snapshot_facts
        from virtcore.model.snapshot import format_snapshot

        obj = self.domains.by_uuid(keeper.domain_uuid)
        snapshot = self.snapshot(obj, parent)
        if snapshot.revert_disks:
            snapshot.disks, snapshot.revert_disks = snapshot.revert_disks, []
            text = format_snapshot(snapshot, domain_uuid=obj.uuid)
            await keeper.save(parent.name, snapshot_facts(snapshot), text)

    def _discarding(self, obj: DomainObject) -> _Discard:
        """Removes what is behind a snapshot inside images."""

        async def discard(node: MomentNode) -> None:
            snapshot = self.snapshot(obj, node)
            if obj.active:
                try:
                    await delete_inside(guest_of(obj), snapshot)
                except VirtError as error:  # libvirt, too, goes on: the images may be others by now
                    log.warning("snapshot '%s' of domain '%s': %s", node.name, obj.name, error)
            else:
                domain = self._domain_of(obj, snapshot)
                await snapshot_images(domain, snapshot, "-d", go_on=True)

        return discard

    def _domain_of(self, obj: DomainObject, snapshot: Snapshot) -> Domain:
        """The domain as it was, where that is known."""
        from virtcore.model.domain import Domain

        return snapshot.domain if isinstance(snapshot.domain, Domain) else self.definition(obj)

    # -- what is refused

    def _check_delete(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot, flags: Flags) -> None:
        tree = self.snapshots(obj).tree
        if not snapshot.is_external and obj.active:
            self._check_images(obj, snapshot)
        if flags & (Flags.CHILDREN | Flags.CHILDREN_ONLY):
            kinds = [bool(each.facts.get("external")) for each in tree.descendants(node)]
            if any(kinds) and not all(kinds):
                raise ConfigUnsupported("deletion of external and internal children disk snapshots not supported")
            if any(kinds):
                raise ConfigUnsupported("deletion of external children disk snapshots not supported")
        if not snapshot.is_external:
            return
        if isinstance(obj.private, Guest) and jobs_of(obj.private):
            raise OperationUnsupported("cannot delete external snapshots when there is another active block job")
        if flags & Flags.CHILDREN:
            raise ConfigUnsupported("deletion of external disk snapshots with children not supported")
        current = tree.current
        if node is current and node.children:
            raise ConfigUnsupported("deletion of active external snapshot that is not a leaf snapshot is not supported")
        follows_current = current is not None and any(each is node for each in tree.descendants(current))
        if node is not current and node.children and follows_current:
            raise ConfigUnsupported(
                "deletion of non-leaf external snapshot that is not in active chain is not supported"
            )
        if len(node.children) > 1:
            raise ConfigUnsupported("deletion of external disk snapshot with multiple children snapshots not supported")

    def _check_images(self, obj: DomainObject, snapshot: Snapshot) -> None:
        """A snapshot inside images goes from the images it is in."""
        assert obj.live is not None
        known = self._domain_of(obj, snapshot)
        for entry in snapshot.disks:
            mine, theirs = (disk_by_name(disks_of(domain), entry.name) for domain in (obj.live, known))
            if mine is not None and theirs is not None and not same_place(mine.source, theirs.source):
                raise OperationUnsupported(
                    f"disk image '{entry.name}' for internal snapshot '{snapshot.name}' is not the same as disk image "
                    "currently used by VM"
                )

    # -- files of their own

    async def _delete_outside(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot) -> None:
        tree = self.snapshots(obj).tree
        for entry in snapshot.disks:
            if entry.snapshot is SnapshotLocation.EXTERNAL and entry.delete_in_progress:
                raise OperationInvalid(f"snapshot disk '{entry.name}' was target of not completed snapshot delete")
        if node is not tree.current and not node.children:
            # Nothing is above the files that it went on in, and nobody uses them.
            await in_thread(remove_files, self._paths(snapshot.disks))
        elif obj.active:
            await self._merge(obj, node, snapshot)
        else:
            await self._merge_offline(obj, node, snapshot)
        if snapshot.memory is not None and snapshot.memory.file is not None:
            await in_thread(remove_files, [snapshot.memory.file])

    async def _merge_offline(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot) -> None:
        """As for a running guest, with a QEMU that is started for it and does not run the guest."""
        self._merges(obj, node, snapshot, self.definition(obj))
        self.activate(obj, self.definition(obj))
        try:
            await self.boot(obj, Boot(paused=True))
        except BaseException:
            self.deactivate(obj, DomainShutoffReason.FAILED)
            raise
        try:
            await self._merge(obj, node, snapshot)
        finally:
            if obj.active:
                await self.stop_domain(obj, False)
                self.deactivate(obj, DomainShutoffReason.SHUTDOWN)
                await self.remove_status(obj)

    def _merges(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot, domain: Domain) -> list[_Merge]:
        tree = self.snapshots(obj).tree
        found = []
        for entry in snapshot.disks:
            if entry.snapshot is not SnapshotLocation.EXTERNAL:
                continue
            if disk_by_name(disks_of(self._domain_of(obj, snapshot)), entry.name) is None:
                raise OperationFailed(f"failed to find disk '{entry.name}' in snapshot VM XML")
            disk = disk_by_name(disks_of(domain), entry.name)
            if disk is None:
                raise InvalidArg(f"disk '{entry.name}' not found in domain")
            before = None
            above = tree.get(node.parent)
            while above is not None and before is None:
                candidate = self.snapshot(obj, above)
                if entry.name in {each.name for each in candidate.disks if each.snapshot is not SnapshotLocation.NO}:
                    before = candidate
                above = tree.get(above.parent)
            if before is not None and not before.is_external:
                raise OperationUnsupported(
                    "deleting external snapshot that has internal snapshot as parent not supported"
                )
            found.append(_Merge(disk, entry, before))
        return found

    async def _merge(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot) -> None:
        """Merge the files that go on from a snapshot into those before."""
        assert obj.live is not None
        guest = guest_of(obj)
        merges = self._merges(obj, node, snapshot, obj.live)
        known = self._domain_of(obj, snapshot)
        places: list[tuple[int, str, str]] = []
        for disk, entry, _ in merges:
            chain = [link.source for link in images_of(disk)]
            place = next((at for at, source in enumerate(chain) if same_place(source, entry.source)), None)
            if place is None:
                raise InvalidArg("could not find base disk source in disk source chain")
            if place + 1 >= len(chain):
                raise OperationFailed("failed to find parent disk source in backing chain")
            was = disk_by_name(disks_of(known), entry.name)
            if was is None or not same_place(chain[place + 1], was.source):
                raise OperationFailed("snapshot VM disk source and parent disk source are not the same")
            places.append((place, source_path(chain[place]) or "", source_path(chain[place + 1]) or ""))
        others = self._images_above(obj, node, [path for _, path, _ in places])
        for merge, (place, top, base) in zip(merges, places, strict=True):
            below = list(images_of(merge.disk))[place + 1]
            format = str(format_of(below))
            await self._mark(obj, merge, True)
            await self._commit(obj, guest, merge, place, top, base)
            for path, kind in others.get(top, ()):
                words = ["rebase", "-u", "-F", format, "-f", kind, "-b", base, path]
                await run_program([find_qemu_img(), *words])
            await self._mark(obj, merge, False)

    async def _mark(self, obj: DomainObject, merge: _Merge, progress: bool) -> None:
        """Say of the snapshot before that its file is being written to, or no more."""
        if merge.before is None:
            return
        node = self.snapshots(obj).tree.lookup(merge.before.name or "")
        before = self.snapshot(obj, node)
        for entry in before.disks:
            if entry.name == merge.entry.name:
                entry.delete_in_progress = progress
        await self.keep_again(obj, before)

    async def _commit(self, obj: DomainObject, guest: Guest, merge: _Merge, place: int, top: str, base: str) -> None:
        target = merge.entry.name
        flags = DomainBlockCommitFlags.DELETE | (DomainBlockCommitFlags.ACTIVE if place == 0 else 0)
        await begin_commit(self, obj, target, base, top if place else None, 0, int(flags))
        job = find_job(guest, disk=target)
        if job is None:
            raise InternalError(f"block commit failed while deleting disk '{target}' snapshot: 'unknown'")
        with self.awaited(guest, job) as told:
            try:
                if place == 0:
                    await self._until_ready(obj, guest, job, told, target)
                    await begin_pivot(self, obj, merge.disk, job)
                await self.wait_for_end(obj, guest, job, told)
            except BaseException:
                if job in jobs_of(guest) and guest.monitor is not None:
                    await cancel_job(self, obj, job)
                    await self.wait_for_end(obj, guest, job, told)
                raise
        if job.state == "failed":
            raise InternalError(f"finishing block job failed while deleting disk '{target}' snapshot: '{job.error}'")

    async def _until_ready(
        self, obj: DomainObject, guest: Guest, job: BlockJob, told: asyncio.Event, target: str
    ) -> None:
        while job.state != "ready":
            await told.wait()
            told.clear()
            await self.update_block_job(obj, guest, job)
            if job not in jobs_of(guest):
                raise InternalError(f"block commit failed while deleting disk '{target}' snapshot: '{job.error}'")

    def _images_above(self, obj: DomainObject, node: MomentNode, paths: list[str]) -> dict[str, list[tuple[str, str]]]:
        """Images of snapshots outside of the chain in use that are over files which will go: path and format of each,
        by the path of the file."""
        from virt_host.storage.chain import read_chain
        from virtcore.model.domain import Domain

        tree = self.snapshots(obj).tree
        in_use = set()
        at = tree.current
        while at is not None:
            in_use.add(at.name)
            at = tree.get(at.parent)
        found: dict[str, list[tuple[str, str]]] = {}
        for each in tree.descendants(node):
            domain = self.snapshot(obj, each).domain
            if each.name in in_use or not isinstance(domain, Domain):
                continue
            for disk in disks_of(domain):
                path = source_path(disk.source)
                if disk.source is None or path is None or not os.path.isfile(path):
                    continue
                below = read_chain(disk.source, format_of(disk)).backing
                if below is not None and below.path in paths:
                    rows = found.setdefault(below.path, [])
                    if (path, str(format_of(disk))) not in rows:
                        rows.append((path, str(format_of(disk))))
        return found

    # -- what is known of those after it

    async def _mend_descendants(self, obj: DomainObject, node: MomentNode, snapshot: Snapshot) -> None:
        """Snapshots after one whose files are gone name those that these were merged into."""
        for each in list(self.snapshots(obj).tree.descendants(node)):
            other = self.snapshot(obj, each)
            for mine, theirs in (
                (other.domain, snapshot.domain),
                (other.inactive_domain, snapshot.inactive_domain or snapshot.domain),
            ):
                _mend(mine, theirs, snapshot, external=other.is_external)
            await self.keep_again(obj, other)


def _mend(domain: object, before: object, snapshot: Snapshot, *, external: bool) -> None:
    from copy import deepcopy

    from virtcore.model.domain import Domain

    if not isinstance(domain, Domain) or not isinstance(before, Domain):
        return
    for entry, _ in external_disks(snapshot.disks, before):
        disk, known = disk_by_name(disks_of(domain), entry.name), disk_by_name(disks_of(before), entry.name)
        if disk is None or known is None:
            continue
        if external and same_place(entry.source, disk.source):
            disk.source, disk.type = deepcopy(known.source), known.type
            if disk.driver is not None and known.driver is not None:
                disk.driver.type = known.driver.type
            if disk.backing_store is not None and disk.backing_store.source is not None:
                disk.backing_store = disk.backing_store.backing_store
        links = [disk, *list(images_of(disk))[1:]]
        for above, below in pairwise(links):
            if same_place(entry.source, below.source):
                above.backing_store = below.backing_store
                break
