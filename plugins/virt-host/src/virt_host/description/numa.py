"""A host's NUMA cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import CPUPlace, cpu_place, node_cpus, node_info, online_cpus
from virtcore.errors import InternalError
from virtcore.model.capabilities import CellCPU, CellCPUs, CellPages, HostCell, HostCells, HostTopology
from virtcore.model.cpu.numa import (
    NUMABandwidth,
    NUMACache,
    NUMACacheAssociativity,
    NUMACachePolicy,
    NUMALatency,
    NUMALatencyType,
    NUMASibling,
)
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_host.description.memory import MemoryView
    from virt_host.description.tree import HostTree
    from virtcore.model.arch import Arch

__all__ = ["host_topology"]

#: The kernel's numbers for how a memory-side cache maps addresses, and when it writes back.
_INDEXING = (NUMACacheAssociativity.DIRECT, NUMACacheAssociativity.FULL, NUMACacheAssociativity.NONE)
_WRITE_POLICY = (NUMACachePolicy.WRITEBACK, NUMACachePolicy.WRITETHROUGH, NUMACachePolicy.NONE)


def host_topology(tree: HostTree, arch: Arch, memory: MemoryView) -> HostTopology:
    """The host's NUMA cells, and what lies between them; a single cell where the kernel knows none.

    :raises InternalError: the kernel's files make no sense.
    """
    known = node_cpus(tree)
    if not known:
        return HostTopology(cells=HostCells(cells=[_only_cell(tree, arch, memory)]))
    cells = [_cell(tree, node, cpus, memory) for node, cpus in known.items()]
    return HostTopology(cells=HostCells(cells=cells), interconnects=_interconnects(tree))


def _cpu(place: CPUPlace) -> CellCPU:
    return CellCPU(
        id=place.id,
        socket_id=place.socket,
        die_id=place.die,
        cluster_id=place.cluster,
        core_id=place.core,
        siblings=place.siblings,
    )


def _cell(tree: HostTree, node: int, cpus: CpuSet, memory: MemoryView) -> HostCell:
    return HostCell(
        id=node,
        memory=memory.memory(node),
        pages=[CellPages(unit="KiB", size=size, count=number) for size, number in memory.pages(node)],
        distances=[NUMASibling(id=other, value=value) for other, value in memory.distances(node)],
        caches=_caches(tree, node),
        cpus=CellCPUs(cpus=[_cpu(cpu_place(tree, cpu)) for cpu in sorted(cpus)]),
    )


def _only_cell(tree: HostTree, arch: Arch, memory: MemoryView) -> HostCell:
    """The whole host, its CPUs arranged as :func:`node_info` says."""
    info = node_info(tree, arch)
    online = online_cpus(tree)
    cpus = []
    for first in range(0, info.nodes * info.sockets * info.cores * info.threads, info.threads):
        threads = range(first, first + info.threads)
        socket, core = divmod(first // info.threads, info.cores)
        place = {"socket_id": socket, "die_id": 0, "cluster_id": 0, "core_id": core}
        cpus += [CellCPU(id=cpu, siblings=CpuSet(threads), **place) for cpu in threads if cpu in online]
    return HostCell(id=0, memory=memory.memory(0), cpus=CellCPUs(cpus=cpus))


def _caches(tree: HostTree, node: int) -> list[NUMACache]:
    """Caches in front of a node's memory."""
    folder = tree.nodes / f"node{node}" / "memory_side_cache"
    found = []
    for level in tree.numbered(folder, "index"):
        place = folder / f"index{level}"
        indexing, policy = (tree.require_number(place / name) for name in ("indexing", "write_policy"))
        if not 0 <= indexing < len(_INDEXING):
            raise InternalError(f"unknown indexing value '{indexing}'")
        if not 0 <= policy < len(_WRITE_POLICY):
            raise InternalError(f"unknown write_policy value '{policy}'")
        found.append(
            NUMACache(
                level=level,
                associativity=_INDEXING[indexing],
                policy=_WRITE_POLICY[policy],
                size=tree.require_number(place / "size") >> 10,
                line=tree.require_number(place / "line_size"),
            )
        )
    return found


def _interconnects(tree: HostTree) -> list[NUMALatency | NUMABandwidth]:
    """How fast memory is from the CPUs of other nodes, as far as the kernel says: the best way to each node."""
    latencies: list[NUMALatency] = []
    bandwidths: list[NUMABandwidth] = []
    kinds = (NUMALatencyType.READ, NUMALatencyType.WRITE)
    for target in tree.numbered(tree.nodes, "node"):
        # access0 counts devices too.
        folder: Path = tree.nodes / f"node{target}" / "access1"
        if not folder.exists():
            continue
        folder /= "initiators"
        # The kernel gives MiB per second.
        width = [tree.require_number(folder / f"{kind}_bandwidth") << 10 for kind in kinds]
        delay = [tree.require_number(folder / f"{kind}_latency") for kind in kinds]
        for initiator in tree.numbered(folder, "node"):
            for place, kind in enumerate(kinds):
                latencies.append(NUMALatency(initiator=initiator, target=target, type=kind, value=delay[place]))
                bandwidths.append(NUMABandwidth(initiator=initiator, target=target, type=kind, value=width[place]))
    latencies.sort(key=lambda each: (each.initiator, each.target))
    bandwidths.sort(key=lambda each: (each.initiator, each.target))
    return [*latencies, *bandwidths]
