"""Hypothesis strategies that follow the XML declarations: documents of any element class.

A document is drawn from the class's schema, so whatever is declared (optional parts, alternatives, unions and their
tags, patterns) is exercised without a word written for it.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from hypothesis import strategies as st
from lxml import etree

from virtcore.xml import schema

__all__ = ["documents"]

_DEEPEST = 7
_FOREIGN = "<app:note xmlns:app='urn:virtcore:testing'>kept</app:note>"
_ALPHABET = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
_TEXT = st.text(_ALPHABET, min_size=1, max_size=12).map(str.strip).filter(bool)
_LIMITS = {
    "unsignedInt": (0, 2**32 - 1),
    "int": (-(2**31), 2**31 - 1),
    "unsignedLong": (0, 2**64 - 1),
    "long": (-(2**63), 2**63 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "short": (-(2**15), 2**15 - 1),
    "unsignedByte": (0, 255),
    "byte": (-128, 127),
    "integer": (-(2**63), 2**63 - 1),
}


class _Part(NamedTuple):
    attributes: dict[str, str]
    content: list[str]


@st.composite
def documents(draw: st.DrawFn, cls: type) -> str:
    """XML documents of an element class that its schema accepts.

    The schema does not say everything: what a document means may still be refused on reading (``VirtError``).

    :param cls: declared with :func:`virtcore.xml.element`.
    """
    defines, start = _grammar(cls)
    return _draw(draw, defines, start, 0).content[0]


@cache
def _grammar(cls: type) -> tuple[dict[str, etree._Element], etree._Element]:
    root = etree.fromstring(schema(cls).encode())
    defines = {str(define.get("name")): define[0] for define in root.iterfind("{*}define")}
    start = root.find("{*}start")
    assert start is not None
    return defines, start[0]


def _draw(draw: st.DrawFn, defines: dict[str, etree._Element], pattern: etree._Element, depth: int) -> _Part:
    """What a pattern contributes to the element it stands in."""
    kind = etree.QName(pattern).localname
    if kind == "ref":
        return _draw(draw, defines, defines[str(pattern.get("name"))], depth)
    if kind == "element":
        return _Part({}, [_element(draw, defines, pattern, depth)])
    if kind == "attribute":
        value = "".join(_all(draw, defines, list(pattern), depth).content)
        return _Part({str(pattern.get("name")): value}, [])
    if kind == "choice":
        return _draw(draw, defines, draw(st.sampled_from(list(pattern))), depth)
    if kind in ("optional", "zeroOrMore"):
        # Rarer the deeper, so that documents stay small; never at all where recursion might not end.
        rarity = 2 if depth else 3
        if depth >= _DEEPEST or draw(st.integers(0, rarity)) < rarity:
            return _Part({}, [])
        count = draw(st.integers(1, 2)) if kind == "zeroOrMore" else 1
        return _merged([_all(draw, defines, list(pattern), depth) for _ in range(count)])
    if kind == "value":
        return _Part({}, [pattern.text or ""])
    if kind == "data":
        return _Part({}, [draw(_data(str(pattern.get("type")), _parameters(pattern)))])
    if kind == "text":
        return _Part({}, [draw(_TEXT)])
    if kind in ("empty", "notAllowed", "anyName"):
        return _Part({}, [])
    return _all(draw, defines, list(pattern), depth)  # group, interleave, oneOrMore


def _all(draw: st.DrawFn, defines: dict[str, etree._Element], patterns: list[etree._Element], depth: int) -> _Part:
    return _merged([_draw(draw, defines, pattern, depth) for pattern in patterns])


def _merged(parts: list[_Part]) -> _Part:
    attributes: dict[str, str] = {}
    content: list[str] = []
    for part in parts:
        attributes.update(part.attributes)
        content += part.content
    return _Part(attributes, content)


def _element(draw: st.DrawFn, defines: dict[str, etree._Element], pattern: etree._Element, depth: int) -> str:
    name = pattern.get("name")
    if name is None:  # any name: a subtree that is kept as it is
        return _FOREIGN
    part = _all(draw, defines, list(pattern), depth + 1)
    attributes = "".join(f" {key}={quoteattr(value)}" for key, value in part.attributes.items())
    space = pattern.get("ns")  # of a plugin; what stands below names it again
    if space:
        attributes += f" xmlns={quoteattr(str(space))}"
    content = "".join(text if text.startswith("<") and text.endswith(">") else escape(text) for text in part.content)
    return f"<{name}{attributes}>{content}</{name}>"


def _parameters(pattern: etree._Element) -> tuple[tuple[str, str], ...]:
    return tuple((str(param.get("name")), param.text or "") for param in pattern.iterfind("{*}param"))


@cache
def _data(kind: str, parameters: tuple[tuple[str, str], ...]) -> st.SearchStrategy[str]:
    given = dict(parameters)
    if kind == "string":
        if "pattern" in given:
            return st.from_regex(
                f"(?:{given['pattern']})", fullmatch=True, alphabet=st.characters(codec="ascii", min_codepoint=32)
            )
        return _TEXT
    low, high = _LIMITS[kind]
    low = max(low, int(given.get("minInclusive", low)))
    high = min(high, int(given.get("maxInclusive", high)))
    return st.integers(low, high).map(str)
