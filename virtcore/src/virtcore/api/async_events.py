"""How users receive events in coroutines: iterators and callbacks over a session's subscriptions."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable

from virtcore._typing import TYPE_CHECKING, Any, Generic, Self, cast
from virtcore.api.events import E_co, EventSubscription, Referring, call_next, check_callback, subject_of
from virtcore.errors import OperationAborted
from virtcore.runtime.calls import Call, wait_anywhere
from virtcore.runtime.events import EventQueue, Kinds
from virtcore.runtime.session import Subscriber

if TYPE_CHECKING:
    from virtcore.api.base import ConnectionBase
    from virtcore.operations.events import EventSubject

__all__ = ["AsyncEventIterator", "call_in_loop"]


async def call_in_loop(
    connection: ConnectionBase,
    callback: Callable[[Any], object],
    kinds: Kinds,
    of: Referring | EventSubject | None,
    limit: int,
) -> EventSubscription:
    """Have a callback called in the running loop."""
    check_callback(callback)
    loop = asyncio.get_running_loop()

    def drain() -> None:
        while call_next(queue, callback):
            pass

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(drain)
        except RuntimeError:
            queue.close()  # the subscriber's loop was closed: nobody listens any more

    queue = EventQueue(wake, limit)
    call = connection.session.plan_subscription(queue.put, kinds, queue.close, subject_of(of))
    return EventSubscription(connection, await wait_anywhere(call, None))


class AsyncEventIterator(Generic[E_co]):
    """The events of a connection, one by one, for a coroutine of the loop it was made in.

    Everything that happens after it was made is in it. It ends when the connection closes.
    """

    def __init__(
        self, connection: ConnectionBase, kinds: Kinds, of: Referring | EventSubject | None, limit: int
    ) -> None:
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
        self._subscribed = session.plan_subscription(self._queue.put, kinds, self._queue.close, subject_of(of))
        self._subscribed.watch(self._queue.wake)
        session.core.call_soon(self._subscribed.begin)
        self._end = weakref.finalize(self, _cancel, self._subscribed)
        self._end.atexit = False

    def _woken(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E_co:
        while True:
            event = self._queue.get()
            if event is not None:
                return cast("E_co", event)  # of the kinds that are let through
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


def _cancel(subscribed: Call) -> None:
    """End a subscription that may not have begun yet: the core loop takes both in order."""
    if not subscribed.core.forked and not subscribed.core.loop.is_closed():
        subscribed.core.call_soon(_cancel_in_core, subscribed)


def _cancel_in_core(subscribed: Call) -> None:
    if isinstance(subscribed.value, Subscriber):
        subscribed.value.cancel()
    else:
        subscribed.cancel(OperationAborted("nobody wants its events any more"))
