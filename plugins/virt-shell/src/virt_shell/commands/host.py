"""Commands about the host and the hypervisor."""

from __future__ import annotations

from virt_shell.command import Arguments, command, flag, string
from virt_shell.shell import Shell
from virt_shell.text import select_xpath

_XPATH = string("xpath", "xpath expression to filter the XML document")
_WRAP = flag("wrap", "wrap xpath results in an common root element")


@command(
    "capabilities",
    group="host",
    help="capabilities",
    description="Print what host and hypervisor can do.",
    options=[_XPATH, _WRAP],
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
        _XPATH,
        _WRAP,
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
    shell.out(f"{shell.connection.max_vcpus(args.get('type'))}\n")
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
