"""What a start makes of ``<cpu>``: a processor QEMU knows, with nothing left that depends on the host."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from virt_qemu.cpu_model import host_model, hypervisor_models
from virtcore.errors import ConfigUnsupported, CPUIncompatible, ErrorDomain
from virtcore.model.arch import host_arch
from virtcore.model.cpu.element import CPUCheck, CPUFallback, CPUFeaturePolicy, CPUMode
from virtcore.model.cpu.models import (
    compare_cpu,
    convert_legacy_cpu,
    depends_on_host,
    migratable_cpu,
    translate_cpu,
    update_cpu,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import Accelerator, EmulatorCapabilities
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import CPUFeature, GuestCPU, HostCPU
    from virtcore.model.domain import Domain

__all__ = ["decide_cpu", "update_for_host"]

#: Features of x86 that QEMU never had or has dropped.
_UNKNOWN_TO_QEMU = frozenset(
    {
        "cmt",
        "mbm_total",
        "mbm_local",
        "osxsave",
        "ospke",
        "vmx-ept-uc",
        "vmx-ept-wb",
        "vmx-invvpid-single-context",
    }
)
#: Features that models of QEMU's had by mistake: no guest can have used them, so they are off anyway.
_NEVER_USABLE = frozenset({"pconfig"})
_OFF = (CPUFeaturePolicy.DISABLE, CPUFeaturePolicy.FORBID)


def decide_cpu(domain: Domain, capabilities: EmulatorCapabilities, host: HostCPU | None = None) -> None:
    """Turns the wanted processor into one that QEMU knows, in place.

    ``host-model`` becomes a model, optional features are there or not, a model QEMU does not know is said by another.

    :param host: the host's processor, where that counts and not what QEMU says that it can give guests.
    :raises ConfigUnsupported: such a processor cannot be had here.
    :raises CPUIncompatible: the host has less than it wants checked, or something that it forbids.
    :raises InternalError: a model or a feature is not known.
    """
    cpu, arch = domain.cpu, domain.arch
    if cpu is None or arch is None or _is_default(cpu):
        return
    accelerator = capabilities.accelerator(str(domain.type))
    if not _supports(cpu, arch, domain, capabilities, host):
        raise ConfigUnsupported(
            f"CPU mode '{cpu.mode or CPUMode.CUSTOM}' for {arch} {domain.type} domain on {host_arch()} host is not "
            "supported by hypervisor"
        )
    if not (arch.is_x86 or arch.is_s390 or arch.is_ppc64):
        # QEMU itself knows what other architectures' models come to.
        return
    convert_legacy_cpu(arch, cpu)
    _check_host(arch, cpu, accelerator, host)
    if cpu.mode not in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM):
        update_for_host(arch, cpu, accelerator, host)
        translate_cpu(arch, cpu, hypervisor_models(accelerator.cpus))
        if cpu.model is not None:
            cpu.model.fallback = CPUFallback.FORBID
    if arch.is_x86:
        cpu.features = [each for each in cpu.features if not _left_out(each)]
    if cpu.deprecated_features is not None:
        _settle_deprecated(cpu, capabilities, accelerator)


def update_for_host(arch: Arch, cpu: GuestCPU, accelerator: Accelerator, host: HostCPU | None = None) -> None:
    """Makes a processor independent of the host, in place (``VIR_DOMAIN_XML_UPDATE_CPU``).

    :param accelerator: what guests of the domain's type can have.
    :param host: see :func:`decide_cpu`.
    :raises ConfigUnsupported: what guests can be given is not known, or such a description is not possible.
    """
    offered: HostCPU | GuestCPU | None = None
    if host is not None:
        offered = migratable_cpu(arch, host)
    elif depends_on_host(cpu):
        offered = host_model(arch, accelerator, migratable=True)
    update_cpu(arch, cpu, offered)


def _is_default(cpu: GuestCPU) -> bool:
    """Whether nothing is said of the processor but how many there are."""
    return cpu.mode in (None, CPUMode.CUSTOM) and (cpu.model is None or cpu.model.name is None)


def _supports(
    cpu: GuestCPU, arch: Arch, domain: Domain, capabilities: EmulatorCapabilities, host: HostCPU | None
) -> bool:
    """Whether the emulator can have guests of a mode (``virQEMUCapsIsCPUModeSupported``)."""
    accelerator = capabilities.accelerator(str(domain.type))
    if cpu.mode is CPUMode.HOST_PASSTHROUGH:
        return str(domain.type) in ("kvm", "hvf")
    if cpu.mode is CPUMode.MAXIMUM:
        return capabilities.has("cpu-max")
    if cpu.mode is CPUMode.HOST_MODEL:
        return host is not None or ((arch.is_x86 or arch.is_s390) and accelerator.host_cpu is not None)
    return bool(accelerator.cpus)


def _check_host(arch: Arch, cpu: GuestCPU, accelerator: Accelerator, host: HostCPU | None) -> None:
    """Looks whether the host is good enough, where that is wanted.

    :raises CPUIncompatible: it is not.
    """
    forbidden = {each.name for each in cpu.features if each.policy is CPUFeaturePolicy.FORBID}
    partial = cpu.check is CPUCheck.PARTIAL and cpu.mode not in (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM)
    partial = partial and not _is_usable(cpu, accelerator)
    if cpu.check in (None, CPUCheck.NONE) or not (forbidden or partial):
        return
    full = host if host is not None else host_model(arch, accelerator)
    if full is None:
        return  # other architectures' hosts are known to QEMU alone
    full = copy(full)
    full.features = [each for each in full.features if each.name not in _UNKNOWN_TO_QEMU]  # type: ignore[assignment]
    for each in full.features:
        if each.name in forbidden and getattr(each, "policy", None) is not CPUFeaturePolicy.DISABLE:
            raise CPUIncompatible(f"Host CPU provides forbidden feature '{each.name}'", domain=ErrorDomain.CPU)
    if partial:
        compare_cpu(arch, full, cpu, fail_incompatible=True)


def _is_usable(cpu: GuestCPU, accelerator: Accelerator) -> bool:
    """Whether QEMU itself says that the host has all of a model; what is added to it, it does not know."""
    if cpu.model is None or any(each.policy is not CPUFeaturePolicy.DISABLE for each in cpu.features):
        return False
    return any(each.name == cpu.model.name and each.usable is True for each in accelerator.cpus)


def _left_out(feature: CPUFeature) -> bool:
    return feature.name in _UNKNOWN_TO_QEMU or (feature.name in _NEVER_USABLE and feature.policy in _OFF)


def _settle_deprecated(cpu: GuestCPU, capabilities: EmulatorCapabilities, accelerator: Accelerator) -> None:
    """Switches features on or off that guests had better not have (``deprecated_features``)."""
    from virtcore.model.cpu.features import update_feature

    if not capabilities.has("query-cpu-model-expansion.deprecated-props"):
        raise ConfigUnsupported("toggling deprecated features for CPU model is unsupported")
    policy = CPUFeaturePolicy.REQUIRE if cpu.deprecated_features else CPUFeaturePolicy.DISABLE
    for name in accelerator.host_cpu.deprecated if accelerator.host_cpu is not None else ():
        update_feature(cpu, name, policy)
