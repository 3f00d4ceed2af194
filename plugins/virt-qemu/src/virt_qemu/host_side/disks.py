"""Disks: controllers of NVMe that leave the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.host_side.hostdevs import prepare_nvme, release_nvme

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.disk import Disk

__all__ = ["prepare", "release"]


async def prepare(side: HostSide, owner: Owner, disk: Disk, resources: HostResources) -> None:
    """Take what a disk is on.

    :raises VirtError: it cannot be had.
    """
    await prepare_nvme(side, owner, disk)


async def release(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Give back what a disk is on."""
    await release_nvme(side, owner, disk)
