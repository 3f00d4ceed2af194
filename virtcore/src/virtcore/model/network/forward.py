"""``<forward>`` of a virtual network: how it is connected to the world."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.hostdev import PCIHostdevDriver
from virtcore.model.network.addresses import IP
from virtcore.model.storage.source import SourcePCIAddress
from virtcore.xml import YES_NO, Codec, Mode, attribute, child, children, element, inherited

__all__ = [
    "NAT",
    "YES",
    "Forward",
    "ForwardAddress",
    "ForwardInterface",
    "ForwardMode",
    "NATAddress",
    "NATPort",
    "PhysicalFunction",
]

#: Yes, in any case; every other word is a no.
YES: Codec[bool] = Codec(
    lambda text: text.lower() == "yes", {True: "yes", False: "no"}.__getitem__, datatype="pattern:yes|no", safe=True
)


class ForwardMode(StrEnum):
    """How guests reach the world."""

    NONE = "none"
    NAT = "nat"
    ROUTE = "route"
    OPEN = "open"
    BRIDGE = "bridge"
    PRIVATE = "private"
    VEPA = "vepa"
    PASSTHROUGH = "passthrough"
    HOSTDEV = "hostdev"

    @property
    def has_bridge(self) -> bool:
        """Whether the network has a bridge of its own."""
        return self in (ForwardMode.NONE, ForwardMode.NAT, ForwardMode.ROUTE, ForwardMode.OPEN)


_IN_NAT = "in <nat> in <forward> in network"


@element("address")
class NATAddress:
    """Addresses that guests appear with."""

    start: str = attribute(
        codec=IP,
        required=True,
        missing=f"missing 'start' attribute in <address> element {_IN_NAT} {{document}}",
        invalid=f"Bad ipv4 start address '{{value}}' {_IN_NAT} '{{document}}'",
        doc="first address",
    )
    end: str = attribute(
        codec=IP,
        required=True,
        missing=f"missing 'end' attribute in <address> element {_IN_NAT} {{document}}",
        invalid=f"Bad ipv4 end address '{{value}}' {_IN_NAT} '{{document}}'",
        doc="last address",
    )


def _port(name: str, doc: str) -> int:
    """An end of the range of ports."""
    message = f"Missing or invalid '{name}' attribute in <port> {_IN_NAT} {{document}}"
    port: int = attribute(
        required=True,
        blank=False,
        maximum=65535,
        missing=message,
        invalid=message,
        code=ErrorCode.XML_DETAIL,
        doc=doc,
    )
    return port


@element("port")
class NATPort:
    """Ports that guests appear with."""

    start: int = _port("start", "first port")
    end: int = _port("end", "last port")


@element("nat")
class NAT:
    """How guests are translated."""

    ipv6: bool | None = attribute(codec=YES_NO, doc="IPv6 is translated too", since="6.5.0")
    address: NATAddress | None = child(
        repeat="refuse",
        repeated="Only one <address> element is allowed in <nat> in <forward> in network {document}",
    )
    port: NATPort | None = child(
        shown=lambda nat: bool(nat.port.start or nat.port.end),
        repeat="refuse",
        repeated="Only one <port> element is allowed in <nat> in <forward> in network {document}",
    )


@element("interface")
class ForwardInterface:
    """A device of the host."""

    dev: str = attribute(
        required=True,
        missing="Missing required dev attribute in <forward> <interface> element of network {document}",
        doc="its name",
    )
    connections: int | None = attribute(
        omit=0, when=Mode.LIVE, read=Mode.STATUS, doc="number of guests that use it", since="1.0.0"
    )


@element("address", empty="keep")
class ForwardAddress(SourcePCIAddress):
    """A virtual function that a guest may get."""

    type: str | None = attribute(doc="always pci")
    _function = inherited()


@element("pf")
class PhysicalFunction:
    """A device whose virtual functions guests may get."""

    dev: str = attribute(
        required=True, missing="Missing required dev attribute in <pf> element of network '{document}'", doc="its name"
    )


@element("forward")
class Forward:
    """How the network is connected to the world. While it runs, a physical function has its virtual functions beside
    it; definitions leave them out.
    """

    dev: str | None = attribute(
        blank=False, shown=lambda forward: forward.pf is None, doc="device of the host: the first interface's"
    )
    mode: ForwardMode | None = attribute(
        blank=False,
        invalid="unknown forwarding type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="how; nat by default",
    )
    managed: bool | None = attribute(
        codec=YES,
        shown=lambda forward: forward.mode is ForwardMode.HOSTDEV,
        doc="whether libvirt takes devices from the host (hostdev)",
    )
    driver: PCIHostdevDriver | None = child("driver")
    nat: NAT | None = child(
        repeat="refuse", repeated="Only one <nat> element is allowed in <forward> of network {document}"
    )
    pf: PhysicalFunction | None = child(
        repeat="refuse", repeated="Only one <pf> element is allowed in <forward> of network {document}"
    )
    interfaces: list[ForwardInterface] = children(doc="devices of the host")
    addresses: list[ForwardAddress] = children(doc="virtual functions")

    def first_device(self) -> str | None:
        """Name of the first device; what ``dev`` says in the output."""
        return self.interfaces[0].dev if self.interfaces else None
