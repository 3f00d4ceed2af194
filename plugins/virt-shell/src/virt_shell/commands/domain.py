"""Commands that run domains: start, stop, console."""

from __future__ import annotations

import sys
from collections.abc import Callable

from virt_shell.command import Arguments, CommandError, command, data, flag, string
from virt_shell.completion import inactive_domains, shutdown_modes
from virt_shell.domains import ACTIVE, FILE, descriptors
from virt_shell.shell import Shell
from virt_shell.text import read_file
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.api.sync import Domain
    from virtcore.enums import DomainCreateFlags

#: option -> name of the DomainCreateFlags member
_START_FLAGS = {
    "paused": "START_PAUSED",
    "autodestroy": "START_AUTODESTROY",
    "bypass-cache": "START_BYPASS_CACHE",
    "force-boot": "START_FORCE_BOOT",
    "validate": "START_VALIDATE",
    "reset-nvram": "START_RESET_NVRAM",
}


def _start_flags(args: Arguments) -> DomainCreateFlags:
    from virtcore.enums import DomainCreateFlags

    flags = args.flags(DomainCreateFlags, _START_FLAGS)
    if "console" in args:
        # Nothing the guest says before the console is attached is to be lost.
        flags |= DomainCreateFlags.START_PAUSED
    return flags


def _files(args: Arguments) -> list[int]:
    """Descriptors that a container's first process gets."""
    text = args.get("pass-fds")
    return descriptors(text) if text is not None else []


@command(
    "start",
    group="domain",
    help="start a (previously defined) inactive domain",
    description="Start a domain from its last managed save state, or by a fresh boot.",
    options=[
        data("domain", "name of the inactive domain", completer=inactive_domains),
        flag("console", "attach to console after creation"),
        flag("paused", "leave the guest paused after creation"),
        flag("autodestroy", "automatically destroy the guest when virsh disconnects"),
        flag("bypass-cache", "avoid file system cache when loading"),
        flag("force-boot", "force fresh boot by discarding any managed save"),
        string("pass-fds", "pass file descriptors N,M,... to the guest", unwanted_positional=True),
        flag("reset-nvram", "re-initialize NVRAM from its pristine template"),
    ],
)
def start(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args, by="uuid name")
    if domain.id >= 0:
        raise CommandError("Domain is already active")
    files = _files(args)
    with shell.failing(f"Failed to start domain '{domain.name}'"):
        if files:
            domain.create_with_files(files, _start_flags(args))
        else:
            domain.create(_start_flags(args))
    shell.extra(f"Domain '{domain.name}' started\n")
    if "console" in args:
        run_console(shell, domain, None, resume="paused" not in args)
    return True


@command(
    "create",
    group="domain",
    help="create a domain from an XML file",
    description="Start a domain from a description, without defining it.",
    options=[
        FILE,
        flag("console", "attach to console after creation"),
        flag("paused", "leave the guest paused after creation"),
        flag("autodestroy", "automatically destroy the guest when virsh disconnects"),
        string("pass-fds", "pass file descriptors N,M,... to the guest", unwanted_positional=True),
        flag("validate", "validate the XML against the schema"),
        flag("reset-nvram", "re-initialize NVRAM from its pristine template"),
    ],
)
def create(shell: Shell, args: Arguments) -> bool:
    path = args.require("file")
    xml = read_file(path)
    files = _files(args)
    with shell.failing(f"Failed to create domain from {path}"):
        if files:
            domain = shell.connection.create_domain_with_files(xml, files, _start_flags(args))
        else:
            domain = shell.connection.create_domain(xml, _start_flags(args))
    shell.extra(f"Domain '{domain.name}' created from {path}\n")
    if "console" in args:
        run_console(shell, domain, None, resume="paused" not in args)
    return True


@command(
    "destroy",
    group="domain",
    help="destroy (stop) a domain",
    description="End a domain at once; its definition and storage stay.",
    options=[
        ACTIVE,
        flag("graceful", "terminate gracefully"),
        flag("remove-logs", "remove domain logs"),
    ],
)
def destroy(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainDestroyFlags

    flags = args.flags(DomainDestroyFlags, {"graceful": "GRACEFUL", "remove-logs": "REMOVE_LOGS"})
    return _act(shell, args, "destroy", lambda domain: domain.destroy(flags), "destroyed")


def _act(shell: Shell, args: Arguments, verb: str, action: Callable[[Domain], object], done: str) -> bool:
    """Do something to the domain of the command line and say so."""
    domain, name = shell.domain(args), args.require("domain")
    with shell.failing(f"Failed to {verb} domain '{name}'"):
        action(domain)
    shell.extra(f"Domain '{name}' {done}\n")
    return True


_MODES = {
    "acpi": "ACPI_POWER_BTN",
    "agent": "GUEST_AGENT",
    "initctl": "INITCTL",
    "signal": "SIGNAL",
    "paravirt": "PARAVIRT",
}
_MODE = string("mode", "shutdown mode: acpi|agent|initctl|signal|paravirt", positional=True, completer=shutdown_modes)


def _mode_names(args: Arguments, before_or: str) -> list[str]:
    """Member names of the comma-separated ``--mode``."""
    text = args.get("mode")
    if text is None:
        return []
    names = []
    for mode in text.split(","):
        if mode not in _MODES:
            raise CommandError(
                f"Unknown mode {mode} value, expecting 'acpi', 'agent', 'initctl', 'signal'{before_or} or 'paravirt'"
            )
        names.append(_MODES[mode])
    return names


@command(
    "shutdown",
    group="domain",
    help="gracefully shutdown a domain",
    description="Ask the guest to shut down.",
    options=[ACTIVE, _MODE],
)
def shutdown(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainShutdownFlags

    flags = DomainShutdownFlags(0)
    for member in _mode_names(args, ","):
        flags |= DomainShutdownFlags[member]
    return _act(shell, args, "shutdown", lambda domain: domain.shutdown(flags), "is being shutdown")


@command(
    "reboot",
    group="domain",
    help="reboot a domain",
    description="Ask the guest to reboot.",
    options=[ACTIVE, _MODE],
)
def reboot(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainRebootFlags

    flags = DomainRebootFlags(0)
    for member in _mode_names(args, ""):
        flags |= DomainRebootFlags[member]
    return _act(shell, args, "reboot", lambda domain: domain.reboot(flags), "is being rebooted")


@command(
    "reset", group="domain", help="reset a domain", description="Reset the virtual hardware at once.", options=[ACTIVE]
)
def reset(shell: Shell, args: Arguments) -> bool:
    return _act(shell, args, "reset", lambda domain: domain.reset(), "was reset")


@command(
    "suspend", group="domain", help="suspend a domain", description="Stop a domain's virtual CPUs.", options=[ACTIVE]
)
def suspend(shell: Shell, args: Arguments) -> bool:
    return _act(shell, args, "suspend", lambda domain: domain.suspend(), "suspended")


@command(
    "resume", group="domain", help="resume a domain", description="Let a suspended domain run on.", options=[ACTIVE]
)
def resume(shell: Shell, args: Arguments) -> bool:
    return _act(shell, args, "resume", lambda domain: domain.resume(), "resumed")


@command(
    "console",
    group="domain",
    help="connect to the guest console",
    description="Connect the terminal to a guest's console.",
    options=[
        ACTIVE,
        string("devname", "character device name", unwanted_positional=True),
        flag("force", "force console connection (disconnect already connected sessions)"),
        flag("resume", "resume a paused guest after connecting to console"),
        flag("safe", "only connect if safe console handling is supported"),
    ],
)
def console(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainConsoleFlags

    flags = args.flags(DomainConsoleFlags, {"force": "FORCE", "safe": "SAFE"})
    run_console(shell, shell.domain(args), args.get("devname"), resume="resume" in args, flags=flags)
    return True


def run_console(shell: Shell, domain: Domain, device: str | None, *, resume: bool, flags: int = 0) -> None:
    """Connect the terminal to a domain's console until the escape character.

    :raises CommandError: the domain does not run, or there is no terminal.
    """
    from virt_shell.console import converse
    from virtcore.enums import DomainState

    with shell.failing("Unable to get domain status"):
        state = domain.state().state
    if state is DomainState.SHUTOFF:
        raise CommandError("The domain is not running")
    if not sys.stdin.isatty():
        raise CommandError("Cannot run interactive console without a controlling TTY")
    shell.out(f"Connected to domain '{domain.name}'\n")
    shell.out(f"Escape character is {shell.escape}")
    shell.out(" (Ctrl + ])\n" if shell.escape == "^]" else "\n")
    sys.stdout.flush()
    stream = domain.open_console(device, flags)
    if resume:
        domain.resume()
    converse(stream, shell.escape)
    shell.out("\n")
