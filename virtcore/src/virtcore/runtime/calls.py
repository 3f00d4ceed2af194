"""One call of a driver method, from its begin to its end, and the three ways to wait for it.

Work and waiting are two things. A :class:`Call` is the work: it begins in the core loop (or, for a plain method, in a
worker thread) and ends exactly once. Whoever waits, a thread, a coroutine of the core loop or one of somebody's loop,
may give up at any time: a query is then cancelled, a change goes on and can be watched as a
:class:`~virtcore.runtime.jobs.Job`.
"""

from __future__ import annotations

import asyncio
import contextvars
import enum
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from virtcore.errors import InternalError, InvalidConn, OperationAborted, OperationInvalid, VirtError
from virtcore.operations.spellings import canonical_function
from virtcore.runtime import loop as core_loops
from virtcore.runtime.admission import described, subject_name
from virtcore.runtime.jobs import DeadlineExpired, Job, current_call
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.methods import Method, Style
from virtcore.runtime.workers import Work, WorkerPool, in_worker

if TYPE_CHECKING:
    from virtcore.operations.values import JobStats

__all__ = [
    "Call",
    "Outcome",
    "changes_ended",
    "running_calls",
    "wait_again",
    "wait_anywhere",
    "wait_here",
    "wait_in_loop",
]

EXIT_WAIT = 5.0
"""Seconds the interpreter's exit waits for running changes."""

_numbers = itertools.count(1)
_lock = threading.Lock()  # held for a few instructions: the hand-over between begin, end and giving up
_running: set[Call] = set()
_change_ended = threading.Condition(threading.Lock())


def running_calls(owner: object) -> list[Call]:
    """The calls of a connection that have begun and not ended."""
    return [call for call in list(_running) if call.owner is owner]


class Owner(Protocol):
    """The connection that calls belong to."""

    closed: bool


class Outcome(enum.Enum):
    """What becomes of a call whose waiter gives up; the value is how errors say it."""

    ENDED = "it had ended"
    WITHDRAWN = "it had not begun and was withdrawn: nothing changed"
    CANCELLED = "the query was cancelled"
    GOES_ON = "the work goes on"


class Call:
    """A call of a method.

    :ivar owner: the connection it belongs to.
    :ivar done: it ended; then ``error`` or ``value`` tell how.
    """

    __slots__ = (
        "_abort",
        "_began",
        "_given_up",
        "_pool",
        "_task",
        "_watchers",
        "_work",
        "args",
        "core",
        "done",
        "error",
        "kwargs",
        "method",
        "number",
        "owner",
        "progress",
        "since",
        "value",
    )

    def __init__(
        self,
        core: CoreLoop,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        owner: Owner | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self.core = core
        self.method = method
        self.args = args
        self.kwargs = kwargs
        self.owner = owner
        self.value: Any = None
        self.error: BaseException | None = None
        self.done = False
        self.number = 0
        self.since = 0.0
        #: How far it is, as the driver last said.
        self.progress: JobStats | None = None
        self._pool = pool
        self._abort: VirtError | None = None
        self._task: asyncio.Task[Any] | None = None
        self._work: Work | None = None
        self._watchers: list[Callable[[], None]] = []
        self._began = False
        self._given_up = False

    def __str__(self) -> str:
        return described(self.method.name, self.args[1:])

    @property
    def subject(self) -> str | None:
        """Name of the object it concerns."""
        return subject_name(self.args[1:])

    # -- the work

    def begin(self) -> None:
        """Start the work: in the core loop, or for a plain method in any thread."""
        if self.owner is not None and self.owner.closed and self.method.operation is not None:
            # It was closed between the call and this: the driver may have given up what it works on.
            self._end(None, InvalidConn(canonical_function(self.method.name), advice="the connection was closed"))
            return
        if self.method.style is Style.PLAIN:
            self._submit()
            return
        with _lock:
            given_up = self._given_up
            self._began = not given_up
        if given_up:
            self._withdraw()
            return
        if self.method.change:
            self.number = next(_numbers)
            self.since = time.monotonic()
        if self.method.style is Style.INLINE:
            self._run()
            return
        try:
            context = contextvars.copy_context()
            context.run(current_call.set, self)
            work: Coroutine[Any, Any, Any] = self.method.function(*self.args, **self.kwargs)
        except Exception as error:  # noqa: BLE001  # wrong arguments: the caller gets it
            self._end(None, error)
            return
        self._await(work, context)

    def _await(self, work: Coroutine[Any, Any, Any], context: contextvars.Context | None = None) -> None:
        _running.add(self)
        self._task = self.core.loop.create_task(self._follow(work), context=context)
        self._task.add_done_callback(partial(self._task_done, work))

    def _submit(self) -> None:
        if self._pool is None:
            raise InternalError(f"{self.method.name} is a plain method outside of a connection")
        if self.method.change:
            self.number = next(_numbers)
            self.since = time.monotonic()
        _running.add(self)
        try:
            self._work = self._pool.submit(self._run, self.subject)
        except VirtError as error:
            self._end(None, error)

    def _run(self) -> None:
        token = current_call.set(self)
        try:
            value = self.method.function(*self.args, **self.kwargs)
            if self.method.style is Style.INLINE and isinstance(value, Coroutine):
                self._await(value)
                return
            if isinstance(value, Awaitable):
                close = getattr(value, "close", None)
                if close is not None:
                    close()
                raise InternalError(f"{self.method.name} of the driver returned an awaitable: it must be 'async def'")
        except BaseException as error:
            self._end(None, error)
            if not isinstance(error, Exception) and self.method.style is Style.INLINE:
                raise  # an interrupt in the core loop's own thread ends that, too
        else:
            self._end(value, None)
        finally:
            current_call.reset(token)

    async def _follow(self, work: Coroutine[Any, Any, Any]) -> None:
        """Await the work, and end with it: at once, not when the loop next has its turn."""
        try:
            value = await work
        except asyncio.CancelledError:
            raise  # :meth:`_task_done` knows more
        except BaseException as error:
            self._end(None, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._end(value, None)

    def _task_done(self, work: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> None:
        if not self.done:  # cancelled, maybe before its first step
            work.close()
            self._end(None, self.error or OperationAborted(f"{self} was cancelled"))
        if not task.cancelled():
            task.exception()  # an interrupt, which has gone its way

    def _end(self, value: Any, error: BaseException | None, *, report: bool = True) -> None:
        with _lock:
            self.value, self.error, self.done = value, error, True
            watchers, self._watchers = self._watchers, []
            unseen = report and error is not None and self._given_up
        _running.discard(self)
        for watcher in watchers:
            watcher()
        if self.number:
            with _change_ended:
                _change_ended.notify_all()
            if unseen:
                import logging

                logging.getLogger("virtcore").warning("job %d, %s, failed: %s", self.number, self, error)

    def _withdraw(self) -> None:
        """End it before it began: nothing failed."""
        self._end(None, OperationAborted(f"{self} was withdrawn"), report=False)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have a function called once when the call has ended, in whatever thread that happens."""
        with _lock:
            if not self.done:
                self._watchers.append(watcher)
                return
        watcher()

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Forget a watcher that has not been called yet."""
        with _lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    def result(self) -> Any:
        """The value of a call that ended; raises what it raised."""
        error = self.error
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error  # no cycle through the traceback's frame

    @property
    def abortable(self) -> bool:
        """Whether its job may be aborted: the operation says so, and there is a coroutine to cancel, or a method in a
        thread that looks up from its work."""
        operation = self.method.operation
        if operation is None or not operation.abortable:
            return False
        return self.method.style is Style.ASYNC or self.progress is not None

    def cancel(self, reason: VirtError) -> None:
        """End a call: an asynchronous one by cancelling it, one in a thread when it next reports; in the core loop."""
        if self._task is None:
            self._abort = reason
        elif not self._task.done():
            self.error = reason
            self._task.cancel()

    def reported(self, stats: JobStats) -> None:
        """The driver says how far it is.

        :raises VirtError: why it is to end, if it is.
        """
        self.progress = stats
        if self._abort is not None:
            raise self._abort

    # -- those who wait

    def give_up(self) -> Outcome:
        """The waiter leaves: a query is cancelled, a change that has begun goes on."""
        with _lock:
            ended, began = self.done, self._began
            self._given_up = not ended
        if ended:
            return Outcome.ENDED
        if self._work is not None and self._pool is not None:
            if self._pool.abandon(self._work):
                self._withdraw()
                return Outcome.WITHDRAWN
            if self.done:  # by now
                return Outcome.ENDED
        elif not began:
            return Outcome.WITHDRAWN
        elif not self.method.change:
            self.core.call_soon(self._cancel_query)
        return Outcome.GOES_ON if self.method.change else Outcome.CANCELLED

    def _cancel_query(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def late(self, seconds: float) -> Any:
        """Give up because of a deadline.

        :returns: the result, if the call ended in the last moment.
        :raises DeadlineExpired: it did not; says what becomes of the work.
        """
        outcome = self.give_up()
        if outcome is Outcome.ENDED:
            return self.result()
        if outcome is Outcome.GOES_ON:
            job = Job(self)
            advice = f"the work goes on as job {job.number}: error.job can be waited for"
            raise DeadlineExpired(self, seconds, advice + (" and aborted" if job.abortable else ""), job)
        raise DeadlineExpired(self, seconds, outcome.value, None)

    def interrupted(self, error: BaseException) -> None:
        """Give up because the waiter was interrupted; notes on the interrupt what goes on."""
        if self.give_up() is Outcome.GOES_ON:
            error.add_note(f"{self} goes on as job {self.number} (see connection.jobs())")


def wait_here(call: Call, seconds: float | None) -> Any:
    """Begin a call and block the calling thread until it ends.

    :raises DeadlineExpired: it did not within the deadline.
    :raises OperationInvalid: this is the core loop's thread, which would wait for itself.
    """
    core = call.core
    if core.is_current():
        raise OperationInvalid(
            f"{call.method.name} was called synchronously on the core loop, which would wait for itself",
            advice="await the method of the async face (virtcore.connect_async) there, or call from another thread",
        )
    plain = call.method.style is Style.PLAIN
    if plain and in_worker():
        # All workers may be here at once: handing the nested call to yet another could wait for ever.
        return call.method.function(*call.args, **call.kwargs)
    ended = threading.Lock()
    ended.acquire()
    call.watch(ended.release)
    try:
        if plain:
            call.begin()
        else:
            core.call_soon(call.begin)
        in_time = ended.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))
    except BaseException as error:
        call.interrupted(error)
        raise
    return call.result() if in_time else call.late(seconds or 0)


async def wait_in_loop(call: Call, seconds: float | None) -> Any:
    """Begin a call and wait for it, in a coroutine of the core loop."""
    call.begin()
    return await _wait(call, seconds, call.core.loop)


async def wait_anywhere(call: Call, seconds: float | None) -> Any:
    """Begin a call and wait for it, in a coroutine of whatever loop."""
    if call.core.is_current():
        return await wait_in_loop(call, seconds)
    if call.method.style is Style.PLAIN:
        call.begin()
    else:
        call.core.call_soon(call.begin)
    return await _wait(call, seconds, asyncio.get_running_loop())


async def _wait(call: Call, seconds: float | None, loop: asyncio.AbstractEventLoop) -> Any:
    if not call.done:
        ended: asyncio.Future[None] = loop.create_future()
        if loop is call.core.loop and call.method.style is not Style.PLAIN:
            call.watch(partial(_set, ended))
        else:
            call.watch(partial(_wake, loop, ended))
        try:
            if seconds is None:
                await ended
            else:
                try:
                    async with asyncio.timeout(seconds):
                        await ended
                except TimeoutError:
                    return call.late(seconds)
        except asyncio.CancelledError as error:
            call.interrupted(error)
            raise
    return call.result()


async def wait_again(call: Call) -> Any:
    """Wait for a call that others began, in a coroutine of whatever loop; giving up changes nothing for the call."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    call.watch(partial(_wake, loop, ended))
    await ended
    return call.result()


def _wake(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None]) -> None:
    try:
        loop.call_soon_threadsafe(_set, ended)
    except RuntimeError:
        pass  # the waiter's loop was closed meanwhile: nobody waits any more


def _set(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


async def changes_ended(seconds: float) -> list[Job]:
    """Wait, in the core loop, until no change is running in this process: what a daemon does before it ends.

    :param seconds: how long at most.
    :returns: those that still run.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while changes := [call for call in list(_running) if call.number]:
        ended: asyncio.Future[None] = loop.create_future()
        wake = partial(_wake, loop, ended)
        changes[0].watch(wake)
        try:
            async with asyncio.timeout_at(end):
                await ended
        except TimeoutError:
            return [Job(call) for call in changes]
        finally:
            changes[0].unwatch(wake)
    return []


def _await_changes() -> None:
    """At the interpreter's exit: give running changes a few seconds."""

    def left() -> list[Call]:
        # Of an adopted loop, which has ended by now, only what is in worker threads goes on.
        return [
            call
            for call in list(_running)
            if call.number and not call.core.forked and (not call.core.adopted or call.method.style is Style.PLAIN)
        ]

    with _change_ended:
        _change_ended.wait_for(lambda: not left(), EXIT_WAIT)
    for call in left():
        import logging

        logging.getLogger("virtcore").warning("exit leaves job %d, %s, unfinished", call.number, call)


core_loops.at_exit(_await_changes)


def _after_fork() -> None:
    global _lock, _change_ended
    _lock = threading.Lock()
    _change_ended = threading.Condition(threading.Lock())
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)
