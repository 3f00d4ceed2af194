"""Spellings of operations on storage pools and volumes."""

from __future__ import annotations

from virtcore.operations.spellings.declare import Row, spell

__all__ = ["SPELLINGS"]

# Flags that spellings fix (members of ConnectListAllStoragePoolsFlags; a test compares).
_INACTIVE = 1
_ACTIVE = 2

#: Operation -> its spellings; the first is the canonical one.
SPELLINGS: dict[str, list[Row]] = {
    "connection_storage_pool_capabilities": [spell("virConnectGetStoragePoolCapabilities")],
    "connection_find_storage_pool_sources": [spell("virConnectFindStoragePoolSources")],
    "connection_list_storage_pools": [
        spell("virConnectListAllStoragePools", "need flags", form="list"),
        spell("virConnectListStoragePools", "limit", form="names", flags=_ACTIVE),
        spell("virConnectNumOfStoragePools", "", form="length", flags=_ACTIVE),
        spell("virConnectListDefinedStoragePools", "limit", form="names", flags=_INACTIVE),
        spell("virConnectNumOfDefinedStoragePools", "", form="length", flags=_INACTIVE),
    ],
    "connection_lookup_storage_pool": [
        spell("virStoragePoolLookupByName", "name"),
        spell("virStoragePoolLookupByUUID", "uuid"),
        spell("virStoragePoolLookupByUUIDString", "uuid", procedure="remote.STORAGE_POOL_LOOKUP_BY_UUID"),
        spell("virStoragePoolLookupByTargetPath", "target_path"),
        spell("virStoragePoolLookupByVolume", "volume"),
    ],
    "connection_define_storage_pool": [spell("virStoragePoolDefineXML")],
    "connection_create_storage_pool": [spell("virStoragePoolCreateXML")],
    "connection_lookup_storage_vol": [
        spell("virStorageVolLookupByKey", "key"),
        spell("virStorageVolLookupByPath", "path"),
    ],
    # -- pools
    "storage_pool_build": [spell("virStoragePoolBuild")],
    "storage_pool_create": [spell("virStoragePoolCreate")],
    "storage_pool_destroy": [spell("virStoragePoolDestroy")],
    "storage_pool_delete": [spell("virStoragePoolDelete")],
    "storage_pool_undefine": [spell("virStoragePoolUndefine")],
    "storage_pool_refresh": [spell("virStoragePoolRefresh")],
    "storage_pool_xml": [spell("virStoragePoolGetXMLDesc")],
    "storage_pool_info": [spell("virStoragePoolGetInfo")],
    "storage_pool_is_active": [spell("virStoragePoolIsActive")],
    "storage_pool_is_persistent": [spell("virStoragePoolIsPersistent")],
    "storage_pool_autostart": [spell("virStoragePoolGetAutostart")],
    "storage_pool_set_autostart": [spell("virStoragePoolSetAutostart")],
    "storage_pool_list_volumes": [
        spell("virStoragePoolListAllVolumes", "pool need flags", form="list"),
        spell("virStoragePoolListVolumes", "pool limit", form="names"),
        spell("virStoragePoolNumOfVolumes", "pool", form="length"),
    ],
    "storage_pool_lookup_volume": [spell("virStorageVolLookupByName")],
    "storage_pool_create_volume": [spell("virStorageVolCreateXML")],
    "storage_pool_clone_volume": [spell("virStorageVolCreateXMLFrom")],
    # -- volumes
    "storage_vol_xml": [spell("virStorageVolGetXMLDesc")],
    "storage_vol_info": [spell("virStorageVolGetInfoFlags"), spell("virStorageVolGetInfo")],
    "storage_vol_path": [spell("virStorageVolGetPath")],
    "storage_vol_delete": [spell("virStorageVolDelete")],
    "storage_vol_wipe": [spell("virStorageVolWipePattern"), spell("virStorageVolWipe", "volume flags")],
    "storage_vol_resize": [spell("virStorageVolResize")],
    "storage_vol_upload": [spell("virStorageVolUpload")],
    "storage_vol_download": [spell("virStorageVolDownload")],
}
