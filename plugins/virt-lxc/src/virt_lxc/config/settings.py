"""The settings of a container's configuration file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

from virtcore.errors import InternalError
from virtcore.runtime.conf import ConfDialect, ConfFile
from virtcore.xml import ULONG, Codec
from virtcore.xml.scalars import scale

__all__ = ["LXCSettings", "parse_number", "parse_size", "split"]

T = TypeVar("T")

_SIZE = re.compile(r"[ \t\n\v\f\r]*\+?([0-9]+)(.*)", re.ASCII | re.DOTALL)
_LARGEST = (1 << 64) - 1


class LXCSettings:
    """What a file sets, in order; names may come several times.

    :raises VirtError: the text is malformed.
    """

    def __init__(self, text: str) -> None:
        conf = ConfFile.parse(text, dialect=ConfDialect.LXC)
        self._all = [
            (entry.name, entry.value)
            for entry in conf.entries
            if entry.name is not None and isinstance(entry.value, str)
        ]
        self._first = dict(reversed(self._all))

    def get(self, *names: str) -> str | None:
        """The first value of the first of these names that is set: a new name, then the one it had before."""
        return next((self._first[name] for name in names if name in self._first), None)

    def each(self, *prefixes: str) -> Iterator[tuple[str, str]]:
        """Names that begin with one of these, with their values, in the order of the file."""
        return ((name, value) for name, value in self._all if name.startswith(prefixes))


def split(text: str) -> list[str]:
    """Words, between blanks and tabs."""
    return [word for word in re.split("[ \t]", text) if word]


def parse_number(text: str, codec: Codec[T], what: str) -> T:
    """A number.

    :param what: the message before the text.
    :raises InternalError: it is none.
    """
    try:
        return codec.read(text)
    except ValueError:
        raise InternalError(f"{what}: '{text}'", value=text) from None


def parse_size(text: str) -> int:
    """A size in bytes, from a number with or without unit.

    :raises InternalError: it is none, or relative.
    """
    found = _SIZE.fullmatch(text)
    if found is not None and found[2] == "%":
        raise InternalError(f"can't convert relative size: '{text}'", value=text)
    try:
        if found is None:
            raise ValueError(text)
        size = ULONG.read(found[1]) * scale(found[2], 1)
        if size > _LARGEST:
            raise ValueError(text)
    except ValueError:
        raise InternalError(f"failed to convert size: '{text}'", value=text) from None
    return size
