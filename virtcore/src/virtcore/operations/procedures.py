"""Procedures: the rows of libvirt's wire protocol.

Every program's procedures and XDR types are kept as text beside this module (``wire/*.wire``), one record a line::

    program remote 0x20008086 1
    type remote_string remote_nonnull_string?
    struct remote_domain_get_state_args dom:remote_nonnull_domain flags:uint
    union remote_typed_param_value 1:i:int 2:ui:uint ...
    enum remote_auth_type REMOTE_AUTH_NONE=0 ...
    call 212 DOMAIN_GET_STATE args ret high acl=domain:read
    event 318 DOMAIN_EVENT_CALLBACK_LIFECYCLE msg low

``T?`` is optional, ``T[n]`` has n elements, ``T<n>`` at most n. ``args``, ``ret`` and ``msg`` stand for the type of
that conventional name. A permission is ``object:permission``, conditional ones end in ``@set:MASK`` (needed when all
these flags are set), ``@clear:MASK`` (when all are clear) or ``@NAME=VALUE`` (when that argument has this value).
Nothing is read before a program is asked for, and a record is parsed when it is asked for.
"""

from __future__ import annotations

import os

from virtcore._functions import cache, cached_property, lru_cache
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import ResourceLoader

__all__ = ["PROGRAMS", "Permission", "Procedure", "Program", "procedure", "program", "type_record"]

#: Names of the programs of the protocol.
PROGRAMS = ("remote", "qemu", "lxc", "admin", "keepalive")

#: Where types that a program does not declare itself are looked for.
_SHARED_TYPES = {"qemu": "remote", "lxc": "remote", "remote": "rpc", "admin": "rpc"}


class Permission(NamedTuple):
    """A right that access control asks for (``virAccessPerm*``)."""

    #: Kind of object, e.g. ``domain``.
    object: str
    #: The right, e.g. ``read_secure``.
    permission: str
    #: Needed only when all these flags are set; 0 for no such condition.
    flags_set: int = 0
    #: Needed only when all these flags are clear; 0 for no such condition.
    flags_clear: int = 0
    #: Needed only when this argument has this value.
    argument: tuple[str, int] | None = None


class Procedure(NamedTuple):
    """One row of the wire."""

    program: str
    number: int
    #: Without the program's prefix, e.g. ``DOMAIN_GET_STATE``.
    name: str
    #: ``call`` or ``event``.
    kind: str
    #: XDR type of the arguments, of an event's body for events; None for none.
    args: str | None
    #: XDR type of the results; None for none.
    ret: str | None
    #: ``high`` (answered by a worker that is never blocked by long calls) or ``low``.
    priority: str
    #: What the caller must be allowed; an empty tuple asks for nothing (protocol and event procedures).
    permissions: tuple[Permission, ...]
    #: What the caller must be allowed on each object of the result for it to be listed.
    filters: tuple[Permission, ...]
    #: ``read`` (server to client or both ways), ``write`` (client to server), None for no stream.
    stream: str | None
    #: Flag that makes the stream carry holes; 0 for none.
    sparse: int


class Program:
    """One program: its number and version, procedures and types."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = "\n" + text
        _, _, number, version = (self._line(f"program {name} ") or "program rpc 0 0").split(" ")
        self.number, self.version = int(number, 16), int(version)

    def _line(self, beginning: str) -> str:
        """The line that begins so; empty when there is none."""
        at = self._text.find("\n" + beginning) + 1
        return self._text[at : self._text.find("\n", at)] if at else ""

    @cached_property
    def _by_number(self) -> dict[int, str]:
        lines = self._text.splitlines()
        return {int(line.split(" ", 2)[1]): line for line in lines if line.startswith(("call ", "event "))}

    def by_number(self, number: int) -> Procedure | None:
        """The procedure of a number; None when there is none."""
        line = self._by_number.get(number)
        return None if line is None else _parse_procedure(self.name, line)

    def by_name(self, name: str) -> Procedure | None:
        """The procedure of a name; None when there is none."""
        for end in (" ", "\n"):
            at = self._text.find(f" {name}{end}")  # a word in capitals is nothing but the name of a call or an event
            if at >= 0:
                line = self._text[self._text.rindex("\n", 0, at) + 1 : self._text.index("\n", at + 1)]
                if line.split(" ", 3)[2] == name and line.startswith(("call ", "event ")):
                    return _parse_procedure(self.name, line)
        return None

    def type_line(self, name: str) -> str | None:
        """The line that declares an XDR type; None when the program has none of that name."""
        for kind in ("struct", "type", "union", "enum"):
            line = self._line(f"{kind} {name} ")
            if line:
                return line
        return None

    def procedures(self) -> list[Procedure]:
        """Every procedure in order of numbers."""
        return [_parse_procedure(self.name, line) for line in self._by_number.values()]


@cache
def program(name: str) -> Program:
    """The program of a name (one of :data:`PROGRAMS`, or ``rpc`` for the types of the protocol itself).

    :raises KeyError: there is none.
    """
    loader = cast("ResourceLoader", globals()["__loader__"])  # reads from zip files, too
    path = os.path.join(os.path.dirname(__file__), "wire", f"{name}.wire")
    try:
        data = loader.get_data(path)
    except OSError:
        raise KeyError(name) from None
    return Program(name, data.decode("ascii"))


def procedure(name: str) -> Procedure:
    """The procedure of a full name such as ``remote.DOMAIN_GET_STATE``.

    :raises KeyError: there is none.
    """
    owner, _, short = name.partition(".")
    found = program(owner).by_name(short)
    if found is None:
        raise KeyError(name)
    return found


def type_record(owner: str, name: str) -> str:
    """The line that declares an XDR type, looked for in a program and where it borrows from.

    :raises KeyError: there is none.
    """
    where: str | None = owner
    while where is not None:
        line = program(where).type_line(name)
        if line is not None:
            return line
        where = _SHARED_TYPES.get(where)
    raise KeyError(f"{owner}.{name}")


@lru_cache(maxsize=1024)
def _parse_procedure(owner: str, line: str) -> Procedure:
    kind, number, name, *words = line.split(" ")
    body: dict[str, str | None] = {"args": None, "ret": None, "msg": None}
    priority = "low"
    stream = None
    sparse = 0
    rights: dict[str, list[Permission]] = {"acl": [], "filter": []}
    for word in words:
        key, has_value, value = word.partition("=")
        if key in body:
            body[key] = value if has_value else f"{owner}_{name.lower()}_{key}"
        elif key in rights:
            rights[key].append(_parse_permission(value))
        elif word in ("high", "low"):
            priority = word
        elif word.endswith("-stream"):
            stream = word.removesuffix("-stream")
        elif word.startswith("sparse:"):
            sparse = int(word.removeprefix("sparse:"))
        else:
            raise ValueError(f"unknown word {word!r} in the record of {owner}.{name}")
    return Procedure(
        owner,
        int(number),
        name,
        kind,
        body["args"] or body["msg"],
        body["ret"],
        priority,
        tuple(rights["acl"]),
        tuple(rights["filter"]),
        stream,
        sparse,
    )


def _parse_permission(text: str) -> Permission:
    right, _, condition = text.partition("@")
    kind, permission = right.split(":")
    if not condition:
        return Permission(kind, permission)
    if condition.startswith("set:"):
        return Permission(kind, permission, flags_set=int(condition[4:]))
    if condition.startswith("clear:"):
        return Permission(kind, permission, flags_clear=int(condition[6:]))
    argument, _, value = condition.partition("=")
    return Permission(kind, permission, argument=(argument, int(value)))
