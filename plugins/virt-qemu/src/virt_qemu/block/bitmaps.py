"""Dirty bitmaps of chains of images: what QEMU reports of them, and the transactions that move and remove them.

A checkpoint's bitmap has one name in every image of a chain that was written to since the checkpoint was made. It
begins in the top image and goes down without gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from virtcore.errors import CheckpointInconsistent, InternalError

__all__ = [
    "Action",
    "Bitmap",
    "Bitmaps",
    "actions_after_commit",
    "actions_after_copy",
    "actions_for_backup",
    "actions_for_removal",
    "add_bitmap",
    "is_valid",
    "merge_actions",
    "read_bitmaps",
    "remove_bitmap",
]

#: One action of QMP's ``transaction``.
Action: TypeAlias = "dict[str, object]"

#: Records what is written between the end of a block job and the merge of bitmaps.
ACTIVE_WRITES = "libvirt-tmp-activewrite"


@dataclass(frozen=True, slots=True)
class Bitmap:
    """A dirty bitmap of a node.

    :ivar recording: writes are recorded in it.
    :ivar busy: a job or an export uses it.
    :ivar persistent: it is kept in the image.
    :ivar inconsistent: QEMU ended while it was in use; its content is lost.
    :ivar granularity: bytes that one bit stands for.
    :ivar dirty: bytes that are recorded as written.
    """

    name: str
    recording: bool
    busy: bool
    persistent: bool
    inconsistent: bool
    granularity: int
    dirty: int


#: Name of a node -> its bitmaps by name, in QEMU's order.
Bitmaps: TypeAlias = Mapping[str, Mapping[str, Bitmap]]


def read_bitmaps(nodes: object) -> dict[str, dict[str, Bitmap]]:
    """The bitmaps in a reply of ``query-named-block-nodes``; nodes without bitmaps are left out.

    :raises InternalError: it is no such reply.
    """
    found: dict[str, dict[str, Bitmap]] = {}
    for node in _objects(nodes):
        name = node.get("node-name")
        # Those without a name are what jobs keep for themselves.
        named = (told for told in _objects(node.get("dirty-bitmaps", [])) if "name" in told)
        bitmaps = {bitmap.name: bitmap for bitmap in map(_bitmap, named)}
        if isinstance(name, str) and bitmaps:
            found[name] = bitmaps
    return found


def _objects(value: object) -> Iterator[dict[str, object]]:
    if not isinstance(value, list):
        raise InternalError("malformed reply of query-named-block-nodes")
    for each in value:
        if not isinstance(each, dict):
            raise InternalError("malformed reply of query-named-block-nodes")
        yield each


def _bitmap(told: dict[str, object]) -> Bitmap:
    name, granularity, dirty = told.get("name"), told.get("granularity", 0), told.get("count", 0)
    if not isinstance(name, str) or not isinstance(granularity, int) or not isinstance(dirty, int):
        raise InternalError("malformed bitmap in the reply of query-named-block-nodes")
    recording, busy, persistent, inconsistent = (
        told.get(key) is True for key in ("recording", "busy", "persistent", "inconsistent")
    )
    return Bitmap(name, recording, busy, persistent, inconsistent, granularity, dirty)


def is_valid(bitmaps: Bitmaps, chain: Sequence[str], name: str) -> bool:
    """Whether a bitmap can stand for a checkpoint: it begins at the top, has no gap, and every part of it records, is
    persistent and is consistent.

    :param chain: nodes of the images, the top one first.
    """
    parts = [bitmaps.get(node, {}).get(name) for node in chain]
    present = [part for part in parts if part is not None]
    return (
        bool(present)
        and parts[: len(present)] == present
        and all(part.recording and part.persistent and not part.inconsistent for part in present)
    )


def merge_actions(
    bitmaps: Bitmaps, chain: Sequence[str], depth: int, target: str, *, writes: str | None = None
) -> list[Action]:
    """Merge the bitmaps of the upper images of a chain into those of the same name of a node, which is given the ones
    it has not got. Bitmaps that are not valid are left alone.

    :param chain: nodes of the images, the top one first.
    :param depth: how many of them are merged.
    :param writes: node that has recorded what was written since the job ended; the record is merged and removed.
    """
    actions: list[Action] = []
    # libvirt handles the newest entry of QEMU's list first.
    for name in reversed(list(bitmaps.get(chain[0], {}))):
        if not is_valid(bitmaps, chain, name):
            continue
        sources, granularity = _sources(bitmaps, chain[:depth], name)
        if name not in bitmaps.get(target, {}):
            actions.append(add_bitmap(target, name, granularity, persistent=True))
        if writes is not None:
            sources.append({"node": writes, "name": ACTIVE_WRITES})
        actions.append(_merge(target, name, sources))
    if writes is not None:
        actions.append(remove_bitmap(writes, ACTIVE_WRITES))
    return actions


def actions_after_copy(bitmaps: Bitmaps, chain: Sequence[str], mirror: str, *, shallow: bool) -> list[Action]:
    """What a block copy does to bitmaps before the guest is switched over to the copy.

    :param mirror: node of the copy.
    :param shallow: only the top image was copied.
    """
    return merge_actions(bitmaps, chain, 1 if shallow else len(chain), mirror, writes=mirror)


def actions_after_commit(bitmaps: Bitmaps, chain: Sequence[str], top: int, base: int, *, active: bool) -> list[Action]:
    """What a block commit does to bitmaps when it is finished.

    :param chain: nodes of all images, the top one first.
    :param top: place in it of the first image that was committed.
    :param base: place of the image it was committed into.
    :param active: the image the guest writes to was committed.
    """
    target = chain[base]
    return merge_actions(bitmaps, chain[top:], base - top, target, writes=target if active else None)


def actions_for_backup(
    bitmaps: Bitmaps,
    chain: Sequence[str],
    checkpoint: str,
    target: str,
    target_bitmap: str,
    disk: str,
    *,
    recording: bool = False,
) -> list[Action]:
    """Make a temporary bitmap, such as an incremental backup's: all that was written since a checkpoint.

    :param target: node that is given the bitmap.
    :param disk: name of the disk, for messages.
    :param recording: what is written from now on is recorded in it, too.
    :raises CheckpointInconsistent: the checkpoint's bitmap is not valid.
    """
    if not is_valid(bitmaps, chain, checkpoint):
        raise CheckpointInconsistent(f"missing or broken bitmap '{checkpoint}' for disk '{disk}'")
    sources, granularity = _sources(bitmaps, chain, checkpoint)
    return [
        add_bitmap(target, target_bitmap, granularity, persistent=False, disabled=not recording),
        _merge(target, target_bitmap, sources),
    ]


def actions_for_removal(bitmaps: Bitmaps, chain: Sequence[str], name: str, disk: str) -> tuple[list[Action], list[str]]:
    """Remove a checkpoint's bitmap from all images. Also returns the nodes that have to be writable for that, the
    lowest first: all but the top one, which is.

    :param disk: name of the disk, for messages.
    :raises InternalError: no image has the bitmap.
    """
    holders = [node for node in chain if name in bitmaps.get(node, {})]
    if not holders:
        raise InternalError(f"bitmap '{name}' not found in backing chain of '{disk}'")
    reopened = [node for node in reversed(holders) if node != chain[0]]
    return [remove_bitmap(node, name) for node in holders], reopened


def _sources(bitmaps: Bitmaps, chain: Sequence[str], name: str) -> tuple[list[Action], int]:
    """The parts of a bitmap, as sources of a merge, and the coarsest granularity."""
    parts = [(node, bitmaps[node][name]) for node in chain if name in bitmaps.get(node, {})]
    granularity = max((bitmap.granularity for _, bitmap in parts), default=0)
    return [{"node": node, "name": name} for node, _ in parts], granularity


def add_bitmap(
    node: str, name: str | None, granularity: int | None = None, *, persistent: bool, disabled: bool = False
) -> Action:
    """What makes a bitmap.

    :param granularity: bytes that one bit stands for; None for what QEMU chooses.
    :param disabled: it does not record.
    """
    data: dict[str, object] = {"node": node, "name": name, "persistent": persistent, "disabled": disabled}
    if granularity is not None:
        data["granularity"] = granularity
    return {"type": "block-dirty-bitmap-add", "data": data}


def _merge(node: str, target: str, sources: list[Action]) -> Action:
    return {"type": "block-dirty-bitmap-merge", "data": {"node": node, "target": target, "bitmaps": sources}}


def remove_bitmap(node: str, name: str) -> Action:
    """What removes a bitmap."""
    return {"type": "block-dirty-bitmap-remove", "data": {"node": node, "name": name}}
