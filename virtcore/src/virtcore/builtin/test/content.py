"""What is in a volume that does not exist: bytes in memory, where somebody wrote any, zeros elsewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from virtcore.errors import InternalError, SystemError

__all__ = ["BLOCK", "Content", "ContentStream"]

#: Bytes that are stored together.
BLOCK = 64 << 10
#: Bytes that are read at once.
_LIMIT = 1 << 20


class Content:
    """The bytes of a volume; blocks that hold only zeros take no memory."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    @property
    def stored(self) -> int:
        """Bytes of the blocks that were written."""
        return len(self._blocks) * BLOCK

    def _parts(self, offset: int, length: int) -> Iterator[tuple[int, int, int]]:
        """Number, begin and end of each block's part of a range."""
        while length > 0:
            number, begin = divmod(offset, BLOCK)
            size = min(BLOCK - begin, length)
            yield number, begin, begin + size
            offset += size
            length -= size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of a range."""
        found = bytearray()
        for number, begin, end in self._parts(offset, length):
            block = self._blocks.get(number)
            found += bytes(end - begin) if block is None else block[begin:end]
        return bytes(found)

    def write(self, offset: int, data: bytes) -> None:
        """Put bytes into a range."""
        done = 0
        for number, begin, end in self._parts(offset, len(data)):
            part = data[done : done + end - begin]
            done += len(part)
            block = self._blocks.get(number)
            if block is None:
                if not any(part):
                    continue
                block = self._blocks[number] = bytearray(BLOCK)
            block[begin:end] = part

    def clear(self, offset: int, length: int) -> None:
        """Make a range zeros."""
        for number in sorted(self._blocks):
            begin = max(offset - number * BLOCK, 0)
            end = min(offset + length - number * BLOCK, BLOCK)
            if (begin, end) == (0, BLOCK):
                del self._blocks[number]
            elif begin < end:
                self._blocks[number][begin:end] = bytes(end - begin)

    def hole(self, offset: int, limit: int) -> int:
        """How many bytes from an offset on are of blocks nobody wrote, at most ``limit``."""
        following = min((number * BLOCK for number in self._blocks if (number + 1) * BLOCK > offset), default=None)
        return limit if following is None else min(max(following - offset, 0), limit)

    def blocks(self) -> list[int]:
        """Offsets of the blocks that were written."""
        return [number * BLOCK for number in sorted(self._blocks)]


class ContentStream:
    """A :class:`~virtcore.operations.stream.SparseStream` from or into a range of a content.

    :param writes: it is written.
    """

    def __init__(self, content: Content, begin: int, end: int, *, writes: bool) -> None:
        self._content = content
        self._offset = begin
        self._end = end
        self._writes = writes
        self._over = ""

    def _check(self, writes: bool) -> None:
        if self._over:
            raise InternalError(f"the stream was {self._over}")
        if self._writes is not writes:
            raise InternalError("the stream is only read" if writes else "the stream is only written")

    @property
    def _left(self) -> int:
        return max(self._end - self._offset, 0)

    async def read(self, size: int) -> bytes:
        self._check(writes=False)
        data = self._content.read(self._offset, min(size, self._left, _LIMIT))
        self._offset += len(data)
        return data

    async def write(self, data: bytes) -> None:
        self._check(writes=True)
        self._room(len(data))
        self._content.write(self._offset, data)
        self._offset += len(data)

    async def read_sparse(self, size: int) -> bytes | int:
        self._check(writes=False)
        hole = self._content.hole(self._offset, self._left)
        if hole:
            self._offset += hole
            return hole
        return await self.read(min(size, BLOCK - self._offset % BLOCK))

    async def write_hole(self, length: int) -> None:
        self._check(writes=True)
        self._room(length)
        self._content.clear(self._offset, length)
        self._offset += length

    def _room(self, length: int) -> None:
        if length > self._left:
            raise SystemError(f"cannot write to stream: {os.strerror(errno.ENOSPC)}")

    async def finish(self) -> None:
        if self._over == "aborted":
            raise InternalError("the stream was aborted")
        self._over = "finished"

    async def abort(self) -> None:
        self._over = self._over or "aborted"
