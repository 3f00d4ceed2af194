"""Operations that a guest's agent answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from virt_qemu.agent import commands
from virt_qemu.agent.channel import BLOCK, DEFAULT, Agent
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.taint import taint
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.arguments import refuse_both, refuse_none
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain import (
    DomainGetHostnameFlags,
    DomainSetTimeFlags,
    DomainSetUserPasswordFlags,
    DomainVcpuFlags,
)
from virtcore.enums.host import NodeSuspendTarget
from virtcore.errors import (
    AgentCommandFailed,
    AgentCommandTimeout,
    AgentUnresponsive,
    ArgumentUnsupported,
    ConfigUnsupported,
    InternalError,
    InvalidArg,
    NoHostname,
    OperationInvalid,
    OperationUnsupported,
)
from virtcore.operations.declare import inline
from virtcore.operations.values import GuestTime
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.enums import DomainAuthorizedSSHKeysSetFlags, DomainGuestInfoTypes
    from virtcore.model.domain import Domain
    from virtcore.operations.values import FSInfo

__all__ = ["AgentOperations"]

_APPEND = ("VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_APPEND", 1)
_REMOVE = ("VIR_DOMAIN_AUTHORIZED_SSH_KEYS_SET_REMOVE", 2)
_LEASE = ("VIR_DOMAIN_GET_HOSTNAME_LEASE", int(DomainGetHostnameFlags.LEASE))
_AGENT = ("VIR_DOMAIN_GET_HOSTNAME_AGENT", int(DomainGetHostnameFlags.AGENT))
#: What the agent calls a way to sleep.
_SLEEPS = {NodeSuspendTarget.MEM: "ram", NodeSuspendTarget.DISK: "disk", NodeSuspendTarget.HYBRID: "hybrid"}


class AgentOperations(StatefulDriver[QemuState]):
    """What the agents of QEMU guests do."""

    def _agent(self, domain: DomainRef) -> tuple[DomainObject, Agent]:
        """A running domain and its agent.

        :raises VirtError: as ``AgentState.agent_of``.
        """
        obj = self.domain(domain)
        return obj, self.state.agent_of(obj)

    @staticmethod
    def _live(obj: DomainObject) -> Domain:
        if obj.live is None:  # it ended while the agent answered
            raise OperationInvalid("domain is not running")
        return obj.live

    # -- file systems

    async def domain_fs_freeze(
        self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0
    ) -> int:
        self.check_flags(flags, 0, "domain_fs_freeze")
        _, agent = self._agent(domain)
        return await commands.freeze(agent, mountpoints)

    async def domain_fs_thaw(self, domain: DomainRef, mountpoints: Sequence[str] | None = None, flags: int = 0) -> int:
        self.check_flags(flags, 0, "domain_fs_thaw")
        if mountpoints:
            raise ArgumentUnsupported("specifying mountpoints is not supported")
        _, agent = self._agent(domain)
        return await commands.thaw(agent)

    async def domain_fs_trim(
        self, domain: DomainRef, mountpoint: str | None = None, minimum: int = 0, flags: int = 0
    ) -> None:
        self.check_flags(flags, 0, "domain_fs_trim")
        if mountpoint is not None:
            raise ArgumentUnsupported("Specifying mount point is not supported for now")
        _, agent = self._agent(domain)
        await commands.trim(agent, minimum)

    async def domain_fs_info(self, domain: DomainRef, flags: int = 0) -> list[FSInfo]:
        from virt_qemu.agent.telling import public_file_systems

        self.check_flags(flags, 0, "domain_fs_info")
        obj, agent = self._agent(domain)
        found = await commands.file_systems(agent)
        return public_file_systems(self._live(obj), found)

    # -- what is inside

    async def domain_guest_info(
        self, domain: DomainRef, types: DomainGuestInfoTypes | int = 0, flags: int = 0
    ) -> TypedParameters:
        from virt_qemu.agent.telling import KNOWN, guest_info

        self.check_flags(flags, 0, "domain_guest_info")
        unknown = int(types) & ~int(KNOWN)
        if unknown:
            raise InvalidArg(f"unsupported guest information types '0x{unknown:x}'")
        obj, agent = self._agent(domain)
        return await guest_info(agent, self._live(obj), int(types) or int(KNOWN), pass_over=not types)

    async def domain_hostname(self, domain: DomainRef, flags: DomainGetHostnameFlags | int = 0) -> str:
        refuse_both(int(flags), _LEASE, _AGENT)
        self.check_flags(flags, _LEASE[1] | _AGENT[1], "domain_hostname")
        obj = self.domain(domain)
        name = None
        if int(flags) & _LEASE[1]:
            obj.require_active()
            name = await self.leased_host_name(obj)
        else:
            agent = self.state.agent_of(obj)
            try:
                name = await commands.host_name(agent)
            except (AgentUnresponsive, AgentCommandTimeout, AgentCommandFailed, InternalError):
                pass  # to libvirt it has none, whatever the agent says
        if not name:
            raise NoHostname(f"no hostname found for domain {obj.name}")
        return name

    async def leased_host_name(self, obj: DomainObject) -> str | None:
        """Hook: the name that the guest has told a network of the host's; None where it has not."""
        return None

    async def domain_time(self, domain: DomainRef, flags: int = 0) -> GuestTime:
        self.check_flags(flags, 0, "domain_time")
        _, agent = self._agent(domain)
        return await commands.get_time(agent)

    async def domain_set_time(
        self, domain: DomainRef, seconds: int, nseconds: int = 0, flags: DomainSetTimeFlags | int = 0
    ) -> None:
        self.check_flags(flags, DomainSetTimeFlags.SYNC, "domain_set_time")
        obj, agent = self._agent(domain)
        await commands.set_time(agent, None if flags & DomainSetTimeFlags.SYNC else GuestTime(seconds, nseconds))
        arch = self._live(obj).arch
        if arch is not None and arch.value in ("i686", "x86_64"):
            # Ticks that the guest has missed would move the clock it was just given.
            async with obj.job.modify("domain_set_time"):
                await guest_of(obj).channel().execute("rtc-reset-reinjection")

    # -- virtual CPUs

    async def domain_vcpus_count(self, domain: DomainRef, flags: DomainVcpuFlags | int = 0) -> int:
        known, flags = DomainVcpuFlags, int(flags)
        if not flags & known.GUEST:
            counted = super().domain_vcpus_count(domain, flags)
            assert isinstance(counted, int)
            return counted
        self.check_flags(flags, known.LIVE | known.CONFIG | known.MAXIMUM | known.GUEST, "domain_vcpus_count")
        obj = self.domain(domain)
        if not self.state.affects_live(obj, flags):
            raise InvalidArg("vCPU count provided by the guest agent can only be requested for live domains")
        found = await commands.vcpus(self.state.agent_of(obj))
        return len(found) if flags & known.MAXIMUM else sum(vcpu.online for vcpu in found)

    async def domain_guest_vcpus(self, domain: DomainRef, flags: int = 0) -> TypedParameters:
        from virtcore.xml import CpuSet

        self.check_flags(flags, 0, "domain_guest_vcpus")
        _, agent = self._agent(domain)
        found = await commands.vcpus(agent)
        rows = TypedParameters()
        rows.add("vcpus", Kind.STRING, str(CpuSet(vcpu.number for vcpu in found)))
        rows.add("online", Kind.STRING, str(CpuSet(vcpu.number for vcpu in found if vcpu.online)))
        rows.add("offlinable", Kind.STRING, str(CpuSet(vcpu.number for vcpu in found if vcpu.offlinable)))
        return rows

    async def domain_set_guest_vcpus(self, domain: DomainRef, cpumap: str, state: bool, flags: int = 0) -> None:
        from virtcore.xml import CpuSet
        from virtcore.xml.scalars import Unreadable

        self.check_flags(flags, 0, "domain_set_guest_vcpus")
        try:
            wanted = set(CpuSet.parse(cpumap))
        except Unreadable:
            raise InvalidArg(f"Failed to parse bitmap '{cpumap}'") from None
        _, agent = self._agent(domain)
        known = {vcpu.number for vcpu in await commands.vcpus(agent)}
        if wanted - known:
            raise InvalidArg(f"guest is missing vCPUs '{CpuSet(wanted - known)}'")
        await commands.set_vcpus(agent, sorted(wanted), state)

    # -- users

    async def domain_set_user_password(
        self, domain: DomainRef, user: str, password: str, flags: DomainSetUserPasswordFlags | int = 0
    ) -> None:
        encrypted = DomainSetUserPasswordFlags.ENCRYPTED
        self.check_flags(flags, encrypted, "domain_set_user_password")
        _, agent = self._agent(domain)
        await commands.set_password(agent, user, password, bool(flags & encrypted))

    async def domain_authorized_ssh_keys(self, domain: DomainRef, user: str, flags: int = 0) -> list[str]:
        self.check_flags(flags, 0, "domain_authorized_ssh_keys")
        _, agent = self._agent(domain)
        return await commands.keys(agent, user)

    async def domain_set_authorized_ssh_keys(
        self, domain: DomainRef, user: str, keys: Sequence[str] = (), flags: DomainAuthorizedSSHKeysSetFlags | int = 0
    ) -> None:
        operation, flags = "domain_set_authorized_ssh_keys", int(flags)
        refuse_both(flags, _APPEND, _REMOVE)
        if flags & (_APPEND[1] | _REMOVE[1]):
            refuse_none(keys, "nkeys", operation)
        self.check_flags(flags, _APPEND[1] | _REMOVE[1], operation)
        _, agent = self._agent(domain)
        if flags & _REMOVE[1]:
            await commands.remove_keys(agent, user, keys)
        else:
            await commands.add_keys(agent, user, keys, reset=not flags & _APPEND[1])

    # -- sleep

    async def domain_pm_suspend(
        self, domain: DomainRef, target: NodeSuspendTarget | int, duration: int = 0, flags: int = 0
    ) -> None:
        self.check_flags(flags, 0, "domain_pm_suspend")
        if duration:
            raise ArgumentUnsupported("Duration not supported. Use 0 for now")
        if target not in NodeSuspendTarget.__members__.values():
            raise InvalidArg(f"Unknown suspend target: {int(target)}")
        how = NodeSuspendTarget(target)
        obj = self.domain(domain)
        obj.require_active()
        _refuse_sleep(self._live(obj), how)
        agent = self.state.agent_of(obj)
        told = await guest_of(obj).channel().execute("query-current-machine")
        if isinstance(told, dict) and told.get("wakeup-suspend-support") is False:
            raise OperationUnsupported("Domain does not have suspend support")
        await commands.suspend(agent, _SLEEPS[how])

    async def domain_pm_wakeup(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_pm_wakeup")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_pm_wakeup"):
            await guest_of(obj).channel().execute("system_wakeup")

    # -- the agent itself

    @inline
    def domain_set_agent_timeout(self, domain: DomainRef, timeout: int, flags: int = 0) -> None:
        if timeout < BLOCK:
            raise InvalidArg(f"guest agent timeout '{timeout}' is less than the minimum '{BLOCK}'")
        self.check_flags(flags, 0, "domain_set_agent_timeout")
        self.state.set_agent_timeout(self.domain(domain), timeout)

    async def domain_qemu_agent_command(
        self, domain: DomainRef, cmd: str, timeout: int = DEFAULT, flags: int = 0
    ) -> str | None:
        self.check_flags(flags, 0, "domain_qemu_agent_command")
        obj, agent = self._agent(domain)
        if timeout < BLOCK:
            raise InvalidArg(f"guest agent timeout '{timeout}' is less than the minimum '{BLOCK}'")
        try:
            question = json.loads(cmd)
        except ValueError:
            question = None
        if not isinstance(question, dict):
            raise InternalError("failed to parse JSON: unexpected character")
        taint(obj, guest_of(obj), "custom-ga-command")
        reply = await agent.execute_as_is(question, timeout=timeout)
        if "error" in reply:
            from virt_qemu.agent.protocol import AgentCommandError

            raise AgentCommandError(str(question.get("execute", "")), reply["error"])
        return json.dumps(reply, separators=(",", ":"))


def _refuse_sleep(domain: Domain, how: NodeSuspendTarget) -> None:
    """Refuse a way to sleep that the guest's configuration has turned off."""
    pm = domain.pm
    if pm is None:
        return
    if how is not NodeSuspendTarget.DISK and pm.suspend_to_mem is False:
        raise ConfigUnsupported("S3 state is disabled for this domain")
    if how is not NodeSuspendTarget.MEM and pm.suspend_to_disk is False:
        raise ConfigUnsupported("S4 state is disabled for this domain")
