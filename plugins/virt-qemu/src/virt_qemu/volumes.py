"""Volumes of storage pools that disks name: what they are, asked of the host's storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.storage.source import FileSource, VolumeSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virt_qemu.block.chain import Link
    from virtcore.driver.composition import PlaceServices
    from virtcore.model.domain.disk import Disk

__all__ = ["find_volumes", "read_volumes"]


async def find_volumes(services: PlaceServices, disks: Iterable[Disk]) -> None:
    """Find out what the volumes are that disks name (``virDomainDiskTranslateSourcePool``).

    :raises VirtError: there is no such volume, its pool does not run, or a guest cannot use it.
    """
    for disk in disks:
        link: Link | None = disk
        while link is not None and link.source is not None:
            if type(link.source) is VolumeSource:  # else it is known
                link.source = await _find(services, link.source)
            link = link.backing_store
        source = disk.source
        if isinstance(source, VolumeSource) and source.startup_policy and not isinstance(source, FileSource):
            raise XMLError("'startupPolicy' is only valid for 'file' type volume")


async def _find(services: PlaceServices, source: VolumeSource) -> VolumeSource:
    from virtcore.model.storage import load_storage_pool
    from virtcore.model.storage.found_volume import found_as

    pool = await services.call("storage", "connection_lookup_storage_pool", source.pool)
    if not await services.call("storage", "storage_pool_is_active", pool):
        raise ConfigUnsupported(f"storage pool '{source.pool}' containing volume '{source.volume}' is not active")
    volume = await services.call("storage", "storage_pool_lookup_volume", pool, source.volume)
    kind = (await services.call("storage", "storage_vol_info", volume)).type
    document = load_storage_pool(await services.call("storage", "storage_pool_xml", pool))
    return found_as(source, document, kind, await services.call("storage", "storage_vol_path", volume))


def read_volumes(disks: Iterable[Disk]) -> None:
    """What the status of a guest tells of the volumes that its disks name."""
    for disk in disks:
        link: Link | None = disk
        while link is not None and link.source is not None:
            if type(link.source) is VolumeSource:
                from virtcore.model.storage.found_volume import known_as

                link.source = known_as(link.source) or link.source
            link = link.backing_store
