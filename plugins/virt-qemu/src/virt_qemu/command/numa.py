"""The guest's NUMA cells: who is in them, how far apart they are, how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import Builder
from virt_qemu.command.memory import add_backend, cell_backend, is_immediate
from virtcore.errors import ConfigUnsupported
from virtcore.model.cpu.numa import NUMABandwidth, NUMACacheAssociativity, NUMACachePolicy, NUMALatency

if TYPE_CHECKING:
    from virtcore.model.cpu.numa import NUMA, NUMACell

__all__ = ["add_numa", "has_hmat"]

_ASSOCIATIVITY = {
    NUMACacheAssociativity.NONE: "none",
    NUMACacheAssociativity.DIRECT: "direct",
    NUMACacheAssociativity.FULL: "complex",
}
_CACHE_POLICY = {
    NUMACachePolicy.NONE: "none",
    NUMACachePolicy.WRITEBACK: "write-back",
    NUMACachePolicy.WRITETHROUGH: "write-through",
}
_LEVELS = ("memory", "first-level", "second-level", "third-level")


def add_numa(builder: Builder) -> None:
    """The cells, nothing where there are none.

    :raises ConfigUnsupported: the emulator cannot give the guest what is described.
    """
    domain = builder.domain
    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is None or not numa.cells:
        return
    hmat = has_hmat(numa)
    if hmat and not builder.capabilities.has("numa.hmat"):
        raise ConfigUnsupported("setting ACPI HMAT is not supported with this QEMU binary")
    backends = {cell.id or 0: cell_backend(builder, cell.id or 0, cell.memory) for cell in numa.cells if cell.memory}
    machine = builder.capabilities.machine(domain.machine or "", domain.type)
    needed = (
        hmat
        or machine is None
        or not machine.numa_memory
        or any(props["qom-type"] != "memory-backend-ram" or "host-nodes" in props for _, props in backends.values())
    )
    if not needed and is_immediate(domain.memory_backing):
        builder.add("-mem-prealloc")
    masters = [cell.id for cell in numa.cells if cell.cpus]
    for cell in numa.cells:
        number = cell.id or 0
        backend = backends.get(number)
        words = ["node", f"nodeid={number}"]
        words += [
            f"cpus={first}" if first == last else f"cpus={first}-{last}"
            for first, last in (cell.cpus.ranges() if cell.cpus else ())
        ]
        if hmat:
            initiator = number if cell.cpus else _initiator(numa, cell, masters)
            words.append(f"initiator={initiator}")
        if needed and backend is not None:
            add_backend(builder, backend[1])
            words.append(f"memdev={backend[0]}")
        elif backend is not None:
            words.append(f"mem={cell.memory >> 10}")
        builder.add("-numa", ",".join(words))
    _add_distances(builder, numa)
    if hmat:
        _add_interconnects(builder, numa)


def has_hmat(numa: NUMA) -> bool:
    """Whether it is told how fast the cells reach each other's memory."""
    return bool(numa.interconnects) or any(cell.caches for cell in numa.cells)


def _initiator(numa: NUMA, cell: NUMACell, masters: list[int | None]) -> int:
    """The cell with processors that reaches a cell without any best."""
    best = masters[0] or 0
    least = most = None
    for link in numa.interconnects:
        if link.target != cell.id or link.cache or link.initiator not in masters:
            continue
        if isinstance(link, NUMALatency) and (least is None or link.value < least):
            least, best = link.value, link.initiator
        elif isinstance(link, NUMABandwidth) and least is None and (most is None or link.value > most):
            most, best = link.value, link.initiator
    return best


def _add_distances(builder: Builder, numa: NUMA) -> None:
    known = {(cell.id or 0, sibling.id): sibling.value for cell in numa.cells for sibling in cell.distances}
    if not known:
        return
    ids = [cell.id or 0 for cell in numa.cells]
    for source in ids:
        for target in ids:
            near = 10 if source == target else 20
            value = known.get((source, target), known.get((target, source), near))
            if value:
                builder.add("-numa", f"dist,src={source},dst={target},val={value}")


def _add_interconnects(builder: Builder, numa: NUMA) -> None:
    for link in numa.interconnects:
        kind = "latency" if isinstance(link, NUMALatency) else "bandwidth"
        value = f"{link.value}K" if kind == "bandwidth" else str(link.value)
        builder.add(
            "-numa",
            f"hmat-lb,initiator={link.initiator},target={link.target},hierarchy={_LEVELS[link.cache or 0]},"
            f"data-type={link.type}-{kind},{kind}={value}",
        )
    for cell in numa.cells:
        for cache in cell.caches:
            builder.add(
                "-numa",
                f"hmat-cache,node-id={cell.id},size={cache.size}K,level={cache.level},"
                f"associativity={_ASSOCIATIVITY[cache.associativity]},policy={_CACHE_POLICY[cache.policy]},"
                f"line={cache.line}",
            )
