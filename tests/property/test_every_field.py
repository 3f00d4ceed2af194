"""Every declared field is in a document that is read, written, read and written again with the same result.

The documents follow the schema of each element class: all that may stand in the element, alternatives by turns; what
stands below has only what it needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from xml.sax.saxutils import escape, quoteattr

from hypothesis import find
from lxml import etree

from virtcore.driver.hooks import manager
from virtcore.errors import VirtError
from virtcore.model.cpu import CPUData
from virtcore.model.schemas import SCHEMAS, document_classes
from virtcore.testing.strategies import _data, _parameters
from virtcore.xml import Mode, format, parse, schema
from virtcore.xml.declare import declaration, materialise
from virtcore.xml.fields import Field
from virtcore.xml.reference import describe, walk

MODES = (
    Mode.SECURE | Mode.LIVE | Mode.STATUS | Mode.ACTUAL_NET | Mode.PCI_ORIG_STATES | Mode.CLOCK_ADJUST,
    Mode.SECURE | Mode.INACTIVE,
)
#: What documents made from one class's schema do not reach: it hangs on several siblings, has the form of a driver, or
#: is written in certain states only.
BY_HAND = frozenset(
    (
        *("Interface.coalesce", "Interface.driver", "NetworkSource.reconnect_delay", "NetworkSource.ssl_verify"),
        *("PTYChardev.source", "PipeChardev.source", "Rule.statematch", "USBHostdevSource.auto_address"),
        *("VolumeSource.actual_type", "VolumeSource.dev", "VolumeSource.file"),
    )
)
#: Kinds of fields that hold nothing of the document.
INERT = ("inherited", "printed", "extras")
#: Types without values, of fields that refuse whatever they are given.
REFUSING = ("NoModel | None",)


def holds(field: Field) -> bool:
    """Whether a field holds content that this package declares; what private data is, the loaded drivers do."""
    return field.kind not in INERT and field.point is None and annotation(field) not in REFUSING


def annotation(field: Field) -> str | None:
    """How the type of a field is written."""
    return None if field.owner is None else field.owner.__annotations__.get(field.key)


#: Enough for the longest alternative between contents.
TURNS = 24


#: Texts of which one fits most patterns.
TEXTS = (
    *("fe80::1", "1", "2", "a", "/a", "0x1", "0x0001", "yes", "on", "1.1", "raw", "storage"),
    *("passphrase", "false", "vda", "ff:ff:ff:ff:ff:ff", "52:54:00:00:00:01"),
    *("c7ca6a6a-6b9b-4c8b-9dbe-6a2f0f0f0f0f", "10.0.0.1", "2001f4e9d4eb02c9", "SYN/ALL", "NEW", "src"),
    *("naa.2001f4e9d4eb02c9", "aaaaaaaaaaaa", "0x1234", "0x600", "1-2", "file:///a", "llc_a", "10"),
)


@cache
def sample(kind: str, parameters: tuple[tuple[str, str], ...]) -> str:
    """Return a text of a datatype."""
    given = dict(parameters)
    if "pattern" in given:
        fitting = (text for text in TEXTS if re.fullmatch(given["pattern"], text))
        return next(fitting, None) or find(_data(kind, parameters), lambda text: True)
    return "text" if kind == "string" else given.get("minInclusive", "1").replace("-1", "1").replace("0", "1")


class Writer:
    """Documents of an element class from its schema."""

    def __init__(self, cls: type) -> None:
        root = etree.fromstring(schema(cls, status=True).encode())
        self.defines = {str(define.get("name")): define[0] for define in root.iterfind("{*}define")}
        start = root.find("{*}start")
        assert start is not None
        self.start = start[0]
        self.turn = 0
        self.below = 0
        self.only: int | None = None
        self.optional = 0

    def document(self, turn: int, only: int | None = None, below: int = 0) -> str:
        """Return a document.

        :param turn: which alternatives are taken.
        :param only: of the optional parts only this one; None: all.
        :param below: down to which depth optional parts are there.
        """
        self.below = below
        self.turn = turn
        self.only = only
        self.optional = 0
        return self.content(self.start, -1)[1]

    def content(self, pattern: etree._Element, depth: int) -> tuple[dict[str, str], str]:
        kind = etree.QName(pattern).localname
        if kind == "ref":
            return self.content(self.defines[str(pattern.get("name"))], depth)
        if kind == "element":
            return {}, self.element(pattern, depth + 1)
        if kind == "attribute":
            return {str(pattern.get("name")): "".join(self.content(part, depth)[1] for part in pattern)}, ""
        if kind == "choice":
            return self.content(pattern[self.turn % len(pattern)], depth)
        if kind == "value":
            return {}, pattern.text or ""
        if kind == "data":
            return {}, sample(str(pattern.get("type")), _parameters(pattern))
        if kind == "text":
            return {}, "text"
        if kind in ("empty", "notAllowed", "anyName"):
            return {}, ""
        if kind in ("optional", "zeroOrMore"):
            if depth > self.below:
                return {}, ""
            self.optional += 1
            if self.only is not None and self.only != self.optional:
                return {}, ""
        attributes: dict[str, str] = {}
        text = ""
        for part in pattern:
            more = self.content(part, depth)
            attributes.update(more[0])
            text += more[1]
        return attributes, text

    def element(self, pattern: etree._Element, depth: int) -> str:
        name = pattern.get("name")
        if name is None:
            return "<x:note xmlns:x='urn:x'/>"
        attributes: dict[str, str] = {}
        text = ""
        for part in pattern:
            more = self.content(part, depth)
            attributes.update(more[0])
            text += more[1] if more[1].startswith("<") else escape(more[1])
        if pattern.get("ns"):
            attributes["xmlns"] = str(pattern.get("ns"))
        written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
        return f"<{name}{written}>{text}</{name}>"


def fields(value: object) -> Iterator[tuple[type | None, str]]:
    """Yield class and name of all fields that are set, here and below."""
    if "__virt_xml__" not in type(value).__dict__:
        return
    for field in declaration(type(value)).fields:
        held = value.__dict__.get(field.key)
        if held in (None, False, []):
            continue
        yield field.owner, field.key
        for each in held if isinstance(held, list) else [held]:
            yield from fields(each)


def documents(writer: Writer) -> Iterator[str]:
    """Yield documents with all optional parts, then with one each."""
    most = 0
    for turn in range(TURNS):
        yield writer.document(turn)
        most = max(most, writer.optional)
    for turn in range(TURNS):
        yield writer.document(turn, below=2)
    for only in range(1, most + 1):
        for turn in range(4):
            yield writer.document(turn, only)


def nameless(cls: type) -> Iterator[type]:
    """Yield the classes below that have no element name of their own, whose documents are those of this class."""
    for row in describe(cls):
        for below in row.classes:
            if declaration(below).name is None and below is not cls:
                yield below
                yield from nameless(below)


def test_every_field_survives() -> None:
    manager()
    roots = [cls for name in SCHEMAS for cls in document_classes(name)]
    classes = dict.fromkeys(cls for root in (*roots, CPUData) for cls in walk(root))
    declared = {(field.owner, field.key) for cls in classes for field in materialise(cls).fields if holds(field)}
    seen: set[tuple[type | None, str]] = set()
    for cls in classes:
        together = [cls, *nameless(cls)]
        own = {(field.owner, field.key) for one in together for field in materialise(one).fields if holds(field)}
        if declaration(cls).name is None:
            continue
        writer = Writer(cls)
        for text in documents(writer):
            if own <= seen:
                break
            for mode in MODES:
                try:
                    written = format(parse(text, cls), mode)
                    again: object = parse(written, cls)
                except VirtError:
                    continue
                if format(again, mode) == written:
                    seen.update(fields(again))
    missing = {f"{owner.__name__ if owner else ''}.{key}" for owner, key in declared - seen}
    assert missing == BY_HAND
