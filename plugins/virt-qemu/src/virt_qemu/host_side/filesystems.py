"""Shared folders: virtiofsd for those that a program serves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.tools import tool
from virt_qemu.command.filesystems import virtiofs_socket
from virt_qemu.resources import bind_socket
from virt_qemu.vhost_user import find_program
from virtcore.errors import OperationFailed, SystemError
from virtcore.model.domain.filesystem import DirectorySource, FilesystemDriverType

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.filesystem import Filesystem

__all__ = ["prepare", "release", "virtiofsd_command"]

_PROGRAM = "virtiofsd"


def _is_served(share: Filesystem) -> bool:
    """Whether we start the program that serves a folder."""
    external = isinstance(share.source, DirectorySource) and share.source.socket is not None
    return share.driver is not None and share.driver.type is FilesystemDriverType.VIRTIOFS and not external


async def prepare(side: HostSide, owner: Owner, share: Filesystem, resources: HostResources) -> None:
    """Start the program that serves a folder.

    :raises VirtError: there is no folder, or no such program.
    """
    folder = share.source.dir if isinstance(share.source, DirectorySource) else None
    if folder is not None and not os.path.exists(folder):
        raise (
            OperationFailed(f"the virtiofs export directory '{folder}' does not exist")
            if _is_served(share)
            else SystemError(f"Unable to access '{folder}': No such file or directory")
        )
    if not _is_served(share):
        return
    path = virtiofs_socket(str(owner.folder), share)
    with bind_socket(path) as listening:
        argv = virtiofsd_command(_program(share), share, 3, debug=side.settings.virtiofsd_debug)
        log = side.programs.log_path(owner, f"{share.alias}-{_PROGRAM}")
        await side.programs.start(owner, f"{share.alias}-{_PROGRAM}", argv, fds={3: listening.fileno()}, log_file=log)
    side.hand_over(owner, path)


async def release(side: HostSide, owner: Owner, share: Filesystem) -> None:
    """End the program that serves a folder."""
    if _is_served(share):
        await side.programs.stop(owner, f"{share.alias}-{_PROGRAM}")
        side.remove_file(virtiofs_socket(str(owner.folder), share))


def _program(share: Filesystem) -> str:
    """The program that serves folders: the one named, or what a package describes.

    :raises OperationFailed: there is none.
    """
    if share.binary is not None and share.binary.path is not None:
        return tool(share.binary.path)
    found = find_program("fs")
    if found is None:
        raise OperationFailed("Unable to find a satisfying virtiofsd")
    return found


def virtiofsd_command(program: str, share: Filesystem, descriptor: int, *, debug: bool = False) -> list[str]:
    """What virtiofsd is run with.

    :param descriptor: number of the socket it listens on.
    """
    source, binary = share.source, share.binary
    assert isinstance(source, DirectorySource)
    words = [f"source={(source.dir or '').replace(',', ',,')}"]
    argv = [program, f"--fd={descriptor}"]
    if binary is not None:
        if binary.cache is not None:
            words.append(f"cache={binary.cache}")
        if binary.sandbox is not None:
            words.append(f"sandbox={binary.sandbox}")
        for name, value in (("xattr", binary.xattr), ("flock", binary.lock_flock), ("posix_lock", binary.lock_posix)):
            if value is not None:
                words.append(name if value else f"no_{name}")
    argv += ["-o", ",".join(words)]
    if binary is not None and binary.thread_pool_size is not None and binary.thread_pool_size >= 0:
        argv.append(f"--thread-pool-size={binary.thread_pool_size}")
    if binary is not None and binary.openfiles:
        argv.append(f"--rlimit-nofile={binary.openfiles}")
    if share.readonly:
        argv.append("--readonly")
    for option, ranges in (("--uid-map", share.uid_map), ("--gid-map", share.gid_map)):
        argv += [f"{option}=:{one.start}:{one.target}:{one.count}:" for one in ranges]
    if debug:
        argv.append("-d")
    return argv
