"""A server of the daemon: programs, clients and what limits them. There are two, for objects and for administration."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

import virt_remote.server.admin  # noqa: F401  # its procedures are served by being there
from virt_remote.keepalive import Keepalive
from virt_remote.server.workers import Workers
from virtcore.errors import InvalidArg
from virtcore.operations.procedures import program

if TYPE_CHECKING:
    from virt_remote.server.access import AccessControl
    from virt_remote.server.client import Client
    from virt_remote.server.daemon import Daemon
    from virt_remote.server.endpoint import Endpoint
    from virt_remote.server.polkit import Authority
    from virt_remote.server.settings import Settings

__all__ = ["Server"]

log = logging.getLogger("virtcored.server")


class Server:
    """What libvirt calls a server: several sockets, their clients, one set of limits.

    :ivar programs: number -> name of the programs that it serves.
    :ivar access: who decides what clients may do; None when nobody does.
    :ivar pending_memory: bytes of messages that are not whole, of all clients.
    """

    def __init__(
        self,
        name: str,
        daemon: Daemon,
        settings: Settings,
        authority: Authority,
        *,
        access: AccessControl | None = None,
        administration: bool = False,
    ) -> None:
        self.name = name
        self.daemon = daemon
        self.settings = settings
        self.authority = authority
        self.access = access
        served = ("admin",) if administration else ("remote", "qemu", "lxc")
        self.programs: Mapping[int, str] = {program(one).number: one for one in served}
        self._prefix = prefix = "admin_" if administration else ""
        self.max_clients: int = getattr(settings, f"{prefix}max_clients")
        self.max_anonymous = min(settings.max_anonymous_clients, self.max_clients)
        self.max_client_requests: int = getattr(settings, f"{prefix}max_client_requests")
        self.max_queued: int = getattr(settings, f"{prefix}max_queued_clients")
        self.workers = Workers(
            getattr(settings, f"{prefix}min_workers"),
            getattr(settings, f"{prefix}max_workers"),
            0 if administration else settings.prio_workers,
        )
        self.keepalive = Keepalive(
            getattr(settings, f"{prefix}keepalive_interval"), getattr(settings, f"{prefix}keepalive_count")
        )
        self.clients: dict[int, Client] = {}
        self.endpoints: list[Endpoint] = []
        self.pending_memory = 0
        #: Clients that have not authenticated, each with the timer that ends its patience, where there is one.
        self._anonymous: dict[int, asyncio.TimerHandle | None] = {}
        self._numbers = itertools.count(1)
        self._room = asyncio.Event()
        self._room.set()

    # -- clients

    def connected(self, client: Client) -> None:
        """A client came."""
        client.id = next(self._numbers)
        self.clients[client.id] = client
        if len(self.clients) > self.max_clients:
            log.error("Too many active clients (%d), dropping connection from %s", self.max_clients, client.identity)
            client.drop()
        elif not client.authenticated:
            limit = self.settings.anonymous_timeout
            self._anonymous[client.id] = (
                asyncio.get_running_loop().call_later(limit, self._overdue, client) if limit else None
            )
        self._look_for_room()
        log.info("client %d: %s", client.id, client.identity)
        self.daemon.client_came()

    def _overdue(self, client: Client) -> None:
        log.warning("client %d (%s) takes too long to authenticate: its connection ends", client.id, client.identity)
        client.drop()

    def authenticated(self, client: Client) -> None:
        """A client has said who it is."""
        timer = self._anonymous.pop(client.id, None)
        if timer is not None:
            timer.cancel()
        self._look_for_room()

    def disconnected(self, client: Client, last: Coroutine[Any, Any, None]) -> None:
        """A client is gone; ``last`` ends what it left."""
        self.authenticated(client)
        self.clients.pop(client.id, None)
        self._look_for_room()
        log.info("client %d left", client.id)
        self.daemon.finish(last)
        self.daemon.client_left()

    def holds(self, client: Client) -> bool:
        """Whether a client is still there."""
        return self.clients.get(client.id) is client

    @property
    def anonymous(self) -> int:
        """Clients that have not authenticated."""
        return len(self._anonymous)

    # -- limits

    def set_limits(self, clients: int | None, anonymous: int | None) -> None:
        """Change how many clients there may be.

        :raises InvalidArg: that makes no sense.
        """
        most = self.max_clients if clients is None else clients
        unknown = self.max_anonymous if anonymous is None else anonymous
        if most < unknown:
            raise InvalidArg(
                "The overall maximum number of clients waiting for authentication must not be less than the overall "
                "maximum number of clients"
            )
        self.max_clients, self.max_anonymous = most, unknown
        self._look_for_room()

    def reload(self, settings: Settings) -> None:
        """Put other settings into force, for what can change while clients are there."""
        prefix = self._prefix
        self.settings = settings
        self.max_client_requests = getattr(settings, f"{prefix}max_client_requests")
        self.workers.change(
            getattr(settings, f"{prefix}min_workers"),
            getattr(settings, f"{prefix}max_workers"),
            0 if prefix else settings.prio_workers,
        )
        most: int = getattr(settings, f"{prefix}max_clients")
        self.set_limits(most, min(settings.max_anonymous_clients, most))

    async def room(self) -> None:
        """Wait until one more client may be accepted."""
        while not self._room.is_set():
            await self._room.wait()

    def _look_for_room(self) -> None:
        full = len(self.clients) >= self.max_clients or (0 < self.max_anonymous <= len(self._anonymous))
        if full and self._room.is_set():
            log.warning("no more clients of server '%s' are accepted for now", self.name)
            self._room.clear()
        elif not full:
            self._room.set()

    # -- sockets

    async def listen(self) -> None:
        """Begin to accept clients."""
        for endpoint in self.endpoints:
            await endpoint.listen()

    def stop_listening(self) -> None:
        """Accept no more clients."""
        for endpoint in self.endpoints:
            endpoint.stop_listening()

    def hang_up(self) -> None:
        """End every connection after what was sent."""
        for client in list(self.clients.values()):
            client.hang_up()
