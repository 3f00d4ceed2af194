"""Numbers as virsh reads and prints them: scaled sizes, lists of CPUs."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["INT", "LLONG", "UINT", "ULONG", "cpu_list", "cpu_mask", "parse_cpus", "pretty_capacity", "scaled"]

#: The C types of options: lowest and highest.
INT = (-(2**31), 2**31 - 1)
UINT = (0, 2**32 - 1)
LLONG = (-(2**63), 2**63 - 1)
ULONG = (0, 2**64 - 1)

_UNITS = "kmgtpe"


def scaled(text: str, scale: int, most: int) -> int | None:
    """A size like ``4``, ``4k``, ``4KiB`` or ``4KB`` in bytes; None when it does not begin with a number of 64 bits.

    :param scale: bytes that a number without unit counts.
    :raises VirtError: there is no such unit, or it is above ``most``.
    """
    digits = text.lstrip(" \t\n\v\f\r").removeprefix("+")
    end = next((at for at, char in enumerate(digits) if not ("0" <= char <= "9")), len(digits))
    unit = digits[end:].lower()
    if not end or int(digits[:end]) > ULONG[1]:
        return None
    if not unit:
        factor = scale
    elif unit in ("b", "byte", "bytes"):
        factor = 1
    elif unit[0] in _UNITS and unit[1:] in ("", "ib", "b"):
        factor = int((1000 if unit[1:] == "b" else 1024) ** (_UNITS.index(unit[0]) + 1))
    else:
        from virtcore.errors import InvalidArg

        raise InvalidArg(f"unknown suffix '{digits[end:]}'")
    value = int(digits[:end]) * factor
    if value > most:
        from virtcore.errors import OverflowDetected

        raise OverflowDetected(f"value too large: {digits}")
    return value


def pretty_capacity(value: int) -> str:
    """Bytes as a human reads them, with three digits behind the point."""
    number, unit = float(value), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):  # the last one is what is printed
        if number < 1024 or unit == "EiB":
            break
        number /= 1024
    return f"{number:.3f} {unit}"


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
