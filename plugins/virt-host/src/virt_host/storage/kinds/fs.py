"""Pools that are a file system on a device of the host, or on a server: mounted while they run."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.storage.backend import pool_path
from virt_host.storage.devices import require_empty
from virt_host.storage.images import FolderBackend
from virt_host.storage.mount import mount_source, start_command, stop_command
from virt_host.storage.programs import run
from virt_host.storage.sources import sources_xml
from virt_host.tools import find_tool
from virtcore.errors import (
    ConfigUnsupported,
    ErrorDomain,
    InternalError,
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    SystemError as SystemFailure,
)
from virtcore.model.storage.pool_source import (
    FileSystemFormat,
    FileSystemPoolSource,
    NetFSFormat,
    NetFSPoolSource,
    PoolHost,
)
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.pool_source import PoolSource

__all__ = ["FileSystemBackend", "NetFSBackend", "mounted"]

_DOMAIN = ErrorDomain.STORAGE
_MOUNTS = "/proc/mounts"
_ESCAPED = re.compile(r"\\([0-7]{3})")
#: Programs that make a file system want to be told to overwrite.
_FORCED = {FileSystemFormat.XFS: "-f"}
_ASKING = 60.0
"""Seconds that a server has to tell what it exports."""


def mounted() -> list[tuple[str, str]]:
    """What is mounted, and where."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
            rows = [line.split(" ") for line in file]
    except OSError as error:
        raise SystemFailure(f"cannot read mount list '{_MOUNTS}': {error.strerror}", domain=_DOMAIN) from error
    return [(_plain(row[0]), _plain(row[1])) for row in rows if len(row) > 1]


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


class _MountedBackend(FolderBackend):
    """Pools that are mounted on their target."""

    def check_source(self, pool: StoragePool) -> None:
        """Hook: refuse a source that lacks something."""

    async def _is_mounted(self, pool: StoragePool) -> bool:
        self.check_source(pool)
        source = pool.source
        assert isinstance(source, FileSystemPoolSource | NetFSPoolSource)
        wanted, target = mount_source(source), os.path.realpath(pool_path(pool))
        for device, folder in await in_thread(mounted):
            if folder == target:
                same = device == wanted or (
                    isinstance(source, FileSystemPoolSource) and os.path.realpath(device) == os.path.realpath(wanted)
                )
                if same:
                    return True
        return False

    async def check(self, pool: PoolObject) -> bool:
        return await self._is_mounted(pool.current)

    async def start(self, pool: PoolObject) -> None:
        if await self._is_mounted(pool.current):
            return
        await run(*start_command(pool.current))

    async def stop(self, pool: PoolObject) -> None:
        if await self._is_mounted(pool.current):
            await run(*stop_command(pool.current))


class FileSystemBackend(_MountedBackend):
    """``<pool type='fs'>``."""

    def check_source(self, pool: StoragePool) -> None:
        assert isinstance(pool.source, FileSystemPoolSource)
        if len(pool.source.devices) != 1:
            what = (
                "missing source device" if not pool.source.devices else "expected exactly 1 device for the storage pool"
            )
            raise (InternalError if not pool.source.devices else ConfigUnsupported)(what, domain=_DOMAIN)

    async def format_device(self, pool: PoolObject, *, overwrite: bool) -> None:
        source = pool.current.source
        assert isinstance(source, FileSystemPoolSource)
        if not source.devices:
            await super().format_device(pool, overwrite=overwrite)
        device, format = source.devices[0].path, source.format or FileSystemFormat.AUTO
        if not await in_thread(os.path.exists, device):
            raise OperationInvalid(f"Source device does not exist when formatting pool '{pool.name}'", domain=_DOMAIN)
        if not overwrite:
            await require_empty(device, format)
        await run("mkfs", "-t", format, *([_FORCED[format]] if format in _FORCED else []), device)


class NetFSBackend(_MountedBackend):
    """``<pool type='netfs'>``."""

    def check_source(self, pool: StoragePool) -> None:
        source = pool.source
        assert isinstance(source, NetFSPoolSource)
        if len(source.hosts) != 1:
            raise ConfigUnsupported("Expected exactly 1 host for the storage pool", domain=_DOMAIN)
        if source.dir is None:
            raise InternalError("missing source path", domain=_DOMAIN)

    async def find_sources(self, source: PoolSource | None) -> str:
        if not isinstance(source, NetFSPoolSource) or not source.hosts:
            raise InvalidArg("hostname must be specified for netfs sources", domain=_DOMAIN)
        if len(source.hosts) != 1:
            raise ConfigUnsupported("Expected exactly 1 host for the storage pool", domain=_DOMAIN)
        host = source.hosts[0].name
        found = [*await _exported(host), *await _gluster_volumes(host)]
        if not found:
            raise OperationFailed(f"no storage pools were found on host '{host}'", domain=_DOMAIN)
        return sources_xml(found)


async def _exported(host: str) -> list[PoolSource]:
    """What a server exports by NFS (``showmount``)."""
    program = find_tool("showmount")
    if program is None:
        return []
    done = await finish_program([program, "--no-headers", "--exports", host], limit=_ASKING)
    if done.status:
        return []
    found: list[PoolSource] = []
    for line in done.output.splitlines():
        # The path may have blanks; who may mount it has none.
        path = line.rsplit(None, 1)[0].rstrip() if line.strip() else ""
        if not path:
            continue
        _check_path(path)
        found.append(NetFSPoolSource(hosts=[PoolHost(name=host)], dir=path, format=NetFSFormat.NFS))
    return found


def _check_path(path: str) -> None:
    if "/" not in path:
        raise InternalError(f"invalid netfs path (no /): {path}", domain=_DOMAIN)
    if path.endswith("/") and path != "/":
        raise InternalError(f"invalid netfs path (ends in /): {path}", domain=_DOMAIN)


async def _gluster_volumes(host: str) -> list[PoolSource]:
    from virt_host.storage.gluster_volumes import volume_names

    return [
        NetFSPoolSource(hosts=[PoolHost(name=host)], dir=name, format=NetFSFormat.GLUSTERFS)
        for name in await volume_names(host)
    ]
