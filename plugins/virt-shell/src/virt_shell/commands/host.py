"""Commands about the host and the hypervisor."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.numbers import INT, LLONG, cpu_list, cpu_mask
from virt_shell.objects import XPATH
from virt_shell.shell import Shell
from virt_shell.text import select_xpath


@command(
    "capabilities",
    group="host",
    help="capabilities",
    description="Print what host and hypervisor can do.",
    options=[*XPATH],
)
def capabilities(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get capabilities"):
        xml = shell.connection.capabilities()
    shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
    return True


@command(
    "domcapabilities",
    group="host",
    help="domain capabilities",
    description="Print what guests of an emulator, architecture and machine type may have.",
    options=[
        string("virttype", "virtualization type (/domain/@type)", unwanted_positional=True),
        string("emulatorbin", "path to emulator binary (/domain/devices/emulator)", unwanted_positional=True),
        string("arch", "domain architecture (/domain/os/type/@arch)", unwanted_positional=True),
        string("machine", "machine type (/domain/os/type/@machine)", unwanted_positional=True),
        *XPATH,
        flag("disable-deprecated-features", "report host CPU model with deprecated features disabled"),
    ],
)
def domcapabilities(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import ConnectGetDomainCapabilitiesFlags as Flags

    flags = Flags.DISABLE_DEPRECATED_FEATURES if "disable-deprecated-features" in args else Flags(0)
    with shell.failing("failed to get emulator capabilities"):
        xml = shell.connection.domain_capabilities(
            args.get("emulatorbin"), args.get("arch"), args.get("machine"), args.get("virttype"), flags
        )
    shell.out(select_xpath(xml, args.get("xpath"), wrap="wrap" in args))
    return True


@command("hostname", group="host", help="print the hypervisor hostname")
def hostname(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get hostname"):
        shell.out(shell.connection.hostname() + "\n")
    return True


@command(
    "maxvcpus",
    group="host",
    help="connection vcpu maximum",
    description="Print the most virtual CPUs a guest of a domain type may have.",
    options=[string("type", "domain type", unwanted_positional=True)],
)
def maxvcpus(shell: Shell, args: Arguments) -> bool:
    from lxml import etree

    from virtcore.errors import VirtError

    kind = args.get("type")
    most = None
    try:
        vcpu = etree.fromstring(shell.connection.domain_capabilities(None, None, None, kind).encode()).find("vcpu")
        most = vcpu.get("max") if vcpu is not None else None
    except VirtError as problem:
        shell.note(problem)  # not every driver can tell so much
    shell.out(f"{most if most is not None else shell.connection.max_vcpus(kind)}\n")
    return True


_SUSPEND_TARGETS = ("mem", "disk", "hybrid")


@command(
    "nodesuspend",
    group="host",
    help="suspend the host node for a given time duration",
    description="Send the host to sleep for some time.",
    options=[
        data(
            "target",
            "mem(Suspend-to-RAM), disk(Suspend-to-Disk), hybrid(Hybrid-Suspend)",
            completer=among(*_SUSPEND_TARGETS),
        ),
        integer("duration", "Suspend duration in seconds, at least 60", required=True, positional=True),
    ],
)
def nodesuspend(shell: Shell, args: Arguments) -> bool:
    target = args.require("target")
    duration = args.number("duration", *LLONG) or 0
    if target not in _SUSPEND_TARGETS:
        raise CommandError("Invalid target")
    if duration < 0:
        raise CommandError("Invalid duration")
    with shell.failing("The host was not suspended"):
        shell.connection.node_suspend(_SUSPEND_TARGETS.index(target), duration)
    return True


@command(
    "nodecpumap",
    group="host",
    help="node cpu map",
    description="Print how many CPUs the host has, and which are online.",
    options=[flag("pretty", "return human readable output")],
)
def nodecpumap(shell: Shell, args: Arguments) -> bool:
    with shell.failing("Unable to get cpu map"):
        found = shell.connection.node_cpu_map()
    shell.out(f"{'CPUs present:':<15} {found.present}\n{'CPUs online:':<15} {found.online}\n")
    shown = cpu_list(found.cpumap, found.present) if "pretty" in args else cpu_mask(found.cpumap, found.present)
    shell.out(f"{'CPU map:':<15} {shown}\n")
    return True


#: name of the counter -> how it is printed
_CPU_TIMES = {"user": "user:", "kernel": "system:", "idle": "idle:", "iowait": "iowait:", "intr": "intr:"}


@command(
    "nodecpustats",
    group="host",
    help="Prints cpu stats of the node.",
    description="Print how long the host's CPUs did what, in nanoseconds.",
    options=[
        integer("cpu", "prints specified cpu statistics only.", unwanted_positional=True),
        flag("percent", "prints by percentage during 1 second."),
    ],
)
def nodecpustats(shell: Shell, args: Arguments) -> bool:
    import time

    cpu = args.number("cpu", *INT)
    number = -1 if cpu is None else cpu
    with shell.failing("Unable to get number of cpu stats"):
        first = shell.connection.node_cpu_stats(number)
    if "percent" not in args:
        rows = [f"{label:<15} {first[name]:>20}\n" for name, label in _CPU_TIMES.items() if name in first]
        shell.out("".join(rows))
        return True
    if "utilization" in first:
        used = first["utilization"]
        shell.out(f"{'usage:':<15} {used:>5}%\n{'idle:':<15} {100 - used:>5}%\n")
        return True
    if not first:
        return True
    time.sleep(1)
    with shell.failing("Unable to get node cpu stats"):
        second = shell.connection.node_cpu_stats(number)
    spent = {name: second[name] - first[name] for name in _CPU_TIMES if name in first and name in second}
    total = sum(spent.values())

    def share(label: str, part: int) -> str:
        # Where nothing was counted there is no share; C prints it like this.
        return f"{label:<15} {f'{part / total * 100:.1f}' if total else '-nan':>5}%\n"

    shell.out(share("usage:", spent.get("user", 0) + spent.get("kernel", 0)))
    shell.out("".join(share(label, spent[name]) for name, label in _CPU_TIMES.items() if name in spent))
    return True


@command("nodeinfo", group="host", help="node information", description="Print CPUs and memory of the host.")
def nodeinfo(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get node information"):
        info = shell.connection.node_info()
    rows = [("CPU model:", info.model), ("CPU(s):", info.cpus)]
    if info.mhz:
        rows.append(("CPU frequency:", f"{info.mhz} MHz"))
    rows += [
        ("CPU socket(s):", info.sockets),
        ("Core(s) per socket:", info.cores),
        ("Thread(s) per core:", info.threads),
        ("NUMA cell(s):", info.nodes),
        ("Memory size:", f"{info.memory} KiB"),
    ]
    shell.out("".join(f"{label:<20} {value}\n" for label, value in rows))
    return True


@command("sysinfo", group="host", help="print the hypervisor sysinfo")
def sysinfo(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get sysinfo"):
        shell.out(shell.connection.sysinfo())
    return True


@command("uri", group="host", help="print the hypervisor canonical URI")
def uri(shell: Shell, args: Arguments) -> bool:
    with shell.failing("failed to get URI"):
        shell.out(shell.connection.uri() + "\n")
    return True


def _dotted(version: int) -> str:
    return f"{version // 1000000}.{version // 1000 % 1000}.{version % 1000}"


@command(
    "version",
    group="host",
    help="show version",
    description="Print the versions of library and hypervisor.",
    options=[flag("daemon", "report daemon version too")],
)
def version(shell: Shell, args: Arguments) -> bool:
    import virtcore
    from virtcore.errors import NoSupport

    with shell.failing("failed to get hypervisor type"):
        kind = shell.connection.type()
    ours = _dotted(virtcore.LIBVIRT_VERSION)
    shell.out(f"Compiled against library: libvirt {ours}\n")
    shell.out(f"Using library: libvirt {ours}\n")
    shell.out(f"Using API: {kind} {ours}\n")
    try:
        with shell.failing("failed to get the hypervisor version"):
            running = shell.connection.version()
    except Exception as problem:
        if not isinstance(problem.__cause__, NoSupport):
            raise
    else:
        if running:
            shell.out(f"Running hypervisor: {kind} {_dotted(running)}\n")
        else:
            shell.out(f"Cannot extract running {kind} hypervisor version\n")
    if "daemon" in args:
        with shell.failing("failed to get the daemon version"):
            shell.out(f"Running against daemon: {_dotted(shell.connection.lib_version())}\n")
    return True
