"""The side that a guest leaves."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from virt_qemu.block.running import transaction
from virt_qemu.guest import Guest
from virt_qemu.migration.address import MigrationAddress, connect, parse_address
from virt_qemu.migration.bitmaps import bitmaps_to_gather, bitmaps_to_send, remove_gathered
from virt_qemu.migration.checks import (
    COPY,
    check_flags_together,
    check_guest,
    check_offline,
    check_safe,
    check_state,
    copied,
    wanted_disks,
)
from virt_qemu.migration.control import Progress
from virt_qemu.migration.displays import DisplayMove
from virt_qemu.migration.options import ALWAYS_ON, Party, options_of
from virt_qemu.migration.side import LOOK, MIGRATING_OUT, POSTCOPY, TLS_OBJECT, MigrationPhase as Phase, MigrationSide
from virt_qemu.migration.statistics import now
from virt_qemu.migration.storage import Mirrors, capacities, server_of
from virt_qemu.migration_cookie import (
    CookieDisk,
    CookieFeature as Feature,
    CookieNBD,
    MigrationCapability,
    MigrationCookie,
    bitmap_mapping,
    cookie_of,
)
from virt_qemu.monitor import MonitorClosed
from virt_qemu.status import MigratedDisk
from virtcore.driver.toolkit.jobs import JobKind
from virtcore.enums.domain import (
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.enums.domain_events import (
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.enums.domain_more import DomainJobOperation, DomainMigrateFlags as Flags
from virtcore.errors import (
    InternalError,
    OperationFailed,
    OperationInvalid,
    OperationUnsupported,
    VirtError,
)
from virtcore.operations.values import MigrationBegun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from virt_qemu.host import QemuState
    from virt_qemu.migration.tunnel import SendingTunnel
    from virt_qemu.monitor import EventQueue
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.types import TypedParameters

__all__ = ["Outgoing"]

log = logging.getLogger(__name__)

#: MiB/s that are no limit.
UNLIMITED = ((1 << 63) - 1) >> 20


async def _nothing() -> None:
    """The destination is not ours to watch."""


class Outgoing(MigrationSide):
    """A guest that is sent away."""

    kind = MIGRATING_OUT
    does = DomainJobOperation.MIGRATION_OUT
    operation = "domain_migrate"
    allows = JobKind.QUERY | JobKind.DESTROY | JobKind.SUSPEND

    def __init__(self, state: QemuState, obj: DomainObject, params: TypedParameters, flags: int) -> None:
        super().__init__(state, obj, params, flags)
        self._was_running = False
        self._names: list[str] = []
        self._mirrors: Mirrors | None = None
        self._displays = DisplayMove()
        self._completed = False

    # -- begin

    async def begin(self) -> MigrationBegun:
        """What the destination has to know. For the holder of the guest's job.

        :raises VirtError: the guest cannot be migrated so.
        """
        obj, flags = self.obj, self.flags
        offline = bool(flags & Flags.OFFLINE)
        if not offline:
            obj.require_active()
        guest = obj.private if isinstance(obj.private, Guest) else None
        self._was_running = obj.state == DomainState.RUNNING
        domain = obj.live if obj.active else self.state.definition(obj)
        assert domain is not None
        await self._check(domain, guest)
        cookie = await self._first_cookie(domain, guest)
        return MigrationBegun(self.state.write_cookie(cookie), self._document(domain))

    async def _check(self, domain: Domain, guest: Guest | None) -> None:
        obj, flags, settings = self.obj, self.flags, self.state.settings
        capabilities = guest.capabilities if guest is not None else None
        check_state(obj, flags)
        if not flags & Flags.OFFLINE:
            assert guest is not None
            await check_guest(guest)
        names = [str(each) for each in self.params.all("migrate_disks")]
        if not flags & (Flags.UNSAFE | Flags.OFFLINE):
            check_safe(domain, capabilities, names, flags, settings.shared_filesystems)
        check_flags_together(flags, force_tls=settings.migrate_tls_force)
        check_offline(flags, tunnelled=bool(flags & Flags.TUNNELLED))
        if flags & Flags.ZEROCOPY and not flags & Flags.PARALLEL:
            raise OperationInvalid("zero-copy is only available for parallel migration")
        self._names = wanted_disks(domain, self.params, flags)

    async def _first_cookie(self, domain: Domain, guest: Guest | None) -> MigrationCookie:
        features = []
        if guest is not None and guest.status.original_cpu is not None:
            features.append(Feature.CPU)
        supported: frozenset[str] = frozenset()
        if not self.flags & Flags.OFFLINE:
            features.append(Feature.CAPABILITIES)
            supported = await self.control.supported()
        if domain.max_memory is not None:
            features.append(Feature.MEMORY_HOTPLUG)
        if not _in_order(domain):
            features.append(Feature.CPU_HOTPLUG)
        cookie = cookie_of(
            domain,
            host_name=self.state.host_name,
            host_uuid=self.state.host_uuid,
            features=features,
            capabilities=supported,
            automatic=[name for name, party in ALWAYS_ON.items() if Party.SOURCE in party],
        )
        moved = copied(domain, self._names) if self.flags & COPY else []
        if moved:
            sizes = await capacities(self.guest, moved)
            cookie.nbd = CookieNBD(disks=[CookieDisk(target=target, capacity=size) for target, size in sizes])
            if MigrationCapability.DIRTY_BITMAPS in supported:
                cookie.bitmap_disks = await bitmaps_to_send(self.guest, moved)
        return cookie

    def _document(self, domain: Domain) -> str:
        """The guest as the destination is to have it: the caller's own document, if it stays the same machine."""
        wanted = self.params.get("destination_xml")
        if wanted is not None:
            return self.state.migratable_xml(self.state.load_same(str(wanted), domain, self.obj))
        return self.state.migratable_xml(domain, self.obj)

    # -- perform

    async def perform(
        self,
        uri: str | None,
        cookie: bytes,
        *,
        tunnel: SendingTunnel | None = None,
        alive: Callable[[], Awaitable[None]] = _nothing,
    ) -> bytes:
        """Send the guest. Its virtual CPUs stand still then, here; where it does not succeed it goes on as before.

        :param uri: where to; None through a tunnel.
        :param cookie: what the destination has told.
        :param tunnel: what takes the guest there.
        :param alive: raises when the destination cannot be reached any more.
        :raises VirtError: it did not succeed.
        """
        guest = self.guest
        try:
            return await self._perform(guest, uri, cookie, tunnel, alive)
        except BaseException as error:  # noqa: BLE001  # a job that is broken off is undone, too
            await self._give_up(guest)
            raise self._reason(guest, error) from (error if isinstance(error, VirtError) else None)

    def _reason(self, guest: Guest, error: BaseException) -> BaseException:
        """Why it failed, as the caller is told."""
        if isinstance(error, MonitorClosed) or guest.process is None or not guest.process.running:
            return OperationFailed("domain is not running")
        return error

    async def _perform(
        self,
        guest: Guest,
        uri: str | None,
        told: bytes,
        tunnel: SendingTunnel | None,
        alive: Callable[[], Awaitable[None]],
    ) -> bytes:
        flags = self.flags
        self._was_running = self.obj.state == DomainState.RUNNING
        persistent = self._persistent()
        address = parse_address(uri) if uri is not None else None
        if (
            address is not None
            and address.scheme == "unix"
            and flags & Flags.TLS
            and "tls.destination" not in self.params
        ):
            raise OperationInvalid("Explicit destination hostname is required for TLS migration over UNIX socket")
        cookie = self.state.read_cookie(told, self.obj.uuid, name=self.obj.name)
        options = options_of(self.params, flags, Party.SOURCE)
        await self.keep_settings()
        automatic = (
            [each.name for each in cookie.capabilities.capabilities if each.automatic] if cookie.capabilities else []
        )
        mapping = await self._map_bitmaps(guest, cookie)
        if mapping:
            options.capabilities.add(MigrationCapability.DIRTY_BITMAPS)
        options.settle(Party.SOURCE, self._supported, automatic)
        await self.use_tls(options, address.host if address is not None and not self._direct(address) else None)
        bandwidth = self.params.get("bandwidth")
        speed = self.state.migration_speeds.get(self.obj.uuid, UNLIMITED)
        if isinstance(bandwidth, int) and bandwidth:
            speed = int(bandwidth)
        options.parameters["max-bandwidth"] = speed << 20
        await self.control.set_capabilities(self._supported, options.capabilities)
        await self.control.set_parameters(options.parameters)
        if mapping:
            await self.control.map_bitmaps(mapping)
        with guest.channel().events("MIGRATION", "JOB_STATUS_CHANGE", "STOP") as events:
            if flags & COPY and copied(_live(self.obj), self._names):
                await self._copy_disks(
                    guest, cookie, address, speed, options.parameters.get("tls-hostname"), events, alive
                )
            if not flags & Flags.LIVE:
                await self.state.stop_cpus(self.obj, guest, DomainPausedReason.MIGRATION)
            guest.pausing = DomainPausedReason.MIGRATION
            guest.log.note("initiating migration")
            graphics = self.params.get("graphics_uri")
            await self._displays.begin(guest.channel(), cookie, None if graphics is None else str(graphics))
            await self._start(address, tunnel)
            await self._wait_and_switch(guest, events, alive)
        if tunnel is not None:
            await tunnel.finish()
        self.statistics.measure()
        self.statistics.sent = now()
        self._completed = True
        return self._last_cookie(persistent)

    def _direct(self, address: MigrationAddress) -> bool:
        """Whether QEMU connects by itself: it needs several connections."""
        return address.scheme == "rdma" or bool(self.flags & (Flags.PARALLEL | Flags.POSTCOPY))

    def _persistent(self) -> Domain | None:
        """The definition that stays at the destination."""
        if not self.flags & Flags.PERSIST_DEST:
            return None
        wanted = self.params.get("persistent_xml") or self.params.get("destination_xml")
        if wanted is not None:
            return self.state.load_inactive(str(wanted))
        if self.obj.persistent:
            return self.state.definition(self.obj)
        return self.state.load_inactive(self.state.migratable_xml(_live(self.obj), self.obj))

    async def _copy_disks(
        self,
        guest: Guest,
        cookie: MigrationCookie,
        address: MigrationAddress | None,
        speed: int,
        hostname: object,
        events: EventQueue,
        alive: Callable[[], Awaitable[None]],
    ) -> None:
        if cookie.nbd is None:
            raise InternalError("migration of non-shared disks requested but NBD is not set up")
        disks = copied(_live(self.obj), self._names)
        wanted = self.params.get("disks_uri")
        place = server_of(
            None if wanted is None else str(wanted), address.host if address is not None else "", cookie.nbd.port or 0
        )
        if place.path is not None and self.flags & Flags.TLS:
            raise OperationUnsupported("NBD migration with TLS is not supported over UNIX socket")
        mirrors = self._mirrors = Mirrors(guest, self.flags, speed << 20 if speed < UNLIMITED else 0)
        certificates = TLS_OBJECT if self.flags & Flags.TLS else None
        for disk in disks:
            await mirrors.begin(disk, place, certificates, str(hostname) if hostname else None)
            await self._note_disks(guest, mirrors)
        await mirrors.wait(events, alive)
        self.statistics.mirrored = await mirrors.progress()

    async def _map_bitmaps(self, guest: Guest, cookie: MigrationCookie) -> list[dict[str, object]]:
        """Settle what is sent of the bitmaps that the destination takes."""
        job, domain, moved = guest.status.job, _live(self.obj), cookie.bitmap_disks
        if not self.flags & COPY or cookie.nbd is None or not moved:
            return []
        if self.flags & Flags.NON_SHARED_INC:
            return bitmap_mapping(moved, domain)  # the images below are there, with their parts
        instead, actions = await bitmaps_to_gather(guest, copied(domain, self._names), moved)
        if instead and job is not None:
            job.bitmaps = list(instead.values())
            await self.state.save(self.obj, guest)  # before they are made: whoever comes after us removes them
            await transaction(guest.channel(), actions)
        return bitmap_mapping(moved, domain, instead)

    async def _note_disks(self, guest: Guest, mirrors: Mirrors) -> None:
        job, domain = guest.status.job, _live(self.obj)
        assert domain.devices is not None
        if job is not None:
            job.disks = [
                MigratedDisk(dev=disk.target.dev or "", migrating=any(disk is each for each in mirrors.disks))
                for disk in domain.devices.disks
                if disk.target is not None
            ]
        await self.state.save(self.obj, guest)

    async def _start(self, address: MigrationAddress | None, tunnel: SendingTunnel | None) -> None:
        if address is not None and self._direct(address):
            await self.control.migrate(address.qemu())
            return
        with ExitStack() as stack:
            if tunnel is not None:
                descriptor = tunnel.descriptor()
            else:
                assert address is not None
                descriptor = stack.enter_context(await connect(address)).fileno()
            await self.guest.channel().give("migrate", descriptor)
            if tunnel is not None:
                tunnel.start()
            await self.control.migrate("fd:migrate")

    async def _wait_and_switch(self, guest: Guest, events: EventQueue, alive: Callable[[], Awaitable[None]]) -> None:
        """Follow QEMU to the point where it stands still, end the copies of disks, let it finish."""
        progress = await self._wait(events, alive, ("pre-switchover", "completed", *self._postcopy_states()))
        while self.obj.state == DomainState.RUNNING:  # QEMU has stopped it; the event is on its way
            await events.next(LOOK)
            self.guest.channel()
        self.statistics.stopped = self.statistics.stopped or now()
        if self._mirrors is not None:
            self.statistics.mirrored = await self._mirrors.progress()
            await self._mirrors.finish(give_up=False)
            await self._note_disks(guest, self._mirrors)
        if progress.status == "pre-switchover":
            await self.control.go_on("pre-switchover")
            progress = await self._wait(events, alive, ("completed", *self._postcopy_states()))
        self._postcopy = progress.status in POSTCOPY
        if self._postcopy:
            self.state.migration_changed(self.obj, guest, "postcopy-active")  # whether the event has come or not

    def _postcopy_states(self) -> tuple[str, ...]:
        return POSTCOPY if self.flags & Flags.POSTCOPY else ()

    async def _wait(
        self, events: EventQueue, alive: Callable[[], Awaitable[None]], states: tuple[str, ...]
    ) -> Progress:
        """Wait until QEMU has come to one of some states.

        :raises OperationFailed: QEMU has given up, or a disk or the destination has failed.
        """
        while True:
            progress = await self.control.progress()
            self._take(progress)
            if progress.status in states:
                return progress
            if progress.status == "none":
                raise OperationFailed(f"job '{self.kind}' is not active")
            self.check_progress(progress)
            if self._mirrors is not None:
                await self._mirrors.check()
            broken = self.obj.state == DomainState.PAUSED and self.obj.reason == DomainPausedReason.IOERROR
            if self.flags & Flags.ABORT_ON_ERROR and broken:
                raise OperationFailed("job 'migration out' failed due to I/O error")
            await alive()
            await events.next(LOOK)

    def _take(self, progress: Progress) -> None:
        self.statistics.take(progress)
        self.job.report(self.statistics.parameters())

    def _last_cookie(self, persistent: Domain | None) -> bytes:
        cookie = self.state.bare_cookie(self.obj)
        cookie.domain = persistent
        cookie.statistics = self.statistics.to_cookie()
        return self.state.write_cookie(cookie)

    async def _give_up(self, guest: Guest) -> None:
        """Take everything back, so that the guest goes on here."""
        guest.pausing = DomainPausedReason.USER
        if guest.process is None or not guest.process.running or guest.monitor is None or not guest.monitor.connected:
            return
        self._displays.end()
        try:
            await self.control.cancel()
            if self._mirrors is not None:
                await self._mirrors.finish(give_up=True)
                self._mirrors = None
            if guest.status.job is not None:
                await remove_gathered(guest, guest.status.job.bitmaps)
            await self.go_back()
        except VirtError as error:
            log.error("migration of domain '%s' cannot be undone: %s", self.obj.name, error)

    async def go_back(self) -> None:
        """The guest runs here as it did before."""
        obj = self.obj
        guest = obj.private
        if not isinstance(guest, Guest):
            return
        guest.pausing = DomainPausedReason.USER
        stands = obj.state == DomainState.PAUSED and obj.reason != DomainPausedReason.POSTCOPY_FAILED
        if stands and self._was_running and obj.reason in (DomainPausedReason.MIGRATION, DomainPausedReason.POSTCOPY):
            try:
                await self.state.start_cpus(obj, guest, DomainRunningReason.MIGRATION_CANCELED)
            except VirtError as error:
                log.error("Failed to resume guest %s after failure: %s", obj.name, error)
                if obj.state == DomainState.PAUSED:
                    self.state.set_state(obj, DomainState.PAUSED, DomainPausedReason.API_ERROR)
                    self.state.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.API_ERROR)
        await self.restore_settings()

    # -- confirm

    async def confirm(self, cookie: bytes, flags: int, *, cancelled: bool) -> None:
        """The end: the guest is forgotten here, or goes on here.

        :param flags: of this phase.
        :param cancelled: it does not run at the destination.
        """
        if flags & Flags.POSTCOPY_RESUME:
            await self.enter(Phase.CONFIRM_RESUME)
        elif not self.failed_in_postcopy:
            await self.enter(Phase.CONFIRM3_CANCELLED if cancelled else Phase.CONFIRM3)
        if self.flags & Flags.OFFLINE:
            return
        if cancelled and self._postcopy and await self._finished_by_itself():
            cancelled = False
        if not cancelled:
            self._take_measures(cookie)
            await self._displays.wait()
            await self.complete()
        elif self._postcopy:
            await self.postcopy_failed()
        else:
            if self._mirrors is not None:
                await self._mirrors.finish(give_up=True)
            await self.go_back()

    def _take_measures(self, cookie: bytes) -> None:
        """Take over what the destination has measured. That the guest runs there does not depend on it."""
        try:
            told = self.state.read_cookie(cookie, self.obj.uuid, name=self.obj.name, caps=False)
        except VirtError as error:
            log.warning("the destination's cookie about domain '%s' cannot be used: %s", self.obj.name, error)
            return
        if told.statistics is not None:
            self.statistics.delta = told.statistics.delta
            self.statistics.downtime = told.statistics.downtime

    async def _finished_by_itself(self) -> bool:
        try:
            return (await self.control.progress()).status == "completed"
        except VirtError:
            return False

    async def complete(self) -> None:
        """The guest runs at the destination: here it is ended, and told so."""
        obj = self.obj
        if self._postcopy:
            try:
                self.statistics.take(await self.control.progress())
            except VirtError as error:
                log.warning("Could not refresh migration statistics: %s", error)
        self.statistics.measure(standing=False)
        self.job.report(self.statistics.parameters())
        await self.state.end_guest(obj, DomainShutoffReason.MIGRATED, DomainEventStoppedDetailType.MIGRATED)
        self.state.tell_completed(obj, self.job)

    async def postcopy_failed(self) -> None:
        """The guest runs at the destination, and what is left of its memory is here: it is kept as it is."""
        obj = self.obj
        self._postcopy = True
        if obj.state == DomainState.PAUSED and obj.reason != DomainPausedReason.POSTCOPY_FAILED:
            log.warning("Migration of domain %s failed during post-copy; leaving the domain paused", obj.name)
            self.state.set_state(obj, DomainState.PAUSED, DomainPausedReason.POSTCOPY_FAILED)
            self.state.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.POSTCOPY_FAILED)
        await self.enter(Phase.POSTCOPY_FAILED)

    @property
    def failed_in_postcopy(self) -> bool:
        """Whether the guest's memory is in two places, and nothing moves it."""
        return self.obj.state == DomainState.PAUSED and self.obj.reason == DomainPausedReason.POSTCOPY_FAILED

    async def refresh(self) -> None:
        """Ask QEMU how far it is, while it says nothing by itself."""
        if self._completed or self.phase not in (Phase.PERFORM3, Phase.PERFORM2, Phase.PERFORM_RESUME):
            return
        try:
            progress = await self.control.progress()
        except VirtError as error:
            log.warning("statistics of the migration of domain '%s' are not to be had: %s", self.obj.name, error)
            return
        if self._mirrors is not None and self._mirrors.disks:
            self.statistics.mirrored = await self._mirrors.progress()
        self._take(progress)

    # -- again, after it has failed behind the guest

    async def begin_again(self, params: TypedParameters, flags: int) -> MigrationBegun:
        """As :meth:`begin`."""
        await self.enter(Phase.BEGIN_RESUME)
        try:
            if (await self.control.progress()).status != "postcopy-paused":
                raise OperationInvalid("QEMU reports migration is still running")
        except BaseException:
            await self.enter(Phase.POSTCOPY_FAILED)
            raise
        self.params, self.flags = params, flags
        cookie = self.state.bare_cookie(self.obj)
        return MigrationBegun(self.state.write_cookie(cookie), self._document(_live(self.obj)))

    async def perform_again(self, params: TypedParameters, flags: int, uri: str, cookie: bytes) -> bytes:
        """As :meth:`perform`: send the rest. Returns at once, the destination waits for it."""
        await self.enter(Phase.PERFORM_RESUME)
        self.params, self.flags = params, flags
        try:
            self.state.read_cookie(cookie, self.obj.uuid, name=self.obj.name)
            options = options_of(params, flags, Party.SOURCE)
            await self.control.set_parameters(options.parameters, resume=True)
            self.guest.log.note("resuming migration")
            await self.control.migrate(parse_address(uri).qemu(), resume=True)
        except BaseException:
            await self.enter(Phase.POSTCOPY_FAILED)
            raise
        cookie_out = self.state.bare_cookie(self.obj)
        cookie_out.statistics = self.statistics.to_cookie()
        return self.state.write_cookie(cookie_out)

    # -- between phases

    async def abandon(self) -> None:
        if self.phase is Phase.BEGIN3:
            self._abandon_begun()
        elif self.phase is Phase.PERFORM3_DONE:
            await self._abandon_done()

    def _abandon_begun(self) -> None:
        log.warning("The connection which controls migration of domain %s was closed", self.obj.name)
        with self.job.going_on():
            self.drop(self.cancelled())

    async def _abandon_done(self) -> None:
        """Nobody will say whether the guest runs at the destination."""
        name = self.obj.name
        log.warning("The connection which controls migration of domain %s was closed", name)
        with self.job.going_on():
            if self._postcopy:
                await self.postcopy_failed()
                self.rest(None)
                return
            log.warning("Migration of domain %s finished but we don't know if the domain was successfully started on "
                        "destination or not", name)  # fmt: skip
            await self.restore_settings()
            self.drop(OperationFailed("the connection that controlled the migration was closed"))

    def abort(self) -> None:
        """Whoever watches it wants it to end.

        :raises OperationInvalid: it cannot any more.
        """
        if self._postcopy:
            raise OperationInvalid("cannot abort migration in post-copy mode")
        if self.phase is Phase.PERFORM3_DONE:
            return  # QEMU has nothing left to break off: the destination decides
        self.obj.job.abort()


def _live(obj: DomainObject) -> Domain:
    assert obj.live is not None
    return obj.live


def _in_order(domain: Domain) -> bool:
    """Whether the virtual CPUs that are on are the first ones, and all the others can be plugged."""
    seen_off = False
    for vcpu in domain.vcpus:
        if not vcpu.enabled:
            seen_off = True
        elif seen_off:
            return False
    return True
