"""What libvirt's parser fills into a network filter, and what it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

from virtcore.errors import ErrorDomain, InternalError, InvalidArg
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.nwfilter.filter import DEFAULT_PRIORITY, HIGHEST_PRIORITY, Filter, Rule
from virtcore.model.nwfilter.match import (
    AllIPv6Match,
    AllMatch,
    AnyMatch,
    ARPMatch,
    IPMatch,
    IPv6Match,
    MACMatch,
    RARPMatch,
    STPMatch,
    VLANMatch,
)
from virtcore.model.nwfilter.reference import FilterReference, settle_parameters
from virtcore.model.nwfilter.values import IP_PROTOCOLS
from virtcore.xml import Stage, declaration
from virtcore.xml.declare import materialise

__all__ = ["FilterRules"]

_ROOT = "root"
#: Beginnings of the names of chains, with the priority of the chain.
_CHAINS = {
    "mac": -800,
    "vlan": -750,
    "stp": 0,
    "arp": -500,
    "rarp": -400,
    "ipv4": -700,
    "ipv6": -600,
}
_CHAIN_NAME = re.compile("[a-zA-Z0-9_.:-]*")
#: Longest name of a chain: what is left of the 31 bytes of a table's name beside prefix and interface.
_CHAIN_LIMIT = 12

#: Attributes that are turned around together with another one: by protocol, as libvirt has it.
_FRAMES = {"srcmacmask": "srcmacaddr", "dstmacmask": "dstmacaddr"}
_PACKETS = {
    "srcipmask": "srcipaddr",
    "dstipmask": "dstipaddr",
    "srcipto": "srcipfrom",
    "dstipto": "dstipfrom",
    "typeend": "type",
    "code": "type",
    "codeend": "type",
}
_TRANSPORT = {
    **_PACKETS,
    "srcportend": "srcportstart",
    "dstportstart": "srcportstart",
    "dstportend": "srcportstart",
}
_SPANNING_TREE = {
    **_FRAMES,
    "root_priority_hi": "root_priority",
    "root_address_mask": "root_address",
    "root_cost_hi": "root_cost",
    "sender_priority_hi": "sender_priority",
    "sender_address_mask": "sender_address",
    "port_hi": "port",
    "age_hi": "age",
    "max_age_hi": "max_age",
    "hello_time_hi": "hello_time",
    "forward_delay_hi": "forward_delay",
}
_FOLLOWS: dict[type, dict[str, str]] = {
    MACMatch: _FRAMES,
    VLANMatch: _FRAMES,
    STPMatch: _SPANNING_TREE,
    ARPMatch: {},
    RARPMatch: {},
    IPMatch: _PACKETS,
    IPv6Match: _PACKETS,
}
_PORTS = ("srcportstart", "srcportend", "dstportstart", "dstportend")


def complete_chain(subject: Filter, context: DefinitionContext) -> None:
    """The chain, and its priority among the others.

    :raises InvalidArg: no such chain can be.
    """
    if subject.priority is not None and abs(subject.priority) > HIGHEST_PRIORITY:
        raise InvalidArg(
            f"Priority '{subject.priority}' is outside valid range of [-{HIGHEST_PRIORITY},{HIGHEST_PRIORITY}]",
            path="/filter/@priority",
        )
    if subject.chain is None:
        # A priority counts together with a chain.
        subject.chain, subject.priority = _ROOT, None
        return
    beginning = _chain_of(subject.chain)
    if subject.priority is None and beginning != _ROOT:
        subject.priority = _CHAINS[beginning]


def _chain_of(name: str) -> str:
    if len(name.encode()) > _CHAIN_LIMIT:
        raise InvalidArg(f"Name of chain is longer than {_CHAIN_LIMIT} characters", path="/filter/@chain", value=name)
    if _CHAIN_NAME.fullmatch(name) is None:
        raise InvalidArg("Chain name contains invalid characters", path="/filter/@chain", value=name)
    if name == _ROOT:
        return name
    beginning = next((chain for chain in _CHAINS if name.startswith(chain)), None)
    if beginning is None:
        raise InvalidArg(
            f"Invalid chain name '{name}'. Please use a chain name called '{_ROOT}' or any of the following prefixes: "
            + ", ".join(_CHAINS),
            path="/filter/@chain",
            value=name,
        )
    return beginning


def complete_uuid(subject: Filter, context: DefinitionContext) -> None:
    """A filter that has no UUID gets one."""
    if subject.uuid is None:
        subject.uuid = str(context.new_uuid())


def complete_entries(subject: Filter, context: DefinitionContext) -> None:
    """Rules and other filters."""
    for number, entry in enumerate(subject.entries, 1):
        path = f"/filter/*[{number}]"
        if isinstance(entry, FilterReference):
            if entry.filter is None:
                raise InternalError("rule node requires action attribute", path=path)
            settle_parameters(entry)
        else:
            _settle_rule(entry, path)


def _settle_rule(rule: Rule, path: str) -> None:
    if rule.priority is None:
        rule.priority = DEFAULT_PRIORITY
    if not rule.matches:
        return
    # The first element decides on the protocol; what others say is added, attribute by attribute.
    cls = type(rule.matches[0])
    found: dict[str, tuple[str, bool]] = {}
    for match in rule.matches:
        if type(match) is cls:
            for key in attributes_of(cls):
                value = getattr(match, key)
                if value is not None:
                    found[key] = (value, bool(match.negated))
            _verify_ports(cls, found, path)
    _align(cls, found)
    signs = {negated for _, negated in found.values()} or {False}
    rule.matches = [_match(cls, found, sign) for sign in (False, True) if sign in signs]


def _match(cls: type[AnyMatch], found: dict[str, tuple[str, bool]], negated: bool) -> AnyMatch:
    """An element with the attributes of one sign."""
    made = cls(negated=negated)
    for key, (value, sign) in found.items():
        if sign == negated:
            setattr(made, key, value)
    return made


_ATTRIBUTES: dict[type, tuple[str, ...]] = {}


def attributes_of(cls: type) -> tuple[str, ...]:
    """The names of the fields with a protocol's attributes, in order."""
    if cls not in _ATTRIBUTES:
        _ATTRIBUTES[cls] = tuple(
            field.key for field in materialise(cls).fields if field.kind == "attribute" and field.key != "negated"
        )
    return _ATTRIBUTES[cls]


def _align(cls: type, found: dict[str, tuple[str, bool]]) -> None:
    """Attributes that belong together are turned around together."""
    for key, leader in _FOLLOWS.get(cls, _TRANSPORT).items():
        if key in found:
            found[key] = (found[key][0], leader in found and found[leader][1])
    # libvirt also drops a set whose flags are given, but for <all>, and with it what the rule was about.
    if cls not in (AllMatch, AllIPv6Match) and "ipset" in found and "ipsetflags" not in found:
        found["ipsetflags"] = ("src", False)


def _verify_ports(cls: type, found: dict[str, tuple[str, bool]], path: str) -> None:
    """Ports are those of a protocol that has them."""
    if cls not in (IPMatch, IPv6Match) or not any(port in found for port in _PORTS):
        return
    protocol = found["protocol"][0] if "protocol" in found else ""
    number = IP_PROTOCOLS.get(protocol)
    if number is None and protocol and not protocol.startswith("$"):
        number = int(protocol, 0)
    if number not in (6, 17, 33, 132):
        level = "IP" if cls is IPMatch else "IPv6"
        raise InternalError(
            f"{level} rule with port specification requires protocol specification with protocol to be either one of "
            "tcp(6), udp(17), dccp(33), or sctp(132)",
            path=f"{path}/{declaration(cls).name}",
        )


def _stage(name: str, step: Callable[[Filter, DefinitionContext], None]) -> Stage:
    return Stage(name, lambda rules, subject, context: step(subject, context))


class FilterRules(DefinitionRules[Filter, DefinitionContext]):
    """Completion of network filters, the same for every driver."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.NWFILTER
    completion: ClassVar[tuple[Stage, ...]] = (
        _stage("chain", complete_chain),
        _stage("uuid", complete_uuid),
        _stage("entries", complete_entries),
    )
