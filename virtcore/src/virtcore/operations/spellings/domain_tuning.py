"""Spellings of operations on a domain's virtual CPUs, memory and limits, and on its statistics."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Flags that spellings fix (members of DomainModificationImpact, DomainMemoryModFlags; a test compares).
_LIVE = 1
_MEMORY_MAXIMUM = 4

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    # -- virtual CPUs, I/O threads
    "domain_set_vcpus": [
        spell("virDomainSetVcpusFlags"),
        spell("virDomainSetVcpus", "domain nvcpus", flags=_LIVE),
    ],
    "domain_set_vcpu": [spell("virDomainSetVcpu")],
    "domain_vcpus": [spell("virDomainGetVcpus", "domain limit maplen", form="vcpus")],
    "domain_vcpu_pin_info": [spell("virDomainGetVcpuPinInfo", "domain limit maplen flags", form="cpumaps")],
    "domain_pin_vcpu": [
        spell("virDomainPinVcpuFlags"),
        spell("virDomainPinVcpu", "domain vcpu cpumap", flags=_LIVE),
    ],
    "domain_emulator_pin_info": [spell("virDomainGetEmulatorPinInfo", "domain maplen flags", form="cpumap")],
    "domain_pin_emulator": [spell("virDomainPinEmulator")],
    "domain_iothreads": [spell("virDomainGetIOThreadInfo", form="counted")],
    "domain_pin_iothread": [spell("virDomainPinIOThread")],
    "domain_add_iothread": [spell("virDomainAddIOThread")],
    "domain_del_iothread": [spell("virDomainDelIOThread")],
    "domain_set_iothread_parameters": [spell("virDomainSetIOThreadParams")],
    # -- memory
    "domain_set_memory": [
        spell("virDomainSetMemoryFlags"),
        spell("virDomainSetMemory", "domain memory", flags=_LIVE),
        spell("virDomainSetMaxMemory", "domain memory", flags=_MEMORY_MAXIMUM),
    ],
    "domain_set_memory_stats_period": [spell("virDomainSetMemoryStatsPeriod")],
    "domain_set_memory_parameters": [spell("virDomainSetMemoryParameters")],
    "domain_numa_parameters": [spell("virDomainGetNumaParameters", "domain count flags", form="parameters")],
    "domain_set_numa_parameters": [spell("virDomainSetNumaParameters")],
    # -- CPU time, I/O weight, performance events, launch security
    "domain_scheduler_type": [spell("virDomainGetSchedulerType")],
    "domain_scheduler_parameters": [
        spell("virDomainGetSchedulerParametersFlags", "domain limit flags", form="limited"),
        spell("virDomainGetSchedulerParameters", "domain limit", form="limited"),
    ],
    "domain_set_scheduler_parameters": [
        spell("virDomainSetSchedulerParametersFlags"),
        spell("virDomainSetSchedulerParameters"),
    ],
    "domain_blkio_parameters": [spell("virDomainGetBlkioParameters", "domain count flags", form="parameters")],
    "domain_set_blkio_parameters": [spell("virDomainSetBlkioParameters")],
    "domain_perf_events": [spell("virDomainGetPerfEvents")],
    "domain_set_perf_events": [spell("virDomainSetPerfEvents")],
    "domain_launch_security_info": [spell("virDomainGetLaunchSecurityInfo")],
    "domain_set_launch_security_state": [spell("virDomainSetLaunchSecurityState")],
    # -- statistics
    "domain_cpu_stats": [spell("virDomainGetCPUStats", "domain count start_cpu ncpus flags", form="cpu-stats")],
    "domain_memory_stats": [spell("virDomainMemoryStats", "domain limit flags", form="limited")],
    "domain_memory_peek": [spell("virDomainMemoryPeek")],
    "domain_start_dirty_rate_calc": [spell("virDomainStartDirtyRateCalc")],
}
