"""The host's NUMA cells, caches and memory bandwidth."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.xml import (
    CPU_SET,
    INT,
    UINT,
    ULONG,
    CpuSet,
    attribute,
    child,
    children,
    element,
    leaf,
    printed,
    scaled,
    text,
)

if TYPE_CHECKING:
    from virtcore.model.cpu.numa import NUMABandwidth, NUMACache, NUMALatency, NUMASibling

__all__ = [
    "BandwidthControl",
    "BandwidthNode",
    "CPUCacheKind",
    "CacheBank",
    "CacheControl",
    "CellCPU",
    "CellCPUs",
    "CellPages",
    "HostCache",
    "HostCell",
    "HostCells",
    "HostMemoryBandwidth",
    "HostTopology",
    "MonitorFeature",
    "ResourceMonitor",
]


class CPUCacheKind(StrEnum):
    """What a cache of processors holds."""

    BOTH = "both"
    CODE = "code"
    DATA = "data"


@element("pages")
class CellPages:
    """How many pages of a size a cell has."""

    unit: str = attribute(required=True, doc="always KiB")
    size: int = attribute(codec=UINT, required=True, doc="size of a page in KiB")
    count: int = text(codec=ULONG, required=True, doc="pages")


@element("cpu")
class CellCPU:
    """A processor of a cell, and where it sits."""

    id: int = attribute(codec=UINT, required=True)
    socket_id: int | None = attribute(codec=INT)
    die_id: int | None = attribute(codec=INT, since="6.1.0")
    cluster_id: int | None = attribute(codec=INT, since="10.1.0")
    core_id: int | None = attribute(codec=INT)
    siblings: CpuSet | None = attribute(codec=CPU_SET, doc="processors of the same core")


@element("cpus", empty="keep")
class CellCPUs:
    """The processors of a cell."""

    _num = printed(lambda self: len(self.cpus), "num", codec=UINT)
    cpus: list[CellCPU] = children("cpu")


@element("cell")
class HostCell:
    """A NUMA cell of the host."""

    id: int = attribute(codec=UINT, required=True)
    memory: int | None = leaf(codec=scaled("KiB"), doc="in KiB")
    pages: list[CellPages] = children("pages")
    distances: list[NUMASibling] = children("sibling", within="distances")
    caches: list[NUMACache] = children("cache", doc="memory-side caches", since="8.6.0")
    cpus: CellCPUs | None = child("cpus")


@element("cells", empty="keep")
class HostCells:
    """The NUMA cells of the host."""

    _num = printed(lambda self: len(self.cells), "num", codec=UINT)
    cells: list[HostCell] = children("cell")


@element("topology", empty="open")
class HostTopology:
    """How processors and memory are arranged."""

    cells: HostCells | None = child("cells")
    interconnects: list[NUMALatency | NUMABandwidth] = children(
        within="interconnects", doc="latency and bandwidth between cells", since="8.6.0"
    )


@element("control")
class CacheControl:
    """How a cache can be divided among guests."""

    granularity: int = attribute(codec=ULONG, required=True, doc="in ``unit``")
    min: int | None = attribute(codec=ULONG, doc="smallest share, in ``unit``")
    unit: str = attribute(required=True)
    type: CPUCacheKind = attribute(required=True)
    max_allocs: int = attribute("maxAllocs", codec=UINT, required=True, doc="most divisions at a time")


@element("bank")
class CacheBank:
    """A cache of processors."""

    id: int = attribute(codec=UINT, required=True)
    level: int = attribute(codec=UINT, required=True)
    type: CPUCacheKind = attribute(required=True)
    size: int = attribute(codec=ULONG, required=True, doc="in ``unit``")
    unit: str = attribute(required=True)
    cpus: CpuSet = attribute(codec=CPU_SET, required=True, doc="processors that share it")
    controls: list[CacheControl] = children("control")


@element("feature")
class MonitorFeature:
    """Something that can be measured."""

    name: str = attribute(required=True, pattern=r"(llc_|mbm_)[a-zA-Z0-9\-_]+", doc="such as llc_occupancy")


@element("monitor")
class ResourceMonitor:
    """What of a resource's use can be measured."""

    level: int | None = attribute(codec=UINT, doc="level of the cache")
    reuse_threshold: int | None = attribute("reuseThreshold", codec=UINT, doc="bytes below which a monitor is reused")
    max_monitors: int = attribute("maxMonitors", codec=UINT, required=True, doc="most at a time")
    features: list[MonitorFeature] = children("feature")


@element("cache")
class HostCache:
    """The caches of the host's processors."""

    banks: list[CacheBank] = children("bank")
    monitor: ResourceMonitor | None = child("monitor")


@element("control")
class BandwidthControl:
    """How memory bandwidth can be divided among guests."""

    granularity: int = attribute(codec=UINT, required=True, doc="in percent")
    min: int | None = attribute(codec=UINT, doc="smallest share, in percent")
    max_allocs: int = attribute("maxAllocs", codec=UINT, required=True, doc="most divisions at a time")


@element("node")
class BandwidthNode:
    """A controller of memory bandwidth."""

    id: int = attribute(codec=UINT, required=True)
    cpus: CpuSet = attribute(codec=CPU_SET, required=True, doc="processors it serves")
    controls: list[BandwidthControl] = children("control")


@element("memory_bandwidth")
class HostMemoryBandwidth:
    """Memory bandwidth that can be divided or measured."""

    nodes: list[BandwidthNode] = children("node")
    monitor: ResourceMonitor | None = child("monitor")
