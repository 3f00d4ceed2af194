"""Processors: the ``<cpu>`` element of guests and hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.cpu.cpudata import (
        CPUData as CPUData,
        CPUDataCPUID as CPUDataCPUID,
        CPUDataMSR as CPUDataMSR,
        load_cpu_data as load_cpu_data,
    )
    from virtcore.model.cpu.document import (
        complete_guest_cpu as complete_guest_cpu,
        complete_host_cpu as complete_host_cpu,
        load_cpu as load_cpu,
        load_guest_cpu as load_guest_cpu,
        load_host_cpu as load_host_cpu,
    )
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
    from virtcore.model.cpu.models import (
        HypervisorModels as HypervisorModels,
        baseline_cpu as baseline_cpu,
        canonical_cpu_model as canonical_cpu_model,
        compare_cpu as compare_cpu,
        convert_legacy_cpu as convert_legacy_cpu,
        cpu_has_feature as cpu_has_feature,
        cpu_models as cpu_models,
        depends_on_host as depends_on_host,
        expand_cpu_features as expand_cpu_features,
        migratable_cpu as migratable_cpu,
        translate_cpu as translate_cpu,
        update_cpu as update_cpu,
        update_live_cpu as update_live_cpu,
        validate_cpu_features as validate_cpu_features,
        vendor_of_cpu_model as vendor_of_cpu_model,
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
    "cpudata": ("CPUData", "CPUDataCPUID", "CPUDataMSR", "load_cpu_data"),
    "document": ("complete_guest_cpu", "complete_host_cpu", "load_cpu", "load_guest_cpu", "load_host_cpu"),
    "models": (
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
    ),
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
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "virtcore.model.arch": ("Arch",),
    "virtcore.model.domain.memory": ("MemoryAccess",),
}


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE)
