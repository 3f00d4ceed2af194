"""Settings of domains that are alike for every stateful driver: names, virtual CPUs, memory, I/O threads, limits.

A driver takes the classes whose operations it has::

    class ToyDriver(Describing[ToyState], SettingMemory[ToyState]): ...

Their state is a :class:`~virtcore.driver.toolkit.reconfigure.ReconfigurableState`, whose hook
``change_guest`` brings changes to running guests; definitions change without further ado.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from virtcore.driver.toolkit.reconfigure import ReconfigurableState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.operations.declare import Result, inline
from virtcore.types import CpuMap, DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.driver.toolkit.reconfigure import Change
    from virtcore.enums import (
        DomainLifecycle,
        DomainLifecycleAction,
        DomainMemoryModFlags,
        DomainMetadataType,
        DomainModificationImpact,
        DomainVcpuFlags,
    )
    from virtcore.model.domain import Domain, Interface
    from virtcore.operations.values import IOThreadInfo

__all__ = [
    "Describing",
    "R",
    "Reconfiguring",
    "SettingIOThreads",
    "SettingLimits",
    "SettingMemory",
    "SettingVcpus",
]

R = TypeVar("R", bound=ReconfigurableState)

_BOTH = 3  # DomainModificationImpact: the running guest and its definition


class Reconfiguring(StatefulDriver[R]):
    """What the classes below have in common."""

    #: Most settings change in the running guest or in its definition, not in both at once.
    one_at_once: ClassVar[bool] = True

    async def _change(
        self,
        domain: DomainRef,
        operation: str,
        flags: int,
        change: Change,
        *,
        one: bool | None = None,
        guest: bool = True,
    ) -> None:
        """Change a domain's live configuration or its definition, where ``flags`` beyond both were looked at.

        :param one: not both at once; None as :attr:`one_at_once` says.
        """
        obj, one = self.domain(domain), self.one_at_once if one is None else one
        await self.state.reconfigure(obj, operation, flags & _BOTH, change, one=one, guest=guest)

    def _one_config(self, domain: DomainRef, operation: str, flags: int) -> Domain:
        """The live configuration or a copy of the definition; not both."""
        self.check_flags(flags, _BOTH, operation)
        obj = self.domain(domain)
        self.state.impact(obj, int(flags), one=True)
        return self.state.config(obj, int(flags))


class Describing(Reconfiguring[R]):
    """Name, title, description, metadata, and what happens when a guest ends."""

    async def domain_rename(self, domain: DomainRef, new_name: str | None, flags: int = 0) -> None:
        from virtcore.driver.toolkit.arguments import refuse_empty, refuse_missing

        refuse_missing(new_name, "new_name", "domain_rename")
        assert new_name is not None
        refuse_empty(new_name, "new_name", "domain_rename")
        self.check_flags(flags, 0, "domain_rename")
        await self.state.rename(self.domain(domain), new_name)

    async def domain_set_metadata(
        self,
        domain: DomainRef,
        type: DomainMetadataType | int,
        metadata: str | None,
        key: str | None = None,
        uri: str | None = None,
        flags: DomainModificationImpact | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.configuration.description import check_metadata, set_metadata
        from virtcore.enums.domain import DomainMetadataType
        from virtcore.operations.events import DomainMetadataChangeEvent

        operation = "domain_set_metadata"
        check_metadata(type, metadata, key, uri, operation)
        self.check_flags(flags, _BOTH, operation)
        obj = self.domain(domain)

        def change(config: Domain, live: bool) -> None:
            set_metadata(config, type, metadata, key, uri)

        await self._change(domain, operation, int(flags), change, one=False, guest=False)
        self.state.events.emit(DomainMetadataChangeEvent(obj.ref, DomainMetadataType(type), uri))

    async def domain_set_lifecycle_action(
        self,
        domain: DomainRef,
        type: DomainLifecycle | int,
        action: DomainLifecycleAction | int,
        flags: DomainModificationImpact | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.configuration.description import lifecycle_field

        operation = "domain_set_lifecycle_action"
        field, value = lifecycle_field(type, action, lambda: self.check_flags(flags, _BOTH, operation))

        def change(config: Domain, live: bool) -> None:
            setattr(config, field, value)
            self.check_lifecycle(config)

        await self._change(domain, operation, int(flags), change, one=False)

    def check_lifecycle(self, config: Domain) -> None:
        """Hook: refuse what cannot be done at a guest's end."""


class SettingVcpus(Reconfiguring[R]):
    """Virtual CPUs: how many, and where they and the emulator run."""

    async def domain_set_vcpus(self, domain: DomainRef, nvcpus: int, flags: DomainVcpuFlags | int = 0) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_zero, require_with
        from virtcore.driver.toolkit.configuration.vcpus import set_count, set_maximum
        from virtcore.enums.domain import DomainVcpuFlags

        operation, flags = "domain_set_vcpus", int(flags)
        config_flag = ("VIR_DOMAIN_AFFECT_CONFIG", int(DomainVcpuFlags.CONFIG))
        require_with(flags, ("VIR_DOMAIN_VCPU_MAXIMUM", int(DomainVcpuFlags.MAXIMUM)), config_flag)
        refuse_both(flags, ("VIR_DOMAIN_VCPU_GUEST", int(DomainVcpuFlags.GUEST)), config_flag)
        refuse_zero(nvcpus, "nvcpus", operation)
        self.check_flags(flags, _BOTH | DomainVcpuFlags.MAXIMUM, operation)
        await self.check_vcpus(nvcpus)

        def change(config: Domain, live: bool) -> None:
            if flags & DomainVcpuFlags.MAXIMUM and not live:
                set_maximum(config, nvcpus)
            else:
                set_count(config, nvcpus)

        await self._change(domain, operation, flags, change, one=False)

    async def check_vcpus(self, count: int) -> None:
        """Hook: refuse more virtual CPUs than any guest may have."""

    async def domain_set_vcpu(
        self, domain: DomainRef, vcpumap: str, state: bool, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.vcpus import set_online
        from virtcore.errors import InvalidArg
        from virtcore.xml import CpuSet
        from virtcore.xml.scalars import Unreadable

        operation = "domain_set_vcpu"
        self.check_flags(flags, _BOTH, operation)
        try:
            numbers = CpuSet.parse(vcpumap)
        except Unreadable:
            raise InvalidArg(f"Failed to parse bitmap '{vcpumap}'") from None
        if not numbers:
            raise InvalidArg("no vcpus selected for modification")
        await self._change(
            domain, operation, int(flags), lambda config, live: set_online(config, numbers, state), one=False
        )

    @inline
    def domain_vcpu_pin_info(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> list[CpuMap]:
        from virtcore.driver.toolkit.configuration.vcpus import pins

        return pins(self._one_config(domain, "domain_vcpu_pin_info", flags), self.state.host_cpus)

    async def domain_pin_vcpu(
        self, domain: DomainRef, vcpu: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.vcpus import pin_vcpu

        self.check_flags(flags, _BOTH, "domain_pin_vcpu")
        await self._change(
            domain, "domain_pin_vcpu", int(flags), lambda config, live: pin_vcpu(config, vcpu, cpumap), one=False
        )

    @inline
    def domain_emulator_pin_info(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> CpuMap:
        from virtcore.driver.toolkit.configuration.vcpus import emulator_pin

        return emulator_pin(self._one_config(domain, "domain_emulator_pin_info", flags), self.state.host_cpus)

    async def domain_pin_emulator(
        self, domain: DomainRef, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.vcpus import pin_emulator

        self.check_flags(flags, _BOTH, "domain_pin_emulator")
        await self._change(domain, "domain_pin_emulator", int(flags), lambda config, live: pin_emulator(config, cpumap))


class SettingIOThreads(Reconfiguring[R]):
    """I/O threads."""

    @inline
    def domain_iothreads(
        self, domain: DomainRef, flags: DomainModificationImpact | int = 0
    ) -> Result[Sequence[IOThreadInfo]]:
        from virtcore.driver.toolkit.configuration.iothreads import iothreads

        return iothreads(self._one_config(domain, "domain_iothreads", flags))

    async def domain_add_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.iothreads import add
        from virtcore.errors import InvalidArg

        self.check_flags(flags, _BOTH, "domain_add_iothread")
        if iothread_id == 0:
            raise InvalidArg("invalid value of 0 for iothread_id")
        await self._change(
            domain,
            "domain_add_iothread",
            int(flags),
            lambda config, live: add(config, iothread_id),
        )

    async def domain_del_iothread(
        self, domain: DomainRef, iothread_id: int, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_zero
        from virtcore.driver.toolkit.configuration.iothreads import remove

        refuse_zero(iothread_id, "iothread_id", "domain_del_iothread")
        self.check_flags(flags, _BOTH, "domain_del_iothread")
        await self._change(
            domain,
            "domain_del_iothread",
            int(flags),
            lambda config, live: remove(config, iothread_id),
        )

    async def domain_pin_iothread(
        self, domain: DomainRef, iothread_id: int, cpumap: CpuMap, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.iothreads import pin

        self.check_flags(flags, _BOTH, "domain_pin_iothread")
        await self._change(
            domain,
            "domain_pin_iothread",
            int(flags),
            lambda config, live: pin(config, iothread_id, cpumap),
        )


class SettingMemory(Reconfiguring[R]):
    """Memory: how much, its limits, where on the host it is."""

    async def domain_set_memory(self, domain: DomainRef, memory: int, flags: DomainMemoryModFlags | int = 0) -> None:
        from virtcore.driver.toolkit.arguments import refuse_zero
        from virtcore.driver.toolkit.configuration.memory import set_current, set_maximum
        from virtcore.enums.domain_more import DomainMemoryModFlags

        operation, flags = "domain_set_memory", int(flags)
        refuse_zero(memory, "memory", operation)
        self.check_flags(flags, _BOTH | DomainMemoryModFlags.MAXIMUM, operation)

        def change(config: Domain, live: bool) -> None:
            if flags & DomainMemoryModFlags.MAXIMUM:
                set_maximum(config, memory, live)
            else:
                set_current(config, memory)

        await self._change(domain, operation, flags, change)

    async def domain_set_memory_stats_period(
        self, domain: DomainRef, period: int, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_negative
        from virtcore.driver.toolkit.configuration.memory import set_stats_period

        operation = "domain_set_memory_stats_period"
        refuse_negative(period, "period", operation)
        self.check_flags(flags, _BOTH, operation)
        await self._change(domain, operation, int(flags), lambda config, live: set_stats_period(config, period))

    @inline
    def domain_memory_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.stateful import memory_parameters

        return memory_parameters(self._one_config(domain, "domain_memory_parameters", flags))

    async def domain_set_memory_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.memory import set_parameters
        from virtcore.operations.parameters import MEMORY

        operation = "domain_set_memory_parameters"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        MEMORY.validate(params, "hard_limit", "soft_limit", "swap_hard_limit")
        await self._change(domain, operation, int(flags), lambda config, live: set_parameters(config, params))

    @inline
    def domain_numa_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.memory import numa_parameters

        return numa_parameters(self._one_config(domain, "domain_numa_parameters", flags))

    async def domain_set_numa_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.memory import set_numa_parameters
        from virtcore.operations.parameters import NUMA

        operation = "domain_set_numa_parameters"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        NUMA.validate(params)
        await self._change(
            domain, operation, int(flags), lambda config, live: set_numa_parameters(config, params, live)
        )


class SettingLimits(Reconfiguring[R]):
    """Limits of I/O and bandwidth, performance events."""

    @inline
    def domain_blkio_parameters(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.blkio import blkio_parameters

        return blkio_parameters(self._one_config(domain, "domain_blkio_parameters", flags))

    async def domain_set_blkio_parameters(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.configuration.blkio import set_blkio_parameters
        from virtcore.operations.parameters import BLKIO

        operation = "domain_set_blkio_parameters"
        self.check_flags(flags, _BOTH, operation)
        BLKIO.validate(params)
        await self._change(domain, operation, int(flags), lambda config, live: set_blkio_parameters(config, params))

    @inline
    def domain_perf_events(self, domain: DomainRef, flags: DomainModificationImpact | int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.perf import perf_events

        return perf_events(self._one_config(domain, "domain_perf_events", flags))

    async def domain_set_perf_events(
        self, domain: DomainRef, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.perf import set_perf_events
        from virtcore.operations.parameters import PERF

        operation = "domain_set_perf_events"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        PERF.validate(params)
        await self._change(domain, operation, int(flags), lambda config, live: set_perf_events(config, params))

    @inline
    def domain_interface_parameters(
        self, domain: DomainRef, device: str, flags: DomainModificationImpact | int = 0
    ) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.interfaces import bandwidth, find_interface

        return bandwidth(find_interface(self._one_config(domain, "domain_interface_parameters", flags), device))

    async def domain_set_interface_parameters(
        self, domain: DomainRef, device: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.interfaces import find_interface, set_bandwidth
        from virtcore.operations.parameters import BANDWIDTH

        operation = "domain_set_interface_parameters"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        BANDWIDTH.validate(params)

        def change(config: Domain, live: bool) -> None:
            interface = find_interface(config, device)
            self.check_bandwidth(interface)
            set_bandwidth(interface, params)

        await self._change(domain, operation, int(flags), change)

    def check_bandwidth(self, interface: Interface) -> None:
        """Hook: refuse an interface whose bandwidth cannot be limited."""

    async def domain_block_iotune(
        self, domain: DomainRef, disk: str | None = None, flags: DomainModificationImpact | int = 0
    ) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.disks import find_disk, iotune
        from virtcore.errors import InvalidArg

        config = self._one_config(domain, "domain_block_iotune", flags)
        if disk is None:  # how many limits there are is asked before they are asked for
            return iotune(None)
        found = find_disk(config, disk, ambiguous=True)
        if found is None:
            raise InvalidArg(f"disk '{disk}' was not found in the domain config")
        return iotune(found)

    async def domain_set_block_iotune(
        self, domain: DomainRef, disk: str, params: TypedParameters, flags: DomainModificationImpact | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_none
        from virtcore.driver.toolkit.configuration.disks import find_disk, set_iotune
        from virtcore.errors import InvalidArg
        from virtcore.operations.parameters import BLOCK_IOTUNE

        operation = "domain_set_block_iotune"
        refuse_none(params, "nparams", operation)
        self.check_flags(flags, _BOTH, operation)
        BLOCK_IOTUNE.validate(params)

        def change(config: Domain, live: bool) -> None:
            found = find_disk(config, disk, ambiguous=True)
            if found is None:
                raise InvalidArg(f"missing persistent configuration for disk '{disk}'")
            set_iotune(found, params)

        await self._change(domain, operation, int(flags), change)
