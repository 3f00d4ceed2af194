"""How a spelling is declared."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore._typing import Final, Literal, Mapping

__all__ = ["VIRTUAL_ARGUMENTS", "Form", "Row", "Spelling", "spell"]

#: How a function's results relate to its operation's value:
#:
#: * ``value``: they are the same; a result that only says that it was done is no value;
#: * ``list``: the list, unless ``need`` is 0, and its length;
#: * ``counted``: the list and its length;
#: * ``length``: only the length;
#: * ``limited``: the list, at most ``limit``;
#: * ``ids``, ``names``, ``uuids``: id, name or UUID of the listed objects, at most ``limit``;
#: * ``parameters``: typed parameters, at most ``count``; when that is 0 only how many there are;
#: * ``cpu-stats``: rows of typed parameters, of ``ncpus`` CPUs; how many rows, or how long they are, when ``ncpus`` or
#:   ``count`` is 0;
#: * ``first-label``: the first label of the list, or an empty one;
#: * ``found``: whether there is a value, and its fields;
#: * ``fields``: some of the value's fields and typed parameters (:attr:`Spelling.results`), without those that are
#:   ``missing``;
#: * ``cpumap``, ``cpumaps``: one set of CPUs of ``maplen`` bytes; at most ``limit`` of them, and how many;
#: * ``vcpus``: virtual CPUs, at most ``limit``, and their sets of CPUs;
#: * ``descriptor``, ``descriptors``: a descriptor, or several, that travel beside the reply;
#: * ``with-descriptors``: a result, and descriptors beside the reply.
Form = Literal[
    "value",
    "list",
    "counted",
    "length",
    "limited",
    "ids",
    "names",
    "uuids",
    "parameters",
    "cpu-stats",
    "first-label",
    "found",
    "fields",
    "cpumap",
    "cpumaps",
    "vcpus",
    "descriptor",
    "descriptors",
    "with-descriptors",
]

#: Which way descriptors travel.
Files = Literal["in", "out", "both"]

#: Arguments of functions that are no argument of the operation. What is ``ignored`` says nothing that it needs.
VIRTUAL_ARGUMENTS: Final = frozenset(["need", "limit", "count", "maplen", "ignored"])


class Spelling(NamedTuple):
    """One function of libvirt."""

    #: Its name, e.g. ``virDomainCreate``.
    function: str
    #: Name of the operation it is.
    operation: str
    #: What the function's arguments are, in its order: a parameter of the operation, a field of one that is a
    #: reference (``device.name``), one of its typed parameters (``params:bandwidth``), a virtual one (``need``,
    #: ``limit``, ...), or typed parameters that are parameters of the operation (``*SAVE``, a group of
    #: :mod:`virtcore.operations.parameters`). None when they are the operation's parameters, of which the last ones may
    #: be missing.
    arguments: tuple[str, ...] | None
    #: Parameters of the operation that the function fixes.
    fixed: Mapping[str, object]
    form: Form
    #: Full name of the procedure that carries it; None when it never crosses the wire.
    procedure: str | None
    #: libvirt's version that brought it; empty when not known.
    since: str
    #: Whether it needs a read-write connection: always, never, or when one of these bits is set.
    write: bool | int
    #: The argument whose bits these are.
    write_on: str = "flags"
    #: Of form ``fields``: what the results are, and what stands for those that the value has not got.
    results: tuple[str, ...] = ()
    missing: int = 0
    #: Descriptors travel beside its message (``in``), beside the reply (``out``), or ``both``; those that it takes are
    #: its last argument.
    files: Files | None = None
    #: Its call opens a stream (``write``: towards the server), which the protocol's facts do not say.
    stream: str | None = None
    #: It is none of libvirt's public functions, but one its drivers have between them.
    internal: bool = False

    @property
    def refusal(self) -> str:
        """What the error says that refuses it on a read-only connection."""
        if not isinstance(self.write, bool) and self.function.endswith("GetXMLDesc"):
            return f"{self.function} with secure flag"
        return f"read only access prevents {self.function}"

    def forbidden_readonly(self, flags: int) -> bool:
        """Whether a read-only connection must refuse it, given the value of its ``flags``."""
        return self.write is True or (self.write is not False and bool(self.write & flags))


class Row(NamedTuple):
    """A spelling before the facts of its function are added."""

    function: str
    arguments: tuple[str, ...] | None
    fixed: Mapping[str, object]
    form: Form
    procedure: str | None
    write_flags: int | None
    write_on: str
    results: tuple[str, ...]
    missing: int
    files: Files | None
    stream: str | None
    internal: bool


def spell(
    function: str,
    arguments: str | None = None,
    *,
    form: Form = "value",
    procedure: str | None = None,
    write_flags: int | None = None,
    write_on: str = "flags",
    results: str = "",
    missing: int = 0,
    files: Files | None = None,
    stream: str | None = None,
    internal: bool = False,
    **fixed: object,
) -> Row:
    """A function of libvirt that is an operation.

    :param arguments: what its arguments are (see :attr:`Spelling.arguments`), separated by spaces.
    :param procedure: what carries it, where the facts name none.
    :param write_flags: bits that make it need a read-write connection, where the facts say only that it depends.
    :param write_on: the argument whose bits these are.
    :param results: see :attr:`Spelling.results`, separated by spaces.
    :param fixed: parameters of the operation that the function fixes.
    """
    split = tuple(arguments.split()) if arguments is not None else None
    wanted = tuple(results.split())
    return Row(function, split, fixed, form, procedure, write_flags, write_on, wanted, missing, files, stream, internal)
