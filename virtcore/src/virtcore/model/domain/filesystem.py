"""Shared folders and container mounts: ``<filesystem>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import BootableDevice
from virtcore.model.domain.disk import VirtioOptions
from virtcore.model.patterns import ABSOLUTE_DIR, ABSOLUTE_PATH, GENERIC_NAME
from virtcore.model.storage.source import StorageFormat
from virtcore.xml import (
    INT,
    OCTAL,
    ON_OFF,
    ULONG,
    attribute,
    child,
    children,
    element,
    flag,
    inherited,
    leaf,
    scaled,
    union,
)

__all__ = [
    "AccessMode",
    "DirectorySource",
    "Filesystem",
    "FilesystemBlockSource",
    "FilesystemDriver",
    "FilesystemDriverType",
    "FilesystemFileSource",
    "FilesystemModel",
    "FilesystemSource",
    "FilesystemType",
    "FilesystemVolumeSource",
    "GIDRange",
    "IDRange",
    "Multidevs",
    "RAMSource",
    "TemplateSource",
    "UIDRange",
    "VirtiofsBinary",
    "VirtiofsCache",
    "VirtiofsSandbox",
    "WritePolicy",
]


class FilesystemType(StrEnum):
    """What is mounted."""

    MOUNT = "mount"
    BLOCK = "block"
    FILE = "file"
    TEMPLATE = "template"
    RAM = "ram"
    BIND = "bind"
    VOLUME = "volume"


class FilesystemDriverType(StrEnum):
    """Who serves the files."""

    PATH = "path"
    HANDLE = "handle"
    LOOP = "loop"
    NBD = "nbd"
    PLOOP = "ploop"
    VIRTIOFS = "virtiofs"
    MTP = "mtp"


class AccessMode(StrEnum):
    """How owners and modes are mapped."""

    PASSTHROUGH = "passthrough"
    MAPPED = "mapped"
    SQUASH = "squash"


class WritePolicy(StrEnum):
    """When writes reach the host."""

    DEFAULT = "default"
    IMMEDIATE = "immediate"


class FilesystemModel(StrEnum):
    """Variant of the virtio device."""

    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


class Multidevs(StrEnum):
    """What happens where the source spans several devices."""

    DEFAULT = "default"
    REMAP = "remap"
    FORBID = "forbid"
    WARN = "warn"


class VirtiofsCache(StrEnum):
    """Caching in the guest."""

    NONE = "none"
    ALWAYS = "always"


class VirtiofsSandbox(StrEnum):
    """How virtiofsd is confined."""

    NAMESPACE = "namespace"
    CHROOT = "chroot"


@element("driver")
class FilesystemDriver(VirtioOptions):
    """Who serves the files, and how."""

    type: FilesystemDriverType | None = attribute(doc="who serves the files")
    format: StorageFormat | None = attribute(
        shown=lambda self: self.type is not None,
        invalid="unknown driver format value '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="format of an image",
    )
    wrpolicy: WritePolicy | None = attribute(
        omit=WritePolicy.DEFAULT, shown=lambda self: self.type is not None, doc="when writes reach the host"
    )
    queue: int | None = attribute(
        codec=ULONG,
        omit=0,
        blank=False,
        only={"type": (FilesystemDriverType.VIRTIOFS,)},
        invalid="cannot parse queue size '{value}' for virtiofs",
        doc="size of the queue",
        since="6.2.0",
    )


@element("binary")
class VirtiofsBinary:
    """The virtiofsd process."""

    path: str | None = attribute(blank=False, doc="path of the program")
    xattr: bool | None = attribute(codec=ON_OFF, doc="extended attributes")
    cache: VirtiofsCache | None = attribute("mode", within="cache", doc="caching in the guest")
    sandbox: VirtiofsSandbox | None = attribute("mode", within="sandbox", doc="confinement", since="7.2.0")
    lock_posix: bool | None = attribute("posix", within="lock", codec=ON_OFF, doc="POSIX locks")
    lock_flock: bool | None = attribute("flock", within="lock", codec=ON_OFF, doc="BSD locks")
    thread_pool_size: int | None = attribute(
        "size",
        within="thread_pool",
        codec=INT,
        blank=False,
        invalid="cannot parse thread pool size '{value}' for virtiofs",
        doc="number of threads",
        since="8.5.0",
    )
    openfiles: int | None = attribute(
        "max",
        within="openfiles",
        codec=ULONG,
        omit=0,
        blank=False,
        invalid="cannot parse openfiles '{value}' for virtiofs",
        doc="open files",
    )


@element(None)
class IDRange:
    """A range of user or group identifiers and what it is mapped to."""

    start: int = attribute(required=True, doc="first identifier in the guest")
    target: int = attribute(required=True, doc="first identifier on the host")
    count: int = attribute(required=True, doc="length of the range")


@element("uid")
class UIDRange(IDRange):
    """A range of user identifiers."""


@element("gid")
class GIDRange(IDRange):
    """A range of group identifiers."""


@element("source", tag=frozenset({FilesystemType.MOUNT, FilesystemType.BIND}))
class DirectorySource:
    """A directory of the host, or the socket of a running virtiofsd."""

    dir: str | None = attribute(
        shown=lambda self: self.socket is None,
        demanded=True,
        pattern=ABSOLUTE_DIR,
        exclusive="place",
        doc="path of the directory",
    )
    socket: str | None = attribute(pattern=ABSOLUTE_PATH, exclusive="place", doc="path of the socket", since="7.0.0")


@element("source", tag=FilesystemType.BLOCK)
class FilesystemBlockSource:
    """A block device with a file system (containers)."""

    dev: str | None = attribute(demanded=True, pattern=ABSOLUTE_PATH, doc="path of the device")


@element("source", tag=FilesystemType.FILE)
class FilesystemFileSource:
    """An image with a file system (containers)."""

    file: str | None = attribute(demanded=True, pattern=ABSOLUTE_PATH, doc="path of the image")


@element("source", tag=FilesystemType.TEMPLATE)
class TemplateSource:
    """An OpenVZ template."""

    name: str | None = attribute(demanded=True, pattern=GENERIC_NAME, doc="name of the template")


@element("source", tag=FilesystemType.RAM)
class RAMSource:
    """Memory of the host (containers)."""

    usage: int | None = attribute(
        codec=scaled("KiB", unit_name="units"),
        required=True,
        missing="missing 'usage' attribute for RAM filesystem",
        doc="size in KiB",
    )


@element("source", tag=FilesystemType.VOLUME)
class FilesystemVolumeSource:
    """A volume of a storage pool."""

    pool: str | None = attribute(doc="name of the pool")
    volume: str | None = attribute(doc="name of the volume")


FilesystemSource: TypeAlias = (
    DirectorySource | FilesystemBlockSource | FilesystemFileSource | TemplateSource | RAMSource | FilesystemVolumeSource
)


@element("filesystem")
class Filesystem(BootableDevice):
    """A folder the guest can mount."""

    type: FilesystemType | None = attribute(doc="what is mounted; mount by default")
    accessmode: AccessMode | None = attribute(doc="mapping of owners and modes")
    model: FilesystemModel | None = attribute(doc="variant of the virtio device", since="5.2.0")
    multidevs: Multidevs | None = attribute(
        omit=Multidevs.DEFAULT, doc="several devices below the source", since="6.3.0"
    )
    fmode: int | None = attribute(codec=OCTAL(), omit=0, doc="mode of new files", since="6.10.0")
    dmode: int | None = attribute(codec=OCTAL(), omit=0, doc="mode of new directories", since="6.10.0")
    driver: FilesystemDriver | None = child()
    binary: VirtiofsBinary | None = child()
    uid_map: list[UIDRange] = children(within="idmap", doc="user identifiers (virtiofs)", since="10.0.0")
    gid_map: list[GIDRange] = children(within="idmap", doc="group identifiers (virtiofs)", since="10.0.0")
    source: FilesystemSource | None = union(tag="type", default=FilesystemType.MOUNT, demanded=True)
    target: str | None = attribute(
        "dir", within="target", blank=False, demanded=True, doc="mount point, or tag of the share"
    )
    readonly: bool = flag(doc="the guest cannot write")
    _device = inherited()
    space_hard_limit: int | None = leaf(
        codec=scaled("B", printed="bytes"), omit=0, doc="most bytes the guest may use (containers)"
    )
    space_soft_limit: int | None = leaf(
        codec=scaled("B", printed="bytes"), omit=0, doc="bytes the guest should not exceed (containers)"
    )
