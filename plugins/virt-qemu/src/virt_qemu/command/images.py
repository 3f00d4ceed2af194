"""Images on the command line: their nodes and the objects these refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.layers import image_layers
from virt_qemu.block.objects import image_objects
from virt_qemu.command.line import NULL, Builder, unsupported
from virtcore.model.storage.source import FileSource, VhostVDPASource

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virtcore.model.storage.source import Source

__all__ = ["add_image"]


def add_image(builder: Builder, image: Image) -> None:
    """One image of a chain, with its data file; the one below is there already."""
    if image.data_file is not None:
        add_image(builder, image.data_file)
    _refuse_unsupported(image.source)
    for each in image_objects(image, builder.secret_value, builder.sealed_object, builder.host.image_tls):
        builder.object(each)
    for layer in image_layers(image):
        builder.json("-blockdev", {key: NULL if value is None else value for key, value in layer.items()})


def _refuse_unsupported(source: Source) -> None:
    """Refuse what needs objects that are not made yet."""
    if isinstance(source, FileSource) and source.fdgroup is not None:
        raise unsupported("an image on passed descriptors")
    if isinstance(source, VhostVDPASource):
        raise unsupported("an image on a vDPA device")
