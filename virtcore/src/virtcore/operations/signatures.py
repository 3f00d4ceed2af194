"""What an operation's declaration says of its arguments, without the standard library's machinery for any function:
loading that takes longer than a call to a daemon."""

from __future__ import annotations

from virtcore._quick_enum import Enum
from virtcore._tuples import NamedTuple
from virtcore._typing import Any, Callable

__all__ = ["EMPTY", "Parameter", "parameters_of"]


class Empty(Enum):
    """What stands for "has no default"."""

    EMPTY = "empty"


EMPTY = Empty.EMPTY


class Parameter(NamedTuple):
    """An argument as it is declared."""

    name: str
    #: The text of its type.
    annotation: str
    #: :data:`EMPTY` when it has to be given.
    default: Any


def parameters_of(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The arguments of a method that takes them by position or name, but for the object itself."""
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    defaults = function.__defaults__ or ()
    first = len(names) - len(defaults)
    annotations = function.__annotations__
    return {
        name: Parameter(name, annotations[name], defaults[at - first] if at >= first else EMPTY)
        for at, name in enumerate(names)
    }
