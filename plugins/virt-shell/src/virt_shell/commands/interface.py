"""Commands on the host's network interfaces."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag, integer
from virt_shell.numbers import UINT
from virt_shell.objects import VALIDATE, ObjectKind, named_by
from virt_shell.shell import Shell
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

_interfaces = named_by("list_interfaces")
_active = named_by("list_interfaces", "ConnectListAllInterfacesFlags.ACTIVE")
_inactive = named_by("list_interfaces", "ConnectListAllInterfacesFlags.INACTIVE")

INTERFACE = ObjectKind(
    module=__name__,
    option="interface",
    noun="interface",
    group="interface",
    prefix="iface-",
    help="interface name or MAC address",
    lookup="lookup_interface",
    keys=("name", "mac"),
    completer=_interfaces,
)

INTERFACE.listing(
    help="list physical host interfaces",
    description="Print the interfaces of the host, the active ones by default.",
    failed="Failed to list interfaces",
    method="list_interfaces",
    options=[flag("inactive", "list inactive interfaces"), flag("all", "list inactive & active interfaces")],
    flags=lambda args: 3 if "all" in args else 1 if "inactive" in args else 2,
    columns={
        "Name": lambda interface: interface.name,
        "State": lambda interface: "active" if interface.is_active() else "inactive",
        "MAC Address": lambda interface: interface.mac,
    },
)
INTERFACE.converting("name", source="mac", help="convert an interface MAC address to interface name")
INTERFACE.converting("mac", source="name", help="convert an interface name to interface MAC address")
INTERFACE.dumping(
    help="interface information in XML",
    description="Print an interface's XML.",
    options=[flag("inactive", "show inactive defined XML")],
    flags=lambda args: int("inactive" in args),
)
INTERFACE.making(
    "define",
    help="define an inactive persistent physical host interface or modify an existing persistent one from an XML file",
    description="Configure an interface, or change the configuration of one.",
    done="Interface {name} defined from {file}",
    failed="Failed to define interface from {file}",
    method="define_interface",
    file_help="file containing an XML interface description",
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
INTERFACE.editing(
    help="edit XML configuration for a physical host interface",
    description="Open an interface's configuration in the editor and define what was saved.",
    read=lambda interface: interface.xml(1),
    method="define_interface",
)
INTERFACE.acting(
    "undefine",
    help="undefine a physical host interface (remove it from configuration)",
    description="Remove the configuration of an interface.",
    done="Interface {name} undefined",
    failed="Failed to undefine interface {name}",
    act=lambda interface, args: interface.undefine(),
)
INTERFACE.acting(
    "start",
    help='start a physical host interface (enable it / "if-up")',
    description="Bring an interface up.",
    done="Interface {name} started",
    failed="Failed to start interface {name}",
    act=lambda interface, args: interface.create(),
    completer=_inactive,
)
INTERFACE.acting(
    "destroy",
    help='destroy a physical host interface (disable it / "if-down")',
    description="Bring an interface down at once.",
    done="Interface {name} destroyed",
    failed="Failed to destroy interface {name}",
    act=lambda interface, args: interface.destroy(),
    completer=_active,
    status=False,  # virsh's, on which scripts count
)


def _transaction(verb: str, done: str, help: str, description: str) -> None:
    """Declare a command about the kept configuration of all interfaces."""

    def handler(shell: Shell, args: Arguments) -> bool:
        with shell.failing(f"Failed to {verb} network config change transaction"):
            getattr(shell.connection, f"interface_{verb}")()
        shell.extra(f"Network config change transaction {done}\n")
        return True

    command(f"iface-{verb}", group="interface", help=help, description=description)(handler)


_transaction(
    "begin",
    "started",
    "create a snapshot of current interfaces settings, which can be later committed (iface-commit) or restored"
    " (iface-rollback)",
    "Keep the configuration of all interfaces, to return to it.",
)
_transaction(
    "commit",
    "committed",
    "commit changes made since iface-begin and free restore point",
    "Forget the configuration that was kept: the changes stay.",
)
_transaction(
    "rollback",
    "rolled back",
    "rollback to previous saved configuration created via iface-begin",
    "Return to the configuration that was kept.",
)


# -- bridges

#: Children of an interface that belong to the device, not to the bridge it becomes a port of.
_DEVICE = ("mac", "bond", "vlan")


def _document(xml: str, name: str) -> etree._Element:
    """The definition of an interface as a tree.

    :raises CommandError: it is of another one.
    """
    from lxml import etree

    root = etree.fromstring(xml.encode())
    if root.get("type") is None:
        raise CommandError(f"Existing device {name} has no type")
    return root


def _check_name(root: etree._Element, name: str) -> None:
    found = root.get("name")
    if found != name:
        raise CommandError(f"Interface name from config {found} doesn't match given supplied name {name}")


def _text(root: etree._Element) -> str:
    from lxml import etree

    return str(etree.tostring(root, encoding="unicode"))


@command(
    "iface-bridge",
    group="interface",
    help="create a bridge device and attach an existing network device to it",
    description="Put an interface into a new bridge that takes over its addresses.",
    options=[
        data("interface", "existing interface name", completer=_interfaces),
        data("bridge", "new bridge device name"),
        flag("no-stp", "do not enable STP for this bridge"),
        integer("delay", "number of seconds to squelch traffic on newly connected ports", unwanted_positional=True),
        flag("no-start", "don't start the bridge immediately"),
    ],
)
def bridge(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    from virtcore.errors import NoInterface

    existing = INTERFACE.find(shell, args, by=("name",))
    name, new = args.require("interface"), args.require("bridge")
    try:
        shell.connection.lookup_interface(name=new)
    except NoInterface:
        pass
    else:
        raise CommandError(f"Network device {new} already exists")
    delay = args.number("delay", *UINT) or 0
    root = _document(existing.xml(1), name)
    kind = root.get("type", "")
    if kind == "bridge":
        raise CommandError(f"Existing device {name} is already a bridge")
    _check_name(root, name)
    spanning = {"stp": "off"} if "no-stp" in args else {"stp": "on", "delay": str(delay)}
    outer = etree.SubElement(root, "bridge", spanning)
    inner = etree.SubElement(outer, "interface", type=kind, name=name)
    for moved in [child for child in root if child.tag in _DEVICE]:
        inner.append(moved)
    root.set("type", "bridge")
    root.set("name", new)
    with shell.failing(f"Failed to define new bridge interface {new}"):
        made = shell.connection.define_interface(_text(root))
    shell.extra(f"Created bridge {new} with attached device {name}\n")
    if "no-start" not in args:
        with shell.failing(f"Failed to start bridge interface {new}"):
            made.create()
        shell.extra(f"Bridge interface {new} started\n")
    return True


@command(
    "iface-unbridge",
    group="interface",
    help="undefine a bridge device after detaching its device(s)",
    description="Dissolve a bridge of one interface, which takes the addresses back.",
    options=[
        data("bridge", "current bridge device name", completer=_interfaces),
        flag("no-start", "don't start the detached interface immediately (not recommended)"),
    ],
)
def unbridge(shell: Shell, args: Arguments) -> bool:
    name = args.require("bridge")
    existing = INTERFACE.find_text(shell, name, by=("name",))
    root = _document(existing.xml(1), name)
    if root.get("type") != "bridge":
        raise CommandError(f"Device {name} is not a bridge")
    _check_name(root, name)
    outer = root.find("bridge")
    if outer is None:
        raise CommandError("No bridge node in xml document")
    ports = outer.findall("interface")
    if len(ports) > 1:
        raise CommandError("Multiple interfaces attached to bridge")
    if not ports:
        raise CommandError("No interface attached to bridge")
    freed, kind = ports[0].get("name"), ports[0].get("type")
    if freed is None:
        raise CommandError(f"Device attached to bridge {name} has no name")
    if kind is None:
        raise CommandError(f"Attached device {freed} has no type")
    root.set("type", kind)
    root.set("name", freed)
    for moved in [child for child in ports[0] if child.tag in _DEVICE]:
        root.append(moved)
    root.remove(outer)
    with shell.failing(f"Failed to destroy bridge interface {name}"):
        existing.destroy()
    with shell.failing(f"Failed to undefine bridge interface {name}"):
        existing.undefine()
    with shell.failing(f"Failed to define new interface {freed}"):
        made = shell.connection.define_interface(_text(root))
    shell.extra(f"Device {freed} un-attached from bridge {name}\n")
    if "no-start" not in args:
        with shell.failing(f"Failed to start interface {freed}"):
            made.create()
        shell.extra(f"Interface {freed} started\n")
    return True
