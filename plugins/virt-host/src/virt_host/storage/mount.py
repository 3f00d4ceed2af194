"""Pools that are started by a command: file systems that are mounted, volume groups that are activated."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from virt_host.storage.namespace import MountOptions
from virtcore.errors import ErrorDomain, NoSupport
from virtcore.model.storage.pool_source import (
    FileSystemPoolSource,
    LogicalPoolSource,
    NetFSFormat,
    NetFSPoolSource,
)

if TYPE_CHECKING:
    from virtcore.model.storage.pool import StoragePool

__all__ = ["System", "mount_source", "start_command", "stop_command"]


class System(Enum):
    """The operating system of the host; the value is what every file system is mounted with."""

    LINUX = ("nodev", "nosuid", "noexec")
    FREEBSD = ("nosuid", "noexec")
    OTHER = ()


#: What these network file systems are mounted with.
_FORMAT_OPTIONS = {NetFSFormat.GLUSTERFS: "direct-io-mode=1", NetFSFormat.CIFS: "guest"}


def mount_source(source: FileSystemPoolSource | NetFSPoolSource) -> str:
    """What is mounted: the device, or the folder of the server."""
    if isinstance(source, FileSystemPoolSource):
        return source.devices[0].path
    host = source.hosts[0].name
    return f"//{host}/{source.dir}" if source.format is NetFSFormat.CIFS else f"{host}:{source.dir}"


def start_command(
    pool: StoragePool, system: System = System.LINUX, *, mount: str = "mount", vgchange: str = "vgchange"
) -> list[str]:
    """The command that makes a pool's storage available (``virStoragePoolCreate``).

    :param pool: the pool, completed.
    :raises NoSupport: pools of this kind are not started by a command.
    """
    source = pool.source
    if isinstance(source, LogicalPoolSource):
        return [vgchange, "-aly", source.name or ""]
    if not isinstance(source, FileSystemPoolSource | NetFSPoolSource):
        raise _no_command(pool)
    options = [*system.value, *_source_options(source)]
    for added in pool.options:
        if isinstance(added, MountOptions):
            options += [option.name for option in added.options]
    command = [mount]
    if options:
        command += ["-o", ",".join(options)]
    # "mount -t auto" does not find out about network file systems; mount without a type does.
    if source.format is not None and source.format is not NetFSFormat.AUTO:
        command += ["-t", source.format]
    return [*command, mount_source(source), _target(pool)]


def stop_command(pool: StoragePool, *, umount: str = "umount", vgchange: str = "vgchange") -> list[str]:
    """The command that gives a pool's storage back (``virStoragePoolDestroy``).

    :raises NoSupport: pools of this kind are not started by a command.
    """
    source = pool.source
    if isinstance(source, LogicalPoolSource):
        return [vgchange, "-aln", source.name or ""]
    if not isinstance(source, FileSystemPoolSource | NetFSPoolSource):
        raise _no_command(pool)
    return [umount, _target(pool)]


def _target(pool: StoragePool) -> str:
    """The folder that the file system is mounted on."""
    assert pool.target is not None  # completion
    assert pool.target.path is not None
    return pool.target.path


def _source_options(source: FileSystemPoolSource | NetFSPoolSource) -> list[str]:
    if not isinstance(source, NetFSPoolSource):
        return []
    if source.format in _FORMAT_OPTIONS:
        return [_FORMAT_OPTIONS[source.format]]
    return [f"nfsvers={source.protocol_version}"] if source.protocol_version else []


def _no_command(pool: StoragePool) -> NoSupport:
    return NoSupport(
        None, domain=ErrorDomain.STORAGE, value=pool.type, advice=f"a {pool.type} pool is not started by a command"
    )
