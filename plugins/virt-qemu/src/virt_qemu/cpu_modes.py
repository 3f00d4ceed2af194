"""Where guests' processors can come from: ``<cpu>`` of domain capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.capabilities.model import Accelerator
from virt_qemu.command.cpu import libvirt_feature
from virt_qemu.cpu_model import host_model
from virtcore.model.arch import Arch
from virtcore.model.cpu.element import CPUFallback, CPUModel, MaxPhysAddr, MaxPhysAddrMode
from virtcore.model.cpu.models import canonical_cpu_model, cpu_models, vendor_of_cpu_model
from virtcore.model.domain_capabilities import (
    CapabilityEnum,
    CPUBlocker,
    CPUModes,
    CPUUsable,
    CustomMode,
    HostModelMode,
    ModelBlockers,
    PassthroughMode,
    SelectableModel,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import CPUDefinition, EmulatorCapabilities
    from virtcore.model.cpu.element import HostCPU

__all__ = ["cpu_modes"]


def cpu_modes(
    capabilities: EmulatorCapabilities, kind: str, address_bits: int | None = None, host_cpu: HostCPU | None = None
) -> CPUModes:
    """The modes, and the models of those that have some.

    :param kind: the domain type.
    :param address_bits: bits of the host's physical addresses, where they are known.
    :param host_cpu: the host's processor, which guests can have where QEMU does not say what it gives them.
    """
    arch = capabilities.arch
    accelerator = capabilities.own_accelerator(kind) or Accelerator()
    accelerated = kind in ("kvm", "hvf")
    described = host_model(arch, accelerator)
    host = HostModelMode(supported=described is not None)
    if described is None and host_cpu is not None and host_cpu.arch is arch and arch.is_ppc64:
        host.supported = True
        host.model = CPUModel(name=host_cpu.model, fallback=CPUFallback.ALLOW)
        host.vendor = host_cpu.vendor
    if described is not None:
        host.model, host.vendor, host.features = described.model, described.vendor, described.features
        if host.model is not None:
            host.model.fallback = CPUFallback.FORBID
        if arch.is_x86 and address_bits and accelerated:
            host.maxphysaddr = MaxPhysAddr(mode=MaxPhysAddrMode.PASSTHROUGH, limit=address_bits)
    custom = CustomMode(supported=bool(accelerator.cpus))
    known = cpu_models(arch) if arch.is_x86 or arch.is_ppc64 else None
    for model in sorted(accelerator.cpus, key=lambda model: model.name.encode()):
        if model.name != "host" and (known is None or model.name in known):
            custom.models += _model(arch, model)
    return CPUModes(
        modes=[
            _whole("host-passthrough", "hostPassthroughMigratable", accelerated, capabilities.has("cpu.migratable")),
            _whole("maximum", "maximumMigratable", capabilities.has("cpu-max"), True),
            host,
            custom,
        ]
    )


def _whole(name: str, enum: str, supported: bool, migratable: bool) -> PassthroughMode:
    values = ["on", "off"] if migratable else ["off"]
    return PassthroughMode(
        name=name, supported=supported, enums=[CapabilityEnum(name=enum, values=values)] if supported else []
    )


def _knows(arch: Arch) -> bool:
    """Whether libvirt knows anything of the processors of an architecture."""
    return arch.is_x86 or arch.is_ppc64 or arch.is_s390


def _model(arch: Arch, model: CPUDefinition) -> list[SelectableModel | ModelBlockers]:
    usable = CPUUsable.UNKNOWN if model.usable is None else CPUUsable.YES if model.usable else CPUUsable.NO
    found: list[SelectableModel | ModelBlockers] = [
        SelectableModel(
            name=model.name,
            usable=usable,
            deprecated=model.deprecated,
            vendor=(vendor_of_cpu_model(arch, model.name) if _knows(arch) else None) or "unknown",
            canonical=canonical_cpu_model(arch, model.name) if _knows(arch) else None,
        )
    ]
    if model.blockers:
        names = [CPUBlocker(name=name) for name in sorted(set(map(libvirt_feature, model.blockers)))]
        found.append(ModelBlockers(model=model.name, features=names))
    return found
