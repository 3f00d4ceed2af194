"""Subtrees kept as text: captured when read, re-indented as libxml2 does when printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lxml import etree

from virtcore.errors import ErrorDomain, XMLError

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["Captured", "capture", "print_at"]

#: Parts whose line breaks are not indentation.
_RAW = re.compile(r"<!--|<!\[CDATA\[|<\?")


class Captured(str):
    """Text that came out of libxml2's printer: well-formed, in its normal form, every line break of it indentation."""

    __slots__ = ()


class CapturedText(Captured):
    """The same with line breaks inside texts or comments, which no indentation may change."""

    __slots__ = ()


def capture(node: _Element) -> Captured:
    """The element as text, indented from level 0. Of the namespaces declared above it those that occur in it are
    declared on it.
    """
    text = etree.tostring(node, encoding="unicode", with_tail=False, pretty_print=True).rstrip("\n")
    parent = node.getparent()
    for prefix, uri in parent.nsmap.items() if parent is not None else ():
        if prefix is not None and f"<{prefix}:" not in text and f" {prefix}:" not in text:
            escaped = uri.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
            text = text.replace(f' xmlns:{prefix}="{escaped}"', "", 1)
    if "\n" in text and ("\n" in "".join(map(str, node.itertext())) or _RAW.search(text)):
        return CapturedText(text)
    return Captured(text)


def print_at(text: str, indent: str, name: str | None = None) -> str:
    """The lines to print for a kept subtree at an indentation, with the last line's end.

    :param name: the element it has to be.
    :raises XMLError: the text, set by the caller, is not one well-formed element, or another one.
    """
    if not isinstance(text, Captured):
        from virtcore.xml.document import document

        node = document(text, "(metadata_xml)")
        if name is not None and node.tag != name:
            raise XMLError(f"expecting root element of '{name}', not '{node.tag!s}'", domain=ErrorDomain.XML)
        text = capture(node)
    if not indent or "\n" not in text:
        return f"{indent}{text}\n"
    if isinstance(text, CapturedText):
        return deep(text, len(indent) // 2)
    return f"{indent}{text}\n".replace("\n", f"\n{indent}", text.count("\n"))


def deep(text: str, level: int) -> str:
    """Lets libxml2 print the subtree at its level: wrapped in as many elements, which are then cut off."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
    node = etree.fromstring(text.encode(), parser)
    outermost = parent = etree.Element("w")
    for _ in range(level - 1):
        parent = etree.SubElement(parent, "w")
    parent.append(node)
    printed = etree.tostring(outermost, encoding="unicode", pretty_print=True)
    opening = "".join(f"{'  ' * n}<w>\n" for n in range(level))
    closing = "".join(f"{'  ' * n}</w>\n" for n in range(level - 1, -1, -1))
    if not (printed.startswith(opening) and printed.endswith(closing)):
        raise XMLError("cannot indent the kept subtree", domain=ErrorDomain.XML)
    return printed[len(opening) : len(printed) - len(closing)]
