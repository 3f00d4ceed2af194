"""``<volume>``: what a pool is divided into."""

from __future__ import annotations

import re
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import ABSOLUTE_PATH, FILLED
from virtcore.xml import (
    ULONG,
    Mode,
    attribute,
    child,
    children,
    element,
    extras,
    flag,
    inherited,
    leaf,
    scaled,
)

if TYPE_CHECKING:
    from virtcore.model.storage.permissions import Permissions, Timestamps
    from virtcore.model.storage.secret import Encryption
    from virtcore.xml import Extras

__all__ = [
    "Extent",
    "Volume",
    "VolumeBackingStore",
    "VolumeDevice",
    "VolumeFeatures",
    "VolumeParseFlag",
    "VolumeTarget",
    "VolumeType",
]

#: A file is no larger than this.
_LIMIT = (1 << 63) - 1
#: What a qcow2 compatibility level looks like.
COMPAT = re.compile("[0-9]{1,9}[.][0-9]{1,9}")


class VolumeType(StrEnum):
    """What a volume is (``virStorageVolType``)."""

    FILE = "file"
    BLOCK = "block"
    DIR = "dir"
    NETWORK = "network"
    NETDIR = "netdir"
    PLOOP = "ploop"


class VolumeParseFlag(IntFlag):
    """How a volume document is read (``VIR_VOL_XML_PARSE_*``, same bits)."""

    NONE = 0
    #: The capacity may be absent.
    NO_CAPACITY = 1 << 0
    #: The capacity may be absent where there is a backing store.
    OPT_CAPACITY = 1 << 1


#: The kinds of images, file systems and partitions that there are.
_FORMATS = (
    "unknown|raw|dir|bochs|cloop|dmg|iso|vpc|vdi|fat|vhd|ploop|luks|cow|qcow|qcow2|qed|vmdk"
    r"|none|auto|ext2|ext3|ext4|ufs|iso9660|udf|gfs|gfs2|vfat|hfs\+|xfs|ocfs2|vmfs"
    "|linux|fat16|fat32|linux-swap|linux-lvm|linux-raid|extended"
)


@element("extent")
class Extent:
    """A part of a device."""

    start: int = attribute(codec=ULONG, required=True, doc="first byte")
    end: int = attribute(codec=ULONG, required=True, doc="byte behind the last")


@element("device")
class VolumeDevice:
    """What of a device belongs to the volume."""

    path: str = attribute(required=True, pattern=ABSOLUTE_PATH, doc="path of the device")
    extents: list[Extent] = children(doc="the parts")


@element(None)
class _Image:
    """What a volume and its backing store have in common."""

    path: str | None = leaf(pattern=FILLED, doc="where it is")
    format: str | None = attribute(
        "type",
        within="format",
        blank=False,
        demanded=True,
        pattern=_FORMATS,
        doc="format; the pool's kind says which there are",
    )
    permissions: Permissions | None = child()
    timestamps: Timestamps | None = child(read=Mode.LIVE, doc="as found out")


@element("features", empty="keep", unknown="unsupported feature {name}", unknown_code=ErrorCode.CONFIG_UNSUPPORTED)
class VolumeFeatures:
    """Features of a qcow2 image."""

    lazy_refcounts: bool = flag(doc="reference counts are written late", since="1.1.0")
    extended_l2: bool = flag(doc="clusters have subclusters", since="8.0.0")
    data_file: bool = flag(doc="the data is in a file of its own", since="11.2.0")


@element("target", empty="open")
class VolumeTarget(_Image):
    """Where the volume is on the host, and how it is made."""

    encryption: Encryption | None = child()
    compat: str | None = leaf(
        pattern=r"[0-9]+\.[0-9]+", doc="compatibility level of a qcow2 image, as 1.1", since="1.1.0"
    )
    # Told when a volume is made; libvirt never prints it.
    nocow: bool = flag(when=Mode.INACTIVE, doc="no copy-on-write in a btrfs", since="1.2.7")
    cluster_size: int | None = leaf(
        "clusterSize",
        codec=scaled("B", xpath="./target/clusterSize"),
        omit=0,
        doc="size of a qcow2 cluster in bytes",
        since="7.4.0",
    )
    features: VolumeFeatures | None = child()


@element("backingStore", empty="open")
class VolumeBackingStore(_Image):
    """The image this one is an overlay of."""

    path: str | None = leaf(demanded=True, pattern=ABSOLUTE_PATH, doc="where it is")
    _image = inherited()


@element("volume", root=True, doc="What a pool is divided into.")
class Volume:
    type: VolumeType | None = attribute(
        blank=False, invalid="unknown volume type '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="what it is"
    )
    name: str = leaf(required=True, pattern="[^/]+", missing="missing volume name element", doc="unique in its pool")
    key: str | None = leaf(doc="unique everywhere")
    devices: list[VolumeDevice] = children("device", within="source", read=Mode.LIVE, doc="what it consists of")
    capacity: int | None = leaf(
        codec=scaled("B", limit=_LIMIT, printed="bytes"), invalid="malformed capacity element", doc="bytes it holds"
    )
    allocation: int | None = leaf(
        codec=scaled("B", limit=_LIMIT, printed="bytes"),
        invalid="malformed capacity element",
        doc="bytes it takes now; by default its capacity",
    )
    physical: int | None = leaf(
        codec=scaled("B", printed="bytes"), read=Mode.LIVE, omit=0, doc="bytes of the host it takes", since="3.0.0"
    )
    target: VolumeTarget | None = child(demanded=True)
    backing_store: VolumeBackingStore | None = child()
    extra: Extras = extras()
