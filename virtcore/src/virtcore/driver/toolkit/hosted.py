"""Services that keep what they have on this host: in folders of their place, which no other process changes meanwhile.

A service of networks, whose table does the rest::

    class HostNetworks(HostedService, StatefulNetworks):
        name = "network"

        def __init__(self, place: Place) -> None:
            super().__init__(place)
            folders = self.folders
            self.networks = MyNetworks(folders.config, self.disk, folders.status)

        async def restore(self) -> None:
            await self.networks.open()

        async def start_marked(self) -> None:
            await self.networks.start_marked()

        @property
        def in_use(self) -> bool:
            return any(network.active for network in self.networks.table)

Definitions and marks of autostart are then in the folder of configuration, what works in that of status: there a daemon
sees at its start that the service is to be opened (:meth:`~virtcore.driver.toolkit.folders.StateFolders.have_work`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import cached_property
from typing import TYPE_CHECKING

from virtcore.driver.service import ServiceDriver
from virtcore.driver.toolkit.disk import DiskWorker
from virtcore.driver.toolkit.folders import StateFolders
from virtcore.errors import SystemError

if TYPE_CHECKING:
    from virtcore.driver.base import Place
    from virtcore.driver.toolkit.lock import StateLock

__all__ = ["HostedService"]

log = logging.getLogger(__name__)


class HostedService(ServiceDriver):
    """A service with folders of its own, called as the service is.

    :ivar folders: where they are. Those of configuration and of what lasts until the host goes down (``run``) exist
        when it is open; whoever needs the others makes them.
    """

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.folders = StateFolders.of(place, self.name)
        self._locks: list[StateLock] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: asyncio.Task[None] | None = None

    # -- hooks

    async def restore(self) -> None:
        """Hook: learn what the folders hold, and find again what works. Raising means that it does not open."""

    async def start_marked(self) -> None:
        """Hook: start what starts with the host; called once in an uptime of the host, when the service is open."""

    async def reload(self) -> None:
        """Hook: somebody may have taken away what works has on the host (its firewall was made anew, a daemon is told
        to look again): put it back."""

    async def rest(self) -> None:
        """Hook: the last user has gone, or it could not be opened, however far :meth:`restore` came. What works
        goes on. Never raises."""

    # -- life

    @cached_property
    def disk(self) -> DiskWorker:
        """Does blocking file work, in order."""
        return DiskWorker(f"virtcore-{self.name}-disk")

    async def open(self) -> None:
        """Take the folders, :meth:`restore` and begin to :meth:`start_marked`. A failure leaves nothing behind.

        :raises ResourceBusy: another process has them.
        :raises SystemError: one cannot be used.
        """
        try:
            self._take_folders()
            await self.restore()
        except OSError as error:
            await self.close()
            folder = error.filename or self.folders.config
            raise SystemError(f"cannot use state folder '{folder}': {error.strerror or error}") from error
        except BaseException:
            await self.close()
            raise
        if type(self).start_marked is not HostedService.start_marked:
            self._starting = self.spawn(self._start_once())

    def _take_folders(self) -> None:
        from virtcore.driver.toolkit.lock import StateLock

        # Both: what works is told by one, what is defined by the other, and they may be chosen apart.
        for folder in (self.folders.config, self.folders.run):
            self._locks.append(StateLock.acquire(folder))

    async def settled(self) -> None:
        if self._starting is not None:
            await asyncio.wait([self._starting])

    async def _start_once(self) -> None:
        from virtcore.driver.toolkit.uptime import StartMarker

        marker = StartMarker(self.folders.run)
        if not marker.present:
            await self.start_marked()
            marker.put()  # only now: a program that ends meanwhile leaves the rest to the next one

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Do something beside what is asked for; it ends with the service at the latest, and its failure is logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("unexpected failure of the service '%s'", self.name, exc_info=error)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.rest()
        if "disk" in vars(self):
            await self.disk.close()
        while self._locks:
            self._locks.pop().release()
