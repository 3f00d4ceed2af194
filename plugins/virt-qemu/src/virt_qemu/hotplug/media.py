"""Another medium for a drive: CD-ROM and floppy drives of running guests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virt_qemu.command.disks import add_drive, is_empty
from virt_qemu.command.images import is_lent, lent_nodes
from virt_qemu.hotplug.disks import refresh_trays
from virt_qemu.hotplug.join import count_fdsets, used_fdsets
from virt_qemu.hotplug.leave import remove_fdsets, steps_behind
from virt_qemu.hotplug.plan import Plan, undo
from virtcore.errors import InternalError, OperationTimeout
from virtcore.model.domain.disk import Disk, DiskDevice, DiskDriver, DiskTray
from virtcore.model.storage.source import FileSource, StorageType

if TYPE_CHECKING:
    from virt_qemu.hotplug.builder import OpenedResources
    from virt_qemu.hotplug.session import Session

__all__ = ["change_medium"]

_EJECT_LIMIT = 5.0
"""Seconds that a guest has to open its tray when it is asked to."""


async def change_medium(session: Session, drive: Disk, new: Disk, *, force: bool) -> None:
    """Put another medium into a drive, or none (``qemuDomainChangeEjectableMedia``).

    :param drive: of the guest.
    :param new: whose source the medium is.
    :param force: the guest is not asked whether it needs the medium.
    :raises VirtError: the guest keeps the tray closed, or QEMU refused; the drive has what it had, or is empty.
    """
    alias = drive.alias
    if alias is None:
        name = drive.target.dev if drive.target is not None else None
        raise InternalError(f"missing disk device alias name for {name}")
    if drive.device not in (DiskDevice.CDROM, DiskDevice.FLOPPY):
        raise InternalError(f"Removable media not supported for {drive.device} device")
    medium = _in_drive(drive, new)
    if is_lent(medium):
        await count_fdsets(session)
    with session.host.open() as opened:
        await session.host.prepare(session.guest, session.domain, medium, opened)
        try:
            plan, node = _plan(session, medium, opened)
        except BaseException:
            await session.host.release(session.guest, session.domain, medium)
            raise
        await _exchange(session, drive, medium, plan, node, force=force)
    await session.monitor.execute("blockdev-close-tray", {"id": alias})
    if drive.target is not None:
        drive.target.tray = None
    session.obj.touch()


async def _exchange(session: Session, drive: Disk, medium: Disk, plan: Plan, node: str | None, *, force: bool) -> None:
    """Take out what is in a drive, and put a medium in."""
    alias = drive.alias or ""
    try:
        old = [] if is_empty(drive.source) else steps_behind(session, "disk", drive)
        await _open_tray(session, drive, alias, force)
        await session.monitor.execute("blockdev-remove-medium", {"id": alias})
        left = _in_drive(drive, drive)
        await undo(session.monitor, old)
        for left_node in lent_nodes(drive):
            await remove_fdsets(session, left_node)
        _take(drive, None)
        await session.host.release(session.guest, session.domain, left)
        if node is not None:
            await plan.run(session.monitor)
            try:
                await session.monitor.execute("blockdev-insert-medium", {"id": alias, "node-name": node})
            except BaseException:
                await undo(session.monitor, plan.backend)
                raise
        _take(drive, medium)
    except BaseException:
        await session.host.release(session.guest, session.domain, medium)
        raise
    finally:
        session.obj.touch()


def _in_drive(drive: Disk, new: Disk) -> Disk:
    """The drive with another medium in it."""
    import copy

    changed = copy.deepcopy(drive)
    changed.type, changed.source, changed.backing_store = new.type, new.source, new.backing_store
    changed.auth, changed.encryption = new.auth, new.encryption
    if new.driver is not None and new.driver.type is not None:
        changed.driver = changed.driver or DiskDriver()
        changed.driver.type = new.driver.type
    return changed


def _take(drive: Disk, medium: Disk | None) -> None:
    """The drive holds another medium now, or none: then nothing is known of its format."""
    if medium is None:
        drive.source = drive.backing_store = drive.auth = drive.encryption = None
        if drive.driver is not None:
            drive.driver.type = None
        return
    drive.type, drive.source, drive.backing_store = medium.type, medium.source, medium.backing_store
    drive.auth, drive.encryption, drive.driver = medium.auth, medium.encryption, medium.driver


def _plan(session: Session, medium: Disk, opened: OpenedResources) -> tuple[Plan, str | None]:
    """What adds a medium, and the node that the drive gets; None for no medium."""
    if is_empty(medium.source):
        # It has a number, too; no node is named by that.
        medium.type, medium.source = StorageType.FILE, FileSource(index=session.guest.node_index)
        return Plan(), None
    builder = session.builder(session.domain, opened)
    node = add_drive(builder, medium)
    used_fdsets(session, builder)
    return builder.plan, node


async def _open_tray(session: Session, drive: Disk, alias: str, force: bool) -> None:
    """Open the tray, if the drive has one that is closed.

    :raises OperationTimeout: the guest keeps it closed.
    """
    trays = await refresh_trays(session)
    if trays.get(alias) is not False:
        return  # it is open, or there is none
    with session.monitor.events("DEVICE_TRAY_MOVED") as moved:
        await session.monitor.execute("blockdev-open-tray", {"id": alias, "force": force})
        end = time.monotonic() + _EJECT_LIMIT
        while True:
            event = await moved.next(max(0.0, end - time.monotonic()))
            if event is None:
                raise OperationTimeout(
                    f"timed out waiting to open tray of '{drive.target.dev if drive.target is not None else ''}'"
                )
            if event.data.get("id") == alias and event.data.get("tray-open"):
                break
    if drive.target is not None:
        drive.target.tray = DiskTray.OPEN
