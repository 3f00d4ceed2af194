"""virsh's tables: columns as wide as their widest cell, unprintable characters as ``\\xNN``."""

from __future__ import annotations

from virtcore._typing import Sequence

__all__ = ["Table"]


def _encode(text: str) -> str:
    if text.isprintable() and "\\x" not in text:
        return text
    out = []
    for at, char in enumerate(text):
        if char == "\\" and text[at + 1 : at + 2] == "x":
            out.append("\\x5c")
        elif char.isprintable():
            out.append(char)
        else:
            out.extend(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
    return "".join(out)


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    import unicodedata

    width = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        width += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return width


class Table:
    """Rows under a header; :meth:`render` gives the text."""

    def __init__(self, *header: str) -> None:
        self._rows: list[Sequence[str]] = [header]

    def add(self, *cells: str) -> None:
        """Append a row, a cell per column."""
        if len(cells) != len(self._rows[0]):
            raise ValueError(f"{len(cells)} cells for {len(self._rows[0])} columns")
        self._rows.append(cells)

    def render(self, *, header: bool = True) -> str:
        """The table, with or without its header and rule."""
        rows = [[_encode(cell) for cell in row] for row in (self._rows if header else self._rows[1:])]
        if not rows:
            return ""
        widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = []
        for row in rows:
            padded = [cell + " " * (width - _width(cell) + 2) for cell, width in zip(row[:-1], widths, strict=False)]
            lines.append(" " + " ".join([*padded, row[-1]]))
        if header:
            lines.insert(1, "-" * sum(width + 3 for width in widths))
        return "\n".join(lines) + "\n"
