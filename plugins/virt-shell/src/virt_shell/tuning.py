"""What commands that show or set typed parameters share: ``memtune``, ``blkiotune``, ``domiftune`` and the like.

Such a command is one declaration (:func:`tuning`): how its options become parameters, and the operations that get and
set them. Without any of these options it prints what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virt_shell.command import Arguments, CommandError, Option, alias, command, integer
from virt_shell.domains import DOMAIN, IMPACT, impact
from virt_shell.numbers import ULONG
from virt_shell.text import typed_value
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virt_shell.shell import Shell
    from virtcore.api.sync import Domain
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters, TypedValue

__all__ = [
    "IO_OPTIONS",
    "get_parameters",
    "io_limits",
    "print_parameters",
    "rate",
    "rate_parameters",
    "tuning",
    "with_old_names",
]

Get = Callable[["Domain", Arguments, int], "TypedParameters"]
Set = Callable[["Domain", Arguments, "TypedParameters", int], None]
Read = Callable[["Shell", Arguments, "TypedParameters"], None]


def tuning(
    name: str,
    *,
    help: str,
    description: str,
    module: str,
    target: Sequence[Option] = (),
    options: Sequence[Option],
    read: Read,
    get: Get,
    set: Set,
    what: str,
    unreadable: str,
    unchanged: str,
    show: Callable[[str, TypedParameterType, TypedValue], str] | None = None,
) -> None:
    """Declare a command that shows or sets parameters of a domain.

    :param target: options that say what of the domain is meant.
    :param read: adds what the options set.
    :param what, unreadable: what messages call the parameters, when nothing of them can be had and when these cannot.
    :param unchanged: what is printed when they cannot be set.
    :param show: how a value is printed.
    """

    def handler(shell: Shell, args: Arguments) -> bool:
        from virtcore.types import TypedParameters

        flags = impact(args)
        domain = shell.domain(args)
        params = TypedParameters()
        read(shell, args, params)
        if len(params):
            with shell.failing(unchanged):
                set(domain, args, params, flags)
        else:
            found = get_parameters(lambda: get(domain, args, flags), what, unreadable)
            print_parameters(shell, found, show)
        return True

    handler.__module__ = module  # where it is declared, not where it is written
    command(name, group="domain", help=help, description=description, options=[DOMAIN, *target, *options, *IMPACT])(
        handler
    )


def get_parameters(get: Callable[[], TypedParameters], what: str, unreadable: str) -> TypedParameters:
    """Parameters; their number is what virsh asks for first, so that is what fails where nothing can be had at all."""
    from virtcore.errors import NoSupport, OperationInvalid, VirtError

    try:
        return get()
    except (NoSupport, OperationInvalid) as problem:
        raise CommandError(f"Unable to get number of {what}") from problem
    except VirtError as problem:
        raise CommandError(f"Unable to get {unreadable}") from problem


def print_parameters(
    shell: Shell,
    params: TypedParameters,
    show: Callable[[str, TypedParameterType, TypedValue], str] | None = None,
) -> None:
    """Print a line per parameter."""
    for name, kind, value in params.rows():
        shell.out(f"{name:<15}: {show(name, kind, value) if show is not None else typed_value(kind, value)}\n")


# -- rates


def rate(text: str) -> tuple[int, int, int, int]:
    """Average, peak, burst and floor of ``average,peak,burst,floor``; what is left out is 0.

    :raises CommandError: malformed.
    """
    fields = text.split(",")
    if len(fields) > 4:
        raise CommandError(f"Rate string '{text}' has too many fields")
    values = [0, 0, 0, 0]
    for index, (name, field) in enumerate(zip(("average", "peak", "burst", "floor"), fields, strict=False)):
        if field:
            digits = field.lstrip(" ").removeprefix("+")
            if not (digits.isascii() and digits.isdigit()) or int(digits) > 2**64 - 1:
                raise CommandError(f"field '{name}' is malformed")
            values[index] = int(digits)
    return values[0], values[1], values[2], values[3]


def rate_parameters(direction: str, text: str) -> list[tuple[str, int]]:
    """The bandwidth parameters of ``--inbound`` or ``--outbound``.

    :raises CommandError: malformed, too large, or without what is mandatory.
    """
    average, peak, burst, floor = rate(text)
    if max(average, peak, burst) > 2**32 - 1:
        raise CommandError(f"{direction} rate larger than maximum {2**32 - 1}")
    if not average and (burst or peak) and not (direction == "inbound" and floor):
        either = "either inbound average or floor" if direction == "inbound" else "outbound average"
        raise CommandError(f"{either} is mandatory")
    if direction == "outbound" and floor:
        raise CommandError("outbound floor is unsupported yet")
    further = [(name, value) for name, value in (("peak", peak), ("burst", burst), ("floor", floor)) if value]
    return [(f"{direction}.{name}", value) for name, value in [("average", average), *further]]


# -- I/O of disks

#: option -> help; ``bytes`` are scaled.
_IO_LIMITS = {
    "total-bytes-sec": "total throughput limit, as scaled integer (default bytes)",
    "read-bytes-sec": "read throughput limit, as scaled integer (default bytes)",
    "write-bytes-sec": "write throughput limit, as scaled integer (default bytes)",
    "total-iops-sec": "total I/O operations limit per second",
    "read-iops-sec": "read I/O operations limit per second",
    "write-iops-sec": "write I/O operations limit per second",
    "total-bytes-sec-max": "total max, as scaled integer (default bytes)",
    "read-bytes-sec-max": "read max, as scaled integer (default bytes)",
    "write-bytes-sec-max": "write max, as scaled integer (default bytes)",
    "total-iops-sec-max": "total I/O operations max",
    "read-iops-sec-max": "read I/O operations max",
    "write-iops-sec-max": "write I/O operations max",
    "size-iops-sec": "I/O size in bytes",
    "total-bytes-sec-max-length": "duration in seconds to allow total max bytes",
    "read-bytes-sec-max-length": "duration in seconds to allow read max bytes",
    "write-bytes-sec-max-length": "duration in seconds to allow write max bytes",
    "total-iops-sec-max-length": "duration in seconds to allow total I/O operations max",
    "read-iops-sec-max-length": "duration in seconds to allow read I/O operations max",
    "write-iops-sec-max-length": "duration in seconds to allow write I/O operations max",
}


def with_old_names(options: Sequence[Option]) -> list[Option]:
    """Options, each behind its older name with underscores."""
    return [named for option in options for named in (alias(option.name.replace("-", "_"), option.name), option)]


IO_OPTIONS = with_old_names([integer(name, help) for name, help in _IO_LIMITS.items()])


def io_limits(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    """Add the limits that the options of a disk's or group's I/O give.

    :raises CommandError: one is malformed.
    """
    from virtcore.enums import TypedParameterType

    scaled_ones = [option for option in _IO_LIMITS if "bytes" in option and not option.endswith("length")]
    others = [option for option in _IO_LIMITS if option not in scaled_ones]
    readers: list[tuple[list[str], Callable[[str], int | None]]] = [
        (scaled_ones, lambda option: args.scaled(option, 1)),
        (others, lambda option: args.number(option, *ULONG)),
    ]
    for options, value_of in readers:
        for option in options:
            try:
                value = value_of(option)
            except CommandError as wrong:
                shell.error(str(wrong))
                raise CommandError("Unable to parse integer parameter") from None
            if value is not None:
                params.add(option.replace("-", "_"), TypedParameterType.ULLONG, value)
