"""What a connection is composed of: beside its hypervisor's driver, the services of the place where that runs."""

from __future__ import annotations

import asyncio
import functools
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from virtcore.driver import loader
from virtcore.driver.base import Driver, Place, implements
from virtcore.driver.service import DriverService, ServiceDriver
from virtcore.driver.toolkit import shared
from virtcore.errors import InvalidConn, NoConnect, VirtError
from virtcore.operations.declare import Operation, services
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HostServices", "KeptServices", "PlaceServices", "brought"]


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


@functools.cache
def _shared(names: frozenset[str]) -> frozenset[str]:
    """One of equal sets, of which every connection would have its own."""
    return names


def _key(cls: type[ServiceDriver], place: Place) -> tuple[str, ...]:
    """By what a place's one instance of a service is shared (see :mod:`virtcore.driver.toolkit.shared`)."""
    return "service", cls.__module__, cls.__qualname__, str(place.privileged), place.root or ""


async def _acquire(cls: type[ServiceDriver], place: Place) -> ServiceDriver:
    instance = await shared.acquire(_key(cls, place), lambda: cls(place))
    if _keeping is not None:
        await _keeping.keep(instance)
    return instance


async def _release(instance: ServiceDriver) -> None:
    await shared.release(_key(type(instance), instance.place))


class KeptServices:
    """Services outlast their users in this process, from now on until :meth:`close`: a daemon's, whose objects work on
    when nobody looks at them. Belongs to the core loop."""

    def __init__(self) -> None:
        global _keeping
        self._kept: dict[int, ServiceDriver] = {}
        _keeping = self

    def __iter__(self) -> Iterator[ServiceDriver]:
        return iter(list(self._kept.values()))

    async def keep(self, instance: ServiceDriver) -> None:
        """Be one user more of an instance that has one."""
        if id(instance) not in self._kept:
            self._kept[id(instance)] = instance
            await shared.acquire(_key(type(instance), instance.place), lambda: instance)

    async def close(self) -> None:
        """Let them go with their last users."""
        global _keeping
        _keeping = None
        while self._kept:
            await _release(self._kept.popitem()[1])


_keeping: KeptServices | None = None


class _OpenedServices:
    """Services, each of which is opened when it is first asked for, once for whoever asks. All methods belong to the
    core loop."""

    def __init__(self) -> None:
        self._opening: dict[str, asyncio.Task[ServiceDriver]] = {}
        self._closed = False

    def class_of(self, name: str) -> type[ServiceDriver]:
        """The class of a service.

        :raises InternalError: it cannot be loaded; names the distribution and the cause.
        """
        return loader.service_for(name)

    def is_loaded(self, name: str) -> bool:
        """Whether :meth:`class_of` has to import nothing."""
        return loader.service_is_loaded(name)

    def opened(self, name: str) -> ServiceDriver | None:
        """A service's instance, if it was opened here."""
        task = self._opening.get(name)
        return task.result() if task is not None and task.done() and not _failed(task) else None

    async def open(self, name: str) -> ServiceDriver:
        """A service's instance, the same for every connection of the place.

        :raises InvalidConn: nobody would give it back any more.
        :raises VirtError: it cannot be loaded or opened.
        """
        if self._closed:
            raise InvalidConn(name, advice="the connection was closed")
        task = self._opening.get(name)
        if task is None or (task.done() and _failed(task)):  # one that failed is tried again
            task = asyncio.get_running_loop().create_task(self._open(name))
            self._opening[name] = task
        return await asyncio.shield(task)  # whoever waits may give up; others wait, too

    async def _open(self, name: str) -> ServiceDriver:
        if not self.is_loaded(name):
            await in_thread(self.class_of, name)  # others have the loop meanwhile
        return await self._take(self.class_of(name))

    async def _take(self, cls: type[ServiceDriver]) -> ServiceDriver:
        """Hook: an open instance of a class."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give back what was opened, and open nothing more."""
        self._closed = True
        tasks, self._opening = list(self._opening.values()), {}
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(found, DriverService):
                await found.close()
            elif isinstance(found, ServiceDriver):
                await _release(found)


def _failed(task: asyncio.Task[ServiceDriver]) -> bool:
    return task.cancelled() or task.exception() is not None


class PlaceServices(_OpenedServices):
    """The services of one place, for drivers and services that use others: guests their networks, pools their secrets.
    Each is opened when it is first needed.

    :param place: with which rights, below which root.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

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
        :raises VirtError: it cannot be loaded or opened.
        """
        if name not in loader.service_names():
            raise NoConnect(f"{name}:///{'system' if self._place.privileged else 'session'}")
        return await super().open(name)

    async def _take(self, cls: type[ServiceDriver]) -> ServiceDriver:
        return await _acquire(cls, self._place)

    async def begin(self) -> dict[str, VirtError]:
        """Open those that have work without being asked: something of theirs starts with the host, or works
        since before this process. No other is loaded. Gives why some cannot be opened, by their names."""
        from virtcore.driver.toolkit.folders import StateFolders

        failed = {}
        for name in sorted(loader.service_names()):
            if StateFolders.of(self._place, name).have_work():
                try:
                    await self.open(name)
                except VirtError as error:
                    failed[name] = error
        return failed

    async def settle(self) -> None:
        """Wait until of those that have work what starts with the host has been started: guests may need it. Whoever
        needs one that cannot be opened will be told."""
        await self.begin()
        for task in list(self._opening.values()):
            if task.done() and not _failed(task):
                await task.result().settled()


class HostServices(_OpenedServices):
    """The services of one connection: those that the driver brings as classes of their own, and for what it does not
    bring those of its place.

    :ivar names: those that are there and that the driver's class does not implement itself.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver
        self._place = driver.place
        elsewhere: frozenset[str] = frozenset()
        if driver.place is not None:
            elsewhere = loader.service_names() - brought(type(driver))
            if driver.wanted_services is not None:
                elsewhere &= driver.wanted_services
        self.names = _shared(frozenset(elsewhere | type(driver).own_services.keys()))

    def class_of(self, name: str) -> type[ServiceDriver]:
        return type(self._driver).own_service(name) or super().class_of(name)

    def is_loaded(self, name: str) -> bool:
        own = type(self._driver).own_services.get(name)
        if own is not None:
            return not isinstance(own, str) or own.partition(":")[0] in sys.modules
        return super().is_loaded(name)

    def implements(self, operation: Operation) -> bool:
        """Whether an operation of a service is there."""
        return operation.service is not None and self.class_of(operation.service).implements(operation)

    async def _take(self, cls: type[ServiceDriver]) -> ServiceDriver:
        if issubclass(cls, DriverService):
            instance = cls(self._driver)
            await instance.open()
            return instance
        assert self._place is not None  # names has only the driver's own without
        return await _acquire(cls, self._place)
