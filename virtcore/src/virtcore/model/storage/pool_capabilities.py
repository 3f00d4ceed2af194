"""``<storagepoolCapabilities>``: the kinds of pools a host can have, and their formats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from virtcore.model.storage.pool_source import StoragePoolType
from virtcore.model.storage.pool_types import POOL_TYPES
from virtcore.xml import YES_NO, attribute, child, children, element, extras, leaf

if TYPE_CHECKING:
    from virtcore.xml import Extras

__all__ = [
    "FormatOptions",
    "Formats",
    "PoolTypeCapability",
    "StoragePoolCapabilities",
    "format_storage_pool_capabilities",
    "storage_pool_capabilities",
]


@element("enum", empty="open")
class Formats:
    """Words that a document may use somewhere."""

    name: str = attribute(required=True, doc="where they are used")
    values: list[str] = leaf("value", doc="the words")


@element(None)
class FormatOptions:
    """Formats of pools or of volumes."""

    default_format: str | None = attribute(
        "type", within="defaultFormat", demanded=True, doc="what stands when none is named"
    )
    formats: Formats | None = child()


@element("pool", empty="open")
class PoolTypeCapability:
    """A kind of pool."""

    type: StoragePoolType = attribute(required=True, doc="kind of pool")
    supported: bool = attribute(codec=YES_NO, required=True, doc="this host can have one")
    pool_options: FormatOptions | None = child("poolOptions", doc="formats of the pool itself")
    vol_options: FormatOptions | None = child("volOptions", doc="formats of its volumes")


@element("storagepoolCapabilities", root=True, since="5.2.0", doc="The kinds of storage pools a host can have.")
class StoragePoolCapabilities:
    pools: list[PoolTypeCapability] = children("pool", doc="every kind there is")
    extra: Extras = extras()


def storage_pool_capabilities(supported: Iterable[StoragePoolType]) -> StoragePoolCapabilities:
    """What there is to know of every kind of pool.

    :param supported: the kinds the host can have.
    """
    able = frozenset(supported)
    found = StoragePoolCapabilities()
    for kind, info in POOL_TYPES.items():
        pool = PoolTypeCapability(type=kind, supported=kind in able)
        if info.formats is not None:
            pool.pool_options = FormatOptions(
                default_format=info.default_format,
                formats=Formats(name="sourceFormatType", values=[str(word) for word in info.formats]),
            )
        if info.volumes is not None:
            pool.vol_options = FormatOptions(
                default_format=info.volumes.default,
                formats=Formats(name="targetFormatType", values=list(info.volumes.listed)),
            )
        found.pools.append(pool)
    return found


def format_storage_pool_capabilities(capabilities: StoragePoolCapabilities) -> str:
    """The document, as ``virConnectGetStoragePoolCapabilities`` gives it."""
    from virtcore.xml import format

    return format(capabilities)
