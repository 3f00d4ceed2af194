"""From a command line to commands with their arguments, by virsh's rules.

A line may hold several commands separated by ``;`` or newlines, with single and double quotes, backslash escapes and
``#`` comments; arguments given by the calling shell are one command and taken as they are.
"""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, Option, find_command
from virtcore._quick_enum import Enum
from virtcore._typing import Iterable, Iterator

__all__ = ["parse_arguments", "parse_line", "parse_partial"]


class _End(Enum):
    COMMAND = 0


_Token = str | _End


def _tokens(line: str, *, strict: bool) -> Iterator[_Token]:
    """Words of a line, with a mark at each end of a command."""
    at, end = 0, len(line)
    while True:
        while at < end and (line[at] in " \t" or line.startswith("\\\n", at)):
            at += 2 if line[at] == "\\" else 1
        if at >= end:
            return
        if line[at] in ";\n":
            at += 1
            yield _End.COMMAND
            continue
        if line[at] == "#":
            newline = line.find("\n", at)
            at = end if newline < 0 else newline + 1
            yield _End.COMMAND
            continue
        word: list[str] = []
        single = double = False
        while at < end:
            char = line[at]
            if not single and not double and char in " \t;\n":
                break
            if char == "'" and not double:
                single = not single
                at += 1
                continue
            if char == "\\" and not single:
                at += 1
                if at >= end:
                    if strict:
                        raise CommandError("dangling \\")
                    return
                if line[at] == "\n":
                    at += 1
                    continue
            elif char == '"' and not single:
                double = not double
                at += 1
                continue
            word.append(line[at])
            at += 1
        if double and strict:
            raise CommandError('missing "')
        yield "".join(word)


class _Parser:
    """Assigns words to options, command after command."""

    def __init__(self, tokens: Iterable[_Token], *, strict: bool) -> None:
        self.tokens = tokens
        self.strict = strict
        self.commands: list[Arguments] = []
        self.current: Arguments | None = None
        self._pending: Option | None = None
        self._positional_only = False
        self._comment = False
        self._help = False

    def run(self) -> None:
        for token in self.tokens:
            if isinstance(token, str):
                self._word(token)
            else:
                self._end()
        self._end()

    def _end(self) -> None:
        self._comment = False
        if self._pending is not None:
            option, self._pending = self._pending, None
            if self.strict:
                kind = "number" if option.type == "int" else "string"
                raise CommandError(f"expected syntax: --{option.name} <{kind}>")
        args = self.current
        if args is None:
            return
        if self._help:
            target = args.command.name
            args = _help_for(target)
        if self.strict:
            _check_required(args)
        self.commands.append(args)
        self.current = None
        self._positional_only = self._help = False

    def _word(self, word: str) -> None:
        if self._comment:
            return
        args = self.current
        if args is None:
            if word.startswith("#"):
                self._comment = True
                return
            known = find_command(word)
            if known is None:
                raise CommandError(f"unknown command: '{word}'")
            self.current = Arguments(known)
        elif self._pending is not None:
            args.assign(self._pending, word)
            self._pending = None
        elif self._positional_only or not word.startswith("--"):
            self._positional(args, word)
        elif word == "--":
            self._positional_only = True
        else:
            self._named(args, word[2:])

    def _positional(self, args: Arguments, word: str) -> None:
        for option in args.command.options:
            if (option.positional or option.unwanted_positional) and (option.type == "argv" or option.name not in args):
                args.assign(option, word)
                return
        if args.command.name != "help":
            raise CommandError(f"unexpected data '{word}'")

    def _named(self, args: Arguments, text: str) -> None:
        name, equals, value = text.partition("=")
        if name == "help":
            self._help = True
            return
        given = value if equals else None
        option = None
        for known in args.command.options:
            if known.name != name:
                continue
            if known.type == "alias":
                name, carries, carried = known.alias_of.partition("=")
                if carries:
                    if given is not None:
                        raise CommandError(f"invalid '=' after option --{known.name}")
                    given = carried
                continue
            if name in args and known.type != "argv":
                raise CommandError(f"option --{name} already seen")
            option = known
            break
        if option is None:
            if args.command.name != "help":
                raise CommandError(f"command '{args.command.name}' doesn't support option --{name}")
        elif option.type == "bool":
            if given is not None:
                raise CommandError(f"invalid '=' after option --{option.name}")
            args.assign(option, None)
        elif given is not None:
            args.assign(option, given)
        else:
            self._pending = option

    def partial(self) -> Arguments | None:
        """The command that was being written when the line ended."""
        if self.current is not None and self._pending is not None:
            self.current.last = (self._pending, None)
        return self.current


def _help_for(name: str) -> Arguments:
    known = find_command("help")
    assert known is not None
    args = Arguments(known)
    args.assign(known.options[0], name)
    return args


def _check_required(args: Arguments) -> None:
    for option in args.command.options:
        if option.required and option.name not in args:
            spelled = f"<{option.name}>" if option.positional else f"--{option.name}"
            raise CommandError(f"command '{args.command.name}' requires {spelled} option")


def parse_line(line: str) -> list[Arguments]:
    """Commands of a line.

    :raises CommandError: with virsh's message.
    """
    parser = _Parser(_tokens(line, strict=True), strict=True)
    parser.run()
    return parser.commands


def parse_arguments(words: list[str]) -> list[Arguments]:
    """The one command of words that a shell split already.

    :raises CommandError: with virsh's message.
    """
    parser = _Parser(words, strict=True)
    parser.run()
    return parser.commands


def parse_partial(line: str) -> Arguments | None:
    """The unfinished command at the end of a line, as far as it can be read; None before a command's name."""
    parser = _Parser(_tokens(line, strict=False), strict=False)
    try:
        for token in parser.tokens:
            if isinstance(token, str):
                parser._word(token)
            else:
                parser._end()
    except CommandError:
        return parser.current
    return parser.partial()
