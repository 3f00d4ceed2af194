"""Clients that went silent: asked whether they live, and let go when they do not answer."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from virt_remote.protocol import PING

if TYPE_CHECKING:
    from virt_remote.server.client import Client

__all__ = ["Keepalive"]

log = logging.getLogger("virtcored")

#: Seconds of silence after which a client is asked (``keepalive_interval``).
INTERVAL: Final = 5.0
#: Questions without an answer that a client may leave (``keepalive_count``).
COUNT: Final = 5


class Keepalive:
    """Watches the clients that said they answer; one timer for all of them, none while there are none."""

    def __init__(self, interval: float = INTERVAL, count: int = COUNT) -> None:
        self._interval = interval
        self._count = count
        self._unanswered: dict[Client, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, client: Client) -> None:
        """Watch a client from now on."""
        self._unanswered.setdefault(client, 0)
        if self._timer is None:
            self._wait()

    def remove(self, client: Client) -> None:
        """Forget a client."""
        self._unanswered.pop(client, None)
        if not self._unanswered and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        for client, unanswered in list(self._unanswered.items()):
            if client.heard or client.held:  # who is not being read cannot be heard
                client.heard = False
                self._unanswered[client] = 0
            elif unanswered < self._count:
                self._unanswered[client] = unanswered + 1
                client.send(PING)
            else:
                log.warning("client has not answered for %d s: its connection ends", self._interval * (self._count + 1))
                client.drop()
        self._wait()
