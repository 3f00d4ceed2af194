"""Adapters of the suites of storage pools and volumes."""

from __future__ import annotations

from typing import Any

from virt_host.storage.namespace import register
from virtcore.model.storage import (
    StoragePoolType,
    VolumeParseFlag,
    format_storage_pool,
    format_storage_pool_capabilities,
    format_storage_vol,
    load_storage_pool,
    load_storage_vol,
    storage_pool_capabilities,
)

register()

_FLAGS = {"no-capacity": VolumeParseFlag.NO_CAPACITY, "opt-capacity": VolumeParseFlag.OPT_CAPACITY}


def storage_pool_xml(case: Any) -> str:
    return format_storage_pool(load_storage_pool(case.text("xml")))


def storage_vol_xml(case: Any) -> str:
    flags = VolumeParseFlag.NONE
    for name in case.params["flags"]:
        flags |= _FLAGS[name]
    pool = load_storage_pool(case.text("pool"))
    return format_storage_vol(load_storage_vol(case.text("xml"), pool, flags=flags))


def storage_pool_caps(case: Any) -> str:
    types = case.params["pool_types"]
    supported = StoragePoolType if types == "all" else [StoragePoolType(name) for name in types]
    return format_storage_pool_capabilities(storage_pool_capabilities(supported))
