"""Images on the command line: their nodes and the objects these refer to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from virt_qemu.block.chain import images_of
from virt_qemu.block.image import disk_image
from virt_qemu.block.layers import image_layers
from virt_qemu.block.objects import image_objects
from virt_qemu.command.line import NULL, Builder
from virt_qemu.lent import group_of
from virtcore.model.storage.source import VhostVDPASource

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virtcore.model.domain.disk import Disk
    from virtcore.model.storage.source import Source

__all__ = ["add_image", "is_lent", "lent_nodes"]


def add_image(builder: Builder, image: Image) -> None:
    """One image of a chain, with its data file; the one below is there already."""
    if image.data_file is not None:
        add_image(builder, image.data_file)
    if isinstance(image.source, VhostVDPASource) and not builder.standalone:
        device = builder.resources.vdpa(image.source.dev)
        image = replace(image, descriptors=builder.fdset((device, f"{image.nodes.storage}-vdpa")))
    group = group_of(image.source)
    if group is not None and not builder.standalone:
        numbers = builder.resources.lent(group)
        names = [f"{image.nodes.storage}-{place}" for place in range(len(numbers))]
        path = builder.fdset(*zip(numbers, names, strict=True))
        image = replace(image, descriptors=path, one_descriptor=len(numbers) == 1)
    for each in image_objects(image, builder.secret_value, builder.sealed_object, builder.host.image_tls):
        builder.object(each)
    for layer in image_layers(image):
        builder.json("-blockdev", {key: NULL if value is None else value for key, value in layer.items()})


def _is_handed_over(source: Source | None) -> bool:
    return group_of(source) is not None or isinstance(source, VhostVDPASource)


def is_lent(disk: Disk) -> bool:
    """Whether images of a disk are reached by descriptors."""
    return any(_is_handed_over(link.source) for link in images_of(disk))


def lent_nodes(disk: Disk) -> list[str]:
    """Names of the storage nodes of those images of a disk."""
    images = disk_image(disk).chain() if is_lent(disk) else ()
    return [image.nodes.storage for image in images if _is_handed_over(image.source)]
