"""The part of the driver's state that lets devices come to and go from running guests."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, cast

from virt_qemu.guest import Guest, guest_of
from virt_qemu.recovery import GuestRecovery
from virtcore.driver.toolkit import DomainObject
from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virt_qemu.host import QemuState
    from virt_qemu.hotplug.session import Session
    from virt_qemu.monitor import JSON, Event

__all__ = ["HotplugState"]

log = logging.getLogger(__name__)


class HotplugState(GuestRecovery):
    """Devices of running guests."""

    #: Seconds a guest has to let go of a device; on POWER twice as many. Then its event finishes the removal.
    unplug_limit = 5.0
    #: Seconds after a guest has come to run before what devices need that join it is loaded.
    rehearsal_after = 1.0
    _rehearsed = False

    def hotplug(self, obj: DomainObject) -> Session:
        """What changes a guest's devices. For the holder of its job.

        :raises OperationFailed: its QEMU is not reached.
        """
        from virt_qemu.hotplug.host import RunningHost
        from virt_qemu.hotplug.session import Session
        from virt_qemu.rules.machine import Machine

        guest = guest_of(obj)
        guest.channel()
        assert obj.live is not None
        return Session(
            obj=obj,
            guest=guest,
            host=RunningHost(cast("QemuState", self), obj),
            rules=self.rules,
            context=self.context,
            tell=self.events.emit,
            foresee=partial(self.foresee, obj, guest),
            unplug_limit=self.unplug_limit * (2 if Machine.of(obj.live).pseries else 1),
        )

    def rehearse_soon(self, obj: DomainObject, guest: Guest) -> None:
        """Have loaded, once and when nobody waits for a guest, what the first device that joins one would wait for."""
        if not self._rehearsed:
            self._rehearsed = True
            guest.start_task(self._rehearse(obj, guest))

    async def _rehearse(self, obj: DomainObject, guest: Guest) -> None:
        try:
            await asyncio.sleep(self.rehearsal_after)
            from virt_qemu.hotplug.rehearsal import rehearse

            for _ in rehearse(self.hotplug(obj)):
                while any(each.job.holder is not None for each in self.domains):
                    await asyncio.sleep(self.rehearsal_after)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._rehearsed = False  # the guest has ended: with the next one
            raise
        except VirtError as error:
            log.debug("no device of a common kind can join domain '%s': %s", obj.name, error)

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        known = guest.status.known_devices
        before = set(known.aliases) if known is not None else set()
        await super().recover(obj, guest)
        await self._follow_devices(obj, guest, before)
        self.rehearse_soon(obj, guest)

    async def _follow_devices(self, obj: DomainObject, guest: Guest, before: set[str]) -> None:
        """Finish what happened while nobody listened: devices went, virtual CPUs came."""
        from virt_qemu.hotplug.attach import refresh_devices
        from virt_qemu.hotplug.vcpus import ask, threads_of

        session = self.hotplug(obj)
        await refresh_devices(session)
        assert guest.status.known_devices is not None
        for alias in sorted(before - set(guest.status.known_devices.aliases)):
            self.device_gone(obj, guest, alias)
        if session.domain.vcpus:
            # Their numbers are not those that QEMU counts them by.
            guest.threads = threads_of(await ask(session.monitor, session.domain.vcpu_maximum))

    # -- events

    def _on_event(self, obj: DomainObject, guest: Guest, event: Event) -> None:
        super()._on_event(obj, guest, event)
        handler = _HANDLERS.get(event.name)
        if handler is not None and obj.private is guest and guest.ending is None:
            handler(self, obj, guest, event.data)

    def on_device_deleted(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """The guest has let go of a device."""
        alias = data.get("device")
        if isinstance(alias, str):
            self.device_gone(obj, guest, alias)

    def device_gone(self, obj: DomainObject, guest: Guest, alias: str) -> None:
        """A device has gone: who waits for it finishes its removal, else it is finished beside."""
        waiting = guest.unplugging.get(alias)
        if waiting is not None and not waiting.done():
            waiting.set_result(True)
        elif waiting is None:
            guest.start_task(self._finish(obj, guest, alias))

    def on_unplug_refused(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """The guest keeps a device."""
        from virtcore.operations.events import DomainDeviceRemovalFailedEvent

        alias = data.get("device")
        if not isinstance(alias, str):
            return
        waiting = guest.unplugging.get(alias)
        if waiting is not None and not waiting.done():
            waiting.set_result(False)
        self.events.emit(DomainDeviceRemovalFailedEvent(obj.ref, alias))

    def on_memory_size(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """A module of virtio-mem has another size."""
        from virtcore.model.domain.memory_device import VirtioMEM
        from virtcore.operations.events import DomainMemoryDeviceSizeChangeEvent

        alias, size = data.get("id"), data.get("size")
        if not isinstance(alias, str) or not isinstance(size, int):
            return
        for domain in guest.configurations(obj):
            for module in domain.devices.memory if domain.devices is not None else ():
                if module.alias == alias and isinstance(module, VirtioMEM) and module.target is not None:
                    module.target.current = -(-size // 1024)
            guest.tell_memory(domain)
        obj.touch()
        self.state_changed(obj, guest)
        self.events.emit(DomainMemoryDeviceSizeChangeEvent(obj.ref, alias, -(-size // 1024)))

    def on_tray(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """A tray was opened or closed."""
        from virtcore.enums import DomainEventTrayChangeReason as Reason
        from virtcore.model.domain.disk import DiskTray
        from virtcore.operations.events import DomainTrayChangeEvent

        alias = data.get("id") or data.get("device")
        is_open = bool(data.get("tray-open"))
        for domain in guest.configurations(obj):
            for disk in domain.devices.disks if domain.devices is not None else ():
                if disk.alias == alias and disk.target is not None:
                    disk.target.tray = DiskTray.OPEN if is_open else None
        obj.touch()
        self.state_changed(obj, guest)
        if isinstance(alias, str):
            self.events.emit(DomainTrayChangeEvent(obj.ref, alias, Reason.OPEN if is_open else Reason.CLOSE))

    async def _finish(self, obj: DomainObject, guest: Guest, alias: str) -> None:
        """Finish the removal of a device that nobody waits for."""
        from virt_qemu.hotplug.leave import finish
        from virt_qemu.hotplug.vcpus import ask, note
        from virtcore.driver.toolkit.configuration.devices import by_alias
        from virtcore.errors import DeviceMissing

        try:
            async with obj.job.modify("domain_detach_device"):
                if obj.private is not guest or obj.live is None:
                    return
                session = self.hotplug(obj)
                try:
                    await finish(session, by_alias(obj.live, alias))
                except DeviceMissing:
                    if not alias.startswith("vcpu"):
                        return
                    await note(session, await ask(session.monitor, obj.live.vcpu_maximum), [])
                self.state_changed(obj, guest)
        except VirtError as error:
            log.warning("domain '%s': device '%s' has gone, but not all that is behind it: %s", obj.name, alias, error)


_HANDLERS = {
    "DEVICE_DELETED": HotplugState.on_device_deleted,
    "DEVICE_UNPLUG_GUEST_ERROR": HotplugState.on_unplug_refused,
    "MEM_UNPLUG_ERROR": HotplugState.on_unplug_refused,
    "MEMORY_DEVICE_SIZE_CHANGE": HotplugState.on_memory_size,
    "DEVICE_TRAY_MOVED": HotplugState.on_tray,
}
