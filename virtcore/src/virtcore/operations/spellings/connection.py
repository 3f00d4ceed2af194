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
    "connection_hostname": [spell("virConnectGetHostname")],
    "connection_capabilities": [spell("virConnectGetCapabilities")],
    "connection_sysinfo": [spell("virConnectGetSysinfo")],
    "connection_node_info": [spell("virNodeGetInfo")],
    "connection_node_free_memory": [spell("virNodeGetFreeMemory")],
    "connection_security_model": [spell("virNodeGetSecurityModel")],
    "connection_node_memory_parameters": [spell("virNodeGetMemoryParameters", "count flags", form="parameters")],
}
