"""Migration: the phases of version 3 of libvirt's protocol, called on the connections to both hosts.

::

    source: begin -> destination: prepare -> source: perform -> destination: finish -> source: confirm

Whatever fails, the guest goes on at one of the two, and both are told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from virtcore.enums.domain import DomainState
from virtcore.enums.domain_more import DomainMigrateFlags
from virtcore.errors import (
    ArgumentUnsupported,
    ErrorCode,
    ErrorDomain,
    InternalError,
    InvalidArg,
    NoSupport,
    OperationDenied,
    VirtError,
)
from virtcore.operations.features import DriverFeature
from virtcore.operations.values.jobs import MigrationFinished
from virtcore.runtime.session import Session
from virtcore.types import DomainRef, TypedParameters, TypedValue
from virtcore.uri import ConnectionURI

__all__ = ["migrate", "migrate_to_uri"]

#: Flags that are the source's alone.
_SOURCE_ONLY = DomainMigrateFlags.ABORT_ON_ERROR | DomainMigrateFlags.AUTO_CONVERGE

log = logging.getLogger("virtcore")


async def migrate(
    source: Session, domain: DomainRef, destination: Session, params: TypedParameters, flags: int
) -> DomainRef:
    """Move a guest to the host of another connection; gives the domain there. In the core loop.

    :raises VirtError: it did not work; the guest goes on where it was.
    """
    function = "virDomainMigrate3"
    _check_writable(function, source, destination)
    _check_disks(flags)
    if flags & DomainMigrateFlags.PEER2PEER:
        raise InvalidArg("use virDomainMigrateToURI3 for peer-to-peer migration")
    if flags & DomainMigrateFlags.TUNNELLED:
        raise InvalidArg("cannot perform tunnelled migration without using peer2peer flag")
    if flags & DomainMigrateFlags.OFFLINE:
        await _check_offline(source, "source")
        await _check_offline(destination, "destination")
    protected = await _has(source, DriverFeature.MIGRATE_CHANGE_PROTECTION)
    if flags & DomainMigrateFlags.CHANGE_PROTECTION and not protected:
        raise ArgumentUnsupported("cannot enforce change protection")
    flags &= ~DomainMigrateFlags.CHANGE_PROTECTION
    for phase in ("domain_migrate_begin", "domain_migrate_perform", "domain_migrate_confirm"):
        _check_supported(function, source, phase)
    for phase in ("connection_migrate_prepare", "connection_migrate_finish"):
        _check_supported(function, destination, phase)
    migration = _Migration(source, domain, destination, params, flags, protected)
    return await migration.run()


class _Migration:
    """One migration.

    :ivar params: the parameters, with what the phases added.
    :ivar here: flags for the source.
    :ivar there: flags for the destination.
    """

    def __init__(
        self,
        source: Session,
        domain: DomainRef,
        destination: Session,
        params: TypedParameters,
        flags: int,
        protected: bool,
    ) -> None:
        self.source = source
        self.domain = domain
        self.destination = destination
        self.params = params
        self.flags = flags
        self.protected = protected

    @property
    def here(self) -> int:
        return self.flags | (DomainMigrateFlags.CHANGE_PROTECTION if self.protected else 0)

    @property
    def there(self) -> int:
        return self.flags & ~_SOURCE_ONLY

    async def run(self) -> DomainRef:
        begun = await self.source.call("domain_migrate_begin", self.domain, self.params, self.here, deadline=None)
        if not self.flags & DomainMigrateFlags.POSTCOPY_RESUME:  # where it stands still because it has gone
            await self._keep_paused()
        self.params = _replaced(self.params, {"destination_xml": begun.xml})
        try:
            prepared = await self.destination.call(
                "connection_migrate_prepare", self.params, begun.cookie, self.there, deadline=None
            )
        except Exception:
            if self.protected:  # the source has begun a job, which ends by this
                await self._confirm(b"", cancelled=True)
            raise
        error: Exception | None = None
        performing = False
        cookie: bytes = b""
        if prepared.uri is not None:
            self.params = _replaced(self.params, {"migrate_uri": prepared.uri})
        if "migrate_uri" not in self.params:
            error = InternalError("domainMigratePrepare3 did not set uri")
            cookie = prepared.cookie
        elif not self.flags & DomainMigrateFlags.OFFLINE:
            try:
                cookie = await self.source.call(
                    "domain_migrate_perform", self.domain, None, self.params, prepared.cookie, self.here, deadline=None
                )
            except Exception as failure:  # noqa: BLE001  # both ends are told before anybody hears of it
                error, performing = failure, True
        return await self._end(error, cookie, source_knows=performing)

    async def _keep_paused(self) -> None:
        """A guest that is paused here is paused there."""
        try:
            state = await self.source.call("domain_state", self.domain, 0, deadline=None)
        except VirtError:
            return  # as libvirt does: who cannot tell is taken to run
        if state.state == DomainState.PAUSED:
            self.flags |= DomainMigrateFlags.PAUSED

    async def _end(self, error: Exception | None, cookie: bytes, *, source_knows: bool) -> DomainRef:
        """Tell both ends how it went; gives the domain at the destination.

        :param error: what went wrong so far.
        :param source_knows: it went wrong at the source, which has ended the migration itself.
        """
        if "destination_name" not in self.params:
            self.params = _replaced(self.params, {"destination_name": self.domain.name})
        finished = MigrationFinished(None, b"")
        try:
            finished = await self.destination.call(
                "connection_migrate_finish", self.params, cookie, self.there, error is not None, deadline=None
            )
        except Exception as failure:  # noqa: BLE001  # the source is told first
            if error is None or _tells_more(failure, error):
                error = failure
        else:
            if error is not None and finished.domain is not None:
                log.error("finish step ignored that migration was cancelled")
        if not source_knows:
            await self._confirm(finished.cookie, cancelled=finished.domain is None)
        if error is not None:
            raise error
        if finished.domain is None:
            raise InternalError("the destination finished the migration without a domain")
        return finished.domain

    async def _confirm(self, cookie: bytes, *, cancelled: bool) -> None:
        try:
            await self.source.call(
                "domain_migrate_confirm", self.domain, self.params, cookie, self.here, cancelled, deadline=None
            )
        except Exception as failure:  # noqa: BLE001  # nothing more can be done, and what came before counts
            log.warning("Guest %s probably left in 'paused' state on source: %s", self.domain.name, failure)


def _tells_more(finishing: Exception, performing: Exception) -> bool:
    """Whether the destination knows better why a migration failed than the source, which saw it break off."""
    return (
        isinstance(finishing, VirtError)
        and isinstance(performing, VirtError)
        and performing.domain == finishing.domain == ErrorDomain.QEMU
        and performing.code == ErrorCode.OPERATION_FAILED
        and finishing.code != ErrorCode.MIGRATE_FINISH_OK
    )


async def migrate_to_uri(
    source: Session, domain: DomainRef, uri: str | None, params: TypedParameters, flags: int
) -> None:
    """Have the source's host migrate a guest by itself. In the core loop.

    :param uri: the connection URI of the destination as the source sees it, with flag ``PEER2PEER``; without, the
        parameter ``migrate_uri`` says where to.
    :raises VirtError: it did not work; the guest goes on where it was.
    """
    function = "virDomainMigrateToURI3"
    _check_writable(function, source)
    _check_disks(flags)
    if flags & DomainMigrateFlags.OFFLINE:
        await _check_offline(source, "source")
    peers = bool(flags & DomainMigrateFlags.PEER2PEER)
    if not await _has(source, DriverFeature.MIGRATION_P2P if peers else DriverFeature.MIGRATION_DIRECT):
        kind = "p2p" if peers else "direct"
        raise ArgumentUnsupported(f"{kind} migration is not supported by the source host")
    if peers:
        if uri is None:
            raise InvalidArg(f"dconnuri in {function} must not be NULL")
        host = ConnectionURI.parse(uri).host
        if host is None or host.startswith("localhost"):
            raise InvalidArg("Attempt to migrate guest to the same host")
    await source.call("domain_migrate_perform", domain, uri if peers else None, params, b"", flags, deadline=None)


# -- what is checked before


def _check_writable(function: str, *sessions: Session) -> None:
    if any(session.readonly for session in sessions):
        raise OperationDenied(f"read only access prevents {function}")


def _check_disks(flags: int) -> None:
    both = DomainMigrateFlags.NON_SHARED_DISK | DomainMigrateFlags.NON_SHARED_INC
    if flags & both == both:
        names = "Flags 'VIR_MIGRATE_NON_SHARED_DISK' and 'VIR_MIGRATE_NON_SHARED_INC'"
        raise InvalidArg(f"{names} are mutually exclusive")


async def _has(session: Session, feature: DriverFeature) -> bool:
    found: bool = await session.call("connection_supports_feature", feature, deadline=None)
    return found


async def _check_offline(session: Session, which: str) -> None:
    if not await _has(session, DriverFeature.MIGRATION_OFFLINE):
        raise ArgumentUnsupported(f"offline migration is not supported by the {which} host")


def _check_supported(function: str, session: Session, phase: str) -> None:
    if not session.supports(phase):
        raise NoSupport(function)


def _replaced(params: TypedParameters, values: Mapping[str, TypedValue]) -> TypedParameters:
    """Parameters with these values instead of what they had of the names."""
    from virtcore.operations.parameters import MIGRATION

    kept = [row for row in params.rows() if row[0] not in values]
    return TypedParameters([*kept, *MIGRATION.typed(values).rows()])
