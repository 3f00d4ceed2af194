"""Commands of single hypervisors: QEMU's monitor and agent, LXC's namespaces, native formats, protected guests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, argv, command, data, flag, integer, string
from virt_shell.completion import active_domains, domains, local_paths
from virt_shell.domains import ACTIVE, DOMAIN, descriptors
from virt_shell.numbers import INT, UINT, ULONG
from virt_shell.shell import Shell
from virt_shell.text import read_file, typed_value

# -- native configurations


@command(
    "domxml-from-native",
    group="domain",
    help="Convert native config to domain XML",
    description="Print a hypervisor's own configuration as a domain's XML.",
    options=[
        data("format", "source config data format"),
        data("config", "config data file to import from"),
    ],
)
def domxml_from_native(shell: Shell, args: Arguments) -> bool:
    native_format, path = args.require("format"), args.require("config")
    shell.out(shell.connection.xml_from_native(native_format, read_file(path)))
    return True


@command(
    "domxml-to-native",
    group="domain",
    help="Convert domain XML to native config",
    description="Print a domain in a hypervisor's own format.",
    options=[
        data("format", "target config data type format"),
        string("domain", "domain name, id or uuid", completer=domains),
        string("xml", "xml data file to export from", unwanted_positional=True),
    ],
)
def domxml_to_native(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainXMLFlags

    args.exclusive("domain", "xml")
    native_format, path = args.require("format"), args.get("xml")
    if "domain" in args:
        xml = shell.domain(args).xml(DomainXMLFlags.SECURE)
    elif path is not None:
        xml = read_file(path)
    else:
        raise CommandError("need either domain or domain XML")
    shell.out(shell.connection.xml_to_native(native_format, xml))
    return True


# -- descriptors that a domain uses


@command(
    "dom-fd-associate",
    group="domain",
    help="associate a FD with a domain",
    description="Lend a domain file descriptors under a name that its XML uses.",
    options=[
        DOMAIN,
        data("name", "name of the FD group"),
        data("pass-fds", "file descriptors N,M,... to associate"),
        flag("seclabel-writable", "use seclabels allowing writes"),
        flag("seclabel-restore", "try to restore security label after use if possible"),
    ],
)
def dom_fd_associate(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainFDAssociateFlags

    domain, name = shell.domain(args), args.require("name")
    flags = args.flags(DomainFDAssociateFlags, {"seclabel-writable": "WRITABLE", "seclabel-restore": "RESTORE"})
    domain.associate_fds(name, descriptors(args.require("pass-fds")), flags)
    return True


# -- QEMU


@command(
    "qemu-attach",
    group="domain",
    help="QEMU Attach",
    description="Take over a QEMU process that others started.",
    options=[data("pid", "pid")],
)
def qemu_attach(shell: Shell, args: Arguments) -> bool:
    pid = args.number("pid", *UINT) or 0
    with shell.failing(f"Failed to attach to pid {pid}"):
        domain = shell.connection.qemu_attach(pid)
    shell.extra(f"Domain '{domain.name}' attached to pid {pid}\n")
    return True


@command(
    "qemu-monitor-command",
    group="domain",
    help="QEMU Monitor Command",
    description="Send a guest's monitor a command, and print its answer.",
    options=[
        ACTIVE,
        flag("hmp", "command is in human monitor protocol"),
        flag("pretty", "pretty-print any qemu monitor protocol output"),
        flag("return-value", "extract the value of the 'return' key from the returned string"),
        string("pass-fds", "pass file descriptors N,M,... along with the command"),
        argv("cmd", "command", required=True),
    ],
)
def qemu_monitor_command(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainQemuMonitorCommandFlags as Flags

    args.exclusive("hmp", "pretty")
    args.exclusive("hmp", "return-value")
    domain = shell.domain(args)
    cmd = _monitor_command(args.words("cmd"), human="hmp" in args)
    flags = args.flags(Flags, {"hmp": "HMP"})
    if "pass-fds" in args:
        files = descriptors(args.require("pass-fds"))
        answer = domain.qemu_monitor_command_with_files(cmd, files, flags).result
    else:
        answer = domain.qemu_monitor_command(cmd, flags)
    if "hmp" in args:
        shell.out(answer if answer.endswith("\n") else answer + "\n")
        return True
    if "return-value" in args or "pretty" in args:
        reply = json.loads(answer)
        if "return-value" in args:
            if "return" not in reply:
                raise CommandError("'return' member missing")
            reply = reply["return"]
        answer = json.dumps(
            reply, indent=2 if "pretty" in args else None, separators=None if "pretty" in args else (",", ":")
        )
    shell.out(answer + "\n")
    return True


def _monitor_command(words: Sequence[str], *, human: bool) -> str:
    """The command that words make: a line, a JSON object, or a name with ``key=value`` arguments."""
    text = " ".join(words)
    if human or text.lstrip().startswith("{") or len(words) == 0:
        return text
    if all("=" not in word for word in words[1:]) and len(words) > 1:
        return text
    if len(words) == 1:
        return json.dumps({"execute": text}, separators=(",", ":")) if _is_name(text) else text
    if not _is_name(words[0]):
        return text
    arguments: dict[str, object] = {}
    for word in words[1:]:
        key, _, value = word.partition("=")
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return json.dumps({"execute": words[0], "arguments": arguments}, separators=(",", ":"))


def _is_name(text: str) -> bool:
    return text.replace("-", "").replace("_", "").isalnum()


@command(
    "qemu-monitor-event",
    group="domain",
    help="QEMU Monitor Events",
    description="Listen for QEMU Monitor Events",
    options=[
        string("domain", "filter by domain name, id or uuid", unwanted_positional=True, completer=active_domains),
        string("event", "filter by event name", unwanted_positional=True),
        flag("pretty", "pretty-print any JSON output"),
        flag("loop", "loop until timeout or interrupt, rather than one-shot"),
        integer("timeout", "timeout seconds", unwanted_positional=True),
        flag("regex", "treat event as a regex rather than literal filter"),
        flag("no-case", "treat event case-insensitively"),
        flag("timestamp", "show timestamp for each printed event"),
    ],
)
def qemu_monitor_event(shell: Shell, args: Arguments) -> bool:
    import re

    from virt_shell.events import print_events

    name = args.get("event")
    timeout = args.timeout()
    only = shell.domain(args).uuid if "domain" in args else None
    case = re.IGNORECASE if "no-case" in args else 0
    pattern = None if name is None else re.compile(name if "regex" in args else f"{re.escape(name)}$", case)

    def wanted(event: object) -> bool:
        uuid, kind = event.domain.uuid, event.event  # type: ignore[attr-defined]
        if only is not None and uuid != only:
            return False
        found = pattern is None or (pattern.search(kind) if "regex" in args else pattern.match(kind))
        return bool(found)

    def show(event: object) -> str:
        details = event.details  # type: ignore[attr-defined]
        if details is not None and "pretty" in args:
            details = json.dumps(json.loads(details), indent=2)
        seconds, micros = event.seconds, event.micros  # type: ignore[attr-defined]
        stamp = "" if "timestamp" in args else f" at {seconds}.{micros:06}"
        what = f"event {event.event}{stamp} for domain '{event.domain.name}'"  # type: ignore[attr-defined]
        return f"{what}: {details if details is not None else '<null>'}"

    return print_events(shell, args, {"monitor": ("QemuMonitorEvent", show)}, wanted, timeout)


@command(
    "qemu-agent-command",
    group="domain",
    help="QEMU Guest Agent Command",
    description="Send a guest's agent a command, and print its answer; at your own risk.",
    options=[
        ACTIVE,
        integer("timeout", "timeout seconds. must be positive."),
        flag("async", "execute command without waiting for timeout"),
        flag("block", "execute command without timeout"),
        flag("pretty", "pretty-print the output"),
        argv("cmd", "command", required=True),
    ],
)
def qemu_agent_command(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    cmd = " ".join(args.words("cmd"))
    timeout = args.number("timeout", *INT)
    if sum(option in args for option in ("timeout", "async", "block")) > 1:
        raise CommandError("timeout, async and block options are exclusive")
    if timeout is not None and timeout < 1:
        raise CommandError("timeout must be positive")
    seconds = -2 if "block" in args else 0 if "async" in args else -1 if timeout is None else timeout
    answer = domain.qemu_agent_command(cmd, seconds)
    if answer is not None:
        shell.out((json.dumps(json.loads(answer), indent=2) if "pretty" in args else answer) + "\n")
    return True


# -- LXC


@command(
    "lxc-enter-namespace",
    group="domain",
    help="LXC Guest Enter Namespace",
    description="Run a program inside a container's namespaces; at your own risk.",
    options=[
        ACTIVE,
        flag("noseclabel", "Do not change process security label"),
        argv("cmd", "command to run", required=True),
    ],
)
def lxc_enter_namespace(shell: Shell, args: Arguments) -> bool:
    domain, words = shell.domain(args), args.words("cmd")
    namespaces = domain.lxc_open_namespace()
    pid = os.fork()
    if not pid:
        _run_inside(namespaces, words)
    for fd in namespaces:
        os.close(fd)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _run_inside(namespaces: Sequence[int], words: Sequence[str]) -> None:
    """In a child of its own: enter the namespaces and run a program there. Never returns."""
    import ctypes

    try:
        library = ctypes.CDLL(None, use_errno=True)
        for fd in namespaces:
            if library.setns(fd, 0):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        # A process enters a PID namespace only with its next child.
        child = os.fork()
        if not child:
            os.execvp(words[0], list(words))
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    except OSError as problem:
        os.write(2, f"error: {problem.strerror}\n".encode())
        os._exit(127)


# -- protected guests


@command(
    "domlaunchsecinfo",
    group="domain",
    help="Get domain launch security info",
    description="Print the measurement of a protected guest's start.",
    options=[ACTIVE],
)
def domlaunchsecinfo(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    with shell.failing("Unable to get launch security parameters"):
        params = domain.launch_security_info()
    shell.out("".join(f"{name:<15}: {typed_value(kind, value)}\n" for name, kind, value in params.rows()))
    return True


@command(
    "domsetlaunchsecstate",
    group="domain",
    help="Set domain launch security state",
    description="Give a protected guest, which is paused at its start, a secret.",
    options=[
        ACTIVE,
        string("secrethdr", "path to file containing the secret header", completer=local_paths),
        string("secret", "path to file containing the secret", completer=local_paths),
        integer(
            "set-address",
            "physical address within the guest domain's memory to set the secret",
            unwanted_positional=True,
        ),
    ],
)
def domsetlaunchsecstate(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters

    domain = shell.domain(args)
    header, secret = args.get("secrethdr"), args.get("secret")
    if header is None or secret is None:
        raise CommandError("Both secret and the secret header are required")
    params = TypedParameters()
    params.add("sev-secret-header", TypedParameterType.STRING, read_file(header))
    params.add("sev-secret", TypedParameterType.STRING, read_file(secret))
    address = args.number("set-address", *ULONG)
    if address is not None:
        params.add("sev-secret-set-address", TypedParameterType.ULLONG, address)
    with shell.failing("Unable to set launch security state"):
        domain.set_launch_security_state(params)
    return True
