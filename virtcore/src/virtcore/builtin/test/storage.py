"""The storage pools of a host that does not exist, and their volumes, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from virtcore.builtin.test.content import BLOCK, Content, ContentStream
from virtcore.driver.service import DriverService
from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject, report_progress
from virtcore.driver.toolkit.pools import PoolObject, Pools
from virtcore.driver.toolkit.volumes import StatefulStorage
from virtcore.enums.storage import StorageVolCreateFlags, StorageVolType
from virtcore.errors import (
    InternalError,
    InvalidArg,
    NoStoragePool,
    NoStorageVol,
    NoSupport,
    OperationFailed,
    OperationInvalid,
    VirtError,
)
from virtcore.model.storage.adapter import AdapterType
from virtcore.model.storage.pool_source import Named, NetFSPoolSource, PoolSource, SCSIPoolSource, StoragePoolType
from virtcore.model.storage.volume import VolumeParseFlag, VolumeTarget
from virtcore.operations.declare import inline
from virtcore.types import StoragePoolRef, StorageVolRef

if TYPE_CHECKING:
    from virtcore.builtin.test.configuration import ConfiguredPool
    from virtcore.builtin.test.driver import TestDriver
    from virtcore.builtin.test.nodedev import TestDevices
    from virtcore.enums.storage import (
        StoragePoolDeleteFlags,
        StorageVolDeleteFlags,
        StorageVolResizeFlags,
        StorageVolWipeAlgorithm,
    )
    from virtcore.model.storage import StoragePool, Volume
    from virtcore.operations.stream import ByteStream

__all__ = ["TestPools", "TestStorage"]

#: What every default host has.
DEFAULT_POOL = """\
<pool type='dir'>
  <name>default-pool</name>
  <uuid>dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566</uuid>
  <target>
    <path>/default-pool</path>
  </target>
</pool>
"""

#: Bytes every pool has.
CAPACITY = 100 << 30

_LOGICAL_SOURCES = """\
<sources>
  <source>
    <device path='/dev/sda20'/>
    <name>testvg1</name>
    <format type='lvm2'/>
  </source>
  <source>
    <device path='/dev/sda21'/>
    <name>testvg2</name>
    <format type='lvm2'/>
  </source>
</sources>
"""
_NETFS_SOURCES = """\
<sources>
  <source>
    <host name='{host}'/>
    <dir path='/testshare'/>
    <format type='nfs'/>
  </source>
</sources>
"""

_FILES = (StoragePoolType.DIR, StoragePoolType.FS, StoragePoolType.NETFS, StoragePoolType.VSTORAGE)
_NETWORK = (StoragePoolType.SHEEPDOG, StoragePoolType.ISCSI_DIRECT, StoragePoolType.GLUSTER, StoragePoolType.RBD)


class TestVolume(VolumeObject):
    """A volume with its content."""

    __test__ = False  # no test case, whatever its name
    __slots__ = ("content",)

    def __init__(self, document: Volume) -> None:
        super().__init__(document)
        self.content = Content()


class TestPool(PoolObject):
    """A pool with the storage behind it.

    :ivar stored: the volumes there are, whether it is active or not.
    :ivar adapter: the device made for it, on a virtual fibre channel adapter of its own.
    """

    __test__ = False  # no test case, whatever its name
    __slots__ = ("adapter", "stored")

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.stored: dict[str, VolumeObject] = {}
        self.adapter: str | None = None

    def require_inactive(self) -> None:
        if self.active:
            raise OperationInvalid(f"storage pool '{self.name}' is active")

    require_stopped = require_inactive


def count(pool: PoolObject) -> None:
    """The figures of a pool follow from its volumes."""
    assert isinstance(pool, TestPool)
    taken = sum(volume.allocation for volume in pool.stored.values())
    for document in (pool.live, pool.definition):
        if document is not None:
            document.capacity = CAPACITY
            document.allocation = taken
            document.available = max(CAPACITY - taken, 0)


def _place(pool: StoragePool, volume: Volume) -> str:
    """The path of a volume."""
    if pool.target is not None:
        return f"{pool.target.path}/{volume.name}"
    source = pool.source
    return f"{source.name if isinstance(source, Named) else pool.name}/{volume.name}"


class TestBackend(PoolBackend):
    """Pools of any kind, in memory."""

    __test__ = False  # no test case, whatever its name

    def __init__(self, kind: StoragePoolType, devices: Callable[[], TestDevices]) -> None:
        super().__init__(kind)
        self._devices = devices

    # -- pools

    async def find_sources(self, source: PoolSource | None) -> str:
        if self.kind is StoragePoolType.LOGICAL:
            return _LOGICAL_SOURCES
        if self.kind is not StoragePoolType.NETFS:
            return await super().find_sources(source)
        if not isinstance(source, NetFSPoolSource) or not source.hosts:
            raise InvalidArg("hostname must be specified for netfs sources")
        from virtcore.xml.writer import quote

        return _NETFS_SOURCES.format(host=quote(source.hosts[0].name))

    async def start(self, pool: PoolObject) -> None:
        assert isinstance(pool, TestPool)
        source = pool.current.source
        adapter = source.adapter if isinstance(source, SCSIPoolSource) else None
        if adapter is not None and adapter.type is AdapterType.FC_HOST:
            assert adapter.wwnn is not None  # validation requires both
            assert adapter.wwpn is not None
            pool.adapter = self._devices().create_vport(adapter.wwnn, adapter.wwpn).name

    async def stop(self, pool: PoolObject) -> None:
        assert isinstance(pool, TestPool)
        if pool.adapter is not None:
            self._devices().remove_vport(pool.adapter)
            pool.adapter = None

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        assert isinstance(pool, TestPool)
        count(pool)
        return list(pool.stored.values())

    async def delete(self, pool: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        assert isinstance(pool, TestPool)
        pool.stored.clear()
        count(pool)

    # -- volumes

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        assert isinstance(pool, TestPool)
        document = volume.document
        document.target = document.target or VolumeTarget()
        document.key = document.target.path = _place(pool.current, document)
        pool.stored[volume.name] = volume

    async def build_volume_from(
        self, pool: PoolObject, volume: VolumeObject, source: VolumeObject, flags: StorageVolCreateFlags
    ) -> None:
        content, original = _content(volume), _content(source)
        capacity = volume.document.capacity or 0
        blocks = original.blocks()
        for done, offset in enumerate(blocks):
            content.write(offset, original.read(offset, max(min(BLOCK, capacity - offset), 0)))
            report_progress((done + 1) * BLOCK, len(blocks) * BLOCK)
            await asyncio.sleep(0)

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        document = volume.document
        stored = min(_content(volume).stored, document.capacity or 0)
        document.allocation = max(stored, volume.allocation)

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        assert isinstance(pool, TestPool)
        del pool.stored[volume.name]

    async def resize_volume(
        self, pool: PoolObject, volume: VolumeObject, capacity: int, flags: StorageVolResizeFlags
    ) -> None:
        before = volume.document.capacity or 0
        if capacity < before:
            _content(volume).clear(capacity, before - capacity)

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        content = _content(volume)
        blocks = content.blocks()
        for done, offset in enumerate(blocks):
            content.clear(offset, BLOCK)
            report_progress((done + 1) * BLOCK, len(blocks) * BLOCK)
            await asyncio.sleep(0)

    async def upload(self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        return _stream(volume, offset, length, writes=True)

    async def download(
        self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int
    ) -> ByteStream:
        return _stream(volume, offset, length, writes=False)


def _content(volume: VolumeObject) -> Content:
    assert isinstance(volume, TestVolume)
    return volume.content


def _stream(volume: VolumeObject, offset: int, length: int, *, writes: bool) -> ContentStream:
    end = volume.document.capacity or 0
    if length:
        end = min(end, offset + length)
    return ContentStream(_content(volume), offset, end, writes=writes)


class TestPools(Pools):
    """The pools of one state of the test driver; nothing of them survives.

    :param configured: those of a host that a file describes, all running; None for the default host's.
    :param devices: the host's devices: pools on virtual fibre channel adapters make some.
    """

    __test__ = False  # no test case, whatever its name
    kind = TestPool
    volume_kind = TestVolume

    def __init__(self, configured: Sequence[ConfiguredPool] | None, devices: Callable[[], TestDevices]) -> None:
        super().__init__()
        self._devices = devices
        if configured is None:
            self._add(DEFAULT_POOL, ())
        else:
            for pool in configured:
                self._add(pool.xml, pool.volumes)

    def _add(self, xml: str, volumes: Sequence[str]) -> None:
        from virtcore.model.storage import load_storage_vol

        document = self.load(xml)
        self.admit(document)
        obj = self.adopt(document, active=True)
        assert isinstance(obj, TestPool)
        for text in volumes:
            volume = load_storage_vol(text, document)
            target = volume.target = volume.target or VolumeTarget()
            target.path = target.path or _place(document, volume)
            volume.key = volume.key or target.path
            obj.stored[volume.name] = TestVolume(volume)
        obj.volumes = dict(obj.stored)
        count(obj)

    def make_backend(self, kind: StoragePoolType) -> PoolBackend:
        return TestBackend(kind, self._devices)

    async def save(self, obj: PoolObject, document: StoragePool) -> None:
        await super().save(obj, document)
        count(obj)

    def account(self, obj: PoolObject, taken: int) -> None:
        count(obj)

    def admit_volume(self, obj: PoolObject, volume: VolumeObject) -> None:
        if (obj.current.allocation or 0) + volume.allocation > CAPACITY:
            raise InternalError(f"Not enough free space in pool for volume '{volume.name}'")


class TestStorage(StatefulStorage, DriverService):
    """Storage of the test driver, with the refusals of libvirt's."""

    __test__ = False  # no test case, whatever its name

    storage_prefix = "test"
    pool_create_flags = 0
    pool_build_flags = 0
    pool_delete_flags = 0
    pool_xml_flags = 0
    no_definition = InvalidArg
    vol_create_flags = StorageVolCreateFlags.VALIDATE
    vol_clone_flags = StorageVolCreateFlags.VALIDATE
    vol_delete_flags = 0
    vol_create_lacks = VolumeParseFlag.NONE
    vol_clone_lacks = VolumeParseFlag.NONE
    driver: TestDriver

    @property
    def pools(self) -> Pools:  # type: ignore[override]  # shared by the connections of a state
        """The table."""
        return self.driver.state.pools

    def pool(self, ref: StoragePoolRef) -> PoolObject:
        found = self.pools.table.find(ref.name)  # libvirt's driver looks for the name
        if found is None or found.uuid != ref.uuid:
            raise NoStoragePool(f"no storage pool with matching name '{ref.name}'")
        return found

    def _same(self, ref: StoragePoolRef) -> PoolObject:
        """The object behind a reference, for what libvirt's driver looks for the UUID."""
        return self.pools.table.by_uuid(ref.uuid)

    @inline
    def storage_pool_is_active(self, pool: StoragePoolRef) -> bool:
        return self._same(pool).active

    @inline
    def storage_pool_is_persistent(self, pool: StoragePoolRef) -> bool:
        return self._same(pool).persistent

    def pool_kind(self, type: str) -> StoragePoolType:
        # libvirt's driver takes the first kind for an unknown one, and unknown ones for what finds no sources.
        if type == StoragePoolType.DIR:
            raise InternalError(f"unknown storage pool type {type}")
        if type not in StoragePoolType.__members__.values():
            raise NoSupport(f"pool type '{type}' does not support source discovery")
        return StoragePoolType(type)

    async def connection_storage_pool_capabilities(self, flags: int = 0) -> str:
        from virtcore.model.storage import format_storage_pool_capabilities, storage_pool_capabilities

        self._check(flags, 0, "connection_storage_pool_capabilities")
        return format_storage_pool_capabilities(storage_pool_capabilities(StoragePoolType))

    # -- volumes

    def _by_key(self, key: str) -> StorageVolRef:
        try:
            return super()._by_key(key)
        except NoStorageVol:
            raise NoStorageVol(f"no storage vol with matching key '{key}'") from None

    @inline
    def storage_pool_list_volumes(self, pool: StoragePoolRef, flags: int = 0) -> list[StorageVolRef]:
        self._check(flags, 0, "storage_pool_list_volumes")
        if not self._same(pool).active:
            raise OperationInvalid("storage pool is not active")
        return super().storage_pool_list_volumes(pool)

    def taken(self, name: str, cloning: bool) -> VirtError:
        return OperationFailed("storage vol already exists")

    def fit_clone(self, document: Volume, original: Volume) -> None:
        """A volume is as large as its document says; what does not fit is left out."""

    def volume_type(self, obj: PoolObject, volume: VolumeObject) -> StorageVolType:
        kind = obj.current.type
        if kind in _FILES:
            return StorageVolType.FILE
        return StorageVolType.NETWORK if kind in _NETWORK else StorageVolType.BLOCK
