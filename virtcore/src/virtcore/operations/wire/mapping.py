"""Between a spelling's wire form and its operation: arguments and results, for either end.

Both ends work on the tuples that the codecs of the procedure's argument and result types take and give. Where a
spelling is the operation name by name, nothing happens in between.
"""

from __future__ import annotations

import virtcore.types
from virtcore._functions import cache, itemgetter, partial
from virtcore._typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping, Sequence
from virtcore.errors import InvalidArg
from virtcore.operations.declare import Operation, find_operation
from virtcore.operations.procedures import Procedure, procedure, type_record
from virtcore.operations.signatures import EMPTY, Parameter
from virtcore.operations.spellings import VIRTUAL_ARGUMENTS, Spelling, by_procedure, spellings_of
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.convert import converter, declared, result_type, to_wire
from virtcore.operations.wire.forms import CPU_MAP_LENGTH, STRING_OKAY, Form, form_of
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.operations.parameters.declare import ParameterGroup

__all__ = ["ClientCall", "ClientOperation", "ServerCall", "client_call", "client_operation", "crosses", "server_call"]

Tuple = tuple[Any, ...]


class ServerCall:
    """How the serving end turns a call into an operation and its value into a reply."""

    __slots__ = (
        "arguments",
        "decode",
        "encode",
        "files",
        "guard_at",
        "operation",
        "procedure",
        "record",
        "result",
        "spelling",
        "takes_files",
        "takes_one",
    )

    def __init__(self, spelling: Spelling) -> None:
        self.procedure: Procedure = _procedure_of(spelling)
        self.spelling = spelling
        self.operation: Operation = _operation(spelling.operation)
        args, ret = self.procedure.args, self.procedure.ret
        #: Bytes and where the body begins -> wire arguments and the end; None when there are none.
        self.decode = codec(self.procedure.program, args).decode if args else None
        #: Results as :attr:`result` gives them -> bytes; None when there are none.
        self.encode: Callable[[Any], bytes] | None = codec(self.procedure.program, ret).encode if ret else None
        parameters = self.operation.parameters
        #: Whether descriptors come beside the call; they are the last of the wire arguments then.
        self.takes_files = spelling.files in ("in", "both")
        names = _argument_names(spelling, parameters, self.procedure)
        #: Whether it cannot do without one.
        self.takes_one = "fd" in names and self.takes_files
        #: Where the argument stands in the wire arguments on which it depends whether the function needs a read-write
        #: connection; None without.
        self.guard_at = names.index(spelling.write_on) if spelling.write_on in names else None
        form = form_of(spelling, self.procedure, names, result_type(self.operation))
        #: Wire arguments -> the operation's, positional; None when they are the same.
        self.arguments = _argument_builder(spelling, parameters, names, form)
        #: (operation's value, wire arguments) -> wire results; None when the value is already these.
        self.result = form.reply() if ret else None
        #: One of the value's list -> bytes, where its parameters may stay encoded; None for other values.
        self.record = _record_encoder(self.procedure)
        #: The operation's value -> descriptors that travel beside the reply; None where there are none.
        self.files = form.files if spelling.files in ("out", "both") else None


def _procedure_of(spelling: Spelling) -> Procedure:
    if spelling.procedure is None:
        raise LookupError(f"{spelling.function} never crosses the wire")
    row = procedure(spelling.procedure)
    return row if spelling.stream is None else row._replace(stream=spelling.stream)


def _record_encoder(row: Procedure) -> Callable[[Any], bytes] | None:
    """Encodes an entry of a list of structs with typed parameters, where the results are such a list."""
    first = type_record(row.program, row.ret).split(" ")[2:3] if row.ret else []
    base = first[0].partition(":")[2].partition("<")[0] if first and first[0].endswith(">") else ""
    if not base.endswith("_record"):
        return None
    fields = type_record(row.program, base).split(" ")[2:]
    return codec(row.program, base).encode if any("_typed_param<" in field for field in fields) else None


def _argument_names(spelling: Spelling, parameters: Mapping[str, Parameter], row: Procedure) -> tuple[str, ...]:
    """What each of the wire's arguments is (see :attr:`Spelling.arguments`), and descriptors beside them."""
    count = len(codec(row.program, row.args).fields) if row.args else 0
    count += spelling.files in ("in", "both")
    names = spelling.arguments if spelling.arguments is not None else tuple(parameters)[:count]
    if len(names) != count:
        raise TypeError(f"{spelling.function} has {count} arguments on the wire, its spelling {len(names)}")
    unknown = {_base(name) for name in names if not name.startswith("*")} - set(parameters) - VIRTUAL_ARGUMENTS
    if unknown:
        raise TypeError(f"{spelling.operation} has no argument {min(unknown)}, which {spelling.function} names")
    return names


def _base(name: str) -> str:
    """The parameter that an argument is, or is a part of."""
    return name.partition(".")[0].partition(":")[0]


def _spread(names: tuple[str, ...]) -> Mapping[str, tuple[int, str]]:
    """Parameters that come as typed ones: where these stand on the wire, and what it is called there."""
    return {
        one.name.replace(".", "_").replace("-", "_"): (at, one.name)
        for at, name in enumerate(names)
        if name.startswith("*")
        for one in _group(name)
    }


def _group(name: str) -> ParameterGroup:
    from virtcore.operations import parameters

    group: ParameterGroup = getattr(parameters, name.removeprefix("*"))
    return group


def _empty_is_none(parameter: Parameter) -> bool:
    """Whether an empty list on the wire, which has no optional ones, stands for None."""
    text = parameter.annotation
    return text.startswith("Sequence[") and text.endswith("| None")


def _converted(parameter: Parameter) -> bool:
    """Whether a parameter's values are not those of the codecs."""
    return "CpuMap" in parameter.annotation


def _argument_builder(
    spelling: Spelling, parameters: Mapping[str, Parameter], names: tuple[str, ...], form: Form
) -> Callable[[Tuple], Tuple] | None:
    strings = (form.result is TypedParameters or spelling.form == "cpu-stats") and "flags" in names
    if (
        names == tuple(parameters)[: len(names)]
        and not spelling.fixed
        and not strings
        and not any(_empty_is_none(parameters[name]) or _converted(parameters[name]) for name in names)
    ):
        return None  # what is missing at the end has defaults
    sources = [_source(parameter, names, spelling) for parameter in parameters.values()]
    if strings:  # the flag is between the two ends, not the operation's
        flags_at = list(parameters).index("flags")
        given = sources[flags_at]
        sources[flags_at] = lambda wire: given(wire) & ~STRING_OKAY
    return lambda wire: tuple([source(wire) for source in sources])


def _source(parameter: Parameter, names: tuple[str, ...], spelling: Spelling) -> Callable[[Tuple], Any]:
    """Wire arguments -> a parameter's value."""
    if parameter.name in names:
        at = names.index(parameter.name)
        if spelling.files and parameter.name == "fd":
            return lambda wire: _only(wire[at])
        if _converted(parameter):
            convert = converter(declared(parameter.annotation))
            assert convert is not None
            return lambda wire: convert(wire[at])
        return (lambda wire: wire[at] or None) if _empty_is_none(parameter) else itemgetter(at)
    fields = [name for name in names if name.startswith(parameter.name + ".")]
    if fields:
        reference = getattr(virtcore.types, parameter.annotation)
        places = [names.index(f"{parameter.name}.{field}") for field in reference._fields]
        return lambda wire: reference._make([wire[at] for at in places])
    spread = _spread(names).get(parameter.name)
    if spread is not None:
        return partial(_from_typed, _group(names[spread[0]]), *spread, parameter.default)
    if parameter.annotation == "TypedParameters" and parameter.name not in spelling.fixed:
        single = {at: name.partition(":")[2] for at, name in enumerate(names) if ":" in name}
        return partial(_as_typed, single, spelling.operation)
    constant = spelling.fixed.get(parameter.name, parameter.default)
    if constant is EMPTY:
        raise TypeError(f"{spelling.function} says nothing of {parameter.name}, which {spelling.operation} needs")
    return lambda wire: constant


def _only(files: Sequence[int]) -> int:
    """The descriptor that comes with a call; what is none where none does."""
    return files[0] if files else -1


def _from_typed(group: ParameterGroup, at: int, name: str, default: object, wire: Tuple) -> Any:
    params: TypedParameters = wire[at]
    group.validate(params)
    return params.get(name) if name in params else default


def _as_typed(single: Mapping[int, str], operation: str, wire: Tuple) -> TypedParameters:
    """Arguments that stand for one typed parameter each, where there are any."""
    from virtcore.operations.parameters import PARAMETERS

    given = {name: wire[at] for at, name in single.items() if wire[at]}
    return PARAMETERS[operation].typed(given) if given else TypedParameters()


@cache
def server_call(spelling_procedure: str) -> ServerCall | None:
    """The serving end of a procedure (``remote.DOMAIN_CREATE``); None when no spelling stands for it."""
    spelling = by_procedure(spelling_procedure)
    return None if spelling is None else ServerCall(spelling)


class ClientCall:
    """How the asking end turns an operation into a call and a reply into its value, under one of its spellings."""

    __slots__ = (
        "_unsaid",
        "again",
        "decode",
        "encode",
        "gives_files",
        "operation",
        "procedure",
        "spelling",
        "takes_files",
        "value",
        "wire",
    )

    def __init__(self, operation: Operation, spelling: Spelling) -> None:
        self.procedure: Procedure = _procedure_of(spelling)
        self.spelling = spelling
        self.operation = operation
        args, ret = self.procedure.args, self.procedure.ret
        program = self.procedure.program
        self.encode: Callable[[Any], bytes] | None = codec(program, args).encode if args else None
        self.decode = codec(program, ret).decode if ret else None
        parameters = operation.parameters
        #: Whether the last of the wire arguments are descriptors, which travel beside the call, and whether some come
        #: beside the reply, which are the last of the results.
        self.takes_files, self.gives_files = spelling.files in ("in", "both"), spelling.files in ("out", "both")
        names = _argument_names(spelling, parameters, self.procedure)
        form = form_of(spelling, self.procedure, names, result_type(operation))
        if not form.asks:
            raise LookupError(f"{spelling.function} cannot be asked by a client in place of its operation")
        #: Wire results, followed by the stream where there is one -> the operation's value.
        self.value = form.value()
        #: The operation's arguments by position, defaults filled -> wire arguments.
        self.wire = _wire_builder(parameters, names, form)
        #: (wire arguments, wire results) -> arguments to call with once more, None when the results are whole; None
        #: where they always are.
        self.again = form.again if form.repeats else None
        said = {_base(name) for name in names} | set(_spread(names))
        #: Positions of parameters that the spelling says nothing of, and what they must be for it to serve.
        self._unsaid = [
            (at, spelling.fixed.get(name, parameter.default))
            for at, (name, parameter) in enumerate(parameters.items())
            if name not in said
        ]
        if any(value is EMPTY for _, value in self._unsaid):
            raise LookupError(f"{spelling.function} tells too little to stand for its operation")

    def serves(self, arguments: Tuple) -> bool:
        """Whether the spelling can say all of the operation's arguments."""
        return all(arguments[at] == value for at, value in self._unsaid)


def _wire_builder(parameters: Mapping[str, Parameter], names: tuple[str, ...], form: Form) -> Callable[[Tuple], Tuple]:
    limit = form.first_limit if "limit" in names else 0
    virtual = {"need": 1, "limit": limit, "count": 0, "maplen": CPU_MAP_LENGTH}
    order = list(parameters)
    sources: list[Callable[[Tuple], Any]] = []
    for name in names:
        base = _base(name)
        if name.startswith("*"):
            fields = [(order.index(own), field) for own, (_, field) in _spread((name,)).items() if own in order]
            sources.append(partial(_typed, _group(name), fields))
        elif base in parameters:
            if ":" in name:
                raise LookupError(f"{form.spelling.function} has only a part of {base}")
            if form.spelling.files and name == "fd":
                sources.append(partial(_alone, order.index(base)))
                continue
            field = name.partition(".")[2]
            convert = to_wire(declared(parameters[base].annotation)) if _converted(parameters[base]) else None
            empty = _empty_is_none(parameters[base])
            sources.append(partial(_given, order.index(base), field, empty, convert))
        elif name not in virtual:
            raise LookupError(f"{form.spelling.function} asks for {name}, which {form.spelling.operation} has not got")
        else:
            sources.append(partial(_constant, virtual[name]))
    if "count" in names and "flags" in names and form.result is TypedParameters:
        flags_at = names.index("flags")
        given = sources[flags_at]
        sources[flags_at] = lambda arguments: given(arguments) | STRING_OKAY
    if list(names) == order and not any(_empty_is_none(one) or _converted(one) for one in parameters.values()):
        return lambda arguments: arguments
    return lambda arguments: tuple([source(arguments) for source in sources])


def _constant(value: int, arguments: Tuple) -> int:
    return value


def _alone(at: int, arguments: Tuple) -> Tuple:
    return (arguments[at],)


def _given(at: int, field: str, empty_is_none: bool, convert: Callable[[Any], Any] | None, arguments: Tuple) -> Any:
    value = arguments[at]
    if field:
        return getattr(value, field)
    if convert is not None:
        return convert(value)
    return () if empty_is_none and value is None else value


def _typed(group: ParameterGroup, fields: list[tuple[int, str]], arguments: Tuple) -> TypedParameters:
    return group.typed({field: arguments[at] for at, field in fields if arguments[at] is not None})


@cache
def client_call(operation: str, function: str) -> ClientCall:
    """The asking end of an operation under one of its spellings.

    :raises LookupError: there is no such spelling, it never crosses the wire, or it tells less than the operation.
    """
    for spelling in spellings_of(operation):
        if spelling.function == function:
            return ClientCall(_operation(operation), spelling)
    raise LookupError(f"{function} is no spelling of {operation}")


def _operation(name: str) -> Operation:
    found = find_operation(name)
    if found is None:
        raise LookupError(f"there is no operation {name}")
    return found


class ClientOperation:
    """How the asking end carries out an operation: under one of its spellings that can say the arguments."""

    __slots__ = ("_defaults", "_known", "_left", "_operation", "_required")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        #: Calls under spellings that a client can ask, the best one first, and spellings that nobody needed yet.
        self._known: list[ClientCall] = []
        self._left = list(spellings_of(operation.name))
        self._defaults = tuple(parameter.default for parameter in operation.parameters.values())
        self._required = self._defaults.count(EMPTY)
        if next(self._calls(), None) is None:
            raise LookupError(f"{operation.name} never crosses the wire")

    def _calls(self) -> Iterator[ClientCall]:
        """Calls that a client can ask; each is made when it is first wanted."""
        at = 0
        while True:
            while at == len(self._known):
                if not self._left:
                    return
                spelling = self._left.pop(0)
                try:
                    self._known.append(client_call(self._operation.name, spelling.function))
                except LookupError:
                    pass  # one that only a serving end knows
            yield self._known[at]
            at += 1

    def calls(self, arguments: Tuple, named: Mapping[str, Any]) -> Iterator[tuple[ClientCall, Tuple]]:
        """The calls that can say arguments as a caller gives them, with their wire arguments; the best one first, the
        others for peers that do not have it.

        :raises TypeError: they are not the operation's.
        :raises InvalidArg: no function of libvirt has all of them.
        """
        if not named and len(arguments) >= self._required:
            given = (*arguments, *self._defaults[len(arguments) :])
        else:
            bound = self._operation.signature.bind(None, *arguments, **named)
            bound.apply_defaults()
            given = bound.args[1:]
        served = False
        for call in self._calls():
            if call.serves(given):
                served = True
                yield call, call.wire(given)
        if not served:
            raise InvalidArg(f"{self._known[0].spelling.function} cannot have these arguments together")


@cache
def crosses(operation: str) -> bool:
    """Whether the asking end can carry out an operation at all."""
    return any(spelling.procedure is not None for spelling in spellings_of(operation))


@cache
def client_operation(operation: str) -> ClientOperation:
    """The asking end of an operation.

    :raises LookupError: it never crosses the wire.
    """
    return ClientOperation(_operation(operation))
