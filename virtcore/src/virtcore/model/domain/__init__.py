"""The ``<domain>`` element: every class is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # What :func:`__getattr__` does at run time; each of them says in ``__all__`` what is public.
    from virtcore.model.domain._devices import *  # noqa: F403
    from virtcore.model.domain.clock import *  # noqa: F403
    from virtcore.model.domain.cputune import *  # noqa: F403
    from virtcore.model.domain.document import *  # noqa: F403
    from virtcore.model.domain.domain import *  # noqa: F403
    from virtcore.model.domain.features import *  # noqa: F403
    from virtcore.model.domain.launch_security import *  # noqa: F403
    from virtcore.model.domain.memory import *  # noqa: F403
    from virtcore.model.domain.os import *  # noqa: F403
    from virtcore.model.domain.resources import *  # noqa: F403
    from virtcore.model.domain.rules import *  # noqa: F403
    from virtcore.model.domain.seclabel import *  # noqa: F403
    from virtcore.model.domain.sysinfo import *  # noqa: F403

_MODULES: dict[str, tuple[str, ...]] = {
    "clock": (
        "Catchup",
        "Clock",
        "ClockBasis",
        "ClockOffset",
        "TickPolicy",
        "Timer",
        "TimerMode",
        "TimerName",
        "TimerTrack",
    ),
    "cputune": (
        "CPUPlacement",
        "CPUTune",
        "Cache",
        "CacheMonitor",
        "CacheTune",
        "CacheType",
        "EmulatorPin",
        "EmulatorSched",
        "IOThreadPin",
        "IOThreadSched",
        "MemoryBandwidth",
        "MemoryMonitor",
        "MemoryTune",
        "Scheduler",
        "VCPU",
        "VCPUMaximum",
        "VCPUPin",
        "VCPUSched",
    ),
    "document": (
        "domain_mode",
        "format_domain",
        "load_domain",
        "reading_mode",
    ),
    "domain": (
        "Domain",
        "GenerationId",
        "LifecycleAction",
        "LockFailureAction",
        "VirtType",
    ),
    "features": (
        "AIA",
        "AIAValue",
        "APIC",
        "AsyncTeardown",
        "CapabilitiesPolicy",
        "DirtyRing",
        "Features",
        "GIC",
        "GICVersion",
        "HPT",
        "HPTResizing",
        "HyperV",
        "HyperVMode",
        "HyperVSTimer",
        "HyperVSpinlocks",
        "HyperVTLBFlush",
        "HyperVVendorId",
        "IBS",
        "IBSValue",
        "IOAPIC",
        "IOAPICDriver",
        "KVMFeatures",
        "MSRs",
        "Mitigation",
        "MitigationValue",
        "ProcessCapabilities",
        "RequiredState",
        "SMM",
        "StateFeature",
        "TCGFeatures",
        "UnknownMSR",
        "XenFeatures",
        "XenPassthrough",
        "XenPassthroughMode",
    ),
    "launch_security": (
        "LaunchSecurity",
        "LaunchSecurityType",
        "S390PV",
        "SEV",
        "SEVSNP",
    ),
    "memory": (
        "Allocation",
        "AllocationMode",
        "HugePage",
        "HugePages",
        "MaxMemory",
        "MemNode",
        "Memory",
        "MemoryAccess",
        "MemoryBacking",
        "MemorySource",
        "Memtune",
        "NUMAMemory",
        "NUMAMode",
        "NUMAPlacement",
        "Numatune",
    ),
    "os": (
        "ACPITable",
        "ACPITableType",
        "BIOS",
        "BootDevice",
        "BootMenu",
        "Firmware",
        "FirmwareFeature",
        "FirmwareFeatureName",
        "InitEnv",
        "Loader",
        "LoaderType",
        "NVRAMStore",
        "OS",
        "OSType",
        "OSVariant",
        "SMBIOSMode",
    ),
    "resources": (
        "BlkioDevice",
        "Blkiotune",
        "DefaultIOThread",
        "IDMap",
        "IDMapEntry",
        "IOThread",
        "IOThreadPoll",
        "Perf",
        "PerfEvent",
        "PerfEventName",
        "PowerManagement",
        "Resource",
        "ThrottleGroup",
    ),
    "rules": (
        "DomainContext",
        "DomainFeature",
        "DomainRules",
        "ParseFlag",
    ),
    "seclabel": (
        "CipherName",
        "KeyWrap",
        "KeyWrapCipher",
        "SecurityLabel",
        "SecurityLabelType",
    ),
    "sysinfo": (
        "BaseBoard",
        "Chassis",
        "FirmwareConfigEntry",
        "FirmwareConfigInfo",
        "MemoryDeviceInfo",
        "ProcessorInfo",
        "SMBIOSInfo",
        "Sysinfo",
        "SysinfoType",
        "SystemBIOS",
        "SystemInfo",
    ),
}
# Other packages' names that annotations of this one use.
_ELSEWHERE = {
    "Arch": "virtcore.model.arch",
    "GuestCPU": "virtcore.model.cpu.element",
    "Source": "virtcore.model.storage.source",
    "StorageFormat": "virtcore.model.storage.source",
    "StorageType": "virtcore.model.storage.source",
}


def _table() -> dict[str, str]:
    from virtcore.model.domain._devices import MODULES

    tables = (*MODULES.items(), *_MODULES.items())
    return _ELSEWHERE | {name: f"{__name__}.{module}" for module, names in tables for name in names}


_module_of: dict[str, str] = {}


def __getattr__(name: str) -> object:
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _module_of:
        _module_of.update(_table())
    module = _module_of.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_table()})
