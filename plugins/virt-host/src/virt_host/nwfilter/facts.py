"""What a filter's rule says about packets, with values in place of variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

from virt_host.nwfilter.variables import Access, is_access
from virtcore.model.nwfilter.match import (
    AHIPv6Match,
    AllIPv6Match,
    ARPMatch,
    ESPIPv6Match,
    ICMPv6Match,
    IPMatch,
    IPv6Match,
    MACMatch,
    RARPMatch,
    SCTPIPv6Match,
    STPMatch,
    TCPIPv6Match,
    UDPIPv6Match,
    UDPLiteIPv6Match,
    VLANMatch,
)
from virtcore.model.nwfilter.rules import attributes_of
from virtcore.model.nwfilter.values import number_of

if TYPE_CHECKING:
    from virtcore.model.nwfilter.filter import Rule

__all__ = ["Facts", "Words", "accesses_of", "is_for_frames", "is_for_ipv6"]

#: Arguments of a firewall's command.
Words: TypeAlias = list[str]

_FRAMES = (MACMatch, VLANMatch, STPMatch, ARPMatch, RARPMatch, IPMatch, IPv6Match)
_IPV6 = (
    TCPIPv6Match,
    UDPIPv6Match,
    UDPLiteIPv6Match,
    ESPIPv6Match,
    AHIPv6Match,
    SCTPIPv6Match,
    ICMPv6Match,
    AllIPv6Match,
)


def is_for_frames(rule: Rule) -> bool:
    """Whether a rule is about frames, and not about packets of IP. One that says nothing is."""
    return not rule.matches or isinstance(rule.matches[0], _FRAMES)


def is_for_ipv6(rule: Rule) -> bool:
    """Whether a rule is about packets of IPv6."""
    return bool(rule.matches) and isinstance(rule.matches[0], _IPV6)


def _said(rule: Rule) -> Iterator[tuple[str, str, bool]]:
    """Attributes of the rule's elements, what they say, and whether that is what packets must not be."""
    for match in rule.matches:
        for key in attributes_of(type(match)):
            value = getattr(match, key)
            if value is not None:
                yield key, value, bool(match.negated)


def accesses_of(rule: Rule) -> list[Access]:
    """The variables a rule needs, in order, each once."""
    return list(dict.fromkeys(Access.parse(value) for _, value, _ in _said(rule) if is_access(value)))


class Facts:
    """What one rule says.

    :param rule: a rule of a complete filter.
    :param values: what its variables are.
    """

    def __init__(self, rule: Rule, values: Mapping[Access, str]) -> None:
        self._said = {key: (value, negated) for key, value, negated in _said(rule)}
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._said

    def text(self, key: str) -> str:
        """What an attribute says."""
        value = self._said[key][0]
        return self._values[Access.parse(value)] if is_access(value) else value

    def number(self, key: str) -> str:
        """What an attribute says, in decimal; a variable's value as it is."""
        value = self._said[key][0]
        return self.text(key) if is_access(value) else str(number_of(value))

    def hexadecimal(self, key: str) -> str:
        """What an attribute says, in hexadecimal; a variable's value as it is."""
        value = self._said[key][0]
        return self.text(key) if is_access(value) else f"{number_of(value):#x}"

    def literally(self, key: str) -> str | None:
        """What an attribute itself says; None where it says a variable, or nothing."""
        value = self._said.get(key, (None, False))[0]
        return None if value is None or is_access(value) else value

    def negated(self, key: str) -> bool:
        """Whether packets must not be what an attribute says."""
        return key in self._said and self._said[key][1]

    def sign(self, key: str) -> Words:
        """What a command has for that."""
        return ["!"] if self.negated(key) else []
