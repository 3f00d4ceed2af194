"""What libvirt's parser fills in, sorts, drops or refuses around NUMA: guest cells, memory on host nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.cputune import CPUPlacement

if TYPE_CHECKING:
    from virtcore.model.cpu.numa import NUMA
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.memory import Numatune
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["settle_numa", "settle_numatune"]

_LOCAL_DISTANCE = 10
_UNREACHABLE = 255


def settle_numa(domain: Domain, context: DomainContext) -> None:
    """``<numa>``: cells in order, distances both ways."""
    numa = domain.cpu.numa if domain.cpu is not None else None
    if numa is None:
        return
    path = "/domain/cpu/numa/cell"
    if not numa.cells:
        raise XMLError("NUMA topology defined without NUMA cells", path="/domain/cpu/numa")
    count = len(numa.cells)
    cells: dict[int, object] = {}
    owner: dict[int, int] = {}
    for place, cell in enumerate(numa.cells):
        if cell.id is None:
            cell.id = place
        if cell.id >= count:
            raise XMLError(
                "Exactly one 'cell' element per guest NUMA cell allowed, non-contiguous ranges or ranges not starting "
                "from 0 are not allowed",
                path=path,
            )
        if cell.id in cells:
            raise XMLError(f"Duplicate NUMA cell info for cell id '{cell.id}'", path=path)
        cells[cell.id] = cell
        if not cell.cpus:
            cell.cpus = None
            continue
        other = min((owner[cpu] for cpu in cell.cpus if cpu in owner), default=None)
        if other is not None:
            raise ConfigUnsupported(f"NUMA cells {cell.id} and {other} have overlapping vCPU ids", path=path)
        owner.update(dict.fromkeys(cell.cpus, cell.id))
    _settle_distances(numa)
    numa.cells.sort(key=lambda cell: cell.id or 0)
    if len(owner) > domain.vcpu_maximum:
        raise InternalError("Number of CPUs in <numa> exceeds the <vcpu> count", path="/domain/cpu/numa")
    if max(owner, default=0) >= domain.vcpu_maximum:
        raise InternalError("CPU IDs in <numa> exceed the <vcpu> count", path="/domain/cpu/numa")


def _settle_distances(numa: NUMA) -> None:
    if not any(cell.distances for cell in numa.cells):
        return
    from virtcore.model.cpu.numa import NUMASibling

    path = "/domain/cpu/numa/cell/distances/sibling"
    table: dict[int, dict[int, int]] = {}
    for cell in numa.cells:
        own = cell.id or 0
        for sibling in cell.distances:
            if sibling.id >= len(numa.cells):
                raise XMLError(
                    f"'sibling_id {sibling.id}' does not refer to a valid cell within NUMA 'cell id {own}'", path=path
                )
            local = sibling.value == _LOCAL_DISTANCE
            if not _LOCAL_DISTANCE <= sibling.value <= _UNREACHABLE or local != (sibling.id == own):
                raise XMLError(
                    f"'value {sibling.value}' is invalid for 'sibling id {sibling.id}' under NUMA 'cell id {own}'",
                    path=path,
                )
            table.setdefault(own, {own: _LOCAL_DISTANCE})[sibling.id] = sibling.value
            # The way back is as far where nothing else is said.
            table.setdefault(sibling.id, {sibling.id: _LOCAL_DISTANCE}).setdefault(own, sibling.value)
    for cell in numa.cells:
        distances = table.get(cell.id or 0, {})
        cell.distances = [NUMASibling(id=number, value=distances[number]) for number in sorted(distances)]


def settle_numatune(domain: Domain, context: DomainContext) -> None:
    """``<numatune>``: placement follows from what is given; automatic for vCPUs and for memory imply each other."""
    assert domain.vcpu is not None
    automatic = domain.vcpu.placement is CPUPlacement.AUTO
    tune = domain.numatune
    if tune is None and not automatic:
        return
    from virtcore.model.domain.memory import NUMAMemory, NUMAPlacement, Numatune

    if tune is None:
        tune = domain.numatune = Numatune()
    if tune.memory is None and automatic:
        tune.memory = NUMAMemory(placement=NUMAPlacement.AUTO)
    if tune.memory is not None:
        _settle_numa_memory(tune, automatic)
    if tune.memnodes:
        _settle_memnodes(domain, tune)
    memory = tune.memory
    pinned = domain.cputune is not None and (
        domain.cputune.vcpupins or domain.cputune.emulatorpin is not None or domain.cputune.iothreadpins
    )
    if memory is not None and memory.placement is NUMAPlacement.AUTO and domain.vcpu.cpuset is None and not pinned:
        domain.vcpu.placement = CPUPlacement.AUTO
    if memory is None and not tune.memnodes:
        domain.numatune = None


def _settle_numa_memory(tune: Numatune, automatic: bool) -> None:
    from virtcore.model.domain.memory import NUMAMode, NUMAPlacement

    memory = tune.memory
    assert memory is not None
    placement = memory.placement
    if memory.mode is None and placement is None and memory.nodeset is None:
        tune.memory = None
        return
    if memory.mode is None:
        memory.mode = NUMAMode.STRICT
    if placement is None or placement is NUMAPlacement.DEFAULT:
        static = memory.nodeset is not None or not automatic
        placement = NUMAPlacement.STATIC if static else NUMAPlacement.AUTO
    if placement is NUMAPlacement.STATIC and memory.nodeset is None:
        raise ConfigUnsupported(
            "nodeset for NUMA memory tuning must be set if 'placement' is 'static'", path="/domain/numatune/memory"
        )
    if placement is NUMAPlacement.AUTO:
        memory.nodeset = None
    memory.placement = placement


def _settle_memnodes(domain: Domain, tune: Numatune) -> None:
    from virtcore.model.domain.memory import NUMAMode, NUMAPlacement

    path = "/domain/numatune/memnode"
    cells = domain.cpu.numa.cells if domain.cpu is not None and domain.cpu.numa is not None else []
    if tune.memory is not None and tune.memory.placement is NUMAPlacement.AUTO:
        raise ConfigUnsupported("Per-node binding is not compatible with automatic NUMA placement.", path=path)
    if not cells:
        raise XMLError("Element 'memnode' is invalid without any guest NUMA cells", path=path)
    known = set()
    for node in tune.memnodes:
        if node.cellid >= len(cells):
            raise XMLError(
                "Argument 'cellid' in memnode element must correspond to existing guest's NUMA cell",
                path=f"{path}/@cellid",
            )
        if node.cellid in known:
            raise XMLError(f"Multiple memnode elements with cellid {node.cellid}", path=path)
        known.add(node.cellid)
        if node.mode is None:
            node.mode = NUMAMode.STRICT
    tune.memnodes.sort(key=lambda node: node.cellid)
