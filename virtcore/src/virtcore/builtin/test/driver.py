"""Connections of the test driver."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtcore.builtin.test.beyond import BeyondParts
from virtcore.builtin.test.devices import DeviceParts
from virtcore.builtin.test.host import MAX_VCPUS, SYSINFO
from virtcore.builtin.test.hosting import HostParts
from virtcore.builtin.test.opening import OpeningDriver
from virtcore.builtin.test.reaching import ReachingParts
from virtcore.builtin.test.saving import SavingParts
from virtcore.builtin.test.state import TestState
from virtcore.builtin.test.tuning import TuningParts
from virtcore.driver.base import Credential
from virtcore.driver.toolkit.cpus import CPUModelDriver
from virtcore.driver.toolkit.domains import DomainObject
from virtcore.driver.toolkit.job_driver import JobDriver
from virtcore.driver.toolkit.moment_driver import MomentDriver
from virtcore.driver.toolkit.native import NativeFormatsDriver
from virtcore.enums.checkpoint import DomainCheckpointCreateFlags
from virtcore.enums.domain import (
    DomainControlState,
    DomainCreateFlags,
    DomainMessageType,
    DomainRebootFlags,
    DomainShutdownFlags,
    DomainUndefineFlags,
)
from virtcore.enums.domain_more import DomainStatsTypes
from virtcore.enums.host import ConnectBaselineCPUFlags, ConnectCredentialType
from virtcore.enums.snapshot import DomainSnapshotCreateFlags, DomainSnapshotDeleteFlags
from virtcore.errors import AuthFailed, InvalidArg, NoDomain
from virtcore.operations.declare import inline
from virtcore.operations.values import ControlInfo, DomainInfo, NodeInfo, SecurityLabel, SecurityModel
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.builtin.test.configuration import Configuration
    from virtcore.builtin.test.console import EchoStream
    from virtcore.enums.domain import ConnectGetDomainCapabilitiesFlags, DomainConsoleFlags

__all__ = ["TestDriver"]

_REBOOT_FLAGS = (
    DomainRebootFlags.ACPI_POWER_BTN
    | DomainRebootFlags.GUEST_AGENT
    | DomainRebootFlags.INITCTL
    | DomainRebootFlags.SIGNAL
    | DomainRebootFlags.PARAVIRT
)
# What would be done to disks and agents costs nothing here.
_SNAPSHOT_CREATE_FLAGS = int(
    DomainSnapshotCreateFlags.REDEFINE
    | DomainSnapshotCreateFlags.CURRENT
    | DomainSnapshotCreateFlags.HALT
    | DomainSnapshotCreateFlags.QUIESCE
    | DomainSnapshotCreateFlags.ATOMIC
    | DomainSnapshotCreateFlags.LIVE
    | DomainSnapshotCreateFlags.VALIDATE
)


class TestDriver(
    OpeningDriver[TestState],
    HostParts,
    BeyondParts,
    DeviceParts,
    ReachingParts,
    SavingParts,
    TuningParts,
    CPUModelDriver,
    NativeFormatsDriver,
    JobDriver[TestState],
    MomentDriver[TestState],
):
    """A connection to a host that does not exist."""

    __test__ = False  # no test case, whatever its name

    first = None
    baseline_flags = ConnectBaselineCPUFlags.EXPAND_FEATURES
    undefine_flags = DomainUndefineFlags.MANAGED_SAVE | DomainUndefineFlags.SNAPSHOTS_METADATA
    create_flags = DomainCreateFlags.START_VALIDATE
    stats_groups = DomainStatsTypes.STATE | DomainStatsTypes.IOTHREAD
    snapshot_create_flags = _SNAPSHOT_CREATE_FLAGS
    snapshot_delete_flags = int(DomainSnapshotDeleteFlags.CHILDREN | DomainSnapshotDeleteFlags.CHILDREN_ONLY)
    checkpoint_create_flags = int(DomainCheckpointCreateFlags.REDEFINE | DomainCheckpointCreateFlags.QUIESCE)

    async def authenticate(self, configuration: Configuration) -> None:
        if not configuration.users:
            return
        user = await self._ask(ConnectCredentialType.AUTHNAME, "Enter username for localhost", "localhost")
        known = user in configuration.users
        expected = configuration.users.get(user)
        if not known or expected is not None:
            # Who is not known is asked for a password as well: the question tells nothing.
            password = await self._ask(ConnectCredentialType.PASSPHRASE, f"Enter {user}'s password for localhost", None)
            if not known or password != expected:
                raise AuthFailed("authentication failed, see test XML for the correct username/password")

    async def _ask(self, kind: ConnectCredentialType, prompt: str, challenge: str | None) -> str:
        if self.request.auth is None:
            raise InvalidArg("Missing authentication credentials")
        answers = await self.request.auth([Credential(kind, prompt, challenge, None)])
        if not answers:
            raise AuthFailed("Username request failed")
        return answers[0]

    # -- the connection and its host

    @inline
    def connection_version(self) -> int:
        return 2

    @inline
    def connection_max_vcpus(self, type: str | None = None) -> int:
        return MAX_VCPUS

    @inline
    def connection_node_info(self) -> NodeInfo:
        return self.state.node

    @inline
    def connection_node_free_memory(self) -> int:
        return sum(cell.free for cell in self.state.cells)

    @inline
    def connection_security_model(self) -> SecurityModel:
        return SecurityModel("testSecurity", "")

    async def connection_capabilities(self) -> str:
        from virtcore.builtin.test.capabilities import capabilities

        return capabilities(self.state.cells)

    @inline
    def connection_sysinfo(self, flags: int = 0) -> str:
        self.check_flags(flags, 0, "connection_sysinfo")
        return SYSINFO

    async def connection_domain_capabilities(
        self,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectGetDomainCapabilitiesFlags | int = 0,
    ) -> str:
        from virtcore.builtin.test.capabilities import domain_capabilities

        self.check_flags(flags, 0, "connection_domain_capabilities")
        return domain_capabilities(emulator, arch, machine, virttype)

    # -- finding domains

    @inline
    def connection_lookup_domain(
        self, name: str | None = None, uuid: str | None = None, id: int | None = None
    ) -> DomainRef:
        try:
            return super().connection_lookup_domain(name, uuid, id)
        except NoDomain:
            raise NoDomain from None  # libvirt's driver gives no detail here

    # -- one domain

    async def domain_shutdown(self, domain: DomainRef, flags: DomainShutdownFlags | int = 0) -> None:
        self.check_flags(flags, 0, "domain_shutdown")
        await self.state.shut_down(self.domain(domain))

    async def domain_reboot(self, domain: DomainRef, flags: DomainRebootFlags | int = 0) -> None:
        self.check_flags(flags, _REBOOT_FLAGS, "domain_reboot")
        await self.state.reboot(self.domain(domain))

    @inline
    def domain_reset(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_reset")
        self.domain(domain).require_active()

    @inline
    def domain_suspend(self, domain: DomainRef) -> None:
        self.state.suspend(self.domain(domain))

    @inline
    def domain_resume(self, domain: DomainRef) -> None:
        self.state.resume(self.domain(domain))

    @inline
    def domain_info(self, domain: DomainRef) -> DomainInfo:
        # The wall clock stands for the guest's CPU time, running or not.
        return self.state_info(self.domain(domain))

    def state_info(self, obj: DomainObject) -> DomainInfo:
        """Information about a domain, with the wall clock as its CPU time."""
        return self.info_of(obj, time.time_ns() // 1000 * 1000)

    @inline
    def domain_control_info(self, domain: DomainRef, flags: int = 0) -> ControlInfo:
        self.check_flags(flags, 0, "domain_control_info")
        obj = self.domain(domain)
        obj.require_active()
        # Whoever sets the guest's clock to one of these times sees the states that libvirt's driver has for testing.
        seconds = self.state.guest(obj).time.seconds
        if 0 < seconds < 10000:
            return ControlInfo(DomainControlState.JOB, 0, seconds)
        if 10000 <= seconds < 30000:
            return ControlInfo(DomainControlState.OCCUPIED, 0, seconds - 10000)
        if 30000 <= seconds < 60000:
            return ControlInfo(DomainControlState.ERROR, seconds % 4, seconds - 30000)
        return ControlInfo(DomainControlState.OK, 0, 0)

    @inline
    def domain_os_type(self, domain: DomainRef) -> str:
        return "linux"

    @inline
    def domain_is_updated(self, domain: DomainRef) -> bool:
        self.domain(domain)
        return False

    @inline
    def domain_security_labels(self, domain: DomainRef) -> list[SecurityLabel]:
        active = self.domain(domain).active
        return [SecurityLabel("libvirt-test" if active else "", active)]

    @inline
    def domain_messages(self, domain: DomainRef, flags: DomainMessageType | int = 0) -> list[str]:
        known = DomainMessageType.DEPRECATION | DomainMessageType.TAINTING | DomainMessageType.IOERRORS
        self.check_flags(flags, known, "domain_messages")
        found = self.state.guest(self.domain(domain)).messages
        return [] if found is None else found.select(int(flags))

    async def domain_set_autostart(self, domain: DomainRef, autostart: bool) -> None:
        self.domain(domain).autostart = autostart  # also of transient ones, here

    async def domain_open_console(
        self, domain: DomainRef, device: str | None = None, flags: DomainConsoleFlags | int = 0
    ) -> EchoStream:
        """An echo; libvirt's driver has no consoles."""
        from virtcore.builtin.test.console import EchoStream

        self.check_flags(flags, 3, "domain_open_console")
        self.domain(domain).require_active()
        return EchoStream()

    # -- statistics

    async def live_stats(self, obj: DomainObject, groups: int, flags: int) -> TypedParameters:
        from virtcore.builtin.test.statistics import iothreads

        rows = self.stats_of(obj, groups, self.state_info(obj))
        if groups & DomainStatsTypes.IOTHREAD:
            iothreads(rows, self.state.guest(obj).polling)
        return rows
