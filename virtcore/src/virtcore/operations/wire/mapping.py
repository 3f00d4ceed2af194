"""Between a spelling's wire form and its operation: arguments and results, for either end.

Both ends work on the tuples that the codecs of the procedure's argument and result types take and give. Where a
spelling is the operation name by name, nothing happens in between.
"""

from __future__ import annotations

import enum
import functools
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any

from virtcore.enums.common import TypedParameterType
from virtcore.errors import RPC, InternalError
from virtcore.operations import values as value_types
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.procedures import Procedure, procedure
from virtcore.operations.spellings import VIRTUAL_ARGUMENTS, Spelling
from virtcore.operations.wire.codec import codec
from virtcore.types import DomainRef, TypedParameters

__all__ = ["ClientCall", "ServerCall", "client_call", "converter", "server_call"]

#: Most entries that a list-like argument asks for.
_MOST = 16384
#: The flag by which a client says that it knows typed parameters of type string (``VIR_TYPED_PARAM_STRING_OKAY``).
_STRING_OKAY = 4

Tuple = tuple[Any, ...]


class ServerCall:
    """How the serving end turns a call into an operation and its value into a reply."""

    __slots__ = ("arguments", "decode", "encode", "flags_at", "operation", "procedure", "result", "spelling")

    def __init__(self, spelling: Spelling) -> None:
        if spelling.procedure is None:
            raise LookupError(f"{spelling.function} never crosses the wire")
        self.spelling = spelling
        self.procedure: Procedure = procedure(spelling.procedure)
        self.operation: Operation = all_operations()[spelling.operation]
        args, ret = self.procedure.args, self.procedure.ret
        #: Bytes and where the body begins -> wire arguments and the end; None when there are none.
        self.decode = codec(self.procedure.program, args).decode if args else None
        #: Results as :attr:`result` gives them -> bytes; None when there are none.
        self.encode: Callable[[Any], bytes] | None = codec(self.procedure.program, ret).encode if ret else None
        fields = codec(self.procedure.program, args).fields if args else ()
        #: Where the ``flags`` stand in the wire arguments; None without.
        self.flags_at = fields.index("flags") if "flags" in fields else None
        #: Wire arguments -> the operation's, positional; None when they are the same.
        self.arguments = _argument_builder(spelling, self.operation, len(fields))
        #: (operation's value, wire arguments) -> wire results; None when the value is the one result or their tuple.
        self.result = _result_builder(spelling, self.procedure)


def _parameters(operation: Operation) -> dict[str, inspect.Parameter]:
    found = dict(operation.signature.parameters)
    found.pop("self", None)
    return found


def _argument_builder(spelling: Spelling, operation: Operation, count: int) -> Callable[[Tuple], Tuple] | None:
    parameters = _parameters(operation)
    names = spelling.arguments if spelling.arguments is not None else tuple(parameters)[:count]
    if len(names) != count:
        raise TypeError(f"{spelling.function} has {count} arguments on the wire, its spelling {len(names)}")
    if names == tuple(parameters)[:count] and not spelling.fixed and "domains" not in names:
        return None  # what is missing at the end has defaults
    plan: list[tuple[int, object]] = []
    for name, parameter in parameters.items():
        if name in names:
            plan.append((names.index(name), None))
        else:
            plan.append((-1, spelling.fixed.get(name, parameter.default)))

    def build(wire: Tuple) -> Tuple:
        return tuple([constant if at < 0 else wire[at] for at, constant in plan])

    if "domains" in names:  # an empty list on the wire means every domain
        return lambda wire: (wire[0] or None, *wire[1:])
    if spelling.form == "parameters":  # the flag is between the two ends, not the operation's
        return lambda wire: (*build(wire)[:-1], wire[-1] & ~_STRING_OKAY)
    return build


def _result_builder(spelling: Spelling, row: Procedure) -> Callable[[Any, Tuple], Any] | None:
    names = spelling.arguments or ()
    if row.ret is None:
        return None
    fields = codec(row.program, row.ret).fields
    form = spelling.form
    if form == "value":
        return (lambda value, wire: (value,)) if len(fields) == 1 else None
    if form == "list":
        need = names.index("need")
        return lambda value, wire: (value if wire[need] else (), len(value))
    if form == "counted":
        return lambda value, wire: (value, len(value))
    if form == "length":
        return lambda value, wire: (len(value),)
    if form == "ids":
        return lambda value, wire: ([domain.id for domain in value[: _limit(wire[names.index("limit")])]],)
    if form == "names":
        return lambda value, wire: ([thing.name for thing in value[: _limit(wire[names.index("limit")])]],)
    if form == "parameters":
        return functools.partial(_count_first, names.index("count"), names.index("flags"))
    return lambda value, wire: value[0] if value else (b"", 0)


def _limit(asked: int) -> int:
    if asked > _MOST:
        raise InternalError(f"too many entries '{asked}' for limit '{_MOST}'")
    return max(asked, 0)


def _count_first(count_at: int, flags_at: int, value: TypedParameters, wire: Tuple) -> Tuple:
    rows = value.rows()
    if not wire[flags_at] & _STRING_OKAY:
        rows = [row for row in rows if row[1] != TypedParameterType.STRING]
    asked = wire[count_at]
    if asked < 0:
        raise InternalError("nparams must be non-negative")
    if asked == 0:
        return TypedParameters(), len(rows)
    return TypedParameters(rows[:asked]), 0


@functools.cache
def server_call(spelling_procedure: str) -> ServerCall | None:
    """The serving end of a procedure (``remote.DOMAIN_CREATE``); None when no spelling stands for it."""
    from virtcore.operations.spellings import by_procedure

    spelling = by_procedure(spelling_procedure)
    return None if spelling is None else ServerCall(spelling)


class ClientCall:
    """How the asking end turns an operation into a call and a reply into its value."""

    __slots__ = (
        "_defaults",
        "_required",
        "decode",
        "encode",
        "operation",
        "procedure",
        "repeat",
        "spelling",
        "value",
        "wire",
    )

    def __init__(self, operation: Operation, spelling: Spelling) -> None:
        if spelling.procedure is None:
            raise LookupError(f"{spelling.function} never crosses the wire")
        self.spelling = spelling
        self.operation = operation
        self.procedure: Procedure = procedure(spelling.procedure)
        args, ret = self.procedure.args, self.procedure.ret
        program = self.procedure.program
        self.encode: Callable[[Any], bytes] | None = codec(program, args).encode if args else None
        self.decode = codec(program, ret).decode if ret else None
        parameters = _parameters(operation)
        count = len(codec(program, args).fields) if args else 0
        names = spelling.arguments if spelling.arguments is not None else tuple(parameters)[:count]
        self._defaults = tuple(parameter.default for parameter in parameters.values())
        self._required = self._defaults.count(inspect.Parameter.empty)
        #: The operation's arguments by position, defaults filled -> wire arguments.
        self.wire = _wire_builder(tuple(parameters), names)
        convert = converter(_result_annotation(operation))
        fields = codec(program, ret).fields if ret else ()
        #: Wire results -> the operation's value.
        self.value = _value_builder(spelling, len(fields), convert)
        #: Count-first: where the count stands in the wire arguments; the call is made a second time with the number
        #: the first one gave. None otherwise.
        self.repeat = names.index("count") if "count" in names else None

    def bind(self, arguments: Tuple, named: dict[str, Any]) -> Tuple:
        """Arguments as a caller gives them, as the wire carries them.

        :raises TypeError: they are not the operation's.
        """
        if not named and len(arguments) >= self._required:
            return self.wire((*arguments, *self._defaults[len(arguments) :]))
        bound = inspect.Signature(list(_parameters(self.operation).values())).bind(*arguments, **named)
        bound.apply_defaults()
        return self.wire(bound.args)


def _wire_builder(parameters: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Tuple], Tuple]:
    def build(arguments: Tuple) -> Tuple:
        given = dict(zip(parameters, arguments, strict=True))
        return tuple([given[name] if name in given else _virtual(name) for name in names])

    def build_filled(arguments: Tuple) -> Tuple:
        return tuple([() if value is None else value for value in build(arguments)])

    if "count" in names:
        return lambda arguments: (*build(arguments)[:-1], arguments[-1] | _STRING_OKAY)
    return build_filled if "domains" in names else build


def _virtual(name: str) -> int:
    if name not in VIRTUAL_ARGUMENTS:
        raise LookupError(f"the operation has no argument {name}")
    return {"need": 1, "limit": _MOST, "count": 0}[name]


def _value_builder(spelling: Spelling, count: int, convert: Callable[[Any], Any] | None) -> Callable[[Tuple], Any]:
    if spelling.form not in ("value", "list", "counted", "parameters"):
        raise LookupError(f"{spelling.function} cannot be asked by a client in place of its operation")
    whole = spelling.form == "value" and count > 1
    if convert is None:
        return (lambda wire: wire) if whole else (lambda wire: wire[0])
    return (lambda wire: convert(wire)) if whole else (lambda wire: convert(wire[0]))


@functools.cache
def client_call(operation: str, function: str) -> ClientCall:
    """The asking end of an operation under one of its spellings.

    :raises LookupError: there is no such spelling, or it never crosses the wire.
    """
    from virtcore.operations.spellings import of_function

    spelling = of_function(function)
    if spelling is None or spelling.operation != operation:
        raise LookupError(f"{function} is no spelling of {operation}")
    return ClientCall(all_operations()[operation], spelling)


# -- what a declared result type asks for


def _result_annotation(operation: Operation) -> object:
    text = str(operation.signature.return_annotation)
    if not text.startswith("Result[") or not text.endswith("]"):
        raise TypeError(f"{operation.name} declares {text} instead of Result[...]")
    names: dict[str, object] = {
        "Sequence": Sequence,
        "DomainRef": DomainRef,
        "TypedParameters": TypedParameters,
        "ByteStream": object,
        **{name: getattr(value_types, name) for name in value_types.__all__},
    }
    return eval(text.removeprefix("Result[").removesuffix("]"), names)  # our own declarations


def converter(annotation: object) -> Callable[[Any], Any] | None:
    """What turns a value of the codecs into one of a declared type; None when they are the same."""
    if annotation is bool:
        return bool
    if typing.get_origin(annotation) is Sequence:
        inner = converter(typing.get_args(annotation)[0])
        return None if inner is None else lambda values: [inner(value) for value in values]
    if not isinstance(annotation, type):
        return None
    if issubclass(annotation, enum.Enum):
        members = {member.value: member for member in annotation}
        return lambda value: members.get(value, value)  # a newer peer may send values this version has no name for
    fields = getattr(annotation, "_fields", None)
    if fields is None or annotation is DomainRef:
        return None
    hints = typing.get_type_hints(annotation)
    inner_converters = [_text if hints[field] is str else converter(hints[field]) for field in fields]

    def build(value: Tuple) -> Any:
        if len(value) != len(inner_converters):
            raise RPC(f"reply has {len(value)} results where {len(inner_converters)} are expected")
        pairs = zip(inner_converters, value, strict=True)
        return annotation(*[item if convert is None else convert(item) for convert, item in pairs])

    return build


def _text(value: str | bytes) -> str:
    """Text of an array of characters, which ends at its NUL."""
    return value if isinstance(value, str) else value.partition(b"\0")[0].decode("utf-8", "surrogateescape")
