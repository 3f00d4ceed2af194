"""Images as QEMU's driver sees them: a source, how it is used, and the names of its nodes and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.private_data import SourcePrivate
from virtcore.errors import InternalError
from virtcore.model.domain.disk import DiskCache, DiskDetectZeroes, DiskDevice, DiskDiscard
from virtcore.model.storage.secret import EncryptionEngine, EncryptionFormat
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from virtcore.model.domain.disk import BackingStore, Disk, DiskDriver, DiskIO
    from virtcore.model.storage.secret import Encryption
    from virtcore.model.storage.source import Slice, Source

__all__ = ["BACKED_FORMATS", "Image", "Nodes", "disk_image", "source_image"]

#: Formats that can have an image below.
BACKED_FORMATS = (
    StorageFormat.COW,
    StorageFormat.QCOW,
    StorageFormat.QCOW2,
    StorageFormat.QED,
    StorageFormat.VMDK,
)


@dataclass(frozen=True, slots=True)
class Nodes:
    """Names of an image's nodes: its bytes, the part of them that is used, and its content."""

    storage: str
    slice: str
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of a chain.

    :ivar source: where its bytes are.
    :ivar nodes: names of its nodes.
    :ivar floppy: the guest sees a floppy disk.
    :ivar cdrom: it is a CD-ROM drive of the host.
    :ivar cache_size: bytes of the cache of qcow2's tables.
    :ivar encryption: how it is encrypted.
    :ivar auth_secret: id of the secret for its server; likewise for cookies and layers of encryption.
    :ivar tls: id of the credentials for its server.
    :ivar reservations: id of the helper for persistent reservations.
    :ivar nbdkit_socket: where nbdkit serves it, if it does.
    :ivar descriptors: path by which QEMU opens descriptors that were handed over instead of the file.
    :ivar gluster_debug: how much the client of Gluster logs.
    :ivar below: the image it is based on.
    :ivar ends: it is known that no image is below; otherwise QEMU looks in the image itself.
    """

    source: Source
    nodes: Nodes
    format: StorageFormat = StorageFormat.RAW
    readonly: bool = False
    floppy: bool = False
    cdrom: bool = False
    cache: DiskCache | None = None
    discard: DiskDiscard | None = None
    detect_zeroes: DiskDetectZeroes | None = None
    io: DiskIO | None = None
    cache_size: int | None = None
    discard_no_unref: bool | None = None
    encryption: Encryption | None = None
    auth_secret: str | None = None
    cookie_secret: str | None = None
    encryption_secrets: tuple[str, ...] = ()
    tls: str | None = None
    reservations: str | None = None
    nbdkit_socket: str | None = None
    descriptors: str | None = None
    gluster_debug: int | None = None
    below: Image | None = None
    ends: bool = False

    def chain(self) -> Iterator[Image]:
        """This image and those below, down to the lowest."""
        image: Image | None = self
        while image is not None:
            yield image
            image = image.below

    @property
    def slice(self) -> Slice | None:
        """The part of the storage that holds the image."""
        return self.source.slices[0] if self.source.slices else None

    @property
    def luks(self) -> bool:
        """Whether QEMU decrypts LUKS that holds nothing but the disk's content."""
        return self.format is StorageFormat.RAW and self.encrypted_by_qemu and self._encrypted_as(EncryptionFormat.LUKS)

    @property
    def encrypted_by_qemu(self) -> bool:
        """Whether QEMU's format layer decrypts it, which is so unless the storage library does."""
        return self.encryption is not None and self.encryption.engine is not EncryptionEngine.LIBRBD

    def _encrypted_as(self, wanted: EncryptionFormat) -> bool:
        return self.encryption is not None and self.encryption.format is wanted

    def storage_top(self) -> str:
        """The node that gives the image's bytes."""
        return self.nodes.storage if self.slice is None else self.nodes.slice

    def has_format_layer(self, raw_layers: bool) -> bool:
        """Whether a node of its own interprets the bytes.

        :param raw_layers: raw images have one, too.
        """
        return raw_layers or self.luks or self.format is not StorageFormat.RAW

    def top(self, raw_layers: bool) -> str:
        """The node that whatever is above uses."""
        return self.nodes.format if self.has_format_layer(raw_layers) else self.storage_top()


def disk_image(disk: Disk, *, host_cdrom: bool = False) -> Image:
    """The image in a drive, with those below it.

    :param host_cdrom: the source is a CD-ROM drive of the host.
    :raises InternalError: the drive is empty, or a format in the chain is not known.
    """
    driver = disk.driver
    if disk.source is None:
        raise InternalError(f"disk '{disk.target.dev if disk.target is not None else ''}' has no source")
    below, ends = _below(disk.backing_store, driver)
    return source_image(
        disk.source,
        driver.type if driver is not None and driver.type is not None else StorageFormat.RAW,
        disk.source.index,
        driver,
        readonly=disk.readonly,
        floppy=disk.device is DiskDevice.FLOPPY,
        cdrom=host_cdrom,
        detect_zeroes=driver.detect_zeroes if driver is not None else None,
        cache_size=driver.metadata_cache_max_size if driver is not None else None,
        encryption=disk.source.encryption or disk.encryption,
        below=below,
        ends=ends,
    )


def _below(backing: BackingStore | None, driver: DiskDriver | None) -> tuple[Image | None, bool]:
    """The image in a backing store, and whether the chain is known to end there."""
    if backing is None:
        return None, False
    if backing.source is None:
        return None, True
    if backing.format is None or backing.format.type is None:
        raise InternalError("a backing image has no format")
    below, ends = _below(backing.backing_store, driver)
    image = source_image(
        backing.source,
        backing.format.type,
        backing.index or backing.source.index,
        driver,
        readonly=True,
        cache_size=backing.format.metadata_cache_max_size,
        encryption=backing.source.encryption,
        below=below,
        ends=ends,
    )
    return image, False


def source_image(
    source: Source,
    format: StorageFormat,
    number: int | None,
    driver: DiskDriver | None,
    *,
    readonly: bool,
    floppy: bool = False,
    cdrom: bool = False,
    detect_zeroes: DiskDetectZeroes | None = None,
    cache_size: int | None = None,
    encryption: Encryption | None = None,
    below: Image | None = None,
    ends: bool = False,
) -> Image:
    """An image of a source. Names are those the guest's status tells, otherwise made of the image's number.

    :param driver: what the disk says of the access to all of its images.
    :param detect_zeroes: whether writes of zeroes are recognised, which only images that are written to need.
    """
    known = source.private_data if isinstance(source.private_data, SourcePrivate) else SourcePrivate()
    names = {node.type: node.name for node in known.nodes}
    nodes = Nodes(
        storage=names.get("storage", f"libvirt-{number}-storage"),
        slice=names.get("slice-storage", f"libvirt-{number}-slice-sto"),
        format=names.get("format", f"libvirt-{number}-format"),
    )
    secrets: dict[str, list[str]] = {}
    for secret in known.secrets:
        secrets.setdefault(secret.type, []).append(secret.alias)
    passphrases = len(encryption.secrets) if encryption is not None else 0
    return Image(
        source=source,
        nodes=nodes,
        format=format,
        readonly=readonly,
        floppy=floppy,
        cdrom=cdrom,
        cache=driver.cache if driver is not None else None,
        discard=driver.discard if driver is not None else None,
        detect_zeroes=detect_zeroes,
        io=driver.io if driver is not None else None,
        cache_size=cache_size or None,
        discard_no_unref=driver.discard_no_unref if driver is not None else None,
        encryption=encryption,
        auth_secret=next(iter(secrets.get("auth", [])), f"{nodes.storage}-auth-secret0"),
        cookie_secret=next(iter(secrets.get("httpcookie", [])), None),
        encryption_secrets=tuple(
            secrets.get("encryption") or (f"{nodes.format}-encryption-secret{count}" for count in range(passphrases))
        ),
        tls=known.tls,
        reservations=known.reservations,
        nbdkit_socket=known.nbdkit_socket,
        below=below,
        ends=ends,
    )
