"""vCPUs and how the host schedules them: ``<vcpu>``, ``<vcpus>``, ``<cputune>``."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.cpusets import cpu_selection
from virtcore.xml import (
    CPU_SET,
    INT,
    LONG,
    UINT,
    ULONG,
    YES_NO,
    CpuSet,
    Mode,
    attribute,
    child,
    children,
    element,
    leaf,
    pretty_size,
    text,
)

__all__ = [
    "CPUPlacement",
    "CPUTune",
    "Cache",
    "CacheMonitor",
    "CacheTune",
    "CacheType",
    "EmulatorPin",
    "EmulatorSched",
    "IOThreadPin",
    "IOThreadSched",
    "MemoryBandwidth",
    "MemoryMonitor",
    "MemoryTune",
    "Scheduler",
    "VCPU",
    "VCPUMaximum",
    "VCPUPin",
    "VCPUSched",
]


class CPUPlacement(StrEnum):
    """Who chooses the host CPUs the guest runs on."""

    STATIC = "static"
    AUTO = "auto"


class Scheduler(StrEnum):
    """Scheduling policy of the host's kernel."""

    BATCH = "batch"
    IDLE = "idle"
    FIFO = "fifo"
    RR = "rr"


class CacheType(StrEnum):
    """What a part of the host's cache is for."""

    BOTH = "both"
    CODE = "code"
    DATA = "data"


_CPUS = cpu_selection("Invalid value of 'cpuset': {value}")


@element("vcpu", doc="Number of virtual CPUs.")
class VCPUMaximum:
    placement: CPUPlacement | None = attribute(doc="Who chooses the host CPUs.", since="0.9.11")
    cpuset: CpuSet | None = attribute(codec=_CPUS, doc="Host CPUs the guest runs on.", since="0.4.4")
    current: int | None = attribute(codec=UINT, doc="How many are online at boot; absent: all.", since="0.8.5")
    maximum: int = text(
        codec=UINT,
        required=True,
        missing="maximum vcpus count must be an integer",
        invalid="maximum vcpus count must be an integer",
        doc="Most there can be.",
    )


@element("vcpu", doc="State of one virtual CPU.")
class VCPU:
    id: int = attribute(codec=UINT, required=True)
    enabled: bool = attribute(codec=YES_NO, required=True, doc="Whether it is online.")
    hotpluggable: bool | None = attribute(codec=YES_NO, doc="Whether it can be unplugged.")
    order: int | None = attribute(codec=UINT, omit=0, doc="Order in which they are plugged in.")


@element("vcpupin", doc="Host CPUs of one virtual CPU.")
class VCPUPin:
    vcpu: int = attribute(codec=UINT, required=True)
    cpuset: CpuSet = attribute(
        codec=_CPUS, required=True, missing="missing cpuset for vcpupin", missing_code=ErrorCode.INTERNAL_ERROR
    )


@element("emulatorpin", doc="Host CPUs of the emulator's own threads.")
class EmulatorPin:
    cpuset: CpuSet = attribute(
        codec=_CPUS, required=True, missing="missing cpuset for emulatorpin", missing_code=ErrorCode.INTERNAL_ERROR
    )


@element("iothreadpin", doc="Host CPUs of one I/O thread.")
class IOThreadPin:
    iothread: int = attribute(codec=UINT, required=True, nonzero=True)
    cpuset: CpuSet = attribute(
        codec=_CPUS, required=True, missing="missing cpuset for iothreadpin", missing_code=ErrorCode.INTERNAL_ERROR
    )


@element("emulatorsched", doc="Scheduling of the emulator's own threads.")
class EmulatorSched:
    scheduler: Scheduler = attribute(required=True)
    priority: int | None = attribute(codec=INT, only={"scheduler": (Scheduler.FIFO, Scheduler.RR)}, required=True)


@element("vcpusched", doc="Scheduling of virtual CPUs.")
class VCPUSched:
    vcpus: CpuSet = attribute(
        codec=cpu_selection("'vcpus' scheduler bitmap '{value}' is empty"),
        required=True,
        missing="Missing attribute 'vcpus' in element 'vcpusched'",
        doc="Which ones.",
    )
    scheduler: Scheduler = attribute(required=True)
    priority: int | None = attribute(codec=INT, only={"scheduler": (Scheduler.FIFO, Scheduler.RR)}, required=True)


@element("iothreadsched", doc="Scheduling of I/O threads.")
class IOThreadSched:
    iothreads: CpuSet = attribute(
        codec=cpu_selection("'iothreads' scheduler bitmap '{value}' is empty"),
        required=True,
        missing="Missing attribute 'iothreads' in element 'iothreadsched'",
        doc="Which ones.",
    )
    scheduler: Scheduler = attribute(required=True)
    priority: int | None = attribute(codec=INT, only={"scheduler": (Scheduler.FIFO, Scheduler.RR)}, required=True)


@element("cache", doc="A part of the host's cache reserved for virtual CPUs.")
class Cache:
    id: int = attribute(codec=UINT, required=True, doc="Host cache.")
    level: int = attribute(codec=UINT, required=True)
    type: CacheType = attribute(required=True)
    size: int = attribute(codec=pretty_size("KiB"), required=True, doc="In bytes.")


@element("monitor", doc="Measures the use of the host's cache.")
class CacheMonitor:
    level: int = attribute(codec=UINT, required=True, doc="Cache level; 3 is the only one.")
    vcpus: CpuSet = attribute(
        codec=CPU_SET,
        required=True,
        missing="Missing monitor attribute 'vcpus'",
        invalid="Invalid monitor attribute 'vcpus' value '{value}'",
    )


@element("monitor", doc="Measures the use of the host's memory bandwidth.")
class MemoryMonitor:
    vcpus: CpuSet = attribute(
        codec=CPU_SET,
        required=True,
        missing="Missing monitor attribute 'vcpus'",
        invalid="Invalid monitor attribute 'vcpus' value '{value}'",
    )


@element("node", doc="A share of the memory bandwidth of one host node.")
class MemoryBandwidth:
    id: int = attribute(codec=UINT, required=True)
    bandwidth: int = attribute(codec=UINT, required=True, doc="In percent, or MB/s where the host is set up so.")


@element("cachetune", doc="Host cache for some virtual CPUs.", since="4.1.0")
class CacheTune:
    vcpus: CpuSet = attribute(
        codec=CPU_SET,
        required=True,
        missing="Missing cachetune attribute 'vcpus'",
        invalid="Invalid cachetune attribute 'vcpus' value '{value}'",
    )
    id: str | None = attribute(when=Mode.LIVE, read=Mode.LIVE, doc="Name of the allocation while the guest runs.")
    caches: list[Cache] = children("cache")
    monitors: list[CacheMonitor] = children("monitor")


@element("memorytune", doc="Memory bandwidth for some virtual CPUs.", since="4.7.0")
class MemoryTune:
    vcpus: CpuSet = attribute(
        codec=CPU_SET,
        required=True,
        missing="Missing memorytune attribute 'vcpus'",
        invalid="Invalid memorytune attribute 'vcpus' value '{value}'",
    )
    id: str | None = attribute(when=Mode.LIVE, read=Mode.LIVE, doc="Name of the allocation while the guest runs.")
    nodes: list[MemoryBandwidth] = children("node")
    monitors: list[MemoryMonitor] = children("monitor")


@element("cputune", doc="How the host schedules the guest's threads.")
class CPUTune:
    shares: int | None = leaf(codec=ULONG, invalid="can't parse cputune shares value", doc="Relative weight.")
    period: int | None = leaf(
        codec=ULONG, omit=0, invalid="can't parse cputune period value", doc="Enforcement interval of a vCPU, in us."
    )
    quota: int | None = leaf(
        codec=LONG, omit=0, invalid="can't parse cputune quota value", doc="Time within it, in us; negative: no limit."
    )
    global_period: int | None = leaf(
        codec=ULONG,
        omit=0,
        invalid="can't parse cputune global period value",
        doc="Interval for the whole guest, in us.",
    )
    global_quota: int | None = leaf(
        codec=LONG, omit=0, invalid="can't parse cputune global quota value", doc="Time within it, in us."
    )
    emulator_period: int | None = leaf(
        codec=ULONG, omit=0, invalid="can't parse cputune emulator period value", doc="Interval of the emulator, in us."
    )
    emulator_quota: int | None = leaf(
        codec=LONG, omit=0, invalid="can't parse cputune emulator quota value", doc="Time within it, in us."
    )
    iothread_period: int | None = leaf(
        codec=ULONG, omit=0, invalid="can't parse cputune iothread period value", doc="Interval of I/O threads, in us."
    )
    iothread_quota: int | None = leaf(
        codec=LONG, omit=0, invalid="can't parse cputune iothread quota value", doc="Time within it, in us."
    )
    vcpupins: list[VCPUPin] = children("vcpupin")
    emulatorpin: EmulatorPin | None = child(
        "emulatorpin", repeat="refuse", repeated="only one emulatorpin is supported"
    )
    iothreadpins: list[IOThreadPin] = children("iothreadpin")
    emulatorsched: EmulatorSched | None = child(
        "emulatorsched", repeat="refuse", repeated="only one emulatorsched is supported"
    )
    vcpuscheds: list[VCPUSched] = children("vcpusched")
    iothreadscheds: list[IOThreadSched] = children("iothreadsched")
    cachetunes: list[CacheTune] = children("cachetune")
    memorytunes: list[MemoryTune] = children("memorytune")
