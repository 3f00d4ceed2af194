"""What a network may do to the host's routes: collisions, and forwarding (``/proc/net/route``, ``/proc/sys/net``)."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.links.netlink import advertised_devices
from virtcore.errors import InternalError, SystemError
from virtcore.model.network.addresses import ip_prefix, parse_ip

if TYPE_CHECKING:
    from virtcore.model.network import Network, Route

__all__ = ["check_collisions", "enable_forwarding", "route_destination", "set_ipv6_settings"]

log = logging.getLogger(__name__)

_SYSCTL = Path("/proc/sys/net")
_ROUTES = Path("/proc/net/route")


def _host_routes(table: Path) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
    """Device and destination of the host's IPv4 routes."""
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        try:
            address, mask = (int.from_bytes(bytes.fromhex(words[place]), "little") for place in (1, 7))
            yield words[0], ipaddress.IPv4Network((address & mask, mask.bit_count()))
        except (ValueError, IndexError):
            log.debug("a line of %s is not understood: %s", table, line)


def check_collisions(network: Network, table: Path = _ROUTES) -> None:
    """Refuse a network whose addresses or routes the host has already.

    :raises InternalError: it has.
    """
    own = [_network_of(ip.address, ip.prefix_length) for ip in network.ips if ip.parsed.version == 4]
    routes = [route_destination(route) for route in network.routes if ":" not in (route.address or "")]
    for device, destination in _host_routes(table):
        if destination in own:
            raise InternalError(f"Network is already in use by interface {device}")
        if destination in routes:
            raise InternalError(
                f"Route address '{destination.network_address}' conflicts with IP address for '{device}'"
            )


def _network_of(address: str, prefix: int | None) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    return None if prefix is None else ipaddress.ip_interface((address, prefix)).network


def route_destination(route: Route) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network that a route goes to."""
    assert route.address is not None
    address = parse_ip(route.address)
    prefix = ip_prefix(address, route.netmask, route.prefix)
    if not int(address) and (route.prefix == 0 or route.netmask == "0.0.0.0"):  # an address like another
        prefix = 0
    if prefix is None:
        raise InternalError(f"network has an invalid netmask or IP address in route definition: {route.address}")
    return ipaddress.ip_interface((str(address), prefix)).network


def _write(path: Path, value: str) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write(value)


def set_ipv6_settings(bridge: str, *, wanted: bool, sysctl: Path = _SYSCTL) -> None:
    """Switch IPv6 on a bridge on or off; no guest may tell its host of routers.

    :raises SystemError: the kernel refuses.
    """
    folder = sysctl / "ipv6/conf" / bridge
    path = folder / "disable_ipv6"
    if not path.exists():
        return  # the kernel has no IPv6
    try:
        _write(path, "0" if wanted else "1")
    except OSError as error:
        raise SystemError(
            f"cannot write to {path} to enable/disable IPv6 on bridge {bridge}: {error.strerror}"
        ) from None
    for name in ("accept_ra", "autoconf"):
        try:
            _write(folder / name, "0")
        except OSError as error:
            raise SystemError(f"cannot disable {folder / name}: {error.strerror}") from None


def _accepts_always(device: str, sysctl: Path) -> bool:
    """Whether a device listens to routers although it forwards."""
    try:
        return (sysctl / "ipv6/conf" / device / "accept_ra").read_text().strip() == "2"
    except OSError:
        return False


def enable_forwarding(*, ipv4: bool, ipv6: bool, sysctl: Path = _SYSCTL) -> None:
    """Let the host forward packets.

    :raises InternalError: it would lose its own routes by that.
    :raises SystemError: the kernel refuses.
    """
    if ipv6:
        losing = [device for device in advertised_devices() if not _accepts_always(device, sysctl)]
        if losing and not _accepts_always("all", sysctl):
            raise InternalError(
                "Check the host setup: enabling IPv6 forwarding with RA routes without accept_ra set to 2 is likely to "
                f"cause routes loss. Interfaces to look at: {', '.join(losing)}"
            )
    try:
        if ipv4:
            _write(sysctl / "ipv4/ip_forward", "1\n")
        if ipv6:
            _write(sysctl / "ipv6/conf/all/forwarding", "1\n")
    except OSError as error:
        raise SystemError(f"failed to enable IP forwarding: {error.strerror}") from None
