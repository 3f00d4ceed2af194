"""Disks that a guest can do without (``startupPolicy``): a start that does not find their image goes on."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virt_qemu.rules.aliases import assign_aliases
from virtcore.enums.domain_events import ConnectDomainEventDiskChangeReason as Reason
from virtcore.errors import VirtError
from virtcore.model.domain.disk import DiskDevice
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import StartupPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk

__all__ = ["Missing"]

log = logging.getLogger(__name__)

_REMOVABLE = (DiskDevice.CDROM, DiskDevice.FLOPPY)


class Missing:
    """Images that a start does not find.

    :param domain: the guest that is about to run; what it does without is taken from it.
    :param cold: it boots; otherwise it goes on where it was.
    :param tell: is told of each such image: where it is, the alias of its disk, what became of that.
    """

    def __init__(self, domain: Domain, *, cold: bool, tell: Callable[[str | None, str, Reason], None]) -> None:
        self._domain = domain
        self._cold = cold
        self._tell = tell

    @contextmanager
    def allowed(self, disk: Disk) -> Iterator[None]:
        """Let what looks for a disk's image fail, if the guest can do without it
        (``qemuDomainCheckDiskStartupPolicy``).
        """
        try:
            yield
        except VirtError as error:
            policy = disk.source.startup_policy if disk.source is not None else None
            if policy is not StartupPolicy.OPTIONAL and (policy is not StartupPolicy.REQUISITE or self._cold):
                raise
            log.info("domain '%s' starts without an image: %s", self._domain.name, error)
            self._leave_out(disk)

    def _leave_out(self, disk: Disk) -> None:
        assert self._domain.devices is not None
        path = source_path(disk.source) if disk.source is not None else None
        removable = disk.device in _REMOVABLE
        assign_aliases(self._domain)
        if removable:
            disk.source = disk.backing_store = None
        else:
            self._domain.devices.disks.remove(disk)
        self._tell(
            path, disk.alias or "", Reason.CHANGE_MISSING_ON_START if removable else Reason.DROP_MISSING_ON_START
        )
