"""``<blockjobs>``: what QEMU is doing with images of a running guest, in status files."""

from __future__ import annotations

from virtcore.model.domain.disk import BackingStore
from virtcore.model.storage.source import Source, StorageFormat, StorageType
from virtcore.xml import HEX, YES_NO, attribute, child, children, element, flag, leaf, union

__all__ = ["BlockJob", "BlockJobs", "ImageDescription"]


@element("source")
class ImageDescription:
    """An image."""

    type: StorageType = attribute(required=True, doc="kind of source")
    format: StorageFormat = attribute(required=True)
    source: Source | None = union(tag="type")
    backing_store: BackingStore | None = child()


@element("disk")
class JobDisk:
    """The disk that a job works on."""

    target: str = attribute("dst", required=True)
    mirror: bool | None = attribute(codec=YES_NO, omit=False, doc="and on its mirror")


@element("blockjob")
class BlockJob:
    """A job of QEMU's block layer."""

    name: str = attribute(required=True, doc="its id")
    type: str = attribute(required=True, doc="pull, copy, commit, active-commit, create, backup, broken")
    state: str = attribute(required=True)
    new_state: str | None = attribute("newstate", doc="that nobody has dealt with")
    broken_type: str | None = attribute("brokentype", doc="what it was before it broke")
    flags: int | None = attribute("jobflags", codec=HEX("0x%x"), doc="flags of the call that began it")
    shallow_new: bool | None = attribute("shallownew", codec=YES_NO, omit=False, doc="the copy got no backing images")
    error: str | None = leaf("errmsg")
    disk: JobDisk | None = child()
    chain: ImageDescription | None = child("disk", within="chains", doc="of a job without a disk: its images")
    mirror_chain: ImageDescription | None = child("mirror", within="chains", doc="and those of the mirror")
    base: str | None = attribute("node", within="base", doc="node of the block layer")
    top: str | None = attribute("node", within="top", doc="node of the block layer")
    top_parent: str | None = attribute("node", within="topparent", doc="node of the block layer")
    delete_committed_images: bool = flag("deleteCommittedImages")
    create_mode: str | None = attribute("mode", within="create", doc="storage: the image itself, not its format")
    created: ImageDescription | None = child("src", doc="the image that is made")
    bitmap: str | None = attribute("name", within="bitmap", doc="what a backup copies")
    store: ImageDescription | None = child("store", doc="where a backup copies to")


@element("blockjobs")
class BlockJobs:
    """All jobs."""

    active: bool = attribute(codec=YES_NO, required=True)
    jobs: list[BlockJob] = children("blockjob")
