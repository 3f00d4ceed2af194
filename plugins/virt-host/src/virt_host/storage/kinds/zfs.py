"""Pools that are a pool of ZFS: its volumes of blocks are the volumes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.storage.backend import HostVolume, pool_path, refuse_flags, target_of
from virt_host.storage.devices import DeviceBackend, wait_for_devices
from virt_host.storage.programs import run
from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError
from virtcore.model.storage.pool_source import ZFSPoolSource
from virtcore.model.storage.volume import Volume, VolumeTarget, VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import StoragePoolBuildFlags, StoragePoolDeleteFlags, StorageVolDeleteFlags
    from virtcore.model.storage.pool import StoragePool

__all__ = ["ZFSBackend"]

_DOMAIN = ErrorDomain.STORAGE


def _name(pool: StoragePool) -> str:
    assert isinstance(pool.source, ZFSPoolSource)
    return pool.source.name or ""


def _kibibytes(size: int) -> str:
    return f"{-(-size // 1024)}K"


class ZFSBackend(DeviceBackend):
    """``<pool type='zfs'>``."""

    needs_capacity = True

    async def build(self, pool: PoolObject, flags: StoragePoolBuildFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendZFSBuildPool")
        source = pool.current.source
        assert isinstance(source, ZFSPoolSource)
        if not source.devices:
            raise InternalError("missing source devices", domain=_DOMAIN)
        await run("zpool", "create", _name(pool.current), *(device.path for device in source.devices))

    async def delete(self, pool: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendZFSDeletePool")
        await run("zpool", "destroy", _name(pool.current))

    async def check(self, pool: PoolObject) -> bool:
        return await in_thread(os.path.isdir, f"/dev/zvol/{_name(pool.current)}")

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        told = await run("zpool", "get", "-Hp", "health,size,free,allocated", _name(document))
        figures = {row[1]: row[2] for row in (line.split("\t") for line in told.splitlines()) if len(row) >= 3}
        try:
            document.capacity, document.available, document.allocation = (
                int(figures[name]) for name in ("size", "free", "allocated")
            )
        except (KeyError, ValueError):
            raise InternalError(f"malformed output of zpool: {told}", domain=_DOMAIN) from None
        return list((await self._volumes(document)).values())

    async def _volumes(self, pool: StoragePool) -> dict[str, HostVolume]:
        listed = await run("zfs", "list", "-Hp", "-t", "volume", "-r", "-o", "name,volsize,refreservation", _name(pool))
        found = {}
        for row in (line.split("\t") for line in listed.splitlines() if line.strip()):
            if len(row) != 3 or "/" not in row[0] or not row[1].isdigit():
                raise InternalError(f"malformed output of zfs: {listed}", domain=_DOMAIN)
            name = row[0].split("/", 1)[1]
            reserved = int(row[2]) if row[2].isdigit() else 0
            document = Volume(
                name=name,
                type=VolumeType.BLOCK,
                key=row[0],
                capacity=int(row[1]),
                allocation=reserved,
                target=VolumeTarget(path=f"{pool_path(pool)}/{name}"),
            )
            found[name] = HostVolume(document, made=True)
            found[name].sparse = reserved < int(row[1])
        return found

    # -- volumes

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        assert isinstance(volume, HostVolume)
        document = volume.document
        if target_of(document).encryption is not None:
            raise ConfigUnsupported("storage pool does not support encrypted volumes", domain=_DOMAIN)
        document.type = VolumeType.BLOCK
        target_of(document).path = f"{pool_path(pool.current)}/{volume.name}"
        name = f"{_name(pool.current)}/{volume.name}"
        capacity, allocation = document.capacity or 0, document.allocation or 0
        argv = ["zfs", "create"]
        if capacity != allocation:
            argv.append("-s")
            argv += ["-o", f"refreservation={_kibibytes(allocation)}"] if allocation else []
        await run(*argv, "-V", _kibibytes(capacity), name)
        volume.made = True
        document.key = name
        found = (await self._volumes(pool.current)).get(volume.name)
        if found is None:
            raise InternalError(f"cannot find newly created volume '{volume.name}'", domain=_DOMAIN)
        document.capacity, document.allocation, volume.sparse = (
            found.document.capacity,
            found.document.allocation,
            found.sparse,
        )
        await wait_for_devices()

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        found = (await self._volumes(pool.current)).get(volume.name)
        if found is not None:
            volume.document.capacity, volume.document.allocation = found.document.capacity, found.document.allocation

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendZFSDeleteVol")
        if isinstance(volume, HostVolume) and not volume.made:
            return
        await run("zfs", "destroy", f"{_name(pool.current)}/{volume.name}")
