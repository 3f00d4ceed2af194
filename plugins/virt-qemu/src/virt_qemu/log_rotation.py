"""Guests' logs are cut at a size (``stdio_handler = "logd"``), so that no guest fills the host's disk.

QEMU appends to its log itself; the kernel tells when somebody has, so nobody wakes up while nothing is written. A log
that has become too large is copied aside and emptied: what is written between the two is lost.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import shutil
import struct
from pathlib import Path

from virtcore.errors import SystemError
from virtcore.runtime.threads import in_thread

__all__ = ["MOST_BACKUPS", "MOST_BYTES", "LogRotation", "rotate"]

log = logging.getLogger(__name__)

MOST_BYTES = 2 << 20
"""Bytes of a log, virtlogd's default."""
MOST_BACKUPS = 3
"""Older parts that are kept, virtlogd's default."""
_MODIFIED = 0x2
_HEAD = struct.Struct("=iIII")
_BUFFER = 64 << 10


def rotate(path: Path, backups: int = MOST_BACKUPS) -> None:
    """Put what a log has aside, as ``NAME.0``; older parts are counted up.

    :raises OSError: it cannot be.
    """
    for number in range(backups - 1, 0, -1):
        older = Path(f"{path}.{number - 1}")
        if older.exists():
            older.rename(f"{path}.{number}")
    if backups:
        descriptor = os.open(f"{path}.0", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(path, "rb") as source, open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
    os.truncate(path, 0)


class LogRotation:
    """Watches the logs in a folder.

    :param most: bytes a log may have.
    """

    def __init__(self, folder: Path, most: int = MOST_BYTES, backups: int = MOST_BACKUPS) -> None:
        self._folder = folder
        self._most = most
        self._backups = backups
        self._descriptor: int | None = None
        self._working: dict[str, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Begin to watch; harmless when repeated.

        :raises SystemError: the kernel does not tell of changes.
        """
        if self._descriptor is not None:
            return
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(self._folder), _MODIFIED) < 0:
            number = ctypes.get_errno()
            if descriptor >= 0:
                os.close(descriptor)
            raise SystemError(f"cannot watch {self._folder}: {os.strerror(number)}")
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._on_changes)

    def _on_changes(self) -> None:
        assert self._descriptor is not None
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        names, at = set(), 0
        while at < len(data):
            _, _, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            names.add(os.fsdecode(data[at : at + length].rstrip(b"\0")))
            at += length
        for name in names:
            if name.endswith(".log") and name not in self._working and self._is_full(self._folder / name):
                self._working[name] = asyncio.create_task(self._rotate(name))

    def _is_full(self, path: Path) -> bool:
        try:
            return path.stat().st_size > self._most
        except OSError:
            return False

    async def _rotate(self, name: str) -> None:
        try:
            await in_thread(rotate, self._folder / name, self._backups)
        except OSError as error:
            log.warning("cannot rotate %s: %s", self._folder / name, error)
        finally:
            del self._working[name]

    def close(self) -> None:
        """Watch no more."""
        for task in list(self._working.values()):
            task.cancel()
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
