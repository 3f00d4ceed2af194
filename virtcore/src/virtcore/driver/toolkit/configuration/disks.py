"""Disks of a configuration: finding them, limits of their I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.errors import ArgumentUnsupported, InvalidArg
from virtcore.types import TypedParameters, TypedValue

if TYPE_CHECKING:
    from virtcore.model.domain import Disk, Domain

__all__ = ["find_disk", "iotune", "path_of", "set_iotune"]


def path_of(disk: Disk) -> str | None:
    """Path of a disk's source on the host; None where it has none."""
    for name in ("file", "dev", "dir", "path"):
        path = getattr(disk.source, name, None)
        if isinstance(path, str):
            return path
    return None


def find_disk(domain: Domain, name: str, *, ambiguous: bool = False) -> Disk | None:
    """The disk of a target, or of the path of a source.

    :param ambiguous: a path that several have means the first of them; else none.
    """
    disks = [] if domain.devices is None else domain.devices.disks
    if not name.startswith("/"):
        return next((disk for disk in disks if disk.target is not None and disk.target.dev == name), None)
    found = [disk for disk in disks if path_of(disk) == name]
    return found[0] if found and (ambiguous or len(found) == 1) else None


#: In the order in which they are reported.
_LIMITS = [
    f"{what}_{unit}_sec{burst}"
    for burst in ("", "_max", "_max_length")
    for unit in ("bytes", "iops")
    for what in ("total", "read", "write")
]
_REPORTED = [*_LIMITS[:12], "size_iops_sec", "group_name", *_LIMITS[12:]]
_MOST = 1000000000000000


def iotune(disk: Disk | None) -> TypedParameters:
    """Limits of a disk's I/O; of no disk, that there are such limits."""
    tune = None if disk is None else disk.iotune
    rows = TypedParameters()
    for name in _REPORTED:
        value = getattr(tune, name, None)
        if name == "group_name":
            rows.add(name, TypedParameterType.STRING, value or "")
        else:
            rows.add(name, TypedParameterType.ULLONG, value or 0)
    return rows


def set_iotune(disk: Disk, params: TypedParameters) -> None:
    """Set limits of a disk's I/O; 0 lifts one."""
    from virtcore.model.domain.disk import IOTune

    tune = disk.iotune or IOTune()
    for name, value in params.items():
        if isinstance(value, int) and value > _MOST:
            raise ArgumentUnsupported(f"block I/O throttle limit value must be no more than {_MOST}")
        setattr(tune, name, value or None)
    _check(tune)
    disk.iotune = tune if any(getattr(tune, name) for name in _REPORTED) else None


def _check(tune: object) -> None:
    def limit(name: str) -> TypedValue:
        return getattr(tune, name) or 0

    for burst in ("", "_max"):
        for unit in ("bytes_sec", "iops_sec"):
            if limit(f"total_{unit}{burst}") and (limit(f"read_{unit}{burst}") or limit(f"write_{unit}{burst}")):
                raise InvalidArg(f"total and read/write of {unit}{burst} cannot be set at the same time")
    for name in _LIMITS[:6]:
        if int(limit(name)) > int(limit(f"{name}_max")):
            # The blank at the end is libvirt's.
            raise InvalidArg(f"{name} cannot be set higher than {name}_max")
