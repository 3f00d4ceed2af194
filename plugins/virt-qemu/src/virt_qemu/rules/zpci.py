"""Identifiers that PCI functions have on s390."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.rules.controllers import addressed_devices
from virtcore.errors import InternalError
from virtcore.model.domain.address import PCIAddress, ZPCIAddress

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["assign_zpci"]

_LAST_UID, _LAST_FID = 0xFFFF, 0xFFFFFFFF
_CHARACTER_DEVICES = ("Serial", "Parallel", "Console", "Channel")


def assign_zpci(domain: Domain) -> None:
    """Give every PCI function its identifiers. Those that have one of the two come first.

    :raises InternalError: one is used twice, or there are no more.
    """
    addresses = [
        device.address
        for device in addressed_devices(domain)
        if isinstance(device.address, PCIAddress) and type(device).__name__ not in _CHARACTER_DEVICES
    ]
    uids: set[int] = set()
    fids: set[int] = set()
    begun = [a for a in addresses if a.zpci is not None and (a.zpci.uid is not None or a.zpci.fid is not None)]
    fresh = [a for a in addresses if all(a is not known for known in begun)]
    for address in [*begun, *fresh]:
        zpci = address.zpci = address.zpci if address.zpci is not None else ZPCIAddress()
        zpci.uid = _take(zpci.uid, uids, 1, _LAST_UID, "uid")
        zpci.fid = _take(zpci.fid, fids, 0, _LAST_FID, "fid")


def _take(wanted: int | None, taken: set[int], first: int, last: int, name: str) -> int:
    if wanted is None:
        wanted = first
        while wanted in taken:
            wanted += 1
        if wanted > last:
            raise InternalError(f"There is no more free {name}.")
    elif wanted in taken:
        # libvirt prints the number in octal.
        raise InternalError(f"zPCI {name} {wanted:o} is already reserved")
    taken.add(wanted)
    return wanted
