"""Bitmaps go with the disks that are copied: what was written since a checkpoint is known at the destination, too."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import Action, actions_for_backup, is_valid, remove_bitmap
from virt_qemu.block.running import NamedNodes, disk_images, transaction
from virt_qemu.migration_cookie import CookieBitmap, CookieBitmapDisk
from virt_qemu.status import TemporaryBitmap
from virtcore.errors import InternalError, VirtError
from virtcore.model.moment import target_of
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virt_qemu.guest import Guest
    from virt_qemu.monitor import JSON
    from virtcore.model.domain.disk import Disk

__all__ = ["bitmaps_to_gather", "bitmaps_to_send", "bitmaps_to_take", "remove_gathered"]

log = logging.getLogger(__name__)


async def bitmaps_to_send(guest: Guest, disks: Sequence[Disk]) -> list[CookieBitmapDisk]:
    """What the source offers: the bitmaps of disks that stand for checkpoints."""
    known = (await NamedNodes.ask(guest.channel())).bitmaps
    found = []
    for disk in disks:
        chain, target = [image.top() for image in disk_images(guest, disk)], target_of(disk)
        names = [name for name in known.get(chain[0], {}) if is_valid(known, chain, name)]
        if names:
            bitmaps = [CookieBitmap(name=name, alias=f"libvirt-{target}-{name}") for name in names]
            found.append(CookieBitmapDisk(target=target, bitmaps=bitmaps))
    return found


async def bitmaps_to_take(
    guest: Guest, disks: Sequence[Disk], offered: Sequence[CookieBitmapDisk]
) -> list[CookieBitmapDisk]:
    """What the destination takes of that: images of qcow2 that can keep bitmaps, and have none of the name yet.

    :param disks: of the guest.
    :raises InternalError: there is no such disk, or QEMU does not know it.
    """
    known = await NamedNodes.ask(guest.channel())
    taken = []
    for each in offered:
        image = disk_images(guest, _disk(disks, each.target))[0]
        node = image.top()
        if node not in known.rows:
            raise InternalError(f"failed to find data for block node '{node}'")
        if image.format is not StorageFormat.QCOW2 or _is_old(known.image(node)):
            continue
        there = known.bitmaps.get(node, {})
        bitmaps = [bitmap for bitmap in each.bitmaps if bitmap.name not in there]
        if bitmaps:
            taken.append(CookieBitmapDisk(target=each.target, bitmaps=bitmaps))
    return taken


async def bitmaps_to_gather(
    guest: Guest, disks: Sequence[Disk], wanted: Sequence[CookieBitmapDisk]
) -> tuple[dict[str, TemporaryBitmap], list[Action]]:
    """What the source has to make before it sends bitmaps of disks whose images become one: a bitmap of all that the
    parts in each image have.

    :param disks: of the guest.
    :returns: by the alias of a bitmap, the one that is sent instead; and the actions that make them.
    :raises InternalError: there is no such disk.
    """
    known = (await NamedNodes.ask(guest.channel())).bitmaps
    instead: dict[str, TemporaryBitmap] = {}
    actions: list[Action] = []
    for each in wanted:
        chain = [image.top() for image in disk_images(guest, _disk(disks, each.target))]
        for bitmap in each.bitmaps if len(chain) > 1 else ():
            own = TemporaryBitmap(name=f"libvirt-migration-{bitmap.alias}", node=chain[0])
            instead[bitmap.alias] = own
            actions += actions_for_backup(known, chain, bitmap.name, own.node, own.name, each.target, recording=True)
    return instead, actions


async def remove_gathered(guest: Guest, bitmaps: Sequence[TemporaryBitmap]) -> None:
    """Remove what was made so. What QEMU does not remove is logged."""
    try:
        await transaction(guest.channel(), [remove_bitmap(each.node, each.name) for each in bitmaps])
    except VirtError as error:
        log.warning("bitmaps of a migration that did not succeed are left: %s", error)


def _disk(disks: Sequence[Disk], target: str) -> Disk:
    for disk in disks:
        if target_of(disk) == target:
            return disk
    raise InternalError(f"Can't find disk '{target}' in domain definition")


def _is_old(image: Mapping[str, JSON]) -> bool:
    """Whether an image is of qcow2's second version, which knows no bitmaps."""
    specific = image.get("format-specific")
    data = specific.get("data") if isinstance(specific, dict) else None
    return isinstance(data, dict) and data.get("compat") == "0.10"
