"""The async face: any loop, several loops, deadlines and cancelled tasks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

import virtcore
from toydriver import ONLY, World
from virtcore.errors import NoDomain, OpenFailed, OperationDenied, OperationTimeout
from virtcore.runtime.loop import core_loop

Use = Callable[[virtcore.AsyncConnection], Awaitable[None]]


def in_own_loop(use: Use, uri: str = "toy:///x") -> None:
    async def main() -> None:
        async with virtcore.connect_async(uri) as connection:
            await use(connection)

    asyncio.run(main())


def in_core_loop(use: Use, uri: str = "toy:///x") -> None:
    async def main() -> None:
        async with virtcore.connect_async(uri) as connection:
            await use(connection)

    asyncio.run_coroutine_threadsafe(main(), core_loop().loop).result(60)


LOOPS = [in_own_loop, in_core_loop]


@pytest.mark.parametrize("run", LOOPS)
def test_each_style_of_method(world: World, run: Callable[[Use], None]) -> None:
    async def use(connection: virtcore.AsyncConnection) -> None:
        assert await connection.hostname() == "toy"
        assert await connection.version() == 7
        assert await connection.lib_version() == 11003000
        (domain,) = await connection.list_domains()
        await domain.create()
        assert domain.id == 7
        await domain.set_autostart(True)
        assert await asyncio.gather(*[connection.version() for _ in range(20)]) == [7] * 20
        with pytest.raises(NoDomain):
            await connection.lookup_domain(name="none")

    run(use)
    assert world.closed == 1


@pytest.mark.parametrize("run", LOOPS)
def test_deadlines(world: World, run: Callable[[Use], None]) -> None:
    async def use(connection: virtcore.AsyncConnection) -> None:
        while not world.asked.is_set():  # on a busy machine a deadline may pass before the query has begun
            with pytest.raises(OperationTimeout):
                await connection.sysinfo(deadline=0.05)
        await asyncio.to_thread(world.cancelled.wait, 60)
        assert world.cancelled.is_set()
        with pytest.raises(OperationTimeout):
            await connection.capabilities(deadline=0.05)
        world.holding = True
        while True:  # on a busy machine a deadline may pass before the change has begun
            with pytest.raises(virtcore.DeadlineExpired) as caught:
                await connection.domain(ONLY).create(deadline=0.05)
            if caught.value.job is not None:
                break
        assert world.steps == ["begun"]
        assert len(connection.jobs()) == 1
        world.holding = False
        await caught.value.job
        assert world.steps == ["begun", "ended"]

    run(use)


@pytest.mark.parametrize("run", LOOPS)
def test_a_cancelled_task_cancels_a_query_and_leaves_a_change(world: World, run: Callable[[Use], None]) -> None:
    async def use(connection: virtcore.AsyncConnection) -> None:
        world.holding = True
        for call, begun in (
            (connection.sysinfo(), world.asked.is_set),
            (connection.domain(ONLY).create(), lambda: world.steps),
        ):
            task = asyncio.ensure_future(call)
            while not begun():
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert world.steps == ["begun"]
        (job,) = connection.jobs()
        world.holding = False
        await job
        assert world.steps == ["begun", "ended"]

    run(use)
    assert world.cancelled.wait(60)


def test_two_loops_in_one_process(world: World) -> None:
    shared: list[virtcore.AsyncConnection] = []
    opened = threading.Event()
    used = threading.Event()

    async def first() -> None:
        async with virtcore.connect_async("toy:///x") as connection:
            shared.append(connection)
            opened.set()
            results = await asyncio.gather(*[connection.lib_version() for _ in range(50)])
            assert set(results) == {11003000}
            await asyncio.to_thread(used.wait, 60)

    async def second() -> None:
        await asyncio.to_thread(opened.wait, 60)
        results = await asyncio.gather(*[shared[0].version() for _ in range(50)])
        assert set(results) == {7}
        await shared[0].domain(ONLY).create()
        used.set()

    thread = threading.Thread(target=asyncio.run, args=(second(),))
    thread.start()
    asyncio.run(first())
    thread.join(60)
    assert used.is_set()


def test_opening(world: World) -> None:
    async def main() -> None:
        with pytest.raises(OpenFailed):
            await virtcore.connect_async("toy:///refused")
        with pytest.raises(OperationTimeout):
            await virtcore.connect_async("toy:///slow", deadline=0.05)
        connection = await virtcore.connect_async("toy:///x", readonly=True)
        with pytest.raises(OperationDenied, match="read only access prevents virDomainCreateWithFlags"):
            await connection.domain(ONLY).create()
        await connection.close()
        await connection.close()

    asyncio.run(main())


def test_credentials_are_asked_for_in_the_callers_loop(world: World) -> None:
    threads = []

    async def auth(credentials: list[virtcore.Credential]) -> list[str]:
        await asyncio.sleep(0)
        threads.append(threading.get_ident())
        return ["secret"]

    async def main() -> None:
        async with virtcore.connect_async("toy:///auth", auth=auth):
            pass

    asyncio.run(main())
    assert threads == [threading.get_ident()]
    assert world.answers == [["secret"]]


def test_streams(world: World) -> None:
    async def use(connection: virtcore.AsyncConnection) -> None:
        async with await connection.domain(ONLY).open_console() as stream:
            await stream.write(b"hello")
            assert await stream.read(2) == b"he"
            await stream.finish()
            assert [chunk async for chunk in stream] == [b"llo"]
        stream = await connection.domain(ONLY).open_console()
        with pytest.raises(OperationTimeout):
            await stream.read(deadline=0.05)
        await stream.abort()

    in_own_loop(use)
