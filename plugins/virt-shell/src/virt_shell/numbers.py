"""Numbers as virsh reads and prints them: scaled sizes, lists of CPUs."""

from __future__ import annotations

import re
from collections.abc import Collection

from virt_shell.command import CommandError

__all__ = [
    "INT",
    "LLONG",
    "UINT",
    "ULONG",
    "cpu_list",
    "cpu_mask",
    "parse_cpus",
    "parse_size",
    "pretty_capacity",
    "pretty_size",
]

#: The C types of options: lowest and highest.
INT = (-(2**31), 2**31 - 1)
UINT = (0, 2**32 - 1)
LLONG = (-(2**63), 2**63 - 1)
ULONG = (0, 2**64 - 1)

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def parse_size(text: str, wrong: str, *, unit: int = 1, limit: int = ULONG[1]) -> int:
    """Bytes of a number with libvirt's suffixes: ``4``, ``4k``, ``4KiB`` or ``4KB``.

    :param wrong: what is said when it is none.
    :param unit: bytes that a number without suffix counts.
    :raises CommandError: malformed or above the limit.
    """
    from virtcore import errors
    from virtcore.xml.scalars import Unreadable, scale

    found = re.match(r"[ \t\n\v\f\r]*\+?([0-9]+)", text)
    if found is None or int(found[1]) > ULONG[1]:
        raise CommandError(wrong)
    number, suffix = int(found[1]), text[found.end() :]
    try:
        per_unit = scale(suffix, unit)
    except Unreadable:
        raise CommandError(wrong) from errors.InvalidArg(f"unknown suffix '{suffix}'")
    if number > limit // per_unit:
        raise CommandError(wrong) from errors.OverflowDetected(f"value too large: {number}{suffix}")
    return number * per_unit


def pretty_size(size: int, *, places: int = 2) -> str:
    """A size in bytes in the largest unit of which it is at least one: ``1.50 GiB``."""
    number = float(size)  # as in C, where what rounds up to the next unit is printed in that
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.{places}f} {unit}"


def pretty_capacity(value: int) -> str:
    """As :func:`pretty_size`, with the three digits behind the point that commands on domains print."""
    return pretty_size(value, places=3)


def cpu_list(cpus: Collection[int], count: int) -> str:
    """Those of ``count`` CPUs as ranges: ``0-2,5``."""
    ranges: list[list[int]] = []
    for cpu in sorted(cpu for cpu in cpus if cpu < count):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def cpu_mask(cpus: Collection[int], count: int) -> str:
    """``y`` for each CPU that is one of them, ``-`` for the others."""
    return "".join("y" if cpu in cpus else "-" for cpu in range(count))


def parse_cpus(text: str, count: int) -> frozenset[int] | None:
    """CPUs of a list like ``0-3,^2``, or of ``r`` for all ``count``; None when it is malformed."""
    if text == "r":
        return frozenset(range(count))
    found: set[int] = set()
    for part in text.split(","):
        word = part.strip(" \t")
        negative = word.startswith("^")
        first, dash, last = word.removeprefix("^").partition("-")
        if not (first.isascii() and first.isdigit()) or (dash and not (last.isascii() and last.isdigit())):
            return None
        low, high = int(first), int(last) if dash else int(first)
        if low > high or high >= 16384 or (negative and dash):
            return None
        if negative:
            found.discard(low)
        else:
            found.update(range(low, high + 1))
    return frozenset(found) if found else None
