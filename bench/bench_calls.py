#!/usr/bin/env python3
"""Calls per second in-process: each style of driver method, through each face and directly in the core loop.

bench_calls.py [SECONDS]      seconds per row, 0.5 by default
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable

import virtcore
from virtcore.driver import Driver, OpenRequest, inline
from virtcore.driver.loader import register
from virtcore.driver.opening import open_session
from virtcore.runtime.loop import core_loop

BATCH = 200


class Bench(Driver):
    """One method of each style, with nothing to do."""

    name = "Bench"

    @classmethod
    async def open(cls, request: OpenRequest) -> Bench:
        return cls()

    @inline
    def connection_hostname(self) -> str:
        return "host"

    async def connection_lib_version(self) -> int:
        return 1

    def connection_version(self) -> int:
        return 1


def rate(call: Callable[[], object], seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        for _ in range(BATCH):
            call()
        count += BATCH
    return count / taken


async def rate_async(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    count, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        for _ in range(BATCH):
            await call()
        count += BATCH
    return count / taken


def report(name: str, value: float) -> None:
    print(f"{name:<40}{value:>14,.0f} calls/s", flush=True)


def sync_face(seconds: float) -> None:
    with virtcore.connect("bench:///") as connection:
        report("sync face, inline method", rate(connection.hostname, seconds))
        report("sync face, coroutine", rate(connection.lib_version, seconds))
        report("sync face, plain method", rate(connection.version, seconds))


async def async_face(seconds: float) -> None:
    async with virtcore.connect_async("bench:///") as connection:
        report("async face, other loop, inline method", await rate_async(connection.hostname, seconds))
        report("async face, other loop, coroutine", await rate_async(connection.lib_version, seconds))
        report("async face, other loop, plain method", await rate_async(connection.version, seconds))


async def core(seconds: float) -> None:
    async with virtcore.connect_async("bench:///") as connection:
        report("async face, core loop, inline method", await rate_async(connection.hostname, seconds))
    session = await open_session("bench:///", deadline=None)
    report("session, inline method", rate(lambda: session.call_inline("connection_hostname"), seconds))
    report("session, coroutine", await rate_async(lambda: session.call("connection_lib_version"), seconds))
    report("session, plain method", await rate_async(lambda: session.call("connection_version"), seconds))
    await session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=0.5)
    seconds = parser.parse_args().seconds
    register("bench", Bench)
    sync_face(seconds)
    asyncio.run(async_face(seconds))
    asyncio.run_coroutine_threadsafe(core(seconds), core_loop().loop).result()


if __name__ == "__main__":
    main()
