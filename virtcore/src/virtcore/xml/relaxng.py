"""The RELAX NG schema of an element class, from its declaration.

Children may come in any order, as libvirt's own schemas accept them. What depends on the value of an attribute
(members of
unions, fields with ``only``) is accepted only beside that value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

from virtcore.xml.declare import declaration
from virtcore.xml.modes import Mode
from virtcore.xml.namespace import Namespace, registered
from virtcore.xml.plan import Plan, Slot, Wrap, plan_of
from virtcore.xml.values import plain

__all__ = ["schema"]

HEAD = (
    '<grammar xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">'
)
ANY = (
    '<define name="any"><zeroOrMore><choice><attribute><anyName/></attribute><text/>'
    '<element><anyName/><ref name="any"/></element></choice></zeroOrMore></define>'
)
FOREIGN = '<element><anyName><except><nsName ns=""/></except></anyName><ref name="any"/></element>'
EMPTY = "<empty/>"


def schema(*classes: type, parts_of: type | None = None, status: bool = False, foreign: bool = False) -> str:
    """A RELAX NG schema (XML syntax) for documents with one of these root elements.

    :param parts_of: also for documents that are one child element of this class (a single device of ``Devices``).
    :param status: with what only the driver's own status files have.
    :param foreign: where plugins' namespaces may stand, any foreign namespace with any content.
    """
    grammar = _Grammar(status, foreign)
    roots = [grammar.element(cls, declaration(cls).ns) for cls in classes]
    if parts_of is not None:
        roots += grammar.parts(parts_of)
    start = choice(roots)
    defines = "\n".join(f'<define name="{name}">{body}</define>' for name, body in grammar.defines.items())
    return f"{HEAD}\n<start>{start}</start>\n{defines}\n{ANY}\n</grammar>\n"


# --------------------------------------------------------------------------------------------------------- patterns


def choice(patterns: Iterable[str]) -> str:
    different = list(dict.fromkeys(patterns))
    if not different:
        return "<notAllowed/>"
    return different[0] if len(different) == 1 else f"<choice>{''.join(different)}</choice>"


def optional(pattern: str) -> str:
    return pattern if pattern == EMPTY else f"<optional>{pattern}</optional>"


def group(patterns: Iterable[str]) -> str:
    parts = [pattern for pattern in patterns if pattern != EMPTY]
    if not parts:
        return EMPTY
    return parts[0] if len(parts) == 1 else f"<group>{''.join(parts)}</group>"


def interleave(patterns: Iterable[str]) -> str:
    parts = [pattern for pattern in patterns if pattern != EMPTY]
    if not parts:
        return EMPTY
    return parts[0] if len(parts) == 1 else f"<interleave>{''.join(parts)}</interleave>"


def named_element(name: str, ns: Namespace | None, content: str) -> str:
    space = f" ns={quoteattr(ns.uri)}" if ns is not None else ""
    return f"<element name={quoteattr(name)}{space}>{content}</element>"


def named_attribute(name: str, content: str) -> str:
    return f"<attribute name={quoteattr(name)}>{content}</attribute>"


def values(words: Iterable[str]) -> str:
    return choice(f"<value>{escape(word)}</value>" for word in words)


def scalar(slot: Slot) -> str:
    """What the text of a scalar may be."""
    field = slot.field
    if field.pattern is not None:
        return f'<data type="string"><param name="pattern">{escape(field.pattern)}</param></data>'
    if slot.words:
        return values(slot.words)
    codec = slot.codec
    if codec is None:
        return "<text/>"
    if codec.datatype.startswith("pattern:"):
        return f'<data type="string"><param name="pattern">{escape(codec.datatype[8:])}</param></data>'
    if codec.datatype.startswith("<data ") and codec.datatype.endswith("/>"):
        limits = ""
        low = 1 if field.nonzero and field.minimum is None and "nsigned" in codec.datatype else field.minimum
        if low is not None:
            limits += f'<param name="minInclusive">{low}</param>'
        if field.maximum is not None:
            limits += f'<param name="maxInclusive">{field.maximum}</param>'
        return f"{codec.datatype[:-2]}>{limits}</data>" if limits else codec.datatype
    return codec.datatype


#: Units of sizes.
UNIT = (
    '<data type="string"><param name="pattern">([bB]([yY][tT][eE][sS]?)?)|([kKmMgGtTpPeE]([iI]?[bB])?)</param></data>'
)


def spelled(slot: Slot, value: object) -> object:
    """A field's value as it is written; None stays None."""
    if value is None or isinstance(value, str) or slot.codec is None:
        return plain(value)
    return slot.codec.write(value)


class _Content:
    """An element's content while it is put together: attributes and children by name (a name may stand in one branch
    only), text, further branches, and choices between contents.

    Choices stand outside of the interleave: libxml2 does not see through them inside.
    """

    def __init__(self) -> None:
        self.attributes: dict[str, list[tuple[str, bool]]] = {}
        self.text: str | None = None
        self.children: dict[str, list[tuple[str, bool, bool]]] = {}
        self.branches: list[str] = []
        self.choices: list[list[_Content]] = []

    def attribute(self, name: str, pattern: str, required: bool = False) -> None:
        self.attributes.setdefault(name, []).append((pattern, required))

    def child(self, name: str, pattern: str, required: bool = False, many: bool = False) -> None:
        self.children.setdefault(name, []).append((pattern, required, many))

    def with_alternative(self, other: _Content) -> _Content:
        """This content with its first choice made."""
        made = _Content()
        made.text = self.text or other.text
        made.branches = self.branches + other.branches
        made.choices = self.choices[1:] + other.choices
        for one in (self, other):
            for name, attributes in one.attributes.items():
                made.attributes.setdefault(name, []).extend(attributes)
            for name, children in one.children.items():
                made.children.setdefault(name, []).extend(children)
        return made

    def pattern(self) -> str:
        if self.choices:
            return choice(self.with_alternative(alternative).pattern() for alternative in self.choices[0])
        parts = []
        for alternatives in self.children.values():
            pattern = choice(p for p, _, _ in alternatives)
            if any(many for _, _, many in alternatives) or len(alternatives) > 1:
                needed = len(alternatives) == 1 and alternatives[0][1]
                word = "oneOrMore" if needed else "zeroOrMore"
                parts.append(f"<{word}>{pattern}</{word}>")
            else:
                parts.append(pattern if alternatives[0][1] else optional(pattern))
        content = interleave([*parts, *self.branches])
        if self.text is not None:
            content = self.text if content == EMPTY else choice([self.text, content])
        attributes = []
        for name, alternatives_ in self.attributes.items():
            pattern = named_attribute(name, choice(p for p, _ in alternatives_))
            attributes.append(pattern if any(needed for _, needed in alternatives_) else optional(pattern))
        return group([*attributes, content])


class _Grammar:
    def __init__(self, status: bool, foreign: bool) -> None:
        self.status = status
        self.foreign = foreign
        self.defines: dict[str, str] = {}
        self.names: dict[tuple[object, ...], str] = {}

    def element(self, cls: type, ns: Namespace | None, name: str | None = None, tags: tuple[str, ...] = ()) -> str:
        """Reference to the pattern of a class's element."""
        declared = declaration(cls)
        ns = declared.ns or ns
        key = (cls, ns, name, tags)
        known = self.names.get(key)
        if known is None:
            known = self.names[key] = f"{cls.__qualname__}-{len(self.names)}"
            self.defines[known] = ""
            self.defines[known] = named_element(
                name or declared.name or "", ns, self.body(plan_of(cls), ns, self.tag_values(cls, tags))
            )
        return f'<ref name="{known}"/>'

    def demanded(self, slot: Slot, decider: Slot | None = None, word: object = None) -> bool:
        """Whether a document is refused without it.

        :param word: value of the sibling it may depend on.
        """
        field = slot.field
        # What a driver writes for itself need not have what users must say.
        if field.demanded is None or self.status:
            return field.required
        if isinstance(field.demanded, Mapping):
            (wanted,) = field.demanded.values()
            return decider is not None and word in {spelled(decider, value) for value in wanted}
        return bool(field.demanded)

    def parts(self, cls: type) -> list[str]:
        """The patterns of a class's child elements."""
        content = _Content()
        plan = plan_of(cls)
        self.fill(content, plan, plan.entries, declaration(cls).ns, {})
        return [pattern for patterns in content.children.values() for pattern, _, _ in patterns]

    def tag_values(self, cls: type, tags: tuple[str, ...]) -> dict[str, list[str]]:
        """By tag attribute the values under which a member serves."""
        found: dict[str, list[str]] = {tag: [] for tag in tags}
        for value in declaration(cls).tags:
            parts = value if isinstance(value, tuple) else (value,)
            for tag, part in zip(tags, parts[-len(tags) :] if tags else (), strict=True):
                found[tag].append(str(plain(part)))
        return found

    def body(self, plan: Plan, ns: Namespace | None, tags: dict[str, list[str]]) -> str:
        content = _Content()
        self.fill(content, plan, plan.entries, ns, tags)
        if self.status:
            # What a driver notes beside an object; its form is the driver's own.
            content.child("privateData", named_element("privateData", None, '<ref name="any"/>'))
        return content.pattern()

    def fill(
        self,
        content: _Content,
        plan: Plan,
        entries: list[Slot | Wrap],
        ns: Namespace | None,
        tags: dict[str, list[str]],
    ) -> None:
        """Adds what the entries say; what hangs on an attribute's value goes, with that attribute, into a choice."""
        # What only the driver's own status files have is no part of the documents that users write.
        if not self.status:
            entries = [entry for entry in entries if isinstance(entry, Wrap) or entry.field.read != Mode.STATUS]
        undocumented = plan.declared.undocumented
        if undocumented:
            entries = [entry for entry in entries if isinstance(entry, Wrap) or entry.key not in undocumented]
        # What is printed twice only matters where no field reads it.
        entries = sorted(entries, key=lambda entry: isinstance(entry, Slot) and entry.kind == "printed")
        slots = [entry for entry in entries if isinstance(entry, Slot)]
        own = {slot.key: slot for slot in slots if slot.kind == "attribute" and not slot.many}
        dependent: dict[str, list[Slot]] = {}
        for slot in slots:
            key = self.depends_on(slot)
            if key is not None and key in own:
                dependent.setdefault(key, []).append(slot)
        hanging = {id(slot) for group_ in dependent.values() for slot in group_}
        exclusive: dict[str, dict[str, list[Slot | Wrap]]] = {}
        for entry in entries:
            if isinstance(entry, Wrap):
                first = next(plan.slots(entry.entries))
                if first.field.exclusive is not None and first.kind != "attribute":
                    exclusive.setdefault(first.field.exclusive, {})[entry.name] = [entry]
                else:
                    self.add_wrapper(content, plan, entry, ns)
            elif id(entry) in hanging or entry.key in dependent:
                continue
            elif entry.field.exclusive is not None:
                name, _, alternative = entry.field.exclusive.partition("/")
                exclusive.setdefault(name, {}).setdefault(alternative or entry.key, []).append(entry)
            else:
                self.add(content, entry, ns, tags)
        for key, group_ in dependent.items():
            content.choices.append(self.by_value(own[key], group_, ns, tags))
        for alternatives in exclusive.values():
            patterns = []
            for together in alternatives.values():
                alone = _Content()
                for one in together:
                    if isinstance(one, Wrap):
                        self.add_wrapper(alone, plan, one, ns, needed=True)
                    else:
                        self.add(alone, one, ns, tags, needed=True if len(together) == 1 else None)
                patterns.append(alone.pattern())
            pattern = choice(patterns)
            single = [together[0] for together in alternatives.values() if len(together) == 1]
            needed = any(isinstance(one, Slot) and self.demanded(one) for one in single)
            content.branches.append(pattern if needed else optional(pattern))
        covered = plan.attribute_names()
        for tag, words in tags.items():
            if tag not in covered:
                content.attribute(tag, values(words), True)

    @staticmethod
    def depends_on(slot: Slot) -> str | None:
        """The sibling field whose value decides on this one, where it is one."""
        for value in (slot.field.values_beside or {}).values():
            return next(iter(value))
        for conditions in (slot.field.only, slot.field.demanded):
            if isinstance(conditions, Mapping):
                return next(iter(conditions)) if len(conditions) == 1 else None
        siblings = [tag for tag in slot.tags if not tag.startswith("@")]
        if slot.kind == "union" and len(slot.tags) == 1 and siblings:
            return siblings[0]
        return None

    def by_value(
        self, decider: Slot, slots: list[Slot], ns: Namespace | None, tags: dict[str, list[str]]
    ) -> list[_Content]:
        """Alternatives over the values of an attribute, each with what may stand beside it."""
        words: dict[object, None] = dict.fromkeys(tags.get(decider.name) or decider.words)
        for slot in slots:
            for cls in slot.types if slot.tags else ():
                words.update(dict.fromkeys(plain(tag) for tag in declaration(cls).tags))
            for allowed in (slot.field.only or {}).values():
                words.update(dict.fromkeys(spelled(decider, value) for value in allowed if value is not None))
        variants: dict[str, tuple[_Content, list[object]]] = {}
        for word in (*words, None):
            content = _Content()
            for slot in slots:
                if slot.field.only is not None:
                    (allowed,) = slot.field.only.values()
                    if word not in {spelled(decider, value) for value in allowed}:
                        continue
                if slot.field.values_beside is not None:
                    self.add_some_values(content, slot, word)
                    continue
                meant = plain(slot.field.default) if word is None and slot.kind == "union" else word
                if slot.kind == "union" and not any(tag.startswith("@") for tag in slot.tags):
                    self.add_member(content, slot, ns, meant, self.demanded(slot, decider, meant))
                else:
                    self.add(content, slot, ns, {}, self.demanded(slot, decider, meant))
            variants.setdefault(content.pattern(), (content, []))[1].append(word)
        alternatives = []
        for content, these in variants.values():
            absent = None in these
            if these != [None]:
                needed = self.demanded(decider) or not absent
                content.attribute(decider.name, values(str(word) for word in these if word is not None), needed)
            elif self.demanded(decider):
                continue
            alternatives.append(content)
        if not decider.words and not tags.get(decider.name):
            # Not an enumeration: other values are fine, with nothing beside them.
            other = _Content()
            besides = "".join(f"<value>{escape(str(word))}</value>" for word in words)
            except_ = f'<data type="string"><except><choice>{besides}</choice></except></data>'
            other.attribute(decider.name, except_ if words else scalar(decider), True)
            alternatives.append(other)
        return alternatives

    def add_wrapper(
        self, content: _Content, plan: Plan, wrap: Wrap, ns: Namespace | None, needed: bool | None = None
    ) -> None:
        inner = _Content()
        # What makes a choice between wrappers is no choice within one.
        self.fill(inner, plan, wrap.entries, ns, {})
        if needed is None:
            needed = any(slot.field.required for slot in plan.slots(wrap.entries))
        content.child(wrap.name, named_element(wrap.name, ns, inner.pattern()), needed)

    def add_some_values(self, content: _Content, slot: Slot, word: object) -> None:
        """Adds an attribute with those of its values that may stand beside a sibling's value."""
        conditions = slot.field.values_beside or {}
        refused = {
            plain(value)
            for value, siblings in conditions.items()
            for allowed in siblings.values()
            if word not in {plain(each) for each in allowed}
        }
        content.attribute(slot.name, values(each for each in slot.words if each not in refused), self.demanded(slot))

    def add_member(self, content: _Content, slot: Slot, ns: Namespace | None, word: object, needed: bool) -> None:
        for cls in slot.types:
            if word not in {plain(tag) for tag in declaration(cls).tags}:
                continue
            if slot.field.inline:
                self.fill(content, plan_of(cls), plan_of(cls).entries, ns, {})
            else:
                name = slot.field.name or declaration(cls).name or ""
                content.child(name, self.element(cls, ns, slot.field.name), needed)

    def add(
        self,
        content: _Content,
        slot: Slot,
        ns: Namespace | None,
        tags: dict[str, list[str]],
        needed: bool | None = None,
    ) -> None:
        """Adds one field that hangs on nothing."""
        required = self.demanded(slot) if needed is None else needed
        add: dict[str, Callable[[], None]] = {
            "attribute": lambda: self.add_attribute(content, slot, ns, tags, required),
            "text": lambda: self.add_text(content, slot),
            "leaf": lambda: self.add_leaf(content, slot, ns, required),
            "flag": lambda: content.child(slot.name, named_element(slot.name, ns, EMPTY), required),
            "flags": lambda: content.branches.append(
                f"<zeroOrMore>{choice(named_element(word, ns, EMPTY) for word in slot.words)}</zeroOrMore>"
            ),
            "verbatim": lambda: content.child(slot.name, named_element(slot.name, ns, '<ref name="any"/>')),
            "child": lambda: self.add_elements(content, slot, ns, required),
            "children": lambda: self.add_elements(content, slot, ns, required),
            "union": lambda: self.add_elements(content, slot, ns, required),
            "namespaces": lambda: self.add_namespaces(content, slot),
            "printed": lambda: self.add_printed(content, slot, ns, tags),
        }
        add[slot.kind]()

    def add_attribute(
        self, content: _Content, slot: Slot, ns: Namespace | None, tags: dict[str, list[str]], required: bool
    ) -> None:
        words = tags.get(slot.name)
        pattern = values(words) if words else scalar(slot)
        if slot.many and slot.field.within:
            name = slot.field.within.rpartition("/")[2]
            content.child(name, named_element(name, ns, named_attribute(slot.name, pattern)), many=True)
            return
        for name in slot.names:
            content.attribute(name, pattern, required and len(slot.names) == 1)
        if slot.size is not None:
            content.attribute(slot.size.unit_name, UNIT)

    def add_text(self, content: _Content, slot: Slot) -> None:
        pattern = scalar(slot)
        if slot.size is not None:
            content.attribute(slot.size.unit_name, UNIT)
        content.text = pattern if slot.field.required or pattern == "<text/>" else choice([pattern, EMPTY])

    def add_leaf(self, content: _Content, slot: Slot, ns: Namespace | None, required: bool) -> None:
        pattern = scalar(slot)
        if slot.field.blank and pattern != "<text/>":
            pattern = choice([pattern, EMPTY])
        parts = [pattern]
        if slot.size is not None:
            parts.insert(0, optional(named_attribute(slot.size.unit_name, UNIT)))
        if slot.field.entry is not None:
            name, value = slot.field.entry
            parts.insert(0, named_attribute(name, values([value])))
        for name in slot.names:
            content.child(name, named_element(name, ns, group(parts)), required, slot.many)

    def add_elements(self, content: _Content, slot: Slot, ns: Namespace | None, required: bool) -> None:
        many = slot.many if slot.field.single is None else not slot.field.single
        if slot.field.inline:
            alternatives = []
            for cls in slot.types:
                member = _Content()
                self.fill(member, plan_of(cls), plan_of(cls).entries, ns, self.tag_values(cls, slot.tag_attributes))
                alternatives.append(member.pattern())
            content.branches.append(choice(alternatives) if required else optional(choice(alternatives)))
            return
        by_name: dict[str, list[str]] = {}
        for cls in slot.types:
            name = slot.field.name or declaration(cls).name or ""
            by_name.setdefault(name, []).append(self.element(cls, ns, slot.field.name, slot.tag_attributes))
            default = slot.field.default
            if slot.tag_attributes and default is not None and self.is_default(cls, default) and not slot.field.tagged:
                by_name[name].append(self.element(cls, ns, slot.field.name))
        for name, patterns in by_name.items():
            content.child(name, choice(patterns), required and len(by_name) == 1, many)

    @staticmethod
    def is_default(cls: type, default: object) -> bool:
        wanted = tuple(map(plain, default)) if isinstance(default, tuple) else plain(default)
        return wanted in {
            tuple(map(plain, tag)) if isinstance(tag, tuple) else plain(tag) for tag in declaration(cls).tags
        }

    def add_namespaces(self, content: _Content, slot: Slot) -> None:
        if self.foreign:
            content.branches.append(f"<zeroOrMore>{FOREIGN}</zeroOrMore>")
            return
        for cls in registered(slot.field.point or "").values():
            content.child(declaration(cls).qualified_name, self.element(cls, declaration(cls).ns))

    def add_printed(self, content: _Content, slot: Slot, ns: Namespace | None, tags: dict[str, list[str]]) -> None:
        field = slot.field
        if field.as_ == "attribute" and slot.name in tags:
            content.attribute(slot.name, values(tags[slot.name]), True)
        elif field.as_ == "attribute":
            if slot.name not in content.attributes:
                content.attribute(slot.name, "<text/>")
        elif field.as_ == "child":
            if field.name is not None and slot.name not in content.children:
                content.child(slot.name, named_element(slot.name, ns, '<ref name="any"/>'), many=True)
        else:
            content.child(slot.name, named_element(slot.name, ns, "<text/>"))
