"""Checkpoints: from each on, a dirty bitmap in the images of every disk records what the guest writes.

All bitmaps record, whichever checkpoint came later: one is removed without touching another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import (
    Action,
    actions_for_backup,
    actions_for_removal,
    add_bitmap,
    is_valid,
    remove_bitmap,
)
from virt_qemu.block.chain import format_of
from virt_qemu.block.running import NamedNodes, disk_images, reopen, transaction
from virt_qemu.blockjobs.state import BlockJobState, check_block_job
from virt_qemu.guest import guest_of
from virtcore.driver.toolkit.configuration.disks import find_disk
from virtcore.driver.toolkit.moment_state import MomentState
from virtcore.enums.checkpoint import DomainCheckpointCreateFlags
from virtcore.errors import CheckpointInconsistent, ConfigUnsupported, OperationUnsupported
from virtcore.model.checkpoint import CheckpointType
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_qemu.block.image import Image
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.checkpoint import Checkpoint, CheckpointDisk
    from virtcore.model.domain.disk import Disk
    from virtcore.types import DomainCheckpointRef

__all__ = ["CheckpointState", "recording"]

#: Sums up what has changed since a checkpoint, for as long as it takes to look.
_MEASURED = "libvirt-tmp-size-xml"


def _recorded(obj: DomainObject, checkpoint: Checkpoint) -> Iterator[tuple[CheckpointDisk, Disk]]:
    """The disks of a checkpoint that changes are recorded of and that the guest has."""
    assert obj.live is not None
    for entry in checkpoint.disks:
        disk = find_disk(obj.live, entry.name)
        if entry.type is CheckpointType.BITMAP and disk is not None:
            yield entry, disk


def recording(obj: DomainObject, checkpoint: Checkpoint) -> list[Action]:
    """What begins to record for a checkpoint.

    :raises ConfigUnsupported: a disk cannot record.
    """
    guest = guest_of(obj)
    actions: list[Action] = []
    for entry, disk in _recorded(obj, checkpoint):
        if entry.bitmap != checkpoint.name:
            raise ConfigUnsupported(f"bitmap for disk '{entry.name}' must match checkpoint name '{checkpoint.name}'")
        format = format_of(disk)
        if format is not StorageFormat.QCOW2:
            raise ConfigUnsupported(f"checkpoint for disk {entry.name} unsupported for storage type {format}")
        check_block_job(disk)
        actions.append(add_bitmap(disk_images(guest, disk)[0].top(), entry.bitmap, persistent=True))
    return actions


class CheckpointState(BlockJobState, MomentState):
    """Checkpoints of QEMU guests."""

    async def create_checkpoint(self, obj: DomainObject, xml: str, flags: int = 0) -> DomainCheckpointRef:
        if not flags & DomainCheckpointCreateFlags.REDEFINE and not obj.active:
            raise OperationUnsupported("cannot create checkpoint for inactive domain")
        return await super().create_checkpoint(obj, xml, flags)

    async def take_checkpoint(
        self, obj: DomainObject, checkpoint: Checkpoint, flags: DomainCheckpointCreateFlags
    ) -> None:
        await transaction(guest_of(obj).channel(), recording(obj, checkpoint))

    async def check_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        guest = guest_of(obj)
        bitmaps = (await NamedNodes.ask(guest.channel())).bitmaps
        for entry, disk in _recorded(obj, checkpoint):
            nodes = [image.top() for image in disk_images(guest, disk)]
            if not is_valid(bitmaps, nodes, checkpoint.name or ""):
                raise CheckpointInconsistent(f"missing or broken bitmap '{checkpoint.name}' for disk '{entry.name}'")

    async def discard_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        if not obj.active:
            raise OperationUnsupported("cannot remove checkpoint from inactive domain")
        guest = guest_of(obj)
        monitor = guest.channel()
        bitmaps = (await NamedNodes.ask(monitor)).bitmaps
        actions: list[Action] = []
        writable: list[Image] = []
        for entry, disk in _recorded(obj, checkpoint):
            images = {image.top(): image for image in disk_images(guest, disk)}
            found, below = actions_for_removal(bitmaps, list(images), entry.bitmap or "", entry.name)
            actions += found
            writable += [images[node] for node in below]
        opened: list[Image] = []
        try:
            for image in writable:
                await reopen(monitor, image, readonly=False)
                opened.append(image)
            await transaction(monitor, actions)
        finally:
            for image in reversed(opened):
                if monitor.connected:
                    await reopen(monitor, image, readonly=True)

    async def measure_checkpoint(self, obj: DomainObject, checkpoint: Checkpoint) -> None:
        guest = guest_of(obj)
        monitor = guest.channel()
        before = (await NamedNodes.ask(monitor)).bitmaps
        wanted: list[tuple[CheckpointDisk, str]] = []
        stale: list[Action] = []
        actions: list[Action] = []
        for entry, disk in _recorded(obj, checkpoint):
            nodes = [image.top() for image in disk_images(guest, disk)]
            entry.size = None
            if not is_valid(before, nodes, checkpoint.name or ""):
                continue
            if _MEASURED in before.get(nodes[0], {}):
                stale.append(remove_bitmap(nodes[0], _MEASURED))
            actions += actions_for_backup(before, nodes, checkpoint.name or "", nodes[0], _MEASURED, entry.name)
            wanted.append((entry, nodes[0]))
        await transaction(monitor, stale)
        await transaction(monitor, actions)
        try:
            after = (await NamedNodes.ask(monitor)).bitmaps
            for entry, node in wanted:
                entry.size = after[node][_MEASURED].dirty
        finally:
            if monitor.connected:
                await transaction(monitor, [remove_bitmap(node, _MEASURED) for _, node in wanted])
