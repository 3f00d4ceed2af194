"""Architectures of whose processors libvirt knows nothing but the name: any model goes to the hypervisor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain
from virtcore.model.cpu.architecture import CPUArchitecture, copy_host_model
from virtcore.model.cpu.element import CPUFeaturePolicy, CPUMatch, CPUMode
from virtcore.model.cpu.features import update_feature

if TYPE_CHECKING:
    from virtcore.model.cpu.element import GuestCPU, HostCPU

__all__ = ["S390", "Plain"]


class Plain(CPUArchitecture):
    """riscv64, loongarch64: every processor is as good as the host's, a host-model is the host's model."""

    def compare(
        self, host: HostCPU | GuestCPU | None, cpu: HostCPU | GuestCPU, fail_incompatible: bool = False
    ) -> CPUCompareResult:
        return CPUCompareResult.IDENTICAL

    def update(self, guest: GuestCPU, host: HostCPU | GuestCPU | None, relative: bool) -> None:
        if relative and guest.mode is CPUMode.HOST_MODEL:
            copy_host_model(guest, host)


class S390(Plain):
    """s390 and s390x."""

    def update(self, guest: GuestCPU, host: HostCPU | GuestCPU | None, relative: bool) -> None:
        if not relative:
            return
        if guest.mode in (None, CPUMode.CUSTOM):
            if guest.match is CPUMatch.MINIMUM:
                raise ConfigUnsupported(f"match mode {guest.match} not supported", domain=ErrorDomain.CPU)
            raise ConfigUnsupported("optional CPU features are not supported", domain=ErrorDomain.CPU)
        wanted = guest.features
        copy_host_model(guest, host)
        for feature in wanted:
            update_feature(guest, feature.name, feature.policy or CPUFeaturePolicy.REQUIRE)

    def validate_features(self, cpu: GuestCPU) -> None:
        for feature in cpu.features:
            if feature.policy is CPUFeaturePolicy.OPTIONAL:
                raise ConfigUnsupported(
                    f"only cpu feature policies 'require' and 'disable' are supported for {feature.name}",
                    domain=ErrorDomain.CPU,
                    value=feature.name,
                )

    def vendor_of(self, model: str) -> str | None:
        return "IBM" if model.startswith(("z", "gen")) else None
