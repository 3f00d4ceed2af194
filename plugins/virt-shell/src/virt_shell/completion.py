"""Completion of commands, options and values, for the prompt and for shells (``complete``)."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, listed_commands
from virtcore._typing import TYPE_CHECKING, Sequence

if TYPE_CHECKING:
    from virt_shell.command import Completer
    from virt_shell.shell import Shell
    from virtcore.enums import ConnectListAllDomainsFlags

__all__ = [
    "active_domains",
    "among",
    "comma_list",
    "complete_line",
    "complete_words",
    "domains",
    "inactive_domains",
    "local_paths",
    "shutdown_modes",
]


def _domain_names(shell: Shell, flags: ConnectListAllDomainsFlags | int) -> list[str]:
    return [domain.name for domain in shell.connection.list_domains(flags)]


def domains(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of all domains."""
    return _domain_names(shell, 0)


def active_domains(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of running domains."""
    from virtcore.enums import ConnectListAllDomainsFlags

    return _domain_names(shell, ConnectListAllDomainsFlags.ACTIVE)


def inactive_domains(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of domains that do not run."""
    from virtcore.enums import ConnectListAllDomainsFlags

    return _domain_names(shell, ConnectListAllDomainsFlags.INACTIVE)


def among(*words: str) -> Completer:
    """A completer: one of some words."""
    return lambda shell, args: words


def comma_list(*words: str) -> Completer:
    """A completer: some of some words, separated by commas."""

    def lists(shell: Shell, args: Arguments) -> Sequence[str]:
        written = (args.last and args.last[1]) or ""
        before, comma, _ = written.rpartition(",")
        return [f"{before}{comma}{word}" for word in words if word not in before.split(",")]

    return lists


#: Ways to ask a guest to end.
shutdown_modes = comma_list("acpi", "agent", "initctl", "paravirt", "signal")


def local_paths(shell: Shell, args: Arguments) -> Sequence[str]:
    """Files and folders that what was written so far may become."""
    import glob

    written = (args.last[1] if args.last is not None else None) or ""
    return sorted(glob.glob(glob.escape(written) + "*"))


def complete_line(shell: Shell, line: str, text: str) -> list[str]:
    """What the last word ``text`` of a line may become."""
    from virt_shell.parser import parse_partial

    args = parse_partial(line)
    if args is None or args.command.name == text:
        found = [known.name for known in listed_commands()]
    else:
        found = list(_of_command(shell, args, text))
    return [word for word in found if word.startswith(text)]


def _of_command(shell: Shell, args: Arguments, text: str) -> Sequence[str]:
    from virtcore.errors import VirtError

    if args.last is not None:
        option, value = args.last
        if option.completer is not None and (value == text or (value in (None, " ") and text == "")):
            try:
                return option.completer(shell, args)
            except (CommandError, VirtError):  # nobody is there to be told
                return []
    return [
        f"--{option.name}"
        for option in args.command.options
        if option.type != "alias" and (option.type == "argv" or option.name not in args)
    ]


def complete_words(shell: Shell, words: list[str]) -> list[str]:
    """Completion for the calling shell: the words of the line so far, the last one unfinished.

    Connects when a value needs it; nothing is asked for, nothing printed.
    """
    if not shell.ensure_connected():
        return []
    found = complete_line(shell, " ".join(words) + (" " if words and not words[-1] else ""), words[-1] if words else "")
    return list(dict.fromkeys(found))
