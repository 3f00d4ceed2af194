"""Chains of disk images: an image, what it is an overlay of, and so on, as their headers tell."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from virtcore.errors import ErrorDomain, InternalError, OperationFailed, SystemError as SystemFailure
from virtcore.model.storage.backing import is_relative, parse_backing
from virtcore.model.storage.image_header import HEADER_SIZE, ImageHeader, read_header
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import BlockSource, DirSource, FileSource, Source, StorageFormat

__all__ = ["ChainImage", "read_chain"]

#: Images in a chain.
MAX_DEPTH = 200


@dataclass(slots=True, kw_only=True)
class ChainImage:
    """An image of a chain.

    :ivar source: where it is.
    :ivar format: what it was said to be, or found to be.
    :ivar header: what its header says; None where it could not be looked at.
    :ivar relative: its path as the image above spells it, where that starts at the image's folder.
    :ivar backing: the image below; None at the end, and where it is on a server that is not asked.
    :ivar data_file: the file with the data (qcow2).
    """

    source: Source
    format: StorageFormat | None
    header: ImageHeader | None = None
    relative: str | None = None
    backing: ChainImage | None = None
    data_file: ChainImage | None = None

    @property
    def path(self) -> str | None:
        """Path, or name on the server."""
        return source_path(self.source)


class _Probed(Exception):
    """A format was found by probing, and the image would lead to further files."""


def read_chain(
    source: Source, format: StorageFormat | None = None, reader: tuple[int, int] | None = None
) -> ChainImage:
    """The chain that begins with an image (``virStorageSourceGetMetadata``).

    A format is probed only where an image does not say what is below it, and such an image ends the chain: a guest
    that can write to a raw disk must not make the host open files of its choice.

    :param format: of the first image; None: raw.
    :param reader: user and group whose images they are, for messages; None: ours.
    :raises VirtError: an image is missing or cannot be read, the chain is a loop, or a format is not told where it
        has to be.
    """
    image = ChainImage(source=source, format=format or StorageFormat.RAW)
    uid, gid = reader if reader is not None else (os.geteuid(), os.getegid())
    _follow(image, image, f"(as uid:{uid}, gid:{gid})", set(), 0)
    return image


def _follow(image: ChainImage, first: ChainImage, who: str, seen: set[str], depth: int) -> None:
    path = source_path(image.source)
    if not isinstance(image.source, FileSource | BlockSource) or path is None:
        return
    data = _read(image, first, who, path)
    real = os.path.realpath(path)
    if real in seen:
        raise InternalError(
            f"backing store for {first.path} ({real}) is self-referential", domain=ErrorDomain.STORAGE, value=real
        )
    if depth >= MAX_DEPTH:
        raise InternalError(f"backing store chain of {first.path} is too long", domain=ErrorDomain.STORAGE)
    seen.add(real)
    probed = image.format is None
    header = image.header = read_header(data, image.format)
    image.format = header.format
    if probed and (header.backing is not None or header.data_file is not None):
        raise _Probed
    if header.data_file == "":
        raise InternalError(f"image '{path}' does not name its data file", domain=ErrorDomain.STORAGE, value=path)
    if header.backing is not None:
        below = _below(header.backing, header.backing_format, path)
        if below is not None:
            try:
                _follow(below, first, who, seen, depth + 1)
            except _Probed:
                raise OperationFailed(
                    f"format of backing image '{header.backing}' of image '{path}' was not specified in the image "
                    "metadata (See https://libvirt.org/kbase/backing_chains.html for troubleshooting)",
                    domain=ErrorDomain.STORAGE,
                ) from None
            image.backing = below
    if header.data_file is not None:
        image.data_file = _below(header.data_file, StorageFormat.RAW, path)
        if image.data_file is not None:
            _follow(image.data_file, first, who, seen, depth + 1)


def _read(image: ChainImage, first: ChainImage, who: str, path: str) -> bytes:
    """The beginning of an image."""
    try:
        # What is no file or device (a FIFO) must not hold up anybody.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if image is first:
            what = f"Cannot access storage file '{path}' {who}"
        else:
            what = f"Cannot access backing file '{path}' of storage file '{first.path}' {who}"
        raise SystemFailure(f"{what}: {error.strerror}", domain=ErrorDomain.STORAGE) from error
    try:
        if not (stat.S_ISREG(os.fstat(descriptor).st_mode) or stat.S_ISBLK(os.fstat(descriptor).st_mode)):
            raise InternalError(f"'{path}' is no file and no block device", domain=ErrorDomain.STORAGE, value=path)
        return os.pread(descriptor, HEADER_SIZE, 0)
    except OSError as error:
        raise SystemFailure(f"cannot read header '{path}': {error.strerror}", domain=ErrorDomain.STORAGE) from error
    finally:
        os.close(descriptor)


def _below(name: str, format: StorageFormat | None, above: str) -> ChainImage | None:
    """The image a string in a header names; None where it cannot be used as it is."""
    if is_relative(name):
        folder = os.path.dirname(above)
        source: Source = FileSource(file=f"{folder}/{name}" if folder else name)
        image = ChainImage(source=source, format=format, relative=name)
    else:
        found = parse_backing(name)
        if found.credentials:
            return None
        image = ChainImage(source=found.source, format=format)
    if isinstance(image.source, FileSource):
        path = image.source.file or ""
        try:
            mode = os.stat(path).st_mode
        except OSError:
            return image  # told when it is opened
        if stat.S_ISDIR(mode):
            image.source, image.format = DirSource(dir=path), StorageFormat.DIR
        elif stat.S_ISBLK(mode):
            image.source = BlockSource(dev=path)
    return image
