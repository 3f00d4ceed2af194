"""Peers that went silent: asked whether they live, and given up when they do not answer."""

from __future__ import annotations

import asyncio

from virt_remote.protocol import PING
from virtcore._typing import Final, Protocol

__all__ = ["COUNT", "INTERVAL", "Keepalive", "Watched"]

#: Seconds of silence after which a peer is asked (``keepalive_interval``).
INTERVAL: Final = 5.0
#: Questions without an answer that a peer may leave (``keepalive_count``).
COUNT: Final = 5


class Watched(Protocol):
    """One end of a connection, whose other end is watched."""

    #: Something came from the other end; set by whoever receives it, cleared here.
    heard: bool

    @property
    def held(self) -> bool:
        """Whether the other end is not being read for now: then it cannot be heard."""

    def send(self, data: bytes, /) -> None:
        """Send a message."""

    def silent(self, seconds: float, /) -> None:
        """The other end has not answered for so long: end the connection."""


class Keepalive:
    """Watches the peers that said they answer; one timer for all of them, none while there are none."""

    def __init__(self, interval: float = INTERVAL, count: int = COUNT) -> None:
        self._interval = interval
        self._count = count
        self._unanswered: dict[Watched, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, peer: Watched) -> None:
        """Watch a peer from now on; nobody is watched with an interval that is not above 0."""
        if self._interval <= 0:
            return
        self._unanswered.setdefault(peer, 0)
        if self._timer is None:
            self._wait()

    def remove(self, peer: Watched) -> None:
        """Forget a peer."""
        self._unanswered.pop(peer, None)
        if not self._unanswered and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        for peer, unanswered in list(self._unanswered.items()):
            if peer.heard or peer.held:
                peer.heard = False
                self._unanswered[peer] = 0
            elif unanswered < self._count:
                self._unanswered[peer] = unanswered + 1
                peer.send(PING)
            else:
                peer.silent(self._interval * (self._count + 1))
        self._wait()
