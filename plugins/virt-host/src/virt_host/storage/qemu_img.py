"""Images of storage volumes, as commands of ``qemu-img``.

Sizes of the model are bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, ErrorDomain, InternalError, InvalidArg, XMLError
from virtcore.model.storage.pool_source import StoragePoolType
from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.source import StorageFormat
from virtcore.model.storage.volume import VolumeType

if TYPE_CHECKING:
    from virtcore.model.storage.pool import StoragePool
    from virtcore.model.storage.secret import Encryption
    from virtcore.model.storage.volume import Volume, VolumeBackingStore, VolumeTarget

__all__ = ["Image", "create_commands", "resize_command"]

Commands = list[list[str]]

_DOMAIN = ErrorDomain.STORAGE
#: Pools whose volumes are block devices.
_DEVICES = frozenset(
    (
        StoragePoolType.LOGICAL,
        StoragePoolType.DISK,
        StoragePoolType.ISCSI,
        StoragePoolType.SCSI,
        StoragePoolType.MPATH,
        StoragePoolType.ZFS,
    )
)
#: Encryption of qcow2 that was of no use and that QEMU does not make any more.
_LEGACY_FORMATS = (EncryptionFormat.DEFAULT, EncryptionFormat.QCOW)
_OLD_COMPAT = "0.10"
_COMPAT = "1.1"
_SECTOR = 512
#: What QEMU takes as the name of an object.
_IDENTIFIER = re.compile("[A-Za-z][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A volume as ``qemu-img`` handles it.

    :param volume: the volume, completed.
    :param pool: the pool it is in.
    :param secret: path of the file with its passphrase, where it is encrypted.
    """

    volume: Volume
    pool: StoragePool
    secret: str | None = None

    @property
    def target(self) -> VolumeTarget:
        """Where the volume is."""
        target = self.volume.target
        assert target is not None  # completion
        return target

    @property
    def path(self) -> str:
        """Path of the image."""
        if self.target.path is None:
            raise InvalidArg("missing input volume target path", domain=_DOMAIN, path="/volume/target/path")
        return self.target.path

    @property
    def format(self) -> str:
        """The image's format; what is on a device, or has no format, is raw."""
        on_device = self.volume.type is VolumeType.BLOCK or self.pool.type in _DEVICES
        if on_device or self.target.format in (None, "none", StorageFormat.ISO):
            return StorageFormat.RAW
        assert self.target.format is not None
        return self.target.format

    @property
    def driver(self) -> str:
        """What reads and writes the image: LUKS around raw data is a driver of its own."""
        return "luks" if self.format == StorageFormat.RAW and self.target.encryption else self.format

    @property
    def key(self) -> str:
        """Identifier of the passphrase; names that make none for QEMU are written as hexadecimal digits."""
        name = self.volume.name
        return f"{name if _IDENTIFIER.fullmatch(name) else 'x' + name.encode().hex()}_encrypt0"

    @property
    def _option_prefix(self) -> str:
        return "encrypt." if self.format == StorageFormat.QCOW2 else ""

    def secret_object(self) -> list[str]:
        """``--object`` with the passphrase; nothing where the image is not encrypted."""
        if self.target.encryption is None:
            return []
        assert self.secret is not None  # checked by the commands
        return ["--object", f"secret,id={self.key},file={_escaped(self.secret)}"]

    def key_option(self) -> list[str]:
        """The option that names the passphrase."""
        if self.target.encryption is None:
            return []
        return [f"{self._option_prefix}key-secret={self.key}"]

    def encryption_options(self) -> list[str]:
        """``-o`` words of an image that is made encrypted."""
        encryption = self.target.encryption
        if encryption is None:
            return []
        options: list[str] = []
        if (cipher := encryption.cipher) is not None:
            options.append(f"cipher-alg={_escaped(cipher.name)}-{cipher.size}")
            options += [f"cipher-mode={_escaped(cipher.mode)}"] if cipher.mode else []
            options += [f"hash-alg={_escaped(cipher.hash)}"] if cipher.hash else []
            if (generator := encryption.ivgen) is not None:
                options.append(f"ivgen-alg={_escaped(generator.name)}")
                options += [f"ivgen-hash-alg={_escaped(generator.hash)}"] if generator.hash else []
        prefix = self._option_prefix
        made = [f"{prefix}format=luks"] if prefix else []
        return made + self.key_option() + [prefix + option for option in options]


def _escaped(value: str) -> str:
    """A value in a list of options."""
    return value.replace(",", ",,")


def create_commands(
    image: Image, source: Image | None = None, *, preallocate_metadata: bool = False, qemu_img: str = "qemu-img"
) -> Commands:
    """The commands that make an image, in order (``virStorageVolCreateXML``, ``virStorageVolCreateXMLFrom``).

    Where one of two images is encrypted, a new one is made and the other's content converted into it: one command for
    both has no place for the passphrases. The backing image is not looked at; whether it can be read is to be found
    out before.

    :param source: the image whose content the new one gets.
    :param preallocate_metadata: ``VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA``.
    :raises VirtError: no such image can be made.
    """
    _check(image, source, preallocate_metadata)
    backing = None if source is not None else image.volume.backing_store
    options = _options(image, backing, preallocate_metadata)
    size = _kibibytes(image.volume.capacity)
    by_options = source is not None and any(each.target.encryption is not None for each in (image, source))
    if source is not None and not by_options:
        return [[qemu_img, "convert", "-f", source.format, "-O", image.driver, *options, source.path, image.path]]
    create = [qemu_img, "create", "-f", image.driver]
    if backing is not None:
        create += ["-b", backing.path or ""]
    create += [*image.secret_object(), *options, image.path]
    # An overlay is as large as what it is over, unless it is told otherwise.
    if size or backing is None:
        create.append(f"{size}K")
    if source is None:
        return [create]
    return [
        create,
        [
            *(qemu_img, "convert", "--image-opts", "-n", "--target-image-opts"),
            *image.secret_object(),
            *source.secret_object(),
            *(_image_options(each) for each in (source, image)),
        ],
    ]


def resize_command(image: Image, capacity: int, *, qemu_img: str = "qemu-img") -> list[str]:
    """The command that gives an image another size (``virStorageVolResize``).

    :param capacity: the new size in bytes; ``qemu-img`` takes whole sectors, so it is rounded up.
    :raises VirtError: the image's encryption is none that can be resized, or its passphrase is missing.
    """
    if image.target.encryption is not None:
        if _is_legacy(image):
            raise ConfigUnsupported("resize of qcow2 encrypted image is not supported", domain=_DOMAIN)
        _check_encryption(image, image.target.encryption)
        _require_secret(image, "path to secret data file is required")
    capacity = -(-capacity // _SECTOR) * _SECTOR
    command = [qemu_img, "resize"]
    if capacity < (image.volume.capacity or 0):
        command.append("--shrink")
    if image.target.encryption is None:
        command.append(image.path)
    else:
        where = f"driver={image.driver},{image.key_option()[0]},file.filename={_escaped(image.path)}"
        command += [*image.secret_object(), "--image-opts", where]
    return [*command, str(capacity)]


def _image_options(image: Image) -> str:
    """An image told by options."""
    where = [f"driver={image.driver}", f"file.filename={_escaped(image.path)}"]
    return ",".join(where + image.key_option())


def _kibibytes(size: int | None) -> int:
    return -(-(size or 0) // 1024)


def _options(image: Image, backing: VolumeBackingStore | None, preallocate_metadata: bool) -> list[str]:
    """``-o`` and what the new image is like."""
    target, volume = image.target, image.volume
    options = [f"backing_fmt={backing.format}"] if backing is not None else []
    options += image.encryption_options()
    if preallocate_metadata:
        sparse = _kibibytes(volume.capacity) > _kibibytes(volume.allocation)
        options.append(f"preallocation={'metadata' if sparse else 'falloc'}")
    if target.nocow:
        options.append("nocow=on")
    if target.compat is not None or image.format == StorageFormat.QCOW2:
        options.append(f"compat={target.compat or _COMPAT}")
    if target.cluster_size:
        options.append(f"cluster_size={target.cluster_size}")
    if (features := target.features) is not None:
        options += ["lazy_refcounts"] if features.lazy_refcounts else []
        options += ["extended_l2=on"] if features.extended_l2 else []
    return ["-o", ",".join(options)] if options else []


# --------------------------------------------------------------------------------------------------------------- checks


def _is_legacy(image: Image) -> bool:
    encryption = image.target.encryption
    formats = (StorageFormat.QCOW, StorageFormat.QCOW2)
    return encryption is not None and encryption.format in _LEGACY_FORMATS and image.target.format in formats


def _check(image: Image, source: Image | None, preallocate_metadata: bool) -> None:
    """Refuses images that there are none of, in libvirt's order."""
    target, encryption = image.target, image.target.encryption
    if _is_legacy(image):
        raise ConfigUnsupported("creation of qcow2 encrypted image is not supported", domain=_DOMAIN)
    source_encryption = source.target.encryption if source is not None else None
    if source_encryption is not None and source_encryption.format is not EncryptionFormat.LUKS:
        raise ConfigUnsupported("encryption format of inputvol must be LUKS", domain=_DOMAIN)
    if image.format != StorageFormat.QCOW2:
        for wanted, message in (
            (preallocate_metadata, "metadata preallocation only available with qcow2"),
            (target.compat is not None, "compatibility option only available with qcow2"),
            (target.features is not None, "format features only available with qcow2"),
        ):
            if wanted:
                raise ConfigUnsupported(message, domain=_DOMAIN)
    if image.format == StorageFormat.RAW and encryption and encryption.format is not EncryptionFormat.LUKS:
        raise InternalError("Only luks encryption is supported for raw files", domain=_DOMAIN)
    _check_backing(image, source, preallocate_metadata)
    if encryption is not None:
        _check_encryption(image, encryption)
        _require_secret(image, "path to secret data file is required")
    if source is not None and source_encryption is not None:
        _require_secret(source, "path to inputvol secret data file is required")
    if target.compat == _OLD_COMPAT and (features := target.features) is not None:
        for wanted, name in ((features.lazy_refcounts, "lazy_refcounts"), (features.extended_l2, "'extended_l2'")):
            if wanted:
                raise ConfigUnsupported(f"{name} not supported with compat level {_OLD_COMPAT}", domain=_DOMAIN)


def _check_backing(image: Image, source: Image | None, preallocate_metadata: bool) -> None:
    backing = image.volume.backing_store
    if backing is None:
        return
    if image.format == StorageFormat.RAW:
        raise ConfigUnsupported("cannot set backing store for raw volume", domain=_DOMAIN)
    if preallocate_metadata:
        raise ConfigUnsupported("metadata preallocation conflicts with backing store", domain=_DOMAIN)
    other = source.volume.backing_store if source is not None else None
    if other is not None and other.path != backing.path:
        raise InternalError("a different backing store cannot be specified.", domain=_DOMAIN)


def _check_encryption(image: Image, encryption: Encryption) -> None:
    if image.format not in (StorageFormat.RAW, StorageFormat.QCOW2):
        raise ConfigUnsupported(f"volume encryption unsupported with format {image.format}", domain=_DOMAIN)
    if encryption.format is not EncryptionFormat.LUKS:
        number = list(EncryptionFormat).index(encryption.format)
        raise ConfigUnsupported(f"unsupported volume encryption format {number}", domain=_DOMAIN)
    if len(encryption.secrets) > 1:
        raise XMLError("too many secrets for luks encryption", domain=_DOMAIN)
    if not encryption.secrets:
        raise XMLError("no secret provided for luks encryption", domain=_DOMAIN)


def _require_secret(image: Image, message: str) -> None:
    if image.secret is None:
        raise InternalError(message, domain=_DOMAIN)
