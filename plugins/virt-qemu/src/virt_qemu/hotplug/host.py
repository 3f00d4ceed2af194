"""The host of guests that really run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from virt_qemu.block.tls import settle_image_tls
from virt_qemu.host_side import displays, interface_changes, networks
from virt_qemu.host_side.owner import owner_of
from virt_qemu.hotplug.disks import number_disk
from virt_qemu.isolation.devices import allow_devices, deny_devices, paths_of
from virt_qemu.prepare import check_disk, settle_channel
from virt_qemu.resources import HostResources
from virt_qemu.volumes import find_volumes
from virtcore.enums.domain import DomainState
from virtcore.model.domain.chardev import Channel
from virtcore.model.domain.disk import Disk
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.host import QemuState
    from virt_qemu.hotplug.builder import OpenedResources
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.domain.graphics import RDPGraphics
    from virtcore.model.domain.interface import Interface

__all__ = ["RunningHost"]


class RunningHost:
    """What one guest's devices need of this host; see :class:`~virt_qemu.hotplug.session.GuestHost`."""

    def __init__(self, state: QemuState, obj: DomainObject) -> None:
        self.settings = state.host_settings
        self.privileged = state.privileged
        self._state = state
        self._obj = obj

    def open(self) -> HostResources:
        resources = HostResources()
        resources.groups = self._state.lent_to(self._obj)
        return resources

    def key(self, guest: Guest) -> bytes | None:
        return guest.master_key()

    async def tell_credentials(self, guest: Guest, graphics: RDPGraphics) -> None:
        await displays.tell_credentials(self._state.host_side, owner_of(self._obj, guest.folder), graphics)

    def display_password(self, protocol: str) -> str | None:
        settings = self._state.settings
        return settings.vnc_password if protocol == "vnc" else settings.spice_password

    async def prepare(self, guest: Guest, domain: Domain, device: Any, opened: OpenedResources) -> None:
        assert isinstance(opened, HostResources)  # see open()
        if isinstance(device, Disk):
            await find_volumes(self._state.host_side.services, (device,))
            settle_image_tls(device, self.settings.image_tls)
            await in_thread(check_disk, device, opened.groups, self._state.host_side.reader)
            number_disk(guest, domain, device, self.settings.image_tls)
        elif isinstance(device, Channel):
            settle_channel(device, guest.folder)
        opened.owner = self._state.host_side.socket_owner(owner_of(self._obj, guest.folder))
        opened.secret = await self._state.secrets_for(device, *self._state.tls_secrets())
        pid = guest.process.pid if guest.process is not None else None
        side = self._state.host_side
        if self._obj.state == DomainState.RUNNING:  # else it is locked when the guest runs
            side.lock_device(self._obj.uuid, device)
        try:
            await side.prepare_device(owner_of(self._obj, guest.folder), device, opened, pid=pid)
            allow_devices(guest, paths_of(side, device))
            await self._state.share_cores(guest)  # with programs that have come
        except BaseException:
            await side.release_device(owner_of(self._obj, guest.folder), device, pid=pid)
            side.unlock_device(self._obj.uuid, device, self._live)
            raise

    @property
    def _live(self) -> Domain:
        assert self._obj.live is not None
        return self._obj.live

    async def release(self, guest: Guest, domain: Domain, device: Any) -> None:
        pid = guest.process.pid if guest.process is not None else None
        side = self._state.host_side
        deny_devices(guest, side, device, self._live)
        await side.release_device(owner_of(self._obj, guest.folder), device, pid=pid)
        side.unlock_device(self._obj.uuid, device, self._live)

    async def place_threads(self, guest: Guest, domain: Domain, vcpus: list[int]) -> None:
        if vcpus:
            await self._state.limit_threads(guest, domain)

    async def join_network(self, guest: Guest, domain: Domain, interface: Interface) -> None:
        await networks.join_network(self._state.host_side, owner_of(self._obj, guest.folder), interface)

    async def leave_network(self, interface: Interface) -> None:
        await networks.leave_network(self._state.host_side, interface)

    async def change_interface(
        self, guest: Guest, domain: Domain, old: Interface, new: Interface, changes: frozenset[str]
    ) -> None:
        owner = owner_of(self._obj, guest.folder)
        await interface_changes.change(self._state.host_side, owner, old, new, changes)
