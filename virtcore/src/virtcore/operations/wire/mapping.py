"""Between a spelling's wire form and its operation: arguments and results, for either end.

Both ends work on the tuples that the codecs of the procedure's argument and result types take and give. Where a
spelling is the operation name by name, nothing happens in between.
"""

from __future__ import annotations

import enum
import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

import virtcore.enums
import virtcore.types
from virtcore.enums.common import TypedParameterType
from virtcore.errors import RPC, InternalError, InvalidArg
from virtcore.operations import values as value_types
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.families import family_of_reference
from virtcore.operations.procedures import Procedure, procedure, type_record
from virtcore.operations.spellings import VIRTUAL_ARGUMENTS, Spelling, by_procedure, of_function, spellings_of
from virtcore.operations.stream import ByteStream
from virtcore.operations.wire.codec import codec
from virtcore.types import TypedParameters

__all__ = ["ClientCall", "ClientOperation", "ServerCall", "client_call", "client_operation", "converter", "server_call"]

#: The flag by which a client says that it knows typed parameters of type string (``VIR_TYPED_PARAM_STRING_OKAY``).
_STRING_OKAY = 4

#: Forms of lists of objects of which the wire has one field.
_FIELDS = {"ids": "id", "names": "name", "uuids": "uuid"}

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


def _argument_names(spelling: Spelling, parameters: Mapping[str, inspect.Parameter], count: int) -> tuple[str, ...]:
    """What each of the wire's arguments is (see :attr:`Spelling.arguments`)."""
    names = spelling.arguments if spelling.arguments is not None else tuple(parameters)[:count]
    if len(names) != count:
        raise TypeError(f"{spelling.function} has {count} arguments on the wire, its spelling {len(names)}")
    unknown = {name.partition(".")[0] for name in names} - set(parameters) - VIRTUAL_ARGUMENTS
    if unknown:
        raise TypeError(f"{spelling.operation} has no argument {min(unknown)}, which {spelling.function} names")
    return names


def _empty_is_none(parameter: inspect.Parameter) -> bool:
    """Whether an empty list on the wire, which has no optional ones, stands for None."""
    text = str(parameter.annotation)
    return text.startswith("Sequence[") and text.endswith("| None")


def _argument_builder(spelling: Spelling, operation: Operation, count: int) -> Callable[[Tuple], Tuple] | None:
    parameters = _parameters(operation)
    names = _argument_names(spelling, parameters, count)
    if (
        names == tuple(parameters)[:count]
        and not spelling.fixed
        and not any(_empty_is_none(parameters[name]) for name in names)
    ):
        return None  # what is missing at the end has defaults
    sources = [_source(parameter, names, spelling) for parameter in parameters.values()]
    if spelling.form == "parameters" and "flags" in names:  # the flag is between the two ends, not the operation's
        flags_at = list(parameters).index("flags")
        given = sources[flags_at]
        sources[flags_at] = lambda wire: given(wire) & ~_STRING_OKAY
    return lambda wire: tuple([source(wire) for source in sources])


def _source(parameter: inspect.Parameter, names: tuple[str, ...], spelling: Spelling) -> Callable[[Tuple], Any]:
    """Wire arguments -> a parameter's value."""
    if parameter.name in names:
        at = names.index(parameter.name)
        return (lambda wire: wire[at] or None) if _empty_is_none(parameter) else itemgetter(at)
    fields = [name for name in names if name.startswith(parameter.name + ".")]
    if fields:
        reference = getattr(virtcore.types, str(parameter.annotation))
        places = [names.index(f"{parameter.name}.{field}") for field in reference._fields]
        return lambda wire: reference._make([wire[at] for at in places])
    constant = spelling.fixed.get(parameter.name, parameter.default)
    if constant is parameter.empty:
        raise TypeError(f"{spelling.function} says nothing of {parameter.name}, which {spelling.operation} needs")
    return lambda wire: constant


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
    if form == "texts" or form in _FIELDS:
        return functools.partial(_limited, _FIELDS.get(form), names.index("limit"), _most(row))
    if form == "parameters":
        flags_at = names.index("flags") if "flags" in names else None
        return functools.partial(_count_first, names.index("count"), flags_at)
    return lambda value, wire: value[0] if value else (b"", 0)


def _most(row: Procedure) -> int:
    """Most entries that the list in a procedure's results may have."""
    _, _, first, *_ = type_record(row.program, row.ret or "").split(" ")
    return int(first.rpartition("<")[2].removesuffix(">"))


def _limited(field: str | None, limit_at: int, most: int, value: Sequence[Any], wire: Tuple) -> Tuple:
    asked = wire[limit_at]
    if asked > most:
        raise InternalError(f"too many entries '{asked}' for limit '{most}'")
    shown = value[: max(asked, 0)]
    return ([item if field is None else getattr(item, field) for item in shown],)


def _count_first(count_at: int, flags_at: int | None, value: TypedParameters, wire: Tuple) -> Tuple:
    rows = value.rows()
    if flags_at is None or not wire[flags_at] & _STRING_OKAY:
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
    spelling = by_procedure(spelling_procedure)
    return None if spelling is None else ServerCall(spelling)


class ClientCall:
    """How the asking end turns an operation into a call and a reply into its value, under one of its spellings."""

    __slots__ = ("_unsaid", "decode", "encode", "operation", "procedure", "repeat", "spelling", "value", "wire")

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
        names = _argument_names(spelling, parameters, len(codec(program, args).fields) if args else 0)
        fields = codec(program, ret).fields if ret else ()
        #: Wire results -> the operation's value.
        self.value = _value_builder(spelling, len(fields), _result_annotation(operation))
        #: The operation's arguments by position, defaults filled -> wire arguments.
        self.wire = _wire_builder(parameters, names, _most(self.procedure) if "limit" in names else 0)
        #: Count-first: where the count stands in the wire arguments; the call is made a second time with the number
        #: the first one gave. None otherwise.
        self.repeat = names.index("count") if "count" in names else None
        said = {name.partition(".")[0] for name in names}
        #: Positions of parameters that the spelling says nothing of, and what they must be for it to serve.
        self._unsaid = [
            (at, spelling.fixed.get(name, parameter.default))
            for at, (name, parameter) in enumerate(parameters.items())
            if name not in said
        ]

    def serves(self, arguments: Tuple) -> bool:
        """Whether the spelling can say all of the operation's arguments."""
        return all(arguments[at] == value for at, value in self._unsaid)


def _wire_builder(
    parameters: Mapping[str, inspect.Parameter], names: tuple[str, ...], most: int
) -> Callable[[Tuple], Tuple]:
    virtual = {"need": 1, "limit": most, "count": 0}
    sources: list[Callable[[Tuple], Any]] = []
    for name in names:
        base, _, field = name.partition(".")
        if base not in parameters:
            sources.append(functools.partial(_constant, virtual[name]))
            continue
        sources.append(functools.partial(_given, list(parameters).index(base), field, _empty_is_none(parameters[base])))
    if "count" in names and "flags" in names:
        flags_at = names.index("flags")
        given = sources[flags_at]
        sources[flags_at] = lambda arguments: given(arguments) | _STRING_OKAY
    if list(names) == list(parameters) and not any(map(_empty_is_none, parameters.values())):
        return lambda arguments: arguments
    return lambda arguments: tuple([source(arguments) for source in sources])


def _constant(value: int, arguments: Tuple) -> int:
    return value


def _given(at: int, field: str, empty_is_none: bool, arguments: Tuple) -> Any:
    value = arguments[at]
    if field:
        return getattr(value, field)
    return () if empty_is_none and value is None else value


def _value_builder(spelling: Spelling, count: int, annotation: object) -> Callable[[Tuple], Any]:
    convert = converter(annotation)
    if count == 0 and annotation not in (None, ByteStream):
        raise LookupError(f"{spelling.function} tells too little to stand for its operation")
    if spelling.form in _FIELDS:
        (reference,) = typing.get_args(annotation)
        if reference._fields != (_FIELDS[spelling.form],):
            raise LookupError(f"{spelling.function} tells too little to stand for its operation")
        return lambda wire: [reference(field) for field in wire[0]]
    if spelling.form not in ("value", "list", "counted", "parameters", "texts"):
        raise LookupError(f"{spelling.function} cannot be asked by a client in place of its operation")
    whole = spelling.form == "value" and count > 1
    if convert is None:
        return (lambda wire: wire) if whole else (lambda wire: wire[0])
    return (lambda wire: convert(wire)) if whole else (lambda wire: convert(wire[0]))


@functools.cache
def client_call(operation: str, function: str) -> ClientCall:
    """The asking end of an operation under one of its spellings.

    :raises LookupError: there is no such spelling, it never crosses the wire, or it tells less than the operation.
    """
    spelling = of_function(function)
    if spelling is None or spelling.operation != operation:
        raise LookupError(f"{function} is no spelling of {operation}")
    return ClientCall(all_operations()[operation], spelling)


class ClientOperation:
    """How the asking end carries out an operation: under one of its spellings that can say the arguments."""

    __slots__ = ("_calls", "_defaults", "_operation", "_required")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        calls = []
        for spelling in spellings_of(operation.name):
            try:
                calls.append(client_call(operation.name, spelling.function))
            except LookupError:
                continue  # one that only a serving end knows
        if not calls:
            raise LookupError(f"{operation.name} never crosses the wire")
        self._calls = tuple(calls)
        self._defaults = tuple(parameter.default for parameter in _parameters(operation).values())
        self._required = self._defaults.count(inspect.Parameter.empty)

    def calls(self, arguments: Tuple, named: Mapping[str, Any]) -> Iterator[tuple[ClientCall, Tuple]]:
        """The calls that can say arguments as a caller gives them, with their wire arguments; the best one first, the
        others for peers that do not have it.

        :raises TypeError: they are not the operation's.
        :raises InvalidArg: no function of libvirt has all of them.
        """
        if not named and len(arguments) >= self._required:
            given = (*arguments, *self._defaults[len(arguments) :])
        else:
            bound = inspect.Signature(list(_parameters(self._operation).values())).bind(*arguments, **named)
            bound.apply_defaults()
            given = bound.args
        served = False
        for call in self._calls:
            if call.serves(given):
                served = True
                yield call, call.wire(given)
        if not served:
            raise InvalidArg(f"{self._calls[0].spelling.function} cannot have these arguments together")


@functools.cache
def client_operation(operation: str) -> ClientOperation:
    """The asking end of an operation.

    :raises LookupError: it never crosses the wire.
    """
    return ClientOperation(all_operations()[operation])


# -- what a declared result type asks for


class _Names(dict[str, object]):
    """What the annotations of results may name."""

    def __missing__(self, name: str) -> object:
        for home in (virtcore.types, value_types, virtcore.enums):
            if name in dir(home):
                return getattr(home, name)
        raise KeyError(name)


def _result_annotation(operation: Operation) -> object:
    text = str(operation.signature.return_annotation)
    if not text.startswith("Result[") or not text.endswith("]"):
        raise TypeError(f"{operation.name} declares {text} instead of Result[...]")
    names = _Names(Sequence=Sequence, ByteStream=ByteStream)
    return eval(text.removeprefix("Result[").removesuffix("]"), {}, names)  # our own declarations


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
    if fields is None or family_of_reference(annotation.__name__) is not None:
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
