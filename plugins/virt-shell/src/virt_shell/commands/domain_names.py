"""Commands on what a domain is called and described as: id, name, UUID, title, description, metadata."""

from __future__ import annotations

from virt_shell.command import Arguments, command, data
from virt_shell.completion import domains, inactive_domains
from virt_shell.domains import DOMAIN
from virt_shell.metadata import describing
from virt_shell.shell import Shell


@command(
    "domid",
    group="domain",
    help="convert a domain name or UUID to domain id",
    options=[data("domain", "domain name or uuid", completer=domains)],
)
def domid(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args, by="uuid name")
    shell.out(f"{domain.id}\n" if domain.id >= 0 else "-\n")
    return True


@command(
    "domname",
    group="domain",
    help="convert a domain id or UUID to domain name",
    options=[data("domain", "domain id or uuid", completer=domains)],
)
def domname(shell: Shell, args: Arguments) -> bool:
    shell.out(shell.domain(args, by="id uuid").name + "\n")
    return True


@command(
    "domuuid",
    group="domain",
    help="convert a domain name or id to domain UUID",
    options=[data("domain", "domain id or name", completer=domains)],
)
def domuuid(shell: Shell, args: Arguments) -> bool:
    shell.out(shell.domain(args, by="id name").uuid + "\n")
    return True


@command(
    "domrename",
    group="domain",
    help="rename a domain",
    description="Give an inactive domain another name.",
    options=[
        data("domain", "domain name or uuid", completer=inactive_domains),
        data("new-name", "new domain name"),
    ],
)
def domrename(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args, by="uuid name")
    domain.rename(args.require("new-name"))
    shell.extra("Domain successfully renamed\n")
    return True


describing("domain", "", DOMAIN, lambda shell, args: shell.domain(args), module=__name__)
