"""Where a source's image is, whatever kind of source it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.model.storage.source import (
    BlockSource,
    DirSource,
    FileSource,
    NetProtocol,
    NetworkSource,
    StorageType,
    VhostUserSource,
)
from virtcore.xml.declare import declaration

if TYPE_CHECKING:
    from virtcore.model.storage.source import Source

__all__ = ["is_empty", "source_path", "source_type"]


def source_path(source: Source | None) -> str | None:
    """A path on the host, or a name on the image's server; None where a source has neither."""
    if isinstance(source, FileSource):
        return source.file
    if isinstance(source, BlockSource):
        return source.dev
    if isinstance(source, DirSource):
        return source.dir
    if isinstance(source, NetworkSource):
        return source.name
    if isinstance(source, VhostUserSource):
        return source.path
    return None


def is_empty(source: Source | None) -> bool:
    """Whether there is no medium (``virStorageSourceIsEmpty``)."""
    if source is None:
        return True
    if isinstance(source, NetworkSource):
        return source.protocol is NetProtocol.NONE
    return isinstance(source, (FileSource, BlockSource, DirSource)) and source_path(source) is None


def source_type(source: Source) -> StorageType:
    """The kind of a source, as ``type`` of the element around it says it."""
    (tag,) = declaration(type(source)).tags
    return StorageType(str(tag))
