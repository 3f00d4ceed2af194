"""What QEMU tells of a guest's devices: its clock, disks, displays, memory and network interfaces."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

from virt_qemu.command.disks import disk_path
from virtcore.enums.domain import DomainPausedReason, DomainPMSuspendedReason, DomainRunningReason, DomainState
from virtcore.enums.domain_events import (
    DomainEventCrashedDetailType,
    DomainEventGraphicsAddressType as Family,
    DomainEventGraphicsPhase as Phase,
    DomainEventIOErrorAction,
    DomainEventPMSuspendedDetailType,
    DomainEventStartedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
    DomainEventWatchdogAction,
)
from virtcore.enums.domain_more import (
    DomainMemoryFailureActionType,
    DomainMemoryFailureFlags,
    DomainMemoryFailureRecipientType,
)
from virtcore.errors import VirtError
from virtcore.model.domain.clock import ClockOffset
from virtcore.operations.events import (
    DomainBalloonChangeEvent,
    DomainGraphicsEvent,
    DomainIOErrorEvent,
    DomainIOErrorReasonEvent,
    DomainMemoryFailureEvent,
    DomainNICMACChangeEvent,
    DomainPMSuspendDiskEvent,
    DomainPMSuspendEvent,
    DomainPMWakeupEvent,
    DomainRTCChangeEvent,
    DomainWatchdogEvent,
    GraphicsAddress,
    GraphicsIdentity,
)

if TYPE_CHECKING:
    from virt_qemu.events import GuestEvents
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import JSON
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain.disk import Disk

__all__ = ["HANDLERS"]

log = logging.getLogger(__name__)

Data = dict[str, "JSON"]

_WATCHDOG: Final = {
    "none": DomainEventWatchdogAction.NONE,
    "pause": DomainEventWatchdogAction.PAUSE,
    "reset": DomainEventWatchdogAction.RESET,
    "poweroff": DomainEventWatchdogAction.POWEROFF,
    "shutdown": DomainEventWatchdogAction.SHUTDOWN,
    "debug": DomainEventWatchdogAction.DEBUG,
    "inject-nmi": DomainEventWatchdogAction.INJECTNMI,
}
_IO_ERROR: Final = {
    "ignore": DomainEventIOErrorAction.NONE,
    "stop": DomainEventIOErrorAction.PAUSE,
    "report": DomainEventIOErrorAction.REPORT,
}
_FAMILIES: Final = {"ipv4": Family.IPV4, "ipv6": Family.IPV6, "unix": Family.UNIX}
_RECIPIENTS: Final = {
    "hypervisor": DomainMemoryFailureRecipientType.HYPERVISOR,
    "guest": DomainMemoryFailureRecipientType.GUEST,
}
_FAILURES: Final = {
    "ignore": DomainMemoryFailureActionType.IGNORE,
    "inject": DomainMemoryFailureActionType.INJECT,
    "fatal": DomainMemoryFailureActionType.FATAL,
    "reset": DomainMemoryFailureActionType.RESET,
}


# -- clock and watchdog


def _on_clock(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    offset = data.get("offset")
    if not isinstance(offset, int):
        return
    clocks = [domain.clock for domain in guest.configurations(obj)]
    for clock in clocks:
        if clock is not None and clock.offset is ClockOffset.VARIABLE:
            # QEMU counts from what it was given at the start.
            offset += clock.adjustment0 or 0
            break
    for clock in clocks:
        if clock is not None and clock.offset is ClockOffset.VARIABLE:
            clock.adjustment = offset
    obj.touch()
    state.state_changed(obj, guest)
    state.events.emit(DomainRTCChangeEvent(obj.ref, offset))


def _on_watchdog(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    action = _WATCHDOG.get(str(data.get("action")), DomainEventWatchdogAction.NONE)
    state.events.emit(DomainWatchdogEvent(obj.ref, action))
    if action is DomainEventWatchdogAction.PAUSE and obj.state == DomainState.RUNNING:
        state.paused(obj, DomainPausedReason.WATCHDOG, DomainEventSuspendedDetailType.WATCHDOG)
        watchdogs = obj.live.devices.watchdogs if obj.live is not None and obj.live.devices is not None else []
        if watchdogs and watchdogs[0].action == "dump":
            guest.start_task(state.dump_by_itself(obj, guest, "resume"))


# -- disks


def _on_io_error(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    disk = _disk(obj, data)
    path = (disk_path(disk.source) if disk is not None else None) or ""
    alias = (disk.alias if disk is not None else None) or ""
    action = _IO_ERROR.get(str(data.get("action")), DomainEventIOErrorAction.NONE)
    reason = "enospc" if data.get("nospace") else ""
    if disk is not None:
        index = (disk.source.index if disk.source is not None else None) or 0
        target = disk.target.dev if disk.target is not None else None
        stamp = time.strftime("%Y-%m-%d %H:%M:%S+0000", time.gmtime())
        guest.io_errors[target or alias] = (
            f"disk='{target}', index='{index}', path='{path}', timestamp='{stamp}', "
            f"message='{data.get('reason') or reason}'"
        )
    state.events.emit(DomainIOErrorEvent(obj.ref, path, alias, action))
    state.events.emit(DomainIOErrorReasonEvent(obj.ref, path, alias, action, reason))
    if action is DomainEventIOErrorAction.PAUSE and obj.state == DomainState.RUNNING:
        state.paused(obj, DomainPausedReason.IOERROR, DomainEventSuspendedDetailType.IOERROR)


def _disk(obj: DomainObject, data: Data) -> Disk | None:
    """The disk that QEMU speaks of: by its place in QEMU's tree, or by one of its nodes."""
    disks = obj.live.devices.disks if obj.live is not None and obj.live.devices is not None else []
    place, node = str(data.get("qom-path", "")), str(data.get("node-name", ""))
    device = place.removeprefix("/machine/peripheral/").split("/")[0] or str(data.get("device", ""))
    for disk in disks:
        index = disk.source.index if disk.source is not None else None
        if (device and disk.alias == device) or (index and node.startswith(f"libvirt-{index}-")):
            return disk
    return None


# -- displays


def _on_display(phase: Phase, port: str, state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    server, client = data.get("server"), data.get("client")
    if not isinstance(server, dict) or not isinstance(client, dict):
        return
    identities = [
        GraphicsIdentity(name, value)
        for name, key in (("x509dname", "x509_dname"), ("saslUsername", "sasl_username"))
        if isinstance(value := client.get(key), str)
    ]
    scheme = str(server.get("auth") or "")
    event = DomainGraphicsEvent(obj.ref, phase, _address(server, port), _address(client, port), scheme, identities)
    state.events.emit(event)


def _address(end: Mapping[str, JSON], port: str) -> GraphicsAddress:
    family = _FAMILIES.get(str(end.get("family")), Family.IPV4)
    return GraphicsAddress(family, str(end.get("host") or ""), str(end.get(port) or ""))


# -- memory


def _on_balloon(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    actual = data.get("actual")
    if isinstance(actual, int):
        guest.balloon = actual >> 10
        for domain in guest.configurations(obj):
            guest.tell_memory(domain)
        obj.touch()
        state.state_changed(obj, guest)
        state.events.emit(DomainBalloonChangeEvent(obj.ref, guest.balloon))


def _on_memory_failure(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    recipient, action = _RECIPIENTS.get(str(data.get("recipient"))), _FAILURES.get(str(data.get("action")))
    if recipient is None or action is None:
        log.warning("domain '%s': a memory failure that nobody knows: %s", obj.name, data)
        return
    told = data.get("flags")
    flags = DomainMemoryFailureFlags(0)
    if isinstance(told, dict) and told.get("action-required"):
        flags |= DomainMemoryFailureFlags.ACTION_REQUIRED
    if isinstance(told, dict) and told.get("recursive"):
        flags |= DomainMemoryFailureFlags.RECURSIVE
    state.events.emit(DomainMemoryFailureEvent(obj.ref, recipient, action, flags))


# -- sleep


def _on_suspend(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    state.events.emit(DomainPMSuspendEvent(obj.ref))
    _sleeps(state, obj, guest, DomainEventPMSuspendedDetailType.MEMORY)


def _on_suspend_disk(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    state.events.emit(DomainPMSuspendDiskEvent(obj.ref))
    _sleeps(state, obj, guest, DomainEventPMSuspendedDetailType.DISK)


def _sleeps(state: GuestEvents, obj: DomainObject, guest: Guest, detail: DomainEventPMSuspendedDetailType) -> None:
    if obj.state == DomainState.RUNNING:
        state.set_state(obj, DomainState.PMSUSPENDED, DomainPMSuspendedReason.UNKNOWN)
        state.emit(obj, DomainEventType.PMSUSPENDED, detail)
        state.state_changed(obj, guest)


def _on_wakeup(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    state.events.emit(DomainPMWakeupEvent(obj.ref))
    if obj.state == DomainState.PMSUSPENDED:
        state.running(obj, DomainRunningReason.WAKEUP)
        state.emit(obj, DomainEventType.STARTED, DomainEventStartedDetailType.WAKEUP)
        state.state_changed(obj, guest)


def _on_crash_loaded(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    state.emit(obj, DomainEventType.CRASHED, DomainEventCrashedDetailType.CRASHLOADED)


# -- network interfaces


def _on_filter(state: GuestEvents, obj: DomainObject, guest: Guest, data: Data) -> None:
    alias = data.get("name")
    if isinstance(alias, str):
        guest.start_task(_follow_address(state, obj, guest, alias))


async def _follow_address(state: GuestEvents, obj: DomainObject, guest: Guest, alias: str) -> None:
    """Ask for an interface's filter, and tell when the guest has changed its address."""
    try:
        answer = await guest.channel().execute("query-rx-filter", {"name": alias})
    except VirtError as error:
        log.warning("domain '%s': cannot ask for the filter of '%s': %s", obj.name, alias, error)
        return
    row = answer[0] if isinstance(answer, list) and answer else None
    new = row.get("main-mac") if isinstance(row, dict) else None
    if not isinstance(new, str):
        return
    old = None
    for domain in guest.configurations(obj):
        for interface in domain.devices.interfaces if domain.devices is not None else ():
            mac = interface.mac
            if interface.alias == alias and mac is not None and mac.address is not None:
                old = mac.current or mac.address
                mac.current = None if new == mac.address else new
    if old is not None and old != new:
        obj.touch()
        state.state_changed(obj, guest)
        state.events.emit(DomainNICMACChangeEvent(obj.ref, alias, old, new))


HANDLERS: Final[dict[str, Callable[[GuestEvents, DomainObject, Guest, Data], None]]] = {
    "RTC_CHANGE": _on_clock,
    "WATCHDOG": _on_watchdog,
    "BLOCK_IO_ERROR": _on_io_error,
    "BALLOON_CHANGE": _on_balloon,
    "MEMORY_FAILURE": _on_memory_failure,
    "SUSPEND": _on_suspend,
    "SUSPEND_DISK": _on_suspend_disk,
    "WAKEUP": _on_wakeup,
    "GUEST_CRASHLOADED": _on_crash_loaded,
    "NIC_RX_FILTER_CHANGED": _on_filter,
    **{
        f"{kind}_{name}": partial(_on_display, phase, port)
        for kind, port in (("VNC", "service"), ("SPICE", "port"))
        for name, phase in (
            ("CONNECTED", Phase.CONNECT),
            ("INITIALIZED", Phase.INITIALIZE),
            ("DISCONNECTED", Phase.DISCONNECT),
        )
    },
}
"""By QEMU's name of the event: what follows from it."""
