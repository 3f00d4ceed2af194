"""Pools that are a folder."""

from __future__ import annotations

from virt_host.storage.images import FolderBackend

__all__ = ["DirBackend"]


class DirBackend(FolderBackend):
    """``<pool type='dir'>``."""
