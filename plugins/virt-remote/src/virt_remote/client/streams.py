"""The asking end of a stream."""

from __future__ import annotations

import asyncio
from collections import deque

from virt_remote.client.steps import remote_error
from virt_remote.protocol import (
    BODY,
    CONTINUE,
    ERROR,
    OK,
    STREAM,
    STREAM_CHUNK,
    STREAM_HOLE,
    Message,
    ProtocolError,
    hole,
    hole_length,
)
from virtcore._typing import TYPE_CHECKING
from virtcore.errors import RPC, ErrorDomain, OperationInvalid, VirtError

if TYPE_CHECKING:
    from virt_remote.client.wire import Wire

__all__ = ["ClientStream", "SparseClientStream"]

#: Bytes of a stream that may wait for a slow reader before the connection is no longer read.
WINDOW = 32 * STREAM_CHUNK


class ClientStream:
    """A stream that a call opened; a :class:`~virtcore.operations.stream.ByteStream`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._serial = -1
        #: What came and was not read: data, and the lengths of holes.
        self._received: deque[bytes | int] = deque()
        self._waiting = 0
        self._changed = asyncio.Event()
        self._end_of_data = False
        self._confirmed = False
        self._error: VirtError | None = None
        self._finished = False

    def opened(self, serial: int) -> None:
        """The call was sent under this serial."""
        self._serial = serial

    def packet(self, message: Message) -> None:
        """Take a packet from the daemon."""
        if message.status == ERROR:
            self.fail(remote_error(message.data))
            return
        if message.type != STREAM:
            self._hole(message)
            return
        if message.status == OK:
            self._confirmed = self._end_of_data = True
        elif len(message.data) > BODY:
            self._received.append(message.data[BODY:])
            self._waiting += len(message.data) - BODY
            if self._waiting > WINDOW:
                self._wire.hold_reading(self)
        else:
            self._end_of_data = True
        self._changed.set()

    def _hole(self, message: Message) -> None:
        self.fail(RPC("the daemon sent a hole that was not asked for", domain=ErrorDomain.RPC))

    def fail(self, error: VirtError) -> None:
        """The stream cannot go on."""
        if self._error is None:
            self._error = error
        self._wire.stream_ended(self, self._serial)
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end of data."""
        part = await self._next()
        if isinstance(part, int):
            if part > size:
                self._received.appendleft(part - size)
            return bytes(min(part, size))
        return self._piece(part, size)

    async def _next(self) -> bytes | int:
        """The next part that came, taken from the queue; no bytes at the end."""
        while not self._received:
            if self._error is not None:
                raise self._error
            if self._end_of_data or self._finished:
                return b""
            await self._change()
        return self._received.popleft()

    def _piece(self, data: bytes, size: int) -> bytes:
        """The beginning of a part; its rest goes back into the queue."""
        if len(data) > size:
            self._received.appendleft(data[size:])
            data = data[:size]
        self._waiting -= len(data)
        if self._waiting <= WINDOW:
            self._wire.release_reading(self)
        return data

    async def write(self, data: bytes) -> None:
        """Take all of ``data``, waiting while the daemon is slow."""
        for at in range(0, len(data), STREAM_CHUNK):
            self._check()
            await self._wire.writable()
            self._check()
            self._wire.send_stream(self._serial, CONTINUE, data[at : at + STREAM_CHUNK])

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._finished:
            raise OperationInvalid("the stream was ended", domain=ErrorDomain.STREAMS)

    async def finish(self) -> None:
        """End it regularly: returns when the daemon has taken everything."""
        self._check()
        self._finished = True
        self._received.clear()  # who finishes wants no more
        self._wire.release_reading(self)
        self._wire.send_stream(self._serial, OK, b"")
        while not self._confirmed and self._error is None:
            await self._change()
        self._wire.stream_ended(self, self._serial)
        if self._error is not None:
            raise self._error

    async def abort(self) -> None:
        """End it at once."""
        if self._finished or self._error is not None:
            return
        self._finished = True
        self._wire.send_stream(self._serial, ERROR, b"")
        self._wire.stream_ended(self, self._serial)
        self._changed.set()


class SparseClientStream(ClientStream):
    """A stream that carries holes; a :class:`~virtcore.operations.stream.SparseStream`."""

    def _hole(self, message: Message) -> None:
        try:
            length = hole_length(message.data)
        except ProtocolError as error:
            self.fail(RPC(str(error), domain=ErrorDomain.RPC))
            return
        self._received.append(length)
        self._changed.set()

    async def read_sparse(self, size: int) -> bytes | int:
        """Up to ``size`` bytes or the length of the next hole; empty at the end of data."""
        part = await self._next()
        return part if isinstance(part, int) else self._piece(part, size)

    async def write_hole(self, length: int) -> None:
        """Go on after a hole."""
        self._check()
        await self._wire.writable()
        self._check()
        self._wire.send_stream(self._serial, CONTINUE, hole(length), STREAM_HOLE)
