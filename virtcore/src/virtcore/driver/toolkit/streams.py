"""Streams over what a driver has already."""

from __future__ import annotations

from virtcore.errors import InternalError

__all__ = ["Content"]


class Content:
    """A :class:`~virtcore.operations.stream.ByteStream` that gives bytes which are there, once.

    :param data: what is read from it.
    """

    def __init__(self, data: bytes) -> None:
        self._data: memoryview | None = memoryview(data)

    async def read(self, size: int) -> bytes:
        data = self._left()
        self._data = data[size:]
        return bytes(data[:size])

    async def write(self, data: bytes) -> None:
        raise InternalError("the stream is for reading only")

    async def finish(self) -> None:
        self._left()

    async def abort(self) -> None:
        self._data = None

    def _left(self) -> memoryview:
        if self._data is None:
            raise InternalError("the stream was aborted")
        return self._data
