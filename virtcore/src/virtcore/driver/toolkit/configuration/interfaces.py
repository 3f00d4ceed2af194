"""Network interfaces of a configuration: finding them, limits of their bandwidth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.errors import InvalidArg
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.model.domain import Domain, Interface
    from virtcore.model.network import BandwidthRate

__all__ = ["bandwidth", "find_interface", "set_bandwidth"]


def find_interface(domain: Domain, device: str) -> Interface:
    """The interface of a name on the host, or of a MAC address.

    :raises InvalidArg: there is none.
    """
    from virtcore.xml import MAC

    try:
        mac = MAC.read(device)
    except ValueError:
        mac = None
    for interface in domain.devices.interfaces if domain.devices is not None else ():
        if mac is not None:
            if interface.mac is not None and interface.mac.address == mac:
                return interface
        elif interface.target is not None and interface.target.dev == device:
            return interface
    raise InvalidArg(f"'{device}' is not a known interface")


_DIRECTIONS = {"inbound": ("average", "peak", "burst", "floor"), "outbound": ("average", "peak", "burst")}


def bandwidth(interface: Interface) -> TypedParameters:
    """Limits of an interface's bandwidth in KiB/s, bursts in KiB."""
    rows = TypedParameters()
    for direction, names in _DIRECTIONS.items():
        rate = getattr(interface.bandwidth, direction, None)
        for name in names:
            rows.add(f"{direction}.{name}", TypedParameterType.UINT, getattr(rate, name, None) or 0)
    return rows


def set_bandwidth(interface: Interface, params: TypedParameters) -> None:
    """Set limits of an interface's bandwidth. A direction without average (and without floor) is not limited; what is
    not said of a direction lifts it only when its average (or floor) is 0."""
    from virtcore.model.network import Bandwidth

    limits = interface.bandwidth or Bandwidth()
    for direction in _DIRECTIONS:
        rate, said = _rate(direction, params)
        if rate is not None or said:
            setattr(limits, direction, rate)
    interface.bandwidth = limits  # libvirt keeps one that limits nothing


def _rate(direction: str, params: TypedParameters) -> tuple[BandwidthRate | None, bool]:
    """The limits of a direction that parameters give, and whether they say anything that counts of it."""
    from virtcore.model.network import BandwidthRate

    given = {name: params.get(f"{direction}.{name}") for name in _DIRECTIONS[direction]}
    deciding = [given.get("average"), given.get("floor")]
    said = any(value is not None for value in deciding)
    if not any(deciding):
        return None, said
    return BandwidthRate(**{name: value for name, value in given.items() if isinstance(value, int) and value}), said
