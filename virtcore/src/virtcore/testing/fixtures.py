"""Fixtures for programs that use virtcore; ``pytest_plugins = ["virtcore.testing.fixtures"]`` in ``conftest.py``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from virtcore.api.aio import AsyncConnection
    from virtcore.api.sync import Connection

__all__ = ["virtcore_async_test_connection", "virtcore_test_connection"]


@pytest.fixture
def virtcore_test_connection() -> Iterator[Connection]:
    """A connection to a fresh ``test:///default``: one running domain, ``test``; nothing outlives the test.

    Other connections that the test opens to ``test:///default`` see the same host; it is fresh as long as none of
    them outlives its test.
    """
    import virtcore

    with virtcore.connect("test:///default") as connection:
        yield connection


@pytest.fixture
def virtcore_async_test_connection() -> AbstractAsyncContextManager[AsyncConnection]:
    """The same for the async face, to be entered in the test's own loop::

    async with virtcore_async_test_connection as connection: ...
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncConnection]:
        import virtcore

        async with virtcore.connect_async("test:///default") as connection:
            yield connection

    return opened()
