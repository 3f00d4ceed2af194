"""The bytes of volumes that the host has as files and devices: made, copied, wiped, read and written.

Functions here block; :func:`in_piece` runs one in a thread, where it can be ended between two pieces of its work.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import stat
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from virtcore.driver.toolkit.pool_backend import report_progress
from virtcore.errors import ErrorDomain, InternalError, OperationAborted, SystemError as SystemFailure
from virtcore.runtime.threads import in_thread

__all__ = ["FileStream", "Stop", "copy_content", "fill", "in_piece", "no_copy_on_write", "refusing", "wipe"]

T = TypeVar("T")

#: Bytes that are read at once.
_PIECE = 1 << 20
_LEAST_BLOCK = 4096
_SECTOR = 512
_FICLONE = 0x40049409
_FS_IOC_GETFLAGS, _FS_IOC_SETFLAGS = 0x80086601, 0x40086602
_FS_NOCOW_FL = 0x00800000


class Stop:
    """Asks work in a thread to end."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """From now on, :meth:`check` raises."""
        self._event.set()

    def check(self) -> None:
        """To be called between two pieces of the work.

        :raises OperationAborted: nobody wants it any more.
        """
        if self._event.is_set():
            raise OperationAborted("the work on the volume was aborted")


async def in_piece(work: Callable[[Stop], T]) -> T:
    """Run work in a thread. Cancelling it ends the work, and waits until it has ended."""
    stop = Stop()
    task = asyncio.ensure_future(in_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        while not task.done():
            with suppress(asyncio.CancelledError):  # once more, which says nothing new
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


@contextmanager
def refusing(what: str, domain: ErrorDomain = ErrorDomain.STORAGE) -> Iterator[None]:
    """What the host refuses meanwhile is an error of ours.

    :param what: what is not done then.
    :raises SystemError: the host refused something.
    """
    try:
        yield
    except OSError as error:
        raise SystemFailure(f"{what}: {error.strerror}", domain=domain) from error


# ------------------------------------------------------------------------------------------------------------- making


def no_copy_on_write(descriptor: int) -> None:
    """Ask a btrfs to keep the blocks of an empty file in place. What it says does not matter."""
    try:
        flags = struct.unpack("l", fcntl.ioctl(descriptor, _FS_IOC_GETFLAGS, struct.pack("l", 0)))[0]
        fcntl.ioctl(descriptor, _FS_IOC_SETFLAGS, struct.pack("l", flags | _FS_NOCOW_FL))
    except OSError as error:
        logging.getLogger("virtcore").warning("Failed to set NOCOW flag: %s", error.strerror)


def fill(
    descriptor: int,
    path: str,
    capacity: int,
    allocation: int,
    stop: Stop,
    source: str | None = None,
    source_capacity: int = 0,
    *,
    clone: bool = False,
) -> None:
    """Give a new file its size, its blocks and its content.

    :param allocation: bytes that are to have blocks from the start.
    :param source: path of what is copied into it.
    :param clone: its blocks are shared (``VIR_STORAGE_VOL_CREATE_REFLINK``).
    :raises SystemError: the disk is full, ...
    """
    # Fewer blocks than the source has room for: zeros of the copy take none.
    wanted = allocation > 0 and not (source is not None and allocation < source_capacity)
    with refusing(f"cannot extend file '{path}'"):
        os.ftruncate(descriptor, capacity)
    if wanted:
        with refusing(f"cannot allocate {allocation} bytes in file '{path}'"):
            os.posix_fallocate(descriptor, 0, allocation)
    if source is not None:
        copy_content(source, descriptor, path, source_capacity, stop, sparse=True, clone=clone)
    with refusing(f"cannot sync data to file '{path}'"):
        os.fsync(descriptor)


def copy_content(
    source: str, descriptor: int, path: str, total: int, stop: Stop, *, sparse: bool, clone: bool = False
) -> None:
    """Copy the beginning of a file or device into an open one.

    :param path: the open one's.
    :param total: most bytes that are copied.
    :param sparse: what is written to reads as zeros where nothing was written: zeros are left out.
    :raises SystemError: one cannot be read, or the other not written.
    """
    with refusing(f"could not open input path '{source}'"):
        origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if clone:
            with refusing(f"failed to clone files from '{source}'"):
                fcntl.ioctl(descriptor, _FICLONE, origin)
            return
        size = max(os.fstat(descriptor).st_blksize, _LEAST_BLOCK)
        done = 0
        while done < total:
            stop.check()
            if sparse:
                done = min(_next_data(origin, done, total), total)
            with refusing(f"failed reading from file '{source}'"):
                data = os.pread(origin, min(_PIECE, total - done), done)
            if not data:
                break
            with refusing(f"failed writing to file '{path}'"):
                for at, part in _parts(data, size) if sparse else ((0, data),):
                    _write_all(descriptor, part, done + at)
            done += len(data)
            report_progress(done, total)
        with refusing(f"cannot sync data to file '{path}'"):
            os.fdatasync(descriptor)
    finally:
        os.close(origin)


def _parts(data: bytes, size: int) -> Any:
    """The blocks of some bytes that are not all zeros."""
    nothing = bytes(size)
    for at in range(0, len(data), size):
        part = data[at : at + size]
        if part != nothing[: len(part)]:
            yield at, part


def _next_data(descriptor: int, offset: int, end: int) -> int:
    """Where the next bytes are that somebody wrote."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        return end if error.errno == errno.ENXIO else offset  # devices have no holes


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


# ------------------------------------------------------------------------------------------------------------- wiping


def wipe(path: str, allocation: int, stop: Stop, *, end: bool = False) -> None:
    """Overwrite with zeros: a sparse file by taking its blocks away, else what is allocated.

    :param end: the end of a device instead of all of it (as libvirt empties the tables at both ends).
    :raises SystemError: it cannot be written.
    """
    with refusing(f"Failed to open storage volume with path '{path}'"):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_blocks < found.st_size // _SECTOR:
            for size in (0, found.st_size):
                with refusing(f"Failed to truncate volume with path '{path}' to {size} bytes"):
                    os.ftruncate(descriptor, size)
            return
        begin = max(os.lseek(descriptor, 0, os.SEEK_END) - allocation, 0) if end else 0
        nothing = bytes(_PIECE)
        done = 0
        while done < allocation:
            stop.check()
            piece = nothing[: min(_PIECE, allocation - done)]
            with refusing(f"Failed to write {len(piece)} bytes to storage volume with path '{path}'"):
                _write_all(descriptor, piece, begin + done)
            done += len(piece)
            report_progress(done, allocation)
        with refusing(f"cannot sync data to volume with path '{path}'"):
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------------ streams


class FileStream:
    """A :class:`~virtcore.operations.stream.SparseStream` from or into a file or device. Opened by :meth:`open`.

    :param length: most bytes that are read or written; 0: all.
    """

    def __init__(self, path: str, offset: int, length: int, *, writes: bool) -> None:
        self._path = path
        self._descriptor = -1
        self._offset = offset
        self._end = offset + length if length else None
        self._writes = writes
        self._device = False
        self._over = ""
        self._working = asyncio.Lock()

    @classmethod
    async def open(cls, path: str, offset: int, length: int, *, writes: bool) -> FileStream:
        """Open what is at a path.

        :param length: most bytes that are read or written; 0: all.
        :raises SystemError: it cannot be opened.
        """
        stream = cls(path, offset, length, writes=writes)
        try:
            with refusing(f"Unable to open stream for '{path}'", ErrorDomain.STREAMS):
                await in_piece(lambda stop: stream._open())
        except BaseException:
            await stream.abort()  # it may have been opened before nobody wanted it any more
            raise
        return stream

    def _open(self) -> None:
        mode = os.O_WRONLY if self._writes else os.O_RDONLY
        self._descriptor = os.open(self._path, mode | os.O_CLOEXEC | os.O_NOCTTY)
        self._device = stat.S_ISBLK(os.fstat(self._descriptor).st_mode)

    def _check(self, writes: bool) -> None:
        if self._over:
            raise InternalError(f"the stream was {self._over}")
        if self._writes is not writes:
            raise InternalError("the stream is only read" if writes else "the stream is only written")

    def _room(self, size: int) -> int:
        return size if self._end is None else min(size, max(self._end - self._offset, 0))

    async def _work(self, what: str, work: Callable[[], T]) -> T:
        async with self._working:
            if self._over == "aborted":
                raise InternalError("the stream was aborted")
            with refusing(what, ErrorDomain.STREAMS):
                # Whoever gives up meanwhile is told so when the thread has let go of the descriptor.
                return await in_piece(lambda stop: work())

    async def read(self, size: int) -> bytes:
        self._check(writes=False)
        data = await self._work(
            f"Unable to read {self._path}",
            lambda: os.pread(self._descriptor, self._room(min(size, _PIECE)), self._offset),
        )
        self._offset += len(data)
        return data

    async def write(self, data: bytes) -> None:
        self._check(writes=True)
        if self._room(len(data)) < len(data):
            raise SystemFailure(f"cannot write to stream: {os.strerror(errno.ENOSPC)}")
        await self._work(f"Unable to write {self._path}", lambda: _write_all(self._descriptor, data, self._offset))
        self._offset += len(data)

    async def read_sparse(self, size: int) -> bytes | int:
        self._check(writes=False)
        data, hole = await self._work(f"Unable to read {self._path}", lambda: self._section(size))
        self._offset += hole or len(data)
        return hole or data

    def _section(self, size: int) -> tuple[bytes, int]:
        """The next bytes; or no bytes, and the length of the hole that comes next."""
        if self._device:
            return os.pread(self._descriptor, self._room(min(size, _PIECE)), self._offset), 0
        length = os.fstat(self._descriptor).st_size
        end = length if self._end is None else min(self._end, length)
        if self._offset >= end:
            return b"", 0
        begin = min(_next_data(self._descriptor, self._offset, end), end)
        if begin > self._offset:
            return b"", begin - self._offset
        try:
            hole = os.lseek(self._descriptor, self._offset, os.SEEK_HOLE)
        except OSError:
            hole = end
        return os.pread(self._descriptor, min(size, _PIECE, end - self._offset, hole - self._offset), self._offset), 0

    async def write_hole(self, length: int) -> None:
        self._check(writes=True)
        if self._room(length) < length:
            raise SystemFailure(f"cannot write to stream: {os.strerror(errno.ENOSPC)}")
        await self._work("unable to write hole", lambda: self._clear(length))
        self._offset += length

    def _clear(self, length: int) -> None:
        """Make the next bytes zeros, without blocks where the file system can."""
        if not self._device:
            before = os.fstat(self._descriptor).st_size
            # What was there goes; what was not is a hole.
            os.ftruncate(self._descriptor, self._offset) if self._offset + length >= before else self._zero(length)
            os.ftruncate(self._descriptor, max(before, self._offset + length))
        else:
            self._zero(length)

    def _zero(self, length: int) -> None:
        nothing = bytes(min(length, _PIECE))
        for at in range(0, length, _PIECE):
            _write_all(self._descriptor, nothing[: min(_PIECE, length - at)], self._offset + at)

    async def finish(self) -> None:
        if self._over == "aborted":
            raise InternalError("the stream was aborted")
        await self._close("finished")

    async def abort(self) -> None:
        await self._close("aborted")

    async def _close(self, how: str) -> None:
        self._over = self._over or how
        async with self._working:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                # A file on a server is written to it only now.
                with refusing(f"Unable to close {self._path}", ErrorDomain.STREAMS):
                    await in_piece(lambda stop: os.close(descriptor))
