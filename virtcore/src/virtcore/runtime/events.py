"""From a driver's events to subscribers: bounded queues that say when they lost something.

The driver delivers in the core loop and never waits. Each subscriber has a queue; when it is full, further events are
counted instead of kept, and a :class:`~virtcore.operations.events.GapEvent` takes their place. Callbacks of the sync
face are called on one thread per connection, in order.
"""

from __future__ import annotations

from _thread import allocate_lock

from virtcore._typing import TYPE_CHECKING, Callable, TypeAlias
from virtcore.errors import InvalidArg

if TYPE_CHECKING:  # forty classes of events, for one, which only those need who subscribe
    import threading
    from collections import deque

    from virtcore.operations.events import Event, EventSubject

__all__ = ["QUEUE_LIMIT", "Dispatcher", "EventQueue", "Kinds", "check_kinds", "wanted"]

QUEUE_LIMIT = 1024
"""Events a subscriber may lag behind."""

#: Classes of events a subscriber asked for; empty for all.
Kinds: TypeAlias = "tuple[type[Event], ...]"


def wanted(event: Event, kinds: Kinds, subject: EventSubject | None = None) -> bool:
    """Whether a subscriber gets an event. Everybody gets gaps, whose object is not known.

    :param subject: the one object whose events are wanted; None for all.
    """
    from virtcore.operations import events

    if isinstance(event, events.GapEvent):
        return True
    if kinds:
        if not isinstance(event, kinds):
            return False
    elif isinstance(event, events.QemuMonitorEvent):
        return False
    if isinstance(event, events.ConnectionClosedEvent):
        return True
    return subject is None or events.same_subject(events.subject_of(event), subject)


def check_kinds(kinds: Kinds) -> Kinds:
    """Classes of events as given by a caller, who would otherwise wait for events that never come.

    :raises InvalidArg: one is no class of events.
    """
    from virtcore.operations.events import Event

    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise InvalidArg(f"{kind!r} is no class of events")
    return kinds


class EventQueue:
    """Between the core loop, which puts, and one consumer in whatever thread or loop.

    :param wake: called by :meth:`put` and :meth:`close` when the consumer, who found nothing, has to look again.
    :raises InvalidArg: the limit is no number of events.
    """

    __slots__ = ("_asleep", "_items", "_lock", "closed", "limit", "wake")

    def __init__(self, wake: Callable[[], None], limit: int = QUEUE_LIMIT) -> None:
        if not isinstance(limit, int) or limit < 1:
            raise InvalidArg(f"limit must be a number of events, not {limit!r}")
        self.wake = wake
        self.limit = limit
        self.closed = False
        from collections import deque

        self._items: deque[Event] = deque()
        self._lock = allocate_lock()
        self._asleep = True

    def put(self, event: Event) -> bool:
        """Add an event, or count it as lost. Returns whether the queue grew."""
        with self._lock:
            before = len(self._items)
            if self.closed:
                return False
            if len(self._items) >= self.limit:
                from virtcore.operations.events import GapEvent

                lost = event.lost if isinstance(event, GapEvent) else 1
                last = self._items[-1]
                if isinstance(last, GapEvent):
                    self._items[-1] = GapEvent(last.lost + lost)
                else:
                    self._items.append(GapEvent(lost))
            else:
                self._items.append(event)
            grown = len(self._items) > before
            asleep, self._asleep = self._asleep, False
        if asleep:
            self.wake()
        return grown

    def get(self) -> Event | None:
        """The next event; None when there is none, and ``wake`` will tell of the next."""
        with self._lock:
            if self._items:
                return self._items.popleft()
            self._asleep = True
            return None

    def close(self) -> None:
        """No more events come; those queued stay."""
        with self._lock:
            self.closed = True
            asleep, self._asleep = self._asleep, False
        if asleep:
            self.wake()


class Dispatcher:
    """The thread that calls a sync connection's callbacks, in the order in which their events came."""

    __slots__ = ("_condition", "_ended", "_lock", "_ready")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        #: What the thread waits for, and is to call; None until there is one.
        self._condition: threading.Condition | None = None
        self._ready: deque[Callable[[], object]] | None = None
        self._ended = False

    def call(self, function: Callable[[], object]) -> None:
        """Have the thread call a function, which must not raise."""
        with self._lock:
            if self._ended:
                return
            if self._condition is not None and self._ready is not None:
                self._ready.append(function)
                self._condition.notify()
                return
            import threading
            from collections import deque

            self._condition, self._ready = threading.Condition(self._lock), deque([function])
            args = self._condition, self._ready
            threading.Thread(target=self._run, args=args, name="virtcore-events", daemon=True).start()

    def end(self) -> None:
        """Let the thread end after what is queued."""
        with self._lock:
            self._ended = True
            if self._condition is not None:
                self._condition.notify()

    def _run(self, condition: threading.Condition, ready: deque[Callable[[], object]]) -> None:
        while True:
            with condition:
                while not ready:
                    if self._ended:
                        return
                    condition.wait()
                function = ready.popleft()
            function()


def report_failure(callback: Callable[..., object]) -> None:
    """Log the exception a subscriber's callback raised; the others go on."""
    import logging

    logging.getLogger("virtcore").exception("an event callback failed: %r", callback)
