"""Checks and defaults of what interfaces of domains, virtual networks and their ports share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, OverflowDetected, XMLDetail, XMLError
from virtcore.model.network.addresses import parse_ip, read_ip
from virtcore.model.network.port import VirtualPortParameters, VirtualPortType
from virtcore.xml.scalars import Unreadable

if TYPE_CHECKING:
    from virtcore.model.network.port import VLAN, Bandwidth, BandwidthRate, Route, VirtualPort

__all__ = ["settle_bandwidth", "settle_routes", "settle_virtualport", "settle_vlan"]

_PORT_PARAMETERS = {
    VirtualPortType.QBG: (("managerid", "typeid", "typeidversion", "instanceid"), ("profileid", "interfaceid")),
    VirtualPortType.QBH: (("profileid",), ("managerid", "typeid", "typeidversion", "instanceid", "interfaceid")),
    VirtualPortType.OPENVSWITCH: (("interfaceid",), ("managerid", "typeid", "typeidversion", "instanceid")),
    VirtualPortType.MIDONET: (("interfaceid",), ()),
}


def settle_virtualport(
    port: VirtualPort,
    *,
    typed: bool = False,
    complete: bool = False,
    new_uuid: Callable[[], uuid.UUID] | None = None,
) -> None:
    """A virtual port.

    :param typed: its type must be said.
    :param complete: all parameters of its type must be there.
    :param new_uuid: where identifiers that are missing come from; None: they stay missing.
    :raises VirtError: what libvirt's parser refuses.
    """
    if port.type is None and typed:
        raise XMLError("missing required virtualport type")
    given = port.parameters
    if given is not None:
        for name, highest, message in (
            ("managerid", 0xFF, "value of managerid out of range"),
            ("typeid", 0xFFFFFF, "value for typeid out of range"),
            ("typeidversion", 0xFF, "value of typeidversion out of range"),
        ):
            number = getattr(given, name)
            if number is not None and number > highest:
                raise XMLError(message)
        if given.profileid is not None and len(given.profileid.encode()) > 39:
            raise XMLError("profileid parameter too long")
    if new_uuid is not None:
        parameters = given or VirtualPortParameters()
        if parameters.instanceid is None and port.type in (VirtualPortType.QBG, None):
            parameters.instanceid = str(new_uuid())
        if parameters.interfaceid is None and port.type in (VirtualPortType.OPENVSWITCH, None):
            parameters.interfaceid = str(new_uuid())
        port.parameters = parameters
    if port.type is None:
        return
    needed, refused = _PORT_PARAMETERS[port.type]
    if complete:
        for name in needed:
            if getattr(port.parameters, name, None) in (None, ""):
                raise XMLError(f"missing {name} in <virtualport type='{port.type}'>")
    for name in refused:
        if getattr(port.parameters, name, None) not in (None, ""):
            raise XMLError(f"extra {name} unsupported in <virtualport type='{port.type}'>")


def settle_bandwidth(bandwidth: Bandwidth | None, *, floor: bool, classified: bool = False) -> Bandwidth | None:
    """Limits of throughput; None where there are none.

    :param floor: whether a guaranteed inbound rate is possible here.
    :param classified: whether a traffic class may be named.
    :raises VirtError: what libvirt's parser refuses.
    """
    if bandwidth is None:
        return None
    if bandwidth.class_id is not None and not classified:
        raise XMLDetail("classID attribute not supported on <bandwidth> in this usage context")
    for rate, allowed in ((bandwidth.inbound, floor), (bandwidth.outbound, False)):
        if rate is not None:
            _verify_rate(rate, floor=allowed)
    return None if bandwidth.inbound is None and bandwidth.outbound is None else bandwidth


# What the kernel's traffic control can take: rates in KiB a second, sizes in KiB.
_RATE_LIMIT = 1 << 54
_SIZE_LIMIT = ((1 << 32) - 1) >> 10


def _verify_rate(rate: BandwidthRate, *, floor: bool) -> None:
    for name, limit in (
        ("average", _RATE_LIMIT),
        ("peak", _RATE_LIMIT),
        ("burst", _SIZE_LIMIT),
        ("floor", _RATE_LIMIT),
    ):
        value = getattr(rate, name)
        if value is not None and value > limit:
            raise OverflowDetected(
                f"value '{value}' is too big for '{name}' parameter, maximum is '{limit}'", path=f"bandwidth/@{name}"
            )
    if rate.average is None and rate.floor is None:
        raise XMLDetail("Missing mandatory average or floor attributes")
    if (rate.peak is not None or rate.burst is not None) and rate.average is None:
        raise ConfigUnsupported("'peak' and 'burst' require 'average' attribute")
    if rate.floor is not None and not floor:
        raise ConfigUnsupported("floor attribute is not supported for this config")


def settle_vlan(vlan: VLAN) -> None:
    """The VLANs of a port; more than one are a trunk.

    :raises XMLError: what libvirt's parser refuses.
    """
    if not vlan.tags:
        raise XMLError("missing tag id - each <vlan> must have at least one <tag id='n'/> subelement")
    native = [tag for tag in vlan.tags if tag.native_mode is not None]
    for tag in vlan.tags:
        if tag.id > 4095:
            raise XMLError(f"vlan tag id {tag.id} too large (maximum 4095)")
    if len(native) > 1:
        raise XMLError("duplicate native vlan setting")
    if vlan.trunk is False:
        if len(vlan.tags) > 1:
            raise XMLError("invalid \"trunk='no'\" in <vlan> - trunk='yes' is required for more than one vlan tag")
        if native:
            raise XMLError("invalid configuration in <vlan> - \"trunk='no'\" is not allowed with a native vlan id")
    elif len(vlan.tags) > 1:
        vlan.trunk = True


def settle_routes(routes: Iterable[Route], where: str) -> None:
    """Routes, their addresses in canonical spelling.

    :param where: what the routes belong to, as messages say it.
    :raises XMLError: what libvirt's parser refuses.
    """
    for route in routes:
        for name in ("address", "gateway"):
            if getattr(route, name) is None:
                raise XMLError(f"{where}: Missing required {name} attribute in route definition")
        written = (str(route.address), str(route.gateway), route.netmask)
        for name, what in (("address", "network"), ("gateway", "gateway"), ("netmask", "netmask")):
            value = getattr(route, name)
            if value is not None:
                try:
                    setattr(route, name, read_ip(value))
                except Unreadable:
                    raise XMLError(f"{where}: Bad {what} address '{value}' in route definition", value=value) from None
        _verify_route(route, written, where)


def _verify_route(route: Route, as_written: tuple[str, str, str | None], where: str) -> None:
    written, gateway, netmask = as_written
    network, hop = parse_ip(str(route.address)), parse_ip(str(route.gateway))
    if route.family in (None, "ipv4"):
        said = "No family" if route.family is None else "IPv4 family"
        if network.version != 4:
            raise XMLError(f"{where}: {said} specified for non-IPv4 address '{written}' in route definition")
        if hop.version != 4:
            raise XMLError(f"{where}: {said} specified for non-IPv4 gateway '{written}' in route definition")
        if route.netmask is not None:
            if parse_ip(route.netmask).version != 4:
                raise XMLError(f"{where}: Invalid netmask '{netmask}' for address '{written}' (both must be IPv4)")
            if route.prefix is not None:
                raise XMLError(f"{where}: Route definition cannot have both a prefix and a netmask")
    elif route.family == "ipv6":
        if network.version != 6:
            raise XMLError(f"{where}: ipv6 family specified for non-IPv6 address '{written}' in route definition")
        if route.netmask is not None:
            raise XMLError(f"{where}: Specifying netmask invalid for IPv6 address '{written}' in route definition")
        if hop.version != 6:
            raise XMLError(f"{where}: ipv6 specified for non-IPv6 gateway address '{gateway}' in route definition")
    else:
        raise XMLError(f"{where}: Unrecognized family '{route.family}' in route definition")
    longest = network.max_prefixlen
    prefix = route.prefix or 0
    if prefix > longest:
        raise XMLError(f"{where}: Invalid prefix {prefix} specified in route definition, must be 0 - {longest}")
    mask = int(parse_ip(route.netmask)) if route.netmask is not None else ~((1 << (longest - prefix)) - 1)
    if int(network) & mask != int(network):
        raise XMLError(f"{where}: Address '{written}' in route definition is not a network address")
