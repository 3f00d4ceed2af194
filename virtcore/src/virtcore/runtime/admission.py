"""What every call passes before it reaches a driver, whoever carries it out; nothing here loads asyncio."""

from __future__ import annotations

from virtcore._typing import Any, Iterable, Mapping, Sequence
from virtcore.errors import InvalidArg, OperationInvalid
from virtcore.operations.declare import Operation, all_operations, find_operation
from virtcore.operations.spellings import canonical, needs_write

__all__ = [
    "denial",
    "described",
    "forked",
    "needs_write_connection",
    "operation_named",
    "subject_name",
    "unknown_operation",
]


def unknown_operation(name: str, known: Iterable[str]) -> InvalidArg:
    """The error for an operation that there is not."""
    import difflib

    near = difflib.get_close_matches(name, list(known), 1)
    return InvalidArg(f"there is no operation '{name}'", value=name, nearest=near[0] if near else None)


def operation_named(name: str) -> Operation:
    """A declared operation.

    :raises InvalidArg: there is no such operation.
    """
    found = find_operation(name)
    if found is None:
        raise unknown_operation(name, all_operations())
    return found


def subject_name(args: Sequence[object]) -> str | None:
    """Name of the object that a call concerns.

    :param args: the operation's, without the driver.
    """
    name = getattr(args[0], "name", None) if args else None
    return name if isinstance(name, str) else None


def described(name: str, args: Sequence[object]) -> str:
    """A call, as errors name it; see :func:`subject_name`."""
    subject = subject_name(args)
    return name if subject is None else f"{name} of '{subject}'"


def denial(name: str) -> str:
    """Why a read-only connection refuses an operation, in libvirt's words."""
    spelling = canonical(name)
    return f"read only access prevents {name}" if spelling is None else spelling.refusal


def needs_write_connection(
    name: str, change: bool, operation: Operation | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Whether a read-only connection refuses a call, which may depend on its arguments.

    libvirt's facts decide about its functions, the kind about operations that it has not got.
    """
    if canonical(name) is None:
        return change
    given = dict(kwargs)
    if operation is not None:
        given.update(zip(operation.parameters, args, strict=False))
    return needs_write(name, given)


def forked() -> OperationInvalid:
    """The error for a connection that a forked child inherited."""
    return OperationInvalid(
        "the connection was opened before fork() and belongs to the parent process",
        advice="open a connection in the child",
    )
