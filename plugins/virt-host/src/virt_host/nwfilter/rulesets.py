"""Whole changes of a firewall for one interface, as the steps they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virt_host.nwfilter import steps
from virt_host.nwfilter.facts import Facts, accesses_of, is_for_frames, is_for_ipv6
from virt_host.nwfilter.frames import BRIDGE_GROUP, frame_words
from virt_host.nwfilter.packets import packet_rules
from virt_host.nwfilter.steps import PACKET_LAYERS, Layer, Step
from virt_host.nwfilter.tree import ROOT, PlacedRule
from virt_host.nwfilter.variables import combinations
from virtcore.model.nwfilter.filter import RuleDirection

if TYPE_CHECKING:
    from virtcore.model.nwfilter.filter import Rule

__all__ = [
    "basic_rules",
    "dhcp_rules",
    "new_rules",
    "no_traffic",
    "remove_new_rules",
    "remove_rules",
    "take_places",
]

#: Beginnings of the names of chains, and the frames that go there.
_PROTOCOLS: dict[str, tuple[str, ...]] = {
    "ipv4": ("-p", "0x0800"),
    "ipv6": ("-p", "0x86dd"),
    "arp": ("-p", "0x0806"),
    "rarp": ("-p", "0x8035"),
    "mac": (),
    "vlan": ("-p", "0x8100"),
    "stp": ("-d", BRIDGE_GROUP),
}


@dataclass(frozen=True, slots=True)
class _Chain:
    """A chain below a root."""

    name: str
    priority: int
    incoming: bool
    jump: tuple[str, ...]


def new_rules(interface: str, rules: Sequence[PlacedRule], *, temporary: bool = True) -> Iterator[Step]:
    """Put rules into chains of an interface that are not there; from then on they count.

    :raises InternalError: one of them cannot be said.
    """
    # Python's sort is stable, as libvirt's is in practice: rules of one priority stay in order.
    ordered = [_behind_chain(rule) for rule in sorted(rules, key=lambda each: (each.chain != ROOT, each.priority))]
    yield from steps.remove_frames(interface, temporary=temporary)
    frames = [each for each in ordered if is_for_frames(each.rule)]
    sides = [side for side in (True, False) if any(side in _sides(each.rule) for each in frames)]
    for incoming in sides:
        yield from steps.new_frame_chain(interface, incoming=incoming, temporary=temporary)
    yield from _frame_rules(interface, frames, sides, temporary)
    for layer in PACKET_LAYERS:
        wanted = layer is Layer.IPV6
        packets = [each for each in ordered if not is_for_frames(each.rule) and is_for_ipv6(each.rule) == wanted]
        if packets:
            yield from _packet_rules(layer, interface, packets, temporary)
    for incoming in sides:
        yield steps.link_frames(interface, incoming=incoming, temporary=temporary)


def take_places(interface: str) -> Iterator[Step]:
    """Remove the lasting chains of an interface, and let the temporary ones take their places."""
    for layer in PACKET_LAYERS:
        yield from steps.remove_packets(layer, interface, temporary=False)
        yield from steps.take_places_of_packets(layer, interface)
    yield from steps.remove_frames(interface, temporary=False)
    yield from steps.take_places_of_frames(interface)


def remove_new_rules(interface: str) -> Iterator[Step]:
    """Remove the temporary chains of an interface."""
    for layer in PACKET_LAYERS:
        yield from steps.remove_packets(layer, interface, temporary=True)
    yield from steps.remove_frames(interface, temporary=True)


def remove_rules(interface: str) -> Iterator[Step]:
    """Remove all chains of an interface."""
    yield from remove_new_rules(interface)
    for layer in PACKET_LAYERS:
        yield from steps.remove_packets(layer, interface, temporary=False, post=True)
    yield from steps.remove_frames(interface, temporary=False)


# ----------------------------------------------------------------------------------- until the guest's address is known


def basic_rules(interface: str, mac: str, *, temporary: bool = True) -> Iterator[Step]:
    """The guest sends IPv4 and ARP as itself, and nothing else."""
    yield from _frames(
        interface,
        temporary,
        (
            ("-s", "!", mac, "-j", "DROP"),
            ("-p", "IPv4", "-j", "ACCEPT"),
            ("-p", "ARP", "-j", "ACCEPT"),
            ("-j", "DROP"),
        ),
    )


def dhcp_rules(interface: str, mac: str, servers: Sequence[str], *, temporary: bool = True) -> Iterator[Step]:
    """The guest asks servers of DHCP, and they answer.

    :param servers: their addresses; none: any.
    """
    udp = ("-p", "ipv4", "--ip-protocol", "udp")
    asked = ("-s", mac, *udp, "--ip-sport", "68", "--ip-dport", "67", "-j", "ACCEPT")
    sources: list[tuple[str, ...]] = [("--ip-src", server) for server in servers]
    answered = [
        ("-d", receiver, *udp, *source, "--ip-sport", "67", "--ip-dport", "68", "-j", "ACCEPT")
        for source in sources or [()]
        for receiver in (mac, "ff:ff:ff:ff:ff:ff")
    ]
    yield from _frames(interface, temporary, (asked, _DROP), (*answered, _DROP))


def no_traffic(interface: str, *, temporary: bool = True) -> Iterator[Step]:
    """The guest sends and gets nothing."""
    yield from _frames(interface, temporary, (_DROP,), (_DROP,))


_DROP = ("-j", "DROP")


def _frames(interface: str, temporary: bool, *sides: Sequence[tuple[str, ...]]) -> Iterator[Step]:
    """Roots with these rules: for what the guest sends, and, where given, for what it gets."""
    for incoming, rules in zip((True, False), sides, strict=False):
        yield from steps.new_frame_chain(interface, incoming=incoming, temporary=temporary)
        chain = steps.frame_chain(interface, None, incoming=incoming, temporary=temporary)
        for words in rules:
            yield Step(Layer.FRAMES, ("-t", "nat", "-A", chain, *words))
    for incoming, _ in zip((True, False), sides, strict=False):
        yield steps.link_frames(interface, incoming=incoming, temporary=temporary)


# ----------------------------------------------------------------------------------------------------- a filter's rules


def _behind_chain(placed: PlacedRule) -> PlacedRule:
    """Rules of a chain come when that is there."""
    if placed.chain == ROOT:
        return placed
    return replace(placed, priority=max(placed.priority, placed.chain_priority))


def _sides(rule: Rule) -> tuple[bool, ...]:
    """Whether a rule is for what the guest sends, for what it gets, or both."""
    return {RuleDirection.OUT: (True,), RuleDirection.IN: (False,), RuleDirection.INOUT: (True, False)}[rule.direction]


def _variants(placed: PlacedRule) -> Iterator[Facts]:
    for values in combinations(accesses_of(placed.rule), placed.variables):
        yield Facts(placed.rule, values)


def _packet_rules(layer: Layer, interface: str, rules: Sequence[PlacedRule], temporary: bool) -> Iterator[Step]:
    yield from steps.remove_packets(layer, interface, temporary=temporary)
    yield from steps.base_chains(layer)
    yield from steps.new_packet_chains(layer, interface, temporary=temporary)
    yield from steps.packets_go_on(layer, interface)
    for placed in rules:
        for facts in _variants(placed):
            for kind, words in packet_rules(placed.rule, facts):
                yield Step(layer, ("-A", kind.of(interface, temporary=temporary), *words))


def _frame_rules(interface: str, rules: Sequence[PlacedRule], sides: Sequence[bool], temporary: bool) -> Iterator[Step]:
    """Rules, each chain made before the first one that comes behind it."""
    left = _chains(rules, sides)
    for placed in rules:
        while left and left[0].priority <= placed.priority:
            yield from _make(interface, left.pop(0), temporary)
        for facts in _variants(placed):
            for incoming in _sides(placed.rule):
                suffix = None if placed.chain == ROOT else placed.chain
                chain = steps.frame_chain(interface, suffix, incoming=incoming, temporary=temporary)
                reverse = incoming and placed.rule.direction is RuleDirection.INOUT
                words = frame_words(placed.rule, facts, reverse=reverse)
                yield Step(Layer.FRAMES, ("-t", "nat", "-A", chain, *words))
    for last in left:
        yield from _make(interface, last, temporary)


def _make(interface: str, chain: _Chain, temporary: bool) -> Iterator[Step]:
    return steps.new_frame_chain(interface, chain.name, incoming=chain.incoming, temporary=temporary, jump=chain.jump)


def _chains(rules: Sequence[PlacedRule], sides: Sequence[bool]) -> list[_Chain]:
    found = []
    for incoming in sides:
        named = {each.chain: each.chain_priority for each in rules if incoming in _sides(each.rule)}
        for name, priority in sorted(named.items(), key=lambda item: item[1]):
            jump = next((jump for beginning, jump in _PROTOCOLS.items() if name.startswith(beginning)), None)
            if jump is not None:
                found.append(_Chain(name, priority, incoming, jump))
    return sorted(found, key=lambda chain: chain.priority)
