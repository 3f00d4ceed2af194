"""``<metadata>`` of domains and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import XMLError

if TYPE_CHECKING:
    from lxml.etree import _Element

__all__ = ["find_metadata", "replace_metadata", "sanitize_metadata"]


def sanitize_metadata(metadata: str | None) -> str | None:
    """The subtree with one element for each application, in a namespace of its own; what else is there goes."""
    if metadata is None:
        return None
    from lxml import etree

    from virtcore.xml.document import PARSER

    root = etree.fromstring(metadata, PARSER)
    seen: set[str] = set()
    removed = False
    for node in list(root):
        tag = node.tag
        uri = tag[1:].partition("}")[0] if isinstance(tag, str) and tag[0] == "{" else None
        if uri is None or uri in seen:
            root.remove(node)
            removed = True
        else:
            seen.add(uri)
    if not (removed or root.text):
        return metadata
    root.text = None
    return str(etree.tostring(root, encoding="unicode", with_tail=False))


def find_metadata(metadata: str | None, uri: str | None) -> str | None:
    """The custom element of a namespace as text, without that namespace (``virDomainGetMetadata``)."""
    if metadata is None or uri is None:
        return None
    from lxml import etree

    from virtcore.xml.document import parser

    for element in etree.fromstring(metadata, parser()):
        if isinstance(element.tag, str) and etree.QName(element).namespace == uri:
            # libvirt hands it out without the namespace that it was asked for by.
            for inner in element.iter(f"{{{uri}}}*"):
                inner.tag = etree.QName(inner).localname
            etree.cleanup_namespaces(element)
            return str(etree.tostring(element, encoding="unicode", with_tail=False, pretty_print=True)).rstrip("\n")
    return None


def replace_metadata(metadata: str | None, element: str | None, key: str | None, uri: str | None) -> str | None:
    """The subtree with the custom element of a namespace put in place, or with None taken out
    (``virDomainSetMetadata``).

    :param key: prefix that the namespace is given.
    :raises XMLError: the element is malformed, or no prefix is given.
    """
    from lxml import etree

    from virtcore.xml.document import document, parser

    root = etree.Element("metadata") if metadata is None else etree.fromstring(metadata, parser())
    for old in list(root):
        if isinstance(old.tag, str) and etree.QName(old).namespace == uri:
            root.remove(old)
    if element is not None:
        if not key or not uri:
            raise XMLError("(metadata_xml)", advice="a prefix and a namespace are needed for a custom element")
        try:
            moved = _moved(document(element, "metadata_xml"), key, uri)
        except ValueError:
            raise XMLError(f"'{key}' cannot stand for namespace '{uri}'") from None
        root.append(moved)
    if len(root) == 0:
        return None
    return str(etree.tostring(root, encoding="unicode", with_tail=False, pretty_print=True)).rstrip("\n")


def _moved(element: _Element, key: str, uri: str) -> _Element:
    """A copy of an element, with what in it is in no namespace put into one, under a prefix."""
    from lxml import etree

    name = element.tag if etree.QName(element).namespace else f"{{{uri}}}{element.tag!s}"
    moved = etree.Element(name, dict(element.attrib), {key: uri})
    moved.text, moved.tail = element.text, element.tail
    moved.extend(_moved(child, key, uri) for child in element.iterchildren("*"))
    return moved
