"""The nodes of an image, lowest first, as ``-blockdev`` and ``blockdev-add`` take them."""

from __future__ import annotations

from virt_qemu.block.image import BACKED_FORMATS, Image
from virt_qemu.block.storage import Props, present, storage_properties
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.disk import DiskCache, DiskDetectZeroes, DiskDiscard
from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.source import StorageFormat

__all__ = ["CACHES", "format_layer", "image_layers", "storage_layer"]

#: cache mode -> (device writes back, cache.direct, cache.no-flush)
CACHES = {
    DiskCache.NONE: (True, True, False),
    DiskCache.WRITETHROUGH: (False, False, False),
    DiskCache.WRITEBACK: (True, False, False),
    DiskCache.DIRECTSYNC: (False, True, False),
    DiskCache.UNSAFE: (True, False, True),
}
#: Format -> QEMU's driver for it.
_DRIVERS = {
    StorageFormat.RAW: "raw",
    # vvfat makes up the file system; above it are plain bytes.
    StorageFormat.FAT: "raw",
    StorageFormat.PLOOP: "parallels",
    StorageFormat.VHD: "vhdx",
} | {
    each: str(each)
    for each in (
        StorageFormat.QCOW,
        StorageFormat.QCOW2,
        StorageFormat.BOCHS,
        StorageFormat.CLOOP,
        StorageFormat.DMG,
        StorageFormat.VDI,
        StorageFormat.VPC,
        StorageFormat.QED,
        StorageFormat.VMDK,
    )
}
#: Bytes of a node's name in QEMU, with the one that ends it.
_NAME_SIZE = 32


def image_layers(image: Image) -> list[Props]:
    """The nodes of one image, without those of the images below.

    :raises VirtError: QEMU cannot have such an image.
    """
    interpreted = image.has_format_layer
    layers = [storage_layer(image, used=not interpreted and image.slice is None)]
    if image.slice is not None:
        layers.append(_slice_layer(image, used=not interpreted))
    if interpreted:
        layers.append(format_layer(image))
    return layers


def storage_layer(image: Image, *, used: bool = False) -> Props:
    """The node of an image's bytes.

    :param used: the guest or an image above uses the node itself.
    """
    return storage_properties(image) | {"node-name": _name(image.nodes.storage)} | _access(image, used)


def _slice_layer(image: Image, *, used: bool) -> Props:
    part = image.slice
    assert part is not None
    props: Props = {"driver": "raw", "file": image.nodes.storage, "offset": part.offset, "size": part.size}
    return props | {"node-name": _name(image.nodes.slice)} | _access(image, used)


def format_layer(image: Image) -> Props:
    """The node that interprets an image's bytes. JSON's null, where no image is below, is None.

    :raises ConfigUnsupported: a format cannot have the image below.
    :raises InternalError: QEMU has no driver for the format.
    """
    backed = image.format in BACKED_FORMATS
    if image.below is not None and not backed:
        raise ConfigUnsupported(f"storage format '{image.format}' does not support backing store")
    if image.format not in _DRIVERS:
        raise InternalError(f"mishandled storage format '{image.format}'")
    props: Props = {"node-name": _name(image.nodes.format)} | _access(image, used=True)
    props |= _luks(image) if image.luks else {"driver": _DRIVERS[image.format]}
    if image.format in (StorageFormat.QCOW, StorageFormat.QCOW2):
        props |= _encryption(image)
    if image.format is StorageFormat.QCOW2:
        props |= present({"cache-size": image.cache_size, "discard-no-unref": image.discard_no_unref})
    if image.data_file is not None:
        props["data-file"] = image.data_file.top()
    props["file"] = image.storage_top()
    if image.below is not None:
        props["backing"] = image.below.top()
    elif backed and image.ends:
        props["backing"] = None
    return props


def _access(image: Image, used: bool) -> Props:
    """How a node is opened: as the disk says, or so that the node above decides."""
    if used:
        zeroes = image.detect_zeroes
        if zeroes is DiskDetectZeroes.UNMAP and image.discard is not DiskDiscard.UNMAP:
            zeroes = DiskDetectZeroes.ON  # turning zeroes into discards needs discards
        props: Props = {
            "read-only": image.readonly,
            "discard": str(image.discard) if image.discard is not None else None,
            "detect-zeroes": str(zeroes) if zeroes is not None else None,
        }
    elif image.one_descriptor:
        # QEMU takes the descriptor that is open as it wants a file to be: there is no other to begin with.
        props = {"read-only": image.readonly, "discard": "unmap"}
    else:
        props = {"auto-read-only": True, "discard": "unmap"}
    if image.cache in CACHES:
        _, direct, no_flush = CACHES[image.cache]
        props["cache"] = {"direct": direct, "no-flush": no_flush}
    return present(props)


def _name(node: str) -> str:
    if len(node.encode()) >= _NAME_SIZE:
        raise InternalError(f"node-name '{node}' too long for qemu")
    return node


def _luks(image: Image) -> Props:
    if not image.encryption_secrets:
        raise InternalError("missing secret info for 'luks' driver")
    return {"driver": "luks", "key-secret": image.encryption_secrets[0]}


def _encryption(image: Image) -> Props:
    """``encrypt`` of qcow and qcow2."""
    encryption = image.encryption
    if encryption is None or not image.encrypted_by_qemu or not image.encryption_secrets:
        return {}
    kinds = {EncryptionFormat.QCOW: "aes", EncryptionFormat.LUKS: "luks"}
    if encryption.format not in kinds:
        raise InternalError(f"unexpected encryption format '{encryption.format}'")
    return {"encrypt": {"format": kinds[encryption.format], "key-secret": image.encryption_secrets[0]}}
