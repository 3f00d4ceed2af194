"""Pools that are a cluster of Virtuozzo Storage: mounted while they run."""

from __future__ import annotations

import grp
import os
import pwd
from typing import TYPE_CHECKING

from virt_host.storage.backend import pool_path, refuse_flags
from virt_host.storage.images import FolderBackend, make_folder_of
from virt_host.storage.kinds.fs import mounted
from virt_host.storage.programs import run
from virtcore.errors import ErrorDomain, OperationFailed
from virtcore.model.storage.pool_source import VStoragePoolSource
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import StoragePoolBuildFlags
    from virtcore.model.storage.pool import StoragePool

__all__ = ["VStorageBackend"]

_DOMAIN = ErrorDomain.STORAGE
_MODE = 0o700


def _cluster(pool: StoragePool) -> str:
    assert isinstance(pool.source, VStoragePoolSource)
    return pool.source.name or ""


class VStorageBackend(FolderBackend):
    """``<pool type='vstorage'>``."""

    async def build(self, pool: PoolObject, flags: StoragePoolBuildFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendVzPoolBuild")
        await in_thread(make_folder_of, pool.current)

    async def check(self, pool: PoolObject) -> bool:
        wanted = f"vstorage://{_cluster(pool.current)}", os.path.realpath(pool_path(pool.current))
        return wanted in await in_thread(mounted)

    async def start(self, pool: PoolObject) -> None:
        document = pool.current
        permissions = document.target.permissions if document.target is not None else None
        uid = permissions.owner if permissions is not None and permissions.owner is not None else os.geteuid()
        gid = permissions.group if permissions is not None and permissions.group is not None else os.getegid()
        mode = permissions.mode if permissions is not None and permissions.mode is not None else _MODE
        try:
            user, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
        except KeyError as error:
            raise OperationFailed(f"Failed to find the user or group of the pool: {error}", domain=_DOMAIN) from None
        path = pool_path(document)
        await run("vstorage-mount", "-c", _cluster(document), path, "-m", f"{mode:o}", "-g", group, "-u", user)

    async def stop(self, pool: PoolObject) -> None:
        if await self.check(pool):
            await run("umount", pool_path(pool.current))
