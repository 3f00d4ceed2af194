"""``<pool>``: a place volumes come from."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from virtcore.errors import ErrorCode
from virtcore.model.storage.pool_source import StoragePoolType
from virtcore.model.storage.pool_types import POOL_TYPES
from virtcore.xml import (
    UUID,
    YES_NO,
    Mode,
    attribute,
    child,
    element,
    extras,
    leaf,
    namespaces,
    scaled,
    union,
)

if TYPE_CHECKING:
    from virtcore.model.storage.permissions import Permissions
    from virtcore.model.storage.pool_source import AnyPoolSource
    from virtcore.xml import Extras

__all__ = ["PoolTarget", "RefreshAllocation", "StoragePool"]

_LOCAL = tuple(kind for kind, info in POOL_TYPES.items() if not info.network)


class RefreshAllocation(StrEnum):
    """Where the allocation of a volume comes from when the pool is refreshed."""

    DEFAULT = "default"
    CAPACITY = "capacity"


@element("target", empty="open")
class PoolTarget:
    """Where the pool is on the host."""

    path: str | None = leaf(doc="path of the folder its volumes are in")
    permissions: Permissions | None = child(doc="of the folder, when the pool is built")


def _size(doc: str) -> Any:
    """A size that is found out, never defined."""
    return leaf(codec=scaled("B", printed="bytes"), read=Mode.LIVE, doc=doc)


@element("pool", root=True, doc="A place volumes come from.")
class StoragePool:
    type: StoragePoolType = attribute(required=True, doc="kind of pool")
    name: str | None = leaf(doc="unique on its host; by default the source's name, where it has one")
    uuid: str | None = leaf(codec=UUID, invalid="malformed uuid element", doc="unique everywhere")
    capacity: int | None = _size("bytes there are")
    allocation: int | None = _size("bytes in use")
    available: int | None = _size("bytes free")
    cow: bool | None = attribute(
        "state", within="features/cow", codec=YES_NO, doc="copy-on-write of the file system", since="6.6.0"
    )
    source: AnyPoolSource | None = union(tag="type", doc="the storage behind it")
    target: PoolTarget | None = child(only={"type": _LOCAL}, doc="where it is on the host")
    refresh_allocation: RefreshAllocation | None = attribute(
        "allocation",
        within="refresh/volume",
        blank=False,
        invalid="unknown storage pool volume refresh allocation type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="how a volume's allocation is found out",
        since="5.2.0",
    )
    options: list[object] = namespaces(point="storagepool", doc="What plugins add, in namespaces of their own.")
    extra: Extras = extras()
