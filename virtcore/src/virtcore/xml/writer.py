"""Printing: a function is generated for every class and mode on its first use; :func:`format` runs it.

Output is byte for byte libvirt's style: two spaces a level, single quotes, ``<x/>`` when empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from virtcore.errors import ErrorDomain, XMLError
from virtcore.xml.checks import check_types
from virtcore.xml.codegen import Memo, Source
from virtcore.xml.declare import declaration
from virtcore.xml.extra import Extras
from virtcore.xml.fields import Field
from virtcore.xml.modes import Mode
from virtcore.xml.namespace import Namespace, registered
from virtcore.xml.plan import Group, Plan, Slot, Wrap, plan_of
from virtcore.xml.scalars import STRING
from virtcore.xml.subtree import print_at
from virtcore.xml.values import plain

__all__ = ["escape", "format", "format_part", "format_whole", "writer_of"]

Writer = Callable[..., Any]


_ESCAPES: dict[int, str | None] = {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
    ord("'"): "&apos;",
    ord('"'): "&quot;",
    **dict.fromkeys((*range(1, 9), 0x0B, 0x0C, *range(0x0E, 0x1A))),
}


_ATTRIBUTE_NAME = re.compile(r"(?:\{[^{}]*\})?[^\W\d][\w.-]*").fullmatch
_IN_TEXT = {**_ESCAPES, ord("\r"): "&#13;"}
_IN_ATTRIBUTE = {**_IN_TEXT, ord("\t"): "&#9;", ord("\n"): "&#10;"}


def plain_text(text: str) -> bool:
    """Whether a text stands for itself in XML."""
    return (
        "'" not in text
        and "<" not in text
        and ">" not in text
        and "&" not in text
        and '"' not in text
        and text.isprintable()
    )


def escape(text: str) -> str:
    """Text for an element: XML's five characters escaped, control characters dropped as libvirt drops them."""
    return text if plain_text(text) else text.translate(_IN_TEXT)


def quote(text: str) -> str:
    """Text for an attribute. White space that a parser would turn into blanks is kept by references: libvirt prints it
    raw, and has another value when it reads it again.
    """
    return text if plain_text(text) else text.translate(_IN_ATTRIBUTE)


def format(obj: object, mode: Mode = Mode.LIVE) -> str:
    """The XML of an object, as libvirt would print it.

    :param mode: what the text is for; secrets are printed only with ``Mode.SECURE``.
    :raises XMLError: a value that cannot be printed where it stands: of a type its field does not allow, or a union
        member that
        contradicts its tag.
    """
    declaration(type(obj))
    return "".join(_run(writer_of(type(obj), mode.bits), obj))


def format_whole(obj: object, mode: Mode = Mode.LIVE) -> tuple[str, bool]:
    """The XML of an object with its secrets, and whether there may be any: where not, it is the same without.

    :param mode: what else the text is for.
    :raises XMLError: as :func:`format`.
    """
    declaration(type(obj))
    lines = _run(writer_of(type(obj), (mode | Mode.SECURE).bits), obj)
    return "".join(lines), lines.secret


def format_part(obj: object, owner: type, mode: Mode = Mode.LIVE) -> str:
    """The XML of an element that belongs inside another one, such as a device: as it stands there, with the attributes
    that tell members of a union apart; the counterpart of :func:`virtcore.xml.parse_part`.

    :param owner: the class of the surrounding element (``Devices``).
    :raises TypeError: the owner has no place for such an element.
    :raises XMLError: as :func:`format`.
    """
    cls = type(obj)
    for slot in plan_of(owner).slots():
        if slot.kind in ("child", "children", "union") and not slot.field.inline and cls in slot.types:
            tags = () if hidden(slot, cls) else slot.tag_attributes
            ns = declaration(owner).ns
            return "".join(_run(writer_of(cls, mode.bits, ns, name=slot.field.name, tags=tags), obj))
    raise TypeError(f"{owner.__qualname__} has no place for {cls.__qualname__}")


class Lines(list[str]):
    """What is printed.

    :ivar secret: something that only ``Mode.SECURE`` prints may be among it.
    """

    secret = False


def _run(writer: Writer, obj: object) -> Lines:
    lines = Lines()
    try:
        writer(obj, lines, "")
        return lines
    except RecursionError:
        raise XMLError("elements are nested too deeply", domain=ErrorDomain.XML) from None
    except (TypeError, KeyError, AttributeError, ValueError):
        # Generated code does not look at types; a wrong one shows here, and is then named.
        check_types(obj)
        raise


_WRITERS: dict[tuple[object, ...], Writer] = {}


def writer_of(
    cls: type,
    mode: int,
    ns: Namespace | None = None,
    *,
    name: str | None = None,
    tags: tuple[str, ...] = (),
    part: str = "element",
    extra: bool = False,
) -> Writer:
    """The generated writer of a class.

    :param name: another element name than the class's.
    :param tags: union tag attributes that the class prints itself.
    :param part: ``element``: ``write(obj, lines, indent)``. For members that stand in another element ``attributes``:
        ``write(obj, lines) -> str`` and ``children``: ``write(obj, lines, indent)``.
    :param extra: the variant for instances with unknown content.
    """
    ns = declaration(cls).ns or ns
    key = (cls, mode, ns, name, tags, part, extra)
    found = _WRITERS.get(key)
    if found is None:
        found = _WRITERS[key] = _WriterSource(plan_of(cls), mode, ns, name, tags, part, extra).build()
    return found


def contradiction(slot: Slot, value: object, tag: object) -> NoReturn:
    """Refuses a union member that is not the one its tag says."""
    shown = tag if isinstance(tag, tuple) else (tag,)
    said = ", ".join(str(plain(part)) for part in shown)
    raise XMLError(
        f"{slot}: {type(value).__qualname__} contradicts {'/'.join(slot.tags)} '{said}'", domain=ErrorDomain.XML
    )


class _ByType(dict[type, Any]):
    """Type of a value to what prints it; refuses types the field does not allow."""

    def __init__(self, slot: Slot, make: Callable[[type], Any], anything: bool = False) -> None:
        self.slot = slot
        self.make = make
        self.anything = anything

    def __missing__(self, kind: type) -> Any:
        noted = kind.__dict__.get("__virt_xml__")
        printed = noted.stands_for or kind if noted is not None else kind
        if not self.anything and printed not in self.slot.types:
            allowed = ", ".join(cls.__qualname__ for cls in self.slot.types)
            raise TypeError(f"{self.slot}: {kind.__qualname__} is not one of {allowed}")
        made = self[kind] = self.make(printed)
        return made


class _Tags(dict[type, Any]):
    """Class of a member to the values its siblings may have."""

    def __init__(self, positions: list[int]) -> None:
        self.positions = positions

    def __missing__(self, cls: type) -> frozenset[object]:
        noted = cls.__dict__.get("__virt_xml__")
        allowed = set()
        for tag in noted.tags if noted is not None else ():
            parts = tag if isinstance(tag, tuple) else (tag,)
            chosen = tuple(plain(parts[n]) for n in self.positions)
            allowed.add(chosen[0] if len(chosen) == 1 else chosen)
        found = self[cls] = frozenset(allowed)
        return found


class _Extras:
    """Prints unknown content at the places where it was found."""

    __slots__ = ("attributes", "lines", "pending")

    def __init__(self, extras: Extras, lines: list[str] | None) -> None:
        self.attributes = extras.attributes
        self.pending = list(extras.elements)
        self.lines = lines

    def attributes_of(self, within: str) -> str:
        """Attributes for the element itself, a wrapper or a leaf."""
        texts: list[str] = []
        for path, value in self.attributes.items():
            owner, _, name = path.rpartition("/@") if "/@" in path else ("", "", path)
            if owner != within:
                continue
            if _ATTRIBUTE_NAME(name) is None:
                raise XMLError(f"'{name}' is no attribute name", domain=ErrorDomain.XML)
            if name.startswith("{"):
                uri, _, name = name[1:].partition("}")
                prefix = "xml" if uri == "http://www.w3.org/XML/1998/namespace" else f"ns{len(texts)}"
                if prefix != "xml":
                    texts.append(f" xmlns:{prefix}='{quote(uri)}'")
                name = f"{prefix}:{name}"
            texts.append(f" {name}='{quote(value)}'")
        return "".join(texts)

    def put(self, within: str, indent: str, matches: Callable[[tuple[str, int] | None], bool]) -> None:
        assert self.lines is not None
        left = []
        for entry in self.pending:
            if entry.within == within and matches(entry.after):
                self.lines.append(print_at(entry.xml, indent))
            else:
                left.append(entry)
        self.pending = left

    def start(self, within: str, indent: str) -> None:
        if self.pending:
            self.put(within, indent, lambda after: after is None)

    def item(self, within: str, indent: str, key: str, count: int) -> None:
        if self.pending:
            self.put(within, indent, lambda after: after == (key, count))

    def field(self, within: str, indent: str, key: str) -> None:
        if self.pending:
            self.put(within, indent, lambda after: after is not None and after[0] == key)

    def rest(self, within: str, indent: str) -> None:
        if self.pending:
            self.put(within, indent, lambda after: True)


def joined(template: str) -> str:
    """An expression for a text with values in it; lines of elements end here."""
    end = "\\n" if template.endswith(">") else ""
    return f'f"""{template}{end}"""'


def visible(field: Field, mode: int) -> bool:
    """Whether a field is printed in a mode."""
    if field.secret and not mode & Mode.SECURE:
        return False
    if field.when is not None and not mode & int(field.when):
        return False
    return not (field.unless is not None and mode & int(field.unless))


class _WriterSource:
    """Writes the writer of one class."""

    def __init__(
        self,
        plan: Plan,
        mode: int,
        ns: Namespace | None,
        name: str | None,
        tags: tuple[str, ...],
        part: str,
        extra: bool,
    ) -> None:
        self.plan = plan
        self.mode = mode
        self.ns = ns
        self.name = name
        self.tags = tags
        self.part = part
        self.extra = extra
        self.code = Source("write", f"write {plan.cls.__qualname__} {part} {mode:#x}")

    # -- whole function

    def build(self) -> Writer:
        code, plan = self.code, self.plan
        code.names.update(
            escape=escape, quote=quote, contradiction=contradiction, print_at=print_at, Extras=_Extras, EMPTY={}
        )
        code.indent(
            {"element": "def write(o, L, i):", "attributes": "def write(o, L):", "children": "def write(o, L, j):"}[
                self.part
            ]
        )
        if plan.declared.skipped is not None and self.part == "element":
            code(f"if {code.bind('F', plan.declared.skipped)}(o, {self.mode}): return")
        code("d = o.__dict__")
        if self.extra:
            code(f"x = Extras(d['extra'], {'None' if self.part == 'attributes' else 'L'})")
        else:
            code.indent("if 'extra' in d and d['extra'] is not None:")
            arguments = {"element": "o, L, i", "attributes": "o, L", "children": "o, L, j"}[self.part]
            more = code.later(
                "more",
                lambda: writer_of(
                    plan.cls, self.mode, self.ns, name=self.name, tags=self.tags, part=self.part, extra=True
                ),
            )
            code(f"return {more}({arguments})")
            code.dedent()
        for group in plan.groups:
            code(f"{group.var} = {self.dictionary(group.parent)}.get({group.key!r})")
            code(f"{group.var} = EMPTY if {group.var} is None else {group.var}.__dict__")
        self.note_secrets()
        if self.part == "element":
            name = self.prefixed(self.name or plan.declared.name or "")
            if not name:
                raise TypeError(f"{plan.cls.__qualname__} is a group of fields: it needs a name to be printed")
            self.element(name, plan.entries, "i", "", plan.declared.empty, self.tag_prefix())
        elif self.part == "attributes":
            code(f"s = {self.tag_prefix()!r}")
            for slot in attribute_order(plan.entries):
                self.attribute(slot, "s")
            if self.extra:
                code("s += x.attributes_of('')")
            code("return s")
        else:
            if any(isinstance(e, Slot) and e.kind == "text" for e in plan.entries):
                raise TypeError(f"{plan.cls.__qualname__} has text: it cannot stand in another element")
            code("w = L.append")
            self.content(plan.entries, "j", "")
            code("return")
        code.dedent()
        return code.compile()

    def note_secrets(self) -> None:
        """Code that notes whether there is something that only ``Mode.SECURE`` prints."""
        if not self.mode & Mode.SECURE:
            return
        for slot in self.plan.slots():
            field = slot.field
            if not field.secret and (field.when is None or not int(field.when) & Mode.SECURE):
                continue
            if slot.kind == "printed":
                raise TypeError(f"{slot}: what is only printed cannot be secret")
            self.code(f"if {self.dictionary(slot.group)}.get({slot.key!r}) not in (None, []): L.secret = True")

    def prefixed(self, name: str) -> str:
        return name if self.ns is None else f"{self.ns.prefix}:{name}"

    def tag_prefix(self) -> str:
        """Tag attributes of a union member that has no fields for them."""
        if not self.tags:
            return ""
        own = self.plan.attribute_names()
        if own.issuperset(self.tags):
            return ""
        values = self.plan.declared.tags
        if len(values) != 1:
            raise TypeError(
                f"{self.plan.cls.__qualname__} serves several tags: it needs fields for {', '.join(self.tags)}"
            )
        parts = values[0] if isinstance(values[0], tuple) else (values[0],)
        # Tags of the surrounding element come first in tuples only by the union's order; "@" ones are the member's.
        return "".join(
            f" {name}='{quote(str(plain(part)))}'"
            for name, part in zip(self.tags, parts[-len(self.tags) :], strict=True)
            if name not in own
        )

    def dictionary(self, group: Group | None) -> str:
        return "d" if group is None else group.var

    # -- elements

    def element(
        self, name: str, entries: list[Slot | Wrap], indent: str, within: str, empty: str, constant: str = ""
    ) -> None:
        """Code that prints an element with what is in it."""
        code = self.code
        depth = within.count("/") + 1 if within else 0
        s, j = (f"{letter}{depth}" if depth else letter for letter in "sj")
        code(f"{s} = {constant!r}")
        for slot in attribute_order(entries):
            self.attribute(slot, s)
        if self.extra:
            code(f"{s} += x.attributes_of({within!r})")
        text = next((e for e in entries if isinstance(e, Slot) and e.kind == "text"), None)
        has_content = any(isinstance(e, Wrap) or self.prints_content(e) for e in entries)
        if text is not None:
            if has_content and within:
                raise TypeError(f"{self.plan.cls.__qualname__}: text beside child elements of a wrapper")
            # Text or children: with a text there are no children.
            if visible(text.field, self.mode):
                self.text(text, name, indent, s)
                if not within:
                    code("return")
                code.dedent()
        if has_content or self.extra:
            code(f"p{depth} = len(L)")
            code("w = L.append")
            code("w('')")
            code(f"{j} = {indent} + '  '")
            self.content(entries, j, within)
            code.indent(f"if len(L) > p{depth} + 1:")
            code(f'L[p{depth}] = f"{{{indent}}}<{name}{{{s}}}>\\n"')
            code(f'w(f"{{{indent}}}</{name}>\\n")')
            code.dedent()
            filled = {
                "omit": f'L[p{depth}] = f"{{{indent}}}<{name}{{{s}}}/>\\n"',
                "keep": f'L[p{depth}] = f"{{{indent}}}<{name}{{{s}}}/>\\n"',
                "spaced": f'L[p{depth}] = f"{{{indent}}}<{name}{{{s}}} />\\n"',
                "open": f'L[p{depth}] = f"{{{indent}}}<{name}{{{s}}}>\\n{{{indent}}}</{name}>\\n"',
            }[empty]
            if empty == "omit":
                code(f"elif {s}: {filled}")
                code("else: L.pop()")
            else:
                code(f"else: {filled}")
        elif empty == "omit":
            code(f'if {s}: L.append(f"{{{indent}}}<{name}{{{s}}}/>\\n")')
        elif empty == "keep":
            code(f'L.append(f"{{{indent}}}<{name}{{{s}}}/>\\n")')
        elif empty == "spaced":
            code(f'L.append(f"{{{indent}}}<{name}{{{s}}} />\\n")')
        else:
            code(f'L.append(f"{{{indent}}}<{name}{{{s}}}>\\n{{{indent}}}</{name}>\\n")')

    def prints_content(self, slot: Slot) -> bool:
        field = slot.field
        if not visible(field, self.mode):
            return False
        if slot.kind == "printed":
            return field.as_ != "attribute"
        if slot.kind == "attribute":
            return slot.many and field.within is not None
        return slot.kind != "text"

    def content(self, entries: list[Slot | Wrap], indent: str, within: str) -> None:
        code = self.code
        if self.extra:
            code(f"x.start({within!r}, {indent})")
        for entry in entries:
            if isinstance(entry, Wrap):
                path = f"{within}/{entry.name}" if within else entry.name
                self.element(self.prefixed(entry.name), entry.entries, indent, path, "omit")
                if self.extra:
                    code(f"x.field({within!r}, {indent}, {entry.name + '/'!r})")
            elif self.prints_content(entry):
                self.child(entry, indent, within)
                if self.extra:
                    code(f"x.field({within!r}, {indent}, {entry.key!r})")
        if self.extra:
            code(f"x.rest({within!r}, {indent})")

    # -- conditions and values

    def present(self, slot: Slot, variable: str = "v", test: str = "is not None") -> str:
        """Condition under which the field is printed; binds its value."""
        field = slot.field
        where = self.dictionary(slot.group)
        parts = [f"{slot.key!r} in {where}", f"({variable} := {where}[{slot.key!r}]) {test}".rstrip()]
        if field.omit is not None:
            parts.append(f"{variable} != {self.code.bind('O', field.omit)}")
        parts.extend(self.conditions(slot))
        return " and ".join(parts)

    def conditions(self, slot: Slot) -> list[str]:
        field = slot.field
        parts = []
        for key, values in (field.only or {}).items():
            parts.append(f"{self.sibling(key)} in {self.code.bind('S', frozenset(values))}")
        if field.shown is not None:
            parts.append(f"{self.code.bind('F', field.shown)}({self.owner(slot.group)})")
        return parts

    def owner(self, group: Group | None) -> str:
        if group is None:
            return "o"
        return f"{self.dictionary(group.parent)}.get({group.key!r})"

    def sibling(self, key: str, default: object = None) -> str:
        for slot in self.plan.slots():
            if slot.key == key:
                value = f"{self.dictionary(slot.group)}.get({key!r})"
                return value if default is None else f"({value} or {self.code.bind('D', default)})"
        raise TypeError(f"{self.plan.cls.__qualname__} has no field {key!r}")

    def spelled(self, slot: Slot, escaping: str = "escape") -> str:
        """Expression for the text of a scalar in ``v``."""
        variable = "v"
        if slot.enum is not None:
            # Plain strings may stand for members, but only for members.
            words = {member: escape(str(member.value)) for member in slot.enum}
            return f"{self.code.bind('m', words)}[{variable}]"
        codec = slot.codec
        assert codec is not None
        if codec is STRING:
            return f"{escaping}({variable})"
        if codec.words:
            spellings = {value: codec.write(value) for value in map(codec.read, codec.words)}
            return f"{self.code.bind('m', spellings)}[{variable}]"
        if codec.safe:
            return f"{self.code.bind('t', Memo(codec.write))}[{variable}]"
        return f"{escaping}({self.code.bind('t', codec.write)}({variable}))"

    # -- attributes and text

    def attribute(self, slot: Slot, s: str) -> None:
        code, field = self.code, slot.field
        if not visible(field, self.mode):
            return
        if slot.kind == "printed" and field.as_ == "attribute":
            code(f"v = {code.bind('F', field.value)}(o)")
            text = f"quote({code.bind('t', field.codec.write)}(v))" if field.codec is not None else "quote(str(v))"
            code(f"if v is not None: {s} = " + joined(f"{{{s}}} {slot.name}='{{{text}}}'"))
        elif slot.kind == "union" and field.inline:
            table = _ByType(
                slot,
                lambda cls: writer_of(
                    cls, self.mode, self.ns, tags=() if hidden(slot, cls) else slot.tag_attributes, part="attributes"
                ),
            )
            code.indent(f"if {self.present(slot)}:")
            self.check_tag(slot)
            code(f"{s} += {code.bind('u', table)}[type(v)](v, L)")
            code.dedent()
        elif slot.kind == "namespaces":
            code.names["declared"] = declared_namespaces
            writers = code.bind("u", _ByType(slot, lambda cls: writer_of(cls, self.mode), anything=True))
            code(f"if d[{slot.key!r}]: {s} += declared({field.point!r}, d[{slot.key!r}], {writers})")
        elif slot.kind == "attribute" and not (slot.many and field.within):
            size = slot.size
            code.indent(f"if {self.present(slot)}:")
            if size is None:
                code(f"{s} = " + joined(f"{{{s}}} {slot.name}='{{{self.spelled(slot, 'quote')}}}'"))
            else:
                code(f"v, u = {code.bind('z', size.split)}(v)")
                code(f"{s} = " + joined(f"{{{s}}} {slot.name}='{{v}}' {size.unit_name}='{{u}}'"))
            code.dedent()

    def text(self, slot: Slot, name: str, indent: str, s: str) -> None:
        """Opens the branch in which the element has text; the caller closes it."""
        code = self.code
        code.indent(f"if {self.present(slot)}:")
        if slot.size is not None:
            code(f"v, u = {code.bind('z', slot.size.split)}(v)")
            code(f"{s} = " + joined(f"{{{s}}} {slot.size.unit_name}='{{u}}'"))
            value = "v"
        else:
            value = self.spelled(slot)
        code("L.append(" + joined(f"{{{indent}}}<{name}{{{s}}}>{{{value}}}</{name}>") + ")")

    # -- children

    def child(self, slot: Slot, indent: str, within: str) -> None:
        emit = {
            "leaf": self.leaf,
            "attribute": self.each,
            "flag": self.flag,
            "flags": self.flags,
            "verbatim": self.verbatim,
            "child": self.one,
            "union": self.one,
            "children": self.many,
            "namespaces": self.namespaces,
            "printed": self.printed,
        }[slot.kind]
        emit(slot, indent, within)

    def leaf(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        name = self.prefixed(slot.name)
        start = f"<{name}"
        if slot.field.entry is not None:
            attribute, value = slot.field.entry
            start += f" {attribute}='{escape(value)}'".replace("{", "{{").replace("}", "}}")
        more = f"{{x.attributes_of({slot.name!r})}}" if self.extra else ""
        code.indent(f"if {self.present(slot)}:")
        if slot.many:
            if self.extra:
                code("k = 0")
            code.indent("for v in v:")
        value = "v" if slot.size is not None else self.spelled(slot)
        if slot.size is not None:
            code(f"v, u = {code.bind('z', slot.size.split)}(v)")
            start += f" {slot.size.unit_name}='{{u}}'"
        code("w(" + joined(f"{{{indent}}}{start}{more}>{{{value}}}</{name}>") + ")")
        if slot.many:
            if self.extra:
                code("k += 1")
                code(f"x.item({within!r}, {indent}, {slot.key!r}, k)")
            code.dedent()
        code.dedent()

    def each(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        name = self.prefixed((slot.field.within or "").rpartition("/")[2])
        code.indent(f"if {self.present(slot)}:")
        code.indent("for v in v:")
        code("w(" + joined(f"{{{indent}}}<{name} {slot.name}='{{{self.spelled(slot, 'quote')}}}'/>") + ")")
        code.dedent()
        code.dedent()

    def flag(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        name = self.prefixed(slot.name)
        more = f"{{x.attributes_of({slot.name!r})}}" if self.extra else ""
        code.indent(f"if {self.present(slot, test='')}:")
        code("w(" + joined(f"{{{indent}}}<{name}{more}/>") + ")")
        code.dedent()

    def flags(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        assert slot.enum is not None
        code.indent(f"if {self.present(slot, test='')}:")
        code.indent(f"for n in {code.bind('E', tuple(slot.enum))}:")
        prefix = self.prefixed("")
        code("if n in v: w(" + joined(f"{{{indent}}}<{prefix}{{n.value}}/>") + ")")
        code.dedent()
        code.dedent()

    def verbatim(self, slot: Slot, indent: str, within: str) -> None:
        self.code(f"if {self.present(slot)}: w(print_at(v, {indent}, {slot.name!r}))")

    def table(self, slot: Slot) -> str:
        """Name of the table from a value's type to its writer."""
        return self.code.bind(
            "u",
            _ByType(
                slot,
                lambda cls: writer_of(
                    cls, self.mode, self.ns, name=slot.field.name, tags=() if hidden(slot, cls) else slot.tag_attributes
                ),
            ),
        )

    def check_tag(self, slot: Slot) -> None:
        """Refuses a member whose tag is not what the element's field says."""
        code = self.code
        positions = [n for n, tag in enumerate(slot.tags) if not tag.startswith("@")]
        if not positions:
            return
        defaults = (
            slot.field.default if isinstance(slot.field.default, tuple) else (slot.field.default,) * len(slot.tags)
        )
        parts = [self.sibling(slot.tags[n], defaults[n]) for n in positions]
        value = parts[0] if len(parts) == 1 else f"({', '.join(parts)})"
        table = code.bind("T", _Tags(positions))
        code(f"if {value} not in {table}[type(v)]: contradiction({code.bind('s', slot)}, v, {value})")

    def one(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        code.indent(f"if {self.present(slot)}:")
        if slot.kind == "union" and slot.field.inline:
            table = _ByType(slot, lambda cls: writer_of(cls, self.mode, self.ns, part="children"))
            code(f"{code.bind('u', table)}[type(v)](v, L, {indent})")
        else:
            self.check_tag(slot)
            code(f"{self.table(slot)}[type(v)](v, L, {indent})")
        code.dedent()

    def many(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        table = self.table(slot)
        code.indent(f"if {self.present(slot, test='')}:")
        if self.extra:
            code("k = 0")
        code.indent("for v in v:")
        code(f"{table}[type(v)](v, L, {indent})")
        if self.extra:
            code("k += 1")
            code(f"x.item({within!r}, {indent}, {slot.key!r}, k)")
        code.dedent()
        code.dedent()

    def namespaces(self, slot: Slot, indent: str, within: str) -> None:
        code = self.code
        code.names.update(ordered=ordered)
        table = code.bind("u", _ByType(slot, lambda cls: writer_of(cls, self.mode), anything=True))
        code(f"for v in ordered({slot.field.point!r}, d[{slot.key!r}]): {table}[type(v)](v, L, {indent})")

    def printed(self, slot: Slot, indent: str, within: str) -> None:
        code, field = self.code, slot.field
        code(f"v = {code.bind('F', field.value)}(o)")
        if field.as_ == "child":
            table = code.bind(
                "u", _ByType(slot, lambda cls: writer_of(cls, self.mode, self.ns, name=field.name), anything=True)
            )
            code.indent("if v is not None:")
            code(f"for v in v if isinstance(v, list) else (v,): {table}[type(v)](v, L, {indent})")
            code.dedent()
        elif field.as_ == "flag":
            code("if v: w(" + joined(f"{{{indent}}}<{self.prefixed(slot.name)}/>") + ")")
        else:
            name = self.prefixed(slot.name)
            text = f"escape({code.bind('t', field.codec.write)}(v))" if field.codec is not None else "escape(str(v))"
            code("if v is not None: w(" + joined(f"{{{indent}}}<{name}>{{{text}}}</{name}>") + ")")


def attribute_order(entries: list[Slot | Wrap]) -> list[Slot]:
    """The fields in the order of their attributes: as declared, but for namespaces that lead."""
    return sorted((entry for entry in entries if isinstance(entry, Slot)), key=lambda slot: not slot.field.leading)


def hidden(slot: Slot, cls: type) -> bool:
    """Whether a member's tag is the default that is not printed."""
    return slot.field.hide_default and slot.field.default in declaration(cls).tags


def ordered(point: str, values: list[object]) -> list[object]:
    """Namespace elements in the order their plugins registered them."""
    if len(values) < 2:
        return values
    order = {cls: n for n, cls in enumerate(registered(point).values())}
    return sorted(values, key=lambda value: order.get(type(value), len(order)))


def declared_namespaces(point: str, values: list[object], writers: Mapping[type, Writer]) -> str:
    """``xmlns`` declarations for the namespaces of elements that are printed: empty ones are not."""

    def printed(value: object) -> bool:
        lines = Lines()
        writers[type(value)](value, lines, "")
        return bool(lines)

    used = dict.fromkeys(declaration(type(value)).ns for value in ordered(point, values) if printed(value))
    return "".join(f" xmlns:{ns.prefix}='{quote(ns.uri)}'" for ns in used if ns is not None)
