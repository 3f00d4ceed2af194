"""What libvirt's test driver has not got, and guests that do not exist can do all the same: sleep, tell of themselves,
take virtual CPUs out of use, keep keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.builtin.test.agent import AgentParts
from virtcore.builtin.test.inspecting import InspectingParts
from virtcore.enums.common import TypedParameterType
from virtcore.enums.domain import DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import (
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventType,
)
from virtcore.errors import ArgumentUnsupported, InvalidArg, OperationInvalid
from virtcore.operations.declare import inline
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.enums import DomainAuthorizedSSHKeysSetFlags, DomainGuestInfoTypes, NodeSuspendTarget
    from virtcore.types import DomainRef

__all__ = ["BeyondParts"]

_APPEND = ("VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND", 1)
_REMOVE = ("VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE", 2)


class BeyondParts(AgentParts, InspectingParts):
    """Operations beside those of libvirt's driver."""

    # -- sleep

    async def domain_pm_suspend(
        self, domain: DomainRef, target: NodeSuspendTarget | int, duration: int = 0, flags: int = 0
    ) -> None:
        from virtcore.enums.host import NodeSuspendTarget
        from virtcore.operations.events import DomainPMSuspendDiskEvent, DomainPMSuspendEvent

        self.check_flags(flags, 0, "domain_pm_suspend")
        if duration:
            raise ArgumentUnsupported("Duration not supported. Use 0 for now")
        if target not in NodeSuspendTarget.__members__.values():
            raise InvalidArg(f"Unknown suspend target: {int(target)}")
        obj = self.domain(domain)
        async with obj.job.modify("domain_pm_suspend"):
            if obj.state != DomainState.RUNNING:
                raise OperationInvalid("domain is not running")
            if target == NodeSuspendTarget.DISK:
                self.state.events.emit(DomainPMSuspendDiskEvent(obj.ref))
                shut_down = DomainEventStoppedDetailType.SHUTDOWN
                await self.state.stopped(obj, DomainShutoffReason.SHUTDOWN, shut_down)
                return
            self.state.set_state(obj, DomainState.PMSUSPENDED, 0)
            self.state.emit(obj, DomainEventType.PMSUSPENDED, 0)
            self.state.events.emit(DomainPMSuspendEvent(obj.ref))

    async def domain_pm_wakeup(self, domain: DomainRef, flags: int = 0) -> None:
        from virtcore.operations.events import DomainPMWakeupEvent

        self.check_flags(flags, 0, "domain_pm_wakeup")
        obj = self.domain(domain)
        async with obj.job.modify("domain_pm_wakeup"):
            obj.require_active()
            if obj.state != DomainState.PMSUSPENDED:
                raise OperationInvalid("domain is not suspended")
            self.state.running(obj, DomainRunningReason.WAKEUP)
            self.state.emit(obj, DomainEventType.STARTED, DomainEventStartedDetailType.WAKEUP)
            self.state.events.emit(DomainPMWakeupEvent(obj.ref))

    # -- what the agent tells

    async def domain_guest_info(
        self, domain: DomainRef, types: DomainGuestInfoTypes | int = 0, flags: int = 0
    ) -> TypedParameters:
        from virtcore.enums.domain_more import DomainGuestInfoTypes as Types

        self.check_flags(flags, 0, "domain_guest_info")
        self.live_config(domain)
        known = Types.HOSTNAME | Types.FILESYSTEM | Types.INTERFACES
        if types & ~known:
            raise InvalidArg(f"unsupported guest information types '0x{int(types) & ~int(known):x}'")
        wanted = types or known
        rows = TypedParameters()
        text, number = TypedParameterType.STRING, TypedParameterType.UINT
        if wanted & Types.HOSTNAME:
            rows.add("hostname", text, self.domain_hostname(domain))
        if wanted & Types.FILESYSTEM:
            systems = await self.domain_fs_info(domain)
            rows.add("fs.count", number, len(systems))
            for place, system in enumerate(systems):
                rows.add(f"fs.{place}.mountpoint", text, system.mountpoint)
                rows.add(f"fs.{place}.name", text, system.name)
                rows.add(f"fs.{place}.fstype", text, system.fstype)
                rows.add(f"fs.{place}.disk.count", number, len(system.dev_aliases))
                for disk, alias in enumerate(system.dev_aliases):
                    rows.add(f"fs.{place}.disk.{disk}.alias", text, alias)
        if wanted & Types.INTERFACES:
            interfaces = await self.domain_interface_addresses(domain)
            rows.add("if.count", number, len(interfaces))
            for place, interface in enumerate(interfaces):
                rows.add(f"if.{place}.name", text, interface.name)
                rows.add(f"if.{place}.hwaddr", text, interface.hwaddr or "")
                rows.add(f"if.{place}.addr.count", number, len(interface.addrs))
                for one, address in enumerate(interface.addrs):
                    rows.add(f"if.{place}.addr.{one}.type", text, address.type.name.lower())
                    rows.add(f"if.{place}.addr.{one}.addr", text, address.addr)
                    rows.add(f"if.{place}.addr.{one}.prefix", number, address.prefix)
        return rows

    @inline
    def domain_guest_vcpus(self, domain: DomainRef, flags: int = 0) -> TypedParameters:
        from virtcore.driver.toolkit.configuration.vcpus import online
        from virtcore.xml import CpuSet

        self.check_flags(flags, 0, "domain_guest_vcpus")
        present = online(self.live_config(domain))
        unused = self.state.guest(self.domain(domain)).unused_vcpus
        text = TypedParameterType.STRING
        return TypedParameters(
            [
                ("vcpus", text, str(CpuSet(present))),
                ("online", text, str(CpuSet(present - unused))),
                ("offlinable", text, str(CpuSet(present - {0}))),
            ]
        )

    @inline
    def domain_set_guest_vcpus(self, domain: DomainRef, cpumap: str, state: bool, flags: int = 0) -> None:
        from virtcore.driver.toolkit.configuration.vcpus import online
        from virtcore.xml import CpuSet
        from virtcore.xml.scalars import Unreadable

        self.check_flags(flags, 0, "domain_set_guest_vcpus")
        try:
            chosen = frozenset(CpuSet.parse(cpumap))
        except Unreadable:
            raise InvalidArg(f"Failed to parse bitmap '{cpumap}'") from None
        if not chosen:
            raise InvalidArg("no vcpus selected for modification")
        present = online(self.live_config(domain))
        for number in sorted(chosen - present):
            raise InvalidArg(f"vCPU '{number}' is not present in the guest")
        if not state and 0 in chosen:
            raise InvalidArg("vCPU '0' is not offlinable")
        guest = self.state.guest(self.domain(domain))
        guest.unused_vcpus = guest.unused_vcpus - chosen if state else guest.unused_vcpus | chosen

    # -- keys

    @inline
    def domain_authorized_ssh_keys(self, domain: DomainRef, user: str, flags: int = 0) -> list[str]:
        self.check_flags(flags, 0, "domain_authorized_ssh_keys")
        self.live_config(domain)
        return list(self.state.guest(self.domain(domain)).keys.get(user, ()))

    @inline
    def domain_set_authorized_ssh_keys(
        self, domain: DomainRef, user: str, keys: Sequence[str] = (), flags: DomainAuthorizedSSHKeysSetFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_none

        operation = "domain_set_authorized_ssh_keys"
        refuse_both(flags, _APPEND, _REMOVE)
        if flags & (_APPEND[1] | _REMOVE[1]):
            refuse_none(keys, "nkeys", operation)
        self.check_flags(flags, _APPEND[1] | _REMOVE[1], operation)
        self.live_config(domain)
        known = self.state.guest(self.domain(domain)).keys
        before = known.get(user, ())
        if flags & _REMOVE[1]:
            known[user] = tuple(key for key in before if key not in keys)
        elif flags & _APPEND[1]:
            known[user] = (*before, *(key for key in keys if key not in before))
        else:
            known[user] = tuple(keys)
