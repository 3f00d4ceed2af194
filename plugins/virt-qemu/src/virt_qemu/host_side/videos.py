"""Graphics cards that a program of their own serves."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from virt_qemu.vhost_user import find_program
from virtcore.errors import OperationFailed

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.video import Video

__all__ = ["gpu_command", "prepare", "release"]

_CONNECTION = 3
"""Number of the connection to QEMU in the program."""


def _is_served(video: Video) -> bool:
    return video.driver is not None and video.driver.name == "vhostuser"


async def prepare(side: HostSide, owner: Owner, video: Video, resources: HostResources) -> None:
    """Start the program that serves a card.

    :raises VirtError: there is none, or it does not run.
    """
    if not _is_served(video):
        return
    assert video.alias is not None
    program = find_program("gpu")
    if program is None:
        raise OperationFailed("Unable to find a satisfying vhost-user-gpu")
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            argv = gpu_command(program, video, _CONNECTION)
            name = f"{video.alias}-vhost-user-gpu"
            identity = side.identity_of(owner)
            await side.programs.start(owner, name, argv, fds={_CONNECTION: theirs.fileno()}, identity=identity)
        except BaseException:
            ours.close()
            raise
    resources.provide_gpu(video.alias, ours.detach())


async def release(side: HostSide, owner: Owner, video: Video) -> None:
    """End the program that serves a card."""
    if _is_served(video):
        await side.programs.stop(owner, f"{video.alias}-vhost-user-gpu")


def gpu_command(program: str, video: Video, descriptor: int) -> list[str]:
    """What the program is run with.

    :param descriptor: number of its connection to QEMU.
    """
    argv = [program, f"--fd={descriptor}"]
    model = video.model
    acceleration = model.acceleration if model is not None else None
    if acceleration is not None and acceleration.accel3d:
        argv.append("--virgl")
    if acceleration is not None and acceleration.rendernode is not None:
        argv.append(f"--render-node={acceleration.rendernode}")
    return argv
