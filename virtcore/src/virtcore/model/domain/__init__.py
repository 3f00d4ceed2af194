"""The ``<domain>`` element: every class is imported when it is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

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
        "MEMORY_UNLIMITED",
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
    "virtcore.model.arch": ("Arch",),
    "virtcore.model.cpu.element": ("GuestCPU",),
    "virtcore.model.storage.source": ("Source", "StorageFormat", "StorageType"),
}


def _of_devices() -> dict[str, tuple[str, ...]]:
    from virtcore.model.domain._devices import MODULES

    return MODULES


__getattr__, __dir__ = lazy(__name__, _MODULES, _ELSEWHERE, _of_devices)
