"""Commands on throttle groups: limits of I/O that disks of a domain share."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, command, data, flag
from virt_shell.domains import DOMAIN, IMPACT, impact
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.tuning import IO_OPTIONS, io_limits
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree


def _groups(shell: Shell, args: Arguments) -> list[etree._Element]:
    from lxml import etree

    from virtcore.enums import DomainXMLFlags

    xml = shell.domain(args).xml(args.flags(DomainXMLFlags, {"inactive": "INACTIVE"}))
    return etree.fromstring(xml.encode()).findall("throttlegroups/throttlegroup")


def _names(shell: Shell, args: Arguments) -> Sequence[str]:
    """Names of the domain's throttle groups."""
    return [group.findtext("group_name") or "" for group in _groups(shell, args)]


_GROUP = data("group-name", "throttle group name", completer=_names)
_INACTIVE = flag("inactive", "get inactive rather than running configuration")


@command(
    "domthrottlegroupset",
    group="domain",
    help="Add or update a throttling group.",
    description="Make a group of limits that disks share, or change one.",
    options=[DOMAIN, data("group-name", "throttle group name", completer=_names), *IO_OPTIONS, *IMPACT],
)
def domthrottlegroupset(shell: Shell, args: Arguments) -> bool:
    from virtcore.types import TypedParameters

    flags = impact(args)
    domain = shell.domain(args)
    params = TypedParameters()
    io_limits(shell, args, params)
    with shell.failing("Unable to change block I/O throttle"):
        domain.set_throttle_group(args.require("group-name"), params, flags)
    return True


@command(
    "domthrottlegroupdel",
    group="domain",
    help="Delete a throttling group.",
    description="Remove a group of limits that no disk uses.",
    options=[DOMAIN, _GROUP, *IMPACT],
)
def domthrottlegroupdel(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    shell.domain(args).del_throttle_group(args.require("group-name"), flags)
    return True


@command(
    "domthrottlegroupinfo",
    group="domain",
    help="Get a throttling group.",
    description="Print the limits of a throttle group.",
    options=[DOMAIN, _GROUP, _INACTIVE],
)
def domthrottlegroupinfo(shell: Shell, args: Arguments) -> bool:
    name = args.require("group-name")
    for group in _groups(shell, args):
        if group.findtext("group_name") == name:
            shell.out("".join(f"{limit.tag!s:<15}: {limit.text}\n" for limit in group))
            return True
    raise CommandError(f"throttle group '{name}' was not found")


@command(
    "domthrottlegrouplist",
    group="domain",
    help="list all domain throttlegroups.",
    description="Print the names of a domain's throttle groups.",
    options=[DOMAIN, _INACTIVE],
)
def domthrottlegrouplist(shell: Shell, args: Arguments) -> bool:
    table = Table("Name")
    for name in _names(shell, args):
        table.add(name)
    shell.out(table.render(header=not shell.quiet))
    return True
