"""Whether an object can be printed: its values are of the types its fields declare."""

from __future__ import annotations

from typing import Any

from virtcore.errors import ErrorDomain, XMLError
from virtcore.xml.declare import declaration
from virtcore.xml.plan import Slot, Wrap, plan_of
from virtcore.xml.problems import nearest
from virtcore.xml.scalars import STRING, Size

__all__ = ["check_types"]


def check_types(obj: object) -> None:
    """Refuses the first value whose type its field does not allow.

    :raises XMLError: names the place, the value and what is allowed.
    """
    _check(obj, f"/{declaration(type(obj)).name}")


def _check(obj: Any, path: str) -> None:
    plan = plan_of(type(obj))
    for group in plan.groups:
        if group.parent is None:
            held = getattr(obj, group.key)
            if held is not None:
                _expect(held, (group.cls,), f"{path}/{group.key}")
    _entries(plan.entries, obj, path)


def _entries(entries: list[Slot | Wrap], obj: Any, path: str) -> None:
    for entry in entries:
        if isinstance(entry, Wrap):
            _entries(entry.entries, obj, f"{path}/{entry.name}")
        elif entry.kind != "printed":
            _slot(entry, obj, path)


def _slot(slot: Slot, obj: Any, path: str) -> None:
    keys = [slot.key]
    group = slot.group
    while group is not None:
        keys.insert(0, group.key)
        group = group.parent
    exists = True
    for key in keys:
        if obj is None:
            return
        # The siblings that decide on a field are those of the object that holds it.
        only = (slot.field.only or {}) if key == slot.key else {}
        exists = all(getattr(obj, name) in tuple(allowed) for name, allowed in only.items())
        obj = getattr(obj, key, None)
    if obj is None and not (slot.field.required and exists):
        return
    where = f"{path}/@{slot.name}" if slot.kind == "attribute" else f"{path}/{slot.name}"
    if slot.many:
        _expect(obj, (list,), where)
    nested = slot.kind in ("child", "children", "union")
    for n, value in enumerate(obj if slot.many else (obj,), 1):
        at = f"{where}[{n}]" if slot.many else path if slot.field.inline else where
        if nested:
            _expect(value, slot.types, at)
            _check(value, at)
        elif slot.kind == "namespaces":
            _check(value, at)
        else:
            _expect(value, _scalar_types(slot), at)
            if slot.enum is not None and value not in slot.words and value not in slot.field.excluded:
                raise XMLError(
                    f"'{value}' is not one of {', '.join(slot.words)}",
                    domain=ErrorDomain.XML,
                    path=at,
                    value=value,
                    nearest=nearest(value, slot.words),
                )


def _scalar_types(slot: Slot) -> tuple[type, ...]:
    if slot.kind == "flag":
        return (bool,)
    if slot.enum is not None or slot.codec is STRING or slot.kind == "verbatim":
        return (str,)
    return (int,) if isinstance(slot.codec, Size) else slot.types


def _expect(value: object, kinds: tuple[type, ...], path: str) -> None:
    if value is None:
        raise XMLError("a value is missing", domain=ErrorDomain.XML, path=path)
    if kinds and not isinstance(value, kinds):
        allowed = ", ".join(kind.__qualname__ for kind in kinds)
        raise XMLError(
            f"a value of type {type(value).__qualname__} where {allowed} is expected", domain=ErrorDomain.XML, path=path
        )
