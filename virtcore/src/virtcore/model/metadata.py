"""``<metadata>`` of domains and networks."""

from __future__ import annotations

__all__ = ["sanitize_metadata"]


def sanitize_metadata(metadata: str | None) -> str | None:
    """The subtree with one element for each application, in a namespace of its own; what else is there goes."""
    if metadata is None:
        return None
    from lxml import etree

    parser = etree.XMLParser(remove_blank_text=True, resolve_entities=False, no_network=True)
    root = etree.fromstring(metadata, parser)
    seen: set[str] = set()
    removed = False
    for node in list(root):
        uri = etree.QName(node).namespace if isinstance(node.tag, str) else None
        if uri is None or uri in seen:
            root.remove(node)
            removed = True
        else:
            seen.add(uri)
    if not (removed or root.text):
        return metadata
    root.text = None
    return str(etree.tostring(root, encoding="unicode", with_tail=False))
