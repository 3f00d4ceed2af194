"""Weights and limits of a configuration's I/O on host devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.errors import InvalidArg
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["blkio_parameters", "set_blkio_parameters"]

#: Typed parameter -> field of a device.
_PER_DEVICE = {
    "device_weight": "weight",
    "device_read_iops_sec": "read_iops_sec",
    "device_write_iops_sec": "write_iops_sec",
    "device_read_bytes_sec": "read_bytes_sec",
    "device_write_bytes_sec": "write_bytes_sec",
}


def blkio_parameters(domain: Domain) -> TypedParameters:
    """Weights and limits of I/O on host devices."""
    tune = domain.blkiotune
    rows = TypedParameters()
    rows.add("weight", TypedParameterType.UINT, (tune.weight if tune is not None else None) or 0)
    for name, field in _PER_DEVICE.items():
        pairs = [
            f"{device.path},{value}"
            for device in (tune.devices if tune is not None else ())
            if (value := getattr(device, field))
        ]
        rows.add(name, TypedParameterType.STRING, ",".join(pairs))
    return rows


def set_blkio_parameters(domain: Domain, params: TypedParameters) -> None:
    """Set weights and limits of I/O on host devices; 0 lifts one."""
    from virtcore.model.domain.resources import BlkioDevice, Blkiotune

    tune = domain.blkiotune or Blkiotune()
    devices = {device.path: device for device in tune.devices}
    for name, value in params.items():
        if name == "weight" and isinstance(value, int):
            tune.weight = value or None
        elif isinstance(value, str):
            for path, number in _pairs(name, value):
                device = devices.setdefault(path, BlkioDevice(path=path))
                setattr(device, _PER_DEVICE[name], number or None)
    fields = _PER_DEVICE.values()
    tune.devices = [device for device in devices.values() if any(getattr(device, field) for field in fields)]
    domain.blkiotune = tune if tune.weight or tune.devices else None


def _pairs(name: str, text: str) -> list[tuple[str, int]]:
    """The devices and numbers of a text such as ``/dev/sda,100,/dev/sdb,200``."""
    parts = text.split(",") if text else []
    if len(parts) % 2 or not all(parts[::2]):
        raise InvalidArg(f"unable to parse blkio device '{name}' '{text}'")
    found = []
    limit = 1 << (64 if name.endswith("bytes_sec") else 32)
    for path, number in zip(parts[::2], parts[1::2], strict=True):
        if not (number.isascii() and number.isdecimal() and int(number) < limit):
            raise InvalidArg(f"invalid value '{number}' for parameter '{name}' of device '{path}'")
        found.append((path, int(number)))
    return found
