"""Fixtures for programs that use virtcore; ``pytest_plugins = ["virtcore.testing.fixtures"]`` in ``conftest.py``."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from virtcore.api.aio import AsyncConnection
    from virtcore.api.sync import Connection, Domain
    from virtcore.enums.domain import DomainState
    from virtcore.testing.faults import Fault

__all__ = [
    "virtcore_async_test_connection",
    "virtcore_faults",
    "virtcore_state",
    "virtcore_test_connection",
    "virtcore_test_host",
]


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
    """The same for the async face, to be entered in the test's own loop: ``async with
    virtcore_async_test_connection as connection: ...``.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[AsyncConnection]:
        import virtcore

        async with virtcore.connect_async("test:///default") as connection:
            yield connection

    return opened()


@pytest.fixture
def virtcore_test_host(tmp_path: Path) -> Callable[..., str]:
    """Describe a host: ``virtcore_test_host(DOMAIN_XML, NETWORK_XML, ...)`` is the URI that opens it.

    A domain runs unless its document says otherwise in the test driver's namespace (``<test:runstate>``). Each
    connection to the URI is a host of its own.
    """
    hosts = 0

    def describe(*documents: str) -> str:
        nonlocal hosts
        hosts += 1
        path = tmp_path / f"virtcore-host-{hosts}.xml"
        path.write_text("<node>" + "".join(documents) + "</node>", encoding="utf-8")
        return f"test://{path}"

    return describe


@pytest.fixture
def virtcore_faults() -> Iterator[Callable[..., Counter[str]]]:
    """Inject faults into connections that the test opens from now on::

        hits = virtcore_faults(Fault("domain_create", error=OperationFailed("no luck"), times=1))

    Give ``scheme=`` for another driver than the test hypervisor. The returned counter tells how often each was hit.
    """
    from virtcore.testing.faults import injected

    with ExitStack() as stack:

        def inject(*faults: Fault, scheme: str = "test") -> Counter[str]:
            return stack.enter_context(injected(scheme, *faults))

        yield inject


@pytest.fixture
def virtcore_state() -> Callable[..., None]:
    """Have a guest of the test hypervisor come into a state by itself (:func:`virtcore.testing.states.inject_state`):
    ``virtcore_state(domain, DomainState.CRASHED)``.
    """
    from virtcore.testing.states import inject_state

    def bring(domain: Domain, state: DomainState, reason: int = 0) -> None:
        inject_state(domain, state, reason)

    return bring
