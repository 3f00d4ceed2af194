"""What libvirt's parser fills into a network's ``<ip>``, and what it refuses there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, SystemError, XMLError
from virtcore.model.network.addresses import IP, check_range, parse_ip, read_ip
from virtcore.model.network.ip import LeaseUnit
from virtcore.xml import MAC
from virtcore.xml.scalars import Unreadable

if TYPE_CHECKING:
    from virtcore.model.network.ip import DHCPHost, DHCPRange, Lease, NetworkIP

__all__ = ["settle_dhcp", "settle_lease", "verify_host", "verify_ip", "verify_range"]

_HOST_ID = re.compile("[0-9a-fA-F:]*")
_HOST_NAME = re.compile("[0-9a-zA-Z]")


def settle_dhcp(ip: NetworkIP) -> None:
    """What an address hands out.

    :raises VirtError: what libvirt's parser refuses.
    """
    dhcp = ip.dhcp
    assert dhcp is not None
    entries: tuple[DHCPRange | DHCPHost, ...] = (*dhcp.ranges, *dhcp.hosts)
    for served in entries:
        served.lease = settle_lease(served.lease)
    if ip.parsed.version == 6:
        # Booting from the network is IPv4's.
        dhcp.bootp = None
    elif dhcp.bootp is not None:
        if dhcp.bootp.file is None:
            raise XMLError("Missing required attribute 'file' in element 'bootp'", path="/network/ip/dhcp/bootp/@file")
        if dhcp.bootp.server is not None:
            dhcp.bootp.server = _read_server(dhcp.bootp.server)


def _read_server(text: str) -> str:
    try:
        return read_ip(text)
    except Unreadable:
        raise SystemError(str(IP.message).format(value=text), path="/network/ip/dhcp/bootp/@server") from None


def settle_lease(lease: Lease | None) -> Lease | None:
    """How long an address may be kept; None where that is left to the server.

    :raises ConfigUnsupported: shorter than dnsmasq's two minutes.
    """
    if lease is None or lease.expiry is None:
        return None
    if not lease.expiry:
        lease.unit = None
        return lease
    lease.unit = lease.unit or LeaseUnit.MINUTES
    if lease.expiry < {LeaseUnit.SECONDS: 120, LeaseUnit.MINUTES: 2, LeaseUnit.HOURS: 0}[lease.unit]:
        raise ConfigUnsupported("The minimum lease time should be greater than 2 minutes")
    return lease


def verify_ip(ip: NetworkIP, name: str, path: str) -> None:
    """An address of a network.

    :raises VirtError: what libvirt's parser refuses.
    """
    version = ip.parsed.version
    if ip.family in (None, "ipv4"):
        if version != 4:
            raise ConfigUnsupported(
                f"{ip.family or 'no'} family specified for non-IPv4 address '{ip.address}' in network '{name}'",
                path=path,
            )
        if ip.netmask is not None:
            if parse_ip(ip.netmask).version != 4:
                raise ConfigUnsupported(
                    f"Invalid netmask '{ip.netmask}' for address '{ip.address}' in network '{name}' (both must be "
                    "IPv4)",
                    path=f"{path}/@netmask",
                )
            if ip.prefix:
                raise ConfigUnsupported(
                    f"Network '{name}' IP address cannot have both a prefix and a netmask", path=f"{path}/@prefix"
                )
        elif (ip.prefix or 0) > 32:
            raise ConfigUnsupported(f"Invalid IPv4 prefix '{ip.prefix}' in network '{name}'", path=f"{path}/@prefix")
    elif ip.family == "ipv6":
        if version != 6:
            raise ConfigUnsupported(
                f"Family 'ipv6' specified for non-IPv6 address '{ip.address}' in network '{name}'", path=path
            )
        if ip.netmask is not None:
            raise ConfigUnsupported(
                f"netmask not allowed for IPv6 address '{ip.address}' in network '{name}'", path=f"{path}/@netmask"
            )
        if (ip.prefix or 0) > 128:
            raise ConfigUnsupported(f"Invalid IPv6 prefix '{ip.prefix}' in network '{name}'", path=f"{path}/@prefix")
    else:
        raise XMLError(f"Unrecognized family '{ip.family}' in network '{name}'", path=f"{path}/@family")
    if ip.dhcp is not None:
        for served in ip.dhcp.ranges:
            verify_range(served, ip)
        for host in ip.dhcp.hosts:
            verify_host(host, ip, name)
    if ip.tftp_root is not None and version == 6:
        raise ConfigUnsupported(
            f"Unsupported <tftp> element in an IPv6 element in network '{name}'", path=f"{path}/tftp"
        )


def verify_range(served: DHCPRange, ip: NetworkIP) -> None:
    """Addresses for any guest.

    :raises InternalError: they are no range of the network's addresses.
    """
    check_range(parse_ip(served.start), parse_ip(served.end), (ip.parsed, ip.prefix_length))


def verify_host(host: DHCPHost, ip: NetworkIP, name: str, *, partial: bool = False) -> None:
    """The address of one guest.

    :param partial: it only says which host is meant.
    :raises XMLError: what libvirt's parser refuses.
    """
    version6 = ip.parsed.version == 6
    if host.mac is not None:
        if version6:
            raise XMLError(
                f"Invalid to specify MAC address '{host.mac}' in network '{name}' IPv6 static host definition"
            )
        try:
            first = MAC.read(host.mac)[:2]
        except Unreadable:
            raise XMLError(f"Cannot parse MAC address '{host.mac}' in network '{name}'", value=host.mac) from None
        if int(first, 16) & 1:
            raise XMLError(f"expected unicast mac address, found multicast '{host.mac}' in network '{name}'")
    if host.id is not None:
        rest = _HOST_ID.sub("", host.id, count=1)
        if rest:
            raise XMLError(f"Invalid character '{rest[0]}' in id '{host.id}' of network '{name}'", value=host.id)
    if host.name is not None and _HOST_NAME.match(host.name) is None:
        raise XMLError(f"Cannot use host name '{host.name}' in network '{name}'", value=host.name)
    if partial:
        if host.mac is None and host.name is None and host.ip is None:
            raise XMLError(
                "At least one of name, mac, or ip attribute must be specified for static host definition in network "
                f"'{name}'"
            )
        return
    if version6:
        if host.id is None and host.name is None:
            raise XMLError(f"Static host definition in IPv6 network '{name}' must have id or name attribute")
    elif host.mac is None and host.name is None:
        raise XMLError(f"Static host definition in IPv4 network '{name}' must have mac or name attribute")
    if host.ip is None:
        raise XMLError(f"Missing IP address in static host definition for network '{name}'")
