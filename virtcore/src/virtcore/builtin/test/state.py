"""The domains of a host that does not exist."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from virtcore.builtin.test.host import DEFAULT_CELLS, DEFAULT_NODE, Cell
from virtcore.builtin.test.moments import TestMoments
from virtcore.builtin.test.opening import OpeningState
from virtcore.driver.toolkit.domains import DomainObject
from virtcore.driver.toolkit.reconfigure import ReconfigurableState
from virtcore.enums.domain import (
    DomainCreateFlags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
    DomainUndefineFlags,
)
from virtcore.enums.domain_events import (
    DomainEventResumedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
    DomainEventUndefinedDetailType,
)
from virtcore.errors import InternalError
from virtcore.operations.values import GuestTime, NodeInfo
from virtcore.types import CpuMap

if TYPE_CHECKING:
    from virtcore.builtin.test.configuration import Configuration
    from virtcore.builtin.test.interfaces import TestInterfaceTable
    from virtcore.builtin.test.networks import TestNetworkTable
    from virtcore.builtin.test.nodedev import TestDevices
    from virtcore.builtin.test.storage import TestPools
    from virtcore.builtin.test.taint import Messages
    from virtcore.driver.toolkit.nwfilters import Filters
    from virtcore.driver.toolkit.secrets import Secrets
    from virtcore.model.domain import Domain
    from virtcore.model.domain.domain import LifecycleAction
    from virtcore.model.domain.rules import DomainRules, ParseFlag
    from virtcore.types import DomainRef

__all__ = ["Guest", "Polling", "TestState"]


class Polling(NamedTuple):
    """How an I/O thread polls: longest time in ns, factors by which it grows and shrinks."""

    max_ns: int = 32768
    grow: int = 0
    shrink: int = 0


class Guest:
    """What is known of a guest beyond its configuration; it outlives the guest's runs.

    :ivar messages: warnings about it.
    :ivar frozen: file systems that are not written to.
    :ivar time: its clock, which stands still.
    :ivar polling: the I/O threads that a host's description gave it or that were added, by number.
    :ivar saved: the document of its managed save, where it was changed.
    :ivar resumed: the one that it is being started from.
    :ivar unused_vcpus: virtual CPUs that the guest has taken out of use.
    :ivar keys: authorized SSH keys of its users.
    """

    __slots__ = ("frozen", "keys", "messages", "polling", "resumed", "saved", "time", "unused_vcpus")

    def __init__(self) -> None:
        self.messages: Messages | None = None
        self.frozen: frozenset[str] = frozenset()
        self.time = GuestTime(627319920, 0)
        self.polling: dict[int, Polling] = {}
        self.saved: str | None = None
        self.resumed: str | None = None
        self.unused_vcpus: frozenset[int] = frozenset()
        self.keys: dict[str, tuple[str, ...]] = {}


class TestState(TestMoments, ReconfigurableState, OpeningState):
    """State of the test driver; nothing of it survives.

    One that was opened as :class:`OpeningState` becomes this, so there is no ``__init__``.
    """

    partial = False

    @cached_property
    def node(self) -> NodeInfo:
        """The host."""
        return DEFAULT_NODE if self.configuration is None else self.configuration.node

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Its NUMA cells; none where a file describes it."""
        return DEFAULT_CELLS if self.configuration is None else ()

    async def open(self) -> None:
        await super().open()
        if self.configuration is not None:
            await self._add_configured(self.configuration)

    async def _add_configured(self, configuration: Configuration) -> None:
        from virtcore.builtin.test.taint import messages
        from virtcore.model.domain.rules import ParseFlag

        for found in configuration.domains:
            domain = self.load(found.xml, ParseFlag.INACTIVE)
            assert domain.uuid is not None  # completion makes one
            obj = self.domains.claim(domain.name, domain.uuid)
            if not found.transient:
                self.take_definition(obj, domain)
            obj.managed_save = found.managed_save
            guest = self.guest(obj)
            guest.messages = messages(domain)
            guest.polling = {thread.id: Polling() for thread in domain.iothread_ids}
            if found.state != DomainState.SHUTOFF:
                self.activate(obj, domain)
            self.set_state(obj, found.state, 0)
            self.domains.publish(obj)
            if found.snapshots:
                await self.add_snapshots(obj, found.snapshots)
        # What cannot be read is told at once, not to whoever comes first.
        if configuration.networks:
            self.networks  # noqa: B018  # made by looking
        if configuration.interfaces:
            self.interfaces  # noqa: B018
        if configuration.pools:
            self.pools  # noqa: B018
        if configuration.devices:
            self.devices  # noqa: B018

    @cached_property
    def networks(self) -> TestNetworkTable:
        """The host's networks."""
        from virtcore.builtin.test.networks import TestNetworkTable

        return TestNetworkTable(None if self.configuration is None else self.configuration.networks)

    @cached_property
    def interfaces(self) -> TestInterfaceTable:
        """The host's interfaces."""
        from virtcore.builtin.test.interfaces import TestInterfaceTable

        return TestInterfaceTable(None if self.configuration is None else self.configuration.interfaces)

    @cached_property
    def secrets(self) -> Secrets:
        """The host's secrets; none at first."""
        from virtcore.driver.toolkit.secrets import Secrets

        return Secrets()

    @cached_property
    def filters(self) -> Filters:
        """The host's network filters; none at first."""
        from virtcore.driver.toolkit.nwfilters import Filters

        return Filters()

    @cached_property
    def pools(self) -> TestPools:
        """The host's storage pools."""
        from virtcore.builtin.test.storage import TestPools

        configured = None if self.configuration is None else self.configuration.pools
        return TestPools(configured, lambda: self.devices)

    @cached_property
    def devices(self) -> TestDevices:
        """The host's devices."""
        from virtcore.builtin.test.nodedev import TestDevices

        return TestDevices(None if self.configuration is None else self.configuration.devices)

    def guest(self, obj: DomainObject) -> Guest:
        """What is known of a guest beyond its configuration."""
        if not isinstance(obj.private, Guest):
            obj.private = Guest()
        return obj.private

    # -- hooks

    @property
    def host_cpus(self) -> CpuMap:
        node = self.node
        return CpuMap(range(node.nodes * node.sockets * node.cores * node.threads))

    async def change_guest(self, obj: DomainObject, changed: Domain) -> None:
        """There is nothing behind the configuration."""

    def make_rules(self) -> DomainRules:
        from virtcore.builtin.test.rules import TestRules

        return TestRules()

    def load(self, xml: str, flags: ParseFlag) -> Domain:
        from virtcore.builtin.test.rules import name_interfaces

        domain = super().load(xml, flags)
        name_interfaces(domain)
        return domain

    async def before_undefine(self, obj: DomainObject, flags: DomainUndefineFlags) -> None:
        await super().before_undefine(obj, flags)
        obj.managed_save = False
        self.guest(obj).saved = None

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        from virtcore.model.domain.rules import ParseFlag

        guest = self.guest(obj)
        if guest.resumed is not None:
            saved = self.load(guest.resumed, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)
            saved.id = obj.id
            obj.live = saved
        obj.managed_save = False
        guest.saved = None
        guest.unused_vcpus = frozenset()
        self.running(obj)

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        """There is nothing that could refuse to go."""

    async def undefine(self, obj: DomainObject, flags: int = 0) -> None:
        if obj.persistent:
            autostart = obj.autostart
            await super().undefine(obj, flags)
            obj.autostart = autostart  # it stays with the running guest, here
        else:  # libvirt's driver does not mind, and says so to everyone
            self.emit(obj, DomainEventType.UNDEFINED, DomainEventUndefinedDetailType.REMOVED)

    # -- running

    async def create(self, obj: DomainObject, flags: int = 0, owner: object = None) -> DomainRef:
        if obj.state != DomainState.SHUTOFF:
            raise InternalError(f"Domain '{obj.name}' is already running")
        guest = self.guest(obj)
        guest.resumed = guest.saved
        try:
            return await super().create(obj, flags, owner)
        finally:
            guest.resumed = None

    def suspend(self, obj: DomainObject) -> None:
        """Pause a guest."""
        if obj.state in (DomainState.SHUTOFF, DomainState.PAUSED):
            raise InternalError(f"domain '{obj.name}' not running")
        self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
        self.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.PAUSED)

    def resume(self, obj: DomainObject) -> None:
        """Let a paused guest run."""
        if obj.state != DomainState.PAUSED:
            raise InternalError(f"domain '{obj.name}' not paused")
        self.running(obj, DomainRunningReason.UNPAUSED)
        self.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.UNPAUSED)

    async def shut_down(self, obj: DomainObject) -> None:
        """The guest powers off at once."""
        if obj.state == DomainState.SHUTOFF:
            raise InternalError(f"domain '{obj.name}' not running")
        assert obj.live is not None
        await self._act(obj, obj.live.on_poweroff)

    async def reboot(self, obj: DomainObject) -> None:
        """The guest reboots at once."""
        obj.require_active()
        assert obj.live is not None
        await self._act(obj, obj.live.on_reboot)

    async def _act(self, obj: DomainObject, action: LifecycleAction | None) -> None:
        from virtcore.model.domain.domain import LifecycleAction

        if action in (LifecycleAction.RESTART, LifecycleAction.RENAME_RESTART):
            self.running(obj)
        else:
            await self.stopped(obj, DomainShutoffReason.SHUTDOWN, DomainEventStoppedDetailType.SHUTDOWN)
