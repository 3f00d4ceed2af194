"""The text of a status file that will be, made while QEMU is at what it tells: nobody then waits for it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.live_status import note_device, refresh
from virt_qemu.status import DomainStatus, format_status

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["foresee", "has_become", "status_text"]

#: Under which it is kept until something about the guest changes.
_KEPT = "foreseen status"


@dataclass(slots=True)
class _Foreseen:
    status: DomainStatus
    text: str
    is_so: bool = False


def foresee(obj: DomainObject, guest: Guest, domain: Domain, aliases: Iterable[str]) -> None:
    """Make the text of the status that a guest will have.

    :param domain: what it will be.
    :param aliases: of the devices that QEMU will have come to have.
    """
    status = copy.copy(refresh(obj, guest))
    status.domain = domain
    for alias in aliases:
        note_device(status, alias)
    obj.kept[_KEPT] = _Foreseen(status, format_status(status))


def has_become(obj: DomainObject) -> None:
    """A guest has become what was foreseen, if something was. What changes beside, before or after, is not in the text,
    which then is not used."""
    foreseen = obj.kept.get(_KEPT)
    obj.touch()
    if isinstance(foreseen, _Foreseen):
        foreseen.is_so = True
        obj.kept[_KEPT] = foreseen


def status_text(obj: DomainObject, status: DomainStatus) -> str:
    """The text of a status file.

    :param status: as it is now.
    """
    foreseen = obj.kept.pop(_KEPT, None)
    if isinstance(foreseen, _Foreseen) and foreseen.is_so:
        foreseen.status.domain = status.domain  # nobody has touched it since
        if foreseen.status == status:
            return foreseen.text
    return format_status(status)
