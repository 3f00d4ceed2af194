"""Commands that watch the devices of domains: disks, interfaces, memory, the clock."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, alias, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import ACTIVE, DOMAIN, IMPACT, LIVE, devices, disk_targets, impact, interfaces
from virt_shell.numbers import INT, LLONG, pretty_capacity
from virt_shell.shell import Shell
from virt_shell.table import Table
from virt_shell.text import pick, typed_value
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml import etree

    from virtcore.operations.values import BlockInfo

_INACTIVE = flag("inactive", "get inactive rather than running configuration")
_DISK = string("device", "block device", positional=True, completer=disk_targets)


# -- disks


@command(
    "domblkerror",
    group="monitor",
    help="Show errors on block devices",
    description="Print the disks whose I/O is stopped by an error.",
    options=[ACTIVE],
)
def domblkerror(shell: Shell, args: Arguments) -> bool:
    names = ("no error", "unspecified error", "no space")
    errors = shell.domain(args).disk_errors()
    for failing in errors:
        shell.out(f"{failing.disk}: {pick(names, failing.error, 'unknown error')}\n")
    if not errors:
        shell.out("No errors found\n")
    return True


def _sizes(info: BlockInfo | None, human: bool) -> tuple[str, str, str]:
    """Capacity, allocation and physical size."""
    if info is None or not any((info.capacity, info.allocation, info.physical)):
        return "-", "-", "-"
    show = pretty_capacity if human else str
    return show(info.capacity), show(info.allocation), show(info.physical)


@command(
    "domblkinfo",
    group="monitor",
    help="domain block device size information",
    description="Print the sizes of a disk, or of all disks.",
    options=[
        DOMAIN,
        _DISK,
        flag("human", "Human readable output"),
        flag("all", "display all block devices info"),
    ],
)
def domblkinfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import ErrorDomain, InternalError

    args.exclusive("all", "device")
    domain = shell.domain(args)
    device = args.get("device")
    if device is None and "all" not in args:
        raise CommandError("command 'domblkinfo' requires <device> option")
    human = "human" in args
    if device is not None:
        rows = zip(("Capacity:", "Allocation:", "Physical:"), _sizes(domain.block_info(device), human), strict=True)
        shell.out("".join(f"{label:<15} {size}\n" for label, size in rows))
        return True
    active = domain.is_active()
    table = Table("Target", "Capacity", "Allocation", "Physical")
    for disk in devices(domain, "disk"):
        target, source = _attribute(disk, "target", "dev") or "", disk.find("source")
        info = None
        if source is not None:
            try:
                info = domain.block_info(target)
            except InternalError as problem:
                # The size of a network disk is not known while the guest is off.
                if active or source.get("protocol") is None or problem.domain != ErrorDomain.STORAGE:
                    raise
        table.add(target, *_sizes(info, human))
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "domblklist",
    group="monitor",
    help="list all domain blocks",
    description="Print the disks of a domain.",
    options=[DOMAIN, _INACTIVE, flag("details", "additionally display the type and device value")],
)
def domblklist(shell: Shell, args: Arguments) -> bool:
    details = "details" in args
    table = Table("Type", "Device", "Target", "Source") if details else Table("Target", "Source")
    for disk in devices(shell.domain(args), "disk", inactive="inactive" in args):
        target = _attribute(disk, "target", "dev")
        if target is None:
            raise CommandError("unable to query block list")
        cells = [target, _disk_source(disk) or "-"]
        table.add(*([disk.get("type", ""), disk.get("device", "disk")] if details else []), *cells)
    shell.out(table.render(header=not shell.quiet))
    return True


def _disk_source(disk: etree._Element) -> str | None:
    source = disk.find("source")
    if source is None:
        return None
    if disk.get("type") == "nvme":
        address = source.find("address")
        namespace = source.get("namespace")
        if address is None or namespace is None:
            raise CommandError("Unable to query NVMe disk address")
        parts = {name: int(address.get(name, "0"), 0) for name in ("domain", "bus", "slot", "function")}
        return "nvme://{domain:04x}:{bus:02x}:{slot:02x}.{function}/".format(**parts) + namespace
    names = {"file", "dev", "dir", "name", "volume", "path"}
    return next((str(value) for name, value in source.attrib.items() if name in names), None)


#: name of the value -> what it was called before, and what it means
_COUNTERS = {
    "rd_operations": ("rd_req", "number of read operations:"),
    "rd_bytes": ("rd_bytes", "number of bytes read:"),
    "wr_operations": ("wr_req", "number of write operations:"),
    "wr_bytes": ("wr_bytes", "number of bytes written:"),
    "errs": ("errs", "error count:"),
    "flush_operations": ("flush_operations", "number of flush operations:"),
    "rd_total_times": ("rd_total_times", "total duration of reads (ns):"),
    "wr_total_times": ("wr_total_times", "total duration of writes (ns):"),
    "flush_total_times": ("flush_total_times", "total duration of flushes (ns):"),
}


@command(
    "domblkstat",
    group="monitor",
    help="get device block stats for a domain",
    description="Print the counters of a disk of a running domain, or of all disks together.",
    options=[
        ACTIVE,
        string("device", "block device", positional=True, allow_empty=True, completer=disk_targets),
        flag("human", "print a more human readable output"),
    ],
)
def domblkstat(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    device, human = args.get("device") or "", "human" in args
    with shell.failing(f"Failed to get block stats for domain '{name}' device '{device}'"):
        rows = {field: typed_value(kind, value) for field, kind, value in domain.block_stats(device).rows()}
    if human:
        shell.out(f"Device: {device}\n")
        device = ""
    for field, (legacy, meaning) in _COUNTERS.items():
        value = rows.pop(field, None)
        if value is not None:
            shell.out(f"{device} {meaning:<31} {value}\n" if human else f"{device} {legacy} {value}\n")
    shell.out("".join(f"{device} {field} {value}\n" for field, value in rows.items()))
    return True


# -- interfaces


@command(
    "domiflist",
    group="monitor",
    help="list all domain virtual interfaces",
    description="Print the network interfaces of a domain.",
    options=[DOMAIN, _INACTIVE],
)
def domiflist(shell: Shell, args: Arguments) -> bool:
    table = Table("Interface", "Type", "Source", "Model", "MAC")
    names = {"bridge", "dev", "network", "name", "path"}
    for interface in devices(shell.domain(args), "interface", inactive="inactive" in args):
        source = interface.find("source")
        attributes = source.attrib.items() if source is not None else ()
        table.add(
            _attribute(interface, "target", "dev") or "-",
            interface.get("type", ""),
            next((str(value) for name, value in attributes if name in names), "-"),
            _attribute(interface, "model", "type") or "-",
            _attribute(interface, "mac", "address") or "-",
        )
    shell.out(table.render(header=not shell.quiet))
    return True


def _attribute(element: etree._Element, child: str, name: str) -> str | None:
    found = element.find(child)
    return found.get(name) if found is not None else None


@command(
    "domif-getlink",
    group="monitor",
    help="get link state of a virtual interface",
    description="Print whether the cable of a network interface is plugged in.",
    options=[
        DOMAIN,
        data("interface", "interface device (MAC Address)", completer=interfaces),
        alias("persistent", "config"),
        flag("config", "Get persistent interface state"),
    ],
)
def domif_getlink(shell: Shell, args: Arguments) -> bool:
    name = args.require("interface")
    interface = find_interface(devices(shell.domain(args), "interface", inactive="config" in args), name)
    shell.out(f"{name} {_attribute(interface, 'link', 'state') or 'up'}")
    return True


def find_interface(candidates: list[etree._Element], name: str) -> etree._Element:
    """The interface of a target name or MAC address.

    :raises CommandError: there is none, or more than one.
    """
    from virtcore.xml.scalars import read_mac

    try:
        mac = read_mac(name)
    except ValueError:
        mac = ""
    found = [
        candidate
        for candidate in candidates
        if _attribute(candidate, "target", "dev") == name or (mac and _attribute(candidate, "mac", "address") == mac)
    ]
    if not found:
        raise CommandError(f"Interface (mac: {mac}) not found." if mac else f"Interface (dev: {name}) not found.")
    if len(found) > 1:
        raise CommandError("multiple matching interfaces found")
    return found[0]


@command(
    "domifstat",
    group="monitor",
    help="get network interface stats for a domain",
    description="Print the counters of a network interface of a running domain.",
    options=[
        ACTIVE,
        data("interface", "interface device specified by name or MAC Address", completer=interfaces),
    ],
)
def domifstat(shell: Shell, args: Arguments) -> bool:
    domain, name = shell.domain(args), args.require("domain")
    device = args.require("interface")
    with shell.failing(f"Failed to get interface stats {name} {device}"):
        counters = domain.interface_stats(device)
    for field, value in counters._asdict().items():
        if value >= 0:
            shell.out(f"{device} {field} {value}\n")
    return True


_SOURCES = ("lease", "agent", "arp")


@command(
    "domifaddr",
    group="monitor",
    help="Get network interfaces' addresses for a running domain",
    description="Print the addresses of a running domain's network interfaces.",
    options=[
        ACTIVE,
        string("interface", "network interface name", positional=True, completer=interfaces),
        flag("full", "always display names and MACs of interfaces"),
        string(
            "source", "address source: 'lease', 'agent', or 'arp'", unwanted_positional=True, completer=among(*_SOURCES)
        ),
    ],
)
def domifaddr(shell: Shell, args: Arguments) -> bool:
    only, source = args.get("interface"), args.get("source")
    if source is not None and source not in _SOURCES:
        raise CommandError(f"Unknown data source '{source}'")
    domain = shell.domain(args)
    with shell.failing("Failed to query for interfaces addresses"):
        found = domain.interface_addresses(_SOURCES.index(source) if source is not None else 0)
    shell.extra(f" {'Name':<10} {'MAC address':<20} {'Protocol':<8}     Address\n{'-' * 79}\n")
    for interface in found:
        if only is not None and only != interface.name:
            continue
        if not interface.addrs:
            shell.out(f" {interface.name:<10} {interface.hwaddr or 'N/A':<17}    {'N/A':<12} N/A\n")
        for index, address in enumerate(interface.addrs):
            name, mac = (interface.name, interface.hwaddr or "") if "full" in args or not index else ("-", "-")
            kind = "ipv6" if address.type == 1 else "ipv4"
            shell.out(f" {name:<10} {mac:<17}    {kind:<12} {address.addr}/{address.prefix}\n")
    return True


# -- memory and the clock

#: name of the DomainMemoryStatTags member -> how it is printed, where that differs
_MEMORY = {"ACTUAL_BALLOON": "actual"}


@command(
    "dommemstat",
    group="monitor",
    help="get memory statistics for a domain",
    description="Print what a running domain's balloon tells of its memory, or set how often it tells.",
    options=[ACTIVE, integer("period", "period in seconds to set collection"), *IMPACT],
)
def dommemstat(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain, name = shell.domain(args), args.require("domain")
    period = args.number("period", *INT)
    if period is not None:
        if not flags and "current" not in args and domain.is_active():
            flags |= LIVE
        if period < 0:
            raise CommandError(f"Invalid collection period value '{period}'")
        with shell.failing("Unable to change balloon collection period."):
            domain.set_memory_stats_period(period, flags)
        return True
    with shell.failing(f"Failed to get memory statistics for domain {name}"):
        values = domain.memory_stats()
    for tag, value in values.items():
        shell.out(f"{_MEMORY.get(tag.name, tag.name.lower())} {value}\n")
    return True


@command(
    "domtime",
    group="monitor",
    help="domain time",
    description="Print or set the time of a running domain's clock, through its agent.",
    options=[
        ACTIVE,
        flag("now", "set to the time of the host running virsh"),
        flag("pretty", "print domain's time in human readable form"),
        flag("sync", "instead of setting given time, synchronize from domain's RTC"),
        integer("time", "time to set", unwanted_positional=True),
    ],
)
def domtime(shell: Shell, args: Arguments) -> bool:
    import time

    from virtcore.enums import DomainSetTimeFlags

    for first, second in (("time", "now"), ("time", "sync"), ("now", "sync")):
        args.exclusive(first, second)
    domain = shell.domain(args)
    seconds = args.number("time", *LLONG)
    if seconds is None and "now" not in args and "sync" not in args:
        seconds = domain.time().seconds
        shell.out(f"Time: {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(seconds)) if 'pretty' in args else seconds}")
        return True
    if "now" in args:
        seconds = int(time.time())
    domain.set_time(seconds or 0, 0, args.flags(DomainSetTimeFlags, {"sync": "SYNC"}))
    return True
