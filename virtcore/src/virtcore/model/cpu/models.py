"""What libvirt knows of processors: compared, made independent of a host, reduced to what several have in common.

The functions take processors of any architecture and raise :class:`~virtcore.errors.NoSupport` for those libvirt has no
knowledge of. Models of a hypervisor are given as a mapping from their names to the features that keep it from running
them here.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain, InvalidArg, NoSupport, OperationUnsupported
from virtcore.model.arch import Arch
from virtcore.model.cpu.architecture import CPUArchitecture, HypervisorModels, model_name
from virtcore.model.cpu.element import CPUCheck, CPUFallback, CPUFeaturePolicy, CPUMatch, CPUMode, GuestCPU, HostCPU

if TYPE_CHECKING:
    from virtcore.model.cpu.x86_data import X86Data

__all__ = [
    "HypervisorModels",
    "baseline_cpu",
    "canonical_cpu_model",
    "compare_cpu",
    "convert_legacy_cpu",
    "cpu_has_feature",
    "cpu_models",
    "depends_on_host",
    "expand_cpu_features",
    "migratable_cpu",
    "translate_cpu",
    "update_cpu",
    "update_live_cpu",
    "validate_cpu_features",
    "vendor_of_cpu_model",
]

_WHOLE = (CPUMode.HOST_PASSTHROUGH, CPUMode.MAXIMUM)


@functools.cache
def _architecture(arch: Arch) -> CPUArchitecture:
    """What is known of an architecture; its module is imported when it is first asked for."""
    if arch.is_x86:
        from virtcore.model.cpu.x86 import X86

        return X86(arch)
    if arch.is_arm:
        from virtcore.model.cpu.arm import ARM

        return ARM(arch)
    if arch.is_ppc64:
        from virtcore.model.cpu.ppc64 import PPC64

        return PPC64(arch)
    from virtcore.model.cpu.plain import S390, Plain

    if arch.is_s390:
        return S390(arch)
    if arch in (Arch.RISCV64, Arch.LOONGARCH64):
        return Plain(arch)
    raise NoSupport(f"'{arch}' architecture is not supported by CPU driver", domain=ErrorDomain.CPU)


def compare_cpu(
    arch: Arch, host: HostCPU | GuestCPU | None, cpu: HostCPU | GuestCPU, *, fail_incompatible: bool = False
) -> CPUCompareResult:
    """Compares a processor with the host's (``virCPUCompare``).

    ``SUPERSET``: the host can do all that is asked for, and more.

    :param host: the host's processor, or what a hypervisor says it can give guests there; None where it is not known.
    :param fail_incompatible: raise when they do not go together.
    :raises CPUIncompatible: why they do not.
    :raises InternalError: a model or feature is not known.
    """
    return _architecture(arch).compare(host, cpu, fail_incompatible)


def depends_on_host(guest: GuestCPU) -> bool:
    """Whether a guest's processor is described relative to the host's (see :func:`update_cpu`)."""
    return guest.mode not in _WHOLE and (
        guest.mode is CPUMode.HOST_MODEL
        or guest.match is CPUMatch.MINIMUM
        or any(feature.policy is CPUFeaturePolicy.OPTIONAL for feature in guest.features)
    )


def update_cpu(arch: Arch, guest: GuestCPU, host: HostCPU | GuestCPU | None) -> None:
    """Makes a guest's processor independent of the host, in place (``virCPUUpdate``).

    ``host-model`` and ``match='minimum'`` become the host's model; optional features become required or disabled.

    :param host: the host's processor, or what a hypervisor says it can give guests there; None: not known.
    :raises ConfigUnsupported: the host's processor is not known, or such a description is not possible.
    :raises InternalError: a model or feature is not known.
    """
    architecture = _architecture(arch)
    if guest.mode in _WHOLE:
        return
    architecture.update(guest, host, depends_on_host(guest))


def update_live_cpu(arch: Arch, cpu: GuestCPU, enabled: X86Data, disabled: X86Data) -> bool:
    """Describes what a running guest really got, in place (``virCPUUpdateLive``).

    :param enabled: features the hypervisor gave it.
    :param disabled: features it asked for and did not get.
    :returns: False where that cannot be said of the architecture, or of a processor that is whatever the host's is.
    :raises OperationFailed: it wants a full check, and got other features than it asked for.
    """
    _architecture(arch)
    if not arch.is_x86 or (cpu.mode not in (None, CPUMode.CUSTOM) and cpu.check is not CPUCheck.FULL):
        return False
    from virtcore.model.cpu.x86 import update_live

    update_live(cpu, enabled, disabled)
    return True


def translate_cpu(arch: Arch, cpu: GuestCPU, models: HypervisorModels | None) -> None:
    """Describes a guest's processor by a model the hypervisor knows, in place (``virCPUTranslate``).

    :param models: the hypervisor's models; None or none at all: it takes any.
    :raises ConfigUnsupported: it does not know the model, and the guest wants no other.
    :raises InternalError: no model fits.
    """
    architecture = _architecture(arch)
    name = model_name(cpu)
    if cpu.mode not in (None, CPUMode.CUSTOM) or name is None or not models or name in models:
        return
    assert cpu.model is not None
    if cpu.model.fallback is CPUFallback.FORBID:
        raise ConfigUnsupported(f"CPU model {name} is not supported by hypervisor", domain=ErrorDomain.CPU, value=name)
    architecture.translate(cpu, models)


def baseline_cpu(
    cpus: Sequence[HostCPU | GuestCPU],
    arch: Arch | None = None,
    *,
    models: HypervisorModels | None = None,
    features: Collection[str] | None = None,
    migratable: bool = False,
) -> GuestCPU:
    """The best processor that hosts have in common (``virCPUBaseline``).

    :param arch: needed where only guests' processors are given.
    :param models: models of the hypervisor; None: any that libvirt knows.
    :param features: features the hypervisor can give; None: any.
    :param migratable: leave out features a guest cannot be migrated with.
    :raises OperationFailed: they have nothing in common.
    :raises InvalidArg: there are none, or one has no model.
    :raises InternalError: a model or feature is not known.
    """
    if not cpus:
        raise InvalidArg("No CPUs given", domain=ErrorDomain.CPU)
    for place, cpu in enumerate(cpus):
        if model_name(cpu) is None and getattr(cpu, "mode", None) not in _WHOLE:
            raise InvalidArg(f"no CPU model specified at index {place}", domain=ErrorDomain.CPU)
    if arch is None:
        first = cpus[0]
        if not isinstance(first, HostCPU):
            raise InvalidArg("undefined hardware architecture", domain=ErrorDomain.CPU)
        arch = first.arch
    return _architecture(arch).baseline(cpus, models, features, migratable)


def cpu_has_feature(arch: Arch, cpu: HostCPU | GuestCPU, feature: str) -> bool:
    """Whether a processor has a feature (``virCPUCheckFeature``).

    :raises InternalError: there is no feature of that name.
    """
    return _architecture(arch).has_feature(cpu, feature)


def validate_cpu_features(arch: Arch, cpu: GuestCPU) -> None:
    """Refuses features that guests of the architecture cannot be given (``virCPUValidateFeatures``).

    :raises ConfigUnsupported: which one.
    """
    _architecture(arch).validate_features(cpu)


def expand_cpu_features(arch: Arch, cpu: HostCPU | GuestCPU) -> None:
    """Lists every feature, those of the model too, sorted by name, in place (``virCPUExpandFeatures``).

    :raises OperationUnsupported: the processor is described relative to the host's.
    """
    if isinstance(cpu, GuestCPU) and cpu.mode not in (None, CPUMode.CUSTOM):
        raise OperationUnsupported(f"unexpected CPU mode: {cpu.mode}", domain=ErrorDomain.CPU)
    _architecture(arch).expand_features(cpu)
    cpu.features.sort(key=lambda feature: feature.name.encode())


def migratable_cpu(arch: Arch, cpu: HostCPU) -> HostCPU:
    """A copy of a host's processor without what guests cannot be migrated with (``virCPUCopyMigratable``)."""
    return _architecture(arch).migratable_copy(cpu)


def convert_legacy_cpu(arch: Arch, cpu: GuestCPU) -> None:
    """Replaces a name that old versions gave the model, in place (``virCPUConvertLegacy``)."""
    _architecture(arch).convert_legacy(cpu)


def cpu_models(arch: Arch) -> list[str] | None:
    """Models libvirt knows; None where any name goes to the hypervisor (``virConnectGetCPUModelNames``)."""
    return _architecture(arch).models()


def vendor_of_cpu_model(arch: Arch, model: str) -> str | None:
    """The vendor of a model, if it has one."""
    return _architecture(arch).vendor_of(model)


def canonical_cpu_model(arch: Arch, model: str) -> str | None:
    """The versioned name of a model (``Nehalem-v1`` of ``Nehalem``), if it has one."""
    return _architecture(arch).canonical_model(model)
