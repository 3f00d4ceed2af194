"""Pull: the images below the top one are copied into it (``block-stream``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.storage import backing_string
from virt_qemu.block_jobs import BlockJob, JobDisk
from virt_qemu.blockjobs.lookup import Chain, bytes_per_second
from virt_qemu.guest import guest_of
from virtcore.enums.domain_more import DomainBlockRebaseFlags as Flags

if TYPE_CHECKING:
    from virt_qemu.blockjobs.state import BlockJobState
    from virtcore.driver.toolkit import DomainObject

__all__ = ["begin_pull"]


async def begin_pull(
    state: BlockJobState, obj: DomainObject, name: str, base: str | None, bandwidth: int, flags: int
) -> None:
    """Begin a pull. Called with the domain's job held.

    :param base: the image that stays below; None for none.
    :raises VirtError: it cannot be begun.
    """
    guest = guest_of(obj)
    disk = state.disk_for_job(obj, name)
    chain = Chain.of(guest, disk)
    arguments: dict[str, object] = {"device": chain.nodes[0]}
    node = None
    if base is not None:
        place = chain.find(base, below=0)
        node = arguments["base-node"] = chain.nodes[place]
        relative = flags & Flags.RELATIVE
        arguments["backing-file"] = chain.relative(0, place) if relative else backing_string(chain.images[place])
    speed = bytes_per_second(bandwidth, bool(flags & Flags.BANDWIDTH_BYTES))
    if speed:
        arguments["speed"] = speed
    job = BlockJob(
        name=f"pull-{chain.target}-{chain.nodes[0]}",
        type="pull",
        state="new",
        flags=flags,
        disk=JobDisk(target=chain.target),
        base=node,
    )
    await state.begin_block_job(obj, job, "block-stream", arguments | {"auto-finalize": True, "auto-dismiss": False})
