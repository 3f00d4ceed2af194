"""Jobs as users see them: progress, since when, aborting; and what a stuck object does to others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

import virtcore
from support import eventually
from toydriver import ONLY, ToyDriver, World, expired
from virtcore.driver import inline
from virtcore.driver.loader import registered
from virtcore.driver.toolkit import JobLock
from virtcore.enums.domain_more import DomainJobOperation, DomainJobType
from virtcore.errors import OperationAborted, OperationInvalid, OperationTimeout
from virtcore.operations.parameters import JOB
from virtcore.operations.values import JobStats, StateInfo
from virtcore.runtime.jobs import report
from virtcore.types import DomainRef, TypedParameters

OTHER = DomainRef("other", "aaaaaaaa-f6a4-8304-79aa-97f2502e193f")


class BusyDriver(ToyDriver):
    """Its domains have job locks; saving works in a coroutine, dumping in a thread, some domains are stuck."""

    locks: dict[str, JobLock]
    stuck: threading.Event

    async def domain_save(self, domain: DomainRef, file: str | None = None, *rest: object) -> None:
        async with self.locks[domain.uuid].asynchronous("domain_save", DomainJobOperation.SAVE) as job:
            for done in count():  # until it is aborted
                job.report({"data_total": 1000, "data_remaining": max(1000 - done, 1)})
                await asyncio.sleep(0.02)

    def domain_core_dump(self, domain: DomainRef, to: str, dumpformat: int = 0, flags: int = 0) -> None:
        for done in count():
            params = JOB.typed({"data_total": 1000, "data_remaining": max(1000 - done, 1)})
            report(JobStats(DomainJobType.BOUNDED, params))
            time.sleep(0.01)

    @inline
    def domain_job_stats(self, domain: DomainRef, flags: int = 0) -> JobStats:
        return self.locks[domain.uuid].progress() or JobStats(DomainJobType.NONE, TypedParameters())

    @inline
    def domain_abort_job(self, domain: DomainRef, flags: int = 0) -> None:
        self.locks[domain.uuid].abort()

    async def domain_is_updated(self, domain: DomainRef) -> bool:
        async with self.locks[domain.uuid].modify("domain_is_updated", limit=0.2):
            return True

    def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        if domain == ONLY:
            self.stuck.wait(100)
        return StateInfo(1, 0)  # type: ignore[arg-type]


@pytest.fixture
def connection(world: World) -> Iterator[virtcore.Connection]:
    BusyDriver.locks = {domain.uuid: JobLock() for domain in (ONLY, OTHER)}
    BusyDriver.stuck = threading.Event()
    with registered("busy", BusyDriver), virtcore.connect("busy:///x") as opened:
        try:
            yield opened
        finally:
            BusyDriver.stuck.set()


def begun(connection: virtcore.Connection, call: Callable[[float], None]) -> virtcore.Job:
    error = expired(call)
    (job,) = connection.jobs()
    assert error.job is not None
    assert error.job.number == job.number
    return job


def test_progress_of_a_job(connection: virtcore.Connection) -> None:
    domain = connection.domain(ONLY)
    assert domain.job_stats().type is DomainJobType.NONE
    job = begun(connection, lambda deadline: domain.save("/file", deadline=deadline))
    assert (job.operation, job.subject, job.abortable) == ("domain_save", "only", True)
    assert timedelta(0) < datetime.now(UTC) - job.since < timedelta(seconds=60)
    eventually(lambda: job.progress is not None)
    assert job.progress is not None
    assert job.progress.params["operation"] == DomainJobOperation.SAVE
    first = job.progress.percent
    assert first is not None
    eventually(lambda: job.progress.percent > first)  # type: ignore[union-attr,operator]
    told = domain.job_stats()
    assert told.type is DomainJobType.BOUNDED
    assert told.percent is not None
    assert told.percent >= first

    with pytest.raises(OperationTimeout, match=r"held by monitor=domain_save"):
        domain.is_updated()
    assert connection.domain(OTHER).is_updated(), "the other's job is another one"

    job.abort()
    with pytest.raises(OperationAborted):
        job.wait(60)
    assert domain.is_updated()
    assert connection.jobs() == []


def test_the_domains_own_abort_reaches_a_job_of_another_connection(connection: virtcore.Connection) -> None:
    job = begun(connection, lambda deadline: connection.domain(ONLY).save("/file", deadline=deadline))
    with virtcore.connect("busy:///x") as other:
        assert other.jobs() == []
        assert other.domain(ONLY).job_stats().type is DomainJobType.BOUNDED
        other.domain(ONLY).abort_job()
        with pytest.raises(OperationAborted, match="domain save job: canceled by client"):
            job.wait(60)
        with pytest.raises(OperationInvalid, match="no job is active on the domain"):
            other.domain(ONLY).abort_job()


def test_a_method_in_a_thread_is_aborted_when_it_reports(connection: virtcore.Connection) -> None:
    job = begun(connection, lambda deadline: connection.domain(ONLY).core_dump("/file", deadline=deadline))
    eventually(lambda: job.progress is not None)
    assert job.abortable
    job.abort()
    with pytest.raises(OperationAborted, match="domain_core_dump of 'only' was aborted"):
        job.wait(60)


def test_what_never_reports_in_a_thread_cannot_be_aborted(world: World, connection: virtcore.Connection) -> None:
    world.holding = True
    job = begun(connection, lambda deadline: connection.domain(ONLY).set_autostart(True, deadline=deadline))
    assert job.progress is None
    with pytest.raises(OperationInvalid, match="domain_set_autostart cannot be aborted"):
        job.abort()
    world.holding = False
    job.wait(60)


def test_progress_outside_of_a_call_is_nobodys() -> None:
    report(JobStats(DomainJobType.UNBOUNDED, TypedParameters()))


def test_a_stuck_object_never_blocks_queries_of_others(connection: virtcore.Connection) -> None:
    with ThreadPoolExecutor(12) as pool:
        stuck = [pool.submit(connection.domain(ONLY).state) for _ in range(12)]  # three times the workers
        eventually(lambda: connection.session._pool is not None and connection.session._pool._queue)
        for _ in range(20):
            assert connection.domain(OTHER).state(deadline=60) == (1, 0)
            assert connection.version() == 7
        assert not any(call.done() for call in stuck)
        BusyDriver.stuck.set()
        assert [call.result(60) for call in stuck] == [(1, 0)] * 12
