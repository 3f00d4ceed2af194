"""Commands that change how much memory a domain has."""

from __future__ import annotations

from virt_shell.command import Arguments, CommandError, alias, command, integer, string
from virt_shell.completion import among
from virt_shell.domains import ACTIVE, DOMAIN, IMPACT, impact, impact_live
from virt_shell.numbers import INT, LLONG
from virt_shell.shell import Shell

#: DomainMemoryModFlags.MAXIMUM
_MAXIMUM = 4


def _kib(args: Arguments) -> int:
    """The size asked for, in KiB."""
    return -(-(args.scaled("size", 1024, LLONG[1] // 1024 * 1024) or 0) // 1024)


@command(
    "setmem",
    group="domain",
    help="change memory allocation",
    description="Set how much memory a domain has now.",
    options=[
        DOMAIN,
        alias("kilobytes", "size"),
        integer("size", "new memory size, as scaled integer (default KiB)", required=True, positional=True),
        *IMPACT,
    ],
)
def setmem(shell: Shell, args: Arguments) -> bool:
    flags = impact_live(args)
    domain = shell.domain(args)
    domain.set_memory(_kib(args), flags)
    return True


@command(
    "setmaxmem",
    group="domain",
    help="change maximum memory limit",
    description="Set how much memory a domain may have.",
    options=[
        DOMAIN,
        alias("kilobytes", "size"),
        integer("size", "new maximum memory size, as scaled integer (default KiB)", required=True, positional=True),
        *IMPACT,
    ],
)
def setmaxmem(shell: Shell, args: Arguments) -> bool:
    flags = impact(args)
    domain = shell.domain(args)
    size = _kib(args)
    with shell.failing("Unable to change MaxMemorySize"):
        domain.set_memory(size, flags | _MAXIMUM)
    return True


#: In the order of the numbers of DomainDirtyRateCalcFlags.
_MODES = ("page-sampling", "dirty-bitmap", "dirty-ring")


@command(
    "domdirtyrate-calc",
    group="domain",
    help="Calculate a vm's memory dirty rate",
    description="Begin to measure how fast a guest changes its memory; domstats --dirtyrate tells the result.",
    options=[
        ACTIVE,
        integer(
            "seconds",
            "calculate memory dirty rate within specified seconds, the supported value range from 1 to 60,"
            " default to 1.",
            unwanted_positional=True,
        ),
        string(
            "mode",
            "dirty page rate calculation mode, either of these 3 options 'page-sampling, dirty-bitmap, dirty-ring'"
            " can be specified.",
            unwanted_positional=True,
            completer=among(*_MODES),
        ),
    ],
)
def domdirtyrate_calc(shell: Shell, args: Arguments) -> bool:
    domain = shell.domain(args)
    seconds = args.number("seconds", *INT)
    mode = args.get("mode")
    if mode is not None and mode not in _MODES:
        raise CommandError(f"Unknown calculation mode '{mode}'")
    domain.start_dirty_rate_calc(1 if seconds is None else seconds, 0 if mode is None else _MODES.index(mode))
    shell.extra("Start to calculate domain's memory dirty rate successfully.\n")
    return True
