"""Results of operations on storage that are more than one value."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore.enums.storage import StoragePoolState, StorageVolType

__all__ = ["StoragePoolInfo", "StorageVolInfo"]


class StoragePoolInfo(NamedTuple):
    """``virStoragePoolInfo``: sizes in bytes."""

    state: StoragePoolState
    capacity: int
    allocation: int
    available: int


class StorageVolInfo(NamedTuple):
    """``virStorageVolInfo``: sizes in bytes."""

    type: StorageVolType
    capacity: int
    allocation: int
