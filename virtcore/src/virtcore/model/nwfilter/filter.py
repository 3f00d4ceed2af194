"""``<filter>``: a network filter."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.xml import INT, UUID, Codec, attribute, children, element, extras, leaf
from virtcore.xml.scalars import Unreadable

if TYPE_CHECKING:
    from virtcore.model.nwfilter.match import AnyMatch
    from virtcore.model.nwfilter.reference import FilterReference
    from virtcore.xml import Extras

__all__ = ["DEFAULT_PRIORITY", "Filter", "Rule", "RuleAction", "RuleDirection"]

#: Priority of a rule that has none, or none that can be.
DEFAULT_PRIORITY = 500
HIGHEST_PRIORITY = 1000


def _read_priority(text: str) -> int:
    try:
        value = INT.read(text)
    except Unreadable:
        return DEFAULT_PRIORITY
    return value if -HIGHEST_PRIORITY <= value <= HIGHEST_PRIORITY else DEFAULT_PRIORITY


_PRIORITY: Codec[int] = Codec(
    _read_priority,
    "%d".__mod__,
    datatype='<data type="int"><param name="minInclusive">-1000</param><param name="maxInclusive">1000</param></data>',
    safe=True,
)
_STATEMATCH: Codec[bool] = Codec(
    lambda text: text != "0" and text.lower() != "false",
    {True: "true", False: "false"}.__getitem__,
    datatype="pattern:[Ff][Aa][Ll][Ss][Ee]|0",
    safe=True,
)


class RuleAction(StrEnum):
    """What happens to a packet."""

    DROP = "drop"
    ACCEPT = "accept"
    REJECT = "reject"
    RETURN = "return"
    CONTINUE = "continue"


class RuleDirection(StrEnum):
    """Which packets a rule is for, as the guest sees it."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


@element("rule", empty="keep")
class Rule:
    """What happens to some packets."""

    action: RuleAction = attribute(
        required=True,
        missing="rule node requires action attribute",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="unknown rule action attribute value",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="what happens",
    )
    direction: RuleDirection = attribute(
        required=True,
        missing="rule node requires direction attribute",
        missing_code=ErrorCode.INTERNAL_ERROR,
        invalid="unknown rule direction attribute value",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="to whom",
    )
    priority: int | None = attribute(codec=_PRIORITY, doc="lower comes first, -1000 to 1000; 500 by default")
    statematch: bool | None = attribute(
        codec=_STATEMATCH, omit=True, doc="false: the state of connections does not count", since="0.8.5"
    )
    matches: list[AnyMatch] = children(single=True, doc="which packets; all of one protocol")


@element("filter", root=True, empty="open", doc="A network filter.")
class Filter:
    name: str = attribute(
        required=True,
        blank=False,
        missing="filter has no name",
        code=ErrorCode.INTERNAL_ERROR,
        doc="Unique on its host.",
    )
    chain: str | None = attribute(blank=False, doc="Chain its rules are in: root, or a protocol's.")
    priority: int | None = attribute(
        codec=INT,
        blank=False,
        omit=0,
        invalid="Could not parse chain priority '{value}'",
        code=ErrorCode.INVALID_ARG,
        doc="Lower chains come first, -1000 to 1000; by default that of the chain's protocol.",
        since="0.9.8",
    )
    uuid: str | None = leaf(codec=UUID, invalid="malformed uuid element", doc="Unique everywhere.")
    entries: list[Rule | FilterReference] = children(doc="Rules, and other filters.")
    extra: Extras = extras()
