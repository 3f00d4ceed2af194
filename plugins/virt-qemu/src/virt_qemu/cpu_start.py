"""What a start makes of ``<cpu>``: a processor QEMU knows, with nothing left that depends on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.cpu_model import host_model, hypervisor_models
from virtcore.errors import ConfigUnsupported
from virtcore.model.arch import host_arch
from virtcore.model.cpu.element import CPUFallback, CPUMode
from virtcore.model.cpu.models import convert_legacy_cpu, translate_cpu, update_cpu

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.cpu.element import GuestCPU, HostCPU
    from virtcore.model.domain import Domain

__all__ = ["decide_cpu"]


def decide_cpu(domain: Domain, capabilities: EmulatorCapabilities, host: HostCPU | GuestCPU | None = None) -> None:
    """Turns the wanted processor into one that QEMU knows, in place.

    ``host-model`` becomes a model, optional features are there or not, a model QEMU does not know is said by another.

    :param host: what guests can be given here; by default what QEMU says it can give.
    :raises ConfigUnsupported: such a processor cannot be had here.
    :raises InternalError: a model or a feature is not known.
    """
    cpu = domain.cpu
    arch = domain.arch
    if cpu is None or arch is None or not (arch.is_x86 or arch.is_s390):
        # QEMU itself knows what other architectures' models come to.
        return
    if cpu.mode in (None, CPUMode.CUSTOM) and (cpu.model is None or cpu.model.name is None):
        return
    if cpu.mode in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM):
        return
    convert_legacy_cpu(arch, cpu)
    accelerator = capabilities.accelerator(str(domain.type))
    host = host or host_model(arch, accelerator, migratable=True)
    if host is None and cpu.mode is CPUMode.HOST_MODEL:
        raise ConfigUnsupported(
            f"CPU mode '{cpu.mode}' for {arch} {domain.type} domain on {host_arch()} host is not supported by "
            "hypervisor"
        )
    update_cpu(arch, cpu, host)
    translate_cpu(arch, cpu, hypervisor_models(accelerator.cpus))
    if cpu.model is not None:
        cpu.model.fallback = CPUFallback.FORBID
