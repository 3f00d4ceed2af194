"""How a spelling is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["VIRTUAL_ARGUMENTS", "Form", "Row", "Spelling", "spell"]

#: How a function's results relate to its operation's value:
#:
#: * ``value``: they are the same;
#: * ``list``: the list, unless ``need`` is 0, and its length;
#: * ``counted``: the list and its length;
#: * ``length``: only the length;
#: * ``texts``: the list, at most ``limit``;
#: * ``ids``, ``names``, ``uuids``: id, name or UUID of the listed objects, at most ``limit``;
#: * ``parameters``: typed parameters, at most ``count``; when that is 0 only how many there are;
#: * ``first-label``: the first label of the list, or an empty one.
Form = Literal["value", "list", "counted", "length", "texts", "ids", "names", "uuids", "parameters", "first-label"]

#: Arguments of functions that are no argument of the operation.
VIRTUAL_ARGUMENTS: Final = frozenset(["need", "limit", "count"])


class Spelling(NamedTuple):
    """One function of libvirt."""

    #: Its name, e.g. ``virDomainCreate``.
    function: str
    #: Name of the operation it is.
    operation: str
    #: What the function's arguments are, in its order: a parameter of the operation, a field of one that is a
    #: reference (``device.name``), or a virtual one (``need``, ``limit``, ``count``). None when they are the
    #: operation's parameters, of which the last ones may be missing.
    arguments: tuple[str, ...] | None
    #: Parameters of the operation that the function fixes.
    fixed: Mapping[str, object]
    form: Form
    #: Full name of the procedure that carries it; None when it never crosses the wire.
    procedure: str | None
    #: libvirt's version that brought it; empty when not known.
    since: str
    #: Whether it needs a read-write connection: always, never, or when one of these flags is set.
    write: bool | int

    @property
    def refusal(self) -> str:
        """What the error says that refuses it on a read-only connection."""
        if not isinstance(self.write, bool) and self.function.endswith("GetXMLDesc"):
            return f"{self.function} with secure flag"
        return f"read only access prevents {self.function}"

    def forbidden_readonly(self, flags: int) -> bool:
        """Whether a read-only connection must refuse it, given the value of its ``flags``."""
        return self.write is True or (self.write is not False and bool(self.write & flags))


#: A spelling before the facts of its function are added.
Row: TypeAlias = tuple[str, tuple[str, ...] | None, Mapping[str, object], Form, str | None, int | None]


def spell(
    function: str,
    arguments: str | None = None,
    *,
    form: Form = "value",
    procedure: str | None = None,
    write_flags: int | None = None,
    **fixed: object,
) -> Row:
    """A function of libvirt that is an operation.

    :param arguments: what its arguments are (see :attr:`Spelling.arguments`), separated by spaces.
    :param procedure: what carries it, where the facts name none.
    :param write_flags: flags that make it need a read-write connection, where the facts say only that it depends.
    :param fixed: parameters of the operation that the function fixes.
    """
    return function, tuple(arguments.split()) if arguments is not None else None, fixed, form, procedure, write_flags
