"""Commands on a domain's I/O threads."""

from __future__ import annotations

from collections.abc import Sequence

from virt_shell.command import Arguments, CommandError, Option, command, data, integer
from virt_shell.cpus import host_cpus, parse_cpulist
from virt_shell.domains import DOMAIN, IMPACT, impact
from virt_shell.numbers import INT, UINT, ULONG, cpu_list
from virt_shell.shell import Shell
from virt_shell.table import Table


def _threads(shell: Shell, args: Arguments) -> Sequence[str]:
    """Numbers of the domain's I/O threads."""
    return [str(thread.iothread_id) for thread in shell.domain(args).iothreads()]


def _option(name: str, help: str) -> Option:
    return integer(name, help, required=True, positional=True)._replace(completer=_threads)


def _number(args: Arguments, option: str) -> int:
    number = args.number(option, *INT) or 0
    if number <= 0:
        raise CommandError(f"Invalid IOThread id value: '{number}'")
    return number


@command(
    "iothreadinfo",
    group="domain",
    help="view domain IOThreads",
    description="Print a domain's I/O threads and the host CPUs they may be on.",
    options=[DOMAIN, *IMPACT],
)
def iothreadinfo(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    with shell.failing("Unable to get domain IOThreads information"):
        threads = domain.iothreads(flags)
    if not threads:
        shell.extra("No IOThreads found for the domain")
        return True
    table = Table("IOThread ID", "CPU Affinity")
    for thread in threads:
        table.add(str(thread.iothread_id), cpu_list(thread.cpumap, host_cpus(shell)))
    shell.out(table.render(header=not shell.quiet))
    return True


@command(
    "iothreadpin",
    group="domain",
    help="control domain IOThread affinity",
    description="Set which host CPUs an I/O thread may be on.",
    options=[DOMAIN, _option("iothread", "IOThread ID number"), data("cpulist", "host cpu number(s) to set"), *IMPACT],
)
def iothreadpin(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    number = args.number("iothread", *UINT) or 0
    domain.pin_iothread(number, parse_cpulist(shell, args.require("cpulist")), flags)
    return True


@command(
    "iothreadadd",
    group="domain",
    help="add an IOThread to the guest domain",
    description="Give a domain another I/O thread.",
    options=[DOMAIN, integer("id", "iothread for the new IOThread", required=True, positional=True), *IMPACT],
)
def iothreadadd(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    domain.add_iothread(_number(args, "id"), flags)
    return True


@command(
    "iothreaddel",
    group="domain",
    help="delete an IOThread from the guest domain",
    description="Remove an I/O thread that no device uses.",
    options=[DOMAIN, _option("id", "iothread_id for the IOThread to delete"), *IMPACT],
)
def iothreaddel(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    domain.del_iothread(_number(args, "id"), flags)
    return True


#: option -> help; those of the pool are signed.
_SETTINGS = {
    "poll-max-ns": "set the maximum IOThread polling time in ns",
    "poll-grow": "set the value to increase the IOThread polling time",
    "poll-shrink": "set the value for reduction of the IOThread polling time",
    "thread-pool-min": "lower boundary for worker thread pool",
    "thread-pool-max": "upper boundary for worker thread pool",
}


@command(
    "iothreadset",
    group="domain",
    help="modifies an existing IOThread of the guest domain",
    description="Set how an I/O thread polls and how many workers it has.",
    options=[
        DOMAIN,
        _option("id", "iothread id of existing IOThread"),
        *(integer(name, help, unwanted_positional=True) for name, help in _SETTINGS.items()),
        *IMPACT,
    ],
)
def iothreadset(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import TypedParameterType
    from virtcore.types import TypedParameters

    flags = impact(args)
    domain = shell.domain(args)
    number = _number(args, "id")
    params = TypedParameters()
    for option in _SETTINGS:
        name = option.replace("-", "_")
        if option.startswith("thread"):
            workers = args.number(option, *INT)
            if workers is not None:
                params.add(name, TypedParameterType.INT, workers)
            continue
        value = args.number(option, *ULONG)
        if value is not None:
            # Only the time needs 64 bits; servers without them for the factors are served too.
            wide = option == "poll-max-ns" or value > UINT[1]
            params.add(name, TypedParameterType.ULLONG if wide else TypedParameterType.UINT, value)
    if not len(params):
        raise CommandError("Not enough arguments passed, nothing to set")
    domain.set_iothread_parameters(number, params, flags)
    return True
