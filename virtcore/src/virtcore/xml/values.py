"""Scalars on their way in: what turns their text into values, with the checks a field adds."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from virtcore.errors import VirtError, XMLError
from virtcore.xml import problems
from virtcore.xml.codegen import Memo
from virtcore.xml.plan import Slot
from virtcore.xml.scalars import STRING

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["conversion", "plain", "read_size"]


def plain(value: object) -> object:
    return str(value.value) if isinstance(value, Enum) else value


def conversion(slot: Slot) -> Any:
    """What turns text into the slot's value: a mapping for few words and for numbers, else a function; None for
    plain text.
    """
    if slot not in _CONVERSIONS:
        _CONVERSIONS[slot] = _conversion(slot)
    return _CONVERSIONS[slot]


_CONVERSIONS: dict[Slot, Any] = {}


def _conversion(slot: Slot) -> Any:
    field = slot.field
    convert: Any
    if slot.enum is not None:
        return {str(member.value): member for member in slot.enum if member not in field.excluded}
    codec = slot.codec
    assert codec is not None
    if codec is STRING:
        return None
    if codec.words:
        return {word: codec.read(word) for word in codec.words}
    convert = codec.read
    if field.nonzero or field.minimum is not None or field.maximum is not None:
        read = codec.read
        low, high, nonzero = field.minimum, field.maximum, field.nonzero

        def checked(text: str) -> Any:
            value = read(text)
            if nonzero and value == 0:
                raise problems.Refusal(problems.ZERO)
            if low is not None and value < low:
                raise problems.Refusal("Expected non-negative value" if low == 0 else f"Expected a value from {low}")
            if high is not None and value > high:
                raise problems.Refusal(f"Expected a value up to {high}")
            return value

        convert = checked
    return Memo(convert) if codec.safe else convert


def read_size(slot: Slot, node: _Element, text: str, unit: str | None, xpath: str) -> int:
    """A size and its unit, with the field's checks."""
    codec = slot.size
    assert codec is not None
    try:
        return codec.read_size(text, unit, xpath if xpath != "." else f"./{problems.local(str(node.tag))}[1]")
    except VirtError as error:
        if slot.field.invalid is not None and isinstance(error, XMLError):
            problems.bad(slot, node, text)
        raise problems.locate(error, node) from None
