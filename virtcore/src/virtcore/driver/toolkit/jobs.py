"""One change at a time per object: the job lock.

A *job* is the right to change an object, or to ask its hypervisor something, over several steps. There is one at a
time. A long job (migration, save) is *asynchronous*: while it is held, short jobs of chosen kinds may run between its
own steps, which it takes with :meth:`JobLock.nested`. Its holder tells how far it is (:meth:`Job.report`), and whoever
asks is told without waiting for it (:meth:`JobLock.progress`).

A job ends with the context that holds it, or goes on beyond a call: a change whose steps are calls of their own (the
phases of a migration) begins it (:meth:`Job.begin`), lets it rest between them (:meth:`Job.rest`), goes on
(:meth:`Job.going_on`) and ends it (:meth:`Job.finish`).
"""

from __future__ import annotations

import asyncio
import enum
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from virtcore._typing import TYPE_CHECKING, ClassVar
from virtcore.errors import OperationAborted, OperationFailed, OperationInvalid, OperationTimeout, VirtError
from virtcore.runtime.jobs import report
from virtcore.types import TypedParameters, TypedValue

if TYPE_CHECKING:  # needed by long jobs only
    from virtcore.enums.domain_more import DomainJobOperation, DomainJobType
    from virtcore.operations.values import JobStats

__all__ = ["Job", "JobKind", "JobLock"]


def _names() -> dict[int, str]:
    """What libvirt's messages call long jobs, by what they do."""
    from virtcore.enums.domain_more import DomainJobOperation

    return {
        DomainJobOperation.START: "start job",
        DomainJobOperation.SAVE: "domain save job",
        DomainJobOperation.MIGRATION_IN: "migration in job",
        DomainJobOperation.MIGRATION_OUT: "migration out job",
        DomainJobOperation.SNAPSHOT: "snapshot job",
        DomainJobOperation.DUMP: "domain core dump job",
        DomainJobOperation.BACKUP: "backup job",
    }


class JobKind(enum.Flag):
    """What a job is for; libvirt's ``virDomainJob``."""

    QUERY = enum.auto()
    MODIFY = enum.auto()
    DESTROY = enum.auto()
    ASYNC = enum.auto()
    NESTED = enum.auto()
    SUSPEND = enum.auto()


#: Kinds that :attr:`JobLock.max_queued` counts. Destroying always gets its turn; steps of a long job are its own.
_LIMITED = JobKind.QUERY | JobKind.MODIFY | JobKind.ASYNC | JobKind.SUSPEND


class Job:
    """A job that was asked for; an async context manager that holds it.

    :ivar kind: what it is for.
    :ivar operation: the operation it belongs to, e.g. ``domain_create``.
    :ivar since: monotonic time since which it is held.
    :ivar allows: kinds that may run while it is held; only asynchronous jobs allow any.
    :ivar endable: destroy may break it off: its holder can undo what it did, or what it did ends with the guest.
    :ivar ended_others: a destroy job that has broken another one off.
    :ivar refusal: why it cannot be aborted, though destroy may break it off; None where it can.
    :ivar does: what an asynchronous job does, a ``DomainJobOperation``.
    :ivar unbounded: nobody can say when it will end, though its totals are known.
    """

    def __init__(self, lock: JobLock, kind: JobKind, operation: str, limit: float, endable: bool) -> None:
        self.does: DomainJobOperation | int = 0
        self.refusal: str | None = None
        self._reported: dict[str, TypedValue] = {}
        self.kind = kind
        self.operation = operation
        self.allows = JobKind(0)
        self.endable = endable
        self.unbounded = False
        self.ended_others = False
        self.since = 0.0
        self._lock = lock
        self._limit = limit
        self._task: asyncio.Task[object] | None = None
        self._ended: VirtError | None = None
        self._on_end: Callable[[VirtError], None] | None = None
        self._ends_with: Callable[[], VirtError] | None = None
        self._cancels = 0

    @property
    def age(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self.since

    def report(self, values: Mapping[str, TypedValue]) -> None:
        """The holder of an asynchronous job tells how far it is.

        :param values: parameters of :data:`~virtcore.operations.parameters.JOB`; those told earlier stay.
        :raises ArgumentUnsupported: there is no such parameter.
        :raises InvalidArg: a value does not fit its type.
        """
        from virtcore.operations.parameters import JOB

        JOB.typed(values)  # what cannot be told changes nothing
        self._reported.update(values)
        report(self.stats())

    @property
    def reported(self) -> bool:
        """Whether its holder has told anything of it."""
        return bool(self._reported)

    def stats(self, type: DomainJobType | None = None) -> JobStats:
        """How far it is.

        :param type: how it ended; None while it is held.
        """
        from virtcore.enums.domain_more import DomainJobType
        from virtcore.operations.parameters import JOB
        from virtcore.operations.values import JobStats

        values = {"operation": int(self.does), "time_elapsed": int(self.age * 1000), **self._reported}
        if type is None:
            bounded = "data_total" in values and not self.unbounded
            type = DomainJobType.BOUNDED if bounded else DomainJobType.UNBOUNDED
        return JobStats(type, JOB.typed(values))

    async def __aenter__(self) -> Job:
        return await self.begin()

    async def begin(self) -> Job:
        """Hold it, by the calling task; as entering the context does.

        :raises OperationTimeout: it was not to be had in time.
        """
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if self.kind is JobKind.DESTROY:
            await self._lock._preempt(self)
        else:
            await self._lock._acquire(self, self._limit)
        self._cancels = task.cancelling()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish(error)
        self._tell_holder(error)

    def finish(self, error: BaseException | None = None) -> None:
        """Give it back.

        :param error: what it failed with.
        """
        self._lock._release(self)
        if self.kind is JobKind.ASYNC:
            self._lock._complete(self, self._ended or error)

    def _tell_holder(self, error: BaseException | None) -> None:
        """Have a holder that was broken off raise why."""
        task = self._task
        if self._ended is None or task is None:
            return
        if task.uncancel() <= self._cancels and isinstance(error, asyncio.CancelledError):
            raise self._ended from None

    @property
    def ended(self) -> VirtError | None:
        """Why it was broken off; None while nobody has."""
        return self._ended

    @property
    def resting(self) -> bool:
        """Whether it is held by no task just now."""
        return self._task is None

    def rest(self, ended: Callable[[VirtError], None]) -> None:
        """The calling task goes and leaves it held, for a next step (:meth:`going_on`).

        :param ended: called when it is broken off meanwhile; has to :meth:`finish` it, soon.
        """
        self._task = None
        self._on_end = ended

    @contextmanager
    def going_on(self) -> Iterator[Job]:
        """The next step of a job that rested: held by the calling task. What ends the step, before or after leaving the
        context, is to let it :meth:`rest` or to :meth:`finish` it."""
        task = asyncio.current_task()
        assert task is not None
        self._task, self._on_end, self._cancels = task, None, task.cancelling()
        try:
            yield self
        except BaseException as error:
            self._tell_holder(error)
            raise

    def _end(self, error: VirtError) -> bool:
        """Break the holder off at its next wait: it rolls back and its caller gets ``error``. False when that was done
        before."""
        if self._ended is not None or (self._task is None and self._on_end is None):
            return False
        self._ended = error
        if self._task is not None:
            self._task.cancel()
        elif self._on_end is not None:
            self._on_end(error)
        return True


class JobLock:
    """The jobs of one object. Used in the core loop only.

    :param check: called when a job was waited for and is now held; raises when the object has gone meanwhile.
    :ivar max_queued: changes that may be held and waited for; 0 for no limit.
    """

    #: Seconds that a job is waited for.
    limit: ClassVar[float] = 30.0
    #: Seconds that a job which destroy ended may take for its rollback before it loses the lock.
    grace: ClassVar[float] = 5.0

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self._check = check
        self.max_queued = 0
        self._short: Job | None = None
        self._long: Job | None = None
        self._waiting: deque[tuple[Job, asyncio.Future[None]]] = deque()
        self._completed: JobStats | None = None

    @property
    def holder(self) -> Job | None:
        """The job that is held now: the short one where there are two."""
        return self._short or self._long

    @property
    def asynchronous_holder(self) -> Job | None:
        """The long job that is held now."""
        return self._long

    def query(self, operation: str, *, limit: float | None = None) -> Job:
        """Ask the hypervisor something: ``async with obj.job.query("domain_info"): ...``.

        :param limit: seconds to wait for it; 0 does not wait.
        :raises OperationTimeout: on entry, when it was not to be had in time.
        """
        return self._job(JobKind.QUERY, operation, limit)

    def modify(self, operation: str, *, limit: float | None = None, endable: bool = True) -> Job:
        """Change the object. As :meth:`query`.

        :param endable: destroy may break it off; false for changes that outlive the guest and cannot be half done.
        """
        return self._job(JobKind.MODIFY, operation, limit, endable)

    def suspend(self, operation: str, *, limit: float | None = None) -> Job:
        """Pause the guest, which is possible while it is migrated. As :meth:`query`."""
        return self._job(JobKind.SUSPEND, operation, limit)

    def asynchronous(
        self,
        operation: str,
        does: DomainJobOperation | int = 0,
        *,
        allows: JobKind = JobKind.QUERY | JobKind.DESTROY,
        limit: float | None = None,
    ) -> Job:
        """A long change that lets others in between its steps. As :meth:`query`.

        :param does: what :meth:`progress` calls it.
        :param allows: kinds of short jobs that others may hold meanwhile.
        """
        job = self._job(JobKind.ASYNC, operation, limit)
        job.allows = allows
        job.does = does
        return job

    def progress(self) -> JobStats | None:
        """How far the asynchronous job is; None without one. Waits for nothing."""
        return None if self._long is None else self._long.stats()

    def completed(self, *, keep: bool = False) -> JobStats | None:
        """How the last asynchronous job ended that did anything; None when that was told before, or there was none.

        :param keep: do not forget it now.
        """
        found = self._completed
        if not keep:
            self._completed = None
        return found

    def abort(self) -> None:
        """Break the asynchronous job off: its holder rolls back, and its caller gets ``OperationAborted``.

        :raises OperationInvalid: there is none, or it must not be broken off.
        """
        job = self._long
        if job is None:
            raise OperationInvalid("no job is active on the domain")
        if job.refusal is not None or not job.endable:
            raise OperationInvalid(job.refusal or f"'{job.operation}' cannot be aborted")
        name = _names().get(job.does)
        job._end(OperationAborted(f"{name}: canceled by client" if name else f"'{job.operation}' was aborted"))

    def _complete(self, job: Job, error: BaseException | None) -> None:
        """An asynchronous job ends. One that failed before it had anything to tell is as if it had never been."""
        from virtcore.enums.domain_more import DomainJobType
        from virtcore.operations.parameters import JOB
        from virtcore.operations.values import JobStats

        if error is None:
            type = DomainJobType.COMPLETED
        else:
            aborted = isinstance(error, OperationAborted | asyncio.CancelledError)
            type = DomainJobType.CANCELLED if aborted else DomainJobType.FAILED
            if not aborted and not job.reported:
                return
        stats = job.stats(type)
        params = TypedParameters(stats.params.rows())
        ended = {"success": error is None} | ({} if error is None else {"errmsg": str(error)})
        for row in JOB.typed(ended).rows():
            params.add(*row)
        self._completed = JobStats(type, params)

    def nested(self, operation: str, *, limit: float | None = None) -> Job:
        """A step of the asynchronous job, taken by its holder. As :meth:`query`."""
        return self._job(JobKind.NESTED, operation, limit)

    def destroy(self, operation: str, ends_with: Callable[[], VirtError] | None = None) -> Job:
        """End whoever holds a job and hold it next.

        Held jobs are broken off at their next wait and get ``OperationAborted``; one that does not give up within
        :attr:`grace` loses the lock. Jobs that must not be broken off, another destroy among them, are waited for.
        Whoever waits for a job goes on waiting.

        :param ends_with: what those get instead.
        """
        job = self._job(JobKind.DESTROY, operation, None, False)
        job._ends_with = ends_with
        return job

    def _job(self, kind: JobKind, operation: str, limit: float | None, endable: bool = True) -> Job:
        return Job(self, kind, operation, self.limit if limit is None else limit, endable)

    def _may_begin(self, job: Job) -> bool:
        if job.kind is JobKind.ASYNC:
            return self._short is None and self._long is None
        if self._short is not None:
            return False
        return job.kind is JobKind.NESTED or self._long is None or job.kind in self._long.allows

    def _begin(self, job: Job) -> None:
        job.since = time.monotonic()
        if job.kind is JobKind.ASYNC:
            self._long = job
        else:
            self._short = job

    async def _acquire(self, job: Job, limit: float) -> None:
        held = self._short
        if held is not None and held._task is job._task:
            raise RuntimeError(f"{job.operation} asks for a job while {held.operation} of the same task holds one")
        if not self._waiting and self._may_begin(job):
            self._begin(job)
            return
        if limit <= 0:
            raise self._timeout(job)
        if self.max_queued and job.kind in _LIMITED and self._limited() >= self.max_queued:
            raise OperationFailed(f"{self._complaint()} due to max_queued limit")
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (job, granted)
        if job.kind is JobKind.DESTROY:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        self._wake()
        try:
            async with asyncio.timeout(limit):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self._release(job)
            else:
                self._waiting.remove(entry)
            if isinstance(error, TimeoutError):
                raise self._timeout(job) from None
            raise
        if self._check is not None and job.kind is not JobKind.DESTROY:  # that it has gone is what destroy wants
            try:
                self._check()
            except BaseException:
                self._release(job)
                raise

    async def _preempt(self, job: Job) -> None:
        while held := [one for one in (self._short, self._long) if one is not None and one._task is not job._task]:
            patient = False
            for one in held:
                if one.endable:
                    error: VirtError = OperationAborted(f"'{one.operation}' was ended by '{job.operation}'")
                    job.ended_others |= one._end(job._ends_with() if job._ends_with is not None else error)
                else:
                    patient = True
            try:
                await self._acquire(job, self.limit if patient else self.grace)
                return
            except OperationTimeout:
                if patient:
                    raise
            # They do not react (a worker thread that blocks, a rollback that hangs): they keep what they do and lose
            # the lock. Look again: another destroy may have been quicker to take it.
            for one in held:
                self._forget(one)
        self._begin(job)

    def _release(self, job: Job) -> None:
        self._forget(job)
        self._wake()

    def _forget(self, job: Job) -> None:
        if self._short is job:
            self._short = None
        if self._long is job:
            self._long = None

    def _wake(self) -> None:
        """Grant the lock to everyone who can have it now, in order of asking."""
        for entry in list(self._waiting):
            job, granted = entry
            if granted.done():
                continue
            if self._may_begin(job):
                self._waiting.remove(entry)
                self._begin(job)
                granted.set_result(None)

    def _limited(self) -> int:
        """How many jobs are held or waited for that count."""
        jobs = (self._short, self._long, *(job for job, _ in self._waiting))
        return sum(1 for job in jobs if job is not None and job.kind in _LIMITED)

    def _complaint(self) -> str:
        holder = self.holder
        held = f" (held by monitor={holder.operation})" if holder is not None else ""
        return f"cannot acquire state change lock{held}"

    def _timeout(self, job: Job) -> OperationTimeout:
        error = OperationTimeout(self._complaint())
        if (holder := self.holder) is not None:
            error.add_note(f"'{holder.operation}' holds it for {holder.age:.1f} s; destroying the domain ends it")
        return error
