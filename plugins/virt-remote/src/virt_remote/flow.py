"""Flow control of a socket, the same on both of its sides."""

from __future__ import annotations

import asyncio

__all__ = ["FlowControl"]


class FlowControl(asyncio.Protocol):
    """A socket that several may wait to write to, and that several may keep from being read."""

    __slots__ = ("_held_by", "_taken", "_transport")

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._held_by: frozenset[object] = frozenset()
        #: What those wait for who have something to send that the other side does not take; None while it takes it.
        self._taken: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        FlowControl.resume_writing(self)

    def pause_writing(self) -> None:
        if self._taken is None:
            self._taken = asyncio.Event()

    def resume_writing(self) -> None:
        taken, self._taken = self._taken, None
        if taken is not None:
            taken.set()

    async def writable(self) -> None:
        """Wait until the other side takes what was sent."""
        while self._taken is not None:
            await self._taken.wait()

    @property
    def held(self) -> bool:
        """Whether the other side is not being read for now."""
        return bool(self._held_by)

    def hold_reading(self, who: object) -> None:
        """Do not read until ``who`` lets go."""
        if not self._held_by and self._transport is not None:
            self._transport.pause_reading()
        self._held_by |= {who}

    def release_reading(self, who: object) -> None:
        """Let go."""
        if who in self._held_by:
            self._held_by -= {who}
            if not self._held_by and self._transport is not None:
                self._transport.resume_reading()
