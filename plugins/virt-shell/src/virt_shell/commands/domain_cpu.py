"""Commands on a domain's virtual CPUs: how many, where they run, how long they ran."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, command, data, flag, integer, string
from virt_shell.cpus import host_cpus, parse_cpulist
from virt_shell.domains import ACTIVE, CONFIG, DOMAIN, IMPACT, LIVE, impact, impact_live
from virt_shell.numbers import INT, UINT, cpu_list, cpu_mask
from virt_shell.shell import Shell
from virt_shell.table import Table

#: DomainVcpuFlags beside those of what is affected.
_MAXIMUM, _GUEST, _HOTPLUGGABLE = 4, 8, 16

_CPULIST = string(
    "cpulist", "host cpu number(s) to set, or omit option to query", unwanted_positional=True, allow_empty=True
)


@command(
    "vcpucount",
    group="domain",
    help="domain vcpu counts",
    description="Print how many virtual CPUs a domain has and may have.",
    options=[
        DOMAIN,
        flag("maximum", "get maximum count of vcpus"),
        flag("active", "get number of currently active vcpus"),
        flag("live", "get value from running domain"),
        flag("config", "get value to be used on next boot"),
        flag("current", "get value according to current domain state"),
        flag("guest", "retrieve vcpu count from the guest instead of the hypervisor"),
    ],
)
def vcpucount(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import InvalidArg, NoSupport

    options = ("maximum", "active", "current", "config", "live", "guest")
    for first, second in (
        ("live", "config"),
        ("live", "current"),
        ("config", "current"),
        ("active", "maximum"),
        ("guest", "config"),
    ):
        args.exclusive(first, second)
    domain = shell.domain(args)
    if not any(option in args for option in options):
        for what, bits in (("maximum", _MAXIMUM), ("current", 0)):
            for where, affected in (("config", CONFIG), ("live", LIVE)):
                if not (domain.is_active() if affected == LIVE else domain.is_persistent()):
                    continue
                shell.out(f"{what:<12} {where:<12} {domain.vcpus_count(bits | affected):>3}\n")
        return True
    flags = impact(args) | (_MAXIMUM if "maximum" in args else 0) | (_GUEST if "guest" in args else 0)
    failed = "current vcpu count"
    if flags & _MAXIMUM:
        failed = "maximum vcpu count"
    elif flags & _GUEST:
        failed = "vCPU count from the guest"
    try:
        shell.out(f"{domain.vcpus_count(flags)}\n")
    except (NoSupport, InvalidArg) as problem:
        raise CommandError(f"Failed to retrieve {failed}") from problem
    return True


_STATES = ("offline", "running", "blocked")


@command(
    "vcpuinfo",
    group="domain",
    help="detailed domain vcpu information",
    description="Print where a domain's virtual CPUs are and how long they ran.",
    options=[DOMAIN, flag("pretty", "return human readable output")],
)
def vcpuinfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import OperationInvalid

    domain = shell.domain(args)
    count = host_cpus(shell)

    def affinity(cpus: frozenset[int]) -> str:
        return f"{cpu_list(cpus, count)} (out of {count})" if "pretty" in args else cpu_mask(cpus, count)

    blocks = []
    try:
        for cpu in domain.vcpus():
            state = _STATES[cpu.state] if 0 <= cpu.state < len(_STATES) else "no state"
            where = str(cpu.cpu) if cpu.cpu >= 0 else {-1: "N/A", -2: "N/A"}.get(cpu.cpu, "N/A")
            time = f"{'CPU time:':<15} {cpu.cpu_time / 1e9:.1f}s\n" if cpu.cpu_time else ""
            blocks.append(
                f"{'VCPU:':<15} {cpu.number}\n{'CPU:':<15} {where}\n{'State:':<15} {state}\n{time}"
                f"{'CPU Affinity:':<15} {affinity(cpu.cpumap)}\n"
            )
    except OperationInvalid:
        if domain.is_active():
            raise
        # While it is off there is where they may be.
        for number, cpus in enumerate(domain.vcpu_pin_info(CONFIG)):
            blocks.append(
                f"{'VCPU:':<15} {number}\n{'CPU:':<15} N/A\n{'State:':<15} N/A\n{'CPU time':<15} N/A\n"
                f"{'CPU Affinity:':<15} {affinity(cpus)}\n"
            )
    shell.out("\n".join(blocks))
    return True


@command(
    "vcpupin",
    group="domain",
    help="control or query domain vcpu affinity",
    description="Print or set which host CPUs virtual CPUs may be on.",
    options=[DOMAIN, integer("vcpu", "vcpu number", unwanted_positional=True), _CPULIST, *IMPACT],
)
def vcpupin(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    vcpu = args.number("vcpu", *UINT)
    text = args.get("cpulist")
    if text is not None and vcpu is None:
        raise CommandError("vcpupin: Missing vCPU number in pin mode.")
    domain = shell.domain(args)
    if text is None:
        return _show_pinning(shell, args, vcpu, flags)
    domain.pin_vcpu(vcpu or 0, parse_cpulist(shell, text), impact_live(args))
    return True


def _show_pinning(shell: Shell, args: Arguments, vcpu: int | None, flags: int) -> bool:
    domain = shell.domain(args)
    pinned = domain.vcpu_pin_info(flags)
    if vcpu is not None and vcpu >= len(pinned):
        live = flags == LIVE or (not flags & CONFIG and domain.is_active())
        kind = "live" if live else "persistent"
        raise CommandError(f"vcpu {vcpu} is out of range of {kind} cpu count {len(pinned)}")
    table = Table("VCPU", "CPU Affinity")
    count = host_cpus(shell)
    for number, cpus in enumerate(pinned):
        if vcpu in (None, number):
            table.add(str(number), cpu_list(cpus, count))
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "emulatorpin",
    group="domain",
    help="control or query domain emulator affinity",
    description="Print or set which host CPUs a domain's emulator may be on.",
    options=[DOMAIN, _CPULIST, *IMPACT],
)
def emulatorpin(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    text = args.get("cpulist")
    if text is not None:
        domain.pin_emulator(parse_cpulist(shell, text), impact_live(args))
        return True
    cpus = domain.emulator_pin_info(flags)
    shell.extra(f"emulator: CPU Affinity\n{'-' * 34}\n")
    shell.out(f"       *: {cpu_list(cpus, host_cpus(shell))}\n")
    return True


@command(
    "setvcpus",
    group="domain",
    help="change number of virtual CPUs",
    description="Set how many virtual CPUs a domain has, or may have.",
    options=[
        DOMAIN,
        integer("count", "number of virtual CPUs", required=True, positional=True),
        flag("maximum", "set maximum limit on next boot"),
        *IMPACT,
        flag("guest", "modify cpu state in the guest"),
        flag("hotpluggable", "make added vcpus hot(un)pluggable"),
    ],
)
def setvcpus(shell: Shell, args: Arguments) -> bool:
    for first, second in (("current", "live"), ("current", "config"), ("guest", "config")):
        args.exclusive(first, second)
    args.needs("maximum", "config")
    flags = impact(args)
    for option, bits in (("guest", _GUEST), ("hotpluggable", _HOTPLUGGABLE), ("maximum", _MAXIMUM)):
        if option in args:
            flags |= bits
    domain = shell.domain(args)
    count = args.number("count", *UINT) or 0
    if not count:
        raise CommandError("Can't set 0 processors for a VM")
    domain.set_vcpus(count, flags if flags or "current" in args else LIVE)
    return True


def _switched(args: Arguments) -> bool:
    """Whether ``--enable`` rather than ``--disable`` was given.

    :raises CommandError: both, or none.
    """
    args.exclusive("enable", "disable")
    if "enable" not in args and "disable" not in args:
        raise CommandError("one of --enable, --disable is required")
    return "enable" in args


@command(
    "setvcpu",
    group="domain",
    help="attach/detach vcpu or groups of threads",
    description="Plug or unplug certain virtual CPUs of a domain.",
    options=[
        DOMAIN,
        data("vcpulist", "ids of vcpus to manipulate"),
        flag("enable", "enable cpus specified by cpumap"),
        flag("disable", "disable cpus specified by cpumap"),
        *IMPACT,
    ],
)
def setvcpu(shell: Shell, args: Arguments) -> bool:
    args.exclusive("enable", "disable")
    flags = impact(args)
    enable = _switched(args)
    domain = shell.domain(args)
    domain.set_vcpu(args.require("vcpulist"), enable, flags)
    return True


@command(
    "guestvcpus",
    group="domain",
    help="query or modify state of vcpu in the guest (via agent)",
    description="Print which CPUs the guest itself uses, or have it use them or not.",
    options=[
        ACTIVE,
        string("cpulist", "list of cpus to enable or disable", unwanted_positional=True),
        flag("enable", "enable cpus specified by cpulist"),
        flag("disable", "disable cpus specified by cpulist"),
    ],
)
def guestvcpus(shell: Shell, args: Arguments) -> bool:
    from virt_shell.text import typed_value

    args.exclusive("enable", "disable")
    args.needs("enable", "cpulist")
    args.needs("disable", "cpulist")
    cpus = args.get("cpulist")
    if cpus is not None and "enable" not in args and "disable" not in args:
        raise CommandError("One of options --enable or --disable is required by option --cpulist")
    domain = shell.domain(args)
    if cpus is not None:
        domain.set_guest_vcpus(cpus, "enable" in args)
        return True
    for name, kind, value in domain.guest_vcpus().rows():
        shell.out(f"{name:<15}: {typed_value(kind, value)}\n")
    return True


@command(
    "cpu-stats",
    group="domain",
    help="show domain cpu statistics",
    description="Print how much host CPU time a domain used, on each CPU and in all.",
    options=[
        ACTIVE,
        flag("total", "Show total statistics only"),
        integer("start", "Show statistics from this CPU", unwanted_positional=True),
        integer("count", "Number of shown CPUs at most", unwanted_positional=True),
    ],
)
def cpu_stats(shell: Shell, args: Arguments) -> bool:
    from virt_shell.text import typed_value
    from virtcore.enums import TypedParameterType

    domain = shell.domain(args)
    total_only = "total" in args
    start, count = args.number("start", *INT), args.number("count", *INT)
    if start is not None and start < 0:
        raise CommandError("Invalid value for start CPU")
    if count is not None and count < 0:
        raise CommandError("Invalid value for number of CPUs to show")
    show_total = total_only or (start is None and count is None)
    show_each = not total_only

    def rows(params: object, names: tuple[str, ...]) -> None:
        for name, kind, value in params.rows():  # type: ignore[attr-defined]
            if kind == TypedParameterType.ULLONG and name in names:
                shell.out(f"\t{name:<12} {value // 10**9:>9}.{value % 10**9:09} seconds\n")
            else:
                shell.out(f"\t{name:<12} {typed_value(kind, value)}\n")

    with shell.failing(f"Failed to retrieve CPU statistics for domain '{domain.name}'"):
        if show_each:
            first = start or 0
            wanted = count if count is not None else 2**31 - 1
            for index, params in enumerate(domain.cpu_stats(first, min(wanted, host_cpus(shell) - first))):
                if len(params):
                    shell.out(f"CPU{first + index}:\n")
                    rows(params, ("cpu_time", "vcpu_time"))
        if show_total:
            totals = domain.cpu_stats(-1, 1)
            if totals:
                shell.out("Total:\n")
                rows(totals[0], ("cpu_time", "user_time", "system_time"))
            else:
                shell.out("No total stats available\n")
    return True
