"""The class a service is: networks, storage, devices, interfaces, filters or secrets of a host.

A complete service of networks::

    from virtcore.driver.service import ServiceDriver
    from virtcore.operations.network import NetworkService

    class ToyNetworks(ServiceDriver, NetworkService):
        async def open(self) -> None:
            self.networks = read_them(self.place)

        @inline
        def connection_list_networks(self, flags: int = 0) -> list[NetworkRef]:
            return list(self.networks)

registered in its distribution's ``pyproject.toml`` under the service's name::

    [project.entry-points."virtcore.services"]
    network = "virt_toy:ToyNetworks"

Every connection whose driver says where it runs (:attr:`virtcore.driver.Driver.place`) and does not bring the service
itself has its operations from there. One instance serves all connections of a place: they see the same networks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from virtcore.driver.base import Place, Subscription, implements
from virtcore.errors import NoSupport
from virtcore.operations.declare import Operation, OperationSet, inline

if TYPE_CHECKING:
    from virtcore.driver.base import Driver
    from virtcore.operations.events import Event

__all__ = ["DriverService", "Place", "ServiceDriver", "Subscription", "inline"]


class ServiceDriver(OperationSet):
    """Base class of services. An instance lives in the core loop from its first user to its last.

    Plain methods run in the worker threads of the connection that calls.

    :ivar place: where it runs: with which rights, below which root.
    """

    #: Name as messages have it, e.g. ``network``.
    name: ClassVar[str]
    #: Name of the :class:`~virtcore.errors.ErrorDomain` of its errors.
    error_domain: ClassVar[str] = "NONE"

    def __init__(self, place: Place) -> None:
        self.place = place

    async def open(self) -> None:
        """Make it ready; called once, before the first user gets it.

        :raises VirtError: it cannot be, e.g. because another process has its state.
        """

    async def settled(self) -> None:
        """Returns when what starts with the host has been started, as far as it can be."""

    async def close(self) -> None:
        """The last user has gone. What runs on the host goes on. Never raises."""

    @property
    def in_use(self) -> bool:
        """Whether there is something that a daemon which leaves when nobody needs it stays for: what works needs it, or
        would be forgotten with it."""
        return False

    def subscribe(self, deliver: Callable[[Event], None]) -> Subscription:
        """Register for every event of the service's objects. Called in the core loop.

        ``deliver`` never blocks and may be called in any thread; events of one thread keep their order.

        :raises NoSupport: the service has no events.
        """
        raise NoSupport("subscribe")

    @classmethod
    def implements(cls, operation: Operation) -> bool:
        """Whether this service has an operation."""
        return implements(cls, operation)


class DriverService(ServiceDriver):
    """Base of services that a hypervisor's driver brings itself, in a module of their own that is loaded when somebody
    asks for them (:attr:`virtcore.driver.Driver.own_services`). One instance a connection, over the driver's state.

    :ivar driver: the connection's driver.
    """

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver.place or Place(privileged=False))
        driver.complete()
        self.driver = driver
