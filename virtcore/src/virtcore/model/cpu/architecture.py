"""What can be asked about the processors of an architecture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, CPUIncompatible, ErrorDomain, NoSupport
from virtcore.model.cpu.element import CPUFallback, CPUMatch, CPUMode, CPUModel, HostCPU
from virtcore.model.cpu.features import policies, with_policy

if TYPE_CHECKING:
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import GuestCPU

__all__ = ["CPUArchitecture", "Incompatible", "copy_host_model", "model_name", "set_model_name"]

#: Models a hypervisor knows -> features that keep it from running them here.
HypervisorModels = Mapping[str, Collection[str]]


class Incompatible(Exception):
    """Two processors do not go together, and why."""


class CPUArchitecture:
    """Processors of one architecture; what it cannot do says so.

    :param arch: the architecture.
    """

    def __init__(self, arch: Arch) -> None:
        self.arch = arch

    def _unsupported(self, what: str) -> NoSupport:
        return NoSupport(what, domain=ErrorDomain.CPU)

    def compare(
        self, host: HostCPU | GuestCPU | None, cpu: HostCPU | GuestCPU, fail_incompatible: bool = False
    ) -> CPUCompareResult:
        """Compares a processor with the host's (``virCPUCompare``)."""
        try:
            if host is None:
                raise Incompatible("unknown host CPU")
            return self._compare(host, cpu)
        except Incompatible as error:
            if fail_incompatible:
                raise CPUIncompatible(str(error), domain=ErrorDomain.CPU) from None
            return CPUCompareResult.INCOMPATIBLE

    def _compare(self, host: HostCPU | GuestCPU, cpu: HostCPU | GuestCPU) -> CPUCompareResult:
        """Identical or superset.

        :raises Incompatible: neither.
        """
        raise self._unsupported(f"cannot compare CPUs of {self.arch} architecture")

    def update(self, guest: GuestCPU, host: HostCPU | GuestCPU | None, relative: bool) -> None:
        """Makes a guest's processor independent of the host (``virCPUUpdate``).

        :param relative: it is described relative to the host's.
        """
        raise self._unsupported(f"cannot update guest CPU for {self.arch} architecture")

    def baseline(
        self,
        cpus: Sequence[HostCPU | GuestCPU],
        models: HypervisorModels | None = None,
        features: Collection[str] | None = None,
        migratable: bool = False,
    ) -> GuestCPU:
        """The best processor that all have in common (``virCPUBaseline``)."""
        raise self._unsupported(f"cannot compute baseline CPU of {self.arch} architecture")

    def translate(self, cpu: GuestCPU, models: HypervisorModels) -> None:
        """Describes a processor by a model the hypervisor knows (``virCPUTranslate``)."""
        raise self._unsupported(f"cannot translate CPU model {model_name(cpu)} to a supported model")

    def has_feature(self, cpu: HostCPU | GuestCPU, feature: str) -> bool:
        """Whether a processor has a feature (``virCPUCheckFeature``)."""
        raise self._unsupported(f"cannot check guest CPU feature for {self.arch} architecture")

    def validate_features(self, cpu: GuestCPU) -> None:
        """Refuses features that guests of the architecture cannot be given (``virCPUValidateFeatures``)."""

    def expand_features(self, cpu: HostCPU | GuestCPU) -> None:
        """Lists the features of the model too (``virCPUExpandFeatures``)."""

    def migratable_copy(self, cpu: HostCPU) -> HostCPU:
        """The processor without what a guest cannot be migrated with (``virCPUCopyMigratable``)."""
        from copy import deepcopy

        return deepcopy(cpu)

    def convert_legacy(self, cpu: GuestCPU) -> None:
        """Replaces a name that old versions gave the model (``virCPUConvertLegacy``)."""

    def models(self) -> list[str] | None:
        """Models libvirt knows; None where any name goes to the hypervisor (``virCPUGetModels``)."""
        return None

    def vendor_of(self, model: str) -> str | None:
        """The vendor of a model, if it has one."""
        return None

    def canonical_model(self, model: str) -> str | None:
        """The versioned name of a model, if it has one."""
        return None


def model_name(cpu: HostCPU | GuestCPU) -> str | None:
    """The model's name, if one is named."""
    if isinstance(cpu, HostCPU):
        return cpu.model
    return cpu.model.name if cpu.model is not None else None


def set_model_name(cpu: GuestCPU, name: str) -> None:
    """Names a guest's model; whether another will do, and the vendor the guest sees, stay."""
    if cpu.model is None:
        cpu.model = CPUModel()
    cpu.model.name = name
    cpu.model.fallback = cpu.model.fallback or CPUFallback.ALLOW


def copy_host_model(guest: GuestCPU, host: HostCPU | GuestCPU | None) -> None:
    """Gives a guest the host's model, vendor and features, as a custom processor.

    :param host: the host's, or what a hypervisor says it can give guests there.

    :raises ConfigUnsupported: the host's processor is not known.
    """
    name = model_name(host) if host is not None else None
    if host is None or name is None:
        raise ConfigUnsupported("unknown host CPU model", domain=ErrorDomain.CPU)
    set_model_name(guest, name)
    guest.vendor = host.vendor
    guest.features = [each for name, policy in policies(host) for each in with_policy([name], policy)]
    guest.mode = CPUMode.CUSTOM
    guest.match = CPUMatch.EXACT
