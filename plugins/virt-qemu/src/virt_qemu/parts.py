"""Parts of documents, found wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeVar

__all__ = ["parts_of"]

P = TypeVar("P")


def parts_of(element: object, kind: type[P]) -> Iterator[P]:
    """Every element of a class that an element, or a list of some, has in it, however deep; itself first."""
    waiting = [element]
    while waiting:
        each = waiting.pop()
        if isinstance(each, kind):
            yield each
        cls: type = type(each)
        inner = each if isinstance(each, list) else [getattr(each, name) for name in _fields(cls)]
        waiting.extend(part for part in reversed(inner) if part is not None and not isinstance(part, str | int))


@cache
def _fields(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in getattr(cls, "__attrs_attrs__", ()))
