"""The class decorator :func:`element`, and what it notes.

Decorating is nearly free. On the first use of a class (construction, parsing, formatting) :func:`materialise`
collects its fields,
resolves its annotations and lets attrs write constructor and comparison, in place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from virtcore.xml.fields import Field

if TYPE_CHECKING:
    from virtcore.errors import ErrorCode
    from virtcore.xml.namespace import Namespace

__all__ = ["Declaration", "declaration", "element", "materialise"]

T = TypeVar("T")


class Declaration:
    """What is known of an element class; ``cls.__virt_xml__``."""

    __slots__ = (
        "after_parse",
        "cls",
        "defaults",
        "doc",
        "empty",
        "fields",
        "last",
        "name",
        "ns",
        "ready",
        "root",
        "since",
        "skipped",
        "stands_for",
        "tag",
        "undocumented",
        "unknown",
        "unknown_code",
    )

    def __init__(
        self,
        cls: type,
        name: str | None,
        empty: str,
        root: bool,
        tag: object,
        ns: Namespace | None,
        last: bool,
        unknown: str | None,
        unknown_code: ErrorCode | None,
        undocumented: tuple[str, ...],
        after_parse: Callable[[Any], None] | None,
        skipped: Callable[[Any, int], bool] | None,
        stands_for: type | None,
        since: str | None,
        doc: str,
    ) -> None:
        self.cls = cls
        self.name = name
        self.empty = empty
        self.root = root
        self.tag = tag
        self.ns = ns
        self.last = last
        self.unknown = unknown
        self.unknown_code = unknown_code
        self.undocumented = undocumented
        self.after_parse = after_parse
        self.skipped = skipped
        self.stands_for = stands_for
        self.since = since
        self.doc = doc
        self.ready = False
        self.fields: tuple[Field, ...] = ()
        #: By field what an absent value means.
        self.defaults: dict[str, object] = {}

    @property
    def qualified_name(self) -> str:
        """The element's name as lxml spells it, ``{uri}name``."""
        if self.name is None:
            raise TypeError(f"{self.cls.__qualname__} is a group of fields, not an element")
        return self.name if self.ns is None else f"{{{self.ns.uri}}}{self.name}"

    @property
    def tags(self) -> tuple[object, ...]:
        """The tag values under which this class serves in unions."""
        if self.tag is None:
            return ()
        if isinstance(self.tag, (set, frozenset)):
            # In an order that does not change from run to run: schemas are made of it.
            return tuple(sorted(self.tag, key=str))
        return (self.tag,)


def declaration(cls: type) -> Declaration:
    """The declaration of an element class.

    :raises TypeError: it is not one.
    """
    found = cls.__dict__.get("__virt_xml__")
    if not isinstance(found, Declaration):
        raise TypeError(f"{cls.__qualname__} is not an element class")
    return found


@dataclass_transform(kw_only_default=True, eq_default=True)
def element(
    name: str | None = None,
    *,
    tag: object = None,
    empty: str = "omit",
    root: bool = False,
    ns: Namespace | None = None,
    last: bool = False,
    unknown: str | None = None,
    unknown_code: ErrorCode | None = None,
    undocumented: tuple[str, ...] = (),
    after_parse: Callable[[Any], None] | None = None,
    skipped: Callable[[Any, int], bool] | None = None,
    stands_for: type | None = None,
    since: str | None = None,
    doc: str = "",
) -> Callable[[type[T]], type[T]]:
    """Makes a class stand for an XML element. Its instances are mutable, equal by value, unhashable; arguments are
    keywords.

    :param name: the element's name; None for a group of fields to be inherited or embedded.
    :param tag: the tag value under which it is a member of unions (a set: several; tuples combine several tags).
    :param empty: ``omit``: an instance that would print neither attributes nor content is left out (libvirt's
        ``virXMLFormatElement``); ``keep``: ``<name/>`` is printed; ``open``: an opening and a closing tag,
            each on its line; ``spaced``: ``<name id='1' />``, as libvirt prints in a few places.
    :param root: it can be a document of its own.
    :param ns: the plugin namespace it belongs to; classes used below it inherit it.
    :param last: (groups) where a subclass does not say ``inherited()``, these fields come last instead of first.
    :param unknown: message with which :func:`virtcore.xml.load` refuses child elements that no field declares
        (``{name}``); by
        default they are dropped, as libvirt does.
    :param unknown_code: its error code (default ``XML_ERROR``).
    :param undocumented: names of fields, inherited ones above all, that libvirt reads although the documented format
        does not have them here; the schema refuses them.
    :param after_parse: called with each freshly read instance, for what no declaration can say; may raise
        :class:`~virtcore.errors.VirtError`.
    :param skipped: ``skipped(instance, mode)``: instances for which it is true are not printed in an output mode
        (:attr:`Mode.bits`), wherever they stand.
    :param since: libvirt version that introduced it.
    :param doc: one line for the reference; by default the first line of the docstring.
    """

    def decorate(cls: type[T]) -> type[T]:
        noted = Declaration(
            cls,
            name,
            empty,
            root,
            tag,
            ns,
            last,
            unknown,
            unknown_code,
            undocumented,
            after_parse,
            skipped,
            stands_for,
            since,
            doc,
        )
        cls.__virt_xml__ = noted  # type: ignore[attr-defined]

        def first_use(self: T, /, **values: object) -> None:
            construct(cls)
            cls.__init__(self, **values)

        cls.__init__ = first_use  # type: ignore[assignment, method-assign]
        cls.__attrs_attrs__ = _ATTRIBUTES  # type: ignore[attr-defined]
        cls.__eq__ = equal  # type: ignore[method-assign]
        cls.__hash__ = None  # type: ignore[assignment]
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = represent  # type: ignore[method-assign]
        return cls

    return decorate


# ------------------------------------------------------------------------------------------------------------------ use


def own_fields(cls: type) -> list[Field]:
    return [value for value in vars(cls).values() if isinstance(value, Field)]


def collect(cls: type) -> list[Field]:
    """The fields of a class and its bases, in output order."""
    own = _OWN.get(cls)
    if own is None:
        own = _OWN[cls] = own_fields(cls)
    before: list[Field] = []
    behind: list[Field] = []
    for base in cls.__bases__:
        noted = base.__dict__.get("__virt_xml__")
        if noted is not None:
            (behind if noted.last else before).extend(collect(base))
    marker = next((f for f in own if f.kind == "inherited"), None)
    if marker is not None:
        at = own.index(marker)
        result = own[:at] + before + behind + own[at + 1 :]
    else:
        result = before + own + behind
    names = {f.key: f for f in own}
    # A field declared again in the subclass stands where the subclass says; of several bases, the first counts.
    kept: dict[str, Field] = {}
    for field in result:
        if names.get(field.key, field) is field:
            kept.setdefault(field.key, field)
    return list(kept.values())


_OWN: dict[type, list[Field]] = {}


_LOCK = RLock()


def materialise(cls: type) -> Declaration:
    """Makes the class ready for reading and printing: fields collected, defaults on the class. Harmless when
    repeated.
    """
    noted = declaration(cls)
    if noted.ready:
        return noted
    with _LOCK:
        for base in cls.__mro__[1:]:
            if "__virt_xml__" in base.__dict__:
                materialise(base)
        fields = collect(cls)
        if not any(f.kind == "extras" for f in fields):
            extra = Field("extras", {"doc": "content no field declares"})
            extra.key, extra.owner = "extra", cls
            fields.append(extra)
        for field in fields:
            if field.kind in ("inherited", "printed"):
                continue
            noted.defaults[field.key] = default = default_of(field)
            if default in (None, False):
                setattr(cls, field.key, default)
            elif field.key in cls.__dict__:
                # Required values and lists have no default that instances could share.
                delattr(cls, field.key)
        noted.fields = tuple(f for f in fields if f.kind != "inherited")
        noted.ready = True
    return noted


class Fresh(Enum):
    """Stands for "a new list" and "no default" among the defaults."""

    LIST = "list"
    REQUIRED = "required"


def default_of(field: Field) -> object:
    if field.kind in ("children", "flags", "namespaces") or is_list(field):
        return Fresh.LIST
    if field.kind == "flag":
        return False
    return Fresh.REQUIRED if field.required and field.only is None else None


def construct(cls: type) -> None:
    """Lets attrs write the constructor, on the first construction (or look at ``attrs.fields``)."""
    from attr import NOTHING, Factory, attrib, attrs

    noted = materialise(cls)
    with _LOCK:
        if not isinstance(cls.__dict__.get("__attrs_attrs__"), _Attributes):
            return
        kinds = {Fresh.LIST: Factory(list), Fresh.REQUIRED: NOTHING}
        these: dict[str, Any] = {}
        for key, default in noted.defaults.items():
            value = kinds[default] if isinstance(default, Fresh) else default
            these[key] = attrib(default=value, kw_only=True)
        _Attributes.busy = True
        try:
            # Comparison and repr stay ours: absent values are not stored, secrets not shown.
            attrs(maybe_cls=cls, these=these, init=True, eq=False, order=False, repr=False, slots=False)
        finally:
            _Attributes.busy = False


class _Attributes:
    """``__attrs_attrs__`` of a class that was never constructed: asks attrs when somebody looks."""

    busy = False

    def __get__(self, instance: object, owner: type) -> object:
        with _LOCK:
            if _Attributes.busy:
                raise AttributeError("__attrs_attrs__")
            construct(owner)
            return owner.__dict__["__attrs_attrs__"]


_ATTRIBUTES = _Attributes()


def equal(self: object, other: object) -> Any:
    """Equal by value: the same class, the same fields; an absent value equals its default."""
    if other.__class__ is not self.__class__:
        return NotImplemented
    defaults = declaration(type(self)).defaults
    mine, theirs = self.__dict__, other.__dict__
    for key in mine.keys() | theirs.keys():
        if key in defaults:
            default = defaults[key]
            one, two = mine.get(key, default), theirs.get(key, default)
            if one is not two and one != two:
                return False
    return True


def represent(self: object) -> str:
    """``Disk(type='file', ...)``: what is set, secrets as ``***``."""
    parts = []
    values = self.__dict__
    for field in declaration(type(self)).fields:
        value = values.get(field.key)
        if value is None or value is False or value == []:
            continue
        parts.append(f"{field.key}=***" if field.secret else f"{field.key}={value!r}")
    return f"{type(self).__qualname__}({', '.join(parts)})"


# ---------------------------------------------------------------------------------------------------------- annotations


class _Names(Mapping[str, object]):
    """Names as a module sees them: its globals, then what its packages offer lazily, then builtins."""

    def __init__(self, module: str) -> None:
        self.module = module

    def __getitem__(self, name: str) -> object:
        namespace = vars(sys.modules[self.module])
        if name in namespace:
            value: object = namespace[name]
        else:
            value = self.from_packages(name)
        # An alias of types may be a string, so that it costs nothing until somebody asks. Its names are those of the
        # module that has it, or of the packages around.
        return eval(value, {"__builtins__": {}}, self) if isinstance(value, str) else value

    def from_packages(self, name: str) -> object:
        parent = self.module.rpartition(".")[0]
        while parent:
            package = vars(sys.modules[parent]) if parent in sys.modules else {}
            if name in package:
                return package[name]
            lazy = package.get("__getattr__")
            if lazy is not None:
                try:
                    return lazy(name)
                except AttributeError as error:
                    last = error.__traceback__
                    while last is not None and last.tb_next is not None:
                        last = last.tb_next
                    # "No such name" comes from the function itself; what comes from deeper is a broken module.
                    if last is not None and last.tb_frame.f_code is not lazy.__code__:
                        raise
            parent = parent.rpartition(".")[0]
        builtin = vars(sys.modules["builtins"])
        if name in builtin:
            return builtin[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(sys.modules[self.module]))

    def __len__(self) -> int:
        return len(vars(sys.modules[self.module]))


def annotation_text(field: Field) -> str:
    """The annotation beside a field, as written."""
    assert field.owner is not None
    # All modules have postponed annotations: a class's own are strings in its dictionary.
    text = vars(field.owner).get("__annotations__", {}).get(field.key)
    if text is None:
        return "None"
    return text if isinstance(text, str) else getattr(text, "__name__", repr(text))


def is_list(field: Field) -> bool:
    """Whether a scalar field holds a list of values."""
    return field.kind in ("leaf", "attribute") and annotation_text(field).startswith("list[")


_BUILTINS: dict[str, type] = {"str": str, "int": int, "bool": bool, "object": object}
_SIMPLE = re.compile(r"(?:list\[)?(\w+(?: \| \w+)*)\]?(?: \| None)?").fullmatch


def resolve(field: Field) -> tuple[type, ...]:
    """The classes an annotation names, without None and without the list around them.

    :raises NameError: a name in it is known neither to its module nor to the packages around it.
    """
    assert field.owner is not None
    text = annotation_text(field)
    names = _Names(field.owner.__module__)
    found: list[type] = []
    simple = _SIMPLE(text)
    try:
        if simple is not None:
            for name in simple[1].split(" | "):
                if name in _BUILTINS:
                    found.append(_BUILTINS[name])
                elif name != "None":
                    found.extend(flatten(names[name]))
        else:
            found.extend(flatten(eval(text, {"__builtins__": {}}, names)))
    except (KeyError, NameError) as error:
        raise NameError(f"{field.owner.__qualname__}.{field.key}: cannot resolve {text!r}: {error}") from None
    return tuple(dict.fromkeys(found))


def flatten(kind: object) -> Iterator[type]:
    """The classes in a type expression."""
    if isinstance(kind, type) and not hasattr(kind, "__origin__"):
        if kind is not type(None):
            yield kind
        return
    for inner in getattr(kind, "__args__", ()):
        yield from flatten(inner)
