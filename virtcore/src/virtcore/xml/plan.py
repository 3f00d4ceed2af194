"""From the fields of a class to what stands where: the tree that reading, printing, schema and reference are
generated from.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from virtcore.xml.declare import declaration, is_list, materialise, resolve
from virtcore.xml.fields import Field
from virtcore.xml.namespace import Namespace, private_class
from virtcore.xml.scalars import STRING, UINT, Codec, Size

__all__ = ["Group", "Plan", "Slot", "Wrap", "plan_of"]

SCALARS = ("attribute", "leaf", "text")


class Group:
    """An embedded object whose fields stand in the surrounding element."""

    __slots__ = ("cls", "key", "parent", "var")

    def __init__(self, key: str, cls: type, parent: Group | None, var: str) -> None:
        self.key = key
        self.cls = cls
        self.parent = parent
        self.var = var


class Slot:
    """A field at its place.

    :ivar name: its name in the XML, without namespace.
    :ivar names: all names that are read into it.
    :ivar group: the embedded object that holds it; None: the element itself.
    :ivar types: the classes its annotation names.
    :ivar enum: the enumeration, for scalars of that kind.
    :ivar many: holds a list.
    """

    __slots__ = ("_types", "codec", "enum", "field", "group", "key", "kind", "many", "name", "names")

    def __init__(self, field: Field, group: Group | None) -> None:
        self.field = field
        self.group = group
        self.key = field.key
        self.kind = field.kind
        self.name = field.name or field.key.rstrip("_")
        self.names: tuple[str, ...] = (self.name, *field.synonyms)
        self._types: tuple[type, ...] | None = None
        self.many = field.kind in ("children", "flags", "namespaces") or is_list(field)
        self.enum: type[Enum] | None = None
        self.codec: Codec[Any] | None = None
        if field.kind in SCALARS or field.kind == "flags":
            self.settle_scalar()
        elif field.kind in ("child", "children", "union") and field.name is None and not field.inline:
            named = tuple(dict.fromkeys(declaration(cls).name or "" for cls in self.types))
            self.names = (*named, *field.synonyms)
            self.name = named[0]

    @property
    def types(self) -> tuple[type, ...]:
        if self.field.point is not None and self.kind == "child":
            # Registered whenever the driver is first used.
            cls = private_class(self.field.point)
            return () if cls is None else (cls,)
        if self._types is None:
            self._types = resolve(self.field)
        return self._types

    def settle_scalar(self) -> None:
        if self.field.codec is not None:
            self.codec = self.field.codec
            return
        kinds = self.types
        if len(kinds) != 1:
            raise TypeError(f"{self}: needs codec=, its annotation names {len(kinds)} types")
        if issubclass(kinds[0], Enum) and issubclass(kinds[0], str):
            self.enum = kinds[0]
        elif kinds[0] is str:
            self.codec = STRING
        elif kinds[0] is int:
            self.codec = UINT
        else:
            raise TypeError(f"{self}: needs codec= for {kinds[0].__name__}")

    @property
    def words(self) -> tuple[str, ...]:
        """The values an enumeration or a boolean may have, as written."""
        if self.enum is not None:
            return tuple(str(m.value) for m in self.enum if m not in self.field.excluded)
        return self.codec.words if self.codec is not None else ()

    @property
    def size(self) -> Size | None:
        return self.codec if isinstance(self.codec, Size) else None

    def classes_for(self, name: str) -> list[type]:
        """The classes that a child element of this name may have."""
        if self.field.name is not None or name in self.field.synonyms:
            return list(self.types)
        return [cls for cls in self.types if declaration(cls).name == name]

    @property
    def tag_attributes(self) -> tuple[str, ...]:
        """Attributes of the nested element that select its class."""
        tag = self.field.tag
        tags = (tag,) if isinstance(tag, str) else tag or ()
        return tuple(t[1:] for t in tags if t.startswith("@"))

    @property
    def tags(self) -> tuple[str, ...]:
        tag = self.field.tag
        return (tag,) if isinstance(tag, str) else tag or ()

    def __str__(self) -> str:
        owner = self.field.owner
        return f"{owner.__qualname__ if owner else '?'}.{self.key}"


class Wrap:
    """A wrapper element without a class."""

    __slots__ = ("entries", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: list[Slot | Wrap] = []


class Plan:
    """The places of a class's fields."""

    __slots__ = ("cls", "declared", "entries", "groups")

    def __init__(self, cls: type) -> None:
        self.cls = cls
        self.declared = materialise(cls)
        self.groups: list[Group] = []
        self.entries: list[Slot | Wrap] = []
        self._fill(self.declared.fields, None)

    def _fill(self, fields: tuple[Field, ...], group: Group | None) -> None:
        for field in fields:
            if field.kind == "inline":
                (cls,) = resolve(field)
                inner = Group(field.key, cls, group, f"g{len(self.groups)}")
                self.groups.append(inner)
                self._fill(tuple(f for f in materialise(cls).fields if f.kind != "extras"), inner)
                continue
            if field.kind == "extras":
                continue
            path = field.within.split("/") if field.within else []
            slot = Slot(field, group)
            if path and slot.kind == "attribute" and slot.many:
                path.pop()
            entries = self.entries
            for name in path:
                last = entries[-1] if entries else None
                if not (isinstance(last, Wrap) and last.name == name):
                    if any(isinstance(e, Wrap) and e.name == name for e in entries):
                        raise TypeError(f"{slot}: fields within <{name}> must stand together")
                    last = Wrap(name)
                    entries.append(last)
                assert isinstance(last, Wrap)
                entries = last.entries
            entries.append(slot)

    def slots(self, entries: list[Slot | Wrap] | None = None) -> Iterator[Slot]:
        """All slots, those in wrappers included."""
        for entry in self.entries if entries is None else entries:
            if isinstance(entry, Wrap):
                yield from self.slots(entry.entries)
            else:
                yield entry

    def attribute_names(self) -> frozenset[str]:
        """Names of the attributes the class itself prints."""
        return frozenset(
            e.name
            for e in self.entries
            if isinstance(e, Slot)
            and ((e.kind == "attribute" and not e.field.within) or (e.kind == "printed" and e.field.as_ == "attribute"))
        )

    def inline_unions(self) -> list[Slot]:
        return [e for e in self.entries if isinstance(e, Slot) and e.kind == "union" and e.field.inline]

    def known(self) -> tuple[frozenset[str], frozenset[str]]:
        """Names of attributes and of child elements that belong to the element, those of inline members included."""
        attributes: set[str] = set()
        elements: set[str] = set()
        for entry in self.entries:
            if isinstance(entry, Wrap):
                elements.add(entry.name)
            elif entry.kind == "attribute" and entry.many:
                elements.add((entry.field.within or "").rpartition("/")[2])
            elif entry.kind == "attribute" or (entry.kind == "printed" and entry.field.as_ == "attribute"):
                attributes.update(entry.names)
                if entry.size is not None:
                    attributes.add(entry.size.unit_name)
            elif entry.kind == "text":
                if entry.size is not None:
                    attributes.add(entry.size.unit_name)
            elif entry.kind == "union" and entry.field.inline:
                attributes.update(entry.tag_attributes)
                for cls in entry.types:
                    more = plan_of(cls).known()
                    attributes |= more[0]
                    elements |= more[1]
            elif entry.kind != "namespaces":
                elements.update(entry.names)
        return frozenset(attributes), frozenset(elements)


_PLANS: dict[type, Plan] = {}


def plan_of(cls: type) -> Plan:
    """The plan of an element class, made on first use."""
    plan = _PLANS.get(cls)
    if plan is None:
        plan = _PLANS[cls] = Plan(cls)
    return plan


def qualified(name: str, ns: Namespace | None) -> str:
    """A name as lxml spells it."""
    return name if ns is None else f"{{{ns.uri}}}{name}"
