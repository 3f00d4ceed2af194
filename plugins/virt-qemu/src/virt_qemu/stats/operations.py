"""Operations that tell what guests use and do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from virt_qemu.guest import Guest, guest_of
from virt_qemu.host import QemuState
from virt_qemu.stats import blocks, groups as rows_of, threads
from virt_qemu.stats.asking import ask_all
from virtcore.driver.toolkit import DomainObject, StatefulDriver
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain import DomainControlState, VcpuState
from virtcore.enums.domain_more import DomainDirtyRateCalcFlags, DomainStatsTypes as Group
from virtcore.errors import ArgumentUnsupported, ConfigUnsupported, InvalidArg, OperationInvalid, OperationUnsupported
from virtcore.operations.declare import inline
from virtcore.operations.parameters import CPU_STATS
from virtcore.operations.values import (
    ControlInfo,
    DomainInfo,
    DomainStats,
    InterfaceStats,
    VcpuInfo,
)
from virtcore.types import CpuMap, DomainRef, TypedParameters

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON
    from virtcore.enums import DomainMemoryStatTags
    from virtcore.model.domain import Domain

__all__ = ["StatisticsOperations"]

_BACKING = 1 << 30
_SHORTEST, _LONGEST = 1, 60
# Looked up thousands of times for a list of guests, which is slow in the classes of enumerations.
_STATE, _BALLOON, _VCPU, _BLOCK = int(Group.STATE), int(Group.BALLOON), int(Group.VCPU), int(Group.BLOCK)
_INT, _UINT, _ULLONG = Kind.INT, Kind.UINT, Kind.ULLONG
_BITMAP, _RING = DomainDirtyRateCalcFlags.DIRTY_BITMAP, DomainDirtyRateCalcFlags.DIRTY_RING


class _IdleRow(NamedTuple):
    """Statistics of a guest that does not run, and what they follow from."""

    disks: Sequence[blocks.IdleDisk]
    seen: Sequence[object]
    row: DomainStats


class StatisticsOperations(StatefulDriver[QemuState]):
    """Statistics of QEMU guests."""

    stats_groups = int(rows_of.GROUPS)

    # -- bulk statistics

    def _stats_groups(self, wanted: int, enforce: bool) -> int:
        missing = wanted & ~self.stats_groups
        if missing and enforce:
            raise ArgumentUnsupported(f"Stats types bits 0x{missing:x} are not supported by this daemon or QEMU")
        return super()._stats_groups(wanted, enforce)

    async def live_stats(self, obj: DomainObject, groups: int, flags: int) -> TypedParameters:
        guest, domain, pid = self._running(obj)
        answers = await ask_all(guest, rows_of.questions(domain, guest, groups))
        rows = TypedParameters()
        sources = rows_of.Sources(
            obj=obj, guest=guest, domain=domain, pid=pid, answers=answers, backing=bool(flags & _BACKING)
        )
        rows_of.add_live(sources, groups, rows)
        return rows

    def _inactive_row(self, obj: DomainObject, groups: int) -> DomainStats:
        if not groups & _BLOCK:
            return super()._inactive_row(obj, groups)
        # Files are looked at each time, and what is told of them made anew when one has changed; the definition is not.
        key = ("idle stats", groups)
        kept = cast("_IdleRow | None", obj.kept.get(key))
        disks = kept.disks if kept is not None else self._idle_disks(obj)
        seen = blocks.look_at(disks, kept.seen if kept is not None else None)
        if kept is None or kept.seen != seen:
            rows = self._known(obj, groups, self.info_of(obj, 0))
            blocks.add_idle_blocks(disks, seen, rows)
            row = DomainStats(obj.ref, TypedParameters.given(rows).seal())
            obj.kept[key] = kept = _IdleRow(disks, seen, row)
        return kept.row

    def _idle_disks(self, obj: DomainObject) -> Sequence[blocks.IdleDisk]:
        described = self.state.facts(obj).get("disks")
        if not isinstance(described, str):  # written by a version that did not keep it
            described = blocks.describe_disks(self.state.config(obj))
        return blocks.idle_disks(described)

    def stats_of(self, obj: DomainObject, groups: int, info: DomainInfo) -> TypedParameters:
        return TypedParameters.given(self._known(obj, groups, info))

    def _known(self, obj: DomainObject, groups: int, info: DomainInfo) -> list[blocks.Row]:
        """What is told of a guest that does not run, its disks apart."""
        rows: list[blocks.Row] = []
        if groups & _STATE:
            rows += (("state.state", _INT, int(obj.state)), ("state.reason", _INT, int(obj.reason)))
        if groups & _BALLOON:
            rows += (
                ("balloon.current", _ULLONG, info.memory),
                ("balloon.maximum", _ULLONG, info.max_memory),
            )
        if groups & _VCPU:
            most = int(self.state.facts(obj).get("max_vcpus") or 0)
            rows += (("vcpu.current", _UINT, info.vcpus), ("vcpu.maximum", _UINT, most))
        return rows

    def _running(self, obj: DomainObject) -> tuple[Guest, Domain, int]:
        """A running guest, its configuration and its process.

        :raises OperationInvalid: it does not run.
        """
        guest = guest_of(obj)
        if guest.process is None or obj.live is None:
            raise OperationInvalid("domain is not running")
        return guest, obj.live, guest.process.pid

    # -- what it is, how it does

    def live_info(self, obj: DomainObject) -> DomainInfo:
        guest = guest_of(obj)
        facts = self.state.facts(obj, True)
        user, system = threads.cpu_times(guest.process.pid) if guest.process is not None else (0, 0)
        known = obj.live.current_memory if obj.live is not None else None
        memory = known if known is not None else int(facts["memory"] or 0)
        return DomainInfo(obj.state, int(facts["max_memory"] or 0), memory, int(facts["vcpus"] or 0), user + system)

    @inline
    def domain_control_info(self, domain: DomainRef, flags: int = 0) -> ControlInfo:
        import time

        self.check_flags(flags, 0, "domain_control_info")
        obj = self.domain(domain)
        guest = guest_of(obj)
        if guest.monitor is None or not guest.monitor.connected:
            return ControlInfo(DomainControlState.ERROR, 0, 0)
        if obj.job.holder is not None:
            return ControlInfo(DomainControlState.JOB, 0, int(obj.job.holder.age * 1000))
        since = guest.monitor.waiting_since
        if since is not None:
            return ControlInfo(DomainControlState.OCCUPIED, 0, int((time.monotonic() - since) * 1000))
        return ControlInfo(DomainControlState.OK, 0, 0)

    # -- virtual CPUs

    @inline
    def domain_vcpus(self, domain: DomainRef) -> list[VcpuInfo]:
        obj = self.domain(domain)
        if not obj.active:
            raise OperationInvalid("cannot retrieve vcpu information for inactive domain")
        guest, _, pid = self._running(obj)
        return [
            VcpuInfo(
                number,
                VcpuState.RUNNING,
                sum(threads.cpu_times(pid, thread)),
                threads.cpu_of(pid, thread),
                CpuMap(threads.affinity(thread)),
            )
            for number, thread in sorted(guest.threads.items())
        ]

    # -- CPU time

    @inline
    def domain_cpu_stats(
        self, domain: DomainRef, start_cpu: int = -1, ncpus: int = 1, flags: int = 0
    ) -> list[TypedParameters]:
        from virtcore.driver.toolkit.arguments import invalid_argument

        self.check_flags(flags, 0, "domain_cpu_stats")
        if start_cpu < -1:
            raise invalid_argument("start_cpu in virDomainGetCPUStats must be -1 or zero or greater")
        if start_cpu == -1 and ncpus > 1:
            raise invalid_argument("ncpus in virDomainGetCPUStats must be 0 or 1 when start_cpu is -1")
        guest, _, _ = self._running(self.domain(domain))
        group = guest.group
        if group is None or not group.has("cpuacct"):
            raise OperationInvalid("cgroup CPUACCT controller is not mounted")
        if start_cpu == -1:
            total = group.cpu_times()
            return [CPU_STATS.typed({"cpu_time": total.time, "user_time": total.user, "system_time": total.system})]
        each = group.cpu_times_each()
        if start_cpu >= len(each):
            raise InvalidArg(f"start_cpu {start_cpu} larger than maximum of {len(each) - 1}")
        last = min(len(each), start_cpu + ncpus) if ncpus else len(each)
        vcpus = [group.below(f"vcpu{number}").cpu_times_each() for number in guest.threads]
        return [
            CPU_STATS.typed({"cpu_time": each[cpu], "vcpu_time": sum(vcpu[cpu] for vcpu in vcpus)})
            for cpu in range(start_cpu, last)
        ]

    # -- memory, network

    async def domain_memory_stats(self, domain: DomainRef, flags: int = 0) -> dict[DomainMemoryStatTags, int]:
        from virtcore.enums.domain_more import DomainMemoryStatTags as Tag

        self.check_flags(flags, 0, "domain_memory_stats")
        obj = self.domain(domain)
        async with obj.job.query("domain_memory_stats"):
            guest, config, pid = self._running(obj)
            found: dict[DomainMemoryStatTags, int] = {}
            question = rows_of.balloon_question(config)
            if question is not None:
                monitor = guest.channel()
                asked = monitor.ask("query-balloon"), monitor.ask(question.command, question.arguments)
                size, answer = [await each for each in asked]
                actual = size.get("actual") if isinstance(size, dict) else None
                if isinstance(actual, int):
                    found[Tag.ACTUAL_BALLOON] = actual >> 10
                found.update((tag, value) for tag, _, value in rows_of.memory_tags(answer))
            found[Tag.RSS] = threads.resident(pid)
            return found

    @inline
    def domain_interface_stats(self, domain: DomainRef, device: str) -> InterfaceStats:
        from virt_qemu.stats.interfaces import interface_stats
        from virtcore.driver.toolkit.configuration.interfaces import find_interface

        obj = self.domain(domain)
        _, config, _ = self._running(obj)
        return interface_stats(find_interface(config, device))

    # -- how fast memory changes

    async def domain_start_dirty_rate_calc(
        self, domain: DomainRef, seconds: int, flags: DomainDirtyRateCalcFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both

        flags = int(flags)
        refuse_both(
            flags,
            ("VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_BITMAP", int(_BITMAP)),
            ("VIR_DOMAIN_DIRTYRATE_MODE_DIRTY_RING", int(_RING)),
        )
        self.check_flags(flags, _BITMAP | _RING, "domain_start_dirty_rate_calc")
        if not _SHORTEST <= seconds <= _LONGEST:
            raise ConfigUnsupported(
                f"seconds={seconds} is invalid, please choose value within [{_SHORTEST}, {_LONGEST}]."
            )
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_start_dirty_rate_calc"):
            guest, config, _ = self._running(obj)
            arguments: dict[str, JSON] = {"calc-time": seconds, "mode": _mode(config, flags)}
            await guest.channel().execute("calc-dirty-rate", arguments)
            guest.dirty_rate = True


def _mode(domain: Domain, flags: int) -> str:
    """How dirty memory is found; what the guest's features allow.

    :raises OperationUnsupported: they do not.
    """
    kvm = domain.features.kvm if domain.features is not None else None
    ring = kvm is not None and kvm.dirty_ring is not None and kvm.dirty_ring.state is True
    if flags & _RING:
        if not ring:
            raise OperationUnsupported("dirty-ring calculation mode requires dirty-ring feature enabled.")
        return "dirty-ring"
    if flags & _BITMAP:
        if ring:
            raise OperationUnsupported("dirty-bitmap calculation mode requires dirty-ring feature disabled.")
        return "dirty-bitmap"
    return "page-sampling"
