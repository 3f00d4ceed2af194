"""Rules about frames, as arguments of ebtables."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virt_host.nwfilter.facts import Facts, Words
from virtcore.errors import InternalError
from virtcore.model.nwfilter.filter import RuleAction
from virtcore.model.nwfilter.match import ARPMatch, IPMatch, IPv6Match, MACMatch, RARPMatch, STPMatch, VLANMatch

if TYPE_CHECKING:
    from virtcore.model.nwfilter.filter import Rule

__all__ = ["BRIDGE_GROUP", "frame_words"]

#: Where messages of the spanning tree protocol go.
BRIDGE_GROUP = "01:80:c2:00:00:00"


def frame_words(rule: Rule, facts: Facts, *, reverse: bool) -> Words:
    """What to do with which frames.

    :param reverse: sender and receiver are exchanged.
    :raises InternalError: it cannot be said.
    """
    words: Words = []
    if rule.matches:
        cls = type(rule.matches[0])
        if cls is STPMatch and reverse and "srcmacaddr" in facts:
            raise InternalError("STP filtering in inout direction with source MAC address set is not supported")
        words += _addresses(facts, reverse) + _PROTOCOLS[cls](facts, reverse)
    return [*words, "-j", _TARGETS[rule.action]]


#: ebtables cannot refuse, only drop.
_TARGETS = {
    RuleAction.DROP: "DROP",
    RuleAction.ACCEPT: "ACCEPT",
    RuleAction.REJECT: "DROP",
    RuleAction.RETURN: "RETURN",
    RuleAction.CONTINUE: "CONTINUE",
}


def _addresses(facts: Facts, reverse: bool) -> Words:
    sender, receiver = ("-d", "-s") if reverse else ("-s", "-d")
    return [
        *_pair(facts, sender, "srcmacaddr", "srcmacmask", "/", facts.text),
        *_pair(facts, receiver, "dstmacaddr", "dstmacmask", "/", facts.text),
    ]


def _one(facts: Facts, option: str, key: str, show: Callable[[str], str]) -> Words:
    return [option, *facts.sign(key), show(key)] if key in facts else []


def _pair(facts: Facts, option: str, key: str, other: str, between: str, show: Callable[[str], str]) -> Words:
    """An address with its mask, or the ends of a range; the second one only beside the first."""
    if key not in facts:
        return []
    value = show(key) if other not in facts else f"{show(key)}{between}{show(other)}"
    return [option, *facts.sign(key), value]


def _mac(facts: Facts, _reverse: bool) -> Words:
    return _one(facts, "-p", "protocolid", facts.hexadecimal)


def _vlan(facts: Facts, _reverse: bool) -> Words:
    return [
        *("-p", "0x8100"),
        *_one(facts, "--vlan-id", "vlanid", facts.number),
        *_one(facts, "--vlan-encap", "encap_protocol", facts.number),
    ]


_SPANNING_TREE = (
    ("--stp-root-pri", "root_priority", "root_priority_hi"),
    ("--stp-root-addr", "root_address", "root_address_mask"),
    ("--stp-root-cost", "root_cost", "root_cost_hi"),
    ("--stp-sender-prio", "sender_priority", "sender_priority_hi"),
    ("--stp-sender-addr", "sender_address", "sender_address_mask"),
    ("--stp-port", "port", "port_hi"),
    ("--stp-msg-age", "age", "age_hi"),
    ("--stp-max-age", "max_age", "max_age_hi"),
    ("--stp-hello-time", "hello_time", "hello_time_hi"),
    ("--stp-forward-delay", "forward_delay", "forward_delay_hi"),
)


def _stp(facts: Facts, _reverse: bool) -> Words:
    words = ["-d", BRIDGE_GROUP]
    words += _one(facts, "--stp-type", "type", facts.number) + _one(facts, "--stp-flags", "flags", facts.number)
    for option, key, other in _SPANNING_TREE:
        if other.endswith("_mask"):
            words += _pair(facts, option, key, other, "/", facts.text)
        else:
            words += _pair(facts, option, key, other, ":", facts.number)
    return words


def _arp(ethertype: str) -> Callable[[Facts, bool], Words]:
    def words(facts: Facts, reverse: bool) -> Words:
        sender, receiver = ("dst", "src") if reverse else ("src", "dst")
        found = [
            *("-p", ethertype),
            *_one(facts, "--arp-htype", "hwtype", facts.number),
            *_one(facts, "--arp-opcode", "opcode", facts.number),
            *_one(facts, "--arp-ptype", "protocoltype", facts.hexadecimal),
        ]
        bits = "32"
        for key, mask, side in (
            ("arpsrcipaddr", "arpsrcipmask", sender),
            ("arpdstipaddr", "arpdstipmask", receiver),
        ):
            if key in facts:
                # As libvirt has it, the receiver's mask is the sender's where it has none of its own.
                bits = facts.number(mask) if mask in facts else bits
                found += [f"--arp-ip-{side}", *facts.sign(key), f"{facts.text(key)}/{bits}"]
        found += _one(facts, f"--arp-mac-{sender}", "arpsrcmacaddr", facts.text)
        found += _one(facts, f"--arp-mac-{receiver}", "arpdstmacaddr", facts.text)
        if facts.literally("gratuitous") == "true":
            found += [*facts.sign("gratuitous"), "--arp-gratuitous"]
        return found

    return words


def _packets(facts: Facts, reverse: bool, protocol: str, option: str) -> Words:
    """What IPv4 and IPv6 have in common."""
    sender, receiver = ("destination", "source") if reverse else ("source", "destination")
    return [
        *("-p", protocol),
        *_pair(facts, f"{option}-{sender}", "srcipaddr", "srcipmask", "/", facts.text),
        *_pair(facts, f"{option}-{receiver}", "dstipaddr", "dstipmask", "/", facts.text),
        *_one(facts, f"{option}-protocol", "protocol", facts.number),
        *_pair(facts, f"{option}-{sender}-port", "srcportstart", "srcportend", ":", facts.number),
        *_pair(facts, f"{option}-{receiver}-port", "dstportstart", "dstportend", ":", facts.number),
    ]


def _ip(facts: Facts, reverse: bool) -> Words:
    return [*_packets(facts, reverse, "ipv4", "--ip"), *_one(facts, "--ip-tos", "dscp", facts.hexadecimal)]


def _ipv6(facts: Facts, reverse: bool) -> Words:
    words = _packets(facts, reverse, "ipv6", "--ip6")
    if any(key in facts for key in ("type", "typeend", "code", "codeend")):
        message = f"{_range(facts, 'type', 'typeend')}/{_range(facts, 'code', 'codeend')}"
        words += ["--ip6-icmp-type", *facts.sign("type"), message]
    return words


def _range(facts: Facts, first: str, last: str) -> str:
    """Both ends; one value is a range of its own, none is all that there are."""
    low = facts.number(first) if first in facts else "0"
    high = facts.number(last) if last in facts else low if first in facts else "255"
    return f"{low}:{high}"


_PROTOCOLS: dict[type, Callable[[Facts, bool], Words]] = {
    MACMatch: _mac,
    VLANMatch: _vlan,
    STPMatch: _stp,
    ARPMatch: _arp("0x806"),
    RARPMatch: _arp("0x8035"),
    IPMatch: _ip,
    IPv6Match: _ipv6,
}
