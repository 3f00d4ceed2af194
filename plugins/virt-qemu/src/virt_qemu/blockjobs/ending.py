"""Ending block jobs: broken off, or by switching a guest over to the other side of a mirror, which is the copy or the
image that a commit fills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import ACTIVE_WRITES, add_bitmap
from virt_qemu.block.running import NamedNodes, disk_images, transaction
from virt_qemu.blockjobs.transitions import mirrored
from virt_qemu.guest import guest_of
from virtcore.errors import BlockCopyActive, OperationInvalid

if TYPE_CHECKING:
    from virt_qemu.block_jobs import BlockJob
    from virt_qemu.blockjobs.state import BlockJobState
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain.disk import Disk

__all__ = ["begin_pivot", "cancel_job"]


async def cancel_job(state: BlockJobState, obj: DomainObject, job: BlockJob) -> None:
    """Begin to break a job off. Called with the domain's job held."""
    guest = guest_of(obj)
    before, job.state = job.state, "aborting"
    try:
        await state.save(obj, guest)
        await guest.channel().execute("block-job-cancel", {"device": job.name})
    except BaseException:
        job.state = before
        raise


async def begin_pivot(state: BlockJobState, obj: DomainObject, disk: Disk, job: BlockJob) -> None:
    """Begin to switch a guest over to the other side of a mirror. Called with the domain's job held.

    :raises OperationInvalid: the job has no other side.
    :raises BlockCopyActive: it is not ready for it yet.
    """
    guest = guest_of(obj)
    if job.type not in ("copy", "active-commit"):
        raise OperationInvalid(f"job type '{job.type}' does not support pivot")
    if disk.mirror is None:
        raise OperationInvalid(f"pivot of disk '{job.disk.target if job.disk else ''}' requires an active copy job")
    if job.state != "ready":
        raise BlockCopyActive(f"block job '{job.name}' not ready for pivot yet")
    monitor = guest.channel()
    target = disk_images(guest, mirrored(disk))[0].top() if job.type == "copy" else job.base or ""
    known = await NamedNodes.ask(monitor)
    recorded = any(known.bitmaps.get(image.top()) for image in disk_images(guest, disk))
    before, job.state = job.state, "pivoting"
    try:
        await state.save(obj, guest)
        if recorded:
            # What the guest writes while the job ends: bitmaps are merged after that.
            await transaction(monitor, [add_bitmap(target, ACTIVE_WRITES, persistent=False)])
        await monitor.execute("job-complete", {"id": job.name})
    except BaseException:
        job.state = before
        if recorded and monitor.connected:
            await monitor.execute("block-dirty-bitmap-remove", {"node": target, "name": ACTIVE_WRITES})
        raise
