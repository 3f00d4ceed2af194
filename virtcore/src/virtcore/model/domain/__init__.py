"""The ``<domain>`` element: every class is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtcore.model.domain.clock import (
        Catchup as Catchup,
    )
    from virtcore.model.domain.clock import (
        Clock as Clock,
    )
    from virtcore.model.domain.clock import (
        ClockBasis as ClockBasis,
    )
    from virtcore.model.domain.clock import (
        ClockOffset as ClockOffset,
    )
    from virtcore.model.domain.clock import (
        TickPolicy as TickPolicy,
    )
    from virtcore.model.domain.clock import (
        Timer as Timer,
    )
    from virtcore.model.domain.clock import (
        TimerMode as TimerMode,
    )
    from virtcore.model.domain.clock import (
        TimerName as TimerName,
    )
    from virtcore.model.domain.clock import (
        TimerTrack as TimerTrack,
    )
    from virtcore.model.domain.cputune import (
        VCPU as VCPU,
    )
    from virtcore.model.domain.cputune import (
        Cache as Cache,
    )
    from virtcore.model.domain.cputune import (
        CacheMonitor as CacheMonitor,
    )
    from virtcore.model.domain.cputune import (
        CacheTune as CacheTune,
    )
    from virtcore.model.domain.cputune import (
        CacheType as CacheType,
    )
    from virtcore.model.domain.cputune import (
        CPUPlacement as CPUPlacement,
    )
    from virtcore.model.domain.cputune import (
        CPUTune as CPUTune,
    )
    from virtcore.model.domain.cputune import (
        EmulatorPin as EmulatorPin,
    )
    from virtcore.model.domain.cputune import (
        EmulatorSched as EmulatorSched,
    )
    from virtcore.model.domain.cputune import (
        IOThreadPin as IOThreadPin,
    )
    from virtcore.model.domain.cputune import (
        IOThreadSched as IOThreadSched,
    )
    from virtcore.model.domain.cputune import (
        MemoryBandwidth as MemoryBandwidth,
    )
    from virtcore.model.domain.cputune import (
        MemoryMonitor as MemoryMonitor,
    )
    from virtcore.model.domain.cputune import (
        MemoryTune as MemoryTune,
    )
    from virtcore.model.domain.cputune import (
        Scheduler as Scheduler,
    )
    from virtcore.model.domain.cputune import (
        VCPUMaximum as VCPUMaximum,
    )
    from virtcore.model.domain.cputune import (
        VCPUPin as VCPUPin,
    )
    from virtcore.model.domain.cputune import (
        VCPUSched as VCPUSched,
    )
    from virtcore.model.domain.document import (
        domain_mode as domain_mode,
    )
    from virtcore.model.domain.document import (
        format_domain as format_domain,
    )
    from virtcore.model.domain.document import (
        load_domain as load_domain,
    )
    from virtcore.model.domain.domain import (
        Domain as Domain,
    )
    from virtcore.model.domain.domain import (
        GenerationId as GenerationId,
    )
    from virtcore.model.domain.domain import (
        LifecycleAction as LifecycleAction,
    )
    from virtcore.model.domain.domain import (
        LockFailureAction as LockFailureAction,
    )
    from virtcore.model.domain.domain import (
        VirtType as VirtType,
    )
    from virtcore.model.domain.features import (
        AIA as AIA,
    )
    from virtcore.model.domain.features import (
        APIC as APIC,
    )
    from virtcore.model.domain.features import (
        GIC as GIC,
    )
    from virtcore.model.domain.features import (
        HPT as HPT,
    )
    from virtcore.model.domain.features import (
        IBS as IBS,
    )
    from virtcore.model.domain.features import (
        IOAPIC as IOAPIC,
    )
    from virtcore.model.domain.features import (
        SMM as SMM,
    )
    from virtcore.model.domain.features import (
        AIAValue as AIAValue,
    )
    from virtcore.model.domain.features import (
        AsyncTeardown as AsyncTeardown,
    )
    from virtcore.model.domain.features import (
        CapabilitiesPolicy as CapabilitiesPolicy,
    )
    from virtcore.model.domain.features import (
        DirtyRing as DirtyRing,
    )
    from virtcore.model.domain.features import (
        Features as Features,
    )
    from virtcore.model.domain.features import (
        GICVersion as GICVersion,
    )
    from virtcore.model.domain.features import (
        HPTResizing as HPTResizing,
    )
    from virtcore.model.domain.features import (
        HyperV as HyperV,
    )
    from virtcore.model.domain.features import (
        HyperVMode as HyperVMode,
    )
    from virtcore.model.domain.features import (
        HyperVSpinlocks as HyperVSpinlocks,
    )
    from virtcore.model.domain.features import (
        HyperVSTimer as HyperVSTimer,
    )
    from virtcore.model.domain.features import (
        HyperVTLBFlush as HyperVTLBFlush,
    )
    from virtcore.model.domain.features import (
        HyperVVendorId as HyperVVendorId,
    )
    from virtcore.model.domain.features import (
        IBSValue as IBSValue,
    )
    from virtcore.model.domain.features import (
        IOAPICDriver as IOAPICDriver,
    )
    from virtcore.model.domain.features import (
        KVMFeatures as KVMFeatures,
    )
    from virtcore.model.domain.features import (
        Mitigation as Mitigation,
    )
    from virtcore.model.domain.features import (
        MitigationValue as MitigationValue,
    )
    from virtcore.model.domain.features import (
        MSRs as MSRs,
    )
    from virtcore.model.domain.features import (
        ProcessCapabilities as ProcessCapabilities,
    )
    from virtcore.model.domain.features import (
        RequiredState as RequiredState,
    )
    from virtcore.model.domain.features import (
        StateFeature as StateFeature,
    )
    from virtcore.model.domain.features import (
        TCGFeatures as TCGFeatures,
    )
    from virtcore.model.domain.features import (
        UnknownMSR as UnknownMSR,
    )
    from virtcore.model.domain.features import (
        XenFeatures as XenFeatures,
    )
    from virtcore.model.domain.features import (
        XenPassthrough as XenPassthrough,
    )
    from virtcore.model.domain.features import (
        XenPassthroughMode as XenPassthroughMode,
    )
    from virtcore.model.domain.launch_security import (
        S390PV as S390PV,
    )
    from virtcore.model.domain.launch_security import (
        SEV as SEV,
    )
    from virtcore.model.domain.launch_security import (
        SEVSNP as SEVSNP,
    )
    from virtcore.model.domain.launch_security import (
        LaunchSecurity as LaunchSecurity,
    )
    from virtcore.model.domain.launch_security import (
        LaunchSecurityType as LaunchSecurityType,
    )
    from virtcore.model.domain.memory import (
        Allocation as Allocation,
    )
    from virtcore.model.domain.memory import (
        AllocationMode as AllocationMode,
    )
    from virtcore.model.domain.memory import (
        HugePage as HugePage,
    )
    from virtcore.model.domain.memory import (
        HugePages as HugePages,
    )
    from virtcore.model.domain.memory import (
        MaxMemory as MaxMemory,
    )
    from virtcore.model.domain.memory import (
        MemNode as MemNode,
    )
    from virtcore.model.domain.memory import (
        Memory as Memory,
    )
    from virtcore.model.domain.memory import (
        MemoryAccess as MemoryAccess,
    )
    from virtcore.model.domain.memory import (
        MemoryBacking as MemoryBacking,
    )
    from virtcore.model.domain.memory import (
        MemorySource as MemorySource,
    )
    from virtcore.model.domain.memory import (
        Memtune as Memtune,
    )
    from virtcore.model.domain.memory import (
        NUMAMemory as NUMAMemory,
    )
    from virtcore.model.domain.memory import (
        NUMAMode as NUMAMode,
    )
    from virtcore.model.domain.memory import (
        NUMAPlacement as NUMAPlacement,
    )
    from virtcore.model.domain.memory import (
        Numatune as Numatune,
    )
    from virtcore.model.domain.os import (
        BIOS as BIOS,
    )
    from virtcore.model.domain.os import (
        OS as OS,
    )
    from virtcore.model.domain.os import (
        ACPITable as ACPITable,
    )
    from virtcore.model.domain.os import (
        ACPITableType as ACPITableType,
    )
    from virtcore.model.domain.os import (
        BootDevice as BootDevice,
    )
    from virtcore.model.domain.os import (
        BootMenu as BootMenu,
    )
    from virtcore.model.domain.os import (
        Firmware as Firmware,
    )
    from virtcore.model.domain.os import (
        FirmwareFeature as FirmwareFeature,
    )
    from virtcore.model.domain.os import (
        FirmwareFeatureName as FirmwareFeatureName,
    )
    from virtcore.model.domain.os import (
        InitEnv as InitEnv,
    )
    from virtcore.model.domain.os import (
        Loader as Loader,
    )
    from virtcore.model.domain.os import (
        LoaderType as LoaderType,
    )
    from virtcore.model.domain.os import (
        NVRAMStore as NVRAMStore,
    )
    from virtcore.model.domain.os import (
        OSType as OSType,
    )
    from virtcore.model.domain.os import (
        OSVariant as OSVariant,
    )
    from virtcore.model.domain.os import (
        SMBIOSMode as SMBIOSMode,
    )
    from virtcore.model.domain.resources import (
        BlkioDevice as BlkioDevice,
    )
    from virtcore.model.domain.resources import (
        Blkiotune as Blkiotune,
    )
    from virtcore.model.domain.resources import (
        DefaultIOThread as DefaultIOThread,
    )
    from virtcore.model.domain.resources import (
        IDMap as IDMap,
    )
    from virtcore.model.domain.resources import (
        IDMapEntry as IDMapEntry,
    )
    from virtcore.model.domain.resources import (
        IOThread as IOThread,
    )
    from virtcore.model.domain.resources import (
        IOThreadPoll as IOThreadPoll,
    )
    from virtcore.model.domain.resources import (
        Perf as Perf,
    )
    from virtcore.model.domain.resources import (
        PerfEvent as PerfEvent,
    )
    from virtcore.model.domain.resources import (
        PerfEventName as PerfEventName,
    )
    from virtcore.model.domain.resources import (
        PowerManagement as PowerManagement,
    )
    from virtcore.model.domain.resources import (
        Resource as Resource,
    )
    from virtcore.model.domain.resources import (
        ThrottleGroup as ThrottleGroup,
    )
    from virtcore.model.domain.rules import (
        DomainContext as DomainContext,
    )
    from virtcore.model.domain.rules import (
        DomainFeature as DomainFeature,
    )
    from virtcore.model.domain.rules import (
        DomainRules as DomainRules,
    )
    from virtcore.model.domain.rules import (
        ParseFlag as ParseFlag,
    )
    from virtcore.model.domain.seclabel import (
        CipherName as CipherName,
    )
    from virtcore.model.domain.seclabel import (
        KeyWrap as KeyWrap,
    )
    from virtcore.model.domain.seclabel import (
        KeyWrapCipher as KeyWrapCipher,
    )
    from virtcore.model.domain.seclabel import (
        SecurityLabel as SecurityLabel,
    )
    from virtcore.model.domain.seclabel import (
        SecurityLabelType as SecurityLabelType,
    )
    from virtcore.model.domain.sysinfo import (
        BaseBoard as BaseBoard,
    )
    from virtcore.model.domain.sysinfo import (
        Chassis as Chassis,
    )
    from virtcore.model.domain.sysinfo import (
        FirmwareConfigEntry as FirmwareConfigEntry,
    )
    from virtcore.model.domain.sysinfo import (
        FirmwareConfigInfo as FirmwareConfigInfo,
    )
    from virtcore.model.domain.sysinfo import (
        MemoryDeviceInfo as MemoryDeviceInfo,
    )
    from virtcore.model.domain.sysinfo import (
        ProcessorInfo as ProcessorInfo,
    )
    from virtcore.model.domain.sysinfo import (
        SMBIOSInfo as SMBIOSInfo,
    )
    from virtcore.model.domain.sysinfo import (
        Sysinfo as Sysinfo,
    )
    from virtcore.model.domain.sysinfo import (
        SysinfoType as SysinfoType,
    )
    from virtcore.model.domain.sysinfo import (
        SystemBIOS as SystemBIOS,
    )
    from virtcore.model.domain.sysinfo import (
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
