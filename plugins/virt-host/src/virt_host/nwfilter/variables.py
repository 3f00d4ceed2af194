"""Variables of network filters: which a rule needs, and every combination of their values that makes a rule of its own.

``$A`` and ``$B`` (short for ``$A[@0]`` and ``$B[@0]``) go through their lists side by side; ``$B[@1]`` goes through its
list once for every value of the others; ``$A[2]`` is one value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from virtcore.errors import InternalError

__all__ = ["Access", "Variables", "collect", "combinations", "is_access"]

#: Names of variables, with their lists of values.
Variables = Mapping[str, Sequence[str]]

_ACCESS = re.compile(r"\$([A-Za-z0-9_]*)(?:\[(@?)(\d+)\])?")


@dataclass(frozen=True, slots=True)
class Access:
    """What a rule says in place of a value.

    :ivar index: the value's place in the list; None: all of them.
    :ivar iterator: what goes through all of them; those of one number go side by side.
    """

    name: str
    index: int | None
    iterator: int = 0

    @classmethod
    def parse(cls, text: str) -> Access:
        """Read an access as filters print it."""
        found = _ACCESS.fullmatch(text)
        assert found is not None  # the reader of filters has seen to that
        name, iterator, number = found.groups()
        if number is not None and not iterator:
            return cls(name, int(number))
        return cls(name, None, int(number or 0))

    def available(self, variables: Variables) -> bool:
        """Whether there is a value for it."""
        values = variables.get(self.name)
        return values is not None and (self.index is None or self.index < len(values))

    def __str__(self) -> str:
        if self.index is not None:
            return f"{self.name}[{self.index}]"
        return f"{self.name}[@{self.iterator}]" if self.iterator else self.name


def is_access(text: str) -> bool:
    """Whether an attribute says a variable in place of a value."""
    return text.startswith("$")


def collect(parameters: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The lists that repeated names make."""
    found: dict[str, list[str]] = {}
    for name, value in parameters:
        found.setdefault(name, []).append(value)
    return found


@dataclass(slots=True)
class _Iterator:
    """A walk through lists, side by side.

    :ivar last: index of the last values.
    """

    last: int
    names: list[str] = field(default_factory=list)

    def places(self, variables: Variables) -> list[int]:
        """The indexes it stops at: no values, of all lists together, twice."""
        seen: set[tuple[str, ...]] = set()
        found = []
        for index in range(self.last + 1):
            values = tuple(variables[name][index] for name in self.names)
            if values not in seen:
                seen.add(values)
                found.append(index)
        return found


def combinations(accesses: Sequence[Access], variables: Variables) -> Iterator[Mapping[Access, str]]:
    """What the accesses of one rule stand for: once for every rule to be made of it. The walk that was named first
    is the fastest, but for that of ``@0``, which is faster still.

    :raises InternalError: a variable has no value, or lists that go side by side are not of one length.
    """
    walks: dict[int, _Iterator] = {}
    for access in sorted(accesses, key=lambda access: access.index is not None or access.iterator != 0):
        values = variables.get(access.name)
        if values is None:
            raise InternalError(f"Could not find value for variable '{access.name}'")
        if access.index is not None:
            if access.index >= len(values):
                raise InternalError(f"Could not get nth ({access.index}) value of variable '{access.name}'")
            continue
        last = len(values) - 1
        walk = walks.setdefault(access.iterator, _Iterator(last))
        if walk.last != last:
            raise InternalError("Cardinality of list items must be the same for processing them in parallel")
        walk.names.append(access.name)
    places = {key: walk.places(variables) for key, walk in walks.items()}
    for chosen in _product(list(places.items())):
        yield {
            access: variables[access.name][access.index if access.index is not None else chosen[access.iterator]]
            for access in accesses
        }


def _product(walks: list[tuple[int, list[int]]]) -> Iterator[dict[int, int]]:
    """Every choice of one place of each walk, the first walk the fastest."""
    if not walks:
        yield {}
        return
    *before, (key, places) = walks
    for place in places:
        for chosen in _product(before):
            yield {**chosen, key: place}
