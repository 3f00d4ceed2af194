"""Spellings of operations on networks and their ports."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Flags that spellings fix (members of ConnectListAllNetworksFlags; a test compares).
_INACTIVE = 1
_ACTIVE = 2

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_list_networks": [
        spell("virConnectListAllNetworks", "need flags", form="list"),
        spell("virConnectListNetworks", "limit", form="names", flags=_ACTIVE),
        spell("virConnectNumOfNetworks", "", form="length", flags=_ACTIVE),
        spell("virConnectListDefinedNetworks", "limit", form="names", flags=_INACTIVE),
        spell("virConnectNumOfDefinedNetworks", "", form="length", flags=_INACTIVE),
    ],
    "connection_lookup_network": [
        spell("virNetworkLookupByName", "name"),
        spell("virNetworkLookupByUUID", "uuid"),
        spell("virNetworkLookupByUUIDString", "uuid", procedure="remote.NETWORK_LOOKUP_BY_UUID"),
    ],
    "connection_define_network": [spell("virNetworkDefineXMLFlags"), spell("virNetworkDefineXML")],
    "connection_create_network": [spell("virNetworkCreateXMLFlags"), spell("virNetworkCreateXML")],
    "network_create": [spell("virNetworkCreate")],
    "network_destroy": [spell("virNetworkDestroy")],
    "network_undefine": [spell("virNetworkUndefine")],
    "network_update": [spell("virNetworkUpdate")],
    "network_xml": [spell("virNetworkGetXMLDesc")],
    "network_bridge_name": [spell("virNetworkGetBridgeName")],
    "network_is_active": [spell("virNetworkIsActive")],
    "network_is_persistent": [spell("virNetworkIsPersistent")],
    "network_autostart": [spell("virNetworkGetAutostart")],
    "network_set_autostart": [spell("virNetworkSetAutostart")],
    "network_dhcp_leases": [spell("virNetworkGetDHCPLeases", "network mac need flags", form="list")],
    "network_metadata": [spell("virNetworkGetMetadata")],
    "network_set_metadata": [spell("virNetworkSetMetadata")],
    # -- ports
    "network_list_ports": [spell("virNetworkListAllPorts", "network need flags", form="list")],
    "network_lookup_port": [
        spell("virNetworkPortLookupByUUID"),
        spell("virNetworkPortLookupByUUIDString", procedure="remote.NETWORK_PORT_LOOKUP_BY_UUID"),
    ],
    "network_create_port": [spell("virNetworkPortCreateXML")],
    "network_port_xml": [spell("virNetworkPortGetXMLDesc")],
    "network_port_parameters": [spell("virNetworkPortGetParameters", "port count flags", form="parameters")],
    "network_port_set_parameters": [spell("virNetworkPortSetParameters")],
    "network_port_delete": [spell("virNetworkPortDelete")],
}
