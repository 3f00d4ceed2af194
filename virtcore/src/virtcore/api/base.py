"""The hand-written part of connections and objects, and all of it for threads; the generated faces add a method per
operation.

Nothing here loads asyncio: whether it is needed depends on the driver.
"""

from __future__ import annotations

import sys

from virtcore._typing import TYPE_CHECKING, Any, Callable, Collection, Generic, Mapping, Self, TypeVar, cast, overload
from virtcore.api.events import E, EventIterator, EventSubscription, Referring, call_on_thread
from virtcore.runtime.events import QUEUE_LIMIT, Dispatcher
from virtcore.runtime.jobs import Job
from virtcore.runtime.methods import DEFAULT, Deadline

if TYPE_CHECKING:
    from types import TracebackType

    from virtcore.api.sync import Connection
    from virtcore.operations.events import Event, EventSubject, GapEvent
    from virtcore.runtime.blocking import BlockingSession
    from virtcore.runtime.events import Kinds
    from virtcore.runtime.session import Session

__all__ = [
    "CLOSE_DEADLINE",
    "DEFAULT",
    "ConnectionBase",
    "Deadline",
    "ObjectBase",
    "SyncConnectionBase",
    "SyncObjectBase",
    "reference",
    "references",
]

#: A class of virtcore.types.
R = TypeVar("R", bound=tuple[object, ...])

CLOSE_DEADLINE = 30.0
"""Seconds that closing a connection may take before it goes on without the caller."""


class ConnectionBase:
    """What both faces' connections have in common."""

    def __init__(self, session: Session | BlockingSession) -> None:
        self._session = session

    def __del__(self, finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # A connection that was never closed must not keep its driver open for ever.
        if not finalizing():
            self._session.close_soon()

    @property
    def session(self) -> Session:
        """The connection as the core loop sees it, where it lives from now on; for plugins and tests."""
        return self._session.in_loop()

    @property
    def readonly(self) -> bool:
        """Whether changes are refused."""
        return self._session.readonly

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._session.closed

    def supports(self, operation: str) -> bool:
        """Whether the driver has an operation, by its full name, e.g. ``domain_create``.

        Over a connection to a daemon it is the protocol that has them, and no call of it asks what the hypervisor there
        has: that is known for what was called once and refused, and for what a connection of this kind cannot carry.

        :raises InvalidArg: there is no such operation.
        """
        return self._session.supports(operation)

    def jobs(self) -> list[Job]:
        """Changes that are running on this connection, also those whose callers no longer wait; oldest first."""
        return self._session.jobs()

    def __repr__(self) -> str:
        state = "closed " if self.closed else "read-only " if self.readonly else ""
        return f"<{state}{type(self).__name__} to {self._session.driver_name}>"


class SyncConnectionBase(ConnectionBase):
    """A connection for threads. Any number of them may use it at the same time.

    Methods block the calling thread, and with it a loop that may run there: in coroutines use
    :class:`~virtcore.api.aio.AsyncConnection`. Every one takes ``deadline``, in seconds: the most the caller waits, by
    default the connection's (for queries) or without end (for changes). Reaching it, or Ctrl-C, cancels a query; a
    change goes on as a job (:class:`~virtcore.runtime.jobs.DeadlineExpired`).
    """

    def __init__(self, session: Session | BlockingSession) -> None:
        super().__init__(session)
        self._dispatcher = Dispatcher()

    def _call(self, name: str, args: tuple[object, ...], deadline: Deadline) -> Any:
        return self._session.call_here(name, args, deadline)

    @overload
    def on_event(
        self,
        callback: Callable[[E | GapEvent], object],
        kind: type[E],
        /,
        *,
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription: ...
    @overload
    def on_event(
        self,
        callback: Callable[[Event], object],
        *kinds: type[Event],
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription: ...
    def on_event(
        self,
        callback: Callable[..., object],
        *kinds: type[object],
        of: Referring | EventSubject | None = None,
        limit: int = QUEUE_LIMIT,
    ) -> EventSubscription:
        """Have a callback called with every event of some kinds, on one thread for the whole connection, in order.

        The callback may use the connection. A :class:`~virtcore.operations.events.GapEvent` says that it was too slow.

        :param kinds: classes of events; none for all but those of QEMU's monitor.
        :param of: a domain, network, ..., or its reference, whose events alone are wanted.
        :param limit: events it may lag behind.
        :raises NoSupport: the driver has no events.
        """
        return call_on_thread(self, self._dispatcher, callback, cast("Kinds", kinds), of, limit)

    @overload
    def events(
        self, kind: type[E], /, *, of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> EventIterator[E | GapEvent]: ...
    @overload
    def events(
        self, *kinds: type[Event], of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> EventIterator[Event]: ...
    def events(
        self, *kinds: type[object], of: Referring | EventSubject | None = None, limit: int = QUEUE_LIMIT
    ) -> EventIterator[object]:
        """The events of some kinds from now on: ``for event in connection.events(DomainLifecycleEvent): ...``.

        :param kinds: classes of events; none for all but those of QEMU's monitor.
        :param of: a domain, network, ..., or its reference, whose events alone are wanted.
        :param limit: events the reader may lag behind.
        :raises NoSupport: the driver has no events.
        """
        return EventIterator(self, cast("Kinds", kinds), of, limit)

    def close(self, *, deadline: float | None = CLOSE_DEADLINE) -> None:
        """End the connection. Guests go on, and so do changes that are running. Closing twice does nothing.

        :raises DeadlineExpired: the driver takes longer; it goes on closing.
        """
        self._session.close_here(deadline)
        self._dispatcher.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ObjectBase(Generic[R]):
    """What both faces' domains, networks, ... have in common. Two are equal when they stand for the same object."""

    __slots__ = ("_ref", "connection")

    _ref: R

    @property
    def ref(self) -> R:
        """The plain reference, which can be kept and compared without any connection."""
        return self._ref

    @property
    def _key(self) -> object:
        """What makes two the same."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObjectBase) or type(other._ref) is not type(self._ref):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        key = self._key if isinstance(self._key, tuple) else (self._key,)
        name = getattr(self._ref, "name", None)
        shown = [repr(name)] if name is not None else []
        return f"<{' '.join([type(self).__name__, *shown, *(str(part) for part in key if part != name)])}>"


def reference(value: object) -> object:
    """What a driver takes for an argument that is an object of ours; anything else as it is, for the operation to
    refuse."""
    return value.ref if isinstance(value, ObjectBase) else value


def references(values: object) -> object:
    """The same for several."""
    if not isinstance(values, Collection) or isinstance(values, (str, bytes, Mapping)):
        return values
    return [reference(value) for value in values]


class SyncObjectBase(ObjectBase[R]):
    """A domain, a network, ... for threads.

    :ivar connection: the connection it was found on.
    """

    __slots__ = ()

    connection: Connection

    def __init__(self, connection: Connection, ref: R) -> None:
        self.connection = connection
        self._ref = ref

    def _call(self, name: str, args: tuple[object, ...], deadline: Deadline) -> Any:
        return self.connection._call(name, (self._ref, *args), deadline)
