"""Streams to consoles: pseudo terminals and Unix sockets."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import termios
import tty
from collections.abc import Callable

from virt_qemu.resources import connect_socket
from virtcore.errors import OperationFailed, SystemError

__all__ = ["ConsoleStream", "open_socket", "open_terminal"]

_CHUNK = 65536


class ConsoleStream:
    """Bytes to and from a descriptor of the host; a :class:`virtcore.operations.stream.ByteStream`.

    :param descriptor: opened non-blocking; closed with the stream.
    :param on_close: called once when it is closed.
    """

    def __init__(self, descriptor: int, on_close: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_close: Callable[[], None] | None = on_close
        self._loop = asyncio.get_running_loop()
        self._aborted = False
        self._waiting: set[asyncio.Future[None]] = set()

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end.

        :raises OperationFailed: the stream was aborted.
        """
        while True:
            if self._descriptor < 0:
                return self._ended()
            try:
                return os.read(self._descriptor, min(size, _CHUNK))
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except OSError as error:
                if error.errno == errno.EIO:  # the other end of the terminal was closed: the guest has ended
                    return b""
                raise SystemError(f"cannot read from console: {error.strerror}") from None

    async def write(self, data: bytes) -> None:
        """Take all of ``data``.

        :raises VirtError: the stream was aborted, or the guest has ended.
        """
        view = memoryview(data)
        while view:
            if self._descriptor < 0:
                self._ended()
                raise OperationFailed("stream is closed")
            try:
                view = view[os.write(self._descriptor, view[:_CHUNK]) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError as error:
                raise SystemError(f"cannot write to console: {error.strerror}") from None

    async def finish(self) -> None:
        """End it; what was written has been taken by the host."""
        self._close()

    async def abort(self) -> None:
        """End it at once."""
        self._aborted = True
        self._close()

    def _ended(self) -> bytes:
        if self._aborted:
            raise OperationFailed("stream was aborted")
        return b""

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor < 0:
            return
        self._loop.remove_reader(descriptor)
        self._loop.remove_writer(descriptor)
        os.close(descriptor)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    async def _ready(self, watch: Callable[[int, Callable[[], None]], None], unwatch: Callable[[int], bool]) -> None:
        """Wait until the descriptor can be used, or the stream is closed."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        descriptor = self._descriptor

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        watch(descriptor, wake)
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
            if self._descriptor == descriptor:
                unwatch(descriptor)


def open_terminal(path: str, on_close: Callable[[], None]) -> ConsoleStream:
    """Connect to a pseudo terminal, as it is: no echo, no line editing.

    :raises SystemError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            tty.setraw(descriptor)
        except (OSError, termios.error):
            pass  # no terminal after all, such as a device node
    except OSError as error:
        raise SystemError(f"Unable to open stream for '{path}': {error.strerror}") from None
    return ConsoleStream(descriptor, on_close)


def open_socket(path: str, on_close: Callable[[], None]) -> ConsoleStream:
    """Connect to a Unix socket that QEMU listens on.

    :raises SystemError: it cannot be reached.
    """
    try:
        connected: socket.socket = connect_socket(path)
    except OSError as error:
        raise SystemError(f"Unable to connect to server at '{path}': {error.strerror}") from None
    return ConsoleStream(connected.detach(), on_close)
