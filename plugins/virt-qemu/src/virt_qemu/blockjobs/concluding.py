"""What the end of a block job brings about in QEMU and in the live configuration."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import ACTIVE_WRITES, actions_after_commit, actions_after_copy
from virt_qemu.block.image import source_image
from virt_qemu.block.running import NamedNodes, disk_images, reopen, transaction
from virt_qemu.blockjobs.transitions import committed, find_node, mirrored, pivot_to, pulled
from virtcore.enums.domain_more import DomainBlockCopyFlags
from virtcore.errors import VirtError
from virtcore.model.storage.source import BlockSource, FileSource, NetworkSource
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virt_qemu.block_jobs import BlockJob
    from virt_qemu.guest import Guest
    from virtcore.model.domain.disk import Disk

__all__ = ["conclude", "delete_images", "same_place"]

log = logging.getLogger(__name__)


async def conclude(guest: Guest, disk: Disk, job: BlockJob) -> list[Image]:
    """Let a disk's chain be what a job that has ended made of it; returns the images that nothing uses any more.

    :param job: ``new_state`` says how it ended.
    """
    done = job.new_state == "completed"
    if job.type == "pull":
        return pulled(guest, disk, job) if done else []
    if job.type == "commit":
        if not done:
            return []
        await _merge_bitmaps_down(guest, disk, job, active=False)
        return committed(guest, disk, job)
    if job.type == "active-commit":
        if done and job.state == "pivoting":
            await _merge_bitmaps_down(guest, disk, job, active=True)
            disk.mirror = None
            return committed(guest, disk, job)
        await _drop_bitmap(guest, job.base, ACTIVE_WRITES)
        disk.mirror = None
        return []
    if job.type == "copy" and disk.mirror is not None:
        shallow = bool(job.flags is not None and job.flags & DomainBlockCopyFlags.SHALLOW)
        if done and job.state == "pivoting":
            await _merge_bitmaps_over(guest, disk, shallow=shallow)
            return pivot_to(guest, disk, inherits=bool(job.shallow_new))
        copies = disk_images(guest, mirrored(disk))
        disk.mirror = None
        return copies[:1] if job.shallow_new else copies
    if job.type == "backup" and job.store is not None and job.store.source is not None:
        await _drop_bitmap(guest, disk_images(guest, disk)[0].top(), job.bitmap)
        source = job.store.source
        return [source_image(source, job.store.format, source.index, raw_layers=disk_images(guest, disk)[0].raw_layers)]
    return []


async def _merge_bitmaps_down(guest: Guest, disk: Disk, job: BlockJob, *, active: bool) -> None:
    """Put the bitmaps of images that were merged into those of the image that took their data."""
    images = disk_images(guest, disk)
    top, base = find_node(images, job.top), find_node(images, job.base)
    if top is None or base is None:
        return
    monitor = guest.channel()
    bitmaps = (await NamedNodes.ask(monitor)).bitmaps
    recorded = active and ACTIVE_WRITES in bitmaps.get(images[base].top(), {})
    actions = actions_after_commit(bitmaps, [image.top() for image in images], top, base, active=recorded)
    if not actions:
        return
    try:
        if not active:
            await reopen(monitor, images[base], readonly=False)
        try:
            await transaction(monitor, actions)
        finally:
            if not active:
                await reopen(monitor, images[base], readonly=True)
    except VirtError as error:
        # The data is where it belongs; a checkpoint that lost its bitmap is told as broken by whoever needs it.
        log.error("%s: bitmaps of images that were merged are lost: %s", monitor.name, error)


async def _merge_bitmaps_over(guest: Guest, disk: Disk, *, shallow: bool) -> None:
    """Put the bitmaps of images that were copied into the copy."""
    images = disk_images(guest, disk)
    mirror = disk_images(guest, mirrored(disk))[0].top()
    monitor = guest.channel()
    bitmaps = (await NamedNodes.ask(monitor)).bitmaps
    if ACTIVE_WRITES not in bitmaps.get(mirror, {}):
        return  # nothing was recorded when the guest was switched over: there were no bitmaps
    try:
        await transaction(
            monitor, actions_after_copy(bitmaps, [image.top() for image in images], mirror, shallow=shallow)
        )
    except VirtError as error:
        log.error("%s: bitmaps of images that were copied are lost: %s", monitor.name, error)


async def _drop_bitmap(guest: Guest, node: str | None, name: str | None) -> None:
    """Remove a bitmap that only a job needed, if it is there."""
    monitor = guest.channel()
    if node is None or name is None or name not in (await NamedNodes.ask(monitor)).bitmaps.get(node, {}):
        return
    await monitor.execute("block-dirty-bitmap-remove", {"node": node, "name": name})


async def delete_images(images: list[Image]) -> None:
    """Delete images that were merged into another one; what cannot be deleted is logged."""
    for image in images:
        if isinstance(image.source, FileSource) and image.source.file is not None:
            try:
                await in_thread(os.unlink, image.source.file)
            except OSError as error:
                log.warning("failed to remove image '%s': %s", image.source.file, error.strerror)


def same_place(one: object, other: object) -> bool:
    """Whether two sources are the same image (``virStorageSourceIsSameLocation``)."""
    if isinstance(one, FileSource) and isinstance(other, FileSource):
        return one.file == other.file
    if isinstance(one, BlockSource) and isinstance(other, BlockSource):
        return one.dev == other.dev
    if isinstance(one, NetworkSource) and isinstance(other, NetworkSource):
        return (one.protocol, one.name, one.hosts) == (other.protocol, other.name, other.hosts)
    return False
