"""Volumes that are images in a folder: what the pools ``dir``, ``fs``, ``netfs`` and ``vstorage`` have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.storage import content
from virt_host.storage.backend import (
    DEFAULT_VOLUME_MODE,
    HostBackend,
    HostVolume,
    check_build_flags,
    pool_path,
    refuse_flags,
    remove,
    seen,
    set_owner,
    target_of,
)
from virt_host.storage.examine import apply, describe_header, examine, look_of, owned
from virt_host.storage.programs import run
from virt_host.storage.qemu_img import Image, create_commands, resize_command
from virt_host.storage.secrets import handed_passphrases, secret_of_volume
from virtcore.enums.storage import (
    StoragePoolBuildFlags,
    StorageVolCreateFlags as Create,
    StorageVolResizeFlags as Resize,
)
from virtcore.errors import (
    ConfigUnsupported,
    ErrorDomain,
    InternalError,
    NoSupport,
    OperationInvalid,
    OperationUnsupported,
    SystemError as SystemFailure,
    VirtError,
)
from virtcore.model.storage.backing import is_relative, parse_backing
from virtcore.model.storage.pool import StoragePool
from virtcore.model.storage.pool_source import StoragePoolType
from virtcore.model.storage.secret import Passphrase
from virtcore.model.storage.source import BlockSource, FileSource, StorageFormat
from virtcore.model.storage.volume import VolumeBackingStore, VolumeTarget, VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virt_host.storage.examine import Look
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import (
        StoragePoolDeleteFlags,
        StorageVolDeleteFlags,
        StorageVolWipeAlgorithm,
    )
    from virtcore.model.storage.image_header import ImageHeader
    from virtcore.model.storage.volume import Volume
    from virtcore.operations.stream import ByteStream

__all__ = ["FolderBackend", "build_image", "build_image_from", "look_into_folder", "make_folder_of"]

_DOMAIN = ErrorDomain.STORAGE
_FOLDER_MODE = 0o711
_MIB = 1 << 20
_TRIES = 20
#: What a volume of a format is, where it is no file.
_KINDS: dict[str, VolumeType] = {StorageFormat.DIR: VolumeType.DIR, StorageFormat.PLOOP: VolumeType.PLOOP}
#: A pool whose volumes are no devices, unless they say so.
_FILES = StoragePool(type=StoragePoolType.DIR)


# ------------------------------------------------------------------------------------------------------ what is there


def look_into_folder(pool: StoragePool) -> tuple[list[HostVolume], Callable[[StoragePool], None]]:
    """The volumes in a pool's folder, and what puts the pool's figures right (``virStorageBackendRefreshLocal``).

    :raises SystemError: the folder cannot be read.
    """
    path = pool_path(pool)
    try:
        names = os.listdir(path)
    except OSError as error:
        raise SystemFailure(f"cannot open directory '{path}': {error.strerror}", domain=_DOMAIN) from error
    volumes = []
    for name in sorted(names):
        if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in name):
            continue
        volume = _image(name, f"{path}/{name}")
        if volume is not None:
            volumes.append(volume)
    return volumes, _measured(path)


def _measured(path: str) -> Callable[[StoragePool], None]:
    try:
        found, system = os.stat(path), os.statvfs(path)
    except OSError as error:
        raise SystemFailure(f"cannot statvfs path '{path}': {error.strerror}", domain=_DOMAIN) from error
    permissions = owned(found, path)

    def tell(pool: StoragePool) -> None:
        assert pool.target is not None
        pool.capacity = system.f_frsize * system.f_blocks
        pool.available = system.f_frsize * system.f_bfree
        pool.allocation = pool.capacity - pool.available
        pool.target.permissions = permissions

    return tell


def _image(name: str, path: str) -> HostVolume | None:
    """The volume at a path; None where there is none for us."""
    look = examine(path, quiet=True)
    if look is None:
        return None
    volume = seen(name, path, look, VolumeType.FILE if look.kind is VolumeType.BLOCK else look.kind)
    describe(volume.document, look)
    return volume


def describe(document: Volume, look: Look) -> None:
    """What was found of an image, the one below it included (``virStorageBackendRefreshVolTargetUpdate``)."""
    target = target_of(document)
    apply(document, look)
    document.type = VolumeType.FILE if look.kind is VolumeType.BLOCK else look.kind
    document.backing_store = None
    if look.header is None:
        target.format = StorageFormat.DIR
        return
    describe_header(target, look.header)
    if look.header.backing is not None:
        document.backing_store = _below(look.header, target.path or "")


def _below(header: ImageHeader, above: str) -> VolumeBackingStore:
    name = header.backing or ""
    if is_relative(name):
        path = f"{os.path.dirname(above)}/{name}"
    else:
        try:
            source = parse_backing(name).source
        except VirtError:
            source = None
        if isinstance(source, FileSource):
            path = source.file or ""
        elif isinstance(source, BlockSource):
            path = source.dev or ""
        else:  # on a server, which is not asked: as it is spelled
            return VolumeBackingStore(path=name, format=StorageFormat.RAW)
    below = VolumeBackingStore(path=path, format=header.backing_format)
    try:
        look = examine(path, header.backing_format, quiet=True, folders=False)
    except VirtError:
        look = None
    if look is not None:
        look_of(below, look)
        if below.format is None and look.header is not None:
            below.format = look.header.format
    below.format = below.format or StorageFormat.RAW  # it cannot be looked at now
    return below


# ------------------------------------------------------------------------------------------------------------- making


def make_folder_of(pool: StoragePool) -> None:
    """Make the folder of a pool, and those above it, as it asks for (``virStorageBackendBuildLocal``).

    :raises SystemError: it cannot be.
    """
    path = pool_path(pool)
    wanted = pool.target.permissions if pool.target is not None else None
    above = os.path.dirname(path)
    try:
        os.makedirs(above, exist_ok=True)
    except OSError as error:
        raise SystemFailure(f"cannot create path '{above}': {error.strerror}", domain=_DOMAIN) from error
    try:
        os.mkdir(path, _FOLDER_MODE)
        made = True
    except FileExistsError:
        made = False
    except OSError as error:
        raise SystemFailure(f"failed to create directory '{path}': {error.strerror}", domain=_DOMAIN) from error
    if not made and not os.path.isdir(path):
        raise SystemFailure(f"failed to create directory '{path}': {os.strerror(17)}", domain=_DOMAIN)
    # The mode of a folder that was there already is changed only where one is asked for.
    set_owner(path, wanted, _FOLDER_MODE if made else None)


async def build_image(backend: HostBackend, pool: PoolObject, volume: HostVolume, flags: int) -> None:
    """Make an image (``storageBackendVolBuildLocal``).

    :raises VirtError: it cannot be made; nothing is left.
    """
    document = volume.document
    if document.type is VolumeType.DIR:
        await _make_folder(volume, flags)
    elif document.type is VolumeType.PLOOP:
        await _make_ploop(volume, None)
    elif target_of(document).format == StorageFormat.RAW and target_of(document).encryption is None:
        await _make_raw(volume, None, flags)
    else:
        await _make_with_program(backend, pool, volume, None, flags)


async def build_image_from(
    backend: HostBackend, pool: PoolObject, volume: HostVolume, source: VolumeObject, flags: int
) -> None:
    """Make an image, or fill a device, with the content of another volume.

    :raises VirtError: it cannot be made; nothing is left.
    """
    if needs_program(volume.document) or needs_program(source.document):
        await _make_with_program(backend, pool, volume, source, flags)
    elif source.document.type is VolumeType.PLOOP:
        await _make_ploop(volume, source)
    elif volume.document.type is VolumeType.BLOCK:
        await backend.copy_to_device(volume, source, flags)
    elif volume.document.type is VolumeType.DIR:
        raise InternalError("cannot copy from volume to a directory volume", domain=_DOMAIN)
    else:
        await _make_raw(volume, source, flags)


def needs_program(document: Volume) -> bool:
    """Whether the bytes of a volume are not what a guest sees."""
    target = target_of(document)
    return document.type is VolumeType.FILE and (target.format != StorageFormat.RAW or target.encryption is not None)


async def _make_folder(volume: HostVolume, flags: int) -> None:
    refuse_flags(flags, Create.VALIDATE, "createFileDir")
    if volume.document.backing_store is not None:
        raise NoSupport("backing storage not supported for directories volumes", domain=_DOMAIN)
    wanted = target_of(volume.document).permissions
    path = volume.path

    def make() -> None:
        try:
            os.mkdir(path, DEFAULT_VOLUME_MODE)
        except OSError as error:
            raise SystemFailure(f"failed to create directory '{path}': {error.strerror}", domain=_DOMAIN) from error
        volume.made = True
        set_owner(path, wanted, DEFAULT_VOLUME_MODE)

    await content.in_piece(lambda stop: make())  # so that it is known whether there is a folder


async def _make_raw(volume: HostVolume, source: VolumeObject | None, flags: int) -> None:
    refuse_flags(flags, Create.PREALLOC_METADATA | Create.REFLINK | Create.VALIDATE, "storageBackendCreateRaw")
    document = volume.document
    target = target_of(document)
    if flags & Create.PREALLOC_METADATA:
        raise ConfigUnsupported("metadata preallocation is not supported for raw volumes", domain=_DOMAIN)
    if document.backing_store is not None:
        raise NoSupport("backing storage not supported for raw volumes", domain=_DOMAIN)
    wanted, path = target.permissions, volume.path
    capacity, allocation = document.capacity or 0, document.allocation or 0
    origin, origin_size = (None, 0) if source is None else (source.path, source.document.capacity or 0)

    def make(stop: content.Stop) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, DEFAULT_VOLUME_MODE)
        except OSError as error:
            raise SystemFailure(f"Failed to create file '{path}': {error.strerror}", domain=_DOMAIN) from error
        volume.made = True
        try:
            set_owner(path, wanted, DEFAULT_VOLUME_MODE)
            if target.nocow:
                content.no_copy_on_write(descriptor)
            content.fill(
                descriptor, path, capacity, allocation, stop, origin, origin_size, clone=bool(flags & Create.REFLINK)
            )
        finally:
            os.close(descriptor)

    await content.in_piece(make)


async def _make_ploop(volume: HostVolume, source: VolumeObject | None) -> None:
    document, path = volume.document, volume.path
    if target_of(document).encryption is not None:
        raise ConfigUnsupported("encrypted ploop volumes are not supported with ploop init", domain=_DOMAIN)
    if document.backing_store is not None:
        raise ConfigUnsupported("copy-on-write ploop volumes are not yet supported", domain=_DOMAIN)
    if source is not None:
        document.capacity = source.document.capacity
        volume.made = True
        await run("cp", "-r", source.path, path)
        return
    wanted = target_of(document).permissions

    def make() -> None:
        try:
            os.mkdir(path, _FOLDER_MODE)
        except OSError as error:
            raise SystemFailure(f"error creating directory for ploop volume: {error.strerror}") from error
        volume.made = True
        set_owner(path, wanted, _FOLDER_MODE)

    await content.in_piece(lambda stop: make())  # so that it is known whether there is a folder
    size = f"{-(-(document.capacity or 0) // _MIB)}M"
    await run("ploop", "init", "-s", size, "-t", "ext4", f"{path}/root.hds")


async def _make_with_program(
    backend: HostBackend, pool: PoolObject, volume: HostVolume, source: VolumeObject | None, flags: int
) -> None:
    refuse_flags(flags, Create.PREALLOC_METADATA | Create.VALIDATE, "storageBackendCreateQemuImg")
    document, path = volume.document, volume.path
    target = target_of(document)
    documents = document, None if source is None else source.document
    async with handed_passphrases(backend.host.services, *documents) as ((secret, source_secret), fds):
        image = Image(volume=document, pool=pool.current, secret=secret)
        origin = None
        if source is not None:
            origin = Image(volume=source.document, pool=_FILES, secret=source_secret)
        commands = create_commands(image, origin, preallocate_metadata=bool(flags & Create.PREALLOC_METADATA))
        if document.backing_store is not None and document.backing_store.path:
            await in_thread(_require_readable, document.backing_store.path, path)
        fresh = document.type is not VolumeType.BLOCK
        if fresh and await in_thread(os.path.lexists, path):  # qemu-img would take it over
            raise OperationInvalid(f"volume target path '{path}' already exists", domain=_DOMAIN)
        for command in commands:
            if fresh:
                volume.made = True
            await _create(command, fds)
    if not await in_thread(os.path.exists, path):
        raise SystemFailure(f"failed to create {path}: {os.strerror(2)}", domain=_DOMAIN)
    await in_thread(set_owner, path, target.permissions, DEFAULT_VOLUME_MODE)


async def _create(command: list[str], fds: Mapping[int, int]) -> None:
    """Have qemu-img make an image. It measures how long the derivation of a key takes by its thread's CPU time; where
    the kernel counts that in ticks it may see none and refuses: that is tried again.
    """
    for _ in range(_TRIES):
        try:
            await run(*command, fds=fds)
            return
        except InternalError as error:
            if "Unable to get accurate CPU usage" not in str(error):
                raise
            failed = error
    raise failed


def _require_readable(path: str, above: str) -> None:
    whole = path if os.path.isabs(path) else os.path.join(os.path.dirname(above), path)
    try:
        os.close(os.open(whole, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        raise SystemFailure(f"inaccessible backing store volume {path}: {error.strerror}", domain=_DOMAIN) from error


# ------------------------------------------------------------------------------------------------------------ backend


class FolderBackend(HostBackend):
    """Pools whose volumes are images in their target's folder."""

    async def build(self, pool: PoolObject, flags: StoragePoolBuildFlags) -> None:
        check_build_flags(flags, "virStorageBackendFileSystemBuild")
        await in_thread(make_folder_of, pool.current)
        if flags:  # a file system is wanted
            await self.format_device(pool, overwrite=bool(flags & StoragePoolBuildFlags.OVERWRITE))

    async def format_device(self, pool: PoolObject, *, overwrite: bool) -> None:
        """Make a file system on the pool's device."""
        raise OperationInvalid(f"No source device specified when formatting pool '{pool.name}'", domain=_DOMAIN)

    async def check(self, pool: PoolObject) -> bool:
        return await in_thread(os.path.exists, pool_path(pool.current))

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        assert pool.live is not None
        volumes, tell = await in_thread(look_into_folder, pool.live)
        tell(pool.live)
        return list(volumes)

    async def delete(self, pool: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendDeleteLocal")
        path = pool_path(pool.current)
        try:
            await in_thread(os.rmdir, path)
        except OSError as error:
            raise SystemFailure(f"failed to remove pool '{path}': {error.strerror}", domain=_DOMAIN) from error

    # -- volumes

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        document = volume.document
        target = target_of(document)
        document.type = _KINDS.get(target.format or "", VolumeType.FILE)
        if "/" in volume.name:
            raise OperationInvalid(f"volume name '{volume.name}' cannot contain '/'", domain=_DOMAIN)
        target.path = document.key = f"{pool_path(pool.current)}/{volume.name}"
        if await in_thread(os.path.lexists, target.path):
            raise OperationInvalid(f"volume target path '{target.path}' already exists", domain=_DOMAIN)

    async def build_volume(self, pool: PoolObject, volume: VolumeObject, flags: Create) -> None:
        assert isinstance(volume, HostVolume)
        await build_image(self, pool, volume, flags)

    async def build_volume_from(
        self, pool: PoolObject, volume: VolumeObject, source: VolumeObject, flags: Create
    ) -> None:
        assert isinstance(volume, HostVolume)
        await build_image_from(self, pool, volume, source, flags)

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        if volume.building and not await in_thread(os.path.lexists, volume.path):
            return  # a moment later
        await self.refresh_local(volume, folders=True)
        encryption = target_of(volume.document).encryption
        if encryption is not None and not encryption.secrets:
            uuid = await secret_of_volume(self.host.services, volume.path)
            encryption.secrets = [Passphrase(type="passphrase", uuid=uuid)] if uuid is not None else []

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendVolDeleteLocal")
        if isinstance(volume, HostVolume) and not volume.made:
            return
        await in_thread(remove, volume.path, volume.document.type)

    async def resize_volume(self, pool: PoolObject, volume: VolumeObject, capacity: int, flags: Resize) -> None:
        refuse_flags(flags, Resize.ALLOCATE | Resize.SHRINK, "virStorageBackendVolResizeLocal")
        document, path = volume.document, volume.path
        target = target_of(document)
        allocate = bool(flags & Resize.ALLOCATE)
        if document.type is VolumeType.PLOOP:
            size = f"{-(-capacity // _MIB)}M"
            await run("ploop", "resize", "-s", size, f"{path}/DiskDescriptor.xml")
        elif target.format == StorageFormat.RAW and target.encryption is None:
            await in_thread(_resize_raw, path, capacity, allocate)
        elif allocate:
            what = "an unencrypted raw volume" if target.format == StorageFormat.RAW else "raw type volume"
            raise OperationUnsupported(f"preallocate is only supported for {what}", domain=_DOMAIN)
        else:
            async with handed_passphrases(self.host.services, document) as ((secret,), fds):
                image = Image(volume=document, pool=pool.current, secret=secret)
                await run(*resize_command(image, capacity), fds=fds)

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        if volume.document.type is VolumeType.PLOOP:
            await self._wipe_ploop(volume, algorithm)
            return
        await self.wipe_local(volume, algorithm)
        look = await in_thread(examine, volume.path, quiet=True)
        if look is not None:  # it is another image now
            describe(volume.document, look)

    async def _wipe_ploop(self, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        inner = HostVolume(
            type(volume.document)(
                name=volume.name,
                allocation=volume.allocation,
                target=VolumeTarget(path=f"{volume.path}/root.hds"),
            )
        )
        await self.wipe_local(inner, algorithm)
        await in_thread(remove, inner.path, VolumeType.FILE)
        await in_thread(remove, f"{volume.path}/DiskDescriptor.xml", VolumeType.FILE)
        size = f"{-(-(volume.document.capacity or 0) // _MIB)}M"
        await run("ploop", "init", "-s", size, "-t", "ext4", inner.path)

    async def upload(self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        return await self.upload_local(volume, offset, length, flags)

    async def download(
        self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int
    ) -> ByteStream:
        return await self.download_local(volume, offset, length, flags)


def _resize_raw(path: str, capacity: int, allocate: bool) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure(f"Unable to open '{path}': {error.strerror}", domain=_DOMAIN) from error
    try:
        if allocate:
            try:
                os.posix_fallocate(descriptor, 0, capacity)
            except OSError as error:
                what = f"Failed to pre-allocate space for file '{path}'"
                raise SystemFailure(f"{what}: {error.strerror}", domain=_DOMAIN) from error
        try:
            os.ftruncate(descriptor, capacity)
        except OSError as error:
            raise SystemFailure(f"Failed to truncate file '{path}': {error.strerror}", domain=_DOMAIN) from error
    finally:
        os.close(descriptor)
