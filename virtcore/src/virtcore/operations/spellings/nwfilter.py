"""Spellings of operations on network filters and their bindings."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_list_nwfilters": [
        spell("virConnectListAllNWFilters", "need flags", form="list"),
        spell("virConnectListNWFilters", "limit", form="names"),
        spell("virConnectNumOfNWFilters", "", form="length"),
    ],
    "connection_lookup_nwfilter": [
        spell("virNWFilterLookupByName", "name"),
        spell("virNWFilterLookupByUUID", "uuid"),
        spell("virNWFilterLookupByUUIDString", "uuid", procedure="remote.NWFILTER_LOOKUP_BY_UUID"),
    ],
    "connection_define_nwfilter": [spell("virNWFilterDefineXMLFlags"), spell("virNWFilterDefineXML")],
    "nwfilter_xml": [spell("virNWFilterGetXMLDesc")],
    "nwfilter_undefine": [spell("virNWFilterUndefine")],
    "connection_list_nwfilter_bindings": [spell("virConnectListAllNWFilterBindings", "need flags", form="list")],
    "connection_lookup_nwfilter_binding": [spell("virNWFilterBindingLookupByPortDev")],
    "connection_create_nwfilter_binding": [spell("virNWFilterBindingCreateXML")],
    "nwfilter_binding_xml": [spell("virNWFilterBindingGetXMLDesc")],
    "nwfilter_binding_delete": [spell("virNWFilterBindingDelete")],
}
