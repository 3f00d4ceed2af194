"""Trees of snapshots and checkpoints: lists and filters, redefinition, deletion, what survives on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from virtcore.driver.toolkit import CheckpointKeeper, DiskWorker, MomentNode, MomentTree, SnapshotKeeper
from virtcore.driver.toolkit.moments import CHECKPOINTS, SNAPSHOTS
from virtcore.driver.toolkit.snapshots import snapshot_facts
from virtcore.enums import DomainCheckpointListFlags as C, DomainSnapshotListFlags as F
from virtcore.errors import InvalidArg, NoDomainCheckpoint, NoDomainSnapshot, OperationFailed, SystemError
from virtcore.model.snapshot import Snapshot, SnapshotMemory, SnapshotState, format_snapshot

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"

#: name: parent, state, external
FAMILY = {
    "a": (None, "running", False),
    "b": ("a", "shutoff", True),
    "c": ("b", "disk-snapshot", True),
    "d": ("a", "paused", False),
    "z": (None, "shutoff", False),
}


def tree() -> MomentTree:
    made = MomentTree(SNAPSHOTS)
    for name, (parent, state, external) in FAMILY.items():
        made.put(name, {"parent": parent, "state": state, "external": external})
    return made


def names(found: list[MomentNode]) -> str:
    return "".join(node.name for node in found)


@pytest.mark.parametrize(
    ("flags", "start", "expected"),
    [
        (0, None, "abcdz"),
        (F.ROOTS, None, "az"),
        (F.TOPOLOGICAL, None, "abcdz"),
        (F.LEAVES, None, "cdz"),
        (F.NO_LEAVES, None, "ab"),
        (F.LEAVES | F.NO_LEAVES, None, "abcdz"),
        (F.ROOTS | F.LEAVES, None, "z"),
        (F.METADATA, None, "abcdz"),
        (F.NO_METADATA, None, ""),
        (F.METADATA | F.NO_METADATA, None, "abcdz"),
        (F.INACTIVE, None, "bz"),
        (F.ACTIVE, None, "ad"),
        (F.DISK_ONLY | F.ACTIVE, None, "acd"),
        (F.INACTIVE | F.ACTIVE | F.DISK_ONLY, None, "abcdz"),
        (F.INTERNAL, None, "adz"),
        (F.EXTERNAL, None, "bc"),
        (F.EXTERNAL | F.INTERNAL | F.INACTIVE, None, "bz"),
        (0, "a", "bd"),
        (F.DESCENDANTS, "a", "bcd"),
        (F.DESCENDANTS | F.LEAVES, "a", "cd"),
        (F.DESCENDANTS, "z", ""),
    ],
)
def test_lists(flags: int, start: str | None, expected: str) -> None:
    made = tree()
    assert names(made.select(flags, made.get(start))) == expected


def test_checkpoints_have_bits_of_their_own() -> None:
    made = MomentTree(CHECKPOINTS)
    for name, (parent, *_) in FAMILY.items():
        made.put(name, {"parent": parent})
    assert names(made.select(C.TOPOLOGICAL)) == "abcdz"  # what would be METADATA of snapshots
    assert names(made.select(C.ROOTS | C.NO_LEAVES)) == "a"
    with pytest.raises(NoDomainCheckpoint, match="no domain checkpoint with matching name 'q'"):
        made.lookup("q")


def test_look_up() -> None:
    made = tree()
    assert made.parent(made.lookup("c")).name == "b"
    with pytest.raises(NoDomainSnapshot, match="no domain snapshot with matching name 'q'"):
        made.lookup("q")
    with pytest.raises(NoDomainSnapshot, match="snapshot 'a' does not have a parent"):
        made.parent(made.lookup("a"))
    with pytest.raises(NoDomainSnapshot, match="the domain does not have a current snapshot"):
        made.require_current()
    assert made.leaf() is None
    with pytest.raises(OperationFailed, match="domain moment a already exists"):
        made.check_new("a")


@pytest.mark.parametrize(
    ("name", "parent", "message"),
    [
        ("a", "a", "cannot set moment a as its own parent"),
        ("n", "q", "parent q for moment n not found"),
        ("a", "c", "parent b would create cycle to a"),
        ("a", "b", "parent b would create cycle to a"),
    ],
)
def test_what_is_no_tree_is_refused(name: str, parent: str, message: str) -> None:
    made = tree()
    with pytest.raises(InvalidArg) as caught:
        made.put(name, {"parent": parent})
    assert str(caught.value) == f"invalid argument: {message}"
    assert names(made.select()) == "abcdz"


def test_a_redefinition_moves_a_node_with_its_children() -> None:
    made = tree()
    made.put("b", {"parent": "z"})
    assert names(made.select()) == "adzbc"
    assert len(made) == 5


def test_what_is_found_stored_may_be_damaged() -> None:
    made = MomentTree(SNAPSHOTS)
    assert made.fill([MomentNode("b", {"parent": "a"}), MomentNode("a", {"parent": None})])
    assert names(made.select()) == "ab"
    assert not made.fill([MomentNode("b", {"parent": "gone"}), MomentNode("c", {"parent": "b"})])
    assert names(made.select()) == "bc"
    assert not made.fill(
        [MomentNode("x", {"parent": "y"}), MomentNode("y", {"parent": "x"}), MomentNode("w", {"parent": "x"})]
    )
    assert set(names(made.select())) == set("wxy")


def test_a_chain_may_be_long() -> None:
    made = MomentTree(SNAPSHOTS)
    for number in range(1200):
        made.put(str(number), {"parent": str(number - 1) if number else None})
    assert len(made.select()) == 1200
    assert made.leaf() is made.get("1199")


# ----------------------------------------------------------------------------------------------------------- on disk


def snapshot(name: str, parent: str | None, state: str = "running", external: bool = False) -> Snapshot:
    memory = SnapshotMemory(snapshot="external", file="/m") if external else None  # type: ignore[arg-type]
    return Snapshot(name=name, parent=parent, creation_time=1, state=SnapshotState(state), memory=memory)


async def plant(keeper: SnapshotKeeper, current: str = "c") -> None:
    for name, (parent, state, external) in FAMILY.items():
        made = snapshot(name, parent, state, external)
        await keeper.save(name, snapshot_facts(made), format_snapshot(made), current=name == current)


def using(folder: Path | None, test: Callable[[Callable[[], SnapshotKeeper]], Awaitable[None]]) -> None:
    async def main() -> None:
        worker = DiskWorker("test-disk")
        try:
            async with asyncio.timeout(60):
                await test(lambda: SnapshotKeeper(UUID, folder, worker if folder else None))
        finally:
            await worker.close()

    asyncio.run(main())


@pytest.mark.parametrize("stored", [True, False])
def test_deletion(tmp_path: Path, stored: bool) -> None:
    folder = tmp_path / UUID if stored else None

    async def check(make: Callable[[], SnapshotKeeper], keeper: SnapshotKeeper, left: str, current: str | None) -> None:
        again = keeper
        if stored:
            again = make()
            await again.open()
            assert [node.text for node in again.tree] == [None] * len(left)  # nothing was parsed, or even read
        for each in (keeper, again):
            assert sorted(names(each.tree.select())) == sorted(left)
            assert (each.tree.current.name if each.tree.current else None) == current
            for node in each.tree:
                assert f"<name>{node.name}</name>" in each.text(node)
                assert (f"<parent>\n    <name>{node.parent}</name>" in each.text(node)) is (node.parent is not None)

    async def test(make: Callable[[], SnapshotKeeper]) -> None:
        keeper = make()
        await keeper.open()
        await plant(keeper)
        await check(make, keeper, "abcdz", "c")
        await keeper.delete(keeper.tree.lookup("b"))
        assert keeper.tree.lookup("c").parent == "a"
        await check(make, keeper, "acdz", "c")
        await keeper.delete(keeper.tree.lookup("c"))
        await check(make, keeper, "adz", "a")
        await keeper.delete(keeper.tree.lookup("a"))
        await check(make, keeper, "dz", None)
        await keeper.clear()
        await plant(keeper)
        gone: list[str] = []

        async def discard(node: MomentNode) -> None:
            gone.append(node.name)

        await keeper.delete(keeper.tree.lookup("a"), children_only=True, discard=discard)
        assert gone == ["d", "c", "b"]
        await check(make, keeper, "az", "a")
        await plant(keeper)
        await keeper.delete(keeper.tree.lookup("b"), children=True)
        await check(make, keeper, "adz", "a")
        with pytest.raises(InvalidArg, match="Flags 'VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN' and"):
            await keeper.delete(keeper.tree.lookup("a"), children=True, children_only=True)
        for last in "adz":
            assert folder is None or folder.exists()
            await keeper.delete(keeper.tree.lookup(last))
        assert folder is None or not folder.exists()  # opening a driver looks for what guests have left
        await plant(keeper)
        await keeper.clear()
        assert folder is None or not folder.exists()

    using(folder, test)


def test_a_deletion_that_fails_leaves_a_tree(tmp_path: Path) -> None:
    async def test(make: Callable[[], SnapshotKeeper]) -> None:
        keeper = make()
        await keeper.open()
        await plant(keeper, current="c")

        async def discard(node: MomentNode) -> None:
            if node.name == "b":
                raise SystemError("no")

        with pytest.raises(SystemError):
            await keeper.delete(keeper.tree.lookup("a"), children=True, discard=discard)
        again = make()
        await again.open()
        for each in (keeper, again):
            assert sorted(names(each.tree.select())) == ["a", "b", "z"]
            assert each.tree.current is each.tree.get("b")

    using(tmp_path / UUID, test)


def test_names_never_reach_a_path_and_edited_files_are_read_anew(tmp_path: Path) -> None:
    async def test(make: Callable[[], SnapshotKeeper]) -> None:
        keeper = make()
        await keeper.open()
        made = snapshot("../../escape\n", None)
        await keeper.save("../../escape\n", snapshot_facts(made), format_snapshot(made))
        made = snapshot("s", None)
        await keeper.save("s", snapshot_facts(made), format_snapshot(made))
        assert {path.parent for path in tmp_path.rglob("*.xml")} == {tmp_path / UUID}
        for path in tmp_path.rglob("*.xml"):
            path.write_text(path.read_text().replace("running", "paused"))
        again = make()
        await again.open()
        assert again.tree.lookup("s").facts["state"] == "paused"

    using(tmp_path / UUID, test)


def test_secrets_are_shown_to_those_who_may_see_them() -> None:
    async def main() -> None:
        keeper = CheckpointKeeper(UUID)
        text = (
            "<domaincheckpoint>\n  <name>c</name>\n  <domain type='test'>\n    <name>g</name>\n    <devices>\n"
            "      <graphics type='vnc' passwd='hidden'/>\n    </devices>\n  </domain>\n</domaincheckpoint>\n"
        )
        node = await keeper.save("c", {"parent": None}, text)
        assert "hidden" in keeper.shown(node, secure=True)
        assert "hidden" not in keeper.shown(node, secure=False)
        assert "graphics" in keeper.shown(node, secure=False)
        assert "<domain " not in keeper.shown(node, secure=True, domain=False)

    asyncio.run(main())
