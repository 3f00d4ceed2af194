"""What a volume that a disk names was found to be: a file, a device, an image on a server.

Such a source is what it was found to be to whoever uses it, and the volume to whoever reads the document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virtcore.enums.storage import StorageVolType
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.storage.pool_source import ISCSIDirectPoolSource, ISCSIPoolSource, StoragePoolType
from virtcore.model.storage.source import (
    DEFAULT_PORTS,
    BlockSource,
    DirSource,
    FileSource,
    NetProtocol,
    NetworkHost,
    NetworkSource,
    PoolSourceMode,
    StorageType,
    VolumeSource,
)
from virtcore.xml import child, element

if TYPE_CHECKING:
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.secret import Auth

__all__ = ["BlockVolume", "DirVolume", "FileVolume", "NetworkVolume", "found_as", "known_as"]


@element("source", tag=StorageType.VOLUME, stands_for=VolumeSource)
class FileVolume(VolumeSource, FileSource):
    """A volume that is a file."""


@element("source", tag=StorageType.VOLUME, stands_for=VolumeSource)
class BlockVolume(VolumeSource, BlockSource):
    """A volume that is a device of the host."""


@element("source", tag=StorageType.VOLUME, stands_for=VolumeSource)
class DirVolume(VolumeSource, DirSource):
    """A volume that is a folder."""


@element("source", tag=StorageType.VOLUME, stands_for=VolumeSource)
class NetworkVolume(VolumeSource, NetworkSource):
    """A volume that is on a server.

    :ivar pool_auth: how the server knows the pool.
    """

    pool_auth: Auth | None = child("pool-auth")


_FILES = (
    StoragePoolType.DIR,
    StoragePoolType.FS,
    StoragePoolType.NETFS,
    StoragePoolType.LOGICAL,
    StoragePoolType.DISK,
    StoragePoolType.SCSI,
    StoragePoolType.ZFS,
    StoragePoolType.VSTORAGE,
)
_LOCAL: dict[StorageVolType, Callable[..., VolumeSource]] = {
    StorageVolType.FILE: lambda path, **rest: FileVolume(file=path, actual_type=StorageType.FILE, **rest),
    StorageVolType.PLOOP: lambda path, **rest: FileVolume(file=path, actual_type=StorageType.FILE, **rest),
    StorageVolType.DIR: lambda path, **rest: DirVolume(dir=path, actual_type=StorageType.DIR, **rest),
    StorageVolType.BLOCK: lambda path, **rest: BlockVolume(dev=path, actual_type=StorageType.BLOCK, **rest),
}


def found_as(source: VolumeSource, pool: StoragePool, kind: StorageVolType, path: str) -> VolumeSource:
    """The source of a volume, with what it was found to be (``virDomainStorageSourceTranslateSourcePool``).

    :param pool: its pool.
    :param kind: what the volume is.
    :param path: where it is.
    :raises VirtError: a guest cannot use such a volume.
    """
    iscsi = isinstance(pool.source, ISCSIPoolSource | ISCSIDirectPoolSource)
    if source.mode is not None and pool.type is not StoragePoolType.ISCSI:
        raise XMLError("disk source mode is only valid when storage pool is of iscsi type")
    if iscsi and (pool.type is StoragePoolType.ISCSI_DIRECT or source.mode is PoolSourceMode.DIRECT):
        return _on_target(source, pool)
    if iscsi:
        return BlockVolume(dev=path, actual_type=StorageType.BLOCK, **_rest(source))
    if pool.type not in _FILES:
        raise ConfigUnsupported(f"using '{pool.type}' pools for backing 'volume' disks isn't yet supported")
    if kind not in _LOCAL:
        name = StorageVolType(kind).name.lower()
        raise InternalError(f"unexpected storage volume type '{name}' for storage pool type '{pool.type}'")
    return _LOCAL[kind](path, **_rest(source))


def known_as(source: VolumeSource) -> VolumeSource | None:
    """As :func:`found_as`, out of what the status of a guest tells; None where it does not."""
    rest = _rest(source)
    if source.actual_type is StorageType.BLOCK and source.dev is not None:
        return BlockVolume(dev=source.dev, actual_type=StorageType.BLOCK, **rest)
    if source.actual_type is StorageType.FILE and source.file is not None:
        return FileVolume(file=source.file, actual_type=StorageType.FILE, **rest)
    return None


def _on_target(source: VolumeSource, pool: StoragePool) -> NetworkVolume:
    """A unit of an iSCSI target, which the guest's emulator logs in to."""
    target = pool.source
    assert isinstance(target, ISCSIPoolSource | ISCSIDirectPoolSource)
    parts = (source.volume or "").split(":")
    if len(parts) != 4:
        raise InternalError(f"unexpected iscsi volume name '{source.volume}'")
    host = target.hosts[0]
    return NetworkVolume(
        protocol=NetProtocol.ISCSI,
        name=f"{target.devices[0].path}/{parts[3]}",
        hosts=[NetworkHost(name=host.name, port=host.port or DEFAULT_PORTS[NetProtocol.ISCSI])],
        initiator=target.initiator,
        pool_auth=target.auth,
        actual_type=StorageType.NETWORK,
        **_rest(source),
    )


def _rest(source: VolumeSource) -> dict[str, Any]:
    """Everything that is printed of the source and is not found out."""
    return {name: value for name, value in vars(source).items() if name not in ("actual_type", "file", "dev")}
