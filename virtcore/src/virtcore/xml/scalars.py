"""How text becomes a value and back: numbers by libvirt's rules, booleans in words, sizes with units, UUIDs, MACs,
CPU sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

__all__ = [
    "CPU_SET",
    "HEX",
    "INT",
    "LONG",
    "MAC",
    "OCTAL",
    "ON_OFF",
    "STRING",
    "TRUE_FALSE",
    "UINT",
    "UINT_ANY",
    "ULONG",
    "ULONG_ANY",
    "UUID",
    "YES_NO",
    "Codec",
    "CpuSet",
    "Size",
    "Unreadable",
    "choice",
    "cpuset",
    "number",
    "pretty_size",
    "scaled",
]

T = TypeVar("T")


class Unreadable(ValueError):
    """A text is not the spelling of a value; the engine makes the error that says where."""


class Codec(Generic[T]):
    """A scalar's spelling.

    :param read: text to value; raises ValueError (:class:`Unreadable`) or KeyError.
    :param write: value to text (escaped by the engine unless ``safe``).
    :param expected: what follows libvirt's generic message, as ``Expected integer value``.
    :param datatype: what the schema says, a RELAX NG pattern; ``pattern:REGEX`` is short for a string with a pattern.
    :param safe: the text never needs escaping.
    :param message: message for a value that cannot be read, with its ``error`` code's name, where libvirt's reader
        has its own.
    :param words: the values there are, where they are few.
    """

    __slots__ = ("datatype", "error", "expected", "message", "read", "safe", "words", "write")

    def __init__(
        self,
        read: Callable[[str], T],
        write: Callable[[T], str],
        *,
        expected: str = "",
        datatype: str = "<text/>",
        safe: bool = False,
        words: Iterable[str] = (),
        message: str | None = None,
        error: str = "XML_ERROR",
    ) -> None:
        self.read = read
        self.write = write
        self.expected = expected
        self.datatype = datatype
        self.safe = safe
        self.words = tuple(words)
        self.message = message
        self.error = error


# -------------------------------------------------------------------------------------------------------------- numbers

_XSD = {
    (8, False): "unsignedByte",
    (8, True): "byte",
    (16, False): "unsignedShort",
    (16, True): "short",
    (32, False): "unsignedInt",
    (32, True): "int",
    (64, False): "unsignedLong",
    (64, True): "long",
}
_NUMBER = {
    0: re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))"),
    8: re.compile(r"[ \t\n\v\f\r]*([+-]?)()([0-7]+)()"),
    10: re.compile(r"[ \t\n\v\f\r]*([+-]?)()()([0-9]+)"),
    16: re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:0[xX])?([0-9a-fA-F]+)()()"),
}


def strtol(text: str, base: int) -> tuple[bool, int]:
    """C's number reading with the whole text consumed: leading white space and a sign are fine, anything behind is not.

    :return: whether there was a minus sign, and the value with it.
    :raises Unreadable: not a number.
    """
    found = _NUMBER[base].fullmatch(text)
    if found is None or len(text) > 100:
        raise Unreadable(text)
    sign, hexadecimal, octal, decimal = found.groups()
    value = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal)
    return sign == "-", -value if sign == "-" else value


def number(
    bits: int,
    *,
    signed: bool = False,
    base: int = 10,
    form: str | None = None,
    wraps: bool = False,
    expected: str | None = None,
) -> Codec[int]:
    """An integer.

    :param bits: 8, 16, 32 or 64.
    :param base: of reading; 0 accepts ``0x`` and ``0`` prefixes.
    :param form: printf-like form for writing; decimal by default.
    :param wraps: a negative number stands for its two's complement (``-1`` is the maximum).
    """
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)

    def read(text: str) -> int:
        if base == 10 and text.isdigit() and text.isascii() and len(text) < 20:
            value = int(text)
        else:
            minus, value = strtol(text, base)
            if minus and not signed:
                if not wraps or -value > high:
                    raise Unreadable(text)
                value &= high
        if not low <= value <= high:
            raise Unreadable(text)
        return value

    # A form rather than str(): a value of another type must not be printed.
    write = (form or "%d").__mod__
    if expected is None:
        if not signed:
            expected = "Expected non-negative integer value"
        else:
            expected = "Expected integer value" if bits <= 32 else "Expected long long integer value"
    if base == 10:
        data = f'<data type="{_XSD[bits, signed]}"/>'
    elif base == 16:
        data = "pattern:(0x)?[0-9a-fA-F]+"
    elif base == 8:
        data = "pattern:0?[0-7]+"
    else:
        data = "pattern:(0x)?[0-9a-fA-F]+"
    return Codec(read, write, expected=expected, datatype=data, safe=True)


UINT = number(32)  #: unsigned int, decimal: the default of ``int`` fields
UINT_ANY = number(32, base=0)  #: unsigned int that may be written as 0x.. or 0.. too, printed in decimal
INT = number(32, signed=True)
ULONG = number(64)  #: unsigned long long
ULONG_ANY = number(64, base=0)
LONG = number(64, signed=True)


def HEX(form: str = "0x%x", *, bits: int = 32, base: int = 0) -> Codec[int]:
    """An unsigned number printed in a hexadecimal form; ``base=16`` reads bare hexadecimal digits too."""
    return number(bits, base=base, form=form)


def OCTAL(form: str = "%04o", *, bits: int = 32) -> Codec[int]:
    """An unsigned number in octal digits (file modes)."""
    return number(bits, base=8, form=form)


# ---------------------------------------------------------------------------------------------------------------- words


def choice(yes: str, no: str) -> Codec[bool]:
    """A boolean in two words."""
    values = {yes: True, no: False}
    return Codec(
        values.__getitem__,
        {True: yes, False: no}.__getitem__,
        datatype=f"<choice><value>{yes}</value><value>{no}</value></choice>",
        safe=True,
        words=(yes, no),
    )


YES_NO = choice("yes", "no")
ON_OFF = choice("on", "off")
TRUE_FALSE = choice("true", "false")
STRING: Codec[str] = Codec(str, str)


# ---------------------------------------------------------------------------------------------------------- identifiers

_UUID = re.compile(r"[ \t\n\v\f\r]*((?:[- ]*[0-9a-fA-F]{2}){16})[ \t\n\v\f\r]*")
_MAC = re.compile(r"(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}(?:[\0- ].*)?", re.DOTALL)
_PLAIN_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_PLAIN_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}").fullmatch


def read_uuid(text: str) -> str:
    """A UUID in libvirt's canonical spelling, from any spelling it accepts.

    :raises Unreadable: not a UUID.
    """
    if _PLAIN_UUID(text):
        return text
    found = _UUID.fullmatch(text)
    if found is None:
        raise Unreadable(text)
    digits = re.sub("[- ]", "", found[1]).lower()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read_mac(text: str) -> str:
    """A MAC address as ``52:54:00:0a:0b:0c``.

    :raises Unreadable: not a MAC address.
    """
    if _PLAIN_MAC(text):
        return text
    if _MAC.fullmatch(text) is None:
        raise Unreadable(text)
    return ":".join(f"{int(part.split()[0], 16):02x}" for part in text.split(":")[:6])


UUID: Codec[str] = Codec(
    read_uuid,
    str,
    expected="Expected UUID",
    datatype="pattern:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}",
)
MAC: Codec[str] = Codec(read_mac, str, datatype="pattern:([0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}")


# ----------------------------------------------------------------------------------------------------------------- sets


class CpuSet(frozenset[int]):
    """A set of CPU (or node) numbers; ``str()`` gives libvirt's spelling, ``0-3,7``."""

    @classmethod
    def parse(cls, text: str, limit: int = 16384) -> CpuSet:
        """Reads ``0-3,^2,7``.

        :param limit: numbers must be below it.
        :raises Unreadable: another spelling, or a number too large.
        """
        numbers: set[int] = set()
        for part in text.strip(" \t\n\v\f\r").split(","):
            found = _RANGE.fullmatch(part)
            if found is None:
                raise Unreadable(text)
            minus, first, last = found[1], int(found[2]), int(found[3] or found[2])
            if max(first, last) >= limit or last < first or (minus and found[3]):
                raise Unreadable(text)
            if minus:
                numbers.discard(first)
            else:
                numbers.update(range(first, last + 1))
        return cls(numbers)

    @property
    def max(self) -> int:
        """The largest number; -1 when empty."""
        return max(self, default=-1)

    def ranges(self) -> Iterator[tuple[int, int]]:
        """First and last of each run, ascending."""
        first = last = -2
        for n in sorted(self):
            if n != last + 1:
                if first >= 0:
                    yield first, last
                first = n
            last = n
        if first >= 0:
            yield first, last

    def spelled(self) -> str:
        """The same as ``str()``."""
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.ranges())

    __str__ = spelled

    def __repr__(self) -> str:
        return f"CpuSet({self.spelled()!r})"


_RANGE = re.compile(r"[ \t\n\v\f\r]*(\^?)([0-9]{1,9})[ \t\n\v\f\r]*(?:-[ \t\n\v\f\r]*([0-9]{1,9})[ \t\n\v\f\r]*)?")


def cpuset(limit: int = 16384) -> Codec[CpuSet]:
    """A CPU set with numbers below ``limit``."""
    return Codec(
        lambda text: CpuSet.parse(text, limit),
        CpuSet.spelled,
        datatype="pattern:[ ]*\\^?[0-9]+(-[0-9]+)?([ ]*,[ ]*\\^?[0-9]+(-[0-9]+)?)*",
        safe=True,
        message="Failed to parse bitmap '{value}'",
        error="INVALID_ARG",
    )


CPU_SET = cpuset()

# ---------------------------------------------------------------------------------------------------------------- sizes

_SUFFIX = {letter: power for power, letter in enumerate("kmgtpe", 1)}
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50, "EiB": 1 << 60}


def scale(suffix: str | None, default: int) -> int:
    """Bytes per unit by libvirt's suffix rules (``KiB``, ``k`` binary; ``KB`` decimal; ``b``, ``bytes``).

    :raises Unreadable: unknown suffix.
    """
    if not suffix:
        return default
    lower = suffix.lower()
    if lower in ("b", "byte", "bytes"):
        return 1
    power = _SUFFIX.get(lower[0])
    rest = lower[1:]
    if power is None or rest not in ("", "ib", "b"):
        raise Unreadable(suffix)
    return int((1000 if rest == "b" else 1024) ** power)


class Size(Codec[int]):
    """A number with a unit attribute beside it. The value is an int in ``unit`` (bytes for pretty sizes).

    :ivar unit: unit of the value and of the output; None: the largest that divides the value.
    :ivar unit_name: the unit attribute's name.
    """

    __slots__ = ("default_scale", "known", "limit", "printed", "shown", "unit", "unit_name", "xpath")

    def __init__(
        self, unit: str | None, default: str, limit: int, unit_name: str, xpath: str | None, printed: str | None
    ) -> None:
        super().__init__(int, "%d".__mod__, datatype="pattern:[0-9]+", safe=True)
        self.unit = unit
        self.default_scale = _UNITS[default]
        self.known: dict[tuple[str, str | None], int] = {}
        self.limit = limit
        self.unit_name = unit_name
        self.printed = printed or unit
        # How many of the unit that is kept are in one of the unit that is printed.
        self.shown = max(scale(printed, 1) // _UNITS[unit], 1) if unit is not None else 1
        self.xpath = xpath

    def read_size(self, text: str, suffix: str | None, xpath: str) -> int:
        """The value from number and suffix.

        :raises VirtError: with libvirt's messages.
        """
        known = self.known.get((text, suffix))
        if known is not None:
            return known
        value = self._read_size(text, suffix, xpath)
        if len(self.known) < 2048:
            self.known[text, suffix] = value
        return value

    def _read_size(self, text: str, suffix: str | None, xpath: str) -> int:
        from virtcore import errors

        try:
            value = ULONG.read(text)
        except Unreadable:
            raise errors.XMLError(
                f"Invalid value '{text}' for element or attribute '{self.xpath or xpath}'", value=text
            ) from None
        try:
            per_unit = scale(suffix, self.default_scale)
        except Unreadable:
            raise errors.InvalidArg(f"unknown suffix '{suffix}'", value=suffix) from None
        if value > self.limit // per_unit:
            raise errors.OverflowDetected(f"value too large: {value}{suffix or ''}", value=text)
        value *= per_unit
        if self.unit is None:
            return value
        return -(-value // _UNITS[self.unit])

    def split(self, value: int) -> tuple[str, str]:
        """Number and unit as printed."""
        if self.printed is not None:
            return f"{-(-value // self.shown):d}", self.printed
        unit = "B"
        for name, size in _UNITS.items():
            if name == "EiB" or not value or value % size:
                break
            unit = name
        return f"{value // _UNITS[unit]:d}", unit


def scaled(
    unit: str = "KiB",
    *,
    default: str | None = None,
    limit: int = (1 << 64) - 1,
    unit_name: str = "unit",
    xpath: str | None = None,
    printed: str | None = None,
) -> Codec[int]:
    """A size that is kept and printed in one unit: ``<memory unit='KiB'>1048576</memory>``; rounded up on reading.

    :param default: unit of a number without one; by default ``unit``.
    :param limit: largest value accepted, in bytes.
    :param unit_name: name of the attribute with the unit.
    :param printed: the unit in the output, as it is spelled there (``bytes`` for B); numbers are rounded up to a
        larger one.
    :param xpath: how libvirt's messages name the place (``./memory[1]``).
    """
    return Size(unit, default or unit, limit, unit_name, xpath, printed)


def pretty_size(
    default: str = "B", *, limit: int = (1 << 64) - 1, unit_name: str = "unit", xpath: str | None = None
) -> Codec[int]:
    """A size in bytes, printed with the largest unit that divides it (B to PiB)."""
    return Size(None, default, limit, unit_name, xpath, None)
