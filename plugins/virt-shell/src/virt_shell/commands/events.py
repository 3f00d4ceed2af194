"""The command that prints what happens to domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from virt_shell.command import Arguments, command
from virt_shell.completion import domains
from virt_shell.events import Printers, event_options, wait_for_events
from virt_shell.shell import Shell
from virt_shell.text import block_job, event_detail, event_type, event_value, pick
from virtcore._typing import Any

#: Tables of names, in the order of their numbers.
_WATCHDOG = ("none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi")
_IO_ERROR = ("none", "pause", "report")
_PHASE = ("connect", "initialize", "disconnect")
_FAMILY = ("IPv4", "IPv6", "unix")
_BLOCK_JOB_STATUS = ("completed", "failed", "canceled", "ready")
_DISK_CHANGE = ("changed", "dropped")
_TRAY = ("opened", "closed")
_AGENT_STATE = ("unknown", "connected", "disconnected")
_AGENT_REASON = ("unknown", "domain started", "channel event")
_METADATA = ("description", "title", "element")
_FAILURE_RECIPIENT = ("hypervisor", "guest")
_FAILURE_ACTION = ("ignore", "inject", "fatal", "reset")


def _named(names: Sequence[str], value: int, otherwise: str = "unknown") -> str:
    return pick(names, value, otherwise)


def _rows(event: Any) -> str:
    return "".join(f"\n\t{name}: {event_value(value)}" for name, _, value in event.params.rows())


def _io_error(event: Any) -> str:
    return f": {event.source_path} ({event.alias}) {_named(_IO_ERROR, event.action)}"


def _address(address: Any) -> str:
    return f"[{_named(_FAMILY, address.family)} {address.node} {address.service}]"


def _graphics(event: Any) -> str:
    ends = f"local{_address(event.local)} remote{_address(event.remote)}"
    return f": {_named(_PHASE, event.phase)} {ends} {event.auth_scheme}" + (
        "".join(f"\n\t{identity.type}={identity.name}" for identity in event.subject)
    )


def _block_job(event: Any) -> str:
    return f": {block_job(event.type)} for {event.disk} {_named(_BLOCK_JOB_STATUS, event.status)}"


def _disk_change(event: Any) -> str:
    old, new = event.old_source_path or "<null>", event.new_source_path or "<null>"
    return f" disk {event.alias}: {old} -> {new}: {_named(_DISK_CHANGE, event.reason)}"


def _agent(event: Any) -> str:
    unsupported = "unsupported value"
    state = _named(_AGENT_STATE, event.state, unsupported)
    return f": state: '{state}' reason: '{_named(_AGENT_REASON, event.reason, unsupported)}'"


def _memory_failure(event: Any) -> str:
    unsupported = "unsupported value"
    return (
        f":\nrecipient: {_named(_FAILURE_RECIPIENT, event.recipient, unsupported)}"
        f"\naction: {_named(_FAILURE_ACTION, event.action, unsupported)}"
        f"\nflags:\n\taction required: {int(bool(event.flags & 1))}\n\trecursive: {int(bool(event.flags & 2))}"
    )


def _alias(event: Any) -> str:
    return f": {event.alias}"


def _nothing(event: Any) -> str:
    return ""


#: event name -> class in virtcore.operations.events, and what is told beyond the domain
_DETAILS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "lifecycle": (
        "DomainLifecycleEvent",
        lambda event: f": {event_type(event.type)} {event_detail(event.type, event.detail)}",
    ),
    "reboot": ("DomainRebootEvent", _nothing),
    "rtc-change": ("DomainRTCChangeEvent", lambda event: f": {event.offset}"),
    "watchdog": ("DomainWatchdogEvent", lambda event: f": {_named(_WATCHDOG, event.action)}"),
    "io-error": ("DomainIOErrorEvent", _io_error),
    "graphics": ("DomainGraphicsEvent", _graphics),
    "io-error-reason": ("DomainIOErrorReasonEvent", lambda event: f"{_io_error(event)} due to {event.reason}"),
    "control-error": ("DomainControlErrorEvent", _nothing),
    "block-job": ("DomainBlockJobEvent", _block_job),
    "disk-change": ("DomainDiskChangeEvent", _disk_change),
    "tray-change": ("DomainTrayChangeEvent", lambda event: f" disk {event.alias}: {_named(_TRAY, event.reason)}"),
    "pm-wakeup": ("DomainPMWakeupEvent", _nothing),
    "pm-suspend": ("DomainPMSuspendEvent", _nothing),
    "balloon-change": ("DomainBalloonChangeEvent", lambda event: f": {event.actual}KiB"),
    "pm-suspend-disk": ("DomainPMSuspendDiskEvent", _nothing),
    "device-removed": ("DomainDeviceRemovedEvent", _alias),
    "block-job-2": ("DomainBlockJob2Event", _block_job),
    "tunable": ("DomainTunableEvent", lambda event: f":{_rows(event)}"),
    "agent-lifecycle": ("DomainAgentLifecycleEvent", _agent),
    "device-added": ("DomainDeviceAddedEvent", _alias),
    "migration-iteration": ("DomainMigrationIterationEvent", lambda event: f": iteration: '{event.iteration}'"),
    "job-completed": ("DomainJobCompletedEvent", lambda event: f":{_rows(event)}"),
    "device-removal-failed": ("DomainDeviceRemovalFailedEvent", _alias),
    "metadata-change": (
        "DomainMetadataChangeEvent",
        lambda event: f": type {_named(_METADATA, event.type, 'unsupported value')}, uri {event.uri or '<null>'}",
    ),
    "block-threshold": (
        "DomainBlockThresholdEvent",
        lambda event: f": dev: {event.dev}({event.path or '<null>'}) {event.threshold} {event.excess}",
    ),
    "memory-failure": ("DomainMemoryFailureEvent", _memory_failure),
    "memory-device-size-change": (
        "DomainMemoryDeviceSizeChangeEvent",
        lambda event: f":\nalias: {event.alias}\nsize: {event.size}",
    ),
    "nic-mac-change": (
        "DomainNICMACChangeEvent",
        lambda event: f":\nalias: {event.alias}\noldMAC: {event.old_mac}\nnewMAC: {event.new_mac}",
    ),
}


def _printer(name: str, details: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda event: f"event '{name}' for domain '{event.domain.name}'{details(event)}"


EVENTS: Printers = {name: (kind, _printer(name, details)) for name, (kind, details) in _DETAILS.items()}


@command(
    "event",
    group="events",
    help="Domain Events",
    description="List event types, or wait for domain events to occur",
    options=event_options("domain", "filter by domain name, id or uuid", domains, EVENTS, every=True),
)
def event(shell: Shell, args: Arguments) -> bool:
    args.exclusive("all", "event")
    args.exclusive("list", "all")
    args.exclusive("list", "event")

    def about() -> Callable[[Any], bool]:
        only = shell.domain(args).uuid if "domain" in args else None
        return lambda happened: only is None or happened.domain.uuid == only

    return wait_for_events(shell, args, EVENTS, about)
