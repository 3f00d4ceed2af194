"""Events on the wire: which class of event is which id of which family, and which procedures carry it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from virtcore._tuples import NamedTuple
from virtcore._typing import Any, Final
from virtcore.operations import events
from virtcore.operations.events import Event
from virtcore.operations.procedures import Procedure, procedure
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.convert import converter

__all__ = ["CLOSED", "EVENTS", "FAMILIES", "EventFamily", "EventRow", "EventWire", "event_wire", "of_procedure", "rows"]


class EventFamily(NamedTuple):
    """The kinds of events that are registered for with one function."""

    name: str
    #: libvirt's function that registers.
    function: str
    #: Procedures that register and end a registration by its callback id.
    register: str
    deregister: str
    #: Ids that libvirt 11.3 knows: a client may register for each, also for those that never come.
    ids: range
    #: What libvirt's messages call an id, and a registration.
    id_noun: str
    callback_noun: str


def _family(name: str, function: str, stem: str, ids: int, id_noun: str, callback_noun: str) -> EventFamily:
    return EventFamily(
        name, function, f"{stem}_REGISTER_ANY", f"{stem}_DEREGISTER_ANY", range(ids), id_noun, callback_noun
    )


#: By the family's name.
FAMILIES: Final = {
    family.name: family
    for family in (
        _family(
            "domain",
            "virConnectDomainEventRegisterAny",
            "remote.CONNECT_DOMAIN_EVENT_CALLBACK",
            28,
            "event ID",
            "domain event callback",
        ),
        _family(
            "network",
            "virConnectNetworkEventRegisterAny",
            "remote.CONNECT_NETWORK_EVENT",
            2,
            "network event ID",
            "network event callback",
        ),
        _family(
            "pool",
            "virConnectStoragePoolEventRegisterAny",
            "remote.CONNECT_STORAGE_POOL_EVENT",
            2,
            "storage pool event ID",
            "storage pool event callback",
        ),
        _family(
            "node-device",
            "virConnectNodeDeviceEventRegisterAny",
            "remote.CONNECT_NODE_DEVICE_EVENT",
            2,
            "node device event ID",
            "node device event callback",
        ),
        _family(
            "secret",
            "virConnectSecretEventRegisterAny",
            "remote.CONNECT_SECRET_EVENT",
            2,
            "secret event ID",
            "node device event callback",  # as libvirt's daemon says it
        ),
        EventFamily(
            "qemu",
            "virConnectDomainQemuMonitorEventRegister",
            "qemu.CONNECT_DOMAIN_MONITOR_EVENT_REGISTER",
            "qemu.CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER",
            range(1),
            "event ID",
            "qemu monitor event callback",
        ),
    )
}


class EventRow(NamedTuple):
    """A kind of event."""

    #: Name of its family; empty for the end of the connection, which is registered for by itself.
    family: str
    #: Its number in the family (``virDomainEventID`` and siblings).
    id: int
    event: type[Any]
    #: Procedure that carries it to clients that registered without a callback id; None for younger kinds.
    legacy: str | None
    #: Procedure that carries it with the client's callback id.
    callback: str | None


def _domain(id: int, event: type[Any], stem: str, *, young: bool = False) -> EventRow:
    legacy = None if young else f"remote.DOMAIN_EVENT_{stem}"
    return EventRow("domain", id, event, legacy, f"remote.DOMAIN_EVENT_CALLBACK_{stem}")


#: The end of the connection.
CLOSED: Final = EventRow("", 0, events.ConnectionClosedEvent, "remote.CONNECT_EVENT_CONNECTION_CLOSED", None)

#: Every kind of event.
EVENTS: Final = (
    _domain(0, events.DomainLifecycleEvent, "LIFECYCLE"),
    _domain(1, events.DomainRebootEvent, "REBOOT"),
    _domain(2, events.DomainRTCChangeEvent, "RTC_CHANGE"),
    _domain(3, events.DomainWatchdogEvent, "WATCHDOG"),
    _domain(4, events.DomainIOErrorEvent, "IO_ERROR"),
    _domain(5, events.DomainGraphicsEvent, "GRAPHICS"),
    _domain(6, events.DomainIOErrorReasonEvent, "IO_ERROR_REASON"),
    _domain(7, events.DomainControlErrorEvent, "CONTROL_ERROR"),
    _domain(8, events.DomainBlockJobEvent, "BLOCK_JOB"),
    _domain(9, events.DomainDiskChangeEvent, "DISK_CHANGE"),
    _domain(10, events.DomainTrayChangeEvent, "TRAY_CHANGE"),
    _domain(11, events.DomainPMWakeupEvent, "PMWAKEUP"),
    _domain(12, events.DomainPMSuspendEvent, "PMSUSPEND"),
    _domain(13, events.DomainBalloonChangeEvent, "BALLOON_CHANGE"),
    _domain(14, events.DomainPMSuspendDiskEvent, "PMSUSPEND_DISK"),
    _domain(15, events.DomainDeviceRemovedEvent, "DEVICE_REMOVED"),
    EventRow("domain", 16, events.DomainBlockJob2Event, None, "remote.DOMAIN_EVENT_BLOCK_JOB_2"),
    _domain(17, events.DomainTunableEvent, "TUNABLE", young=True),
    _domain(18, events.DomainAgentLifecycleEvent, "AGENT_LIFECYCLE", young=True),
    _domain(19, events.DomainDeviceAddedEvent, "DEVICE_ADDED", young=True),
    _domain(20, events.DomainMigrationIterationEvent, "MIGRATION_ITERATION", young=True),
    _domain(21, events.DomainJobCompletedEvent, "JOB_COMPLETED", young=True),
    _domain(22, events.DomainDeviceRemovalFailedEvent, "DEVICE_REMOVAL_FAILED", young=True),
    _domain(23, events.DomainMetadataChangeEvent, "METADATA_CHANGE", young=True),
    EventRow("domain", 24, events.DomainBlockThresholdEvent, None, "remote.DOMAIN_EVENT_BLOCK_THRESHOLD"),
    EventRow("domain", 25, events.DomainMemoryFailureEvent, None, "remote.DOMAIN_EVENT_MEMORY_FAILURE"),
    EventRow(
        "domain", 26, events.DomainMemoryDeviceSizeChangeEvent, None, "remote.DOMAIN_EVENT_MEMORY_DEVICE_SIZE_CHANGE"
    ),
    EventRow("domain", 27, events.DomainNICMACChangeEvent, None, "remote.DOMAIN_EVENT_NIC_MAC_CHANGE"),
    EventRow("network", 0, events.NetworkLifecycleEvent, None, "remote.NETWORK_EVENT_LIFECYCLE"),
    EventRow("network", 1, events.NetworkMetadataChangeEvent, None, "remote.NETWORK_EVENT_CALLBACK_METADATA_CHANGE"),
    EventRow("pool", 0, events.StoragePoolLifecycleEvent, None, "remote.STORAGE_POOL_EVENT_LIFECYCLE"),
    EventRow("pool", 1, events.StoragePoolRefreshEvent, None, "remote.STORAGE_POOL_EVENT_REFRESH"),
    EventRow("node-device", 0, events.NodeDeviceLifecycleEvent, None, "remote.NODE_DEVICE_EVENT_LIFECYCLE"),
    EventRow("node-device", 1, events.NodeDeviceUpdateEvent, None, "remote.NODE_DEVICE_EVENT_UPDATE"),
    EventRow("secret", 0, events.SecretLifecycleEvent, None, "remote.SECRET_EVENT_LIFECYCLE"),
    EventRow("secret", 1, events.SecretValueChangedEvent, None, "remote.SECRET_EVENT_VALUE_CHANGED"),
    EventRow("qemu", 0, events.QemuMonitorEvent, None, "qemu.DOMAIN_MONITOR_EVENT"),
    CLOSED,
)


def rows(family: str) -> list[EventRow]:
    """The kinds of events of a family."""
    return [row for row in EVENTS if row.family == family]


class EventWire:
    """One kind of event in one of its two forms: between its value and the body of its message."""

    __slots__ = ("_beside", "_build", "_decode", "_encode", "_inner", "_nested", "callback", "event", "procedure")

    def __init__(self, row: EventRow, name: str) -> None:
        self.procedure: Procedure = procedure(name)
        self.event = row.event
        #: Whether the message carries the callback id.
        self.callback = name == row.callback
        if self.procedure.args is None:
            raise LookupError(f"{name} has no message")
        body = codec(self.procedure.program, self.procedure.args)
        self._decode = body.decode
        self._encode = body.encode
        #: The fields of older kinds are a struct of their own beside the callback id.
        self._nested = self.callback and row.legacy is not None
        #: How many fields stand between the two: younger ones, the last of the event.
        self._beside = len(body.fields) - 2 if self._nested else 0
        #: How many fields of the event the message carries; the others have defaults.
        count = len(row.event._fields)
        self._inner = count - self._beside if self.callback else len(body.fields)
        convert = converter(row.event)
        self._build: Callable[[tuple[Any, ...]], Any] = convert or row.event._make

    def encode(self, event: Event, callback_id: int = -1) -> bytes:
        """The body of the message for an event."""
        fields = tuple(event)
        if not self.callback:
            return self._encode(fields[: self._inner])
        if not self._nested:
            return self._encode((callback_id, *fields))
        return self._encode((callback_id, *fields[self._inner :], fields[: self._inner]))

    def decode(self, data: bytes, at: int) -> tuple[Event, int]:
        """The event in a message's body, and the callback id (-1 without)."""
        fields, _ = self._decode(data, at)
        callback_id = -1
        if self.callback:
            callback_id, *rest = fields
            fields = (*rest[-1], *rest[:-1]) if self._nested else tuple(rest)
        missing = self.event._fields[len(fields) :]
        if missing:
            fields = (*fields, *(self.event._field_defaults[name] for name in missing))
        return self._build(fields), callback_id


@functools.cache
def event_wire(family: str, id: int, callback: bool) -> EventWire | None:
    """How events of an id travel; None for those that have no form without callback id."""
    for row in rows(family):
        if row.id == id:
            name = row.callback if callback else row.legacy
            return None if name is None else EventWire(row, name)
    return None


@functools.cache
def of_procedure(program: str, number: int) -> EventWire | None:
    """How the event of a procedure travels; None for events that virtcore does not know yet."""
    for row in EVENTS:
        for name in (row.legacy, row.callback):
            if name is not None and name.startswith(program + ".") and procedure(name).number == number:
                return EventWire(row, name)
    return None
