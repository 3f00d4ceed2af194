"""Memory of a configuration: how much, its limits, where on the host it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, OperationInvalid
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = [
    "has_balloon",
    "numa_parameters",
    "set_current",
    "set_maximum",
    "set_numa_parameters",
    "set_parameters",
    "set_stats_period",
]


def has_balloon(domain: Domain) -> bool:
    """Whether the guest has a memory balloon."""
    from virtcore.model.domain.memballoon import MemballoonModel

    balloon = domain.devices.memballoon if domain.devices is not None else None
    return balloon is not None and balloon.model is not MemballoonModel.NONE


def set_stats_period(domain: Domain, seconds: int) -> None:
    """Set how often the balloon collects statistics."""
    if not has_balloon(domain):
        raise InternalError("No memory balloon device configured, can not set the collection period")
    assert domain.devices is not None
    assert domain.devices.memballoon is not None
    domain.devices.memballoon.stats_period = seconds or None


def set_current(domain: Domain, memory: int) -> None:
    """Set how much memory the guest has, in KiB."""
    if memory > domain.memory_total:
        raise InvalidArg("cannot set memory higher than max memory")
    domain.current_memory = memory


def set_maximum(domain: Domain, memory: int, live: bool) -> None:
    """Set how much memory the guest may have, in KiB."""
    from virtcore.model.domain.memory import Memory

    if live:
        raise OperationInvalid("cannot resize the maximum memory on an active domain")
    if domain.cpu is not None and domain.cpu.numa is not None and domain.cpu.numa.cells:
        raise OperationInvalid("initial memory size of a domain with NUMA nodes cannot be modified with this API")
    if domain.max_memory is not None and domain.max_memory.size and domain.max_memory.size < memory:
        raise OperationInvalid("cannot set initial memory size greater than the maximum memory size")
    current = domain.memory_total if domain.current_memory is None else domain.current_memory
    domain.memory = domain.memory or Memory()
    domain.memory.size = memory
    domain.current_memory = min(current, memory)


def set_parameters(domain: Domain, params: TypedParameters) -> None:
    """Set memory limits in KiB."""
    from virtcore.model.domain.memory import MEMORY_UNLIMITED, Memtune

    tune = domain.memtune or Memtune()
    for name in ("hard_limit", "soft_limit", "swap_hard_limit"):
        value = params.get(name)
        if isinstance(value, int):
            setattr(tune, name, None if value >= MEMORY_UNLIMITED else value)
    hard = MEMORY_UNLIMITED if tune.hard_limit is None else tune.hard_limit
    swap = MEMORY_UNLIMITED if tune.swap_hard_limit is None else tune.swap_hard_limit
    if ("hard_limit" in params or "swap_hard_limit" in params) and hard > swap:
        raise InvalidArg("memory hard_limit tunable value must be lower than or equal to swap_hard_limit")
    limits = (tune.hard_limit, tune.soft_limit, tune.swap_hard_limit)
    domain.memtune = tune if any(limit is not None for limit in limits) or tune.min_guarantee else None


def numa_parameters(domain: Domain) -> TypedParameters:
    """Mode and host nodes of memory placement."""
    from virtcore.model.domain.memory import NUMAMode

    memory = domain.numatune.memory if domain.numatune is not None else None
    mode = NUMAMode.STRICT if memory is None or memory.mode is None else memory.mode
    rows = TypedParameters()
    rows.add("numa_mode", TypedParameterType.INT, list(NUMAMode).index(mode))
    nodes = "" if memory is None or memory.nodeset is None else str(memory.nodeset)
    rows.add("numa_nodeset", TypedParameterType.STRING, nodes)
    return rows


def set_numa_parameters(domain: Domain, params: TypedParameters, live: bool) -> None:
    """Set mode and host nodes of memory placement."""
    from virtcore.model.domain.cputune import CPUPlacement
    from virtcore.model.domain.memory import NUMAMemory, NUMAMode, NUMAPlacement, Numatune
    from virtcore.xml import CpuSet
    from virtcore.xml.scalars import Unreadable

    mode = nodes = None
    for name, value in params.items():
        if name == "numa_mode" and isinstance(value, int):
            if not 0 <= value < len(NUMAMode):
                raise InvalidArg(f"unsupported numatune mode: '{value}'")
            mode = list(NUMAMode)[value]
        elif name == "numa_nodeset" and isinstance(value, str):
            try:
                nodes = CpuSet.parse(value)
            except Unreadable:
                raise InvalidArg(f"Failed to parse bitmap '{value}'") from None
            if not nodes:
                raise OperationInvalid(f"Invalid nodeset of 'numatune': {value}")
    if mode is None and nodes is None:
        return
    old = domain.numatune.memory if domain.numatune is not None else None
    if live and mode is not None and old is not None and old.mode not in (None, mode):
        raise OperationInvalid("can't change numatune mode for running domain")
    memory = old or NUMAMemory(mode=NUMAMode.STRICT)
    memory.mode = mode or memory.mode
    if nodes is not None:
        memory.nodeset = nodes
        memory.placement = NUMAPlacement.STATIC
    elif old is None:
        static = domain.vcpu is not None and domain.vcpu.placement is CPUPlacement.STATIC
        memory.placement = NUMAPlacement.STATIC if static else NUMAPlacement.AUTO
    if memory.placement is NUMAPlacement.STATIC and memory.nodeset is None:
        raise ConfigUnsupported("nodeset for NUMA memory tuning must be set if 'placement' is 'static'")
    domain.numatune = domain.numatune or Numatune()
    domain.numatune.memory = memory
