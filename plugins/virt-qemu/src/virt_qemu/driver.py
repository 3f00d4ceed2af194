"""Connections to QEMU: ``qemu:///system``, ``qemu:///session``, ``qemu:///embed?root=DIR``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from virt_host.description.driver import LinuxHostDriver
from virt_host.description.kvm import max_vcpus
from virt_host.tools import find_tool
from virt_qemu import host_capabilities
from virt_qemu.addresses import AddressOperations
from virt_qemu.agent.commands import shut_down
from virt_qemu.backup.operations import BackupOperations
from virt_qemu.blockjobs.operations import BlockJobOperations
from virt_qemu.capabilities.find import find_emulator, installed_emulators
from virt_qemu.disks.limits import LimitOperations
from virt_qemu.disks.operations import DiskOperations
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.host_operations import HostOperations
from virt_qemu.hotplug.operations import DeviceOperations, IOThreadOperations, VcpuOperations
from virt_qemu.inspecting import InspectingOperations
from virt_qemu.migration.driver import MigrationOperations
from virt_qemu.native import NativeOperations
from virt_qemu.opening import OpeningDriver
from virt_qemu.saving.operations import SavingOperations
from virt_qemu.starting import StartingOperations
from virt_qemu.stats.operations import StatisticsOperations
from virt_qemu.tuning.operations import TuningOperations
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.moment_driver import MomentDriver
from virtcore.enums.checkpoint import DomainCheckpointCreateFlags
from virtcore.enums.domain import (
    ConnectGetDomainCapabilitiesFlags,
    DomainConsoleFlags,
    DomainCreateFlags,
    DomainPausedReason,
    DomainRebootFlags,
    DomainRunningReason,
    DomainShutdownFlags,
    DomainState,
    DomainUndefineFlags,
    DomainXMLFlags,
)
from virtcore.enums.snapshot import DomainSnapshotCreateFlags, DomainSnapshotRevertFlags
from virtcore.errors import (
    InternalError,
    InvalidArg,
    OperationInvalid,
    SystemError,
    VirtError,
)
from virtcore.model.arch import host_arch
from virtcore.operations.declare import inline
from virtcore.operations.values import SecurityLabel, SecurityModel
from virtcore.runtime.threads import in_thread
from virtcore.types import DomainRef

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.enums.domain import DomainMessageType
    from virtcore.operations.stream import ByteStream

__all__ = ["QemuDriver"]

_ACPI = DomainShutdownFlags.ACPI_POWER_BTN


class QemuDriver(
    OpeningDriver[QemuState],
    LinuxHostDriver,
    HostOperations,
    AddressOperations,
    InspectingOperations,
    NativeOperations,
    StatisticsOperations,
    StartingOperations,
    DiskOperations,
    LimitOperations,
    DeviceOperations,
    VcpuOperations,
    IOThreadOperations,
    TuningOperations,
    BackupOperations,
    BlockJobOperations,
    MigrationOperations,
    SavingOperations,
    MomentDriver[QemuState],
):
    """A connection to the guests of one root."""

    first = None
    xml_flags = StatefulDriver.xml_flags | DomainXMLFlags.UPDATE_CPU
    undefine_flags = (
        DomainUndefineFlags.MANAGED_SAVE
        | DomainUndefineFlags.SNAPSHOTS_METADATA
        | DomainUndefineFlags.NVRAM
        | DomainUndefineFlags.KEEP_NVRAM
        | DomainUndefineFlags.TPM
        | DomainUndefineFlags.KEEP_TPM
        | DomainUndefineFlags.CHECKPOINTS_METADATA
    )
    create_flags = (
        DomainCreateFlags.START_PAUSED
        | DomainCreateFlags.START_AUTODESTROY
        | DomainCreateFlags.START_BYPASS_CACHE
        | DomainCreateFlags.START_FORCE_BOOT
        | DomainCreateFlags.START_VALIDATE
        | DomainCreateFlags.START_RESET_NVRAM
    )
    snapshot_create_flags = sum(DomainSnapshotCreateFlags)
    snapshot_revert_flags = sum(DomainSnapshotRevertFlags)
    checkpoint_create_flags = int(DomainCheckpointCreateFlags.REDEFINE | DomainCheckpointCreateFlags.REDEFINE_VALIDATE)

    # -- the connection and its host

    async def connection_version(self) -> int:
        emulator = find_emulator(host_arch())
        if emulator is None:
            raise InternalError(f"Cannot find suitable emulator for {host_arch()}")
        return (await self.state.capabilities.get(emulator)).version

    @inline
    def connection_max_vcpus(self, type: str | None = None) -> int:
        if type is None or type.lower() == "qemu":
            return 16
        if type.lower() != "kvm":
            raise InvalidArg(f"unknown type '{type}'")
        most = max_vcpus()
        if most is None:
            raise SystemError("Unable to open /dev/kvm: No such file or directory")
        return most

    @inline
    def connection_security_model(self) -> SecurityModel:
        return SecurityModel("none", "0")

    async def connection_capabilities(self) -> str:
        emulators = installed_emulators()
        found = await asyncio.gather(
            *(self.state.capabilities.get(path) for path in emulators.values()), return_exceptions=True
        )
        usable = {
            arch: capabilities
            for arch, capabilities in zip(emulators, found, strict=True)
            if not isinstance(capabilities, BaseException)
        }
        description, sleeps = self.state.description, await self.sleeps()
        text = description.known(usable, sleeps)
        return text if text is not None else await in_thread(lambda: description.make(usable, sleeps, self.host_cpu))

    async def connection_domain_capabilities(
        self,
        emulator: str | None = None,
        arch: str | None = None,
        machine: str | None = None,
        virttype: str | None = None,
        flags: ConnectGetDomainCapabilitiesFlags | int = 0,
    ) -> str:
        from virt_qemu.domain_capabilities import choose_machine, domain_capabilities
        from virt_qemu.host_facts import host_facts
        from virtcore.model.domain_capabilities import format_domain_capabilities

        deprecated = ConnectGetDomainCapabilitiesFlags.DISABLE_DEPRECATED_FEATURES
        self.check_flags(flags, deprecated, "connection_domain_capabilities")
        wanted = host_capabilities.parse_arch(arch)
        path = emulator or find_emulator(wanted)
        if path is None:
            raise InvalidArg(f"unable to find any emulator to serve '{wanted}' architecture")
        capabilities = await self.state.capabilities.get(path)
        kind, name = choose_machine(capabilities, wanted, machine, virttype)
        rdp = find_tool(self.state.settings.qemu_rdp) is not None
        host = await host_facts(self.tree, self.state.firmware, wanted, name, self.host_cpu, rdp=rdp)
        return format_domain_capabilities(
            domain_capabilities(
                capabilities, wanted, kind, name, host, disable_deprecated=bool(int(flags) & deprecated)
            )
        )

    # -- life cycle

    async def domain_suspend(self, domain: DomainRef) -> None:
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.suspend("domain_suspend"):
            guest = guest_of(obj)
            if obj.state == DomainState.PMSUSPENDED:
                raise OperationInvalid("domain is pmsuspended")
            if obj.state != DomainState.PAUSED:
                await guest.channel().execute("stop")
                self.state.paused(obj, guest.pausing)  # while it is migrated it goes on where it ends up

    async def domain_resume(self, domain: DomainRef) -> None:
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_resume"):
            guest = guest_of(obj)
            if obj.state == DomainState.PMSUSPENDED:
                raise OperationInvalid("domain is pmsuspended")
            if obj.state == DomainState.RUNNING:
                raise OperationInvalid("domain is already running")
            if obj.state == DomainState.CRASHED:
                raise OperationInvalid("domain is crashed and cannot be resumed; reset or destroy it")
            await self.state.start_cpus(obj, guest, DomainRunningReason.UNPAUSED)

    async def domain_shutdown(self, domain: DomainRef, flags: DomainShutdownFlags | int = 0) -> None:
        flags = int(flags)
        self.check_flags(flags, _ACPI | DomainShutdownFlags.GUEST_AGENT, "domain_shutdown")
        obj = self.domain(domain)
        obj.require_active()
        # A guest that is told to reboot when it powers off does that here too.
        reboot = obj.live is not None and obj.live.on_poweroff == "restart"
        by_agent, by_button = bool(flags & DomainShutdownFlags.GUEST_AGENT), not flags or bool(flags & _ACPI)
        await self._power_off(obj, "domain_shutdown", flags, by_agent, by_button, reboot)

    async def domain_reboot(self, domain: DomainRef, flags: DomainRebootFlags | int = 0) -> None:
        flags = int(flags)
        self.check_flags(flags, DomainRebootFlags.ACPI_POWER_BTN | DomainRebootFlags.GUEST_AGENT, "domain_reboot")
        obj = self.domain(domain)
        obj.require_active()
        # There is no power button for rebooting: the guest powers off, and is then reset instead of ended.
        reboot = obj.live is None or obj.live.on_reboot != "destroy"
        by_agent = bool(flags & DomainRebootFlags.GUEST_AGENT)
        by_button = not flags or bool(flags & DomainRebootFlags.ACPI_POWER_BTN)
        await self._power_off(obj, "domain_reboot", flags, by_agent, by_button, reboot)

    async def _power_off(
        self, obj: DomainObject, operation: str, flags: int, by_agent: bool, by_button: bool, reboot: bool
    ) -> None:
        """Have a guest go: by its agent where that is asked for or there, else by its power button.

        :param by_agent: the agent was asked for.
        :param by_button: the power button may be pressed.
        :param reboot: it is to boot again.
        """
        if by_agent or (not flags and self.state.has_agent(obj)):
            try:
                agent = self.state.agent_of(obj)
                guest_of(obj).reboot = reboot
                await shut_down(agent, reboot=reboot)
            except VirtError:
                if not by_button:
                    raise
            else:
                return
        async with obj.job.modify(operation):
            guest = guest_of(obj)
            guest.reboot = reboot
            await guest.channel().execute("system_powerdown")

    async def domain_reset(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_reset")
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_reset"):
            guest = guest_of(obj)
            await guest.channel().execute("system_reset")
            guest.reboot = False
            if obj.state == DomainState.CRASHED:
                self.state.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)

    # -- what they are

    @inline
    def domain_messages(self, domain: DomainRef, flags: DomainMessageType | int = 0) -> list[str]:
        from virt_qemu.taint import messages
        from virtcore.enums import DomainMessageType as Messages

        self.check_flags(flags, Messages.DEPRECATION | Messages.TAINTING | Messages.IOERRORS, "domain_messages")
        obj = self.domain(domain)
        return messages(guest_of(obj), int(flags)) if obj.active else []

    @inline
    def domain_security_labels(self, domain: DomainRef) -> list[SecurityLabel]:
        obj = self.domain(domain)
        if obj.live is None:
            return []
        given = [label.label for label in obj.live.seclabels if label.label is not None]
        owner = self.state.host_side.identity
        if not given and owner is not None:
            given = [f"+{owner.uid}:+{owner.gid}"]
        # That of model "none", the host's first, is empty.
        return [SecurityLabel(label, False) for label in ("", *given)]

    # -- devices

    async def domain_open_console(
        self, domain: DomainRef, device: str | None = None, flags: DomainConsoleFlags | int = 0
    ) -> ByteStream:
        self.check_flags(flags, DomainConsoleFlags.FORCE | DomainConsoleFlags.SAFE, "domain_open_console")
        obj = self.domain(domain)
        obj.require_active()
        return await self.state.open_console(obj, device, bool(int(flags) & DomainConsoleFlags.FORCE))
