"""Commands that show and change what a domain is."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag
from virt_shell.completion import among
from virt_shell.domains import DOMAIN, FILE, IMPACT, impact
from virt_shell.edit import edit_definition
from virt_shell.objects import XPATH
from virt_shell.shell import Shell
from virt_shell.text import read_file, select_xpath


@command(
    "define",
    group="domain",
    help="define (but don't start) a domain from an XML file",
    description="Define a domain, or change the definition of one.",
    options=[FILE, flag("validate", "validate the XML against the schema")],
)
def define(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainDefineFlags as Flags

    path = args.require("file")
    xml = read_file(path)
    with shell.failing(f"Failed to define domain from {path}"):
        domain = shell.connection.define_domain(xml, Flags.VALIDATE if "validate" in args else Flags(0))
    shell.extra(f"Domain '{domain.name}' defined from {path}\n")
    return True


@command(
    "autostart",
    group="domain",
    help="autostart a domain",
    description="Have a domain start with the host, or not.",
    options=[
        DOMAIN,
        flag("disable", "disable autostarting"),
        flag("once", "control the state of the one time autostart"),
    ],
)
def autostart(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    prefix = "un" if "disable" in args else ""
    once = " once" if "once" in args else ""
    with shell.failing(f"Failed to {prefix}mark domain '{name}' as autostarted{once}"):
        (domain.set_autostart_once if once else domain.set_autostart)("disable" not in args)
    shell.extra(f"Domain '{name}' {prefix}marked as autostarted{once}\n")
    return True


_LIFECYCLES = ("poweroff", "reboot", "crash")
_ACTIONS = ("destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart")


@command(
    "set-lifecycle-action",
    group="domain",
    help="change lifecycle actions",
    description="Set what is done when a guest powers off, reboots or crashes.",
    options=[
        DOMAIN,
        data("type", "lifecycle type to modify", completer=among(*_LIFECYCLES)),
        data("action", "lifecycle action to set", completer=among(*_ACTIONS)),
        *IMPACT,
    ],
)
def set_lifecycle_action(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    kind, action = args.require("type"), args.require("action")
    if kind not in _LIFECYCLES:
        raise CommandError(f"Invalid lifecycle type '{kind}'.")
    if action not in _ACTIONS:
        raise CommandError(f"Invalid lifecycle action '{action}'.")
    domain = shell.domain(args)
    with shell.failing("Unable to change lifecycle action."):
        domain.set_lifecycle_action(_LIFECYCLES.index(kind), _ACTIONS.index(action), flags)
    return True


#: option of ``dumpxml`` -> name of the DomainXMLFlags member
_DUMP = {
    "inactive": "INACTIVE",
    "security-info": "SECURE",
    "update-cpu": "UPDATE_CPU",
    "migratable": "MIGRATABLE",
}


@command(
    "dumpxml",
    group="domain",
    help="domain information in XML",
    description="Print a domain's XML.",
    options=[
        DOMAIN,
        flag("inactive", "show inactive defined XML"),
        flag("security-info", "include security sensitive information in XML dump"),
        flag("update-cpu", "update guest CPU according to host CPU"),
        flag("migratable", "provide XML suitable for migrations"),
        *XPATH,
    ],
)
def dumpxml(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainXMLFlags

    flags = args.flags(DomainXMLFlags, _DUMP)
    xml = shell.domain(args).xml(flags)
    shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
    return True


@command(
    "edit",
    group="domain",
    help="edit XML configuration for a domain",
    description="Open a domain's definition in the editor and define what was saved.",
    options=[DOMAIN, flag("skip-validate", "skip validation of the XML against the schema")],
)
def edit(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainDefineFlags, DomainXMLFlags

    domain = shell.domain(args)
    strict = DomainDefineFlags(0) if "skip-validate" in args else DomainDefineFlags.VALIDATE
    changed = edit_definition(
        shell,
        lambda: domain.xml(DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE),
        lambda xml: shell.connection.define_domain(xml, strict),
        lambda xml: shell.connection.define_domain(xml),
    )
    outcome = "not changed" if changed is None else "edited"
    shell.extra(f"Domain '{(changed or domain).name}' XML configuration {outcome}.\n")
    return True
