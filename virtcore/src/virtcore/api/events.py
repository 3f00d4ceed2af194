"""How users receive events in threads: iterators and callbacks over a session's subscriptions."""

from __future__ import annotations

from virtcore._functions import partial
from virtcore._typing import TYPE_CHECKING, Any, Callable, Generic, Protocol, Self, TypeVar, cast
from virtcore.errors import OperationInvalid, OperationTimeout
from virtcore.operations.arguments import require
from virtcore.runtime.events import Dispatcher, EventQueue, Kinds, report_failure

if TYPE_CHECKING:
    from virtcore.api.base import ConnectionBase
    from virtcore.operations.events import Event, EventSubject
    from virtcore.runtime.session import Subscriber

__all__ = ["EventIterator", "EventSubscription", "Referring", "check_callback", "subject_of"]

#: A class of events.
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)


class Referring(Protocol):
    """An object of either face that events are of, such as a domain."""

    @property
    def ref(self) -> EventSubject:
        """Its reference."""


def subject_of(of: Referring | EventSubject | None) -> EventSubject | None:
    """The reference of an object, given as either.

    :raises InvalidArg: it is nothing that has events: its subscriber would wait for ever.
    """
    from virtcore.operations.events import EventSubject

    found: object = getattr(of, "ref", of)  # a reference itself has none
    if found is not None:
        require(found, EventSubject, "of", "an object that has events, or its reference")
    return cast("EventSubject | None", found)


def check_callback(callback: object) -> None:
    """Refuse what cannot be called.

    :raises InvalidArg: it cannot.
    """
    require(callback, (Callable,), "callback", "a function")  # type: ignore[arg-type]


class EventSubscription:
    """A callback's registration; :meth:`cancel` ends it. Events that are on their way may still come."""

    __slots__ = ("_connection", "_subscriber")

    def __init__(self, connection: ConnectionBase, subscriber: Subscriber) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        self._subscriber = subscriber

    def cancel(self) -> None:
        """End the registration; later calls do nothing."""
        self._connection.session.unsubscribe_soon(self._subscriber)


def call_on_thread(
    connection: ConnectionBase,
    dispatcher: Dispatcher,
    callback: Callable[[Any], object],
    kinds: Kinds,
    of: Referring | EventSubject | None,
    limit: int,
) -> EventSubscription:
    """Have a callback called on the dispatcher's thread."""
    check_callback(callback)
    queue = EventQueue(nothing, limit)
    run = partial(call_next, queue, callback)

    def deliver(event: Event) -> None:
        if queue.put(event):
            dispatcher.call(run)

    return EventSubscription(connection, connection.session.subscribe_here(deliver, kinds, nothing, subject_of(of)))


def nothing() -> None:
    """Where nobody has to be woken or told."""


def call_next(queue: EventQueue, callback: Callable[[Any], object]) -> bool:
    """Call a callback with the next event of its queue. Returns whether there was one."""
    event = queue.get()
    if event is None:
        return False
    try:
        callback(event)
    except BaseException:  # noqa: BLE001  # whatever a callback raises must not end the thread that serves the others
        report_failure(callback)
    return True


class EventIterator(Generic[E_co]):
    """The events of a connection, one by one, for a thread. It ends when the connection closes.

    Leaving its ``with`` block, :meth:`close` or forgetting it ends the subscription.
    """

    def __init__(
        self, connection: ConnectionBase, kinds: Kinds, of: Referring | EventSubject | None, limit: int
    ) -> None:
        import threading
        import weakref

        self._connection = connection  # which is closed when nobody holds it any more
        session = connection.session
        flag = threading.Event()
        self._flag = flag
        self._queue = EventQueue(flag.set, limit)
        subscriber = session.subscribe_here(self._queue.put, kinds, self._queue.close, subject_of(of))
        self._end = weakref.finalize(self, session.unsubscribe_soon, subscriber)
        self._end.atexit = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E_co:
        event = self._next(None)
        if event is None:
            raise StopIteration
        return event

    def get(self, deadline: float | None = None) -> E_co:
        """The next event, waiting at most ``deadline`` seconds.

        :raises OperationTimeout: none came.
        :raises OperationInvalid: the subscription or the connection was closed.
        """
        event = self._next(deadline)
        if event is None:
            raise OperationInvalid("the subscription has ended")
        return event

    def _next(self, deadline: float | None) -> E_co | None:
        if self._connection.session.core.is_current():
            raise OperationInvalid("events were waited for on the core loop", advice="use 'async for' there")
        while True:
            self._flag.clear()
            event = self._queue.get()
            if event is not None:
                return cast("E_co", event)  # of the kinds that are let through
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
