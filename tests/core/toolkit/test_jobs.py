from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from virtcore.driver.toolkit import JobKind, JobLock
from virtcore.enums.domain_more import DomainJobOperation, DomainJobType
from virtcore.errors import (
    ArgumentUnsupported,
    NoDomain,
    OperationAborted,
    OperationFailed,
    OperationInvalid,
    OperationTimeout,
)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await test()

    asyncio.run(limited())


def test_one_at_a_time_in_order() -> None:
    async def test() -> None:
        lock, order = JobLock(), []

        async def work(number: int) -> None:
            async with lock.modify(f"work{number}"):
                order.append(number)
                await asyncio.sleep(0)
                order.append(number)

        await asyncio.gather(*(work(number) for number in range(5)))
        assert order == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert lock.holder is None

    run(test)


def test_waiting_ends_with_libvirts_message() -> None:
    async def test() -> None:
        lock = JobLock()

        async def holder() -> None:
            async with lock.modify("domain_save"):
                await asyncio.sleep(60)

        task = asyncio.create_task(holder())
        await asyncio.sleep(0)
        assert lock.holder is not None
        assert lock.holder.operation == "domain_save"
        assert lock.holder.age < 5
        for limit in (0, 0.01):
            with pytest.raises(OperationTimeout) as caught:
                async with lock.query("domain_info", limit=limit):
                    raise AssertionError
            message = "Timed out during operation: cannot acquire state change lock (held by monitor=domain_save)"
            assert str(caught.value) == message
        task.cancel()
        await asyncio.wait([task])
        async with lock.query("domain_info", limit=0):
            pass

    run(test)


def test_no_more_wait_than_may() -> None:
    async def test() -> None:
        lock = JobLock()
        lock.max_queued = 2
        done: list[str] = []

        async def work(name: str) -> None:
            async with lock.modify(name):
                await asyncio.sleep(0.01)
                done.append(name)

        tasks = [asyncio.create_task(work(name)) for name in ("one", "two")]
        await asyncio.sleep(0)
        message = "cannot acquire state change lock \\(held by monitor=one\\) due to max_queued limit"
        with pytest.raises(OperationFailed, match=message):
            await work("three")
        async with lock.destroy("end"):
            pass
        await asyncio.gather(*tasks, return_exceptions=True)
        await work("four")
        assert done == ["two", "four"]

    run(test)


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    async def test() -> None:
        lock = JobLock()

        async def work() -> None:
            async with lock.modify("work"):
                await asyncio.sleep(0.01)

        tasks = [asyncio.create_task(work()) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        assert [task.cancelled() for task in tasks] == [False, True, True, False]
        assert lock.holder is None

    run(test)


def test_destroy_ends_the_holder_and_goes_first() -> None:
    async def test() -> None:
        lock, events = JobLock(), []

        async def starting() -> None:
            try:
                async with lock.modify("domain_create"):
                    try:
                        await asyncio.sleep(60)
                    finally:
                        await asyncio.sleep(0)  # a rollback may wait
                        events.append("rolled back")
            except OperationAborted as error:
                events.append(str(error))

        async def waiting() -> None:
            async with lock.modify("domain_suspend"):
                events.append("suspend")

        first, second = asyncio.create_task(starting()), asyncio.create_task(waiting())
        await asyncio.sleep(0)
        async with lock.destroy("domain_destroy"):
            events.append("destroy")
        await asyncio.gather(first, second)
        assert events == [
            "rolled back",
            "operation aborted: 'domain_create' was ended by 'domain_destroy'",
            "destroy",
            "suspend",
        ] or events == [
            "rolled back",
            "destroy",
            "operation aborted: 'domain_create' was ended by 'domain_destroy'",
            "suspend",
        ]
        assert lock.holder is None

    run(test)


def test_destroy_takes_the_lock_from_a_holder_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobLock, "grace", 0.02)

    async def test() -> None:
        lock, release = JobLock(), asyncio.Event()

        async def stubborn() -> None:
            async with lock.modify("domain_create"):
                while not release.is_set():
                    try:
                        await release.wait()
                    except asyncio.CancelledError:
                        continue

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        async with lock.destroy("domain_destroy") as job:
            assert lock.holder is job
        async with lock.modify("next"):
            release.set()
            await asyncio.wait([task])
            assert lock.holder is not None
            assert lock.holder.operation == "next"

    run(test)


def test_an_asynchronous_job_lets_queries_in() -> None:
    async def test() -> None:
        lock, release = JobLock(), asyncio.Event()

        async def saving() -> None:
            async with lock.asynchronous("domain_save"):
                async with lock.nested("stop"):
                    pass
                await release.wait()

        task = asyncio.create_task(saving())
        await asyncio.sleep(0.01)
        async with lock.query("domain_info", limit=0):
            assert lock.asynchronous_holder is not None
        with pytest.raises(OperationTimeout, match="monitor=domain_save"):
            async with lock.modify("domain_suspend", limit=0):
                raise AssertionError
        with pytest.raises(OperationTimeout):
            async with lock.asynchronous("domain_migrate", limit=0):
                raise AssertionError
        release.set()
        await task
        async with lock.modify("domain_suspend", limit=0) as job:
            assert job.kind is JobKind.MODIFY

    run(test)


def test_a_gone_object_is_noticed_after_waiting() -> None:
    async def test() -> None:
        gone = False

        def check() -> None:
            if gone:
                raise NoDomain("gone")

        lock = JobLock(check)
        async with lock.modify("domain_undefine"):
            waiting = asyncio.create_task(lock.modify("domain_create").__aenter__())
            await asyncio.sleep(0)
            gone = True
        with pytest.raises(NoDomain):
            await waiting
        assert lock.holder is None

    run(test)


def test_asking_twice_is_a_mistake_not_a_wait() -> None:
    async def test() -> None:
        lock = JobLock()
        async with lock.modify("outer"):
            with pytest.raises(RuntimeError, match="outer"):
                async with lock.modify("inner"):
                    raise AssertionError

    run(test)


def test_destroy_waits_for_what_must_not_be_broken_off() -> None:
    async def test() -> None:
        lock, order = JobLock(), []

        async def undefine() -> None:
            async with lock.modify("domain_undefine", endable=False):
                await asyncio.sleep(0.02)
                order.append("undefined")

        async def destroy(number: int) -> None:
            async with lock.destroy("domain_destroy") as job:
                order.append(f"destroy {number}")
                await asyncio.sleep(0.01)
                assert not job.ended_others

        undefining = asyncio.create_task(undefine())
        await asyncio.sleep(0)
        await asyncio.gather(undefining, *(destroy(number) for number in range(4)))
        assert order[0] == "undefined"
        assert sorted(order[1:]) == [f"destroy {number}" for number in range(4)]
        assert lock.holder is None

    run(test)


def test_two_destroys_and_a_holder_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JobLock, "grace", 0.02)

    async def test() -> None:
        lock, release, holding = JobLock(), asyncio.Event(), 0

        async def stubborn() -> None:
            async with lock.modify("domain_create"):
                while not release.is_set():
                    try:
                        await release.wait()
                    except asyncio.CancelledError:
                        continue

        async def destroy() -> None:
            nonlocal holding
            async with lock.destroy("domain_destroy"):
                holding += 1
                assert holding == 1
                await asyncio.sleep(0.05)
                holding -= 1

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await asyncio.gather(destroy(), destroy(), destroy())
        release.set()
        await asyncio.wait([task])
        assert lock.holder is None

    run(test)


def test_progress_is_told_without_waiting() -> None:
    async def test() -> None:
        lock, go = JobLock(), asyncio.Event()
        assert lock.progress() is None

        async def save() -> None:
            async with lock.asynchronous("domain_save", DomainJobOperation.SAVE) as job:
                await go.wait()
                go.clear()
                job.report({"data_total": 200, "data_remaining": 150})
                await go.wait()
                go.clear()
                job.report({"data_remaining": 50})
                async with lock.nested("domain_save"):  # the lock is never free here
                    await go.wait()

        task = asyncio.create_task(save())
        await asyncio.sleep(0)
        stats = lock.progress()
        assert stats is not None
        assert (stats.type, stats.percent) == (DomainJobType.UNBOUNDED, None)
        assert stats.params["operation"] == DomainJobOperation.SAVE
        for percent in (25, 75):
            go.set()
            await asyncio.sleep(0.01)
            stats = lock.progress()
            assert stats is not None
            assert (stats.type, stats.percent) == (DomainJobType.BOUNDED, percent)
        go.set()
        await task
        assert lock.progress() is None
        ended = lock.completed(keep=True)
        assert ended is not None
        assert (ended.type, ended.params["success"]) == (DomainJobType.COMPLETED, True)
        assert ended.params["time_elapsed"] >= 20  # type: ignore[operator]
        assert lock.completed() == ended
        assert lock.completed() is None

    run(test)


def test_holders_can_be_told_what_happened() -> None:
    async def test() -> None:
        lock = JobLock()

        async def change() -> None:
            async with lock.modify("domain_set_memory"):
                await asyncio.sleep(60)

        task = asyncio.create_task(change())
        await asyncio.sleep(0)
        async with lock.destroy("domain_ended", lambda: OperationInvalid("it has gone")):
            pass
        with pytest.raises(OperationInvalid, match="it has gone"):
            await task

    run(test)


def test_what_is_reported_has_to_be_declared() -> None:
    async def test() -> None:
        lock = JobLock()
        with pytest.raises(ArgumentUnsupported, match="parameter 'bogus' not supported"):
            async with lock.asynchronous("domain_save") as job:
                job.report({"bogus": 1})
        assert lock.completed() is None  # it had done nothing yet

        async def begun() -> None:
            async with lock.asynchronous("domain_save") as job:
                job.report({"data_total": 1})
                job.report({"bogus": 1})

        with pytest.raises(ArgumentUnsupported, match="parameter 'bogus' not supported"):
            await begun()
        ended = lock.completed()
        assert ended is not None
        assert (ended.type, ended.params["success"]) == (DomainJobType.FAILED, False)
        assert "bogus" in str(ended.params["errmsg"])

    run(test)


def test_an_abort_reaches_the_holder() -> None:
    async def test() -> None:
        lock, undone = JobLock(), []
        with pytest.raises(OperationInvalid, match="no job is active on the domain"):
            lock.abort()

        async def migrate() -> None:
            async with lock.asynchronous("domain_migrate_perform"):
                try:
                    await asyncio.sleep(60)
                finally:
                    undone.append(lock.asynchronous_holder is not None)

        task = asyncio.create_task(migrate())
        await asyncio.sleep(0)
        lock.abort()
        with pytest.raises(OperationAborted, match="'domain_migrate_perform' was aborted"):
            await task
        assert undone == [True], "it rolls back with its job held"
        ended = lock.completed()
        assert ended is not None
        assert ended.type is DomainJobType.CANCELLED
        async with lock.modify("domain_resume", limit=0):
            pass

    run(test)


def test_a_job_rests_between_the_steps_of_a_change() -> None:
    async def test() -> None:
        lock = JobLock()
        ended: list[object] = []
        job = lock.asynchronous("move", DomainJobOperation.MIGRATION_OUT)
        await job.begin()
        job.rest(ended.append)
        assert job.resting
        with pytest.raises(OperationTimeout):
            async with lock.modify("other", limit=0):
                pass
        with job.going_on():
            assert not job.resting
            job.report({"data_total": 10})
            job.rest(ended.append)
        assert lock.progress() is not None
        with job.going_on():
            job.finish()
        assert lock.holder is None
        found = lock.completed()
        assert found is not None
        assert found.type is DomainJobType.COMPLETED
        assert ended == []

    run(test)


def test_a_resting_job_is_told_that_it_is_broken_off() -> None:
    async def test() -> None:
        lock = JobLock()
        job = lock.asynchronous("move")
        await job.begin()
        job.rest(job.finish)
        async with lock.destroy("destroy"):
            assert isinstance(job.ended, OperationAborted)
        # While it goes on, its holder is broken off as that of any job.
        job = lock.asynchronous("move")
        await job.begin()

        async def step() -> None:
            with job.going_on():
                try:
                    await asyncio.sleep(10)
                finally:
                    job.finish()

        job.rest(job.finish)
        stepping = asyncio.create_task(step())
        await asyncio.sleep(0)
        lock.abort()
        with pytest.raises(OperationAborted):
            await stepping
        assert lock.holder is None

    run(test)
