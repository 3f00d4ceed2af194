"""Where the test driver's settings differ from those of other drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.builtin.test.state import Polling, TestState
from virtcore.driver.toolkit.reconfiguring import (
    Describing,
    SettingIOThreads,
    SettingLimits,
    SettingMemory,
    SettingVcpus,
)
from virtcore.enums.common import TypedParameterType
from virtcore.errors import InvalidArg, OperationInvalid
from virtcore.operations.declare import inline
from virtcore.types import CpuMap, DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.enums import DomainModificationImpact
    from virtcore.operations.values import SchedulerType

__all__ = ["TuningParts"]

_WEIGHT = 50


class TuningParts(
    Describing[TestState],
    SettingVcpus[TestState],
    SettingIOThreads[TestState],
    SettingMemory[TestState],
    SettingLimits[TestState],
):
    """Settings of the test driver's domains."""

    # -- virtual CPUs

    async def check_vcpus(self, count: int) -> None:
        from virtcore.builtin.test.host import MAX_VCPUS

        if count > MAX_VCPUS:
            raise InvalidArg(f"requested cpu amount exceeds maximum supported amount ({count} > {MAX_VCPUS})")

    async def domain_pin_vcpu(
        self, domain: DomainRef, vcpu: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> None:
        # The older function, which asks for the running guest by name, is the same here.
        self.check_flags(flags, 1, "domain_pin_vcpu")
        if not self.domain(domain).active:
            raise OperationInvalid("cannot pin vcpus on an inactive domain")
        await super().domain_pin_vcpu(domain, vcpu, cpumap, flags)

    # -- I/O threads

    async def domain_add_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> None:
        await super().domain_add_iothread(domain, iothread_id, flags)
        self.state.guest(self.domain(domain)).polling[iothread_id] = Polling()

    async def domain_del_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> None:
        await super().domain_del_iothread(domain, iothread_id, flags)
        self.state.guest(self.domain(domain)).polling.pop(iothread_id, None)

    @inline
    def domain_set_iothread_parameters(
        self, domain: DomainRef, iothread_id: int, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.iothreads import require
        from virtcore.operations.parameters import IOTHREAD

        operation = "domain_set_iothread_parameters"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, 1, operation)
        if iothread_id == 0:
            raise InvalidArg("invalid value of 0 for iothread_id")
        obj = self.domain(domain)
        require(self.state.config(obj, int(flags)), iothread_id)
        IOTHREAD.validate(params, "poll_max_ns", "poll_grow", "poll_shrink")
        known = self.state.guest(obj).polling
        changed = {name.removeprefix("poll_"): value for name, value in params.items() if isinstance(value, int)}
        known[iothread_id] = known.get(iothread_id, Polling())._replace(**changed)

    # -- CPU time: there is a scheduler, which listens to nobody

    @inline
    def domain_scheduler_type(self, domain: DomainRef) -> SchedulerType:
        from virtcore.operations.values import SchedulerType

        return SchedulerType("fair", 1)

    @inline
    def domain_scheduler_parameters(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> TypedParameters:
        self.check_flags(flags, 0, "domain_scheduler_parameters")
        self.domain(domain)
        return TypedParameters([("weight", TypedParameterType.UINT, _WEIGHT)])

    @inline
    def domain_set_scheduler_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.operations.parameters import SCHEDULER

        self.check_flags(flags, 0, "domain_set_scheduler_parameters")
        SCHEDULER.validate(params, "weight")
        self.domain(domain)

    # -- protection

    @inline
    def domain_launch_security_info(self, domain: DomainRef, flags: int = 0) -> TypedParameters:
        self.check_flags(flags, 0, "domain_launch_security_info")
        return TypedParameters()
