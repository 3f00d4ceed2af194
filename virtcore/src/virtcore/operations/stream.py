"""The byte stream that operations such as a console return to whoever called them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["ByteStream", "SparseStream"]


class ByteStream(Protocol):
    """What a driver hands out for an operation that carries bytes (``virStreamPtr``). Used in the core loop only."""

    async def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end.

        :raises VirtError: the stream failed or was aborted.
        """

    async def write(self, data: bytes) -> None:
        """Take all of ``data``, waiting while the receiver is slow.

        :raises VirtError: the stream failed or was aborted.
        """

    async def finish(self) -> None:
        """End it regularly; returns when everything written was taken.

        :raises VirtError: the far side failed.
        """

    async def abort(self) -> None:
        """End it at once. Never raises; may be called twice."""


@runtime_checkable
class SparseStream(ByteStream, Protocol):
    """A byte stream that carries holes as such, which are zeros to those who just read (``SPARSE_STREAM`` flags)."""

    async def read_sparse(self, size: int) -> bytes | int:
        """Up to ``size`` bytes, or the length of the hole that begins here; no bytes at the end.

        :raises VirtError: the stream failed or was aborted.
        """

    async def write_hole(self, length: int) -> None:
        """Go on after a hole of this many bytes.

        :raises VirtError: the stream failed or was aborted.
        """
