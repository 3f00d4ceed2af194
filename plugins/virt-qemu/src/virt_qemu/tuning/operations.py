"""Settings: names, memory, virtual CPUs, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.host import QemuState
from virtcore.driver.toolkit.reconfiguring import (
    Describing,
    SettingIOThreads,
    SettingLimits,
    SettingMemory,
    SettingVcpus,
)
from virtcore.errors import InvalidArg
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
