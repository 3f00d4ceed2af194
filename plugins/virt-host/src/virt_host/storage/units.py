"""Units of SCSI hosts as volumes: what the pools ``scsi`` and ``iscsi`` have in common."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.storage.backend import pool_path, seen
from virt_host.storage.devices import stable_path
from virt_host.storage.examine import examine
from virtcore.errors import ErrorDomain, InternalError, InvalidArg
from virtcore.model.storage.volume import VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.nodedev.kernel_device import HostFiles
    from virt_host.storage.backend import HostVolume, StorageHost
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.model.storage.pool import StoragePool

__all__ = ["find_units", "host_number"]

_DOMAIN = ErrorDomain.STORAGE
_UNITS = "/sys/bus/scsi/devices"
_HOST = re.compile("(?:scsi_|fc_)?host([0-9]+)")
#: Types of SCSI devices that are volumes: disks and CD-ROM drives.
_TYPES = ("0", "5")
#: The program that tells what a unit calls itself.
_SCSI_ID = "/lib/udev/scsi_id"
_ASKING = 30.0


def host_number(name: str) -> int:
    """The number of a SCSI host.

    :raises InternalError: it is no name of one.
    """
    found = _HOST.fullmatch(name)
    if found is None:
        raise InternalError(f"Invalid adapter name '{name}' for SCSI pool", domain=_DOMAIN)
    return int(found[1])


async def find_units(host: StorageHost, pool: StoragePool, number: int) -> list[VolumeObject]:
    """The units of a SCSI host that have a name in the pool's folder (``virStorageBackendSCSIFindLUs``); the pool's
    figures follow.

    :raises InternalError: a unit does not say what it is.
    """
    volumes = await in_thread(_units, host.files, pool, number)
    for volume in volumes:
        volume.document.key = await _serial(volume.path)
    pool.capacity = sum(volume.document.capacity or 0 for volume in volumes)
    pool.allocation = sum(volume.allocation for volume in volumes)
    pool.available = 0
    return list(volumes)


def _units(files: HostFiles, pool: StoragePool, number: int) -> list[HostVolume]:
    found = []
    for name in sorted(files.entries(_UNITS)):
        parts = re.fullmatch(f"{number}:([0-9]+):([0-9]+):([0-9]+)", name)
        if parts is None:
            continue
        device = _block_device(files, name)
        if device is not None:
            volume = _unit(pool, f"unit:{parts[1]}:{parts[2]}:{parts[3]}", device)
            if volume is not None:
                found.append(volume)
    return found


def _block_device(files: HostFiles, address: str) -> str | None:
    """The name of a unit's device; None where it is no disk, or has none."""
    kind = files.text(f"{_UNITS}/{address}/type")
    if kind is None:
        raise InternalError(f"Failed to determine if {address} is a Direct-Access LUN", domain=_DOMAIN)
    if kind.strip() not in _TYPES:
        return None
    return min(files.entries(f"{_UNITS}/{address}/block"), default=None)


def _unit(pool: StoragePool, name: str, device: str) -> HostVolume | None:
    folder = pool_path(pool)
    plain = folder.rstrip("/") == "/dev"
    if not (os.path.isabs(folder) or plain):
        raise InvalidArg(f"unable to use target path '{folder}' for dev '{device}'", domain=_DOMAIN)
    path = stable_path(folder, f"/dev/{device}", waits=True)
    if path == f"/dev/{device}" and not plain:
        return None  # there is no name that stays
    look = examine(path, quiet=True, folders=False, raw=True)
    return None if look is None else seen(name, path, look, VolumeType.BLOCK)


async def _serial(path: str) -> str:
    """What a unit calls itself; its path where it does not say."""
    if not os.path.exists(_SCSI_ID):
        return path
    asked = [_SCSI_ID, "--replace-whitespace", "--whitelisted", "--device", path]
    done = await finish_program(asked, limit=_ASKING)
    lines = done.output.splitlines()
    return lines[0] if not done.status and lines else path
