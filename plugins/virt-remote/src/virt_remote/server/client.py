"""One client of the daemon: its calls, events and streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from virt_remote.flow import FlowControl
from virt_remote.protocol import (
    BODY,
    CALL,
    CALL_WITH_FDS,
    ERROR,
    HEADER,
    KEEPALIVE_PING,
    KEEPALIVE_PROGRAM,
    MESSAGE_MAX,
    OK,
    PONG,
    REPLY,
    STREAM,
    STREAM_CHUNK,
    STREAM_HOLE,
    Frames,
    ProtocolError,
    pack,
    program_numbers,
    unpack,
)
from virt_remote.server.events import Callbacks
from virt_remote.server.procedures import SESSION_PROCEDURES
from virt_remote.server.replies import as_libvirt, error_reply_body, function_of
from virt_remote.server.streams import ServerStream
from virtcore.errors import RPC, ErrorDomain, InternalError, NoSupport, OperationDenied, VirtError
from virtcore.operations.procedures import program
from virtcore.operations.wire.codec import EncodingError, WireError
from virtcore.operations.wire.mapping import ServerCall, server_call
from virtcore.runtime.methods import Style, guarded

if TYPE_CHECKING:
    from virt_remote.server.daemon import Endpoint
    from virtcore.runtime.session import Session

__all__ = ["Client"]

log = logging.getLogger("virtcored")

#: Calls of one client that may run at a time; while so many do, its socket is not read (``max_client_requests``).
MAX_REQUESTS = 5
#: Bytes that may wait to be sent to a client that does not read; beyond, its connection ends.
MAX_UNSENT = 64 * 1024 * 1024

#: Who holds reading while too many calls run.
_CALLS = object()

#: What answers a call: the reply's body, or None when that comes later. Takes the frame and the call's serial.
Handler = Callable[[bytes, int], bytes | None]


def reply(key: tuple[int, int, int], serial: int, body: bytes) -> bytes:
    """The whole reply to a call.

    :raises EncodingError: it is longer than a message may be.
    """
    size = BODY + len(body)
    if size > MESSAGE_MAX:
        raise EncodingError(f"reply of {size} bytes, {MESSAGE_MAX} allowed")
    number, version, procedure = key
    return HEADER.pack(size, number, version, procedure, REPLY, serial, OK) + body


class Client(FlowControl):
    """The daemon's side of a connection. Calls that never wait are answered at once, in the callback that read them."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self.endpoint = endpoint
        #: The virtcore session that :meth:`~SessionProcedures` opened; None before and after.
        self.session: Session | None = None
        self.readonly = endpoint.readonly
        self.opening = False
        #: Something came from the client since keepalive looked last.
        self.heard = True
        self.callbacks = Callbacks(self)
        self._frames = Frames()
        self._handlers: dict[tuple[int, int, int], Handler] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0  # of the tasks; those that ended leave the set only later
        self._streams: dict[tuple[int, int, int, int], ServerStream] = {}

    # -- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=4 * STREAM_CHUNK, low=STREAM_CHUNK)
        self.endpoint.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.endpoint.daemon.keepalive.remove(self)
        for task in self._tasks:
            task.cancel()  # changes that have begun go on
        self.endpoint.disconnected(self, self._end())

    async def _end(self) -> None:
        for stream in list(self._streams.values()):
            await stream.close()
        self._streams.clear()
        await self.close_session()

    async def close_session(self) -> None:
        """End the session, if there is one."""
        self.callbacks.clear()
        session, self.session = self.session, None
        self._handlers.clear()
        if session is not None:
            await session.close()

    def data_received(self, data: bytes) -> None:
        self.heard = True
        try:
            frames = self._frames.feed(data)
            if len(frames) == 1:
                answer = self._frame(frames[0])
                if answer is not None:
                    self.send(answer)
                return
            answers = [answer for frame in frames if (answer := self._frame(frame)) is not None]
        except ProtocolError as error:
            log.warning("client broke the protocol: %s", error)
            self.drop()
            return
        if answers:
            self.send(b"".join(answers))

    def pause_writing(self) -> None:
        super().pause_writing()
        self.hold_reading(self)  # who does not take replies may not ask for more

    def resume_writing(self) -> None:
        super().resume_writing()
        self.release_reading(self)

    def send(self, data: bytes) -> None:
        """Send a message; dropped when the client is gone."""
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        if not self._writable.is_set() and transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("client does not read what it is sent: its connection ends")
            self.drop()

    def silent(self, seconds: float) -> None:
        """The client has not answered for so long: end the connection."""
        log.warning("client has not answered for %d s: its connection ends", seconds)
        self.drop()

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """End the connection when everything was sent."""
        if self._transport is not None:
            self._transport.close()

    # -- calls

    def _frame(self, frame: bytes) -> bytes | None:
        """What to answer a message at once; None for nothing, or later."""
        _, number, version, procedure, kind, serial, status = HEADER.unpack_from(frame)
        if kind == CALL:
            try:
                if status != OK:
                    raise RPC(f"Unexpected message status {status}", domain=ErrorDomain.RPC)
                key = (number, version, procedure)
                handler = self._handlers.get(key)
                if handler is None:
                    handler = self._handlers[key] = self._find(key)
                body = handler(frame, serial)
            except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets an answer and the daemon lives
                return self.error_reply(number, version, procedure, serial, error)
            if body is None:
                return None
            return reply(key, serial, body)
        if number == KEEPALIVE_PROGRAM:
            return PONG if procedure == KEEPALIVE_PING else None
        if kind in (STREAM, STREAM_HOLE):
            stream = self._streams.get((number, version, procedure, serial))
            if stream is not None:
                stream.packet(unpack(frame))
            return None  # late packets of a stream that ended are dropped
        if kind == CALL_WITH_FDS:
            raise ProtocolError("descriptors are not taken: feature FD_PASSING was not offered")
        log.debug("message of type %d ignored", kind)
        return None

    @staticmethod
    def error_reply(number: int, version: int, procedure: int, serial: int, error: BaseException) -> bytes:
        """The whole error reply to a call."""
        if isinstance(error, WireError):
            log.info("procedure %d: %s", procedure, error)
            what = "encode" if isinstance(error, EncodingError) else "decode"
            error = RPC(f"Unable to {what} message payload", domain=ErrorDomain.RPC)
        return pack(number, version, procedure, REPLY, serial, ERROR, error_reply_body(error))

    def _find(self, key: tuple[int, int, int]) -> Handler:
        """The handler of a procedure. What depends on the session is asked anew until there is one."""
        number, version, procedure_number = key
        owner = program_numbers().get(number) if self.endpoint.programs else None
        if owner is None or version != program(owner).version:
            raise RPC(f"Cannot find program {number} version {version}", domain=ErrorDomain.RPC)
        row = program(owner).by_number(procedure_number)
        if row is None or row.kind != "call":
            raise RPC(f"unknown procedure: {procedure_number}", domain=ErrorDomain.RPC)
        name = f"{owner}.{row.name}"
        own = SESSION_PROCEDURES.get(name)
        if own is not None:
            return own.handler(self, row)
        if self.session is None:
            raise InternalError("connection not open", domain=ErrorDomain.RPC)
        call = server_call(name)
        if call is None:
            raise NoSupport(function_of(name))
        return self._operation_handler(self.session, call, key)

    def _operation_handler(self, session: Session, call: ServerCall, key: tuple[int, int, int]) -> Handler:
        spelling = call.spelling
        if self.readonly and spelling.write is True:
            return self._refuser(OperationDenied, spelling.refusal)
        if not session.supports(call.operation.name):
            return self._refuser(NoSupport, spelling.function)
        if call.procedure.stream is None and session.method(call.operation.name).style is Style.INLINE:
            return self._inline_handler(session, call)

        def later(frame: bytes, serial: int) -> None:
            arguments, wire = self._arguments(call, frame)
            self.run(self._answer(session, call, arguments, wire, key, serial), key, serial)

        return later

    @staticmethod
    def _refuser(error: type[VirtError], detail: str) -> Handler:
        def refuse(frame: bytes, serial: int) -> bytes:
            raise error(detail)

        return refuse

    def _inline_handler(self, session: Session, call: ServerCall) -> Handler:
        """The fast path: decode, call, encode, with what does not apply left out beforehand.

        What the session would check at every call is settled here: these handlers go when it closes, and whether a
        read-only client may call depends on the function's own facts.
        """
        decode, build, encode, result = call.decode, call.arguments, call.encode, call.result
        spelling = call.spelling
        guard_at = call.guard_at if self.readonly and spelling.write is not False else None
        function, driver = guarded(session.method(call.operation.name)).function, session.driver

        def answer(frame: bytes, serial: int) -> bytes:
            wire: tuple[Any, ...] = decode(frame, BODY)[0] if decode is not None else ()
            if guard_at is not None and spelling.forbidden_readonly(wire[guard_at]):
                raise OperationDenied(spelling.refusal)
            try:
                value = function(driver, *(wire if build is None else build(wire)))
            except NoSupport as error:
                raise as_libvirt(error, spelling) from None
            if encode is None:
                return b""
            return encode(value if result is None else result(value, wire))

        return answer

    def _arguments(self, call: ServerCall, frame: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        wire: tuple[Any, ...] = call.decode(frame, BODY)[0] if call.decode is not None else ()
        if self.readonly and call.guard_at is not None and call.spelling.forbidden_readonly(wire[call.guard_at]):
            raise OperationDenied(call.spelling.refusal)
        return (wire if call.arguments is None else call.arguments(wire)), wire

    async def _answer(
        self,
        session: Session,
        call: ServerCall,
        arguments: tuple[Any, ...],
        wire: tuple[Any, ...],
        key: tuple[int, int, int],
        serial: int,
    ) -> bytes | None:
        try:
            value = await session.call(call.operation.name, *arguments, deadline=None)
        except NoSupport as error:
            raise as_libvirt(error, call.spelling) from None
        if call.operation.service is not None and session.method(call.operation.name).style is Style.INLINE:
            self._handlers.pop(key, None)  # the service is open now: what never waits need not be waited for
        if call.procedure.stream is not None:
            stream, body = value, b""
            if call.encode is not None and call.result is not None:  # it gives something beside the stream
                stream, body = value[-1], call.encode(call.result(value, wire))
            self._reply(key, serial, body)
            stream_key = (*key, serial)
            self._streams[stream_key] = ServerStream(self, stream_key, stream, call.procedure, wire)
            return None
        if call.encode is None:
            return b""
        return call.encode(value if call.result is None else call.result(value, wire))

    def run(
        self, work: Coroutine[Any, Any, bytes | None], key: tuple[int, int, int], serial: int, *, whole: bool = False
    ) -> None:
        """Have a coroutine answer a call: with the body it returns, with nothing for None, or with its error.

        :param whole: it runs to its end even when the client leaves.
        """
        if whole:
            self.endpoint.daemon.finish(self._run(work, key, serial))
        else:
            task = asyncio.create_task(self._run(work, key, serial))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._running += 1
        if self._running >= MAX_REQUESTS:
            self.hold_reading(_CALLS)

    async def _run(self, work: Coroutine[Any, Any, bytes | None], key: tuple[int, int, int], serial: int) -> None:
        try:
            body = await work
            if body is not None:
                self._reply(key, serial, body)
        except Exception as error:  # noqa: BLE001  # as in _frame
            self.send(self.error_reply(*key, serial, error))
        finally:
            self._running -= 1
            if self._running < MAX_REQUESTS:
                self.release_reading(_CALLS)

    def _reply(self, key: tuple[int, int, int], serial: int, body: bytes) -> None:
        self.send(reply(key, serial, body))

    def stream_ended(self, stream: ServerStream) -> None:
        """A stream ended: its packets are no longer let through."""
        self._streams.pop(stream.key, None)
