"""The storage of a host below a folder of its own, for tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from virt_host.storage.service import HostStorage
from virtcore.driver.base import Place
from virtcore.driver.toolkit import shared
from virtcore.operations.events import Event, StoragePoolLifecycleEvent
from virtcore.runtime.launcher import launcher
from virtcore.types import StoragePoolRef

__all__ = ["figures", "folder_pool", "opened", "run", "told", "volume"]


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[HostStorage]:
    """The service, as a connection has it."""
    place = Place(os.geteuid() == 0, str(root))
    key = ("storage of tests", str(root))
    storage = await shared.acquire(key, lambda: HostStorage(place))
    try:
        yield storage
    finally:
        await shared.release(key)


def run(root: Path, test: Callable[[HostStorage], Awaitable[None]]) -> None:
    """Run a test on the service."""

    async def inside() -> None:
        try:
            async with opened(root) as storage:
                await test(storage)
        finally:
            launcher().close()

    asyncio.run(inside())


def folder_pool(path: Path, name: str = "p", more: str = "") -> str:
    """A pool that is a folder."""
    return f"<pool type='dir'><name>{name}</name><target><path>{path}</path>{more}</target></pool>"


def volume(name: str = "v", capacity: int = 1 << 20, format: str = "raw", more: str = "", target: str = "") -> str:
    """A volume."""
    return (
        f"<volume><name>{name}</name><capacity>{capacity}</capacity>{more}"
        f"<target><format type='{format}'/>{target}</target></volume>"
    )


def figures(storage: HostStorage, pool: StoragePoolRef) -> tuple[int, int, int]:
    """Capacity, allocation and what is available."""
    return tuple(storage.storage_pool_info(pool)[1:])  # type: ignore[return-value]


def told(storage: HostStorage) -> list[tuple[str, str]]:
    """What is told of pools from now on: name, and what happens."""
    found: list[tuple[str, str]] = []

    def note(event: Event) -> None:
        kind = event.type.name if isinstance(event, StoragePoolLifecycleEvent) else "REFRESHED"
        found.append((event.pool.name, kind))  # type: ignore[union-attr]

    storage.subscribe(note)
    return found
