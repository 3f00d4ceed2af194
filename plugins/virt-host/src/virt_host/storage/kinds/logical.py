"""Pools that are a volume group of LVM."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from virt_host.storage.backend import (
    DEFAULT_VOLUME_MODE,
    HostVolume,
    check_build_flags,
    pool_path,
    refuse_flags,
    set_owner,
    target_of,
)
from virt_host.storage.devices import DeviceBackend, clear_tables, require_empty, wait_for_devices
from virt_host.storage.examine import apply, examine
from virt_host.storage.images import build_image
from virt_host.storage.mount import start_command, stop_command
from virt_host.storage.programs import run
from virt_host.storage.sources import sources_xml
from virtcore.enums.storage import StoragePoolBuildFlags as Build
from virtcore.errors import (
    ConfigUnsupported,
    ErrorDomain,
    InternalError,
    NoSupport,
    VirtError,
)
from virtcore.model.storage.pool_source import LogicalFormat, LogicalPoolSource, PoolDevice
from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.volume import (
    Extent,
    Volume,
    VolumeBackingStore,
    VolumeDevice,
    VolumeTarget,
    VolumeType,
)
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import StoragePoolDeleteFlags, StorageVolDeleteFlags, StorageVolWipeAlgorithm
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.pool_source import PoolSource

__all__ = ["LogicalBackend"]

log = logging.getLogger("virtcore")

_DOMAIN = ErrorDomain.STORAGE
_TABLE = ("--noheadings", "--units", "b", "--unbuffered", "--nosuffix", "--options")
_FIELDS = "lv_name,origin,uuid,devices,segtype,stripes,seg_size,vg_extent_size,size,lv_attr"
_PART = re.compile(r"(\S+)\((\S+)\)")
#: What LVM's own header of an encrypted volume takes beyond the capacity.
_LUKS_HEADER = 2 << 20


def _group(pool: StoragePool) -> str:
    assert isinstance(pool.source, LogicalPoolSource)
    return pool.source.name or ""


def _devices(pool: StoragePool) -> list[str]:
    assert isinstance(pool.source, LogicalPoolSource)
    return [device.path for device in pool.source.devices]


async def _physical_volumes() -> list[tuple[str, str]]:
    """Every physical volume and the group that it belongs to."""
    try:
        await run("vgscan")
    except VirtError as error:
        log.warning("Failure when running vgscan to refresh physical volumes: %s", error)
    rows = [line.split() for line in (await run("pvs", "--noheadings", "-o", "pv_name,vg_name")).splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) == 2]


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InternalError(f"malformed volume {what} value", domain=_DOMAIN) from None


class LogicalBackend(DeviceBackend):
    """``<pool type='logical'>``."""

    needs_capacity = True

    async def find_sources(self, source: PoolSource | None) -> str:
        found: dict[str, LogicalPoolSource] = {}
        for device, group in await _physical_volumes():
            known = found.setdefault(group, LogicalPoolSource(name=group, format=LogicalFormat.LVM2))
            known.devices.append(PoolDevice(path=device))
        return sources_xml(found.values())

    # -- pools

    async def build(self, pool: PoolObject, flags: Build) -> None:
        check_build_flags(flags, "virStorageBackendLogicalBuildPool")
        devices = _devices(pool.current)
        begun: list[str] = []
        try:
            for device in devices:
                if not flags & Build.OVERWRITE:
                    await require_empty(device, "LVM2_member")
                await clear_tables(device)  # LVM wants the first sector of a whole disk to be blank
                await run("pvcreate", device)
                begun.append(device)
            await run("vgcreate", _group(pool.current), *devices)
        except BaseException:
            await self._remove_physical(begun)
            raise

    async def _remove_physical(self, devices: list[str]) -> None:
        for device in devices:
            try:
                await run("pvremove", device)
            except VirtError as error:
                log.warning("Failed to pvremove logical device '%s': %s", device, error)

    async def check(self, pool: PoolObject) -> bool:
        if not await in_thread(os.path.exists, pool_path(pool.current)):
            return False
        await self._match(pool.current)
        return True

    async def _match(self, pool: StoragePool) -> None:
        """Check that the group is there, on the devices that the document names.

        :raises ConfigUnsupported: it is not.
        """
        name = _group(pool)
        of_group = [device for device, group in await _physical_volumes() if group == name]
        if not of_group:
            raise ConfigUnsupported(f"cannot find logical volume group name '{name}'", domain=_DOMAIN)
        wanted = _devices(pool)
        if not wanted:
            return
        present = [device for device in wanted if device in of_group]
        if not present:
            raise ConfigUnsupported(
                f"cannot find any matching source devices for logical volume group '{name}'", domain=_DOMAIN
            )
        if len(present) != len(of_group):
            log.warning("pool device list count doesn't match pvs device list count")

    async def start(self, pool: PoolObject) -> None:
        await self._match(pool.current)
        await run(*start_command(pool.current))

    async def stop(self, pool: PoolObject) -> None:
        await run(*stop_command(pool.current))

    async def delete(self, pool: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendLogicalDeletePool")
        await run("vgremove", "-f", _group(pool.current))
        await self._remove_physical(_devices(pool.current))

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        await wait_for_devices()
        volumes = await self._volumes(document)
        rows = (await run("vgs", "--separator", ":", *_TABLE, "vg_size,vg_free", _group(document))).splitlines()
        for size, free in (row.strip().rstrip(":").split(":") for row in rows if row.strip()):
            document.capacity, document.available = int(size), int(free)
            document.allocation = document.capacity - document.available
        return list(volumes.values())

    # -- volumes

    async def _volumes(self, pool: StoragePool, wanted: str | None = None) -> dict[str, HostVolume]:
        """The logical volumes of a group that can be used, or one of them."""
        output = await run("lvs", "--separator", "#", *_TABLE, _FIELDS, _group(pool))
        found: dict[str, HostVolume] = {}
        for line in output.splitlines():
            row = line.strip().rstrip("#").split("#")
            if len(row) != 10:
                continue
            name, attributes = row[0], row[9]
            # Inactive ones have no device; a pool of thin ones holds nothing itself.
            if (wanted is not None and name != wanted) or attributes[4:5] != "a" or attributes[:1] == "t":
                continue
            volume = found.get(name)
            if volume is None:
                volume = found[name] = await in_thread(_logical_volume, pool, row)
            _add_extents(volume.document, row)
        return found

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        assert isinstance(volume, HostVolume)
        document = volume.document
        target = target_of(document)
        document.type = VolumeType.BLOCK
        encryption = target.encryption
        if encryption is not None and encryption.format is not EncryptionFormat.LUKS:
            raise ConfigUnsupported("storage pool only supports LUKS encrypted volumes", domain=_DOMAIN)
        target.path = f"{pool_path(pool.current)}/{volume.name}"
        await self._make(pool.current, volume)
        try:
            if encryption is not None:
                await build_image(self, pool, volume, 0)
            await in_thread(set_owner, target.path, target.permissions, DEFAULT_VOLUME_MODE)
            found = (await self._volumes(pool.current, volume.name)).get(volume.name)
            if found is None:
                raise InternalError(f"cannot find newly created volume '{volume.name}'", domain=_DOMAIN)
        except BaseException as error:
            try:
                await self.delete_volume(pool, volume, 0)  # type: ignore[arg-type]  # none
            except VirtError as second:
                error.add_note(f"the logical volume is still there: {second}")
            raise
        document.key, document.devices = found.document.key, found.document.devices
        document.backing_store = found.document.backing_store
        document.capacity = found.document.capacity

    async def _make(self, pool: StoragePool, volume: HostVolume) -> None:
        document = volume.document
        capacity, allocation = document.capacity or 0, document.allocation or 0
        below = document.backing_store
        argv = ["lvcreate", "--yes", "--name", volume.name, "-L"]
        if capacity != allocation and (below is None or not below.path):
            argv += [f"{_kibibytes(allocation or 1)}K", "--type", "snapshot", "--virtualsize"]
            volume.sparse = True
        if target_of(document).encryption is not None:
            capacity += _LUKS_HEADER
        argv.append(f"{_kibibytes(capacity)}K")
        argv += ["-s", below.path] if below is not None and below.path else [_group(pool)]
        await run(*argv)
        volume.made = True

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        refuse_flags(flags, 0, "virStorageBackendLogicalDeleteVol")
        if isinstance(volume, HostVolume) and not volume.made:
            return
        await wait_for_devices()
        path = volume.path
        try:
            await run("lvremove", "-f", path)
        except InternalError:
            await run("lvchange", "-aln", path)
            await run("lvremove", "-f", path)

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        if isinstance(volume, HostVolume) and volume.sparse:
            raise NoSupport(f"logical volume '{volume.path}' is sparse, volume wipe not supported", domain=_DOMAIN)
        await super().wipe_volume(pool, volume, algorithm)


def _kibibytes(size: int) -> int:
    return -(-size // 1024)


def _logical_volume(pool: StoragePool, row: list[str]) -> HostVolume:
    name, origin, uuid, segment, size = row[0], row[1], row[2], row[4], row[8]
    folder = pool_path(pool)
    document = Volume(name=name, type=VolumeType.BLOCK, key=uuid, target=VolumeTarget(path=f"{folder}/{name}"))
    volume = HostVolume(document, made=True)
    # LVM's own origin of a sparse volume has its name in brackets, and nobody may use it.
    if origin.startswith("["):
        volume.sparse = True
    elif origin:
        document.backing_store = VolumeBackingStore(path=f"{folder}/{origin}", format=LogicalFormat.LVM2)
    if segment == "thin":
        volume.sparse = True
    look = examine(f"{folder}/{name}", raw=True, folders=False)
    assert look is not None  # it raises instead
    apply(document, look)
    assert document.target is not None
    document.target.format = None
    if volume.sparse:
        document.allocation = _number(size, "allocation")
    return volume


def _add_extents(document: Volume, row: list[str]) -> None:
    """The parts of devices that a segment is on."""
    devices, segment, stripes, length, size = row[3], row[4], row[5], row[6], row[7]
    count = _number(stripes, "extent stripes") if segment in ("striped", "mirror", "raid1") else 1
    if not devices:  # it is in a pool of thin volumes
        return
    bytes_, unit = _number(length, "extent length"), _number(size, "extent size")
    parts = [_PART.fullmatch(part) for part in devices.split(",")]
    if len(parts) < count or any(part is None for part in parts):
        raise InternalError("malformed volume extent devices value", domain=_DOMAIN)
    for part in parts[:count]:
        assert part is not None
        start = _number(part[2], "extent offset") * unit
        extent = Extent(start=start, end=start + bytes_)
        known = next((device for device in document.devices if device.path == part[1]), None)
        if known is None:
            known = VolumeDevice(path=part[1])
            document.devices.append(known)
        known.extents.append(extent)
