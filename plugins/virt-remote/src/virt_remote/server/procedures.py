"""Procedures that are about the connection and stand for no operation: authentication, opening, features."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from virt_remote.protocol import BODY, READONLY
from virtcore._tuples import NamedTuple
from virtcore.errors import AuthFailed, ErrorDomain, InternalError
from virtcore.operations.features import DriverFeature
from virtcore.operations.procedures import Procedure, procedure, program
from virtcore.operations.wire.codec import codec

if TYPE_CHECKING:
    from virt_remote.server.access import Guard
    from virt_remote.server.client import Client, Handler
    from virtcore.runtime.session import Session

__all__ = ["SESSION_PROCEDURES", "SessionProcedure", "failed", "session_procedure"]

#: Features that the daemon or every driver of virtcore has.
FEATURES: Final = frozenset(
    [
        DriverFeature.REMOTE,
        DriverFeature.TYPED_PARAM_STRING,
        DriverFeature.XML_MIGRATABLE,
        DriverFeature.REMOTE_EVENT_CALLBACK,
        DriverFeature.REMOTE_CLOSE_CALLBACK,
        DriverFeature.NETWORK_UPDATE_HAS_CORRECT_ORDER,
    ]
)


def failed() -> AuthFailed:
    """A client has not authenticated; why is in the log only."""
    return AuthFailed("authentication failed", domain=ErrorDomain.RPC)


class SessionProcedure(NamedTuple):
    """A procedure answered by a function over (client, arguments) that gives the results, or a coroutine of them."""

    function: Callable[..., Any]
    #: Whether the session has to be open.
    opened: bool

    def handler(self, client: Client, row: Procedure) -> Handler:
        """What answers calls of a client."""
        decode = codec(row.program, row.args).decode if row.args else None
        encode = codec(row.program, row.ret).encode if row.ret else None
        key = (program(row.program).number, program(row.program).version, row.number)

        def results(value: Any) -> bytes:
            return b"" if encode is None else encode(value)

        async def later(answer: Coroutine[Any, Any, Any]) -> bytes:
            return results(await answer)

        async def admitted(guard: Guard, arguments: tuple[Any, ...]) -> bytes:
            await guard.admit_connection(row, arguments)
            answer = self.function(client, *arguments)
            return results(await answer if asyncio.iscoroutine(answer) else answer)

        def handle(frame: bytes, serial: int) -> bytes | None:
            if self.opened and not client.opened:
                raise InternalError("connection not open", domain=ErrorDomain.RPC)
            arguments = decode(frame, BODY)[0] if decode is not None else ()
            if client.guard is not None and row.permissions:
                client.run(admitted(client.guard, arguments), key, serial, whole=True)
                return None
            answer = self.function(client, *arguments)
            if not asyncio.iscoroutine(answer):
                return results(answer)
            client.run(later(answer), key, serial, whole=True)  # no session half open or half closed
            return None

        return handle


SESSION_PROCEDURES: Final[dict[str, SessionProcedure]] = {}


def session_procedure(name: str, *, opened: bool = True) -> Callable[[Any], Any]:
    """Mark what answers a procedure (``remote.AUTH_LIST``)."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        SESSION_PROCEDURES[name] = SessionProcedure(function, opened)
        return function

    return register


# -- before the connection is open


@session_procedure("remote.CONNECT_OPEN", opened=False)
async def _open(client: Client, name: str | None, flags: int) -> None:
    if client.session is not None or client.opening:
        raise InternalError("connection already open", domain=ErrorDomain.RPC)
    client.readonly = client.endpoint.readonly or bool(flags & READONLY)
    client.opening = True
    try:
        session = await client.server.daemon.open_session(name or "", client.readonly)
    finally:
        client.opening = False
    if not client.server.holds(client):  # it left meanwhile
        await session.close()
        return
    client.begin_session(session)
    if client.guard is not None:
        try:
            await client.guard.admit_connection(procedure("remote.CONNECT_OPEN"))
        except BaseException:
            await client.close_session()
            raise


@session_procedure("remote.CONNECT_CLOSE", opened=False)
async def _close(client: Client) -> None:
    await client.close_session()
    asyncio.get_running_loop().call_soon(client.hang_up)  # after the reply, which follows without waiting


@session_procedure("remote.CONNECT_SUPPORTS_FEATURE", opened=False)
def _supports_feature(client: Client, feature: int) -> tuple[int] | Coroutine[Any, Any, tuple[int]]:
    if feature == DriverFeature.PROGRAM_KEEPALIVE:  # who asks can answer
        client.server.keepalive.add(client)
        return (1,)
    session = client.open_session()
    if feature == DriverFeature.FD_PASSING:  # who asks may send some
        return (int(client.expect_descriptors()),)
    return (1,) if feature in FEATURES else _driver_supports(session, feature)


async def _driver_supports(session: Session, feature: int) -> tuple[int]:
    return (int(await session.call("connection_supports_feature", feature, deadline=None)),)
