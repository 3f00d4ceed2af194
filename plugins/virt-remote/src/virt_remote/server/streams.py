"""The serving end of a stream: packets to and from a driver's byte stream, with flow control both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    asks_for_holes,
    hole,
    hole_length,
    pack,
)
from virt_remote.server.replies import error_reply_body
from virtcore.errors import RPC, ErrorDomain
from virtcore.operations.stream import SparseStream

if TYPE_CHECKING:
    from virt_remote.server.client import Client
    from virtcore.operations.procedures import Procedure
    from virtcore.operations.stream import ByteStream

__all__ = ["ServerStream"]

#: Bytes of a stream that may wait for a slow receiver before the client's socket is no longer read.
WINDOW = 4 * STREAM_CHUNK


class ServerStream:
    """One open stream of a client.

    :param row: the procedure that opened it: whether anything is sent to the client, and whether holes are.
    :param arguments: what it was called with.
    """

    def __init__(
        self,
        client: Client,
        key: tuple[int, int, int, int],
        stream: ByteStream,
        row: Procedure,
        arguments: Sequence[Any],
    ) -> None:
        self._client = client
        #: Program, version, procedure and serial of the call that opened it.
        self.key = key
        self._stream = stream
        self._incoming: deque[Message] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self._holed = stream if asks_for_holes(row, arguments) and isinstance(stream, SparseStream) else None
        self._reader = asyncio.create_task(self._read()) if row.stream == "read" else None
        self._writer = asyncio.create_task(self._write())

    def packet(self, message: Message) -> None:
        """Take a packet from the client."""
        if self._ended:
            return  # late packets are dropped
        self._incoming.append(message)
        self._waiting += len(message.data)
        if self._waiting > WINDOW:
            self._client.hold_reading(self)
        self._arrived.set()

    async def _read(self) -> None:
        """Carry the stream's bytes to the client, as fast as it takes them."""
        try:
            while True:
                part = await (self._stream.read if self._holed is None else self._holed.read_sparse)(STREAM_CHUNK)
                await self._client.writable()
                if isinstance(part, int):
                    self._send(CONTINUE, hole(part), STREAM_HOLE)
                    continue
                self._send(CONTINUE, part)
                if not part:
                    return  # the end of data; the client answers with finish
        except Exception as error:  # noqa: BLE001  # whatever it is ends the stream and is the client's to know
            await self._fail(error)

    async def _write(self) -> None:
        """Carry the client's packets to the stream, in order."""
        try:
            while True:
                while not self._incoming:
                    self._arrived.clear()
                    await self._arrived.wait()
                message = self._incoming.popleft()
                self._waiting -= len(message.data)
                if self._waiting <= WINDOW:
                    self._client.release_reading(self)
                if message.type != STREAM:
                    await self._take_hole(message)
                    continue
                if message.status == CONTINUE:
                    if len(message.data) > BODY:
                        await self._stream.write(message.data[BODY:])
                    continue
                self._stop_reading()
                if message.status == OK:
                    await self._stream.finish()
                else:
                    await self._stream.abort()
                    if message.status != ERROR:
                        raise RPC(f"stream aborted with unexpected status {message.status}", domain=ErrorDomain.RPC)
                self._leave()
                self._send(OK, b"")
                return
        except Exception as error:  # noqa: BLE001  # as above
            await self._fail(error)

    async def _take_hole(self, message: Message) -> None:
        if self._holed is None:
            raise RPC("the stream takes no holes", domain=ErrorDomain.RPC)
        try:
            length = hole_length(message.data)
        except ProtocolError as error:
            raise RPC(str(error), domain=ErrorDomain.RPC) from None
        await self._holed.write_hole(length)

    def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    async def _fail(self, error: Exception) -> None:
        if self._ended:
            return
        self._leave()
        for task in (self._reader, self._writer):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._send(ERROR, error_reply_body(error))
        await self._stream.abort()

    def _leave(self) -> None:
        self._ended = True
        self._client.release_reading(self)
        self._client.stream_ended(self)

    def _send(self, status: int, body: bytes, kind: int = STREAM) -> None:
        program, version, procedure, serial = self.key
        self._client.send(pack(program, version, procedure, kind, serial, status, body))

    async def close(self) -> None:
        """The client is gone."""
        self._ended = True
        self._stop_reading()
        self._writer.cancel()
        await self._stream.abort()
