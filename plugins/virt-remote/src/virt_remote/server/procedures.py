"""Procedures that are about the connection and stand for no operation: authentication, opening, features, events."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from virt_remote.protocol import BODY, EVENT, OK, pack
from virtcore.errors import AuthFailed, ErrorDomain, InternalError, InvalidArg, NoSupport, VirtError
from virtcore.operations.events import Event
from virtcore.operations.procedures import Procedure, program
from virtcore.operations.wire.codec import codec
from virtcore.operations.wire.events import DOMAIN_EVENT_IDS, EventWire, event_wire

if TYPE_CHECKING:
    from virt_remote.server.client import Client, Handler
    from virtcore.runtime.session import Cancellable
    from virtcore.types import DomainRef

__all__ = ["SESSION_PROCEDURES", "Callbacks", "SessionProcedure"]

AUTH_NONE = 0

#: ``VIR_CONNECT_RO``.
READONLY = 1

#: Features (``virDrvFeature``) that the daemon or every driver of virtcore has.
FEATURES: Final = frozenset(
    [
        2,  # REMOTE: a protocol peer
        9,  # TYPED_PARAM_STRING
        10,  # PROGRAM_KEEPALIVE
        11,  # XML_MIGRATABLE
        14,  # REMOTE_EVENT_CALLBACK
        15,  # REMOTE_CLOSE_CALLBACK
        16,  # NETWORK_UPDATE_HAS_CORRECT_ORDER
    ]
)
PROGRAM_KEEPALIVE = 10


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

        def handle(frame: bytes, serial: int) -> bytes | None:
            if self.opened and client.session is None:
                raise InternalError("connection not open", domain=ErrorDomain.RPC)
            arguments = decode(frame, BODY)[0] if decode is not None else ()
            answer = self.function(client, *arguments)
            if not asyncio.iscoroutine(answer):
                return results(answer)
            client.run(later(answer), key, serial, whole=True)  # no session half open or half closed
            return None

        return handle


SESSION_PROCEDURES: Final[dict[str, SessionProcedure]] = {}


def _procedure(name: str, *, opened: bool = True) -> Callable[[Any], Any]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        SESSION_PROCEDURES["remote." + name] = SessionProcedure(function, opened)
        return function

    return register


# -- before the connection is open


@_procedure("AUTH_LIST", opened=False)
def _auth_list(client: Client) -> tuple[list[int]]:
    return ([AUTH_NONE],)


def _refuse_authentication(client: Client, *arguments: object) -> None:
    raise AuthFailed("authentication failed", domain=ErrorDomain.RPC)


for _name in ("AUTH_SASL_INIT", "AUTH_SASL_START", "AUTH_SASL_STEP", "AUTH_POLKIT"):
    _procedure(_name, opened=False)(_refuse_authentication)


@_procedure("CONNECT_OPEN", opened=False)
async def _open(client: Client, name: str | None, flags: int) -> None:
    if client.session is not None or client.opening:
        raise InternalError("connection already open", domain=ErrorDomain.RPC)
    client.readonly = client.endpoint.readonly or bool(flags & READONLY)
    client.opening = True
    try:
        session = await client.endpoint.daemon.open_session(name or "", client.readonly)
    finally:
        client.opening = False
    if client.endpoint.holds(client):
        client.session = session
    else:  # the client left meanwhile
        await session.close()


@_procedure("CONNECT_CLOSE", opened=False)
async def _close(client: Client) -> None:
    await client.close_session()
    asyncio.get_running_loop().call_soon(client.hang_up)  # after the reply, which follows without waiting


@_procedure("CONNECT_SUPPORTS_FEATURE", opened=False)
def _supports_feature(client: Client, feature: int) -> tuple[int]:
    if feature != PROGRAM_KEEPALIVE and client.session is None:
        raise InternalError("connection not open", domain=ErrorDomain.RPC)
    if feature == PROGRAM_KEEPALIVE:  # who asks can answer
        client.endpoint.daemon.keepalive.add(client)
    return (int(feature in FEATURES),)


@_procedure("CONNECT_REGISTER_CLOSE_CALLBACK")
def _register_close_callback(client: Client) -> None:
    if client.callbacks.close_wanted:
        raise InvalidArg("A close callback is already registered", domain=ErrorDomain.RPC)
    client.callbacks.close_wanted = True


@_procedure("CONNECT_UNREGISTER_CLOSE_CALLBACK")
def _unregister_close_callback(client: Client) -> None:
    if not client.callbacks.close_wanted:
        raise InvalidArg("A different callback was requested", domain=ErrorDomain.RPC)
    client.callbacks.close_wanted = False


# -- events


class Callbacks:
    """A client's registrations for events."""

    __slots__ = ("_client", "_next", "_registered", "close_wanted")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next = 0
        #: Callback id -> event id, whether it was registered without a callback id, the subscription (None for kinds
        #: that no driver emits).
        self._registered: dict[int, tuple[int, bool, Cancellable | None]] = {}
        self.close_wanted = False

    def add(self, event_id: int, domain: DomainRef | None, legacy: bool) -> int:
        """Register for a kind of event; gives the callback id."""
        if event_id not in DOMAIN_EVENT_IDS:
            raise InternalError(f"unsupported event ID {event_id}", domain=ErrorDomain.RPC)
        session = self._client.session
        assert session is not None
        callback_id = self._next
        wire = event_wire(event_id, not legacy)
        subscription = None
        if wire is not None:
            deliver = functools.partial(self._deliver, wire, callback_id, domain.uuid if domain is not None else None)
            try:
                subscription = session.subscribe(deliver, kinds=(wire.event,))
            except NoSupport:
                raise NoSupport("virConnectDomainEventRegisterAny") from None
        self._next += 1
        self._registered[callback_id] = (event_id, legacy, subscription)
        return callback_id

    def remove(self, callback_id: int) -> None:
        """End a registration.

        :raises InternalError: there is no such registration.
        """
        known = self._registered.pop(callback_id, None)
        if known is None:
            raise InternalError(f"domain event callback {callback_id} not registered", domain=ErrorDomain.RPC)
        if known[2] is not None:
            known[2].cancel()

    def remove_legacy(self, event_id: int) -> None:
        """End a registration that was made without a callback id."""
        for callback_id, (known, legacy, _) in self._registered.items():
            if legacy and known == event_id:
                self.remove(callback_id)
                return
        raise InternalError(f"domain event {event_id} not registered", domain=ErrorDomain.RPC)

    def clear(self) -> None:
        """End every registration."""
        for callback_id in list(self._registered):
            self.remove(callback_id)

    def _deliver(self, wire: EventWire, callback_id: int, uuid: str | None, event: Event) -> None:
        if not isinstance(event, wire.event) or (uuid is not None and event.domain.uuid != uuid):
            return  # a gap has no form on the wire
        row = program(wire.procedure.program)
        body = wire.encode(event, callback_id)
        self._client.send(pack(row.number, row.version, wire.procedure.number, EVENT, 0, OK, body))


@_procedure("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY")
def _callback_register(
    client: Client, event_id: int, domain: DomainRef | None
) -> tuple[int] | Coroutine[Any, Any, tuple[int]]:
    if domain is not None:
        return _callback_register_for(client, event_id, domain)
    return (client.callbacks.add(event_id, None, legacy=False),)  # at once: what is called next must not overtake it


async def _callback_register_for(client: Client, event_id: int, domain: DomainRef) -> tuple[int]:
    assert client.session is not None
    known = await client.session.call("connection_lookup_domain", None, domain.uuid, None, deadline=None)
    return (client.callbacks.add(event_id, known, legacy=False),)


@_procedure("CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY")
def _callback_deregister(client: Client, callback_id: int) -> None:
    client.callbacks.remove(callback_id)


@_procedure("CONNECT_DOMAIN_EVENT_REGISTER_ANY")
def _register_any(client: Client, event_id: int) -> None:
    client.callbacks.add(event_id, None, legacy=True)


@_procedure("CONNECT_DOMAIN_EVENT_DEREGISTER_ANY")
def _deregister_any(client: Client, event_id: int) -> None:
    client.callbacks.remove_legacy(event_id)


@_procedure("CONNECT_DOMAIN_EVENT_REGISTER")
def _register(client: Client) -> tuple[int]:
    client.callbacks.add(0, None, legacy=True)
    return (1,)


@_procedure("CONNECT_DOMAIN_EVENT_DEREGISTER")
def _deregister(client: Client) -> tuple[int]:
    try:
        client.callbacks.remove_legacy(0)
    except VirtError:
        raise InternalError("domain event 0 not registered", domain=ErrorDomain.RPC) from None
    return (0,)
