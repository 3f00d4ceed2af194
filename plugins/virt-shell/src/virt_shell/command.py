"""How commands are declared: options, the registry, and what a handler gets.

A command is declared beside its handler; parsing, help and completion follow from the declaration::

    @command("suspend", group="domain", help="suspend a domain", options=[DOMAIN])
    def suspend(shell: Shell, args: Arguments) -> bool: ...
"""

from __future__ import annotations

from virtcore._lazy import imported
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Callable, Mapping, Sequence, TypeVar

if TYPE_CHECKING:
    from virt_shell.shell import Shell

__all__ = [
    "ALIASES",
    "GROUPS",
    "Arguments",
    "Command",
    "CommandError",
    "Entry",
    "Group",
    "Option",
    "alias",
    "all_commands",
    "argv",
    "command",
    "command_alias",
    "data",
    "find_command",
    "find_group",
    "flag",
    "integer",
    "listed_commands",
    "string",
]

#: Names that complete an option's value.
Completer = Callable[["Shell", "Arguments"], Sequence[str]]
F = TypeVar("F", bound=int)
Handler = Callable[["Shell", "Arguments"], bool]


class CommandError(Exception):
    """A command cannot go on; the text is printed behind ``error:``."""


class Option(NamedTuple):
    """One option of a command.

    :ivar type: ``bool``, ``string``, ``int``, ``argv`` (all remaining words) or ``alias``.
    :ivar required: the command refuses to run without it.
    :ivar positional: may be given without ``--name``.
    :ivar unwanted_positional: the same, kept for old scripts and not shown in help.
    :ivar alias_of: for an alias the option it stands for, with ``=value`` where it carries one.
    """

    name: str
    type: str
    help: str = ""
    required: bool = False
    positional: bool = False
    unwanted_positional: bool = False
    allow_empty: bool = False
    alias_of: str = ""
    completer: Completer | None = None


def flag(name: str, help: str) -> Option:
    """An option without a value."""
    return Option(name, "bool", help)


def string(
    name: str,
    help: str,
    *,
    required: bool = False,
    positional: bool = False,
    unwanted_positional: bool = False,
    allow_empty: bool = False,
    completer: Completer | None = None,
) -> Option:
    """An option with a text value."""
    return Option(name, "string", help, required, positional, unwanted_positional, allow_empty, "", completer)


def integer(
    name: str, help: str, *, required: bool = False, positional: bool = False, unwanted_positional: bool = False
) -> Option:
    """An option with a number."""
    return Option(name, "int", help, required, positional, unwanted_positional)


def data(name: str, help: str, *, completer: Completer | None = None, allow_empty: bool = False) -> Option:
    """A required value that usually stands without its ``--name``."""
    return Option(name, "string", help, True, True, False, allow_empty, "", completer)


def argv(
    name: str,
    help: str,
    *,
    required: bool = False,
    positional: bool = True,
    unwanted_positional: bool = False,
    allow_empty: bool = False,
    completer: Completer | None = None,
) -> Option:
    """An option that takes every remaining word."""
    return Option(name, "argv", help, required, positional, unwanted_positional, allow_empty, "", completer)


def alias(name: str, of: str) -> Option:
    """Another name of an option; ``option=value`` makes a flag of it."""
    return Option(name, "alias", alias_of=of)


class Command(NamedTuple):
    """A declared command."""

    name: str
    group: str
    help: str
    description: str
    options: tuple[Option, ...]
    handler: Handler
    connects: bool
    hidden: bool


class Entry(NamedTuple):
    """What help says of a command; known without loading it."""

    name: str
    help: str


class Group(NamedTuple):
    """A group of commands in the help."""

    keyword: str
    title: str


#: In the order in which help prints them.
GROUPS = (
    Group("domain", "Domain Management"),
    Group("monitor", "Domain Monitoring"),
    Group("events", "Domain Events"),
    Group("host", "Host and Hypervisor"),
    Group("checkpoint", "Checkpoint"),
    Group("interface", "Interface"),
    Group("filter", "Network Filter"),
    Group("network", "Networking"),
    Group("nodedev", "Node Device"),
    Group("secret", "Secret"),
    Group("snapshot", "Snapshot"),
    Group("backup", "Backup"),
    Group("pool", "Storage Pool"),
    Group("volume", "Storage Volume"),
    Group("virsh", "Virsh itself"),
)

_COMMANDS: dict[str, Command] = {}
#: other name -> the command's own
ALIASES: dict[str, str] = {}


def command(
    name: str,
    *,
    group: str,
    help: str,
    description: str = "",
    options: Sequence[Option] = (),
    connects: bool = True,
    hidden: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare the handler of a command."""

    def declare(handler: Handler) -> Handler:
        _COMMANDS[name] = Command(name, group, help, description, tuple(options), handler, connects, hidden)
        return handler

    return declare


def command_alias(name: str, of: str) -> None:
    """Declare another name of a command, which help does not show."""
    ALIASES[name] = of


def all_commands() -> list[Command]:
    """Every declared command by name; loads every module."""
    from virt_shell import commands

    commands.load()
    return sorted(_COMMANDS.values(), key=lambda known: known.name)


def listed_commands(group: str | None = None) -> list[Entry]:
    """What help shows of a group, or of all; loads no command."""
    from virt_shell._index import COMMANDS

    return [
        Entry(name, help)
        for name, (_, keyword, help, hidden) in COMMANDS.items()
        if not hidden and group in (None, keyword)
    ]


def find_command(name: str) -> Command | None:
    """The command of a name; loads its module."""
    from virt_shell._index import COMMANDS

    known = COMMANDS.get(name)
    if known is None:
        return None
    imported(f"virt_shell.commands.{known[0]}")
    return _COMMANDS[ALIASES.get(name, name)]


def find_group(name: str) -> Group | None:
    """The help group of a title or keyword."""
    for group in GROUPS:
        if name in (group.title, group.keyword):
            return group
    return None


class Arguments:
    """What one command line gave a command."""

    __slots__ = ("_lists", "_values", "command", "last")

    def __init__(self, command: Command) -> None:
        self.command = command
        self._values: dict[str, str | None] = {}
        self._lists: dict[str, list[str]] = {}
        #: The option assigned last and its value: what completion completes.
        self.last: tuple[Option, str | None] | None = None

    def assign(self, option: Option, value: str | None) -> None:
        """Note an option as given."""
        self.last = (option, value)
        self._values[option.name] = value
        if option.type == "argv" and value is not None:
            self._lists.setdefault(option.name, []).append(value)

    def given(self, name: object) -> bool:
        """Whether an option was given."""
        return name in self._values

    __contains__ = given

    def words(self, name: str) -> list[str]:
        """Every word of an ``argv`` option."""
        return self._lists.get(name, [])

    def get(self, name: str) -> str | None:
        """The text of an option; None when it was not given.

        :raises CommandError: it is empty and must not be.
        """
        value = self._values.get(name)
        if value == "" and not self._option(name).allow_empty:
            raise CommandError(f"Failed to get option '{name}': Option argument is empty")
        return value

    def require(self, name: str) -> str:
        """The text of an option the parser made sure of."""
        value = self.get(name)
        if value is None:
            raise CommandError(f"Failed to get option '{name}': Mandatory option not present")
        return value

    def number(self, name: str, low: int, high: int) -> int | None:
        """The number of an option; None when it was not given.

        :raises CommandError: malformed or outside ``low`` .. ``high``.
        """
        text = self._values.get(name)
        if text is None:
            return None
        digits = text.lstrip(" \t\n\v\f\r")
        body = digits[1:] if digits[:1] in ("+", "-") else digits
        if body.isascii() and body.isdigit() and low <= int(digits) <= high:
            return int(digits)
        raise CommandError(f"Numeric value '{text}' for <{name}> option is malformed or out of range")

    def scaled(self, name: str, scale: int, most: int = 2**64 - 1) -> int | None:
        """The size of an option in bytes; None when it was not given.

        :param scale: bytes that a number without unit counts.
        :raises CommandError: malformed or above ``most``.
        """
        text = self._values.get(name)
        if text is None:
            return None
        from virt_shell.numbers import parse_size

        wrong = f"Scaled numeric value '{text}' for <{name}> option is malformed or out of range"
        return parse_size(text, wrong, unit=scale, limit=most)

    def timeout(self) -> int | None:
        """The ``--timeout`` option in seconds."""
        seconds = self.number("timeout", 0, 2**32 - 1)
        if seconds is not None and (seconds == 0 or seconds > (2**31 - 1) // 1000):
            raise CommandError(f"Numeric value '{seconds}' for <timeout> option is malformed or out of range")
        return seconds

    def flags(self, kind: type[F], table: Mapping[str, str]) -> F:
        """The flags that the given options stand for.

        :param table: option -> name of the member.
        """
        flags = kind(0)
        for option, member in table.items():
            if option in self:
                flags |= getattr(kind, member)
        return flags

    def exclusive(self, first: str, second: str) -> None:
        """Refuse two options together."""
        if first in self and second in self:
            raise CommandError(f"Options --{first} and --{second} are mutually exclusive")

    def needs(self, name: str, required: str) -> None:
        """Refuse an option without another."""
        if name in self and required not in self:
            raise CommandError(f"Option --{required} is required by option --{name}")

    def _option(self, name: str) -> Option:
        return next(option for option in self.command.options if option.name == name)
