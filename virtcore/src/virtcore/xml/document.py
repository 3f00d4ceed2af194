"""From text to a tree, safely: no entities, no network, limits on depth and size; libvirt's words for what is
malformed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lxml import etree

from virtcore.errors import ErrorDomain, XMLDetail, XMLError

if TYPE_CHECKING:
    from lxml.etree import _Element

#: How much of a line is shown on either side of an error, in bytes.
MAX_LINE = 200

#: A password in a line that is quoted in an error; also where its quote or tag is not closed.
_SECRET = re.compile(
    r"""(passw\w*\s*=\s*")[^"]+|(passw\w*\s*=\s*')[^']+|(<(?:passw\w*|secret|value)\b[^<>]*>)[^<]+""", re.IGNORECASE
)

__all__ = ["MAX_DOCUMENT", "document"]

#: Largest document read, in bytes. (Names, texts and attributes end at libxml2's 10 MB, nesting at its 256 levels.)
MAX_DOCUMENT = 16 << 20


def parser() -> etree.XMLParser:
    # collect_ids=False would be faster, but makes libxml2 load external subsets.
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_blank_text=True,
        recover=False,
    )


#: The one that most documents are read with; threads may share it.
PARSER = parser()


def document(source: str | bytes, name: str = "[inline data]") -> _Element:
    """The root element of a document.

    Text is read as UTF-8 unless it says otherwise; blanks that only indent are dropped.

    :param name: what messages call the document, as ``(domain_definition)``.
    :raises XMLDetail: malformed; libvirt's message with the line and a pointer to the column.
    :raises XMLError: too large, empty, or it declares entities.
    """
    if not isinstance(source, str | bytes):
        raise TypeError(f"XML is to be str or bytes, not {type(source).__name__}")
    if len(source) > MAX_DOCUMENT:
        raise XMLError(f"document is larger than {MAX_DOCUMENT} bytes", domain=ErrorDomain.XML)
    try:
        data = source.encode() if isinstance(source, str) else bytes(source)
    except UnicodeEncodeError as error:
        # Lone surrogates: a text that no file could hold.
        raise XMLError(f"failed to parse xml document '{name}'", domain=ErrorDomain.XML) from error
    try:
        root = etree.fromstring(data, PARSER)
    except etree.XMLSyntaxError:
        raise malformed(data, name) from None
    if b"<!" in data or b"\0" in data or data.startswith(b"<?xml"):
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is not None and next(dtd.iterentities(), None) is not None:
            raise XMLError("entity declarations are not allowed", domain=ErrorDomain.XML)
    return root


def malformed(data: bytes, name: str) -> XMLDetail | XMLError:
    """libvirt's error for a document that is not well-formed: its first fatal error, the line, a pointer below it."""
    # Errors of a shared parser's runs mix; once more, alone.
    alone = parser()
    try:
        etree.fromstring(data, alone)
    except etree.XMLSyntaxError:
        pass
    fatal = next((entry for entry in alone.error_log if entry.level == etree.ErrorLevels.FATAL), None)
    if fatal is None:
        return XMLError(f"failed to parse xml document '{name}'", domain=ErrorDomain.XML)
    # libxml2 stands at (line, column); at an end of line or of the document the line before is shown.
    at = 0
    for _ in range(fatal.line - 1):
        at = data.find(b"\n", at) + 1 or len(data)
    at = min(at + max(fatal.column - 1, 0), len(data))
    text = data[:at] if at == len(data) or data[at] in b"\r\n" else data[: at + 1]
    text = text.rstrip(b"\r\n")
    start = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
    # An absurdly long line is shown around the place only.
    start = max(start, at - MAX_LINE)
    shown = re.match(rb"[^\r\n\0]*", data[start : at + MAX_LINE])[0]  # type: ignore[index]
    pointer = b"".join(b"\t" if byte == 9 else b"-" for byte in shown[: max(at - start, 0)]) + b"^"
    context = _SECRET.sub(masked, shown.decode(errors="replace")) or "(null)"
    return XMLDetail(
        f"at line {fatal.line}: {fatal.message}\n{context}\n{pointer.decode()}",
        advice=f"in {name}" if name.startswith("(") else None,
    )


def masked(found: re.Match[str]) -> str:
    """The match with asterisks for what follows its group."""
    kept = found[1] or found[2] or found[3]
    return kept + "*" * (len(found[0]) - len(kept))
