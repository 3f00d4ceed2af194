"""The worker threads of one connection, which run drivers' plain methods.

Threads are daemons, so one that is stuck in a blocking call never keeps the interpreter; they are started as they are
needed and few. A call whose waiter gave up while it was running no longer counts against the limit, so that stuck ones
cannot starve the others.
"""

from __future__ import annotations

import threading
from collections import deque
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

    __slots__ = ("abandoned", "run", "running")

    def __init__(self, run: Callable[[], object]) -> None:
        self.run = run
        self.running = False
        self.abandoned = False


class WorkerPool:
    """At most ``limit`` threads, beside those that are stuck in abandoned calls."""

    __slots__ = ("_closed", "_condition", "_idle", "_name", "_queue", "_stuck", "_threads", "limit")

    def __init__(self, limit: int, name: str) -> None:
        self.limit = limit
        self._name = name
        self._queue: deque[Work] = deque()
        self._condition = threading.Condition()
        self._idle = 0
        self._threads = 0
        self._stuck = 0
        self._closed = False

    def submit(self, run: Callable[[], object]) -> Work:
        """Have a worker call a function, which must not raise.

        :raises ResourceBusy: too many earlier calls are stuck.
        """
        work = Work(run)
        with self._condition:
            if self._stuck >= STUCK_LIMIT:
                raise ResourceBusy(f"{self._stuck} earlier calls of this connection are stuck in the driver")
            self._queue.append(work)
            if self._idle >= len(self._queue):
                self._condition.notify()
            elif self._threads - self._stuck < self.limit:
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

    def _serve(self) -> None:
        _local.worker = True
        while True:
            with self._condition:
                while not self._queue:
                    if self._closed or self._threads - self._stuck > self.limit:
                        self._threads -= 1
                        return
                    self._idle += 1
                    self._condition.wait()
                    self._idle -= 1
                work = self._queue.popleft()
                work.running = True
            work.run()
            with self._condition:
                work.running = False
                if work.abandoned:
                    self._stuck -= 1
            del work  # its closure holds arguments and the result
