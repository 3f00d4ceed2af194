"""One writer per state folder."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
import weakref
from pathlib import Path
from typing import Self

from virtcore.driver.toolkit.folders import make_folder
from virtcore.errors import ErrorDomain, ResourceBusy

__all__ = ["StateLock"]

log = logging.getLogger(__name__)

_FILE = "lock"
_held: weakref.WeakSet[StateLock] = weakref.WeakSet()


class StateLock:
    """The exclusive right to change what a folder holds, until :meth:`release` or the end of the process.

    The kernel holds it (``flock``), so it never outlives its process; the file says who that is.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder = folder
        self._descriptor = descriptor
        _held.add(self)

    @classmethod
    def acquire(cls, folder: Path) -> Self:
        """Take the lock of a folder, creating the folder where missing.

        :raises ResourceBusy: another process has it; the message names it.
        :raises OSError: the folder cannot be used.
        """
        make_folder(folder)
        descriptor = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 4096).decode(errors="replace").strip()
            os.close(descriptor)
            raise ResourceBusy(
                f"state folder '{folder}' is in use by {_describe(holder)}",
                domain=ErrorDomain.LOCKING,
                advice="end that program, connect through the daemon if it is one, or use a root of your own",
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        _note_holder(descriptor, f"{os.getpid()} {_command()}\n".encode(errors="replace"))
        return cls(folder, descriptor)

    def release(self) -> None:
        """Give the lock up. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            # The file stays: removing it would let two processes lock two files of the same name.
            _note_holder(descriptor, b"")
            # Unlocking, not just closing: a child that was forked a moment ago may still share the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def forget(self) -> None:
        """After fork, in the child: drop the inherited descriptor, so that the lock ends with the parent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _note_holder(descriptor: int, text: bytes) -> None:
    """Write who has the lock, for messages.

    What the kernel holds counts: a disk that is full, or read-only by now, keeps nobody out and does not keep the lock.
    """
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)
    except OSError as error:
        log.warning("cannot note the holder of a state lock: %s", error.strerror)


def _command() -> str:
    return " ".join(part.replace("\n", " ") for part in sys.orig_argv)[:1000]


def _describe(holder: str) -> str:
    pid, _, command = holder.partition(" ")
    if not pid:
        return "another process"
    return f"process {pid} ({command})" if command else f"process {pid}"


def _after_fork() -> None:
    for lock in list(_held):
        lock.forget()


os.register_at_fork(after_in_child=_after_fork)
