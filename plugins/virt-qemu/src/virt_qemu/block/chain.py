"""Chains of images: what is below the images of a disk, as their headers tell, and the images of a chain in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from virt_qemu.block.image import BACKED_FORMATS
from virt_qemu.lent import NO_GROUPS, Groups, group_of, lent
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, SystemError
from virtcore.model.domain.disk import BackingFormat, BackingStore, Disk, DiskDriver
from virtcore.model.storage.location import source_path, source_type
from virtcore.model.storage.source import BlockSource, DataStore, FileSource, StorageFormat

if TYPE_CHECKING:
    from virt_host.storage.chain import ChainImage
    from virtcore.model.domain.disk import DiskMirror
    from virtcore.model.storage.source import Source

__all__ = ["Link", "complete_chain", "format_of", "images_of", "set_format"]

#: A place in a chain that holds an image.
Link: TypeAlias = "Disk | BackingStore | DiskMirror"


def format_of(link: Link) -> StorageFormat:
    """Format of the image that stands at a place of a chain; raw where none is said."""
    told = link.driver if isinstance(link, Disk) else link.format
    return told.type if told is not None and told.type is not None else StorageFormat.RAW


def set_format(link: Link, format: StorageFormat) -> None:
    """Say the format of the image that stands at a place of a chain."""
    if isinstance(link, Disk):
        if link.driver is None:
            link.driver = DiskDriver(name="qemu")
        link.driver.type = format
    else:
        if link.format is None:
            link.format = BackingFormat()
        link.format.type = format


def images_of(top: Link) -> Iterator[Link]:
    """The places of a chain that hold an image, the top one first."""
    link: Link | None = top
    while link is not None and link.source is not None:
        yield link
        link = link.backing_store


def complete_chain(top: Disk | DiskMirror, groups: Groups = NO_GROUPS, reader: tuple[int, int] | None = None) -> None:
    """Fill in what is below an image, down to the lowest: what a document says counts, the rest is read from images.

    Where an image is on a server it is not looked at; QEMU does, then.

    :param groups: descriptors that the guest has been lent.
    :param reader: user and group who are to read the images; None: we.
    :raises VirtError: an image is missing or cannot be read, or its format would have to be guessed.
    """
    last: Link | None = None
    for last in images_of(top):
        if (name := group_of(last.source)) is not None:
            lent(groups, name)
        if last.backing_store is not None and last.backing_store.source is None:
            return  # it is said to end there
    if last is None:
        return
    source, format = last.source, format_of(last)
    if format not in BACKED_FORMATS:
        last.backing_store = BackingStore(detected=1)
        return
    if not isinstance(source, FileSource | BlockSource):
        return
    if (name := group_of(source)) is not None:
        _refuse_more(source_path(source), lent(groups, name)[0], format)
        last.backing_store = BackingStore(detected=1)
        return
    from virt_host.storage.chain import read_chain

    image = read_chain(source, format, reader)
    _take_data_file(source, image)
    last.backing_store = _below(image)


def _refuse_more(path: str | None, descriptor: int, format: StorageFormat) -> None:
    """Refuse an image on a descriptor that needs others: nobody knows where those are to be found.

    :raises ConfigUnsupported: it does.
    :raises SystemError: it cannot be read.
    """
    import os

    from virtcore.model.storage.image_header import HEADER_SIZE, read_header

    try:
        header = read_header(os.pread(descriptor, HEADER_SIZE, 0), format)
    except OSError as error:
        raise SystemError(f"cannot read header '{path}': {error.strerror}") from None
    if header.backing is not None or header.data_file is not None:
        raise ConfigUnsupported(
            f"image '{path}' on passed descriptors is based on other files",
            advice="name them in the document, with <backingStore> or <dataStore>",
        )


def _below(image: ChainImage) -> BackingStore | None:
    """What an image says is below; None where it does not say, or cannot be used as it says it."""
    below = image.backing
    if below is None:
        told = image.header is not None and image.header.backing is None
        return BackingStore(detected=1) if told or image.format not in BACKED_FORMATS else None
    if below.format is None:
        raise OperationFailed(
            f"format of backing image '{below.path}' of image '{image.path}' was not specified in the image metadata "
            "(See https://libvirt.org/kbase/backing_chains.html for troubleshooting)"
        )
    _take_data_file(below.source, below)
    return BackingStore(
        detected=1,
        type=source_type(below.source),
        format=BackingFormat(type=below.format),
        source=below.source,
        backing_store=_below(below),
    )


def _take_data_file(source: Source, image: ChainImage) -> None:
    if image.data_file is None or source.data_store is not None:
        return
    data = image.data_file.source
    if not isinstance(data, FileSource | BlockSource):
        raise InternalError(f"the data file of image '{image.path}' is no file")
    source.data_store = DataStore(type=source_type(data), format="raw", source=data)
