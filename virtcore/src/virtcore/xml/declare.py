"""The class decorator :func:`element`, and what it notes.

Decorating is nearly free. On the first use of a class (construction, parsing, formatting) :func:`materialise`
collects its fields,
resolves its annotations and lets attrs write constructor and comparison, in place.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
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
        "doc",
        "empty",
        "fields",
        "last",
        "name",
        "ns",
        "ready",
        "root",
        "since",
        "tag",
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
        after_parse: Callable[[Any], None] | None,
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
        self.after_parse = after_parse
        self.since = since
        self.doc = doc
        self.ready = False
        self.fields: tuple[Field, ...] = ()

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
            return tuple(self.tag)
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
    after_parse: Callable[[Any], None] | None = None,
    since: str | None = None,
    doc: str = "",
) -> Callable[[type[T]], type[T]]:
    """Makes a class stand for an XML element. Its instances are mutable, equal by value, unhashable; arguments are
    keywords.

    :param name: the element's name; None for a group of fields to be inherited or embedded.
    :param tag: the tag value under which it is a member of unions (a set: several; tuples combine several tags).
    :param empty: ``omit``: an instance that would print neither attributes nor content is left out (libvirt's
        ``virXMLFormatElement``); ``keep``: ``<name/>`` is printed; ``open``: an opening and a closing tag,
            each on its line.
    :param root: it can be a document of its own.
    :param ns: the plugin namespace it belongs to; classes used below it inherit it.
    :param last: (groups) where a subclass does not say ``inherited()``, these fields come last instead of first.
    :param unknown: message with which :func:`virtcore.xml.load` refuses child elements that no field declares
        (``{name}``); by
        default they are dropped, as libvirt does.
    :param unknown_code: its error code (default ``XML_ERROR``).
    :param after_parse: called with each freshly read instance, for what no declaration can say; may raise
        :class:`~virtcore.errors.VirtError`.
    :param since: libvirt version that introduced it.
    :param doc: one line for the reference; by default the first line of the docstring.
    """

    def decorate(cls: type[T]) -> type[T]:
        noted = Declaration(cls, name, empty, root, tag, ns, last, unknown, unknown_code, after_parse, since, doc)
        cls.__virt_xml__ = noted  # type: ignore[attr-defined]

        def first_use(self: T, /, **values: object) -> None:
            materialise(cls)
            cls.__init__(self, **values)

        cls.__init__ = first_use  # type: ignore[assignment, method-assign]
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
    # A field declared again in the subclass stands where the subclass says.
    return [f for f in result if names.get(f.key, f) is f]


_OWN: dict[type, list[Field]] = {}


def materialise(cls: type) -> Declaration:
    """Makes the class ready for use; harmless when repeated."""
    noted = declaration(cls)
    if noted.ready:
        return noted
    from attr import NOTHING, Factory, attrib, attrs

    for base in cls.__mro__[1:]:
        if "__virt_xml__" in base.__dict__:
            materialise(base)
    fields = collect(cls)
    if not any(f.kind == "extras" for f in fields):
        extra = Field("extras", {"doc": "content no field declares"})
        extra.key, extra.owner = "extra", cls
        fields.append(extra)
    these: dict[str, Any] = {}
    defaults: dict[str, object] = {}
    for field in fields:
        if field.kind in ("inherited", "printed"):
            continue
        if field.kind in ("children", "flags", "namespaces") or is_list(field):
            default: object = Factory(list)
        elif field.kind == "flag":
            default = defaults[field.key] = False
        elif field.required and field.only is None:
            default = NOTHING
        else:
            default = defaults[field.key] = None
        these[field.key] = attrib(default=default, kw_only=True)
    # repr and hash stay ours: short and without secrets; unhashable through eq.
    attrs(maybe_cls=cls, these=these, init=True, eq=True, order=False, repr=False, slots=False)
    for key in these:
        if key in defaults:
            setattr(cls, key, defaults[key])
        elif key in cls.__dict__:
            delattr(cls, key)
    if "__repr__" not in cls.__dict__:
        cls.__repr__ = represent  # type: ignore[assignment]
    noted.fields = tuple(f for f in fields if f.kind != "inherited")
    noted.ready = True
    return noted


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
        # An alias of types may be a string, so that it costs nothing until somebody asks.
        return eval(value, {"__builtins__": {}}, self) if isinstance(value, str) else value

    def from_packages(self, name: str) -> object:
        parent = self.module.rpartition(".")[0]
        while parent:
            package = sys.modules.get(parent)
            if package is not None and hasattr(package, name):
                return getattr(package, name)
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
    import inspect

    assert field.owner is not None
    text = inspect.get_annotations(field.owner).get(field.key)
    if text is None:
        return "None"
    return text if isinstance(text, str) else getattr(text, "__name__", repr(text))


def is_list(field: Field) -> bool:
    """Whether a scalar field holds a list of values."""
    return field.kind in ("leaf", "attribute") and annotation_text(field).startswith("list[")


def resolve(field: Field) -> tuple[type, ...]:
    """The classes an annotation names, without None and without the list around them.

    :raises NameError: a name in it is known neither to its module nor to the packages around it.
    """
    import types
    import typing

    assert field.owner is not None
    try:
        found = eval(annotation_text(field), {"__builtins__": {}}, _Names(field.owner.__module__))
    except (KeyError, NameError) as error:
        raise NameError(
            f"{field.owner.__qualname__}.{field.key}: cannot resolve {annotation_text(field)!r}: {error}"
        ) from None

    def flatten(kind: object) -> Iterator[type]:
        origin = typing.get_origin(kind)
        if origin is list or origin in (types.UnionType, typing.Union):
            for inner in typing.get_args(kind):
                yield from flatten(inner)
        elif isinstance(kind, type) and kind is not type(None):
            yield kind

    return tuple(dict.fromkeys(flatten(found)))
