"""Storage pools that this process keeps: their table, their life, and the operations on them.

The test driver's pools and those of a Linux host are such; they differ in their backends
(:mod:`~virtcore.driver.toolkit.pool_backend`). Operations on volumes are in
:mod:`~virtcore.driver.toolkit.volumes`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.checks import canonical_uuid, check_flags, select
from virtcore.driver.toolkit.defined import DefinedObject, DefinedObjects, Transition
from virtcore.driver.toolkit.events import EventHub
from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject
from virtcore.enums.storage import (
    ConnectListAllStoragePoolsFlags as ListFlags,
    StoragePoolBuildFlags,
    StoragePoolCreateFlags,
    StoragePoolDefineFlags,
    StoragePoolDeleteFlags,
    StoragePoolEventLifecycleType,
    StoragePoolState,
    StorageXMLFlags,
)
from virtcore.errors import ErrorCode, InternalError, NoStoragePool, OperationFailed, OperationInvalid, VirtError
from virtcore.model.storage import StoragePool
from virtcore.operations.declare import inline
from virtcore.operations.events import StoragePoolLifecycleEvent, StoragePoolRefreshEvent
from virtcore.operations.storage import StorageService
from virtcore.operations.values import StoragePoolInfo
from virtcore.types import StoragePoolRef, StorageVolRef

if TYPE_CHECKING:
    from pathlib import Path

    from virtcore.driver.base import Subscription
    from virtcore.driver.toolkit.disk import DiskWorker
    from virtcore.model.storage.pool_source import PoolSource, StoragePoolType
    from virtcore.operations.events import Event

__all__ = ["PoolObject", "Pools", "StatefulPools"]


class PoolObject(DefinedObject[StoragePool]):
    """One pool.

    :ivar volumes: its volumes by name, while it is active.
    :ivar jobs: pieces of work on its volumes that take long and are under way; it does not stop meanwhile.
    :ivar origin: the definition that it was started from. As long as that is its definition, what is found out of the
        pool is shown of both, and stays known when it stops.
    """

    __slots__ = ("jobs", "origin", "volumes")

    noun = "storage pool"
    taken_noun = "pool"
    missing = NoStoragePool

    def __init__(self, name: str, uuid: str) -> None:
        super().__init__(name, uuid)
        self.volumes: dict[str, VolumeObject] = {}
        self.jobs = 0
        self.origin: StoragePool | None = None

    @property
    def replaced(self) -> bool:
        """It is active, and was started from another definition than it has."""
        return self.active and self.definition is not None and self.definition is not self.origin

    @property
    def ref(self) -> StoragePoolRef:
        """Its reference."""
        return StoragePoolRef(self.name, self.uuid)

    def require_inactive(self) -> None:
        if self.active:
            raise OperationInvalid(f"storage pool '{self.name}' is already active")

    def require_stopped(self) -> None:
        """Check that it may be taken away.

        :raises OperationInvalid: it is active.
        """
        if self.active:
            raise OperationInvalid(f"storage pool '{self.name}' is still active")

    def require_idle(self) -> None:
        """Check that no long work goes on.

        :raises InternalError: it does.
        """
        if self.jobs:
            raise InternalError(f"pool '{self.name}' has asynchronous jobs running.")


_EVENTS = {
    Transition.DEFINED: StoragePoolEventLifecycleType.DEFINED,
    Transition.UNDEFINED: StoragePoolEventLifecycleType.UNDEFINED,
    Transition.STARTED: StoragePoolEventLifecycleType.STARTED,
    Transition.STOPPED: StoragePoolEventLifecycleType.STOPPED,
}


class Pools(DefinedObjects[PoolObject, StoragePool]):
    """The pools of one place."""

    kind = PoolObject
    #: Class of their volumes.
    volume_kind: ClassVar[type[VolumeObject]] = VolumeObject

    def __init__(self, folder: Path | None = None, disk: DiskWorker | None = None, status: Path | None = None) -> None:
        super().__init__(folder, disk, status)
        self.events = EventHub()
        self._backends: dict[StoragePoolType, PoolBackend] = {}

    # -- hooks

    def make_backend(self, kind: StoragePoolType) -> PoolBackend:
        """Hook: what a kind of pool can do.

        :raises VirtError: there are no such pools here.
        """
        raise NotImplementedError

    def admit_volume(self, obj: PoolObject, volume: VolumeObject) -> None:
        """Hook: refuse a new volume."""

    # -- documents

    def load(self, text: str, *, validate: bool = False) -> StoragePool:
        from virtcore.model.storage import load_storage_pool

        return load_storage_pool(text, validate=validate)

    def format(self, document: StoragePool) -> str:
        from virtcore.model.storage import format_storage_pool

        return format_storage_pool(document)

    def identity(self, document: StoragePool) -> tuple[str, str]:
        assert document.name is not None  # completion requires one
        assert document.uuid is not None  # and makes one
        return document.name, document.uuid

    def admit(self, document: StoragePool) -> None:
        from virtcore.driver.toolkit.pool_sources import same_source

        for known in (*(obj.current for obj in self.table), *self.arriving.values()):
            if known.name != document.name and same_source(known, document):
                raise OperationFailed(f"Storage source conflict with pool: '{known.name}'")

    def tell(self, obj: PoolObject, transition: Transition) -> None:
        self.emit(obj, _EVENTS[transition])

    def emit(self, obj: PoolObject, type: StoragePoolEventLifecycleType) -> None:
        """Tell of a pool's life."""
        self.events.emit(StoragePoolLifecycleEvent(obj.ref, type))

    # -- life

    def backend(self, kind: StoragePoolType) -> PoolBackend:
        """What a kind of pool can do.

        :raises VirtError: there are no such pools here.
        """
        found = self._backends.get(kind)
        if found is None:
            found = self._backends[kind] = self.make_backend(kind)
        return found

    def backend_of(self, obj: PoolObject) -> PoolBackend:
        """What a pool can do."""
        return self.backend(obj.current.type)

    async def start(self, obj: PoolObject) -> None:
        obj.origin = obj.definition
        backend = self.backend_of(obj)
        await backend.start(obj)
        try:
            await self._look(obj)
        except BaseException:
            await backend.stop(obj)
            raise

    async def stop(self, obj: PoolObject) -> None:
        obj.require_idle()
        await self.backend_of(obj).stop(obj)
        obj.volumes = {}
        known, found = obj.definition, obj.live
        if known is not None and found is not None and not obj.replaced:
            known.capacity, known.allocation, known.available = found.capacity, found.allocation, found.available
            if known.target is not None and found.target is not None:
                known.target.permissions = found.target.permissions

    async def recover(self, obj: PoolObject) -> bool:
        obj.origin = obj.definition
        if not await self.backend_of(obj).check(obj):
            return False
        await self._look(obj)
        return True

    async def _look(self, obj: PoolObject) -> None:
        obj.volumes = {volume.name: volume for volume in await self.backend_of(obj).refresh(obj)}

    async def refresh(self, obj: PoolObject) -> None:
        """Look at a pool's volumes afresh. A pool that cannot be looked at is stopped.

        :raises OperationInvalid: it is not active.
        :raises InternalError: work on its volumes goes on.
        """
        async with obj.lock:
            obj.require_known()
            obj.require_active()
            obj.require_idle()
            try:
                await self._look(obj)
            except Exception:
                await self.stop(obj)
                await self._stopped(obj)
                raise
            self.events.emit(StoragePoolRefreshEvent(obj.ref))

    async def build(self, obj: PoolObject, flags: StoragePoolBuildFlags) -> None:
        """Make what an inactive pool needs."""
        async with obj.lock:
            obj.require_known()
            obj.require_inactive()
            await self.backend_of(obj).build(obj, flags)
            self.emit(obj, StoragePoolEventLifecycleType.CREATED)

    async def delete(self, obj: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        """Remove what is behind an inactive pool."""
        async with obj.lock:
            obj.require_known()
            obj.require_stopped()
            obj.require_idle()
            await self.backend_of(obj).delete(obj, flags)
            self.emit(obj, StoragePoolEventLifecycleType.DELETED)

    # -- volumes

    def volumes(self) -> Iterator[tuple[PoolObject, VolumeObject]]:
        """Every volume of every active pool."""
        for obj in self.table:
            if obj.active:
                for volume in obj.volumes.values():
                    yield obj, volume

    def account(self, obj: PoolObject, taken: int) -> None:
        """A pool's volumes take so many bytes more."""
        if self.backend_of(obj).counts:
            return
        pool = obj.current
        pool.allocation = max((pool.allocation or 0) + taken, 0)
        pool.available = max((pool.available or 0) - taken, 0)


def _activity(obj: PoolObject) -> ListFlags:
    return ListFlags.ACTIVE if obj.active else ListFlags.INACTIVE


def _persistence(obj: PoolObject) -> ListFlags:
    return ListFlags.PERSISTENT if obj.persistent else ListFlags.TRANSIENT


def _autostart(obj: PoolObject) -> ListFlags:
    return ListFlags.AUTOSTART if obj.autostart else ListFlags.NO_AUTOSTART


def _kind(obj: PoolObject) -> ListFlags:
    return ListFlags[obj.current.type.name]


#: Per group of filter flags: all its bits, and which of them an object has.
_FILTERS = (
    (ListFlags.ACTIVE | ListFlags.INACTIVE, _activity),
    (ListFlags.PERSISTENT | ListFlags.TRANSIENT, _persistence),
    (ListFlags.AUTOSTART | ListFlags.NO_AUTOSTART, _autostart),
    (sum(flag for flag in ListFlags if flag >= ListFlags.DIR), _kind),
)

_ALL_FILTERS = sum(ListFlags)

_BUILDS = {
    StoragePoolCreateFlags.WITH_BUILD: StoragePoolBuildFlags.NEW,
    StoragePoolCreateFlags.WITH_BUILD_OVERWRITE: StoragePoolBuildFlags.OVERWRITE,
    StoragePoolCreateFlags.WITH_BUILD_NO_OVERWRITE: StoragePoolBuildFlags.NO_OVERWRITE,
}


class StatefulPools(ServiceDriver, StorageService):
    """Every operation on pools, over :attr:`pools`."""

    #: What libvirt's driver has before its functions' names; occurs in messages.
    storage_prefix: ClassVar[str] = "vir"
    #: Flags that operations take.
    pool_create_flags: ClassVar[int] = sum(StoragePoolCreateFlags)
    pool_build_flags: ClassVar[int] = StoragePoolBuildFlags.OVERWRITE | StoragePoolBuildFlags.NO_OVERWRITE
    pool_delete_flags: ClassVar[int] = StoragePoolDeleteFlags.ZEROED
    pool_xml_flags: ClassVar[int] = StorageXMLFlags.INACTIVE
    #: The error of a pool that cannot start with the host, because it has no definition.
    no_definition: ClassVar[type[VirtError]] = InternalError
    pools: Pools

    def pool(self, ref: StoragePoolRef) -> PoolObject:
        """The object behind a reference.

        :raises NoStoragePool: it is not (any more) known.
        """
        return self.pools.table.by_uuid(ref.uuid, ref.name)

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        return self.pools.events.subscribe(deliver)

    def _check(self, flags: int, supported: int, operation: str) -> None:
        check_flags(flags, supported, operation, self.storage_prefix)

    # -- finding and making

    @inline
    def connection_list_storage_pools(self, flags: ListFlags | int = 0) -> list[StoragePoolRef]:
        self._check(flags, _ALL_FILTERS, "connection_list_storage_pools")
        return [obj.ref for obj in select(self.pools.table, flags, _FILTERS)]

    @inline
    def connection_lookup_storage_pool(
        self,
        name: str | None = None,
        uuid: str | None = None,
        target_path: str | None = None,
        volume: StorageVolRef | None = None,
    ) -> StoragePoolRef:
        if target_path is not None:
            return self._by_target(target_path)
        if uuid is not None:
            return self.pools.table.by_uuid(canonical_uuid(uuid, "virStoragePoolLookupByUUIDString")).ref
        if volume is not None:
            name = volume.pool
        assert name is not None
        return self.pools.table.by_name(name).ref

    def _by_target(self, path: str) -> StoragePoolRef:
        from virtcore.model.paths import sanitize_path

        clean = sanitize_path(path)
        for obj in self.pools.table:
            target = obj.current.target
            if obj.active and target is not None and target.path == clean:
                return obj.ref
        known_as = "" if clean == path else f" ({clean})"
        raise NoStoragePool(f"no storage pool with matching target path '{path}'{known_as}")

    async def connection_find_storage_pool_sources(self, type: str, source: str | None = None, flags: int = 0) -> str:
        self._check(flags, 0, "connection_find_storage_pool_sources")
        kind = self.pool_kind(type)
        return await self.pools.backend(kind).find_sources(None if source is None else _pool_source(source, kind))

    def pool_kind(self, type: str) -> StoragePoolType:
        """The kind of pool of a name.

        :raises InternalError: there is none.
        """
        from virtcore.model.storage.pool_source import StoragePoolType

        try:
            return StoragePoolType(type)
        except ValueError:
            raise InternalError(f"unknown storage pool type {type}") from None

    async def connection_define_storage_pool(self, xml: str, flags: StoragePoolDefineFlags | int = 0) -> StoragePoolRef:
        self._check(flags, StoragePoolDefineFlags.VALIDATE, "connection_define_storage_pool")
        return (await self.pools.define(xml, validate=bool(flags))).ref

    async def connection_create_storage_pool(self, xml: str, flags: StoragePoolCreateFlags | int = 0) -> StoragePoolRef:
        self._check(flags, self.pool_create_flags, "connection_create_storage_pool")
        return (await self.pools.create_from(xml, prepare=self._builder(flags))).ref

    def _builder(self, flags: int) -> Callable[[PoolObject], Awaitable[None]] | None:
        """How a pool is built before it starts."""
        if (
            flags & StoragePoolCreateFlags.WITH_BUILD_OVERWRITE
            and flags & StoragePoolCreateFlags.WITH_BUILD_NO_OVERWRITE
        ):
            raise VirtError.from_message(
                ErrorCode.INVALID_ARG,
                "Flags 'VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE' and "
                "'VIR_STORAGE_POOL_CREATE_WITH_BUILD_NO_OVERWRITE' are mutually exclusive",
            )
        if not flags:
            return None
        how = StoragePoolBuildFlags(0)
        for flag, building in _BUILDS.items():
            if flags & flag:
                how |= building
        return lambda obj: self.pools.backend_of(obj).build(obj, how)

    # -- life

    async def storage_pool_build(self, pool: StoragePoolRef, flags: StoragePoolBuildFlags | int = 0) -> None:
        self._check(flags, self.pool_build_flags, "storage_pool_build")
        await self.pools.build(self.pool(pool), StoragePoolBuildFlags(int(flags)))

    async def storage_pool_create(self, pool: StoragePoolRef, flags: StoragePoolCreateFlags | int = 0) -> None:
        self._check(flags, self.pool_create_flags, "storage_pool_create")
        await self.pools.create(self.pool(pool), self._builder(flags))

    async def storage_pool_destroy(self, pool: StoragePoolRef) -> None:
        await self.pools.destroy(self.pool(pool))

    async def storage_pool_delete(self, pool: StoragePoolRef, flags: StoragePoolDeleteFlags | int = 0) -> None:
        self._check(flags, self.pool_delete_flags, "storage_pool_delete")
        await self.pools.delete(self.pool(pool), StoragePoolDeleteFlags(int(flags)))

    async def storage_pool_undefine(self, pool: StoragePoolRef) -> None:
        obj = self.pool(pool)
        async with obj.lock:
            obj.require_stopped()
            obj.require_idle()
            await self.pools.undefine(obj)

    async def storage_pool_refresh(self, pool: StoragePoolRef, flags: int = 0) -> None:
        self._check(flags, 0, "storage_pool_refresh")
        await self.pools.refresh(self.pool(pool))

    # -- what it is

    async def storage_pool_xml(self, pool: StoragePoolRef, flags: StorageXMLFlags | int = 0) -> str:
        self._check(flags, self.pool_xml_flags, "storage_pool_xml")
        obj = self.pool(pool)
        wanted = obj.definition if flags & StorageXMLFlags.INACTIVE and obj.replaced else obj.current
        assert wanted is not None  # one that was replaced is there
        return self.pools.format(wanted)

    @inline
    def storage_pool_info(self, pool: StoragePoolRef) -> StoragePoolInfo:
        obj = self.pool(pool)
        found = obj.current
        state = StoragePoolState.RUNNING if obj.active else StoragePoolState.INACTIVE
        return StoragePoolInfo(state, found.capacity or 0, found.allocation or 0, found.available or 0)

    @inline
    def storage_pool_is_active(self, pool: StoragePoolRef) -> bool:
        return self.pool(pool).active

    @inline
    def storage_pool_is_persistent(self, pool: StoragePoolRef) -> bool:
        return self.pool(pool).persistent

    @inline
    def storage_pool_autostart(self, pool: StoragePoolRef) -> bool:
        return self.pool(pool).autostart

    async def storage_pool_set_autostart(self, pool: StoragePoolRef, autostart: bool) -> None:
        obj = self.pool(pool)
        if not obj.persistent:
            raise self.no_definition("pool has no config file")
        await self.pools.set_autostart(obj, autostart)


def _pool_source(text: str, kind: StoragePoolType) -> PoolSource:
    """Where to look for the sources of pools."""
    from virtcore.model.storage.pool_types import POOL_TYPES
    from virtcore.xml import parse

    return parse(text, POOL_TYPES[kind].source, name="(storage_source_specification)")
