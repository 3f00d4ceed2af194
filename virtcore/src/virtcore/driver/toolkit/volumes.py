"""Operations on the volumes of storage pools that this process keeps."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.toolkit.pool_backend import VolumeObject
from virtcore.driver.toolkit.pools import PoolObject, StatefulPools
from virtcore.enums.storage import (
    StorageVolCreateFlags,
    StorageVolDeleteFlags,
    StorageVolDownloadFlags,
    StorageVolInfoFlags,
    StorageVolResizeFlags,
    StorageVolType,
    StorageVolUploadFlags,
    StorageVolWipeAlgorithm,
)
from virtcore.errors import (
    ErrorCode,
    InternalError,
    InvalidArg,
    NoStorageVol,
    NoSupport,
    OperationFailed,
    StorageVolExist,
    VirtError,
)
from virtcore.model.storage.volume import VolumeParseFlag
from virtcore.operations.declare import inline
from virtcore.operations.stream import ByteStream, SparseStream
from virtcore.operations.values import StorageVolInfo
from virtcore.types import StoragePoolRef, StorageVolRef

if TYPE_CHECKING:
    from virtcore.driver.base import Place
    from virtcore.model.storage import Volume

__all__ = ["StatefulStorage"]


class StatefulStorage(StatefulPools):
    """Every operation of the service ``storage``, over :attr:`pools`."""

    #: Flags that operations take.
    vol_create_flags: ClassVar[int] = StorageVolCreateFlags.PREALLOC_METADATA | StorageVolCreateFlags.VALIDATE
    vol_clone_flags: ClassVar[int] = sum(StorageVolCreateFlags)
    vol_delete_flags: ClassVar[int] = sum(StorageVolDeleteFlags)
    vol_resize_flags: ClassVar[int] = sum(StorageVolResizeFlags)
    vol_upload_flags: ClassVar[int] = StorageVolUploadFlags.SPARSE_STREAM
    vol_download_flags: ClassVar[int] = StorageVolDownloadFlags.SPARSE_STREAM
    #: What a new volume's document may lack.
    vol_create_lacks: ClassVar[VolumeParseFlag] = VolumeParseFlag.OPT_CAPACITY
    vol_clone_lacks: ClassVar[VolumeParseFlag] = VolumeParseFlag.NO_CAPACITY

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._streams: set[_VolumeStream] = set()

    async def close(self) -> None:
        await self.end_streams()
        await super().close()

    async def end_streams(self) -> None:
        """End what nobody will end any more."""
        for stream in list(self._streams):
            await stream.abort()

    # -- finding

    def active_pool(self, ref: StoragePoolRef) -> PoolObject:
        """The pool behind a reference.

        :raises OperationInvalid: it is not active.
        """
        obj = self.pool(ref)
        obj.require_active()
        return obj

    def _pool_of(self, ref: StorageVolRef) -> PoolObject:
        obj = self.pools.table.by_name(ref.pool)
        obj.require_active()
        return obj

    def _volume_in(self, obj: PoolObject, name: str) -> VolumeObject:
        found = obj.volumes.get(name)
        if found is None:
            raise NoStorageVol(f"no storage vol with matching name '{name}'")
        return found

    def volume(self, ref: StorageVolRef) -> tuple[PoolObject, VolumeObject]:
        """The volume behind a reference, and its pool.

        :raises NoStoragePool: the pool is not (any more) known.
        :raises OperationInvalid: the pool is not active.
        :raises NoStorageVol: the volume is not (any more) known.
        """
        obj = self._pool_of(ref)
        return obj, self._volume_in(obj, ref.name)

    @asynccontextmanager
    async def _held(self, ref: StorageVolRef) -> AsyncIterator[tuple[PoolObject, VolumeObject]]:
        """A volume whose pool nobody else changes meanwhile."""
        async with self._pool_of(ref).lock:
            yield self.volume(ref)  # which may have gone while the lock was waited for

    @inline
    def connection_lookup_storage_vol(self, key: str | None = None, path: str | None = None) -> StorageVolRef:
        if key is not None:
            return self._by_key(key)
        assert path is not None
        return self._by_path(path)

    def _by_key(self, key: str) -> StorageVolRef:
        for obj, volume in self.pools.volumes():
            if volume.key == key:
                return volume.ref(obj)
        raise NoStorageVol(f"no storage vol with matching key {key}")

    def _by_path(self, path: str) -> StorageVolRef:
        from virtcore.model.paths import sanitize_path

        clean = sanitize_path(path)
        for obj, volume in self.pools.volumes():
            if volume.path == clean:
                return volume.ref(obj)
        known_as = "" if clean == path else f" ({clean})"
        raise NoStorageVol(f"no storage vol with matching path '{path}'{known_as}")

    @inline
    def storage_pool_list_volumes(self, pool: StoragePoolRef, flags: int = 0) -> list[StorageVolRef]:
        self._check(flags, 0, "storage_pool_list_volumes")
        obj = self.active_pool(pool)
        return [volume.ref(obj) for volume in obj.volumes.values()]

    @inline
    def storage_pool_lookup_volume(self, pool: StoragePoolRef, name: str) -> StorageVolRef:
        obj = self.active_pool(pool)
        return self._volume_in(obj, name).ref(obj)

    # -- making

    def load_volume(self, obj: PoolObject, xml: str, lacks: VolumeParseFlag, flags: int) -> Volume:
        """Read the document of a new volume."""
        from virtcore.model.storage import load_storage_vol

        validate = bool(flags & StorageVolCreateFlags.VALIDATE)
        return load_storage_vol(xml, obj.current, flags=lacks, validate=validate)

    def taken(self, name: str, cloning: bool) -> VirtError:
        """The error that says that there is such a volume."""
        if cloning:
            return InternalError(f"storage volume name '{name}' already in use.")
        return StorageVolExist(f"'{name}'")

    async def storage_pool_create_volume(
        self, pool: StoragePoolRef, xml: str, flags: StorageVolCreateFlags | int = 0
    ) -> StorageVolRef:
        self._check(flags, self.vol_create_flags, "storage_pool_create_volume")
        obj = self.active_pool(pool)
        backend = self.pools.backend_of(obj)
        document = self.load_volume(obj, xml, self.vol_create_lacks, flags)
        if not document.capacity and backend.needs_capacity:
            raise NoSupport("volume capacity required for this storage pool")
        how = StorageVolCreateFlags(int(flags))
        return await self._make(obj, document, lambda volume: backend.build_volume(obj, volume, how))

    async def storage_pool_clone_volume(
        self, pool: StoragePoolRef, xml: str, source: StorageVolRef, flags: StorageVolCreateFlags | int = 0
    ) -> StorageVolRef:
        self._check(flags, self.vol_clone_flags, "storage_pool_clone_volume")
        obj = self.active_pool(pool)
        backend = self.pools.backend_of(obj)
        source_pool, original = self.volume(source)
        document = self.load_volume(obj, xml, self.vol_clone_lacks, flags)
        self.fit_clone(document, original.document)
        original.require_made()
        how = StorageVolCreateFlags(int(flags))
        with original.used(source_pool):
            return await self._make(
                obj, document, lambda volume: backend.build_volume_from(obj, volume, original, how), cloning=True
            )

    def fit_clone(self, document: Volume, original: Volume) -> None:
        """Make room in a new volume for the content of another one."""
        whole = document.allocation == document.capacity
        document.capacity = max(document.capacity or 0, original.capacity or 0)
        if whole:  # as when no allocation was named
            document.allocation = document.capacity

    async def _make(
        self,
        obj: PoolObject,
        document: Volume,
        build: Callable[[VolumeObject], Awaitable[None]],
        *,
        cloning: bool = False,
    ) -> StorageVolRef:
        """Make a volume: its place at once, while the pool waits; its content while others go on."""
        backend = self.pools.backend_of(obj)
        document.key = None  # nobody but the pool gives keys
        volume = self.pools.volume_kind(document)
        async with obj.lock:
            obj.require_known()
            obj.require_active()
            if volume.name in obj.volumes:
                raise self.taken(volume.name, cloning)
            self.pools.admit_volume(obj, volume)
            await backend.create_volume(obj, volume)
            volume.building = True
            obj.volumes[volume.name] = volume
            self.pools.account(obj, 0)
            obj.jobs += 1
        try:
            await build(volume)
            await backend.refresh_volume(obj, volume)
            self.pools.account(obj, volume.allocation)
        except BaseException as error:
            try:
                await backend.delete_volume(obj, volume, StorageVolDeleteFlags(0))
                self._forget(obj, volume)
                self.pools.account(obj, 0)
            except VirtError as second:
                error.add_note(f"what was made of the volume is still there: {second}")
            raise
        finally:
            volume.building = False
            obj.jobs -= 1
        return volume.ref(obj)

    # -- one volume

    async def storage_vol_xml(self, volume: StorageVolRef, flags: int = 0) -> str:
        from virtcore.model.storage import format_storage_vol

        self._check(flags, 0, "storage_vol_xml")
        obj, found = self.volume(volume)
        await self.pools.backend_of(obj).refresh_volume(obj, found)
        return format_storage_vol(found.document)

    async def storage_vol_info(self, volume: StorageVolRef, flags: StorageVolInfoFlags | int = 0) -> StorageVolInfo:
        self._check(flags, StorageVolInfoFlags.GET_PHYSICAL, "storage_vol_info")
        obj, found = self.volume(volume)
        await self.pools.backend_of(obj).refresh_volume(obj, found)
        document = found.document
        physical = flags & StorageVolInfoFlags.GET_PHYSICAL and document.physical
        return StorageVolInfo(self.volume_type(obj, found), document.capacity or 0, physical or found.allocation)

    def volume_type(self, obj: PoolObject, volume: VolumeObject) -> StorageVolType:
        """What a volume is."""
        kind = volume.document.type
        return StorageVolType.FILE if kind is None else StorageVolType[kind.name]

    @inline
    def storage_vol_path(self, volume: StorageVolRef) -> str:
        return self.volume(volume)[1].path

    async def storage_vol_delete(self, volume: StorageVolRef, flags: StorageVolDeleteFlags | int = 0) -> None:
        self._check(flags, self.vol_delete_flags, "storage_vol_delete")
        async with self._held(volume) as (obj, found):
            found.require_free()
            await self.pools.backend_of(obj).delete_volume(obj, found, StorageVolDeleteFlags(int(flags)))
            self._forget(obj, found)
            self.pools.account(obj, -found.allocation)

    @staticmethod
    def _forget(obj: PoolObject, volume: VolumeObject) -> None:
        if obj.volumes.get(volume.name) is volume:  # else the backend has looked afresh
            del obj.volumes[volume.name]

    async def storage_vol_wipe(
        self, volume: StorageVolRef, algorithm: StorageVolWipeAlgorithm | int = 0, flags: int = 0
    ) -> None:
        self._check(flags, 0, "storage_vol_wipe")
        if int(algorithm) not in StorageVolWipeAlgorithm.__members__.values():
            raise InvalidArg(f"wiping algorithm {int(algorithm)} not supported")
        obj, found = self.volume(volume)
        found.require_free()
        with found.used(obj):
            await self.pools.backend_of(obj).wipe_volume(obj, found, StorageVolWipeAlgorithm(int(algorithm)))

    async def storage_vol_resize(
        self, volume: StorageVolRef, capacity: int, flags: StorageVolResizeFlags | int = 0
    ) -> None:
        self._check(flags, self.vol_resize_flags, "storage_vol_resize")
        shrink = bool(flags & StorageVolResizeFlags.SHRINK)
        delta = bool(flags & StorageVolResizeFlags.DELTA)
        if capacity == 0 and not (delta or shrink):
            raise VirtError.from_message(
                ErrorCode.INVALID_ARG,
                "capacity in virStorageVolResize cannot be zero without 'delta' or 'shrink' flags set",
            )
        async with self._held(volume) as (obj, found):
            found.require_free()
            before = found.document.capacity or 0
            if delta:
                capacity = max(before - capacity, 0) if shrink else before + capacity
            if capacity < found.allocation:
                raise InvalidArg("can't shrink capacity below existing allocation")
            if capacity < before and not shrink:
                raise InvalidArg("Can't shrink capacity below current capacity unless shrink flag explicitly specified")
            grown = capacity - found.allocation if flags & StorageVolResizeFlags.ALLOCATE else 0
            if grown > (obj.current.available or 0):
                raise OperationFailed("Not enough space left in storage pool")
            how = StorageVolResizeFlags(int(flags)) & ~StorageVolResizeFlags.DELTA
            await self.pools.backend_of(obj).resize_volume(obj, found, capacity, how)
            found.document.capacity = capacity
            if flags & StorageVolResizeFlags.ALLOCATE:
                found.document.allocation = capacity
                self.pools.account(obj, grown)

    # -- content

    async def storage_vol_upload(
        self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: StorageVolUploadFlags | int = 0
    ) -> ByteStream:
        self._check(flags, self.vol_upload_flags, "storage_vol_upload")
        obj, found = self.volume(volume)
        found.require_free()
        backend = self.pools.backend_of(obj)
        with ExitStack() as stack:
            stack.enter_context(found.used(obj))
            stream = await backend.upload(obj, found, offset, length, int(flags))
            return self._stream(stream, stack.pop_all(), lambda: self._uploaded(obj, found))

    async def _uploaded(self, obj: PoolObject, volume: VolumeObject) -> None:
        before = volume.allocation
        await self.pools.backend_of(obj).refresh_volume(obj, volume)
        self.pools.account(obj, volume.allocation - before)

    async def storage_vol_download(
        self, volume: StorageVolRef, offset: int = 0, length: int = 0, flags: StorageVolDownloadFlags | int = 0
    ) -> ByteStream:
        self._check(flags, self.vol_download_flags, "storage_vol_download")
        obj, found = self.volume(volume)
        found.require_made()
        stream = await self.pools.backend_of(obj).download(obj, found, offset, length, int(flags))
        return self._stream(stream, ExitStack(), None)

    def _stream(
        self, stream: ByteStream, use: AbstractContextManager[object], after: Callable[[], Awaitable[None]] | None
    ) -> ByteStream:
        wrapper = _SparseVolumeStream if isinstance(stream, SparseStream) else _VolumeStream
        made = wrapper(stream, use, after, self._streams)
        self._streams.add(made)
        return made


class _VolumeStream:
    """A stream of a volume's content: the volume is in use until it ends."""

    def __init__(
        self,
        stream: ByteStream,
        use: AbstractContextManager[object],
        after: Callable[[], Awaitable[None]] | None,
        streams: set[_VolumeStream],
    ) -> None:
        self._stream = stream
        self._use = use
        self._after = after
        self._streams = streams

    async def read(self, size: int) -> bytes:
        return await self._stream.read(size)

    async def write(self, data: bytes) -> None:
        await self._stream.write(data)

    async def finish(self) -> None:
        try:
            await self._stream.finish()
        finally:
            await self._end()

    async def abort(self) -> None:
        try:
            try:
                await self._stream.abort()
            finally:
                await self._end()
        except VirtError as error:  # whoever aborts is told nothing
            logging.getLogger("virtcore").warning("a volume was not looked at after its stream was aborted: %s", error)

    async def _end(self) -> None:
        if self in self._streams:
            self._streams.discard(self)
            try:
                if self._after is not None:
                    await self._after()
            finally:
                self._use.__exit__(None, None, None)


class _SparseVolumeStream(_VolumeStream):
    _stream: SparseStream

    async def read_sparse(self, size: int) -> bytes | int:
        return await self._stream.read_sparse(size)

    async def write_hole(self, length: int) -> None:
        await self._stream.write_hole(length)
