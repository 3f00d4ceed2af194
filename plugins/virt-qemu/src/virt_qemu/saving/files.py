"""Descriptors between QEMU's stream and a file: the file itself, a program that compresses, or a pump that does not go
through the host's cache.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from virt_qemu.programs import check_end
from virt_qemu.saving.image import SaveFormat
from virtcore.errors import OperationFailed, SystemError
from virtcore.runtime.launcher import Command, launcher
from virtcore.runtime.threads import in_thread

__all__ = ["find_compressor", "into_file", "out_of_file"]

_BLOCK = 1 << 20
"""Bytes that the pump moves at a time; a multiple of every device's block."""
_ALIGNMENT = 4096


def find_compressor(format: SaveFormat, style: str) -> str | None:
    """The path of the program that compresses a format; None where nothing is compressed.

    :param style: whose format it is: ``save``, ``dump`` or ``snapshot``.
    :raises OperationFailed: it is not installed.
    """
    if format.program is None:
        return None
    path = shutil.which(format.program)
    if path is None:
        raise OperationFailed(
            f"Compression program for {style} image format in configuration file isn't available",
            advice=f"install {format.program}",
        )
    return path


@asynccontextmanager
async def into_file(descriptor: int, format: SaveFormat, program: str | None, *, direct: bool) -> AsyncIterator[int]:
    """A descriptor for QEMU whose data get into a file at its present position.

    Left without an exception when all of it is there; else what moves the data is ended.

    :param descriptor: of the file, opened with ``O_DIRECT`` where ``direct``.
    :param program: what compresses (:func:`find_compressor`).
    :raises InternalError: the program failed.
    :raises SystemError: the file cannot be written.
    """
    async with AsyncExitStack() as stack:
        end = descriptor
        if direct:
            end = await stack.enter_async_context(_pumped(lambda ours: _write_direct(ours, descriptor), reads=True))
        if program is not None:
            words = [program, "-c", "-3"] if format is SaveFormat.XZ else [program, "-c"]
            output = end
            end = await stack.enter_async_context(_through(words, lambda ours: {0: ours, 1: output}, reads=True))
        yield end


@asynccontextmanager
async def out_of_file(descriptor: int, format: SaveFormat, *, direct: bool) -> AsyncIterator[int]:
    """A descriptor for QEMU that gives what is in a file from its present position. As :func:`into_file`.

    QEMU sees the end of what is damaged, and says so: what stands between says nothing.

    :raises OperationFailed: what compressed it is not installed.
    """
    program = find_compressor(format, "save")
    async with AsyncExitStack() as stack:
        end = descriptor
        if direct:
            end = await stack.enter_async_context(_pumped(lambda ours: _read_direct(descriptor, ours), reads=False))
        if program is not None:
            words = [program, "-dc", "--ignore-warn"] if format is SaveFormat.LZOP else [program, "-dc"]
            source = end
            end = await stack.enter_async_context(_through(words, lambda ours: {0: source, 1: ours}, reads=False))
        yield end


def _pipe(*, reads: bool) -> tuple[int, int]:
    """The end of a pipe for what stands between, and QEMU's.

    :param reads: what stands between reads.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    return (reading, writing) if reads else (writing, reading)


@asynccontextmanager
async def _through(words: list[str], fds: Callable[[int], dict[int, int]], *, reads: bool) -> AsyncIterator[int]:
    """A program between QEMU and a file.

    :param fds: its descriptors, given its end of the pipe.
    """
    ours, theirs = _pipe(reads=reads)
    complaints = os.memfd_create("stderr", os.MFD_CLOEXEC)
    try:
        try:
            process = await launcher().start(
                Command(argv=words, environment={"LC_ALL": "C"}, fds=fds(ours) | {2: complaints}, outlives=False)
            )
        finally:
            os.close(ours)
        try:
            yield theirs
        except BaseException:
            process.signal(signal.SIGKILL)
            await process.wait()
            raise
        finally:
            os.close(theirs)
            theirs = -1
        if reads:
            await check_end(words, process, complaints)
        else:
            await process.wait()
    finally:
        os.close(complaints)
        if theirs != -1:
            os.close(theirs)


@asynccontextmanager
async def _pumped(pump: Callable[[int], None], *, reads: bool) -> AsyncIterator[int]:
    """A thread between QEMU and a file; it ends when its end of the pipe does."""
    ours, theirs = _pipe(reads=reads)
    moving = asyncio.ensure_future(in_thread(_closing, pump, ours))
    try:
        yield theirs
    except BaseException:
        os.close(theirs)
        theirs = -1
        await asyncio.gather(moving, return_exceptions=True)
        raise
    finally:
        if theirs != -1:
            os.close(theirs)
    await asyncio.gather(moving, return_exceptions=not reads)


def _closing(pump: Callable[[int], None], descriptor: int) -> None:
    try:
        pump(descriptor)
    except OSError as error:
        raise SystemError(f"Unable to write or read the file: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _write_direct(source: int, file: int) -> None:
    """Everything that comes, in aligned blocks; the file ends where the data do."""
    block = mmap.mmap(-1, _BLOCK)  # its memory is aligned
    view = memoryview(block)
    position = os.lseek(file, 0, os.SEEK_CUR)
    # What stands before in the same block was written without alignment.
    fill = position % _ALIGNMENT
    start = position - fill
    if fill:
        block[:fill] = _before(file, start, fill)
    while True:
        got = os.readv(source, [view[fill:]])
        fill += got
        if fill == _BLOCK:
            _write_all(file, view, start)
            start, fill = start + fill, 0
        if not got:
            break
    if fill:
        whole = -(-fill // _ALIGNMENT) * _ALIGNMENT
        view[fill:whole] = bytes(whole - fill)
        _write_all(file, view[:whole], start)
    os.ftruncate(file, start + fill)


def _before(file: int, start: int, size: int) -> bytes:
    with open(f"/proc/self/fd/{file}", "rb") as plain:  # without O_DIRECT
        return os.pread(plain.fileno(), size, start)


def _write_all(file: int, view: memoryview, position: int) -> None:
    while view:
        written = os.pwrite(file, view, position)
        view, position = view[written:], position + written


def _read_direct(file: int, target: int) -> None:
    """Everything from the present position on."""
    block = mmap.mmap(-1, _BLOCK)
    view = memoryview(block)
    position = os.lseek(file, 0, os.SEEK_CUR)
    skip = position % _ALIGNMENT
    position -= skip
    while got := os.preadv(file, [view], position):
        position += got
        part = view[skip:got]
        skip = max(0, skip - got)
        while part:
            part = part[os.write(target, part) :]
