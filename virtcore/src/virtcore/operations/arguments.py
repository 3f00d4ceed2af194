"""What may be given for an operation's arguments: refused here, for every driver alike, also for one beyond a wire.

The checks follow from the declaration: its types, how wide a number is in libvirt's protocol, what no text and no
document can hold, UUIDs, and keys of which only one is given.
"""

from __future__ import annotations

import virtcore.types
from virtcore._typing import TYPE_CHECKING, Callable, Collection, Final, Mapping, Sequence, TypeAlias, cast
from virtcore.errors import InvalidArg, VirtError
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from types import UnionType

    from virtcore.operations.declare import Operation
    from virtcore.operations.signatures import Parameter

__all__ = ["Check", "checks_of", "key_check", "require"]

#: Takes an argument, and raises when it cannot be one.
Check: TypeAlias = Callable[[object], None]

#: Numbers that fit into every type of the protocol.
_SMALL: Final = 0x7FFFFFFF
#: Types of numbers in the protocol -> bits, and whether negative ones are among them.
_WIDTHS: Final = {"int": (32, True), "uint": (32, False), "hyper": (64, True), "uhyper": (64, False)}
#: Numbers of CPUs are below it (``VIR_DOMAIN_CPUMASK_LEN``).
_MOST_CPUS: Final = 16384


def _fit(value: int, name: str, bits: int = 32, *, signed: bool = False) -> None:
    """Refuse a number that libvirt's functions could not be given.

    :raises InvalidArg: it does not fit into ``bits``.
    """
    first, last = (-1 << (bits - 1), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    if not first <= value <= last:
        raise InvalidArg(f"{name} must be between {first} and {last}, not {value}", value=str(value))


def _check_text(value: str, name: str) -> None:
    """Refuse a text that neither a document nor a C program can hold.

    :raises InvalidArg: it has a NUL, or cannot be encoded.
    """
    if "\0" in value or not (value.isascii() or _encodable(value)):
        raise InvalidArg(f"{name} holds characters that no text has", value=ascii(value))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def require(value: object, types: tuple[type, ...] | UnionType, name: str, expected: str) -> None:
    """Refuse an argument of another type.

    :param expected: what the error calls the types.
    :raises InvalidArg: it has another.
    """
    if not isinstance(value, types):
        raise InvalidArg(f"{name} must be {expected}, not {type(value).__name__}")


def checks_of(operation: Operation) -> list[tuple[int, Check]]:
    """Positions of arguments, without the driver, and what checks them."""
    parameters = list(operation.parameters.values())
    return [(at, check) for at, one in enumerate(parameters) if (check := _check_of(operation, one)) is not None]


def key_check(operation: Operation) -> Callable[[Sequence[object]], None] | None:
    """What checks all arguments together: that exactly one key is given."""
    keys, names = operation.keys, list(operation.parameters)
    if not keys:
        return None
    whole = {frozenset(names.index(part) for part in key.split()) for key in keys}
    places = frozenset[int]().union(*whole)
    shown = [" with ".join(key.split()) for key in keys]
    message = f"exactly one of {', '.join(shown[:-1])} and {shown[-1]} is to be given"

    def check(args: Sequence[object]) -> None:
        given = {at for at, one in enumerate(args) if one is not None and at in places}
        if given not in whole:
            raise InvalidArg(message)

    return check


def _check_of(operation: Operation, parameter: Parameter) -> Check | None:
    name = parameter.name
    declared = parameter.annotation.split(" | ")
    kinds = [kind for kind in declared if kind != "None"]
    check: Check | None
    if "int" in kinds:  # an enumeration's members are numbers
        check = _number(operation, name)
    elif len(kinds) == 1:
        check = _of_kind(operation, name, kinds[0])
    else:
        return None
    if check is None or "None" not in declared:
        return check
    required = check

    def optional(value: object) -> None:
        if value is not None:
            required(value)

    return optional


def _of_kind(operation: Operation, name: str, kind: str) -> Check | None:
    if kind == "str":
        return _uuid(operation) if name == "uuid" else _text(name)
    if kind == "bool":
        return _number(operation, name, "bool")
    if kind == "float":
        return _instance(name, (int, float), "float")
    if kind == "bytes":
        return _instance(name, (bytes, bytearray, memoryview), "bytes")
    if kind == "TypedParameters":
        return _typed_parameters(name)
    if kind == "CpuMap":
        return _members(name, "numbers of CPUs", _cpu)
    if kind.startswith("Sequence["):
        inner = kind.removeprefix("Sequence[").removesuffix("]")
        member = _number(operation, name) if inner == "int" else _of_kind(operation, name, inner)
        return None if member is None else _members(name, f"a list of {inner}", member)
    reference = getattr(virtcore.types, kind, None)
    return None if reference is None else _instance(name, (reference,), kind)


def _instance(name: str, types: tuple[type, ...], expected: str) -> Check:
    return lambda value: require(value, types, name, expected)


def _typed_parameters(name: str) -> Check:
    def check(value: object) -> None:
        require(value, (TypedParameters,), name, "TypedParameters")
        for field, one in cast(TypedParameters, value).items():
            if isinstance(one, str):
                _check_text(one, field)

    return check


def _text(name: str) -> Check:
    document = name.endswith("xml")  # may be bytes

    def check(value: object) -> None:
        if isinstance(value, str):
            _check_text(value, name)
        else:
            require(value, (bytes,) if document else (), name, "str")

    return check


def _uuid(operation: Operation) -> Check:
    def check(value: object) -> None:
        from virtcore.errors import ErrorCode
        from virtcore.operations.spellings import canonical_function, spellings_of
        from virtcore.xml.scalars import Unreadable, read_uuid

        require(value, (str,), "uuid", "str")
        try:
            read_uuid(cast(str, value))
        except Unreadable:
            named = [one.function for one in spellings_of(operation.name) if one.function.endswith("UUIDString")]
            function = named[0] if named else canonical_function(operation.name)
            message = f"uuidstr in {function} must be a valid UUID"
            raise VirtError.from_message(ErrorCode.INVALID_ARG, message) from None

    return check


def _number(operation: Operation, name: str, expected: str = "int") -> Check:
    def check(value: object) -> None:
        if not isinstance(value, int):
            require(value, (), name, expected)
        elif not 0 <= value <= _SMALL:
            width = _width(operation, name)
            if width is not None:
                _fit(int(value), name, width[0], signed=width[1])

    return check


def _width(operation: Operation, name: str) -> tuple[int, bool] | None:
    """How wide an argument is in libvirt's protocol; None when it is not there."""
    from virtcore.operations.procedures import procedure, type_record
    from virtcore.operations.spellings import canonical

    spelling = canonical(operation.name)
    if spelling is None or spelling.procedure is None:
        return None
    row = procedure(spelling.procedure)
    fields = type_record(row.program, row.args).split()[2:] if row.args else []
    names = spelling.arguments or list(operation.parameters)
    types = {ours: field.partition(":")[2] for ours, field in zip(names, fields, strict=False)}
    return _WIDTHS.get(types.get(name, "").partition("<")[0].rstrip("?"))


def _cpu(value: object) -> None:
    if not isinstance(value, int) or not 0 <= value < _MOST_CPUS:
        raise InvalidArg(f"{value!r} is no number of a CPU", value=str(value))


def _members(name: str, expected: str, member: Check) -> Check:
    def check(value: object) -> None:
        unlike = isinstance(value, (str, bytes, bytearray, Mapping))
        require(value, () if unlike else (Collection,), name, expected)
        for one in cast(Collection[object], value):
            member(one)

    return check
