"""The driver whose hypervisor is another daemon: every operation becomes its canonical procedure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence

from virt_remote.client.address import address_of
from virt_remote.client.blocking import BlockingClient, Opening, Successor
from virt_remote.client.events import EventFeed, event_of, look
from virt_remote.client.link import Expired, Link
from virt_remote.client.steps import Flow, Request, Steps, is_secure, supports_feature
from virt_remote.client.wire import Wire
from virt_remote.keepalive import COUNT, Keepalive
from virt_remote.protocol import Message
from virtcore._typing import Any, Final, Self, TypeVar
from virtcore.driver.base import AuthCallback, Credential, Driver, OpenRequest, Subscription, inline
from virtcore.enums import ConnectCloseReason
from virtcore.errors import ErrorDomain, NoSupport, SystemError, VirtError
from virtcore.operations.declare import Operation, all_operations
from virtcore.operations.events import ConnectionClosedEvent, Event, QemuMonitorEvent
from virtcore.operations.features import DriverFeature
from virtcore.operations.procedures import procedure
from virtcore.operations.wire.events import EVENTS, FAMILIES
from virtcore.operations.wire.mapping import crosses
from virtcore.types import DomainRef, NetworkRef

__all__ = ["RemoteDriver"]

log = logging.getLogger("virtcore")

V = TypeVar("V")

#: Seconds before the first attempt to connect again, and the most between two.
RECONNECT_FIRST: Final = 0.2
RECONNECT_MOST: Final = 10.0


class RemoteDriver(Driver):
    """A connection to a libvirtd or virtcored. The operations' methods are made from their spellings, below."""

    name = "remote"

    def __init__(self, steps: Steps, uri: str, link: Link) -> None:
        self._steps = steps
        self._uri = uri
        self._link = link
        self._wire: Wire
        self._event_callbacks = False
        #: Whether the daemon answers when it is asked whether it lives.
        self._answers = False
        self._events: EventFeed
        self._monitor_events: EventFeed
        self._keepalive: tuple[int, int] | None = None
        self._reconnecting: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, request: OpenRequest) -> Self:
        steps = Steps(address_of(request.uri, request.readonly))
        return await cls.adopt(await _open(steps, request.auth))

    @classmethod
    async def adopt(cls, client: BlockingClient) -> Self:
        """Go on in the core loop with a connection that is open."""
        driver = cls(client.steps, client.uri, client.link)
        driver._wire = wire = await Wire.adopt(client.link, driver._event, driver._lost, client.state)
        kinds = [(FAMILIES[one.family], one.event, (one.id, None)) for one in EVENTS if one.family not in ("", "qemu")]
        driver._events = EventFeed(wire, kinds, closing=True)
        driver._monitor_events = EventFeed(wire, [(FAMILIES["qemu"], QemuMonitorEvent, (None, None, 0))])
        try:
            driver._answers = await driver.connection_supports_feature(DriverFeature.PROGRAM_KEEPALIVE)
            driver._event_callbacks = await driver.connection_supports_feature(DriverFeature.REMOTE_EVENT_CALLBACK)
            if client.keepalive is not None:
                driver.connection_set_keepalive(*client.keepalive)
        except BaseException:
            await wire.close()
            raise
        return driver

    async def close(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._wire.alive:
            reply = self._wire.start(procedure("remote.CONNECT_CLOSE"), b"")
            reply.add_done_callback(look)
        await self._wire.close()

    async def _drive(self, flow: Flow[V]) -> V:
        """Make a conversation's calls."""
        try:
            request = next(flow)
            while True:
                try:
                    if request.row.stream is not None:
                        reply: Any = await self._wire.open_stream(request.row, request.body)
                    else:
                        reply = await self._wire.call(*request)
                except VirtError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(reply)
        except StopIteration as end:
            value: V = end.value
            return value

    def successor(self) -> Successor:
        """How a thread goes on that began a conversation before the core loop took over."""
        loop = asyncio.get_running_loop()

        def call(request: Request, end: float | None) -> bytes:
            seconds = None if end is None else max(end - time.monotonic(), 0)
            reply = asyncio.run_coroutine_threadsafe(self._wire.call(*request), loop)
            try:
                return reply.result(seconds)
            except TimeoutError:
                reply.cancel()
                raise Expired("the daemon did not answer in time", domain=ErrorDomain.RPC) from None

        return call

    def has(self, operation: Operation) -> bool:
        return self.implements(operation) and not (crosses(operation.name) and self._steps.lacks(operation.name))

    # -- what is answered here

    @inline
    def connection_uri(self) -> str:
        return self._uri

    @inline
    def connection_is_encrypted(self) -> bool:
        return self._link.encrypted

    @inline
    def connection_is_alive(self) -> bool:
        return self._wire.alive

    async def connection_is_secure(self) -> bool:
        return await self._drive(is_secure(self._link))

    async def connection_supports_feature(self, feature: int) -> bool:
        return await self._drive(supports_feature(feature))

    @inline
    def connection_set_keepalive(self, interval: int, count: int = COUNT) -> bool:
        self._keepalive = (interval, count)
        if self._answers:
            self._wire.keep_alive(Keepalive(interval, count) if interval > 0 else None)
        return self._answers

    async def network_update(
        self, network: NetworkRef, command: int, section: int, parent_index: int, xml: str, flags: int = 0
    ) -> None:
        await self._registered()
        await self._drive(self._steps.network_update(network, command, section, parent_index, xml, flags))

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
        listened = self._events.heard or self._monitor_events.heard
        self._events.deliver(ConnectionClosedEvent(reason))
        if listened and (self._reconnecting is None or self._reconnecting.done()):
            self._reconnecting = asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        """Connect again for those who listen to events, as long as there are some. Meanwhile calls fail with why the
        connection was lost. Nobody is asked for a password once more: without one at hand it stays lost."""
        wait = RECONNECT_FIRST
        while self._events.heard or self._monitor_events.heard:
            await asyncio.sleep(wait)
            wait = min(wait * 2, RECONNECT_MOST)
            try:
                steps = Steps(self._steps.address)
                client = await _open(steps, None)
                wire = await Wire.adopt(client.link, self._event, self._lost, client.state)
                self._steps, self._link, self._wire = steps, client.link, wire
                self._answers = await self.connection_supports_feature(DriverFeature.PROGRAM_KEEPALIVE)
            except SystemError as error:
                log.debug("no connection to %s yet: %s", self._steps.address.uri.redacted, error)
                continue
            except VirtError as error:
                log.warning("the connection to %s stays lost: %s", self._steps.address.uri.redacted, error)
                return
            if self._keepalive is not None:
                self.connection_set_keepalive(*self._keepalive)
            self._events.renew(wire)
            self._monitor_events.renew(wire)
            return

    # -- every other operation

    async def _registered(self) -> None:
        """Wait for registrations that were made before: what is called next may be what they are to tell of."""
        for feed in (self._events, self._monitor_events):
            if feed.unanswered:
                await asyncio.wait(feed.unanswered)

    async def _operate(self, operation: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        await self._registered()
        return await self._drive(self._steps.operate(operation, arguments, named))

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


async def _open(steps: Steps, auth: AuthCallback | None) -> BlockingClient:
    """Open a connection in a thread: names are looked up, handshakes made and users asked, all of which may wait."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[BlockingClient] = loop.create_future()

    def ask_user(wanted: list[Credential]) -> Sequence[str] | None:
        assert auth is not None

        async def answer() -> Sequence[str] | None:
            return await auth(wanted)

        return asyncio.run_coroutine_threadsafe(answer(), loop).result()

    def settle(client: BlockingClient | None, error: BaseException | None) -> None:
        if opened.cancelled():
            if client is not None:
                client.link.close()
        elif client is not None:
            opened.set_result(client)
        elif error is not None:
            opened.set_exception(error)

    def done(client: BlockingClient | None, error: BaseException | None) -> None:
        loop.call_soon_threadsafe(settle, client, error)

    opening = Opening(steps, ask_user if auth is not None else None)
    opening.run(done)
    try:
        return await opened
    except asyncio.CancelledError:
        opening.cancel()
        raise


def _remote_method(operation: Operation) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def method(self: RemoteDriver, *arguments: Any, **named: Any) -> Any:
        carry_out = self._run_job if operation.abortable else self._operate
        return await carry_out(operation.name, arguments, named)

    method.__name__ = operation.name
    method.__qualname__ = f"RemoteDriver.{operation.name}"
    method.__doc__ = operation.function.__doc__
    return method


for _operation in all_operations().values():
    if _operation.name not in vars(RemoteDriver) and crosses(_operation.name):
        setattr(RemoteDriver, _operation.name, _remote_method(_operation))
