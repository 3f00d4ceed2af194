"""A host's processor caches and memory bandwidth."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import online_cpus
from virt_host.description.units import unit_of
from virtcore.errors import InternalError
from virtcore.model.capabilities import (
    BandwidthNode,
    CacheBank,
    CPUCacheKind,
    HostCache,
    HostMemoryBandwidth,
    MonitorFeature,
    ResourceMonitor,
)
from virtcore.xml.scalars import scale

if TYPE_CHECKING:
    from virt_host.description.resctrl import ResourceControl
    from virt_host.description.tree import HostTree

__all__ = ["host_caches", "memory_bandwidth"]

#: Caches nearer to the processor belong to a single core and are left out.
_LOWEST_LEVEL = 2
#: The level whose use can be watched.
_MONITORED_LEVEL = 3
_TYPES = {"Data": CPUCacheKind.DATA, "Instruction": CPUCacheKind.CODE, "Unified": CPUCacheKind.BOTH}
_SCALES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def host_caches(tree: HostTree, control: ResourceControl) -> HostCache | None:
    """The caches, and how they can be shared out and watched; None where nothing is known.

    :raises InternalError: the kernel's files make no sense.
    """
    banks: list[CacheBank] = []
    for cpu in sorted(online_cpus(tree)):
        folder = tree.cpus / f"cpu{cpu}" / "cache"
        for index in tree.numbered(folder, "index"):
            bank = _bank(tree, cpu, index)
            if bank is not None and bank not in banks:
                banks.append(bank)
    banks.sort(key=lambda bank: (bank.level, bank.id))
    for level in {bank.level for bank in banks}:
        same = [bank for bank in banks if bank.level == level]
        for allocation in control.of_level(level):
            for bank in same:
                size, expected = _bytes(bank), _bytes(same[0])
                if size != expected:
                    raise InternalError(f"level {level} cache size {expected} does not match expected size {size}")
                bank.controls.append(allocation.control(size))
    monitoring = control.monitoring
    features = monitoring.with_prefix("llc_") if monitoring is not None else []
    monitor = None
    if monitoring is not None and features:
        monitor = ResourceMonitor(
            level=_MONITORED_LEVEL,
            reuse_threshold=monitoring.reuse_threshold,
            max_monitors=monitoring.groups,
            features=[MonitorFeature(name=name) for name in features],
        )
    return HostCache(banks=banks, monitor=monitor) if banks or monitor is not None else None


def _bytes(bank: CacheBank) -> int:
    return bank.size * scale(bank.unit, 1)


def _bank(tree: HostTree, cpu: int, index: int) -> CacheBank | None:
    folder = tree.cpus / f"cpu{cpu}" / "cache" / f"index{index}"
    level = tree.require_number(folder / "level")
    if level < _LOWEST_LEVEL:
        return None
    number, kind, size = tree.number(folder / "id"), tree.text(folder / "type"), tree.text(folder / "size")
    cpus = tree.numbers(folder / "shared_cpu_list")
    # Kernels that know less, and machines that tell less.
    if number is None or kind is None or size is None or cpus is None:
        return None
    if kind not in _TYPES:
        raise InternalError(f"Unknown cache type '{kind}'")
    amount = re.fullmatch(r"(\d+)([KMG]?)", size)
    if amount is None:
        raise InternalError(f"Invalid scaled value '{size}' in file '{folder / 'size'}'")
    number_of_bytes = int(amount[1]) * _SCALES[amount[2]]
    divisor, unit = unit_of(number_of_bytes)
    return CacheBank(id=number, level=level, type=_TYPES[kind], size=number_of_bytes // divisor, unit=unit, cpus=cpus)


def memory_bandwidth(caches: HostCache | None, control: ResourceControl) -> HostMemoryBandwidth | None:
    """How memory bandwidth can be shared out and watched; None where it cannot.

    A controller serves the CPUs of a cache of the last level.
    """
    banks = caches.banks if caches is not None else []
    nodes = []
    if control.bandwidth is not None:
        last = max((bank.level for bank in banks), default=0)
        nodes = [
            BandwidthNode(id=bank.id, cpus=bank.cpus, controls=[control.bandwidth])
            for bank in banks
            if bank.level == last
        ]
    monitoring = control.monitoring
    features = monitoring.with_prefix("mbm_") if monitoring is not None else []
    monitor = None
    if monitoring is not None and features:
        monitor = ResourceMonitor(
            max_monitors=monitoring.groups, features=[MonitorFeature(name=name) for name in features]
        )
    return HostMemoryBandwidth(nodes=nodes, monitor=monitor) if nodes or monitor is not None else None
