"""The serving end of a stream: packets to and from a driver's byte stream, with flow control both ways."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from virt_remote.protocol import BODY, CONTINUE, ERROR, OK, STREAM, STREAM_CHUNK, Message, pack
from virt_remote.server.replies import error_reply_body
from virtcore.errors import RPC, ErrorDomain

if TYPE_CHECKING:
    from virt_remote.server.client import Client
    from virtcore.operations.stream import ByteStream

__all__ = ["ServerStream"]

#: Bytes of a stream that may wait for a slow receiver before the client's socket is no longer read.
WINDOW = 4 * STREAM_CHUNK


class ServerStream:
    """One open stream of a client."""

    def __init__(self, client: Client, key: tuple[int, int, int, int], stream: ByteStream) -> None:
        self._client = client
        #: Program, version, procedure and serial of the call that opened it.
        self.key = key
        self._stream = stream
        self._incoming: deque[Message] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._ended = False
        self._reader = asyncio.create_task(self._read())
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
                data = await self._stream.read(STREAM_CHUNK)
                await self._client.writable()
                self._send(CONTINUE, data)
                if not data:
                    return  # the end of data; the client answers with finish
        except asyncio.CancelledError:
            raise
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
                    raise RPC("the stream takes no holes", domain=ErrorDomain.RPC)
                if message.status == CONTINUE:
                    if len(message.data) > BODY:
                        await self._stream.write(message.data[BODY:])
                    continue
                self._reader.cancel()
                if message.status == OK:
                    await self._stream.finish()
                else:
                    await self._stream.abort()
                    if message.status != ERROR:
                        raise RPC(f"stream aborted with unexpected status {message.status}", domain=ErrorDomain.RPC)
                self._leave()
                self._send(OK, b"")
                return
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # as above
            await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        if self._ended:
            return
        self._leave()
        for task in (self._reader, self._writer):
            if task is not asyncio.current_task():
                task.cancel()
        self._send(ERROR, error_reply_body(error))
        await self._stream.abort()

    def _leave(self) -> None:
        self._ended = True
        self._client.release_reading(self)
        self._client.stream_ended(self)

    def _send(self, status: int, body: bytes) -> None:
        program, version, procedure, serial = self.key
        self._client.send(pack(program, version, procedure, STREAM, serial, status, body))

    async def close(self) -> None:
        """The client is gone."""
        self._ended = True
        self._reader.cancel()
        self._writer.cancel()
        await self._stream.abort()
