"""Events on the wire: which class of event is which id and which procedures carry it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from virtcore.operations.events import DomainLifecycleEvent, DomainRebootEvent, Event
from virtcore.operations.procedures import Procedure, procedure
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.mapping import converter

__all__ = ["DOMAIN_EVENTS", "DOMAIN_EVENT_IDS", "EventWire", "event_wire", "of_procedure"]


class DomainEventRow(NamedTuple):
    """A kind of domain event (``virDomainEventID``)."""

    id: int
    event: type[Any]
    #: Procedure that carries it to clients that registered without a callback id; None for younger kinds.
    legacy: str | None
    #: Procedure that carries it with the client's callback id.
    callback: str


#: Kinds of domain events that drivers emit today.
DOMAIN_EVENTS: Final = (
    DomainEventRow(0, DomainLifecycleEvent, "remote.DOMAIN_EVENT_LIFECYCLE", "remote.DOMAIN_EVENT_CALLBACK_LIFECYCLE"),
    DomainEventRow(1, DomainRebootEvent, "remote.DOMAIN_EVENT_REBOOT", "remote.DOMAIN_EVENT_CALLBACK_REBOOT"),
)

#: Ids that libvirt 11.3 knows: a client may register for each, also for those that never come.
DOMAIN_EVENT_IDS: Final = range(28)


class EventWire:
    """One kind of event in one of its two forms: between its value and the body of its message."""

    __slots__ = ("_build", "_decode", "_encode", "_nested", "callback", "event", "procedure")

    def __init__(self, row: DomainEventRow, name: str) -> None:
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
        self._build: Callable[[tuple[Any, ...]], Any] = converter(row.event) or row.event._make

    def encode(self, event: Event, callback_id: int = -1) -> bytes:
        """The body of the message for an event."""
        if not self.callback:
            return self._encode(event)
        return self._encode((callback_id, tuple(event)) if self._nested else (callback_id, *event))

    def decode(self, data: bytes, at: int) -> tuple[Event, int]:
        """The event in a message's body, and the callback id (-1 without)."""
        fields, _ = self._decode(data, at)
        callback_id = -1
        if self.callback:
            callback_id, *rest = fields
            fields = rest[0] if self._nested else tuple(rest)
        return self._build(fields), callback_id


@functools.cache
def event_wire(id: int, callback: bool) -> EventWire | None:
    """How events of an id travel; None for kinds that no driver emits, or that have no form without callback id."""
    for row in DOMAIN_EVENTS:
        if row.id == id:
            name = row.callback if callback else row.legacy
            return None if name is None else EventWire(row, name)
    return None


@functools.cache
def of_procedure(number: int) -> EventWire | None:
    """How the event of a procedure of program ``remote`` travels; None for events that virtcore does not know yet."""
    for row in DOMAIN_EVENTS:
        for name in (row.legacy, row.callback):
            if name is not None and procedure(name).number == number:
                return EventWire(row, name)
    return None
