"""The side that a guest comes to."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from virt_qemu.guest import Boot, Guest
from virt_qemu.live_cpu import give_cpu
from virt_qemu.migration.bitmaps import bitmaps_to_take
from virt_qemu.migration.checks import COPY, check_flags_together, check_offline, copied
from virt_qemu.migration.control import Progress
from virt_qemu.migration.options import ALWAYS_ON, Party, options_of
from virt_qemu.migration.precreate import create_missing
from virt_qemu.migration.side import LOOK, MIGRATING_IN, POSTCOPY, TLS_OBJECT, MigrationPhase as Phase, MigrationSide
from virt_qemu.migration.statistics import MigrationStatistics, now
from virt_qemu.migration.storage import DiskServer, server_of
from virt_qemu.migration_cookie import (
    CookieBitmapDisk,
    CookieFeature as Feature,
    CookieNBD,
    MigrationCapability,
    automatic_of,
    bitmap_mapping,
    cookie_of,
)
from virtcore.driver.toolkit.jobs import JobKind
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import (
    DomainEventDefinedDetailType,
    DomainEventResumedDetailType,
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.enums.domain_more import DomainJobOperation, DomainMigrateFlags as Flags
from virtcore.errors import (
    InternalError,
    MigrateFinishOk,
    OperationInvalid,
    VirtError,
)
from virtcore.operations.values import MigrationFinished

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from virt_qemu.host import QemuState
    from virt_qemu.migration.address import PreparedAddress
    from virt_qemu.migration.tunnel import ReceivingTunnel
    from virt_qemu.migration_cookie import MigrationCookie
    from virt_qemu.monitor import EventQueue
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.types import TypedParameters

__all__ = ["Incoming"]

log = logging.getLogger(__name__)


class Incoming(MigrationSide):
    """A guest that is waited for.

    :ivar address: where; None through a tunnel, or when it does not run.
    """

    kind = MIGRATING_IN
    does = DomainJobOperation.MIGRATION_IN
    operation = "connection_migrate_prepare"
    allows = JobKind.DESTROY

    def __init__(
        self,
        state: QemuState,
        obj: DomainObject,
        params: TypedParameters,
        flags: int,
        address: PreparedAddress | None = None,
        tunnel: ReceivingTunnel | None = None,
    ) -> None:
        super().__init__(state, obj, params, flags)
        self.address = address
        self._tunnel = tunnel
        self._server: DiskServer | None = None
        self._disks_port = 0
        self._bitmaps: list[CookieBitmapDisk] = []
        self._held = ExitStack()
        self._source_name = obj.name
        self._offline: Domain | None = None

    @staticmethod
    def check(flags: int, *, force_tls: bool, tunnelled: bool) -> None:
        """Refuse what cannot be.

        :raises VirtError: it says why.
        """
        check_offline(flags, tunnelled=tunnelled)
        check_flags_together(flags, force_tls=force_tls)

    # -- prepare

    async def prepare(self, domain: Domain, cookie: MigrationCookie) -> bytes:
        """Wait for the guest; returns what the source has to know.

        :param domain: as it will be here.
        :raises VirtError: it cannot come; nothing of it is left.
        """
        obj, flags = self.obj, self.flags
        self._source_name = cookie.name
        self._offline = domain
        self._held.enter_context(self.state.domains.holding(obj.name, obj.uuid))
        features = [] if flags & Flags.OFFLINE else [Feature.GRAPHICS, Feature.CAPABILITIES]
        try:
            if not flags & Flags.OFFLINE:
                if flags & COPY and cookie.nbd is not None:
                    await create_missing(self.state, domain, cookie.nbd, self._disk_names(), flags)
                how = Boot(
                    paused=True,
                    incoming="defer",
                    load=lambda guest: self._listen(guest, cookie),
                    stands=DomainPausedReason.MIGRATION,
                    original_cpu=give_cpu(domain, cookie.cpu),
                )
                await self.state.bring_up(
                    obj, domain, lambda: self.state.boot(obj, how), DomainEventStartedDetailType.MIGRATED, None
                )
            await self.enter(Phase.PREPARE)
            told = cookie_of(
                domain if not obj.active else _live(obj),
                host_name=self.state.host_name,
                host_uuid=self.state.host_uuid,
                features=features,
                capabilities=self._supported,
                automatic=[name for name, party in ALWAYS_ON.items() if Party.DESTINATION in party],
            )
            told.name = self._source_name
            if self._server is not None and self._server.place is not None:
                told.nbd = CookieNBD(port=self._server.place.port or None)
            told.bitmap_disks = self._bitmaps
            return self.state.write_cookie(told)
        except BaseException:
            await self._send_away()
            raise

    def _disk_names(self) -> list[str]:
        return [str(each) for each in self.params.all("migrate_disks")]

    async def _listen(self, guest: Guest, cookie: MigrationCookie) -> None:
        """Set QEMU up, and have it wait for the guest."""
        flags = self.flags
        options = options_of(self.params, flags, Party.DESTINATION)
        await self.keep_settings()
        mapping = await self._map_bitmaps(guest, cookie)
        if mapping:
            options.capabilities.add(MigrationCapability.DIRTY_BITMAPS)
        options.settle(Party.DESTINATION, self._supported, automatic_of(cookie))
        await self.use_tls(options, None)
        await self.control.set_capabilities(self._supported, options.capabilities)
        await self.control.set_parameters(options.parameters)
        if mapping:
            await self.control.map_bitmaps(mapping)
        if cookie.nbd is not None and flags & COPY:
            await self._serve_disks(guest)
        if self._tunnel is not None:
            await guest.channel().give("migrate", self._tunnel.descriptor())
            await self.control.incoming("fd:migrate")
            self._tunnel.handed_over()
        else:
            assert self.address is not None
            await self._wait_at(self.address, self.control.incoming)

    async def _wait_at(self, address: PreparedAddress, wait: Callable[[str], Awaitable[None]]) -> None:
        """Have QEMU wait for the guest."""

        async def listen(port: int) -> None:
            address.move(port)
            await wait(address.listen.qemu())

        if address.port:
            await self.state.migration_ports.listen(address.port, listen)
        else:
            await wait(address.listen.qemu())

    async def _map_bitmaps(self, guest: Guest, cookie: MigrationCookie) -> list[dict[str, object]]:
        """Settle which bitmaps of disks that are copied are taken along, and what they are here."""
        if not self.flags & COPY or cookie.nbd is None or MigrationCapability.DIRTY_BITMAPS not in self._supported:
            return []
        domain = _live(self.obj)
        self._bitmaps = await bitmaps_to_take(guest, copied(domain, self._disk_names()), cookie.bitmap_disks)
        return bitmap_mapping(self._bitmaps, domain)

    async def _serve_disks(self, guest: Guest) -> None:
        disks = copied(_live(self.obj), self._disk_names())
        if not disks:
            return
        wanted, port = self.params.get("disks_uri"), self.params.get("disks_port")
        assert self.address is not None
        place = server_of(
            None if wanted is None else str(wanted), self.address.listen.host, port if isinstance(port, int) else 0
        )
        self._server = server = DiskServer(guest)
        certificates = TLS_OBJECT if self.flags & Flags.TLS else None
        if place.path is not None or place.port:
            await server.start(place, disks, certificates)
            return
        ports = self.state.migration_ports

        async def serve(port: int) -> None:
            self._disks_port = port
            await server.start(place._replace(port=port), disks, certificates)

        await ports.listen(ports.acquire(), serve)

    def _release(self) -> None:
        """Give back what it took of the host."""
        self._held.close()
        if self._tunnel is not None:
            self._tunnel.close()
        for port in (self._disks_port, self.address.port if self.address is not None else 0):
            self.state.migration_ports.release(port)

    def drop(self, error: BaseException | None = None) -> None:
        super().drop(error)
        self._release()

    def _ended_meanwhile(self, error: VirtError) -> None:
        guest = self.obj.private
        if isinstance(guest, Guest) and guest.process is not None and not guest.process.running:
            told = guest.log.output()
            text = f"QEMU unexpectedly closed the monitor (vm='{self.obj.name}')" + (f": {told}" if told else "")
            self.state.migration_errors[self.obj.name] = InternalError(text)
        super()._ended_meanwhile(error)

    # -- finish

    async def finish(self, cookie: bytes, *, cancelled: bool) -> MigrationFinished:
        """The guest has come, and runs here; or it will not come, and nothing of it is left.

        :param cancelled: it will not.
        :raises VirtError: it did not come, or cannot run here.
        """
        received = now()
        await self.enter(Phase.FINISH3)
        if self.flags & Flags.OFFLINE:
            return await self._finish_offline(cookie, cancelled=cancelled)
        try:
            if cancelled:
                self._check_alive()
                raise MigrateFinishOk
            told = self.state.read_cookie(cookie, self.obj.uuid, name=self._source_name, caps=False)
            await self._arrive(told, received)
        except BaseException:
            await self._send_away()
            raise
        return MigrationFinished(self.obj.ref, self.state.write_cookie(self._final_cookie()))

    def _check_alive(self) -> None:
        """Where QEMU has ended, that says more than that it will not come."""
        guest = self.obj.private
        if not isinstance(guest, Guest) or guest.process is None or not guest.process.running:
            raise self.state.migration_errors.pop(self.obj.name, None) or InternalError("guest unexpectedly quit")

    async def _finish_offline(self, cookie: bytes, *, cancelled: bool) -> MigrationFinished:
        if cancelled:
            raise MigrateFinishOk
        told = self.state.read_cookie(cookie, self.obj.uuid, name=self._source_name, caps=False)
        definition = told.domain if told.domain is not None else self._offline
        await self._persist(definition)
        return MigrationFinished(self.obj.ref, self.state.write_cookie(self._final_cookie()))

    async def _arrive(self, told: MigrationCookie, received: int) -> None:
        obj, flags = self.obj, self.flags
        guest = self.guest
        if self._server is not None:
            await self._server.stop()
        if flags & Flags.PERSIST_DEST:
            await self._persist(told.domain)
        with guest.channel().events("MIGRATION") as events:
            progress = await self._wait(events, ("completed", *(POSTCOPY if flags & Flags.POSTCOPY else ())))
            self._postcopy = progress.status in POSTCOPY
            if not flags & Flags.PAUSED:
                reason = DomainRunningReason.POSTCOPY if self._postcopy else DomainRunningReason.MIGRATED
                await self.state.start_cpus(obj, guest, reason)
            if told.statistics is not None:
                self.statistics = MigrationStatistics.of_cookie(told.statistics)
                if self.statistics.sent:
                    self.statistics.delta = received - self.statistics.sent
                self.statistics.measure()
            if self._postcopy:
                await self._wait(events, ("completed",))
        await self.complete()

    async def complete(self) -> None:
        """The guest is here as a whole."""
        obj, guest = self.obj, self.guest
        if self._postcopy:
            if obj.state == DomainState.RUNNING:
                self.state.running(obj, DomainRunningReason.MIGRATED)
            self.state.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.MIGRATED)
        if obj.state == DomainState.PAUSED:
            self.state.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
            self.state.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.PAUSED)
        self.job.report(self.statistics.parameters())
        await self.restore_settings()
        await self.state.save(obj, guest)

    async def _wait(self, events: EventQueue, states: tuple[str, ...]) -> Progress:
        """Wait until QEMU has come to one of some states.

        :raises OperationFailed: it has given up.
        """
        while True:
            progress = await self.control.progress()
            if progress.status in states:
                return progress
            self.check_progress(progress)
            await events.next(LOOK)

    async def _persist(self, definition: Domain | None) -> None:
        """Keep the guest's definition here."""
        obj = self.obj
        if definition is None:
            definition = self.state.load_inactive(self.state.migratable_xml(_live(obj), obj))
        definition.name = obj.name
        added = not obj.persistent
        async with obj.config_lock:
            await self.state.save_definition(obj, definition)
            self.state.domains.publish(obj)
        kinds = DomainEventDefinedDetailType
        self.state.emit(obj, DomainEventType.DEFINED, kinds.ADDED if added else kinds.UPDATED)

    def _final_cookie(self) -> MigrationCookie:
        cookie = self.state.bare_cookie(self.obj)
        cookie.name = self._source_name
        cookie.capabilities = None
        if not self.flags & Flags.OFFLINE:
            cookie.statistics = self.statistics.to_cookie()
        return cookie

    async def _send_away(self) -> None:
        """The guest does not run here; one whose memory is here already is kept."""
        obj = self.obj
        if not obj.active:
            return
        if self._postcopy:
            await self.postcopy_failed()
            return
        await self.state.end_guest(obj, DomainShutoffReason.FAILED, DomainEventStoppedDetailType.FAILED)

    async def postcopy_failed(self) -> None:
        """The guest runs here, and what it needs of its memory cannot be reached: it is kept as it is."""
        obj = self.obj
        self._postcopy = True
        if obj.state in (DomainState.RUNNING, DomainState.PAUSED) and not self.failed_in_postcopy:
            log.warning(
                "Incoming migration of domain '%s' failed during post-copy; leaving the domain running", obj.name
            )
            if obj.state == DomainState.RUNNING:
                self.state.set_state(obj, DomainState.RUNNING, DomainRunningReason.POSTCOPY_FAILED)
                self.state.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.POSTCOPY_FAILED)
            else:
                self.state.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.POSTCOPY_FAILED)
        await self.enter(Phase.POSTCOPY_FAILED)

    @property
    def failed_in_postcopy(self) -> bool:
        """Whether the guest's memory is in two places, and nothing moves it."""
        return self.obj.state == DomainState.RUNNING and self.obj.reason == DomainRunningReason.POSTCOPY_FAILED

    # -- again, after it has failed behind the guest

    async def prepare_again(
        self, address: PreparedAddress, params: TypedParameters, flags: int, cookie: bytes
    ) -> bytes:
        """As :meth:`prepare`: wait for the rest."""
        await self.enter(Phase.PREPARE_RESUME)
        try:
            if (await self.control.progress()).status != "postcopy-paused":
                raise OperationInvalid("QEMU reports migration is still running")
            self.state.read_cookie(cookie, self.obj.uuid, name=self._source_name)
            await self._wait_at(address, self.control.recover)
        except BaseException:
            await self.enter(Phase.POSTCOPY_FAILED)
            raise
        if self.address is not None:
            self.state.migration_ports.release(self.address.port)
        self.address, self.params, self.flags = address, params, flags
        told = self.state.bare_cookie(self.obj)
        told.name = self._source_name
        return self.state.write_cookie(told)

    async def finish_again(self, cookie: bytes, *, cancelled: bool) -> MigrationFinished:
        """As :meth:`finish`: the rest has come, or not."""
        await self.enter(Phase.FINISH_RESUME)
        try:
            if cancelled:
                raise MigrateFinishOk
            self.state.read_cookie(cookie, self.obj.uuid, name=self._source_name, caps=False)
            with self.guest.channel().events("MIGRATION") as events:
                await self._wait(events, ("completed",))
            self._postcopy = True
            await self.complete()
        except BaseException:
            await self.postcopy_failed()
            raise
        return MigrationFinished(self.obj.ref, self.state.write_cookie(self._final_cookie()))

    # -- between phases

    async def abandon(self) -> None:
        if self.phase is not Phase.PREPARE:
            return
        log.warning("The connection which controls migration of domain %s was closed", self.obj.name)
        with self.job.going_on():
            try:
                await self._send_away()
            finally:
                self.drop(self.cancelled())


def _live(obj: DomainObject) -> Domain:
    assert obj.live is not None
    return obj.live
