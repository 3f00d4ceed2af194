"""The runtime's pieces: worker pool, event queue, debug mode of inline methods, sessions in the core loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from support import eventually
from toydriver import ONLY, REBOOT, World
from virtcore.driver.opening import open_session
from virtcore.errors import (
    InternalError,
    InvalidArg,
    InvalidConn,
    OperationAborted,
    OperationDenied,
    OperationInvalid,
    ResourceBusy,
)
from virtcore.operations.events import GapEvent
from virtcore.runtime import calls, methods
from virtcore.runtime.calls import Call, Outcome, wait_here
from virtcore.runtime.events import EventQueue
from virtcore.runtime.jobs import DeadlineExpired
from virtcore.runtime.loop import adopt, core_loop
from virtcore.runtime.methods import Style, methods_of
from virtcore.runtime.session import Session
from virtcore.runtime.workers import STUCK_LIMIT, WorkerPool, in_worker


def in_core(use: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await use()

    return asyncio.run_coroutine_threadsafe(main(), core_loop().loop).result(60)


# -- workers


def test_a_pool_is_small_and_starts_threads_as_needed() -> None:
    pool = WorkerPool(3, "test")
    lock, together = threading.Lock(), threading.Barrier(3)
    now, most, done = [0], [0], threading.Semaphore(0)

    def work() -> None:
        assert in_worker()
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        together.wait(60)
        with lock:
            now[0] -= 1
        done.release()

    for _ in range(12):
        pool.submit(work)
    for _ in range(12):
        assert done.acquire(timeout=60)
    assert most == [3]
    assert not in_worker()
    pool.close()


def test_abandoned_work_makes_room_up_to_a_limit() -> None:
    pool = WorkerPool(1, "test")
    release = threading.Event()
    for _ in range(STUCK_LIMIT):
        entered = threading.Event()

        def stuck(entered: threading.Event = entered) -> None:
            entered.set()
            release.wait(60)

        work = pool.submit(stuck)
        assert entered.wait(60)
        assert not pool.abandon(work)
    with pytest.raises(ResourceBusy, match="are stuck in the driver"):
        pool.submit(lambda: None)
    release.set()
    ended = threading.Event()

    def takes_more() -> bool:
        try:
            pool.submit(ended.set)
        except ResourceBusy:
            return False
        return True

    eventually(takes_more)
    assert ended.wait(60)
    pool.close()


def test_work_that_has_not_begun_can_be_withdrawn() -> None:
    pool = WorkerPool(1, "test")
    release, ran = threading.Event(), []
    pool.submit(partial(release.wait, 60))
    waiting = pool.submit(lambda: ran.append(1))
    assert pool.abandon(waiting)
    release.set()
    last = threading.Event()
    pool.submit(last.set)
    assert last.wait(60)
    assert ran == []
    pool.close()


def test_work_on_one_object_never_takes_the_last_thread() -> None:
    pool = WorkerPool(3, "test")
    release, entered, ran = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def stuck() -> None:
        entered.release()
        release.wait(60)
        ran.release()

    for _ in range(5):
        pool.submit(stuck, "one")
    assert entered.acquire(timeout=60)
    assert entered.acquire(timeout=60)
    assert not entered.acquire(timeout=0.05), "the third waits, though a thread is free"
    for name in ("other", "third", None):
        ended = threading.Event()
        pool.submit(ended.set, name)
        assert ended.wait(60)
    release.set()
    for _ in range(5):
        assert ran.acquire(timeout=60)
    pool.close()
    eventually(lambda: pool._threads == 0)
    assert not pool._busy


def test_an_abandoned_call_no_longer_holds_up_its_own_object() -> None:
    pool = WorkerPool(2, "test")
    release, entered, ended = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        release.wait(60)

    work = pool.submit(stuck, "one")
    assert entered.wait(60)
    pool.submit(ended.set, "one")
    assert not ended.wait(0.05)
    assert not pool.abandon(work)
    assert ended.wait(60)
    release.set()
    pool.close()


# -- the event queue


def test_gaps_are_counted_and_stand_where_events_were_lost() -> None:
    woken: list[int] = []
    queue = EventQueue(lambda: woken.append(1), 2)
    assert [queue.put(REBOOT) for _ in range(5)] == [True, True, True, False, False]
    assert queue.put(GapEvent(4)) is False
    assert woken == [1]
    assert [queue.get(), queue.get()] == [REBOOT, REBOOT]
    assert queue.put(REBOOT)
    assert [queue.get(), queue.get(), queue.get()] == [GapEvent(7), REBOOT, None]
    queue.put(REBOOT)
    assert woken == [1, 1]
    queue.close()
    assert not queue.put(REBOOT)
    assert [queue.get(), queue.get()] == [REBOOT, None]


# -- sessions


def test_styles() -> None:
    from toydriver import ToyDriver

    methods = methods_of(ToyDriver)
    assert methods["connection_hostname"].style is Style.INLINE
    assert methods["domain_create"].style is Style.ASYNC
    assert methods["connection_version"].style is Style.PLAIN
    assert methods["domain_reset"].style is Style.INLINE  # raises NoSupport without a hop
    assert methods_of(ToyDriver) is methods


def test_a_session_in_the_core_loop(world: World) -> None:
    async def use() -> None:
        session = await open_session("toy:///x")
        assert session.call_inline("connection_hostname") == "toy"
        with pytest.raises(InternalError, match="not an inline method"):
            session.call_inline("connection_version")
        with pytest.raises(InvalidArg):
            session.call_inline("connection_nonsense")
        assert await session.call("domain_xml", ONLY, flags=2) == "<domain>2</domain>"
        with pytest.raises(DeadlineExpired):
            await session.call("connection_sysinfo", deadline=0.02)
        with pytest.raises(DeadlineExpired):
            await session.call("connection_capabilities", deadline=0.02)
        world.holding = True
        with pytest.raises(DeadlineExpired) as caught:
            await session.call("domain_create", ONLY, deadline=0.02)
        assert caught.value.job is not None
        with pytest.raises(OperationInvalid, match="await job"):
            caught.value.job.wait()
        world.holding = False
        await caught.value.job
        assert world.steps == ["begun", "ended"]
        await session.close()
        await session.close()
        with pytest.raises(InvalidConn):
            await session.call("connection_hostname")
        with pytest.raises(InvalidConn):
            session.subscribe(print)

    in_core(use)


def test_waiting_for_all_changes(world: World) -> None:
    async def use() -> None:
        session = await open_session("toy:///x")
        assert await calls.changes_ended(5) == []
        world.holding = True
        changes = asyncio.gather(session.call("domain_create", ONLY), session.call("domain_set_autostart", ONLY, True))
        while len(world.steps) < 2:
            await asyncio.sleep(0.005)
        left = await calls.changes_ended(0.02)
        assert sorted(job.operation for job in left) == ["domain_create", "domain_set_autostart"]
        world.holding = False
        assert await calls.changes_ended(60) == []
        assert sorted(world.steps) == ["begun", "begun", "ended", "ended"]
        await changes
        await session.close()

    in_core(use)


def test_readonly_looks_at_flags_wherever_they_stand(world: World) -> None:
    async def use() -> None:
        session = await open_session("toy:///x", readonly=True)
        assert session.call_inline("domain_xml", ONLY)
        for args, kwargs in (((ONLY, 1), {}), ((ONLY,), {"flags": 1}), ((), {"domain": ONLY, "flags": 1})):
            with pytest.raises(OperationDenied, match="forbidden: virDomainGetXMLDesc with secure flag"):
                session.call_inline("domain_xml", *args, **kwargs)
        await session.close()

    in_core(use)


def test_open_session_belongs_to_the_core_loop(world: World) -> None:
    async def use() -> Session:
        return await open_session("toy:///x")

    with pytest.raises(InvalidArg, match="belongs to the core loop"):
        asyncio.run(use())


def test_only_one_loop_can_be_adopted() -> None:
    core_loop()

    async def use() -> None:
        with pytest.raises(OperationInvalid, match="a core loop already"):
            adopt()

    asyncio.run(use())


def test_a_call_that_ended_in_the_last_moment_has_its_result(world: World) -> None:
    change = methods.Method("domain_create", True, Style.INLINE, lambda: "value")
    call = Call(core_loop(), change, (), {})
    core_loop().call_soon(call.begin)
    assert wait_here(Call(core_loop(), change, (), {}), None) == "value"
    assert call.done
    assert call.give_up() is Outcome.ENDED
    assert call.late(0) == "value"
    early = Call(core_loop(), change, (), {})
    with pytest.raises(DeadlineExpired):
        early.late(0)
    early.begin()
    with pytest.raises(OperationAborted):
        early.result()


def test_debug_mode_fails_slow_inline_methods(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def use() -> None:
        session = await open_session("toy:///x")
        assert session.call_inline("connection_node_info").model == "x86_64"
        monkeypatch.setattr(methods, "debug_inline", True)
        with pytest.raises(InternalError, match="inline method connection_node_info took"):
            session.call_inline("connection_node_info")
        monkeypatch.setattr(methods, "debug_inline", False)
        await session.close()

    in_core(use)
