"""Files that guests are saved into, in libvirt's format: a header, the guest's XML, what else a restore needs (the
cookie), room for a longer XML, and QEMU's own stream.

Until all is written a file says that it is incomplete.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

from virtcore.errors import OperationFailed, SystemError

__all__ = ["SaveFormat", "SaveHeader", "SaveImage", "is_whole", "read_image", "rewrite_xml"]

_COMPLETE = b"LibvirtQemudSave"
_PARTIAL = b"LibvirtQemudPart"
_VERSION = 2
_FIELDS = struct.Struct("=16s5I56x")
_SWAPPED = struct.Struct(">16s5I56x" if struct.pack("=H", 1) == b"\x01\0" else "<16s5I56x")
#: Bytes that are left free behind XML and cookie, so that a longer XML can take their place.
_ROOM = 64 << 10
#: No XML is longer: what claims to be is damaged.
_LONGEST = 256 << 20


class SaveFormat(IntEnum):
    """How QEMU's stream is written; the number stands in the header, the name in ``save_image_format``.

    All but the first and the last are programs by whose name the stream is compressed.
    """

    RAW = 0
    GZIP = 1
    BZIP2 = 2
    XZ = 3
    LZOP = 4
    ZSTD = 5
    SPARSE = 6

    @property
    def program(self) -> str | None:
        """The program that compresses; None where nothing is."""
        return None if self in (SaveFormat.RAW, SaveFormat.SPARSE) else self.name.lower()

    @classmethod
    def named(cls, name: str) -> Self | None:
        """The format of a name, if there is one."""
        return next((each for each in cls if each.name.lower() == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveHeader:
    """The first bytes of a file.

    :ivar size: bytes of XML, cookie and room behind the header.
    :ivar running: the guest is to run when it is restored.
    :ivar cookie_offset: where behind the header the cookie begins; 0 where there is none.
    :ivar version: of the format.
    """

    size: int
    running: bool
    format: SaveFormat = SaveFormat.RAW
    cookie_offset: int = 0
    version: int = _VERSION

    def pack(self, *, complete: bool) -> bytes:
        """The bytes of it."""
        magic = _COMPLETE if complete else _PARTIAL
        return _FIELDS.pack(magic, self.version, self.size, self.running, self.format, self.cookie_offset)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read it, whichever byte order it was written in.

        :raises OperationFailed: there is none, it is incomplete, or of an unknown kind.
        """
        if len(data) < _FIELDS.size:
            raise OperationFailed("failed to read qemu header")
        magic, version, size, running, format, cookie = _FIELDS.unpack_from(data)
        if magic == _PARTIAL:
            raise OperationFailed("save image is incomplete")
        if magic != _COMPLETE:
            raise OperationFailed("image magic is incorrect")
        if version > _VERSION:
            _, version, size, running, format, cookie = _SWAPPED.unpack_from(data)
        if version > _VERSION:
            raise OperationFailed(f"image version is not supported ({_signed(version)} > {_VERSION})")
        if format not in SaveFormat.__members__.values():
            raise OperationFailed(f"unsupported save image format: {_signed(format)}")
        if not 0 < size <= _LONGEST:
            raise OperationFailed(f"invalid header data length: {_signed(size)}")
        if cookie > size:
            raise OperationFailed("failed to read domain XML")
        # Version 1 knew of no compression.
        return cls(
            size=size,
            running=bool(running),
            format=SaveFormat(format) if version > 1 else SaveFormat.RAW,
            cookie_offset=cookie,
            version=version,
        )


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveImage:
    """What a file says of the guest before QEMU's stream begins.

    :ivar xml: the guest's XML, secrets included.
    :ivar cookie: the XML of what else a restore needs.
    """

    header: SaveHeader
    xml: str
    cookie: str | None = None

    @classmethod
    def make(cls, xml: str, cookie: str | None, *, running: bool, format: SaveFormat) -> Self:
        """For a guest that is to be saved, with room for a longer XML."""
        size = len(_text(xml)) + (len(_text(cookie)) if cookie is not None else 0) + _ROOM
        return cls(header=SaveHeader(size=size, running=running, format=format), xml=xml, cookie=cookie).laid_out()

    def laid_out(self) -> Self:
        """With the cookie behind the XML.

        :raises OperationFailed: both need more than the file has.
        """
        xml = len(_text(self.xml))
        cookie = len(_text(self.cookie)) if self.cookie is not None else 0
        if xml + cookie > self.header.size:
            raise OperationFailed("new xml too large to fit in file")
        return replace(self, header=replace(self.header, cookie_offset=xml if cookie else 0))

    def pack(self, *, complete: bool) -> bytes:
        """All that is written in front of QEMU's stream."""
        texts = _text(self.xml) + (_text(self.cookie) if self.cookie is not None else b"")
        return self.header.pack(complete=complete) + texts.ljust(self.header.size, b"\0")

    @property
    def stream_offset(self) -> int:
        """Where in the file QEMU's stream begins."""
        return _FIELDS.size + self.header.size


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"


def is_whole(path: str) -> bool | None:
    """Whether a file says that a guest is in it, whole; None where there is no file. May block."""
    try:
        with open(path, "rb") as file:
            head = file.read(_FIELDS.size)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return len(head) == _FIELDS.size and head.startswith(_COMPLETE)


def read_image(path: str, descriptor: int) -> SaveImage:
    """Read what a file says of its guest; the descriptor stands at QEMU's stream then. May block.

    :raises OperationFailed: it is no file of ours, incomplete or damaged.
    :raises SystemError: it cannot be read.
    """
    try:
        header = SaveHeader.unpack(_read(descriptor, _FIELDS.size))
        length = header.cookie_offset or header.size
        xml = _read(descriptor, length)
        if len(xml) < length:
            raise OperationFailed("failed to read domain XML")
        cookie = _read(descriptor, header.size - length)
        if len(cookie) < header.size - length:
            raise OperationFailed("failed to read cookie")
    except OSError as error:
        raise SystemError(f"cannot read file '{path}': {error.strerror}") from None
    return SaveImage(header=header, xml=_until_nul(xml), cookie=_until_nul(cookie) or None)


def _until_nul(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _read(descriptor: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := os.read(descriptor, size - len(data))):
        data += part
    return bytes(data)


def rewrite_xml(path: str, image: SaveImage) -> None:
    """Put another XML, or another state to begin with, into a file. Returns when that is durable. May block.

    :raises OperationFailed: there is no room for it; nothing has changed.
    :raises SystemError: it cannot be written.
    """
    data = image.laid_out().pack(complete=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SystemError(f"failed to write header to domain save file '{path}': {error.strerror}") from None
