"""Images on the command line: their nodes and the objects these refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.layers import image_layers
from virt_qemu.block.storage import cookie_text
from virt_qemu.command.line import NULL, Builder, unsupported
from virtcore.model.storage.source import FileSource, NetworkSource, VhostVDPASource

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virtcore.model.storage.source import Source

__all__ = ["add_image"]


def add_image(builder: Builder, image: Image) -> None:
    """One image of a chain, with its data file; the one below is there already."""
    if image.data_file is not None:
        add_image(builder, image.data_file)
    _refuse_unsupported(image.source)
    _add_objects(builder, image)
    for layer in image_layers(image):
        builder.json("-blockdev", {key: NULL if value is None else value for key, value in layer.items()})


def _refuse_unsupported(source: Source) -> None:
    """Refuse what needs objects that are not made yet."""
    if isinstance(source, FileSource) and source.fdgroup is not None:
        raise unsupported("an image on passed descriptors")
    if isinstance(source, VhostVDPASource):
        raise unsupported("an image on a vDPA device")
    if isinstance(source, NetworkSource) and source.tls:
        raise unsupported("TLS of an image on the network")


def _add_objects(builder: Builder, image: Image) -> None:
    """The helper that makes reservations, and what an image's server, its site and its encryption want to know."""
    wanted = image.source.reservations
    if wanted is not None and not wanted.managed:
        path = wanted.source.path if wanted.source is not None else None
        builder.object({"qom-type": "pr-manager-helper", "id": image.reservations, "path": path})
    if image.auth is not None and image.auth_secret is not None:
        builder.auth_secret(image.auth_secret, image.auth)
    if isinstance(image.source, NetworkSource) and image.cookie_secret is not None:
        builder.sealed(image.cookie_secret, cookie_text(image.source).encode())
    if image.encryption is not None:
        for name, reference in zip(image.encryption_secrets, image.encryption.secrets, strict=True):
            builder.secret(name, reference)
