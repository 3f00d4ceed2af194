"""What the end of a block job makes of a disk's chain of images.

Each function changes the disk of the live configuration, and returns the images that QEMU is to let go. A job that
names images which are not in the chain any more has been dealt with: nothing changes then.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from virt_qemu.block.chain import Link, format_of, images_of, set_format
from virt_qemu.block.running import disk_images
from virt_qemu.block_jobs import ImageDescription
from virt_qemu.private_data import NodeName, QemuSecret, SourcePrivate
from virtcore.model.domain.disk import BackingFormat, BackingStore, Disk, DiskDriver
from virtcore.model.storage.location import source_type

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virt_qemu.block_jobs import BlockJob
    from virt_qemu.guest import Guest
    from virtcore.model.storage.source import Source

__all__ = ["committed", "described", "find_node", "mirrored", "pivot_to", "pulled", "undescribed", "without_indexes"]


def find_node(images: list[Image], node: str | None) -> int | None:
    """Place of an image in a chain by its top node; None where it is not there."""
    return next((place for place, image in enumerate(images) if image.top() == node), None)


def _as_backing(link: Link) -> BackingStore:
    assert isinstance(link, BackingStore)
    return link


def pulled(guest: Guest, disk: Disk, job: BlockJob) -> list[Image]:
    """All images between the top one and the base were copied into the top one."""
    images, links = disk_images(guest, disk), list(images_of(disk))
    base = len(images) if job.base is None else find_node(images, job.base)
    if base is None:
        return []
    disk.backing_store = _as_backing(links[base]) if base < len(links) else BackingStore()
    return images[1:base]


def committed(guest: Guest, disk: Disk, job: BlockJob) -> list[Image]:
    """The images from the top down to the base were merged into the base."""
    images, links = disk_images(guest, disk), list(images_of(disk))
    top, base = find_node(images, job.top), find_node(images, job.base)
    if top is None or base is None:
        return []
    if top == 0:
        _become(disk, links[base])
    else:
        links[top - 1].backing_store = _as_backing(links[base])
    return images[top:base]


def _become(disk: Disk, link: Link) -> None:
    """The image at a place of the chain is the one in the drive now."""
    source = link.source
    assert source is not None
    if isinstance(link, BackingStore) and link.index:
        source.index = link.index
    disk.source, disk.backing_store = source, link.backing_store
    disk.type = source_type(source)
    disk.auth = disk.encryption = None  # of the image that was there before
    set_format(disk, format_of(link))


def mirrored(disk: Disk) -> Disk:
    """The disk as it would be with its mirror's images in the drive."""
    assert disk.mirror is not None
    other = copy.copy(disk)
    other.driver = copy.copy(disk.driver) if disk.driver is not None else DiskDriver(name="qemu")
    _become(other, disk.mirror)
    return other


def pivot_to(guest: Guest, disk: Disk, *, inherits: bool) -> list[Image]:
    """The copy is the disk's image from now on.

    :param inherits: what is below the old image is below the copy.
    """
    assert disk.mirror is not None
    old = disk_images(guest, disk)
    below = disk.backing_store
    _become(disk, disk.mirror)
    if inherits:
        disk.backing_store = below
    disk.mirror = None
    return old[:1] if inherits else old


def described(images: list[Image]) -> ImageDescription | None:
    """Images of a chain as a status file tells them, with the names of their nodes and secrets."""
    below: BackingStore | None = None
    for image in reversed(images):
        source = copy.copy(image.source)
        source.private_data = _names(image)
        kind = source_type(source)
        if image is images[0]:
            return ImageDescription(type=kind, format=image.format, source=source, backing_store=below)
        below = BackingStore(type=kind, format=BackingFormat(type=image.format), source=source, backing_store=below)
    return None


def _names(image: Image) -> SourcePrivate:
    nodes = [NodeName(type="storage", name=image.nodes.storage), NodeName(type="format", name=image.nodes.format)]
    if image.slice is not None:
        nodes.append(NodeName(type="slice-storage", name=image.nodes.slice))
    named = [("auth", image.auth_secret), ("httpcookie", image.cookie_secret)]
    named += [("encryption", name) for name in image.encryption_secrets]
    return SourcePrivate(
        nodes=nodes,
        secrets=[QemuSecret(type=kind, alias=name) for kind, name in named if name is not None],
        tls=image.tls,
        reservations=image.reservations,
    )


def undescribed(guest: Guest, told: ImageDescription | None) -> list[Image]:
    """The images that :func:`described` has told."""
    if told is None:
        return []
    disk = Disk(source=told.source, driver=DiskDriver(type=told.format), backing_store=told.backing_store)
    return disk_images(guest, disk)


def without_indexes(source: Source) -> Source:
    """A copy of a source for a definition: without what belongs to the running guest."""
    found = copy.deepcopy(source)
    found.index = found.private_data = None
    if found.data_store is not None and found.data_store.source is not None:
        found.data_store.source.index = found.data_store.source.private_data = None
    return found
