"""The readers of element classes: source text written from a class's plan, compiled on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from virtcore.errors import VirtError
from virtcore.xml import problems
from virtcore.xml.codegen import Source
from virtcore.xml.declare import declaration
from virtcore.xml.namespace import Namespace, private_class, registered
from virtcore.xml.plan import Group, Plan, Slot, Wrap, plan_of, qualified
from virtcore.xml.subtree import capture
from virtcore.xml.values import conversion, plain, read_size

__all__ = ["reader_of"]

Reader = Callable[..., Any]

#: Kinds of attributes that are understood when all attributes are known.
DEFERRED = ("unit", "size", "shared")

_READERS: dict[tuple[type, Namespace | None, tuple[str, ...]], Reader] = {}


def reader_of(cls: type, ns: Namespace | None = None, tags: tuple[str, ...] = ()) -> Reader:
    """The generated reader of a class: ``reader(node, reading, items=None, nodes=None)``; the last two for members
    that stand in
    another element, of which they get a part.

    :param tags: attributes that only say which member of a union it is.
    """
    ns = declaration(cls).ns or ns
    key = (cls, ns, tags)
    found = _READERS.get(key)
    if found is None:
        found = _READERS[key] = _ReaderSource(plan_of(cls), ns, tags).build()
    return found


def _new_group(cls: type, key: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Makes an embedded object inside its owner and returns its dictionary."""
    new: Callable[[type], Any] = object.__new__
    lists = [slot.key for slot in plan_of(cls).slots() if slot.many]

    def make(holder: dict[str, Any]) -> dict[str, Any]:
        made = holder[key] = new(cls)
        values: dict[str, Any] = made.__dict__
        for name in lists:
            values[name] = []
        return values

    return make


class Members(dict[Any, Any]):
    """Tag to reader of a union's members; None for tags without a member. The classes are looked at on the first
    miss.
    """

    def __init__(self, slot: Slot, name: str | None, ns: Namespace | None) -> None:
        self.slot = slot
        self.name = name
        self.ns = ns
        self._classes: dict[Any, type] | None = None

    @property
    def classes(self) -> dict[Any, type]:
        """By tag, in plain strings, so that enumerations and their values are equal."""
        if self._classes is None:
            table: dict[Any, type] = {}
            for cls in self.slot.types if self.name is None else self.slot.classes_for(self.name):
                for tag in declaration(cls).tags:
                    key = tuple(plain(part) for part in tag) if isinstance(tag, tuple) else plain(tag)
                    other = table.setdefault(key, cls)
                    if other is not cls:
                        raise TypeError(
                            f"{self.slot}: {other.__qualname__} and {cls.__qualname__} share the tag {key!r}"
                        )
            self._classes = table
        return self._classes

    @property
    def words(self) -> tuple[str, ...]:
        """The tags there are."""
        return tuple(sorted({key if isinstance(key, str) else str(key[-1]) for key in self.classes}))

    def __missing__(self, tag: Any) -> Any:
        cls = self.classes.get(tag)
        if cls is None:
            return None
        found = self[tag] = self.entry(cls)
        return found

    def entry(self, cls: type) -> Any:
        return reader_of(cls, self.ns, self.slot.tag_attributes)


class InlineMembers(Members):
    """Tag to (reader, its attributes, its elements) of members that stand in the surrounding element."""

    def entry(self, cls: type) -> Any:
        attributes, elements = plan_of(cls).known()
        return reader_of(cls, self.ns), attributes, frozenset(qualified(name, self.ns) for name in elements)


class _ReaderSource:
    """Writes the reader of one class."""

    def __init__(self, plan: Plan, ns: Namespace | None, tags: tuple[str, ...]) -> None:
        self.plan = plan
        self.ns = ns
        self.tags = tags
        self.code = Source("read", f"read {plan.cls.__qualname__}")
        self.lists: dict[int, str] = {}
        self.post: list[Callable[[], None]] = []
        self.order: dict[str, str] = {}
        self.inline = plan.inline_unions()

    # -- whole function

    def build(self) -> Reader:
        code, plan = self.code, self.plan
        code.names.update(
            new=object.__new__,
            C=plan.cls,
            PLAN=plan,
            ORDER=self.order,
            VirtError=VirtError,
            BAD=(KeyError, ValueError, VirtError),
            bad=problems.bad,
            bad_tag=problems.bad_tag,
            missing=problems.missing,
            refused=problems.refused,
            string=problems.string,
            locate=problems.locate,
            unknown_attribute=problems.unknown_attribute,
            unknown_element=problems.unknown_element,
            attribute_of_leaf=problems.attribute_of_leaf,
        )
        code.indent("def read(e, x, items=None, nodes=None):")
        code("o = new(C)")
        code("d = o.__dict__")
        code("keep = x.keep")
        if any(slot.field.read is not None for slot in plan.slots()):
            code("mode = x.mode")
        for slot in plan.slots():
            if slot.many and slot.group is None:
                name = f"l{len(self.lists)}"
                self.lists[id(slot)] = name
                code(f"{name} = d[{slot.key!r}] = []")
        for group in plan.groups:
            code(f"{group.var} = None")
        for slot in plan.slots():
            if self.is_late(slot) and not slot.field.inline:
                code(f"p_{slot.key} = None")
        if self.inline:
            code("ra = []")
            code("rn = []")
        self.scope(plan.entries, "e", "items", "nodes", "", 0)
        for late in self.post:
            late()
        for slot in self.inline:
            self.inline_union(slot)
        if self.inline:
            code.indent("if keep or rn:")
            code.indent("for k, v in ra:")
            code("unknown_attribute(x, d, k, v)")
            code.dedent()
            code.indent("for c in rn:")
            code("unknown_element(x, PLAN, d, c, ORDER)")
            code.dedent()
            code.dedent()
        if plan.declared.after_parse is not None:
            hook = code.bind("hook", plan.declared.after_parse)
            code.indent("try:")
            code(f"{hook}(o)")
            code.dedent()
            code.indent("except VirtError as error:")
            code("raise locate(error, e)")
            code.dedent()
        code("return o")
        code.dedent()
        return code.compile()

    # -- where values go

    def holder(self, group: Group | None) -> str:
        return "d" if group is None else group.var

    def ensure(self, group: Group | None) -> None:
        if group is None:
            return
        self.ensure(group.parent)
        make = self.code.bind("G", _new_group(group.cls, group.key))
        self.code(f"if {group.var} is None: {group.var} = {make}({self.holder(group.parent)})")

    def sibling(self, key: str, default: object = None) -> str:
        """The value of another field of the class, or of the same group."""
        for slot in self.plan.slots():
            if slot.key == key:
                where = self.holder(slot.group)
                value = f"{where}.get({key!r})" if slot.group is None else f"({where} or ()) and {where}.get({key!r})"
                if default is not None:
                    fallback = self.code.bind("D", default)
                    return f"({value} or {fallback})"
                return value
        raise TypeError(f"{self.plan.cls.__qualname__} has no field {key!r}")

    def condition(self, slot: Slot) -> str | None:
        """Whether the field exists, by its ``only``."""
        if slot.field.only is None:
            return None
        parts = []
        for key, values in slot.field.only.items():
            parts.append(f"{self.sibling(key)} in {self.code.bind('S', frozenset(values))}")
        return " and ".join(parts)

    # -- an element's content

    def scope(
        self,
        entries: list[Slot | Wrap],
        node: str,
        items: str | None,
        nodes: str | None,
        within: str,
        depth: int,
    ) -> None:
        """Code that reads one element: its attributes, text, children."""
        code = self.code
        attributes = self.attribute_cases(entries)
        if not within:
            for name in self.tags:
                attributes.setdefault(name, (None, "ignored"))
        k, v, c, t = (f"{letter}{depth}" if depth else letter for letter in "kvct")
        iterable = f"{node}.items()" if items is None else f"{node}.items() if {items} is None else {items}"
        where = f", {within!r}" if within else ""
        unknown = f"unknown_attribute(x, d, {k}, {v}{where})"
        inlined = bool(self.inline) and not within
        slots_by_name = {name: slot for name, (slot, _) in attributes.items() if slot is not None}
        table = code.bind("A", slots_by_name)
        raws = [self.raw(kind, name, node) for name, (_, kind) in attributes.items() if kind in DEFERRED]
        if raws:
            code(" = ".join(raws) + " = None")
        if attributes or inlined:
            code.indent("try:")
            code.indent(f"for {k}, {v} in {iterable}:")
            cases = [
                (name, self.attribute_body(name, slot, kind, v, node)) for name, (slot, kind) in attributes.items()
            ]
            code.branch(k, cases, lambda: code(f"ra.append(({k}, {v}))" if inlined else f"if keep: {unknown}"))
            code.dedent()
            code.dedent()
            code.indent("except BAD as error:")
            code(f"bad({table}[{k}], {node}, {v}, {k}, error)")
            code.dedent()
        else:
            code.indent("if keep:" if items is None else f"if keep and {items} is None:")
            code.indent(f"for {k}, {v} in {node}.items():")
            code(unknown)
            code.dedent()
            code.dedent()
        self.after_attributes(entries, node, depth)
        for entry in entries:
            if isinstance(entry, Slot) and entry.kind == "text":
                self.text(entry, node, v)
        children = self.child_cases(entries, c, t, within, depth)
        catch_all = next((e for e in entries if isinstance(e, Slot) and e.kind == "flags"), None)
        spaces = next((e for e in entries if isinstance(e, Slot) and e.kind == "namespaces"), None)
        unknown_child = f"unknown_element(x, PLAN, d, {c}, ORDER{where})"
        has_text = any(isinstance(e, Slot) and e.kind == "text" for e in entries)
        listed = f"{node}[:]" if nodes is None else f"({node}[:] if {nodes} is None else {nodes})"
        if not children and catch_all is None and spaces is None and not inlined:
            # What stands in a text is part of it for libvirt, and must not be lost where nothing may be.
            some = f"keep and len({node})" if has_text else f"len({node})"
            code.indent(f"if {some}:" if nodes is None else f"if {some} and {nodes} is None:")
            code.indent(f"for {c} in {node}[:]:")
            code(unknown_child)
            code.dedent()
            code.dedent()
        else:
            code.indent(f"for {c} in {listed}:")
            code(f"{t} = {c}.tag")

            def otherwise() -> None:
                if catch_all is not None:
                    self.flag_name(catch_all, c, t, unknown_child)
                elif spaces is not None:
                    at = code.bind("P", registered(spaces.field.point or ""))
                    code.names.update(reader_of=reader_of, declaration=declaration)
                    code.indent(f"if {t} in {at}:")
                    code(f"{self.lists[id(spaces)]}.append(reader_of({at}[{t}], declaration({at}[{t}]).ns)({c}, x))")
                    code.dedent()
                    code("elif keep: " + unknown_child)
                elif inlined:
                    code(f"rn.append({c})")
                else:
                    code(unknown_child)

            code.branch(t, children, otherwise)
            code.dedent()
        if catch_all is not None:
            assert catch_all.enum is not None
            order = code.bind("E", {member: n for n, member in enumerate(catch_all.enum)})
            made = "" if catch_all.group is None else f"if {catch_all.group.var} is not None: "
            code(f"{made}{self.target_list(catch_all)}.sort(key={order}.__getitem__)")
        for entry in entries:
            if not isinstance(entry, Slot) or not entry.field.required:
                continue
            if entry.kind not in ("attribute", "text"):
                self.require(entry, node)
            if within:
                # Where the wrapper itself is absent.
                self.post.append(partial(self.require, entry, "e"))

    def require(self, slot: Slot, node: str) -> None:
        def emit() -> None:
            condition = self.condition(slot)
            where = self.holder(slot.group)
            absent = (
                f"{slot.key!r} not in {where}" if slot.group is None else f"not {where} or {slot.key!r} not in {where}"
            )
            if slot.many:
                absent = f"not {where}[{slot.key!r}]"
            guard = f"({condition}) and ({absent})" if condition else absent
            self.code(f"if {guard}: missing({self.code.bind('s', slot)}, {node})")

        # What is decided after the loops can only be missed after them.
        if slot.kind == "union":
            self.post.append(emit)
        else:
            emit()

    # -- attributes

    def attribute_cases(self, entries: list[Slot | Wrap]) -> dict[str, tuple[Slot | None, str]]:
        cases: dict[str, tuple[Slot | None, str]] = {}
        printed: list[Slot] = []
        for entry in entries:
            if isinstance(entry, Wrap):
                continue
            if entry.kind == "attribute" and not (entry.many and entry.field.within):
                for name in entry.names:
                    if name in cases:
                        if entry.field.only is None or entry.size is not None:
                            raise TypeError(f"{entry}: attribute {name!r} is declared twice")
                        cases[name] = (entry, "shared")
                    else:
                        cases[name] = (entry, "size" if entry.size is not None else "value")
                if entry.size is not None:
                    cases.setdefault(entry.size.unit_name, (None, "unit"))
            elif entry.kind == "text" and entry.size is not None:
                cases.setdefault(entry.size.unit_name, (None, "unit"))
            elif entry.kind == "union" and entry.field.inline:
                for name in entry.tag_attributes:
                    cases.setdefault(name, (None, "ignored"))
            elif entry.kind == "printed" and entry.field.as_ == "attribute":
                printed.append(entry)
        for entry in printed:
            for name in entry.names:
                cases.setdefault(name, (None, "ignored"))
        return cases

    def attribute_body(self, name: str, slot: Slot | None, kind: str, v: str, node: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            if kind == "ignored":
                code("pass")
            elif kind in DEFERRED:
                code(f"{self.raw(kind, name, node)} = {v}")
            else:
                assert slot is not None
                self.guarded_store(slot, v, first=name != slot.names[0] or bool(slot.field.within))

        return body

    def raw(self, kind: str, name: str, node: str) -> str:
        """A variable for an attribute that can only be understood with its siblings."""
        return f"q_{kind}_{node}_{''.join(ch if ch.isalnum() else '_' for ch in name)}"

    def guarded_store(self, slot: Slot, v: str, first: bool = False) -> None:
        """Stores a scalar, if the mode reads it and it is not blank where blanks count as absent."""
        code = self.code
        guards = []
        if slot.field.read is not None:
            guards.append(f"mode & {int(slot.field.read)}")
        if slot.field.blank is False:
            guards.append(v)
        if first:
            guards.append(f"{slot.key!r} not in {'d' if slot.group is None else f'({slot.group.var} or ())'}")
        if guards:
            code.indent(f"if {' and '.join(guards)}:")
        self.ensure(slot.group)
        value = self.value(slot, v)
        if slot.many:
            code(f"{self.target_list(slot)}.append({value})")
        else:
            code(f"{self.holder(slot.group)}[{slot.key!r}] = {value}")
        if guards:
            code.dedent()

    def target_list(self, slot: Slot) -> str:
        return self.lists.get(id(slot)) or f"{self.holder(slot.group)}[{slot.key!r}]"

    def value(self, slot: Slot, v: str) -> str:
        convert = conversion(slot)
        if convert is None:
            return v
        if isinstance(convert, dict):
            return f"{self.code.bind('m', convert)}[{v}]"
        return f"{self.code.bind('c', convert)}({v})"

    def after_attributes(self, entries: list[Slot | Wrap], node: str, depth: int) -> None:
        """Sizes with their units, attributes that exist only for some siblings, required ones."""
        code = self.code
        shared: dict[str, list[Slot]] = {}
        for entry in entries:
            if isinstance(entry, Wrap) or (entry.many and entry.field.within):
                continue
            slot = entry
            if slot.kind == "attribute" and slot.size is not None:
                unit = self.raw("unit", slot.size.unit_name, node)
                raw = self.raw("size", slot.name, node)
                code.names["size"] = read_size
                exists = self.condition(slot)
                code.indent(f"if {raw} and ({exists}):" if exists else f"if {raw}:")
                self.ensure(slot.group)
                where, bound = self.holder(slot.group), code.bind("s", slot)
                code(f"{where}[{slot.key!r}] = size({bound}, {node}, {raw}, {unit}, './@{slot.name}')")
                code.dedent()
            if slot.kind != "attribute":
                continue
            condition = self.condition(slot)
            names = [n for n in slot.names if sum(n in other.names for other in entries_attributes(entries)) > 1]
            if names:
                for name in names:
                    shared.setdefault(name, []).append(slot)
            elif condition is not None and slot.size is None:
                where = self.holder(slot.group)
                has = f"{slot.key!r} in {where}" if slot.group is None else f"{where} and {slot.key!r} in {where}"
                code.indent(f"if {has} and not ({condition}):")
                code(f"del {where}[{slot.key!r}]")
                code(f"if keep: unknown_attribute(x, d, {slot.name!r}, {node}.get({slot.name!r}))")
                code.dedent()
        for name, slots in shared.items():
            raw = self.raw("shared", name, node)
            code.indent(f"if {raw} is not None:")
            word = "if"
            for slot in slots:
                code.indent(f"{word} {self.condition(slot) or 'True'}:")
                self.attempt(slot, node, raw, name, partial(self.guarded_store, slot, raw))
                code.dedent()
                word = "elif"
            code(f"elif keep: unknown_attribute(x, d, {name!r}, {raw})")
            code.dedent()
        for entry in entries:
            if isinstance(entry, Slot) and entry.kind == "attribute" and entry.field.required and not entry.many:
                self.require(entry, node)

    def text(self, slot: Slot, node: str, v: str) -> None:
        code = self.code
        code(f"{v} = {node}.text if not len({node}) else string({node})")
        if slot.field.blank:
            code(f"{v} = {v} or ''")
        else:
            code.indent(f"if {v}:")

        def store() -> None:
            if slot.size is None:
                self.guarded_store(slot, v)
                return
            code.names["size"] = read_size
            unit = self.raw("unit", slot.size.unit_name, node)
            self.ensure(slot.group)
            code(f"{self.holder(slot.group)}[{slot.key!r}] = size({code.bind('s', slot)}, {node}, {v}, {unit}, '.')")

        self.attempt(slot, node, v, None, store)
        if not slot.field.blank:
            code.dedent()
        if slot.field.required:
            self.require(slot, node)

    def attempt(self, slot: Slot, node: str, v: str, name: str | None, emit: Callable[[], None]) -> None:
        """Code that converts a value, and what happens when it cannot be read."""
        code = self.code
        if slot.size is None and conversion(slot) is None:
            emit()
            return
        code.indent("try:")
        emit()
        code.dedent()
        code.indent("except BAD as error:")
        code(f"bad({code.bind('s', slot)}, {node}, {v}, {name!r}, error)")
        code.dedent()

    # -- children

    def child_cases(
        self, entries: list[Slot | Wrap], c: str, t: str, within: str, depth: int
    ) -> list[tuple[str, Callable[[], None]]]:
        """By element name what to do; several fields may share a name, told apart by ``entry`` or ``only``."""
        bodies: dict[str, list[tuple[Slot | Wrap, Callable[[], None]]]] = {}
        ignored: list[str] = []
        for entry in entries:
            if isinstance(entry, Wrap):
                bodies.setdefault(entry.name, []).append((entry, self.wrap_body(entry, c, within, depth)))
                self.order[qualified(entry.name, self.ns)] = f"{entry.name}/"
                continue
            slot = entry
            if slot.kind == "printed":
                if slot.field.as_ != "attribute":
                    ignored.extend(slot.names if slot.field.name else ())
                continue
            if slot.kind == "attribute" and slot.many and slot.field.within:
                name = slot.field.within.rpartition("/")[2]
                bodies.setdefault(name, []).append((slot, self.each_body(slot, c)))
                self.order[qualified(name, self.ns)] = slot.key
                continue
            make = {
                "leaf": self.leaf_body,
                "flag": self.flag_body,
                "verbatim": self.verbatim_body,
                "child": self.child_body,
                "children": self.children_body,
                "union": self.union_body,
            }.get(slot.kind)
            if make is None or (slot.kind == "union" and slot.field.inline):
                continue
            for name in slot.names:
                bodies.setdefault(name, []).append((slot, make(slot, name, c, within)))
                self.order[qualified(name, self.ns)] = slot.key
        cases: list[tuple[str, Callable[[], None]]] = []
        for name, alternatives in bodies.items():
            cases.append((qualified(name, self.ns), self.alternatives(name, alternatives, c, within)))
        known = {name for name, _ in cases}
        for name in dict.fromkeys(ignored):
            if qualified(name, self.ns) not in known:
                cases.append((qualified(name, self.ns), lambda: self.code("pass")))
        return cases

    def alternatives(
        self, name: str, alternatives: list[tuple[Slot | Wrap, Callable[[], None]]], c: str, within: str
    ) -> Callable[[], None]:
        code = self.code

        def condition(entry: Slot | Wrap) -> str | None:
            if isinstance(entry, Wrap):
                return None
            parts = []
            if entry.field.entry is not None:
                attribute, value = entry.field.entry
                parts.append(f"{c}.get({attribute!r}) == {value!r}")
            only = self.condition(entry)
            if only is not None:
                parts.append(only)
            return " and ".join(parts) or None

        def body() -> None:
            conditions = [(condition(entry), emit) for entry, emit in alternatives]
            if len(conditions) == 1 and conditions[0][0] is None:
                conditions[0][1]()
                return
            word = "if"
            for test, emit in conditions:
                code.indent(f"{word} {test or 'True'}:")
                emit()
                code.dedent()
                word = "elif"
            code.indent("else:")
            code(self.unknown(c, within))
            code.dedent()

        if (
            sum(
                isinstance(entry, Wrap) or (entry.field.entry is None and entry.field.only is None)
                for entry, _ in alternatives
            )
            > 1
        ):
            raise TypeError(f"{self.plan.cls.__qualname__}: element {name!r} is declared twice")
        return body

    def unknown(self, c: str, within: str) -> str:
        where = f", {within!r}" if within else ""
        return f"unknown_element(x, PLAN, d, {c}, ORDER{where})"

    def wrap_body(self, wrap: Wrap, c: str, within: str, depth: int) -> Callable[[], None]:
        path = f"{within}/{wrap.name}" if within else wrap.name
        return lambda: self.scope(wrap.entries, c, None, None, path, depth + 1)

    def each_body(self, slot: Slot, c: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            bound = code.bind("s", slot)
            code(f"v = {c}.get({slot.name!r})")
            if slot.field.required:
                code(f"if v is None: missing({bound}, {c})")
            code.indent("if v is not None:")
            self.attempt(slot, c, "v", slot.name, lambda: self.guarded_store(slot, "v"))
            code.dedent()

        return body

    def first(self, slot: Slot, c: str, within: str) -> bool:
        """Opens the branch in which a single element is stored, by the field's rule for repetitions. True: close it."""
        code = self.code
        group = slot.group
        where = self.holder(group)
        has = f"{slot.key!r} in {where}" if group is None else f"{where} and {slot.key!r} in {where}"
        if slot.field.repeat == "last":
            return False
        if slot.field.repeat == "refuse":
            code(f"if {has}: refused({code.bind('s', slot)}, {c})")
            return False
        code(f"if {has}: {self.unknown(c, within)}")
        code.indent("else:")
        return True

    def mode_guard(self, slot: Slot) -> bool:
        if slot.field.read is None:
            return False
        self.code.indent(f"if mode & {int(slot.field.read)}:")
        return True

    def leaf_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            known = [slot.field.entry[0]] if slot.field.entry else []
            if slot.size is not None:
                known.append(slot.size.unit_name)
            guarded = self.mode_guard(slot)
            opened = False if slot.many else self.first(slot, c, within)
            code(f"v = {c}.text if not len({c}) else string({c})")
            if slot.field.blank:
                code("v = v or ''")
            else:
                code.indent("if v:")
            self.ensure(slot.group)

            def store() -> None:
                if slot.size is not None:
                    code.names["size"] = read_size
                    unit = f"{c}.get({slot.size.unit_name!r})"
                    value = f"size({code.bind('s', slot)}, {c}, v, {unit}, './{slot.name}[1]')"
                else:
                    value = self.value(slot, "v")
                if slot.many:
                    code(f"{self.target_list(slot)}.append({value})")
                else:
                    code(f"{self.holder(slot.group)}[{slot.key!r}] = {value}")

            self.attempt(slot, c, "v", None, store)
            if not slot.field.blank:
                code.dedent()
            code(f"if keep and {c}.attrib: attribute_of_leaf(x, d, {c}, {tuple(known)!r})")
            if opened:
                code.dedent()
            if guarded:
                code.dedent()

        return body

    def flag_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            guarded = self.mode_guard(slot)
            self.ensure(slot.group)
            code(f"{self.holder(slot.group)}[{slot.key!r}] = True")
            code(f"if keep and {c}.attrib: attribute_of_leaf(x, d, {c})")
            if guarded:
                code.dedent()

        return body

    def flag_name(self, slot: Slot, c: str, t: str, unknown: str) -> None:
        code = self.code
        assert slot.enum is not None
        names = {qualified(str(member.value), self.ns): member for member in slot.enum}
        table = code.bind("m", names)
        self.ensure(slot.group)
        code.indent(f"if {t} in {table}:")
        code(f"if {table}[{t}] not in {self.target_list(slot)}: {self.target_list(slot)}.append({table}[{t}])")
        code.dedent()
        if slot.field.invalid is not None:
            code.names["local"] = problems.local
            code(f"elif not keep and {t}.__class__ is str: bad({code.bind('s', slot)}, {c}, local({t}))")
        code(f"else: {unknown}")

    def verbatim_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        def body() -> None:
            self.code.names["capture"] = capture
            opened = self.first(slot, c, within)
            self.ensure(slot.group)
            self.code(f"{self.holder(slot.group)}[{slot.key!r}] = capture({c})")
            if opened:
                self.code.dedent()

        return body

    def nested(self, slot: Slot, name: str) -> str:
        """Name of the reader for child elements of a name; the class behind it is looked at when the first one
        comes.
        """

        def make() -> Reader:
            classes = slot.classes_for(name)
            if len(classes) != 1:
                raise TypeError(f"{slot}: {len(classes)} classes for element {name!r}; a tag must tell them apart")
            return reader_of(classes[0], self.ns)

        return self.code.later("r", make)

    def child_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            guarded = self.mode_guard(slot)
            private = slot.field.point
            if private is not None:
                code.names["private_class"] = private_class
                code(f"if private_class({private!r}) is None: {self.unknown(c, within)}")
                code.indent("else:")
            opened = self.first(slot, c, within)
            self.ensure(slot.group)
            code(f"{self.holder(slot.group)}[{slot.key!r}] = {self.nested(slot, name)}({c}, x)")
            if opened:
                code.dedent()
            if private is not None:
                code.dedent()
            if guarded:
                code.dedent()

        return body

    def tag_value(self, slot: Slot, c: str) -> str:
        """Expression for the tag of the element ``c``, defaults in place."""
        defaults = (
            slot.field.default if isinstance(slot.field.default, tuple) else (slot.field.default,) * len(slot.tags)
        )
        parts = []
        for tag, default in zip(slot.tags, defaults, strict=True):
            if tag.startswith("@"):
                part = f"{c}.get({tag[1:]!r})"
                if default is not None:
                    part = f"{c}.get({tag[1:]!r}, {plain(default)!r})"
            else:
                part = self.sibling(tag, default)
            parts.append(part)
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"

    def chosen(self, slot: Slot, name: str, c: str, within: str, store: str) -> None:
        """Reads one member of a union, chosen by the tag; without a member it is unknown content, or refused."""
        code = self.code
        members = code.bind("u", Members(slot, name, self.ns))
        value = self.tag_value(slot, c)
        code(f"y = {members}[{value}]")
        code.indent("if y is None:")
        if slot.tag_attributes and (slot.field.invalid is not None or slot.field.missing is not None):
            got = ", ".join(f"{c}.get({a!r})" for a in slot.tag_attributes)
            code(f"if not keep: bad_tag({code.bind('s', slot)}, {c}, ({got},), {members}.words)")
        code(self.unknown(c, within))
        code.dedent()
        code.indent("else:")
        self.ensure(slot.group)
        code(store.format(f"y({c}, x)"))
        code.dedent()

    def children_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        code = self.code

        def body() -> None:
            guarded = self.mode_guard(slot)
            append = f"{self.target_list(slot)}.append({{}})"
            if slot.tags:
                self.chosen(slot, name, c, within, append)
            else:
                self.ensure(slot.group)
                code(append.format(f"{self.nested(slot, name)}({c}, x)"))
            if guarded:
                code.dedent()

        return body

    def is_late(self, slot: Slot) -> bool:
        """Whether a union's tag may come after it: its member is read when everything else has been."""
        attributes = {s.key for s in self.plan.slots() if s.kind == "attribute"}
        return slot.kind == "union" and any(not tag.startswith("@") and tag not in attributes for tag in slot.tags)

    def union_body(self, slot: Slot, name: str, c: str, within: str) -> Callable[[], None]:
        code = self.code
        late = self.is_late(slot)
        variable = f"p_{slot.key}"

        def now(node: str) -> None:
            guarded = self.mode_guard(slot)
            opened = self.first(slot, node, within)
            self.chosen(slot, name, node, within, f"{self.holder(slot.group)}[{slot.key!r}] = {{}}")
            if opened:
                code.dedent()
            if guarded:
                code.dedent()

        def body() -> None:
            if not late:
                now(c)
                return
            code(f"{variable} = {c}")

            def afterwards() -> None:
                code.indent(f"if {variable} is not None:")
                now(variable)
                code.dedent()

            self.post.append(afterwards)

        return body

    def inline_union(self, slot: Slot) -> None:
        code = self.code
        members = code.bind("u", InlineMembers(slot, None, self.ns))
        code(f"y = {members}[{self.tag_value(slot, 'e')}]")
        code.indent("if y is not None:")
        self.ensure(slot.group)
        target = f"{self.holder(slot.group)}[{slot.key!r}]"
        code(f"{target} = y[0](e, x, [i for i in ra if i[0] in y[1]], [c for c in rn if c.tag in y[2]])")
        code("ra = [i for i in ra if i[0] not in y[1]]")
        code("rn = [c for c in rn if c.tag not in y[2]]")
        code.dedent()
        if slot.field.required:
            self.require(slot, "e")


def entries_attributes(entries: list[Slot | Wrap]) -> list[Slot]:
    """The attributes that stand on the element itself."""
    return [e for e in entries if isinstance(e, Slot) and e.kind == "attribute" and not (e.many and e.field.within)]
