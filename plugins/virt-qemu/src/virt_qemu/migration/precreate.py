"""Images at the destination that are not there yet: volumes are made for them, of the same sizes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_qemu.command.disks import disk_path
from virt_qemu.migration.checks import copied
from virtcore.enums.domain_more import DomainMigrateFlags as Flags
from virtcore.enums.storage import StorageVolCreateFlags
from virtcore.errors import InternalError, InvalidArg, NoStorageVol, OperationUnsupported
from virtcore.model.storage.source import FileSource, NetworkSource, StorageFormat, VolumeSource
from virtcore.xml.writer import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virt_qemu.host import QemuState
    from virt_qemu.migration_cookie import CookieNBD
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk

__all__ = ["create_missing"]


async def create_missing(state: QemuState, domain: Domain, told: CookieNBD, names: Sequence[str], flags: int) -> None:
    """Make what a guest's disks will be copied to.

    :param told: sizes of the source's disks.
    :param names: targets of the disks that are copied; none for all that are not shared.
    :raises InternalError: there is no such disk, or nothing can be made for it.
    :raises OperationUnsupported: what is copied is only what differs from an image that is not there.
    """
    assert domain.devices is not None
    disks = {disk.target.dev: disk for disk in domain.devices.disks if disk.target is not None}
    moved = copied(domain, names)
    for each in told.disks:
        disk = disks.get(each.target)
        if disk is None:
            raise InternalError(f"unable to find disk target '{each.target}' for non-shared-storage migration")
        path = disk_path(disk.source)
        if not any(disk is one for one in moved) or (path is not None and os.path.exists(path)):
            continue
        if flags & Flags.NON_SHARED_INC:
            raise OperationUnsupported(
                f"pre-creation of storage target '{path or '<null>'}' for incremental storage migration of disk "
                f"'{each.target}' is not supported"
            )
        await _create(state, disk, each.capacity)


async def _create(state: QemuState, disk: Disk, capacity: int) -> None:
    source = disk.source
    format = disk.driver.type if disk.driver is not None and disk.driver.type is not None else StorageFormat.RAW
    qcow2 = format is StorageFormat.QCOW2
    call = state.host_side.services.call
    if isinstance(source, FileSource):
        folder, slash, name = (source.file or "").rpartition("/")
        if not slash:
            raise InvalidArg(f"malformed disk path: {source.file}")
        pool = await call("storage", "connection_lookup_storage_pool", None, None, folder)
    elif isinstance(source, VolumeSource):
        pool, name = await call("storage", "connection_lookup_storage_pool", source.pool), source.volume or ""
    elif isinstance(source, NetworkSource):
        return
    else:
        kind = getattr(source, "type", "none")
        raise InternalError(f"cannot precreate storage for disk type '{kind}'")
    try:
        await call("storage", "storage_pool_lookup_volume", pool, name)
    except NoStorageVol:
        pass
    else:
        return
    compat = "<compat>1.1</compat>" if qcow2 and isinstance(source, FileSource) else ""
    xml = (
        f"<volume><name>{escape(name)}</name><capacity>{capacity}</capacity>"
        f"<target><format type='{format}'/>{compat}</target></volume>"
    )
    flags = StorageVolCreateFlags.PREALLOC_METADATA if qcow2 else 0
    await call("storage", "storage_pool_create_volume", pool, xml, flags)
