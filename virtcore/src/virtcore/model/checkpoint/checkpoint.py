"""``<domaincheckpoint>``: a moment since which changes of the domain's disks are recorded."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.patterns import DISK_NAME
from virtcore.xml import LONG, ULONG, Mode, attribute, child, children, element, extras, leaf

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.xml import Extras

__all__ = ["Checkpoint", "CheckpointDisk", "CheckpointType"]

#: Names that are sane names of files (the schema's).
_NAME = r"[a-zA-Z0-9_\-][a-zA-Z0-9_\-.]*"


class CheckpointType(StrEnum):
    """How the changes of a disk are recorded."""

    NONE = "no"
    BITMAP = "bitmap"


_WITH_BITMAP = {"type": (CheckpointType.BITMAP, None)}


@element("disk")
class CheckpointDisk:
    """How one disk takes part."""

    name: str = attribute(required=True, pattern=DISK_NAME, doc="target of the domain's disk, or the path of its image")
    type: CheckpointType | None = attribute("checkpoint", doc="bitmap by default")
    bitmap: str | None = attribute(only=_WITH_BITMAP, doc="name of the bitmap; the checkpoint's by default")
    size: int | None = attribute(
        codec=ULONG,
        only=_WITH_BITMAP,
        shown=lambda self: self.bitmap is not None,
        doc="how much has changed since, in bytes; an answer, never asked for",
    )


@element("domaincheckpoint", root=True, since="5.6.0")
class Checkpoint:
    """A moment since which changes of the domain's disks are recorded."""

    name: str | None = leaf(pattern=_NAME, doc="unique within its domain; by default the time of creation")
    description: str | None = leaf(doc="text for people")
    parent: str | None = leaf(
        "name", within="parent", read=Mode.REDEFINE, pattern=_NAME, doc="name of the checkpoint before it"
    )
    creation_time: int | None = leaf(
        "creationTime",
        codec=LONG,
        read=Mode.REDEFINE,
        minimum=0,
        omit=0,
        invalid="missing creationTime from existing checkpoint",
        code=ErrorCode.INTERNAL_ERROR,
        doc="seconds since the epoch",
    )
    disks: list[CheckpointDisk] = children("disk", within="disks", doc="disks that take part")
    domain: Domain | None = child("domain", read=Mode.REDEFINE, doc="the domain as it was")
    extra: Extras = extras()
