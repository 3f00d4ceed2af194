"""A client's registrations for events, and the procedures that make and end them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from virt_remote.protocol import EVENT, OK, pack
from virt_remote.server.procedures import session_procedure
from virtcore._tuples import NamedTuple
from virtcore.enums import ConnectDomainQemuMonitorEventRegisterFlags as MonitorEventFlags
from virtcore.errors import ErrorDomain, InternalError, InvalidArg, NoSupport
from virtcore.operations.events import Event, EventSubject, QemuMonitorEvent
from virtcore.operations.procedures import Procedure, procedure, program
from virtcore.operations.wire.events import CLOSED, FAMILIES, EventFamily, EventWire, event_wire

if TYPE_CHECKING:
    from virt_remote.server.client import Client
    from virtcore.runtime.session import Subscriber
    from virtcore.types import DomainRef

__all__ = ["Callbacks", "monitor_filter"]

log = logging.getLogger("virtcored.client")

#: Events that may wait for access control.
_MOST_UNCHECKED: Final = 10_000

#: Whether a registration wants an event.
Filter = Callable[[Event], bool]


class _Registration(NamedTuple):
    family: str
    event_id: int
    #: It was made without a callback id.
    legacy: bool
    #: None for kinds that have no form that it could be sent in.
    subscription: Subscriber | None


class Callbacks:
    """A client's registrations for events."""

    __slots__ = ("_checked", "_checking", "_client", "_close", "_next", "_registered")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next = 0
        #: By callback id.
        self._registered: dict[int, _Registration] = {}
        #: Whether the client wants to know that the hypervisor was lost, and who tells it.
        self._close: tuple[Subscriber | None] | None = None
        #: Events that access control has to look at, in order; and who looks.
        self._checked: deque[tuple[Procedure, Event, Callable[[Event], None]]] | None = None
        self._checking: asyncio.Task[None] | None = None

    def add(
        self,
        family: EventFamily,
        event_id: int,
        subject: EventSubject | None = None,
        *,
        legacy: bool = False,
        wanted: Filter | None = None,
    ) -> int:
        """Register for a kind of event; gives the callback id.

        :param subject: the object whose events are wanted; None for all.
        """
        if event_id not in family.ids:
            raise InternalError(f"unsupported {family.id_noun} {event_id}", domain=ErrorDomain.RPC)
        session = self._client.open_session()
        callback_id = self._next
        wire = event_wire(family.name, event_id, not legacy)
        subscription = None
        if wire is not None:
            deliver = self._guarded(procedure(family.register), self._deliverer(wire, callback_id, wanted))
            try:
                subscription = session.subscribe(deliver, kinds=(wire.event,), subject=subject)
            except NoSupport:
                raise NoSupport(family.function) from None
        self._next += 1
        self._registered[callback_id] = _Registration(family.name, event_id, legacy, subscription)
        return callback_id

    def told(self, callback_id: int, value: Any) -> Any:
        """What to answer to a registration: at once, for what is called next must not overtake it; where services that
        have the events have to be opened first, then."""
        subscription = self._registered[callback_id].subscription
        if subscription is None or subscription.confirms_at_once:
            return value
        return self._confirmed(subscription, callback_id, value)

    async def _confirmed(self, subscription: Subscriber, callback_id: int, value: Any) -> Any:
        try:
            await subscription.confirmed()
        except BaseException:
            self._registered.pop(callback_id, None)
            raise
        return value

    def remove(self, family: EventFamily, callback_id: int) -> None:
        """End a registration.

        :raises InternalError: there is no such registration.
        """
        known = self._registered.get(callback_id)
        if known is None or known.family != family.name:
            raise InternalError(f"{family.callback_noun} {callback_id} not registered", domain=ErrorDomain.RPC)
        self._forget(callback_id)

    def remove_legacy(self, event_id: int) -> None:
        """End a registration for domain events that was made without a callback id."""
        for callback_id, known in self._registered.items():
            if known.legacy and known.event_id == event_id:
                self._forget(callback_id)
                return
        raise InternalError(f"domain event {event_id} not registered", domain=ErrorDomain.RPC)

    def add_close(self) -> None:
        """Register for the end of the connection to the hypervisor.

        :raises InvalidArg: that was done before.
        """
        if self._close is not None:
            raise InvalidArg("A close callback is already registered", domain=ErrorDomain.RPC)
        session = self._client.open_session()
        wire = EventWire(CLOSED, CLOSED.legacy or "")
        try:
            self._close = (session.subscribe(self._deliverer(wire, -1, None), kinds=(CLOSED.event,)),)
        except NoSupport:  # nothing that could be lost
            self._close = (None,)

    def remove_close(self) -> None:
        """End that registration.

        :raises InvalidArg: there is none.
        """
        if self._close is None:
            raise InvalidArg("A different callback was requested", domain=ErrorDomain.RPC)
        (subscription,) = self._close
        self._close = None
        if subscription is not None:
            subscription.cancel()

    def clear(self) -> None:
        """End every registration."""
        self._checked = None
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
        if self._close is not None:
            self.remove_close()
        for callback_id in list(self._registered):
            self._forget(callback_id)

    def _forget(self, callback_id: int) -> None:
        subscription = self._registered.pop(callback_id).subscription
        if subscription is not None:
            subscription.cancel()

    def _guarded(self, row: Procedure, deliver: Callable[[Event], None]) -> Callable[[Event], None]:
        """Deliver only what access control lets the client see, in order."""
        if self._client.guard is None or not row.filters:
            return deliver

        def check(event: Event) -> None:
            if self._checked is None:
                self._checked = deque()
            if len(self._checked) >= _MOST_UNCHECKED:
                log.warning(
                    "client %d: events come faster than access to them is decided: one is lost", self._client.id
                )
                return
            self._checked.append((row, event, deliver))
            if self._checking is None:
                self._checking = asyncio.create_task(self._check())

        return check

    async def _check(self) -> None:
        try:
            while self._checked and self._client.guard is not None:
                row, event, deliver = self._checked.popleft()
                if await self._client.guard.may_see(row, event):
                    deliver(event)
        finally:
            self._checking = None

    def _deliverer(self, wire: EventWire, callback_id: int, wanted: Filter | None) -> Callable[[Event], None]:
        row = program(wire.procedure.program)

        def deliver(event: Event) -> None:
            if not isinstance(event, wire.event) or (wanted is not None and not wanted(event)):
                return  # a gap has no form on the wire
            body = wire.encode(event, callback_id)
            self._client.send(pack(row.number, row.version, wire.procedure.number, EVENT, 0, OK, body))

        return deliver


# -- with callback ids


def _register_domain(client: Client, event_id: int, domain: DomainRef | None) -> Any:
    if domain is not None:
        return _register_for(client, event_id, domain)
    return _registered(client, client.callbacks.add(FAMILIES["domain"], event_id))


def _registered(client: Client, callback_id: int) -> Any:
    """The id as the answer, now or later."""
    return client.callbacks.told(callback_id, (callback_id,))


async def _register_for(client: Client, event_id: int, domain: DomainRef) -> tuple[int]:
    known = await client.open_session().call("connection_lookup_domain", None, domain.uuid, None, deadline=None)
    return (client.callbacks.add(FAMILIES["domain"], event_id, known),)


def _register_monitor(client: Client, domain: DomainRef | None, event: str | None, flags: int) -> tuple[int]:
    return (client.callbacks.add(FAMILIES["qemu"], 0, domain, wanted=monitor_filter(event, flags)),)


def monitor_filter(name: str | None, flags: int) -> Filter | None:
    """Which of the monitor's events are wanted: those of a name, or whose name a pattern is found in; None for all.

    :param flags: ``ConnectDomainQemuMonitorEventRegisterFlags``.
    :raises InvalidArg: the pattern or a flag makes no sense.
    """
    unknown = flags & ~int(MonitorEventFlags.REGEX | MonitorEventFlags.NOCASE)
    if unknown:
        raise InvalidArg(f"unsupported flags ({unknown:#x}) in function virDomainQemuMonitorEventStateRegisterID")
    if name is None:
        return None
    try:
        pattern = re.compile(
            name if flags & MonitorEventFlags.REGEX else re.escape(name) + r"\Z",
            re.IGNORECASE if flags & MonitorEventFlags.NOCASE else 0,
        )
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidArg(f"failed to compile regex '{name}': {error}") from None
    matches = pattern.search if flags & MonitorEventFlags.REGEX else pattern.match
    return lambda event: isinstance(event, QemuMonitorEvent) and matches(event.event) is not None


def _serve(family: EventFamily) -> None:
    def register(client: Client, event_id: int, subject: EventSubject | None) -> Any:
        return _registered(client, client.callbacks.add(family, event_id, subject))

    def deregister(client: Client, callback_id: int) -> None:
        client.callbacks.remove(family, callback_id)

    special = {"domain": _register_domain, "qemu": _register_monitor}
    session_procedure(family.register)(special.get(family.name, register))
    session_procedure(family.deregister)(deregister)


for _family in FAMILIES.values():
    _serve(_family)


# -- without


@session_procedure("remote.CONNECT_DOMAIN_EVENT_REGISTER_ANY")
def _register_any(client: Client, event_id: int) -> None:
    client.callbacks.add(FAMILIES["domain"], event_id, legacy=True)


@session_procedure("remote.CONNECT_DOMAIN_EVENT_DEREGISTER_ANY")
def _deregister_any(client: Client, event_id: int) -> None:
    client.callbacks.remove_legacy(event_id)


@session_procedure("remote.CONNECT_DOMAIN_EVENT_REGISTER")
def _register(client: Client) -> tuple[int]:
    client.callbacks.add(FAMILIES["domain"], 0, legacy=True)
    return (1,)


@session_procedure("remote.CONNECT_DOMAIN_EVENT_DEREGISTER")
def _deregister(client: Client) -> tuple[int]:
    client.callbacks.remove_legacy(0)
    return (0,)


# -- the end of the connection


@session_procedure("remote.CONNECT_REGISTER_CLOSE_CALLBACK")
def _register_close(client: Client) -> None:
    client.callbacks.add_close()


@session_procedure("remote.CONNECT_UNREGISTER_CLOSE_CALLBACK")
def _unregister_close(client: Client) -> None:
    client.callbacks.remove_close()
