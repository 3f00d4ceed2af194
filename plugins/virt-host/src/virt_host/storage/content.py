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
from collections.abc import Callable
from typing import Any, TypeVar

from virtcore.driver.toolkit.pool_backend import report_progress
from virtcore.errors import ErrorDomain, InternalError, OperationAborted, SystemError as SystemFailure
from virtcore.runtime.threads import in_thread

__all__ = ["FileStream", "Stop", "copy_content", "fill", "in_piece", "no_copy_on_write", "wipe"]

T = TypeVar("T")

_DOMAIN = ErrorDomain.STORAGE
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
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


def _refused(what: str, error: OSError) -> SystemFailure:
    return SystemFailure(f"{what}: {os.strerror(error.errno or 0)}", domain=_DOMAIN)


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
    try:
        os.ftruncate(descriptor, capacity)
    except OSError as error:
        raise _refused(f"cannot extend file '{path}'", error) from error
    if wanted:
        try:
            os.posix_fallocate(descriptor, 0, allocation)
        except OSError as error:
            raise _refused(f"cannot allocate {allocation} bytes in file '{path}'", error) from error
    if source is not None:
        copy_content(source, descriptor, path, source_capacity, stop, sparse=True, clone=clone)
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise _refused(f"cannot sync data to file '{path}'", error) from error


def copy_content(
    source: str, descriptor: int, path: str, total: int, stop: Stop, *, sparse: bool, clone: bool = False
) -> None:
    """Copy the beginning of a file or device into an open one.

    :param path: the open one's.
    :param total: most bytes that are copied.
    :param sparse: what is written to reads as zeros where nothing was written: zeros are left out.
    :raises SystemError: one cannot be read, or the other not written.
    """
    try:
        origin = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(f"could not open input path '{source}'", error) from error
    try:
        if clone:
            try:
                fcntl.ioctl(descriptor, _FICLONE, origin)
            except OSError as error:
                raise _refused(f"failed to clone files from '{source}'", error) from error
            return
        size = max(os.fstat(descriptor).st_blksize, _LEAST_BLOCK)
        done = 0
        while done < total:
            stop.check()
            if sparse:
                done = min(_next_data(origin, done, total), total)
            try:
                data = os.pread(origin, min(_PIECE, total - done), done)
            except OSError as error:
                raise _refused(f"failed reading from file '{source}'", error) from error
            if not data:
                break
            try:
                for at, part in _parts(data, size) if sparse else ((0, data),):
                    _write_all(descriptor, part, done + at)
            except OSError as error:
                raise _refused(f"failed writing to file '{path}'", error) from error
            done += len(data)
            report_progress(done, total)
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            raise _refused(f"cannot sync data to file '{path}'", error) from error
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
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(f"Failed to open storage volume with path '{path}'", error) from error
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_blocks < found.st_size // _SECTOR:
            for size in (0, found.st_size):
                try:
                    os.ftruncate(descriptor, size)
                except OSError as error:
                    raise _refused(f"Failed to truncate volume with path '{path}' to {size} bytes", error) from error
            return
        begin = max(os.lseek(descriptor, 0, os.SEEK_END) - allocation, 0) if end else 0
        nothing = bytes(_PIECE)
        done = 0
        while done < allocation:
            stop.check()
            piece = nothing[: min(_PIECE, allocation - done)]
            try:
                _write_all(descriptor, piece, begin + done)
            except OSError as error:
                what = f"Failed to write {len(piece)} bytes to storage volume with path '{path}'"
                raise _refused(what, error) from error
            done += len(piece)
            report_progress(done, allocation)
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            raise _refused(f"cannot sync data to volume with path '{path}'", error) from error
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------------------------------------ streams


class FileStream:
    """A :class:`~virtcore.operations.stream.SparseStream` from or into a file or device. Opened by :meth:`open`.

    :param end: how far it goes; None: as far as there is something.
    """

    def __init__(self, path: str, descriptor: int, offset: int, end: int | None, *, writes: bool, device: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._offset = offset
        self._end = end
        self._writes = writes
        self._device = device
        self._over = ""
        self._working = asyncio.Lock()

    @classmethod
    async def open(cls, path: str, offset: int, length: int, *, writes: bool) -> FileStream:
        """Open what is at a path.

        :param length: most bytes that are read or written; 0: all.
        :raises SystemError: it cannot be opened.
        """
        return await in_thread(cls._opened, path, offset, length, writes)

    @classmethod
    def _opened(cls, path: str, offset: int, length: int, writes: bool) -> FileStream:
        mode = os.O_WRONLY if writes else os.O_RDONLY
        try:
            descriptor = os.open(path, mode | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise _stream_failure(f"Unable to open stream for '{path}'", error) from error
        device = stat.S_ISBLK(os.fstat(descriptor).st_mode)
        return cls(path, descriptor, offset, offset + length if length else None, writes=writes, device=device)

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
            try:
                return await in_thread(work)
            except OSError as error:
                raise _stream_failure(what, error) from error

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
        if self._over:
            return
        self._over = how
        async with self._working:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)


def _stream_failure(what: str, error: OSError) -> SystemFailure:
    return SystemFailure(f"{what}: {os.strerror(error.errno or 0)}", domain=ErrorDomain.STREAMS)
