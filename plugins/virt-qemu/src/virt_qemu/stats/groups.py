"""The groups of bulk statistics, in the order and with the fields of ``virConnectGetAllDomainStats``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virt_host.cgroup.group import CpuTimes
from virt_qemu.stats.asking import Question
from virt_qemu.stats.blocks import add_blocks
from virt_qemu.stats.interfaces import add_interfaces
from virt_qemu.stats.threads import cpu_times, resident, thread_times
from virtcore.driver.toolkit.configuration.memory import has_balloon
from virtcore.driver.toolkit.configuration.vcpus import online
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain import VcpuState
from virtcore.enums.domain_more import DomainMemoryStatTags as Tag, DomainStatsTypes as Group
from virtcore.model.domain.domain import VirtType
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["GROUPS", "Sources", "add_live", "balloon_question", "memory_tags", "questions", "total_times"]

GROUPS = (
    Group.STATE
    | Group.CPU_TOTAL
    | Group.BALLOON
    | Group.VCPU
    | Group.INTERFACE
    | Group.BLOCK
    | Group.PERF
    | Group.IOTHREAD
    | Group.MEMORY
    | Group.DIRTYRATE
    | Group.VM
)


class _Memory(NamedTuple):
    """A row of a balloon's statistics: QEMU's name, how many of its units are one of ours, libvirt's tag and name."""

    stat: str
    unit: int
    tag: Tag
    name: str


_MEMORY = (
    _Memory("stat-swap-in", 1024, Tag.SWAP_IN, "swap_in"),
    _Memory("stat-swap-out", 1024, Tag.SWAP_OUT, "swap_out"),
    _Memory("stat-major-faults", 1, Tag.MAJOR_FAULT, "major_fault"),
    _Memory("stat-minor-faults", 1, Tag.MINOR_FAULT, "minor_fault"),
    _Memory("stat-free-memory", 1024, Tag.UNUSED, "unused"),
    _Memory("stat-total-memory", 1024, Tag.AVAILABLE, "available"),
    _Memory("stat-available-memory", 1024, Tag.USABLE, "usable"),
    _Memory("last-update", 1, Tag.LAST_UPDATE, "last-update"),
    _Memory("stat-disk-caches", 1024, Tag.DISK_CACHES, "disk_caches"),
    _Memory("stat-htlb-pgalloc", 1, Tag.HUGETLB_PGALLOC, "hugetlb_pgalloc"),
    _Memory("stat-htlb-pgfail", 1, Tag.HUGETLB_PGFAIL, "hugetlb_pgfail"),
)
#: What a guest that has not told a value has for it.
_UNKNOWN = 0xFFFF_FFFF_FFFF_FFFF
_SUFFIXES = {"cumulative": "sum", "instant": "cur", "peak": "max"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What statistics of one running guest are made of.

    :ivar answers: QEMU's, by question.
    :ivar backing: disks with their backing images.
    """

    obj: DomainObject
    guest: Guest
    domain: Domain
    pid: int
    answers: Mapping[str, object]
    backing: bool


def balloon_question(domain: Domain) -> Question | None:
    """What a balloon's statistics are asked with; None where there is none."""
    if not has_balloon(domain):
        return None
    assert domain.devices is not None
    assert domain.devices.memballoon is not None
    path = f"/machine/peripheral/{domain.devices.memballoon.alias}"
    return Question("guest-stats", "qom-get", {"path": path, "property": "guest-stats"})


def questions(domain: Domain, guest: Guest, groups: int) -> Iterator[Question]:
    """What QEMU is asked for some groups: at most six questions of an ordinary guest."""
    accelerated = domain.type is VirtType.KVM
    balloon = balloon_question(domain)
    if groups & Group.BALLOON and balloon is not None:
        yield balloon
    if groups & Group.BLOCK:
        yield Question("blockstats", "query-blockstats")
        yield Question("nodes", "query-named-block-nodes", {"flat": True})
    if groups & Group.IOTHREAD and (domain.iothreads or domain.iothread_ids):
        yield Question("iothreads", "query-iothreads")
    if groups & Group.DIRTYRATE and guest.dirty_rate:
        yield Question("dirty-rate", "query-dirty-rate")
    # Only an accelerator counts what these tell.
    if accelerated and groups & (Group.CPU_TOTAL | Group.VCPU):
        yield Question("vcpu-stats", "query-stats", {"target": "vcpu"})
    if accelerated and groups & Group.VM:
        yield Question("vm-stats", "query-stats", {"target": "vm"})
    if accelerated and groups & (Group.VCPU | Group.VM) and "schemas" not in guest.last:
        yield Question("schemas", "query-stats-schemas")


def add_live(sources: Sources, groups: int, rows: TypedParameters) -> None:
    """Add the groups of a running guest."""
    for group, add in _GROUPS:
        if groups & group:
            add(sources, rows)


def _add_state(sources: Sources, rows: TypedParameters) -> None:
    rows.add("state.state", Kind.INT, int(sources.obj.state))
    rows.add("state.reason", Kind.INT, int(sources.obj.reason))


def _add_cpu(sources: Sources, rows: TypedParameters) -> None:
    for name, value in total_times(sources.guest, sources.pid)._asdict().items():
        rows.add(f"cpu.{name}", Kind.ULLONG, value)
    rows.add("cpu.cache.monitor.count", Kind.UINT, 0)
    each = _stats_of_each(sources.answers.get("vcpu-stats"))
    for name in ("success", "fail"):
        spent = sum(_number(stats.get(f"halt_poll_{name}_ns")) or 0 for stats in each)
        rows.add(f"cpu.haltpoll.{name}.time", Kind.ULLONG, spent)


def total_times(guest: Guest, pid: int) -> CpuTimes:
    """CPU time of a guest: what its control group counts, else what its process does."""
    if guest.group is not None and guest.group.has("cpuacct"):
        return guest.group.cpu_times()
    user, system = cpu_times(pid)
    return CpuTimes(user + system, user, system)


def memory_tags(answer: object) -> Iterator[tuple[Tag, str, int]]:
    """A balloon's statistics that the guest has told, with their tags and names."""
    stats = answer.get("stats") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(stats, dict):
        return
    for row in _MEMORY:
        value = _number(answer.get(row.stat) if row.stat == "last-update" else stats.get(row.stat))
        if value is not None and value != _UNKNOWN:
            yield row.tag, row.name, value // row.unit


def _add_balloon(sources: Sources, rows: TypedParameters) -> None:
    domain = sources.domain
    current = domain.current_memory if has_balloon(domain) else None
    rows.add("balloon.current", Kind.ULLONG, domain.memory_total if current is None else current)
    rows.add("balloon.maximum", Kind.ULLONG, domain.memory_total)
    for _, name, value in memory_tags(sources.answers.get("guest-stats")):
        rows.add(f"balloon.{name}", Kind.ULLONG, value)
    rows.add("balloon.rss", Kind.ULLONG, resident(sources.pid))


def _add_vcpus(sources: Sources, rows: TypedParameters) -> None:
    domain = sources.domain
    present = sorted(online(domain))
    rows.add("vcpu.current", Kind.UINT, len(present))
    rows.add("vcpu.maximum", Kind.UINT, domain.vcpu_maximum)
    # QEMU tells of its virtual CPUs in the order of their numbers.
    counted = _stats_of_each(sources.answers.get("vcpu-stats"))
    for place, number in enumerate(present):
        thread = sources.guest.threads.get(number)
        if thread is None:
            continue
        times = thread_times(sources.pid, thread)
        rows.add(f"vcpu.{number}.state", Kind.INT, int(VcpuState.RUNNING))
        rows.add(f"vcpu.{number}.time", Kind.ULLONG, times.time)
        rows.add(f"vcpu.{number}.wait", Kind.ULLONG, times.wait)
        rows.add(f"vcpu.{number}.delay", Kind.ULLONG, times.delay)
        if place < len(counted):
            _add_counted(sources, "vcpu", f"vcpu.{number}", counted[place], rows)


def _add_net(sources: Sources, rows: TypedParameters) -> None:
    add_interfaces(sources.domain, rows)


def _add_block(sources: Sources, rows: TypedParameters) -> None:
    add_blocks(sources.domain, sources.answers.get("blockstats"), sources.answers.get("nodes"), sources.backing, rows)


def _add_perf(sources: Sources, rows: TypedParameters) -> None:
    for name, value in sources.guest.perf.read():
        rows.add(f"perf.{name}", Kind.ULLONG, value)


def _add_iothreads(sources: Sources, rows: TypedParameters) -> None:
    answer = sources.answers.get("iothreads")
    threads = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    numbered = [(str(row.get("id", "")).removeprefix("iothread"), row) for row in threads]
    known = [(number, row) for number, row in numbered if number.isdecimal()]
    if not known:
        return
    rows.add("iothread.count", Kind.UINT, len(known))
    for number, row in known:
        for name, kind in (("poll-max-ns", Kind.ULLONG), ("poll-grow", Kind.UINT), ("poll-shrink", Kind.UINT)):
            value = _number(row.get(name))
            if value is not None:
                rows.add(f"iothread.{number}.{name}", kind, value)


#: What QEMU says of a measurement -> libvirt's ``virDomainDirtyRateStatus``.
_MEASURING = {"unstarted": 0, "measuring": 1, "measured": 2}


def _add_dirty_rate(sources: Sources, rows: TypedParameters) -> None:
    answer = sources.answers.get("dirty-rate")
    told = answer if isinstance(answer, dict) else {}
    status = _MEASURING.get(str(told.get("status")), 0)
    mode = str(told.get("mode", "page-sampling"))
    rows.add("dirtyrate.calc_status", Kind.INT, status)
    rows.add("dirtyrate.calc_start_time", Kind.LLONG, _number(told.get("start-time")) or 0)
    rows.add("dirtyrate.calc_period", Kind.INT, _number(told.get("calc-time")) or 0)
    rows.add("dirtyrate.calc_mode", Kind.STRING, mode)
    if status != _MEASURING["measured"]:
        return
    rows.add("dirtyrate.megabytes_per_second", Kind.LLONG, _number(told.get("dirty-rate")) or 0)
    each = told.get("vcpu-dirty-rate")
    for row in each if mode == "dirty-ring" and isinstance(each, list) else ():
        if isinstance(row, dict):
            name = f"dirtyrate.vcpu.{_number(row.get('id')) or 0}.megabytes_per_second"
            rows.add(name, Kind.ULLONG, _number(row.get("dirty-rate")) or 0)


def _add_vm(sources: Sources, rows: TypedParameters) -> None:
    for stats in _stats_of_each(sources.answers.get("vm-stats")):
        _add_counted(sources, "vm", "vm", stats, rows)


def _add_nothing(sources: Sources, rows: TypedParameters) -> None:
    """No monitors of memory bandwidth are made: there is none to tell of."""


def _add_counted(
    sources: Sources, target: str, prefix: str, stats: Mapping[str, object], rows: TypedParameters
) -> None:
    """What an accelerator counts, each with the suffix that says how."""
    kinds = _kinds(sources.guest.last.get("schemas"), target)
    for name, value in stats.items():
        suffix = _SUFFIXES.get(kinds.get(name, ""))
        if suffix is None:
            continue
        if isinstance(value, bool):
            rows.add(f"{prefix}.{name}.{suffix}", Kind.BOOLEAN, value)
        elif isinstance(value, int):
            rows.add(f"{prefix}.{name}.{suffix}", Kind.ULLONG, value)


def _kinds(schemas: object, target: str) -> dict[str, str]:
    """How each value of a target is counted, from what ``query-stats-schemas`` says."""
    found = {}
    for schema in schemas if isinstance(schemas, list) else ():
        if isinstance(schema, dict) and schema.get("target") == target:
            for row in schema.get("stats", ()):
                found[str(row.get("name"))] = str(row.get("type"))
    return found


def _stats_of_each(answer: object) -> list[dict[str, object]]:
    """What ``query-stats`` says, one table an object."""
    return [
        {str(row["name"]): row.get("value") for row in entry.get("stats", ())}
        for entry in (answer if isinstance(answer, list) else ())
        if isinstance(entry, dict)
    ]


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_GROUPS = (
    (Group.STATE, _add_state),
    (Group.CPU_TOTAL, _add_cpu),
    (Group.BALLOON, _add_balloon),
    (Group.VCPU, _add_vcpus),
    (Group.INTERFACE, _add_net),
    (Group.BLOCK, _add_block),
    (Group.PERF, _add_perf),
    (Group.IOTHREAD, _add_iothreads),
    (Group.MEMORY, _add_nothing),
    (Group.DIRTYRATE, _add_dirty_rate),
    (Group.VM, _add_vm),
)
