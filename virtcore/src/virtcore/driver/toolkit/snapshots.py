"""Snapshots and checkpoints of a domain, kept: a file per object, durable before the reply, or in memory only.

Files are those of a :class:`~virtcore.driver.toolkit.store.DefinitionStore` in a folder of the domain's own; a UUID
that follows from the object's name stands for it. Which one is the current one says a file beside them, so that it
changes at one stroke.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.moments import CHECKPOINTS, SNAPSHOTS, MomentKind, MomentNode, MomentTree
from virtcore.errors import InvalidArg

if TYPE_CHECKING:
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.store import DefinitionStore, IndexEntry
    from virtcore.model.checkpoint import Checkpoint
    from virtcore.model.snapshot import Snapshot

__all__ = [
    "CheckpointKeeper",
    "MomentKeeper",
    "SnapshotKeeper",
    "checkpoint_facts",
    "snapshot_facts",
]

_Facts = dict[str, int | str | bool | None]
_CURRENT = "current"


def snapshot_facts(snapshot: Snapshot) -> _Facts:
    """What lists of snapshots need."""
    return {
        "parent": snapshot.parent,
        "created": snapshot.creation_time,
        "state": None if snapshot.state is None else str(snapshot.state),
        "external": snapshot.is_external,
    }


def checkpoint_facts(checkpoint: Checkpoint) -> _Facts:
    """What lists of checkpoints need."""
    return {"parent": checkpoint.parent, "created": checkpoint.creation_time}


class MomentKeeper:
    """A tree and the files it is kept in.

    What is asked for changes files first, the tree after; a failure leaves both as they were, or says how far it got.
    The caller holds the domain's job.

    :param domain_uuid: UUID of the domain.
    :param folder: the domain's own folder; None keeps everything in memory.
    :param worker: does the disk work; needed with a folder.
    """

    kind: MomentKind

    def __init__(self, domain_uuid: str, folder: Path | None = None, worker: DiskWorker | None = None) -> None:
        self.tree = MomentTree(self.kind)
        self.domain_uuid = domain_uuid
        self.folder = folder
        self._worker = worker
        self._store: DefinitionStore | None = None
        if folder is not None and worker is not None:
            from virtcore.driver.toolkit.store import DefinitionStore

            self._store = DefinitionStore(folder, worker, self._describe)

    # -- what a kind knows of its documents

    def facts_of_text(self, text: str) -> tuple[str, _Facts]:
        """Hook: name and facts of a stored document."""
        raise NotImplementedError

    def with_parent(self, text: str, parent: str | None) -> str:
        """Hook: a stored document with another parent."""
        raise NotImplementedError

    # -- files

    async def open(self) -> None:
        """Find out what is stored; the documents themselves are not parsed.

        :raises OSError: the folder cannot be used.
        """
        if self._store is None or self._worker is None:
            return
        entries = await self._store.open()
        well = self.tree.fill(MomentNode(entry.name, dict(entry.facts)) for entry in entries)
        current = await self._worker.run(self._read_current)
        named = next((entry.name for entry in entries if entry.uuid == current), None)
        self.tree.current = self.tree.get(named) if well else None

    def text(self, node: MomentNode) -> str:
        """The stored document, secrets included."""
        if node.text is None:
            assert self._store is not None  # without files the text is always there
            node.text = self._store.read(self._file(node.name))
        return node.text

    async def save(self, name: str, facts: _Facts, text: str, *, current: bool = False) -> MomentNode:
        """Add one, or redefine the one of that name; returns when it is durable.

        :param current: it is the current one from now on.
        :raises InvalidArg: its parent makes no tree.
        :raises SystemError: the disk is full, ...; nothing has changed.
        """
        parent = facts.get("parent")
        self.tree.check_parent(name, parent if isinstance(parent, str) else None)
        await self._write(name, facts, text)
        node = self.tree.put(name, facts, text)
        if current:
            await self.make_current(node)
        return node

    async def make_current(self, node: MomentNode | None) -> None:
        """From now on this is the current one, or none is; returns when that is durable."""
        if node is self.tree.current:
            return
        if self._worker is not None and self.folder is not None:
            await self._write_current(self._worker, self.folder, node)
        self.tree.current = node

    async def delete(
        self,
        node: MomentNode,
        *,
        children: bool = False,
        children_only: bool = False,
        discard: Callable[[MomentNode], Awaitable[None]] | None = None,
    ) -> None:
        """Remove one; its children follow its parent from then on, or go with it. Returns when that is durable.

        Where the current one goes, the one before it is current; of several that go, leaves go first.

        :param children: remove all its descendants, too.
        :param children_only: remove its descendants and keep it; it is current where one of them was.
        :param discard: removes what is behind a node first (a driver's data); None removes only what is known of it.
        :raises InvalidArg: both ``children`` and ``children_only``.
        """
        if children and children_only:
            flag = f"VIR_DOMAIN_{self.kind.noun.upper()}_DELETE_CHILDREN"
            raise InvalidArg(f"Flags '{flag}' and '{flag}_ONLY' are mutually exclusive", domain=self.kind.domain)
        going = [] if children_only else [node]
        if children or children_only:
            going += self.tree.descendants(node)
        for gone in reversed(going):
            if discard is not None:
                await discard(gone)
            # What a crash leaves behind here is a tree at every step.
            for child in list(gone.children.values()):
                await self._reparent(child, gone.parent)
            if self.tree.current is gone:
                await self.make_current(self.tree.get(gone.parent))
            if self._store is not None:
                await self._store.remove(self._file(gone.name))
            self.tree.remove(gone)
        if not len(self.tree) and self._worker is not None and self.folder is not None:
            folder = self.folder
            await self._worker.change(lambda: _remove_folder(folder), folder.parent, f"cannot remove '{folder}'")

    async def clear(self) -> None:
        """Forget all of them (the domain goes); what is behind them stays. Returns when that is durable."""
        for root in self.tree.select(1):  # the roots
            await self.delete(root, children=True)

    # -- inside

    async def _reparent(self, node: MomentNode, parent: str | None) -> None:
        text = self.with_parent(self.text(node), parent)
        facts = {**node.facts, "parent": parent}
        await self._write(node.name, facts, text)
        self.tree.put(node.name, facts, text)

    async def _write(self, name: str, facts: _Facts, text: str) -> None:
        if self._store is None or self._worker is None:
            return
        if not len(self.tree):
            assert self.folder is not None
            from virtcore.driver.toolkit.folders import make_folder

            folder = self.folder
            await self._worker.run(lambda: make_folder(folder))
        await self._store.write(self._file(name), name, text, facts)

    def _file(self, name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(self.domain_uuid), name))

    def _describe(self, text: str) -> IndexEntry:
        from virtcore.driver.toolkit.store import IndexEntry

        name, facts = self.facts_of_text(text)
        return IndexEntry(self._file(name), name, facts)

    def _read_current(self) -> str | None:
        assert self.folder is not None
        try:
            return (self.folder / _CURRENT).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None

    async def _write_current(self, worker: DiskWorker, folder: Path, node: MomentNode | None) -> None:
        from virtcore.driver.toolkit.disk import remove_file, write_file

        complaint = f"cannot write data to file '{folder / _CURRENT}'"
        if node is None:
            await worker.change(lambda: remove_file(folder, _CURRENT), folder, complaint)
        else:
            data = f"{self._file(node.name)}\n".encode()
            await worker.change(lambda: write_file(folder, _CURRENT, data), folder, complaint)


class SnapshotKeeper(MomentKeeper):
    """The snapshots of a domain."""

    kind = SNAPSHOTS

    def facts_of_text(self, text: str) -> tuple[str, _Facts]:
        from virtcore.model.snapshot import Snapshot
        from virtcore.xml import parse

        snapshot = parse(text, Snapshot)
        return snapshot.name or "", snapshot_facts(snapshot)

    def with_parent(self, text: str, parent: str | None) -> str:
        from virtcore.model.snapshot import Snapshot, format_snapshot
        from virtcore.xml import parse

        snapshot = parse(text, Snapshot)
        snapshot.parent = parent
        return format_snapshot(snapshot)

    def shown(self, node: MomentNode, secure: bool) -> str:
        """The document as a user gets it.

        :param secure: secrets included.
        """
        if secure:
            return self.text(node)
        from virtcore.model.snapshot import Snapshot, format_snapshot
        from virtcore.xml import parse

        return format_snapshot(parse(self.text(node), Snapshot), secure=False)


class CheckpointKeeper(MomentKeeper):
    """The checkpoints of a domain."""

    kind = CHECKPOINTS

    def facts_of_text(self, text: str) -> tuple[str, _Facts]:
        checkpoint = self.parsed(text)
        return checkpoint.name or "", checkpoint_facts(checkpoint)

    def with_parent(self, text: str, parent: str | None) -> str:
        from virtcore.model.checkpoint import format_checkpoint

        checkpoint = self.parsed(text)
        checkpoint.parent = parent
        return format_checkpoint(checkpoint)

    def parsed(self, text: str) -> Checkpoint:
        """A stored document as an object."""
        from virtcore.model.checkpoint import Checkpoint
        from virtcore.xml import parse

        return parse(text, Checkpoint)

    def shown(self, node: MomentNode, secure: bool, domain: bool = True) -> str:
        """The document as a user gets it.

        :param secure: secrets included.
        :param domain: with the domain inside.
        """
        if secure and domain:
            return self.text(node)
        from virtcore.model.checkpoint import format_checkpoint

        return format_checkpoint(self.parsed(self.text(node)), secure=secure, domain=domain)


def _remove_folder(folder: Path) -> None:
    """Remove an emptied folder; one that is not there or holds what nobody knows is left alone."""
    try:
        (folder / _CURRENT).unlink(missing_ok=True)
        folder.rmdir()
    except FileNotFoundError:
        pass
