"""Spellings of operations on domains."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Flags that spellings fix (members of ConnectListAllDomainsFlags, DomainVcpuFlags; a test compares).
_ACTIVE = 1
_INACTIVE = 2
_VCPU_LIVE_MAXIMUM = 1 | 4
_VCPU_GUEST = 8

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {  # -- finding and making domains
    "connection_domain_capabilities": [spell("virConnectGetDomainCapabilities")],
    "connection_list_domains": [
        spell("virConnectListAllDomains", "need flags", form="list"),
        spell("virConnectListDomains", "limit", form="ids", flags=_ACTIVE),
        spell("virConnectNumOfDomains", "", form="length", flags=_ACTIVE),
        spell("virConnectListDefinedDomains", "limit", form="names", flags=_INACTIVE),
        spell("virConnectNumOfDefinedDomains", "", form="length", flags=_INACTIVE),
    ],
    "connection_lookup_domain": [
        spell("virDomainLookupByName", "name"),
        spell("virDomainLookupByUUID", "uuid"),
        spell("virDomainLookupByUUIDString", "uuid", procedure="remote.DOMAIN_LOOKUP_BY_UUID"),
        spell("virDomainLookupByID", "id"),
    ],
    "connection_define_domain": [spell("virDomainDefineXMLFlags"), spell("virDomainDefineXML")],
    "connection_create_domain": [
        spell("virDomainCreateXML"),
        spell("virDomainCreateLinux", procedure="remote.DOMAIN_CREATE_XML"),
    ],
    "connection_domain_stats": [
        spell("virConnectGetAllDomainStats", "domains stats flags"),
        spell("virDomainListGetStats", "domains stats flags"),
    ],
    # -- a domain's life
    "domain_create": [spell("virDomainCreateWithFlags"), spell("virDomainCreate")],
    "domain_shutdown": [spell("virDomainShutdownFlags"), spell("virDomainShutdown")],
    "domain_reboot": [spell("virDomainReboot")],
    "domain_reset": [spell("virDomainReset")],
    "domain_suspend": [spell("virDomainSuspend")],
    "domain_resume": [spell("virDomainResume")],
    "domain_destroy": [spell("virDomainDestroyFlags"), spell("virDomainDestroy")],
    "domain_undefine": [spell("virDomainUndefineFlags"), spell("virDomainUndefine")],
    # -- with descriptors
    "connection_create_domain_with_files": [spell("virDomainCreateXMLWithFiles", "xml flags files", files="in")],
    "domain_create_with_files": [spell("virDomainCreateWithFiles", "domain flags files", files="in")],
    "domain_associate_fds": [spell("virDomainFDAssociate", "domain name flags files", files="in")],
    # -- what it is
    "domain_state": [spell("virDomainGetState")],
    "domain_info": [spell("virDomainGetInfo")],
    "domain_control_info": [spell("virDomainGetControlInfo")],
    "domain_xml": [spell("virDomainGetXMLDesc")],
    "domain_os_type": [spell("virDomainGetOSType")],
    "domain_is_active": [spell("virDomainIsActive")],
    "domain_is_persistent": [spell("virDomainIsPersistent")],
    "domain_is_updated": [spell("virDomainIsUpdated")],
    "domain_has_managed_save": [spell("virDomainHasManagedSaveImage")],
    "domain_security_labels": [
        spell("virDomainGetSecurityLabelList", form="counted"),
        spell("virDomainGetSecurityLabel", form="first-label"),
    ],
    "domain_messages": [spell("virDomainGetMessages")],
    "domain_metadata": [spell("virDomainGetMetadata")],
    "domain_max_memory": [spell("virDomainGetMaxMemory")],
    "domain_vcpus_count": [
        spell("virDomainGetVcpusFlags", write_flags=_VCPU_GUEST),
        spell("virDomainGetMaxVcpus", "domain", flags=_VCPU_LIVE_MAXIMUM),
    ],
    "domain_memory_parameters": [spell("virDomainGetMemoryParameters", "domain count flags", form="parameters")],
    # -- settings and devices
    "domain_autostart": [spell("virDomainGetAutostart")],
    "domain_set_autostart": [spell("virDomainSetAutostart")],
    "domain_autostart_once": [spell("virDomainGetAutostartOnce")],
    "domain_set_autostart_once": [spell("virDomainSetAutostartOnce")],
    "domain_set_metadata": [spell("virDomainSetMetadata")],
    "domain_set_lifecycle_action": [spell("virDomainSetLifecycleAction")],
    "domain_rename": [spell("virDomainRename")],
    "domain_open_console": [spell("virDomainOpenConsole")],
}
