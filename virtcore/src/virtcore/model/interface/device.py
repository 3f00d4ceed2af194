"""``<interface>``: an Ethernet device, a bridge, a bond or a VLAN of the host."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import XMLError
from virtcore.xml import (
    INT,
    ON_OFF,
    YES_NO,
    attribute,
    child,
    children,
    element,
    extras,
    flag,
    number,
)

if TYPE_CHECKING:
    from virtcore.model.interface.link import InterfaceLink
    from virtcore.xml import Extras

__all__ = [
    "ARPMonitor",
    "ARPValidation",
    "Bond",
    "BondMember",
    "BondMode",
    "Bridge",
    "BridgeMember",
    "DHCP",
    "HostInterface",
    "InterfaceAddress",
    "InterfaceProtocol",
    "InterfaceType",
    "MIICarrier",
    "MIIMonitor",
    "ProtocolFamily",
    "StartMode",
    "VLANInterface",
]


class InterfaceType(StrEnum):
    """Kind of interface."""

    ETHERNET = "ethernet"
    BRIDGE = "bridge"
    BOND = "bond"
    VLAN = "vlan"


class StartMode(StrEnum):
    """When an interface is brought up."""

    ONBOOT = "onboot"
    HOTPLUG = "hotplug"
    NONE = "none"


class ProtocolFamily(StrEnum):
    """Address family."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"


class BondMode(StrEnum):
    """How a bond uses its interfaces."""

    BALANCE_RR = "balance-rr"
    ACTIVE_BACKUP = "active-backup"
    BALANCE_XOR = "balance-xor"
    BROADCAST = "broadcast"
    IEEE_8023AD = "802.3ad"
    BALANCE_TLB = "balance-tlb"
    BALANCE_ALB = "balance-alb"


class MIICarrier(StrEnum):
    """How the state of a link is found out."""

    IOCTL = "ioctl"
    NETIF = "netif"


class ARPValidation(StrEnum):
    """Whose ARP traffic counts as a sign of life."""

    ACTIVE = "active"
    BACKUP = "backup"
    ALL = "all"


@element("dhcp", empty="keep")
class DHCP:
    """Addresses come from a DHCP server."""

    peerdns: bool | None = attribute(codec=YES_NO, doc="name servers come from it too")


@element("ip")
class InterfaceAddress:
    """A fixed address."""

    address: str | None = attribute(doc="address")
    prefix: int | None = attribute(
        codec=number(32, signed=True, base=0),
        omit=0,
        shown=lambda self: self.address is not None,
        doc="length of the network's prefix",
    )


@element("protocol", empty="open")
class InterfaceProtocol:
    """Addresses of one family."""

    family: ProtocolFamily = attribute(
        required=True,
        missing="protocol misses the family attribute",
        invalid="unsupported protocol family '{value}'",
        doc="address family",
    )
    autoconf: bool = flag(only={"family": (ProtocolFamily.IPV6,)}, doc="stateless autoconfiguration")
    dhcp: DHCP | None = child()
    ips: list[InterfaceAddress] = children("ip", doc="fixed addresses")
    gateway: str | None = attribute("gateway", within="route", blank=False, doc="router of the default route")


@element("miimon")
class MIIMonitor:
    """Links of a bond are watched through their devices."""

    freq: int = attribute(
        codec=INT,
        required=True,
        missing="bond interface miimon freq missing or invalid",
        invalid="bond interface miimon freq missing or invalid",
        doc="milliseconds between two looks",
    )
    downdelay: int | None = attribute(
        codec=INT,
        blank=False,
        shown=lambda self: (self.downdelay or 0) > 0,
        invalid="bond interface miimon downdelay invalid",
        doc="milliseconds until a link counts as down",
    )
    updelay: int | None = attribute(
        codec=INT,
        blank=False,
        shown=lambda self: (self.updelay or 0) > 0,
        invalid="bond interface miimon updelay invalid",
        doc="milliseconds until a link counts as up",
    )
    carrier: MIICarrier | None = attribute(
        blank=False, invalid="unknown mii bonding carrier {value}", doc="how the state is found out"
    )


@element("arpmon")
class ARPMonitor:
    """Links of a bond are watched by ARP requests."""

    interval: int = attribute(
        codec=INT,
        required=True,
        missing="bond interface arpmon interval missing or invalid",
        invalid="bond interface arpmon interval missing or invalid",
        doc="milliseconds between two requests",
    )
    target: str = attribute(
        required=True, blank=False, missing="bond interface arpmon target missing", doc="address that is asked for"
    )
    validate: ARPValidation | None = attribute(
        blank=False, invalid="unknown arp bonding validate {value}", doc="whose traffic counts"
    )


def _require_interface(vlan: VLANInterface) -> None:
    if vlan.interface is None:
        raise XMLError("vlan interface misses name attribute")


@element("vlan", after_parse=_require_interface)
class VLANInterface:
    """A tagged part of another interface's traffic."""

    tag: str = attribute(required=True, blank=False, missing="vlan interface misses the tag attribute", doc="VLAN tag")
    interface: str | None = attribute("name", within="interface", blank=False, doc="interface whose traffic it is")


@element("bond", empty="open")
class Bond:
    """Several interfaces that act as one."""

    mode: BondMode | None = attribute(blank=False, invalid="unknown bonding mode {value}", doc="how they are used")
    miimon: MIIMonitor | None = child(exclusive="monitor")
    arpmon: ARPMonitor | None = child(exclusive="monitor")
    interfaces: list[BondMember] = children("interface", doc="the interfaces")


@element("bridge", empty="open")
class Bridge:
    """A software switch."""

    stp: bool | None = attribute(
        codec=ON_OFF, invalid="bridge interface stp should be on or off got {value}", doc="spanning tree protocol"
    )
    delay: str | None = attribute(doc="forwarding delay in seconds")
    interfaces: list[BridgeMember] = children("interface", doc="the ports")


@element(None)
class _Interface:
    """What every interface has."""

    type: InterfaceType = attribute(required=True, doc="kind of interface")
    name: str = attribute(required=True, missing="interface has no name", doc="name of the device")


@element(None, last=True)
class _Parts:
    """What an interface consists of."""

    link: InterfaceLink | None = child(only={"type": (InterfaceType.ETHERNET, InterfaceType.BOND, InterfaceType.VLAN)})
    mac: str | None = attribute(
        "address", within="mac", blank=False, only={"type": (InterfaceType.ETHERNET,)}, doc="MAC address"
    )
    bond: Bond | None = child(
        only={"type": (InterfaceType.BOND,)}, required=True, missing="bond interface misses the bond element"
    )
    vlan: VLANInterface | None = child(
        only={"type": (InterfaceType.VLAN,)}, required=True, missing="vlan interface misses the vlan element"
    )


def _refuse_nesting(member: BondMember | BridgeMember) -> None:
    if member.type not in member.ALLOWED:
        raise XMLError(f"interface has unsupported type '{member.type}'")


@element("interface", empty="open", after_parse=_refuse_nesting)
class BondMember(_Interface):
    """An interface of a bond."""

    ALLOWED = (InterfaceType.ETHERNET,)

    link: InterfaceLink | None = child()
    mac: str | None = attribute("address", within="mac", blank=False, doc="MAC address")


@element("interface", empty="open", after_parse=_refuse_nesting)
class BridgeMember(_Interface, _Parts):
    """A port of a bridge."""

    ALLOWED = (InterfaceType.ETHERNET, InterfaceType.BOND, InterfaceType.VLAN)


@element("interface", root=True, empty="open", doc="A network interface of the host.")
class HostInterface(_Interface, _Parts):
    start: StartMode | None = attribute(
        "mode", within="start", blank=False, invalid="unknown interface startmode {value}", doc="when it is brought up"
    )
    mtu: int | None = attribute("size", within="mtu", blank=False, omit=0, doc="largest packet, in bytes")
    protocols: list[InterfaceProtocol] = children("protocol", doc="addresses, by family")
    bridge: Bridge | None = child(
        only={"type": (InterfaceType.BRIDGE,)}, required=True, missing="bridge interface misses the bridge element"
    )
    extra: Extras = extras()
