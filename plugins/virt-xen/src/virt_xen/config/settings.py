"""The settings of a configuration file: read with the types libvirt asks for, collected for writing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.runtime.conf import ConfFile, ConfValue, Entry

__all__ = ["Output", "Settings", "hexadecimal", "in_list", "pairs"]

_DECIMAL = re.compile(r"[0-9]{1,20}")
_HEXADECIMAL = re.compile(r"(?:0[xX])?([0-9a-fA-F]{1,8})")
_LARGEST = (1 << 64) - 1
_LARGEST_INT = (1 << 31) - 1


class Settings:
    """What a file says.

    :param text: the file's text.
    :raises ConfSyntax: it is malformed.
    """

    def __init__(self, text: str) -> None:
        self._conf = ConfFile.parse(text)
        self._values = self._conf.settings()

    def get(self, name: str) -> ConfValue | None:
        """A setting, whatever it is; None when it is not set."""
        return self._values.get(name)

    def boolean(self, name: str, default: bool | None = None) -> bool | None:
        """A setting that is on or off: a number, or the string ``1``.

        :raises InternalError: it is something else.
        """
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, int) and value >= 0:
            return value != 0
        if isinstance(value, str):
            return value == "1"
        raise _malformed(name)

    def number(self, name: str, default: int = 0) -> int:
        """A setting that is a number, not below 0, perhaps within quotes.

        :raises InternalError: it is something else.
        """
        value = self.get(name)
        if value is None:
            return default
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            value = int(value)
        if isinstance(value, int) and 0 <= value <= _LARGEST:
            return value
        raise _malformed(name)

    def string(self, name: str) -> str | None:
        """A setting that is a string; None when it is not set.

        :raises InternalError: it is something else.
        """
        value = self.get(name)
        if value is None or isinstance(value, str):
            return value
        return self._conf.string(name)

    def required(self, name: str) -> str:
        """A string that must be there.

        :raises InternalError: it is not, or is something else.
        """
        value = self.string(name)
        if value is None:
            raise InternalError(f"config value {name} was missing", value=name)
        return value

    def items(self, name: str) -> list[ConfValue]:
        """A setting's list; empty when it is none."""
        value = self.get(name)
        return value if isinstance(value, list) else []

    def strings(self, name: str) -> list[str]:
        """The strings of a setting's list; empty when it is none."""
        return [item for item in self.items(name) if isinstance(item, str)]

    def only_strings(self, name: str) -> list[str]:
        """The strings of a list that has nothing else; empty for whatever is none."""
        found = self.strings(name)
        return found if len(found) == len(self.items(name)) else []


def _malformed(name: str) -> InternalError:
    return InternalError(f"config value {name} was malformed", value=name)


def pairs(entry: str) -> Iterator[tuple[str, str]] | None:
    """The ``key=value`` pairs of an entry, parted by commas; None where one of them is none."""
    found = []
    for part in entry.split(","):
        key, equals, value = part.lstrip(" \t").partition("=")
        if not equals:
            return None
        found.append((key, value))
    return iter(found)


def hexadecimal(text: str) -> int | None:
    """A number to base 16 that fits an int; None where it is none."""
    found = _HEXADECIMAL.fullmatch(text)
    if found is None:
        return None
    value = int(found.group(1), 16)
    return value if value <= _LARGEST_INT else None


def in_list(value: str, name: str) -> str:
    """A value that is to stand between commas.

    :raises ConfigUnsupported: it has one of its own, and could not be told from what follows it.
    """
    if "," in value:
        raise ConfigUnsupported(f"',' not allowed in {name} '{value}'", value=value)
    return value


class Output:
    """Settings to be written, in the order in which they were first set."""

    def __init__(self) -> None:
        self._values: dict[str, ConfValue] = {}

    def set(self, name: str, value: str | int | None) -> None:
        """Set a string or number; None sets nothing."""
        if value is not None:
            self._values[name] = int(value) if isinstance(value, bool) else value

    def set_list(self, name: str, values: Sequence[ConfValue] | Sequence[str]) -> None:
        """Set a list; an empty one sets nothing."""
        if values:
            self._values[name] = list(values)

    def format(self) -> str:
        """The file's text.

        :raises ConfigUnsupported: a string cannot be written in a configuration file.
        """
        for value in self._values.values():
            _check(value)
        return ConfFile([Entry(name, value, None) for name, value in self._values.items()], "").format()


def _check(value: ConfValue) -> None:
    if isinstance(value, list):
        for item in value:
            _check(item)
    elif isinstance(value, str) and ('"""' in value or "\r" in value or value.endswith('"')):
        raise ConfigUnsupported(f"string '{value}' cannot be written in a configuration file", value=value)
