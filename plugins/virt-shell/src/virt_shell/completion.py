"""Completion of commands, options and values, for the prompt and for shells (``complete``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virt_shell.command import Arguments, listed_commands

if TYPE_CHECKING:
    from virt_shell.shell import Shell
    from virtcore.enums import ConnectListAllDomainsFlags

__all__ = [
    "active_domains",
    "complete_line",
    "complete_words",
    "domains",
    "inactive_domains",
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


def shutdown_modes(shell: Shell, args: Arguments) -> Sequence[str]:
    """Ways to ask a guest to end."""
    return ["acpi", "agent", "initctl", "paravirt", "signal"]


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
    if args.last is not None:
        option, value = args.last
        if option.completer is not None and (value == text or (value in (None, " ") and text == "")):
            return option.completer(shell, args)
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
