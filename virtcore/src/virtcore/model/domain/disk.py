"""Disks: ``<disk>`` and what stands in it beside the source."""

from __future__ import annotations

from enum import StrEnum

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import BootableDevice
from virtcore.model.patterns import DISK_TARGET, GENERIC_NAME, SCSI_WWN
from virtcore.model.storage.secret import Auth, Encryption
from virtcore.model.storage.source import Source, StorageFormat, StorageType
from virtcore.xml import (
    ON_OFF,
    ULONG,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    flag,
    inherited,
    leaf,
    printed,
    private,
    scaled,
    union,
)

__all__ = [
    "BackingFormat",
    "BackingStore",
    "BlockIO",
    "BlockJob",
    "Disk",
    "DiskBus",
    "DiskCache",
    "DiskDetectZeroes",
    "DiskDevice",
    "DiskDiscard",
    "DiskDriver",
    "DiskErrorPolicy",
    "DiskGeometry",
    "DiskIO",
    "DiskMirror",
    "DiskModel",
    "DiskSecretsPlacement",
    "DiskTarget",
    "DiskTray",
    "GeometryTranslation",
    "IOThreadMapping",
    "IOTune",
    "MirrorState",
    "SGIO",
    "SnapshotLocation",
    "ThrottleFilter",
    "TransientDisk",
    "VirtioOptions",
]


class DiskDevice(StrEnum):
    """How the guest sees the disk."""

    DISK = "disk"
    CDROM = "cdrom"
    FLOPPY = "floppy"
    LUN = "lun"


class DiskBus(StrEnum):
    """The bus the guest finds the disk on."""

    IDE = "ide"
    FDC = "fdc"
    SCSI = "scsi"
    VIRTIO = "virtio"
    XEN = "xen"
    USB = "usb"
    UML = "uml"
    SATA = "sata"
    SD = "sd"


class DiskModel(StrEnum):
    """Variant of the virtio device."""

    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


class DiskCache(StrEnum):
    """How the host caches the image."""

    DEFAULT = "default"
    NONE = "none"
    WRITETHROUGH = "writethrough"
    WRITEBACK = "writeback"
    DIRECTSYNC = "directsync"
    UNSAFE = "unsafe"


class DiskErrorPolicy(StrEnum):
    """What an I/O error does to the guest."""

    STOP = "stop"
    REPORT = "report"
    IGNORE = "ignore"
    ENOSPACE = "enospace"


class DiskIO(StrEnum):
    """How the emulator does I/O on the image."""

    NATIVE = "native"
    THREADS = "threads"
    IO_URING = "io_uring"


class DiskDiscard(StrEnum):
    """Whether discarded blocks are freed in the image."""

    UNMAP = "unmap"
    IGNORE = "ignore"


class DiskDetectZeroes(StrEnum):
    """Whether writes of zeroes are recognised."""

    OFF = "off"
    ON = "on"
    UNMAP = "unmap"


class SGIO(StrEnum):
    """Which SCSI commands the guest may send."""

    FILTERED = "filtered"
    UNFILTERED = "unfiltered"


class SnapshotLocation(StrEnum):
    """Whether and where a snapshot of the domain saves the disk."""

    NO = "no"
    INTERNAL = "internal"
    EXTERNAL = "external"
    MANUAL = "manual"


class GeometryTranslation(StrEnum):
    """The BIOS's translation of the geometry."""

    NONE = "none"
    AUTO = "auto"
    LBA = "lba"


class DiskTray(StrEnum):
    """State of a removable medium's tray."""

    CLOSED = "closed"
    OPEN = "open"


class MirrorState(StrEnum):
    """How far a mirror job is."""

    YES = "yes"
    ABORT = "abort"
    PIVOT = "pivot"


class BlockJob(StrEnum):
    """Job that mirrors a disk."""

    COPY = "copy"
    ACTIVE_COMMIT = "active-commit"


@element(None, last=True)
class VirtioOptions:
    """Options of every virtio device's driver."""

    iommu: bool | None = attribute(codec=ON_OFF, doc="whether the device uses the guest's IOMMU", since="3.5.0")
    ats: bool | None = attribute(codec=ON_OFF, doc="address translation services", since="3.5.0")
    packed: bool | None = attribute(codec=ON_OFF, doc="packed virtqueues", since="6.3.0")
    page_per_vq: bool | None = attribute(codec=ON_OFF, doc="a page of notification addresses per queue", since="7.9.0")


@element("iothread")
class IOThreadMapping:
    """An I/O thread and the queues it serves."""

    id: int = attribute(required=True, doc="identifier of the thread")
    queues: list[int] = attribute("id", within="queue", doc="queues it serves; all when empty")


@element("driver")
class DiskDriver(VirtioOptions):
    """Emulator-side options of a disk."""

    name: str | None = attribute(pattern=GENERIC_NAME, doc="emulator's driver, such as qemu")
    type: StorageFormat | None = attribute(
        invalid="unknown driver format value '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="format of the image"
    )
    cache: DiskCache | None = attribute(omit=DiskCache.DEFAULT, doc="host caching")
    error_policy: DiskErrorPolicy | None = attribute(doc="on write errors")
    rerror_policy: DiskErrorPolicy | None = attribute(doc="on read errors")
    io: DiskIO | None = attribute(doc="kind of asynchronous I/O")
    ioeventfd: bool | None = attribute(codec=ON_OFF, doc="I/O in a thread of its own")
    event_idx: bool | None = attribute(codec=ON_OFF, doc="fewer interrupts")
    copy_on_read: bool | None = attribute(codec=ON_OFF, doc="copy what is read from the backing image")
    discard: DiskDiscard | None = attribute(doc="whether discards reach the image")
    iothread: int | None = attribute(nonzero=True, doc="I/O thread that serves the disk")
    detect_zeroes: DiskDetectZeroes | None = attribute(doc="recognise writes of zeroes", since="2.0.0")
    discard_no_unref: bool | None = attribute(
        codec=ON_OFF, doc="keep discarded qcow2 clusters allocated", since="9.5.0"
    )
    queues: int | None = attribute(omit=0, doc="number of virtio queues")
    queue_size: int | None = attribute(omit=0, doc="size of each queue", since="7.8.0")
    metadata_cache_max_size: int | None = leaf(
        "max_size",
        within="metadata_cache",
        codec=scaled("B", printed="bytes"),
        omit=0,
        doc="limit of the qcow2 metadata cache in bytes",
    )
    iothreads: list[IOThreadMapping] = children(within="iothreads", doc="I/O threads and their queues", since="10.0.0")


@element("format")
class BackingFormat:
    """Format of a backing or mirror image."""

    type: StorageFormat | None = attribute(
        demanded=True, invalid="unknown storage source format '{value}'", doc="format of the image"
    )
    metadata_cache_max_size: int | None = leaf(
        "max_size",
        within="metadata_cache",
        codec=scaled("B", printed="bytes"),
        omit=0,
        doc="limit of the qcow2 metadata cache in bytes",
    )


def _told_below(image: Disk | BackingStore) -> BackingStore | None:
    """What a document says is below an image; what only the image tells is nothing that a definition has."""
    below = image.backing_store
    return None if below is not None and below.detected else below


@element("backingStore", empty="keep")
class BackingStore:
    """The image below an image; empty where the chain ends."""

    type: StorageType | None = attribute(invalid="unknown storage source type '{value}'", doc="kind of source")
    index: int | None = attribute(
        read=Mode.LIVE,
        omit=0,
        invalid="invalid storage source index '{value}'",
        doc="number of the source within the running domain",
    )
    detected: int | None = attribute(
        when=Mode.STATUS, read=Mode.STATUS, omit=0, doc="1 if the image told of it, and no document"
    )
    format: BackingFormat | None = child()
    source: Source | None = union(tag="type")
    backing_store: BackingStore | None = child(when=Mode.LIVE)
    _told_backing_store = printed(_told_below, "backingStore", as_="child", when=Mode.INACTIVE)


@element("mirror")
class DiskMirror:
    """A running block copy or active commit; only live domains have it."""

    type: StorageType | None = attribute(invalid="unknown storage source type '{value}'", doc="kind of the target")
    file: str | None = attribute(doc="path of a file target of a copy, as older clients read it")
    format_name: str | None = attribute("format", doc="its format, as older clients read it")
    job: BlockJob | None = attribute(
        invalid="unknown mirror job type '{value}'", code=ErrorCode.CONFIG_UNSUPPORTED, doc="kind of job"
    )
    ready: MirrorState | None = attribute(invalid="unknown mirror ready state {value}", doc="yes once both are in step")
    format: BackingFormat | None = child()
    source: Source | None = union(tag="type")
    backing_store: BackingStore | None = child()


@element("geometry")
class DiskGeometry:
    """Geometry the guest is told."""

    cyls: int | None = attribute(demanded=True, doc="cylinders")
    heads: int | None = attribute(demanded=True, doc="heads")
    secs: int | None = attribute(demanded=True, doc="sectors per track")
    trans: GeometryTranslation | None = attribute(doc="translation by the BIOS")

    @property
    def is_complete(self) -> bool:
        """Whether all three numbers are set; otherwise it is not printed."""
        return bool(self.cyls and self.heads and self.secs)


@element("blockio")
class BlockIO:
    """Block sizes the guest is told, in bytes."""

    logical_block_size: int | None = attribute(omit=0, doc="smallest unit of I/O")
    physical_block_size: int | None = attribute(omit=0, doc="sector size of the medium")
    discard_granularity: int | None = attribute(omit=0, doc="smallest unit of discards", since="10.2.0")


@element("target")
class DiskTarget:
    """How the guest names the disk, and the bus it is on."""

    dev: str | None = attribute(demanded=True, pattern=DISK_TARGET, doc="logical device name, such as vda")
    bus: DiskBus | None = attribute(doc="bus; by default derived from dev")
    tray: DiskTray | None = attribute(omit=DiskTray.CLOSED, doc="state of the tray")
    removable: bool | None = attribute(
        codec=ON_OFF, shown=lambda self: self.bus is DiskBus.USB, doc="removable flag of a USB disk"
    )
    rotation_rate: int | None = attribute(omit=0, doc="rotations per minute, 1 for solid state", since="7.3.0")


def _limit(doc: str, choice: str | None = None) -> int | None:
    field: int | None = leaf(codec=ULONG, omit=0, exclusive=choice, doc=doc)
    return field


@element("iotune")
class IOTune:
    """Limits of a disk's throughput; absent or 0 is unlimited."""

    total_bytes_sec: int | None = _limit("bytes a second", "bytes/total")
    read_bytes_sec: int | None = _limit("bytes read a second", "bytes/split")
    write_bytes_sec: int | None = _limit("bytes written a second", "bytes/split")
    total_iops_sec: int | None = _limit("operations a second", "iops/total")
    read_iops_sec: int | None = _limit("reads a second", "iops/split")
    write_iops_sec: int | None = _limit("writes a second", "iops/split")
    total_bytes_sec_max: int | None = _limit("bytes a second in a burst", "bytes_max/total")
    read_bytes_sec_max: int | None = _limit("bytes read a second in a burst", "bytes_max/split")
    write_bytes_sec_max: int | None = _limit("bytes written a second in a burst", "bytes_max/split")
    total_iops_sec_max: int | None = _limit("operations a second in a burst", "iops_max/total")
    read_iops_sec_max: int | None = _limit("reads a second in a burst", "iops_max/split")
    write_iops_sec_max: int | None = _limit("writes a second in a burst", "iops_max/split")
    size_iops_sec: int | None = _limit("bytes that count as one operation")
    group_name: str | None = leaf(doc="disks with the same name share the limits", since="3.0.0")
    total_bytes_sec_max_length: int | None = _limit("seconds a burst may last")
    read_bytes_sec_max_length: int | None = _limit("seconds a burst of reads may last")
    write_bytes_sec_max_length: int | None = _limit("seconds a burst of writes may last")
    total_iops_sec_max_length: int | None = _limit("seconds a burst of operations may last")
    read_iops_sec_max_length: int | None = _limit("seconds a burst of reads may last")
    write_iops_sec_max_length: int | None = _limit("seconds a burst of writes may last")


@element("throttlefilter")
class ThrottleFilter:
    """A throttle group the disk's I/O passes."""

    group: str | None = attribute(demanded=True, doc="name of the group")


@element("transient", empty="keep")
class TransientDisk:
    """Changes are thrown away when the guest stops."""

    share_backing: bool | None = attribute(
        "shareBacking", codec=YES_NO, omit=False, doc="the image may be shared", since="7.4.0"
    )


@element("diskSecretsPlacement")
class DiskSecretsPlacement:
    """Where auth and encryption stood, kept in the status."""

    auth: str | None = attribute(doc="true: in the disk")
    enc: str | None = attribute(doc="true: in the disk")


@element("disk")
class Disk(BootableDevice):
    """A disk, CD-ROM or floppy drive."""

    type: StorageType | None = attribute(doc="kind of source; file by default")
    device: DiskDevice | None = attribute(
        values_beside={DiskDevice.LUN: {"type": (StorageType.BLOCK, StorageType.NETWORK, StorageType.VOLUME)}},
        doc="how the guest sees it; disk by default",
    )
    model: DiskModel | None = attribute(doc="variant of the virtio device", since="5.2.0")
    rawio: bool | None = attribute(codec=YES_NO, doc="whether the process may send raw SCSI commands")
    sgio: SGIO | None = attribute(doc="which SCSI commands pass")
    snapshot: SnapshotLocation | None = attribute(
        shown=lambda self: not (self.snapshot is SnapshotLocation.NO and self.readonly), doc="default for snapshots"
    )
    driver: DiskDriver | None = child()
    auth: Auth | None = child()
    source: Source | None = union(
        tag="type", default=StorageType.FILE, demanded={"type": (StorageType.NETWORK, StorageType.VHOSTUSER)}
    )
    backing_store: BackingStore | None = child(when=Mode.LIVE)
    _told_backing_store = printed(_told_below, "backingStore", as_="child", when=Mode.INACTIVE)
    backend_domain: str | None = attribute(
        "name", within="backenddomain", blank=False, doc="Xen domain that serves the disk"
    )
    geometry: DiskGeometry | None = child(shown=lambda self: self.geometry.is_complete)
    blockio: BlockIO | None = child()
    mirror: DiskMirror | None = child(when=Mode.LIVE, read=Mode.LIVE)
    target: DiskTarget | None = child(demanded=True)
    iotune: IOTune | None = child(exclusive="throttling")
    throttle_filters: list[ThrottleFilter] = children(
        within="throttlefilters", exclusive="throttling", doc="throttle groups in order", since="11.2.0"
    )
    readonly: bool = flag(doc="the guest cannot write")
    shareable: bool = flag(doc="other domains may use it at the same time")
    transient: TransientDisk | None = child()
    serial: str | None = leaf(pattern=r"[A-Za-z0-9_\.\+\- ]+", doc="serial number")
    wwn: str | None = leaf(pattern=SCSI_WWN, doc="world wide name")
    vendor: str | None = leaf(pattern="[ -~]{0,8}", doc="vendor of a SCSI disk, at most 8 characters")
    product: str | None = leaf(pattern="[ -~]{0,40}", doc="product of a SCSI disk, at most 40 characters")
    encryption: Encryption | None = child()
    _device = inherited()
    private_data: object | None = private(point="disk", doc="what the driver knows of the disk")
    secrets_placement: DiskSecretsPlacement | None = child(when=Mode.STATUS, read=Mode.STATUS)
