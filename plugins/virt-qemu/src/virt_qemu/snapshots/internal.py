"""Snapshots inside images: qemu-img on images that nobody uses, jobs of the QEMU that uses them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_qemu.block.chain import format_of
from virt_qemu.block.running import NamedNodes, disk_images, run_job
from virt_qemu.programs import find_qemu_img, run_program
from virtcore.errors import OperationFailed, OperationInvalid, VirtError
from virtcore.model.domain.disk import DiskDevice, SnapshotLocation
from virtcore.model.domain.os import LoaderType
from virtcore.model.moment import disks_of
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import StorageFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_qemu.guest import Guest
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.snapshot import Snapshot

__all__ = ["delete_inside", "load_inside", "save_inside", "snapshot_images"]

log = logging.getLogger(__name__)

_VARIABLES = "libvirt-pflash1-format"
"""The node of the firmware's variables."""


def _inside(domain: Domain, snapshot: Snapshot) -> Iterator[Disk]:
    """The disks of a domain that a snapshot saved in their images."""
    saved = {entry.name for entry in snapshot.disks if entry.snapshot is SnapshotLocation.INTERNAL}
    for disk in disks_of(domain):
        if disk.device in (None, DiskDevice.DISK) and disk.target is not None and disk.target.dev in saved:
            yield disk


async def snapshot_images(domain: Domain, snapshot: Snapshot, option: str, *, go_on: bool) -> None:
    """Create (``-c``), apply (``-a``) or delete (``-d``) a snapshot in the images of a domain that does not run.

    :param go_on: do what can be done, and tell of the rest in the log; else what was created is deleted again.
    :raises OperationInvalid: an image cannot hold snapshots.
    :raises InternalError: qemu-img failed.
    """
    program = find_qemu_img()
    name = snapshot.name or ""
    done: list[str] = []
    try:
        for disk in _inside(domain, snapshot):
            target = disk.target.dev if disk.target is not None else ""
            if format_of(disk) is not StorageFormat.QCOW2:
                if go_on:
                    log.warning("skipping snapshot action on %s", target)
                    continue
                raise OperationInvalid(f"Disk device '{target}' does not support snapshotting")
            path = source_path(disk.source) or ""
            try:
                await run_program([program, "snapshot", option, name, path])
            except VirtError as error:
                if not go_on:
                    raise
                log.warning("skipping snapshot action on %s: %s", target, error)
                continue
            done.append(path)
    except BaseException:
        if option == "-c":
            for path in done:
                await run_program([program, "snapshot", "-d", name, path])
        raise


def _nodes(guest: Guest, snapshot: Snapshot) -> list[str]:
    """The nodes of the images that a snapshot of a running guest is in; the firmware's variables come last."""
    nodes = [disk_images(guest, disk)[0].top() for disk in _inside(guest.status.domain, snapshot)]
    os_ = guest.status.domain.os
    in_flash = os_ is not None and os_.loader is not None and os_.loader.type is LoaderType.PFLASH
    if in_flash and os_ is not None and os_.nvram is not None and os_.nvram.format is StorageFormat.QCOW2:
        nodes.append(_VARIABLES)
    return nodes


async def save_inside(guest: Guest, snapshot: Snapshot) -> None:
    """Save memory and disks of a running guest in its images; the memory in the first one's.

    :raises OperationFailed: QEMU could not.
    """
    nodes = _nodes(guest, snapshot)
    arguments: dict[str, object] = {"tag": snapshot.name, "vmstate": nodes[0], "devices": nodes}
    await run_job(guest.channel(), f"snapshot-save-{snapshot.name}", "snapshot-save", arguments)


async def load_inside(guest: Guest, snapshot: Snapshot) -> None:
    """Bring a guest that stands still to what :func:`save_inside` saved.

    :raises OperationFailed: QEMU could not.
    """
    known = await NamedNodes.ask(guest.channel())
    nodes = [node for node in _nodes(guest, snapshot) if node != _VARIABLES or _holds(known, node, snapshot.name or "")]
    with_memory = [node for node in nodes if _holds(known, node, snapshot.name or "", memory=True)]
    if not with_memory:
        raise OperationFailed(f"missing memory state of internal snapshot '{snapshot.name}'")
    arguments: dict[str, object] = {"tag": snapshot.name, "vmstate": with_memory[0], "devices": nodes}
    await run_job(guest.channel(), f"snapshot-load-{snapshot.name}", "snapshot-load", arguments)


def _holds(known: NamedNodes, node: str, name: str, *, memory: bool = False) -> bool:
    """Whether an image has a snapshot of a name, with memory where that is wanted."""
    listed = known.image(node).get("snapshots")
    for row in listed if isinstance(listed, list) else ():
        if isinstance(row, dict) and row.get("name") == name:
            return not memory or bool(row.get("vm-state-size"))
    return False


async def delete_inside(guest: Guest, snapshot: Snapshot) -> None:
    """Delete a snapshot from the images of a running guest, where they have it.

    :raises OperationFailed: QEMU could not.
    """
    known = await NamedNodes.ask(guest.channel())
    nodes = [node for node in _nodes(guest, snapshot) if _holds(known, node, snapshot.name or "")]
    if nodes:
        arguments: dict[str, object] = {"tag": snapshot.name, "devices": nodes}
        await run_job(guest.channel(), f"snapshot-delete-{snapshot.name}", "snapshot-delete", arguments)
