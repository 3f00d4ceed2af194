"""The kinds of pools that there are, one module each, loaded when there is a pool of the kind."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from virtcore.errors import ErrorDomain, InternalError
from virtcore.model.storage.pool_source import StoragePoolType

if TYPE_CHECKING:
    from virt_host.storage.backend import StorageHost
    from virtcore.driver.toolkit.pool_backend import PoolBackend

__all__ = ["KINDS", "make_backend", "supported_kinds"]

#: Kind -> its class, a module of this package before the colon.
KINDS: dict[StoragePoolType, str] = {
    StoragePoolType.DIR: "dir:DirBackend",
    StoragePoolType.FS: "fs:FileSystemBackend",
    StoragePoolType.NETFS: "fs:NetFSBackend",
    StoragePoolType.LOGICAL: "logical:LogicalBackend",
    StoragePoolType.DISK: "disk:DiskBackend",
    StoragePoolType.ISCSI: "iscsi:ISCSIBackend",
    StoragePoolType.SCSI: "scsi:SCSIBackend",
    StoragePoolType.MPATH: "mpath:MultipathBackend",
    StoragePoolType.ZFS: "zfs:ZFSBackend",
    StoragePoolType.VSTORAGE: "vstorage:VStorageBackend",
}


def _from_plugins(kind: StoragePoolType, host: StorageHost) -> PoolBackend | None:
    from virtcore.driver.hooks import manager

    found: PoolBackend | None = manager().hook.virtcore_pool_backend(kind=kind.value, host=host)
    return found


def make_backend(kind: StoragePoolType, host: StorageHost) -> PoolBackend:
    """What a kind of pool can do on a host. A plugin's comes before ours.

    :raises InternalError: there are no such pools here.
    """
    found = _from_plugins(kind, host)
    if found is not None:
        return found
    if kind not in KINDS:
        number = list(StoragePoolType).index(kind)
        raise InternalError(f"missing backend for pool type {number} ({kind})", domain=ErrorDomain.STORAGE)
    module, _, name = KINDS[kind].partition(":")
    made: PoolBackend = getattr(import_module(f"{__name__}.{module}"), name)(kind, host)
    return made


def supported_kinds(host: StorageHost) -> list[StoragePoolType]:
    """The kinds that a host can have."""
    return [kind for kind in StoragePoolType if kind in KINDS or _from_plugins(kind, host) is not None]
