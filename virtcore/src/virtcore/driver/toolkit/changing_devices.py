"""Devices that come, go and change: in definitions alike for every stateful driver, in running guests as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.driver.toolkit.reconfiguring import R, Reconfiguring
from virtcore.enums.domain_events import DomainEventDefinedDetailType, DomainEventType
from virtcore.errors import OperationUnsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtcore.driver.toolkit.configuration.devices import LoadedDevice
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.enums import DomainDeviceModifyFlags
    from virtcore.model.domain import Domain
    from virtcore.model.domain.rules import ParseFlag
    from virtcore.types import DomainRef

__all__ = ["ChangingDevices"]

_BOTH = 3  # DomainModificationImpact: the running guest and its definition


class ChangingDevices(Reconfiguring[R]):
    """Attach, detach, update."""

    # -- hooks: what the driver does with running guests; they change the configuration that they are given

    def plug(self, config: Domain, loaded: LoadedDevice) -> None:
        """Hook: add a device to the live configuration, with an alias, or refuse it."""
        raise OperationUnsupported(f"live attach of device '{loaded.kind}' is not supported")

    def unplug(self, config: Domain, found: LoadedDevice) -> None:
        """Hook: take a device out of the live configuration, or refuse to."""
        raise OperationUnsupported(f"live detach of device '{found.kind}' is not supported")

    def exchange(self, config: Domain, loaded: LoadedDevice, live: bool) -> None:
        """Hook: change a device of a configuration, or refuse to."""
        where = "live" if live else "persistent"
        raise OperationUnsupported(f"{where} update of device '{loaded.kind}' is not supported")

    # -- operations

    async def domain_attach_device(self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0) -> None:
        from virtcore.operations.events import DomainDeviceAddedEvent

        self.check_flags(flags, _BOTH, "domain_attach_device", "virDomainAttachDeviceLiveAndConfig")
        added: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            if not live:
                return self.attached(config, xml)
            loaded = self.load_attached(config, xml)
            self.plug(config, loaded)
            added.append(loaded)
            return None

        obj = await self._change_devices(domain, "domain_attach_device", int(flags), change)
        for alias in filter(None, (one.alias for one in added)):
            self.state.events.emit(DomainDeviceAddedEvent(obj.ref, alias))

    async def domain_update_device(self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0) -> None:
        self.check_flags(flags, _BOTH, "domain_update_device")

        def change(config: Domain, live: bool) -> Domain | None:
            if not live:
                return self.updated(config, xml)
            self.exchange(config, self.load_updated(config, xml, live), live)
            return None

        await self._change_devices(domain, "domain_update_device", int(flags), change)

    async def domain_detach_device(self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0) -> None:
        from virtcore.driver.toolkit.configuration.devices import matching

        self.check_flags(flags, _BOTH, "domain_detach_device", "virDomainDetachDeviceLiveAndConfig")
        removed: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            if not live:
                return self.detached(config, xml)
            found = matching(config, self.load_detached(config, xml, inactive=True))
            self.unplug(config, found)
            removed.append(found)
            return None

        obj = await self._change_devices(domain, "domain_detach_device", int(flags), change)
        self._tell_removed(obj, removed)

    async def domain_detach_device_alias(
        self, domain: DomainRef, alias: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.devices import by_alias

        self.check_flags(flags, _BOTH, "domain_detach_device_alias", "virDomainDetachDeviceAliasLiveAndConfig")
        removed: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            if not live:
                return self.without_alias(config, alias)
            found = by_alias(config, alias)
            self.unplug(config, found)
            removed.append(found)
            return None

        obj = await self._change_devices(domain, "domain_detach_device_alias", int(flags), change)
        self._tell_removed(obj, removed)

    # -- devices as documents describe them

    def load_attached(self, config: Domain, xml: str) -> LoadedDevice:
        """A device that is to join a configuration."""
        from virtcore.model.domain.rules import ParseFlag

        return self._load_device(xml, config, ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE)

    def load_detached(self, config: Domain, xml: str, *, inactive: bool) -> LoadedDevice:
        """A description of a device of a configuration that is to go.

        :param inactive: it has nothing that only devices of running guests have.
        """
        from virtcore.model.domain.rules import ParseFlag

        return self._load_device(xml, config, ParseFlag.SKIP_VALIDATE | (ParseFlag.INACTIVE if inactive else 0))

    def load_updated(self, config: Domain, xml: str, live: bool) -> LoadedDevice:
        """What a device of a configuration is to become."""
        from virtcore.model.domain.rules import ParseFlag

        return self._load_device(xml, config, ParseFlag.NONE if live else ParseFlag.INACTIVE)

    # -- definitions that are changed so

    def attached(self, config: Domain, xml: str) -> Domain:
        """A definition with a further device, completed."""
        from virtcore.driver.toolkit.configuration.devices import attach

        attach(config, self.load_attached(config, xml))
        return self.state.completed(config)

    def detached(self, config: Domain, xml: str) -> Domain:
        """A definition without the device that a document describes."""
        from virtcore.driver.toolkit.configuration.devices import detach

        detach(config, self.load_detached(config, xml, inactive=True))
        return self.state.completed(config)

    def without_alias(self, config: Domain, alias: str) -> Domain:
        """A definition without the device of an alias."""
        from virtcore.driver.toolkit.configuration.devices import by_alias, remove

        remove(config, by_alias(config, alias))
        return self.state.completed(config)

    def updated(self, config: Domain, xml: str) -> Domain:
        """A definition in which a device has changed."""
        self.exchange(config, self.load_updated(config, xml, False), False)
        return self.state.completed(config)

    def _load_device(self, xml: str, config: Domain, flags: ParseFlag) -> LoadedDevice:
        from virtcore.driver.toolkit.configuration.devices import load_device

        return load_device(xml, config, self.state.rules, self.state.context(flags))

    async def _change_devices(
        self, domain: DomainRef, operation: str, flags: int, change: Callable[[Domain, bool], Domain | None]
    ) -> DomainObject:
        obj = self.domain(domain)
        _, config = self.state.impact(obj, flags)
        await self.state.reconfigure(obj, operation, flags, change)
        if config:
            self.state.emit(obj, DomainEventType.DEFINED, DomainEventDefinedDetailType.UPDATED)
        return obj

    def _tell_removed(self, obj: DomainObject, removed: list[LoadedDevice]) -> None:
        from virtcore.operations.events import DomainDeviceRemovedEvent

        for alias in filter(None, (one.alias for one in removed)):
            self.state.events.emit(DomainDeviceRemovedEvent(obj.ref, alias))
