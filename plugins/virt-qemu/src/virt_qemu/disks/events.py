"""What QEMU tells of the storage of disks: it grew past a size that somebody asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.chain import Link, images_of
from virt_qemu.block.running import disk_images
from virt_qemu.events import GuestEvents
from virt_qemu.guest import Guest
from virt_qemu.private_data import SourcePrivate
from virtcore.errors import VirtError
from virtcore.model.storage.location import is_empty, source_path

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virt_qemu.monitor import JSON, Event
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain.disk import Disk

__all__ = ["DiskEvents", "Place", "places"]


class Place(NamedTuple):
    """An image in a drive of a running guest.

    :ivar front: it is the one the guest uses.
    """

    disk: Disk
    link: Link
    image: Image
    front: bool

    @property
    def number(self) -> int:
        """Its number."""
        source = self.link.source
        number = getattr(self.link, "index", None) or (source.index if source is not None else None)
        return number or 0


def places(obj: DomainObject, guest: Guest) -> Iterator[Place]:
    """Every image in a drive of a running guest."""
    devices = obj.live.devices if obj.live is not None else None
    for disk in devices.disks if devices is not None else ():
        if is_empty(disk.source):
            continue
        try:
            images = disk_images(guest, disk)
        except VirtError:
            continue  # one that QEMU has no nodes for
        for link, image in zip(images_of(disk), images, strict=False):
            yield Place(disk, link, image, link is disk)


class DiskEvents(GuestEvents):
    """The part of the driver's state that follows what QEMU tells of disks."""

    def _on_event(self, obj: DomainObject, guest: Guest, event: Event) -> None:
        handler = _HANDLERS.get(event.name)
        if handler is not None and obj.private is guest and guest.ending is None:
            handler(self, obj, guest, event.data)
        super()._on_event(obj, guest, event)

    def on_threshold(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """An image's storage has grown past the size that somebody asked for."""
        from virtcore.operations.events import DomainBlockThresholdEvent

        threshold, excess = data.get("write-threshold"), data.get("amount-exceeded")
        if not isinstance(threshold, int) or not isinstance(excess, int):
            return
        for place in places(obj, guest):
            if data.get("node-name") not in (place.image.nodes.storage, place.image.nodes.format):
                continue
            source, target = place.link.source, place.disk.target
            if source is None or target is None:
                continue
            private = source.private_data
            by_index = isinstance(private, SourcePrivate) and private.threshold_with_index
            path = source_path(source)
            names = [target.dev or ""] if place.front and not by_index else []
            if place.number:
                names.append(f"{target.dev}[{place.number}]")
            for name in names:
                self.events.emit(DomainBlockThresholdEvent(obj.ref, name, path, threshold, excess))
            return


_HANDLERS = {
    "BLOCK_WRITE_THRESHOLD": DiskEvents.on_threshold,
}
