"""The pool of the host's devices that have several paths."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virt_host.storage.backend import seen
from virt_host.storage.devices import DeviceBackend, wait_for_devices
from virt_host.storage.examine import examine
from virt_host.storage.programs import run
from virtcore.model.storage.volume import VolumeType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.storage.backend import HostVolume
    from virtcore.driver.toolkit.pool_backend import VolumeObject
    from virtcore.driver.toolkit.pools import PoolObject

__all__ = ["MultipathBackend"]

_DEVICE = re.compile(r"(\S+)\s+\(\s*\d+\s*[:,]\s*(\d+)\s*\)")


class MultipathBackend(DeviceBackend):
    """``<pool type='mpath'>``."""

    probes_tables = True

    async def check(self, pool: PoolObject) -> bool:
        return await in_thread(os.path.exists, "/dev/mpath")

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        document = pool.live
        assert document is not None
        await wait_for_devices()
        listed = await run("dmsetup", "ls", "--target", "multipath")
        found = [match for line in listed.splitlines() if (match := _DEVICE.fullmatch(line.strip())) is not None]
        volumes = [await in_thread(_volume, match[1], match[2]) for match in found]
        document.capacity = sum(volume.document.capacity or 0 for volume in volumes)
        document.allocation = sum(volume.allocation for volume in volumes)
        document.available = 0
        return list(volumes)


def _volume(name: str, minor: str) -> HostVolume:
    path = f"/dev/mapper/{name}"
    look = examine(path, folders=False, raw=True)
    assert look is not None  # it raises instead
    return seen(f"dm-{minor}", path, look, VolumeType.BLOCK)
