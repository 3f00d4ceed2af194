"""What a file, folder or device is: its size, its owner, what its header says. Everything here may block."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, InternalError, NoStorageVol, SystemError as SystemFailure
from virtcore.model.storage.image_header import HEADER_SIZE, ImageHeader, read_header
from virtcore.model.storage.permissions import Permissions, Timestamps
from virtcore.model.storage.secret import Encryption
from virtcore.model.storage.source import StorageFormat
from virtcore.model.storage.volume import VolumeFeatures, VolumeTarget, VolumeType

if TYPE_CHECKING:
    from virtcore.model.storage.volume import Volume, VolumeBackingStore

__all__ = ["Look", "apply", "examine", "look_of", "owned", "partition_table"]

_DOMAIN = ErrorDomain.STORAGE
_SECTOR = 512
_SIZED_BY_FILE = (StorageFormat.RAW, StorageFormat.PLOOP)
#: The files of a folder that is an image of ploop.
_PLOOP_IMAGE, _PLOOP_DESCRIPTOR = "root.hds", "DiskDescriptor.xml"

#: Where the partition tables have what: format, offset, bytes. What others have, too, comes last.
_TABLES: tuple[tuple[str, int, bytes], ...] = (
    ("lvm2", 0x218, b"LVM2 001"),
    ("gpt", 0x200, b"EFI PART"),
    ("dvh", 0x0, b"\x0b\xe5\xa9\x41"),
    ("mac", 0x0, b"\x45\x52"),
    ("bsd", 0x40, b"\x57\x45\x56\x82"),
    ("sun", 0x1FC, b"\xda\xbe"),
    ("pc98", 0x0, b"\xcb\x00\x00\x00IPL1"),
    ("dos", 0x1FE, b"\x55\xaa"),
)


@dataclass(slots=True, frozen=True, kw_only=True)
class Look:
    """What was found.

    :ivar kind: file, folder or device.
    :ivar capacity: bytes it holds; None where neither it nor its header tells.
    :ivar allocation: bytes it takes.
    :ivar physical: up to where it goes.
    :ivar header: what its beginning says; None where it was not looked at.
    :ivar table: the partition table on a device.
    """

    kind: VolumeType
    capacity: int | None
    allocation: int
    physical: int
    permissions: Permissions
    timestamps: Timestamps
    header: ImageHeader | None = None
    table: str | None = None


def partition_table(data: bytes) -> str:
    """The partition table at the beginning of a device; ``unknown`` where there is none."""
    for name, at, magic in _TABLES:
        if data[at : at + len(magic)] == magic:
            return name
    return "unknown"


def examine(
    path: str,
    format: StorageFormat | None = None,
    *,
    quiet: bool = False,
    folders: bool = True,
    raw: bool = False,
) -> Look | None:
    """Look at what is at a path.

    :param format: what it is; None: its header says so.
    :param quiet: None is the answer where it is missing, no image, or not for us.
    :param folders: whether a folder will do.
    :param raw: its header is not looked at; of a device, its partition table is.
    :raises NoStorageVol: there is nothing.
    :raises VirtError: it is no image, or cannot be read.
    """
    opened = _open(path, quiet, folders)
    if opened is None:
        return None
    descriptor, found = opened
    try:
        if stat.S_ISDIR(found.st_mode):
            if not _is_ploop(path):
                return _look(VolumeType.DIR, descriptor, found, capacity=None)
            os.close(descriptor)
            descriptor = -1
            inner = _open(f"{path}/{_PLOOP_IMAGE}", quiet, folders=False)
            if inner is None:
                return None
            descriptor, found = inner
            format = StorageFormat.PLOOP
        kind = VolumeType.BLOCK if stat.S_ISBLK(found.st_mode) else VolumeType.FILE
        if raw:
            look = _look(kind, descriptor, found, capacity=None)
            table = partition_table(_beginning(descriptor, path))
            return _with(look, capacity=look.physical, table=table)
        header = read_header(_beginning(descriptor, path), format)
        if header.format is StorageFormat.PLOOP:
            kind = VolumeType.PLOOP
        look = _look(kind, descriptor, found, capacity=header.capacity, header=header)
        # What does not say how large it is (ISO images, what is cut off) is as large as its file, as by libvirt; so is
        # ploop, of which it does not look.
        if header.format in _SIZED_BY_FILE or header.capacity is None:
            look = _with(look, capacity=look.physical - (header.payload or 0))
        return look
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _with(look: Look, **changes: object) -> Look:
    from dataclasses import replace

    return replace(look, **changes)  # type: ignore[arg-type]


def _open(path: str, quiet: bool, folders: bool) -> tuple[int, os.stat_result] | None:
    try:
        found = os.lstat(path)
    except OSError as error:
        if quiet and isinstance(error, FileNotFoundError):
            return None
        if isinstance(error, FileNotFoundError):
            raise NoStorageVol(f"no storage vol with matching path '{path}'", domain=_DOMAIN) from error
        raise SystemFailure(f"cannot stat file '{path}': {error.strerror}", domain=_DOMAIN) from error
    for test, what in ((stat.S_ISFIFO, "FIFO"), (stat.S_ISSOCK, "socket")):
        if test(found.st_mode):
            if quiet:
                return None
            raise InternalError(f"Volume path '{path}' is a {what}", domain=_DOMAIN)
    try:
        # Not to wait, should it have become a FIFO meanwhile.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError | PermissionError) or stat.S_ISLNK(found.st_mode)
        if quiet and gone:
            return None
        raise SystemFailure(f"cannot open volume '{path}': {error.strerror}", domain=_DOMAIN) from error
    found = os.fstat(descriptor)
    mode = found.st_mode
    character = stat.S_ISCHR(mode) and not quiet
    if stat.S_ISREG(mode) or stat.S_ISBLK(mode) or character or (folders and stat.S_ISDIR(mode)):
        return descriptor, found
    os.close(descriptor)
    if quiet:
        return None
    what = "unexpected storage mode for" if stat.S_ISDIR(mode) else "unexpected type for file"
    raise InternalError(f"{what} '{path}'", domain=_DOMAIN)


def _beginning(descriptor: int, path: str) -> bytes:
    try:
        return os.pread(descriptor, HEADER_SIZE, 0)
    except OSError as error:
        raise SystemFailure(f"cannot read header '{path}': {error.strerror}", domain=_DOMAIN) from error


def _is_ploop(path: str) -> bool:
    return os.path.isfile(f"{path}/{_PLOOP_IMAGE}") and os.path.isfile(f"{path}/{_PLOOP_DESCRIPTOR}")


def owned(found: os.stat_result, path: str | int) -> Permissions:
    """Whose it is.

    :param path: path, or a descriptor.
    """
    try:
        label: str | None = os.getxattr(path, "security.selinux").rstrip(b"\0").decode(errors="surrogateescape")
    except OSError:  # there is none, or labels are not for this file system
        label = None
    return Permissions(mode=stat.S_IMODE(found.st_mode) & 0o777, owner=found.st_uid, group=found.st_gid, label=label)


def _look(
    kind: VolumeType,
    descriptor: int,
    found: os.stat_result,
    *,
    capacity: int | None,
    header: ImageHeader | None = None,
) -> Look:
    if stat.S_ISREG(found.st_mode):
        allocation, physical = found.st_blocks * _SECTOR, found.st_size
    elif stat.S_ISBLK(found.st_mode):
        allocation = physical = os.lseek(descriptor, 0, os.SEEK_END)
    else:
        allocation = physical = 0
    times = Timestamps(
        atime=found.st_atime_ns,
        mtime=found.st_mtime_ns,
        ctime=found.st_ctime_ns,
        btime=0,  # as libvirt has it: Linux does not tell those who ask the old way
    )
    return Look(
        kind=kind,
        capacity=capacity,
        allocation=allocation,
        physical=physical,
        permissions=owned(found, descriptor),
        timestamps=times,
        header=header,
    )


def apply(volume: Volume, look: Look) -> None:
    """Put the figures of a volume right."""
    target = volume.target = volume.target or VolumeTarget()
    volume.allocation, volume.physical = look.allocation, look.physical
    if look.capacity is not None:
        volume.capacity = look.capacity
    target.permissions, target.timestamps = look.permissions, look.timestamps
    if look.table is not None:
        target.format = look.table


def look_of(image: VolumeBackingStore, look: Look) -> None:
    """Put right what is known of an image below a volume."""
    image.permissions, image.timestamps = look.permissions, look.timestamps


def describe_header(target: VolumeTarget, header: ImageHeader) -> None:
    """What a header says of an image, beside its size and its backing store."""
    target.format = header.format
    target.compat = header.compat or target.compat
    target.cluster_size = header.cluster_size or target.cluster_size
    target.features = VolumeFeatures(**dict.fromkeys(header.features, True)) if header.compat is not None else None
    if header.encryption is not None:
        target.encryption = Encryption(format=header.encryption)
