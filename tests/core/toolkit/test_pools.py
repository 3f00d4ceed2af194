"""Storage pools of any driver: backends that can little, that fail, that take long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from support import comes
from virtcore.driver import Place
from virtcore.driver.toolkit import DiskWorker
from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject
from virtcore.driver.toolkit.pools import PoolObject, Pools
from virtcore.driver.toolkit.volumes import StatefulStorage
from virtcore.enums import (
    StoragePoolBuildFlags as Build,
    StoragePoolCreateFlags as Create,
    StoragePoolEventLifecycleType as Kind,
    StorageVolInfoFlags,
    StorageVolResizeFlags as Resize,
    StorageXMLFlags,
)
from virtcore.errors import (
    InternalError,
    InvalidArg,
    NoStoragePool,
    NoStorageVol,
    NoSupport,
    OperationFailed,
    OperationInvalid,
    StorageVolExist,
    VirtError,
)
from virtcore.model.storage import StoragePoolType, load_storage_vol
from virtcore.model.storage.volume import VolumeTarget
from virtcore.operations.events import StoragePoolLifecycleEvent
from virtcore.types import StoragePoolRef, StorageVolRef


class Folder(PoolBackend):
    """A kind of pool that can everything, and notes what it is asked for."""

    needs_capacity = True

    def __init__(self, kind: StoragePoolType) -> None:
        super().__init__(kind)
        self.done: list[object] = []
        self.broken: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = False

    def _do(self, what: object) -> None:
        self.done.append(what)
        if what in self.broken:
            raise OperationFailed(f"no {what}")

    async def build(self, pool: PoolObject, flags: Build) -> None:
        self._do(("build", flags))

    async def start(self, pool: PoolObject) -> None:
        self._do("start")

    async def check(self, pool: PoolObject) -> bool:
        return True

    async def stop(self, pool: PoolObject) -> None:
        self._do("stop")

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        self._do("refresh")
        assert pool.live is not None
        pool.live.capacity, pool.live.allocation, pool.live.available = 1000, 100, 900
        found = load_storage_vol("<volume><name>found</name><capacity>100</capacity></volume>", pool.live)
        found.key, found.target = "key-found", VolumeTarget(path="/p/found")
        return [VolumeObject(found)]

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        self._do("create")
        volume.document.key = f"key-{pool.name}-{volume.name}"
        volume.document.target = VolumeTarget(path=f"/p/{volume.name}")

    async def build_volume(self, pool: PoolObject, volume: VolumeObject, flags: int) -> None:
        self.waiting = True
        await self.gate.wait()
        self._do("make")

    async def build_volume_from(self, pool: PoolObject, volume: VolumeObject, source: VolumeObject, flags: int) -> None:
        self.waiting = True
        await self.gate.wait()
        self._do(("copy", source.name))

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        volume.document.physical = 4096

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: int) -> None:
        self._do("remove")

    async def resize_volume(self, pool: PoolObject, volume: VolumeObject, capacity: int, flags: Resize) -> None:
        self._do(("resize", capacity, flags))


class Places(Pools):
    def make_backend(self, kind: StoragePoolType) -> PoolBackend:
        if kind is StoragePoolType.DIR:
            return Folder(kind)
        if kind is StoragePoolType.MPATH:
            return Bare(kind)
        raise InternalError(f"missing backend for pool type {list(StoragePoolType).index(kind)} ({kind})")


class Bare(PoolBackend):
    """A kind of pool that has what is there."""

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        assert pool.live is not None
        found = load_storage_vol("<volume><name>unit</name><capacity>100</capacity></volume>", pool.live)
        found.key = "key-unit"
        return [VolumeObject(found)]


class Storage(StatefulStorage):
    def __init__(self, *folders: Any) -> None:
        super().__init__(Place(privileged=False))
        self.pools = Places(*folders)
        self.told: list[StoragePoolLifecycleEvent] = []
        self.subscribe(lambda event: self.told.append(event))  # type: ignore[arg-type]

    @property
    def folder(self) -> Folder:
        found = self.pools.backend(StoragePoolType.DIR)
        assert isinstance(found, Folder)
        return found


def pool(name: str = "p", kind: str = "dir") -> str:
    return f"<pool type='{kind}'><name>{name}</name><target><path>/{name}</path></target></pool>"


def volume(name: str = "v", more: str = "<capacity>50</capacity>") -> str:
    return f"<volume><name>{name}</name>{more}</volume>"


def run(test: Callable[[Storage], Coroutine[object, object, None]]) -> None:
    async def inside() -> None:
        await test(Storage())

    asyncio.run(inside())


def figures(storage: Storage, ref: StoragePoolRef) -> tuple[int, ...]:
    return tuple(storage.storage_pool_info(ref))[1:]


def test_life() -> None:
    async def test(storage: Storage) -> None:
        ref = await storage.connection_define_storage_pool(pool())
        await storage.storage_pool_build(ref, Build.OVERWRITE)
        await storage.storage_pool_create(ref, Create.WITH_BUILD | Create.WITH_BUILD_NO_OVERWRITE)
        assert storage.folder.done == [("build", Build.OVERWRITE), ("build", Build.NO_OVERWRITE), "start", "refresh"]
        assert [found.name for found in storage.storage_pool_list_volumes(ref)] == ["found"]
        assert figures(storage, ref) == (1000, 100, 900)
        shown = await storage.storage_pool_xml(ref, StorageXMLFlags.INACTIVE)
        assert "<capacity unit='bytes'>1000</capacity>" in shown  # as long as it is the definition that it started from
        for change in (storage.storage_pool_create, storage.storage_pool_build):
            with pytest.raises(OperationInvalid, match="storage pool 'p' is already active"):
                await change(ref)
        for removal in (storage.storage_pool_delete, storage.storage_pool_undefine):
            with pytest.raises(OperationInvalid, match="storage pool 'p' is still active"):
                await removal(ref)
        await storage.storage_pool_destroy(ref)
        with pytest.raises(NoSupport, match="pool does not support pool deletion"):
            await storage.storage_pool_delete(ref)
        await storage.storage_pool_undefine(ref)
        with pytest.raises(NoStoragePool, match=f"no storage pool with matching uuid '{ref.uuid}' \\(p\\)"):
            storage.storage_pool_info(ref)
        kinds = [Kind.DEFINED, Kind.CREATED, Kind.STARTED, Kind.STOPPED, Kind.UNDEFINED]
        assert [event.type for event in storage.told] == kinds

    run(test)


def test_what_cannot_be_looked_at_does_not_start_and_does_not_stay() -> None:
    async def test(storage: Storage) -> None:
        folder = storage.folder
        folder.broken = {"refresh"}
        with pytest.raises(OperationFailed, match="no refresh"):
            await storage.connection_create_storage_pool(pool())
        assert (folder.done, storage.told) == (["start", "refresh", "stop"], [])
        assert storage.connection_list_storage_pools() == []
        folder.broken = set()
        ref = await storage.connection_define_storage_pool(pool())
        await storage.storage_pool_create(ref)
        folder.broken = {"refresh"}
        with pytest.raises(OperationFailed, match="no refresh"):
            await storage.storage_pool_refresh(ref)
        assert not storage.storage_pool_is_active(ref)
        assert storage.told[-1].type is Kind.STOPPED
        with pytest.raises(InvalidArg, match="BUILD_NO_OVERWRITE' are mutually exclusive"):
            await storage.storage_pool_create(ref, Create.WITH_BUILD_OVERWRITE | Create.WITH_BUILD_NO_OVERWRITE)

    run(test)


def test_pools_that_arrive_together_do_not_share_their_storage(tmp_path: Path) -> None:
    async def test() -> None:
        disk = DiskWorker("pools")
        try:
            storage = Storage(tmp_path, disk)
            await storage.pools.open()
            documents = [pool().replace("<name>p", f"<name>p{number}") for number in range(3)]
            made = await asyncio.gather(
                storage.connection_define_storage_pool(documents[0]),
                storage.connection_create_storage_pool(documents[1]),
                storage.connection_define_storage_pool(documents[2]),
                return_exceptions=True,
            )
            assert [isinstance(found, OperationFailed) for found in made] == [False, True, True]
            await storage.storage_pool_undefine(storage.connection_lookup_storage_pool(name="p0"))
            await storage.connection_define_storage_pool(documents[2])
        finally:
            await disk.close()

    asyncio.run(test())


def test_what_a_backend_cannot_is_refused() -> None:
    async def test(storage: Storage) -> None:
        ref = await storage.connection_create_storage_pool(pool("m", "mpath"))
        [unit] = storage.storage_pool_list_volumes(ref)
        for refused, words in (
            (storage.storage_pool_create_volume(ref, volume()), "storage pool does not support volume creation"),
            (
                storage.storage_pool_clone_volume(ref, volume(), unit),
                "storage pool does not support volume creation",
            ),
            (storage.storage_vol_delete(unit), "storage pool does not support vol deletion"),
            (storage.storage_vol_resize(unit, 200), "storage pool does not support changing of volume capacity"),
            (storage.storage_vol_wipe(unit), "storage pool doesn't support volume wiping"),
            (storage.storage_vol_upload(unit), "storage pool doesn't support volume upload"),
            (storage.storage_vol_download(unit), "storage pool doesn't support volume download"),
            (
                storage.connection_find_storage_pool_sources("mpath"),
                "pool type 'mpath' does not support source discovery",
            ),
        ):
            with pytest.raises(NoSupport, match=words):
                await refused
        assert [found.name for found in storage.storage_pool_list_volumes(ref)] == ["unit"]
        await storage.storage_pool_destroy(ref)  # nothing is in use
        with pytest.raises(InternalError, match="missing backend for pool type 12 \\(zfs\\)"):
            await storage.connection_find_storage_pool_sources("zfs")
        with pytest.raises(InternalError, match="unknown storage pool type nonsense"):
            await storage.connection_find_storage_pool_sources("nonsense")

    run(test)


def test_volumes() -> None:
    async def test(storage: Storage) -> None:
        ref = await storage.connection_create_storage_pool(pool())
        made = await storage.storage_pool_create_volume(ref, volume())
        assert made == StorageVolRef("p", "v", "key-p-v")
        assert figures(storage, ref) == (1000, 150, 850)
        assert tuple(await storage.storage_vol_info(made))[1:] == (50, 50)
        assert tuple(await storage.storage_vol_info(made, StorageVolInfoFlags.GET_PHYSICAL))[1:] == (50, 4096)
        with pytest.raises(StorageVolExist, match="storage volume 'v' exists already"):
            await storage.storage_pool_create_volume(ref, volume())
        with pytest.raises(NoSupport, match="volume capacity required for this storage pool"):
            await storage.storage_pool_create_volume(ref, volume("w", "<capacity>0</capacity>"))
        with pytest.raises(NoStorageVol, match=r"no storage vol with matching key nope$"):
            storage.connection_lookup_storage_vol(key="nope")
        with pytest.raises(NoStorageVol, match="no storage vol with matching path '//p//x' \\(//p/x\\)"):
            storage.connection_lookup_storage_vol(path="//p//x")
        with pytest.raises(NoStoragePool, match="no storage pool with matching target path '/q/' \\(/q\\)"):
            storage.connection_lookup_storage_pool(target_path="/q/")
        await storage.storage_vol_resize(made, 20, Resize.DELTA)
        assert storage.folder.done[-1] == ("resize", 70, Resize(0))
        await storage.storage_vol_resize(made, 20, Resize.DELTA | Resize.SHRINK)
        assert storage.folder.done[-1] == ("resize", 50, Resize.SHRINK)
        await storage.storage_vol_delete(made)
        assert figures(storage, ref) == (1000, 100, 900)

    run(test)


def test_clones_are_at_least_as_large_and_may_come_from_another_pool() -> None:
    async def test(storage: Storage) -> None:
        first = await storage.connection_create_storage_pool(pool("one"))
        other = await storage.connection_create_storage_pool(pool("other", "mpath"))
        [unit] = storage.storage_pool_list_volumes(other)
        folder = storage.folder
        folder.gate.clear()
        cloning = asyncio.create_task(storage.storage_pool_clone_volume(first, volume("c", ""), unit))
        await comes(lambda: folder.waiting)
        copy = storage.storage_pool_lookup_volume(first, "c")
        with pytest.raises(OperationInvalid, match="volume 'c' is still being allocated"):
            await storage.storage_vol_delete(copy)
        with pytest.raises(OperationInvalid, match="volume 'c' is still being allocated"):
            await storage.storage_vol_download(copy)
        with pytest.raises(OperationInvalid, match="volume 'unit' is still in use"):
            await storage.storage_vol_wipe(unit)
        for ref in (first, other):
            with pytest.raises(InternalError, match=f"pool '{ref.name}' has asynchronous jobs running"):
                await storage.storage_pool_destroy(ref)
            with pytest.raises(InternalError, match="has asynchronous jobs running"):
                await storage.storage_pool_refresh(ref)
        with pytest.raises(InternalError, match="storage volume name 'c' already in use"):
            await storage.storage_pool_clone_volume(first, volume("c"), unit)
        folder.gate.set()
        assert await cloning == copy
        assert tuple(await storage.storage_vol_info(copy))[1:] == (100, 100)
        assert folder.done[-1] == ("copy", "unit")
        for ref in (first, other):
            await storage.storage_pool_destroy(ref)

    run(test)


@pytest.mark.parametrize("aborted", [False, True])
def test_what_cannot_be_made_leaves_nothing(aborted: bool) -> None:
    async def test(storage: Storage) -> None:
        ref = await storage.connection_create_storage_pool(pool())
        folder = storage.folder
        folder.broken = {"make"}
        folder.gate.clear()
        making = asyncio.create_task(storage.storage_pool_create_volume(ref, volume()))
        await comes(lambda: folder.waiting)
        assert figures(storage, ref) == (1000, 100, 900)  # it takes nothing before it is there
        if aborted:
            making.cancel()
        else:
            folder.gate.set()
        with pytest.raises(asyncio.CancelledError if aborted else OperationFailed):
            await making
        assert folder.done[-1] == "remove"
        assert figures(storage, ref) == (1000, 100, 900)
        assert [found.name for found in storage.storage_pool_list_volumes(ref)] == ["found"]
        await storage.storage_pool_destroy(ref)

    run(test)


def test_what_could_not_be_removed_is_told_of() -> None:
    async def test(storage: Storage) -> None:
        ref = await storage.connection_create_storage_pool(pool())
        storage.folder.broken = {"make", "remove"}
        with pytest.raises(OperationFailed, match="no make") as caught:
            await storage.storage_pool_create_volume(ref, volume())
        assert "no remove" in caught.value.__notes__[-1]
        assert len(storage.storage_pool_list_volumes(ref)) == 2

    run(test)


def test_pools_survive(tmp_path: Path) -> None:
    async def test() -> None:
        disk = DiskWorker("pools")
        folders = tmp_path / "definitions", disk, tmp_path / "status"
        try:
            storage = Storage(*folders)
            await storage.pools.open()
            ref = await storage.connection_define_storage_pool(pool())
            await storage.storage_pool_set_autostart(ref, True)
            await storage.storage_pool_create(ref)
            await storage.connection_create_storage_pool(pool("m", "mpath"))
            again = Storage(*folders)
            await again.pools.open()
            assert again.connection_list_storage_pools() == [ref]
            assert again.storage_pool_is_active(ref)
            assert [found.name for found in again.storage_pool_list_volumes(ref)] == ["found"]
            assert again.folder.done == ["refresh"]
            assert again.storage_pool_autostart(ref)
            assert await again.storage_pool_xml(ref) == await storage.storage_pool_xml(ref)
            with pytest.raises(VirtError, match="conflict with pool: 'p'"):
                await again.connection_define_storage_pool(pool().replace("<name>p", "<name>q"))
        finally:
            await disk.close()

    asyncio.run(test())
