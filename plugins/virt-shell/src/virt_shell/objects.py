"""What commands on networks, pools, interfaces and the like have in common: finding the object, doing one thing to it,
making one from a file, printing and editing its XML.

Each kind of object is declared once (:class:`ObjectKind`); its plain commands are then one declaration each.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from virt_shell.command import Arguments, CommandError, Option, command, data, flag, string
from virt_shell.text import read_file, select_xpath

if TYPE_CHECKING:
    from virt_shell.command import Completer, Handler
    from virt_shell.shell import Shell

__all__ = ["ObjectKind", "XPATH", "edited", "impact"]

#: Options of commands that print a document.
XPATH = (
    string("xpath", "xpath expression to filter the XML document"),
    flag("wrap", "wrap xpath results in an common root element"),
)


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
    :ivar define, create: methods of the connection that make one from a document.
    :ivar completer: names of all.
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
    define: str = ""
    create: str = ""

    @property
    def title(self) -> str:
        """The noun at the beginning of a sentence."""
        return self.noun[:1].upper() + self.noun[1:]

    def named(self, completer: Completer | None = None) -> Option:
        """The option that names an object."""
        return data(self.option, self.help, completer=completer or self.completer)

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
            if key == "uuid" and len(text) != 36:
                continue
            try:
                return getattr(shell.connection, self.lookup)(**{key: text})
            except VirtError as problem:
                last = problem
        raise CommandError(f"failed to get {self.noun} '{text}'") from last

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
        completer: Completer | None = None,
    ) -> None:
        """Declare a command that does one thing to one object.

        :param done, failed: what is printed, with ``{title}``, ``{noun}`` and ``{name}``.
        """

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args)
            words = {"title": self.title, "noun": self.noun, "name": self.shown(found)}
            with shell.failing(failed.format(**words)):
                act(found, args)
            shell.extra(done.format(**words) + "\n")
            return True

        self._declare(verb, handler, help, description, [self.named(completer), *options])

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
            words = {"title": self.title, "noun": self.noun, "file": path}
            with shell.failing(failed.format(**words)):
                made = getattr(shell.connection, method)(xml, flags(args))
            shell.extra(done.format(name=self.shown(made), **words) + "\n")
            return True

        self._declare(verb, handler, help, description, [data("file", file_help), *options])

    def dumping(
        self,
        *,
        help: str,
        description: str,
        options: Sequence[Option] = (),
        flags: Callable[[Arguments], int] = lambda args: 0,
        xpath: bool = True,
    ) -> None:
        """Declare ``...dumpxml``."""

        def handler(shell: Shell, args: Arguments) -> bool:
            xml = self.find(shell, args).xml(flags(args))
            shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args) if xpath else xml)
            return True

        self._declare("dumpxml", handler, help, description, [self.named(), *options, *(XPATH if xpath else ())])

    def editing(self, *, help: str, description: str, read: Callable[[Any], str], method: str) -> None:
        """Declare ``...edit``: the document goes to the editor, and what was saved is defined."""

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args)
            after = edited(read(found))
            if after is None:
                shell.extra(f"{self.title} {self.shown(found)} XML configuration not changed.\n")
                return True
            changed = getattr(shell.connection, method)(after)
            shell.extra(f"{self.title} {self.shown(changed)} XML configuration edited.\n")
            return True

        self._declare("edit", handler, help, description, [self.named()])

    def converting(self, target: str, *, source: str, help: str, value: Callable[[Any], str] | None = None) -> None:
        """Declare a command that prints one key of the object of another."""

        def handler(shell: Shell, args: Arguments) -> bool:
            found = self.find(shell, args, by=source.split(" or "))
            shell.out((value(found) if value is not None else str(getattr(found, target))) + "\n")
            return True

        option = data(self.option, f"{self.noun} {source}", completer=self.completer)
        self._declare(target, handler, help, "", [option])

    def _declare(self, verb: str, handler: Handler, help: str, description: str, options: Sequence[Option]) -> None:
        handler.__module__ = self.module  # where it is declared, not where it is written
        command(self.prefix + verb, group=self.group, help=help, description=description, options=options)(handler)

    def shown(self, found: Any) -> str:
        """What messages call an object."""
        return str(found.name)


def edited(before: str, suffix: str = ".xml") -> str | None:
    """A text as the user leaves it in the editor; None when nothing was changed.

    :raises CommandError: the editor fails.
    """
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.NamedTemporaryFile("w", prefix="virsh", suffix=suffix, encoding="utf-8", delete=False) as file:
        file.write(before)
    path = Path(file.name)
    try:
        # The user's own setting may carry arguments; it is split here, never handed to a shell.
        status = subprocess.run([*editor.split(), str(path)], check=False).returncode
        if status:
            raise CommandError(f"{editor}: the editor ended with status {status}; nothing was changed")
        after = path.read_text(encoding="utf-8")
    finally:
        path.unlink()
    return None if after == before else after


def impact(args: Arguments, table: Mapping[str, int]) -> int:
    """The flags of ``--live``, ``--config`` and ``--current``.

    :param table: option -> bits.
    :raises CommandError: ``--current`` beside another.
    """
    args.exclusive("current", "live")
    args.exclusive("current", "config")
    flags = 0
    for option, bits in table.items():
        if option in args:
            flags |= bits
    return flags
