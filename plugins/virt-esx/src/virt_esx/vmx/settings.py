"""The settings of a VMX file, by type."""

from __future__ import annotations

import codecs
import re

from virtcore.errors import InternalError
from virtcore.runtime.conf import ConfDialect, ConfFile
from virtcore.xml import LONG, UUID

__all__ = ["VMXSettings", "escape", "unescape"]

# Python's codecs that are no encodings of files.
_NO_ENCODINGS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
_INDEXED = re.compile(r"([0-9]+)\.", re.ASCII)


class VMXSettings:
    """What a VMX file sets. Names are found in any case; empty strings are values, too.

    :ivar names: every name as written.
    """

    def __init__(self, text: str | bytes) -> None:
        """
        :raises VirtError: the text is malformed, or not in the encoding it claims.
        """
        raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        self._read(raw.decode("utf-8", "surrogateescape"))
        encoding = self.string(".encoding")
        if encoding is not None and encoding.lower() != "utf-8":
            self._read(_decode(raw, encoding))
        else:
            _decode(raw, "UTF-8")

    def _read(self, text: str) -> None:
        conf = ConfFile.parse(text, dialect=ConfDialect.VMX)
        self.names = [entry.name for entry in conf.entries if entry.name is not None]
        self._values = conf.settings()

    def string(self, name: str) -> str | None:
        """A string; None when it is not set."""
        value = self._values.get(name.lower())
        return value if isinstance(value, str) else None

    def required(self, name: str) -> str:
        """A string that has to be there.

        :raises InternalError: it is not set.
        """
        value = self.string(name)
        if value is None:
            raise InternalError(f"Missing essential config entry '{name}'")
        return value

    def integer(self, name: str, default: int) -> int:
        """A number; ``unlimited`` is -1.

        :raises InternalError: it is something else.
        """
        value = self.string(name)
        if value is None:
            return default
        if value.lower() == "unlimited":
            return -1
        try:
            return LONG.read(value)
        except ValueError:
            raise InternalError(f"Config entry '{name}' must represent an integer value", value=value) from None

    def boolean(self, name: str, default: bool = False) -> bool:
        """``true`` or ``false``.

        :raises InternalError: it is something else.
        """
        value = self.string(name)
        if value is None:
            return default
        if value.lower() not in ("true", "false"):
            raise InternalError(f"Config entry '{name}' must represent a boolean value (true|false)", value=value)
        return value.lower() == "true"

    def uuid(self, name: str) -> str | None:
        """A UUID, which VMware writes with blanks between its bytes.

        :raises InternalError: it is none.
        """
        value = self.string(name)
        return None if value is None else read_uuid(value)

    def indexes(self, prefix: str) -> list[int]:
        """The numbers that are set of what is counted, as ``sharedFolder0``, ``sharedFolder1``."""
        found = set()
        for name in self.names:
            if name.lower().startswith(prefix.lower()):
                index = _INDEXED.match(name, len(prefix))
                if index is not None and len(index[1]) < 10:
                    found.add(int(index[1]))
        return sorted(found)


def read_uuid(text: str) -> str:
    """A UUID in canonical form.

    :raises InternalError: the text is none.
    """
    try:
        return UUID.read(text)
    except ValueError:
        raise InternalError(f"Could not parse UUID from string '{text}'", value=text) from None


def _decode(raw: bytes, encoding: str) -> str:
    try:
        codec = codecs.lookup(encoding).name
        if codec.replace("-", "_") in _NO_ENCODINGS:
            raise LookupError(codec)
        return raw.decode(codec)
    except UnicodeError:
        raise InternalError(f"Could not convert from {encoding} to UTF-8 encoding", value=encoding) from None
    except (LookupError, ValueError):
        raise InternalError(f"libxml2 doesn't handle {encoding} encoding", value=encoding) from None


def escape(text: str, mark: str, special: str) -> str:
    """A string whose special characters, and the mark itself, are written as the mark and two hexadecimal digits."""
    return "".join(f"{mark}{ord(char):02x}" if char == mark or char in special else char for char in text)


def unescape(text: str, mark: str, entry: str) -> str:
    """The opposite of :func:`escape`.

    :param entry: what the error calls the setting.
    :raises InternalError: the mark stands before something else, or the bytes are no UTF-8.
    """
    head, *rest = text.split(mark)
    if not rest:
        return text
    found = bytearray(head.encode())
    for part in rest:
        digits = part[:2]
        if re.fullmatch("[0-9a-fA-F]{2}", digits) is None:
            raise InternalError(f"VMX entry '{entry}' contains invalid escape sequence", value=text)
        found.append(int(digits, 16))
        found += part[2:].encode()
    try:
        # The string of a C program ends at the first zero.
        return bytes(found).partition(b"\0")[0].decode()
    except UnicodeDecodeError:
        raise InternalError(f"VMX entry '{entry}' contains invalid escape sequence", value=text) from None
