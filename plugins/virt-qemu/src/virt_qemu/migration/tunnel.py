"""Guests that go through the connection between two hosts: QEMU writes into a pipe, and reads from one."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from virtcore.errors import OperationAborted, OperationFailed, SystemError, VirtError

if TYPE_CHECKING:
    from virtcore.operations.stream import ByteStream

__all__ = ["ReceivingTunnel", "SendingTunnel"]

_PIECE = 1 << 16


class _Pipe:
    """A pipe of which QEMU has one end."""

    def __init__(self) -> None:
        try:
            self.reading, self.writing = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            raise SystemError(f"cannot create pipe for tunnelled migration: {error.strerror}") from None

    def close_reading(self) -> None:
        reading, self.reading = self.reading, -1
        if reading != -1:
            os.close(reading)

    def close_writing(self) -> None:
        writing, self.writing = self.writing, -1
        if writing != -1:
            os.close(writing)


async def _readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)


class SendingTunnel:
    """From this host's QEMU into a stream to the other host.

    :param stream: what the destination has opened for it.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._pipe = _Pipe()
        os.set_blocking(self._pipe.reading, False)
        self._task: asyncio.Task[None] | None = None

    def descriptor(self) -> int:
        """QEMU's end of the pipe."""
        return self._pipe.writing

    def start(self) -> None:
        """QEMU has its end: carry on what it writes."""
        self._pipe.close_writing()
        self._task = asyncio.create_task(self._carry())

    async def _carry(self) -> None:
        try:
            while True:
                try:
                    data = os.read(self._pipe.reading, _PIECE)
                except BlockingIOError:
                    await _readable(self._pipe.reading)
                    continue
                if not data:
                    break
                await self._stream.write(data)
            await self._stream.finish()
        except BaseException:
            await self._stream.abort()
            raise
        finally:
            self._pipe.close_reading()  # QEMU learns that it need not go on

    async def check(self) -> None:
        """Look whether it is of use still.

        :raises VirtError: the other host takes no more.
        """
        if self._task is not None and self._task.done() and not self._task.cancelled():
            error = self._task.exception()
            if error is not None:
                raise error if isinstance(error, VirtError) else OperationFailed(f"migration tunnel failed: {error}")

    async def finish(self) -> None:
        """Wait until the other host has everything.

        :raises VirtError: it does not.
        """
        if self._task is not None:
            await self._task

    async def close(self) -> None:
        """End it, whatever was sent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        else:
            await self._stream.abort()
        self._pipe.close_reading()
        self._pipe.close_writing()


class ReceivingTunnel:
    """What the source's host writes into, a stream for operations that carry bytes; this host's QEMU reads it."""

    def __init__(self) -> None:
        self._pipe = _Pipe()
        os.set_blocking(self._pipe.writing, False)
        self._closed = False

    def descriptor(self) -> int:
        """QEMU's end of the pipe."""
        return self._pipe.reading

    def handed_over(self) -> None:
        """QEMU has its end."""
        self._pipe.close_reading()

    async def read(self, size: int) -> bytes:
        """Nothing comes back."""
        raise OperationAborted("this stream is for writing")

    async def write(self, data: bytes) -> None:
        """Take some of the guest.

        :raises OperationFailed: QEMU reads no more.
        """
        rest = memoryview(data)
        while rest:
            if self._closed:
                raise OperationAborted("the tunnel was closed")
            try:
                rest = rest[os.write(self._pipe.writing, rest) :]
            except BlockingIOError:
                await _writable(self._pipe.writing)
            except OSError as error:
                await self.abort()
                raise OperationFailed(f"cannot write to the incoming guest: {error.strerror}") from None

    async def finish(self) -> None:
        """The source has sent everything."""
        self._close()

    async def abort(self) -> None:
        """The source has given up."""
        self._close()

    def _close(self) -> None:
        self._closed = True
        self._pipe.close_writing()

    def close(self) -> None:
        """The guest will not come."""
        self._close()
        self._pipe.close_reading()
