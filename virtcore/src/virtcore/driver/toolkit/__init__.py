"""Toolkit for stateful drivers: folders, lock, definition store, domain table, job lock, events, the driver over them.

Nothing is imported before a name is used.
"""

from __future__ import annotations

from virtcore._lazy import lazy
from virtcore._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.driver.toolkit.changing_devices import ChangingDevices as ChangingDevices
    from virtcore.driver.toolkit.checks import check_flags as check_flags
    from virtcore.driver.toolkit.defined import (
        DefinedObject as DefinedObject,
        DefinedObjects as DefinedObjects,
        Transition as Transition,
    )
    from virtcore.driver.toolkit.disk import DiskWorker as DiskWorker
    from virtcore.driver.toolkit.domains import DomainObject as DomainObject, DomainTable as DomainTable
    from virtcore.driver.toolkit.events import EventHub as EventHub
    from virtcore.driver.toolkit.folders import (
        StateFolders as StateFolders,
        file_name as file_name,
        use_root as use_root,
    )
    from virtcore.driver.toolkit.hosted import HostedService as HostedService
    from virtcore.driver.toolkit.job_driver import JobDriver as JobDriver
    from virtcore.driver.toolkit.jobs import Job as Job, JobKind as JobKind, JobLock as JobLock
    from virtcore.driver.toolkit.lock import StateLock as StateLock
    from virtcore.driver.toolkit.moment_driver import MomentDriver as MomentDriver
    from virtcore.driver.toolkit.moment_state import MomentState as MomentState
    from virtcore.driver.toolkit.moments import MomentNode as MomentNode, MomentTree as MomentTree
    from virtcore.driver.toolkit.objects import ManagedObject as ManagedObject, ObjectTable as ObjectTable
    from virtcore.driver.toolkit.reconfigure import ReconfigurableState as ReconfigurableState
    from virtcore.driver.toolkit.reconfiguring import (
        Describing as Describing,
        SettingIOThreads as SettingIOThreads,
        SettingLimits as SettingLimits,
        SettingMemory as SettingMemory,
        SettingVcpus as SettingVcpus,
    )
    from virtcore.driver.toolkit.snapshots import (
        CheckpointKeeper as CheckpointKeeper,
        SnapshotKeeper as SnapshotKeeper,
    )
    from virtcore.driver.toolkit.state import DriverState as DriverState
    from virtcore.driver.toolkit.stateful import StatefulDriver as StatefulDriver
    from virtcore.driver.toolkit.store import (
        DefinitionStore as DefinitionStore,
        Facts as Facts,
        IndexEntry as IndexEntry,
        Marks as Marks,
    )

_MODULES = {
    "changing_devices": ("ChangingDevices",),
    "checks": ("check_flags",),
    "defined": ("DefinedObject", "DefinedObjects", "Transition"),
    "disk": ("DiskWorker",),
    "domains": ("DomainObject", "DomainTable"),
    "events": ("EventHub",),
    "folders": ("StateFolders", "file_name", "use_root"),
    "hosted": ("HostedService",),
    "job_driver": ("JobDriver",),
    "jobs": ("Job", "JobKind", "JobLock"),
    "lock": ("StateLock",),
    "moment_driver": ("MomentDriver",),
    "moment_state": ("MomentState",),
    "moments": ("MomentNode", "MomentTree"),
    "objects": ("ManagedObject", "ObjectTable"),
    "reconfigure": ("ReconfigurableState",),
    "reconfiguring": ("Describing", "SettingIOThreads", "SettingLimits", "SettingMemory", "SettingVcpus"),
    "snapshots": ("CheckpointKeeper", "SnapshotKeeper"),
    "state": ("DriverState",),
    "stateful": ("StatefulDriver",),
    "store": ("DefinitionStore", "Facts", "IndexEntry", "Marks"),
}

__all__ = [
    "ChangingDevices",
    "CheckpointKeeper",
    "DefinedObject",
    "DefinedObjects",
    "DefinitionStore",
    "Describing",
    "DiskWorker",
    "DomainObject",
    "DomainTable",
    "DriverState",
    "EventHub",
    "Facts",
    "HostedService",
    "IndexEntry",
    "Job",
    "JobDriver",
    "JobKind",
    "JobLock",
    "ManagedObject",
    "Marks",
    "ObjectTable",
    "ReconfigurableState",
    "SettingIOThreads",
    "SettingLimits",
    "SettingMemory",
    "SettingVcpus",
    "StateFolders",
    "StateLock",
    "StatefulDriver",
    "Transition",
    "check_flags",
    "file_name",
    "use_root",
]


__getattr__, __dir__ = lazy(__name__, _MODULES)
