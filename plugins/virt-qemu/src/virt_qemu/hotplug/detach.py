"""How devices leave a running guest.

The guest is asked, and what it does takes time: QEMU tells when a device has gone, and then what is behind it goes by
the plan by which it would come, backwards. Whoever detached a device waits for that some seconds; after that the event
finishes it (:mod:`virt_qemu.hotplug.state`).
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from virt_qemu.hotplug.find import find
from virt_qemu.hotplug.leave import finish
from virt_qemu.monitor import CommandError
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, remove
from virtcore.errors import InternalError, OperationFailed
from virtcore.model.domain.address import PCIAddress, UnassignedAddress
from virtcore.model.domain.chardev import Channel, GuestForwardTarget
from virtcore.model.domain.controller import PCIController
from virtcore.model.domain.input import EvdevInputSource, Input
from virtcore.model.domain.rules.device_list import iterate_devices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virt_qemu.hotplug.session import Session

__all__ = ["REJECTED", "expecting", "has_gone", "unplug"]

REJECTED = "unplug of device was rejected by the guest"


async def unplug(session: Session, wanted: LoadedDevice, *, wait: bool = True) -> bool:
    """Let a device leave a guest (``qemuDomainDetachDeviceLive``).

    :param wanted: what describes it, or itself.
    :param wait: see whether the guest lets go of it; otherwise it was only asked.
    :returns: whether it has gone; where not, its event is still to come.
    :raises VirtError: it cannot leave, or the guest keeps it.
    """
    found = find(session, wanted)
    device = found.device
    if found.kind == "lease":
        await session.host.release(session.guest, session.domain, device)
        remove(session.domain, found)
        session.obj.touch()
        return True
    if found.alias is None:
        raise InternalError(f"Cannot detach {found.kind} device with no alias")
    if _has_no_frontend(device):
        await finish(session, found)
        return True
    if found.kind != "chr":
        _check_slot(session, found)
    with expecting(session, found.alias) as gone:
        try:
            await session.monitor.execute("device_del", {"id": found.alias})
        except CommandError as error:
            if gone.done() and gone.result():
                pass  # it went while we asked
            elif error.error_class != "DeviceNotFound":
                raise
            else:
                gone.cancel()
                await finish(session, found)
                return True
        if not wait or not await has_gone(gone, session.unplug_limit):
            return False
    await finish(session, found)
    return True


@contextmanager
def expecting(session: Session, alias: str) -> Iterator[asyncio.Future[bool]]:
    """What tells whether a device has gone, or the guest keeps it; meanwhile nobody else deals with its event."""
    unplugging = session.guest.unplugging
    gone = unplugging[alias] = asyncio.get_running_loop().create_future()
    try:
        yield gone
    finally:
        if unplugging.get(alias) is gone:
            del unplugging[alias]
        gone.cancel()


async def has_gone(gone: asyncio.Future[bool], limit: float) -> bool:
    """Wait for the guest to let go.

    :raises OperationFailed: it keeps the device.
    """
    await asyncio.wait((gone,), timeout=limit)
    if not gone.done():
        return False
    if not gone.result():
        raise OperationFailed(REJECTED)
    return True


def _has_no_frontend(device: Any) -> bool:
    """Whether a device is none to QEMU: it goes when we say so."""
    if isinstance(device, Channel):
        return isinstance(device.target, GuestForwardTarget)
    if isinstance(device, Input):
        return isinstance(device.source, EvdevInputSource)
    return isinstance(getattr(device, "address", None), UnassignedAddress)


def _check_slot(session: Session, found: LoadedDevice) -> None:
    """Refuse what shares its slot, or sits in one that guests cannot let go of."""
    address = found.device.address
    if not isinstance(address, PCIAddress):
        return
    where = f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0}"
    for other in iterate_devices(session.domain):
        place = getattr(other, "address", None)
        if isinstance(place, PCIAddress) and other is not found.device and _slot(place) == _slot(address):
            raise OperationFailed(
                f"cannot hot unplug {found.kind} device with multifunction PCI guest address: {where}"
            )
    what = f"cannot hot unplug {found.kind} device with PCI guest address: {where}"
    for controller in session.devices.controllers:
        if isinstance(controller, PCIController) and (controller.index or 0) == (address.bus or 0):
            if controller.target is not None and controller.target.hotplug is False:
                raise OperationFailed(f"{what} - not allowed by controller")
            return
    raise OperationFailed(f"{what} - controller not found")


def _slot(address: PCIAddress) -> tuple[int, int, int]:
    return address.domain or 0, address.bus or 0, address.slot or 0
