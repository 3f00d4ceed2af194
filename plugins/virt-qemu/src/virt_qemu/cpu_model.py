"""QEMU's processor models in libvirt's terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.cpu import libvirt_feature
from virtcore.model.cpu.x86_data import X86Data
from virtcore.model.cpu.x86_map import Signature

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import Accelerator, CPUDefinition, CPUExpansion
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import GuestCPU

__all__ = ["describe_live_cpu", "host_model", "hypervisor_models", "s390_host_model", "x86_data_of", "x86_host_model"]


def hypervisor_models(cpus: Iterable[CPUDefinition]) -> Mapping[str, tuple[str, ...]] | None:
    """Models QEMU knows -> features that keep it from running them here; None where it lists none."""
    found = {cpu.name: tuple(map(libvirt_feature, cpu.blockers)) for cpu in cpus}
    return found or None


def x86_data_of(expansion: CPUExpansion, *, migratable: bool = False) -> X86Data:
    """What an x86 processor that QEMU expanded says of itself.

    :param migratable: only what survives a migration.
    :raises InternalError: the vendor is not 12 characters long.
    """
    data = X86Data()
    survives = expansion.migratable or {}
    numbers = {"family": 0, "model": 0, "stepping": 0}
    for name, value in expansion.properties.items():
        if value is True:
            if not migratable or survives.get(name, True):
                data.add_feature(libvirt_feature(name))
        elif name == "vendor" and isinstance(value, str):
            data.set_vendor(value)
        elif name in numbers and isinstance(value, int):
            numbers[name] = value
    data.set_signature(Signature(**numbers))
    return data


def s390_host_model(expansion: CPUExpansion, *, migratable: bool = False) -> GuestCPU:
    """The processor a guest with ``host-model`` gets on s390: QEMU's own description, feature by feature.

    :param migratable: only what survives a migration.
    """
    from virtcore.model.cpu.element import CPUFeature, CPUFeaturePolicy, CPUMatch, CPUMode, CPUModel, GuestCPU

    survives = expansion.migratable or {}
    features = [
        CPUFeature(name=name, policy=CPUFeaturePolicy.REQUIRE if value else CPUFeaturePolicy.DISABLE)
        for name, value in expansion.properties.items()
        if isinstance(value, bool) and not (migratable and survives.get(name) is False)
    ]
    return GuestCPU(mode=CPUMode.CUSTOM, match=CPUMatch.EXACT, model=CPUModel(name=expansion.name), features=features)


def x86_host_model(
    expansion: CPUExpansion, cpus: Iterable[CPUDefinition] = (), *, migratable: bool = False
) -> GuestCPU:
    """The processor a guest with ``host-model`` gets.

    :param expansion: what QEMU can give a guest here at most.
    :param cpus: the models QEMU knows.
    :param migratable: only what survives a migration.
    :raises InternalError: no model of QEMU's fits.
    """
    from virtcore.model.cpu.x86 import guest_cpu_of

    return guest_cpu_of(x86_data_of(expansion, migratable=migratable), hypervisor_models(cpus))


def host_model(arch: Arch, accelerator: Accelerator, *, migratable: bool = False) -> GuestCPU | None:
    """What QEMU says it can give guests here; None where it does not say, or where that is no model with features.

    :param migratable: only what survives a migration.
    :raises InternalError: no model of QEMU's fits.
    """
    expansion = accelerator.host_cpu
    if expansion is None:
        return None
    if arch.is_s390:
        return s390_host_model(expansion, migratable=migratable)
    if arch.is_x86:
        return x86_host_model(expansion, accelerator.cpus, migratable=migratable)
    return None


def describe_live_cpu(
    arch: Arch,
    cpu: GuestCPU,
    enabled: X86Data,
    disabled: X86Data,
    *,
    expansion: CPUExpansion | None = None,
    cpus: Iterable[CPUDefinition] = (),
) -> None:
    """Describe what a started x86 guest really got, in place, by the model it was started with: QEMU's for the host.

    :param cpu: what it asked for; by whatever model.
    :param enabled: features that QEMU gave it.
    :param disabled: features it asked for and did not get.
    :param expansion: what QEMU can give a guest here at most; without it, the model that says best what it gave counts.
    :param cpus: the models QEMU knows.
    :raises OperationFailed: it wants a full check, and got other features than it asked for.
    :raises InternalError: no model fits.
    """
    from virtcore.model.cpu.architecture import model_name
    from virtcore.model.cpu.element import CPUFallback
    from virtcore.model.cpu.models import translate_cpu, update_live_cpu
    from virtcore.model.cpu.x86 import guest_cpu_of
    from virtcore.model.cpu.x86_map import x86_map

    cpus = list(cpus)
    if expansion is not None:
        started = x86_host_model(expansion, cpus)
    else:
        seen = X86Data(enabled.words)
        vendor = x86_map().vendors.get(cpu.vendor or "")
        if vendor is not None:
            seen.set_vendor(vendor)
        started = guest_cpu_of(seen)
    name = model_name(started)
    assert name is not None
    if cpu.model is not None:
        cpu.model.fallback = CPUFallback.ALLOW
    translate_cpu(arch, cpu, {name: (hypervisor_models(cpus) or {}).get(name, ())})
    update_live_cpu(arch, cpu, enabled, disabled)
