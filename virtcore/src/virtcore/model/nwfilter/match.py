"""What packets a rule is about: one element class for each protocol.

A rule may have several elements of its protocol; completion makes them two at most, what must match and what must not.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.nwfilter import values
from virtcore.xml import Codec, attribute, element

__all__ = [
    "AHIPv6Match",
    "AHMatch",
    "ARPMatch",
    "AllIPv6Match",
    "AllMatch",
    "AnyMatch",
    "ESPIPv6Match",
    "ESPMatch",
    "EthernetMatch",
    "ICMPMatch",
    "ICMPv6Match",
    "IGMPMatch",
    "IPMatch",
    "IPv6Match",
    "MACMatch",
    "Match",
    "RARPMatch",
    "SCTPIPv6Match",
    "SCTPMatch",
    "STPMatch",
    "TCPIPv6Match",
    "TCPMatch",
    "TransportMatch",
    "UDPIPv6Match",
    "UDPLiteIPv6Match",
    "UDPLiteMatch",
    "UDPMatch",
    "VLANMatch",
]

#: ``no`` turns a match around; every other word changes nothing.
_NEGATED: Codec[bool] = Codec(
    lambda text: text == "no",
    {True: "no", False: "yes"}.__getitem__,
    datatype="<choice><value>yes</value><value>no</value></choice>",
    safe=True,
)


def _attribute(codec: Codec[str], doc: str, name: str | None = None) -> Any:
    """An attribute that is a value or a variable."""
    return attribute(
        name, codec=codec, invalid="{name} has illegal value {value}", code=ErrorCode.INTERNAL_ERROR, doc=doc
    )


@element(None)
class Match:
    """What every protocol's element has."""

    negated: bool | None = attribute("match", codec=_NEGATED, omit=False, doc="no: packets that are not so")


@element(None, last=True)
class _Comment:
    comment: str | None = _attribute(values.COMMENT, "a note, kept in the firewall")


# ------------------------------------------------------------------------------------------------------------- Ethernet


@element(None)
class EthernetMatch(Match):
    """Addresses of a frame."""

    srcmacaddr: str | None = _attribute(values.MAC_ADDRESS, "sender's MAC address")
    srcmacmask: str | None = _attribute(values.MAC_MASK, "which of its bits count")
    dstmacaddr: str | None = _attribute(values.MAC_ADDRESS, "receiver's MAC address")
    dstmacmask: str | None = _attribute(values.MAC_MASK, "which of its bits count")


@element("mac", empty="keep")
class MACMatch(EthernetMatch, _Comment):
    """Frames."""

    protocolid: str | None = _attribute(values.MAC_PROTOCOL, "protocol they carry (EtherType)")


@element("vlan", empty="keep")
class VLANMatch(EthernetMatch, _Comment):
    """Frames with a VLAN tag."""

    vlanid: str | None = _attribute(values.VLAN_ID, "VLAN, 0 to 4095")
    encap_protocol: str | None = _attribute(values.ENCAP_PROTOCOL, "protocol they carry", "encap-protocol")


@element("stp", empty="keep")
class STPMatch(Match, _Comment):
    """Frames of the spanning tree protocol. A second number makes the first one the lower end of a range."""

    srcmacaddr: str | None = _attribute(values.MAC_ADDRESS, "sender's MAC address")
    srcmacmask: str | None = _attribute(values.MAC_MASK, "which of its bits count")
    type: str | None = _attribute(values.UINT8, "type of BPDU")
    flags: str | None = _attribute(values.UINT8, "flags of the BPDU")
    root_priority: str | None = _attribute(values.UINT16, "priority of the root", "root-priority")
    root_priority_hi: str | None = _attribute(values.UINT16, "end of the range", "root-priority-hi")
    root_address: str | None = _attribute(values.MAC_ADDRESS, "address of the root", "root-address")
    root_address_mask: str | None = _attribute(values.MAC_MASK, "which of its bits count", "root-address-mask")
    root_cost: str | None = _attribute(values.UINT32, "cost of the way to the root", "root-cost")
    root_cost_hi: str | None = _attribute(values.UINT32, "end of the range", "root-cost-hi")
    sender_priority: str | None = _attribute(values.UINT16, "priority of the sender", "sender-priority")
    sender_priority_hi: str | None = _attribute(values.UINT16, "end of the range", "sender-priority-hi")
    sender_address: str | None = _attribute(values.MAC_ADDRESS, "address of the sender", "sender-address")
    sender_address_mask: str | None = _attribute(values.MAC_MASK, "which of its bits count", "sender-address-mask")
    port: str | None = _attribute(values.UINT16, "port")
    port_hi: str | None = _attribute(values.UINT16, "end of the range", "port-hi")
    age: str | None = _attribute(values.UINT16, "age of the message")
    age_hi: str | None = _attribute(values.UINT16, "end of the range", "age-hi")
    max_age: str | None = _attribute(values.UINT16, "longest age", "max-age")
    max_age_hi: str | None = _attribute(values.UINT16, "end of the range", "max-age-hi")
    hello_time: str | None = _attribute(values.UINT16, "time between messages", "hello-time")
    hello_time_hi: str | None = _attribute(values.UINT16, "end of the range", "hello-time-hi")
    forward_delay: str | None = _attribute(values.UINT16, "time until a port forwards", "forward-delay")
    forward_delay_hi: str | None = _attribute(values.UINT16, "end of the range", "forward-delay-hi")


@element(None)
class _ARP(EthernetMatch):
    hwtype: str | None = _attribute(values.UINT16, "kind of hardware address")
    protocoltype: str | None = _attribute(values.UINT16, "kind of protocol address")
    opcode: str | None = _attribute(values.ARP_OPCODE, "what the message is")
    arpsrcmacaddr: str | None = _attribute(values.MAC_ADDRESS, "sender's MAC address in the message")
    arpdstmacaddr: str | None = _attribute(values.MAC_ADDRESS, "receiver's MAC address in the message")
    arpsrcipaddr: str | None = _attribute(values.IPV4, "sender's IP address in the message")
    arpsrcipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    arpdstipaddr: str | None = _attribute(values.IPV4, "receiver's IP address in the message")
    arpdstipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    gratuitous: str | None = _attribute(values.BOOLEAN, "whether it is an announcement")


@element("arp", empty="keep")
class ARPMatch(_ARP, _Comment):
    """ARP messages."""


@element("rarp", empty="keep")
class RARPMatch(_ARP, _Comment):
    """RARP messages."""


@element(None)
class _Ports:
    srcportstart: str | None = _attribute(values.UINT16, "sender's port")
    srcportend: str | None = _attribute(values.UINT16, "end of the range")
    dstportstart: str | None = _attribute(values.UINT16, "receiver's port")
    dstportend: str | None = _attribute(values.UINT16, "end of the range")


@element(None)
class _IPAddresses(EthernetMatch):
    srcipaddr: str | None = _attribute(values.IPV4, "sender's address")
    srcipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    dstipaddr: str | None = _attribute(values.IPV4, "receiver's address")
    dstipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    protocol: str | None = _attribute(values.IP_PROTOCOL, "protocol it carries")


@element("ip", empty="keep")
class IPMatch(_IPAddresses, _Ports, _Comment):
    """IPv4 packets, on the level of Ethernet."""

    dscp: str | None = _attribute(values.DSCP, "differentiated services code point")


@element(None)
class _IPv6Addresses(EthernetMatch):
    srcipaddr: str | None = _attribute(values.IPV6, "sender's address")
    srcipmask: str | None = _attribute(values.IPV6_MASK, "which of its bits count")
    dstipaddr: str | None = _attribute(values.IPV6, "receiver's address")
    dstipmask: str | None = _attribute(values.IPV6_MASK, "which of its bits count")
    protocol: str | None = _attribute(values.IP_PROTOCOL, "protocol it carries")


@element("ipv6", empty="keep")
class IPv6Match(_IPv6Addresses, _Ports, _Comment):
    """IPv6 packets, on the level of Ethernet."""

    type: str | None = _attribute(values.UINT8, "type of ICMPv6 message")
    typeend: str | None = _attribute(values.UINT8, "end of the range")
    code: str | None = _attribute(values.UINT8, "code of ICMPv6 message")
    codeend: str | None = _attribute(values.UINT8, "end of the range")


# ------------------------------------------------------------------------------------------------------------ transport


@element(None)
class TransportMatch(Match):
    """What the elements of iptables' and ip6tables' protocols have in common."""

    srcmacaddr: str | None = _attribute(values.MAC_ADDRESS, "sender's MAC address")


@element(None)
class _Tracking:
    dscp: str | None = _attribute(values.DSCP, "differentiated services code point")
    connlimit_above: str | None = _attribute(
        values.UINT16_DECIMAL, "more connections than these are open", "connlimit-above"
    )
    state: str | None = _attribute(values.STATE, "state of the connection")
    ipset: str | None = _attribute(values.IPSET, "set of addresses managed outside libvirt")
    ipsetflags: str | None = _attribute(values.IPSET_FLAGS, "which addresses are looked up in it")


@element(None)
class _IPv4Only(TransportMatch):
    srcipaddr: str | None = _attribute(values.IPV4, "sender's address")
    srcipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    dstipaddr: str | None = _attribute(values.IPV4, "receiver's address")
    dstipmask: str | None = _attribute(values.IPV4_MASK, "which of its bits count")
    srcipfrom: str | None = _attribute(values.IPV4, "first of the senders' addresses")
    srcipto: str | None = _attribute(values.IPV4, "last of them")
    dstipfrom: str | None = _attribute(values.IPV4, "first of the receivers' addresses")
    dstipto: str | None = _attribute(values.IPV4, "last of them")


@element(None)
class _IPv4(_IPv4Only, _Tracking):
    pass


@element(None)
class _IPv6Only(TransportMatch):
    srcipaddr: str | None = _attribute(values.IPV6, "sender's address")
    srcipmask: str | None = _attribute(values.IPV6_MASK, "which of its bits count")
    dstipaddr: str | None = _attribute(values.IPV6, "receiver's address")
    dstipmask: str | None = _attribute(values.IPV6_MASK, "which of its bits count")
    srcipfrom: str | None = _attribute(values.IPV6, "first of the senders' addresses")
    srcipto: str | None = _attribute(values.IPV6, "last of them")
    dstipfrom: str | None = _attribute(values.IPV6, "first of the receivers' addresses")
    dstipto: str | None = _attribute(values.IPV6, "last of them")


@element(None)
class _IPv6(_IPv6Only, _Tracking):
    pass


@element(None)
class _ICMP:
    type: str | None = _attribute(values.UINT8, "type of message")
    code: str | None = _attribute(values.UINT8, "code of message")


@element("tcp", empty="keep")
class TCPMatch(_IPv4, _Ports, _Comment):
    """TCP over IPv4."""

    option: str | None = _attribute(values.UINT8, "TCP option")
    flags: str | None = _attribute(values.TCP_FLAGS, "flags that count, and which of them are set")


@element("udp", empty="keep")
class UDPMatch(_IPv4, _Ports, _Comment):
    """UDP over IPv4."""


@element("udplite", empty="keep")
class UDPLiteMatch(_IPv4, _Comment):
    """UDP-Lite over IPv4."""


@element("esp", empty="keep")
class ESPMatch(_IPv4, _Comment):
    """ESP over IPv4."""


@element("ah", empty="keep")
class AHMatch(_IPv4, _Comment):
    """AH over IPv4."""


@element("sctp", empty="keep")
class SCTPMatch(_IPv4, _Ports, _Comment):
    """SCTP over IPv4."""


@element("icmp", empty="keep")
class ICMPMatch(_IPv4, _ICMP, _Comment):
    """ICMP."""


@element("igmp", empty="keep")
class IGMPMatch(_IPv4, _Comment):
    """IGMP."""


@element("all", empty="keep")
class AllMatch(_IPv4, _Comment):
    """Anything over IPv4."""


@element("tcp-ipv6", empty="keep")
class TCPIPv6Match(_IPv6, _Ports, _Comment):
    """TCP over IPv6."""

    option: str | None = _attribute(values.UINT8, "TCP option")


@element("udp-ipv6", empty="keep")
class UDPIPv6Match(_IPv6, _Ports, _Comment):
    """UDP over IPv6."""


@element("udplite-ipv6", empty="keep")
class UDPLiteIPv6Match(_IPv6, _Comment):
    """UDP-Lite over IPv6."""


@element("esp-ipv6", empty="keep")
class ESPIPv6Match(_IPv6, _Comment):
    """ESP over IPv6."""


@element("ah-ipv6", empty="keep")
class AHIPv6Match(_IPv6, _Comment):
    """AH over IPv6."""


@element("sctp-ipv6", empty="keep")
class SCTPIPv6Match(_IPv6, _Ports, _Comment):
    """SCTP over IPv6."""


@element("icmpv6", empty="keep")
class ICMPv6Match(_IPv6, _ICMP, _Comment):
    """ICMPv6."""


@element("all-ipv6", empty="keep")
class AllIPv6Match(_IPv6, _Comment):
    """Anything over IPv6."""


AnyMatch: TypeAlias = (
    MACMatch
    | VLANMatch
    | STPMatch
    | ARPMatch
    | RARPMatch
    | IPMatch
    | IPv6Match
    | TCPMatch
    | UDPMatch
    | UDPLiteMatch
    | ESPMatch
    | AHMatch
    | SCTPMatch
    | ICMPMatch
    | IGMPMatch
    | AllMatch
    | TCPIPv6Match
    | UDPIPv6Match
    | UDPLiteIPv6Match
    | ESPIPv6Match
    | AHIPv6Match
    | SCTPIPv6Match
    | ICMPv6Match
    | AllIPv6Match
)
