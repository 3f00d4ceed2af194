"""Headers of disk images: which format it is, how large the disk, what it is an overlay of.

A guest writes what it likes to the beginning of a raw disk. A format found by probing must not be trusted with
opening further files.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from virtcore.model.storage.secret import EncryptionFormat
from virtcore.model.storage.source import StorageFormat

__all__ = ["HEADER_SIZE", "ImageHeader", "probe_format", "read_header"]

#: Bytes from the beginning of an image that are looked at.
HEADER_SIZE = 0x8200


@dataclass(slots=True, kw_only=True)
class ImageHeader:
    """What the beginning of an image says.

    :ivar format: of the image.
    :ivar capacity: size of the disk in bytes; None where the file's size says it.
    :ivar encryption: how it is encrypted; None: not.
    :ivar cluster_size: bytes of a cluster (qcow2).
    :ivar backing: string that names the image this one is an overlay of; None: there is none.
    :ivar backing_format: its format; None: nobody said.
    :ivar data_file: string that names the file with the data (qcow2), empty where the image does not say; None: the
        data is in the image.
    :ivar compat: compatibility level (qcow2).
    :ivar features: features of libvirt's XML (qcow2).
    """

    format: StorageFormat
    capacity: int | None = None
    encryption: EncryptionFormat | None = None
    cluster_size: int | None = None
    backing: str | None = None
    backing_format: StorageFormat | None = None
    data_file: str | None = None
    compat: str | None = None
    features: tuple[str, ...] = ()
    #: Bytes before the data of an image that is nothing but LUKS.
    payload: int | None = None


class _Layout(NamedTuple):
    """Where a format has what: its magic, version and size; ``>`` or ``<`` for the order of bytes."""

    order: str
    magic: bytes
    at: int = 0
    version_at: int | None = None
    versions: tuple[int, ...] = ()
    size_at: int | None = None
    size_unit: int = 1


_F = StorageFormat
# In the order they are tried.
_LAYOUTS: dict[StorageFormat, _Layout] = {
    _F.ISO: _Layout("<", b"CD001", at=32769),
    _F.VPC: _Layout(">", b"conectix", version_at=12, versions=(0x10000,), size_at=40),
    _F.VDI: _Layout("<", b"\x7f\x10\xda\xbe", at=64, version_at=68, versions=(0x10001,), size_at=368),
    _F.PLOOP: _Layout("<", b"WithouFreSpacExt", size_at=36, size_unit=512),
    _F.COW: _Layout(">", b"OOOM", version_at=4, versions=(2,), size_at=1036),
    _F.QCOW: _Layout(">", b"QFI", version_at=4, versions=(1,), size_at=24),
    _F.QCOW2: _Layout(">", b"QFI", version_at=4, versions=(2, 3), size_at=24),
    _F.QED: _Layout("<", b"QED", size_at=48),
    _F.VMDK: _Layout("<", b"KDMV", version_at=4, versions=(1, 2, 3), size_at=12, size_unit=512),
}


#: Where LUKS has the number of sectors before the data.
_LUKS_PAYLOAD = 104


class _Malformed(ValueError):
    """A header contradicts itself; what it says of other files is not believed."""


def _number(code: str, data: bytes, at: int) -> int:
    """The number at an offset.

    :raises _Malformed: the header ends before.
    """
    try:
        found: int = struct.unpack_from(code, data, at)[0]
    except struct.error:
        raise _Malformed from None
    return found


def probe_format(data: bytes) -> StorageFormat:
    """The format an image seems to have; raw where nothing else fits (``virStorageFileProbeFormat``)."""
    for format, layout in _LAYOUTS.items():
        if data[layout.at : layout.at + len(layout.magic)] != layout.magic:
            continue
        if layout.version_at is None:
            return format
        try:
            version = _number(f"{layout.order}I", data, layout.version_at)
        except _Malformed:
            continue
        if version in layout.versions:
            return format
    return StorageFormat.RAW


def read_header(data: bytes, format: StorageFormat | None = None) -> ImageHeader:
    """What the beginning of an image says.

    :param data: the first :data:`HEADER_SIZE` bytes, or all there are.
    :param format: of the image; None: probed.
    """
    header = ImageHeader(format=probe_format(data) if format is None else format)
    if header.format is StorageFormat.RAW:
        if data.startswith(b"LUKS\xba\xbe\0\x01"):
            header.encryption = EncryptionFormat.LUKS
            if len(data) >= _LUKS_PAYLOAD + 4:
                header.payload = _number(">I", data, _LUKS_PAYLOAD) * 512
        return header
    layout = _LAYOUTS.get(header.format)
    if layout is None:
        return header
    try:
        _ENCRYPTION.get(header.format, _nothing)(header, data)
        if layout.size_at is not None:
            header.capacity = _number(f"{layout.order}Q", data, layout.size_at) * layout.size_unit
        _BACKING.get(header.format, _nothing)(header, data)
    except _Malformed:
        # What was read so far stands.
        header.backing = header.backing_format = header.data_file = None
    return header


def _nothing(header: ImageHeader, data: bytes) -> None:
    """The format has no such thing."""


def _text(data: bytes, at: int, size: int) -> str:
    if at + size > len(data):
        raise _Malformed
    return data[at : at + size].split(b"\0")[0].decode(errors="surrogateescape")


# --------------------------------------------------------------------------------------------------------------- qcow2

_BACKING_FORMAT = 0xE2792ACA
_DATA_FILE = 0x44415441
#: Bits of the incompatible features.
_HAS_DATA_FILE = 1 << 2
_EXTENDED_L2 = 1 << 4
#: Longest name of a backing store.
_LONGEST = 1023


def _qcow_encryption(header: ImageHeader, data: bytes) -> None:
    method = _number(">I", data, 36 if header.format is StorageFormat.QCOW else 32)
    if method == 1:
        header.encryption = EncryptionFormat.QCOW
    elif method == 2 and header.format is StorageFormat.QCOW2:
        header.encryption = EncryptionFormat.LUKS


def _qcow(header: ImageHeader, data: bytes) -> None:
    version = _number(">I", data, 4)
    at, size = _number(">Q", data, 8), _number(">I", data, 16)
    if at > len(data):
        raise _Malformed
    if at and size:
        if size > _LONGEST:
            raise _Malformed
        header.backing = _text(data, at, size)
    if header.format is StorageFormat.QCOW2:
        header.cluster_size = 1 << _number(">I", data, 20) if 0 < _number(">I", data, 20) < 32 else None
    if version < 2:
        return
    incompatible = compatible = 0
    start = 72
    if version >= 3:
        incompatible, compatible = _number(">Q", data, 72), _number(">Q", data, 80)
        header.compat = "1.1"
        header.features = tuple(
            name
            for name, told in (
                ("lazy_refcounts", compatible & 1),
                ("extended_l2", incompatible & _EXTENDED_L2),
                ("data_file", incompatible & _HAS_DATA_FILE),
            )
            if told
        )
        start = _number(">I", data, 100)
    if incompatible & _HAS_DATA_FILE:
        header.data_file = ""
    _qcow_extensions(header, data, start, at or len(data))


def _qcow_extensions(header: ImageHeader, data: bytes, at: int, end: int) -> None:
    """What stands between the header and the backing store's name."""
    while at + 8 <= min(end, len(data)):
        kind, size = _number(">I", data, at), _number(">I", data, at + 4)
        at += 8
        if kind == 0 or at + size > len(data):
            return
        if kind == _BACKING_FORMAT and header.backing is not None:
            word = _text(data, at, size)
            # Some write the protocol instead; what is behind that is raw.
            header.backing_format = StorageFormat(word) if word in _WORDS else StorageFormat.RAW
        elif kind == _DATA_FILE and header.data_file is not None:
            header.data_file = _text(data, at, size)
        # Extensions are padded to eight bytes.
        at += -(-size // 8) * 8


_WORDS = frozenset(format.value for format in StorageFormat if format is not StorageFormat.AIO)


# -------------------------------------------------------------------------------------------------------------- others


def _cow(header: ImageHeader, data: bytes) -> None:
    if len(data) < 8 + 1024:
        raise _Malformed
    header.backing = _text(data, 8, 1024) or None


def _qed(header: ImageHeader, data: bytes) -> None:
    features = _number("<Q", data, 16)
    if not features & 0x01:
        return
    at, size = _number("<I", data, 56), _number("<I", data, 60)
    if size:
        header.backing = _text(data, at, size)
        # Without the bit that forbids it the format is to be probed.
        header.backing_format = StorageFormat.RAW if features & 0x04 else None


def _vmdk(header: ImageHeader, data: bytes) -> None:
    if len(data) <= 0x200:
        raise _Malformed
    description = data[0x200:].split(b"\0")[0]
    _, found, rest = description.partition(b'parentFileNameHint="')
    if found:
        name, quote, _ = rest.partition(b'"')
        if not quote:
            raise _Malformed
        header.backing = name.decode(errors="surrogateescape") or None


_Reader = Callable[[ImageHeader, bytes], None]
_ENCRYPTION: dict[StorageFormat, _Reader] = {_F.QCOW: _qcow_encryption, _F.QCOW2: _qcow_encryption}
_BACKING: dict[StorageFormat, _Reader] = {
    _F.COW: _cow,
    _F.QCOW: _qcow,
    _F.QCOW2: _qcow,
    _F.QED: _qed,
    _F.VMDK: _vmdk,
}
