"""Settings: names, memory, virtual CPUs, limits."""

from __future__ import annotations

from virt_qemu.host import QemuState
from virtcore.driver.toolkit.reconfiguring import (
    Describing,
    SettingIOThreads,
    SettingLimits,
    SettingMemory,
    SettingVcpus,
)

__all__ = ["TuningOperations"]


class TuningOperations(
    Describing[QemuState],
    SettingVcpus[QemuState],
    SettingIOThreads[QemuState],
    SettingMemory[QemuState],
    SettingLimits[QemuState],
):
    """Settings of QEMU guests. How definitions change is the toolkit's; guests, :mod:`virt_qemu.tuning.live`."""
