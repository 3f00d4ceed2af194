"""How typed parameters are declared: names, types, units and meaning, once per group.

A group is text, a parameter a line: name, type, unit (``-`` for none), meaning. A ``+`` after the type says that it may
be given several times, a ``!`` that its value is a secret. ``<n>`` in a name stands for a number or a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from virtcore._tuples import NamedTuple
from virtcore.enums.common import TypedParameterType
from virtcore.errors import ArgumentUnsupported, InvalidArg
from virtcore.types import TypedParameters, TypedValue

__all__ = ["Parameter", "ParameterGroup"]


class Parameter(NamedTuple):
    """A typed parameter."""

    #: Its name on the wire, e.g. ``hard_limit``.
    name: str
    type: TypedParameterType
    #: Such as ``KiB``, ``ns``; empty for none.
    unit: str
    doc: str
    #: It may be given several times.
    repeated: bool
    #: Its value never reaches logs.
    secret: bool


class ParameterGroup:
    """The typed parameters of one kind.

    :ivar name: what they are parameters of.
    :ivar doc: what they are about.
    """

    def __init__(self, name: str, doc: str, text: str) -> None:
        self.name = name
        self.doc = doc
        self._text = text

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every one, in the order of the declaration."""
        return tuple(_parse(line) for line in self._text.strip().splitlines())

    @cached_property
    def _exact(self) -> dict[str, Parameter]:
        return {parameter.name: parameter for parameter in self.parameters if "<" not in parameter.name}

    @cached_property
    def _patterns(self) -> list[tuple[re.Pattern[str], Parameter]]:
        return [
            (re.compile(re.sub(r"<\w+>", r"[^.]+", parameter.name.replace(".", r"\."))), parameter)
            for parameter in self.parameters
            if "<" in parameter.name
        ]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __repr__(self) -> str:
        return f"<parameters of {self.name}>"

    def get(self, name: str) -> Parameter | None:
        """The parameter that a name means; None when there is none."""
        found = self._exact.get(name)
        if found is not None:
            return found
        return next((parameter for pattern, parameter in self._patterns if pattern.fullmatch(name)), None)

    def typed(self, values: Mapping[str, TypedValue | Sequence[TypedValue]]) -> TypedParameters:
        """Values as typed parameters. What may be given several times may be a list.

        :raises ArgumentUnsupported: a name is not in the group.
        :raises InvalidArg: a value does not fit its type.
        """
        params = TypedParameters()
        for name, value in values.items():
            parameter = self.get(name)
            if parameter is None:
                raise _not_supported(name)
            several = parameter.repeated and not isinstance(value, str) and isinstance(value, Sequence)
            for one in value if several else (value,):  # type: ignore[union-attr]
                params.add(name, parameter.type, one)  # type: ignore[arg-type]
        return params

    def validate(self, params: TypedParameters, *names: str) -> None:
        """Refuse parameters that are unknown, of another type, or given twice, in libvirt's words.

        :param names: those that the caller supports; none for the whole group.
        :raises ArgumentUnsupported: one is not supported.
        :raises InvalidArg: one has the wrong type or is given twice.
        """
        last: str | None = None
        for name, kind, _ in sorted(params.rows(), key=lambda row: row[0]):
            parameter = self.get(name)
            if parameter is None or (names and parameter.name not in names):
                raise _not_supported(name)
            if name == last and not parameter.repeated:
                raise InvalidArg(f"parameter '{name}' occurs multiple times")
            if kind is not parameter.type:
                raise InvalidArg(
                    f"invalid type '{kind.name.lower()}' for parameter '{name}', "
                    f"expected '{parameter.type.name.lower()}'"
                )
            last = name


def _not_supported(name: str) -> ArgumentUnsupported:
    return ArgumentUnsupported(f"parameter '{name}' not supported")


def _parse(line: str) -> Parameter:
    name, kind, unit, doc = line.split(None, 3)
    return Parameter(
        name,
        TypedParameterType[kind.rstrip("+!")],
        "" if unit == "-" else unit,
        doc,
        "+" in kind,
        "!" in kind,
    )
