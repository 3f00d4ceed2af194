"""The guests of one root: shared by every connection of this process to it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING

from virt_host.hook_scripts import HookScripts
from virt_host.tools import find_tool
from virt_qemu import process as processes
from virt_qemu.agent.state import take_port_states
from virt_qemu.autostart import AutostartState
from virt_qemu.backup.state import BackupState
from virt_qemu.belongings import BelongingsState
from virt_qemu.capabilities.find import find_emulator
from virt_qemu.capabilities.flags import FLAGS
from virt_qemu.command.characters import is_serial_console
from virt_qemu.console import open_socket, open_terminal
from virt_qemu.disks.events import DiskEvents
from virt_qemu.disks.throttling import throttle_disks
from virt_qemu.display_passwords import set_passwords
from virt_qemu.guest import Boot, Guest, guest_of, state_folder
from virt_qemu.host_side.display_networks import find_display_addresses
from virt_qemu.host_side.owner import owner_of
from virt_qemu.hotplug.state import HotplugState
from virt_qemu.hotplug.vcpus import ask, plug_at_boot, take_states, threads_of as plugged_threads
from virt_qemu.isolation.devices import allow_devices, paths_of
from virt_qemu.isolation.labels import drop_label
from virt_qemu.lent import LendingState
from virt_qemu.live_cpu import cpu_beside, put_cpu, read_back_cpu
from virt_qemu.live_status import new_status, take_devices, told_capabilities
from virt_qemu.log import GuestLog
from virt_qemu.migration.state import MigrationState
from virt_qemu.monitor import JSON, Monitor
from virt_qemu.namespace import QemuCapabilityChanges, find, register
from virt_qemu.opening import OpeningState
from virt_qemu.prepare import DisplayDefaults, ports_of, prepare_domain, prepare_folder
from virt_qemu.recovery import iothreads_of, threads_of
from virt_qemu.resources import HostResources
from virt_qemu.saving.stream import tell_passes
from virt_qemu.snapshots.deleting import DeletingSnapshots
from virt_qemu.startup_policy import Missing
from virt_qemu.stats.blocks import describe_disks
from virt_qemu.taint import taint_at_start
from virt_qemu.tuning.balloon import set_stats_period
from virt_qemu.tuning.state import TuningState
from virt_qemu.volumes import find_volumes
from virtcore.driver.toolkit import DomainObject
from virtcore.driver.toolkit.folders import own_root
from virtcore.enums.domain import (
    DomainCreateFlags,
    DomainShutoffReason,
    DomainState,
    DomainXMLFlags,
)
from virtcore.enums.domain_events import (
    ConnectDomainEventAgentLifecycleReason as AgentReason,
    DomainEventStoppedDetailType,
)
from virtcore.errors import InternalError, OperationFailed, OperationInvalid, VirtError
from virtcore.model.domain.chardev import (
    Channel,
    Console,
    DevChardev,
    HostPath,
    Parallel,
    PTYChardev,
    Serial,
    UnixChardev,
)
from virtcore.model.domain.disk import Disk
from virtcore.model.domain.graphics import RDPGraphics
from virtcore.model.storage.secret import SecretReference
from virtcore.operations.events import DomainDiskChangeEvent
from virtcore.runtime.launcher import launcher
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.command.line import HostSettings
    from virt_qemu.firmware import FirmwareCatalog
    from virt_qemu.host_capabilities import HostDescription
    from virt_qemu.host_side import HostSide
    from virt_qemu.log_rotation import LogRotation
    from virt_qemu.rules.audio import HostAudio
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain
    from virtcore.model.domain.rules import DomainRules
    from virtcore.model.domain.tpm import TPMVersion
    from virtcore.model.storage.source import NetProtocol, Source
    from virtcore.operations.stream import ByteStream

__all__ = ["QemuState"]

log = logging.getLogger(__name__)

#: Emulators of which the document that is being read would have to know more, for whoever reads it.
_missed: ContextVar[set[str] | None] = ContextVar("virt_qemu_missed", default=None)

#: Why a guest has ended, as its log says it.
_REASONS = {
    DomainShutoffReason.SHUTDOWN: "shutdown",
    DomainShutoffReason.DESTROYED: "destroyed",
    DomainShutoffReason.CRASHED: "crashed",
    DomainShutoffReason.FAILED: "failed",
    DomainShutoffReason.MIGRATED: "migrated",
    DomainShutoffReason.SAVED: "saved",
    DomainShutoffReason.FROM_SNAPSHOT: "from-snapshot",
}
_DETAILS = {
    DomainShutoffReason.SHUTDOWN: DomainEventStoppedDetailType.SHUTDOWN,
    DomainShutoffReason.DESTROYED: DomainEventStoppedDetailType.DESTROYED,
    DomainShutoffReason.CRASHED: DomainEventStoppedDetailType.FAILED,
}


class QemuState(
    DeletingSnapshots,
    AutostartState,
    LendingState,
    BelongingsState,
    BackupState,
    DiskEvents,
    HotplugState,
    MigrationState,
    TuningState,
    OpeningState,
):
    """QEMU guests whose definitions and status are below one set of folders.

    One that was opened as :class:`OpeningState` becomes this, so nothing here has an ``__init__``.
    """

    partial = False
    _host_side: HostSide | None = None
    _logs: LogRotation | None = None
    #: What the host's TPM emulator can be, once that was asked.
    _tpm_versions: tuple[TPMVersion, ...] | None = None

    @cached_property
    def _tasks(self) -> set[asyncio.Task[None]]:
        return set()

    @cached_property
    def firmware(self) -> FirmwareCatalog:
        """The firmware images of the host."""
        from virt_qemu.descriptors import user_configuration
        from virt_qemu.firmware import FirmwareCatalog

        config = None if self.privileged else user_configuration()
        return FirmwareCatalog.of_host(str(self.folders.lib / "nvram"), config=config, pairs=self.settings.nvram)

    @cached_property
    def description(self) -> HostDescription:
        """What the host and its emulators offer."""
        from virt_qemu.host_capabilities import HostDescription

        return HostDescription(self.folders.config, self.host_side.identity)

    @cached_property
    def host_settings(self) -> HostSettings:
        """How the host is arranged for guests."""
        from virt_qemu.settings.host import host_settings

        return host_settings(self.settings, self.folders, self.privileged)

    @cached_property
    def displays(self) -> DisplayDefaults:
        """What displays listen on where guests do not say."""
        settings = self.settings
        return DisplayDefaults(
            vnc_listen=settings.vnc_listen,
            spice_listen=settings.spice_listen,
            spice_tls=settings.spice_tls,
            ports=range(settings.remote_display_port_min, settings.remote_display_port_max + 1),
            taken=self.host_side.ports,
            websockets=range(settings.remote_websocket_port_min, settings.remote_websocket_port_max + 1),
            sockets_for=tuple(
                name
                for name, wanted in (("vnc", settings.vnc_auto_unix_socket), ("spice", settings.spice_auto_unix_socket))
                if wanted
            ),
        )

    @cached_property
    def hook_scripts(self) -> HookScripts:
        """Scripts that are told of guests' transitions."""
        return HookScripts(self.folders.config.with_name("hooks"), "qemu")

    @property
    def host_side(self) -> HostSide:
        """What guests have on the host beside their QEMU."""
        if self._host_side is None:
            from virt_qemu.host_side import HostSide

            # Who gave the driver a folder of their own sees to it that others can get there, or says so.
            isolated = self.privileged and self.place.root is None and not own_root()
            self._host_side = HostSide(self.settings, self.folders, self.host_settings, self.place, isolated=isolated)
        return self._host_side

    @cached_property
    def host_audio(self) -> HostAudio:
        """What guests may have of the host's sound."""
        from virt_qemu.rules.audio import HostAudio

        settings = self.settings
        return HostAudio.of_environment(
            os.environ, vnc=settings.vnc_allow_host_audio, nographics=settings.nographics_allow_host_audio
        )

    # -- documents

    def facts_of_definition(self, domain: Domain) -> Facts:
        return {**super().facts_of_definition(domain), "disks": describe_disks(domain)}

    def make_migratable(self, domain: Domain, obj: DomainObject | None = None) -> None:
        from virt_qemu.migration.migratable import make_migratable

        make_migratable(domain, self.host_audio)
        guest = obj.private if obj is not None else None
        if not isinstance(guest, Guest):
            return
        if guest.label_given:
            drop_label(domain)
        if guest.status.original_cpu is not None:
            # Older peers settle by themselves what QEMU makes of it; others are told beside.
            put_cpu(domain, guest.status.original_cpu)

    def migratable(self, domain: Domain, obj: DomainObject | None) -> Domain:
        from virtcore.model.domain.document import format_domain
        from virtcore.model.domain.rules.context import ParseFlag
        from virtcore.xml import Mode

        told = super().migratable(domain, obj)
        if told.id is None:
            return told
        # What only a running guest has is nobody else's: reading leaves it out, and adds what is left out again.
        text = format_domain(told, Mode.SECURE | Mode.MIGRATABLE | Mode.INACTIVE)
        return super().migratable(self.load(text, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE), obj)

    def update_cpu(self, domain: Domain) -> None:
        from virt_qemu.cpu_start import update_for_host

        emulator = domain.devices.emulator if domain.devices is not None else None
        if domain.cpu is None or domain.arch is None or emulator is None:
            return
        capabilities = self.capabilities.recall(emulator)
        if capabilities is None:
            raise OperationInvalid(f"nothing is known of what guests of '{emulator}' can have, none was used yet")
        update_for_host(domain.arch, domain.cpu, capabilities.accelerator(str(domain.type)))

    def make_rules(self) -> DomainRules:
        from virt_qemu.rules import QemuRules

        register()  # also where this distribution's entry points are not installed
        return QemuRules(
            find_emulator,
            self._known_capabilities,
            firmware=self.firmware,
            sockets=str(self.folders.run),
            audio=self.host_audio,
            spice_tls=self.settings.spice_tls,
            tpm_versions=lambda: self._tpm_versions,
            rdp=lambda: find_tool(self.settings.qemu_rdp) is not None,
        )

    def _known_capabilities(self, emulator: str) -> EmulatorCapabilities | None:
        found = self.capabilities.known(emulator)
        if found is None and (missed := _missed.get()) is not None:
            missed.add(emulator)
        return found

    async def load_new(self, xml: str, validate: bool) -> Domain:
        inherited = super().load_new
        if self._tpm_versions is None and "<tpm" in xml:
            from virt_qemu.host_facts import tpm_versions

            try:
                self._tpm_versions = await tpm_versions()
            except VirtError as error:
                # The definition may do without; a start that needs the emulator says what is wrong with it.
                log.warning("what the TPM emulator can be is not known: %s", error)
        return await self._probing(lambda: inherited(xml, validate))

    async def load_saved(self, xml: str) -> Domain:
        """Read a document that the driver, or another one, wrote about a guest."""
        from virtcore.model.domain.rules.context import ParseFlag

        async def load() -> Domain:
            return self.load(xml, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)

        return await self._probing(load)

    async def load_from_peer(self, xml: str) -> Domain:
        """Read the document of a guest that comes from another host.

        :raises VirtError: it is refused.
        """

        async def load() -> Domain:
            return self.load_inactive(xml)

        return await self._probing(load)

    async def _probing(self, load: Callable[[], Coroutine[None, None, Domain]]) -> Domain:
        """Read a document. Rules do not wait: where they miss an emulator's capabilities, it is probed and the document
        read again."""
        unknown: set[str] = set()
        token = _missed.set(unknown)
        try:
            domain = await load()
        except VirtError:
            if not unknown:
                raise
        else:
            if not unknown:
                return domain
        finally:
            _missed.reset(token)
        for emulator in unknown:
            await self.capabilities.get(emulator)
        return await load()

    # -- life of the state

    async def open(self) -> None:
        path = self.folders.config.with_name("qemu.conf")
        if path.exists():
            from virt_qemu.settings import load

            self.settings = load(path, privileged=self.privileged)
            self.domains.max_queued = self.settings.max_queued
            if self.settings.user is not None or self.settings.group is not None:
                from virt_qemu.isolation.identity import guest_identity

                guest_identity(self.settings.user, self.settings.group, isolated=False)  # before anybody needs them
            if self.settings.mac_filter:
                from virt_qemu.host_side.mac_filter import set_up_filter

                await set_up_filter()
        launcher().open()  # ready when the first guest is started
        await super().open()
        self.spawn(self.autostart_domains())

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for obj in list(self.domains):
            guest = obj.private
            if obj.active and isinstance(guest, Guest):
                await self._release(guest)
        if self._logs is not None:
            self._logs.close()
        if self._host_side is not None:
            await self._host_side.close()
        await self.capabilities.close()
        await super().close()

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _let_in(self, obj: DomainObject, guest: Guest) -> None:
        """See to it that a running guest can have images beside those it was started with."""

        async def admit(source: Source, new: bool) -> None:
            assert guest.process is not None
            owner = owner_of(obj, guest.folder)
            if self.host_side.keeps_apart:
                await self.host_side.admit_source(owner, source, guest.process.pid, new=new)
            allow_devices(guest, paths_of(self.host_side, Disk(source=source)))

        guest.admission = admit

    def _watch_logs(self) -> None:
        """See to it that logs of running guests do not grow without end."""
        if self.settings.stdio_handler != "logd":
            return
        if self._logs is None:
            from virt_qemu.log_rotation import LogRotation

            self._logs = LogRotation(self.folders.log)
        self._logs.start()

    def lock_resources(self, obj: DomainObject) -> None:
        assert obj.live is not None
        self.host_side.lock(obj.uuid, obj.live)

    def unlock_resources(self, obj: DomainObject) -> None:
        self.host_side.unlock(obj.uuid)

    async def remove_group(self, number: int, name: str) -> None:
        await self.remove_left_group(number, name)

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        self._let_in(obj, guest)
        await super().recover(obj, guest)
        await self.meet_agent_again(obj, guest)
        self.watch_again(obj, guest)
        await self.recover_migration(obj, guest)
        self._watch_logs()
        await self._tell_hooks(obj, "reconnect", "begin", quietly=True)

    # -- starting

    async def before_autostart(self) -> None:
        await self.host_side.services.settle()  # networks and pools come before guests

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        paused, reset = flags & DomainCreateFlags.START_PAUSED, flags & DomainCreateFlags.START_RESET_NVRAM
        await self.boot(obj, Boot(paused=bool(paused), reset_nvram=bool(reset)))

    async def boot(self, obj: DomainObject, how: Boot) -> None:
        """Start the guest of ``obj.live``, or bring it in from elsewhere. Raising means that there is none."""
        domain = obj.live
        assert domain is not None
        assert domain.devices is not None
        assert domain.devices.emulator is not None
        folder = state_folder(self.folders.run, obj.id, obj.name)
        guest = Guest(folder=folder, log=GuestLog(self.folders.log, obj.name), status=new_status(domain, folder, None))
        guest.status.agent_timeout = self.agent_timeout(obj)
        guest.status.original_cpu = how.original_cpu
        asked = cpu_beside(domain.cpu) if domain.cpu is not None else None
        obj.private = guest
        try:
            known = await self.capabilities.get(domain.devices.emulator)
            guest.capabilities = _corrected(known, domain, self.settings.capability_filters)
            guest.status.capabilities = told_capabilities(guest.capabilities)
            prepare_folder(guest.folder)
            missing = Missing(
                domain,
                cold=how.load is None and how.incoming is None,
                tell=lambda path, alias, reason: self.events.emit(
                    DomainDiskChangeEvent(obj.ref, path, None, alias, reason)
                ),
            )
            for disk in reversed(list(domain.devices.disks)):
                with missing.allowed(disk):
                    await find_volumes(self.host_side.services, (disk,))
            await find_display_addresses(self.host_side.services, domain)
            prepare_domain(
                domain,
                guest.folder,
                guest.capabilities,
                missing,
                displays=self.displays,
                image_tls=self.image_tls,
                groups=self.lent_to(obj),
                reset_nvram=how.reset_nvram,
                reader=self.host_side.reader,
                firmware=self.firmware,
            )
            side, owner = self.host_side, owner_of(obj, guest.folder)
            guest.label_given = side.decide(domain)
            await self._tell_hooks(obj, "prepare", "begin")
            await self._tell_hooks(obj, "start", "begin")
            with HostResources() as resources:
                resources.groups = self.lent_to(obj)
                resources.owner = side.socket_owner(owner)
                await side.prepare(owner, domain, resources)
                guest.status.dbus_daemon = side.has_bus(owner)
                resources.secret = await self.secrets_for(
                    domain.devices.disks, domain.devices.hostdevs, *self.tls_secrets()
                )
                host = await side.host_for(domain)
                command = processes.command_for(guest, domain, resources, self.privileged, host, incoming=how.incoming)
                # From here on whoever opens this root after us knows where to look for a guest of ours.
                await self.save(obj, guest)
                self._watch_logs()
                # One that is to end with its connection ends with this process, however that ends.
                command = dataclasses.replace(command, outlives=obj.owner is None)
                await processes.launch(guest, await side.confine(owner, domain, command))
            self._let_in(obj, guest)
            guest.group = self.first_group(obj, domain)
            limiting = asyncio.ensure_future(self.limit_process(guest, domain, side.open_devices(domain)))
            try:
                await asyncio.sleep(0)  # destroy may have broken us off in the very turn in which QEMU was started
                monitor = self.monitor_of(obj, guest)
                await processes.connect(guest, monitor, self.start_limit)
            finally:
                await limiting
            await self._set_up(obj, guest, domain, incoming=how.incoming is not None)
            if guest.status.original_cpu is None and domain.cpu is not None and cpu_beside(domain.cpu) != asked:
                guest.status.original_cpu = asked
            taint_at_start(obj, guest, domain, root=self.privileged and side.runs_as_root(owner))
            await self.meet_agent(obj, guest, AgentReason.DOMAIN_STARTED)
            if how.load is not None:
                await how.load(guest)
            if not how.paused:
                self.lock_resources(obj)
                await monitor.execute("cont", limit=self.start_limit)
                self.running(obj, how.running)
                if how.load is None:  # a guest that was brought in is told of first
                    self.tell_resumed(obj, how.running)
            else:
                self.set_state(obj, DomainState.PAUSED, how.stands)
            await self.save(obj, guest)
        except BaseException as error:
            # What QEMU finds in its folder is what programs beside it offer.
            met = isinstance(error, VirtError) and str(guest.folder) in str(error)
            lost = self.host_side.programs.lost(owner_of(obj, guest.folder)) if met else None
            await self._roll_back(obj, guest)
            if lost is not None:
                raise lost from error
            raise
        assert guest.process is not None
        guest.watch = asyncio.create_task(self.watch(obj, guest))
        self.rehearse_soon(obj, guest)
        await self._tell_hooks(obj, "started", "begin", quietly=True)

    @property
    def image_tls(self) -> Mapping[NetProtocol, ImageTLS]:
        return self.host_settings.image_tls

    def tls_secrets(self) -> list[SecretReference]:
        """The secrets that open the keys of the host's certificates."""
        host = self.host_settings
        return [
            SecretReference(type="tls", uuid=uuid)
            for uuid in (host.vnc_tls_secret, host.chardev_tls_secret)
            if uuid is not None
        ]

    async def _tell_hooks(self, obj: DomainObject, operation: str, step: str, *, quietly: bool = False) -> None:
        """Tell the administrator's scripts and plugins of a transition.

        :param quietly: it has happened: what fails is logged.
        :raises Exception: whatever a script or plugin raised to prevent it.
        """
        from virtcore.driver.hooks import domain_transition, manager

        has_plugins = bool(manager().hook.virtcore_domain_transition.get_hookimpls())
        if not has_plugins and not self.hook_scripts.scripts():
            return
        xml = self.xml(obj, DomainXMLFlags.SECURE)
        try:
            await self.hook_scripts.tell(obj.name, operation, step, xml)
            if has_plugins:  # they may block
                await in_thread(domain_transition, "qemu", obj.ref, operation, step, xml)
        except Exception as error:
            if not quietly:
                raise
            log.error("a hook failed when domain '%s' was %s: %s", obj.name, operation, error)

    async def _roll_back(self, obj: DomainObject, guest: Guest) -> None:
        """Undo a start that failed, or that destroy has ended."""
        guest.ending = DomainShutoffReason.FAILED
        if guest.process is not None:
            guest.process.signal(signal.SIGKILL)
            await guest.process.wait()
            guest.log.ended("failed")
        else:
            # The launcher may have been at it when we were broken off.
            await processes.claim_left_over(guest.folder)
        await self._release(guest)
        self.leave_groups(guest)
        await self._leave_host(obj, guest)
        await self.remove_status(obj)
        obj.private = None

    async def _set_up(self, obj: DomainObject, guest: Guest, domain: Domain, *, incoming: bool) -> None:
        """Ask a new QEMU what only it knows, and tell it what the command line cannot."""
        monitor = guest.channel()
        limit = self.start_limit
        await plug_at_boot(monitor, domain)
        chardevs, cpus, iothreads, devices = await _all(
            monitor.execute("query-chardev", limit=limit),
            monitor.execute("query-cpus-fast", limit=limit),
            monitor.execute("query-iothreads", limit=limit),
            monitor.execute("qom-list", {"path": "/machine/peripheral"}, limit=limit),
        )
        take_devices(guest.status, devices)
        assert guest.capabilities is not None
        await read_back_cpu(monitor, domain, guest.capabilities, cpus, limit)
        _take_terminals(domain, chardevs)
        take_port_states(domain, chardevs)
        guest.threads, guest.iothreads = threads_of(cpus), iothreads_of(iothreads)
        if domain.vcpus:
            # Their numbers are not those that QEMU counts them by.
            found = await ask(monitor, domain.vcpu_maximum)
            take_states(domain, found)
            guest.threads = plugged_threads(found)
        commands: list[Coroutine[None, None, JSON | None]] = [self.limit_threads(guest, domain)]
        commands.append(tell_passes(monitor, limit))
        if domain.on_reboot == "destroy":
            commands.append(monitor.execute("set-action", {"reboot": "shutdown"}, limit=limit))
        balloon = domain.devices.memballoon if domain.devices is not None else None
        if balloon is not None and balloon.stats_period and balloon.alias is not None:
            commands.append(set_stats_period(monitor, balloon, limit))
        current = domain.current_memory
        has_balloon = balloon is not None and balloon.model != "none" and not incoming
        if has_balloon and current is not None and current < domain.memory_total:
            commands.append(monitor.execute("balloon", {"value": current << 10}, limit=limit))
        for interface in domain.devices.interfaces if domain.devices is not None else ():
            if interface.link == "down":
                commands.append(monitor.execute("set_link", {"name": interface.alias or "", "up": False}, limit=limit))
        await _all(*commands)
        await set_passwords(monitor, domain, self.settings, limit)
        await self._set_rdp_credentials(obj, guest, domain)
        await throttle_disks(monitor, domain, limit)
        guest.balloon = current
        obj.touch()

    async def _set_rdp_credentials(self, obj: DomainObject, guest: Guest, domain: Domain) -> None:
        for graphics in domain.devices.graphics if domain.devices is not None else ():
            if isinstance(graphics, RDPGraphics):
                from virt_qemu.host_side.displays import tell_credentials

                await tell_credentials(self.host_side, owner_of(obj, guest.folder), graphics)

    def monitor_of(self, obj: DomainObject, guest: Guest) -> Monitor:
        return Monitor(obj.name, on_event=lambda event: self._on_event(obj, guest, event))

    # -- consoles

    async def open_console(self, obj: DomainObject, name: str | None, force: bool) -> ByteStream:
        """Connect to a character device.

        :param name: its alias; None for the first console, or serial port.
        :param force: end the stream that somebody else has to it.
        :raises OperationFailed: somebody has a stream to it.
        """
        guest = guest_of(obj)
        domain = obj.live
        assert domain is not None
        assert domain.devices is not None
        devices = domain.devices
        candidates: list[Console | Serial | Parallel] = [*devices.consoles, *devices.serials, *devices.parallels]
        found = next((each for each in candidates if name is None or each.alias == name), None)
        if found is None:
            raise InternalError(f"cannot find character device {name or '<null>'}")
        if isinstance(found, Console) and is_serial_console(found) and devices.serials:
            found = devices.serials[0]
        alias, source = found.alias or "", found.source
        held = guest.consoles.get(alias)
        if held is not None:
            if not force:
                raise OperationFailed("Active console session exists for this domain")
            await held.abort()

        def forget() -> None:
            guest.consoles.pop(alias, None)

        if isinstance(source, PTYChardev | DevChardev) and source.source is not None and source.source.path:
            stream = open_terminal(source.source.path, forget)
        elif isinstance(source, UnixChardev) and source.source is not None and source.source.path:
            stream = open_socket(source.source.path, forget)
        else:
            raise InternalError(f"character device {alias} is not using a PTY or UNIX socket")
        guest.consoles[alias] = stream
        return stream

    # -- ending

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        guest = obj.private
        if not isinstance(guest, Guest):
            return
        guest.ending = guest.ending or DomainShutoffReason.DESTROYED
        try:
            if guest.process is not None:
                await processes.end(guest.process, graceful)
        except VirtError:
            guest.ending = None
            raise
        guest.log.ended(_REASONS[guest.ending])
        await self._clean_up(obj, guest)

    async def end_guest(
        self, obj: DomainObject, reason: DomainShutoffReason, detail: DomainEventStoppedDetailType
    ) -> None:
        """End a guest that is in a file, on another host or of no more use now. For the holder of its job."""
        guest_of(obj).ending = reason
        await self.stop_domain(obj, False)
        await self.stopped(obj, reason, detail)

    async def _clean_up(self, obj: DomainObject, guest: Guest) -> None:
        """Forget a guest whose QEMU has ended."""
        await self._tell_hooks(obj, "stopped", "end", quietly=True)
        await self._tell_hooks(obj, "release", "end", quietly=True)
        await self._release(guest)
        self.leave_groups(guest)
        await self._leave_host(obj, guest)
        if not obj.persistent and obj.live is not None:
            self.remove_tpms(obj.live)
        obj.private = None

    async def _leave_host(self, obj: DomainObject, guest: Guest) -> None:
        """Undo what was made on the host for a guest that does not run any more."""
        if obj.live is not None:
            await self.host_side.release(owner_of(obj, guest.folder), obj.live)
            self.host_side.ports.difference_update(ports_of(obj.live))
        processes.remove_folder(guest.folder)

    async def _release(self, guest: Guest) -> None:
        """Let go of a guest, running or not."""
        current = asyncio.current_task()
        for task in (guest.watch, *guest.tasks):
            if task is not None and task is not current:
                task.cancel()
        monitor, guest.monitor = guest.monitor, None
        if monitor is not None:
            await monitor.close()
        for stream in list(guest.consoles.values()):
            await stream.finish()
        await self.leave_agent(guest)
        guest.perf.close()
        if guest.process is not None:
            guest.process.close()

    async def watch(self, obj: DomainObject, guest: Guest) -> None:
        """Wait for the end of a guest's QEMU and record it, unless whoever ends it does."""
        assert guest.process is not None
        await guest.process.wait()
        if guest.ending is None and guest.monitor is not None:
            await guest.monitor.close()  # delivers what QEMU had to say last
        if guest.ending is not None:  # somebody ends it, or began to meanwhile: broken off, nobody would record it
            return
        reason = DomainShutoffReason.SHUTDOWN if guest.got_shutdown else DomainShutoffReason.CRASHED
        guest.ending = reason
        guest.log.ended(_REASONS[reason])
        # Whoever holds the job works on a guest that is gone: it is broken off.
        async with obj.job.destroy("domain_ended", lambda: OperationFailed("domain is not running")):
            if obj.private is guest:
                await self._clean_up(obj, guest)
                await self.stopped(obj, reason, _DETAILS[reason])


async def _all(*questions: Coroutine[None, None, JSON | None]) -> list[JSON]:
    """The answers to questions that are asked together.

    :raises VirtError: what the first one that failed says, once all have ended.
    """
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


def _corrected(
    capabilities: EmulatorCapabilities, domain: Domain, filtered: Collection[str] = ()
) -> EmulatorCapabilities:
    """What is known about the emulator, with the corrections that the domain makes.

    :param filtered: what no emulator is taken to be able to do.
    """
    changes = find(domain, QemuCapabilityChanges)
    if changes is None:
        return dataclasses.replace(capabilities, flags=capabilities.flags.difference(filtered))
    added, removed = {each.capability for each in changes.added}, {each.capability for each in changes.removed}
    for flag in sorted(added | removed):
        if flag not in FLAGS:
            raise InternalError(f"invalid qemu namespace capability '{flag}'")
    return dataclasses.replace(capabilities, flags=(capabilities.flags.difference(filtered) | added) - removed)


def _take_terminals(domain: Domain, chardevs: object) -> None:
    """Put the pseudo terminals QEMU has opened into the live configuration."""
    paths = {}
    for row in chardevs if isinstance(chardevs, list) else ():
        name = row.get("filename", "") if isinstance(row, dict) else ""
        if name.startswith("pty:"):
            paths[row["label"]] = name.removeprefix("pty:")
    assert domain.devices is not None
    devices = domain.devices
    ports: list[Serial | Parallel | Channel | Console] = [*devices.serials, *devices.parallels, *devices.channels]
    for device in ports + devices.consoles:
        path = paths.get(f"char{device.alias}")
        if isinstance(device, Console) and is_serial_console(device) and devices.serials:
            # The first console is the first serial port.
            path = paths.get(f"char{devices.serials[0].alias}")
        if path is not None and (device.source is None or isinstance(device.source, PTYChardev)):
            if device.source is None:
                device.source = PTYChardev()
            device.source.source = HostPath(path=path)
