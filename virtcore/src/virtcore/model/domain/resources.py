"""What the guest may use of the host besides memory and CPU time: I/O limits, I/O threads, cgroup, identities."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.patterns import ABSOLUTE_PATH
from virtcore.xml import INT, UINT, ULONG, YES_NO, Codec, attribute, child, children, element, leaf

__all__ = [
    "BlkioDevice",
    "Blkiotune",
    "DefaultIOThread",
    "IDMap",
    "IDMapEntry",
    "IOThread",
    "IOThreadPoll",
    "Perf",
    "PerfEvent",
    "PerfEventName",
    "PowerManagement",
    "Resource",
    "ThrottleGroup",
]


@element("device", doc="I/O limits for one block device of the host.")
class BlkioDevice:
    path: str = leaf(required=True, missing="missing per-device path", code=ErrorCode.CONFIG_UNSUPPORTED)
    weight: int | None = leaf(
        codec=UINT, omit=0, invalid="could not parse weight {value}", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    read_iops_sec: int | None = leaf(
        codec=UINT, omit=0, invalid="could not parse read iops sec {value}", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    write_iops_sec: int | None = leaf(
        codec=UINT, omit=0, invalid="could not parse write iops sec {value}", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    read_bytes_sec: int | None = leaf(
        codec=ULONG, omit=0, invalid="could not parse read bytes sec {value}", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    write_bytes_sec: int | None = leaf(
        codec=ULONG, omit=0, invalid="could not parse write bytes sec {value}", code=ErrorCode.CONFIG_UNSUPPORTED
    )


def _read_weight(text: str) -> int:
    """libvirt passes over what it cannot read."""
    try:
        return UINT.read(text)
    except ValueError:
        return 0


_WEIGHT: Codec[int] = Codec(_read_weight, str, datatype=UINT.datatype)


@element("blkiotune", doc="Share of the host's block I/O.")
class Blkiotune:
    weight: int | None = leaf(codec=_WEIGHT, omit=0, doc="Relative weight, 100 to 1000.")
    devices: list[BlkioDevice] = children("device")


@element("poll", doc="Adaptive polling of an I/O thread.", since="9.4.0")
class IOThreadPoll:
    max: int | None = attribute(codec=ULONG, doc="Longest polling time, in ns.")
    grow: int | None = attribute(codec=ULONG, doc="Step up, in ns.")
    shrink: int | None = attribute(codec=ULONG, doc="Step down, in ns.")


@element("iothread", doc="A thread for disk I/O.", since="1.2.15")
class IOThread:
    id: int = attribute(codec=UINT, required=True, nonzero=True)
    thread_pool_min: int | None = attribute(codec=INT, minimum=0, doc="Fewest worker threads.", since="8.5.0")
    thread_pool_max: int | None = attribute(codec=INT, minimum=0, doc="Most worker threads.", since="8.5.0")
    poll: IOThreadPoll | None = child("poll")


@element("defaultiothread", doc="Worker threads of the emulator's main loop.", since="8.5.0")
class DefaultIOThread:
    thread_pool_min: int | None = attribute(codec=INT, minimum=0)
    thread_pool_max: int | None = attribute(codec=INT, minimum=0)


def _limit(doc: str = "", choice: str | None = None) -> int | None:
    """A throttling limit of a group: printed when not zero."""
    limit: int | None = leaf(
        codec=ULONG, omit=0, exclusive=choice, invalid="throttle group field '{name}' must be an integer", doc=doc
    )
    return limit


@element("throttlegroup", doc="I/O limits that several disks share.", since="11.2.0")
class ThrottleGroup:
    total_bytes_sec: int | None = _limit("Bytes per second.", choice="bytes/total")
    read_bytes_sec: int | None = _limit(choice="bytes/split")
    write_bytes_sec: int | None = _limit(choice="bytes/split")
    total_iops_sec: int | None = _limit("Operations per second.", choice="iops/total")
    read_iops_sec: int | None = _limit(choice="iops/split")
    write_iops_sec: int | None = _limit(choice="iops/split")
    total_bytes_sec_max: int | None = _limit("Bytes per second in a burst.", choice="bytes_max/total")
    read_bytes_sec_max: int | None = _limit(choice="bytes_max/split")
    write_bytes_sec_max: int | None = _limit(choice="bytes_max/split")
    total_iops_sec_max: int | None = _limit("Operations per second in a burst.", choice="iops_max/total")
    read_iops_sec_max: int | None = _limit(choice="iops_max/split")
    write_iops_sec_max: int | None = _limit(choice="iops_max/split")
    size_iops_sec: int | None = _limit("Bytes that count as one operation.")
    total_bytes_sec_max_length: int | None = _limit("Longest burst, in seconds.")
    read_bytes_sec_max_length: int | None = _limit()
    write_bytes_sec_max_length: int | None = _limit()
    total_iops_sec_max_length: int | None = _limit()
    read_iops_sec_max_length: int | None = _limit()
    write_iops_sec_max_length: int | None = _limit()
    group_name: str = leaf(required=True, missing="missing group name")


@element("resource", doc="Where the guest is accounted on the host.")
class Resource:
    partition: str | None = leaf(pattern=ABSOLUTE_PATH, doc="Resource partition (a cgroup path).")
    fibrechannel_appid: str | None = attribute(
        "appid",
        within="fibrechannel",
        blank=False,
        doc="Fibre Channel VMID, 1 to 128 printable characters.",
        since="7.7.0",
    )


_BAD_MAP = "invalid idmap start/target/count settings"


@element(None, doc="A range of container identities and what it is on the host.")
class IDMapEntry:
    start: int = attribute(codec=UINT, required=True, blank=False, missing=_BAD_MAP, invalid=_BAD_MAP)
    target: int = attribute(codec=UINT, required=True, blank=False, missing=_BAD_MAP, invalid=_BAD_MAP)
    count: int = attribute(codec=UINT, required=True, blank=False, missing=_BAD_MAP, invalid=_BAD_MAP)


@element("idmap", doc="User namespace of a container.")
class IDMap:
    uids: list[IDMapEntry] = children("uid")
    gids: list[IDMapEntry] = children("gid")


@element("pm", doc="Power management the guest's firmware offers.")
class PowerManagement:
    suspend_to_mem: bool | None = attribute("enabled", within="suspend-to-mem", codec=YES_NO, doc="ACPI S3.")
    suspend_to_disk: bool | None = attribute("enabled", within="suspend-to-disk", codec=YES_NO, doc="ACPI S4.")


class PerfEventName(StrEnum):
    """A performance counter of the guest."""

    CMT = "cmt"
    MBMT = "mbmt"
    MBML = "mbml"
    CPU_CYCLES = "cpu_cycles"
    INSTRUCTIONS = "instructions"
    CACHE_REFERENCES = "cache_references"
    CACHE_MISSES = "cache_misses"
    BRANCH_INSTRUCTIONS = "branch_instructions"
    BRANCH_MISSES = "branch_misses"
    BUS_CYCLES = "bus_cycles"
    STALLED_CYCLES_FRONTEND = "stalled_cycles_frontend"
    STALLED_CYCLES_BACKEND = "stalled_cycles_backend"
    REF_CPU_CYCLES = "ref_cpu_cycles"
    CPU_CLOCK = "cpu_clock"
    TASK_CLOCK = "task_clock"
    PAGE_FAULTS = "page_faults"
    CONTEXT_SWITCHES = "context_switches"
    CPU_MIGRATIONS = "cpu_migrations"
    PAGE_FAULTS_MIN = "page_faults_min"
    PAGE_FAULTS_MAJ = "page_faults_maj"
    ALIGNMENT_FAULTS = "alignment_faults"
    EMULATION_FAULTS = "emulation_faults"


@element("event", doc="Whether a performance counter is kept.")
class PerfEvent:
    name: PerfEventName = attribute(required=True)
    enabled: bool = attribute(codec=YES_NO, required=True)


@element("perf", doc="Performance counters kept for the guest.", since="1.3.3")
class Perf:
    events: list[PerfEvent] = children("event")
