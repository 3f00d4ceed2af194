"""Disk work of a store, off the core loop: one thread, first come first served, one folder sync for many changes."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from virtcore.errors import SystemError

__all__ = ["DiskWorker", "remove_file", "sync_folder", "write_beside", "write_file"]

T = TypeVar("T")
_BATCH = 64


class _Task(NamedTuple):
    run: Callable[[], object]
    folder: Path | str | None
    done: asyncio.Future[object]


class DiskWorker:
    """Runs blocking file work in order. A change is acknowledged when its folder is synced too.

    Changes that wait at the same time share the sync of their folder: a hundred clients that define at once cost little
    more than one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._unanswered = 0

    @property
    def idle(self) -> bool:
        """Whether it has done all that it was asked for: then what is done now comes after that."""
        return self._unanswered == 0

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have ``work`` run in the worker's thread, after everything asked for before; returns its result to come."""
        return self._submit(work, None)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the worker's thread, after everything asked for before, and return its result."""
        return await self._submit(work, None)

    async def change(self, work: Callable[[], T], folder: Path | str | None, complaint: str) -> T:
        """Run ``work``, which changes entries of ``folder``; returns when they are on disk.

        Cancelling the waiter does not stop the work.

        :param folder: None where what is changed means nothing once the host has gone down.
        :param complaint: what could not be done, should the system refuse.
        :raises SystemError: the disk is full, ...
        """
        try:
            return await self._submit(work, folder)
        except OSError as error:
            raise SystemError(f"{complaint}: {error.strerror}") from error

    def _submit(self, work: Callable[[], T], folder: Path | str | None) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._thread is None:
            # A daemon thread: what it has acknowledged is on disk, so ending the interpreter loses nothing that counts.
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        self._unanswered += 1
        self._queue.put(_Task(work, folder, done))  # type: ignore[arg-type]  # it gets what `work` returns
        return done

    async def close(self) -> None:
        """End the thread after the work that is queued; returns when that is done."""
        if self._thread is not None:
            await self.run(lambda: None)
            self._queue.put(None)
            self._thread = None

    def _work(self) -> None:
        more = True
        while more:
            batch = [self._queue.get()]
            while len(batch) < _BATCH:
                try:
                    batch.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            more = None not in batch
            self._run_batch([task for task in batch if task is not None])

    def _run_batch(self, tasks: list[_Task]) -> None:
        results: list[tuple[_Task, object, BaseException | None]] = []
        dirty: set[Path | str] = set()
        for task in tasks:
            try:
                results.append((task, task.run(), None))
            except BaseException as error:  # noqa: BLE001  # raised where the work was asked for
                results.append((task, None, error))
            if task.folder is not None:
                dirty.add(task.folder)
        failed: dict[Path | str, OSError] = {}
        for folder in dirty:
            try:
                sync_folder(folder)
            except OSError as error:
                failed[folder] = error
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[object], object, BaseException | None]]] = {}
        for task, value, problem in results:
            if problem is None and task.folder is not None:
                problem = failed.get(task.folder)
            by_loop.setdefault(task.done.get_loop(), []).append((task.done, value, problem))
        for loop, answers in by_loop.items():
            try:
                loop.call_soon_threadsafe(self._answer, answers)
            except RuntimeError:  # the loop was closed meanwhile: nobody waits any more
                continue

    def _answer(self, answers: list[tuple[asyncio.Future[object], object, BaseException | None]]) -> None:
        self._unanswered -= len(answers)
        for future, value, problem in answers:
            if future.done():  # its waiter was cancelled
                continue
            if problem is None:
                future.set_result(value)
            else:
                future.set_exception(problem)


def write_file(folder: Path | str, name: str, data: bytes, *, sync: bool = True) -> None:
    """Replace a file whole or not at all: written beside it, synced, renamed. The folder is left to be synced.

    :param sync: False where what is in it means nothing once the host has gone down.
    """
    temporary = f".{name}.tmp"
    write_beside(folder, temporary, data, sync=sync)
    try:
        os.rename(os.path.join(folder, temporary), os.path.join(folder, name))
    except BaseException:
        remove_file(folder, temporary)
        raise


def write_beside(folder: Path | str, temporary: str, data: bytes, *, sync: bool) -> None:
    """Write a file that is to take another one's place."""
    path = os.path.join(folder, temporary)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        remove_file(folder, temporary)
        raise


def remove_file(folder: Path | str, name: str) -> None:
    """Remove a file that may be missing. The folder is left to be synced."""
    try:
        os.unlink(os.path.join(folder, name))
    except FileNotFoundError:
        pass


def sync_folder(folder: Path | str) -> None:
    """Bring a folder's entries to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
