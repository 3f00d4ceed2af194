"""``<numa>``: the NUMA cells a guest sees, their memory, caches and distances."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.xml import CPU_SET, UINT, ULONG, YES_NO, CpuSet, attribute, children, element, scaled

if TYPE_CHECKING:
    from virtcore.model.domain.memory import MemoryAccess

__all__ = [
    "NUMA",
    "NUMABandwidth",
    "NUMACache",
    "NUMACacheAssociativity",
    "NUMACachePolicy",
    "NUMACell",
    "NUMALatency",
    "NUMALatencyType",
    "NUMASibling",
]


class NUMACacheAssociativity(StrEnum):
    """How a memory-side cache maps addresses."""

    NONE = "none"
    DIRECT = "direct"
    FULL = "full"


class NUMACachePolicy(StrEnum):
    """When a memory-side cache writes back."""

    NONE = "none"
    WRITEBACK = "writeback"
    WRITETHROUGH = "writethrough"


class NUMALatencyType(StrEnum):
    """Kind of memory access."""

    ACCESS = "access"
    READ = "read"
    WRITE = "write"


@element("sibling", doc="Distance to another cell; 10 is local, 255 unreachable.")
class NUMASibling:
    id: int = attribute(codec=UINT, required=True, doc="The other cell.")
    value: int = attribute(codec=UINT, required=True)


@element("cache", doc="A memory-side cache of a cell.", since="6.6.0")
class NUMACache:
    level: int = attribute(codec=UINT, required=True, nonzero=True)
    associativity: NUMACacheAssociativity = attribute(required=True)
    policy: NUMACachePolicy = attribute(required=True)
    size: int = attribute(
        "value", within="size", codec=scaled("KiB", xpath="./size/@value"), required=True, doc="In KiB."
    )
    line: int = attribute(
        "value", within="line", codec=scaled("B", xpath="./line/@value"), required=True, doc="Size of a line in bytes."
    )


@element("cell", doc="A NUMA cell the guest sees.")
class NUMACell:
    id: int | None = attribute(codec=UINT, doc="By default in order.")
    cpus: CpuSet | None = attribute(codec=CPU_SET, doc="vCPUs in it.")
    memory: int = attribute(codec=scaled("KiB", xpath="./@memory"), required=True, doc="Its memory in KiB.")
    mem_access: MemoryAccess | None = attribute("memAccess", doc="Whether other processes may map it.", since="1.2.7")
    discard: bool | None = attribute(codec=YES_NO, doc="Content is dropped when the guest stops.", since="4.4.0")
    distances: list[NUMASibling] = children("sibling", within="distances", since="3.10.0")
    caches: list[NUMACache] = children("cache")


@element("latency", doc="Latency of memory seen from another cell.", since="6.6.0")
class NUMALatency:
    initiator: int = attribute(codec=UINT, required=True, doc="Cell that accesses.")
    target: int = attribute(codec=UINT, required=True, doc="Cell with the memory.")
    cache: int | None = attribute(codec=UINT, omit=0, doc="Level of the target's cache.")
    type: NUMALatencyType = attribute(required=True)
    value: int = attribute(codec=ULONG, required=True, doc="In ns.")


@element("bandwidth", doc="Bandwidth of memory seen from another cell.", since="6.6.0")
class NUMABandwidth:
    initiator: int = attribute(codec=UINT, required=True, doc="Cell that accesses.")
    target: int = attribute(codec=UINT, required=True, doc="Cell with the memory.")
    cache: int | None = attribute(codec=UINT, omit=0, doc="Level of the target's cache.")
    type: NUMALatencyType = attribute(required=True)
    value: int = attribute(codec=scaled("KiB", xpath="./@value"), required=True, doc="In KiB per second.")


@element("numa", doc="The NUMA cells a guest sees.")
class NUMA:
    cells: list[NUMACell] = children("cell")
    interconnects: list[NUMALatency | NUMABandwidth] = children(within="interconnects")
