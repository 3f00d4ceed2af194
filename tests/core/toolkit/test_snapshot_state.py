"""What survives of snapshots and checkpoints, and what goes with their domain."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from virtcore.driver.toolkit import DomainObject, StateFolders
from virtcore.driver.toolkit.moment_state import MomentState
from virtcore.enums import (
    DomainCheckpointCreateFlags,
    DomainCreateFlags,
    DomainSnapshotCreateFlags,
    DomainSnapshotDeleteFlags,
    DomainUndefineFlags,
)
from virtcore.errors import NoSupport, OperationFailed, OperationInvalid, SystemError, XMLError
from virtcore.model.checkpoint import Checkpoint
from virtcore.model.snapshot import Snapshot

XML = """\
<domain type='test'>
  <name>guest</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>4096</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/images/one'/><target dev='vda' bus='virtio'/></disk>
    <graphics type='vnc' passwd='hidden'/>
    <video><model type='vga'/></video>
  </devices>
</domain>
"""


class State(MomentState):
    """Guests, snapshots and checkpoints that are nothing but a note."""

    driver_name = "toy"

    def __init__(self, root: Path) -> None:
        super().__init__(StateFolders.below(root, "toy"))
        self.saved: set[str] = set()

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        self.running(obj)

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        pass

    async def take_snapshot(self, obj: DomainObject, snapshot: Snapshot, flags: DomainSnapshotCreateFlags) -> None:
        if snapshot.name == "impossible":
            raise OperationFailed("no")
        self.saved.add(snapshot.name or "")

    async def discard_snapshot(self, obj: DomainObject, snapshot: Snapshot) -> None:
        self.saved.discard(snapshot.name or "")

    async def take_checkpoint(
        self, obj: DomainObject, checkpoint: Checkpoint, flags: DomainCheckpointCreateFlags
    ) -> None:
        self.saved.add(checkpoint.name or "")

    async def discard_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        self.saved.discard(checkpoint.name or "")


def with_state(root: Path, *tests: Callable[[State], Awaitable[None]]) -> None:
    """Runs each test on a state that is opened anew."""

    async def main() -> None:
        for test in tests:
            state = State(root)
            async with asyncio.timeout(60):
                await state.open()
                try:
                    await test(state)
                finally:
                    await state.close()

    asyncio.run(main())


def snapshot(name: str) -> str:
    return f"<domainsnapshot><name>{name}</name></domainsnapshot>"


def checkpoint(name: str) -> str:
    return f"<domaincheckpoint><name>{name}</name></domaincheckpoint>"


def test_they_survive_until_their_domain_goes(tmp_path: Path) -> None:
    async def make(state: State) -> None:
        await state.define(XML)
        obj = state.domains.by_name("guest")
        for name in ("a", "b"):
            await state.create_snapshot(obj, snapshot(name))
        await state.create_checkpoint(obj, checkpoint("c"))
        assert (obj.snapshots, obj.checkpoints, state.saved) == (2, 1, {"a", "b", "c"})

    async def look(state: State) -> None:
        obj = state.domains.by_name("guest")
        assert (obj.snapshots, obj.checkpoints) == (2, 1)
        keeper = state.snapshots(obj)
        node = keeper.tree.require_current()
        assert (node.name, node.parent, node.text) == ("b", "a", None)
        assert "hidden" in keeper.shown(node, secure=True)
        assert "hidden" not in keeper.shown(node, secure=False)
        assert state.snapshot(obj, node).domain == state.definition(obj)
        await state.delete_snapshot(obj, "a", DomainSnapshotDeleteFlags.METADATA_ONLY)
        with pytest.raises(OperationInvalid, match="cannot delete inactive domain with 1 snapshots"):
            await state.undefine(obj)
        with pytest.raises(OperationInvalid, match="cannot delete inactive domain with 1 checkpoints"):
            await state.undefine(obj, DomainUndefineFlags.SNAPSHOTS_METADATA)
        assert obj.snapshots == 1  # a refused undefine takes nothing away

    async def end(state: State) -> None:
        obj = state.domains.by_name("guest")
        assert [node.parent for node in state.snapshots(obj).tree] == [None]
        flags = DomainUndefineFlags.SNAPSHOTS_METADATA | DomainUndefineFlags.CHECKPOINTS_METADATA
        await state.undefine(obj, flags)
        assert not [path for path in (tmp_path / "lib").rglob("*") if path.is_file()]

    with_state(tmp_path, make, look, end)


def test_a_transient_domain_takes_them_along(tmp_path: Path) -> None:
    async def test(state: State) -> None:
        await state.create_from(XML)
        obj = state.domains.by_name("guest")
        with pytest.raises(OperationInvalid, match="cannot halt after transient domain snapshot"):
            await state.create_snapshot(obj, snapshot("a"), DomainSnapshotCreateFlags.HALT)
        await state.create_snapshot(obj, snapshot("a"))
        assert list((tmp_path / "lib").rglob("*.xml"))
        await state.destroy(obj)
        assert not [path for path in (tmp_path / "lib").rglob("*") if path.is_file()]

    with_state(tmp_path, test)


def test_what_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(state: State) -> None:
        await state.define(XML)
        obj = state.domains.by_name("guest")
        with pytest.raises(OperationFailed):
            await state.create_snapshot(obj, snapshot("impossible"))
        with pytest.raises(XMLError, match="memory state cannot be saved with offline or disk-only snapshot"):
            await state.create_snapshot(obj, snapshot("a").replace("</name>", "</name><memory snapshot='internal'/>"))
        await state.create_snapshot(obj, snapshot("a"))
        with pytest.raises(NoSupport):
            await state.revert(obj, "a")
        with monkeypatch.context() as patch:
            patch.setattr("virtcore.driver.toolkit.store.write_file", full)
            with pytest.raises(SystemError, match="No space left on device"):
                await state.create_snapshot(obj, snapshot("b"))
            with pytest.raises(SystemError):
                await state.create_checkpoint(obj, checkpoint("c"))
        assert (obj.snapshots, obj.checkpoints, state.saved) == (1, 0, {"a"})

    with_state(tmp_path, test)


def full(folder: Path, name: str, data: bytes, **_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_snapshot_of_disks_only(tmp_path: Path) -> None:
    async def test(state: State) -> None:
        image = tmp_path / "image.raw"
        image.write_bytes(b"")
        await state.create_from(XML.replace("/images/one", str(image)))
        obj = state.domains.by_name("guest")
        await state.create_snapshot(obj, snapshot("a"), DomainSnapshotCreateFlags.DISK_ONLY)
        found = state.snapshot(obj, state.snapshots(obj).tree.lookup("a"))
        assert (found.state, found.memory and found.memory.snapshot) == ("disk-snapshot", "no")
        assert found.disks[0].source.file == str(tmp_path / "image.a")  # type: ignore[union-attr]
        await state.create_snapshot(obj, snapshot("x"), DomainSnapshotCreateFlags.NO_METADATA)
        assert (obj.snapshots, state.saved) == (1, {"a", "x"})

    with_state(tmp_path, test)
