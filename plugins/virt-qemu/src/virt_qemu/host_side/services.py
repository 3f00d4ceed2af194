"""The services of the host that guests use: networks, secrets, storage."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from virtcore.errors import NoConnect
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.base import Place
    from virtcore.driver.service import ServiceDriver

__all__ = ["PlaceServices"]


class PlaceServices:
    """The services of one place, opened when a guest first needs one.

    :param place: with which rights, below which root.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._opening: dict[str, asyncio.Task[ServiceDriver]] = {}

    async def call(self, service: str, operation: str, *arguments: object) -> Any:
        """Call an operation of a service, whatever kind of method it is there.

        :raises NoConnect: there is no such service.
        :raises VirtError: what the operation raised.
        """
        from virtcore.runtime.methods import Style, methods_of

        instance = await self.open(service)
        method = methods_of(type(instance))[operation]
        if method.style is Style.PLAIN:
            return await in_thread(method.function, instance, *arguments)
        answer = method.function(instance, *arguments)
        return await answer if method.style is Style.ASYNC else answer

    async def open(self, name: str) -> ServiceDriver:
        """The instance of a service.

        :raises NoConnect: there is no such service.
        """
        from virtcore.driver import loader

        if name not in loader.service_names():
            scheme = f"{name}:///{'system' if self._place.privileged else 'session'}"
            raise NoConnect(scheme)
        task = self._opening.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._opening[name] = asyncio.create_task(self._acquire(name))
        return await asyncio.shield(task)

    async def _acquire(self, name: str) -> ServiceDriver:
        from virtcore.driver import loader
        from virtcore.driver.composition import service_key
        from virtcore.driver.toolkit import shared

        cls = loader.service_for(name)
        return await shared.acquire(service_key(cls, self._place), lambda: cls(self._place))

    async def close(self) -> None:
        """Give back what was opened."""
        from virtcore.driver.composition import service_key
        from virtcore.driver.toolkit import shared

        tasks, self._opening = list(self._opening.values()), {}
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(found, BaseException):
                await shared.release(service_key(type(found), self._place))
