"""Spellings of operations on the host's network interfaces."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Flags that spellings fix (members of ConnectListAllInterfacesFlags; a test compares).
_INACTIVE = 1
_ACTIVE = 2

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_list_interfaces": [
        spell("virConnectListAllInterfaces", "need flags", form="list"),
        spell("virConnectListInterfaces", "limit", form="names", flags=_ACTIVE),
        spell("virConnectNumOfInterfaces", "", form="length", flags=_ACTIVE),
        spell("virConnectListDefinedInterfaces", "limit", form="names", flags=_INACTIVE),
        spell("virConnectNumOfDefinedInterfaces", "", form="length", flags=_INACTIVE),
    ],
    "connection_lookup_interface": [
        spell("virInterfaceLookupByName", "name"),
        spell("virInterfaceLookupByMACString", "mac"),
    ],
    "connection_define_interface": [spell("virInterfaceDefineXML")],
    "connection_interface_begin": [spell("virInterfaceChangeBegin")],
    "connection_interface_commit": [spell("virInterfaceChangeCommit")],
    "connection_interface_rollback": [spell("virInterfaceChangeRollback")],
    "interface_xml": [spell("virInterfaceGetXMLDesc")],
    "interface_is_active": [spell("virInterfaceIsActive")],
    "interface_create": [spell("virInterfaceCreate")],
    "interface_destroy": [spell("virInterfaceDestroy")],
    "interface_undefine": [spell("virInterfaceUndefine")],
}
