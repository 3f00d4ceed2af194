"""What the agent inside a guest that does not exist would do: its clock, its file systems, its users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.domain import DomainState
from virtcore.errors import OperationInvalid
from virtcore.operations.declare import inline
from virtcore.operations.values import FSInfo, GuestTime

if TYPE_CHECKING:
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.enums import DomainGetHostnameFlags, DomainSetTimeFlags, DomainSetUserPasswordFlags
    from virtcore.types import DomainRef

__all__ = ["AgentParts"]

#: Where the file systems of every guest are, and which partition of its first disk each is on.
_MOUNTS = {"/": 1, "/boot": 2}


class AgentParts(StatefulDriver[TestState]):
    """Operations that an agent answers elsewhere."""

    def _running(self, domain: DomainRef) -> DomainObject:
        obj = self.domain(domain)
        obj.require_active()
        return obj

    # -- file systems

    @inline
    def domain_fs_freeze(self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0) -> int:
        self.check_flags(flags, 0, "domain_fs_freeze")
        guest = self.state.guest(self._running(domain))
        chosen = self._mounts(mountpoints) - guest.frozen
        guest.frozen |= chosen
        return len(chosen)

    @inline
    def domain_fs_thaw(self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0) -> int:
        self.check_flags(flags, 0, "domain_fs_thaw")
        guest = self.state.guest(self._running(domain))
        chosen = self._mounts(mountpoints) & guest.frozen
        guest.frozen -= chosen
        return len(chosen)

    def _mounts(self, mountpoints: Sequence[str] | None) -> frozenset[str]:
        """The file systems of a list; all for none."""
        for mountpoint in mountpoints or ():
            _check_mount(mountpoint)
        return frozenset(mountpoints or _MOUNTS)

    @inline
    def domain_fs_trim(
        self, domain: DomainRef, mountpoint: str | None = None, minimum: int = 0, flags: int = 0
    ) -> None:
        self.check_flags(flags, 0, "domain_fs_trim")
        self._running(domain)
        if mountpoint is not None:
            _check_mount(mountpoint)

    async def domain_fs_info(self, domain: DomainRef, flags: int = 0) -> list[FSInfo]:
        from virtcore.model.domain.disk import DiskDevice

        self.check_flags(flags, 0, "domain_fs_info")
        live = self._running(domain).live
        assert live is not None
        for disk in live.devices.disks if live.devices is not None else ():
            if disk.device in (None, DiskDevice.DISK) and disk.target is not None and disk.target.dev is not None:
                name = disk.target.dev
                return [FSInfo(mount, f"{name}{partition}", "ext4", (name,)) for mount, partition in _MOUNTS.items()]
        return []

    # -- the clock, which stands still

    @inline
    def domain_time(self, domain: DomainRef, flags: int = 0) -> GuestTime:
        self.check_flags(flags, 0, "domain_time")
        obj = self.domain(domain)
        if obj.state != DomainState.RUNNING:
            raise OperationInvalid("domain is not running")
        return self.state.guest(obj).time

    @inline
    def domain_set_time(
        self, domain: DomainRef, seconds: int, nseconds: int = 0, flags: DomainSetTimeFlags | int = 0
    ) -> None:

        self.check_flags(flags, 1, "domain_set_time")
        self.state.guest(self._running(domain)).time = GuestTime(seconds, nseconds)

    # -- the rest

    @inline
    def domain_hostname(self, domain: DomainRef, flags: DomainGetHostnameFlags | int = 0) -> str:
        self.check_flags(flags, 0, "domain_hostname")
        return f"{self._running(domain).name}host"

    @inline
    def domain_set_user_password(
        self, domain: DomainRef, user: str, password: str, flags: DomainSetUserPasswordFlags | int = 0
    ) -> None:
        self.check_flags(flags, 1, "domain_set_user_password")
        self._running(domain)


def _check_mount(mountpoint: str) -> None:
    if mountpoint not in _MOUNTS:
        raise OperationInvalid(f"mount point not found: {mountpoint}")
