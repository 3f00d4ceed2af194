"""Storage pools and their volumes on this host: the service ``storage``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, ClassVar

from virt_host.storage.backend import HostVolume, StorageHost
from virtcore.driver.composition import PlaceServices
from virtcore.driver.toolkit.hosted import HostedService
from virtcore.driver.toolkit.pools import PoolObject, Pools
from virtcore.driver.toolkit.volumes import StatefulStorage
from virtcore.errors import VirtError

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.base import Place
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject
    from virtcore.model.storage import StoragePool
    from virtcore.model.storage.pool_source import StoragePoolType

__all__ = ["HostPools", "HostStorage"]

log = logging.getLogger("virtcore")


class HostPools(Pools):
    """The pools of one place of this host."""

    volume_kind = HostVolume

    def __init__(self, folder: Path, disk: DiskWorker, status: Path, host: StorageHost) -> None:
        super().__init__(folder, disk, status)
        self.host = host

    def make_backend(self, kind: StoragePoolType) -> PoolBackend:
        from virt_host.storage.kinds import make_backend

        return make_backend(kind, self.host)

    def admit(self, document: StoragePool) -> None:
        self.backend(document.type)  # there are such pools here
        super().admit(document)

    async def open(self) -> None:
        """Learn the definitions, and find what works: also what works without anybody having started it."""
        await super().open()
        for obj in [obj for obj in self.table if not obj.active]:
            try:
                await self._find_working(obj)
            except VirtError as error:
                log.error("Failed to initialize storage pool '%s': %s", obj.name, error)

    async def _find_working(self, obj: PoolObject) -> None:
        from copy import deepcopy

        obj.live = deepcopy(obj.current)
        working = False
        try:
            working = await self.recover(obj)
            if working:
                await self.save_status(obj)
        finally:
            if not working:
                obj.live = None


class HostStorage(HostedService, StatefulStorage):
    """Storage of a Linux host."""

    name = "storage"
    error_domain: ClassVar[str] = "STORAGE"

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        folders = self.folders
        self._services = PlaceServices(place)
        host = StorageHost(services=self._services)
        self._host = host
        self.pools = HostPools(folders.config, self.disk, folders.status, host)

    async def restore(self) -> None:
        await self.pools.open()

    async def start_marked(self) -> None:
        await self.pools.start_marked()

    async def rest(self) -> None:
        await self.end_streams()
        await self._services.close()

    @property
    def in_use(self) -> bool:
        return any(obj.active for obj in self.pools.table)

    async def connection_storage_pool_capabilities(self, flags: int = 0) -> str:
        from virt_host.storage.kinds import supported_kinds
        from virtcore.model.storage import format_storage_pool_capabilities, storage_pool_capabilities

        self._check(flags, 0, "connection_storage_pool_capabilities")
        return format_storage_pool_capabilities(storage_pool_capabilities(supported_kinds(self._host)))

    async def _uploaded(self, obj: PoolObject, volume: VolumeObject) -> None:
        self.spawn(self._refresh_after(obj))

    async def _refresh_after(self, obj: PoolObject) -> None:
        """What was written may be another image: the pool is looked at afresh."""
        try:
            await self.pools.refresh(obj)
        except VirtError as error:
            log.info("storage pool '%s' was not looked at after an upload: %s", obj.name, error)
