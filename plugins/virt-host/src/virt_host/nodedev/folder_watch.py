"""Hearing of changes below a folder (inotify)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

__all__ = ["FolderWatch"]

_CREATE, _DELETE, _MOVED, _WRITTEN, _ATTRIBUTES = 0x100, 0x200, 0xC0, 0x8, 0x4
_CHANGES = _CREATE | _DELETE | _MOVED | _WRITTEN | _ATTRIBUTES
_ONLY_FOLDERS, _ONCE = 0x01000000, 0x80000000


class FolderWatch:
    """The changes of files in a folder and the folders in it; of the one above it, as long as it is not there.

    Its descriptor becomes readable when something changed; :meth:`changed` takes note of that.

    :raises OSError: the kernel does not tell.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._there = os.path.isdir(folder)
        libc = ctypes.CDLL(None, use_errno=True)
        self._add: Callable[[int, bytes, int], int] = libc.inotify_add_watch
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        try:
            self._watch()
        except OSError:
            os.close(self._descriptor)
            raise

    def _watch(self) -> None:
        """Watch every folder there is; one that is watched already stays so."""
        found = [self._folder] if os.path.isdir(self._folder) else []
        for folder in found:
            try:
                found += [entry.path for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue  # it has gone
        for folder in found:
            self._hear_of(folder, _CHANGES)
        if not found:
            self._hear_of(
                os.path.dirname(self._folder), _CHANGES | _ONCE
            )  # of no concern as soon as the folder is there
            if os.path.isdir(self._folder):
                self._watch()  # it came before that

    def _hear_of(self, folder: str, changes: int) -> None:
        if self._add(self._descriptor, os.fsencode(folder), changes | _ONLY_FOLDERS) < 0 and os.path.isdir(folder):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)

    def fileno(self) -> int:
        """Becomes readable when something changed."""
        return self._descriptor

    def changed(self) -> bool:
        """Take note of what changed, and watch folders that are new; returns whether there is the folder, or was.

        :raises OSError: the kernel does not tell of new ones.
        """
        try:
            while os.read(self._descriptor, 1 << 14):
                pass
        except BlockingIOError:
            pass
        was, self._there = self._there, os.path.isdir(self._folder)
        self._watch()
        return was or self._there

    def close(self) -> None:
        """Hear no more."""
        os.close(self._descriptor)
