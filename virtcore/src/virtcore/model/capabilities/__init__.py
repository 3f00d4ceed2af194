"""``<capabilities>``; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.capabilities.document import (
        Capabilities as Capabilities,
        format_capabilities as format_capabilities,
        parse_capabilities as parse_capabilities,
    )
    from virtcore.model.capabilities.guest import (
        FeatureToggle as FeatureToggle,
        Guest as Guest,
        GuestArch as GuestArch,
        GuestDomain as GuestDomain,
        GuestFeatures as GuestFeatures,
        GuestMachine as GuestMachine,
    )
    from virtcore.model.capabilities.host import (
        BaseLabel as BaseLabel,
        Host as Host,
        HostFeature as HostFeature,
        HostIOMMU as HostIOMMU,
        HostProcessor as HostProcessor,
        MigrationFeatures as MigrationFeatures,
        PageSize as PageSize,
        PowerManagementFeatures as PowerManagementFeatures,
        SecurityModel as SecurityModel,
    )
    from virtcore.model.capabilities.topology import (
        BandwidthControl as BandwidthControl,
        BandwidthNode as BandwidthNode,
        CacheBank as CacheBank,
        CacheControl as CacheControl,
        CellCPU as CellCPU,
        CellCPUs as CellCPUs,
        CellPages as CellPages,
        CPUCacheKind as CPUCacheKind,
        HostCache as HostCache,
        HostCell as HostCell,
        HostCells as HostCells,
        HostMemoryBandwidth as HostMemoryBandwidth,
        HostTopology as HostTopology,
        MonitorFeature as MonitorFeature,
        ResourceMonitor as ResourceMonitor,
    )

_MODULES = {
    "document": ("Capabilities", "format_capabilities", "parse_capabilities"),
    "guest": ("FeatureToggle", "Guest", "GuestArch", "GuestDomain", "GuestFeatures", "GuestMachine"),
    "host": (
        "BaseLabel",
        "Host",
        "HostFeature",
        "HostIOMMU",
        "HostProcessor",
        "MigrationFeatures",
        "PageSize",
        "PowerManagementFeatures",
        "SecurityModel",
    ),
    "topology": (
        "BandwidthControl",
        "BandwidthNode",
        "CPUCacheKind",
        "CacheBank",
        "CacheControl",
        "CellCPU",
        "CellCPUs",
        "CellPages",
        "HostCache",
        "HostCell",
        "HostCells",
        "HostMemoryBandwidth",
        "HostTopology",
        "MonitorFeature",
        "ResourceMonitor",
    ),
}
# Names of other packages that annotations of this one use.
_ELSEWHERE = {
    "virtcore.model.arch": ("Arch",),
    "virtcore.model.cpu.element": ("HostCPUFeature",),
    "virtcore.model.cpu.numa": ("NUMABandwidth", "NUMACache", "NUMALatency", "NUMASibling"),
    "virtcore.model.domain.domain": ("VirtType",),
    "virtcore.model.domain.os": ("OSType",),
}


__all__ = [
    "BandwidthControl",
    "BandwidthNode",
    "BaseLabel",
    "CPUCacheKind",
    "CacheBank",
    "CacheControl",
    "Capabilities",
    "CellCPU",
    "CellCPUs",
    "CellPages",
    "FeatureToggle",
    "Guest",
    "GuestArch",
    "GuestDomain",
    "GuestFeatures",
    "GuestMachine",
    "Host",
    "HostCache",
    "HostCell",
    "HostCells",
    "HostFeature",
    "HostIOMMU",
    "HostMemoryBandwidth",
    "HostProcessor",
    "HostTopology",
    "MigrationFeatures",
    "MonitorFeature",
    "PageSize",
    "PowerManagementFeatures",
    "ResourceMonitor",
    "SecurityModel",
    "format_capabilities",
    "parse_capabilities",
]


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE)
