"""Commands that show and change what a domain is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_shell.command import Arguments, CommandError, command, flag, string
from virt_shell.commands.domain import ACTIVE, DOMAIN, FILE
from virt_shell.objects import edited
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import read_file, select_xpath, typed_value

if TYPE_CHECKING:
    from lxml import etree


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


#: option of ``undefine`` -> name of the DomainUndefineFlags member
_UNDEFINE = {
    "managed-save": "MANAGED_SAVE",
    "snapshots-metadata": "SNAPSHOTS_METADATA",
    "checkpoints-metadata": "CHECKPOINTS_METADATA",
    "nvram": "NVRAM",
    "keep-nvram": "KEEP_NVRAM",
    "tpm": "TPM",
    "keep-tpm": "KEEP_TPM",
}


@command(
    "undefine",
    group="domain",
    help="undefine a domain",
    description="Remove the definition of an inactive domain, or make a running one transient.",
    options=[
        DOMAIN,
        flag("managed-save", "remove domain managed state file"),
        flag("snapshots-metadata", "remove all domain snapshot metadata (vm must be inactive)"),
        flag("checkpoints-metadata", "remove all domain checkpoint metadata (vm must be inactive)"),
        flag("nvram", "remove nvram file"),
        flag("keep-nvram", "keep nvram file"),
        flag("tpm", "remove TPM state"),
        flag("keep-tpm", "keep TPM state"),
    ],
)
def undefine(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainUndefineFlags

    args.exclusive("nvram", "keep-nvram")
    args.exclusive("tpm", "keep-tpm")
    flags = args.flags(DomainUndefineFlags, _UNDEFINE)
    domain, name = shell.domain(args), args.require("domain")
    with shell.failing(f"Failed to undefine domain '{name}'"):
        domain.undefine(flags)
    shell.extra(f"Domain '{name}' has been undefined\n")
    return True


@command(
    "autostart",
    group="domain",
    help="autostart a domain",
    description="Have a domain start with the host, or not.",
    options=[DOMAIN, flag("disable", "disable autostarting")],
)
def autostart(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    prefix = "un" if "disable" in args else ""
    with shell.failing(f"Failed to {prefix}mark domain '{name}' as autostarted"):
        domain.set_autostart("disable" not in args)
    shell.extra(f"Domain '{name}' {prefix}marked as autostarted\n")
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
        string("xpath", "xpath expression to filter the XML document"),
        flag("wrap", "wrap xpath results in an common root element"),
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
    before = domain.xml(DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE)
    after = edited(before)
    if after is None:
        shell.extra(f"Domain '{domain.name}' XML configuration not changed.\n")
        return True
    if domain.xml(DomainXMLFlags.SECURE | DomainXMLFlags.INACTIVE) != before:
        raise CommandError("ERROR: the XML configuration was changed by another user")
    flags = DomainDefineFlags(0) if "skip-validate" in args else DomainDefineFlags.VALIDATE
    changed = shell.connection.define_domain(after, flags)
    shell.extra(f"Domain '{changed.name}' XML configuration edited.\n")
    return True


@command(
    "memtune",
    group="domain",
    help="Get memory parameters",
    description="Print the memory limits of a domain.",
    options=[
        DOMAIN,
        flag("config", "affect next boot"),
        flag("live", "affect running domain"),
        flag("current", "affect current domain"),
    ],
)
def memtune(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainModificationImpact

    args.exclusive("current", "live")
    args.exclusive("current", "config")
    flags = args.flags(DomainModificationImpact, {"config": "CONFIG", "live": "LIVE"})
    with shell.failing("Unable to get number of memory parameters"):
        params = shell.domain(args).memory_parameters(flags)
    unlimited = 9007199254740991
    for name, kind, value in params.rows():
        shell.out(f"{name:<15}: {'unlimited' if value == unlimited else typed_value(kind, value)}\n")
    return True


@command(
    "ttyconsole",
    group="domain",
    help="tty console",
    description="Print the device of a domain's console.",
    options=[ACTIVE],
)
def ttyconsole(shell: Shell, args: Arguments) -> bool:
    for console in _device_elements(shell, args, "devices/console[@tty]"):
        shell.out(console.get("tty", "") + "\n")
        return True
    return False


def _device_elements(shell: Shell, args: Arguments, path: str) -> list[etree._Element]:
    """Elements of a domain's XML, of the definition with ``--inactive``."""
    from lxml import etree

    from virtcore.enums import DomainXMLFlags

    xml = shell.domain(args).xml(args.flags(DomainXMLFlags, {"inactive": "INACTIVE"}))
    return etree.fromstring(xml.encode()).findall(path)


@command(
    "domblklist",
    group="monitor",
    help="list all domain blocks",
    description="Print the disks of a domain.",
    options=[
        DOMAIN,
        flag("inactive", "get inactive rather than running configuration"),
        flag("details", "additionally display the type and device value"),
    ],
)
def domblklist(shell: Shell, args: Arguments) -> bool:
    details = "details" in args
    table = Table("Type", "Device", "Target", "Source") if details else Table("Target", "Source")
    for disk in _device_elements(shell, args, "devices/disk"):
        target = disk.find("target")
        if target is None or target.get("dev") is None:
            raise CommandError("unable to query block list")
        source = disk.find("source")
        where = None
        for attribute in ("file", "dev", "dir", "name", "volume"):
            if source is not None and where is None:
                where = source.get(attribute)
        cells = [target.get("dev", ""), where or "-"]
        table.add(*([disk.get("type", ""), disk.get("device", "disk")] if details else []), *cells)
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "domiflist",
    group="monitor",
    help="list all domain virtual interfaces",
    description="Print the network interfaces of a domain.",
    options=[DOMAIN, flag("inactive", "get inactive rather than running configuration")],
)
def domiflist(shell: Shell, args: Arguments) -> bool:
    table = Table("Interface", "Type", "Source", "Model", "MAC")
    for interface in _device_elements(shell, args, "devices/interface"):
        kind = interface.get("type", "")

        def attribute(child: str, name: str, interface: etree._Element = interface) -> str:
            found = interface.find(child)
            return (found.get(name) if found is not None else None) or "-"

        source = {"user": "-", "direct": attribute("source", "dev"), "internal": attribute("source", "name")}.get(
            kind, attribute("source", kind)
        )
        table.add(attribute("target", "dev"), kind, source, attribute("model", "type"), attribute("mac", "address"))
    shell.out(table.render(header=not shell.quiet))
    return True
