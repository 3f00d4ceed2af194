"""Which image of a chain a user means: by target and number, by path, or by the path in the image above."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.chain import Link, images_of
from virt_qemu.block.running import disk_images
from virtcore.errors import InvalidArg, OperationInvalid, OverflowDetected
from virtcore.model.domain.disk import BackingStore
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import BlockSource, FileSource

if TYPE_CHECKING:
    from virt_qemu.block.image import Image
    from virt_qemu.guest import Guest
    from virtcore.model.domain.disk import Disk

__all__ = ["Chain", "bytes_per_second"]

_INDEXED = re.compile(r"(?P<target>[^\[\]]+)\[(?P<index>\d+)\]")


class Chain(NamedTuple):
    """The images of a disk, the top one first.

    :ivar links: where they stand in the configuration.
    :ivar images: what QEMU calls them.
    """

    disk: Disk
    links: list[Link]
    images: list[Image]

    @classmethod
    def of(cls, guest: Guest, disk: Disk) -> Chain:
        """The chain of a running guest's disk."""
        return cls(disk, list(images_of(disk)), disk_images(guest, disk))

    @property
    def target(self) -> str:
        """The disk's name within the guest."""
        assert self.disk.target is not None
        return self.disk.target.dev or ""

    @property
    def nodes(self) -> list[str]:
        """The nodes by which the images are used."""
        return [image.top() for image in self.images]

    def path(self, place: int) -> str:
        """Path of an image, as messages have it."""
        return source_path(self.links[place].source) or ""

    def find(self, name: str, below: int | None = None) -> int:
        """Place of the image of a name.

        :param below: only images below that one.
        :raises InvalidArg: there is none.
        """
        first = 0 if below is None else below + 1
        indexed = _INDEXED.fullmatch(name)
        if indexed is not None:
            if indexed["target"] != self.target:
                raise InvalidArg(f"requested target '{indexed['target']}' does not match target '{self.target}'")
            for place in range(first, len(self.links)):
                link = self.links[place]
                source = link.source
                assert source is not None
                number = link.index if isinstance(link, BackingStore) and link.index else source.index
                if number == int(indexed["index"]):
                    return place
            raise InvalidArg(f"could not find backing store index '{indexed['index']}' in chain for '{self.target}'")
        for place in range(first, len(self.links)):
            if self._named(place, name):
                return place
        if below is not None:
            raise InvalidArg(f"could not find image '{name}' beneath '{self.path(below)}' in chain for '{self.target}'")
        raise InvalidArg(f"could not find image '{name}' in chain for '{self.target}'")

    def _named(self, place: int, name: str) -> bool:
        source = self.links[place].source
        path = source_path(source)
        if path == name:
            return True
        if path is None or not isinstance(source, FileSource | BlockSource):
            return False
        if os.path.isabs(name):
            return _same_file(name, path)
        above = self.links[place - 1].source if place else None
        # As a relative name in the header of the image above.
        folder = os.path.dirname(above.file or "") if isinstance(above, FileSource) else None
        return folder is not None and _same_file(os.path.join(folder, name), path)

    def relative(self, top: int, base: int) -> str:
        """The name of an image that an image above is to have, relative to that one's folder.

        :raises OperationInvalid: it is not named so now, and therefore cannot be then.
        """
        parts = []
        for place in range(top, base):
            above, below = self.links[place].source, self.links[place + 1].source
            spelled = _spelled_below(above)
            if spelled is None or not isinstance(below, FileSource):
                raise OperationInvalid("can't keep relative backing relationship")
            parts.append(spelled)
        result = parts[0]
        for part in parts[1:]:
            result = os.path.join(os.path.dirname(result), part)
        return result


def _same_file(one: str, other: str) -> bool:
    """Whether two names are of one file, however they are spelled."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _spelled_below(source: object) -> str | None:
    """How an image names the one below, where that is relative to its folder."""
    from virt_host.storage.chain import read_chain
    from virtcore.model.storage.source import StorageFormat

    if not isinstance(source, FileSource):
        return None
    found = read_chain(FileSource(file=source.file), StorageFormat.QCOW2)
    return found.backing.relative if found.backing is not None else None


def bytes_per_second(bandwidth: int, in_bytes: bool) -> int:
    """A bandwidth as QEMU takes it.

    :param in_bytes: it is in bytes a second already, not in MiB.
    :raises OverflowDetected: it is too high.
    """
    most = (1 << 63) - 1 if in_bytes else ((1 << 63) - 1) >> 20
    if bandwidth > most:
        raise OverflowDetected(f"bandwidth must be less than {most}")
    return bandwidth if in_bytes else bandwidth << 20
