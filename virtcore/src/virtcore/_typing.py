"""The names of :mod:`typing` that declarations use, for modules that a command loads before it has done anything.

Annotations are never evaluated here, and all that is left of such a name when a program runs is that it can be written.
Loading the real module takes longer than a call to a daemon. Those of :mod:`collections.abc` are the real ones; only
the package above them, which takes its time too, is left alone. To type checkers all of them are real.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator as AsyncIterator,
        Awaitable as Awaitable,
        Callable as Callable,
        Collection as Collection,
        Container as Container,
        Coroutine as Coroutine,
        Generator as Generator,
        Iterable as Iterable,
        Iterator as Iterator,
        Mapping as Mapping,
        Sequence as Sequence,
        Sized as Sized,
    )
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
    from _collections_abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Container,
        Coroutine,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
        Sized,
    )

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
    "AsyncIterator",
    "Awaitable",
    "Callable",
    "ClassVar",
    "Collection",
    "Container",
    "Coroutine",
    "Final",
    "Generator",
    "Generic",
    "Iterable",
    "Iterator",
    "Literal",
    "Mapping",
    "Protocol",
    "Self",
    "Sequence",
    "Sized",
    "TextIO",
    "TypeAlias",
    "TypeVar",
    "cast",
    "overload",
]
