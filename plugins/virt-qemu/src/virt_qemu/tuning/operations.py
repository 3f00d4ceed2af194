"""Settings: names, memory, virtual CPUs, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.recovery import iothreads_of
from virt_qemu.stats.threads import affinity
from virtcore.driver.toolkit.reconfiguring import (
    Describing,
    SettingIOThreads,
    SettingLimits,
    SettingMemory,
    SettingVcpus,
)
from virtcore.errors import InvalidArg
from virtcore.operations.values import IOThreadInfo
from virtcore.types import CpuMap, DomainRef

if TYPE_CHECKING:
    from virtcore.enums import DomainModificationImpact

__all__ = ["TuningOperations"]


class TuningOperations(
    Describing[QemuState],
    SettingVcpus[QemuState],
    SettingIOThreads[QemuState],
    SettingMemory[QemuState],
    SettingLimits[QemuState],
):
    """Settings of QEMU guests. How definitions change is the toolkit's; guests, :mod:`virt_qemu.tuning.live`."""

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
