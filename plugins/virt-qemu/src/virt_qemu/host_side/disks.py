"""Disks: controllers of NVMe that leave the host, programs that serve images, helpers for reservations, overlays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.tools import tool
from virt_qemu.block.image import MANAGED_HELPER
from virt_qemu.host_side.hostdevs import prepare_nvme, release_nvme
from virt_qemu.host_side.nbdkit import serve_images, stop_serving
from virtcore.errors import ConfigUnsupported, InternalError, OperationUnsupported
from virtcore.model.domain.disk import BackingFormat, BackingStore, DiskDriver
from virtcore.model.storage.location import source_type
from virtcore.model.storage.source import FileSource, StorageFormat, StorageType

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.disk import Disk

__all__ = ["prepare", "release"]

_CREATE_LIMIT = 60.0
"""Seconds that making an overlay may take."""


async def prepare(side: HostSide, owner: Owner, disk: Disk, resources: HostResources) -> None:
    """Make what a disk needs.

    :raises VirtError: it cannot be had.
    """
    await prepare_nvme(side, owner, disk)
    await serve_images(side, owner, disk)
    if _is_reserved(disk):
        await _start_helper(side, owner)
    if disk.transient is not None:
        await _put_overlay(owner, disk)


async def release(side: HostSide, owner: Owner, disk: Disk) -> None:
    """Undo what was made for a disk."""
    await release_nvme(side, owner, disk)
    await stop_serving(side, owner, disk)
    if _is_reserved(disk):
        others = owner.domain.devices.disks if owner.domain is not None and owner.domain.devices is not None else []
        # Of a guest that has ended, every disk is released in turn: the helper goes with the first.
        if not owner.folder.exists() or not any(_is_reserved(one) for one in others if one.alias != disk.alias):
            await side.programs.stop(owner, MANAGED_HELPER)
            side.remove_file(_helper_socket(owner))
    overlay = disk.source.file if disk.transient is not None and isinstance(disk.source, FileSource) else None
    if overlay is not None and overlay.endswith(_suffix(owner)):
        side.remove_file(overlay)


# ---------------------------------------------------------------------------------------------- persistent reservations


def _is_reserved(disk: Disk) -> bool:
    """Whether our helper makes reservations for a disk."""
    reservations = disk.source.reservations if disk.source is not None else None
    return reservations is not None and bool(reservations.managed)


def _helper_socket(owner: Owner) -> str:
    return str(owner.folder / f"{MANAGED_HELPER}.sock")


async def _start_helper(side: HostSide, owner: Owner) -> None:
    """Start the helper, one for all disks of a guest. It keeps our rights: that is what it is for."""
    if side.programs.find(owner, MANAGED_HELPER) is not None:
        return
    socket = _helper_socket(owner)
    program = tool(side.settings.pr_helper)
    await side.programs.start(owner, MANAGED_HELPER, [program, "-k", socket], socket=socket)
    side.hand_over(owner, socket)


# ------------------------------------------------------------------------------------------ overlays


def _suffix(owner: Owner) -> str:
    return f".TRANSIENT-{owner.name}"


async def _put_overlay(owner: Owner, disk: Disk) -> None:
    """Let a disk's changes go into an overlay.

    :raises OperationUnsupported: there is one already.
    :raises InternalError: it cannot be made.
    """
    source = disk.source
    if not isinstance(source, FileSource) or source.file is None:
        raise ConfigUnsupported("transient disk only supports 'file' type disks")
    overlay = f"{source.file}{_suffix(owner)}"
    if os.path.exists(overlay):
        target = disk.target.dev if disk.target is not None else ""
        raise OperationUnsupported(f"Overlay file '{overlay}' for transient disk '{target}' already exists")
    kind = disk.driver.type if disk.driver is not None else None
    format_ = kind or StorageFormat.RAW
    argv = [tool("qemu-img"), "create", "-f", "qcow2", "-F", str(format_), "-b", source.file, overlay]
    finished = await finish_program(argv, limit=_CREATE_LIMIT)
    if finished.status:
        raise InternalError(f"cannot make '{overlay}': {finished.errors.strip()}")
    disk.backing_store = BackingStore(
        type=source_type(source),
        format=BackingFormat(type=format_),
        source=source,
        backing_store=disk.backing_store if disk.backing_store is not None else BackingStore(),
    )
    disk.type, disk.source = StorageType.FILE, FileSource(file=overlay)
    disk.driver = disk.driver if disk.driver is not None else DiskDriver()
    disk.driver.type = StorageFormat.QCOW2
