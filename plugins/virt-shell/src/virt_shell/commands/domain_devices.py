"""Commands that attach, detach and change devices from documents, and what those that write the document share."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, alias, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import (
    ACTIVE,
    CONFIG,
    DOMAIN,
    IMPACT,
    LIVE,
    PERSISTENT,
    change_device,
    device_impact,
    devices,
    disk_targets,
    impact,
    interfaces,
)
from virt_shell.shell import Shell
from virt_shell.text import read_file
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

    from virtcore.api.sync import Domain

_FILE = data("file", "XML file")


def _from_file(shell: Shell, args: Arguments, verb: str) -> bool:
    """Attach or detach what a file describes."""
    flags = device_impact(args)
    domain = shell.domain(args)
    path = args.require("file")
    xml = read_file(path)
    with shell.failing(f"Failed to {verb} device from {path}"):
        change_device(domain, args, getattr(domain, f"{verb}_device"), xml, flags)
    shell.extra(f"Device {verb}ed successfully\n")
    return True


@command(
    "attach-device",
    group="domain",
    help="attach device from an XML file",
    description="Add a device that a document describes.",
    options=[DOMAIN, _FILE, PERSISTENT, *IMPACT],
)
def attach_device(shell: Shell, args: Arguments) -> bool:
    return _from_file(shell, args, "attach")


@command(
    "detach-device",
    group="domain",
    help="detach device from an XML file",
    description="Remove the device that a document describes.",
    options=[DOMAIN, _FILE, PERSISTENT, *IMPACT],
)
def detach_device(shell: Shell, args: Arguments) -> bool:
    return _from_file(shell, args, "detach")


def _aliases(shell: Shell, args: Arguments) -> Sequence[str]:
    """Aliases of the domain's devices."""
    return [str(name.get("name")) for name in devices(shell.domain(args), "*/alias[@name]")]


@command(
    "detach-device-alias",
    group="domain",
    help="detach device from an alias",
    description="Remove the device of an alias.",
    options=[DOMAIN, data("alias", "device alias", completer=_aliases), *IMPACT],
)
def detach_device_alias(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain, name = shell.domain(args), args.require("alias")
    with shell.failing(f"Failed to detach device with alias {name}"):
        domain.detach_device_alias(name, flags)
    shell.extra("Device detach request sent successfully\n")
    return True


@command(
    "update-device",
    group="domain",
    help="update device from an XML file",
    description="Change a device to what a document says.",
    options=[DOMAIN, _FILE, PERSISTENT, *IMPACT, flag("force", "force device update")],
)
def update_device(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainDeviceModifyFlags

    flags = device_impact(args)
    domain, path = shell.domain(args), args.require("file")
    if "persistent" in args and domain.is_active():
        flags |= LIVE
    xml = read_file(path)
    if "force" in args:
        flags |= DomainDeviceModifyFlags.FORCE
    with shell.failing(f"Failed to update device from {path}"):
        domain.update_device(xml, flags)
    shell.extra("Device updated successfully\n")
    return True


# -- memory modules


@command(
    "update-memory-device",
    group="domain",
    help="update memory device of a domain",
    description="Change how much of a memory device a guest is asked to use.",
    options=[
        ACTIVE,
        *IMPACT,
        flag("print-xml", "print updated memory device XML instead of executing the change"),
        string("alias", "memory device alias", unwanted_positional=True, completer=_aliases),
        integer("node", "memory device target node", unwanted_positional=True),
        integer(
            "requested-size",
            "new value of <requested/> size, as scaled integer (default KiB)",
            unwanted_positional=True,
        ),
    ],
)
def update_memory_device(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    from virt_shell.numbers import UINT, ULONG

    flags = impact(args)
    args.exclusive("node", "alias")
    domain = shell.domain(args)
    name, node = args.get("alias"), args.number("node", *UINT)
    found = [
        device
        for device in devices(domain, "memory", inactive=flags == CONFIG)
        if (name is None or device.find(f"alias[@name='{name}']") is not None)
        and (node is None or device.findtext("target/node") == str(node))
    ]
    if not found:
        raise CommandError("no memory device found")
    if len(found) > 1:
        raise CommandError("multiple memory devices found, use --alias or --node to select one")
    size = args.scaled("requested-size", 1024, ULONG[1])
    if size is not None:
        requested = found[0].find("target/requested")
        if requested is None:
            raise CommandError("virtio-mem device is missing <requested/>")
        requested.text = str(-(-size // 1024))
        requested.set("unit", "KiB")
    xml = etree.tostring(found[0], encoding="unicode", with_tail=False)
    if "print-xml" in args:
        shell.out(xml)
        return True
    domain.update_device(xml, flags)
    return True


# -- the cable of an interface


@command(
    "domif-setlink",
    group="domain",
    help="set link state of a virtual interface",
    description="Plug the cable of a network interface in or out.",
    options=[
        DOMAIN,
        data("interface", "interface device (MAC Address)", completer=interfaces),
        data("state", "new state of the device", completer=among("up", "down")),
        alias("persistent", "config"),
        flag("config", "affect next boot"),
        flag("print-xml", "print XML document rather than set the interface link state"),
    ],
)
def domif_setlink(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    domain = shell.domain(args)
    name, state = args.require("interface"), args.require("state")
    if state not in ("up", "down"):
        raise CommandError(f"invalid link state '{state}'")
    candidates = devices(domain, "interface", inactive="config" in args)
    if not candidates:
        raise CommandError("Failed to extract interface information or no interfaces found")
    found = _interface(candidates, name)
    link = found.find("link")
    if link is None:
        link = etree.SubElement(found, "link")
    link.set("state", state)
    xml = etree.tostring(found, encoding="unicode", with_tail=False)
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing("Failed to update interface link state"):
        domain.update_device(xml, CONFIG if "config" in args or not domain.is_active() else LIVE)
    shell.extra("Device updated successfully\n")
    return True


def _interface(candidates: list[etree._Element], name: str) -> etree._Element:
    """The interface of a target name or MAC address, whatever its case."""
    matching = []
    for candidate in candidates:
        for child, attribute in (("mac", "address"), ("target", "dev")):
            element = candidate.find(child)
            if element is not None and (element.get(attribute) or "").lower() == name.lower():
                matching.append(candidate)
                break
    if not matching:
        raise CommandError(f"interface '{name}' not found")
    if len(matching) > 1:
        raise CommandError(f"multiple interfaces match '{name}'")
    return matching[0]


# -- detaching by what a device is called


@command(
    "detach-disk",
    group="domain",
    help="detach disk device",
    description="Remove a disk.",
    options=[
        DOMAIN,
        data("target", "target of disk device", completer=disk_targets),
        PERSISTENT,
        *IMPACT,
        flag("print-xml", "print XML document rather than detach the disk"),
    ],
)
def detach_disk(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    from virt_shell.media import find_disk

    flags = device_impact(args)
    target = args.require("target")
    domain = shell.domain(args)
    inactive = bool(flags & CONFIG) or not domain.is_active()
    disk = find_disk(devices(domain, "disk", inactive=inactive), target, changeable=False)
    xml = etree.tostring(disk, encoding="unicode", with_tail=False)
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing("Failed to detach disk"):
        change_device(domain, args, domain.detach_device, xml, flags)
    shell.extra("Disk detached successfully\n")
    return True


@command(
    "detach-interface",
    group="domain",
    help="detach network interface",
    description="Remove a network interface.",
    options=[
        DOMAIN,
        data("type", "network interface type"),
        string("mac", "MAC address", unwanted_positional=True),
        PERSISTENT,
        *IMPACT,
        flag("print-xml", "print XML document rather than detach the interface"),
    ],
)
def detach_interface(shell: Shell, args: Arguments) -> bool:
    flags = device_impact(args)
    kind, mac = args.require("type"), args.get("mac")
    domain = shell.domain(args)
    if "persistent" in args or not flags:
        done = _detach_everywhere(shell, args, domain, kind, mac, flags)
    else:
        done = _detach_interface(shell, args, domain, kind, mac, flags)
    if done and "print-xml" not in args:
        shell.extra("Interface detached successfully\n")
    return done


def _detach_everywhere(shell: Shell, args: Arguments, domain: Domain, kind: str, mac: str | None, flags: int) -> bool:
    """With ``--persistent`` the running guest first, then its definition; without any option what is there."""
    if "persistent" in args and domain.is_active():
        if not _detach_interface(shell, args, domain, kind, mac, LIVE):
            return False
        if "print-xml" in args:
            return True
        return _detach_interface(shell, args, domain, kind, mac, CONFIG)
    return _detach_interface(shell, args, domain, kind, mac, flags)


def _detach_interface(shell: Shell, args: Arguments, domain: Domain, kind: str, mac: str | None, flags: int) -> bool:
    from lxml import etree

    inactive = bool(flags & CONFIG) or not domain.is_active()
    try:
        found = _of_type(devices(domain, "interface", inactive=inactive), kind, mac)
    except CommandError as wrong:
        shell.error(str(wrong))
        raise CommandError("Failed to detach interface") from None
    xml = etree.tostring(found, encoding="unicode", with_tail=False)
    if "print-xml" in args:
        shell.out(xml)
        return True
    with shell.failing("Failed to detach interface"):
        domain.detach_device(xml, flags if flags or "current" in args else LIVE)
    return True


def _of_type(candidates: list[etree._Element], kind: str, mac: str | None) -> etree._Element:
    found = [candidate for candidate in candidates if candidate.get("type") == kind]
    if not found:
        raise CommandError(f"No interface found whose type is {kind}")
    if mac is None:
        if len(found) > 1:
            raise CommandError(f"Domain has {len(found)} interfaces. Please specify which one to detach using --mac")
        return found[0]
    matching = []
    for candidate in found:
        address = candidate.find("mac")
        if address is not None and (address.get("address") or "").lower() == mac.lower():
            matching.append(candidate)
    if not matching:
        raise CommandError(f"No interface with MAC address {mac} was found")
    if len(matching) > 1:
        raise CommandError(
            f"Domain has multiple interfaces matching MAC address {mac}. "
            "You must use detach-device and specify the device pci address to remove it."
        )
    return matching[0]
