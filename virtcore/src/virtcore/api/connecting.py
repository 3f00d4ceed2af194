"""``virtcore.connect()`` and ``virtcore.connect_async()``."""

from __future__ import annotations

import sys

from virtcore._functions import partial
from virtcore._typing import TYPE_CHECKING, Any, Awaitable, Callable, Generator, Sequence
from virtcore.api.sync.connection import Connection
from virtcore.driver.loader import transport_class
from virtcore.driver.opening import Target, locate, open_blocking, open_target, target_of, through_daemon
from virtcore.runtime.methods import QUERY_DEADLINE, Method, Style, check_deadline

if TYPE_CHECKING:
    from types import TracebackType

    from virtcore.api.aio import AsyncConnection
    from virtcore.driver.base import AuthCallback, Credential
    from virtcore.runtime.calls import Call

__all__ = ["AsyncConnecting", "connect", "connect_async"]

_OPEN = Method("connection_open", False, Style.ASYNC, open_target)

#: Answers credentials in order, in a thread of its own; None gives up.
SyncAuth = Callable[["list[Credential]"], Sequence[str] | None]


def connect(
    uri: str | None = None,
    *,
    readonly: bool = False,
    auth: SyncAuth | None = None,
    deadline: float | None = QUERY_DEADLINE,
    start_daemon: bool = False,
) -> Connection:
    """Open a connection for threads (``virConnectOpenAuth``)::

        with virtcore.connect("test:///default") as connection:
            for domain in connection.list_domains():
                print(domain.name, domain.state())

    :param uri: connection URI or alias; None for the default (``LIBVIRT_DEFAULT_URI``, ``uri_default`` of
        ``libvirt.conf``, then what is found on this host).
    :param readonly: refuse changes.
    :param auth: asked for credentials; called in this thread or one of its own.
    :param deadline: seconds that opening and later each query may take unless a call says otherwise; None for no limit.
    :param start_daemon: where virt-remote is installed, start the user's own daemon for ``qemu:///session`` rather than
        run guests from this process.
    :raises NoConnect: nothing installed serves the URI.
    :raises DeadlineExpired: it took too long.
    :raises VirtError: the hypervisor cannot be reached, or the URI is not acceptable.
    """
    check_deadline(deadline)
    located = locate(uri)
    loops = sys.modules.get("virtcore.runtime.loop")
    core = loops.current() if loops is not None else None
    if core is None or not core.is_current():  # there, wait_here() says what to do instead
        blocking = open_blocking(located, readonly=readonly, ask=auth, deadline=deadline, start_daemon=start_daemon)
        if blocking is not None:
            return Connection(blocking)
    target = target_of(located)
    from virtcore.runtime.calls import wait_here  # loads asyncio: not before the URI is known to be served

    call = _opening(target, readonly, _ask_in_thread(auth) if auth is not None else None, deadline)
    try:
        session = wait_here(call, deadline)
    except BaseException:
        call.watch(partial(_discard, call))
        raise
    return Connection(session)


def _opening(target: Target, readonly: bool, auth: AuthCallback | None, deadline: float | None) -> Call:
    from virtcore.runtime.calls import Call
    from virtcore.runtime.loop import core_loop

    return Call(core_loop(), _OPEN, (target,), {"readonly": readonly, "auth": auth, "deadline": deadline})


def _discard(call: Call) -> None:
    """Close what was opened just when its waiter gave up."""
    if call.value is not None:
        call.value.close_soon()


def _ask_in_thread(auth: SyncAuth) -> AuthCallback:
    from virtcore.runtime.calls import Call, wait_in_loop
    from virtcore.runtime.loop import core_loop
    from virtcore.runtime.workers import WorkerPool

    async def ask(credentials: list[Credential]) -> Sequence[str] | None:
        pool = WorkerPool(1, "virtcore-auth")
        try:
            method = Method("auth", False, Style.PLAIN, auth)
            answers: Sequence[str] | None = await wait_in_loop(
                Call(core_loop(), method, (credentials,), {}, None, pool), None
            )
            return answers
        finally:
            pool.close()

    return ask


def connect_async(
    uri: str | None = None,
    *,
    readonly: bool = False,
    auth: Callable[[list[Credential]], Awaitable[Sequence[str] | None]] | None = None,
    deadline: float | None = QUERY_DEADLINE,
) -> AsyncConnecting:
    """Open a connection for coroutines: ``async with virtcore.connect_async(uri) as connection: ...``, or
    ``connection = await virtcore.connect_async(uri)``.

    Parameters and errors are those of :func:`connect`; ``auth`` is a coroutine function and runs in the caller's loop.
    """
    check_deadline(deadline)
    return AsyncConnecting(uri, readonly, auth, deadline)


class AsyncConnecting:
    """A connection about to be opened: awaited, or entered by ``async with``."""

    __slots__ = ("_auth", "_connection", "_deadline", "_readonly", "_uri")

    def __init__(
        self,
        uri: str | None,
        readonly: bool,
        auth: Callable[[list[Credential]], Awaitable[Sequence[str] | None]] | None,
        deadline: float | None,
    ) -> None:
        self._uri = uri
        self._readonly = readonly
        self._auth = auth
        self._deadline = deadline
        self._connection: AsyncConnection | None = None

    def __await__(self) -> Generator[Any, None, AsyncConnection]:
        return self._open().__await__()

    async def _open(self) -> AsyncConnection:
        from virtcore.api.aio import AsyncConnection  # a program uses one face
        from virtcore.runtime.calls import wait_anywhere

        auth = _ask_in_loop(self._auth) if self._auth is not None else None
        located = locate(self._uri)
        if through_daemon(located, readonly=self._readonly):
            target = Target(located, transport_class(located, "unix"))
        else:
            target = target_of(located)
        call = _opening(target, self._readonly, auth, self._deadline)
        try:
            session = await wait_anywhere(call, self._deadline)
        except BaseException:
            call.watch(partial(_discard, call))
            raise
        return AsyncConnection(session)

    async def __aenter__(self) -> AsyncConnection:
        self._connection = await self._open()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()


def _ask_in_loop(auth: Callable[[list[Credential]], Awaitable[Sequence[str] | None]]) -> AuthCallback:
    import asyncio

    loop = asyncio.get_running_loop()

    async def answer(credentials: list[Credential]) -> Sequence[str] | None:
        return await auth(credentials)

    async def ask(credentials: list[Credential]) -> Sequence[str] | None:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(credentials), loop))

    return ask
