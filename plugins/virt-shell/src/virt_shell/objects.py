"""What commands on networks, pools, interfaces and the like have in common: finding the object, doing one thing to it,
making one from a file, printing and editing its XML.

Each kind of object is declared once (:class:`ObjectKind`); its plain commands are then one declaration each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from virt_shell.command import Arguments, CommandError, Option, command, data, flag, string
from virt_shell.edit import edit_definition
from virt_shell.events import Printers, event_options, wait_for_events
from virt_shell.table import Table
from virt_shell.text import read_file, select_xpath
from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virt_shell.command import Completer, Handler
    from virt_shell.shell import Shell

__all__ = ["VALIDATE", "XPATH", "ObjectKind", "affected", "definition", "named_by"]

#: Options of commands that print a document.
XPATH = (
    string("xpath", "xpath expression to filter the XML document"),
    flag("wrap", "wrap xpath results in an common root element"),
)

#: Option of commands that make something from a document.
VALIDATE = flag("validate", "validate the XML against the schema")

_MAC = re.compile(r"[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}", re.IGNORECASE)


def named_by(method: str, member: str = "", attribute: str = "name") -> Completer:
    """A completer: what the objects that a method of the connection lists are called.

    :param member: the flag of ``virtcore.enums`` that limits them: ``ConnectListAllNetworksFlags.ACTIVE``.
    """

    def names(shell: Shell, args: Arguments) -> Sequence[str]:
        from virtcore import enums

        kind, _, name = member.partition(".")
        filters = {"flags": getattr(enums, kind)[name]} if member else {}
        return [getattr(found, attribute) for found in getattr(shell.connection, method)(**filters)]

    return names


class ObjectKind(NamedTuple):
    """A kind of object that commands are about.

    :ivar module: ``__name__`` of the module that declares its commands.
    :ivar option: name of the option that names one, e.g. ``network``.
    :ivar noun: what messages call it: ``network``; with a capital: ``Network``.
    :ivar group: help group of its commands.
    :ivar prefix: what its commands begin with: ``net-``.
    :ivar help: help of the option.
    :ivar lookup: method of the connection that finds one.
    :ivar keys: what may be given, in the order it is tried: ``name``, ``uuid``, ``mac``, ...
    :ivar completer: names of all.
    :ivar subject: what a sentence about one begins with; the noun with a capital by default.
    :ivar missing: what is said when there is none, with ``{noun}`` and ``{given}``.
    :ivar identity: attribute that messages call one by.
    """

    module: str
    option: str
    noun: str
    group: str
    prefix: str
    help: str
    lookup: str
    keys: tuple[str, ...]
    completer: Completer
    subject: str = ""
    missing: str = "failed to get {noun} '{given}'"
    identity: str = "name"

    @property
    def title(self) -> str:
        """The noun at the beginning of a sentence."""
        return self.subject or self.noun[:1].upper() + self.noun[1:]

    def named(self, completer: Completer | None = None, *, help: str = "") -> Option:
        """The option that names an object."""
        return data(self.option, help or self.help, completer=completer or self.completer)

    # -- finding one

    def find(self, shell: Shell, args: Arguments, *, by: Sequence[str] = ()) -> Any:
        """The object that the option names.

        :param by: what may be given; the kind's keys by default.
        :raises CommandError: there is none.
        """
        return self.find_text(shell, args.require(self.option), by=by)

    def find_text(self, shell: Shell, text: str, *, by: Sequence[str] = ()) -> Any:
        """The object of a name, UUID, ...

        :raises CommandError: there is none.
        """
        from virtcore.errors import VirtError

        last: VirtError | None = None
        for key in by or self.keys:
            if not self._may_be(key, text):
                continue
            try:
                return getattr(shell.connection, self.lookup)(**{key: text})
            except VirtError as problem:
                last = problem
        raise CommandError(self.missing.format(noun=self.noun, given=text)) from last

    def _may_be(self, key: str, text: str) -> bool:
        """Whether a text is worth trying as a key: what looks like a MAC address is no name, a short one no UUID."""
        if "mac" in self.keys:
            return (key == "mac") == (_MAC.fullmatch(text) is not None)
        return key != "uuid" or len(text) == 36 or self.keys == ("uuid",)

    # -- declaring commands

    def acting(
        self,
        verb: str,
        *,
        help: str,
        description: str,
        done: str,
        failed: str,
        act: Callable[[Any, Arguments], object],
        options: Sequence[Option] = (),
        before: Sequence[Option] = (),
        completer: Completer | None = None,
        status: bool = True,
    ) -> None:
        """Declare a command that does one thing to one object.

        :param done, failed: what is printed, with ``{name}``, which is what the user called the object.
        :param before: options in front of the one that names the object.
        :param status: what the exit status says after a success.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args)
            name = args.require(self.option)
            with shell.failing(failed.format(name=name)):
                act(found, args)
            shell.extra(done.format(name=name) + "\n")
            return status

        self._declare(verb, handler, help, description, [*before, self.named(completer), *options])

    def making(
        self,
        verb: str,
        *,
        help: str,
        description: str,
        done: str,
        failed: str,
        method: str,
        file_help: str,
        options: Sequence[Option] = (),
        flags: Callable[[Arguments], int] = lambda args: 0,
    ) -> None:
        """Declare a command that makes an object from a file."""

        def handler(shell: Shell, args: Arguments) -> bool:
            path = args.require("file")
            xml = read_file(path)
            with shell.failing(failed.format(file=path)):
                made = getattr(shell.connection, method)(xml, flags(args))
            shell.extra(done.format(name=self.shown(made), file=path) + "\n")
            return True

        self._declare(verb, handler, help, description, [data("file", file_help), *options])

    def dumping(
        self,
        *,
        help: str,
        description: str,
        options: Sequence[Option] = (),
        flags: Callable[[Arguments], int] = lambda args: 0,
        option_help: str = "",
    ) -> None:
        """Declare ``...dumpxml``.

        :param option_help: help of the option that names the object, where it is not the kind's.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            xml = self.find(shell, args).xml(flags(args))
            shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
            return True

        named = self.named(help=option_help)
        self._declare("dumpxml", handler, help, description, [named, *options, *XPATH])

    def editing(self, *, help: str, description: str, read: Callable[[Any], str], method: str) -> None:
        """Declare ``...edit``: the document goes to the editor, and what was saved is defined."""

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args)
            changed = edit_definition(shell, lambda: read(found), getattr(shell.connection, method))
            outcome = "not changed" if changed is None else "edited"
            shell.extra(f"{self.title} {self.shown(changed or found)} XML configuration {outcome}.\n")
            return True

        self._declare("edit", handler, help, description, [self.named()])

    def converting(self, target: str, *, source: str, help: str, option_help: str = "") -> None:
        """Declare a command that prints one key of the object of another."""

        def handler(shell: Shell, args: Arguments) -> bool:
            shell.out(f"{getattr(self.find(shell, args, by=(source,)), target)}\n")
            return True

        self._declare(target, handler, help, "", [self.named(help=option_help or f"{self.noun} {source}")])

    def listing(
        self,
        *,
        help: str,
        description: str,
        failed: str,
        columns: Mapping[str, Callable[[Any], str]],
        method: str,
        options: Sequence[Option] = (),
        flags: Callable[[Arguments], int] = lambda args: 0,
        order: Callable[[Any], Any] | None = None,
    ) -> None:
        """Declare ``...list``, which prints a table.

        :param columns: header -> cell of an object.
        :param order: what it is sorted by; the name whatever its case by default.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            wanted = flags(args)
            with shell.failing(failed):
                found = sorted(getattr(shell.connection, method)(wanted), key=order or self._order)
            table = Table(*columns)
            for each in found:
                table.add(*(cell(each) for cell in columns.values()))
            shell.out(table.render(header=not shell.quiet))
            return True

        self._declare("list", handler, help, description, options)

    def autostarting(self, *, help: str, description: str) -> None:
        """Declare ``...autostart``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args)
            name = args.require(self.option)
            prefix = "un" if "disable" in args else ""
            with shell.failing(f"failed to {prefix}mark {self.noun} {name} as autostarted"):
                found.set_autostart("disable" not in args)
            shell.extra(f"{self.title} {name} {prefix}marked as autostarted\n")
            return True

        self._declare("autostart", handler, help, description, [self.named(), flag("disable", "disable autostarting")])

    def watching(self, printers: Printers, *, help: str, filter_help: str, attribute: str, called: str) -> None:
        """Declare ``...event``.

        :param attribute: what an event calls the object it is about.
        :param called: what the description calls the objects.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            def about() -> Callable[[Any], bool]:
                if self.option not in args:
                    return lambda event: True
                key = self.keys[0]
                wanted = getattr(self.find(shell, args), key)
                return lambda event: getattr(getattr(event, attribute), key) == wanted

            return wait_for_events(shell, args, printers, about)

        description = f"List event types, or wait for {called} events to occur"
        options = event_options(self.option, filter_help, self.completer, printers, every=False)
        self._declare("event", handler, help, description, options)

    def _declare(self, verb: str, handler: Handler, help: str, description: str, options: Sequence[Option]) -> None:
        handler.__module__ = self.module  # where it is declared, not where it is written
        command(self.prefix + verb, group=self.group, help=help, description=description, options=options)(handler)

    def _order(self, found: Any) -> str:
        return self.shown(found).lower()

    def shown(self, found: Any) -> str:
        """What messages call an object."""
        return str(getattr(found, self.identity))


def definition(found: Any) -> str:
    """The document of an object's definition; some drivers know but one document."""
    from virtcore.errors import InvalidArg

    try:
        return str(found.xml(1))  # INACTIVE, for every kind of object
    except InvalidArg:
        return str(found.xml())


def affected(flags: int, found: Any) -> str:
    """What a change with the flags of :func:`virt_shell.domains.impact` (1 live, 2 the definition) was made to."""
    if not flags & 3:
        flags = 1 if found.is_active() else 2
    return ("live state", "persistent config", "persistent config and live state")[(flags & 3) - 1]
