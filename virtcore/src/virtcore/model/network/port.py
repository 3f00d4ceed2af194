"""How an interface is attached: addresses, routes, VLAN tags, virtual ports, bandwidth."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.network.addresses import IP
from virtcore.xml import ULONG, UUID, YES_NO, Codec, attribute, child, children, element
from virtcore.xml.scalars import number

__all__ = [
    "Bandwidth",
    "BandwidthRate",
    "IPAddress",
    "MACTableManager",
    "NativeVLANMode",
    "PortOptions",
    "Route",
    "VLAN",
    "VLANTag",
    "VirtualPort",
    "VirtualPortParameters",
    "VirtualPortType",
]


class NativeVLANMode(StrEnum):
    """How the native VLAN leaves the port."""

    TAGGED = "tagged"
    UNTAGGED = "untagged"


class VirtualPortType(StrEnum):
    """Kind of virtual port."""

    QBG = "802.1Qbg"
    QBH = "802.1Qbh"
    OPENVSWITCH = "openvswitch"
    MIDONET = "midonet"


class MACTableManager(StrEnum):
    """Who fills the bridge's MAC table."""

    KERNEL = "kernel"
    LIBVIRT = "libvirt"


@element("ip")
class IPAddress:
    """An address of an interface."""

    address: str | None = attribute(
        required=True,
        codec=IP,
        missing="Missing required address in <ip>",
        invalid="Invalid address '{value}' in <ip>",
        doc="address",
    )
    family: str | None = attribute(doc="ipv4 or ipv6")
    prefix: int | None = attribute(
        omit=0, invalid="Invalid prefix value '{value}' in <ip>", doc="length of the network's prefix"
    )
    peer: str | None = attribute(
        codec=IP,
        invalid="Invalid peer '{value}' in <ip>",
        code=ErrorCode.INVALID_ARG,
        doc="other end of a point-to-point link",
    )


@element("route")
class Route:
    """A route through an interface."""

    family: str | None = attribute(doc="ipv4 or ipv6")
    address: str | None = attribute(doc="network")
    netmask: str | None = attribute(doc="network mask (IPv4)")
    prefix: int | None = attribute(doc="length of the network's prefix")
    gateway: str | None = attribute(doc="next hop")
    metric: int | None = attribute(nonzero=True, doc="lower is preferred")


def _read_trunk(text: str) -> bool:
    return {"yes": True, "no": False}[text.lower()]


#: Yes or no, of any case.
_TRUNK: Codec[bool] = Codec(_read_trunk, YES_NO.write, datatype=YES_NO.datatype, safe=True)


@element("tag")
class VLANTag:
    """A VLAN the port carries."""

    id: int = attribute(required=True, doc="VLAN identifier")
    native_mode: NativeVLANMode | None = attribute(
        "nativeMode", doc="untagged frames belong to this VLAN", since="1.1.0"
    )


@element("vlan")
class VLAN:
    """VLANs of an interface."""

    trunk: bool | None = attribute(
        codec=_TRUNK,
        omit=False,
        invalid="invalid \"trunk='{value}'\" in <vlan> - must be yes or no",
        doc="the port carries several VLANs",
    )
    tags: list[VLANTag] = children("tag", doc="VLANs")


@element("parameters")
class VirtualPortParameters:
    """What the switch is told about the port."""

    managerid: int | None = attribute(
        codec=number(32, base=0), invalid="cannot parse value of managerid parameter", doc="VSI manager (802.1Qbg)"
    )
    typeid: int | None = attribute(
        codec=number(32, base=0), invalid="cannot parse value of typeid parameter", doc="VSI type (802.1Qbg)"
    )
    typeidversion: int | None = attribute(
        codec=number(32, base=0),
        invalid="cannot parse value of typeidversion parameter",
        doc="version of the VSI type (802.1Qbg)",
    )
    instanceid: str | None = attribute(
        codec=UUID, invalid="cannot parse instanceid parameter as a uuid", doc="VSI instance (802.1Qbg)"
    )
    interfaceid: str | None = attribute(
        codec=UUID, invalid="cannot parse interfaceid parameter as a uuid", doc="port (openvswitch, midonet)"
    )
    profileid: str | None = attribute(doc="port profile (802.1Qbh, openvswitch)")


@element("virtualport")
class VirtualPort:
    """The port of a switch an interface is plugged into."""

    type: VirtualPortType | None = attribute(
        invalid="unknown virtualport type {value}", code=ErrorCode.CONFIG_UNSUPPORTED, doc="kind of port"
    )
    parameters: VirtualPortParameters | None = child()


@element(None)
class BandwidthRate:
    """Limits of one direction."""

    average: int | None = attribute(codec=ULONG, omit=0, doc="KiB a second")
    peak: int | None = attribute(codec=ULONG, omit=0, doc="KiB a second in a burst")
    floor: int | None = attribute(codec=ULONG, omit=0, doc="guaranteed KiB a second (inbound)")
    burst: int | None = attribute(codec=ULONG, omit=0, doc="KiB in a burst")


@element("bandwidth", empty="open")
class Bandwidth:
    """Limits of an interface's throughput."""

    class_id: int | None = attribute("classID", omit=0, doc="traffic class (ports of networks)")
    inbound: BandwidthRate | None = child("inbound")
    outbound: BandwidthRate | None = child("outbound")


@element("port")
class PortOptions:
    """Options of the bridge port."""

    isolated: bool | None = attribute(codec=YES_NO, doc="no traffic to other isolated ports", since="6.1.0")
