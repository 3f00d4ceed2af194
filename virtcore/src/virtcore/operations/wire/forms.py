"""How results of libvirt's functions relate to the values of operations: the forms of spellings, for either end.

A form is made for one spelling. At the serving end :meth:`Form.reply` turns the operation's value into the results of
the call; at the asking end :meth:`Form.value` turns results into the value, and :meth:`Form.again` says whether, and
with which arguments, the call has to be made once more to get it whole.
"""

from __future__ import annotations

from types import NoneType

from virtcore._typing import Any, Callable, Final, Iterable, Mapping, Sequence
from virtcore.enums import common
from virtcore.errors import InternalError
from virtcore.operations.procedures import Procedure, type_record
from virtcore.operations.spellings import Spelling
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.convert import converter, cpu_bytes, cpu_set, taken_apart, to_wire
from virtcore.types import TypedParameters

__all__ = ["CPU_MAP_LENGTH", "STRING_OKAY", "Form", "form_of", "most_of"]

#: The flag by which a client says that it knows typed parameters of type string (``VIR_TYPED_PARAM_STRING_OKAY``).
STRING_OKAY: Final = 4

#: Bytes of a set of CPUs that a client asks for: 4096 CPUs.
CPU_MAP_LENGTH: Final = 512

#: How many sets of CPUs a client asks for at first.
_FIRST_MAPS: Final = 256

#: Most bytes that sets of CPUs may have together.
_MOST_MAP_BYTES: Final = 8388608

Tuple = tuple[Any, ...]


def most_of(row: Procedure) -> int:
    """Most entries that the list in a procedure's results may have."""
    _, _, first, *_ = type_record(row.program, row.ret or "").split(" ")
    return int(first.rpartition("<")[2].removesuffix(">"))


def _head(value: Any, count: int) -> Any:
    """The first entries of a list, of a mapping as pairs, or of typed parameters."""
    count = max(count, 0)
    if isinstance(value, TypedParameters):
        return TypedParameters(value.rows()[:count])
    return (list(value.items()) if isinstance(value, Mapping) else value)[:count]


class Form:
    """The function's results are the operation's value: as they are, or as the fields of its named tuple."""

    #: Whether a client can ask the function in place of the operation.
    asks = True

    def __init__(self, spelling: Spelling, row: Procedure, names: tuple[str, ...], result: object) -> None:
        self.spelling = spelling
        self.row = row
        #: What the wire's arguments are.
        self.names = names
        #: Declared type of the operation's value.
        self.result = result
        self.fields = codec(row.program, row.ret).fields if row.ret else ()
        self.outward = to_wire(result)
        self.inward = converter(result)

    def at(self, name: str) -> int:
        """Where an argument stands on the wire."""
        return self.names.index(name)

    @property
    def _order(self) -> list[int] | None:
        """Places of the named tuple's fields among the results, where names say that they are in another order."""
        wanted: tuple[str, ...] = getattr(taken_apart(self.result)[0] or self.result, "_fields", ())
        if set(wanted) != set(self.fields) or wanted == self.fields:
            return None
        return [self.fields.index(name) for name in wanted]

    def reply(self) -> Callable[[Any, Tuple], Any] | None:
        """(the operation's value, wire arguments) -> wire results; None when the value is already these."""
        outward, order = self.outward, self._order
        if self.result is NoneType:
            nothing = (0,) * len(self.fields)
            return lambda value, wire: nothing
        if self.row.stream is not None:  # which comes last and does not travel with the results
            return lambda value, wire: value[:-1]
        if len(self.fields) == 1:
            return (lambda value, wire: (value,)) if outward is None else lambda value, wire: (outward(value),)
        if order is not None:
            places = [order.index(at) for at in range(len(order))]
            return lambda value, wire: tuple([value[at] for at in places])
        return None if outward is None else lambda value, wire: outward(value)

    def value(self) -> Callable[[Tuple], Any]:
        """Wire results, followed by the stream where there is one -> the operation's value."""
        convert, order = self.inward, self._order
        if self.result is NoneType:
            return lambda results: None
        count = len(self.fields) + (self.row.stream is not None)
        if count == 0:
            raise LookupError(f"{self.spelling.function} tells too little to stand for its operation")
        if count == 1:
            return (lambda results: results[0]) if convert is None else lambda results: convert(results[0])
        if order is not None and convert is not None:
            return lambda results: convert(tuple([results[at] for at in order]))
        return (lambda results: results) if convert is None else lambda results: convert(results)

    def files(self, value: Any) -> Sequence[int]:
        """Descriptors that travel beside the reply, of the operation's value."""
        return ()

    @property
    def first_limit(self) -> int:
        """How many entries a client asks for at most, at first."""
        return most_of(self.row)

    def again(self, wire: Tuple, results: Tuple) -> Tuple | None:
        """Arguments for another call; None when the results are whole."""
        return None

    @property
    def repeats(self) -> bool:
        """Whether :meth:`again` may want another call."""
        return type(self).again is not Form.again


class _First(Form):
    """The value is the first of the results."""

    def value(self) -> Callable[[Tuple], Any]:
        convert = self.inward
        return (lambda results: results[0]) if convert is None else lambda results: convert(results[0])

    def _out(self, value: Any) -> Any:
        return value if self.outward is None else self.outward(value)


class _List(_First):
    """The list, unless ``need`` is 0, and its length."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        need = self.at("need")
        return lambda value, wire: (self._out(value) if wire[need] else (), len(value))


class _Counted(_First):
    """The list and its length."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        return lambda value, wire: (self._out(value), len(value))


class _Length(Form):
    """Only the length."""

    asks = False

    def reply(self) -> Callable[[Any, Tuple], Any]:
        return lambda value, wire: (len(value),)


class _Limited(_First):
    """The list, at most ``limit``, and where the function has that how long it is: how many would be there when
    ``limit`` is 0."""

    #: The field of the listed objects that the function tells of.
    field: str | None = None

    def reply(self) -> Callable[[Any, Tuple], Any]:
        limit, most, field, counted = self.at("limit"), most_of(self.row), self.field, len(self.fields) > 1

        def reply(value: Any, wire: Tuple) -> Tuple:
            asked = wire[limit]
            if asked > most:
                raise InternalError(f"too many entries '{asked}' for limit '{most}'")
            shown = _head(self._out(value), asked)
            if field is not None:
                shown = [getattr(item, field) for item in shown]
            return (shown, len(shown) if asked else len(value)) if counted else (shown,)

        return reply


class _Field(_Limited):
    def value(self) -> Callable[[Tuple], Any]:
        _, (reference,) = taken_apart(self.result)
        if reference._fields != (self.field,):
            raise LookupError(f"{self.spelling.function} tells too little to stand for its operation")
        return lambda results: [reference(item) for item in results[0]]


class _Ids(_Field):
    field = "id"


class _Names(_Field):
    field = "name"


class _UUIDs(_Field):
    field = "uuid"


class _Parameters(_First):
    """Typed parameters, or named numbers, at most ``count``; when that is 0 only how many there are."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        count = self.at("count")
        flags = self.at("flags") if "flags" in self.names else None
        typed = self.result is TypedParameters

        def reply(value: Any, wire: Tuple) -> Tuple:
            shown = value
            if typed and (flags is None or not wire[flags] & STRING_OKAY):
                shown = TypedParameters(row for row in value.rows() if row[1] != common.TypedParameterType.STRING)
            asked = wire[count]
            if asked < 0:
                raise InternalError("nparams must be non-negative")
            if asked == 0:
                return TypedParameters() if typed else (), len(shown.rows() if typed else shown)
            return _head(shown, asked), 0

        return reply

    def again(self, wire: Tuple, results: Tuple) -> Tuple | None:
        count = self.at("count")
        if wire[count] or not results[-1]:
            return None
        return (*wire[:count], results[-1], *wire[count + 1 :])


class _CpuStats(_Parameters):
    """Rows of typed parameters, all of one length: how many there are when ``ncpus`` is 0, how long they are when
    ``count`` is 0."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        count, ncpus, start = self.at("count"), self.at("ncpus"), self.at("start_cpu")

        def reply(value: Sequence[TypedParameters], wire: Tuple) -> Tuple:
            if wire[ncpus] == 0:
                return TypedParameters(), len(value) + max(wire[start], 0)
            longest = max((len(row) for row in value), default=0)
            if wire[count] == 0:
                return TypedParameters(), longest
            rows = [row.rows()[: wire[count]] for row in value]
            return TypedParameters(one for row in rows for one in row), min(longest, wire[count])

        return reply

    def value(self) -> Callable[[Tuple], Any]:
        def value(results: Tuple) -> list[TypedParameters]:
            rows, length = results[0].rows(), results[1]
            return [TypedParameters(rows[at : at + length]) for at in range(0, len(rows), length or 1)]

        return value

    def again(self, wire: Tuple, results: Tuple) -> Tuple | None:
        ncpus = self.at("ncpus")
        if wire[ncpus] == 0:
            left = results[-1] - wire[self.at("start_cpu")]
            return (*wire[:ncpus], left, *wire[ncpus + 1 :]) if left > 0 else None
        return super().again(wire, results)


class _FirstLabel(Form):
    """The first label of the list, or an empty one."""

    asks = False

    def reply(self) -> Callable[[Any, Tuple], Any]:
        return lambda value, wire: value[0] if value else (b"", 0)


class _Found(Form):
    """Whether there is one, and its fields."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        nothing = (0,) * len(self.fields)
        return lambda value, wire: nothing if value is None else (1, *value)

    def value(self) -> Callable[[Tuple], Any]:
        convert = self.inward
        return lambda results: (results[1:] if convert is None else convert(results[1:])) if results[0] else None


class _Fields(Form):
    """Some of the operation's typed parameters, and of its named tuple's fields, in the order of the spelling."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        names, missing = self.spelling.results, self.spelling.missing

        def one(value: Any, name: str) -> Any:
            if not isinstance(value, TypedParameters) and name in value._fields:
                return getattr(value, name)
            params = value if isinstance(value, TypedParameters) else value.params
            return params.get(name, missing)

        return lambda value, wire: tuple([one(value, name) for name in names])

    def value(self) -> Callable[[Tuple], Any]:
        from virtcore.operations.parameters import PARAMETERS

        names, missing, group = self.spelling.results, self.spelling.missing, PARAMETERS[self.spelling.operation]
        own: tuple[str, ...] = () if self.result is TypedParameters else self.result._fields  # type: ignore[attr-defined]
        convert = self.inward

        def value(results: Tuple) -> Any:
            given = dict(zip(names, results, strict=True))
            params = group.typed({name: one for name, one in given.items() if name not in own and one != missing})
            if not own:
                return params
            whole = tuple([params if name == "params" else given[name] for name in own])
            return whole if convert is None else convert(whole)

        return value


def _check_maps(length: int, most: int, what: str) -> None:
    """Refuse sets of CPUs that no message could carry, before there is room made for them.

    :raises InternalError: they would be too long together.
    """
    if length < 0 or length * most > _MOST_MAP_BYTES:
        raise InternalError(f"{what} > REMOTE_CPUMAPS_MAX")


class _CpuMap(_First):
    """A set of CPUs of ``maplen`` bytes, and that there is one."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        length = self.at("maplen")

        def reply(value: Iterable[int], wire: Tuple) -> Tuple:
            _check_maps(wire[length], 1, "maplen")
            return cpu_bytes(value, wire[length]), 1

        return reply


class _CpuMaps(Form):
    """Sets of CPUs of ``maplen`` bytes each, one after the other and at most ``limit``, and how many."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        limit, length = self.at("limit"), self.at("maplen")

        def reply(value: Sequence[frozenset[int]], wire: Tuple) -> Tuple:
            _check_maps(wire[length], max(wire[limit], 0), "ncpumaps * maplen")
            shown = value[: max(wire[limit], 0)]
            return b"".join([cpu_bytes(cpus, wire[length]) for cpus in shown]), len(shown)

        return reply

    def value(self) -> Callable[[Tuple], Any]:
        return lambda results: [cpu_set(results[0][at * CPU_MAP_LENGTH :][:CPU_MAP_LENGTH]) for at in range(results[1])]

    @property
    def first_limit(self) -> int:
        return _FIRST_MAPS

    def _count(self, results: Tuple) -> int:
        count: int = results[1]
        return count

    def again(self, wire: Tuple, results: Tuple) -> Tuple | None:
        limit = self.at("limit")
        more = wire[limit] * 2
        if self._count(results) < wire[limit] or more * wire[self.at("maplen")] > _MOST_MAP_BYTES:
            return None
        return (*wire[:limit], more, *wire[limit + 1 :])


class _Vcpus(_CpuMaps):
    """Virtual CPUs without their sets of CPUs, and these as in ``cpumaps``."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        limit, length = self.at("limit"), self.at("maplen")

        def reply(value: Sequence[Any], wire: Tuple) -> Tuple:
            _check_maps(wire[length], max(wire[limit], 0), "maxinfo * maplen")
            shown = value[: max(wire[limit], 0)]
            maps = b"".join([cpu_bytes(vcpu[-1], wire[length]) for vcpu in shown])
            return [tuple(vcpu[:-1]) for vcpu in shown], maps

        return reply

    def value(self) -> Callable[[Tuple], Any]:
        convert = self.inward

        def value(results: Tuple) -> Any:
            rows, maps = results
            whole = [(*row, maps[at * CPU_MAP_LENGTH :][:CPU_MAP_LENGTH]) for at, row in enumerate(rows)]
            return whole if convert is None else convert(whole)

        return value

    def _count(self, results: Tuple) -> int:
        return len(results[0])


class _Descriptor(Form):
    """A descriptor beside the reply; the results carry nothing."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        return lambda value, wire: ()

    def value(self) -> Callable[[Tuple], Any]:
        return lambda results: self._received(results[-1])

    def files(self, value: Any) -> Sequence[int]:
        return [value]

    def _received(self, files: Sequence[int]) -> Any:
        if len(files) != 1:
            raise InternalError("No FD available at slot 0")
        return files[0]


class _Descriptors(_Descriptor):
    """Several of them."""

    def files(self, value: Any) -> Sequence[int]:
        return list(value)

    def _received(self, files: Sequence[int]) -> Any:
        return list(files)


class _WithDescriptors(Form):
    """A result, and descriptors beside the reply."""

    def reply(self) -> Callable[[Any, Tuple], Any]:
        return lambda value, wire: tuple(value)[:-1]

    def value(self) -> Callable[[Tuple], Any]:
        made: Callable[..., Any] = self.result  # type: ignore[assignment]
        return lambda results: made(*results)

    def files(self, value: Any) -> Sequence[int]:
        return list(value[-1])


_FORMS: Final[Mapping[str, type[Form]]] = {
    "value": Form,
    "list": _List,
    "counted": _Counted,
    "length": _Length,
    "limited": _Limited,
    "ids": _Ids,
    "names": _Names,
    "uuids": _UUIDs,
    "parameters": _Parameters,
    "cpu-stats": _CpuStats,
    "first-label": _FirstLabel,
    "found": _Found,
    "fields": _Fields,
    "cpumap": _CpuMap,
    "cpumaps": _CpuMaps,
    "vcpus": _Vcpus,
    "descriptor": _Descriptor,
    "descriptors": _Descriptors,
    "with-descriptors": _WithDescriptors,
}


def form_of(spelling: Spelling, row: Procedure, names: tuple[str, ...], result: object) -> Form:
    """The form of a spelling's results.

    :param names: what the wire's arguments are.
    :param result: declared type of the operation's value.
    """
    return _FORMS[spelling.form](spelling, row, names, result)
