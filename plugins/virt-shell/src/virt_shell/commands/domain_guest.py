"""Commands that the agent inside a guest carries out: file systems, users, facts, sleep."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, argv, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import ACTIVE
from virt_shell.numbers import INT, ULONG
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import read_file, typed_value

# -- file systems


@command(
    "domfsfreeze",
    group="domain",
    help="Freeze domain's mounted filesystems.",
    description="Have a guest stop writing to its file systems.",
    options=[ACTIVE, argv("mountpoint", "mountpoint path to be frozen")],
)
def domfsfreeze(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    with shell.failing("Unable to freeze filesystems"):
        count = domain.fs_freeze(args.words("mountpoint") or None)
    shell.extra(f"Froze {count} filesystem(s)\n")
    return True


@command(
    "domfsthaw",
    group="domain",
    help="Thaw domain's mounted filesystems.",
    description="Let a guest write to its frozen file systems again.",
    options=[ACTIVE, argv("mountpoint", "mountpoint path to be thawed")],
)
def domfsthaw(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    with shell.failing("Unable to thaw filesystems"):
        count = domain.fs_thaw(args.words("mountpoint") or None)
    shell.extra(f"Thawed {count} filesystem(s)\n")
    return True


@command(
    "domfsinfo",
    group="domain",
    help="Get information of domain's mounted filesystems.",
    description="Print the file systems mounted in a guest.",
    options=[ACTIVE],
)
def domfsinfo(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    with shell.failing("Unable to get filesystem information"):
        found = domain.fs_info()
    if not found:
        shell.out("No filesystems are mounted in the domain")
        return True
    table = Table("Mountpoint", "Name", "Type", "Target")
    for system in found:
        table.add(system.mountpoint, system.name, system.fstype, ",".join(system.dev_aliases))
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "domfstrim",
    group="domain",
    help="Invoke fstrim on domain's mounted filesystems.",
    description="Have a guest give unused blocks of its file systems back.",
    options=[
        ACTIVE,
        integer(
            "minimum",
            "Just a hint to ignore contiguous free ranges smaller than this (Bytes)",
            unwanted_positional=True,
        ),
        string("mountpoint", "which mount point to trim", unwanted_positional=True),
    ],
)
def domfstrim(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    minimum = args.number("minimum", *ULONG) or 0
    with shell.failing("Unable to invoke fstrim"):
        domain.fs_trim(args.get("mountpoint"), minimum)
    return True


# -- what the guest is


_SOURCES = ("lease", "agent")


@command(
    "domhostname",
    group="domain",
    help="print the domain's hostname",
    options=[
        ACTIVE,
        string("source", "address source: 'lease' or 'agent'", unwanted_positional=True, completer=among(*_SOURCES)),
    ],
)
def domhostname(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainGetHostnameFlags

    domain = shell.domain(args)
    source = args.get("source")
    if source is not None and source not in _SOURCES:
        raise CommandError(f"Unknown data source '{source}'")
    flags = DomainGetHostnameFlags[source.upper()] if source is not None else DomainGetHostnameFlags(0)
    with shell.failing("failed to get hostname"):
        name = domain.hostname(flags)
    shell.out(name + "\n")
    return True


#: option -> name of the DomainGuestInfoTypes member, and help
_FACTS = {
    "user": ("USERS", "report active users"),
    "os": ("OS", "report operating system information"),
    "timezone": ("TIMEZONE", "report timezone information"),
    "hostname": ("HOSTNAME", "report hostname"),
    "filesystem": ("FILESYSTEM", "report filesystem information"),
    "disk": ("DISKS", "report disk information"),
    "interface": ("INTERFACES", "report interface information"),
    "load": ("LOAD", "report load averages"),
}


@command(
    "guestinfo",
    group="domain",
    help="query information about the guest (via agent)",
    description="Print what a guest tells of itself.",
    options=[ACTIVE, *(flag(option, help) for option, (_, help) in _FACTS.items())],
)
def guestinfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainGuestInfoTypes

    types = args.flags(DomainGuestInfoTypes, {option: member for option, (member, _) in _FACTS.items()})
    facts = shell.domain(args).guest_info(types)
    shell.out("".join(f"{name:<20}: {typed_value(kind, value)}\n" for name, kind, value in facts.rows()))
    return True


# -- users


@command(
    "set-user-password",
    group="domain",
    help="set the user password inside the domain",
    description="Set a user's password in a guest.",
    options=[
        ACTIVE,
        data("user", "the username"),
        data("password", "the new password"),
        flag("encrypted", "the password is already encrypted"),
    ],
)
def set_user_password(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainSetUserPasswordFlags

    domain, name = shell.domain(args), args.require("domain")
    user, password = args.require("user"), args.require("password")
    domain.set_user_password(user, password, args.flags(DomainSetUserPasswordFlags, {"encrypted": "ENCRYPTED"}))
    shell.extra(f"Password set successfully for {user} in {name}")
    return True


@command(
    "get-user-sshkeys",
    group="domain",
    help="list authorized SSH keys for given user (via agent)",
    description="Print the keys that may log in as a user of a guest.",
    options=[ACTIVE, data("user", "user to list authorized keys for")],
)
def get_user_sshkeys(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    shell.out("".join(f"{key}\n" for key in domain.authorized_ssh_keys(args.require("user"))))
    return True


@command(
    "set-user-sshkeys",
    group="domain",
    help="manipulate authorized SSH keys file for given user (via agent)",
    description="Add or remove keys that may log in as a user of a guest.",
    options=[
        ACTIVE,
        data("user", "user to set authorized keys for"),
        string("file", "optional file to read keys from", positional=True),
        flag("reset", "clear out authorized keys file before adding new keys"),
        flag("remove", "remove keys from the authorized keys file"),
    ],
)
def set_user_sshkeys(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainAuthorizedSSHKeysSetFlags as Flags

    args.exclusive("reset", "remove")
    domain, user = shell.domain(args), args.require("user")
    path = args.get("file")
    flags = Flags.APPEND
    if "remove" in args:
        flags = Flags.REMOVE
    elif "reset" in args:
        flags = Flags(0)
    keys: list[str] = []
    if path is None:
        if flags:
            raise CommandError("Option --file is required")
    else:
        keys = [line for line in read_file(path).split("\n") if line]
        if not keys:
            raise CommandError(f"File {path} contains no keys")
    domain.set_authorized_ssh_keys(user, keys, flags)
    return True


@command(
    "guest-agent-timeout",
    group="domain",
    help="Set the guest agent timeout",
    description="Set how long a guest's agent is waited for.",
    options=[ACTIVE, integer("timeout", "timeout seconds.")],
)
def guest_agent_timeout(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    timeout = args.number("timeout", *INT)
    # Without a number it is for ever.
    domain.set_agent_timeout(-2 if timeout is None else timeout)
    return True


# -- sleep

_TARGETS = ("mem", "disk", "hybrid")


@command(
    "dompmsuspend",
    group="domain",
    help="suspend a domain gracefully using power management functions",
    description="Have a guest go to sleep by itself.",
    options=[
        ACTIVE,
        data(
            "target", "mem(Suspend-to-RAM), disk(Suspend-to-Disk), hybrid(Hybrid-Suspend)", completer=among(*_TARGETS)
        ),
        integer("duration", "duration in seconds"),
    ],
)
def dompmsuspend(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    duration = args.number("duration", *ULONG) or 0
    target = args.require("target")
    if target not in _TARGETS:
        raise CommandError("Invalid target")
    with shell.failing(f"Domain '{domain.name}' could not be suspended"):
        domain.pm_suspend(_TARGETS.index(target), duration)
    shell.extra(f"Domain '{domain.name}' successfully suspended")
    return True


@command(
    "dompmwakeup",
    group="domain",
    help="wakeup a domain from pmsuspended state",
    description="Wake a guest that sleeps.",
    options=[ACTIVE],
)
def dompmwakeup(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    with shell.failing(f"Domain '{domain.name}' could not be woken up"):
        domain.pm_wakeup()
    shell.extra(f"Domain '{domain.name}' successfully woken up")
    return True
