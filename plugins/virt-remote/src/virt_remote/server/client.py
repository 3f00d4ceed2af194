"""One client of the daemon: its calls, events and streams."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from virt_remote.descriptors import close_all
from virt_remote.flow import FlowControl
from virt_remote.protocol import (
    AUTH_NONE,
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
    REPLY_WITH_FDS,
    SASL_DATA_MAX,
    STREAM,
    STREAM_CHUNK,
    STREAM_HOLE,
    Frames,
    ProtocolError,
    SaslError,
    pack,
    unpack,
    with_files,
    without_files,
)
from virt_remote.server.access import Guard
from virt_remote.server.auth import BEFORE_AUTHENTICATION
from virt_remote.server.events import Callbacks
from virt_remote.server.identity import Identity
from virt_remote.server.procedures import SESSION_PROCEDURES
from virt_remote.server.replies import as_libvirt, error_reply_body, function_of
from virt_remote.server.streams import ServerStream
from virtcore.errors import RPC, ArgumentUnsupported, ErrorDomain, InternalError, NoSupport, OperationDenied, VirtError
from virtcore.operations.declare import Kind
from virtcore.operations.origins import part_of
from virtcore.operations.procedures import Procedure, program
from virtcore.operations.wire.codec import EncodingError, WireError
from virtcore.operations.wire.mapping import ServerCall, server_call
from virtcore.runtime.methods import Style, guarded

if TYPE_CHECKING:
    from virt_remote.descriptors import DescriptorSocket
    from virt_remote.sasl import SaslServer, SecurityLayer
    from virt_remote.server.endpoint import Endpoint
    from virtcore.runtime.calls import Call
    from virtcore.runtime.session import Session

__all__ = ["Client"]

log = logging.getLogger("virtcored.client")
audit = logging.getLogger("virtcored.audit")

#: Most bytes of a message of a client that has not authenticated: a step of SASL, whose bytes take four each.
ANONYMOUS_MAX = 4 * SASL_DATA_MAX + 4096
#: Bytes that may wait to be sent to a client that does not read; beyond, its connection ends.
MAX_UNSENT = 64 * 1024 * 1024

#: Who holds reading while too many calls run, and while messages wait for their turn.
_CALLS, _BACKLOG = object(), object()
#: Most messages of a client that are taken before others have their turn.
_PORTION = 64

#: Seconds that a long reply is made before others have their turn.
_SLICE = 0.002

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

    # There may be thousands: a dictionary with so many entries takes more than all else.
    __slots__ = (
        "__weakref__", "_backlog", "_changes", "_files", "_frames", "_handlers", "_layer", "_most", "_pending",
        "_running", "_streams", "_tasks", "administers", "auth", "authenticated", "authenticating", "callbacks",
        "closing", "endpoint", "guard", "heard", "id", "identity", "opening", "passing", "readonly", "server",
        "session", "since",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, identity: Identity | None = None) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.server = endpoint.server
        self.identity = identity or Identity(endpoint.transport, readonly=endpoint.readonly)
        #: Number and time (seconds since the epoch) that administrators know it by.
        self.id = 0
        self.since = int(time.time())
        #: The virtcore session that :meth:`~SessionProcedures` opened; None before and after.
        self.session: Session | None = None
        #: Access control over the session; None where everything is allowed.
        self.guard: Guard | None = None
        self.readonly = endpoint.readonly
        self.opening = False
        #: It has opened administration.
        self.administers = False
        #: How it has to authenticate (``REMOTE_AUTH_*``), and whether it has.
        self.auth = endpoint.auth
        self.authenticated = endpoint.auth == AUTH_NONE
        #: A step of it that is under way.
        self.authenticating: SaslServer | str | None = None
        #: Something came from the client since keepalive looked last.
        self.heard = True
        self.callbacks = Callbacks(self)
        #: It was told to leave.
        self.closing = False
        self._frames = Frames(MESSAGE_MAX if self.authenticated else ANONYMOUS_MAX)
        #: Messages that came with others and have not had their turn.
        self._backlog: Sequence[bytes] = ()
        self._pending = 0
        self._layer: SecurityLayer | None = None
        self._handlers: dict[tuple[int, int, int], Handler] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changes: set[Call] = set()
        self._running = 0  # of the tasks; those that ended leave the set only later
        self._streams: dict[tuple[int, int, int, int], ServerStream] = {}
        self._most = self.server.max_client_requests
        #: The socket, where it can pass descriptors.
        self.passing: DescriptorSocket | None = None
        #: Descriptors that came with the call that is being taken, until somebody has taken them.
        self._files: list[int] = []

    # -- who it is

    @property
    def protected(self) -> bool:
        """Whether nobody on the way can read along: it is encrypted, or does not leave the host."""
        return self.endpoint.transport in ("unix", "tls")

    @property
    def opened(self) -> bool:
        """Whether it has opened what it came for."""
        return self.session is not None or self.administers

    def authenticate(self, *, sasl: str | None = None) -> None:
        """The client is who it says."""
        self.authenticated = True
        self._frames.limit = MESSAGE_MAX
        self._handlers.clear()
        if sasl is not None:
            self.identity = self.identity._replace(sasl=sasl)
        log.info("client %d authenticated: %s", self.id, self.identity)
        self.server.authenticated(self)

    def expect_descriptors(self) -> bool:
        """Receive descriptors from now on, where that can be. Whether it is so."""
        if self.passing is None or self._layer is not None:
            return False
        self.passing.expect()
        return True

    def protect(self, layer: SecurityLayer) -> None:
        """Protect what travels after the reply that is being made."""
        asyncio.get_running_loop().call_soon(self._set_layer, layer)

    def _set_layer(self, layer: SecurityLayer) -> None:
        self._layer = layer

    def open_session(self) -> Session:
        """The session that is open.

        :raises InternalError: none is.
        """
        if self.session is None:
            raise InternalError("connection not open", domain=ErrorDomain.RPC)
        return self.session

    def begin_session(self, session: Session) -> None:
        """It has opened a connection."""
        self.session = session
        control = self.server.access
        self.guard = (
            None if control is None else Guard(control, self.identity._replace(readonly=self.readonly), session)
        )
        self._handlers.clear()

    # -- the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self._transport is not None
        self._transport.set_write_buffer_limits(high=4 * STREAM_CHUNK, low=STREAM_CHUNK)
        self.server.connected(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.keepalive.remove(self)
        self.server.pending_memory -= self._pending
        self._pending = 0
        for task in self._tasks:
            task.cancel()
        for change in tuple(self._changes):
            change.give_up()  # it goes on
        self.server.disconnected(self, self._end())

    async def _end(self) -> None:
        for stream in list(self._streams.values()):
            await stream.close()
        self._streams.clear()
        await self.close_session()

    async def close_session(self) -> None:
        """End the session, if there is one."""
        self.callbacks.clear()
        session, self.session = self.session, None
        self.guard = None
        self._handlers.clear()
        if session is not None:
            await session.close()

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.heard = True
        try:
            if self._layer is not None:
                data = self._layer.unwrap(data)
            frames = self._frames.feed(data)
            if len(frames) == 1 and not self._backlog:
                answer = self._frame(frames[0])
                if answer is not None:
                    self.send(answer)
            else:
                self._take([*self._backlog, *frames])
        except (ProtocolError, SaslError) as error:
            log.warning("client %d broke the protocol: %s", self.id, error)
            self.drop()
            return
        if self._frames.pending != self._pending:
            self._account(self._frames.pending)

    def _take(self, frames: list[bytes]) -> None:
        """Take the first of several messages; the others when clients beside this one had their turn."""
        answers = [answer for frame in frames[:_PORTION] if (answer := self._frame(frame)) is not None]
        if answers:
            self.send(b"".join(answers))
        self._backlog = frames[_PORTION:] or ()
        if self._backlog:
            self.hold_reading(_BACKLOG)
            asyncio.get_running_loop().call_soon(self._go_on)
        else:
            self.release_reading(_BACKLOG)

    def _go_on(self) -> None:
        backlog, self._backlog = self._backlog, ()
        if self._transport is not None and not self.closing and backlog:
            try:
                self._take(list(backlog))
            except (ProtocolError, SaslError) as error:
                log.warning("client %d broke the protocol: %s", self.id, error)
                self.drop()

    def _account(self, pending: int) -> None:
        """Count the bytes that wait for the rest of their message, of all clients together."""
        self.server.pending_memory += pending - self._pending
        self._pending = pending
        if self.server.pending_memory > self.server.settings.max_pending_memory:
            log.warning("client %d is one too many that sends so much: its connection ends", self.id)
            self.drop()

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
        transport.write(data if self._layer is None else self._layer.wrap(data))
        if self._taken is not None and transport.get_write_buffer_size() > MAX_UNSENT:
            log.warning("client %d does not read what it is sent: its connection ends", self.id)
            self.drop()

    def silent(self, seconds: float) -> None:
        """The client has not answered for so long: end the connection."""
        log.warning("client %d has not answered for %d s: its connection ends", self.id, seconds)
        self.drop()

    def drop(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def hang_up(self) -> None:
        """End the connection when everything was sent."""
        self.closing = True
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
            return self._frame_with_files(frame)
        log.debug("message of type %d ignored", kind)
        return None

    def _frame_with_files(self, frame: bytes) -> bytes | None:
        """What to answer a call that descriptors came with."""
        plain, count = without_files(frame)
        if self.passing is None:
            raise ProtocolError("Receiving file descriptors is not supported on this socket")
        try:
            self._files = self.passing.take(count)
        except LookupError as error:
            raise ProtocolError(str(error)) from None
        try:
            return self._frame(plain)
        finally:
            close_all(self._files)  # those that nobody wanted
            self._files = []

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
        owner = self.server.programs.get(number)
        if owner is None or version != program(owner).version:
            raise RPC(f"Cannot find program {number} version {version}", domain=ErrorDomain.RPC)
        row = program(owner).by_number(procedure_number)
        if row is None or row.kind != "call":
            raise RPC(f"unknown procedure: {procedure_number}", domain=ErrorDomain.RPC)
        name = f"{owner}.{row.name}"
        if not self.authenticated and name not in BEFORE_AUTHENTICATION:
            log.warning("client %d (%s) calls %s before it has authenticated", self.id, self.identity, name)
            raise RPC("authentication required", domain=ErrorDomain.RPC)
        own = SESSION_PROCEDURES.get(name)
        if own is not None:
            return own.handler(self, row)
        session = self.open_session()
        call = server_call(name)
        if call is None:
            raise NoSupport(function_of(name), domain=part_of(function_of(name)))
        operation = call.operation.name
        if not (session.is_loaded(operation) and session.service_is_loaded(operation)):
            return self._loader(session, operation, key)
        return self._operation_handler(session, self.guard, call, key)

    def _loader(self, session: Session, operation: str, key: tuple[int, int, int]) -> Handler:
        """Loads what an operation needs beyond a driver's first answers, beside the loop; then answers."""

        def later(frame: bytes, serial: int) -> None:
            files, self._files = self._files, []
            self._handlers.pop(key, None)
            self.run(self._loaded(session, operation, key, frame, serial, files), key, serial)

        return later

    async def _loaded(
        self,
        session: Session,
        operation: str,
        key: tuple[int, int, int],
        frame: bytes,
        serial: int,
        files: list[int],
    ) -> bytes | None:
        try:
            await session.load(operation)
        except BaseException:
            close_all(files)
            raise
        self._files = files
        try:
            handler = self._handlers[key] = self._find(key)
            return handler(frame, serial)
        finally:
            close_all(self._files)  # as in _frame_with_files
            self._files = []

    def _operation_handler(
        self, session: Session, guard: Guard | None, call: ServerCall, key: tuple[int, int, int]
    ) -> Handler:
        spelling = call.spelling
        if self.readonly and spelling.write is True:
            return self._refuser(OperationDenied, spelling.refusal)
        if not session.supports(call.operation.name):
            return self._refuser(NoSupport, spelling.function, part_of(spelling.function))
        files = call.takes_files or call.files is not None
        audited = self.server.settings.audit_logging and call.operation.kind is Kind.CHANGE
        if (
            guard is None
            and not audited
            and not files
            and call.procedure.stream is None
            and session.method(call.operation.name).style is Style.INLINE
        ):
            return self._inline_handler(session, call, key)
        if (
            guard is None
            and not audited
            and not files
            and call.procedure.stream is None
            and call.operation.kind is Kind.CHANGE
            and call.operation.service is None
            and session.method(call.operation.name).style is Style.ASYNC
        ):
            return self._change_handler(session, call, key)

        def later(frame: bytes, serial: int) -> None:
            arguments, wire = self._arguments(call, frame)
            work = self._answer(session, guard, call, arguments, wire, key, serial)
            taken: list[int] = []
            if call.takes_files:
                taken, self._files = self._files, taken
            # Descriptors that the driver makes have to be sent or closed, whether the client is still there or not; and
            # a change that has begun goes on with those that came, which must not be others' by then.
            self.run(self._audited(work, call, arguments) if audited else work, key, serial, whole=files, files=taken)

        return later

    async def _audited(
        self, work: Coroutine[Any, Any, bytes | None], call: ServerCall, arguments: tuple[Any, ...]
    ) -> bytes | None:
        subject = next((one for one in arguments if type(one).__module__ == "virtcore.types"), "")
        who = f"client {self.id} ({self.identity}): {call.spelling.function} {subject}"
        try:
            body = await work
        except BaseException as error:
            audit.info("%s: %s", who, f"failed: {error}" if isinstance(error, VirtError) else "failed")
            raise
        audit.info("%s: done", who)
        return body

    @staticmethod
    def _refuser(error: type[VirtError], detail: str, domain: ErrorDomain = ErrorDomain.NONE) -> Handler:
        def refuse(frame: bytes, serial: int) -> bytes:
            raise error(detail, domain=domain)

        return refuse

    def _inline_handler(self, session: Session, call: ServerCall, key: tuple[int, int, int]) -> Handler:
        """The fast path: decode, call, encode, with what does not apply left out beforehand.

        What the session would check at every call is settled here: these handlers go when it closes, and whether a
        read-only client may call depends on the function's own facts.
        """
        decode, build, encode, result = call.decode, call.arguments, call.encode, call.result
        spelling = call.spelling
        guard_at = call.guard_at if self.readonly and spelling.write is not False else None
        function, driver = guarded(session.method(call.operation.name)).function, session.driver

        def answer(frame: bytes, serial: int) -> bytes | None:
            wire: tuple[Any, ...] = decode(frame, BODY)[0] if decode is not None else ()
            if guard_at is not None and spelling.forbidden_readonly(wire[guard_at]):
                raise OperationDenied(spelling.refusal)
            try:
                value = function(driver, *(wire if build is None else build(wire)))
            except VirtError as error:
                raise as_libvirt(error, spelling, session) from None
            if value.__class__ is CoroutineType:
                self.run(later(value, wire), key, serial)
                return None
            if encode is None:
                return b""
            return encode(value if result is None else result(value, wire))

        async def later(work: Coroutine[Any, Any, Any], wire: tuple[Any, ...]) -> bytes:
            try:
                value = await work
            except VirtError as error:
                raise as_libvirt(error, spelling, session) from None
            return b"" if encode is None else encode(value if result is None else result(value, wire))

        return answer

    def _change_handler(self, session: Session, call: ServerCall, key: tuple[int, int, int]) -> Handler:
        """Changes, which have a task of their own that goes on without us: its end is the answer."""
        quick, encode, result = _is_quick(key), call.encode, call.result

        def later(frame: bytes, serial: int) -> None:
            arguments, wire = self._arguments(call, frame)
            began = time.monotonic()
            place = self.server.workers.take(quick)
            if place is None:
                self.run(self._answer(session, None, call, arguments, wire, key, serial), key, serial)
                return

            def ended() -> None:
                self._changes.discard(change)
                try:
                    value = change.result()
                    body = b"" if encode is None else encode(value if result is None else result(value, wire))
                    self._reply(key, serial, body)
                except VirtError as error:
                    self.send(self.error_reply(*key, serial, as_libvirt(error, call.spelling, session)))
                except Exception as error:  # noqa: BLE001  # as in _frame
                    self.send(self.error_reply(*key, serial, error))
                finally:
                    self._ran(key, place, began)

            self._runs()
            try:
                change = session.begin(call.operation.name, arguments)
            except VirtError as error:
                self._ran(key, place, began)
                raise as_libvirt(error, call.spelling, session) from None
            self._changes.add(change)
            change.watch(ended)

        return later

    def _arguments(self, call: ServerCall, frame: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        wire: tuple[Any, ...] = call.decode(frame, BODY)[0] if call.decode is not None else ()
        if call.takes_files:
            wire = (*wire, self._files)
        if self.readonly and call.guard_at is not None and call.spelling.forbidden_readonly(wire[call.guard_at]):
            raise OperationDenied(call.spelling.refusal)
        return (wire if call.arguments is None else call.arguments(wire)), wire

    async def _answer(
        self,
        session: Session,
        guard: Guard | None,  # the session's, also when that has been closed by the time this runs
        call: ServerCall,
        arguments: tuple[Any, ...],
        wire: tuple[Any, ...],
        key: tuple[int, int, int],
        serial: int,
    ) -> bytes | None:
        if guard is not None:
            arguments = await guard.admit(call.procedure, call.operation, wire, arguments)
        if (call.takes_files or call.files is not None) and (self.passing is None or self._layer is not None):
            raise ArgumentUnsupported("fd passing is not supported by this connection")
        if call.takes_one and not wire[-1]:
            raise InternalError("No FD available at slot 0", domain=ErrorDomain.RPC)
        try:
            value = await session.call(call.operation.name, *arguments, deadline=None)
        except VirtError as error:
            raise as_libvirt(error, call.spelling, session) from None
        if guard is not None:
            value = await guard.admit_result(call.procedure, call.operation, value)
        if call.operation.service is not None and session.method(call.operation.name).style is Style.INLINE:
            self._handlers.pop(key, None)  # the service is open now: what never waits need not be waited for
        if call.procedure.stream is not None:
            stream, body = value, b""
            if call.encode is not None and call.result is not None:  # it gives something beside the stream
                stream, body = value[-1], call.encode(call.result(value, wire))
            self._reply(key, serial, body)
            stream_key = (*key, serial)
            before = self._streams.get(stream_key)
            self._streams[stream_key] = ServerStream(self, stream_key, stream, call.procedure, wire)
            if before is not None:  # of a call with the same serial: no packet reaches it any more
                self.server.daemon.finish(before.close())
            return None
        if call.files is not None:
            self._reply_with_files(call, key, serial, value, wire)
            return None
        if call.encode is None:
            return b""
        if call.record is not None:
            await _encode_ahead(call.record, value)
        return call.encode(value if call.result is None else call.result(value, wire))

    def run(
        self,
        work: Coroutine[Any, Any, bytes | None],
        key: tuple[int, int, int],
        serial: int,
        *,
        whole: bool = False,
        files: Sequence[int] = (),
    ) -> None:
        """Have a coroutine answer a call: with the body it returns, with nothing for None, or with its error.

        :param whole: it runs to its end even when the client leaves.
        :param files: descriptors to close then.
        """
        if whole:
            task = self.server.daemon.finish(self._run(work, key, serial))
        else:
            task = asyncio.create_task(self._run(work, key, serial))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if files:
            task.add_done_callback(lambda _: close_all(files))
        self._runs()

    async def _run(self, work: Coroutine[Any, Any, bytes | None], key: tuple[int, int, int], serial: int) -> None:
        began = time.monotonic()
        try:
            place = await self.server.workers.acquire(_is_quick(key))
        except BaseException:
            work.close()
            self._ran(key, None, began)
            raise
        try:
            body = await work
            if body is not None:
                self._reply(key, serial, body)
        except Exception as error:  # noqa: BLE001  # as in _frame
            self.send(self.error_reply(*key, serial, error))
        finally:
            self._ran(key, place, began)

    def _runs(self) -> None:
        """A call that has to wait for something has come."""
        self._running += 1
        if self._running >= self._most:
            self.hold_reading(_CALLS)

    def _ran(self, key: tuple[int, int, int], place: bool | None, began: float) -> None:
        """It has ended.

        :param place: the worker that it had; None where it got none.
        :param began: monotonic time.
        """
        self._running -= 1
        if self._running < self._most:
            self.release_reading(_CALLS)
        if place is not None:
            self.server.workers.release(place)
            taken = (time.monotonic() - began) * 1000
            if 0 < self.server.settings.slow_call_log <= taken:
                log.warning("client %d: %s took %d ms", self.id, _name(key), taken)

    def _reply(self, key: tuple[int, int, int], serial: int, body: bytes) -> None:
        self.send(reply(key, serial, body))

    def _reply_with_files(
        self, call: ServerCall, key: tuple[int, int, int], serial: int, value: Any, wire: tuple[Any, ...]
    ) -> None:
        """Send a reply with the descriptors that a driver made, which are closed then."""
        assert call.files is not None
        files = call.files(value)
        try:
            body = b"" if call.encode is None or call.result is None else call.encode(call.result(value, wire))
            message = with_files(*key, REPLY_WITH_FDS, serial, len(files), body) if files else reply(key, serial, body)
        except BaseException:
            close_all(files)
            raise
        if self._transport is None or self.passing is None:
            close_all(files)
            return
        self.passing.attach(files, self._transport.get_write_buffer_size() + len(message))
        self.send(message + bytes(len(files)))

    def stream_ended(self, stream: ServerStream) -> None:
        """A stream ended: its packets are no longer let through."""
        if self._streams.get(stream.key) is stream:  # not one that has come in its place
            del self._streams[stream.key]


async def _encode_ahead(encode: Callable[[Any], bytes], rows: Sequence[Any]) -> None:
    """Encode the parameters of many rows, which stay so, with others having their turn between."""
    until = time.monotonic() + _SLICE
    for row in rows:
        if row.params.sealed and row.params.wire is None:
            encode(row)
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE


@functools.cache
def _row(key: tuple[int, int, int]) -> Procedure | None:
    for owner in ("remote", "qemu", "lxc", "admin"):
        if program(owner).number == key[0]:
            return program(owner).by_number(key[2])
    return None


def _is_quick(key: tuple[int, int, int]) -> bool:
    row = _row(key)
    return row is not None and row.priority == "high"


def _name(key: tuple[int, int, int]) -> str:
    row = _row(key)
    return str(key) if row is None else f"{row.program}.{row.name}"
