"""What only netlink can: devices that are made on top of others, and removed. Loads pyroute2, which takes its time."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

from pyroute2 import IPRoute  # type: ignore[import-untyped]
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]

from virt_host.links.devices import index_of
from virtcore.errors import InternalError, OperationInvalid, SystemError

__all__ = [
    "add_address",
    "add_route",
    "address_of",
    "advertised_devices",
    "create_bridge",
    "create_macvtap",
    "delete",
    "function_settings",
    "know_mac",
    "neighbours",
    "set_bridge",
    "set_function",
    "set_port",
    "set_vlans",
]

#: ``RTPROT_RA``.
_ROUTER_ADVERTISEMENT = 9
#: ``BRIDGE_VLAN_INFO_...``, ``NTF_MASTER``, ``NUD_REACHABLE``.
_PVID, _UNTAGGED, _MASTER, _REACHABLE = 0x02, 0x04, 0x04, 0x02


def create_macvtap(name: str, lower: str, mode: str, mac: str) -> int:
    """Make a macvtap on a device; returns its number.

    :param mode: ``vepa``, ``bridge``, ``private`` or ``passthru``.
    :raises FileExistsError: the name is taken.
    :raises SystemError: the kernel refuses.
    """
    below = index_of(lower)
    try:
        with IPRoute() as netlink:
            netlink.link("add", ifname=name, kind="macvtap", link=below, address=mac, macvtap_mode=mode)
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            raise FileExistsError(errno.EEXIST, "File exists", name) from None
        raise SystemError(f"error creating macvtap interface {name}@{lower} ({mac}): {_reason(error)}") from None
    return index_of(name)


def create_bridge(name: str, mac: str | None) -> None:
    """Make a bridge.

    :param mac: its MAC address; None: any.
    :raises SystemError: the kernel refuses.
    """
    address = {} if mac is None else {"address": mac}
    try:
        with IPRoute() as netlink:
            netlink.link("add", ifname=name, kind="bridge", **address)
    except NetlinkError as error:
        raise SystemError(f"error creating bridge interface {name}: {_reason(error)}") from None


def set_bridge(name: str, setting: str, value: int) -> None:
    """Change a setting of a bridge.

    :param setting: as the kernel calls it: ``forward_delay`` (in hundredths of a second), ``stp_state``,
        ``vlan_filtering``.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=index_of(name), kind="bridge", **{f"br_{setting}": value})
    except NetlinkError as error:
        raise SystemError(f"Unable to set bridge {name} {setting}: {_reason(error)}") from None


def set_port(name: str, *, learning: bool, flood: bool) -> None:
    """Say how a port of a bridge gets its frames.

    :param learning: the bridge learns from what comes in.
    :param flood: it sends what is for nobody it knows.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.brport("set", index=index_of(name), learning=int(learning), unicast_flood=int(flood))
    except NetlinkError as error:
        raise SystemError(f"Unable to set bridge port {name} learning: {_reason(error)}") from None


def set_vlans(name: str, own: int | None, tagged: list[int]) -> None:
    """Say which VLANs a port of a bridge has.

    :param own: the one of frames without a tag.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            index = index_of(name)
            netlink.vlan_filter("del", index=index, vlan_info={"vid": 1})  # every new port has that
            if own is not None:
                netlink.vlan_filter("add", index=index, vlan_info={"vid": own, "flags": _PVID | _UNTAGGED})
            for number in tagged:
                netlink.vlan_filter("add", index=index, vlan_info={"vid": number})
    except NetlinkError as error:
        raise SystemError(f"error adding vlan filter to interface {name}: {_reason(error)}") from None


def know_mac(name: str, mac: str) -> None:
    """Tell a bridge that a MAC address is behind a port, for as long as the port is there.

    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.fdb("add", ifindex=index_of(name), lladdr=mac, flags=_MASTER, state=_REACHABLE)
    except NetlinkError as error:
        raise SystemError(f"error adding fdb entry for {name}: {_reason(error)}") from None


def add_address(name: str, address: str, prefix: int) -> None:
    """Give a device an IP address.

    :raises SystemError: the kernel refuses.
    """
    network = ipaddress.ip_interface((address, prefix)).network
    broadcast = {"broadcast": str(network.broadcast_address)} if network.version == 4 else {}
    try:
        with IPRoute() as netlink:
            netlink.addr("add", index=index_of(name), address=address, prefixlen=prefix, **broadcast)
    except NetlinkError:
        raise SystemError(f"Error adding IP address to {name}") from None


def address_of(name: str) -> str:
    """An address of a device: of IPv4 where it has one.

    :raises SystemError: it has none, or the kernel does not tell.
    """
    try:
        with IPRoute() as netlink:
            rows = [
                (row["family"], row.get_attr("IFA_LOCAL") or row.get_attr("IFA_ADDRESS"))
                for row in netlink.get_addr(index=index_of(name))
            ]
    except NetlinkError as error:
        raise SystemError(f"Unable to get IPv4 address for interface {name}: {_reason(error)}") from None
    for family in (socket.AF_INET, socket.AF_INET6):
        for each, address in rows:
            if each == family:
                return str(address)
    raise SystemError(f"no IP address on device '{name}'")


def add_route(name: str, destination: str, gateway: str, metric: int) -> None:
    """Send what is for a network through a device.

    :param destination: address and prefix of the network.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.route("add", dst=destination, gateway=gateway, oif=index_of(name), priority=metric, proto="boot")
    except NetlinkError:
        raise SystemError(f"Error adding route to {name}") from None


def advertised_devices() -> list[str]:
    """Devices with IPv6 routes that routers have told of (:rfc:`4861`): the kernel forgets them when it begins to
    forward, unless the device is told otherwise.

    :raises InternalError: the kernel does not tell.
    """
    found: list[str] = []
    try:
        with IPRoute() as netlink:
            for route in netlink.get_routes(family=socket.AF_INET6):
                if route["proto"] != _ROUTER_ADVERTISEMENT:
                    continue
                several = route.get_attr("RTA_MULTIPATH")
                numbers = [hop["oif"] for hop in several] if several else [route.get_attr("RTA_OIF")]
                found += [socket.if_indextoname(number) for number in numbers if number]
    except (NetlinkError, OSError):
        raise InternalError("Failed to loop over IPv6 routes") from None
    return list(dict.fromkeys(found))


def delete(name: str) -> None:
    """Remove a device.

    :raises OperationInvalid: the kernel does not.
    """
    try:
        with IPRoute() as netlink:
            netlink.link("del", index=index_of(name))
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise OperationInvalid(f"error destroying network device {name}: {_reason(error)}") from None


def neighbours() -> list[tuple[str, str]]:
    """The hosts that this one has met on its networks: IP address and hardware address.

    :raises SystemError: the kernel does not tell.
    """
    try:
        with IPRoute() as netlink:
            rows = [(row.get_attr("NDA_DST"), row.get_attr("NDA_LLADDR")) for row in netlink.get_neighbours()]
    except NetlinkError as error:
        raise SystemError(f"cannot read the table of neighbours: {_reason(error)}") from None
    return [(address, link.lower()) for address, link in rows if address and link]


def function_settings(card: str, number: int) -> tuple[str, int]:
    """MAC address and VLAN of a function of a network card.

    :raises SystemError: the card does not tell.
    """
    try:
        with IPRoute() as netlink:
            [link] = netlink.link("get", index=index_of(card), ext_mask=1)
    except NetlinkError as error:
        raise SystemError(f"error dumping {card} (0) interface: {_reason(error)}") from None
    listed = link.get_attr("IFLA_VFINFO_LIST")
    for info in listed.get_attrs("IFLA_VF_INFO") if listed is not None else ():
        mac, vlan = info.get_attr("IFLA_VF_MAC"), info.get_attr("IFLA_VF_VLAN")
        if mac is not None and mac["vf"] == number:
            return mac["mac"], vlan["vlan"] if vlan is not None else 0
    raise SystemError(f"couldn't find IFLA_VF_INFO for VF {number} in netlink response")


def set_function(card: str, number: int, mac: str, vlan: int) -> None:
    """Give a function of a network card its MAC address and VLAN.

    :param vlan: 0 for none.
    :raises SystemError: the kernel refuses.
    """
    try:
        with IPRoute() as netlink:
            netlink.link("set", index=index_of(card), vf={"vf": number, "mac": mac, "vlan": vlan})
    except NetlinkError as error:
        raise SystemError(
            f"Cannot set interface MAC/vlanid to {mac}/{vlan} for ifname {card} vf {number}: {_reason(error)}"
        ) from None


def _reason(error: NetlinkError) -> str:
    return os.strerror(error.code) if isinstance(error.code, int) else str(error)
