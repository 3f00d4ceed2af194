"""Operations: devices, virtual CPUs and I/O threads that come, go and change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.changing_devices import ChangingDevices
from virtcore.driver.toolkit.reconfiguring import SettingIOThreads, SettingVcpus
from virtcore.enums import DomainDeviceModifyFlags as Modify
from virtcore.enums.domain import DomainVcpuFlags
from virtcore.enums.domain_events import DomainEventDefinedDetailType, DomainEventType
from virtcore.errors import InvalidArg, OperationInvalid, OperationUnsupported
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virt_qemu.hotplug.session import Session
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.configuration.devices import LoadedDevice
    from virtcore.enums import DomainModificationImpact
    from virtcore.model.domain import Domain

__all__ = ["DeviceOperations", "IOThreadOperations", "VcpuOperations"]

_BOTH = int(Modify.LIVE | Modify.CONFIG)


class _ChangingBoth(StatefulDriver[QemuState]):
    """What is changed of the definition, of the running guest, or of both.

    The definition is changed first, in memory: what it refuses is not done to the guest either. It is stored when the
    guest has changed.
    """

    async def _both(
        self,
        domain: DomainRef,
        operation: str,
        flags: Modify | int,
        definition: Callable[[Domain], Domain | None],
        live: Callable[[Session], Awaitable[None]],
    ) -> bool:
        """Change the definition, the running guest, or both.

        :param definition: changes the definition, or makes another one of it.
        :param live: changes the guest.
        :returns: whether the definition has changed.
        """
        state, obj, impact = self.state, self.domain(domain), int(flags) & _BOTH
        state.impact(obj, impact)  # refused before anybody waits
        async with obj.job.modify(operation), obj.config_lock:
            to_live, to_config = state.impact(obj, impact)
            changed = None
            if to_config:
                changed = state.definition(obj)
                changed = definition(changed) or changed
                state.check_readable(changed)
            if to_live:
                await self._change_guest(obj, live)
            if changed is not None:
                await state.save_definition(obj, changed)
        return to_config

    async def _change_guest(self, obj: DomainObject, change: Callable[[Session], Awaitable[None]]) -> None:
        guest = guest_of(obj)
        try:
            await change(self.state.hotplug(obj))
        except BaseException:
            # What went before the failure, such as a controller for a disk, has come to stay.
            self.state.state_changed(obj, guest)
            raise
        await self.state.save(obj, guest)


class DeviceOperations(_ChangingBoth, ChangingDevices[QemuState]):
    """Attach, detach, update."""

    async def domain_attach_device(self, domain: DomainRef, xml: str, flags: Modify | int = 0) -> None:
        from virt_qemu.hotplug.attach import plug

        self.check_flags(flags, _BOTH, "domain_attach_device", "virDomainAttachDeviceLiveAndConfig")

        async def live(session: Session) -> None:
            await plug(session, self.load_attached(session.domain, xml))

        await self._devices(domain, "domain_attach_device", flags, lambda config: self.attached(config, xml), live)

    async def domain_detach_device(self, domain: DomainRef, xml: str, flags: Modify | int = 0) -> None:
        from virt_qemu.hotplug.attach import refresh_devices
        from virt_qemu.hotplug.detach import unplug

        self.check_flags(flags, _BOTH, "domain_detach_device", "virDomainDetachDeviceLiveAndConfig")

        async def live(session: Session) -> None:
            await unplug(session, self.load_detached(session.domain, xml, inactive=False))
            await refresh_devices(session)

        await self._devices(domain, "domain_detach_device", flags, lambda config: self.detached(config, xml), live)

    async def domain_detach_device_alias(self, domain: DomainRef, alias: str, flags: Modify | int = 0) -> None:
        from virt_qemu.hotplug.detach import unplug
        from virtcore.driver.toolkit.configuration.devices import by_alias

        self.check_flags(flags, _BOTH, "domain_detach_device_alias", "virDomainDetachDeviceAliasLiveAndConfig")

        async def live(session: Session) -> None:
            # The guest is asked, and no more: that the device has gone is told by an event.
            await unplug(session, by_alias(session.domain, alias), wait=False)

        await self._devices(
            domain, "domain_detach_device_alias", flags, lambda config: self.without_alias(config, alias), live
        )

    async def domain_update_device(self, domain: DomainRef, xml: str, flags: Modify | int = 0) -> None:
        from virt_qemu.hotplug.update import exchange

        self.check_flags(flags, _BOTH | int(Modify.FORCE), "domain_update_device")

        async def live(session: Session) -> None:
            loaded = self.load_updated(session.domain, xml, True)
            await exchange(session, loaded, force=bool(int(flags) & Modify.FORCE))

        await self._devices(domain, "domain_update_device", flags, lambda config: self.updated(config, xml), live)

    def attached(self, config: Domain, xml: str) -> Domain:
        from virt_qemu.hotplug.definitions import check_attached
        from virtcore.driver.toolkit.configuration.devices import attach, check_alias

        loaded = self.load_attached(config, xml)
        check_alias(config, loaded.device)
        check_attached(config, loaded)
        attach(config, loaded)
        return self.state.completed(config)

    def exchange(self, config: Domain, loaded: LoadedDevice, live: bool) -> None:
        from virt_qemu.hotplug.definitions import update

        update(config, loaded)

    async def _devices(
        self,
        domain: DomainRef,
        operation: str,
        flags: Modify | int,
        definition: Callable[[Domain], Domain],
        live: Callable[[Session], Awaitable[None]],
    ) -> None:
        obj = self.domain(domain)
        if await self._both(domain, operation, flags, definition, live):
            self.state.emit(obj, DomainEventType.DEFINED, DomainEventDefinedDetailType.UPDATED)


class VcpuOperations(_ChangingBoth, SettingVcpus[QemuState]):
    """How many virtual CPUs a guest has, and which."""

    async def domain_set_vcpus(self, domain: DomainRef, nvcpus: int, flags: DomainVcpuFlags | int = 0) -> None:
        from virt_qemu.hotplug import vcpu_definitions, vcpus
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_zero, require_with
        from virtcore.driver.toolkit.configuration.vcpus import set_maximum

        operation, flags, known = "domain_set_vcpus", int(flags), DomainVcpuFlags
        config_flag = ("VIR_DOMAIN_AFFECT_CONFIG", int(known.CONFIG))
        require_with(flags, ("VIR_DOMAIN_VCPU_MAXIMUM", int(known.MAXIMUM)), config_flag)
        refuse_both(flags, ("VIR_DOMAIN_VCPU_GUEST", int(known.GUEST)), config_flag)
        refuse_zero(nvcpus, "nvcpus", operation)
        self.check_flags(flags, _BOTH | known.MAXIMUM | known.GUEST | known.HOTPLUGGABLE, operation)
        if flags & known.GUEST:
            await self._set_used_vcpus(domain, nvcpus)
            return
        maximum = bool(flags & known.MAXIMUM)

        def definition(config: Domain) -> None:
            if maximum:
                _check_topology(config, nvcpus)
                set_maximum(config, nvcpus)
                return
            if nvcpus > config.vcpu_maximum:
                raise InvalidArg(_too_many("persistent", nvcpus, config.vcpu_maximum))
            vcpu_definitions.set_count(config, nvcpus, bool(flags & known.HOTPLUGGABLE))

        async def live(session: Session) -> None:
            if maximum:
                raise OperationInvalid("maximum vcpu count of a live domain can't be modified")
            most = session.domain.vcpu_maximum
            if nvcpus > most:
                raise InvalidArg(_too_many("live", nvcpus, most))
            await vcpus.set_count(session, await vcpus.ask(session.monitor, most), nvcpus)

        await self._both(domain, operation, flags, definition, live)

    async def _set_used_vcpus(self, domain: DomainRef, count: int) -> None:
        """Have the guest use as many virtual CPUs.

        :raises InvalidArg: it has not got as many.
        """
        from virt_qemu.agent.commands import set_vcpu_count

        obj = self.domain(domain)
        agent = self.state.agent_of(obj)
        present = self.state.config(obj, 1).vcpu_count
        if count > present:
            raise InvalidArg(
                f"requested vcpu count is greater than the count of enabled vcpus in the domain: {count} > {present}"
            )
        await set_vcpu_count(agent, count)

    async def domain_set_vcpu(
        self, domain: DomainRef, vcpumap: str, state: bool, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virt_qemu.hotplug import vcpu_definitions, vcpus
        from virtcore.xml import CpuSet
        from virtcore.xml.scalars import Unreadable

        operation = "domain_set_vcpu"
        self.check_flags(flags, _BOTH, operation)
        try:
            numbers = frozenset(CpuSet.parse(vcpumap))
        except Unreadable:
            raise InvalidArg(f"Failed to parse bitmap '{vcpumap}'") from None
        if not numbers:
            raise InvalidArg("no vcpus selected for modification")

        def definition(config: Domain) -> None:
            if max(numbers) >= config.vcpu_maximum:
                raise InvalidArg(f"vcpu {max(numbers)} is not present in persistent config")
            vcpu_definitions.check_states(config, numbers)
            vcpu_definitions.set_states(config, numbers, state)

        async def live(session: Session) -> None:
            if max(numbers) >= session.domain.vcpu_maximum:
                raise InvalidArg(f"vcpu {max(numbers)} is not present in live config")
            if not vcpus.is_supported(session):
                raise OperationUnsupported("this qemu version does not support specific vCPU hotplug")
            found = await vcpus.ask(session.monitor, session.domain.vcpu_maximum)
            await vcpus.set_state(session, found, vcpus.check_states(found, numbers, state), state)

        await self._both(domain, operation, flags, definition, live)


class IOThreadOperations(_ChangingBoth, SettingIOThreads[QemuState]):
    """How I/O threads work. That they come and go is a change of the configuration like others."""

    one_at_once = False

    async def domain_set_iothread_parameters(
        self, domain: DomainRef, iothread_id: int, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virt_qemu.hotplug.iothreads import check_parameters, set_parameters, take_parameters
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.iothreads import require
        from virtcore.operations.parameters import IOTHREAD

        operation = "domain_set_iothread_parameters"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        if iothread_id == 0:
            raise InvalidArg("invalid value of 0 for iothread_id")
        IOTHREAD.validate(params)
        check_parameters(params)

        def definition(config: Domain) -> None:
            take_parameters(config, iothread_id, params)

        async def live(session: Session) -> None:
            require(session.domain, iothread_id)
            await set_parameters(session.guest, iothread_id, params)
            take_parameters(session.domain, iothread_id, params)
            session.obj.touch()

        await self._both(domain, operation, flags, definition, live)


def _too_many(which: str, count: int, most: int) -> str:
    return f"requested vcpus is greater than max allowable vcpus for the {which} domain: {count} > {most}"


def _check_topology(config: Domain, maximum: int) -> None:
    """Refuse a number of virtual CPUs that the topology does not have."""
    numa = config.cpu.numa if config.cpu is not None else None
    if numa is not None and sum(len(cell.cpus or ()) for cell in numa.cells) > maximum:
        raise InvalidArg("Number of CPUs in <numa> exceeds the desired maximum vcpu count")
    topology = config.cpu.topology if config.cpu is not None else None
    if topology is not None and topology.total != maximum:
        raise InvalidArg("CPU topology doesn't match the desired vcpu count")
