"""Operations of migration: the phases at either side, settings, and the job that can be watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.migration.address import PreparedAddress, prepare_address
from virt_qemu.migration.control import MigrationControl
from virt_qemu.migration.destination import Incoming
from virt_qemu.migration.options import SUPPORTED
from virt_qemu.migration.side import MigrationPhase as Phase
from virt_qemu.migration.source import UNLIMITED, Outgoing
from virtcore.driver.toolkit import DomainObject
from virtcore.driver.toolkit.job_driver import JobDriver
from virtcore.enums.domain_more import (
    DomainAbortJobFlags,
    DomainGetJobStatsFlags,
    DomainMigrateFlags as Flags,
    DomainMigrateMaxSpeedFlags,
)
from virtcore.errors import (
    ArgumentUnsupported,
    InternalError,
    OperationInvalid,
    OperationUnsupported,
    OverflowDetected,
    VirtError,
)
from virtcore.operations.declare import inline
from virtcore.operations.features import DriverFeature
from virtcore.operations.values import MigrationFinished, MigrationPrepared, MigrationTunnel
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virt_qemu.migration.tunnel import ReceivingTunnel
    from virtcore.model.domain import Domain
    from virtcore.operations.values import JobStats, MigrationBegun

__all__ = ["MigrationOperations"]

S = TypeVar("S", Outgoing, Incoming)

_FEATURES = frozenset(
    {
        DriverFeature.MIGRATION_P2P,
        DriverFeature.MIGRATION_V3,
        DriverFeature.MIGRATE_CHANGE_PROTECTION,
        DriverFeature.MIGRATION_OFFLINE,
        DriverFeature.MIGRATION_PARAMS,
    }
)


def _known(params: TypedParameters) -> None:
    """Refuse parameters that there are not.

    :raises ArgumentUnsupported: there is one.
    """
    from virtcore.operations.parameters import MIGRATION

    for name in params:
        if MIGRATION.get(name) is None:
            raise ArgumentUnsupported(f"parameter '{name}' not supported")


class MigrationOperations(JobDriver[QemuState]):
    """A connection's part in migrations. What it has begun ends with it."""

    @inline
    def connection_supports_feature(self, feature: int) -> bool:
        return feature in _FEATURES

    async def close(self) -> None:
        for side in list(self.state.migrations.values()):
            if side.owner is self:
                side.owner = None
                await side.abandon()
        await super().close()

    def _side(self, obj: DomainObject, kind: type[S]) -> S:
        """The migration of a guest, of which a next phase is to begin.

        :raises OperationInvalid: there is none, or a phase of it goes on.
        """
        side = self.state.migrations.get(obj.uuid)
        if not isinstance(side, kind):
            what = "is not being migrated" if kind is Outgoing else "is not processing incoming migration"
            raise OperationInvalid(f"domain '{obj.name}' {what}")
        if not side.resting:
            raise OperationInvalid(f"migration of domain {obj.name} is being actively monitored by another thread")
        return side

    # -- at the source

    async def domain_migrate_begin(
        self, domain: DomainRef, params: TypedParameters, flags: Flags | int = 0
    ) -> MigrationBegun:
        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "domain_migrate_begin")
        _known(params)
        obj = self.domain(domain)
        if flags & Flags.POSTCOPY_RESUME:
            return await self._begin_resume(obj, params, flags)
        side = Outgoing(self.state, obj, params, flags)
        if not flags & Flags.CHANGE_PROTECTION:
            if obj.uuid in self.state.migrations:
                raise OperationInvalid(f"another migration job is already running for domain '{obj.name}'")
            async with obj.job.modify("domain_migrate_begin"):
                return await side.begin()
        await side.hold()
        with side.step(self):
            await side.enter(Phase.BEGIN3)
            return await side.begin()

    async def domain_migrate_perform(
        self,
        domain: DomainRef,
        dconnuri: str | None,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: Flags | int = 0,
    ) -> bytes:
        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "domain_migrate_perform")
        _known(params)
        obj = self.domain(domain)
        if self.state.settings.migrate_tls_force and not flags & (Flags.TUNNELLED | Flags.TLS):
            raise OperationInvalid("this libvirtd instance allows migration only with VIR_MIGRATE_TLS flag")
        if flags & (Flags.TUNNELLED | Flags.PEER2PEER):
            if cookie:
                raise OperationInvalid("received unexpected cookie with P2P migration")
            from virt_qemu.migration.peer import migrate_to_peer

            await migrate_to_peer(self, obj, dconnuri or "", params, flags)
            return b""
        if dconnuri:
            raise InternalError("Unexpected dconnuri parameter with non-peer2peer migration")
        uri = str(params.get("migrate_uri") or "")
        if flags & Flags.POSTCOPY_RESUME:
            return await self._perform_resume(obj, params, flags, uri, cookie)
        if flags & Flags.CHANGE_PROTECTION:
            side = self._side(obj, Outgoing)
        else:
            side = Outgoing(self.state, obj, params, flags)
            await side.hold()
        side.params, side.flags = params, flags
        with side.step(self):
            await side.enter(Phase.PERFORM3)
            answer = await side.perform(uri, cookie)
            await side.enter(Phase.PERFORM3_DONE)
            return answer

    async def domain_migrate_confirm(
        self,
        domain: DomainRef,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: Flags | int = 0,
        cancelled: bool = False,
    ) -> None:
        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "domain_migrate_confirm")
        obj = self.domain(domain)
        side = self._side(obj, Outgoing)
        refused = OperationInvalid("the destination did not take it") if cancelled else None
        with side.step(last=True, why=refused):
            await side.confirm(cookie, flags, cancelled=cancelled)
        if not cancelled and not obj.active:
            await self.forget_source(obj, flags)

    async def forget_source(self, obj: DomainObject, flags: int) -> None:
        """The guest runs elsewhere: its definition goes, if that is wanted."""
        if flags & Flags.UNDEFINE_SOURCE and obj.persistent:
            async with obj.config_lock:
                await self.state.drop_definition(obj)
            self.state.domains.remove(obj)

    def resumable(self, obj: DomainObject, flags: int) -> Outgoing:
        """A guest's migration to a peer that can go on.

        :raises VirtError: it cannot.
        """
        return self._resumable(obj, Outgoing, flags, Phase.POSTCOPY_FAILED)

    # -- at the destination

    async def _load(self, params: TypedParameters) -> tuple[Domain, str]:
        """The guest that comes, and what it is called at the source.

        :raises InternalError: nothing is said of it.
        """
        xml = params.get("destination_xml")
        if xml is None:
            raise InternalError("no domain XML passed")
        domain = await self.state.load_from_peer(str(xml))
        source = domain.name
        name = params.get("destination_name")
        if name is not None:
            domain.name = str(name)
        return domain, source

    async def connection_migrate_prepare(
        self, params: TypedParameters, cookie: bytes = b"", flags: Flags | int = 0
    ) -> MigrationPrepared:
        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "connection_migrate_prepare")
        if flags & Flags.TUNNELLED:
            raise InternalError("Tunnelled migration requested but invalid RPC method called")
        _known(params)
        state = self.state
        domain, source = await self._load(params)
        wanted, listen = params.get("migrate_uri"), params.get("listen_address")
        Incoming.check(flags, force_tls=state.settings.migrate_tls_force, tunnelled=False)
        address = prepare_address(
            None if wanted is None else str(wanted),
            None if listen is None else str(listen),
            state.settings,
            state.migration_ports,
        )
        try:
            if flags & Flags.POSTCOPY_RESUME:
                answer = await self._prepare_resume(domain, address, params, flags, cookie)
            else:
                answer = await self._prepare(domain, source, params, flags, cookie, address=address)
        except BaseException:
            state.migration_ports.release(address.port)
            raise
        return MigrationPrepared(answer, address.told)

    async def connection_migrate_prepare_tunnel(
        self, params: TypedParameters, cookie: bytes = b"", flags: Flags | int = 0
    ) -> MigrationTunnel:
        from virt_qemu.migration.tunnel import ReceivingTunnel

        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "connection_migrate_prepare_tunnel")
        if not flags & Flags.TUNNELLED:
            raise InternalError("PrepareTunnel called but no TUNNELLED flag set")
        _known(params)
        domain, source = await self._load(params)
        Incoming.check(flags, force_tls=self.state.settings.migrate_tls_force, tunnelled=True)
        tunnel = ReceivingTunnel()
        try:
            answer = await self._prepare(domain, source, params, flags, cookie, tunnel=tunnel)
        except BaseException:
            tunnel.close()
            raise
        return MigrationTunnel(answer, tunnel)

    async def _prepare(
        self,
        domain: Domain,
        source: str,
        params: TypedParameters,
        flags: int,
        cookie: bytes,
        address: PreparedAddress | None = None,
        tunnel: ReceivingTunnel | None = None,
    ) -> bytes:
        state = self.state
        assert domain.uuid is not None
        told = state.read_cookie(cookie, domain.uuid, name=source)  # which says, too, that the guest comes from here
        if not cookie:
            told.name = source
        with state.domains.holding(domain.name, domain.uuid, running=True) as obj:
            if obj.active:
                raise OperationInvalid(f"domain '{obj.name}' is already active")
            side = Incoming(state, obj, params, flags, address, tunnel)
            await side.hold()
            with side.step(self):
                return await side.prepare(domain, told)

    async def connection_migrate_finish(
        self, params: TypedParameters, cookie: bytes = b"", flags: Flags | int = 0, cancelled: bool = False
    ) -> MigrationFinished:
        flags = int(flags)
        self.check_flags(flags, SUPPORTED, "connection_migrate_finish")
        _known(params)
        name = str(params.get("destination_name") or "")
        try:
            obj = self._expected(name)
        except VirtError as error:
            raise self.state.migration_errors.pop(name, error) from None
        if flags & Flags.POSTCOPY_RESUME:
            side = self._resumable(obj, Incoming, flags, Phase.PREPARE_RESUME)
            with side.step(last=True):
                return await side.finish_again(cookie, cancelled=cancelled)
        try:
            side = self._side(obj, Incoming)
        except VirtError as error:
            raise self.state.migration_errors.pop(name, error) from None
        with side.step(last=True):
            return await side.finish(cookie, cancelled=cancelled)

    def _expected(self, name: str) -> DomainObject:
        """The guest of a name that comes, or the domain that there is."""
        for side in self.state.migrations.values():
            if side.obj.name == name:
                return side.obj
        return self.state.domains.by_name(name)

    # -- a migration that goes on after it has failed behind the guest

    def _resumable(self, obj: DomainObject, kind: type[S], flags: int, upto: Phase) -> S:
        """The migration of a guest whose rest can follow it.

        :raises VirtError: it cannot.
        """
        if not flags & Flags.POSTCOPY:
            raise ArgumentUnsupported("resuming failed post-copy migration requires post-copy to be enabled")
        early = kind is Outgoing and upto is not Phase.PERFORM_RESUME
        if early and not flags & (Flags.CHANGE_PROTECTION | Flags.PEER2PEER):
            raise ArgumentUnsupported("resuming failed post-copy migration requires change protection")
        side = self._side(obj, kind)
        if not side.in_postcopy:
            raise OperationInvalid(f"migration of domain {obj.name} is not in post-copy phase")
        if side.phase.is_before(Phase.POSTCOPY_FAILED) and not side.failed_in_postcopy:
            raise OperationInvalid(f"post-copy migration of domain {obj.name} has not failed")
        if upto.is_before(side.phase):
            raise OperationInvalid(f"resuming failed post-copy migration of domain {obj.name} already in progress")
        return side

    async def _begin_resume(self, obj: DomainObject, params: TypedParameters, flags: int) -> MigrationBegun:
        side = self._resumable(obj, Outgoing, flags, Phase.POSTCOPY_FAILED)
        with side.step(self):
            return await side.begin_again(params, flags)

    async def _perform_resume(
        self, obj: DomainObject, params: TypedParameters, flags: int, uri: str, cookie: bytes
    ) -> bytes:
        side = self._resumable(obj, Outgoing, flags, Phase.BEGIN_RESUME)
        with side.step(self):
            return await side.perform_again(params, flags, uri, cookie)

    async def _prepare_resume(
        self, domain: Domain, address: PreparedAddress, params: TypedParameters, flags: int, cookie: bytes
    ) -> bytes:
        obj = self.state.domains.by_name(domain.name)
        side = self._resumable(obj, Incoming, flags, Phase.POSTCOPY_FAILED)
        with side.step(self):
            return await side.prepare_again(address, params, flags, cookie)

    # -- the job

    async def domain_job_stats(  # type: ignore[override]  # QEMU is asked
        self, domain: DomainRef, flags: DomainGetJobStatsFlags | int = 0
    ) -> JobStats:
        obj = self.domain(domain)
        side = self.state.migrations.get(obj.uuid)
        if isinstance(side, Incoming) and not flags & DomainGetJobStatsFlags.COMPLETED:
            raise OperationInvalid("migration statistics are available only on the source host")
        if isinstance(side, Outgoing) and not flags & DomainGetJobStatsFlags.COMPLETED:
            await side.refresh()
        return JobDriver.domain_job_stats(self, domain, flags)

    async def domain_abort_job(self, domain: DomainRef, flags: DomainAbortJobFlags | int = 0) -> None:
        postcopy = DomainAbortJobFlags.POSTCOPY
        self.check_flags(flags, postcopy, "domain_abort_job")
        obj = self.domain(domain)
        obj.require_active()
        side = self.state.migrations.get(obj.uuid)
        if flags & postcopy:
            if not isinstance(side, Outgoing) or not side.in_postcopy:
                raise OperationInvalid("current job is not outgoing migration in post-copy mode")
            await MigrationControl(guest_of(obj)).pause()
        elif isinstance(side, Incoming):
            if side.in_postcopy:
                raise OperationInvalid("cannot abort migration in post-copy mode")
            raise OperationInvalid("cannot abort incoming migration; use virDomainDestroy instead")
        elif isinstance(side, Outgoing):
            side.abort()
        else:
            await super().domain_abort_job(domain, 0)

    # -- settings

    async def domain_migrate_set_max_downtime(self, domain: DomainRef, downtime: int, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_migrate_set_max_downtime")
        obj = self.domain(domain)
        async with obj.job.query("domain_migrate_set_max_downtime"):
            await MigrationControl(guest_of(obj)).set_parameters({"downtime-limit": downtime})

    async def domain_migrate_max_downtime(self, domain: DomainRef, flags: int = 0) -> int:
        self.check_flags(flags, 0, "domain_migrate_max_downtime")
        obj = self.domain(domain)
        async with obj.job.query("domain_migrate_max_downtime"):
            found = (await MigrationControl(guest_of(obj)).parameters()).get("downtime-limit")
        if not isinstance(found, int):
            raise OperationInvalid("Querying migration downtime is not supported by QEMU binary")
        return found

    async def _compressing(self, obj: DomainObject) -> MigrationControl:
        control = MigrationControl(guest_of(obj))
        if "xbzrle" not in await control.supported():
            raise OperationUnsupported("Compressed migration is not supported by QEMU binary")
        return control

    async def domain_migrate_set_compression_cache(self, domain: DomainRef, cache_size: int, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_migrate_set_compression_cache")
        obj = self.domain(domain)
        async with obj.job.query("domain_migrate_set_compression_cache"):
            await (await self._compressing(obj)).set_parameters({"xbzrle-cache-size": cache_size})

    async def domain_migrate_compression_cache(self, domain: DomainRef, flags: int = 0) -> int:
        self.check_flags(flags, 0, "domain_migrate_compression_cache")
        obj = self.domain(domain)
        async with obj.job.query("domain_migrate_compression_cache"):
            found = (await (await self._compressing(obj)).parameters()).get("xbzrle-cache-size")
        return found if isinstance(found, int) else 0

    async def domain_migrate_set_max_speed(
        self, domain: DomainRef, bandwidth: int, flags: DomainMigrateMaxSpeedFlags | int = 0
    ) -> None:
        postcopy = DomainMigrateMaxSpeedFlags.POSTCOPY
        self.check_flags(flags, postcopy, "domain_migrate_set_max_speed")
        obj = self.domain(domain)
        if bandwidth > UNLIMITED:
            raise OverflowDetected(f"bandwidth must be less than {UNLIMITED + 1}")
        if flags & postcopy:
            obj.require_active()
        async with obj.job.query("domain_migrate_set_max_speed"):
            if obj.active:
                name = "max-postcopy-bandwidth" if flags & postcopy else "max-bandwidth"
                await MigrationControl(guest_of(obj)).set_parameters({name: bandwidth << 20})
            if not flags & postcopy:
                self.state.migration_speeds[obj.uuid] = bandwidth

    async def domain_migrate_max_speed(self, domain: DomainRef, flags: DomainMigrateMaxSpeedFlags | int = 0) -> int:
        postcopy = DomainMigrateMaxSpeedFlags.POSTCOPY
        self.check_flags(flags, postcopy, "domain_migrate_max_speed")
        obj = self.domain(domain)
        if not flags & postcopy:
            return self.state.migration_speeds.get(obj.uuid, UNLIMITED)
        obj.require_active()
        async with obj.job.query("domain_migrate_max_speed"):
            found = (await MigrationControl(guest_of(obj)).parameters()).get("max-postcopy-bandwidth")
        if not isinstance(found, int):
            raise OperationInvalid("querying maximum post-copy migration speed is not supported by QEMU binary")
        # QEMU counts in bytes; less than 1 MiB/s is not no limit.
        return -(-found >> 20) if found else 0

    async def domain_migrate_start_post_copy(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_migrate_start_post_copy")
        obj = self.domain(domain)
        async with obj.job.query("domain_migrate_start_post_copy"):
            guest = guest_of(obj)
            side = self.state.migrations.get(obj.uuid)
            if not isinstance(side, Outgoing):
                raise OperationInvalid("post-copy can only be started while outgoing migration is in progress")
            if not side.flags & Flags.POSTCOPY:
                raise OperationInvalid(
                    "switching to post-copy requires migration to be started with VIR_MIGRATE_POSTCOPY flag"
                )
            await MigrationControl(guest).start_postcopy()
