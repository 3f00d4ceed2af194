"""What a class says about its XML: one declaration per field, in the order of the output.

Everything here is inert: a declaration is noted when the class body runs and becomes code when the class is first used
(:mod:`virtcore.xml.declare`). Nothing heavy is imported.

Field specifiers return ``Any`` on purpose: the annotation beside them is the type, as with :func:`dataclasses.field`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtcore.errors import ErrorCode
    from virtcore.xml.modes import Mode
    from virtcore.xml.scalars import Codec

__all__ = [
    "BAD_TAG",
    "NO_TAG",
    "Field",
    "attribute",
    "child",
    "children",
    "extras",
    "flag",
    "flags",
    "inherited",
    "inline",
    "leaf",
    "namespaces",
    "printed",
    "private",
    "text",
    "union",
    "verbatim",
]

#: libvirt's own messages for an element whose attribute that selects its class is absent, or names none. A union that
#: says neither ``missing`` nor ``invalid`` takes such an element for unknown content.
NO_TAG = "Missing required attribute '{name}' in element '{element}'"
BAD_TAG = "Invalid value for attribute '{name}' in element '{element}': '{value}'."


class Field:
    """One declared field. ``kind`` is the specifier's name; what was not said is None or False.

    ``key`` is the Python name, ``owner`` the class that declared it; both are known once the class body has run.
    """

    kind: str
    key: str = ""
    owner: type | None = None
    name: str | None = None
    required: bool = False
    codec: Codec[Any] | None = None
    within: str | None = None
    when: Mode | None = None
    unless: Mode | None = None
    read: Mode | None = None
    shown: Callable[..., bool] | None = None
    only: Mapping[str, Iterable[object]] | None = None
    omit: object = None
    synonyms: tuple[str, ...] = ()
    blank: bool | None = None
    secret: bool = False
    excluded: tuple[object, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    nonzero: bool = False
    pattern: str | None = None
    demanded: bool | Mapping[str, Iterable[object]] | None = None
    values_beside: Mapping[object, Mapping[str, Iterable[object]]] | None = None
    tagged: bool = False
    single: bool | None = None
    exclusive: str | None = None
    missing: str | None = None
    invalid: str | None = None
    code: ErrorCode | None = None
    missing_code: ErrorCode | None = None
    repeat: str = "first"
    repeated: str | None = None
    tag: str | tuple[str, ...] | None = None
    default: object = None
    hide_default: bool = False
    inline: bool = False
    point: str | None = None
    leading: bool = False
    entry: tuple[str, str] | None = None
    value: Callable[..., object] | None = None
    as_: str = "attribute"
    since: str | None = None
    doc: str = ""

    def __init__(self, kind: str, options: dict[str, Any]) -> None:
        self.__dict__.update(options)
        self.kind = kind

    def __set_name__(self, owner: type, key: str) -> None:
        self.key = key
        self.owner = owner

    def __repr__(self) -> str:
        return f"<{self.kind} {self.key}>"


def attribute(
    name: str | None = None,
    *,
    required: bool = False,
    codec: Codec[Any] | None = None,
    within: str | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    omit: object = None,
    synonyms: tuple[str, ...] = (),
    blank: bool = True,
    secret: bool = False,
    excluded: tuple[object, ...] = (),
    minimum: int | None = None,
    maximum: int | None = None,
    nonzero: bool = False,
    pattern: str | None = None,
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    values_beside: Mapping[object, Mapping[str, Iterable[object]]] | None = None,
    exclusive: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """An XML attribute.

    :param name: its name in the XML; by default the field's (a trailing underscore dropped).
    :param required: refused on reading when absent; a keyword that must be given when constructing.
    :param codec: how text becomes the value, when the annotation alone does not say (see :mod:`virtcore.xml.scalars`).
    :param within: the attribute stands on a wrapper child of this name that is no class of its own (``<vmport
        state='on'/>``:
        ``attribute("state", within="vmport")``). Neighbouring fields with the same wrapper share it. With a list
        annotation every
        value has its own wrapper (``<boot dev='hd'/>``). ``a/b`` nests.
    :param when: printed only in modes that have one of these bits.
    :param unless: not printed in modes that have one of these bits.
    :param read: read only in input modes that have one of these bits (lossless reading reads everything).
    :param shown: ``shown(owner) -> bool``: printed only when true.
    :param only: exists only while the named sibling field has one of these values (None in them: or is absent), as
        ``only={"type": (ControllerType.USB,)}``; else it is neither printed nor read (unknown content).
    :param omit: this value is not printed.
    :param synonyms: other attribute names accepted on reading.
    :param blank: an empty string is a value; if false it counts as absent (libvirt reads it through XPath).
    :param secret: shown as ``***`` in reprs, diffs and errors; printed only when the mode has ``SECURE``.
    :param excluded: enum values that are refused although the enum has them.
    :param minimum: smallest value accepted (schema and reading).
    :param maximum: largest value accepted (schema and reading).
    :param nonzero: zero is refused.
    :param pattern: regular expression for the schema (XSD syntax).
    :param demanded: whether the schema demands it, where that is not the same as ``required``; or beside which values
        of a sibling field it does, as ``{"protocol": (NetProtocol.ISCSI,)}``.
    :param values_beside: the schema accepts some of its values only beside certain values of a sibling field:
        ``{DiskDevice.LUN: {"type": (StorageType.BLOCK,)}}``.
    :param exclusive: name of a choice: of the fields that share it at most one may be present (schema). Those that
        name the same alternative of it (``bytes/split``) may stand together.
    :param missing: message when a required value is absent; ``{name}``, ``{element}`` are filled in, and what
        :func:`virtcore.xml.problems.filled` knows beside. Default: libvirt's generic one.
    :param invalid: message for a value that cannot be read; also ``{value}``.
    :param code: error code for ``missing`` and ``invalid`` (default ``XML_ERROR``).
    :param missing_code: error code for ``missing`` where it is another. With ``missing=""`` the error has no detail.
    :param since: libvirt version that introduced it.
    :param doc: one line for the reference.
    """
    return Field("attribute", locals())


def leaf(
    name: str | None = None,
    *,
    required: bool = False,
    codec: Codec[Any] | None = None,
    within: str | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    omit: object = None,
    synonyms: tuple[str, ...] = (),
    blank: bool = False,
    secret: bool = False,
    excluded: tuple[object, ...] = (),
    minimum: int | None = None,
    maximum: int | None = None,
    nonzero: bool = False,
    pattern: str | None = None,
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    exclusive: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    repeat: str = "first",
    repeated: str | None = None,
    entry: tuple[str, str] | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """A child element that holds only text: ``<serial>text</serial>``. With a list annotation, repeated.

    Options as in :func:`attribute`; in addition

    :param blank: an empty element is the value ``""``; by default it counts as absent, as in libvirt's XPath readers.
    :param repeat: which one counts when there are several: ``first``, ``last`` or ``refuse``.
    :param repeated: message when refused.
    :param entry: ``("name", "vendor")``: told apart by an attribute: ``leaf("entry", entry=("name", "vendor"))`` is
        ``<entry name='vendor'>text</entry>``.
    """
    return Field("leaf", locals())


def text(
    *,
    required: bool = False,
    codec: Codec[Any] | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    omit: object = None,
    blank: bool = False,
    secret: bool = False,
    excluded: tuple[object, ...] = (),
    minimum: int | None = None,
    maximum: int | None = None,
    nonzero: bool = False,
    pattern: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """The element's own text. Options as in :func:`leaf`."""
    return Field("text", locals())


def flag(
    name: str | None = None,
    *,
    within: str | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    synonyms: tuple[str, ...] = (),
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    exclusive: str | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """A boolean told by the presence of an empty child element: ``<readonly/>``."""
    return Field("flag", locals())


def flags(
    *,
    within: str,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """A list of enum values told by the names of empty elements inside a wrapper:
    ``<active_pcr_banks><sha256/></active_pcr_banks>``.

    Printed in the enum's order; the wrapper only when there is something in it.
    """
    return Field("flags", locals())


def child(
    name: str | None = None,
    *,
    required: bool = False,
    within: str | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    synonyms: tuple[str, ...] = (),
    single: bool | None = None,
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    tag: str | tuple[str, ...] | None = None,
    default: object = None,
    hide_default: bool = False,
    exclusive: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    repeat: str = "first",
    repeated: str | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """One nested element. Its XML name comes from its class, or is given here.

    ``child(tag="@type")`` is ``union(tag="@type")``.

    :param repeat: which one counts when there are several: ``first`` (libvirt's XPath readers), ``last`` (its loops
        over
        children) or ``refuse`` with the message ``repeated``.
    :param single: false: the schema accepts several.
    """
    return Field("union" if tag is not None else "child", locals())


def children(
    name: str | None = None,
    *,
    within: str | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    synonyms: tuple[str, ...] = (),
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    single: bool | None = None,
    tagged: bool = False,
    tag: str | tuple[str, ...] | None = None,
    default: object = None,
    hide_default: bool = False,
    exclusive: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """A list of nested elements, in document order.

    The annotation names one class, or several that are told apart by element name, and further by ``tag`` where they
    share one.

    :param within: name of a wrapper element that has no class of its own; printed only when the list is not empty.
    :param tag: ``"@type"`` or ``("@mode", "@type")``: the attribute(s) of each element that select(s) its class
        (:func:`union`).
    :param default: tag value that stands when the attribute is absent.
    :param demanded: whether the schema demands at least one.
    :param single: the schema accepts no more than one, although libvirt reads several.
    :param tagged: the schema demands the tag, although there is a default.
    """
    return Field("children", locals())


def union(
    name: str | None = None,
    *,
    tag: str | tuple[str, ...],
    default: object = None,
    hide_default: bool = False,
    inline: bool = False,
    required: bool = False,
    when: Mode | None = None,
    unless: Mode | None = None,
    read: Mode | None = None,
    shown: Callable[..., bool] | None = None,
    only: Mapping[str, Iterable[object]] | None = None,
    synonyms: tuple[str, ...] = (),
    demanded: bool | Mapping[str, Iterable[object]] | None = None,
    exclusive: str | None = None,
    missing: str | None = None,
    invalid: str | None = None,
    code: ErrorCode | None = None,
    missing_code: ErrorCode | None = None,
    repeat: str = "first",
    repeated: str | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """One of several element classes, chosen by a tag. Each member says its tag value in its own ``@element(...,
    tag=VALUE)``;
    a set of values where a member serves several.

    :param tag: ``"type"``: the value of this class's field ``type``. ``"@type"``: the attribute ``type`` of the
        nested element itself;
        a member that has no field for that attribute prints it from its tag (the tag ``""`` stands for an absent
        attribute, with
        ``default=""``). A tuple combines several; members then
        carry tuples.
    :param default: tag value that stands when the tag is absent.
    :param hide_default: the default tag is not printed.
    :param inline: the member has no element of its own: its attributes and children stand in this element, at this
        position.
    :param missing: message when the tag attribute is absent and there is no default.
    :param invalid: message for a tag no member has (``{value}``); without it, or when it is empty, the element is
        unknown content.
    """
    return Field("union", locals())


def inline(*, doc: str = "") -> Any:
    """Embeds the fields of an ``@element(None)`` class at this position; held as one object, which is made when one
    of its fields
    occurs. (For fields held by the class itself inherit from the group instead.)"""
    return Field("inline", locals())


def inherited() -> Any:
    """Marks where the base classes' fields stand in the output; without it they come first (last, if the base says
    ``last=True``).

    Give it to a name without annotation: ``_device = inherited()``.
    """
    return Field("inherited", locals())


def verbatim(
    name: str | None = None,
    *,
    when: Mode | None = None,
    unless: Mode | None = None,
    since: str | None = None,
    doc: str = "",
) -> Any:
    """A subtree kept as text (the whole element, namespaces and comments included), re-indented as libvirt does:
    ``<metadata>``."""
    return Field("verbatim", locals())


def extras() -> Any:
    """Where content no field declares is kept. Every element has it, as ``extra``; declaring it makes the type
    checker know it."""
    return Field("extras", locals())


def namespaces(*, point: str, leading: bool = False, doc: str = "") -> Any:
    """Where elements of plugin namespaces registered for ``point`` hang (a list, see
    :class:`virtcore.xml.Namespace`); the prefixes
    in use are declared on this element.

    :param leading: they are declared before the attributes; else the field's place among them says where.
    """
    return Field("namespaces", locals())


def private(*, point: str, doc: str = "") -> Any:
    """``<privateData>``: what the driver alone knows of a running object, in its status files.

    The element class is the driver's, registered for ``point`` by :func:`virtcore.xml.register_private`; without one
    such data is dropped on reading.
    """
    from virtcore.xml.modes import Mode

    when = read = Mode.STATUS
    return Field("child", {"name": "privateData", "point": point, "when": when, "read": read, "doc": doc})


def printed(
    value: Callable[..., object],
    name: str | None = None,
    *,
    as_: str = "attribute",
    codec: Codec[Any] | None = None,
    when: Mode | None = None,
    unless: Mode | None = None,
    synonyms: tuple[str, ...] = (),
    since: str | None = None,
    doc: str = "",
) -> Any:
    """Something printed for compatibility and never read into a field of its own.

    Give it to a name without annotation: ``_listen = printed(lambda self: self.listens[0].address, "listen")``. Known
    on reading
    (no unknown content), ignored unless another field reads it.

    :param value: from the object to what is printed; None prints nothing.
    :param as_: ``attribute``, ``leaf`` (text), ``flag`` or ``child`` (an element object or a list of them; ``name``
        overrides the
        class's).
    """
    return Field("printed", locals())
