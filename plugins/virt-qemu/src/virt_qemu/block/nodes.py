"""Images of a running QEMU: their nodes and objects come and go together, or not at all.

An image comes from the bottom up (the objects, the storage, the format) and goes from the top down.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from virt_qemu.block.layers import image_layers
from virt_qemu.block.objects import image_objects
from virt_qemu.monitor import JSON
from virt_qemu.sealing import secret_object
from virtcore.errors import ConfigUnsupported, VirtError

if TYPE_CHECKING:
    from collections.abc import Callable

    from virt_qemu.block.image import Image
    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import Monitor
    from virtcore.model.storage.secret import SecretReference
    from virtcore.model.storage.source import NetProtocol

__all__ = ["Attaching", "detach_chain"]

log = logging.getLogger(__name__)


class Attaching:
    """Nodes and objects that were added for something that is not yet certain: those of a context that is left by an
    exception are removed again, the last one first.

    :param guest: whose QEMU gets them.
    :param lookup: the value of a secret the host keeps.
    :param tls: how the host reaches servers of images.
    """

    def __init__(
        self,
        guest: Guest,
        lookup: Callable[[SecretReference], bytes] | None = None,
        tls: Mapping[NetProtocol, ImageTLS] | None = None,
    ) -> None:
        self._guest = guest
        self._lookup = lookup or _no_secret
        self._tls = tls or {}
        self._undo: list[tuple[str, dict[str, JSON]]] = []

    async def __aenter__(self) -> Attaching:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self.undo()

    async def undo(self) -> None:
        """Remove what was added so far. What cannot be removed is logged and stays."""
        monitor = self._guest.monitor
        while self._undo and monitor is not None and monitor.connected:
            command, arguments = self._undo.pop()
            await _quietly(monitor, command, arguments)

    async def add_object(self, props: Mapping[str, object]) -> None:
        """``object-add``."""
        await self._guest.channel().execute("object-add", _json(props))
        self._undo.append(("object-del", {"id": str(props["id"])}))

    async def add_node(self, props: Mapping[str, object]) -> None:
        """``blockdev-add``."""
        await self._guest.channel().execute("blockdev-add", _json(props))
        self._undo.append(("blockdev-del", {"node-name": str(props["node-name"])}))

    async def add_image(self, image: Image) -> None:
        """One image; the image below is there already."""
        await self.add_storage(image)
        await self.add_format(image)

    async def add_storage(self, image: Image) -> None:
        """An image's data file, its objects and the nodes of its bytes: all but its format."""
        if image.data_file is not None:
            await self.add_image(image.data_file)
        await self._guest.admit(image.source)
        key = self._guest.master_key
        objects = image_objects(image, self._lookup, lambda name, value: secret_object(key(), name, value), self._tls)
        for each in objects:
            await self.add_object(each)
        layers = image_layers(image)
        for layer in layers[:-1] if image.has_format_layer else layers:
            await self.add_node(layer)

    async def make_way(self, image: Image) -> None:
        """Let the guest's QEMU make an image where only we may."""
        await self._guest.admit(image.source, new=True)

    async def add_format(self, image: Image) -> None:
        """The node that interprets an image's bytes, where it has one."""
        if image.has_format_layer:
            await self.add_node(image_layers(image)[-1])


def _no_secret(reference: SecretReference) -> bytes:
    raise ConfigUnsupported("a secret is not available here")


def _json(props: Mapping[str, object]) -> dict[str, JSON]:
    return dict(props)  # type: ignore[arg-type]  # they are made of what JSON has


def _object_ids(image: Image) -> list[str]:
    """Ids of the objects that belong to an image, those that others refer to last."""
    reservations = image.source.reservations
    own = image.reservations if reservations is not None and not reservations.managed else None
    ids = [*image.encryption_secrets, image.auth_secret, image.cookie_secret, image.tls, image.tls_secret, own]
    return [each for each in ids if each is not None]


async def _detach_image(guest: Guest, image: Image) -> None:
    """Remove one image that nothing uses any more. What QEMU does not have, or does not let go, is logged."""
    monitor = guest.monitor
    if monitor is None or not monitor.connected:
        return
    nodes: list[str] = []
    if image.has_format_layer:
        nodes.append(image.nodes.format)
    if image.slice is not None:
        nodes.append(image.nodes.slice)
    nodes.append(image.nodes.storage)
    for node in nodes:
        await _quietly(monitor, "blockdev-del", {"node-name": node})
    for name in _object_ids(image):
        await _quietly(monitor, "object-del", {"id": name})
    if image.data_file is not None:
        await _detach_image(guest, image.data_file)


async def detach_chain(guest: Guest, images: Iterable[Image]) -> None:
    """Remove images that nothing uses any more, the top one first (:meth:`Image.chain`)."""
    for image in images:
        await _detach_image(guest, image)


async def _quietly(monitor: Monitor, command: str, arguments: dict[str, JSON]) -> None:
    try:
        await monitor.execute(command, arguments)
    except VirtError as error:
        log.warning("%s: %s", monitor.name, error)
