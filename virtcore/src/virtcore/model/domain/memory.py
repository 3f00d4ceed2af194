"""Memory of the guest: amount, limits, backing, placement on the host's NUMA nodes."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.cpusets import cpu_selection
from virtcore.xml import ON_OFF, UINT, CpuSet, attribute, child, children, element, flag, leaf, scaled, text

__all__ = [
    "MEMORY_UNLIMITED",
    "Allocation",
    "AllocationMode",
    "HugePage",
    "HugePages",
    "MaxMemory",
    "MemNode",
    "Memory",
    "MemoryAccess",
    "MemoryBacking",
    "MemorySource",
    "Memtune",
    "NUMAMemory",
    "NUMAMode",
    "NUMAPlacement",
    "Numatune",
]


_NODES = cpu_selection("Invalid value of 'nodeset': {value}")


class MemorySource(StrEnum):
    """What guest memory is made of on the host."""

    FILE = "file"
    ANONYMOUS = "anonymous"
    MEMFD = "memfd"


class MemoryAccess(StrEnum):
    """Whether other processes may map guest memory."""

    SHARED = "shared"
    PRIVATE = "private"


class AllocationMode(StrEnum):
    """When guest memory is allocated."""

    IMMEDIATE = "immediate"
    ONDEMAND = "ondemand"


class NUMAMode(StrEnum):
    """How strictly memory comes from the named host nodes."""

    STRICT = "strict"
    PREFERRED = "preferred"
    INTERLEAVE = "interleave"
    RESTRICTIVE = "restrictive"


class NUMAPlacement(StrEnum):
    """Who chooses the host nodes."""

    DEFAULT = "default"
    STATIC = "static"
    AUTO = "auto"


@element("maxMemory", doc="Upper limit for memory plugged in later.")
class MaxMemory:
    slots: int | None = attribute(
        codec=UINT, omit=0, blank=False, invalid="Failed to parse memory slot count", doc="Slots for memory devices."
    )
    size: int | None = text(codec=scaled("KiB"), doc="In KiB.")


@element("memory", doc="Memory at boot, memory devices included.")
class Memory:
    dump_core: bool | None = attribute(
        "dumpCore", codec=ON_OFF, doc="Whether it is part of core dumps.", since="0.10.2"
    )
    size: int | None = text(codec=scaled("KiB"), doc="In KiB.")


#: That many KiB, and more, are no limit (``VIR_DOMAIN_MEMORY_PARAM_UNLIMITED``).
MEMORY_UNLIMITED = 9007199254740991


@element("memtune", doc="Limits of the memory the guest's process uses on the host.")
class Memtune:
    hard_limit: int | None = leaf(codec=scaled("KiB"), doc="Most memory the guest can use, in KiB.")
    soft_limit: int | None = leaf(codec=scaled("KiB"), doc="Limit when the host is short of memory, in KiB.")
    min_guarantee: int | None = leaf(codec=scaled("KiB"), omit=0, doc="Guaranteed memory, in KiB.")
    swap_hard_limit: int | None = leaf(codec=scaled("KiB"), doc="Most memory plus swap, in KiB.")


@element("page", doc="Huge pages of one size.")
class HugePage:
    size: int = attribute(codec=scaled("KiB"), required=True, doc="Page size in KiB.")
    nodeset: CpuSet | None = attribute(codec=_NODES, doc="Guest NUMA nodes it is for; absent: all others.")


@element("hugepages", empty="keep", doc="Guest memory is made of huge pages.")
class HugePages:
    pages: list[HugePage] = children("page")


@element("allocation", doc="How guest memory is allocated.")
class Allocation:
    mode: AllocationMode | None = attribute(
        blank=False,
        invalid="unknown memoryBacking/allocation/mode '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
    )
    threads: int | None = attribute(
        codec=UINT,
        omit=0,
        blank=False,
        invalid="Failed to parse memory allocation threads",
        doc="Threads that allocate it.",
        since="8.2.0",
    )


@element("memoryBacking", doc="What guest memory is made of on the host.")
class MemoryBacking:
    hugepages: HugePages | None = child("hugepages")
    nosharepages: bool = flag(doc="Pages are not merged with those of others.", since="1.0.6")
    locked: bool = flag(doc="Pages are never swapped out.", since="1.0.6")
    source: MemorySource | None = attribute(
        "type",
        within="source",
        blank=False,
        invalid="unknown memoryBacking/source/type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Kind of memory.",
    )
    access: MemoryAccess | None = attribute(
        "mode",
        within="access",
        blank=False,
        invalid="unknown memoryBacking/access/mode '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Whether others may map it.",
    )
    allocation: Allocation | None = child("allocation")
    discard: bool = flag(doc="Its content is dropped when the guest stops.", since="4.4.0")


@element("memory", doc="Host nodes for all of the guest's memory.")
class NUMAMemory:
    mode: NUMAMode | None = attribute(
        invalid="Unsupported NUMA memory tuning mode '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED
    )
    placement: NUMAPlacement | None = attribute(
        shown=lambda self: self.nodeset is None,
        invalid="Unsupported NUMA memory placement mode '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="Who chooses the nodes.",
    )
    nodeset: CpuSet | None = attribute(codec=_NODES, doc="Host nodes.")


@element("memnode", doc="Host nodes for the memory of one guest NUMA cell.")
class MemNode:
    cellid: int = attribute(codec=UINT, required=True, doc="Guest cell.")
    mode: NUMAMode | None = attribute(demanded=True)
    nodeset: CpuSet = attribute(
        codec=_NODES, required=True, missing="Missing required nodeset attribute in memnode element"
    )


@element("numatune", doc="Placement of guest memory on the host's NUMA nodes.")
class Numatune:
    memory: NUMAMemory | None = child("memory")
    memnodes: list[MemNode] = children("memnode")
