"""``<network>``: a virtual network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.network.forward import YES
from virtcore.model.network.port import MACTableManager
from virtcore.xml import (
    MAC,
    UUID,
    YES_NO,
    Codec,
    Mode,
    attribute,
    child,
    children,
    element,
    extras,
    leaf,
    namespaces,
    number,
    verbatim,
)

if TYPE_CHECKING:
    from virtcore.model.network.dns import DNS
    from virtcore.model.network.forward import Forward, ForwardMode
    from virtcore.model.network.ip import NetworkIP
    from virtcore.model.network.port import VLAN, Bandwidth, PortOptions, Route, VirtualPort
    from virtcore.xml import Extras

__all__ = ["Bridge", "DomainName", "Network", "PortGroup"]

#: Whether the spanning tree protocol runs: anything but ``off``.
STP: Codec[bool] = Codec(
    lambda text: text != "off", {True: "on", False: "off"}.__getitem__, datatype="pattern:on|off", safe=True
)


@element("bridge")
class Bridge:
    """The bridge that guests are plugged into."""

    name: str | None = attribute(blank=False, doc="its name on the host; chosen by libvirt when absent")
    zone: str | None = attribute(blank=False, doc="firewalld zone", since="5.1.0")
    stp: bool | None = attribute(codec=STP, blank=False, doc="spanning tree protocol; on by default")
    delay: int | None = attribute(
        codec=number(64),
        blank=False,
        invalid="Invalid delay value in network '{document}'",
        doc="seconds until a new port forwards",
    )
    mac_table_manager: MACTableManager | None = attribute(
        "macTableManager",
        blank=False,
        invalid="Invalid macTableManager setting '{value}' in network '{document}'",
        doc="who fills the bridge's MAC table",
        since="1.2.11",
    )


@element("domain")
class DomainName:
    """The DNS domain of the guests."""

    name: str | None = attribute(doc="its name")
    local_only: bool | None = attribute(
        "localOnly", codec=YES_NO, doc="look-ups in it are never forwarded", since="1.2.12"
    )
    register: bool | None = attribute(codec=YES_NO, doc="known to the host's resolver", since="10.1.0")


@element("portgroup", empty="open")
class PortGroup:
    """A class of connections."""

    name: str = attribute(
        required=True, blank=False, missing="Missing required name attribute in portgroup", doc="its name"
    )
    default: bool | None = attribute(codec=YES, omit=False, doc="for guests that name none")
    trust_guest_rx_filters: bool | None = attribute(
        "trustGuestRxFilters", codec=YES_NO, doc="follow the guest's receive filters", since="1.2.10"
    )
    vlan: VLAN | None = child("vlan")
    virtualport: VirtualPort | None = child("virtualport")
    bandwidth: Bandwidth | None = child("bandwidth")


@element("network", root=True, doc="A virtual network.")
class Network:
    connections: int | None = attribute(
        omit=0, when=Mode.LIVE, read=Mode.STATUS, doc="Number of guests connected.", since="0.9.4"
    )
    ipv6: bool | None = attribute(
        codec=YES_NO,
        blank=False,
        omit=False,
        invalid="Invalid ipv6 setting '{value}' in network '{document}'",
        doc="Guests talk IPv6 to each other though the network has no such address.",
        since="1.0.1",
    )
    trust_guest_rx_filters: bool | None = attribute(
        "trustGuestRxFilters", codec=YES_NO, doc="Follow the guests' receive filters.", since="1.2.10"
    )
    name: str = leaf(required=True, missing="", missing_code=ErrorCode.NO_NAME, doc="Unique on its host.")
    uuid: str | None = leaf(
        codec=UUID, invalid="malformed uuid element", code=ErrorCode.INTERNAL_ERROR, doc="Unique everywhere."
    )
    title: str | None = leaf(doc="One line for people.", since="9.7.0")
    description: str | None = leaf(doc="Text for people.", since="9.7.0")
    metadata: str | None = verbatim(
        doc="Whatever applications keep there, each in a namespace of its own.", since="2.1.0"
    )
    forward: Forward | None = child("forward", shown=lambda network: network.forward.mode != "none")
    bridge: Bridge | None = child("bridge")
    mtu: int | None = attribute(
        "size",
        within="mtu",
        codec=number(32, wraps=True),
        blank=False,
        omit=0,
        invalid="Invalid mtu size '{value}' in network '{document}'",
        doc="Largest packet, in bytes.",
        since="3.1.0",
    )
    mac: str | None = attribute(
        "address",
        within="mac",
        codec=MAC,
        blank=False,
        invalid="Invalid bridge mac address '{value}' in network '{document}'",
        doc="MAC address of the bridge.",
        since="0.8.8",
    )
    domain: DomainName | None = child("domain", shown=lambda network: network.domain.name is not None)
    dns: DNS | None = child("dns")
    vlan: VLAN | None = child("vlan")
    bandwidth: Bandwidth | None = child("bandwidth")
    port: PortOptions | None = child("port")
    ips: list[NetworkIP] = children("ip")
    routes: list[Route] = children("route")
    virtualport: VirtualPort | None = child("virtualport")
    portgroups: list[PortGroup] = children("portgroup")
    options: list[object] = namespaces(
        point="network", leading=True, doc="What plugins add, in namespaces of their own."
    )
    extra: Extras = extras()

    @property
    def mode(self) -> ForwardMode:
        """How the network is connected to the world; an isolated one shows no ``<forward>``."""
        from virtcore.model.network.forward import ForwardMode

        if self.forward is None:
            return ForwardMode.NONE
        return self.forward.mode or ForwardMode.NAT
