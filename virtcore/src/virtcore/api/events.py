"""How users receive events: iterators and callbacks over a session's subscriptions."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Self

from virtcore.errors import OperationInvalid, OperationTimeout
from virtcore.operations.events import Event
from virtcore.runtime.calls import Call, Method, Style, wait_anywhere, wait_here
from virtcore.runtime.events import Dispatcher, EventQueue, Kinds, report_failure
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session, Subscriber

if TYPE_CHECKING:
    from virtcore.api.base import ConnectionBase

__all__ = ["AsyncEventIterator", "EventIterator", "EventSubscription"]


def _subscribe(
    session: Session, deliver: Callable[[Event], object], kinds: Kinds, closed: Callable[[], None]
) -> Subscriber:
    return session.subscribe(deliver, kinds, closed)


_SUBSCRIBE = Method("subscribe", False, Style.INLINE, _subscribe)


def subscribe_here(
    session: Session, deliver: Callable[[Event], object], kinds: Kinds, closed: Callable[[], None]
) -> Subscriber:
    """Subscribe from a thread that is not the core loop's."""
    subscriber: Subscriber = wait_here(session.plan(_SUBSCRIBE, (session, deliver, kinds, closed)), None)
    return subscriber


def _cancel(core: CoreLoop, subscriber: Subscriber) -> None:
    """End a registration, from any thread."""
    if not core.forked and not core.loop.is_closed():
        core.call_soon(subscriber.cancel)


class EventSubscription:
    """A callback's registration; :meth:`cancel` ends it. Events that are on their way may still come."""

    __slots__ = ("_connection", "_subscriber")

    def __init__(self, connection: ConnectionBase, subscriber: Subscriber) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        self._subscriber = subscriber

    def cancel(self) -> None:
        """End the registration; later calls do nothing."""
        _cancel(self._connection.session.core, self._subscriber)


def call_on_thread(
    connection: ConnectionBase, dispatcher: Dispatcher, callback: Callable[[Event], object], kinds: Kinds, limit: int
) -> EventSubscription:
    """Have a callback called on the dispatcher's thread."""
    queue = EventQueue(_nothing, limit)
    run = partial(_call_next, queue, callback)

    def deliver(event: Event) -> None:
        if queue.put(event):
            dispatcher.call(run)

    return EventSubscription(connection, subscribe_here(connection.session, deliver, kinds, _nothing))


async def call_in_loop(
    connection: ConnectionBase, callback: Callable[[Event], object], kinds: Kinds, limit: int
) -> EventSubscription:
    """Have a callback called in the running loop."""
    loop = asyncio.get_running_loop()

    def drain() -> None:
        while _call_next(queue, callback):
            pass

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(drain)
        except RuntimeError:
            queue.close()  # the subscriber's loop was closed: nobody listens any more

    queue = EventQueue(wake, limit)
    session = connection.session
    call = session.plan(_SUBSCRIBE, (session, queue.put, kinds, queue.close))
    return EventSubscription(connection, await wait_anywhere(call, None))


def _nothing() -> None:
    pass


def _call_next(queue: EventQueue, callback: Callable[[Event], object]) -> bool:
    event = queue.get()
    if event is None:
        return False
    try:
        callback(event)
    except BaseException:  # noqa: BLE001  # whatever a callback raises must not end the thread that serves the others
        report_failure(callback)
    return True


class EventIterator:
    """The events of a connection, one by one, for a thread. It ends when the connection closes.

    Leaving its ``with`` block, :meth:`close` or forgetting it ends the subscription.
    """

    def __init__(self, connection: ConnectionBase, kinds: Kinds, limit: int) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        session = connection.session
        flag = threading.Event()
        self._flag = flag
        self._queue = EventQueue(flag.set, limit)
        subscriber = subscribe_here(session, self._queue.put, kinds, self._queue.close)
        self._core = session.core
        self._end = weakref.finalize(self, _cancel, session.core, subscriber)
        self._end.atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def get(self, deadline: float | None = None) -> Event:
        """The next event, waiting at most ``deadline`` seconds.

        :raises OperationTimeout: none came.
        :raises OperationInvalid: the subscription or the connection was closed.
        """
        event = self._next(deadline)
        if event is None:
            raise OperationInvalid("the subscription has ended")
        return event

    def _next(self, deadline: float | None) -> Event | None:
        if self._core.is_current():
            raise OperationInvalid("events were waited for on the core loop", advice="use 'async for' there")
        while True:
            self._flag.clear()
            event = self._queue.get()
            if event is not None:
                return event
            if self._queue.closed:
                return None
            if not self._flag.wait(deadline):
                raise OperationTimeout(f"no event came within {deadline:g} s")

    def close(self) -> None:
        """End the subscription; what is queued can still be read."""
        self._end()
        self._queue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncEventIterator:
    """The events of a connection, one by one, for a coroutine of the loop it was made in.

    Everything that happens after it was made is in it. It ends when the connection closes.
    """

    def __init__(self, connection: ConnectionBase, kinds: Kinds, limit: int) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        session = connection.session
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        # The queue must not keep the iterator alive, which is forgotten when its user leaves the loop.
        me = weakref.ref(self)
        loop = self._loop

        def wake() -> None:
            iterator = me()
            if iterator is not None:
                try:
                    loop.call_soon_threadsafe(iterator._woken)
                except RuntimeError:
                    pass  # the subscriber's loop was closed: nobody listens any more

        self._queue = EventQueue(wake, limit)
        self._subscribed: Call = session.plan(_SUBSCRIBE, (session, self._queue.put, kinds, self._queue.close))
        self._subscribed.watch(self._queue.wake)
        self._core = session.core
        self._core.call_soon(self._subscribed.begin)
        self._end = weakref.finalize(self, _cancel_later, self._subscribed)
        self._end.atexit = False

    def _woken(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            event = self._queue.get()
            if event is not None:
                return event
            if self._queue.closed:
                raise StopAsyncIteration
            if self._subscribed.done and self._subscribed.error is not None:
                raise self._subscribed.error
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def aclose(self) -> None:
        """End the subscription; what is queued can still be read."""
        self._end()
        self._queue.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _cancel_later(subscribed: Call) -> None:
    """End a subscription that may not have begun yet: the core loop takes both in order."""
    if not subscribed.core.forked and not subscribed.core.loop.is_closed():
        subscribed.core.call_soon(_cancel_in_core, subscribed)


def _cancel_in_core(subscribed: Call) -> None:
    if isinstance(subscribed.value, Subscriber):
        subscribed.value.cancel()
