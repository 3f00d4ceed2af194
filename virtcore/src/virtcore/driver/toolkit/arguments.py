"""Arguments that libvirt's library refuses before a driver sees them, in its words."""

from __future__ import annotations

from collections.abc import Sized

from virtcore.errors import ErrorCode, VirtError
from virtcore.operations.spellings import canonical_function

__all__ = [
    "invalid_argument",
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
