"""The hand-written part of connections and objects for coroutines."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from virtcore._typing import TYPE_CHECKING, Any, Self, cast, overload
from virtcore.api.async_events import AsyncEventIterator, call_in_loop
from virtcore.api.base import CLOSE_DEADLINE, DEFAULT, ConnectionBase, Deadline, ObjectBase, R
from virtcore.api.events import E, EventSubscription, Referring
from virtcore.runtime.events import QUEUE_LIMIT

if TYPE_CHECKING:
    from virtcore.api.aio import AsyncConnection
    from virtcore.operations.events import Event, EventSubject, GapEvent
    from virtcore.runtime.events import Kinds

__all__ = ["DEFAULT", "AsyncConnectionBase", "AsyncObjectBase", "Deadline"]


class AsyncConnectionBase(ConnectionBase):
    """A connection for coroutines, of any loop and of several at the same time.

    Every method takes ``deadline``, in seconds: the most the caller waits, by default the connection's (for queries) or
    without end (for changes). Reaching it, or cancelling the task, cancels a query; a change goes on as a job
    (:class:`~virtcore.runtime.jobs.DeadlineExpired`).
    """

    async def _call(self, name: str, args: tuple[object, ...], deadline: Deadline) -> Any:
        return await self.session.call_anywhere(name, args, deadline)

    @overload
    async def on_event(
        self,
        callback: Callable[[E | GapEvent], object],
        kind: type[E],
        /,
        *,
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription: ...
    @overload
    async def on_event(
        self,
        callback: Callable[[Event], object],
        *kinds: type[Event],
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription: ...
    async def on_event(
        self,
        callback: Callable[..., object],
        *kinds: type[object],
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription:
        """Have a callback called with every event of some kinds, in the loop that runs now, in order.

        :param kinds: classes of events; none for all but those of QEMU's monitor.
        :param of: a domain, network, ..., or its reference, whose events alone are wanted.
        :param limit: events it may lag behind; a :class:`~virtcore.operations.events.GapEvent` says that it did.
        :raises NoSupport: the driver has no events.
        """
        return await call_in_loop(self, callback, cast("Kinds", kinds), of, limit)

    @overload
    def events(
        self, kind: type[E], /, *, of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> AsyncEventIterator[E | GapEvent]: ...
    @overload
    def events(
        self, *kinds: type[Event], of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> AsyncEventIterator[Event]: ...
    def events(
        self, *kinds: type[object], of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> AsyncEventIterator[object]:
        """The events of some kinds from now on: ``async for event in connection.events(DomainLifecycleEvent): ...``.

        That the driver has no events (``NoSupport``) is raised by the first step.

        :param kinds: classes of events; none for all but those of QEMU's monitor.
        :param of: a domain, network, ..., or its reference, whose events alone are wanted.
        :param limit: events the reader may lag behind.
        """
        return AsyncEventIterator(self, cast("Kinds", kinds), of, limit)

    async def close(self, *, deadline: float | None = CLOSE_DEADLINE) -> None:
        """End the connection. Guests go on, and so do changes that are running. Closing twice does nothing.

        :raises DeadlineExpired: the driver takes longer; it goes on closing.
        """
        await self.session.close_anywhere(deadline)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncObjectBase(ObjectBase[R]):
    """A domain, a network, ... for coroutines.

    :ivar connection: the connection it was found on.
    """

    __slots__ = ()

    connection: AsyncConnection

    def __init__(self, connection: AsyncConnection, ref: R) -> None:
        self.connection = connection
        self._ref = ref

    async def _call(self, name: str, args: tuple[object, ...], deadline: Deadline) -> Any:
        return await self.connection.session.call_anywhere(name, (self._ref, *args), deadline)
