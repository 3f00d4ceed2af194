"""Running changes, seen by those who no longer wait for them."""

from __future__ import annotations

import time
from _contextvars import ContextVar

from virtcore._typing import TYPE_CHECKING, Any, Generator
from virtcore.errors import OperationAborted, OperationInvalid, OperationTimeout

if TYPE_CHECKING:
    from datetime import datetime

    from virtcore.operations.values import JobStats
    from virtcore.runtime.calls import Call

__all__ = ["DeadlineExpired", "Job", "report"]

#: The call that the running code belongs to.
current_call: ContextVar[Call | None] = ContextVar("virtcore_call", default=None)


def report(stats: JobStats) -> None:
    """Say how far the running operation is, for those who watch its :class:`Job`; for drivers, in any of their methods
    and the tasks they start. Outside of a call it does nothing.

    A plain method that reports can be aborted: it is told so here.

    :raises OperationAborted: the job was aborted, and the method, which runs in a thread, is to give up.
    """
    call = current_call.get()
    if call is not None:
        call.reported(stats)


class Job:
    """A change that goes on by itself. ``job.wait()`` waits in a thread, ``await job`` in a coroutine of any loop."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    @property
    def number(self) -> int:
        """Its number, unique in this process."""
        return self._call.number

    @property
    def operation(self) -> str:
        """Name of the operation, e.g. ``domain_create``."""
        return self._call.method.name

    @property
    def subject(self) -> str | None:
        """Name of the object it works on."""
        return self._call.subject

    @property
    def seconds(self) -> float:
        """How long it has been running, in seconds."""
        return time.monotonic() - self._call.since

    @property
    def since(self) -> datetime:
        """When it began."""
        from datetime import UTC, datetime, timedelta

        return datetime.now(UTC) - timedelta(seconds=self.seconds)

    @property
    def progress(self) -> JobStats | None:
        """How far it is, as its driver last said; None when it says nothing.

        ``progress.percent`` is a number from 0 to 100, the fields of ``progress.params`` are those of
        :data:`~virtcore.operations.parameters.JOB`. What runs in a daemon is asked there: ``domain.job_stats()``.
        """
        return self._call.progress

    @property
    def done(self) -> bool:
        """Whether it ended."""
        return self._call.done

    @property
    def error(self) -> BaseException | None:
        """What it failed with; None while it runs and when it succeeded."""
        return self._call.error if self._call.done else None

    @property
    def abortable(self) -> bool:
        """Whether :meth:`abort` may end it."""
        return self._call.abortable

    def wait(self, deadline: float | None = None) -> None:
        """Block until it ends, at most ``deadline`` seconds.

        :raises DeadlineExpired: it still runs; this ends only the wait.
        :raises VirtError: it failed.
        """
        if self._call.core.is_current():
            raise OperationInvalid("a job was waited for on the core loop", advice="use 'await job' there")
        import threading

        ended = threading.Event()
        self._call.watch(ended.set)
        try:
            if not ended.wait(deadline):
                raise DeadlineExpired(self._call, deadline or 0, "it still runs", self)
        finally:
            self._call.unwatch(ended.set)
        self._call.result()

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        from virtcore.runtime.calls import wait_again

        await wait_again(self._call)

    def abort(self) -> None:
        """End it; what it began is rolled back. Returns at once: wait for the job to see its end.

        :raises OperationInvalid: the operation does not allow it.
        """
        if not self.abortable:
            raise OperationInvalid(f"{self.operation} cannot be aborted")
        self._call.core.call_soon(self._call.cancel, OperationAborted(f"{self._call} was aborted"))

    def __repr__(self) -> str:
        return f"<job {self.number}: {self._call}, {'done' if self.done else 'running'}>"


class DeadlineExpired(OperationTimeout):
    """A wait reached its deadline. Of a change, only the wait ended.

    :ivar job: the change that goes on; None when nothing does.
    """

    def __init__(self, call: Call | str, seconds: float, advice: str, job: Job | None) -> None:
        super().__init__(f"{call} did not end within {seconds:g} s", advice=advice)
        self.job = job
