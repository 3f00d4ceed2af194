"""Arguments that libvirt's library refuses before a driver sees them, in its words."""

from __future__ import annotations

from collections.abc import Iterable, Sized

from virtcore.errors import ErrorCode, InvalidArg, VirtError
from virtcore.operations.spellings import canonical_function

__all__ = [
    "invalid_argument",
    "check_cpus",
    "check_number",
    "check_path",
    "check_text",
    "refuse_both",
    "refuse_empty",
    "refuse_given",
    "refuse_missing",
    "refuse_negative",
    "refuse_none",
    "refuse_zero",
    "require_with",
]


def invalid_argument(message: str) -> VirtError:
    """An argument is not acceptable: libvirt reports these without "invalid argument"."""
    return VirtError.from_message(ErrorCode.INVALID_ARG, message)


def _refuse(name: str, operation: str, complaint: str) -> VirtError:
    return invalid_argument(f"{name} in {canonical_function(operation)} {complaint}")


def check_number(value: int, name: str, bits: int = 32, *, signed: bool = False) -> None:
    """Refuse a number that libvirt's functions could not be given.

    :raises InvalidArg: it does not fit into ``bits``.
    """
    first, last = (-1 << (bits - 1), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if not first <= value <= last:
        raise InvalidArg(f"{name} must be between {first} and {last}, not {value}", value=str(value))


def check_text(value: str | None, name: str) -> None:
    """Refuse a text that no document can hold.

    :raises InvalidArg: it has a NUL, or cannot be encoded.
    """
    if value is not None and ("\0" in value or not _encodable(value)):
        raise InvalidArg(f"{name} holds characters that no text has", value=ascii(value))


def check_path(path: str, name: str) -> None:
    """Refuse what is no path.

    :raises InvalidArg: it has a NUL.
    """
    if "\0" in path:
        raise InvalidArg(f"{name} is no path", value=ascii(path))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


#: Numbers of CPUs are below it (``VIR_DOMAIN_CPUMASK_LEN``).
_MOST_CPUS = 16384


def check_cpus(cpus: Iterable[object]) -> None:
    """Refuse what is no set of numbers of CPUs.

    :raises InvalidArg: a member cannot be one.
    """
    for cpu in cpus:
        if not isinstance(cpu, int) or not 0 <= cpu < _MOST_CPUS:
            raise InvalidArg(f"{cpu!r} is no number of a CPU", value=str(cpu))


def refuse_zero(value: int, name: str, operation: str) -> None:
    """Refuse 0."""
    if value == 0:
        raise _refuse(name, operation, "must not be zero")


def refuse_negative(value: int, name: str, operation: str) -> None:
    """Refuse what is below 0."""
    if value < 0:
        raise _refuse(name, operation, "must be zero or greater")


def refuse_none(values: Sized, name: str, operation: str) -> None:
    """Refuse a list without anything in it.

    :param name: what libvirt's function calls its length.
    """
    if not len(values):
        raise _refuse(name, operation, "must be greater than zero")


def refuse_missing(value: object, name: str, operation: str) -> None:
    """Refuse None."""
    if value is None:
        raise _refuse(name, operation, "must not be NULL")


def refuse_given(value: object, name: str, operation: str) -> None:
    """Refuse anything but None."""
    if value is not None:
        raise _refuse(name, operation, "must be NULL")


def refuse_empty(value: str, name: str, operation: str) -> None:
    """Refuse a text without anything in it."""
    if not value:
        raise _refuse(f"string {name}", operation, "must not be empty")


#: Names of the flags, by whose names libvirt complains.
_AFFECT = ("VIR_DOMAIN_AFFECT_LIVE", 1), ("VIR_DOMAIN_AFFECT_CONFIG", 2)


def refuse_both(flags: int, one: tuple[str, int] = _AFFECT[0], other: tuple[str, int] = _AFFECT[1]) -> None:
    """Refuse two flags, each its name in libvirt's headers and its value, that exclude each other; by default the
    running guest and its definition."""
    if flags & one[1] and flags & other[1]:
        raise invalid_argument(f"Flags '{one[0]}' and '{other[0]}' are mutually exclusive")


def require_with(flags: int, given: tuple[str, int], needed: tuple[str, int]) -> None:
    """Refuse a flag that makes no sense without another."""
    if flags & given[1] and not flags & needed[1]:
        raise invalid_argument(f"Flag '{needed[0]}' is required by flag '{given[0]}'")
