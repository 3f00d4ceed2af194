"""Typed parameters, group by group: names, types, units and meaning.

A driver checks what it is given with :meth:`~virtcore.operations.parameters.declare.ParameterGroup.validate`, callers
make parameters with :meth:`~virtcore.operations.parameters.declare.ParameterGroup.typed`::

    domain.set_memory_parameters(MEMORY.typed({"hard_limit": 1 << 20}))
"""

from __future__ import annotations

from virtcore._typing import Final
from virtcore.operations.parameters.declare import Parameter, ParameterGroup
from virtcore.operations.parameters.host import IDENTITY, NODE_CPU, NODE_MEMORY, NODE_MEMORY_STATS, SEV
from virtcore.operations.parameters.jobs import JOB, MIGRATION, SAVE
from virtcore.operations.parameters.statistics import BLOCK_STATS, CPU_STATS, DOMAIN_STATS, GUEST_INFO
from virtcore.operations.parameters.tuning import (
    BANDWIDTH,
    BLKIO,
    BLOCK_COPY,
    BLOCK_IOTUNE,
    GUEST_VCPUS,
    IOTHREAD,
    LAUNCH_SECURITY_INFO,
    LAUNCH_SECURITY_STATE,
    MEMORY,
    NUMA,
    PERF,
    SCHEDULER,
    TUNABLE,
)

__all__ = [
    "BANDWIDTH",
    "BLKIO",
    "BLOCK_COPY",
    "BLOCK_IOTUNE",
    "BLOCK_STATS",
    "CPU_STATS",
    "DOMAIN_STATS",
    "GUEST_INFO",
    "GUEST_VCPUS",
    "IDENTITY",
    "IOTHREAD",
    "JOB",
    "LAUNCH_SECURITY_INFO",
    "LAUNCH_SECURITY_STATE",
    "MEMORY",
    "MIGRATION",
    "NODE_CPU",
    "NODE_MEMORY",
    "NODE_MEMORY_STATS",
    "NUMA",
    "PARAMETERS",
    "PERF",
    "SAVE",
    "SCHEDULER",
    "SEV",
    "TUNABLE",
    "Parameter",
    "ParameterGroup",
]

#: Operation -> the parameters it takes or gives.
PARAMETERS: Final = {
    "connection_domain_stats": DOMAIN_STATS,
    "connection_migrate_finish": MIGRATION,
    "connection_migrate_prepare": MIGRATION,
    "connection_migrate_prepare_tunnel": MIGRATION,
    "connection_node_cpu_stats": NODE_CPU,
    "connection_node_memory_parameters": NODE_MEMORY,
    "connection_node_memory_stats": NODE_MEMORY_STATS,
    "connection_node_set_memory_parameters": NODE_MEMORY,
    "connection_node_sev_info": SEV,
    "connection_set_identity": IDENTITY,
    "domain_blkio_parameters": BLKIO,
    "domain_block_copy": BLOCK_COPY,
    "domain_block_iotune": BLOCK_IOTUNE,
    "domain_block_stats": BLOCK_STATS,
    "domain_cpu_stats": CPU_STATS,
    "domain_guest_info": GUEST_INFO,
    "domain_guest_vcpus": GUEST_VCPUS,
    "domain_interface_parameters": BANDWIDTH,
    "domain_job_stats": JOB,
    "domain_launch_security_info": LAUNCH_SECURITY_INFO,
    "domain_memory_parameters": MEMORY,
    "domain_migrate_begin": MIGRATION,
    "domain_migrate_confirm": MIGRATION,
    "domain_migrate_perform": MIGRATION,
    "domain_numa_parameters": NUMA,
    "domain_perf_events": PERF,
    "domain_scheduler_parameters": SCHEDULER,
    "domain_set_blkio_parameters": BLKIO,
    "domain_set_block_iotune": BLOCK_IOTUNE,
    "domain_set_interface_parameters": BANDWIDTH,
    "domain_set_iothread_parameters": IOTHREAD,
    "domain_set_launch_security_state": LAUNCH_SECURITY_STATE,
    "domain_set_memory_parameters": MEMORY,
    "domain_set_numa_parameters": NUMA,
    "domain_set_perf_events": PERF,
    "domain_set_scheduler_parameters": SCHEDULER,
    "domain_set_throttle_group": BLOCK_IOTUNE,
    "network_port_parameters": BANDWIDTH,
    "network_port_set_parameters": BANDWIDTH,
}
