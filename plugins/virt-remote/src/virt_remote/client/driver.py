"""The driver whose hypervisor is another daemon: every operation becomes its canonical procedure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

from virt_remote.client.address import address_of
from virt_remote.client.events import EventFeed, event_of, look
from virt_remote.client.wire import Wire, body_of
from virt_remote.keepalive import COUNT, Keepalive
from virt_remote.protocol import Message
from virtcore.driver.base import Driver, OpenRequest, Subscription, inline
from virtcore.enums import ConnectCloseReason
from virtcore.errors import RPC, AuthFailed, AuthUnavailable, ErrorDomain, NoSupport, VirtError
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.events import ConnectionClosedEvent, Event, QemuMonitorEvent
from virtcore.operations.procedures import procedure
from virtcore.operations.spellings import canonical_function, spellings_of
from virtcore.operations.wire.codec import EncodingError, codec
from virtcore.operations.wire.events import EVENTS, FAMILIES
from virtcore.operations.wire.mapping import ClientCall, client_operation
from virtcore.types import DomainRef, NetworkRef

__all__ = ["RemoteDriver"]

log = logging.getLogger("virtcore")

READONLY: Final = 1  # VIR_CONNECT_RO
AUTH_NONE: Final = 0
AUTH_POLKIT: Final = 2
FEATURE_KEEPALIVE: Final = 10
FEATURE_EVENT_CALLBACK: Final = 14
FEATURE_NETWORK_UPDATE_ORDER: Final = 16


class RemoteDriver(Driver):
    """A connection to a libvirtd or virtcored. The operations' methods are made from their spellings, below."""

    name = "remote"

    def __init__(self, request: OpenRequest) -> None:
        self._uri = str(request.uri)
        #: Functions that the daemon or its driver turned out not to have.
        self._absent: set[str] = set()
        self._wire: Wire
        self._encrypted = False
        self._local = request.uri.host is None
        self._event_callbacks = False
        #: Whether the daemon answers when it is asked whether it lives.
        self._answers = False
        self._events: EventFeed
        self._monitor_events: EventFeed

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        driver = cls(request)
        address = address_of(request.uri, request.readonly)
        driver._wire = wire = await Wire.connect(address, driver._event, driver._lost)
        kinds = [(FAMILIES[kind.family], (kind.id, None)) for kind in EVENTS if kind.family not in ("", "qemu")]
        driver._events = EventFeed(wire, kinds, closing=True)
        driver._monitor_events = EventFeed(wire, [(FAMILIES["qemu"], (None, None, 0))])
        try:
            await driver._authenticate()
            (answers,) = await driver._ask("CONNECT_SUPPORTS_FEATURE", FEATURE_KEEPALIVE)
            driver._answers = bool(answers)
            await driver._ask("CONNECT_OPEN", address.name, READONLY if request.readonly else 0)
            if not address.name:
                (driver._uri,) = await driver._ask("CONNECT_GET_URI")
            (supported,) = await driver._ask("CONNECT_SUPPORTS_FEATURE", FEATURE_EVENT_CALLBACK)
            driver._event_callbacks = bool(supported)
        except BaseException:
            await driver._wire.close()
            raise
        return driver

    async def close(self) -> None:
        if self._wire.alive:
            reply = self._wire.start(procedure("remote.CONNECT_CLOSE"), b"")
            reply.add_done_callback(look)
        await self._wire.close()

    async def _ask(self, name: str, *arguments: object) -> Any:
        """Call a procedure that stands for no operation."""
        row = procedure("remote." + name)
        body = codec(row.program, row.args).encode(arguments) if row.args else b""
        return body_of(await self._wire.call(row, body), codec(row.program, row.ret).decode if row.ret else None)

    async def _authenticate(self) -> None:
        (offers,) = await self._ask("AUTH_LIST")
        if not offers or offers[0] == AUTH_NONE:
            return
        if offers[0] != AUTH_POLKIT:
            raise AuthUnavailable(f"unsupported authentication type {offers[0]}", domain=ErrorDomain.REMOTE)
        (done,) = await self._ask("AUTH_POLKIT") or (1,)
        if not done:
            raise AuthFailed("authentication failed", domain=ErrorDomain.REMOTE)

    # -- what is answered here

    @inline
    def connection_uri(self) -> str:
        return self._uri

    @inline
    def connection_is_encrypted(self) -> bool:
        return self._encrypted

    @inline
    def connection_is_alive(self) -> bool:
        return self._wire.alive

    async def connection_is_secure(self) -> bool:
        (secure,) = await self._ask("CONNECT_IS_SECURE")
        return bool(secure) and (self._local or self._encrypted)

    async def connection_supports_feature(self, feature: int) -> bool:
        (supported,) = await self._ask("CONNECT_SUPPORTS_FEATURE", feature)
        return bool(supported)

    @inline
    def connection_set_keepalive(self, interval: int, count: int = COUNT) -> bool:
        if self._answers:
            self._wire.keep_alive(Keepalive(interval, count) if interval > 0 else None)
        return self._answers

    async def network_update(
        self, network: NetworkRef, command: int, section: int, parent_index: int, xml: str, flags: int = 0
    ) -> None:
        # Daemons before libvirt 7.2 take the two the other way round.
        (ordered,) = await self._ask("CONNECT_SUPPORTS_FEATURE", FEATURE_NETWORK_UPDATE_ORDER)
        first, second = (command, section) if ordered else (section, command)
        await self._operate("network_update", (network, first, second, parent_index, xml, flags), {})

    # -- events

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        if not self._event_callbacks:
            raise NoSupport("virConnectDomainEventRegisterAny", domain=ErrorDomain.REMOTE)
        return self._events.subscribe(deliver)

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        return self._monitor_events.subscribe(deliver)

    def _event(self, message: Message) -> None:
        event = event_of(message)
        if isinstance(event, QemuMonitorEvent):
            self._monitor_events.deliver(event)
        elif event is not None:
            self._events.deliver(event)

    def _lost(self, reason: ConnectCloseReason) -> None:
        self._events.deliver(ConnectionClosedEvent(reason))

    # -- every other operation

    async def _operate(self, operation: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Carry out an operation, under the best of its spellings that the daemon and its driver have."""
        refusal: VirtError | None = None
        for call, wire_arguments in client_operation(operation).calls(arguments, named):
            if call.spelling.function in self._absent:
                continue
            try:
                return await self._invoke(call, wire_arguments)
            except (NoSupport, RPC) as error:
                if isinstance(error, RPC) and not str(error.detail).startswith("unknown procedure"):
                    raise
                refusal = refusal or error
                if isinstance(error, RPC) or error.detail == call.spelling.function:
                    self._absent.add(call.spelling.function)  # for good; else it is what was asked for this time
        raise refusal or NoSupport(canonical_function(operation))

    async def _run_job(self, operation: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Carry out an operation that can be aborted: cancelled is not the wait but the domain's job, where the daemon
        has it. Where it cannot be aborted, it goes on, and so does this."""
        work = asyncio.ensure_future(self._operate(operation, arguments, named))
        while True:
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                if work.done():
                    raise
                if await self._abort(arguments):
                    await asyncio.wait([work])
                    if work.cancelled() or work.exception() is not None:
                        raise
                    return work.result()  # it was quicker

    async def _abort(self, arguments: tuple[Any, ...]) -> bool:
        """Abort the job of the domain that an operation works on. Returns whether the daemon did."""
        subject = arguments[0] if arguments else None
        domain = getattr(subject, "domain", subject)  # of a snapshot
        if not isinstance(domain, DomainRef):
            return False
        try:
            await self._operate("domain_abort_job", (domain,), {})
        except VirtError as error:
            log.info("the job of '%s' goes on: %s", domain.name, error)
            return False
        return True

    async def _invoke(self, call: ClientCall, wire_arguments: tuple[Any, ...]) -> Any:
        row = call.procedure
        try:
            body = call.encode(wire_arguments) if call.encode is not None else b""
            if row.stream is not None:
                reply, stream = await self._wire.open_stream(row, body)
                return call.value((*body_of(reply, call.decode), stream))
            results = body_of(await self._wire.call(row, body), call.decode)
            while call.again is not None and call.encode is not None:
                more = call.again(wire_arguments, results)
                if more is None:
                    break
                wire_arguments = more
                results = body_of(await self._wire.call(row, call.encode(wire_arguments)), call.decode)
        except EncodingError as error:
            raise RPC(f"Unable to encode message payload: {error}", domain=ErrorDomain.RPC) from None
        return call.value(results) if call.decode is not None else None


def _remote_method(operation: Operation) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def method(self: RemoteDriver, *arguments: Any, **named: Any) -> Any:
        carry_out = self._run_job if operation.abortable else self._operate
        return await carry_out(operation.name, arguments, named)

    method.__name__ = operation.name
    method.__qualname__ = f"RemoteDriver.{operation.name}"
    method.__doc__ = operation.function.__doc__
    return method


for _operation in all_operations().values():
    if _operation.name not in vars(RemoteDriver) and any(row.procedure for row in spellings_of(_operation.name)):
        setattr(RemoteDriver, _operation.name, _remote_method(_operation))
