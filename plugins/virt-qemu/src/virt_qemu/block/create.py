"""Options of ``blockdev-create``: how QEMU makes storage, and formats it."""

from __future__ import annotations

from virt_qemu.block.image import Image
from virt_qemu.block.storage import Props, backing_string, present, storage_properties
from virtcore.errors import OperationUnsupported
from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.source import FileSource, NetProtocol, NetworkSource, StorageFormat

__all__ = ["create_format_options", "create_storage_options"]

#: Protocols by which QEMU can make an image.
_CREATING = (NetProtocol.GLUSTER, NetProtocol.RBD, NetProtocol.SHEEPDOG, NetProtocol.SSH, NetProtocol.NFS)
#: Formats without options -> QEMU's driver.
_PLAIN = {
    StorageFormat.VPC: "vpc",
    StorageFormat.PLOOP: "parallels",
    StorageFormat.VDI: "vdi",
    StorageFormat.VHD: "vhdx",
    StorageFormat.VMDK: "vmdk",
    StorageFormat.QED: "qed",
    StorageFormat.QCOW: "qcow",
}
#: Formats that name the image below, and of these the ones that name its format, too.
_NAMING = (StorageFormat.VMDK, StorageFormat.QED, StorageFormat.QCOW, StorageFormat.QCOW2)
_NAMING_FORMAT = (StorageFormat.QED, StorageFormat.QCOW2)
#: ``compat`` of qcow2 -> version of the format.
_VERSIONS = {"0.10": "v2", "1.1": "v3"}


def create_storage_options(image: Image, size: int) -> Props | None:
    """How the bytes of an image are made; None where QEMU cannot, or need not, make them.

    :param size: bytes.
    """
    source = image.source
    if isinstance(source, FileSource):
        return {"driver": "file", "filename": source.file, "size": size}
    if not isinstance(source, NetworkSource) or source.protocol not in _CREATING or image.nbdkit_socket is not None:
        return None
    location = storage_properties(image)
    return {"driver": location.pop("driver"), "location": location, "size": size}


def create_format_options(
    image: Image,
    capacity: int,
    below: Image | None = None,
    *,
    compat: str | None = None,
    cluster_size: int | None = None,
    extended_l2: bool = False,
) -> Props | None:
    """How an image is formatted; None where there is nothing to format, or QEMU cannot.

    :param capacity: bytes the guest sees.
    :param below: the image it is based on.
    :param compat: oldest version of QEMU that can read qcow2, such as ``1.1``.
    :param cluster_size: bytes of a cluster of qcow2.
    :param extended_l2: qcow2 tells parts of clusters apart.
    :raises OperationUnsupported: the image cannot be encrypted as wanted.
    """
    place: Props = {"file": image.storage_top(), "size": capacity}
    if image.format is StorageFormat.RAW:
        encryption = image.encryption
        if encryption is None or encryption.format is not EncryptionFormat.LUKS:
            return None
        return _luks(image) | {"driver": "luks"} | place
    if image.format is StorageFormat.QCOW2:
        props = {"driver": "qcow2"} | place
        props |= present(
            {
                "version": _VERSIONS.get(compat or ""),
                "cluster-size": cluster_size or None,
                "extended-l2": extended_l2 or None,
            }
        )
    elif image.format in _PLAIN:
        props = {"driver": _PLAIN[image.format]} | place
    else:
        return None
    if below is not None and image.format in _NAMING:
        props["backing-file"] = backing_string(below)
        if image.format in _NAMING_FORMAT:
            props["backing-fmt"] = "luks" if _is_luks(below) else str(below.format)
    if image.encryption is not None and image.format in (StorageFormat.QCOW, StorageFormat.QCOW2):
        if image.encryption.format is not EncryptionFormat.LUKS:
            raise OperationUnsupported("creation of qcow/qcow2 files supports only 'luks' encryption")
        props["encrypt"] = _luks(image) | {"format": "luks"}
    return props


def _is_luks(image: Image) -> bool:
    encryption = image.encryption
    return image.format is StorageFormat.RAW and encryption is not None and encryption.format is EncryptionFormat.LUKS


def _luks(image: Image) -> Props:
    """The key and the cipher of LUKS."""
    encryption = image.encryption
    cipher = encryption.cipher if encryption is not None else None
    generator = encryption.ivgen if encryption is not None else None
    return present(
        {
            "key-secret": next(iter(image.encryption_secrets), None),
            "cipher-alg": f"{cipher.name}-{cipher.size}" if cipher is not None else None,
            "cipher-mode": cipher.mode if cipher is not None else None,
            "hash-alg": cipher.hash if cipher is not None else None,
            "ivgen-alg": generator.name if generator is not None else None,
            "ivgen-hash-alg": generator.hash if generator is not None else None,
        }
    )
