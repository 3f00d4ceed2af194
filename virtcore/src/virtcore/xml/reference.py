"""What the declarations say, as rows: for reference pages, completion in shells, generators of test data."""

from __future__ import annotations

from typing import NamedTuple

from virtcore.xml.declare import declaration
from virtcore.xml.plan import Slot, Wrap, plan_of

_Class = type

__all__ = ["Row", "describe", "walk"]


class Row(NamedTuple):
    """One field.

    :ivar path: where it stands below its element (``@type``, ``driver``, ``features/acpi``).
    :ivar key: its name in Python, through embedded groups (``info.alias``).
    :ivar kind: the specifier.
    :ivar type: the value's type as declared.
    :ivar values: the words allowed, where they are few.
    :ivar classes: element classes it may hold.
    :ivar many: a list.
    """

    path: str
    key: str
    kind: str
    type: str
    values: tuple[str, ...]
    classes: tuple[_Class, ...]
    many: bool
    required: bool
    secret: bool
    since: str | None
    doc: str


def describe(cls: type) -> list[Row]:
    """The fields of an element class, in output order."""
    rows: list[Row] = []
    _describe(plan_of(cls).entries, "", rows)
    return rows


def walk(cls: type) -> list[type]:
    """All element classes that occur below a class, itself first."""
    found: dict[type, None] = {}
    waiting = [cls]
    while waiting:
        one = waiting.pop(0)
        if one in found:
            continue
        found[one] = None
        for row in describe(one):
            waiting.extend(row.classes)
    return list(found)


def _describe(entries: list[Slot | Wrap], path: str, rows: list[Row]) -> None:
    from virtcore.xml.declare import annotation_text

    for entry in entries:
        if isinstance(entry, Wrap):
            _describe(entry.entries, f"{path}{entry.name}/", rows)
            continue
        field = entry.field
        classes = entry.types if entry.kind in ("child", "children", "union") else ()
        if entry.kind == "attribute" and entry.many and field.within:
            where = f"{path}{field.within.rpartition('/')[2]}/@{entry.name}"
        elif entry.kind == "attribute" or (entry.kind == "printed" and field.as_ == "attribute"):
            where = f"{path}@{entry.name}"
        elif entry.kind in ("text", "flags", "namespaces") or field.inline:
            where = path.rstrip("/") or "."
        else:
            where = path + entry.name
        keys = [entry.key]
        group = entry.group
        while group is not None:
            keys.insert(0, group.key)
            group = group.parent
        rows.append(
            Row(
                where,
                ".".join(keys),
                entry.kind,
                "" if entry.kind == "printed" else annotation_text(field),
                entry.words,
                classes,
                entry.many,
                field.required,
                field.secret,
                field.since or declaration(plan_owner(entry)).since,
                field.doc,
            )
        )


def plan_owner(slot: Slot) -> type:
    owner = slot.field.owner
    assert owner is not None
    return owner
