"""What libvirt knows of each kind of pool: its source, the formats of the pool and of its volumes."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from virtcore.model.storage.pool_source import (
    DirectoryPoolSource,
    DiskPoolSource,
    FileSystemFormat,
    FileSystemPoolSource,
    GlusterPoolSource,
    ISCSIDirectPoolSource,
    ISCSIPoolSource,
    LogicalFormat,
    LogicalPoolSource,
    NetFSFormat,
    NetFSPoolSource,
    PartitionTable,
    PoolSource,
    RBDPoolSource,
    SCSIPoolSource,
    SheepdogPoolSource,
    StoragePoolType,
    VStoragePoolSource,
    ZFSPoolSource,
)
from virtcore.model.storage.source import StorageFormat

__all__ = ["POOL_TYPES", "PartitionType", "PoolTypeInfo", "VolumeFormats"]


class PartitionType(StrEnum):
    """Format of a volume of a ``disk`` pool: the kind of its partition."""

    NONE = "none"
    LINUX = "linux"
    FAT16 = "fat16"
    FAT32 = "fat32"
    LINUX_SWAP = "linux-swap"
    LINUX_LVM = "linux-lvm"
    LINUX_RAID = "linux-raid"
    EXTENDED = "extended"


class VolumeFormats(NamedTuple):
    """Formats volumes may have.

    :ivar formats: what is accepted, by word.
    :ivar default: a volume's that names none.
    :ivar listed: what the capabilities list.
    """

    formats: dict[str, StorageFormat | PartitionType]
    default: StorageFormat | PartitionType
    listed: tuple[str, ...]


class PoolTypeInfo(NamedTuple):
    """A kind of pool.

    :ivar source: class of its ``<source>``.
    :ivar formats: the pool's own formats; None: it has none.
    :ivar default_format: format of a pool that names none.
    :ivar volumes: formats of its volumes; None: they have none.
    :ivar network: its volumes are no files or devices of the host, so it has no target.
    """

    source: type[PoolSource]
    formats: type[StrEnum] | None = None
    default_format: StrEnum | None = None
    volumes: VolumeFormats | None = None
    network: bool = False


_IMAGES = {str(format): format for format in StorageFormat if format is not StorageFormat.AIO}
_IMAGE_FORMATS = VolumeFormats(dict(_IMAGES), StorageFormat.RAW, ("none", *_IMAGES))
_PARTITIONS = VolumeFormats(
    {str(kind): kind for kind in PartitionType}, PartitionType.NONE, tuple(str(kind) for kind in PartitionType)
)

#: In libvirt's order.
POOL_TYPES: dict[StoragePoolType, PoolTypeInfo] = {
    StoragePoolType.DIR: PoolTypeInfo(DirectoryPoolSource, volumes=_IMAGE_FORMATS),
    StoragePoolType.FS: PoolTypeInfo(
        FileSystemPoolSource, FileSystemFormat, FileSystemFormat.AUTO, volumes=_IMAGE_FORMATS
    ),
    StoragePoolType.NETFS: PoolTypeInfo(NetFSPoolSource, NetFSFormat, NetFSFormat.AUTO, volumes=_IMAGE_FORMATS),
    StoragePoolType.LOGICAL: PoolTypeInfo(LogicalPoolSource, LogicalFormat, LogicalFormat.LVM2),
    StoragePoolType.DISK: PoolTypeInfo(DiskPoolSource, PartitionTable, PartitionTable.UNKNOWN, volumes=_PARTITIONS),
    StoragePoolType.ISCSI: PoolTypeInfo(ISCSIPoolSource),
    StoragePoolType.ISCSI_DIRECT: PoolTypeInfo(ISCSIDirectPoolSource, network=True),
    StoragePoolType.SCSI: PoolTypeInfo(SCSIPoolSource),
    StoragePoolType.MPATH: PoolTypeInfo(DirectoryPoolSource),
    # Accepts any image format and lists none.
    StoragePoolType.RBD: PoolTypeInfo(RBDPoolSource, volumes=_IMAGE_FORMATS._replace(listed=()), network=True),
    StoragePoolType.SHEEPDOG: PoolTypeInfo(SheepdogPoolSource, network=True),
    StoragePoolType.GLUSTER: PoolTypeInfo(GlusterPoolSource, volumes=_IMAGE_FORMATS, network=True),
    StoragePoolType.ZFS: PoolTypeInfo(ZFSPoolSource),
    StoragePoolType.VSTORAGE: PoolTypeInfo(VStoragePoolSource, volumes=_IMAGE_FORMATS),
}
