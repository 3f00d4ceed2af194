"""The console of a guest that does not exist: it echoes."""

from __future__ import annotations

import asyncio

from virtcore.errors import InternalError

__all__ = ["EchoStream"]

_LIMIT = 64 << 10


class EchoStream:
    """A :class:`~virtcore.operations.stream.ByteStream` that gives back what was written.

    A writer waits while more than 64 KiB are unread.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = asyncio.Condition()
        self._ended = False
        self._aborted = False

    async def read(self, size: int) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._data or self._ended or self._aborted)
            self._check()
            data = bytes(self._data[:size])
            del self._data[:size]
            self._changed.notify_all()
            return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            async with self._changed:
                await self._changed.wait_for(lambda: len(self._data) < _LIMIT or self._ended or self._aborted)
                self._check()
                if self._ended:
                    raise InternalError("the stream was finished")
                part = view[: _LIMIT - len(self._data)]
                self._data += part
                view = view[len(part) :]
                self._changed.notify_all()

    async def finish(self) -> None:
        async with self._changed:
            self._check()
            self._ended = True
            self._changed.notify_all()

    async def abort(self) -> None:
        async with self._changed:
            self._aborted = True
            self._data.clear()
            self._changed.notify_all()

    def _check(self) -> None:
        if self._aborted:
            raise InternalError("the stream was aborted")
