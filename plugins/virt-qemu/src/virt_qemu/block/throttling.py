"""Limits of disks' throughput, as QEMU is told them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import InternalError
from virtcore.model.domain.disk import DiskBus

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON
    from virtcore.model.domain.disk import Disk, IOTune

__all__ = ["device_path", "throttle_arguments"]

#: What QEMU calls the limits -> what domains do.
_KINDS = {
    "bps": "total_bytes_sec",
    "bps_rd": "read_bytes_sec",
    "bps_wr": "write_bytes_sec",
    "iops": "total_iops_sec",
    "iops_rd": "read_iops_sec",
    "iops_wr": "write_iops_sec",
}


def device_path(disk: Disk) -> str:
    """The object of QEMU's that a disk's limits belong to.

    :raises InternalError: the disk has no alias.
    """
    if disk.alias is None:
        raise InternalError("missing disk device alias name")
    virtio = disk.target is not None and disk.target.bus is DiskBus.VIRTIO
    return f"/machine/peripheral/{disk.alias}/virtio-backend" if virtio else disk.alias


def throttle_arguments(disk: Disk, limits: IOTune) -> dict[str, JSON]:
    """Arguments of ``block_set_io_throttle``: every plain limit, of the others those that are there.

    :raises InternalError: the disk has no alias.
    """
    found: dict[str, JSON] = {"id": device_path(disk)}
    found |= {name: getattr(limits, ours) or 0 for name, ours in _KINDS.items()}
    for suffix, ending in (("_max", "_max"), ("_max_length", "_max_length")):
        values = {f"{name}{suffix}": getattr(limits, f"{ours}{ending}") for name, ours in _KINDS.items()}
        found |= {name: value for name, value in values.items() if value}
    if limits.size_iops_sec:
        found["iops_size"] = limits.size_iops_sec
    if limits.group_name is not None:
        found["group"] = limits.group_name
    return found
