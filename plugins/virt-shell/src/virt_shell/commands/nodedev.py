"""Commands on devices of the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import hexdigits

from virt_shell.command import Arguments, CommandError, alias, command, command_alias, data, flag, string
from virt_shell.completion import among, comma_list
from virt_shell.domains import impact
from virt_shell.events import Printers
from virt_shell.objects import VALIDATE, ObjectKind, affected, named_by
from virt_shell.shell import Shell
from virt_shell.text import pick, read_file, split_list
from virt_shell.tree import render_trees
from virtcore._typing import Any


class DeviceKind(ObjectKind):
    """Devices by name, some by a pair of world wide names, ``WWNN,WWPN``."""

    __slots__ = ()

    def find_text(self, shell: Shell, text: str, *, by: Sequence[str] = ()) -> Any:
        """The device of a name or pair."""
        if "," not in text:
            return super().find_text(shell, text, by=by)
        names = split_list(text)
        if len(names) != 2:
            raise CommandError(f"Malformed device value '{text}'")
        for name in names:
            _check_wwn(name)
        with shell.failing(self.missing.format(noun=self.noun, given=text)):
            return shell.connection.lookup_node_device(wwnn=names[0], wwpn=names[1])


def _check_wwn(name: str) -> None:
    from virtcore.errors import InternalError

    digits = name.removeprefix("0x")
    if len(digits) != 16 or not set(digits) <= set(hexdigits):
        raise InternalError(f"Malformed wwn: {name}")


def _filtered(member: str) -> Any:
    return named_by("list_node_devices", f"ConnectListAllNodeDeviceFlags.{member}")


#: Where the command takes a name only.
NAMED = ObjectKind(
    module=__name__,
    option="device",
    noun="device",
    group="nodedev",
    prefix="nodedev-",
    help="device key",
    lookup="lookup_node_device",
    keys=("name",),
    completer=named_by("list_node_devices"),
    missing="Could not find matching device '{given}'",
)
DEVICE = DeviceKind(*NAMED._replace(help="device name or wwn pair in 'wwnn,wwpn' format"))

_FILE = "file containing an XML description of the device"

DEVICE.making(
    "create",
    help="create a device defined by an XML file on the node",
    description="Make a device on the host, e.g. a mediated device or a virtual HBA, that guests can be given.",
    done="Node device {name} created from {file}",
    failed="Failed to create node device from {file}",
    method="create_node_device",
    file_help=_FILE,
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
DEVICE.making(
    "define",
    help="Define or modify a device by an xml file on a node",
    description="Define a device that stays and is started on demand, or change the definition of one.",
    done="Node device '{name}' defined from '{file}'",
    failed="Failed to define node device from '{file}'",
    method="define_node_device",
    file_help=_FILE,
    options=[VALIDATE],
    flags=lambda args: int("validate" in args),
)
DEVICE.acting(
    "destroy",
    help="destroy (stop) a device on the node",
    description="Remove a device that was made from the host.",
    done="Destroyed node device '{name}'",
    failed="Failed to destroy node device '{name}'",
    act=lambda device, args: device.destroy(),
    before=[alias("name", "device")],
    completer=_filtered("ACTIVE"),
)
DEVICE.acting(
    "undefine",
    help="Undefine an inactive node device",
    description="Remove the definition of a device.",
    done="Undefined node device '{name}'",
    failed="Failed to undefine node device '{name}'",
    act=lambda device, args: device.undefine(),
    completer=_filtered("PERSISTENT"),
)
NAMED._replace(help="device name").acting(
    "start",
    help="Start an inactive node device",
    description="Make a defined device on the host.",
    done="Device {name} started",
    failed="Failed to start device {name}",
    act=lambda device, args: device.create(),
    completer=_filtered("INACTIVE"),
)
DEVICE.autostarting(
    help="autostart a defined node device", description="Have a device made with the host's start, or not."
)
DEVICE.dumping(
    help="node device details in XML",
    description="Print a device's XML.",
    options=[flag("inactive", "show inactive defined XML")],
    flags=lambda args: int("inactive" in args),
)


NAMED.acting(
    "detach",
    help="detach node device from its device driver",
    description="Take a device from the host's driver, so that a guest can have it.",
    done="Device {name} detached",
    failed="Failed to detach device {name}",
    act=lambda device, args: device.detach(args.get("driver")),
    options=[
        string(
            "driver",
            "pci device assignment backend driver (e.g. 'vfio' or 'xen')",
            unwanted_positional=True,
            completer=among("default", "kvm", "vfio", "xen"),
        )
    ],
)
command_alias("nodedev-dettach", "nodedev-detach")
NAMED.acting(
    "reattach",
    help="reattach node device to its device driver",
    description="Give a device that no guest has any more back to the host's driver.",
    done="Device {name} re-attached",
    failed="Failed to re-attach device {name}",
    act=lambda device, args: device.reattach(),
)
NAMED.acting(
    "reset",
    help="reset node device",
    description="Reset a device before a guest gets it or the host gets it back.",
    done="Device {name} reset",
    failed="Failed to reset device {name}",
    act=lambda device, args: device.reset(),
)

# -- what there is

#: Names of capabilities, and of their ConnectListAllNodeDeviceFlags member where it is not CAP_NAME.
_CAPABILITIES = {
    "system": "",
    "pci": "PCI_DEV",
    "usb_device": "USB_DEV",
    "usb": "USB_INTERFACE",
    "net": "",
    "scsi_host": "",
    "scsi_target": "",
    "scsi": "",
    "storage": "",
    "fc_host": "",
    "vports": "",
    "scsi_generic": "",
    "drm": "",
    "mdev_types": "",
    "mdev": "",
    "ccw": "CCW_DEV",
    "css": "CSS_DEV",
    "vdpa": "",
    "ap_card": "",
    "ap_queue": "",
    "ap_matrix": "",
    "vpd": "",
    "ccwgroup": "CCWGROUP_DEV",
    "ccwgroup_member": "",
}


@command(
    "nodedev-list",
    group="nodedev",
    help="enumerate devices on this host",
    options=[
        flag("tree", "list devices in a tree"),
        string(
            "cap",
            "capability names, separated by comma",
            unwanted_positional=True,
            completer=comma_list(*_CAPABILITIES),
        ),
        flag("inactive", "list inactive devices"),
        flag("all", "list inactive & active devices"),
        flag("persistent", "list persistent devices"),
        flag("transient", "list transient devices"),
    ],
)
def nodedev_list(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectListAllNodeDeviceFlags as Flags

    wanted = args.get("cap")
    inactive, every = "inactive" in args, "all" in args
    if every and inactive:
        raise CommandError("Option --all is incompatible with --inactive")
    if "persistent" in args and "transient" in args:
        raise CommandError("Option --persistent is incompatible with --transient")
    if "tree" in args:
        if wanted is not None or inactive:
            raise CommandError("Option --tree is incompatible with --cap and --inactive")
        if "persistent" in args or "transient" in args:
            raise CommandError("Option --tree is incompatible with --persistent and --transient")
    flags = args.flags(Flags, {"persistent": "PERSISTENT", "transient": "TRANSIENT"})
    for name in split_list(wanted) if wanted is not None else ():
        if name not in _CAPABILITIES:
            raise CommandError("Invalid capability type")
        flags |= Flags["CAP_" + (_CAPABILITIES[name] or name.upper())]
    if inactive or every:
        flags |= Flags.INACTIVE
    if not inactive:
        flags |= Flags.ACTIVE
    with shell.failing("Failed to list node devices"):
        found = sorted(shell.connection.list_node_devices(None, flags), key=lambda device: device.name.lower())
    if "tree" in args:
        parents = [(device.name, None if device.name == "computer" else device.parent()) for device in found]
        shell.out(render_trees(parents))
    else:
        shell.out("".join(f"{device.name}\n" for device in found))
    return True


@command(
    "nodedev-info",
    group="nodedev",
    help="node device information",
    description="Print what a device is and does.",
    options=[DEVICE.named()],
)
def info(shell: Shell, args: Arguments) -> bool:
    device = DEVICE.find(shell, args)

    def line(label: str, value: str) -> None:
        shell.out(f"{label + ':':<15} {value}\n")

    line("Name", device.name)
    line("Parent", device.parent() or "")
    # A driver that cannot tell has but those that are there for good.
    line("Active", _told(device.is_active, "yes"))
    line("Persistent", _told(device.is_persistent, "yes"))
    line("Autostart", _told(device.autostart, "no autostart"))
    return True


def _told(ask: Callable[[], bool], otherwise: str) -> str:
    from virtcore.errors import NoSupport

    try:
        return "yes" if ask() else "no"
    except NoSupport:
        return otherwise


@command(
    "nodedev-update",
    group="nodedev",
    help="Update a active and/or inactive node device",
    description="Change a device, as it is or as it is defined.",
    options=[
        DEVICE.named(),
        data("file", _FILE),
        flag("config", "affect next node device startup"),
        flag("live", "affect running node device"),
        flag("current", "affect current state of node device"),
    ],
)
def update(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    device = DEVICE.find(shell, args)
    path = args.require("file")
    xml = read_file(path)
    with shell.failing(f"Failed to update node device {device.name} from '{path}'"):
        device.update(xml, flags)
    shell.extra(f"Updated node device {device.name} {affected(flags, device)}")  # no end of line, as for networks
    return True


# -- events

_LIFECYCLE = ("Created", "Deleted", "Defined", "Undefined")

EVENTS: Printers = {
    "lifecycle": (
        "NodeDeviceLifecycleEvent",
        lambda event: (
            f"event 'lifecycle' for node device {event.device.name}: {pick(_LIFECYCLE, event.type, 'unknown')}"
        ),
    ),
    "update": ("NodeDeviceUpdateEvent", lambda event: f"event 'update' for node device {event.device.name}"),
}
NAMED.watching(
    EVENTS,
    help="Node Device Events",
    filter_help="filter by node device name",
    attribute="device",
    called="node device",
)
