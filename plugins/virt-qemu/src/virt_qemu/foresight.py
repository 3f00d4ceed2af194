"""The status file that a guest will have, written while QEMU is at what it tells: nobody then waits for it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.live_status import note_device, refresh

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.status import DomainStatus
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.store import Facts, Prepared
    from virtcore.model.domain import Domain

__all__ = ["Foreseen", "future_status", "has_become", "take_foreseen"]

#: Under which it is kept until something about the guest changes.
_KEPT = "foreseen status"


@dataclass(slots=True)
class Foreseen:
    """A status file that may come to be.

    :ivar is_so: what it tells has come about.
    """

    status: DomainStatus
    facts: Facts
    file: Prepared
    is_so: bool = False

    def keep(self, obj: DomainObject) -> None:
        """Keep it until something about the guest changes."""
        obj.kept[_KEPT] = self


def future_status(obj: DomainObject, guest: Guest, domain: Domain, aliases: Iterable[str]) -> DomainStatus:
    """The status that a guest will have.

    :param domain: what it will be.
    :param aliases: of the devices that QEMU will have come to have.
    """
    status = copy.copy(refresh(obj, guest))
    status.domain = domain
    for alias in aliases:
        note_device(status, alias)
    return status


def has_become(obj: DomainObject) -> None:
    """A guest has become what was foreseen, if something was. What changes beside, before or after, is not in the file,
    which then is not used."""
    foreseen = obj.kept.get(_KEPT)
    obj.touch()
    if isinstance(foreseen, Foreseen):
        foreseen.is_so = True
        foreseen.keep(obj)


def take_foreseen(obj: DomainObject, status: DomainStatus, facts: Facts) -> Prepared | None:
    """The file that was written before, if it tells what is so now.

    :param status: as it is now; so are the ``facts``.
    """
    foreseen = obj.kept.pop(_KEPT, None)
    if not isinstance(foreseen, Foreseen) or not foreseen.is_so:
        return None
    foreseen.status.domain = status.domain  # nobody has touched it since
    return foreseen.file if foreseen.status == status and foreseen.facts == facts else None
