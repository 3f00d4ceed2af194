"""Storage pools, volumes, and what is in them."""

from __future__ import annotations

import queue
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from virtcore import errors
from virtcore.enums import (
    ConnectListAllStoragePoolsFlags as ListFlags,
    StoragePoolEventLifecycleType as Kind,
    StoragePoolState,
)
from virtcore.operations.events import Event, StoragePoolLifecycleEvent
from virtcore.testing.suite.target import PREFIX, Target, covers, needs, refused

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, StoragePool

__all__ = ["TestPools", "TestVolumes"]

MIB = 1 << 20
_POOL = (
    "connection_define_storage_pool", "connection_list_storage_pools", "storage_pool_create", "storage_pool_destroy",
    "storage_pool_undefine",
)  # fmt: skip


@pytest.fixture
def pool(connection: Connection, target: Target, tmp_path: Path) -> StoragePool:
    """A running pool."""
    folder = tmp_path / "pool"
    made = connection.define_storage_pool(target.pool(f"{PREFIX}-pool", str(folder)))
    if connection.supports("storage_pool_build"):
        made.build()
    made.create()
    return made


class TestPools:
    """Pools."""

    @covers(
        "connection_define_storage_pool", "connection_list_storage_pools", "connection_lookup_storage_pool",
        "storage_pool_xml", "storage_pool_is_active", "storage_pool_is_persistent", "storage_pool_undefine",
    )  # fmt: skip
    def test_definitions(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        pool = connection.define_storage_pool(target.pool(f"{PREFIX}-pool", str(tmp_path / "pool")))
        assert connection.lookup_storage_pool(name=pool.name) == pool == connection.lookup_storage_pool(uuid=pool.uuid)
        assert (pool.is_active(), pool.is_persistent()) == (False, True)
        assert pool in connection.list_storage_pools(ListFlags.INACTIVE | ListFlags.PERSISTENT)
        assert pool not in connection.list_storage_pools(ListFlags.ACTIVE)
        text = pool.xml()
        assert connection.define_storage_pool(text) == pool
        assert pool.xml() == text
        before = connection.list_storage_pools()
        for wrong in ("<pool", "<pool type='unheard-of'><name>x</name></pool>", "<network/>"):
            with pytest.raises(errors.VirtError):
                connection.define_storage_pool(wrong)
        assert connection.list_storage_pools() == before
        pool.undefine()
        with pytest.raises(errors.NoStoragePool):
            pool.xml()
        with pytest.raises(errors.NoStoragePool):
            connection.lookup_storage_pool(name=pool.name)

    @covers("storage_pool_create", "storage_pool_destroy", "storage_pool_undefine", "storage_pool_info")
    @needs("connection_define_storage_pool", "connection_list_storage_pools")
    def test_life(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        connection.on_event(events.put, StoragePoolLifecycleEvent)
        (tmp_path / "pool").mkdir()
        pool = connection.define_storage_pool(target.pool(f"{PREFIX}-pool", str(tmp_path / "pool")))
        assert pool.info().state is StoragePoolState.INACTIVE
        with pytest.raises(errors.OperationInvalid):
            pool.destroy()
        pool.create()
        found = pool.info()
        assert found.state is StoragePoolState.RUNNING
        assert found.capacity >= found.allocation >= 0
        for wrong in (pool.create, pool.undefine):
            with pytest.raises(errors.OperationInvalid):
                wrong()
        pool.destroy()
        pool.undefine()
        for expected in (Kind.DEFINED, Kind.STARTED, Kind.STOPPED, Kind.UNDEFINED):
            event = events.get(timeout=target.event_wait)
            while isinstance(event, StoragePoolLifecycleEvent) and event.type in (Kind.CREATED, Kind.DELETED):
                event = events.get(timeout=target.event_wait)
            assert isinstance(event, StoragePoolLifecycleEvent)
            assert (event.pool, event.type) == (pool.ref, expected)

    @covers("storage_pool_build", "storage_pool_delete")
    @needs("connection_define_storage_pool", "connection_list_storage_pools", "storage_pool_create",
           "storage_pool_destroy", "storage_pool_undefine")  # fmt: skip
    def test_a_place_is_made_and_removed(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        pool = connection.define_storage_pool(target.pool(f"{PREFIX}-pool", str(tmp_path / "pool")))
        pool.build()
        pool.create()
        with pytest.raises(errors.OperationInvalid):
            pool.delete()
        pool.destroy()
        pool.delete()
        assert not (tmp_path / "pool").exists()

    @covers("connection_create_storage_pool")
    @needs("storage_pool_destroy", "storage_pool_is_persistent", "connection_lookup_storage_pool")
    def test_a_transient_pool_goes_when_it_stops(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        (tmp_path / "pool").mkdir()
        pool = connection.create_storage_pool(target.pool(f"{PREFIX}-pool", str(tmp_path / "pool")))
        assert not pool.is_persistent()
        pool.destroy()
        with pytest.raises(errors.NoStoragePool):
            connection.lookup_storage_pool(name=pool.name)

    @covers("storage_pool_autostart", "storage_pool_set_autostart")
    @needs("connection_define_storage_pool", "connection_list_storage_pools", "storage_pool_undefine")
    def test_autostart(self, connection: Connection, target: Target, tmp_path: Path) -> None:
        pool = connection.define_storage_pool(target.pool(f"{PREFIX}-pool", str(tmp_path / "pool")))
        for wanted in (True, True, False):
            pool.set_autostart(wanted)
            assert pool.autostart() is wanted

    @covers("storage_pool_refresh")
    @needs(*_POOL)
    def test_only_what_runs_is_looked_at_again(self, pool: StoragePool) -> None:
        pool.refresh()
        pool.destroy()
        with pytest.raises(errors.OperationInvalid):
            pool.refresh()

    @covers("connection_storage_pool_capabilities")
    def test_kinds_of_pools(self, connection: Connection) -> None:
        from lxml import etree

        assert etree.fromstring(connection.storage_pool_capabilities()).tag == "storagepoolCapabilities"

    @covers("connection_find_storage_pool_sources")
    def test_sources_of_unknown_kinds_are_not_found(self, connection: Connection) -> None:
        with pytest.raises(errors.VirtError):
            connection.find_storage_pool_sources("unheard-of")


class TestVolumes:
    """Volumes and their content."""

    @covers(
        "storage_pool_create_volume", "storage_pool_list_volumes", "storage_pool_lookup_volume",
        "connection_lookup_storage_vol", "storage_vol_xml", "storage_vol_info", "storage_vol_path",
        "storage_vol_delete",
    )  # fmt: skip
    @needs(*_POOL)
    def test_life(self, connection: Connection, target: Target, pool: StoragePool) -> None:
        assert pool.list_volumes() == []
        volume = pool.create_volume(target.volume("disk", MIB))
        assert pool.list_volumes() == [volume] == [pool.lookup_volume("disk")]
        assert connection.lookup_storage_vol(key=volume.key) == volume
        assert connection.lookup_storage_vol(path=volume.path()) == volume
        assert (volume.name, volume.info().capacity) == ("disk", MIB)
        assert "<name>disk</name>" in volume.xml()
        for wrong in (target.volume("disk", MIB), "<volume", "<volume/>", "<pool/>"):
            with pytest.raises(errors.VirtError):
                pool.create_volume(wrong)
        assert pool.list_volumes() == [volume]
        with pytest.raises(errors.NoStorageVol):
            pool.lookup_volume("none")
        volume.delete()
        assert pool.list_volumes() == []
        with pytest.raises(errors.NoStorageVol):
            volume.info()

    @needs(*_POOL, "storage_pool_create_volume", "storage_pool_list_volumes")
    def test_a_name_is_no_path(self, target: Target, pool: StoragePool, tmp_path: Path) -> None:
        for name in ("../outside", "a/b", ""):
            with refused(target, "storage_pool_create_volume"):
                pool.create_volume(target.volume(name, MIB))
        assert not (tmp_path / "outside").exists()

    @covers("storage_vol_upload", "storage_vol_download")
    @needs(*_POOL, "storage_pool_create_volume")
    def test_content_goes_there_and_back(self, target: Target, pool: StoragePool) -> None:
        content = bytes(range(256)) * 1024
        volume = pool.create_volume(target.volume("disk", MIB))
        with volume.upload() as stream:
            stream.write(content)
        with volume.download(length=len(content)) as stream:
            assert b"".join(stream) == content
        with volume.upload(offset=100, length=4) as stream:
            stream.write(b"four")
        with volume.download(offset=98, length=8) as stream:
            assert b"".join(stream) == content[98:100] + b"four" + content[104:106]

    @covers("storage_pool_clone_volume")
    @needs(*_POOL, "storage_pool_create_volume", "storage_vol_upload", "storage_vol_download")
    def test_a_copy_shares_nothing(self, target: Target, pool: StoragePool) -> None:
        volume = pool.create_volume(target.volume("disk", MIB))
        with volume.upload() as stream:
            stream.write(b"first")
        copy = pool.clone_volume(target.volume("copy", MIB), volume)
        with volume.upload() as stream:
            stream.write(b"other")
        with copy.download(length=5) as stream:
            assert b"".join(stream) == b"first"
        with pytest.raises(errors.VirtError):
            pool.clone_volume(target.volume("copy", MIB), volume)

    @covers("storage_vol_wipe")
    @needs(*_POOL, "storage_pool_create_volume", "storage_vol_upload", "storage_vol_download")
    def test_what_is_wiped_is_gone(self, target: Target, pool: StoragePool) -> None:
        volume = pool.create_volume(target.volume("disk", MIB))
        with volume.upload() as stream:
            stream.write(b"secret")
        volume.wipe()
        with volume.download(length=6) as stream:
            assert b"".join(stream) == bytes(6)
        with pytest.raises(errors.VirtError):
            volume.wipe(99)

    @covers("storage_vol_resize")
    @needs(*_POOL, "storage_pool_create_volume", "storage_vol_info")
    def test_resize(self, target: Target, pool: StoragePool) -> None:
        from virtcore.enums import StorageVolResizeFlags

        volume = pool.create_volume(target.volume("disk", MIB))
        volume.resize(2 * MIB)
        assert volume.info().capacity == 2 * MIB
        volume.resize(MIB, StorageVolResizeFlags.DELTA)
        assert volume.info().capacity == 3 * MIB
        with pytest.raises(errors.InvalidArg):
            volume.resize(MIB)
        assert volume.info().capacity == 3 * MIB
