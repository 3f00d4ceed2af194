"""Between the values of the codecs and the types that operations declare."""

from __future__ import annotations

import builtins
import sys
from types import NoneType, UnionType

import virtcore.enums
import virtcore.types
from virtcore._typing import Any, Callable, Iterable, Mapping, Sequence
from virtcore.errors import RPC, InvalidArg
from virtcore.operations import values
from virtcore.operations.declare import Operation
from virtcore.operations.families import family_of_reference

__all__ = ["converter", "cpu_bytes", "cpu_set", "declared", "result_type", "taken_apart", "to_wire"]

Tuple = tuple[Any, ...]


class _Names(dict[str, object]):
    """What the annotations of operations, values and events may name."""

    def __missing__(self, name: str) -> object:
        if hasattr(builtins, name):
            raise KeyError(name)
        for home in (virtcore.types, values, virtcore.enums):
            if hasattr(home, name):
                return getattr(home, name)
        from virtcore.operations import events, stream  # few calls need one

        for late in (events, stream):
            if hasattr(late, name):
                return getattr(late, name)
        raise KeyError(name)


_NAMES = _Names(Sequence=Sequence, Mapping=Mapping)


def declared(annotation: str) -> object:
    """The type that an annotation's text means."""
    return eval(annotation, {}, _NAMES)  # our own declarations


def _hints(kind: type) -> list[object]:
    """Types of a named tuple's fields."""
    home = vars(sys.modules[kind.__module__])
    return [eval(text, home, _NAMES) for text in kind.__annotations__.values()]  # as above


def taken_apart(annotation: object) -> tuple[object, tuple[Any, ...]]:
    """What a type with parameters is one of (``Sequence``, ``UnionType``, ...), and these; None and none for others."""
    inside: tuple[Any, ...] = getattr(annotation, "__args__", ())
    return UnionType if isinstance(annotation, UnionType) else getattr(annotation, "__origin__", None), inside


def result_type(operation: Operation) -> object:
    """The type of an operation's value."""
    found = declared(operation.returns)
    return NoneType if found is None else found


def converter(annotation: object) -> Callable[[Any], Any] | None:
    """What turns a value of the codecs into one of a declared type; None when they are the same."""
    if annotation is bool:
        return bool
    origin, inside = taken_apart(annotation)
    if origin is Sequence:
        inner = converter(inside[0])
        return None if inner is None else lambda items: [inner(item) for item in items]
    if origin is frozenset:
        return cpu_set
    if origin is Mapping:
        key = converter(inside[0])
        return lambda items: {name if key is None else key(name): value for name, value in items}
    if origin is UnionType:
        (one,) = (part for part in inside if part is not NoneType)
        plain = converter(one)
        return None if plain is None else lambda value: None if value is None else plain(value)
    kind = origin or annotation
    if not isinstance(kind, type):
        return None
    named = getattr(kind, "__members__", None)
    if named is not None:  # an enumeration
        from enum import IntFlag

        if issubclass(kind, IntFlag):
            return kind
        members = {member.value: member for member in named.values()}
        return lambda value: members.get(value, value)  # a newer peer may send values this version has no name for
    fields = getattr(kind, "_fields", None)
    if fields is None or family_of_reference(kind.__name__) is not None:
        return None
    hints = _hints(kind)
    inner_converters = [_text if hint is str else converter(hint) for hint in hints]

    def build(value: Tuple) -> Any:
        if len(value) != len(inner_converters):
            raise RPC(f"reply has {len(value)} results where {len(inner_converters)} are expected")
        pairs = zip(inner_converters, value, strict=True)
        return kind(*[item if convert is None else convert(item) for convert, item in pairs])

    return build


def to_wire(annotation: object) -> Callable[[Any], Any] | None:
    """What turns a value of a declared type into one of the codecs; None when they are the same."""
    origin, inside = taken_apart(annotation)
    if origin is Sequence:
        inner = to_wire(inside[0])
        return None if inner is None else lambda items: [inner(item) for item in items]
    if origin is frozenset:
        return cpu_bytes
    if origin is Mapping:
        return lambda items: list(items.items())
    kind = origin or annotation
    fields = getattr(kind, "_fields", None)
    if not isinstance(kind, type) or fields is None or family_of_reference(kind.__name__) is not None:
        return None
    inner_converters = [to_wire(hint) for hint in _hints(kind)]
    if not any(inner_converters):
        return None

    def build(value: Tuple) -> Tuple:
        pairs = zip(inner_converters, value, strict=True)
        return tuple([item if convert is None else convert(item) for convert, item in pairs])

    return build


def _text(value: str | bytes) -> str:
    """Text of an array of characters, which ends at its NUL."""
    return value if isinstance(value, str) else value.partition(b"\0")[0].decode("utf-8", "surrogateescape")


# -- sets of CPUs, which are little-endian bits


def cpu_set(raw: bytes) -> frozenset[int]:
    """The numbers of the bits that are set."""
    return frozenset(at for at in range(len(raw) * 8) if raw[at >> 3] >> (at & 7) & 1)


def cpu_bytes(cpus: Iterable[int], length: int | None = None) -> bytes:
    """Bits of CPUs' numbers.

    :param length: of the result; CPUs beyond it are left out. None for as long as they need.
    :raises InvalidArg: a number is negative.
    """
    bits = 0
    for cpu in cpus:
        if cpu < 0:
            raise InvalidArg(f"there is no CPU {cpu}", value=str(cpu))
        bits |= 1 << cpu
    if length is None:
        length = (bits.bit_length() + 7) // 8
    return (bits & ((1 << 8 * length) - 1)).to_bytes(length, "little")
