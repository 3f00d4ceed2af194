"""Results of operations that are more than one value.

Fields stand in libvirt's order and have its units. Numbers of enumerations are the enumeration's members where
virtcore knows them, plain numbers where a newer hypervisor or daemon sends others.
"""

from __future__ import annotations

from virtcore.operations.values.domain import (
    ControlInfo,
    DiskError,
    DomainInfo,
    DomainInterface,
    DomainIPAddress,
    DomainStats,
    FSInfo,
    GuestTime,
    InterfaceStats,
    IOThreadInfo,
    SchedulerType,
    Screenshot,
    SecurityLabel,
    StateInfo,
    VcpuInfo,
)
from virtcore.operations.values.host import NodeCpuMap, NodeInfo, SecurityModel
from virtcore.operations.values.jobs import (
    BlockInfo,
    BlockJobInfo,
    JobStats,
    MigrationBegun,
    MigrationFinished,
    MigrationPrepared,
    MigrationTunnel,
)
from virtcore.operations.values.qemu import MonitorReply

__all__ = [
    "BlockInfo",
    "BlockJobInfo",
    "ControlInfo",
    "DiskError",
    "DomainIPAddress",
    "DomainInfo",
    "DomainInterface",
    "DomainStats",
    "FSInfo",
    "GuestTime",
    "IOThreadInfo",
    "InterfaceStats",
    "JobStats",
    "MigrationBegun",
    "MigrationFinished",
    "MigrationPrepared",
    "MigrationTunnel",
    "MonitorReply",
    "NodeCpuMap",
    "NodeInfo",
    "SchedulerType",
    "Screenshot",
    "SecurityLabel",
    "SecurityModel",
    "StateInfo",
    "VcpuInfo",
]
