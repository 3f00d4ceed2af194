"""Processors: the ``<cpu>`` element of guests and hosts."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.cpu.element import (
        CPUCache as CPUCache,
    )
    from virtcore.model.cpu.element import (
        CPUCacheMode as CPUCacheMode,
    )
    from virtcore.model.cpu.element import (
        CPUCheck as CPUCheck,
    )
    from virtcore.model.cpu.element import (
        CPUFallback as CPUFallback,
    )
    from virtcore.model.cpu.element import (
        CPUFeature as CPUFeature,
    )
    from virtcore.model.cpu.element import (
        CPUFeaturePolicy as CPUFeaturePolicy,
    )
    from virtcore.model.cpu.element import (
        CPUMatch as CPUMatch,
    )
    from virtcore.model.cpu.element import (
        CPUMode as CPUMode,
    )
    from virtcore.model.cpu.element import (
        CPUModel as CPUModel,
    )
    from virtcore.model.cpu.element import (
        CPUTopology as CPUTopology,
    )
    from virtcore.model.cpu.element import (
        GuestCPU as GuestCPU,
    )
    from virtcore.model.cpu.element import (
        HostCPU as HostCPU,
    )
    from virtcore.model.cpu.element import (
        HostCPUCounter as HostCPUCounter,
    )
    from virtcore.model.cpu.element import (
        HostCPUFeature as HostCPUFeature,
    )
    from virtcore.model.cpu.element import (
        HostCPUSignature as HostCPUSignature,
    )
    from virtcore.model.cpu.element import (
        MaxPhysAddr as MaxPhysAddr,
    )
    from virtcore.model.cpu.element import (
        MaxPhysAddrMode as MaxPhysAddrMode,
    )
    from virtcore.model.cpu.numa import (
        NUMA as NUMA,
    )
    from virtcore.model.cpu.numa import (
        NUMABandwidth as NUMABandwidth,
    )
    from virtcore.model.cpu.numa import (
        NUMACache as NUMACache,
    )
    from virtcore.model.cpu.numa import (
        NUMACacheAssociativity as NUMACacheAssociativity,
    )
    from virtcore.model.cpu.numa import (
        NUMACachePolicy as NUMACachePolicy,
    )
    from virtcore.model.cpu.numa import (
        NUMACell as NUMACell,
    )
    from virtcore.model.cpu.numa import (
        NUMALatency as NUMALatency,
    )
    from virtcore.model.cpu.numa import (
        NUMALatencyType as NUMALatencyType,
    )
    from virtcore.model.cpu.numa import (
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
