"""Commands on virtual networks and their ports."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag, integer, string
from virt_shell.domains import impact
from virt_shell.events import Printers
from virt_shell.metadata import describing
from virt_shell.numbers import INT
from virt_shell.objects import VALIDATE, ObjectKind, affected, definition, named_by
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import pick, read_file
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.api.sync import Network

_networks = named_by("list_networks")
_active_networks = named_by("list_networks", "ConnectListAllNetworksFlags.ACTIVE")
_inactive_networks = named_by("list_networks", "ConnectListAllNetworksFlags.INACTIVE")

NETWORK = ObjectKind(
    module=__name__,
    option="network",
    noun="network",
    group="network",
    prefix="net-",
    help="network name or uuid",
    lookup="lookup_network",
    keys=("uuid", "name"),
    completer=_networks,
)

_FILE = "file containing an XML network description"

NETWORK.making(
    "define",
    help="define an inactive persistent virtual network or modify an existing persistent one from an XML file",
    description="Define a network that stays, or change the definition of one.",
    done="Network {name} defined from {file}",
    failed="Failed to define network from {file}",
    method="define_network",
    file_help=_FILE,
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
NETWORK.making(
    "create",
    help="create a network from an XML file",
    description="Start a network from a document.",
    done="Network {name} created from {file}",
    failed="Failed to create network from {file}",
    method="create_network",
    file_help=_FILE,
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
NETWORK.acting(
    "start",
    help="start a (previously defined) inactive network",
    description="Make a defined network work.",
    done="Network {name} started",
    failed="Failed to start network {name}",
    act=lambda network, args: network.create(),
    completer=_inactive_networks,
)
NETWORK.acting(
    "destroy",
    help="destroy (stop) a network",
    description="Stop a network at once.",
    done="Network {name} destroyed",
    failed="Failed to destroy network {name}",
    act=lambda network, args: network.destroy(),
    completer=_active_networks,
)
NETWORK.acting(
    "undefine",
    help="undefine a persistent network",
    description="Remove the definition of a network.",
    done="Network {name} has been undefined",
    failed="Failed to undefine network {name}",
    act=lambda network, args: network.undefine(),
)
NETWORK.dumping(
    help="network information in XML",
    description="Print a network's XML.",
    options=[flag("inactive", "show inactive defined XML")],
    flags=lambda args: int("inactive" in args),
)
NETWORK.editing(
    help="edit XML configuration for a network",
    description="Open a network's definition in the editor and define what was saved.",
    read=lambda network: _definition(network),
    method="define_network",
)
NETWORK.converting("name", source="uuid", help="convert a network UUID to network name")
NETWORK.converting("uuid", source="name", help="convert a network name to network UUID")


def _definition(network: Network) -> str:
    """The document that is edited: the definition, or what a transient network runs with."""
    return definition(network) if network.is_persistent() else network.xml()


NETWORK.autostarting(help="autostart a network", description="Have a network start with the host, or not.")


#: option of ``net-list`` -> name of the ConnectListAllNetworksFlags member
_FILTERS = {
    "persistent": "PERSISTENT",
    "transient": "TRANSIENT",
    "autostart": "AUTOSTART",
    "no-autostart": "NO_AUTOSTART",
}


@command(
    "net-list",
    group="network",
    help="list networks",
    description="Print the networks there are, the active ones by default.",
    options=[
        flag("inactive", "list inactive networks"),
        flag("all", "list inactive & active networks"),
        flag("persistent", "list persistent networks"),
        flag("transient", "list transient networks"),
        flag("autostart", "list networks with autostart enabled"),
        flag("no-autostart", "list networks with autostart disabled"),
        flag("uuid", "list uuid's only"),
        flag("name", "list network names only"),
        flag("table", "list table (default)"),
        flag("title", "show network title"),
    ],
)
def net_list(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectListAllNetworksFlags as Flags

    flags = args.flags(Flags, _FILTERS)
    if "inactive" in args:
        flags |= Flags.INACTIVE
    elif "all" not in args:
        flags |= Flags.ACTIVE
    if sum(option in args for option in ("table", "name", "uuid")) > 1:
        raise CommandError("Only one argument from --table, --name and --uuid may be specified.")
    with shell.failing("Failed to list networks"):
        networks = sorted(shell.connection.list_networks(flags), key=_order)
    if "name" in args or "uuid" in args:
        for network in networks:
            shell.out((network.uuid if "uuid" in args else network.name) + "\n")
        return True
    titled = "title" in args
    table = Table("Name", "State", "Autostart", "Persistent", *(["Title"] if titled else []))
    for network in networks:
        table.add(
            network.name,
            "active" if network.is_active() else "inactive",
            "yes" if network.autostart() else "no",
            "yes" if network.is_persistent() else "no",
            *([_title(network)] if titled else []),
        )
    shell.out(table.render(header=not shell.quiet))
    return True


def _order(network: Network) -> tuple[bool, str]:
    """Active ones first, then by name whatever its case."""
    return not network.is_active(), network.name.lower()


def _title(network: Network) -> str:
    from virtcore.enums import NetworkMetadataType
    from virtcore.errors import NoNetworkMetadata

    try:
        return network.metadata(NetworkMetadataType.TITLE)
    except NoNetworkMetadata:
        return ""


@command(
    "net-info",
    group="network",
    help="network information",
    description="Print what a network is and does.",
    options=[NETWORK.named()],
)
def info(shell: Shell, args: Arguments) -> bool:
    network = NETWORK.find(shell, args)

    def line(label: str, value: str) -> None:
        shell.out(f"{label:<15} {value}\n")

    line("Name:", network.name)
    line("UUID:", network.uuid)
    line("Active:", "yes" if network.is_active() else "no")
    line("Persistent:", "yes" if network.is_persistent() else "no")
    line("Autostart:", "yes" if network.autostart() else "no")
    bridge = _bridge(network)
    if bridge is not None:
        line("Bridge:", bridge)
    return True


def _bridge(network: Network) -> str | None:
    from virtcore.errors import VirtError

    try:
        found: str = network.bridge_name()
    except VirtError:
        return None  # it has none; libvirt leaves the line out
    return found


_COMMANDS = ("none", "modify", "delete", "add-last", "add-first")
_SECTIONS = (
    "none",
    "bridge",
    "domain",
    "ip",
    "ip-dhcp-host",
    "ip-dhcp-range",
    "forward",
    "forward-interface",
    "forward-pf",
    "portgroup",
    "dns-host",
    "dns-txt",
    "dns-srv",
)


@command(
    "net-update",
    group="network",
    help="update parts of an existing network's configuration",
    description="Change one section of a network, running or defined.",
    options=[
        NETWORK.named(),
        data("command", "type of update (add-first, add-last (add), delete, or modify)"),
        data("section", "which section of network configuration to update"),
        data(
            "xml",
            "name of file containing xml (or, if it starts with '<', the complete xml element itself) to add/modify,"
            " or to be matched for search",
        ),
        integer("parent-index", "which parent object to search through", unwanted_positional=True),
        flag("config", "affect next network startup"),
        flag("live", "affect running network"),
        flag("current", "affect current state of network"),
    ],
)
def update(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    network = NETWORK.find(shell, args)
    wanted = args.require("command")
    verb = "add-last" if wanted == "add" else wanted
    if verb not in _COMMANDS[1:]:
        raise CommandError(f"unrecognized command name '{wanted}'")
    section = args.require("section")
    if section not in _SECTIONS[1:]:
        raise CommandError(f"unrecognized section name '{section}'")
    index = args.number("parent-index", *INT)
    xml = args.require("xml")
    if not xml.startswith("<"):
        xml = read_file(xml)
    with shell.failing(f"Failed to update network {network.name}"):
        network.update(_COMMANDS.index(verb), _SECTIONS.index(section), -1 if index is None else index, xml, flags)
    shell.extra(f"Updated network {network.name} {affected(flags, network)}")  # no end of line, as in libvirt
    return True


describing("network", "net-", NETWORK.named(), NETWORK.find, module=__name__)


# -- leases


@command(
    "net-dhcp-leases",
    group="network",
    help="print lease info for a given network",
    description="Print the leases that a network's DHCP server gave.",
    options=[NETWORK.named(_active_networks), string("mac", "MAC address", unwanted_positional=True)],
)
def dhcp_leases(shell: Shell, args: Arguments) -> bool:
    import time

    network = NETWORK.find(shell, args)
    with shell.failing(f"Failed to get leases info for {network.name}"):
        leases = network.dhcp_leases(args.get("mac"))
    table = Table("Expiry Time", "MAC address", "Protocol", "IP address", "Hostname", "Client ID or DUID")
    for lease in sorted(leases, key=lambda lease: (lease.mac or "", lease.ip_address)):
        table.add(
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(lease.expiry_time)),
            lease.mac or "-",
            "ipv6" if lease.type == 1 else "ipv4",
            f"{lease.ip_address}/{lease.prefix}",
            lease.hostname or "-",
            lease.client_id or "-",
        )
    shell.out(table.render(header=not shell.quiet))
    return True


# -- events

_LIFECYCLE = ("Defined", "Undefined", "Started", "Stopped")
_METADATA = ("description", "title", "element")


EVENTS: Printers = {
    "lifecycle": (
        "NetworkLifecycleEvent",
        lambda event: f"event 'lifecycle' for network {event.network.name}: {pick(_LIFECYCLE, event.type, 'unknown')}",
    ),
    "metadata-change": (
        "NetworkMetadataChangeEvent",
        lambda event: (
            f"event 'metadata-change' for network {event.network.name}:"
            f" type {pick(_METADATA, event.type, 'unknown')}, uri {event.uri}"
        ),
    ),
}


NETWORK.watching(
    EVENTS,
    help="Network Events",
    filter_help="filter by network name or uuid",
    attribute="network",
    called="network",
)
