"""``<source>`` of storage pools: a class per kind of pool, each with what that kind needs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from virtcore.errors import ErrorCode
from virtcore.xml import INT, ULONG, YES_NO, Mode, attribute, child, children, element, leaf

if TYPE_CHECKING:
    from virtcore.model.storage.adapter import StorageAdapter
    from virtcore.model.storage.secret import Auth

__all__ = [
    "AnyPoolSource",
    "Devices",
    "Directory",
    "DirectoryPoolSource",
    "DiskPoolSource",
    "FileSystemFormat",
    "FileSystemPoolSource",
    "FreeExtent",
    "GlusterPoolSource",
    "Hosts",
    "ISCSIDirectPoolSource",
    "ISCSIPoolSource",
    "Initiator",
    "LogicalFormat",
    "LogicalPoolSource",
    "Named",
    "NetFSFormat",
    "NetFSPoolSource",
    "PartitionTable",
    "PoolDevice",
    "PoolHost",
    "PoolSource",
    "RBDPoolSource",
    "SCSIPoolSource",
    "SheepdogPoolSource",
    "StoragePoolType",
    "VStoragePoolSource",
    "ZFSPoolSource",
]


class StoragePoolType(StrEnum):
    """Kind of storage pool (``virStoragePoolType``)."""

    DIR = "dir"
    FS = "fs"
    NETFS = "netfs"
    LOGICAL = "logical"
    DISK = "disk"
    ISCSI = "iscsi"
    ISCSI_DIRECT = "iscsi-direct"
    SCSI = "scsi"
    MPATH = "mpath"
    RBD = "rbd"
    SHEEPDOG = "sheepdog"
    GLUSTER = "gluster"
    ZFS = "zfs"
    VSTORAGE = "vstorage"


class FileSystemFormat(StrEnum):
    """File system on the device of an ``fs`` pool."""

    AUTO = "auto"
    EXT2 = "ext2"
    EXT3 = "ext3"
    EXT4 = "ext4"
    UFS = "ufs"
    ISO9660 = "iso9660"
    UDF = "udf"
    GFS = "gfs"
    GFS2 = "gfs2"
    VFAT = "vfat"
    HFSPLUS = "hfs+"
    XFS = "xfs"
    OCFS2 = "ocfs2"
    VMFS = "vmfs"


class NetFSFormat(StrEnum):
    """Network file system of a ``netfs`` pool."""

    AUTO = "auto"
    NFS = "nfs"
    GLUSTERFS = "glusterfs"
    CIFS = "cifs"


class PartitionTable(StrEnum):
    """Partition table of a ``disk`` pool."""

    UNKNOWN = "unknown"
    DOS = "dos"
    DVH = "dvh"
    GPT = "gpt"
    MAC = "mac"
    BSD = "bsd"
    PC98 = "pc98"
    SUN = "sun"
    LVM2 = "lvm2"


class LogicalFormat(StrEnum):
    """Volume manager of a ``logical`` pool."""

    UNKNOWN = "unknown"
    LVM2 = "lvm2"


@element("host")
class PoolHost:
    """A server of a pool."""

    name: str = attribute(required=True, missing="missing storage pool host name", doc="name or address")
    port: int | None = attribute(codec=INT, omit=0, doc="port; the protocol's by default")


@element("freeExtent")
class FreeExtent:
    """A part of a disk that belongs to no partition."""

    start: int = attribute(codec=ULONG, required=True, doc="first byte")
    end: int = attribute(codec=ULONG, required=True, doc="byte behind the last")


@element("device")
class PoolDevice:
    """A device a pool is on, or the name of an iSCSI target."""

    path: str = attribute(
        required=True, missing="missing storage pool source device path", doc="path, or the target's IQN"
    )
    part_separator: bool | None = attribute(
        codec=YES_NO, doc="whether names of partitions have a p before the number", since="1.3.1"
    )
    free_extents: list[FreeExtent] = children(read=Mode.LIVE, doc="what is free, as found out")


@element(None)
class Hosts:
    """A pool on servers."""

    hosts: list[PoolHost] = children("host", doc="servers")


@element(None)
class Devices:
    """A pool on devices."""

    devices: list[PoolDevice] = children("device", doc="devices")


@element(None)
class Directory:
    """A pool in a folder of the server."""

    dir: str | None = attribute("path", within="dir", blank=False, doc="folder on the server")


@element(None)
class Named:
    """A pool the backing storage knows by a name of its own."""

    name: str | None = leaf(doc="name in the storage system; the pool's by default")


@element(None)
class Initiator:
    """A pool that is reached as an iSCSI client."""

    initiator: str | None = attribute("name", within="initiator/iqn", blank=False, doc="iSCSI name of this client")


@element(None, last=True)
class PoolSource:
    """What every source may have."""

    auth: Auth | None = child(doc="credentials")
    protocol_version: str | None = attribute(
        "ver", within="protocol", blank=False, doc="version of the protocol (NFS)", since="5.1.0"
    )
    vendor: str | None = attribute("name", within="vendor", blank=False, doc="vendor of the storage")
    product: str | None = attribute("name", within="product", blank=False, doc="product of the vendor")


def _format(doc: str) -> Any:
    """``<format type=…>`` with the words of the annotation beside it."""
    return attribute(
        "type",
        within="format",
        blank=False,
        invalid="unknown pool format type {value}",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc=doc,
    )


@element("source", tag={StoragePoolType.DIR, StoragePoolType.MPATH}, empty="open")
class DirectoryPoolSource(PoolSource):
    """Source of a pool that is where its target is: a folder, or the multipath devices of the host."""


@element("source", tag=StoragePoolType.FS, empty="open")
class FileSystemPoolSource(Devices, PoolSource):
    """A block device with a file system."""

    format: FileSystemFormat | None = _format("file system")


@element("source", tag=StoragePoolType.NETFS, empty="open")
class NetFSPoolSource(Hosts, Directory, PoolSource):
    """A folder of a file server."""

    format: NetFSFormat | None = _format("network file system")


@element("source", tag=StoragePoolType.LOGICAL, empty="open")
class LogicalPoolSource(Devices, Named, PoolSource):
    """A volume group."""

    format: LogicalFormat | None = _format("volume manager")


@element("source", tag=StoragePoolType.DISK, empty="open")
class DiskPoolSource(Devices, PoolSource):
    """A disk with a partition table."""

    format: PartitionTable | None = _format("partition table")


@element("source", tag=StoragePoolType.ISCSI, empty="open")
class ISCSIPoolSource(Hosts, Devices, Initiator, PoolSource):
    """An iSCSI target that the host logs in to."""


@element("source", tag=StoragePoolType.ISCSI_DIRECT, empty="open")
class ISCSIDirectPoolSource(Hosts, Devices, Initiator, PoolSource):
    """An iSCSI target that is used without the host's devices."""


@element("source", tag=StoragePoolType.SCSI, empty="open")
class SCSIPoolSource(PoolSource):
    """Units behind a host adapter."""

    adapter: StorageAdapter | None = child()


@element("source", tag=StoragePoolType.RBD, empty="open")
class RBDPoolSource(Hosts, Named, PoolSource):
    """A pool of a Ceph cluster."""

    name: str | None = leaf(
        required=True, missing="element 'name' is mandatory for RBD pool", doc="pool of the cluster"
    )


@element("source", tag=StoragePoolType.SHEEPDOG, empty="open")
class SheepdogPoolSource(Hosts, Named, PoolSource):
    """A Sheepdog cluster."""


@element("source", tag=StoragePoolType.GLUSTER, empty="open")
class GlusterPoolSource(Hosts, Directory, Named, PoolSource):
    """A folder of a Gluster volume."""


@element("source", tag=StoragePoolType.ZFS, empty="open")
class ZFSPoolSource(Devices, Named, PoolSource):
    """A ZFS pool."""


@element("source", tag=StoragePoolType.VSTORAGE, empty="open")
class VStoragePoolSource(Named, PoolSource):
    """A Virtuozzo storage cluster."""


AnyPoolSource: TypeAlias = (
    DirectoryPoolSource
    | FileSystemPoolSource
    | NetFSPoolSource
    | LogicalPoolSource
    | DiskPoolSource
    | ISCSIPoolSource
    | ISCSIDirectPoolSource
    | SCSIPoolSource
    | RBDPoolSource
    | SheepdogPoolSource
    | GlusterPoolSource
    | ZFSPoolSource
    | VStoragePoolSource
)
