"""A running guest whose devices change, and the host that it runs on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from virt_qemu.command import overrides_of
from virt_qemu.command.line import HostSettings
from virt_qemu.hotplug.builder import OpenedResources, PlanBuilder
from virtcore.driver.toolkit.configuration.devices import LoadedDevice, insert
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import Monitor
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.graphics import RDPGraphics
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.rules import DomainContext, DomainRules, ParseFlag
    from virtcore.operations.events import Event

__all__ = ["GuestHost", "Session", "kind_of"]


def kind_of(device: object) -> str:
    """What tells elements of a name apart, as messages spell it: type of a controller, mode of a host device."""
    tag = declaration(type(device)).tag
    return str(tag[0] if isinstance(tag, tuple) else tag)


class GuestHost(Protocol):
    """What a guest's devices need of the host."""

    settings: HostSettings
    privileged: bool

    def open(self) -> AbstractContextManager[OpenedResources]:
        """A context in which things are opened for QEMU; what is open at its end is closed here."""

    def key(self, guest: Guest) -> bytes | None:
        """The guest's key for secrets."""

    async def tell_credentials(self, guest: Guest, graphics: RDPGraphics) -> None:
        """Tell the program that serves a display by RDP who may log in.

        :raises VirtError: it refuses.
        """

    def display_password(self, protocol: str) -> str | None:
        """The password of displays (``vnc``, ``spice``) that have none of their own; None: they need none."""

    async def prepare(self, guest: Guest, domain: Domain, device: Any, opened: OpenedResources) -> None:
        """Make what a device needs of the host, as a start does for all devices. Images of a disk get their numbers.

        :param domain: the guest with the device.
        :param opened: gets what QEMU is to be handed.
        :raises VirtError: it cannot be had; nothing is left of it.
        """

    async def release(self, guest: Guest, domain: Domain, device: Any) -> None:
        """Take away what was made for a device that has gone, or that QEMU refused. Never raises."""

    async def place_threads(self, guest: Guest, domain: Domain, vcpus: list[int]) -> None:
        """Put the threads of virtual CPUs that have joined where the guest's configuration wants them."""

    async def join_network(self, guest: Guest, domain: Domain, interface: Interface) -> None:
        """Find out from its network what an interface really is; nothing for others.

        :raises VirtError: the network does not take it.
        """

    async def leave_network(self, interface: Interface) -> None:
        """Undo that. Never raises."""

    async def change_interface(
        self, guest: Guest, domain: Domain, old: Interface, new: Interface, changes: frozenset[str]
    ) -> None:
        """Change what is on the host of an interface.

        :param changes: of ``bandwidth``, ``bridge``, ``isolation``, ``filter``, ``coalesce`` and ``vlan``.
        :raises VirtError: it cannot be changed so; it is as it was.
        """


@dataclass(slots=True, kw_only=True)
class Session:
    """Changes of one guest's devices. The domain's job is held meanwhile.

    :ivar rules: the driver's, which complete and check what joins.
    :ivar context: how they are to.
    :ivar tell: emits an event.
    :ivar foresee: begins to write the status that the guest will have: told what it will be, and the aliases of devices
        that QEMU will have come to have.
    :ivar unplug_limit: seconds that the guest has to let go of a device before its end is no longer waited for.
    """

    obj: DomainObject
    guest: Guest
    host: GuestHost
    rules: DomainRules
    context: Callable[[ParseFlag], DomainContext]
    tell: Callable[[Event], None]
    foresee: Callable[[Domain, Iterable[str]], None] = lambda domain, aliases: None
    unplug_limit: float = 5.0

    @property
    def domain(self) -> Domain:
        """The guest's configuration; it changes in place, and only when QEMU has agreed."""
        assert self.obj.live is not None
        return self.obj.live

    @property
    def devices(self) -> Devices:
        """The guest's devices."""
        devices = self.domain.devices
        assert devices is not None
        return devices

    @property
    def capabilities(self) -> EmulatorCapabilities:
        """What the guest's emulator can do."""
        assert self.guest.capabilities is not None
        return self.guest.capabilities

    @property
    def monitor(self) -> Monitor:
        """The channel to QEMU.

        :raises OperationFailed: there is none.
        """
        return self.guest.channel()

    def joined(self, *loaded: LoadedDevice) -> Domain:
        """The guest with further devices: another configuration, of the same devices."""
        domain = copy.copy(self.domain)
        devices = domain.devices = copy.copy(self.devices)
        for one in loaded:
            held = getattr(devices, one.field)
            if isinstance(held, list):
                setattr(devices, one.field, list(held))
            insert(domain, one)
        return domain

    def builder(self, domain: Domain, opened: OpenedResources) -> PlanBuilder:
        """What makes plans for devices of a configuration.

        :param opened: of the host.
        """
        guest = self.guest
        return PlanBuilder(
            domain=domain,
            capabilities=self.capabilities,
            resources=opened,
            opened=opened,
            state_folder=str(guest.folder),
            monitor=-1,
            privileged=self.host.privileged,
            host=self.host.settings,
            key=self.host.key(guest),
            overrides=overrides_of(domain),
            next_set=guest.next_fdset or 0,
        )
