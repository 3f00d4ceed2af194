"""Processors: the ``<cpu>`` element of guests and hosts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.cpu.element import (
        CPUCache as CPUCache,
        CPUCacheMode as CPUCacheMode,
        CPUCheck as CPUCheck,
        CPUFallback as CPUFallback,
        CPUFeature as CPUFeature,
        CPUFeaturePolicy as CPUFeaturePolicy,
        CPUMatch as CPUMatch,
        CPUMode as CPUMode,
        CPUModel as CPUModel,
        CPUTopology as CPUTopology,
        GuestCPU as GuestCPU,
        HostCPU as HostCPU,
        HostCPUCounter as HostCPUCounter,
        HostCPUFeature as HostCPUFeature,
        HostCPUSignature as HostCPUSignature,
        MaxPhysAddr as MaxPhysAddr,
        MaxPhysAddrMode as MaxPhysAddrMode,
    )
    from virtcore.model.cpu.numa import (
        NUMA as NUMA,
        NUMABandwidth as NUMABandwidth,
        NUMACache as NUMACache,
        NUMACacheAssociativity as NUMACacheAssociativity,
        NUMACachePolicy as NUMACachePolicy,
        NUMACell as NUMACell,
        NUMALatency as NUMALatency,
        NUMALatencyType as NUMALatencyType,
        NUMASibling as NUMASibling,
    )

_MODULES = {
    "element": (
        "CPUCache",
        "CPUCacheMode",
        "CPUCheck",
        "CPUFallback",
        "CPUFeature",
        "CPUFeaturePolicy",
        "CPUMatch",
        "CPUMode",
        "CPUModel",
        "CPUTopology",
        "GuestCPU",
        "HostCPU",
        "HostCPUCounter",
        "HostCPUFeature",
        "HostCPUSignature",
        "MaxPhysAddr",
        "MaxPhysAddrMode",
    ),
    "numa": (
        "NUMA",
        "NUMABandwidth",
        "NUMACache",
        "NUMACacheAssociativity",
        "NUMACachePolicy",
        "NUMACell",
        "NUMALatency",
        "NUMALatencyType",
        "NUMASibling",
    ),
}
_MODULE_OF = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}
# Names of other packages that annotations of this one use.
_MODULE_OF |= {"Arch": "virtcore.model.arch", "MemoryAccess": "virtcore.model.domain.memory"}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
