"""What libvirt's parser fills in, sorts, drops or refuses around CPUs: vCPUs, I/O threads, tuning, the processor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, XMLDetail, XMLError
from virtcore.model.cpu.document import complete_guest_cpu
from virtcore.model.domain.cputune import VCPU, CPUPlacement, VCPUMaximum
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtcore.model.domain.cputune import (
        Cache,
        CacheTune,
        CPUTune,
        IOThreadSched,
        MemoryTune,
        VCPUSched,
    )
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "settle_cpu",
    "settle_cputune",
    "settle_iothreads",
    "settle_vcpus",
]

# More states of single vCPUs, or I/O threads, than this are refused rather than written out.
_MOST_THREADS = 1 << 16
# The only level of cache whose use can be measured.
_MONITORED_CACHE_LEVEL = 3


# ---------------------------------------------------------------------------------------------------- vCPUs and threads


def settle_vcpus(domain: Domain, context: DomainContext) -> None:
    """``<vcpu>`` and ``<vcpus>``: every vCPU gets a state where any has one."""
    vcpu = domain.vcpu
    if vcpu is None:
        vcpu = domain.vcpu = VCPUMaximum(maximum=1)
    if vcpu.placement is None:
        vcpu.placement = CPUPlacement.STATIC
    elif vcpu.placement is CPUPlacement.AUTO:
        vcpu.cpuset = None
    if domain.vcpus:
        if vcpu.maximum > _MOST_THREADS:
            raise XMLError(
                f"states of single vcpus are limited to {_MOST_THREADS} vcpus",
                path="/domain/vcpus",
                value=str(vcpu.maximum),
            )
        states = {}
        for state in domain.vcpus:
            if state.id >= vcpu.maximum:
                raise XMLError(
                    f"vcpu id '{state.id}' is out of range of maximum vcpu count", path="/domain/vcpus/vcpu/@id"
                )
            states[state.id] = state
        domain.vcpus = [states.get(i) or VCPU(id=i, enabled=False) for i in range(vcpu.maximum)]
        online = domain.vcpu_count
        vcpu.current = online if online < vcpu.maximum else None
    elif vcpu.current is not None:
        if vcpu.current > vcpu.maximum:
            raise ConfigUnsupported(
                "maximum vCPU count must not be less than current vCPU count", path="/domain/vcpu/@current"
            )
        if vcpu.current == vcpu.maximum:
            vcpu.current = None


def settle_iothreads(domain: Domain, context: DomainContext) -> None:
    """``<iothreads>``, ``<iothreadids>``: the count covers the listed threads; a list is completed to the count."""
    default = domain.default_iothread
    if default is not None and default.thread_pool_min is None and default.thread_pool_max is None:
        domain.default_iothread = None
    threads = domain.iothread_ids
    if not threads:
        return
    from virtcore.model.domain.resources import IOThread

    known: set[int] = set()
    for thread in threads:
        if thread.id in known:
            raise XMLError(f"duplicate iothread id '{thread.id}' found", path="/domain/iothreadids/iothread/@id")
        known.add(thread.id)
    count = max(domain.iothreads or 0, len(threads))
    if count > _MOST_THREADS:
        raise XMLError(
            f"iothreadids are limited to {_MOST_THREADS} iothreads", path="/domain/iothreads", value=str(count)
        )
    # Ids beyond the count take none of the numbers that are filled in.
    free = (number for number in range(1, count + 1) if number not in known)
    for _ in range(count - len(threads)):
        threads.append(IOThread(id=next(free)))
    domain.iothreads = count


def _iothread_order(domain: Domain) -> Mapping[int, int]:
    """Id of each I/O thread and its place in the list."""
    if domain.iothread_ids:
        return {thread.id: place for place, thread in enumerate(domain.iothread_ids)}
    return _Numbers(domain.iothreads or 0)


class _Numbers(Mapping[int, int]):
    """The numbers from 1, each its own place; however many there are."""

    def __init__(self, last: int) -> None:
        self._numbers = range(1, last + 1)

    def __getitem__(self, number: int) -> int:
        if number not in self._numbers:
            raise KeyError(number)
        return number

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def settle_cputune(domain: Domain, context: DomainContext) -> None:
    """``<cputune>``: pins and schedulers one per thread, in order; resource groups checked against each other."""
    tune = domain.cputune
    if tune is None:
        return
    maximum = domain.vcpu_maximum
    _settle_pins(tune, maximum, _iothread_order(domain))
    if tune.vcpuscheds:
        tune.vcpuscheds = _one_each_vcpu(tune.vcpuscheds, maximum)
    if tune.iothreadscheds:
        tune.iothreadscheds = _one_each_iothread(tune.iothreadscheds, _iothread_order(domain))
    if tune.cachetunes or tune.memorytunes:
        _settle_resource_groups(tune, maximum)


def _settle_pins(tune: CPUTune, maximum: int, iothreads: Mapping[int, int]) -> None:
    pinned: set[int] = set()
    if tune.vcpupins:
        # Pins of vCPUs that do not exist are ignored.
        tune.vcpupins = [pin for pin in tune.vcpupins if pin.vcpu < maximum]
        for pin in tune.vcpupins:
            if pin.vcpu in pinned:
                raise InternalError(f"duplicate vcpupin for vcpu '{pin.vcpu}'", path="/domain/cputune/vcpupin")
            pinned.add(pin.vcpu)
        tune.vcpupins.sort(key=lambda pin: pin.vcpu)
    if tune.iothreadpins:
        pinned = set()
        for thread_pin in tune.iothreadpins:
            if thread_pin.iothread not in iothreads:
                raise ConfigUnsupported(
                    f"Cannot find 'iothread' : {thread_pin.iothread}", path="/domain/cputune/iothreadpin/@iothread"
                )
            if thread_pin.iothread in pinned:
                raise InternalError(
                    f"duplicate iothreadpin for same iothread '{thread_pin.iothread}'",
                    path="/domain/cputune/iothreadpin",
                )
            pinned.add(thread_pin.iothread)
        tune.iothreadpins.sort(key=lambda pin: iothreads[pin.iothread])


def _threads(numbers: CpuSet, seen: set[int], element: str, attribute: str) -> list[int]:
    """The threads a scheduler names, none of them named before."""
    path = f"/domain/cputune/{element}/@{attribute}"
    if not seen.isdisjoint(numbers):
        raise XMLDetail(f"'{element}' attributes '{attribute}' must not overlap", path=path)
    seen.update(numbers)
    return sorted(numbers)


def _one_each_vcpu(scheds: list[VCPUSched], maximum: int) -> list[VCPUSched]:
    from virtcore.model.domain.cputune import VCPUSched

    seen: set[int] = set()
    single = []
    for sched in scheds:
        for number in _threads(sched.vcpus, seen, "vcpusched", "vcpus"):
            if number >= maximum:
                raise ConfigUnsupported(
                    f"vCPU '{number}' is not present in domain definition", path="/domain/cputune/vcpusched/@vcpus"
                )
            single.append(VCPUSched(vcpus=CpuSet((number,)), scheduler=sched.scheduler, priority=sched.priority))
    return sorted(single, key=lambda sched: min(sched.vcpus))


def _one_each_iothread(scheds: list[IOThreadSched], order: Mapping[int, int]) -> list[IOThreadSched]:
    from virtcore.model.domain.cputune import IOThreadSched

    seen: set[int] = set()
    single = []
    for sched in scheds:
        for number in _threads(sched.iothreads, seen, "iothreadsched", "iothreads"):
            if number not in order:
                raise ConfigUnsupported(
                    f"Cannot find 'iothread' : {number}", path="/domain/cputune/iothreadsched/@iothreads"
                )
            single.append(
                IOThreadSched(iothreads=CpuSet((number,)), scheduler=sched.scheduler, priority=sched.priority)
            )
    return sorted(single, key=lambda sched: order[min(sched.iothreads)])


# ------------------------------------------------------------------------------------------------------ resource groups


class _Group:
    """vCPUs that share an allocation of cache and memory bandwidth on the host."""

    def __init__(self, vcpus: CpuSet, name: str) -> None:
        self.vcpus = vcpus
        self.name = name
        self.monitors: list[tuple[str, CpuSet]] = []
        self.allocates = False
        self.listed = False


def _settle_resource_groups(tune: CPUTune, maximum: int) -> None:
    groups: list[_Group] = []
    owner: dict[int, _Group] = {}
    cachetunes: list[CacheTune] = []
    for cachetune in tune.cachetunes:
        group = _group(owner, cachetune, maximum)
        if group is None:
            continue
        if group.listed:
            raise XMLError("Identical vcpus in cachetunes found", path="/domain/cputune/cachetune")
        group.allocates = bool(cachetune.caches)
        _settle_caches(cachetune.caches)
        for monitor in cachetune.monitors:
            if monitor.level != _MONITORED_CACHE_LEVEL:
                raise XMLError(
                    f"Invalid monitor cache level '{monitor.level}'", path="/domain/cputune/cachetune/monitor/@level"
                )
            monitor.vcpus = _monitored(group, "cache", monitor.vcpus, maximum)
        if cachetune.caches or cachetune.monitors:
            _list(group, groups, owner)
            cachetunes.append(cachetune)
    tune.cachetunes = cachetunes
    memorytunes: list[MemoryTune] = []
    for memorytune in tune.memorytunes:
        group = _group(owner, memorytune, maximum)
        if group is None:
            continue
        shares = {node.id for node in memorytune.nodes}
        if len(shares) < len(memorytune.nodes):
            ids = [node.id for node in memorytune.nodes]
            twice = next(number for place, number in enumerate(ids) if number in ids[:place])
            raise XMLError(
                f"Memory Bandwidth already defined for node {twice}", path="/domain/cputune/memorytune/node/@id"
            )
        memorytune.nodes.sort(key=lambda node: node.id)
        group.allocates = group.allocates or bool(memorytune.nodes)
        for memory_monitor in memorytune.monitors:
            memory_monitor.vcpus = _monitored(group, "memory", memory_monitor.vcpus, maximum)
        if memorytune.nodes or memorytune.monitors:
            _list(group, groups, owner)
            memorytunes.append(memorytune)
    # Both kinds are printed in the order of the groups.
    order = {group.vcpus: place for place, group in enumerate(groups)}
    tune.memorytunes = sorted(memorytunes, key=lambda memorytune: order[memorytune.vcpus])


def _list(group: _Group, groups: list[_Group], owner: dict[int, _Group]) -> None:
    """Notes a group whose vCPUs no other may have from now on."""
    if not group.listed:
        group.listed = True
        groups.append(group)
        owner.update(dict.fromkeys(group.vcpus, group))


def _present(vcpus: CpuSet, maximum: int) -> CpuSet:
    return CpuSet(vcpu for vcpu in vcpus if vcpu < maximum)


def _group(owner: dict[int, _Group], tune: CacheTune | MemoryTune, maximum: int) -> _Group | None:
    """The group of an allocation: the known one of these vCPUs, or a new one; None without vCPUs."""
    tune.vcpus = _present(tune.vcpus, maximum)
    if not tune.vcpus:
        return None
    known = next((owner[vcpu] for vcpu in tune.vcpus if vcpu in owner), None)
    if known is not None:
        if known.vcpus != tune.vcpus:
            raise XMLError("Overlapping vcpus in resctrls", path="/domain/cputune")
        tune.id = known.name
        return known
    if tune.id is None:
        tune.id = f"vcpus_{tune.vcpus}"
    return _Group(tune.vcpus, tune.id)


def _settle_caches(caches: list[Cache]) -> None:
    from virtcore.model.domain.cputune import CacheType

    taken: dict[tuple[int, int], set[CacheType]] = {}
    for cache in caches:
        others = taken.setdefault((cache.level, cache.id), set())
        if CacheType.BOTH in others or cache.type in others or (others and cache.type is CacheType.BOTH):
            raise XMLError(
                f"Colliding cache allocations for cache level '{cache.level}' id '{cache.id}', type '{cache.type}'",
                path="/domain/cputune/cachetune/cache",
            )
        others.add(cache.type)
    kinds = list(CacheType)
    caches.sort(key=lambda cache: (cache.level, kinds.index(cache.type), cache.id))


def _monitored(group: _Group, kind: str, vcpus: CpuSet, maximum: int) -> CpuSet:
    """The existing vCPUs of a monitor, noted in its group."""
    path = "/domain/cputune/monitor/@vcpus"
    vcpus = _present(vcpus, maximum)
    if not vcpus:
        raise InvalidArg("vcpus is empty", path=path)
    if not vcpus <= group.vcpus:
        raise InvalidArg("Monitor vcpus conflicts with allocation", path=path)
    whole = vcpus == group.vcpus
    overlaps = conflict = False
    for other_kind, other in group.monitors:
        if other == vcpus:
            if other_kind == kind:
                raise InvalidArg("Identical vcpus found in same type monitors", path=path)
            continue
        if other & vcpus:
            overlaps = True
            # A monitor of the whole group may overlap with those of its parts.
            conflict = conflict or not (whole or other == group.vcpus)
    if conflict or (overlaps and not group.allocates):
        raise InvalidArg("vcpus overlaps in resctrl groups", path=path)
    group.monitors.append((kind, vcpus))
    return vcpus


# ------------------------------------------------------------------------------------------------------------ processor


def settle_cpu(domain: Domain, context: DomainContext) -> None:
    """``<cpu>``: defaults, and what does not go with the mode."""
    if domain.cpu is not None:
        complete_guest_cpu(domain.cpu, "/domain/cpu")
