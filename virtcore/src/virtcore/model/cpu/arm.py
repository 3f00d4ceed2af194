"""Processors of ARM."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain, OperationFailed
from virtcore.model.cpu.architecture import (
    CPUArchitecture,
    HypervisorModels,
    Incompatible,
    model_name,
    set_model_name,
)
from virtcore.model.cpu.element import CPUMatch, CPUMode, GuestCPU, HostCPU, HostCPUFeature
from virtcore.model.cpu.map import map_file, settings
from virtcore.model.cpu.plain import Plain

if TYPE_CHECKING:
    from virtcore.model.arch import Arch

__all__ = ["ARM", "host_cpu_of"]


def host_cpu_of(
    part: int, implementer: int, arch: Arch, features: Collection[str] = (), models: HypervisorModels | None = None
) -> HostCPU:
    """A host's processor from its Main ID Register.

    :param part: the register's part number, 12 bits.
    :param implementer: the register's implementer, 8 bits.
    :param features: what the kernel says it has, by the kernel's names.
    :raises OperationFailed: there is no model of that part, or no such implementer.
    :raises ConfigUnsupported: the hypervisor does not know the model.
    """
    known = map_file("arm")
    name = next((name for name, record in known.models.items() if int(settings(record)["pvr"][0], 16) == part), None)
    if name is None:
        raise OperationFailed(f"Cannot find CPU model with PVR 0x{part:03x}", domain=ErrorDomain.CPU)
    if models is not None and name not in models:
        raise ConfigUnsupported(f"CPU model {name} is not supported by hypervisor", domain=ErrorDomain.CPU, value=name)
    vendor = next((vendor for vendor, number in known.vendors.items() if int(number, 16) == implementer), None)
    if implementer and vendor is None:
        raise OperationFailed(f"Cannot find CPU vendor with vendor id 0x{implementer:02x}", domain=ErrorDomain.CPU)
    return HostCPU(arch=arch, model=name, vendor=vendor, features=[HostCPUFeature(name=each) for each in features])


class ARM(Plain):
    """32 and 64 bit ARM: any model goes to the hypervisor, of features only some."""

    def compare(
        self, host: HostCPU | GuestCPU | None, cpu: HostCPU | GuestCPU, fail_incompatible: bool = False
    ) -> CPUCompareResult:
        # Only hosts can be told apart.
        if not isinstance(cpu, HostCPU):
            return CPUCompareResult.IDENTICAL
        return CPUArchitecture.compare(self, host, cpu, fail_incompatible)

    def _compare(self, host: HostCPU | GuestCPU, cpu: HostCPU | GuestCPU) -> CPUCompareResult:
        assert isinstance(cpu, HostCPU)
        if (host.vendor, model_name(host)) != (cpu.vendor, cpu.model):
            raise Incompatible(
                f"Host CPU model does not match required CPU vendor {cpu.vendor or '<null>'} or(and) model {cpu.model}"
            )
        return CPUCompareResult.IDENTICAL

    def validate_features(self, cpu: GuestCPU) -> None:
        known = map_file("arm").features
        for feature in cpu.features:
            if feature.name not in known:
                raise ConfigUnsupported(
                    f"unknown CPU feature: {feature.name}", domain=ErrorDomain.CPU, value=feature.name
                )

    def baseline(
        self,
        cpus: Sequence[HostCPU | GuestCPU],
        models: HypervisorModels | None = None,
        features: Collection[str] | None = None,
        migratable: bool = False,
    ) -> GuestCPU:
        result = GuestCPU(mode=CPUMode.CUSTOM, match=CPUMatch.EXACT)
        name = model_name(cpus[0])
        if name is not None:
            set_model_name(result, name)
        return result
