"""Whether an object has secrets in it, told without printing it."""

from __future__ import annotations

from virtcore.xml.declare import Declaration, materialise
from virtcore.xml.modes import Mode

__all__ = ["holds_secrets"]

#: Class -> names of its fields that only ``Mode.SECURE`` prints; None for what is no element.
_SECRET: dict[type, frozenset[str] | None] = {}


def holds_secrets(obj: object) -> bool:
    """Whether an object, or one below it, has a value where only ``Mode.SECURE`` prints one.

    :raises TypeError: it is no element.
    """
    if _secret_fields(type(obj)) is None:
        raise TypeError(f"{type(obj).__qualname__} is not an element class")
    left = [obj]
    while left:
        one = left.pop()
        kind = type(one)
        if kind is list:
            left.extend([value for value in one if type(value) not in _PLAIN])  # type: ignore[attr-defined]
            continue
        names = _SECRET[kind] if kind in _SECRET else _secret_fields(kind)
        if names is None:
            continue
        values = one.__dict__
        if names and any(values.get(name) not in _ABSENT for name in names):
            return True
        left.extend([value for value in values.values() if value and type(value) not in _PLAIN])
    return False


_ABSENT: tuple[object, ...] = (None, [])
#: What can neither be a secret nor have one below it: values, and elements without children; added as they are met.
_PLAIN: set[type] = {str, int, bool, float, type(None)}
#: Kinds of fields without elements below them.
_VALUES = frozenset({"attribute", "leaf", "text", "flag", "flags", "verbatim", "extras", "inherited", "printed"})


def _secret_fields(kind: type) -> frozenset[str] | None:
    declared = kind.__dict__.get("__virt_xml__")
    found = None
    leaf = True
    if isinstance(declared, Declaration):
        fields = materialise(kind).fields
        secret = [
            field for field in fields if field.secret or (field.when is not None and int(field.when) & Mode.SECURE)
        ]
        if any(field.kind == "printed" for field in secret):
            raise TypeError(f"{kind.__qualname__}: what is only printed cannot be secret")
        found = frozenset(field.key for field in secret)
        leaf = not found and all(field.kind in _VALUES for field in fields)
    if leaf:
        _PLAIN.add(kind)
    _SECRET[kind] = found
    return found
