"""The ``<domain>`` element: every class is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.domain.clock import (
        Catchup as Catchup,
        Clock as Clock,
        ClockBasis as ClockBasis,
        ClockOffset as ClockOffset,
        TickPolicy as TickPolicy,
        Timer as Timer,
        TimerMode as TimerMode,
        TimerName as TimerName,
        TimerTrack as TimerTrack,
    )
    from virtcore.model.domain.cputune import (
        VCPU as VCPU,
        Cache as Cache,
        CacheMonitor as CacheMonitor,
        CacheTune as CacheTune,
        CacheType as CacheType,
        CPUPlacement as CPUPlacement,
        CPUTune as CPUTune,
        EmulatorPin as EmulatorPin,
        EmulatorSched as EmulatorSched,
        IOThreadPin as IOThreadPin,
        IOThreadSched as IOThreadSched,
        MemoryBandwidth as MemoryBandwidth,
        MemoryMonitor as MemoryMonitor,
        MemoryTune as MemoryTune,
        Scheduler as Scheduler,
        VCPUMaximum as VCPUMaximum,
        VCPUPin as VCPUPin,
        VCPUSched as VCPUSched,
    )
    from virtcore.model.domain.document import (
        domain_mode as domain_mode,
        format_domain as format_domain,
        load_domain as load_domain,
    )
    from virtcore.model.domain.domain import (
        Domain as Domain,
        GenerationId as GenerationId,
        LifecycleAction as LifecycleAction,
        LockFailureAction as LockFailureAction,
        VirtType as VirtType,
    )
    from virtcore.model.domain.features import (
        AIA as AIA,
        APIC as APIC,
        GIC as GIC,
        HPT as HPT,
        IBS as IBS,
        IOAPIC as IOAPIC,
        SMM as SMM,
        AIAValue as AIAValue,
        AsyncTeardown as AsyncTeardown,
        CapabilitiesPolicy as CapabilitiesPolicy,
        DirtyRing as DirtyRing,
        Features as Features,
        GICVersion as GICVersion,
        HPTResizing as HPTResizing,
        HyperV as HyperV,
        HyperVMode as HyperVMode,
        HyperVSpinlocks as HyperVSpinlocks,
        HyperVSTimer as HyperVSTimer,
        HyperVTLBFlush as HyperVTLBFlush,
        HyperVVendorId as HyperVVendorId,
        IBSValue as IBSValue,
        IOAPICDriver as IOAPICDriver,
        KVMFeatures as KVMFeatures,
        Mitigation as Mitigation,
        MitigationValue as MitigationValue,
        MSRs as MSRs,
        ProcessCapabilities as ProcessCapabilities,
        RequiredState as RequiredState,
        StateFeature as StateFeature,
        TCGFeatures as TCGFeatures,
        UnknownMSR as UnknownMSR,
        XenFeatures as XenFeatures,
        XenPassthrough as XenPassthrough,
        XenPassthroughMode as XenPassthroughMode,
    )
    from virtcore.model.domain.launch_security import (
        S390PV as S390PV,
        SEV as SEV,
        SEVSNP as SEVSNP,
        LaunchSecurity as LaunchSecurity,
        LaunchSecurityType as LaunchSecurityType,
    )
    from virtcore.model.domain.memory import (
        Allocation as Allocation,
        AllocationMode as AllocationMode,
        HugePage as HugePage,
        HugePages as HugePages,
        MaxMemory as MaxMemory,
        MemNode as MemNode,
        Memory as Memory,
        MemoryAccess as MemoryAccess,
        MemoryBacking as MemoryBacking,
        MemorySource as MemorySource,
        Memtune as Memtune,
        NUMAMemory as NUMAMemory,
        NUMAMode as NUMAMode,
        NUMAPlacement as NUMAPlacement,
        Numatune as Numatune,
    )
    from virtcore.model.domain.os import (
        BIOS as BIOS,
        OS as OS,
        ACPITable as ACPITable,
        ACPITableType as ACPITableType,
        BootDevice as BootDevice,
        BootMenu as BootMenu,
        Firmware as Firmware,
        FirmwareFeature as FirmwareFeature,
        FirmwareFeatureName as FirmwareFeatureName,
        InitEnv as InitEnv,
        Loader as Loader,
        LoaderType as LoaderType,
        NVRAMStore as NVRAMStore,
        OSType as OSType,
        OSVariant as OSVariant,
        SMBIOSMode as SMBIOSMode,
    )
    from virtcore.model.domain.resources import (
        BlkioDevice as BlkioDevice,
        Blkiotune as Blkiotune,
        DefaultIOThread as DefaultIOThread,
        IDMap as IDMap,
        IDMapEntry as IDMapEntry,
        IOThread as IOThread,
        IOThreadPoll as IOThreadPoll,
        Perf as Perf,
        PerfEvent as PerfEvent,
        PerfEventName as PerfEventName,
        PowerManagement as PowerManagement,
        Resource as Resource,
        ThrottleGroup as ThrottleGroup,
    )
    from virtcore.model.domain.rules import (
        DomainContext as DomainContext,
        DomainFeature as DomainFeature,
        DomainRules as DomainRules,
        ParseFlag as ParseFlag,
    )
    from virtcore.model.domain.seclabel import (
        CipherName as CipherName,
        KeyWrap as KeyWrap,
        KeyWrapCipher as KeyWrapCipher,
        SecurityLabel as SecurityLabel,
        SecurityLabelType as SecurityLabelType,
    )
    from virtcore.model.domain.sysinfo import (
        BaseBoard as BaseBoard,
        Chassis as Chassis,
        FirmwareConfigEntry as FirmwareConfigEntry,
        FirmwareConfigInfo as FirmwareConfigInfo,
        MemoryDeviceInfo as MemoryDeviceInfo,
        ProcessorInfo as ProcessorInfo,
        SMBIOSInfo as SMBIOSInfo,
        Sysinfo as Sysinfo,
        SysinfoType as SysinfoType,
        SystemBIOS as SystemBIOS,
        SystemInfo as SystemInfo,
    )

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
