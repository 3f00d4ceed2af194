"""The names of :mod:`typing` that declarations use, for modules that a command loads before it has done anything.

Annotations are never evaluated here, and all that is left of such a name when a program runs is that it can be written.
Loading the real module takes longer than a call to a daemon. To type checkers these names are the real ones.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import (
        Any as Any,
        ClassVar as ClassVar,
        Final as Final,
        Generic as Generic,
        Literal as Literal,
        Protocol as Protocol,
        Self as Self,
        TextIO as TextIO,
        TypeAlias as TypeAlias,
        TypeVar as TypeVar,
        cast as cast,
        overload as overload,
    )
else:

    class _Word:
        """Says nothing, whatever it is combined with."""

        __slots__ = ()

        def __getitem__(self, _):
            return self

        __or__ = __ror__ = __getitem__

    class Generic:
        """A base that takes parameters."""

        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls

    class Protocol(Generic):
        """A base whose derived classes nobody makes objects of."""

        __slots__ = ()

    Any = ClassVar = Final = Literal = Self = TextIO = TypeAlias = _Word()

    def TypeVar(*_, **__):
        return Any

    def cast(_, value):
        return value

    def overload(_):
        return None


__all__ = [
    "TYPE_CHECKING",
    "Any",
    "ClassVar",
    "Final",
    "Generic",
    "Literal",
    "Protocol",
    "Self",
    "TextIO",
    "TypeAlias",
    "TypeVar",
    "cast",
    "overload",
]
