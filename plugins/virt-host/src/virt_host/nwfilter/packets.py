"""Rules about packets of IP, as arguments of iptables and ip6tables.

A rule is up to three: for what the guest sends others, for what it receives, and for what it sends the host. They
follow connections: what answers is let through by the rule that let the question.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_host.nwfilter.facts import Facts, Words
from virt_host.nwfilter.steps import PacketChain
from virtcore.model.nwfilter.filter import RuleAction, RuleDirection
from virtcore.model.nwfilter.match import (
    AHIPv6Match,
    AHMatch,
    AllIPv6Match,
    AllMatch,
    ESPIPv6Match,
    ESPMatch,
    ICMPMatch,
    ICMPv6Match,
    IGMPMatch,
    SCTPIPv6Match,
    SCTPMatch,
    TCPIPv6Match,
    TCPMatch,
    UDPIPv6Match,
    UDPLiteIPv6Match,
    UDPLiteMatch,
    UDPMatch,
)

if TYPE_CHECKING:
    from virtcore.model.nwfilter.filter import Rule

__all__ = ["packet_rules"]

_PROTOCOLS: dict[type, str] = {
    TCPMatch: "tcp",
    TCPIPv6Match: "tcp",
    UDPMatch: "udp",
    UDPIPv6Match: "udp",
    UDPLiteMatch: "udplite",
    UDPLiteIPv6Match: "udplite",
    ESPMatch: "esp",
    ESPIPv6Match: "esp",
    AHMatch: "ah",
    AHIPv6Match: "ah",
    SCTPMatch: "sctp",
    SCTPIPv6Match: "sctp",
    ICMPMatch: "icmp",
    ICMPv6Match: "icmpv6",
    IGMPMatch: "igmp",
    AllMatch: "all",
    AllIPv6Match: "all",
}

_ANSWERS, _ANY = "ESTABLISHED", "NEW,ESTABLISHED"


@dataclass(frozen=True, slots=True)
class _Chain:
    """One of the three chains, seen by a rule.

    :ivar kind: which of the three it is.
    :ivar inwards: the rule's addresses are exchanged in it.
    :ivar accept: what accepting is in it.
    :ivar states: the states that connections must have; None: they do not matter.
    :ivar follows: the states are those that follow from the rule's direction, not the rule's own.
    :ivar message_skipped: a rule about a certain message of ICMP is not for it.
    """

    kind: PacketChain
    inwards: bool
    accept: str
    states: str | None
    follows: bool
    message_skipped: bool


def packet_rules(rule: Rule, facts: Facts) -> Iterator[tuple[PacketChain, Words]]:
    """Chains, and what is to be done in them with which packets."""
    stated = facts.literally("state")
    if rule.statematch is False:
        chains = _followed(rule, states=False)
    elif stated:
        chains = _stated(rule, None if stated == "NONE" else stated)
    else:
        chains = _followed(rule, states=rule.direction is not RuleDirection.INOUT)
    for chain in chains:
        words = _words(rule, facts, chain)
        if words is not None:
            yield chain.kind, words


def _followed(rule: Rule, *, states: bool) -> list[_Chain]:
    """States of connections follow from the direction."""
    both = rule.direction is RuleDirection.INOUT
    inwards = rule.direction is not RuleDirection.OUT
    sent, received = (None, None) if not states else (_ANSWERS, _ANY) if inwards else (_ANY, _ANSWERS)
    return [
        _Chain(PacketChain.SENT, inwards, "RETURN", sent, True, inwards),
        _Chain(PacketChain.RECEIVED, not inwards, "ACCEPT", received, True, not inwards or both),
        _Chain(PacketChain.SENT_TO_HOST, inwards, "RETURN", sent, True, inwards),
    ]


def _stated(rule: Rule, states: str | None) -> list[_Chain]:
    """The rule says which states connections must have (or that they do not matter): it has its one direction only."""
    both = rule.direction is RuleDirection.INOUT
    inwards = rule.direction is not RuleDirection.OUT
    chains = []
    if both or not inwards:
        chains.append(_Chain(PacketChain.SENT, inwards, "RETURN", states, False, inwards))
    if inwards:
        chains.append(_Chain(PacketChain.RECEIVED, not inwards, "ACCEPT", states, False, both))
    if both or not inwards:
        chains.append(_Chain(PacketChain.SENT_TO_HOST, inwards, "RETURN", states, False, inwards))
    return chains


def _words(rule: Rule, facts: Facts, chain: _Chain) -> Words | None:
    cls = type(rule.matches[0])
    is_message = cls in (ICMPMatch, ICMPv6Match) and "type" in facts
    if is_message and chain.message_skipped:
        return None
    if chain.inwards and "connlimit_above" in facts:
        return None  # only what the guest opens is counted
    said = [*_sender(facts, chain), *_header(facts, chain), *_details(cls, facts, chain)]
    if chain.inwards and "srcmacaddr" in facts and not said:
        return None  # it was about the sender's MAC address only, and that is not the guest
    words = ["-p", _PROTOCOLS[cls], *said]
    target, tracked = chain.accept, chain.states is not None and "connlimit_above" not in facts
    if rule.action is not RuleAction.ACCEPT:
        target, tracked = rule.action.upper(), chain.states is not None and not chain.follows
    if tracked and chain.states is not None:
        words += ["-m", "conntrack", "--ctstate", chain.states]
        if chain.follows and not is_message and rule.direction is not RuleDirection.INOUT:
            words += ["-m", "conntrack", "--ctdir", "Reply" if chain.inwards else "Original"]
    return [*words, *_last(facts, chain), "-j", target]


def _sender(facts: Facts, chain: _Chain) -> Words:
    if chain.inwards or "srcmacaddr" not in facts:
        return []
    return ["-m", "mac", *facts.sign("srcmacaddr"), "--mac-source", facts.text("srcmacaddr")]


def _header(facts: Facts, chain: _Chain) -> Words:
    words: Words = []
    for side, (address, between) in (
        ("src", ("--destination", "--dst-range") if chain.inwards else ("--source", "--src-range")),
        ("dst", ("--source", "--src-range") if chain.inwards else ("--destination", "--dst-range")),
    ):
        if f"{side}ipaddr" in facts:
            words += [*facts.sign(f"{side}ipaddr"), address, _joined(facts, f"{side}ipaddr", f"{side}ipmask", "/")]
        elif f"{side}ipfrom" in facts:
            value = _joined(facts, f"{side}ipfrom", f"{side}ipto", "-")
            words += ["-m", "iprange", *facts.sign(f"{side}ipfrom"), between, value]
    if "dscp" in facts:
        words += ["-m", "dscp", *facts.sign("dscp"), "--dscp", facts.number("dscp")]
    return words


def _joined(facts: Facts, key: str, other: str, between: str) -> str:
    return facts.text(key) if other not in facts else f"{facts.text(key)}{between}{facts.text(other)}"


def _details(cls: type, facts: Facts, chain: _Chain) -> Words:
    """What only some protocols have."""
    words: Words = []
    if cls is TCPMatch and "flags" in facts:
        words += [*facts.sign("flags"), "--tcp-flags", *facts.text("flags").split("/")]
    for side, option in (
        ("src", "--dport" if chain.inwards else "--sport"),
        ("dst", "--sport" if chain.inwards else "--dport"),
    ):
        start, end = f"{side}portstart", f"{side}portend"
        if start in facts:
            ports = facts.number(start) if end not in facts else f"{facts.number(start)}:{facts.number(end)}"
            words += [*facts.sign(start), option, ports]
    if cls in (TCPMatch, TCPIPv6Match) and "option" in facts:
        words += [*facts.sign("option"), "--tcp-option", facts.number("option")]
    if cls in (ICMPMatch, ICMPv6Match) and "type" in facts:
        option = "--icmp-type" if cls is ICMPMatch else "--icmpv6-type"
        value = facts.number("type") if "code" not in facts else f"{facts.number('type')}/{facts.number('code')}"
        words += [*facts.sign("type"), option, value]
    return words


def _last(facts: Facts, chain: _Chain) -> Words:
    """What comes behind the state of the connection."""
    words: Words = []
    if "ipset" in facts and "ipsetflags" in facts:
        words += ["-m", "set", "--match-set", facts.text("ipset"), _set_flags(facts, chain)]
    if "connlimit_above" in facts and not chain.inwards:
        words += ["-m", "connlimit", *facts.sign("connlimit_above"), "--connlimit-above"]
        words.append(facts.number("connlimit_above"))
    if "comment" in facts:
        words += ["-m", "comment", "--comment", facts.text("comment")]
    return words


def _set_flags(facts: Facts, chain: _Chain) -> str:
    flags = facts.literally("ipsetflags")
    if flags is None:
        return facts.text("ipsetflags")
    exchanged = {"src": "dst", "dst": "src"}
    return ",".join(exchanged[flag] if chain.inwards else flag for flag in flags.split(","))
