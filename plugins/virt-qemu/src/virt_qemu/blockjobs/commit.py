"""Commit: images are merged into one below (``block-commit``)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from virt_qemu.block.chain import format_of
from virt_qemu.block.storage import backing_string
from virt_qemu.block_jobs import BlockJob, JobDisk
from virt_qemu.blockjobs.lookup import Chain, bytes_per_second
from virt_qemu.blockjobs.state import find_job
from virt_qemu.guest import guest_of
from virtcore.enums.domain_more import DomainBlockCommitFlags as Flags
from virtcore.errors import InvalidArg
from virtcore.model.domain.disk import BackingFormat, BackingStore, BlockJob as MirrorJob, DiskMirror
from virtcore.model.storage.location import is_empty, source_type

if TYPE_CHECKING:
    from virt_qemu.blockjobs.state import BlockJobState
    from virtcore.driver.toolkit import DomainObject

__all__ = ["begin_commit"]


async def begin_commit(
    state: BlockJobState,
    obj: DomainObject,
    name: str,
    base: str | None,
    top: str | None,
    bandwidth: int,
    flags: int,
) -> None:
    """Begin a commit. Called with the domain's job held.

    :param base: the image that takes the data; None for the lowest.
    :param top: the first image that is merged; None for the one in use.
    :raises VirtError: it cannot be begun.
    """
    guest = guest_of(obj)
    disk = state.disk_for_job(obj, name)
    if is_empty(disk.source):
        raise InvalidArg(f"disk {name} has no source file to be committed")
    chain = Chain.of(guest, disk)
    first, last = _range(chain, name, base, top, flags)
    speed = bytes_per_second(bandwidth, bool(flags & Flags.BANDWIDTH_BYTES))
    arguments: dict[str, object] = {
        "device": chain.nodes[0],
        "top-node": chain.nodes[first],
        "base-node": chain.nodes[last],
        "auto-finalize": True,
        "auto-dismiss": False,
    }
    if speed:
        arguments["speed"] = speed
    if first:
        relative = flags & Flags.RELATIVE
        above = chain.relative(first - 1, last) if relative else backing_string(chain.images[last])
        arguments["backing-file"] = above
    job = BlockJob(
        name=f"commit-{chain.target}-{chain.nodes[first]}",
        type="commit" if first else "active-commit",
        state="new",
        flags=flags,
        disk=JobDisk(target=chain.target),
        base=chain.nodes[last],
        top=chain.nodes[first],
        top_parent=chain.nodes[first - 1] if first else None,
        delete_committed_images=bool(flags & Flags.DELETE),
    )
    if not first:
        link = chain.links[last]
        source = copy.copy(link.source)
        assert source is not None
        source.index = link.index if isinstance(link, BackingStore) else source.index
        disk.mirror = DiskMirror(
            type=source_type(source),
            job=MirrorJob.ACTIVE_COMMIT,
            format=BackingFormat(type=format_of(link)),
            source=source,
        )
    try:
        await state.begin_block_job(obj, job, "block-commit", arguments)
    except BaseException:
        if find_job(guest, name=job.name) is not job:
            disk.mirror = None
            obj.touch()
        raise


def _range(chain: Chain, name: str, base: str | None, top: str | None, flags: int) -> tuple[int, int]:
    """Places of the topmost image that is merged, and of the one that takes the data."""
    first = 0 if top is None or top == chain.target else chain.find(top)
    if base is None and not flags & Flags.SHALLOW and first + 1 >= len(chain.links):
        raise InvalidArg(f"could not find base image in chain for '{chain.target}'")
    if first == 0 and not flags & Flags.ACTIVE:
        raise InvalidArg(f"commit of '{chain.target}' active layer requires active flag")
    if first and flags & Flags.ACTIVE:
        raise InvalidArg(f"active commit requested but '{chain.path(first)}' is not active")
    if first + 1 >= len(chain.links):
        raise InvalidArg(f"top '{chain.path(first)}' in chain for '{chain.path(0)}' has no backing file")
    if base is None:
        return first, first + 1 if flags & Flags.SHALLOW else len(chain.links) - 1
    last = chain.find(base, below=first)
    if flags & Flags.SHALLOW and last != first + 1:
        raise InvalidArg(f"base '{base}' is not immediately below '{chain.path(first)}' in chain for '{name}'")
    return first, last
