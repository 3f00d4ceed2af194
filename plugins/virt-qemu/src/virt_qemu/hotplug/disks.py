"""Disks that join a running guest, and the controllers they sit on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from virt_qemu.block.image import MANAGED_HELPER
from virt_qemu.command.controllers import add_controller
from virt_qemu.command.disks import add_disk, add_reservations_helper, image_numbers, number_images, settle_cache
from virt_qemu.disks.throttling import joining_limits
from virt_qemu.hotplug.join import join
from virt_qemu.hotplug.plan import Step
from virt_qemu.private_data import NodeName, SourcePrivate
from virtcore.driver.toolkit.configuration.devices import LoadedDevice
from virtcore.errors import ConfigUnsupported, InternalError, OperationInvalid, OperationUnsupported, VirtError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.controller import SCSIController
from virtcore.model.domain.disk import DiskBus, DiskDevice, DiskTray
from virtcore.model.domain.hostdev import SCSIHostdev
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.model.domain.rules.device_group_validate import validate_duplicate_disks
from virtcore.model.storage.source import ReservationsSource

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.guest import Guest
    from virt_qemu.hotplug.builder import PlanBuilder
    from virt_qemu.hotplug.session import Session
    from virt_qemu.monitor import JSON
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.storage.source import NetProtocol

__all__ = [
    "add_missing_controllers",
    "add_whole_disk",
    "hostdev_number",
    "number_disk",
    "number_hostdev",
    "plug_disk",
    "refresh_trays",
    "reserves",
]

log = logging.getLogger(__name__)


async def plug_disk(session: Session, loaded: LoadedDevice) -> str | None:
    """A disk joins; or a drive that is there gets another medium."""
    from virt_qemu.hotplug.media import change_medium

    disk: Disk = loaded.device
    name = disk.target.dev if disk.target is not None else None
    if disk.device in (DiskDevice.CDROM, DiskDevice.FLOPPY):
        for drive in session.devices.disks:
            if drive.target is not None and drive.target.dev == name:
                await change_medium(session, drive, disk, force=False)
                return drive.alias
    if disk.device is DiskDevice.FLOPPY:
        raise OperationUnsupported("floppy device hotplug isn't supported")
    validate_duplicate_disks(session.joined(loaded), session.context(ParseFlag.NONE))
    bus = disk.target.bus if disk.target is not None else None
    if bus is DiskBus.USB:
        if disk.device is DiskDevice.LUN:
            raise ConfigUnsupported("disk device='lun' is not supported for usb bus")
    elif bus is DiskBus.VIRTIO:
        if disk.device is DiskDevice.CDROM:
            raise OperationUnsupported("cdrom device with virtio bus isn't supported")
    elif bus is DiskBus.SCSI:
        _check_drive(session.domain, disk)
        await add_missing_controllers(session, disk)
    else:
        raise OperationUnsupported(f"disk bus '{bus}' cannot be hotplugged.")
    settle_cache(disk)
    settle_reservations(session, disk)
    add = partial(add_whole_disk, session.domain)
    # On other buses even a disk may be one that can be taken out.
    told = await join(session, loaded, add, *(() if bus is DiskBus.VIRTIO else (_BLOCK,)))
    if _BLOCK.command in told:
        _take_trays(session, told[_BLOCK.command])
        session.obj.touch()
    if disk.iotune is not None:
        try:
            await session.monitor.execute("block_set_io_throttle", joining_limits(disk))
        except VirtError as error:  # the disk is there all the same
            log.warning("domain '%s', disk '%s': %s", session.obj.name, name, error)
    return loaded.alias


def add_whole_disk(others: Domain, builder: PlanBuilder, disk: Disk, boot: dict[int, int]) -> None:
    """A disk, with the guest's helper for reservations if it is the only one that needs it."""
    assert others.devices is not None
    if reserves(disk) and not any(reserves(other) for other in others.devices.disks if other is not disk):
        add_reservations_helper(builder)
    add_disk(builder, disk, boot)


def reserves(disk: Disk) -> bool:
    """Whether a disk uses the guest's own helper for persistent reservations."""
    wanted = disk.source.reservations if disk.source is not None else None
    return wanted is not None and bool(wanted.managed)


def settle_reservations(session: Session, disk: Disk) -> None:
    """Say where the guest's own helper for persistent reservations listens."""
    if reserves(disk):
        assert disk.source is not None
        assert disk.source.reservations is not None
        path = f"{session.guest.folder}/{MANAGED_HELPER}.sock"
        disk.source.reservations.source = ReservationsSource(type="unix", path=path, mode="client")


def number_disk(guest: Guest, domain: Domain, disk: Disk, tls: Mapping[NetProtocol, ImageTLS]) -> None:
    """Number the images in a disk that joins, once it is known which there are: none of the numbers was used before.

    :param tls: how the host reaches servers of images.
    """
    assert domain.devices is not None
    others = (other for other in domain.devices.disks if other is not disk)
    known = [number for other in others for number in image_numbers(other)]
    guest.node_index = number_images(disk, max([guest.node_index, *known]), tls)


# -- SCSI


def _check_drive(domain: Domain, disk: Disk) -> None:
    address = disk.address
    if not isinstance(address, DriveAddress):
        kind = "none" if address is None else type(address).__name__.removesuffix("Address").lower()
        raise InternalError(f"unexpected disk address type {kind}")
    assert domain.devices is not None
    others = [other for other in domain.devices.disks if other.target is not None and other.target.bus is DiskBus.SCSI]
    hostdevs = [other for other in domain.devices.hostdevs if isinstance(other, SCSIHostdev)]
    if any(_place(other.address) == _place(address) for other in (*others, *hostdevs)):
        raise OperationInvalid("Domain already contains a disk with that address")


def _place(address: object) -> tuple[int, ...] | None:
    if not isinstance(address, DriveAddress):
        return None
    return address.controller or 0, address.bus or 0, address.target or 0, address.unit or 0


async def add_missing_controllers(session: Session, device: Any) -> None:
    """Add the SCSI controller a device sits on, and those before it, where they are missing."""
    address = device.address
    last = address.controller or 0 if isinstance(address, DriveAddress) else 0
    for index in range(last + 1):
        present = [one for one in session.devices.controllers if isinstance(one, SCSIController)]
        if any((one.index or 0) == index for one in present):
            continue
        # As those that are there; the first one, as the machine has them.
        controller = SCSIController(index=index, model=present[0].model if present else None)
        session.rules.complete_device(controller, session.domain, session.context(ParseFlag.NONE))
        loaded = LoadedDevice(controller, "controllers", "controller")
        await join(session, loaded, lambda builder, each, boot: add_controller(builder, each))


def number_hostdev(session: Session, device: SCSIHostdev) -> None:
    """Number the node of a SCSI device of the host, and note its name."""
    assert device.source is not None
    node = NodeName(type="storage", name=f"libvirt-{session.guest.next_node()}-backend")
    device.source.private_data = SourcePrivate(nodes=[node])


def hostdev_number(device: SCSIHostdev) -> int:
    """Number of the node of a SCSI device of the host.

    :raises InternalError: it has none.
    """
    known = device.source.private_data if device.source is not None else None
    for node in known.nodes if isinstance(known, SourcePrivate) else ():
        digits = node.name.removeprefix("libvirt-").removesuffix("-backend")
        if digits.isdecimal():
            return int(digits)
    raise InternalError(f"the node of '{device.alias}' is not known")


# -- trays


_BLOCK = Step("query-block")


async def refresh_trays(session: Session) -> dict[str, bool | None]:
    """Note which trays are open; returns that by alias of the drive, None for drives without a tray."""
    return _take_trays(session, await session.monitor.execute(_BLOCK.command))


def _take_trays(session: Session, answer: JSON) -> dict[str, bool | None]:
    trays: dict[str, bool | None] = {}
    for row in answer if isinstance(answer, list) else ():
        if isinstance(row, dict):
            path = str(row.get("qdev") or "").removeprefix("/machine/peripheral/").split("/")[0]
            is_open = row.get("tray_open")
            trays[path] = is_open if isinstance(is_open, bool) else None
    for disk in session.devices.disks:
        is_open = trays.get(disk.alias or "")
        if is_open is not None and disk.target is not None:
            disk.target.tray = DiskTray.OPEN if is_open else None
    return trays
