"""From a filter and the filters it uses to the rules of one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_host.nwfilter.facts import accesses_of
from virt_host.nwfilter.variables import Access, Variables, collect
from virtcore.model.nwfilter.filter import DEFAULT_PRIORITY, Rule

if TYPE_CHECKING:
    from virtcore.model.nwfilter.filter import Filter

__all__ = ["Lookup", "PlacedRule", "ROOT", "missing_variables", "placed_rules"]

#: The chain that is always there.
ROOT = "root"
#: The definition behind a filter's name; raises where there is none.
Lookup = Callable[[str], "Filter"]


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule for one interface.

    :ivar chain: the chain it is in.
    :ivar chain_priority: which chains are looked at first.
    :ivar priority: which rules of a chain are.
    :ivar variables: the values of its variables.
    """

    rule: Rule
    chain: str
    chain_priority: int
    priority: int
    variables: Variables


def placed_rules(subject: Filter, variables: Mapping[str, Sequence[str]], lookup: Lookup) -> Iterator[PlacedRule]:
    """The rules of a filter and of those it uses, in order.

    :param variables: known to all of them; those of a reference are known to the filter it uses, where nobody said
        another value before.
    :raises VirtError: a filter is not there.
    """
    for entry in subject.entries:
        if isinstance(entry, Rule):
            priority = DEFAULT_PRIORITY if entry.priority is None else entry.priority
            yield PlacedRule(entry, subject.chain or ROOT, subject.priority or 0, priority, variables)
        else:
            assert entry.filter is not None  # completion has seen to that
            given = collect((each.name or "", each.value or "") for each in entry.parameters)
            yield from placed_rules(lookup(entry.filter), {**given, **variables}, lookup)


def missing_variables(rules: Sequence[PlacedRule]) -> list[Access]:
    """What rules say that there is no value for, each once."""
    return list(
        dict.fromkeys(
            access for placed in rules for access in accesses_of(placed.rule) if not access.available(placed.variables)
        )
    )
