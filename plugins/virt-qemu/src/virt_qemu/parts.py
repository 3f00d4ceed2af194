"""Parts of documents, found wherever they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

__all__ = ["parts_of"]

P = TypeVar("P")


def parts_of(element: object, kind: type[P]) -> Iterator[P]:
    """Every element of a class that an element, or a list of some, has in it, however deep; itself first."""
    if isinstance(element, kind):
        yield element
    if isinstance(element, list):
        for each in element:
            yield from parts_of(each, kind)
    else:
        for field in getattr(type(element), "__attrs_attrs__", ()):
            yield from parts_of(getattr(element, field.name), kind)
