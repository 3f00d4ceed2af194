"""The client's registrations for a daemon's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from virt_remote.client.steps import body_of
from virt_remote.client.wire import Wire
from virt_remote.protocol import BODY, Message
from virtcore._typing import Final
from virtcore.driver.base import Subscription
from virtcore.operations.events import Event, GapEvent
from virtcore.operations.procedures import procedure, program
from virtcore.operations.wire.codec import WireError, codec
from virtcore.operations.wire.events import EventFamily, of_procedure

__all__ = ["EventFeed", "event_of", "look"]

#: Programs with events, by number.
_PROGRAMS: Final = {program(name).number: name for name in ("remote", "qemu")}


def event_of(message: Message) -> Event | None:
    """The event that a message carries; None for what cannot be read, or is of a kind that virtcore does not know."""
    owner = _PROGRAMS.get(message.program)
    kind = None if owner is None else of_procedure(owner, message.procedure)
    if kind is None:
        return None
    try:
        event, _ = kind.decode(message.data, BODY)
    except WireError:
        return None  # as libvirt's client does: that is no reason to end the connection
    return event


def look(reply: asyncio.Future[bytes]) -> None:
    """Nobody waits for this reply; an error in it is looked at, so that asyncio does not report it."""
    if not reply.cancelled():
        reply.exception()


class EventFeed:
    """Events of some families, registered for at the daemon while somebody listens.

    :param wanted: families, each with a class of its events and the arguments of the registration for them.
    :param closing: whether to ask for the end of the daemon's own connection, too.
    """

    __slots__ = ("_closing", "_deliverers", "_next", "_registered", "_wanted", "_wire", "unanswered")

    def __init__(
        self,
        wire: Wire,
        wanted: Sequence[tuple[EventFamily, type[Event], tuple[object, ...]]],
        closing: bool = False,
    ) -> None:
        self._wire = wire
        self._wanted = wanted
        self._closing = closing
        self._deliverers: dict[int, Callable[[Event], None]] = {}
        self._next = 0
        #: What was registered for: the family, the class of the events, and the callback id that the daemon gives.
        self._registered: list[tuple[EventFamily, type[Event], asyncio.Future[bytes]]] = []
        #: Registrations that the daemon has not answered. It works on several calls at a time, so one that is to be
        #: told of has to wait for them.
        self.unanswered: set[asyncio.Future[bytes]] = set()

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Have every event delivered until the subscription is cancelled."""
        if not self._deliverers:
            self._register()
        key, self._next = self._next, self._next + 1
        self._deliverers[key] = deliver
        return Subscription(lambda: self._unsubscribe(key), self._confirm)

    async def _confirm(self, kinds: tuple[type[object], ...]) -> None:
        """Wait for what the daemon says to the registrations for these kinds. What it refuses is an error; where no
        kind was asked for in particular only when it refuses all, for an older daemon does not know the newest ones.

        :raises VirtError: what it says.
        """
        asked = [
            reply for _, event, reply in self._registered if not kinds or any(issubclass(event, kind) for kind in kinds)
        ]
        if not asked:
            return
        await asyncio.wait(asked)
        refused = [error for reply in asked if not reply.cancelled() and (error := reply.exception()) is not None]
        if refused and (kinds or len(refused) == len(asked)):
            raise refused[0]

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._deliverers)

    def renew(self, wire: Wire) -> None:
        """Go on over another connection; who listens is told that events may have been missed."""
        self._wire = wire
        self._registered.clear()
        self.unanswered.clear()
        if self._deliverers:
            self._register()
            self.deliver(GapEvent(0))

    def _register(self) -> None:
        if self._closing:
            self._call("remote.CONNECT_REGISTER_CLOSE_CALLBACK")
        for family, event, arguments in self._wanted:
            row = procedure(family.register)
            reply = self._wire.start(row, codec(row.program, row.args or "").encode(arguments))
            reply.add_done_callback(look)
            self.unanswered.add(reply)
            reply.add_done_callback(self.unanswered.discard)
            self._registered.append((family, event, reply))

    def deliver(self, event: Event) -> None:
        """Deliver an event to everyone subscribed now."""
        for deliver in list(self._deliverers.values()):
            deliver(event)

    def _unsubscribe(self, key: int) -> None:
        self._deliverers.pop(key, None)
        if not self._deliverers:
            if self._closing and self._wire.alive:
                self._call("remote.CONNECT_UNREGISTER_CLOSE_CALLBACK")
            registered, self._registered = self._registered, []
            for family, _, reply in registered:
                reply.add_done_callback(partial(self._deregister, family))

    def _call(self, name: str) -> None:
        """Call a procedure without arguments whose refusal is no harm."""
        self._wire.start(procedure(name), b"").add_done_callback(look)

    def _deregister(self, family: EventFamily, reply: asyncio.Future[bytes]) -> None:
        if reply.cancelled() or reply.exception() is not None or not self._wire.alive:
            return
        registration = procedure(family.register)
        (callback_id,) = body_of(reply.result(), codec(registration.program, registration.ret or "").decode)
        row = procedure(family.deregister)
        body = codec(row.program, row.args or "").encode((callback_id,))
        self._wire.start(row, body).add_done_callback(look)
