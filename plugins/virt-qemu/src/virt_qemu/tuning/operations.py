"""Settings: names, memory, virtual CPUs, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.recovery import iothreads_of
from virt_qemu.stats.threads import affinity
from virt_qemu.tuning.groups import SCHEDULER_FIELDS
from virtcore.driver.toolkit.reconfiguring import (
    Describing,
    SettingIOThreads,
    SettingLimits,
    SettingMemory,
    SettingVcpus,
)
from virtcore.errors import ConfigUnsupported, InvalidArg, OperationInvalid, OperationUnsupported
from virtcore.operations.declare import inline
from virtcore.operations.parameters import BLKIO, MEMORY, SCHEDULER
from virtcore.operations.values import IOThreadInfo, SchedulerType
from virtcore.types import CpuMap, DomainRef, TypedParameters

if TYPE_CHECKING:
    from virt_host.cgroup import ControlGroup
    from virtcore.enums import DomainModificationImpact
    from virtcore.model.domain import Domain, Interface

__all__ = ["TuningOperations"]

_NO_CPU = "cgroup CPU controller is not mounted"
#: What holds for a guest whose CPU time nobody has limited.
_UNLIMITED = {
    "cpu_shares": 1024,
    **{
        f"{part}_{name}": value
        for part in ("vcpu", "emulator", "global", "iothread")
        for name, value in (("period", 100_000), ("quota", -1))
    },
}
#: Interfaces that may have a device on the host.
_LIMITABLE = ("bridge", "network", "direct", "ethernet")
#: What periods and quotas may be, in us.
_LIMITS = {"period": (1000, 1_000_000), "quota": (1000, 17_592_186_044_415)}


class TuningOperations(
    Describing[QemuState],
    SettingVcpus[QemuState],
    SettingIOThreads[QemuState],
    SettingMemory[QemuState],
    SettingLimits[QemuState],
):
    """Settings of QEMU guests. How definitions change is the toolkit's; guests, :mod:`virt_qemu.tuning.live`."""

    one_at_once = False

    async def domain_pin_vcpu(
        self, domain: DomainRef, vcpu: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> None:
        self.check_flags(flags, 3, "domain_pin_vcpu")
        self.state.impact(self.domain(domain), int(flags))
        if not cpumap:
            raise InvalidArg("Empty cpu list for pinning")
        await super().domain_pin_vcpu(domain, vcpu, cpumap, flags)

    async def domain_iothreads(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> list[IOThreadInfo]:
        self.check_flags(flags, 3, "domain_iothreads")
        obj = self.domain(domain)
        live, _ = self.state.impact(obj, int(flags), one=True)
        if not live:
            from virtcore.driver.toolkit.configuration.iothreads import iothreads

            return iothreads(self.state.config(obj, int(flags)), self.state.host_cpus)
        async with obj.job.query("domain_iothreads"):
            found = iothreads_of(await guest_of(obj).channel().execute("query-iothreads"))
        return [IOThreadInfo(number, CpuMap(affinity(thread))) for number, thread in found.items()]

    # -- what happens when a guest ends

    def check_lifecycle(self, config: Domain) -> None:
        from virt_qemu.rules.validate.domain import check_lifecycle

        check_lifecycle(config)

    # -- interfaces

    def check_bandwidth(self, interface: Interface) -> None:
        from virt_qemu.command.networks import actual_type

        if actual_type(interface) not in _LIMITABLE:
            kind = interface.type
            raise ConfigUnsupported(f"setting bandwidth on interfaces of type '{kind}' is not implemented yet")

    # -- what control groups limit

    def _refuse_session(self, what: str) -> None:
        if not self.state.privileged:
            raise OperationUnsupported(f"{what} is not available in session mode")

    def _live_group(self, domain: DomainRef, flags: int, controller: str, complaint: str) -> ControlGroup | None:
        """The control group of a guest that flags select; None where they select the definition.

        :raises OperationInvalid: it is not limited by the controller.
        """
        obj = self.domain(domain)
        live, _ = self.state.impact(obj, flags, one=True)
        if not live:
            return None
        group = guest_of(obj).group
        if group is None or not group.has(controller):
            raise OperationInvalid(complaint)
        return group

    @inline
    def domain_scheduler_type(self, domain: DomainRef) -> SchedulerType:
        self._refuse_session("CPU tuning")
        if self.domain(domain).active and "cpu" not in self.state.control_groups.controllers():
            raise OperationInvalid(_NO_CPU)
        return SchedulerType("posix", len(SCHEDULER_FIELDS))

    @inline
    def domain_scheduler_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> TypedParameters:
        self.check_flags(flags, 3, "domain_scheduler_parameters")
        self._refuse_session("CPU tuning")
        live, _ = self.state.impact(self.domain(domain), int(flags), one=True)
        group = guest_of(self.domain(domain)).group if live else None
        if live and (group is None or "cpu" not in group.mounts.controllers()):
            raise OperationInvalid(_NO_CPU)
        if group is not None and not group.has("cpu"):
            return SCHEDULER.typed(_UNLIMITED)
        if group is None:
            tune = self.state.config(self.domain(domain), int(flags)).cputune
            values = {name: getattr(tune, field, None) or 0 for name, field in SCHEDULER_FIELDS.items()}
            return SCHEDULER.typed(values)
        values = {"cpu_shares": group.cpu_shares()}
        for name, part in (("vcpu", "vcpu0"), ("emulator", "emulator"), ("global", ""), ("iothread", "iothread")):
            found = group if not part else group.below(part)
            if part == "iothread":
                numbers = guest_of(self.domain(domain)).iothreads
                found = group.below(f"iothread{min(numbers, default=0)}")
            period, quota = found.cpu_quota() if found.exists else (100_000, -1)
            values |= {f"{name}_period": period, f"{name}_quota": quota}
        return SCHEDULER.typed(values)

    async def domain_set_scheduler_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        operation = "domain_set_scheduler_parameters"
        self.check_flags(flags, 3, operation)
        SCHEDULER.validate(params, *SCHEDULER_FIELDS)
        self._refuse_session("CPU tuning")
        for name, value in params.items():
            least, most = _LIMITS.get(name.rpartition("_")[2], (0, 0))
            if most and isinstance(value, int) and (0 < value < least or value > most):
                raise InvalidArg(f"value of '{name}' is out of range [{least}, {most}]")

        def change(config: Domain, live: bool) -> None:
            from virtcore.model.domain.cputune import CPUTune

            config.cputune = config.cputune or CPUTune()
            for name, value in params.items():
                if isinstance(value, int) and (value or name == "cpu_shares"):
                    setattr(config.cputune, SCHEDULER_FIELDS[name], value)

        await self.state.reconfigure(self.domain(domain), operation, int(flags), change)

    @inline
    def domain_memory_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        self.check_flags(flags, 3, "domain_memory_parameters")
        self._refuse_session("Memory tuning")
        group = self._live_group(domain, int(flags), "memory", "cgroup memory controller is not mounted")
        if group is None:
            return super().domain_memory_parameters(domain, flags)
        hard, soft, swap = group.memory_limits()
        return MEMORY.typed({"hard_limit": hard, "soft_limit": soft, "swap_hard_limit": swap})

    async def domain_set_memory_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        self._refuse_session("Memory tuning")
        await super().domain_set_memory_parameters(domain, params, flags)

    @inline
    def domain_blkio_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        self.check_flags(flags, 3, "domain_blkio_parameters")
        self._refuse_session("Block I/O tuning")
        group = self._live_group(domain, int(flags), "blkio", "blkio cgroup isn't mounted")
        found = super().domain_blkio_parameters(domain, flags)
        if group is None:
            return found
        values = dict(found.items())
        return BLKIO.typed(values | {"weight": group.io_weight()})

    async def domain_set_blkio_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        self._refuse_session("Block I/O tuning")
        await super().domain_set_blkio_parameters(domain, params, flags)
