"""Commands on the job that a domain has: how far it is, and ending it."""

from __future__ import annotations

from virt_shell.command import Arguments, command, flag
from virt_shell.domains import ACTIVE
from virt_shell.numbers import pretty_capacity
from virt_shell.shell import Shell
from virt_shell.text import event_value, pick

_TYPES = ("None", "Bounded", "Unbounded", "Completed", "Failed", "Cancelled")
_NONE, _BOUNDED, _UNBOUNDED, _COMPLETED = 0, 1, 2, 3
_OPERATIONS = (
    *("Unknown", "Start", "Save", "Restore", "Incoming migration", "Outgoing migration", "Snapshot"),
    *("Snapshot revert", "Dump", "Backup", "Snapshot delete"),
)


#: Groups of lines: where one of the first three values is not 0, they and what follows are printed.
_AMOUNTS = (
    ("Data", "data", ()),
    (
        "Memory",
        "memory",
        (
            ("Memory bandwidth:", "memory_bps", "speed"),
            ("Dirty rate:", "memory_dirty_rate", "12 pages/s"),
            ("Page size:", "memory_page_size", "12 bytes"),
            ("Iteration:", "memory_iteration", "12"),
            ("Postcopy requests:", "memory_postcopy_requests", "12"),
        ),
    ),
    ("File", "disk", (("File bandwidth:", "disk_bps", "speed"),)),
)
#: Lines printed where there is the value. A number is its width; what the downtime is depends on the job's end.
_LINES = (
    ("Constant pages:", "memory_constant", "12"),
    ("Normal pages:", "memory_normal", "12"),
    ("Normal data:", "memory_normal_bytes", "size"),
    ("{downtime}:", "downtime", "12 ms"),
    ("Downtime w/o network:", "downtime_net", "12 ms"),
    ("Setup time:", "setup_time", "12 ms"),
    ("Compression cache:", "compression_cache", "size"),
    ("Compressed data:", "compression_bytes", "size"),
    ("Compressed pages:", "compression_pages", "13"),
    ("Compression cache misses:", "compression_cache_misses", "13"),
    ("Compression overflows:", "compression_overflow", "13"),
    ("Auto converge throttle:", "auto_converge_throttle", "13"),
    ("Temporary disk space use:", "disk_temp_used", "size"),
    ("Temporary disk space total:", "disk_temp_total", "size"),
)


def _shown(value: int, how: str) -> str:
    if how == "size":
        return pretty_capacity(value)
    if how == "speed":
        return f"{pretty_capacity(value)}/s"
    width, _, unit = how.partition(" ")
    return f"{value:<{width}}" + (f" {unit}" if unit else "")


@command(
    "domjobinfo",
    group="domain",
    help="domain job information",
    description="Print how far a domain's job is, or how its last one went.",
    options=[
        ACTIVE,
        flag("completed", "return statistics of a recently completed job"),
        flag("keep-completed", "don't destroy statistics of a recently completed job when reading"),
        flag("anystats", "print statistics for any kind of job (even failed ones)"),
        flag("rawstats", "print the raw data returned by libvirt"),
    ],
)
def domjobinfo(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainGetJobStatsFlags

    args.needs("keep-completed", "completed")
    table = {"completed": "COMPLETED", "keep-completed": "KEEP_COMPLETED"}
    job = shell.domain(args).job_stats(args.flags(DomainGetJobStatsFlags, table))
    if "rawstats" in args:
        shell.out(f"Job type: {int(job.type)}\n\n")
        shell.out("".join(f"{name}: {event_value(value)}\n" for name, _, value in job.params.rows()))
        return True

    def line(label: str, value: str) -> None:
        shell.out(f"{label:<17} {value}\n")

    values = {name: value for name, _, value in job.params.rows() if isinstance(value, int)}
    kind = int(job.type)
    line("Job type:", f"{pick(_TYPES, kind, 'unknown'):<12}")
    if kind == _NONE:
        return True
    line("Operation:", f"{pick(_OPERATIONS, values.get('operation', 0), 'unknown'):<12}")
    running = kind in (_BOUNDED, _UNBOUNDED)
    if not (running or "anystats" in args or ("completed" in args and kind == _COMPLETED)):
        return True
    line("Time elapsed:", f"{values.get('time_elapsed', 0):<12} ms")
    if "time_elapsed_net" in values:
        line("Time elapsed w/o network:", f"{values['time_elapsed_net']:<12} ms")
    if kind == _BOUNDED:
        line("Time remaining:", f"{values.get('time_remaining', 0):<12} ms")
    for label, prefix, further in _AMOUNTS:
        amounts = {part: values.get(f"{prefix}_{part}", 0) for part in ("processed", "remaining", "total")}
        if not any(amounts.values()):
            continue
        for part, value in amounts.items():
            line(f"{label} {part}:", pretty_capacity(value))
        for text, name, how in further:
            if name in values and (how != "speed" or values[name]):
                line(text, _shown(values[name], how))
    downtime = "Total downtime" if kind == _COMPLETED else "Expected downtime"
    for text, name, how in _LINES:
        if name in values:
            line(text.format(downtime=downtime), _shown(values[name], how))
    message = job.params.get("errmsg")
    if message is not None:
        line("Error message:", str(message))
    return True


@command(
    "domjobabort",
    group="domain",
    help="abort active domain job",
    description="End a domain's job; what it began is rolled back.",
    options=[ACTIVE, flag("postcopy", "interrupt post-copy migration")],
)
def domjobabort(shell: Shell, args: Arguments) -> bool:
    from virtcore.enums import DomainAbortJobFlags

    domain = shell.domain(args)
    domain.abort_job(args.flags(DomainAbortJobFlags, {"postcopy": "POSTCOPY"}))
    return True
