"""The client's connection in the core loop: calls, streams and events over a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from virt_remote.client.link import Link, ReplyWithFiles
from virt_remote.client.steps import remote_error
from virt_remote.client.streams import ClientStream, SparseClientStream
from virt_remote.descriptors import close_all
from virt_remote.flow import FlowControl
from virt_remote.keepalive import Keepalive
from virt_remote.protocol import (
    ERROR,
    EVENT,
    KEEPALIVE_PROGRAM,
    REPLY_WITH_FDS,
    STREAM,
    ClientState,
    Message,
    ProtocolError,
    Received,
    asks_for_holes,
)
from virtcore._typing import Protocol, cast
from virtcore.enums.common import ConnectCloseReason
from virtcore.errors import RPC, ErrorDomain, InternalError, VirtError
from virtcore.operations.procedures import Procedure, program
from virtcore.operations.wire.codec import codec

__all__ = ["Wire"]

#: Seconds that the end of a connection waits for a daemon that does not read.
CLOSE_WAIT = 3.0


class Reply(Protocol):
    """Where a reply goes: a future, or what a thread waits for that made its call before the core loop took over."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: bytes, /) -> None:
        """The reply came."""

    def set_exception(self, exception: VirtError, /) -> None:
        """The call failed."""


#: What a call is registered with: where its reply goes, or its stream once that is open.
Token = Reply | ClientStream

#: Who wants to know that the connection was lost.
Lost = Callable[[ConnectCloseReason], None]


def _unheard(reason: ConnectCloseReason) -> None:
    """Nobody wants to know that the connection was lost."""


class Wire(FlowControl):
    """One socket to a daemon.

    :param on_event: called with the message of every event.
    :param on_lost: called when the connection is lost, with why.
    """

    def __init__(
        self,
        link: Link,
        on_event: Callable[[Message], None],
        on_lost: Lost = _unheard,
        state: ClientState[Token] | None = None,
    ) -> None:
        super().__init__()
        self._link = link
        self._on_event = on_event
        self._on_lost = on_lost
        self._state: ClientState[Token] = state if state is not None else ClientState()
        self._lost: VirtError | None = None
        self._closed = asyncio.Event()
        self.heard = True
        self._keepalive: Keepalive | None = None

    @classmethod
    async def adopt(
        cls,
        link: Link,
        on_event: Callable[[Message], None],
        on_lost: Lost = _unheard,
        state: ClientState[Token] | None = None,
    ) -> Wire:
        """Drive an open link in the running loop from now on.

        :param state: that of a conversation that has begun.
        """
        wire = cls(link, on_event, on_lost, state)
        link.socket.setblocking(False)
        sock = cast(socket.socket, link.socket)  # asyncio asks no more of one
        await asyncio.get_running_loop().create_connection(lambda: wire, sock=sock)
        return wire

    @property
    def alive(self) -> bool:
        """Whether the connection is there."""
        return self._transport is not None and self._lost is None

    # -- the socket

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._closed.set()
        self._link.closed()
        self.keep_alive(None)
        if self._lost is None:
            self._lost = self._link.end_of_file(exc if isinstance(exc, OSError) else None)
            self._on_lost(ConnectCloseReason.EOF if exc is None else ConnectCloseReason.ERROR)
        for token in self._state.tokens():
            self._fail(token, self._lost)

    @staticmethod
    def _fail(token: Token, error: VirtError) -> None:
        if isinstance(token, ClientStream):
            token.fail(error)
        elif not token.done():
            token.set_exception(error)

    # -- whether the daemon lives

    def keep_alive(self, keepalive: Keepalive | None) -> None:
        """Have the daemon watched from now on; with None no more."""
        if self._keepalive is not None:
            self._keepalive.remove(self)
        self._keepalive = keepalive
        if keepalive is not None:
            keepalive.add(self)

    def send(self, data: bytes) -> None:
        """Send a message."""
        if self._transport is not None:
            self._transport.write(self._link.wrap(data) if self._link.layers else data)

    def silent(self, seconds: float) -> None:
        """The daemon has not answered: the connection ends."""
        error = InternalError("connection closed due to keepalive timeout", domain=ErrorDomain.RPC)
        self._break(error, ConnectCloseReason.KEEPALIVE)

    # -- what comes

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._link.layers:
            try:
                data = self._link.unwrap(data)
            except RPC as error:
                self._break(error)
                return
        try:
            received = self._state.feed(data)
            for item in received:
                self._receive(item)
        except ProtocolError as error:
            self._break(RPC(str(error), domain=ErrorDomain.RPC))
            return
        outgoing = self._state.outgoing
        if outgoing:
            self.send(bytes(outgoing))
            outgoing.clear()

    def _break(self, error: VirtError, reason: ConnectCloseReason = ConnectCloseReason.ERROR) -> None:
        if self._lost is None:
            self._on_lost(reason)
        self._lost = error
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, item: Received[Token]) -> None:
        message, token = item
        if token is None:
            if message.type == REPLY_WITH_FDS:
                close_all(self._link.with_files(message.data).files)
            elif message.type == EVENT and message.program != KEEPALIVE_PROGRAM:
                self._on_event(message)
        elif isinstance(token, ClientStream):
            token.packet(message)
        elif not token.done():
            if message.status == ERROR:
                try:
                    token.set_exception(remote_error(message.data))
                except ProtocolError as error:
                    # The call is over, and nobody else knows of it any more; then the connection ends, too.
                    token.set_exception(RPC(str(error), domain=ErrorDomain.RPC))
                    raise
            elif message.type == REPLY_WITH_FDS:
                token.set_result(self._link.with_files(message.data))
            else:
                token.set_result(message.data)
        elif message.type == REPLY_WITH_FDS:
            close_all(self._link.with_files(message.data).files)

    # -- calls

    def start(self, row: Procedure, body: bytes) -> asyncio.Future[bytes]:
        """Send a call now; its reply (the whole message) comes with the future."""
        future, _ = self._start(row, body)
        return future

    def _start(self, row: Procedure, body: bytes, files: Sequence[int] = ()) -> tuple[asyncio.Future[bytes], int]:
        if self._transport is None or self._lost is not None:
            raise self._lost or InternalError("client socket is closed", domain=ErrorDomain.RPC)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        owner = program(row.program)
        try:
            serial, data = self._state.call(owner.number, owner.version, row.number, body, future, len(files))
        except ProtocolError as error:
            raise RPC(str(error), domain=ErrorDomain.RPC) from None
        if files:
            try:
                self._link.attach_files(files, self._transport.get_write_buffer_size() + len(data))
            except BaseException:
                self._state.forget(serial)
                raise
            data += bytes(len(files))
        self.send(data)
        return future, serial

    async def call(self, row: Procedure, body: bytes, files: Sequence[int] = ()) -> bytes:
        """Send a call and wait for its reply.

        :param files: descriptors to send with it; the caller's to close.
        :raises VirtError: what the daemon answers, or the connection ended.
        """
        future, serial = self._start(row, body, files)
        try:
            return await future
        except asyncio.CancelledError:
            self._state.forget(serial)
            if not future.cancelled() and future.done() and future.exception() is None:  # it came at the same moment
                reply = future.result()
                if isinstance(reply, ReplyWithFiles):
                    close_all(reply.files)
            raise

    async def open_stream(self, row: Procedure, body: bytes) -> tuple[bytes, ClientStream]:
        """Send a call that opens a stream; gives its reply and the stream."""
        arguments = codec(row.program, row.args).decode(body, 0)[0] if row.sparse and row.args is not None else ()
        stream = (SparseClientStream if asks_for_holes(row, arguments) else ClientStream)(self)
        future, serial = self._start(row, body)
        stream.opened(serial)
        self._state.open_stream(serial, program(row.program).number, row.number, stream)
        try:
            return await future, stream
        except BaseException:
            self._state.close_stream(serial)
            self._state.forget(serial)
            raise

    def send_stream(self, serial: int, status: int, data: bytes, kind: int = STREAM) -> None:
        """Send a packet of a stream.

        :raises VirtError: the connection ended.
        """
        if self._transport is None or self._lost is not None:
            raise self._lost or InternalError("client socket is closed", domain=ErrorDomain.RPC)
        self.send(self._state.stream_packet(serial, status, data, kind))

    def stream_ended(self, stream: ClientStream, serial: int) -> None:
        """What still comes for a stream is dropped."""
        self.release_reading(stream)
        self._state.close_stream(serial)

    async def close(self) -> None:
        """End the connection after what was sent, if the daemon takes it soon."""
        transport = self._transport
        if transport is None:
            return
        self._lost = InternalError("client socket is closed", domain=ErrorDomain.RPC)
        transport.close()
        try:
            async with asyncio.timeout(CLOSE_WAIT):
                await self._closed.wait()
        except TimeoutError:
            transport.abort()
            await self._closed.wait()
