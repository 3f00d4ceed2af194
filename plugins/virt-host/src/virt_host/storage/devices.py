"""Block devices that pools are on, or whose volumes they are."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.storage.backend import HostBackend, HostVolume, target_of
from virt_host.storage.images import build_image_from
from virt_host.storage.programs import installed
from virt_host.tools import find_tool
from virtcore.errors import (
    ErrorCode,
    ErrorDomain,
    OperationFailed,
    OperationInvalid,
    SystemError as SystemFailure,
    VirtError,
)
from virtcore.model.storage.pool_source import PartitionTable
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import StorageVolCreateFlags, StorageVolWipeAlgorithm
    from virtcore.operations.stream import ByteStream

__all__ = [
    "DeviceBackend",
    "Probed",
    "clear_tables",
    "probe_device",
    "require_empty",
    "require_format",
    "stable_path",
    "wait_for_devices",
]

StorageProbeFailed = VirtError.for_code(ErrorCode.STORAGE_PROBE_FAILED)
StoragePoolBuilt = VirtError.for_code(ErrorCode.STORAGE_POOL_BUILT)

_DOMAIN = ErrorDomain.STORAGE
_SHORT = 60.0
#: How often, and how many seconds apart, a name of a device is looked for that udev is about to make.
_TRIES, _PAUSE = 50, 0.1
#: What blkid calls the partition tables that it has other names for.
_TABLES = {"dvh": "sgi", "pc98": "dos"}
_NOTHING, _SEVERAL = 2, 8  # how blkid ends


async def wait_for_devices() -> None:
    """Wait until udev, where there is one, has named what has come (``virWaitForDevices``)."""
    if find_tool("udevadm") is not None:
        await finish_program([installed("udevadm"), "settle"], limit=_SHORT)


def stable_path(folder: str, device: str, *, waits: bool = False) -> str:
    """The name of a device below a folder of names that stay; the device's own where there is none. Blocks.

    :param waits: the folder or the name may be about to appear.
    :raises SystemError: the folder cannot be read.
    """
    if folder in ("/dev", "/dev/") or not os.path.isabs(folder):
        return device
    for attempt in range(_TRIES if waits else 1):
        if attempt:
            time.sleep(_PAUSE)
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError as error:
            failure: OSError | None = error
            continue
        except OSError as error:
            failure = error
            break
        failure = None
        for name in names:
            path = f"{folder}/{name}"
            try:
                if os.path.samefile(path, device):
                    return path
            except OSError:
                continue
        if not waits:
            break
    if failure is not None:
        raise SystemFailure(f"cannot read dir '{folder}': {failure.strerror}", domain=_DOMAIN) from failure
    return device


# ------------------------------------------------------------------------------------------------- what is on a device


class Probed(dict[str, str]):
    """What blkid says of a device."""

    @property
    def format(self) -> str | None:
        """File system, or whatever else has the whole device."""
        return self.get("TYPE")

    @property
    def table(self) -> str | None:
        """Partition table."""
        return self.get("PTTYPE")


async def probe_device(device: str) -> Probed:
    """Look for what is on a device.

    :raises StorageProbeFailed: it cannot be looked at, or has several things on it.
    """
    program = find_tool("blkid")
    if program is None:
        raise StorageProbeFailed(f"Failed to create filesystem probe for device {device}", domain=_DOMAIN)
    done = await finish_program([program, "-p", "-o", "export", device], limit=_SHORT)
    if done.status == _SEVERAL:
        raise StorageProbeFailed("Found additional probes to run, probing may be incorrect", domain=_DOMAIN)
    if done.status not in (0, _NOTHING) or (done.status == _NOTHING and not await in_thread(os.path.exists, device)):
        raise StorageProbeFailed(f"Failed to create filesystem probe for device {device}", domain=_DOMAIN)
    return Probed(line.split("=", 1) for line in done.output.splitlines() if "=" in line)


async def require_empty(device: str, format: str) -> None:
    """Refuse to write a format onto a device with something on it (``virStorageBackendDeviceIsEmpty``).

    :raises StoragePoolBuilt: there is something.
    """
    found = await probe_device(device)
    present = found.format or found.table
    if present is None:
        return
    if present == _TABLES.get(format, format):
        raise StoragePoolBuilt(f"Device '{device}' already formatted using '{format}'", domain=_DOMAIN)
    raise StoragePoolBuilt(
        f"Format of device '{device}' does not match the expected format '{format}', forced overwrite is necessary",
        domain=_DOMAIN,
    )


async def require_format(device: str, format: str) -> None:
    """Refuse a device whose partition table is another one.

    :raises VirtError: it is, or there is none.
    """
    found = await probe_device(device)
    present = found.table or found.format
    if present is None:
        raise StorageProbeFailed(f"Device '{device}' is unrecognized, requires build", domain=_DOMAIN)
    if present != _TABLES.get(format, format):
        raise OperationInvalid(
            f"Format of device '{device}' does not match the expected format '{format}'", domain=_DOMAIN
        )
    if format not in PartitionTable.__members__.values():
        raise OperationFailed("Unknown Partition Type, requires build --overwrite", domain=_DOMAIN)


async def clear_tables(device: str) -> None:
    """Empty both ends of a device, where tables are (``virStorageBackendZeroPartitionTable``)."""
    from virt_host.storage.content import in_piece, wipe

    for end in (False, True):
        await in_piece(lambda stop, end=end: wipe(device, 1 << 20, stop, end=end))  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------- volumes


class DeviceBackend(HostBackend):
    """Pools whose volumes are devices of the host."""

    #: What is on its volumes is told as their format.
    probes_tables: bool = False

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        await self.refresh_local(volume, folders=False, raw=True)
        if not self.probes_tables:
            target_of(volume.document).format = None

    async def build_volume_from(
        self, pool: PoolObject, volume: VolumeObject, source: VolumeObject, flags: StorageVolCreateFlags
    ) -> None:
        assert isinstance(volume, HostVolume)
        await build_image_from(self, pool, volume, source, flags)

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        await self.wipe_local(volume, algorithm)

    async def upload(self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        return await self.upload_local(volume, offset, length, flags)

    async def download(
        self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int
    ) -> ByteStream:
        return await self.download_local(volume, offset, length, flags)
