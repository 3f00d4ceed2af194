"""Whether a guest got the processor it asked for (``<cpu check='full'>``).

Two expansions of processor models answer this: what the wanted model comes to, and what the accelerator can do at
most. The second is known from the probe of the emulator; the first is asked once for each wanted processor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.cpu import qemu_feature
from virtcore.errors import OperationFailed
from virtcore.model.cpu.element import CPUCheck, CPUFeaturePolicy, CPUMode

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.monitor import JSON, Monitor
    from virtcore.model.cpu.element import GuestCPU
    from virtcore.model.domain import Domain

__all__ = ["CPUCheckCache", "check_cpu"]

_ON = (None, CPUFeaturePolicy.REQUIRE, CPUFeaturePolicy.FORCE)
_OFF = (CPUFeaturePolicy.DISABLE, CPUFeaturePolicy.FORBID)
_WHOLE = {CPUMode.MAXIMUM: "max", CPUMode.HOST_PASSTHROUGH: "host"}

#: Emulator, accelerator, machine and wanted processor -> the properties it comes to.
CPUCheckCache = dict[tuple[str, str, str, str], dict[str, "JSON"]]


def _wanted(cpu: GuestCPU) -> dict[str, JSON] | None:
    """The processor as QEMU's model; None where there is nothing to compare with."""
    name = _WHOLE.get(cpu.mode) if cpu.mode is not None else None
    if name is None:
        name = cpu.model.name if cpu.model is not None else None
    if name is None:
        return None
    features: dict[str, JSON] = {qemu_feature(each.name): each.policy in _ON for each in cpu.features}
    return {"name": name, "props": features}


async def check_cpu(
    monitor: Monitor, domain: Domain, capabilities: EmulatorCapabilities, cache: CPUCheckCache, limit: float
) -> None:
    """Compare what a started guest got with what it asked for, where it wants that checked.

    :raises OperationFailed: it got less, or more.
    """
    cpu = domain.cpu
    if cpu is None or cpu.check is not CPUCheck.FULL or not cpu.features:
        return
    model = _wanted(cpu)
    if model is None:
        return
    accelerator = capabilities.own_accelerator(str(domain.type))
    most = accelerator.host_cpu.properties if accelerator is not None and accelerator.host_cpu is not None else {}
    key = (capabilities.binary, str(domain.type), domain.machine or "", repr(model))
    properties = cache.get(key)
    if properties is None:
        answer = await monitor.execute("query-cpu-model-expansion", {"type": "full", "model": model}, limit=limit)
        found = answer.get("model") if isinstance(answer, dict) else None
        expanded = found.get("props") if isinstance(found, dict) else None
        properties = cache[key] = expanded if isinstance(expanded, dict) else {}

    def has(feature: str) -> bool:
        name = qemu_feature(feature)
        return properties.get(name) is True and most.get(name) is not False

    missing = [each.name for each in cpu.features if each.policy in _ON and not has(each.name)]
    extra = [each.name for each in cpu.features if each.policy in _OFF and has(each.name)]
    parts = []
    if extra:
        parts.append(f"extra features: {','.join(extra)}")
    if missing:
        parts.append(f"missing features: {','.join(missing)}")
    if parts:
        raise OperationFailed(f"guest CPU doesn't match specification: {', '.join(parts)}")
