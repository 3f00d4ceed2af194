"""One device joins a running guest: named, placed, prepared on the host, told QEMU, noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.command.images import is_lent
from virt_qemu.foresight import has_become
from virt_qemu.live_status import note_device
from virt_qemu.monitor import JSON
from virt_qemu.rules.addresses import assign_address
from virt_qemu.rules.aliases import assign_alias
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, insert
from virtcore.model.domain.chardev import FileChardev
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.interface import InterfaceType
from virtcore.model.domain.rules.context import ParseFlag
from virtcore.model.domain.rules.device_group_validate import validate_aliases

if TYPE_CHECKING:
    from virt_qemu.hotplug.builder import PlanBuilder
    from virt_qemu.hotplug.plan import Step
    from virt_qemu.hotplug.session import Session

__all__ = ["Add", "count_fdsets", "join", "used_fdsets"]

#: Adds a device to a plan; told the places in the boot order, by ``id()`` of the device.
Add = Callable[["PlanBuilder", Any, dict[int, int]], None]


async def join(session: Session, loaded: LoadedDevice, add: Add, *questions: Step) -> dict[str, JSON]:
    """Let a device join.

    :param add: how it is described.
    :param questions: what QEMU is asked when it has joined.
    :returns: what QEMU answered, by command; a question may be without an answer.
    :raises VirtError: it cannot; the guest and the host are as they were.
    """
    device, guest = loaded.device, session.guest
    joined = session.joined(loaded)
    assign_address(session.domain, joined, device, session.capabilities)
    assign_alias(session.domain, loaded.field, device)
    validate_aliases(joined, session.context(ParseFlag.NONE))
    if _hands_over_files(device):
        await count_fdsets(session)
    with session.host.open() as opened:
        await session.host.prepare(guest, joined, device, opened)
        try:
            builder = session.builder(joined, opened)
            place = getattr(device, "boot_order", None)
            add(builder, device, {id(device): place} if place else {})
            added = builder.plan.added
            answers = await builder.plan.run(session.monitor, questions, lambda: session.foresee(joined, added))
        except BaseException:
            await session.host.release(guest, joined, device)
            raise
    used_fdsets(session, builder)
    insert(session.domain, loaded)
    for alias in added:
        note_device(guest.status, alias)
    has_become(session.obj)
    return answers


def _hands_over_files(device: Any) -> bool:
    """Whether QEMU gets files of a device in sets of descriptors."""
    if isinstance(device, Disk):
        return is_lent(device)
    if getattr(device, "type", None) is InterfaceType.VDPA:
        return True
    source = getattr(device, "source", None)
    return isinstance(source, FileChardev) or getattr(source, "log", None) is not None


def used_fdsets(session: Session, builder: PlanBuilder) -> None:
    """Note which sets of descriptors a plan has used."""
    if session.guest.next_fdset is not None:
        session.guest.next_fdset = session.guest.status.fdset_index = builder.next_set


async def count_fdsets(session: Session) -> None:
    """Find out which sets of descriptors QEMU has: a start numbered some, and others may have come since."""
    guest = session.guest
    if guest.next_fdset is None:
        found = await session.monitor.execute("query-fdsets")
        numbers = [row["fdset-id"] for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        guest.next_fdset = max((number for number in numbers if isinstance(number, int)), default=-1) + 1
