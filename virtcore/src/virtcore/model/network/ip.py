"""``<ip>`` of a virtual network: an address of its bridge, and what is handed out with it."""

from __future__ import annotations

from enum import StrEnum

from virtcore.model.network.addresses import IP, Address, ip_prefix, parse_ip
from virtcore.xml import ULONG_ANY, YES_NO, attribute, child, children, element

__all__ = ["DHCP", "Bootp", "DHCPHost", "DHCPRange", "Lease", "LeaseUnit", "NetworkIP"]


class LeaseUnit(StrEnum):
    """Unit of a lease's duration."""

    SECONDS = "seconds"
    MINUTES = "minutes"
    HOURS = "hours"


@element("lease", empty="keep")
class Lease:
    """How long an address may be kept."""

    expiry: int | None = attribute(codec=ULONG_ANY, doc="duration; 0 is for ever", since="6.3.0")
    unit: LeaseUnit | None = attribute(
        shown=lambda lease: bool(lease.expiry), doc="unit of the duration; minutes by default", since="6.3.0"
    )


@element("range")
class DHCPRange:
    """Addresses for any guest."""

    start: str = attribute(
        codec=IP,
        required=True,
        missing="Missing 'start' attribute in dhcp range for network '{document}'",
        doc="first address",
    )
    end: str = attribute(
        codec=IP,
        required=True,
        missing="Missing 'end' attribute in dhcp range for network '{document}'",
        doc="last address",
    )
    lease: Lease | None = child()


@element("host")
class DHCPHost:
    """The address of one guest."""

    mac: str | None = attribute(doc="the guest's MAC address (IPv4)")
    id: str | None = attribute(doc="the guest's DHCPv6 identifier (IPv6)", since="1.0.3")
    name: str | None = attribute(doc="the guest's name")
    ip: str | None = attribute(
        codec=IP, invalid="Invalid IP address in static host definition for network '{document}'", doc="its address"
    )
    lease: Lease | None = child()


@element("bootp")
class Bootp:
    """What guests boot from the network."""

    file: str | None = attribute(doc="name of the file")
    server: str | None = attribute(doc="address of the server; the network's own by default")


@element("dhcp")
class DHCP:
    """Addresses handed out by DHCP."""

    ranges: list[DHCPRange] = children()
    hosts: list[DHCPHost] = children()
    bootp: Bootp | None = child()

    @property
    def serves(self) -> bool:
        """Whether there is an address to hand out."""
        return bool(self.ranges or self.hosts)


@element("ip", empty="open")
class NetworkIP:
    """An address of the network's bridge, which stands for the network around it."""

    family: str | None = attribute(blank=False, doc="ipv4 (by default) or ipv6")
    address: str = attribute(
        codec=IP,
        required=True,
        blank=False,
        missing="Missing required address attribute in network '{document}'",
        invalid="Invalid address '{value}' in network '{document}'",
        doc="address",
    )
    netmask: str | None = attribute(
        codec=IP, blank=False, invalid="Invalid netmask '{value}' in network '{document}'", doc="network mask (IPv4)"
    )
    prefix: int | None = attribute(omit=0, doc="length of the network's prefix")
    local_ptr: bool | None = attribute(
        "localPtr", codec=YES_NO, doc="reverse look-ups are answered here, never forwarded", since="3.0.0"
    )
    tftp_root: str | None = attribute("root", within="tftp", blank=False, doc="folder offered by TFTP (IPv4)")
    dhcp: DHCP | None = child(shown=lambda ip: ip.dhcp.serves)

    @property
    def parsed(self) -> Address:
        """The address, to calculate with."""
        return parse_ip(self.address)

    @property
    def prefix_length(self) -> int | None:
        """Length of the network's prefix, from prefix or netmask, or the one of the address' class; None: none fits."""
        return ip_prefix(self.parsed, self.netmask, self.prefix)

    @property
    def serves_dhcp(self) -> bool:
        """Whether addresses are handed out."""
        return self.dhcp is not None and self.dhcp.serves
