"""Commands on ports of virtual networks."""

from __future__ import annotations

import os
from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, command, data, flag
from virt_shell.commands.network import NETWORK
from virt_shell.objects import VALIDATE, XPATH
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import read_file, select_xpath
from virtcore._typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from virtcore.api.sync import NetworkPort


def _ports(shell: Shell, args: Arguments) -> Sequence[str]:
    """UUIDs of a network's ports."""
    return [port.uuid for port in NETWORK.find(shell, args).list_ports()]


def _port(shell: Shell, args: Arguments) -> tuple[NetworkPort, str]:
    from virtcore.errors import VirtError

    network = NETWORK.find(shell, args)
    uuid = args.require("port")
    try:
        found: Any = network.lookup_port(uuid)
    except VirtError as problem:
        raise CommandError(f"failed to get network port '{uuid}'") from problem
    return found, uuid


PORT = data("port", "port UUID", completer=_ports)


@command(
    "net-port-list",
    group="network",
    help="list network ports",
    description="Print the ports of a network.",
    options=[NETWORK.named(), flag("uuid", "list uuid's only"), flag("table", "list table (default)")],
)
def port_list(shell: Shell, args: Arguments) -> bool:
    network = NETWORK.find(shell, args)
    if "uuid" in args and "table" in args:
        raise CommandError("Only one argument from --table and --uuid may be specified.")
    ports = sorted(network.list_ports(), key=lambda port: port.uuid)
    if "uuid" in args:
        shell.out("".join(f"{port.uuid}\n" for port in ports))
        return True
    table = Table("UUID")
    for port in ports:
        table.add(port.uuid)
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "net-port-create",
    group="network",
    help="create a network port from an XML file",
    description="Make a port of a network.",
    options=[NETWORK.named(), data("file", "file containing an XML network port description"), VALIDATE],
)
def port_create(shell: Shell, args: Arguments) -> bool:
    network = NETWORK.find(shell, args)
    path = args.require("file")
    xml = read_file(path)
    with shell.failing(f"Failed to create network from {path}"):
        port = network.create_port(xml, 2 if "validate" in args else 0)
    shell.extra(f"Network port {port.uuid} created from {os.fspath(path)}\n")
    return True


@command(
    "net-port-dumpxml",
    group="network",
    help="network port information in XML",
    description="Print a network port's XML.",
    options=[NETWORK.named(), PORT, *XPATH],
)
def port_dumpxml(shell: Shell, args: Arguments) -> bool:
    port, _ = _port(shell, args)
    shell.out(select_xpath(port.xml(), args.get("xpath"), wrap="wrap" in args))
    return True


@command(
    "net-port-delete",
    group="network",
    help="delete the specified network port",
    description="Give a network port back.",
    options=[NETWORK.named(), PORT],
)
def port_delete(shell: Shell, args: Arguments) -> bool:
    port, uuid = _port(shell, args)
    with shell.failing(f"Failed to delete network port {uuid}"):
        port.delete()
    shell.extra(f"Network port {uuid} deleted\n")
    return True
