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
        from virtcore.driver.toolkit.configuration.devices import attach
        from virtcore.model.domain.rules import ParseFlag
        from virtcore.operations.events import DomainDeviceAddedEvent

        self.check_flags(flags, _BOTH, "domain_attach_device", "virDomainAttachDeviceLiveAndConfig")
        how = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE
        added: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            loaded = self._load_device(xml, config, how)
            if live:
                self.plug(config, loaded)
                added.append(loaded)
                return None
            attach(config, loaded)
            return self.state.completed(config)

        obj = await self._change_devices(domain, "domain_attach_device", int(flags), change)
        for alias in filter(None, (one.alias for one in added)):
            self.state.events.emit(DomainDeviceAddedEvent(obj.ref, alias))

    async def domain_update_device(self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0) -> None:
        from virtcore.model.domain.rules import ParseFlag

        self.check_flags(flags, _BOTH, "domain_update_device")

        def change(config: Domain, live: bool) -> Domain | None:
            loaded = self._load_device(xml, config, ParseFlag.NONE if live else ParseFlag.INACTIVE)
            self.exchange(config, loaded, live)
            return None if live else self.state.completed(config)

        await self._change_devices(domain, "domain_update_device", int(flags), change)

    async def domain_detach_device(self, domain: DomainRef, xml: str, flags: DomainDeviceModifyFlags | int = 0) -> None:
        from virtcore.driver.toolkit.configuration.devices import detach, matching
        from virtcore.model.domain.rules import ParseFlag

        self.check_flags(flags, _BOTH, "domain_detach_device", "virDomainDetachDeviceLiveAndConfig")
        how = ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE
        removed: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            loaded = self._load_device(xml, config, how)
            if live:
                found = matching(config, loaded)
                self.unplug(config, found)
                removed.append(found)
                return None
            detach(config, loaded)
            return self.state.completed(config)

        obj = await self._change_devices(domain, "domain_detach_device", int(flags), change)
        self._tell_removed(obj, removed)

    async def domain_detach_device_alias(
        self, domain: DomainRef, alias: str, flags: DomainDeviceModifyFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.devices import by_alias, remove

        self.check_flags(flags, _BOTH, "domain_detach_device_alias", "virDomainDetachDeviceAliasLiveAndConfig")
        removed: list[LoadedDevice] = []

        def change(config: Domain, live: bool) -> Domain | None:
            found = by_alias(config, alias)
            if live:
                self.unplug(config, found)
                removed.append(found)
                return None
            remove(config, found)
            return self.state.completed(config)

        obj = await self._change_devices(domain, "domain_detach_device_alias", int(flags), change)
        self._tell_removed(obj, removed)

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
