"""What differs between two objects, path by path."""

from __future__ import annotations

from typing import Any, NamedTuple

from virtcore.xml.declare import declaration
from virtcore.xml.plan import Slot, Wrap, plan_of

__all__ = ["Change", "diff"]


class Change(NamedTuple):
    """One difference.

    :ivar path: where, as ``/domain/devices/disk[2]/driver/@cache``.
    :ivar old: value before; None: absent. An object where a whole element came or went; ``***`` for secrets.
    :ivar new: value now.
    """

    path: str
    old: object
    new: object

    def __str__(self) -> str:
        return f"{self.path}: {self.old!r} -> {self.new!r}"


def diff(old: object, new: object) -> list[Change]:
    """The differences between two objects of the same class, in output order; empty when they are equal.

    Lists are compared position by position.

    :raises TypeError: objects of different classes.
    """
    if type(old) is not type(new):
        raise TypeError(f"cannot compare {type(old).__qualname__} with {type(new).__qualname__}")
    changes: list[Change] = []
    _compare(old, new, f"/{declaration(type(old)).name}", changes)
    return changes


def _compare(old: Any, new: Any, path: str, changes: list[Change]) -> None:
    _entries(plan_of(type(old)).entries, old, new, path, changes)
    if old.extra != new.extra:
        changes.append(Change(f"{path}/(unknown content)", old.extra, new.extra))


def _entries(entries: list[Slot | Wrap], old: Any, new: Any, path: str, changes: list[Change]) -> None:
    for entry in entries:
        if isinstance(entry, Wrap):
            _entries(entry.entries, old, new, f"{path}/{entry.name}", changes)
        elif entry.kind != "printed":
            _slot(entry, _held(entry, old), _held(entry, new), path, changes)


def _held(slot: Slot, obj: Any) -> Any:
    keys = []
    group = slot.group
    while group is not None:
        keys.append(group.key)
        group = group.parent
    for key in reversed(keys):
        obj = getattr(obj, key)
        if obj is None:
            return [] if slot.many else None
    return getattr(obj, slot.key)


def _slot(slot: Slot, old: Any, new: Any, path: str, changes: list[Change]) -> None:
    if old == new:
        return
    if slot.kind in ("child", "union", "children", "namespaces"):
        inline = slot.field.inline
        if not slot.many:
            _element(old, new, path if inline else f"{path}/{_name(slot, old if old is not None else new)}", changes)
            return
        counts: dict[str, int] = {}
        length = max(len(old), len(new))
        for n in range(length):
            one = old[n] if n < len(old) else None
            two = new[n] if n < len(new) else None
            name = _name(slot, one if one is not None else two)
            counts[name] = counts.get(name, 0) + 1
            if one != two:
                _element(one, two, f"{path}/{name}" + (f"[{counts[name]}]" if length > 1 else ""), changes)
        return
    if slot.field.secret:
        old, new = (None if value is None else "***" for value in (old, new))
    if slot.kind == "attribute" and slot.many and slot.field.within:
        where = f"{path}/{slot.field.within.rpartition('/')[2]}/@{slot.name}"
    elif slot.kind == "attribute":
        where = f"{path}/@{slot.name}"
    elif slot.kind == "text":
        where = f"{path}/text()"
    elif slot.kind == "flags":
        where = path
    else:
        where = f"{path}/{slot.name}"
        if slot.field.entry is not None:
            where += "[@{}='{}']".format(*slot.field.entry)
    changes.append(Change(where, old, new))


def _name(slot: Slot, value: object) -> str:
    return slot.field.name or declaration(type(value)).name or slot.name


def _element(old: Any, new: Any, path: str, changes: list[Change]) -> None:
    if old is not None and type(old) is type(new):
        _compare(old, new, path, changes)
    else:
        changes.append(Change(path, old, new))
