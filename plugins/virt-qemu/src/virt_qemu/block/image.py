"""Images as QEMU's driver sees them: a source, how it is used, and the names of its nodes and secrets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virt_qemu.private_data import KEY_SECRET, SourcePrivate
from virtcore.errors import InternalError
from virtcore.model.domain.disk import Disk, DiskCache, DiskDetectZeroes, DiskDevice, DiskDiscard
from virtcore.model.storage.found_volume import NetworkVolume
from virtcore.model.storage.secret import EncryptionEngine, EncryptionFormat
from virtcore.model.storage.source import NetworkSource, StorageFormat

if TYPE_CHECKING:
    from virtcore.model.domain.disk import BackingStore, DiskIO
    from virtcore.model.storage.backing import Backing
    from virtcore.model.storage.secret import Auth, Encryption
    from virtcore.model.storage.source import Slice, Source

__all__ = ["BACKED_FORMATS", "MANAGED_HELPER", "Image", "Nodes", "backing_image", "disk_image", "source_image"]

#: Id of the helper for persistent reservations that is started with the guest.
MANAGED_HELPER = "pr-helper0"
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
    :ivar auth: how its server knows the guest.
    :ivar auth_secret: id of the secret for its server; likewise for cookies and layers of encryption.
    :ivar tls: id of the credentials for its server.
    :ivar tls_secret: id of the secret that opens their key.
    :ivar reservations: id of the helper for persistent reservations.
    :ivar nbdkit_socket: where nbdkit serves it, if it does.
    :ivar descriptors: path by which QEMU opens descriptors that were handed over instead of the file.
    :ivar one_descriptor: it is only one, which is for reading or for writing, too, and for nothing else.
    :ivar gluster_debug: how much the client of Gluster logs.
    :ivar ssh_user: name to log in with, as the image above tells it.
    :ivar ssh_check_host_key: whether the SSH server's key is checked, likewise.
    :ivar raw_layers: raw images have a format layer, too, as block jobs of older versions of QEMU need it.
    :ivar data_file: the raw image that holds what the guest sees, where this one holds the tables only.
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
    auth: Auth | None = None
    auth_secret: str | None = None
    cookie_secret: str | None = None
    encryption_secrets: tuple[str, ...] = ()
    tls: str | None = None
    tls_secret: str | None = None
    reservations: str | None = None
    nbdkit_socket: str | None = None
    descriptors: str | None = None
    one_descriptor: bool = False
    gluster_debug: int | None = None
    ssh_user: str | None = None
    ssh_check_host_key: bool = True
    raw_layers: bool = True
    data_file: Image | None = None
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

    @property
    def has_format_layer(self) -> bool:
        """Whether a node of its own interprets the bytes."""
        return self.raw_layers or self.luks or self.format is not StorageFormat.RAW

    def top(self) -> str:
        """The node that whatever is above uses."""
        return self.nodes.format if self.has_format_layer else self.storage_top()


def disk_image(
    disk: Disk, *, raw_layers: bool = True, host_cdrom: bool = False, gluster_debug: int | None = None
) -> Image:
    """The image in a drive, with those below it.

    :param raw_layers: see :class:`Image`.
    :param host_cdrom: the source is a CD-ROM drive of the host.
    :param gluster_debug: how much clients of Gluster log.
    :raises InternalError: the drive is empty, or a format in the chain is not known.
    """
    driver = disk.driver
    if disk.source is None:
        raise InternalError(f"disk '{disk.target.dev if disk.target is not None else ''}' has no source")
    whole = Image(
        source=disk.source,
        nodes=Nodes("", "", ""),
        cache=driver.cache if driver is not None else None,
        discard=driver.discard if driver is not None else None,
        io=driver.io if driver is not None else None,
        discard_no_unref=driver.discard_no_unref if driver is not None else None,
        gluster_debug=gluster_debug,
        raw_layers=raw_layers,
    )
    below, ends = _below(disk.backing_store, whole)
    top = replace(
        whole,
        format=driver.type if driver is not None and driver.type is not None else StorageFormat.RAW,
        readonly=disk.readonly,
        floppy=disk.device is DiskDevice.FLOPPY,
        cdrom=host_cdrom,
        # Only images that are written to need it.
        detect_zeroes=driver.detect_zeroes if driver is not None else None,
        cache_size=driver.metadata_cache_max_size or None if driver is not None else None,
        auth=_auth(disk),
        encryption=disk.source.encryption or disk.encryption,
        below=below,
        ends=ends,
    )
    return _with_data_file(_named(top, disk.source.index), whole)


def _below(backing: BackingStore | None, whole: Image) -> tuple[Image | None, bool]:
    """The image in a backing store, and whether the chain is known to end there.

    :param whole: what is so of all images of the chain.
    """
    if backing is None:
        return None, False
    if backing.source is None:
        return None, True
    if backing.format is None or backing.format.type is None:
        raise InternalError("a backing image has no format")
    below, ends = _below(backing.backing_store, whole)
    image = replace(
        whole,
        source=backing.source,
        format=backing.format.type,
        readonly=True,
        cache_size=backing.format.metadata_cache_max_size or None,
        auth=_auth(backing),
        encryption=backing.source.encryption,
        below=below,
        ends=ends,
    )
    return _with_data_file(_named(image, backing.index or backing.source.index), whole), False


def _auth(link: Disk | BackingStore) -> Auth | None:
    """How the server of an image knows the guest. The server of a pool knows the pool, whatever a disk says."""
    source = link.source
    if isinstance(source, NetworkVolume):
        return source.pool_auth
    own = source.auth if source is not None else None
    return own or (link.auth if isinstance(link, Disk) else None)


def _with_data_file(image: Image, whole: Image) -> Image:
    store = image.source.data_store
    if store is None or store.source is None:
        return image
    data = replace(
        whole,
        source=store.source,
        readonly=image.readonly,
        auth=store.source.auth,
        encryption=store.source.encryption,
    )
    return replace(image, data_file=_named(data, store.source.index))


def source_image(source: Source, format: StorageFormat, label: int | str | None, *, raw_layers: bool = True) -> Image:
    """An image of a source that is in no drive.

    :param label: the image's number, or a word, of which its names are made.
    :param raw_layers: see :class:`Image`.
    """
    nameless = Image(
        source=source,
        nodes=Nodes("", "", ""),
        format=format,
        auth=source.auth,
        encryption=source.encryption,
        raw_layers=raw_layers,
    )
    return _named(nameless, label)


def backing_image(found: Backing, format: StorageFormat, label: int | str | None) -> Image:
    """The image that a backing store string names; see :func:`source_image`."""
    image = source_image(found.source, format, label)
    return replace(image, ssh_user=found.ssh_user, ssh_check_host_key=found.ssh_check_host_key)


def _named(image: Image, label: int | str | None) -> Image:
    """An image with names of nodes and secrets: those the guest's status tells, otherwise made of a label."""
    known = image.source.private_data if isinstance(image.source.private_data, SourcePrivate) else SourcePrivate()
    names = {node.type: node.name for node in known.nodes}
    nodes = Nodes(
        storage=names.get("storage", f"libvirt-{label}-storage"),
        slice=names.get("slice-storage", f"libvirt-{label}-slice-sto"),
        format=names.get("format", f"libvirt-{label}-format"),
    )
    image = replace(
        image,
        nodes=nodes,
        tls=known.tls,
        tls_secret=next((each.alias for each in known.secrets if each.type == KEY_SECRET), None),
        reservations=known.reservations,
        nbdkit_socket=known.nbdkit_socket,
    )
    wanted = image.source.reservations
    if wanted is not None and known.reservations is None:
        image = replace(image, reservations=MANAGED_HELPER if wanted.managed else f"pr-helper-{nodes.storage}")
    secrets: dict[str, list[str]] = {}
    if names:
        # A guest whose status names nodes has the secrets that it names, and no others.
        for secret in known.secrets:
            secrets.setdefault(secret.type, []).append(secret.alias)
    else:
        layers = len(image.encryption.secrets) if image.encryption is not None else 0
        secrets["encryption"] = [f"{image.top()}-encryption-secret{layer}" for layer in range(layers)]
        # Where nbdkit goes to a server, QEMU is told nothing of how.
        if image.auth is not None and known.nbdkit_socket is None:
            secrets["auth"] = [f"{nodes.storage}-auth-secret0"]
        if isinstance(image.source, NetworkSource) and image.source.cookies and known.nbdkit_socket is None:
            secrets["httpcookie"] = [f"{nodes.storage}-httpcookie-secret0"]
    return replace(
        image,
        auth_secret=next(iter(secrets.get("auth", [])), None),
        cookie_secret=next(iter(secrets.get("httpcookie", [])), None),
        encryption_secrets=tuple(secrets.get("encryption", [])),
    )
