"""Configuration files in libvirt's format: ``name = value`` lines of strings, numbers and lists, with ``#`` comments.

``libvirt.conf`` and the daemons' files are written in it; so are, in dialects of it, the configurations of VMware's
machines and of containers.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Self

from virtcore._tuples import NamedTuple
from virtcore.errors import ConfSyntax, InternalError

__all__ = ["ConfDialect", "ConfFile", "ConfValue", "Entry"]

ConfValue = str | int | list["ConfValue"]

_BLANKS = re.compile(r"[ \t]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"[+-]?[0-9]+")
_REST = re.compile(r"[^\r\n]*")
_STRINGS = (
    re.compile(r'"""(.*?)"""', re.DOTALL),
    re.compile(r'"([^"\r\n]*)"'),
    re.compile(r"'([^'\r\n]*)'"),
)
_LARGEST = 2**63 - 1
_DEEPEST = 100


class ConfDialect(Enum):
    """What a file may hold; the value is the pattern of its names."""

    #: Strings, numbers and lists.
    LIBVIRT = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
    #: A VMware machine's: strings only, names in any case.
    VMX = re.compile(r"[A-Za-z.][A-Za-z0-9_:.*-]*")
    #: A container's: strings, without quotes to the end of the line.
    LXC = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")


class Entry(NamedTuple):
    """A line: a setting, perhaps with a comment behind it, or a comment alone (``name`` is None)."""

    name: str | None
    value: ConfValue | None
    comment: str | None


class ConfFile:
    """A parsed file, in order. :meth:`get` reads a setting, :meth:`format` writes the file."""

    __slots__ = ("dialect", "entries", "name")

    def __init__(self, entries: list[Entry], name: str, dialect: ConfDialect = ConfDialect.LIBVIRT) -> None:
        self.entries = entries
        self.name = name
        self.dialect = dialect

    @classmethod
    def parse(cls, text: str, name: str = "memory conf", dialect: ConfDialect = ConfDialect.LIBVIRT) -> Self:
        """Read a file's text.

        :param name: what errors call it.
        :raises ConfSyntax: it is malformed; the message tells the line.
        """
        return cls(_Parser(text, name, dialect).entries(), name, dialect)

    def settings(self) -> dict[str, ConfValue]:
        """Every setting, the first of each name; names are in lower case where case does not count."""
        found: dict[str, ConfValue] = {}
        for name, value, _ in self.entries:
            if name is not None and value is not None:
                found.setdefault(self._key(name), value)
        return found

    def get(self, name: str) -> ConfValue | None:
        """A setting's value; None when it is not set. The first one counts."""
        return self.settings().get(self._key(name))

    def _key(self, name: str) -> str:
        return name.lower() if self.dialect is ConfDialect.VMX else name

    def string(self, name: str) -> str | None:
        """A setting that has to be a string.

        :raises InternalError: it is something else.
        """
        value = self.get(name)
        if value is None or isinstance(value, str):
            return value
        raise InternalError(f"{self.name}: expected a string for '{name}' parameter")

    def strings(self, name: str) -> list[str]:
        """A setting that has to be a list of strings; empty when it is not set.

        :raises InternalError: it is something else.
        """
        value = self.get(name)
        if value is None:
            return []
        if isinstance(value, list):
            found = [item for item in value if isinstance(item, str)]
            if len(found) == len(value):
                return found
        raise InternalError(f"{self.name}: expected a string list for '{name}' parameter")

    def format(self) -> str:
        """The file's text; empty lines are not kept."""
        lines = []
        for name, value, comment in self.entries:
            parts = [] if name is None else [f"{name} = {_format(value)}"]
            if comment is not None:
                parts.append(f"#{comment}")
            lines.append(" ".join(parts) + "\n")
        return "".join(lines)


def _format(value: ConfValue | None) -> str:
    if isinstance(value, list):
        return f"[ {', '.join(map(_format, value))} ]"
    if isinstance(value, str):
        return f'"""{value}"""' if '"' in value or "\n" in value else f'"{value}"'
    return str(value)


class _Parser:
    def __init__(self, text: str, name: str, dialect: ConfDialect) -> None:
        self.text = text
        self.name = name
        self.dialect = dialect
        self.at = 0

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def here(self) -> str:
        return self.text[self.at : self.at + 1]

    def error(self, what: str) -> ConfSyntax:
        line = self.text.count("\n", 0, self.at) + 1
        return ConfSyntax(f"{self.name}:{line}: {what}")

    def entries(self) -> list[Entry]:
        found = []
        self.take(_SPACE)
        while self.here():
            found.append(self.entry())
            self.take(_SPACE)
        return found

    def comment(self) -> str | None:
        if self.here() != "#":
            return None
        self.at += 1
        rest = self.take(_REST)
        return rest.group() if rest is not None else ""

    def entry(self) -> Entry:
        comment = self.comment()
        if comment is not None:
            return Entry(None, None, comment)
        name = self.take(self.dialect.value)
        if name is None:
            raise self.error("expecting a name")
        self.take(_BLANKS)
        if self.here() != "=":
            raise self.error("expecting an assignment")
        self.at += 1
        self.take(_BLANKS)
        value = self.value(0)
        self.take(_BLANKS)
        comment = self.comment()
        self.take(_BLANKS)
        if self.here() == ";":
            self.at += 1
        elif self.here() not in ("", "\r", "\n"):
            raise self.error("expecting a separator")
        return Entry(name.group(), value, comment)

    def value(self, depth: int) -> ConfValue:
        for pattern in _STRINGS:
            found = self.take(pattern)
            if found is not None:
                return found.group(1)
        if self.here() in ("'", '"'):
            raise self.error("unterminated string")
        if self.dialect is ConfDialect.LXC and self.here():
            rest = self.take(_REST)
            return rest.group() if rest is not None else ""
        if self.dialect is ConfDialect.VMX:
            self.refuse_all_but_strings()
        if self.here() == "[":
            self.at += 1
            return self.items(depth + 1)
        number = self.take(_NUMBER)
        if number is None:
            raise self.error("unterminated number" if self.here() in ("+", "-") else "expecting a value")
        if len(number.group()) > 20 or abs(int(number.group())) > _LARGEST:
            raise self.error("numeric overflow in conf value")
        return int(number.group())

    def refuse_all_but_strings(self) -> None:
        here = self.here()
        if here == "[":
            raise self.error("lists not allowed in VMX format")
        if here and here in "+-0123456789":
            raise self.error("numbers not allowed in VMX format")

    def items(self, depth: int) -> ConfValue:
        if depth > _DEEPEST:
            raise self.error("lists are nested too deeply")
        found: list[ConfValue] = []
        self.take(_SPACE)
        while self.here() not in ("", "]"):
            found.append(self.value(depth))
            self.take(_SPACE)
            if self.here() == ",":
                self.at += 1
                self.take(_SPACE)
            elif self.here() not in ("", "]"):
                raise self.error("expecting a separator in list")
        if not self.here():
            raise self.error("list is not closed with ]")
        self.at += 1
        return found
