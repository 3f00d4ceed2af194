"""Some value of every type that operations and events declare."""

from __future__ import annotations

import enum
import inspect
import typing
from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any

from virtcore.enums.common import TypedParameterType
from virtcore.operations.wire.convert import declared
from virtcore.types import TypedParameters

__all__ = ["PARAMETERS", "UUID", "sample", "sample_event"]

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
PARAMETERS = TypedParameters(
    [
        ("count", TypedParameterType.UINT, 7),
        ("name", TypedParameterType.STRING, "text"),
        ("on", TypedParameterType.BOOLEAN, True),
    ]
)


def sample(annotation: object, name: str = "") -> Any:
    """Some value of a declared type."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is UnionType:
        return sample(inside[0] if inside[0] is not NoneType else inside[1], name)
    if origin is Sequence:
        return [sample(inside[0])]
    if origin is frozenset:
        return frozenset([0, 9])
    if origin is Mapping:
        return {sample(inside[0]): 5}
    kind = origin or annotation
    if name in ("uuid", "key") or kind is str:
        return UUID if name == "uuid" else f"some {name}"
    if kind is TypedParameters:
        return PARAMETERS
    if kind in (bool, int, bytes, NoneType):
        return {bool: True, int: 2, bytes: b"\0\xff", NoneType: None}[typing.cast(type, kind)]
    if isinstance(kind, enum.EnumMeta):
        return list(kind)[-1]
    fields = getattr(kind, "_fields", None)
    if fields is not None:
        hints = hints_of(typing.cast(type, kind))
        return typing.cast(Any, kind)(*[sample(hints[field], field) for field in fields])
    return object()  # a stream, which never enters a codec


def hints_of(kind: type) -> dict[str, object]:
    found = {}
    for field, text in inspect.get_annotations(kind).items():
        shown = getattr(text, "__forward_arg__", text)
        found[field] = object if shown == "S" else declared(shown) if isinstance(shown, str) else shown
    return found


def sample_event(kind: type[Any]) -> Any:
    """Some event of a class."""
    return kind(*[sample(hint, name) for name, hint in hints_of(kind).items()])
