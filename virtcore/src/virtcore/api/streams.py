"""Byte streams as users hold them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType

from virtcore._typing import TYPE_CHECKING, Self
from virtcore.errors import NoSupport
from virtcore.operations.stream import ByteStream, SparseStream
from virtcore.runtime.methods import Method, Style

if TYPE_CHECKING:
    from virtcore.api.base import ConnectionBase

__all__ = ["CHUNK", "AsyncStream", "Stream"]

CHUNK = 65536
"""Bytes that iteration asks for at a time."""


async def _read(stream: ByteStream, size: int) -> bytes:
    return await stream.read(size)


async def _write(stream: ByteStream, data: bytes) -> None:
    await stream.write(data)


async def _read_sparse(stream: ByteStream, size: int) -> bytes | int:
    return await (stream.read_sparse(size) if isinstance(stream, SparseStream) else stream.read(size))


async def _write_hole(stream: ByteStream, length: int) -> None:
    if not isinstance(stream, SparseStream):
        raise NoSupport("virStreamSendHole")
    await stream.write_hole(length)


async def _finish(stream: ByteStream) -> None:
    await stream.finish()


async def _abort(stream: ByteStream) -> None:
    await stream.abort()


_READ = Method("stream_read", False, Style.ASYNC, _read)
_WRITE = Method("stream_write", False, Style.ASYNC, _write)
_READ_SPARSE = Method("stream_read_sparse", False, Style.ASYNC, _read_sparse)
_WRITE_HOLE = Method("stream_write_hole", False, Style.ASYNC, _write_hole)
_FINISH = Method("stream_finish", True, Style.ASYNC, _finish)
_ABORT = Method("stream_abort", True, Style.ASYNC, _abort)


class Stream:
    """Bytes from and to a console, a volume, ... (``virStreamPtr``), for threads.

    One thread may read while another writes. A write that was interrupted or reached its deadline may have been taken
    in part: abort the stream then. Leaving its ``with`` block finishes it, or aborts it if an exception was raised.
    Iteration gives chunks until the end.
    """

    __slots__ = ("_connection", "_session", "_stream")

    def __init__(self, connection: ConnectionBase, stream: ByteStream) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        self._session = connection.session
        self._stream = stream

    def read(self, size: int = CHUNK, *, deadline: float | None = None) -> bytes:
        """Up to ``size`` bytes, as soon as there are any; empty at the end.

        :raises VirtError: the stream failed or was aborted.
        """
        data: bytes = self._session.run_here(_READ, (self._stream, size), deadline)
        return data

    def write(self, data: bytes, *, deadline: float | None = None) -> None:
        """Send all of ``data``, waiting while the receiver is slow.

        :raises VirtError: the stream failed or was aborted.
        """
        self._session.run_here(_WRITE, (self._stream, data), deadline)

    def read_sparse(self, size: int = CHUNK, *, deadline: float | None = None) -> bytes | int:
        """Up to ``size`` bytes, or the length of the hole that begins here (``virStreamRecvFlags``,
        ``virStreamRecvHole``); no bytes at the end. Only streams that were asked for with a ``SPARSE_STREAM`` flag have
        holes.

        :raises VirtError: the stream failed or was aborted.
        """
        found: bytes | int = self._session.run_here(_READ_SPARSE, (self._stream, size), deadline)
        return found

    def write_hole(self, length: int, *, deadline: float | None = None) -> None:
        """Go on after a hole of this many bytes (``virStreamSendHole``).

        :raises NoSupport: the stream was not asked for with a ``SPARSE_STREAM`` flag.
        :raises VirtError: the stream failed or was aborted.
        """
        self._session.run_here(_WRITE_HOLE, (self._stream, length), deadline)

    def finish(self, *, deadline: float | None = None) -> None:
        """End it regularly; returns when everything written was taken.

        :raises VirtError: the far side failed.
        """
        self._session.run_here(_FINISH, (self._stream,), deadline)

    def abort(self) -> None:
        """End it at once; may be called twice."""
        self._session.run_here(_ABORT, (self._stream,))

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(CHUNK):
            yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abort()


class AsyncStream:
    """Bytes from and to a console, a volume, ... (``virStreamPtr``), for coroutines; see :class:`Stream`."""

    __slots__ = ("_connection", "_session", "_stream")

    def __init__(self, connection: ConnectionBase, stream: ByteStream) -> None:
        self._connection = connection  # which is closed when nobody holds it any more
        self._session = connection.session
        self._stream = stream

    async def read(self, size: int = CHUNK, *, deadline: float | None = None) -> bytes:
        """Up to ``size`` bytes, as soon as there are any; empty at the end.

        :raises VirtError: the stream failed or was aborted.
        """
        data: bytes = await self._session.run_anywhere(_READ, (self._stream, size), deadline)
        return data

    async def write(self, data: bytes, *, deadline: float | None = None) -> None:
        """Send all of ``data``, waiting while the receiver is slow.

        :raises VirtError: the stream failed or was aborted.
        """
        await self._session.run_anywhere(_WRITE, (self._stream, data), deadline)

    async def read_sparse(self, size: int = CHUNK, *, deadline: float | None = None) -> bytes | int:
        """Up to ``size`` bytes, or the length of the hole that begins here (``virStreamRecvFlags``,
        ``virStreamRecvHole``); no bytes at the end. Only streams that were asked for with a ``SPARSE_STREAM`` flag have
        holes.

        :raises VirtError: the stream failed or was aborted.
        """
        found: bytes | int = await self._session.run_anywhere(_READ_SPARSE, (self._stream, size), deadline)
        return found

    async def write_hole(self, length: int, *, deadline: float | None = None) -> None:
        """Go on after a hole of this many bytes (``virStreamSendHole``).

        :raises NoSupport: the stream was not asked for with a ``SPARSE_STREAM`` flag.
        :raises VirtError: the stream failed or was aborted.
        """
        await self._session.run_anywhere(_WRITE_HOLE, (self._stream, length), deadline)

    async def finish(self, *, deadline: float | None = None) -> None:
        """End it regularly; returns when everything written was taken.

        :raises VirtError: the far side failed.
        """
        await self._session.run_anywhere(_FINISH, (self._stream,), deadline)

    async def abort(self) -> None:
        """End it at once; may be called twice."""
        await self._session.run_anywhere(_ABORT, (self._stream,))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while data := await self.read(CHUNK):
            yield data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.finish()
        else:
            await self.abort()
