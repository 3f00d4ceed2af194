"""Limits of disks' I/O: what QEMU is told of them, of one disk or of a group that disks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.running import alias_of, as_json, rows_of
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.errors import InternalError, VirtError
from virtcore.model.domain.disk import DiskBus
from virtcore.operations.events import DomainTunableEvent
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON, Monitor
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk, IOTune
    from virtcore.model.domain.resources import ThrottleGroup

__all__ = [
    "LIMITS",
    "apply_groups",
    "apply_limits",
    "group_id",
    "group_properties",
    "joining_limits",
    "live_limits",
    "throttle_disks",
]

_WHAT = {"total": "", "read": "_rd", "write": "_wr"}
_UNITS = {"bytes": "bps", "iops": "iops"}
#: Our names of limits -> QEMU's in ``block_set_io_throttle``, and in ``throttle-group``.
LIMITS = {
    f"{what}_{unit}_sec{burst}": (
        f"{theirs}{short}{burst}",
        f"{theirs}-{what}{burst.replace('_', '-')}",
    )
    for burst in ("", "_max", "_max_length")
    for unit, theirs in _UNITS.items()
    for what, short in _WHAT.items()
}
LIMITS["size_iops_sec"] = ("iops_size", "iops-size")


def _values(tune: IOTune | ThrottleGroup | None) -> dict[str, int]:
    """The limits that are set."""
    return {name: value for name in LIMITS if (value := getattr(tune, name, None))}


def _arguments(device: str, tune: IOTune | None) -> dict[str, JSON]:
    """What ``block_set_io_throttle`` is told; lengths of bursts only where they are set."""
    values = _values(tune)
    arguments: dict[str, JSON] = {"id": device}
    for name, (theirs, _) in LIMITS.items():
        value = values.get(name, 0)
        if value or not name.endswith("_length"):
            arguments[theirs] = value
    if tune is not None and tune.group_name is not None:
        arguments["group"] = tune.group_name
    return arguments


async def throttle_disks(monitor: Monitor, domain: Domain, limit: float) -> None:
    """Limit the disks of a guest that is being started."""
    disks = [disk for disk in domain.devices.disks if disk.iotune is not None] if domain.devices is not None else []
    if disks:
        devices = await _devices(monitor)
        for disk in disks:
            await monitor.execute("block_set_io_throttle", _of(devices, disk), limit=limit)


async def _devices(monitor: Monitor) -> dict[str, str]:
    """Path of the device behind each alias."""
    return {alias_of(row): str(row.get("qdev")) for row in rows_of(await monitor.execute("query-block"))}


def _of(devices: dict[str, str], disk: Disk) -> dict[str, JSON]:
    device = devices.get(disk.alias or "")
    if device is None:
        raise InternalError(f"cannot find device of disk '{disk.alias}'")
    return _arguments(device, disk.iotune)


def joining_limits(disk: Disk) -> dict[str, JSON]:
    """What ``block_set_io_throttle`` is told of a disk that has just joined, before QEMU was asked where it is."""
    bus = disk.target.bus if disk.target is not None else None
    inner = {DiskBus.VIRTIO: "/virtio-backend", DiskBus.USB: f"/{disk.alias}.0/legacy[0]"}
    return _arguments(f"/machine/peripheral/{disk.alias}{inner.get(bus, '') if bus is not None else ''}", disk.iotune)


async def live_limits(monitor: Monitor, disk: Disk) -> Disk:
    """A disk that has the limits that QEMU has for one of its own."""
    from virtcore.model.domain.disk import Disk, IOTune

    tune = IOTune()
    for row in rows_of(await monitor.execute("query-block")):
        told = row.get("inserted")
        if alias_of(row) == disk.alias and isinstance(told, dict):
            for name, (theirs, _) in LIMITS.items():
                value = told.get(theirs)
                # A burst of limits that are not set lasts a second, which says nothing.
                if isinstance(value, int) and (
                    not name.endswith("_length") or told.get(theirs.removesuffix("_length"))
                ):
                    setattr(tune, name, value or None)
            tune.group_name = str(told["group"]) if "group" in told else None
    return Disk(iotune=tune)


async def apply_limits(change: GuestChange) -> None:
    """Give disks of a running guest other limits, and tell so; when one is refused, all have those of before."""
    monitor = change.guest.channel()
    before = {disk.alias: disk for disk in _disks(change.old)}
    changed = [disk for disk in _disks(change.new) if disk.alias in before and before[disk.alias].iotune != disk.iotune]
    devices = await _devices(monitor)
    done: list[Disk] = []
    try:
        for disk in changed:
            await monitor.execute("block_set_io_throttle", _of(devices, disk))
            done.append(disk)
    except VirtError:
        for disk in done:
            await monitor.execute("block_set_io_throttle", _of(devices, before[disk.alias]))
        raise
    for disk in changed:
        params = TypedParameters([("blkdeviotune.disk", Kind.STRING, _target(disk))])
        for name, value in _values(disk.iotune).items():
            params.add(f"blkdeviotune.{name}", Kind.ULLONG, value)
        if disk.iotune is not None and disk.iotune.group_name is not None:
            params.add("blkdeviotune.group_name", Kind.STRING, disk.iotune.group_name)
        change.state.events.emit(DomainTunableEvent(change.obj.ref, params))


def _disks(domain: Domain) -> list[Disk]:
    return domain.devices.disks if domain.devices is not None else []


def _target(disk: Disk) -> str:
    return disk.target.dev or "" if disk.target is not None else ""


# -- groups


def group_id(name: str) -> str:
    """Id of the object that is a group."""
    return f"throttle-{name}"


def _group_limits(group: ThrottleGroup) -> dict[str, int]:
    """Every limit, since one that is not said stays as it is; of the lengths of bursts those that are given."""
    none = {theirs: 0 for name, (_, theirs) in LIMITS.items() if not name.endswith("_length")}
    return none | {LIMITS[name][1]: value for name, value in _values(group).items()}


def group_properties(group: ThrottleGroup) -> dict[str, object]:
    """A group as ``-object`` and ``object-add`` take it."""
    return {"qom-type": "throttle-group", "id": group_id(group.group_name), "limits": _group_limits(group)}


async def apply_groups(change: GuestChange) -> None:
    """Make, change and remove groups of a running guest."""
    monitor = change.guest.channel()
    old = {group.group_name: group for group in change.old.throttle_groups}
    new = {group.group_name: group for group in change.new.throttle_groups}
    for name, group in new.items():
        if name not in old:
            await monitor.execute("object-add", as_json(group_properties(group)))
        elif old[name] != group:
            arguments = {"path": f"/objects/{group_id(name)}", "property": "limits"}
            await monitor.execute("qom-set", as_json({**arguments, "value": _group_limits(group)}))
    for name in old.keys() - new.keys():
        await monitor.execute("object-del", {"id": group_id(name)})
