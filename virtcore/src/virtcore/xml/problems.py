"""What can be wrong with a document: errors that say where, what was read and what comes nearest; and content
nobody declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from virtcore.errors import ErrorCode, ErrorDomain, VirtError
from virtcore.xml.extra import Extra, Extras
from virtcore.xml.fields import BAD_TAG, NO_TAG
from virtcore.xml.subtree import capture

if TYPE_CHECKING:
    from lxml.etree import _Element

    from virtcore.xml.plan import Plan, Slot

__all__ = [
    "Reading",
    "attribute_of_leaf",
    "bad",
    "filled",
    "locate",
    "missing",
    "nearest",
    "place",
    "refused",
    "string",
    "unknown_attribute",
]


class Reading:
    """How a document is being read.

    :ivar mode: input mode; fields with ``read=`` look at it.
    :ivar keep: unknown content is kept (else dropped, or refused where the element says so).
    """

    __slots__ = ("keep", "mode")

    def __init__(self, mode: int, keep: bool) -> None:
        self.mode = mode
        self.keep = keep


def error(code: ErrorCode | None, detail: str | None, **where: str | None) -> VirtError:
    # What has a code of its own libvirt says where it knows the kind of document, not where it reads XML.
    domain = ErrorDomain.XML if code is None else ErrorDomain.NONE
    number = code if code is not None else ErrorCode.XML_ERROR
    return VirtError.for_code(int(number))(detail, code=number, domain=domain, **where)


def local(name: str) -> str:
    return name.rpartition("}")[2]


def place(node: _Element, attribute: str | None = None) -> str:
    """``/domain/devices/disk[2]/@type``"""
    path = str(node.getroottree().getpath(node))
    return path if attribute is None else f"{path}/@{attribute}"


def locate(problem: VirtError, node: _Element) -> VirtError:
    """Adds the place to an error that was raised without one."""
    if problem.path is None:
        problem.locate(place(node))
    return problem


class _Words(dict[str, str]):
    """What may stand in braces in a message."""

    def __init__(self, node: _Element, words: dict[str, str]) -> None:
        super().__init__(words)
        self.node = node

    def __missing__(self, key: str) -> str:
        if key == "document":
            return self.node.getroottree().getroot().findtext("name") or "(null)"
        if not key.startswith("@"):
            raise KeyError(key)
        for element in (self.node, *self.node.iterancestors()):
            if key[1:] in element.attrib:
                return str(element.get(key[1:]))
        return "(null)"


def filled(template: str, node: _Element, *, name: str, value: str = "", element: str | None = None) -> str:
    """A message with its words: ``{name}``, ``{element}``, ``{value}``; ``{@id}``, the attribute ``id`` of the element
    or of the nearest one around it; ``{document}``, what the document's object is called (its root's ``<name>``)."""
    words = {"name": name, "element": local(str(node.tag)) if element is None else element, "value": value}
    return template.format_map(_Words(node, words))


def nearest(value: str, words: tuple[str, ...]) -> str | None:
    """The valid value that was probably meant."""
    import difflib

    found = difflib.get_close_matches(value, words, 1)
    return found[0] if found else None


def bad(slot: Slot, node: _Element, value: str, name: str | None = None, cause: Exception | None = None) -> NoReturn:
    """Refuses a scalar value, with the field's message, the codec's, or libvirt's generic one.

    :param name: the attribute's name; None for element text.
    """
    if isinstance(cause, VirtError):
        raise locate(cause, node)
    field = slot.field
    tag = local(str(node.tag))
    shown = "***" if field.secret else value
    codec = slot.codec
    code = field.code
    own = cause.args[0] if isinstance(cause, Refusal) else None
    if field.invalid is not None:
        detail = filled(field.invalid, node, name=name or tag, value=shown)
    elif codec is not None and codec.message is not None:
        detail = filled(codec.message, node, name=name or tag, value=shown)
        code = code if code is not None else ErrorCode[codec.error]
    else:
        what = f"attribute '{name}' in element '{tag}'" if name else f"element '{tag}'"
        if own == ZERO:
            detail = f"Invalid value for {what}: {own}"
        else:
            behind = own or (codec.expected if codec is not None else "")
            # libvirt ends the message for words with a full stop, the one for numbers with what it expected.
            detail = f"Invalid value for {what}: '{shown}'." + (f" {behind}" if behind else "")
    raise error(
        code,
        detail,
        path=place(node, name),
        value=shown,
        nearest=None if field.secret else nearest(value, slot.words),
    ) from None


ZERO = "Zero is not permitted"


class Refusal(ValueError):
    """A value that can be read but is not allowed; the argument goes into the message."""


def missing(slot: Slot, node: _Element) -> NoReturn:
    """Refuses an element that lacks a required field."""
    field = slot.field
    tag = local(str(node.tag))
    name = slot.name if slot.kind != "text" else tag
    if field.missing is not None:
        detail = filled(field.missing, node, name=name)
    elif slot.kind == "attribute":
        detail = f"Missing required attribute '{name}' in element '{tag}'"
    else:
        detail = f"missing element or attribute '{name}'"
    code = field.missing_code if field.missing_code is not None else field.code
    raise error(code, detail or None, path=place(node, name if slot.kind == "attribute" else None))


def bad_tag(slot: Slot, node: _Element, values: tuple[str | None, ...], words: tuple[str, ...]) -> None:
    """Refuses an element whose tag attribute is absent or names no class; does nothing where that is no error."""
    field = slot.field
    absent = next((n for n, v in zip(slot.tag_attributes, values, strict=True) if v is None), None)
    lacking = field.missing_code if field.missing_code is not None else field.code
    if absent is not None and field.missing is not None:
        raise error(lacking, filled(field.missing, node, name=absent), path=place(node))
    if absent is not None:
        raise error(lacking, filled(NO_TAG, node, name=absent), path=place(node, absent))
    if field.invalid == "":
        return
    value = "/".join(v or "" for v in values)
    name = slot.tag_attributes[-1]
    detail = filled(field.invalid or BAD_TAG, node, name=name, value=value)
    raise error(field.code, detail, path=place(node, name), value=value, nearest=nearest(value, words))


def refused(slot: Slot, node: _Element) -> NoReturn:
    """Refuses a second element where one is allowed."""
    tag = local(str(node.tag))
    detail = filled(slot.field.repeated or "only one '{name}' element is supported", node, name=tag)
    raise error(slot.field.code, detail, path=place(node))


# ------------------------------------------------------------------------------------------------- unknown content


def extras_of(holder: dict[str, Any]) -> Extras:
    found = holder.get("extra")
    if found is None:
        found = holder["extra"] = Extras()
    assert isinstance(found, Extras)
    return found


def unknown_attribute(x: Reading, holder: dict[str, Any], name: str, value: str, within: str = "") -> None:
    """Keeps an attribute nobody declared, if such content is kept; ``within``: on this wrapper or leaf."""
    if x.keep:
        extras_of(holder).attributes[f"{within}/@{name}" if within else name] = value


def attribute_of_leaf(x: Reading, holder: dict[str, Any], node: _Element, known: tuple[str, ...] = ()) -> None:
    """Keeps attributes of an element that is declared to have none (but ``known``)."""
    for name, value in node.items():
        if name not in known:
            unknown_attribute(x, holder, str(name), str(value), local(str(node.tag)))


def unknown_element(
    x: Reading, plan: Plan, holder: dict[str, Any], node: _Element, order: dict[str, str], within: str = ""
) -> None:
    """Keeps, drops or refuses a child element nobody declared. Comments and processing instructions are dropped.

    :param order: known element name to field, to say after which sibling it stood.
    """
    if not isinstance(node.tag, str):
        return
    if not x.keep:
        declared = plan.declared
        if declared.unknown is not None and not within:
            name = local(node.tag)
            known = tuple(sorted(plan.known()[1]))
            raise error(
                declared.unknown_code,
                filled(declared.unknown, node, name=name, value=name, element=declared.name),
                path=place(node),
                value=name,
                nearest=nearest(name, known),
            )
        return
    after: tuple[str, int] | None = None
    if node.tag in order:
        # One too many of a known element: printed behind the one that counts, or it would count next time.
        extras_of(holder).elements.append(Extra(capture(node), (order[node.tag], 0), within))
        return
    for sibling in node.itersiblings(preceding=True):
        key = order.get(sibling.tag) if isinstance(sibling.tag, str) else None
        if key is None:
            continue
        if after is None:
            after = (key, 1)
        elif after[0] == key:
            after = (key, after[1] + 1)
    extras_of(holder).elements.append(Extra(capture(node), after, within))


def string(node: _Element) -> str:
    """The text of an element with everything below it (XPath's ``string()``), comments left out."""
    return str(node.xpath("string()"))
