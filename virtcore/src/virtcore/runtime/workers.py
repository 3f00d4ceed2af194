"""The worker threads of one connection, which run drivers' plain methods.

Threads are daemons, so one that is stuck in a blocking call never keeps the interpreter; they are started as they are
needed and few. What is stuck must not starve the others: work on one object never takes the last thread, and a call
whose waiter gave up while it was running no longer counts against the limit.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from virtcore.errors import ResourceBusy

__all__ = ["Work", "WorkerPool", "in_worker"]

STUCK_LIMIT = 64
"""Most abandoned calls of one connection that may be stuck at the same time."""

_local = threading.local()


def in_worker() -> bool:
    """Whether the calling thread is a worker of some connection."""
    return getattr(_local, "worker", False)


class Work:
    """A function on its way through a pool."""

    __slots__ = ("abandoned", "run", "running", "subject")

    def __init__(self, run: Callable[[], object], subject: str | None = None) -> None:
        self.run = run
        self.subject = subject
        self.running = False
        self.abandoned = False


class WorkerPool:
    """At most ``limit`` threads, beside those that are stuck in abandoned calls. Of these ``limit``, work on one object
    has one less, where there is more than one."""

    __slots__ = ("_busy", "_closed", "_condition", "_idle", "_name", "_queue", "_stuck", "_threads", "limit")

    def __init__(self, limit: int, name: str) -> None:
        self.limit = limit
        self._name = name
        self._queue: deque[Work] = deque()
        self._condition = threading.Condition()
        self._idle = 0
        #: How many threads work on an object, beside abandoned calls.
        self._busy: Counter[str] = Counter()
        self._threads = 0
        self._stuck = 0
        self._closed = False

    def submit(self, run: Callable[[], object], subject: str | None = None) -> Work:
        """Have a worker call a function, which must not raise.

        :param subject: the object that it works on; None for none.
        :raises ResourceBusy: too many earlier calls are stuck.
        """
        work = Work(run, subject)
        with self._condition:
            if self._stuck >= STUCK_LIMIT:
                raise ResourceBusy(f"{self._stuck} earlier calls of this connection are stuck in the driver")
            self._queue.append(work)
            if self._idle:
                self._condition.notify()
            if self._idle < len(self._queue) and self._threads - self._stuck < self.limit:
                self._start()
        return work

    def abandon(self, work: Work) -> bool:
        """Nobody waits for a work any more. Returns whether it was withdrawn before it began."""
        with self._condition:
            if not work.running:
                try:
                    self._queue.remove(work)
                except ValueError:
                    return False  # it ended meanwhile
                return True
            if not work.abandoned:
                work.abandoned = True
                self._stuck += 1
                self._left(work)
                if self._queue and not self._idle:
                    self._start()
            return False

    def close(self) -> None:
        """Let the threads end when the queue is empty."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _start(self) -> None:
        self._threads += 1
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _next(self) -> Work | None:
        """The first work in the queue that may begin, taken from it."""
        most = max(self.limit - 1, 1)
        for at, work in enumerate(self._queue):
            if work.subject is None or self._busy[work.subject] < most:
                del self._queue[at]
                return work
        return None

    def _left(self, work: Work) -> None:
        """A thread no longer counts as working on an object: more work on it may begin."""
        if work.subject is not None:
            self._busy[work.subject] -= 1
            if not self._busy[work.subject]:
                del self._busy[work.subject]
            if self._queue:
                self._condition.notify()

    def _serve(self) -> None:
        _local.worker = True
        while True:
            with self._condition:
                while (work := self._next()) is None:
                    done = self._closed and not self._queue
                    if done or self._threads - self._stuck > self.limit:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._condition.wait()
                    self._idle -= 1
                if work.subject is not None:
                    self._busy[work.subject] += 1
                work.running = True
            work.run()
            with self._condition:
                work.running = False
                if work.abandoned:
                    self._stuck -= 1
                else:
                    self._left(work)
                if self._closed:  # others may wait for what has been taken by now
                    self._condition.notify_all()
            del work  # its closure holds arguments and the result
