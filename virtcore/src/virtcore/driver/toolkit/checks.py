"""What every operation of a driver over objects of its own checks first: flags, UUIDs, filters of lists."""

from __future__ import annotations

from virtcore._typing import Callable, Iterable, Sequence, TypeVar
from virtcore.errors import ErrorCode, VirtError
from virtcore.operations.spellings import canonical_function

__all__ = ["canonical_uuid", "check_flags", "select"]

T = TypeVar("T")


def check_flags(flags: int, supported: int, operation: str, prefix: str = "vir", function: str | None = None) -> None:
    """Refuse flags that an operation does not know.

    :param prefix: what libvirt's driver has before its functions' names in place of ``vir``; a driver of secrets calls
        what is done with one ``secretUndefine``.
    :param function: libvirt's function; by default the operation's newest.
    :raises InvalidArg: there are any.
    """
    if not flags:
        return
    unknown = int(flags) & ~int(supported)
    if unknown:
        rest = (function or canonical_function(operation)).removeprefix("vir")
        function = prefix + (rest[len(prefix) :] if rest.lower().startswith(prefix) else rest)
        # libvirt reports this one without "invalid argument".
        raise VirtError.from_message(ErrorCode.INVALID_ARG, f"unsupported flags (0x{unknown:x}) in function {function}")


def canonical_uuid(uuid: str, function: str) -> str:
    """A UUID as it is stored, from any spelling that libvirt takes.

    :param function: libvirt's, as its message names it.
    :raises VirtError: it is none (``INVALID_ARG``).
    """
    from virtcore.xml.scalars import Unreadable, read_uuid

    try:
        return read_uuid(uuid)
    except Unreadable:
        message = f"uuidstr in {function} must be a valid UUID"
        raise VirtError.from_message(ErrorCode.INVALID_ARG, message) from None


def select(objects: Iterable[T], flags: int, filters: Sequence[tuple[int, Callable[[T], int]]]) -> list[T]:
    """The objects that pass every group of filter flags.

    :param filters: per group all its bits, and which of them an object has.
    """
    found = list(objects)
    for group, test in filters:
        bits = int(group) & int(flags)
        if bits:
            found = [obj for obj in found if test(obj) & bits]
    return found
