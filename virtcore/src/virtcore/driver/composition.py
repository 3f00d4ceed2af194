"""What a connection is composed of: beside its hypervisor's driver, the services of the place where that runs."""

from __future__ import annotations

import asyncio
import functools
from weakref import WeakKeyDictionary

from virtcore.driver import loader
from virtcore.driver.base import Driver, Place, implements
from virtcore.driver.service import DriverService, ServiceDriver
from virtcore.driver.toolkit import shared
from virtcore.errors import InvalidConn
from virtcore.operations.declare import Operation, services

__all__ = ["HostServices", "brought", "service_key"]


_brought: WeakKeyDictionary[type[Driver], frozenset[str]] = WeakKeyDictionary()


def brought(driver: type[Driver]) -> frozenset[str]:
    """The services that a driver implements itself; its :attr:`~virtcore.driver.Driver.own_services` are not loaded."""
    known = _brought.get(driver)
    if known is not None:
        return known
    _brought[driver] = found = frozenset(
        name
        for name, declared in services().items()
        if name in driver.own_services or any(implements(driver, record) for record in declared.operations.values())
    )
    return found


def service_key(cls: type[ServiceDriver], place: Place) -> tuple[str, ...]:
    """By what a place's one instance of a service is shared (see :mod:`virtcore.driver.toolkit.shared`)."""
    return "service", cls.__module__, cls.__qualname__, str(place.privileged), place.root or ""


@functools.cache
def _shared(names: frozenset[str]) -> frozenset[str]:
    """One of equal sets, of which every connection would have its own."""
    return names


class HostServices:
    """The services of one connection: those that the driver brings as classes of their own, and for what it does not
    bring those of its place. Each is opened when it is first asked for; all methods belong to the core loop.

    :ivar names: those that are there and that the driver's class does not implement itself.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._place = driver.place
        elsewhere = frozenset() if driver.place is None else loader.service_names() - brought(type(driver))
        self.names = _shared(frozenset(elsewhere | type(driver).own_services.keys()))
        self._opening: dict[str, asyncio.Task[ServiceDriver]] = {}
        self._closed = False

    def class_of(self, name: str) -> type[ServiceDriver]:
        """The class of a service.

        :raises InternalError: it cannot be loaded; names the distribution and the cause.
        """
        return type(self._driver).own_service(name) or loader.service_for(name)

    def implements(self, operation: Operation) -> bool:
        """Whether an operation of a service is there."""
        return operation.service is not None and self.class_of(operation.service).implements(operation)

    def opened(self, name: str) -> ServiceDriver | None:
        """A service's instance, if this connection has opened it."""
        task = self._opening.get(name)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def open(self, name: str) -> ServiceDriver:
        """A service's instance, the same for every connection of the place.

        :raises VirtError: it cannot be loaded or opened.
        """
        if self._closed:
            raise InvalidConn(name, advice="the connection was closed")
        task = self._opening.get(name)
        if task is None or (task.done() and self.opened(name) is None):  # one that failed is tried again
            task = asyncio.get_running_loop().create_task(self._acquire(name))
            self._opening[name] = task
        return await asyncio.shield(task)  # whoever waits may give up; others wait, too

    async def _acquire(self, name: str) -> ServiceDriver:
        cls = self.class_of(name)
        if issubclass(cls, DriverService):
            instance = cls(self._driver)
            await instance.open()
            return instance
        assert self._place is not None  # names has only the driver's own without
        place = self._place
        return await shared.acquire(service_key(cls, place), lambda: cls(place))

    async def close(self) -> None:
        """The connection ends: what it had opened is given back."""
        self._closed = True
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for name in self._opening:
            instance = self.opened(name)
            if isinstance(instance, DriverService):
                await instance.close()
            elif instance is not None:
                await shared.release(service_key(type(instance), instance.place))
        self._opening.clear()
