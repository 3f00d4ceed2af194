"""Processors of 64 bit POWER."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from virtcore.enums import CPUCompareResult
from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, OperationFailed
from virtcore.model.cpu.architecture import (
    CPUArchitecture,
    HypervisorModels,
    Incompatible,
    model_name,
    set_model_name,
)
from virtcore.model.cpu.element import CPUFallback, CPUMatch, CPUMode, GuestCPU, HostCPU
from virtcore.model.cpu.map import map_file, settings

if TYPE_CHECKING:
    from virtcore.model.arch import Arch

__all__ = ["PPC64", "host_cpu_of"]

#: Names that old versions gave to generations of processors.
_LEGACY = {"POWER7_v2.1": "POWER7", "POWER7_v2.3": "POWER7", "POWER7+_v2.1": "POWER7", "POWER8_v1.0": "POWER8"}


def host_cpu_of(pvr: int, arch: Arch, models: HypervisorModels | None = None) -> HostCPU:
    """A host's processor from its Processor Version Register.

    :raises OperationFailed: there is no model of that register.
    :raises ConfigUnsupported: the hypervisor does not know the model.
    """
    for name, record in map_file("ppc64").models.items():
        facts = settings(record)
        for text in facts["pvr"]:
            value, _, mask = text.partition("/")
            if pvr & int(mask, 16) == int(value, 16):
                if models is not None and name not in models:
                    raise ConfigUnsupported(
                        f"CPU model {name} is not supported by hypervisor", domain=ErrorDomain.CPU, value=name
                    )
                return HostCPU(arch=arch, model=name, vendor=facts["vendor"][0])
    raise OperationFailed(f"Cannot find CPU model with PVR 0x{pvr:08x}", domain=ErrorDomain.CPU)


def _known(name: str | None) -> str:
    found = _LEGACY.get(name or "", name)
    if found not in map_file("ppc64").models:
        raise InternalError(f"Unknown CPU model {found}", domain=ErrorDomain.CPU, value=found)
    return found


def _check_compatibility(host: str, wanted: str | None) -> None:
    """A guest may see the host's processor as one of an earlier generation.

    :raises Incompatible: it wants a later one.
    """
    if wanted is None:
        return
    mine = re.fullmatch(r"POWER(\d+)", host)
    if mine is None or not 6 <= int(mine[1]) <= 10:
        raise InternalError("Host CPU does not support compatibility modes", domain=ErrorDomain.CPU)
    theirs = re.fullmatch(r"power(\d+)", wanted)
    if theirs is None or not 6 <= int(theirs[1]) <= 10:
        raise InternalError(f"Unknown compatibility mode {wanted}", domain=ErrorDomain.CPU, value=wanted)
    if int(theirs[1]) > int(mine[1]):
        raise Incompatible(f"host CPU model does not match required CPU model {wanted}")


class PPC64(CPUArchitecture):
    """ppc64 and ppc64le: a processor is its generation, there are no features."""

    def _compare(self, host: HostCPU | GuestCPU, cpu: HostCPU | GuestCPU) -> CPUCompareResult:
        if isinstance(cpu, HostCPU) and not cpu.arch.is_ppc64:
            raise Incompatible(f"CPU arch {cpu.arch} does not match host arch")
        if cpu.vendor is not None and cpu.vendor != host.vendor:
            raise Incompatible(f"host CPU vendor does not match required CPU vendor {cpu.vendor}")
        mine = _known(model_name(host))
        name = model_name(cpu)
        if isinstance(cpu, GuestCPU) and cpu.mode not in (None, CPUMode.CUSTOM):
            if cpu.mode is CPUMode.HOST_MODEL:
                _check_compatibility(mine, _LEGACY.get(name or "", name))
            return CPUCompareResult.IDENTICAL
        theirs = _known(name)
        if theirs != mine:
            raise Incompatible(f"host CPU model does not match required CPU model {theirs}")
        return CPUCompareResult.IDENTICAL

    def update(self, guest: GuestCPU, host: HostCPU | GuestCPU | None, relative: bool) -> None:
        # The model of host-model is a generation to be compatible with and stays.
        if guest.mode in (None, CPUMode.CUSTOM):
            guest.match = CPUMatch.EXACT

    def baseline(
        self,
        cpus: Sequence[HostCPU | GuestCPU],
        models: HypervisorModels | None = None,
        features: Collection[str] | None = None,
        migratable: bool = False,
    ) -> GuestCPU:
        known = map_file("ppc64")
        name = model_name(cpus[0])
        if name not in known.models:
            raise InternalError(f"Unknown CPU model {name}", domain=ErrorDomain.CPU, value=name)
        vendor = settings(known.models[name])["vendor"][0]
        for cpu in cpus:
            if model_name(cpu) != name:
                raise OperationFailed("CPUs are incompatible", domain=ErrorDomain.CPU)
            if cpu.vendor is None:
                continue
            if cpu.vendor not in known.vendors:
                raise OperationFailed(f"Unknown CPU vendor {cpu.vendor}", domain=ErrorDomain.CPU, value=cpu.vendor)
            if cpu.vendor != vendor:
                raise OperationFailed(
                    f"CPU vendor {vendor} of model {name} differs from vendor {cpu.vendor}", domain=ErrorDomain.CPU
                )
        result = GuestCPU(mode=CPUMode.CUSTOM, match=CPUMatch.EXACT)
        set_model_name(result, name)
        assert result.model is not None
        result.model.fallback = CPUFallback.FORBID
        return result

    def convert_legacy(self, cpu: GuestCPU) -> None:
        name = _LEGACY.get(model_name(cpu) or "")
        if name is not None:
            set_model_name(cpu, name)

    def models(self) -> list[str]:
        return list(map_file("ppc64").models)

    def vendor_of(self, model: str) -> str | None:
        record = map_file("ppc64").models.get(model)
        return settings(record)["vendor"][0] if record is not None else None
