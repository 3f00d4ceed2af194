"""What QEMU tells while a guest runs, and what follows from it."""

from __future__ import annotations

import json
import logging
from functools import cached_property

from virt_qemu import news, process as processes
from virt_qemu.agent.state import AgentState
from virt_qemu.guest import Guest, guest_of
from virt_qemu.monitor import JSON, Event
from virtcore.driver.toolkit import DomainObject
from virtcore.driver.toolkit.events import EventHub
from virtcore.enums.domain import (
    DomainCrashedReason,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutdownReason,
    DomainState,
)
from virtcore.enums.domain_events import (
    DomainEventCrashedDetailType,
    DomainEventResumedDetailType,
    DomainEventShutdownDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.errors import VirtError
from virtcore.operations.events import DomainMigrationIterationEvent, DomainRebootEvent, QemuMonitorEvent

__all__ = ["GuestEvents"]

log = logging.getLogger(__name__)


_Suspended = DomainEventSuspendedDetailType
#: What subscribers are told by why a guest stands still; by default that it was paused.
_SUSPENDED = {
    DomainPausedReason.MIGRATION: _Suspended.MIGRATED,
    DomainPausedReason.IOERROR: _Suspended.IOERROR,
    DomainPausedReason.WATCHDOG: _Suspended.WATCHDOG,
    DomainPausedReason.FROM_SNAPSHOT: _Suspended.FROM_SNAPSHOT,
    DomainPausedReason.POSTCOPY: _Suspended.POSTCOPY,
    DomainPausedReason.POSTCOPY_FAILED: _Suspended.POSTCOPY_FAILED,
    DomainPausedReason.API_ERROR: _Suspended.API_ERROR,
}
#: And by why one runs again; by default that somebody let it.
_RESUMED = {
    DomainRunningReason.RESTORED: DomainEventResumedDetailType.FROM_SNAPSHOT,
    DomainRunningReason.FROM_SNAPSHOT: DomainEventResumedDetailType.FROM_SNAPSHOT,
    DomainRunningReason.MIGRATED: DomainEventResumedDetailType.MIGRATED,
    DomainRunningReason.MIGRATION_CANCELED: DomainEventResumedDetailType.MIGRATED,
    DomainRunningReason.POSTCOPY: DomainEventResumedDetailType.POSTCOPY,
}


class GuestEvents(AgentState):
    """The part of the driver's state that follows QEMU's events."""

    @cached_property
    def monitor_events(self) -> EventHub:
        """Who hears what QEMU says, as it says it."""
        return EventHub()

    def state_changed(self, obj: DomainObject, guest: Guest) -> None:
        """Hook: state or configuration of a running guest has changed and is to be written down."""

    def lock_resources(self, obj: DomainObject) -> None:
        """Hook: the guest is about to run: lock what it has for itself.

        :raises ResourceBusy: another guest has it.
        """

    def unlock_resources(self, obj: DomainObject) -> None:
        """Hook: the guest stands still: others may have what it had for itself."""

    def block_job_changed(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """Hook: QEMU tells that a job has another status (``JOB_STATUS_CHANGE``)."""

    def _on_job(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        self.block_job_changed(obj, guest, data)

    def migration_changed(self, obj: DomainObject, guest: Guest, status: str) -> None:
        """Hook: QEMU tells of another state of a migration."""

    def _on_event(self, obj: DomainObject, guest: Guest, event: Event) -> None:
        if obj.private is not guest or guest.ending is not None:
            return
        if guest.agent is not None:
            guest.agent.notify(event.name)
        if self.monitor_events.heard:
            self.monitor_events.emit(_as_it_is(obj, event))
        handler = _HANDLERS.get(event.name)
        if handler is not None:
            handler(self, obj, guest, event.data)

    def paused(
        self,
        obj: DomainObject,
        reason: DomainPausedReason,
        detail: DomainEventSuspendedDetailType | None = None,
    ) -> None:
        """The guest's virtual CPUs stand still; told and written down once, be it by QEMU's event or by the reply to a
        command.

        :param detail: what subscribers are told; by default what the reason means.
        """
        if obj.state == DomainState.PAUSED and obj.reason != DomainPausedReason.STARTING_UP:
            return
        starting = obj.state == DomainState.PAUSED
        self.set_state(obj, DomainState.PAUSED, reason)
        self.unlock_resources(obj)
        self.state_changed(obj, guest_of(obj))
        if not starting:
            self.emit(
                obj,
                DomainEventType.SUSPENDED,
                detail if detail is not None else _SUSPENDED.get(reason, _Suspended.PAUSED),
            )

    def resumed(self, obj: DomainObject, reason: DomainRunningReason = DomainRunningReason.UNPAUSED) -> None:
        """The guest's virtual CPUs run again; told and written down once."""
        if obj.state == DomainState.RUNNING or (
            obj.state == DomainState.PAUSED and obj.reason == DomainPausedReason.STARTING_UP
        ):
            return
        self.running(obj, reason)
        self.state_changed(obj, guest_of(obj))
        self.tell_resumed(obj, reason)

    def tell_resumed(self, obj: DomainObject, reason: DomainRunningReason) -> None:
        """Tell subscribers that the guest's virtual CPUs run."""
        self.emit(obj, DomainEventType.RESUMED, _RESUMED.get(reason, DomainEventResumedDetailType.UNPAUSED))

    async def stop_cpus(self, obj: DomainObject, guest: Guest, reason: DomainPausedReason) -> None:
        """Let the guest's virtual CPUs stand still, if they run. For the holder of its job.

        :raises VirtError: QEMU refused it.
        """
        if obj.state != DomainState.RUNNING:
            return
        guest.pausing = reason
        try:
            await guest.channel().execute("stop")
        finally:
            guest.pausing = DomainPausedReason.USER
        self.paused(obj, reason)

    async def start_cpus(self, obj: DomainObject, guest: Guest, reason: DomainRunningReason) -> None:
        """Let the guest's virtual CPUs run. For the holder of its job.

        :raises VirtError: QEMU refused it.
        """
        self.lock_resources(obj)
        guest.resuming = reason
        try:
            await guest.channel().execute("cont")
        finally:
            guest.resuming = DomainRunningReason.UNPAUSED
        self.resumed(obj, reason)

    def _on_stop(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        if obj.state == DomainState.RUNNING:
            self.paused(obj, guest.pausing)

    def _on_resume(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        if obj.state in (DomainState.PAUSED, DomainState.SHUTDOWN):
            self.resumed(obj, guest.resuming)

    def _on_reset(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        guest.reboot = False
        self.events.emit(DomainRebootEvent(obj.ref))

    def _on_shutdown(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        """The guest has powered off; QEMU stays until we decide."""
        if guest.got_shutdown:
            return
        if guest.reboot:
            guest.start_task(self._boot_again(obj, guest))
            return
        guest.got_shutdown = True
        by_guest = data.get("guest")
        details = DomainEventShutdownDetailType
        detail = details.FINISHED if by_guest is None else details.GUEST if by_guest else details.HOST
        self.set_state(obj, DomainState.SHUTDOWN, DomainShutdownReason.UNKNOWN)
        self.emit(obj, DomainEventType.SHUTDOWN, detail)
        restart = obj.live is not None and obj.live.on_poweroff == "restart"
        if restart:
            guest.got_shutdown = False
            guest.start_task(self._boot_again(obj, guest))
        elif obj.live is not None and obj.live.on_poweroff == "preserve":
            guest.got_shutdown = False
        else:
            guest.start_task(self._end_powered_off(guest))

    async def _end_powered_off(self, guest: Guest) -> None:
        if guest.process is not None:
            await processes.end(guest.process)  # its end is recorded by the watch

    async def _boot_again(self, obj: DomainObject, guest: Guest) -> None:
        """Reset and run a guest that has powered off in order to reboot."""
        guest.reboot = False
        try:
            monitor = guest.channel()
            await monitor.execute("system_reset")
            await monitor.execute("cont")
        except VirtError as error:
            log.error("cannot boot domain '%s' again: %s", obj.name, error)
            return
        if obj.state != DomainState.RUNNING:
            self.running(obj, DomainRunningReason.BOOTED)
        self.state_changed(obj, guest)

    def _on_panic(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        if obj.state == DomainState.CRASHED:
            return
        self.set_state(obj, DomainState.CRASHED, DomainCrashedReason.PANICKED)
        self.emit(obj, DomainEventType.CRASHED, DomainEventCrashedDetailType.PANICKED)
        action = obj.live.on_crash if obj.live is not None else None
        if action == "restart":
            guest.start_task(self._boot_again(obj, guest))
        elif action in ("coredump-destroy", "coredump-restart"):
            guest.start_task(self.dump_by_itself(obj, guest, str(action).removeprefix("coredump-")))
        elif action in (None, "destroy"):
            guest.start_task(self._end_powered_off(guest))
        else:
            self.state_changed(obj, guest)

    async def dump_by_itself(self, obj: DomainObject, guest: Guest, action: str) -> None:
        """Hook: write the memory of a guest that stands still into a file, and do something with it then.

        :param action: ``destroy``, ``restart`` or ``resume``.
        """
        raise NotImplementedError

    def _on_pass(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        number = data.get("pass")
        if isinstance(number, int):
            self.events.emit(DomainMigrationIterationEvent(obj.ref, number))

    def _on_port(self, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
        self.port_changed(obj, guest, str(data.get("id")), data.get("open") is True)


def _on_migration(state: GuestEvents, obj: DomainObject, guest: Guest, data: dict[str, JSON]) -> None:
    state.migration_changed(obj, guest, str(data.get("status")))


def _as_it_is(obj: DomainObject, event: Event) -> QemuMonitorEvent:
    """An event for those who want to hear QEMU itself."""
    seconds, rest = divmod(event.time, 1)
    details = json.dumps(event.data, separators=(",", ":")) if event.data else None
    return QemuMonitorEvent(obj.ref, event.name, int(seconds), round(rest * 1_000_000), details)


_HANDLERS = {
    "MIGRATION": _on_migration,
    "JOB_STATUS_CHANGE": GuestEvents._on_job,
    "STOP": GuestEvents._on_stop,
    "RESUME": GuestEvents._on_resume,
    "RESET": GuestEvents._on_reset,
    "SHUTDOWN": GuestEvents._on_shutdown,
    "GUEST_PANICKED": GuestEvents._on_panic,
    "MIGRATION_PASS": GuestEvents._on_pass,
    "VSERPORT_CHANGE": GuestEvents._on_port,
    **news.HANDLERS,
}
