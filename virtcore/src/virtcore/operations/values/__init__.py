"""Results of operations that are more than one value, by the family they belong to.

Fields stand in libvirt's order and have its units. Numbers of enumerations are the enumeration's members where
virtcore knows them, plain numbers where a newer hypervisor or daemon sends others. Nothing is loaded until a name is
used (PEP 562).
"""

from __future__ import annotations

from virtcore._lazy import lazy
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.operations.values.domain import (
        ControlInfo as ControlInfo,
        DiskError as DiskError,
        DomainInfo as DomainInfo,
        DomainInterface as DomainInterface,
        DomainIPAddress as DomainIPAddress,
        DomainStats as DomainStats,
        FSInfo as FSInfo,
        GuestTime as GuestTime,
        InterfaceStats as InterfaceStats,
        IOThreadInfo as IOThreadInfo,
        RecentStats as RecentStats,
        SchedulerType as SchedulerType,
        Screenshot as Screenshot,
        SecurityLabel as SecurityLabel,
        StateInfo as StateInfo,
        VcpuInfo as VcpuInfo,
    )
    from virtcore.operations.values.host import (
        NodeCpuMap as NodeCpuMap,
        NodeInfo as NodeInfo,
        SecurityModel as SecurityModel,
    )
    from virtcore.operations.values.jobs import (
        BlockInfo as BlockInfo,
        BlockJobInfo as BlockJobInfo,
        JobStats as JobStats,
        MigrationBegun as MigrationBegun,
        MigrationFinished as MigrationFinished,
        MigrationPrepared as MigrationPrepared,
        MigrationTunnel as MigrationTunnel,
    )
    from virtcore.operations.values.network import (
        DHCPLease as DHCPLease,
    )
    from virtcore.operations.values.qemu import (
        MonitorReply as MonitorReply,
    )
    from virtcore.operations.values.storage import (
        StoragePoolInfo as StoragePoolInfo,
        StorageVolInfo as StorageVolInfo,
    )

_MODULES = {
    "domain": (
        "ControlInfo",
        "DiskError",
        "DomainInfo",
        "DomainInterface",
        "DomainIPAddress",
        "DomainStats",
        "FSInfo",
        "GuestTime",
        "InterfaceStats",
        "IOThreadInfo",
        "RecentStats",
        "SchedulerType",
        "Screenshot",
        "SecurityLabel",
        "StateInfo",
        "VcpuInfo",
    ),
    "host": ("NodeCpuMap", "NodeInfo", "SecurityModel"),
    "jobs": (
        "BlockInfo",
        "BlockJobInfo",
        "JobStats",
        "MigrationBegun",
        "MigrationFinished",
        "MigrationPrepared",
        "MigrationTunnel",
    ),
    "network": ("DHCPLease",),
    "qemu": ("MonitorReply",),
    "storage": ("StoragePoolInfo", "StorageVolInfo"),
}

__all__ = [name for names in _MODULES.values() for name in names]


__getattr__, __dir__ = lazy(__name__, _MODULES)
