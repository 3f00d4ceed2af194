"""Pools that are a disk: its partitions are the volumes."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virt_host.storage.backend import HostVolume, check_build_flags, pool_path, refuse_flags, target_of
from virt_host.storage.devices import DeviceBackend, require_empty, require_format, stable_path, wait_for_devices
from virt_host.storage.examine import apply, examine
from virt_host.storage.images import build_image
from virt_host.storage.programs import run
from virtcore.enums.storage import StoragePoolBuildFlags as Build
from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, InvalidArg, NoSupport, VirtError
from virtcore.model.storage.pool_source import DiskPoolSource, FreeExtent, PartitionTable, PoolDevice
from virtcore.model.storage.pool_types import PartitionType
from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.volume import Extent, Volume, VolumeDevice, VolumeTarget, VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import StorageVolDeleteFlags, StorageVolWipeAlgorithm
    from virtcore.model.storage.pool import StoragePool

__all__ = ["DiskBackend"]

_DOMAIN = ErrorDomain.STORAGE
_SECTOR = 512
#: Heads and sectors of a disk that does not tell.
_GEOMETRY = (255, 63)
#: Number (none of free space), begin, end, size, and what else there is of it.
_ROW = re.compile(r"\s*(\d+)?\s+(\d+)B\s+(\d+)B\s+(\d+)B\s*(.*)")
_CYLINDERS = re.compile(r"geometry: \d+,(\d+),(\d+)\.")
#: What ``parted`` calls the types of partitions.
_PARTED = {
    PartitionType.NONE: "ext2",
    PartitionType.LINUX: "ext2",
    PartitionType.FAT16: "fat16",
    PartitionType.FAT32: "fat32",
    PartitionType.LINUX_SWAP: "linux-swap",
    PartitionType.LINUX_LVM: "ext2",
    PartitionType.LINUX_RAID: "ext2",
    PartitionType.EXTENDED: "extended",
}


class _Partition(NamedTuple):
    """A partition, or space that is free; ends are bytes behind the last."""

    number: int | None
    start: int
    end: int
    kind: str  # primary, extended, logical; of free space, where a partition of it would be


class _Layout(NamedTuple):
    cylinder: int  # bytes
    partitions: list[_Partition]
    free: list[_Partition]


def _device(pool: StoragePool) -> PoolDevice:
    assert isinstance(pool.source, DiskPoolSource)
    return pool.source.devices[0]


def partition_path(device: str, number: int, *, separated: bool = False) -> str:
    """The path of a partition of a disk.

    :param separated: its name has a p before the number, whatever the disk is called.
    """
    return f"{device}p{number}" if separated or device[-1:].isdigit() else f"{device}{number}"


def read_layout(printed: str, geometry: str) -> _Layout:
    """What is on a disk, out of what ``parted`` prints with ``unit B print free`` and ``unit cyl print``."""
    partitions: list[_Partition] = []
    spaces: list[tuple[int, int]] = []
    for line in printed.splitlines():
        row = _ROW.fullmatch(line)
        if row is None:
            continue
        number, start, end, rest = row[1], int(row[2]), int(row[3]) + 1, row[5]
        if number is None:
            spaces.append((start, end))
            continue
        word = rest.split(None, 1)[0] if rest else ""
        kind = word if word in ("primary", "extended", "logical") else "primary"
        partitions.append(_Partition(int(number), start, end, kind))
    extended = next((one for one in partitions if one.kind == "extended"), None)
    free = [
        _Partition(
            None,
            start or _SECTOR,  # the first block is told to be free, even if it is not
            end,
            "logical" if extended is not None and extended.start <= start and end <= extended.end else "primary",
        )
        for start, end in spaces
    ]
    told = _CYLINDERS.search(geometry)
    heads, sectors = (int(told[1]), int(told[2])) if told is not None else _GEOMETRY
    return _Layout(heads * sectors * _SECTOR, partitions, free)


class DiskBackend(DeviceBackend):
    """``<pool type='disk'>``."""

    counts = True
    needs_capacity = True

    async def build(self, pool: PoolObject, flags: Build) -> None:
        check_build_flags(flags, "virStorageBackendDiskBuildPool")
        document = pool.current
        source = document.source
        assert isinstance(source, DiskPoolSource)
        device, format = _device(document).path, source.format or PartitionTable.UNKNOWN
        if not flags & Build.OVERWRITE:
            await require_empty(device, format)
        if format is PartitionTable.UNKNOWN:
            format = source.format = PartitionTable.DOS
        await run("parted", device, "mklabel", "--script", "msdos" if format is PartitionTable.DOS else format)

    async def start(self, pool: PoolObject) -> None:
        source = pool.current.source
        assert isinstance(source, DiskPoolSource)
        await wait_for_devices()
        await self._require_device(pool.current)
        await require_format(_device(pool.current).path, source.format or PartitionTable.UNKNOWN)

    async def _require_device(self, pool: StoragePool) -> None:
        path = _device(pool).path
        if not await in_thread(os.path.exists, path):
            raise InvalidArg(f"device path '{path}' doesn't exist", domain=_DOMAIN)

    async def check(self, pool: PoolObject) -> bool:
        return pool.live is not None and await in_thread(os.path.exists, _device(pool.current).path)

    async def _layout(self, pool: StoragePool) -> _Layout:
        device = _device(pool).path
        printed = await run("parted", "--script", device, "unit", "B", "print", "free")
        return read_layout(printed, await run("parted", "--script", device, "unit", "cyl", "print"))

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        await wait_for_devices()
        await self._require_device(document)
        layout = await self._layout(document)
        volumes = [await in_thread(_volume, document, one) for one in layout.partitions]
        _count(document, layout, volumes)
        return list(volumes)

    # -- volumes

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        assert isinstance(volume, HostVolume)
        document = volume.document
        encryption = target_of(document).encryption
        if encryption is not None and encryption.format is not EncryptionFormat.LUKS:
            raise ConfigUnsupported("storage pool only supports LUKS encrypted volumes", domain=_DOMAIN)
        live = pool.live
        assert live is not None
        layout = await self._layout(live)
        what = _what_to_make(live, document, layout)
        start, end = _where_to_make(live, layout, document.capacity or 0)
        device = _device(live)
        await run("parted", device.path, "mkpart", "--script", what, f"{start}B", f"{end}B")
        volume.made = True
        await wait_for_devices()
        known = {one.number for one in layout.partitions}
        changed = await self._layout(live)
        made = next((one for one in changed.partitions if one.number not in known), None)
        if made is None or made.number is None:
            raise InternalError(f"cannot find newly created volume '{volume.name}'", domain=_DOMAIN)
        try:
            found = await in_thread(_volume, live, made)
            if found.name != volume.name:
                raise InvalidArg(f"invalid partition name '{volume.name}', expected '{found.name}'", domain=_DOMAIN)
            document.type, document.devices, document.key = VolumeType.BLOCK, found.document.devices, found.key
            target_of(document).path = found.path
            volume.partition = found.partition
            if encryption is not None:
                await build_image(self, pool, volume, 0)
        except BaseException as error:
            try:
                await run("parted", device.path, "rm", "--script", str(made.number))
            except VirtError as second:
                error.add_note(f"the partition is still there: {second}")
            raise
        _count(live, changed, [await in_thread(_volume, live, one) for one in changed.partitions])

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        if isinstance(volume, HostVolume) and volume.partition == "extended":
            return  # it cannot be opened once there is something in it
        word = target_of(volume.document).format
        await self.refresh_local(volume, folders=False, raw=True)
        target_of(volume.document).format = word

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendDiskDeleteVol")
        live = pool.live
        assert live is not None
        device = _device(live).path
        if not volume.path:
            raise InvalidArg(f"volume target path empty for source path '{device}'", domain=_DOMAIN)
        name, source = os.path.basename(await in_thread(os.path.realpath, volume.path)), os.path.basename(device)
        if not name.startswith(source):
            raise InternalError(
                f"Volume path '{name}' did not start with parent pool source device name.", domain=_DOMAIN
            )
        number = name.removeprefix(source).removeprefix("p")
        if not number.isdigit():
            raise InternalError(f"cannot parse partition number from target '{name}'", domain=_DOMAIN)
        await run("parted", device, "rm", "--script", number)
        await wait_for_devices()
        # What is logical counts for what is extended, and numbers may have changed: all is looked at afresh.
        pool.volumes = {one.name: one for one in await self.refresh(pool)}

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        if isinstance(volume, HostVolume) and volume.partition == "extended":
            raise NoSupport(f"cannot wipe extended partition '{volume.path}'", domain=_DOMAIN)
        await super().wipe_volume(pool, volume, algorithm)


def _volume(pool: StoragePool, one: _Partition) -> HostVolume:
    device = _device(pool)
    assert one.number is not None
    path = partition_path(device.path, one.number, separated=bool(device.part_separator))
    name = os.path.basename(path)
    path = stable_path(pool_path(pool), path, waits=False)
    document = Volume(
        name=name,
        type=VolumeType.BLOCK,
        key=path,
        devices=[VolumeDevice(path=device.path, extents=[Extent(start=one.start, end=one.end)])],
        target=VolumeTarget(path=path, format=PartitionType.NONE),
    )
    volume = HostVolume(document, made=True)
    volume.partition = one.kind
    look = examine(path, raw=True, folders=False, quiet=one.kind == "extended")
    if look is not None:
        apply(document, look)
    assert document.target is not None
    document.target.format = PartitionType.NONE
    if one.kind == "extended":
        document.allocation, document.capacity = 0, one.end - one.start
    return volume


def _count(pool: StoragePool, layout: _Layout, volumes: list[HostVolume]) -> None:
    """The figures of a pool, and of the extended partition what is in it."""
    _device(pool).free_extents = [FreeExtent(start=one.start, end=one.end) for one in layout.free]
    pool.capacity = max((one.end for one in (*layout.partitions, *layout.free)), default=0)
    pool.available = sum(one.end - one.start for one in layout.free)
    pool.allocation = sum(volume.allocation for volume in volumes if volume.partition != "extended")
    inside = sum(volume.allocation for volume in volumes if volume.partition == "logical")
    for volume in volumes:
        if volume.partition == "extended":
            volume.document.allocation = inside


def _kind_to_make(pool: StoragePool, layout: _Layout) -> str:
    """Where a new partition has its place: there are four entries in a table of the old kind."""
    source = pool.source
    assert isinstance(source, DiskPoolSource)
    taken = sum(1 for one in layout.partitions if one.kind in ("primary", "extended"))
    return "logical" if source.format is PartitionTable.DOS and taken >= 4 else "primary"


def _what_to_make(pool: StoragePool, document: Volume, layout: _Layout) -> str:
    source = pool.source
    assert isinstance(source, DiskPoolSource)
    if source.format is not PartitionTable.DOS:
        return "primary"
    wanted = PartitionType(target_of(document).format or PartitionType.NONE)
    extended = any(one.kind == "extended" for one in layout.partitions)
    if wanted is PartitionType.EXTENDED:
        if extended:
            raise InternalError("extended partition already exists", domain=_DOMAIN)
        return _PARTED[wanted]
    kind = _kind_to_make(pool, layout)
    if kind == "logical" and not extended:
        raise InternalError("no extended partition found and no primary partition available", domain=_DOMAIN)
    return f"{kind} {_PARTED[wanted]}"


def _where_to_make(pool: StoragePool, layout: _Layout, size: int) -> tuple[int, int]:
    """First and last byte of a new partition: in the smallest free space that has room for it.

    A table of the old kind has its partitions end with a cylinder.
    """
    source = pool.source
    assert isinstance(source, DiskPoolSource)
    aligned = source.format is PartitionTable.DOS
    kind = _kind_to_make(pool, layout)
    extra = layout.cylinder - size % layout.cylinder
    best: tuple[int, int, _Partition] | None = None
    for one in layout.free:
        room, needed = one.end - one.start, size
        if aligned:
            needed += extra
            if kind == "logical":
                room -= _SECTOR  # each logical partition begins with a block of its own
        if one.kind == kind and room > needed and (best is None or room < best[0]):
            best = (room, needed, one)
    if best is None:
        raise InternalError("no large enough free extent", domain=_DOMAIN)
    _, needed, one = best
    start = one.start + (_SECTOR if kind == "logical" else 0)
    end = start + needed
    if aligned:
        end -= start % layout.cylinder
    return start, end - 1
