"""Flow control of a socket, the same on both of its sides."""

from __future__ import annotations

import asyncio

__all__ = ["FlowControl"]


class FlowControl(asyncio.Protocol):
    """A socket that several may wait to write to, and that several may keep from being read."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held_by: set[object] = set()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def writable(self) -> None:
        """Wait until the other side takes what was sent."""
        await self._writable.wait()

    @property
    def held(self) -> bool:
        """Whether the other side is not being read for now."""
        return bool(self._held_by)

    def hold_reading(self, who: object) -> None:
        """Do not read until ``who`` lets go."""
        if not self._held_by and self._transport is not None:
            self._transport.pause_reading()
        self._held_by.add(who)

    def release_reading(self, who: object) -> None:
        """Let go."""
        if who in self._held_by:
            self._held_by.discard(who)
            if not self._held_by and self._transport is not None:
                self._transport.resume_reading()
