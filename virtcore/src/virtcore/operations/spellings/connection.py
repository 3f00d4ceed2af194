"""Spellings of operations on the hypervisor and the host."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_type": [spell("virConnectGetType")],
    "connection_version": [spell("virConnectGetVersion")],
    "connection_lib_version": [spell("virConnectGetLibVersion")],
    "connection_uri": [spell("virConnectGetURI", procedure="remote.CONNECT_GET_URI")],
    "connection_max_vcpus": [spell("virConnectGetMaxVcpus")],
    "connection_is_secure": [spell("virConnectIsSecure")],
    "connection_is_encrypted": [spell("virConnectIsEncrypted")],
    "connection_is_alive": [spell("virConnectIsAlive")],
    "connection_supports_feature": [spell("virConnectSupportsFeature", internal=True)],
    "connection_set_keepalive": [spell("virConnectSetKeepAlive")],
    "connection_hostname": [spell("virConnectGetHostname")],
    "connection_capabilities": [spell("virConnectGetCapabilities")],
    "connection_sysinfo": [spell("virConnectGetSysinfo")],
    "connection_node_info": [spell("virNodeGetInfo")],
    "connection_node_free_memory": [spell("virNodeGetFreeMemory")],
    "connection_security_model": [spell("virNodeGetSecurityModel")],
    "connection_node_memory_parameters": [spell("virNodeGetMemoryParameters", "count flags", form="parameters")],
    # -- the host's CPUs
    "connection_node_cpu_stats": [spell("virNodeGetCPUStats", "cpu count flags", form="parameters")],
    "connection_node_cpu_map": [spell("virNodeGetCPUMap", "need need flags")],
    "connection_cpu_model_names": [spell("virConnectGetCPUModelNames", "arch need flags", form="list")],
    "connection_compare_cpu": [spell("virConnectCompareCPU")],
    "connection_compare_hypervisor_cpu": [spell("virConnectCompareHypervisorCPU")],
    "connection_baseline_cpu": [spell("virConnectBaselineCPU")],
    "connection_baseline_hypervisor_cpu": [spell("virConnectBaselineHypervisorCPU")],
    # -- its memory
    "connection_node_memory_stats": [spell("virNodeGetMemoryStats", "count cell flags", form="parameters")],
    "connection_node_cells_free_memory": [spell("virNodeGetCellsFreeMemory")],
    "connection_node_free_pages": [spell("virNodeGetFreePages")],
    "connection_node_alloc_pages": [spell("virNodeAllocPages")],
    "connection_node_set_memory_parameters": [spell("virNodeSetMemoryParameters")],
    # -- sleep, security
    "connection_node_suspend": [spell("virNodeSuspendForDuration")],
    "connection_node_sev_info": [spell("virNodeGetSEVInfo", "count flags", form="parameters")],
    "connection_set_identity": [spell("virConnectSetIdentity")],
    # -- other formats
    "connection_xml_from_native": [spell("virConnectDomainXMLFromNative")],
    "connection_xml_to_native": [spell("virConnectDomainXMLToNative")],
}
