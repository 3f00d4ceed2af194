"""Commands that write the XML of a disk or an interface from options: attach-disk, attach-interface, change-media."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, alias, command, data, flag, string
from virt_shell.completion import among
from virt_shell.domains import CONFIG, DOMAIN, IMPACT, LIVE, PERSISTENT, change_device, device_impact, devices, impact
from virt_shell.media import changed_medium, find_disk
from virt_shell.moments import element
from virt_shell.shell import Shell
from virt_shell.text import escape_xml
from virt_shell.tuning import rate


def _numbers(text: str, count: int, base: int) -> list[int] | None:
    """``count`` numbers with any one character between them; None when there are others."""
    digits = "[0-9a-fA-F]" if base == 16 else "[0-9]"
    prefix = "(?:0[xX])?" if base == 16 else ""
    found = re.fullmatch(".".join([rf"\s*({prefix}{digits}+)"] * count), text)
    return [int(part, base) for part in found.groups()] if found else None


#: kind -> how many numbers, and their base
_ADDRESSES = {
    "pci": (4, 16),
    "scsi": (3, 10),
    "ide": (3, 10),
    "ccw": (3, 16),
    "usb": (2, 10),
    "sata": (3, 10),
}


def _address(text: str, target: str, multifunction: bool) -> str:
    """The ``<address>`` of ``kind:numbers``, as the disk's bus has it.

    :raises CommandError: malformed, or of another bus.
    """
    kind, colon, rest = text.partition(":")
    shape = _ADDRESSES.get(kind)
    parts = _numbers(rest, *shape) if colon and shape is not None else None
    if parts is None:
        raise CommandError("Invalid address.")
    if target.startswith("vd"):
        if kind == "pci":
            more = " multifunction='on'" if multifunction else ""
            return (
                f"<address type='pci' domain='0x{parts[0]:04x}' bus='0x{parts[1]:02x}' slot='0x{parts[2]:02x}'"
                f" function='0x{parts[3]:x}'{more}/>"
            )
        if kind == "ccw":
            return f"<address type='ccw' cssid='0x{parts[0]:02x}' ssid='0x{parts[1]:x}' devno='0x{parts[2]:04x}'/>"
        raise CommandError("expecting a pci:0000.00.00.00 or ccw:00.0.0000 address.")
    if target.startswith("sd"):
        if kind == "usb":
            return f"<address type='usb' bus='{parts[0]}' port='{parts[1]}'/>"
        if kind not in ("scsi", "sata"):
            raise CommandError("expecting a scsi:00.00.00 or usb:00.00 or sata:00.00.00 address.")
    elif target.startswith("hd"):
        if kind != "ide":
            raise CommandError("expecting an ide:00.00.00 address.")
    else:
        return ""
    return f"<address type='drive' controller='{parts[0]}' bus='{parts[1]}' unit='{parts[2]}'/>"


def _disk_type(args: Arguments, source: str) -> str:
    """Type of the disk's source; found out where it was not given."""
    given, driver = args.get("sourcetype"), args.get("driver")
    if given is not None:
        if given not in ("file", "block", "network"):
            raise CommandError(f"Unknown source type: '{given}'")
        return given
    if driver in ("file", "tap"):
        return "file"
    try:
        return "file" if stat.S_ISREG(os.stat(source).st_mode) else "block"
    except OSError:
        return "file"  # it is on another host, or to be made


def _host(args: Arguments) -> str | None:
    """The ``<host>`` of a network disk."""
    name, transport = args.get("source-host-name"), args.get("source-host-transport")
    socket = args.get("source-host-socket")
    if name is None and transport is None and socket is None:
        return None
    host, colon, port = (name or "").partition(":")
    values = {
        "transport": transport,
        "socket": socket,
        "name": host if name is not None else None,
        "port": port if colon else None,
    }
    return element("host", values) + "/>"


def _source(args: Arguments, kind: str, source: str) -> list[str]:
    """The lines of a disk's ``<source>``."""
    if kind != "network":
        return [f"<source {'file' if kind == 'file' else 'dev'}='{escape_xml(source)}'/>"]
    start = element("source", {"protocol": args.get("source-protocol"), "name": source or None})
    host = _host(args)
    return [f"{start}>", f"  {host}", "</source>"] if host is not None else [f"{start}/>"]


@command(
    "attach-disk",
    group="domain",
    help="attach disk device",
    description="Add a disk.",
    options=[
        DOMAIN,
        data("source", "source of disk device or name of network disk", allow_empty=True),
        data("target", "target of disk device"),
        string("targetbus", "target bus of disk device"),
        string("driver", "driver of disk device"),
        string("subdriver", "subdriver of disk device"),
        string("iothread", "IOThread to be used by supported device"),
        string("cache", "cache mode of disk device"),
        string("io", "io policy of disk device"),
        string("type", "target device type"),
        alias("shareable", "mode=shareable"),
        string("mode", "mode of device reading and writing"),
        string("sourcetype", "type of source (block|file|network)"),
        string("serial", "serial of disk device"),
        string("wwn", "wwn of disk device"),
        string("alias", "custom alias name of disk device"),
        flag("rawio", "needs rawio capability"),
        string("address", "address of disk device"),
        flag("multifunction", "use multifunction pci under specified address"),
        flag("print-xml", "print XML document rather than attach the disk"),
        string("source-protocol", "protocol used by disk device source"),
        string("source-host-name", "host name for source of disk device"),
        string("source-host-transport", "host transport for source of disk device"),
        string("source-host-socket", "host socket for source of disk device"),
        string("throttle-groups", "comma separated list of throttle groups to be applied on this disk"),
        PERSISTENT,
        *IMPACT,
    ],
)
def attach_disk(shell: Shell, args: Arguments) -> bool:
    flags = device_impact(args)
    xml = _disk(args)
    if "print-xml" in args:
        shell.out(xml)
        return True
    domain = shell.domain(args)
    with shell.failing("Failed to attach disk"):
        change_device(domain, args, domain.attach_device, xml, flags)
    shell.extra("Disk attached successfully\n")
    return True


def _disk(args: Arguments) -> str:
    """The ``<disk>`` that the options of attach-disk describe."""
    args.needs("source-host-socket", "source-host-transport")
    source, target = args.require("source"), args.require("target")
    if "source-protocol" in args and args.get("sourcetype") != "network":
        raise CommandError("--source-protocol option requires --sourcetype network")
    kind = _disk_type(args, source)
    if kind == "network" and "source-protocol" not in args:
        raise CommandError("--source-protocol option requires --sourcetype network")
    mode = args.get("mode")
    if mode is not None and mode not in ("readonly", "shareable"):
        raise CommandError(f"No support for {mode} in command 'attach-disk'")
    wwn = args.get("wwn")
    if wwn is not None:
        _check_wwn(wwn)
    lines = [
        element("disk", {"type": kind, "device": args.get("type"), "rawio": "yes" if "rawio" in args else None}) + ">"
    ]
    names = {"name": "driver", "type": "subdriver", "iothread": "iothread", "cache": "cache", "io": "io"}
    driver = {name: args.get(option) for name, option in names.items()}
    if any(value is not None for value in driver.values()):
        lines.append("  " + element("driver", driver) + "/>")
    lines += [f"  {line}" for line in _source(args, kind, source)]
    lines.append("  " + element("target", {"dev": target, "bus": args.get("targetbus")}) + "/>")
    groups = args.get("throttle-groups")
    if groups is not None:
        filters = [f"    <throttlefilter group='{escape_xml(name)}'/>" for name in groups.split(",")]
        lines += ["  <throttlefilters>", *filters, "  </throttlefilters>"]
    if mode is not None:
        lines.append(f"  <{mode}/>")
    for name in ("serial", "alias", "wwn"):
        value = args.get(name)
        if value is not None:
            named = name == "alias"
            lines.append(
                f"  <alias name='{escape_xml(value)}'/>" if named else f"  <{name}>{escape_xml(value)}</{name}>"
            )
    address = args.get("address")
    if address is not None:
        placed = _address(address, target, "multifunction" in args)
        lines += [f"  {placed}"] if placed else []
    return "\n".join([*lines, "</disk>", ""])


def _check_wwn(wwn: str) -> None:
    from virtcore.errors import InternalError

    if not re.fullmatch("[0-9a-fA-F]{16}", wwn):
        raise InternalError(f"Malformed wwn: {wwn}")


# -- interfaces


def _bandwidth(direction: str, text: str) -> str | None:
    """``<inbound>`` or ``<outbound>``."""
    average, peak, burst, floor = rate(text)
    if direction == "inbound":
        if not average and not floor:
            raise CommandError("either inbound average or floor is mandatory")
    else:
        if not average:
            raise CommandError("outbound average is mandatory")
        if floor:
            raise CommandError("outbound floor is unsupported yet")
    values = {"average": average, "peak": peak, "burst": burst, "floor": floor}
    return element(direction, {name: str(value) for name, value in values.items() if value}) + "/>"


_SOURCE_MODES = ("server", "client")


def _interface_source(kind: str, source: str, mode: str | None) -> list[str]:
    """The lines of an interface's ``<source>``."""
    if kind in ("network", "bridge"):
        return [f"<source {kind}='{escape_xml(source)}'/>"]
    if kind == "direct":
        return [f"<source dev='{escape_xml(source)}'/>"]
    if kind == "vhostuser":
        if mode is None:
            raise CommandError("source-mode is mandatory")
        return [f"<source type='unix' path='{escape_xml(source)}' mode='{mode}'/>"]
    if kind == "hostdev":
        parts = _numbers(source, 4, 16)
        if parts is None:
            raise CommandError(f"cannot parse pci address '{source}' for network interface")
        place = (
            f"  <address type='pci' domain='0x{parts[0]:04x}' bus='0x{parts[1]:02x}' slot='0x{parts[2]:02x}'"
            f" function='0x{parts[3]:x}'/>"
        )
        return ["<source>", place, "</source>"]
    raise CommandError(f"No support for {kind} in command 'attach-interface'")


@command(
    "attach-interface",
    group="domain",
    help="attach network interface",
    description="Add a network interface.",
    options=[
        DOMAIN,
        data("type", "network interface type"),
        data("source", "source of network interface"),
        string("target", "target network name", unwanted_positional=True),
        string("mac", "MAC address", unwanted_positional=True),
        string("script", "script used to bridge network interface", unwanted_positional=True),
        string("model", "model type", unwanted_positional=True),
        string("alias", "custom alias name of interface device", unwanted_positional=True),
        string("inbound", "control domain's incoming traffics", unwanted_positional=True),
        string("outbound", "control domain's outgoing traffics", unwanted_positional=True),
        PERSISTENT,
        *IMPACT,
        flag("print-xml", "print XML document rather than attach the interface"),
        flag("managed", "libvirt will automatically detach/attach the device from/to host"),
        string(
            "source-mode",
            "mode attribute of <source/> element",
            unwanted_positional=True,
            completer=among(*_SOURCE_MODES),
        ),
    ],
)
def attach_interface(shell: Shell, args: Arguments) -> bool:
    flags = device_impact(args)
    xml = _interface(args)
    if "print-xml" in args:
        shell.out(xml)
        return True
    domain = shell.domain(args)
    with shell.failing("Failed to attach interface"):
        change_device(domain, args, domain.attach_device, xml, flags)
    shell.extra("Interface attached successfully\n")
    return True


def _interface(args: Arguments) -> str:
    """The ``<interface>`` that the options of attach-interface describe."""
    kind, source, mode = args.require("type"), args.require("source"), args.get("source-mode")
    if kind not in _INTERFACES:
        raise CommandError(f"No support for {kind} in command 'attach-interface'")
    if mode is not None and mode not in _SOURCE_MODES:
        raise CommandError(f"Invalid source mode: {mode}")
    limits = [_bandwidth(name, args.require(name)) for name in ("inbound", "outbound") if name in args]
    lines = [element("interface", {"type": kind, "managed": "yes" if "managed" in args else None}) + ">"]
    lines += [f"  {line}" for line in _interface_source(kind, source, mode)]
    for option, (child, attribute) in _INTERFACE_PARTS.items():
        value = args.get(option)
        if value is not None:
            lines.append("  " + element(child, {attribute: value}) + "/>")
    if limits:
        lines += ["  <bandwidth>", *(f"    {limit}" for limit in limits), "  </bandwidth>"]
    return "\n".join([*lines, "</interface>", ""])


#: option -> element and its attribute
_INTERFACE_PARTS = {
    "target": ("target", "dev"),
    "mac": ("mac", "address"),
    "script": ("script", "path"),
    "model": ("model", "type"),
    "alias": ("alias", "name"),
}
#: Types of interfaces there are; not all can be attached by this command.
_INTERFACES = (
    *("user", "ethernet", "vhostuser", "server", "client", "mcast", "udp", "network", "bridge", "internal", "direct"),
    *("hostdev", "vdpa", "null", "vds"),
)


# -- media


def _drives(shell: Shell, args: Arguments) -> Sequence[str]:
    """Targets of the domain's drives with changeable media."""
    disks = devices(shell.domain(args), "disk")
    targets = [disk.find("target") for disk in disks if disk.get("device") in ("cdrom", "floppy")]
    return [str(target.get("dev")) for target in targets if target is not None]


@command(
    "change-media",
    group="domain",
    help="Change media of CD or floppy drive",
    description="Eject the medium of a drive, insert one, or exchange it.",
    options=[
        DOMAIN,
        data("path", "Fully-qualified path or target of disk device", completer=_drives),
        string("source", "source of the media", positional=True),
        flag("eject", "Eject the media"),
        flag("insert", "Insert the media"),
        flag("update", "Update the media"),
        flag("current", "can be either or both of --live and --config, depends on implementation hypervisor driver"),
        flag("live", "alter live configuration of running domain"),
        flag("config", "alter persistent configuration, effect observed on next boot"),
        flag("force", "force media changing"),
        flag("print-xml", "print XML document rather than change media"),
        flag("block", "source media is a block device"),
    ],
)
def change_media(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainDeviceModifyFlags

    for first, second in (("eject", "insert"), ("eject", "update"), ("insert", "update"), ("eject", "block")):
        args.exclusive(first, second)
    path = args.get("source")
    verb = next((name for name in ("eject", "insert") if name in args), "update")
    done = {"eject": "Successfully ejected media.", "insert": "Successfully inserted media."}.get(
        verb, "Successfully updated media."
    )
    flags = impact(args)
    if "force" in args:
        flags |= DomainDeviceModifyFlags.FORCE
    domain, name = shell.domain(args), args.require("path")
    disk = find_disk(devices(domain, "disk", inactive=flags & (LIVE | CONFIG) == CONFIG), name, changeable=True)
    if path is None and verb == "update" and "update" not in args:
        raise CommandError("New disk media source was not specified")
    xml = changed_medium(disk, path, verb, block="block" in args)
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing(f"Failed to complete action {verb} on media"):
        domain.update_device(xml, flags)
    shell.out(done)
    return True
