"""Spellings of operations on secrets."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_list_secrets": [
        spell("virConnectListAllSecrets", "need flags", form="list"),
        spell("virConnectListSecrets", "limit", form="uuids"),
        spell("virConnectNumOfSecrets", "", form="length"),
    ],
    "connection_lookup_secret": [
        spell("virSecretLookupByUUID", "uuid"),
        spell("virSecretLookupByUUIDString", "uuid", procedure="remote.SECRET_LOOKUP_BY_UUID"),
        spell("virSecretLookupByUsage", "usage_type usage_id"),
    ],
    "connection_define_secret": [spell("virSecretDefineXML")],
    "secret_xml": [spell("virSecretGetXMLDesc")],
    "secret_value": [spell("virSecretGetValue")],
    "secret_set_value": [spell("virSecretSetValue")],
    "secret_undefine": [spell("virSecretUndefine")],
}
