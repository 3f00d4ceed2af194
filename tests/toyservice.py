"""A service of networks for tests, and a driver beside which it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

from toydriver import ToyDriver
from virtcore.driver import OpenRequest, Place, ServiceDriver, Subscription, inline
from virtcore.driver.loader import registered, registered_service
from virtcore.errors import OpenFailed
from virtcore.operations.events import Event
from virtcore.operations.network import NetworkService
from virtcore.types import NetworkRef

DEFAULT = NetworkRef("default", "dd8fe884-6c02-601e-7551-cca97df1c5df")


class NetworkStarted(NamedTuple):
    """An event of the service."""

    network: NetworkRef


class ToyNetworks(ServiceDriver, NetworkService):
    """Has one network. Its class knows its instances."""

    name = "network"
    instances: ClassVar[list[ToyNetworks]] = []
    fails: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.subscribers: list[Callable[[Event], None]] = []
        self.started: list[str] = []
        self.closed = False

    async def open(self) -> None:
        await asyncio.sleep(0.01)
        if ToyNetworks.fails:
            raise OpenFailed("no networks here")
        ToyNetworks.instances.append(self)

    async def close(self) -> None:
        self.closed = True

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        self.subscribers.append(deliver)
        return Subscription(lambda: self.subscribers.remove(deliver))

    @inline
    def connection_list_networks(self, flags: int = 0) -> list[NetworkRef]:
        return [DEFAULT]

    async def network_create(self, network: NetworkRef) -> None:
        await asyncio.sleep(0)
        self.started.append(network.name)
        for deliver in list(self.subscribers):
            deliver(NetworkStarted(network))  # type: ignore[arg-type]

    def network_bridge_name(self, network: NetworkRef) -> str:
        return "virbr0"


class HostedDriver(ToyDriver):
    """Serves ``hosted:///...``, on this host, with the toy's networks and nothing that is installed."""

    wanted_services = frozenset({"network"})

    @classmethod
    async def open(cls, request: OpenRequest) -> HostedDriver:
        driver = cls()
        driver.place = Place(privileged=False, root=request.uri.get("root"))
        return driver


class BringingDriver(HostedDriver):
    """Serves ``bringing:///...``, and has networks of its own."""

    @inline
    def connection_list_networks(self, flags: int = 0) -> list[Any]:
        return []


@contextmanager
def toy_networks() -> Iterator[type[ToyNetworks]]:
    """The service and its drivers, fresh."""
    ToyNetworks.instances.clear()
    ToyNetworks.fails = False
    with (
        registered("hosted", HostedDriver),
        registered("bringing", BringingDriver),
        registered_service("network", ToyNetworks),
    ):
        yield ToyNetworks
