"""What the kinds of pools of a Linux host have in common."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virt_host.nodedev.kernel_device import HostFiles
from virt_host.storage.content import FileStream, Stop, copy_content, in_piece, refusing, wipe
from virt_host.storage.examine import apply, examine, look_of
from virt_host.storage.programs import run
from virtcore.driver.toolkit.pool_backend import PoolBackend, VolumeObject
from virtcore.enums.storage import StorageVolDownloadFlags, StorageVolUploadFlags, StorageVolWipeAlgorithm
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    ErrorCode,
    ErrorDomain,
    InternalError,
    VirtError,
)
from virtcore.model.storage.source import StorageFormat
from virtcore.model.storage.volume import VolumeTarget, VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.storage.examine import Look
    from virtcore.driver.composition import PlaceServices
    from virtcore.enums.storage import StoragePoolBuildFlags
    from virtcore.model.storage.permissions import Permissions
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.pool_source import StoragePoolType
    from virtcore.model.storage.volume import Volume
    from virtcore.operations.stream import ByteStream

__all__ = ["HostBackend", "HostVolume", "StorageHost", "check_build_flags", "pool_path", "refuse_flags", "set_owner"]

DEFAULT_VOLUME_MODE = 0o600
#: What ``scrub`` calls the algorithms that it has.
_PATTERNS = {
    StorageVolWipeAlgorithm.NNSA: "nnsa",
    StorageVolWipeAlgorithm.DOD: "dod",
    StorageVolWipeAlgorithm.BSI: "bsi",
    StorageVolWipeAlgorithm.GUTMANN: "gutmann",
    StorageVolWipeAlgorithm.SCHNEIER: "schneier",
    StorageVolWipeAlgorithm.PFITZNER7: "pfitzner7",
    StorageVolWipeAlgorithm.PFITZNER33: "pfitzner33",
    StorageVolWipeAlgorithm.RANDOM: "random",
}


class HostVolume(VolumeObject):
    """A volume of a host.

    :ivar made: there is something of it; a volume that is made has nothing at first.
    :ivar partition: of a partition, whether it is primary, extended or logical.
    :ivar sparse: it takes less than it holds, though it is a device.
    """

    __slots__ = ("made", "partition", "sparse")

    def __init__(self, document: Volume, *, made: bool = False) -> None:
        super().__init__(document)
        self.made = made
        self.partition: str | None = None
        self.sparse = False


@dataclass(slots=True, kw_only=True)
class StorageHost:
    """What backends need of the service they belong to.

    :ivar services: the services beside it: secrets, devices.
    :ivar files: where the kernel tells of its devices.
    """

    services: PlaceServices
    files: HostFiles = field(default_factory=HostFiles)


def refuse_flags(flags: int, supported: int, function: str) -> None:
    """Refuse flags that a function of libvirt's backends does not know.

    :raises InvalidArg: there are any.
    """
    unknown = int(flags) & ~int(supported)
    if unknown:
        raise VirtError.from_message(
            ErrorCode.INVALID_ARG,
            f"unsupported flags (0x{unknown:x}) in function {function}",
            domain=ErrorDomain.STORAGE,
        )


def check_build_flags(flags: StoragePoolBuildFlags | int, function: str) -> None:
    """Refuse what building does not know, and what contradicts itself."""
    from virtcore.enums.storage import StoragePoolBuildFlags as Build

    refuse_flags(flags, Build.OVERWRITE | Build.NO_OVERWRITE, function)
    if flags & Build.OVERWRITE and flags & Build.NO_OVERWRITE:
        raise VirtError.from_message(
            ErrorCode.INVALID_ARG,
            "Flags 'VIR_STORAGE_POOL_BUILD_OVERWRITE' and 'VIR_STORAGE_POOL_BUILD_NO_OVERWRITE' are mutually exclusive",
            domain=ErrorDomain.STORAGE,
        )


def pool_path(pool: StoragePool) -> str:
    """The folder that a pool's volumes are in."""
    assert pool.target is not None  # completion
    assert pool.target.path is not None
    return pool.target.path


def set_owner(path: str, wanted: Permissions | None, mode: int | None) -> None:
    """Give a new file or folder to whom it is for.

    :param mode: where ``wanted`` has none.
    :raises SystemError: that cannot be.
    """
    found = os.stat(path)
    uid, gid = (-1, -1) if wanted is None else (_told(wanted.owner), _told(wanted.group))
    uid, gid = -1 if uid == found.st_uid else uid, -1 if gid == found.st_gid else gid
    if (uid, gid) != (-1, -1):
        with refusing(f"cannot chown '{path}' to ({uid & 0xFFFFFFFF}, {gid & 0xFFFFFFFF})"):
            os.chown(path, uid, gid)
    mode = wanted.mode if wanted is not None and wanted.mode is not None else mode
    if mode is not None and mode != found.st_mode & 0o777:
        with refusing(f"cannot set mode of '{path}' to {mode:04o}"):
            os.chmod(path, mode)


def _told(number: int | None) -> int:
    return -1 if number is None else number


class HostBackend(PoolBackend):
    """Base of a Linux host's kinds of pools; also what can be done with whatever is a file or device.

    :param host: the service they belong to.
    """

    def __init__(self, kind: StoragePoolType, host: StorageHost) -> None:
        super().__init__(kind)
        self.host = host

    # -- volumes that are files or devices of the host

    async def refresh_local(self, volume: VolumeObject, *, folders: bool, raw: bool = False) -> None:
        """Put the figures of a file or device right."""
        document = volume.document
        format = _image_format(document)
        if format is StorageFormat.DIR:
            format = None
        look = await in_thread(examine, volume.path, format, folders=folders, raw=raw)
        assert look is not None  # it raises instead
        apply(document, look)
        below = document.backing_store
        if below is not None and below.path:
            found = await in_thread(examine, below.path, quiet=True, folders=False)
            if found is not None:
                look_of(below, found)

    async def wipe_local(self, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm, *, end: bool = False) -> None:
        """Overwrite the content of a file or device."""
        if algorithm is StorageVolWipeAlgorithm.TRIM:
            raise ArgumentUnsupported("'trim' algorithm not supported", domain=ErrorDomain.STORAGE)
        path, allocation = volume.path, volume.allocation
        if algorithm is StorageVolWipeAlgorithm.ZERO:
            await in_piece(lambda stop: wipe(path, allocation, stop, end=end))
        else:
            await run("scrub", "-f", "-p", _PATTERNS[algorithm], path)

    async def upload_local(self, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        """A stream that writes a file or device."""
        refuse_flags(flags, StorageVolUploadFlags.SPARSE_STREAM, "virStorageBackendVolUploadLocal")
        path = await self._content_of(volume, "upload")
        return await FileStream.open(path, offset, length, writes=True)

    async def download_local(self, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        """A stream that reads a file or device."""
        refuse_flags(flags, StorageVolDownloadFlags.SPARSE_STREAM, "virStorageBackendVolDownloadLocal")
        path = await self._content_of(volume, "download")
        return await FileStream.open(path, offset, length, writes=False)

    async def _content_of(self, volume: VolumeObject, doing: str) -> str:
        if volume.document.type is not VolumeType.PLOOP:
            return volume.path
        listed = await run("ploop", "snapshot-list", f"{volume.path}/DiskDescriptor.xml")
        if "root.hds." in listed:
            raise InternalError(
                f"can't {doing} volume, all existing snapshots will be lost", domain=ErrorDomain.STORAGE
            )
        return f"{volume.path}/root.hds"

    async def copy_to_device(self, volume: VolumeObject, source: VolumeObject, flags: int) -> None:
        """Fill a device with the content of a volume that is read as it is (``storageBackendCreateBlockFrom``)."""
        from virtcore.enums.storage import StorageVolCreateFlags as Create

        refuse_flags(
            flags, Create.PREALLOC_METADATA | Create.REFLINK | Create.VALIDATE, "storageBackendCreateBlockFrom"
        )
        if flags & Create.PREALLOC_METADATA:
            raise ConfigUnsupported(
                "metadata preallocation is not supported for block volumes", domain=ErrorDomain.STORAGE
            )
        target, origin, total = volume.path, source.path, volume.document.capacity or 0
        clone = bool(flags & Create.REFLINK)
        await in_piece(lambda stop: _fill_device(target, origin, total, stop, clone))
        await in_thread(set_owner, target, _wanted(volume.document), DEFAULT_VOLUME_MODE)


def _wanted(document: Volume) -> Permissions | None:
    return document.target.permissions if document.target is not None else None


def _image_format(document: Volume) -> StorageFormat | None:
    """The format of an image; None where it is none that we know by a word."""
    word = document.target.format if document.target is not None else None
    try:
        return StorageFormat(word) if word is not None else None
    except ValueError:
        return None


def _fill_device(path: str, source: str, total: int, stop: Stop, clone: bool) -> None:
    with refusing(f"cannot create path '{path}'"):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        copy_content(source, descriptor, path, total, stop, sparse=False, clone=clone)
    finally:
        os.close(descriptor)


def remove(path: str, kind: VolumeType | None) -> None:
    """Remove a file, an empty folder, or an image of ploop. What has gone already is no error.

    :raises SystemError: it cannot be removed.
    """
    what = "cannot remove directory" if kind is VolumeType.DIR else "cannot unlink file"
    with refusing(f"{what} '{path}'"), suppress(FileNotFoundError):
        if kind is VolumeType.PLOOP:
            shutil.rmtree(path)
        elif os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)


def target_of(document: Volume) -> VolumeTarget:
    """The target of a volume, which it has from now on."""
    document.target = document.target or VolumeTarget()
    return document.target


def seen(name: str, path: str, look: Look, kind: VolumeType, key: str | None = None) -> HostVolume:
    """A volume that was found."""
    from virtcore.model.storage import Volume

    document = Volume(name=name, type=kind, key=key or path, target=VolumeTarget(path=path))
    document.capacity = look.capacity or 0
    apply(document, look)
    return HostVolume(document, made=True)
