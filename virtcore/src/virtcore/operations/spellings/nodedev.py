"""Spellings of operations on the host's devices."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_list_node_devices": [
        spell("virConnectListAllNodeDevices", "need flags", form="list"),
        spell("virNodeListDevices", "capability limit flags", form="names"),
        spell("virNodeNumOfDevices", "capability flags", form="length"),
    ],
    "connection_lookup_node_device": [
        spell("virNodeDeviceLookupByName", "name"),
        spell("virNodeDeviceLookupSCSIHostByWWN", "wwnn wwpn flags"),
    ],
    "connection_create_node_device": [spell("virNodeDeviceCreateXML")],
    "connection_define_node_device": [spell("virNodeDeviceDefineXML")],
    "node_device_xml": [spell("virNodeDeviceGetXMLDesc", "device.name flags")],
    "node_device_parent": [spell("virNodeDeviceGetParent", "device.name")],
    "node_device_capabilities": [
        spell("virNodeDeviceListCaps", "device.name limit", form="limited"),
        spell("virNodeDeviceNumOfCaps", "device.name", form="length"),
    ],
    "node_device_is_active": [spell("virNodeDeviceIsActive", "device.name")],
    "node_device_is_persistent": [spell("virNodeDeviceIsPersistent", "device.name")],
    "node_device_autostart": [spell("virNodeDeviceGetAutostart", "device.name")],
    "node_device_set_autostart": [spell("virNodeDeviceSetAutostart", "device.name autostart")],
    "node_device_create": [spell("virNodeDeviceCreate", "device.name flags")],
    "node_device_destroy": [spell("virNodeDeviceDestroy", "device.name")],
    "node_device_undefine": [spell("virNodeDeviceUndefine", "device.name flags")],
    "node_device_update": [spell("virNodeDeviceUpdate", "device.name xml flags")],
    "node_device_detach": [
        spell("virNodeDeviceDetachFlags", "device.name driver flags"),
        spell("virNodeDeviceDettach", "device.name"),
    ],
    "node_device_reattach": [spell("virNodeDeviceReAttach", "device.name")],
    "node_device_reset": [spell("virNodeDeviceReset", "device.name")],
}
