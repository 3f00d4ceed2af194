"""Commands that show and set limits and settings of a domain: memory, CPU time, disks, interfaces."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, argv, command, data, flag, integer, string
from virt_shell.completion import among
from virt_shell.domains import CONFIG, DOMAIN, IMPACT, LIVE, disk_targets, impact, interfaces
from virt_shell.numbers import INT, LLONG, UINT, ULONG, parse_size
from virt_shell.shell import Shell
from virt_shell.text import typed_value
from virt_shell.tuning import IO_OPTIONS, io_limits, print_parameters, rate_parameters, tuning, with_old_names
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters, TypedValue

#: "No limit" of a memory parameter, KiB.
_UNLIMITED = 9007199254740991


def _kinds() -> type[TypedParameterType]:
    from virtcore.enums import TypedParameterType

    return TypedParameterType


# -- memory

_MEMORY = ("hard-limit", "soft-limit", "swap-hard-limit", "min-guarantee")
_MEMORY_HELP = ("Max memory", "Memory during contention", "Max memory plus swap", "Min guaranteed memory")


def _memory_limits(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    for option in _MEMORY:
        text = args.get(option)
        if text is None:
            continue
        if text.lstrip().startswith("-") and text.strip()[1:].isdigit():
            value = _UNLIMITED  # any negative number
        else:
            size = parse_size(text, f"Unable to parse integer parameter {option}", unit=1024, limit=LLONG[1])
            value = -(-size // 1024)
        params.add(option.replace("-", "_"), _kinds().ULLONG, value)


tuning(
    "memtune",
    help="Get or set memory parameters",
    description="Print or set the memory limits of a domain.",
    module=__name__,
    options=[
        integer(name, f"{text}, as scaled integer (default KiB)", unwanted_positional=True)
        for name, text in zip(_MEMORY, _MEMORY_HELP, strict=True)
    ],
    read=_memory_limits,
    get=lambda domain, args, flags: domain.memory_parameters(flags),
    set=lambda domain, args, params, flags: domain.set_memory_parameters(params, flags),
    what="memory parameters",
    unreadable="memory parameters",
    unchanged="Unable to change memory parameters",
    show=lambda name, kind, value: "unlimited" if value == _UNLIMITED else typed_value(kind, value),
)

_NUMA_MODES = ("strict", "preferred", "interleave", "restrictive")


def _numa(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    nodeset, mode = args.get("nodeset"), args.get("mode")
    if nodeset is not None:
        params.add("numa_nodeset", _kinds().STRING, nodeset)
    if mode is not None:
        if mode.isascii() and mode.isdigit():
            number = int(mode)
        elif mode in _NUMA_MODES:
            number = _NUMA_MODES.index(mode)
        else:
            raise CommandError(f"Invalid mode: {mode}")
        params.add("numa_mode", _kinds().INT, number)


def _numa_value(name: str, kind: TypedParameterType, value: TypedValue) -> str:
    if name == "numa_mode" and isinstance(value, int) and 0 <= value < len(_NUMA_MODES):
        return _NUMA_MODES[value]
    return typed_value(kind, value)


tuning(
    "numatune",
    help="Get or set numa parameters",
    description="Print or set where on the host a domain's memory is.",
    module=__name__,
    options=[
        string(
            "mode",
            "NUMA mode, one of strict, preferred, interleave and restrictive \n"
            "or a number from the virDomainNumatuneMemMode enum",
            unwanted_positional=True,
            completer=among(*_NUMA_MODES),
        ),
        string("nodeset", "NUMA node selections to set", unwanted_positional=True),
    ],
    read=_numa,
    get=lambda domain, args, flags: domain.numa_parameters(flags),
    set=lambda domain, args, params, flags: domain.set_numa_parameters(params, flags),
    what="memory parameters",
    unreadable="numa parameters",
    unchanged="Unable to change numa parameters",
    show=_numa_value,
)


# -- CPU time


def _wanted(args: Arguments) -> dict[str, str]:
    """Scheduler parameters as they were given."""
    given: dict[str, str] = {}
    for option in ("weight", "cap"):
        value = args.number(option, *INT)
        if value is not None:
            given[option] = str(value)
    for word in args.words("set"):
        name, equals, value_text = word.partition("=")
        if not equals:
            raise CommandError("Invalid syntax for --set, expecting name=value")
        given[name] = value_text
    return given


def _scheduler_update(known: TypedParameters, given: dict[str, str]) -> TypedParameters:
    """What is given, in the types of what is known.

    :raises CommandError: there is no such parameter.
    """
    from virtcore.types import TypedParameters

    update = TypedParameters()
    for name, kind, _ in known.rows():
        if name in given:
            update.add(name, kind, _typed(name, kind, given.pop(name)))
    if given:
        raise CommandError(f"invalid scheduler option: {next(iter(given))}")
    return update


def _typed(name: str, kind: TypedParameterType, text: str) -> TypedValue:
    """A value in a parameter's type.

    :raises InvalidArg: it does not fit.
    """
    from virtcore.errors import InvalidArg

    kinds = _kinds()
    words = {
        kinds.INT: ("int", INT),
        kinds.UINT: ("unsigned int", UINT),
        kinds.LLONG: ("long long", LLONG),
        kinds.ULLONG: ("unsigned long long", ULONG),
    }
    if kind == kinds.STRING:
        return text
    if kind == kinds.BOOLEAN:
        if text not in ("0", "1"):
            raise InvalidArg(f"Invalid boolean value for field '{name}'")
        return text == "1"
    if kind == kinds.DOUBLE:
        try:
            return float(text)
        except ValueError:
            raise InvalidArg(f"Invalid value for field '{name}': expected double") from None
    what, (low, high) = words[kind]
    body = text.strip().removeprefix("-").removeprefix("+")
    if not (body.isascii() and body.isdigit()):
        raise InvalidArg(f"Invalid value for field '{name}': expected {what}")
    value = int(text)
    if value < 0 and low == 0:
        value += high + 1  # a negative number stands for the largest ones, as in C
    if not low <= value <= high:
        raise InvalidArg(f"Invalid value for field '{name}': expected {what}")
    return value


@command(
    "schedinfo",
    group="domain",
    help="show/set scheduler parameters",
    description="Print or set a domain's shares and limits of CPU time.",
    options=[
        DOMAIN,
        integer("weight", "weight for XEN_CREDIT"),
        integer("cap", "cap for XEN_CREDIT"),
        flag("current", "get/set current scheduler info"),
        flag("config", "get/set value to be used on next boot"),
        flag("live", "get/set value from running domain"),
        argv("set", "parameter=value"),
    ],
)
def schedinfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.errors import VirtError

    flags = impact(args)
    domain = shell.domain(args)
    try:
        kind = domain.scheduler_type()
    except VirtError as problem:
        shell.out(f"{'Scheduler':<15}: Unknown\n")
        raise CommandError("") from problem
    shell.out(f"{'Scheduler':<15}: {kind.type}\n")
    if not kind.nparams:
        return True
    known = domain.scheduler_parameters(flags)
    update = _scheduler_update(known, _wanted(args))
    if len(update):
        domain.set_scheduler_parameters(update, flags)
        known = domain.scheduler_parameters(flags)
    elif flags == LIVE | CONFIG:
        raise CommandError("cannot query both live and config at once")
    print_parameters(shell, known)
    return True


# -- disks

_BLKIO = {
    "device-weights": ("device_weight", "per-device IO Weights, in the form of /path/to/device,weight,..."),
    "device-read-iops-sec": (
        "device_read_iops_sec",
        "per-device read I/O limit per second, in the form of /path/to/device,read_iops_sec,...",
    ),
    "device-write-iops-sec": (
        "device_write_iops_sec",
        "per-device write I/O limit per second, in the form of /path/to/device,write_iops_sec,...",
    ),
    "device-read-bytes-sec": (
        "device_read_bytes_sec",
        "per-device bytes read per second, in the form of /path/to/device,read_bytes_sec,...",
    ),
    "device-write-bytes-sec": (
        "device_write_bytes_sec",
        "per-device bytes wrote per second, in the form of /path/to/device,write_bytes_sec,...",
    ),
}


def _text(args: Arguments, option: str, message: str) -> str | None:
    """The text of an option that has a message of its own for an empty one."""
    try:
        return args.get(option)
    except CommandError:
        raise CommandError(message) from None


def _blkio(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    weight = args.number("weight", *INT)
    if weight is not None:
        if weight <= 0:
            raise CommandError(f"Invalid value of {weight} for I/O weight")
        params.add("weight", _kinds().UINT, weight)
    for option, (name, _) in _BLKIO.items():
        value = _text(args, option, "Unable to parse string parameter")
        if value is not None:
            params.add(name, _kinds().STRING, value)


tuning(
    "blkiotune",
    help="Get or set blkio parameters",
    description="Print or set the weights and limits of a domain's I/O on host devices.",
    module=__name__,
    options=[
        integer("weight", "IO Weight", unwanted_positional=True),
        *(string(option, help, unwanted_positional=True) for option, (_, help) in _BLKIO.items()),
    ],
    read=_blkio,
    get=lambda domain, args, flags: domain.blkio_parameters(flags),
    set=lambda domain, args, params, flags: domain.set_blkio_parameters(params, flags),
    what="blkio parameters",
    unreadable="blkio parameters",
    unchanged="Unable to change blkio parameters",
)


def _disk_limits(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    io_limits(shell, args, params)
    group = _text(args, "group-name", "Unable to parse group-name parameter")
    if group is not None:
        params.add("group_name", _kinds().STRING, group)


tuning(
    "blkdeviotune",
    help="Set or query a block device I/O tuning parameters.",
    description="Print or set the limits of a disk's I/O.",
    module=__name__,
    target=[data("device", "block device", completer=disk_targets)],
    options=[
        *with_old_names([string("group-name", "group name to share I/O quota between multiple drives")]),
        *IO_OPTIONS,
    ],
    read=_disk_limits,
    get=lambda domain, args, flags: domain.block_iotune(args.require("device"), flags),
    set=lambda domain, args, params, flags: domain.set_block_iotune(args.require("device"), params, flags),
    what="block I/O throttle parameters",
    unreadable="block I/O throttle parameters",
    unchanged="Unable to change block I/O throttle",
)


# -- interfaces


def _bandwidth(shell: Shell, args: Arguments, params: TypedParameters) -> None:
    for direction in ("inbound", "outbound"):
        text = args.get(direction)
        if text is not None:
            for name, value in rate_parameters(direction, text):
                params.add(name, _kinds().UINT, value)


tuning(
    "domiftune",
    help="get/set parameters of a virtual interface",
    description="Print or set the limits of a network interface's bandwidth.",
    module=__name__,
    target=[data("interface", "interface device (MAC Address)", completer=interfaces)],
    options=[
        string("inbound", "control domain's incoming traffics", unwanted_positional=True),
        string("outbound", "control domain's outgoing traffics", unwanted_positional=True),
    ],
    read=_bandwidth,
    get=lambda domain, args, flags: domain.interface_parameters(args.require("interface"), flags),
    set=lambda domain, args, params, flags: domain.set_interface_parameters(args.require("interface"), params, flags),
    what="interface parameters",
    unreadable="interface parameters",
    unchanged="Unable to set interface parameters",
)


# -- performance events


def _shown_event(name: str, kind: TypedParameterType, value: TypedValue) -> str:
    return "enabled" if value else "disabled"


@command(
    "perf",
    group="domain",
    help="Get or set perf event",
    description="Print which performance events of a domain are counted, or set it.",
    options=[
        DOMAIN,
        string("enable", "perf events which will be enabled", unwanted_positional=True),
        string("disable", "perf events which will be disabled", unwanted_positional=True),
        *IMPACT,
    ],
)
def perf(shell: Shell, args: Arguments) -> bool:
    from virtcore.types import TypedParameters

    flags = impact(args)
    enable, disable = args.get("enable"), args.get("disable")
    domain = shell.domain(args)
    params = TypedParameters()
    for names, state in ((enable, True), (disable, False)):
        for name in names.split(",") if names is not None else ():
            params.add(name, _kinds().BOOLEAN, state)
    if len(params):
        with shell.failing("Unable to enable/disable perf events"):
            domain.set_perf_events(params, flags)
    else:
        with shell.failing("Unable to get perf events"):
            params = domain.perf_events(flags)
    print_parameters(shell, params, _shown_event)
    return True
