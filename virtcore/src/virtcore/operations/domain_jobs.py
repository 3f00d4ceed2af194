"""Operations on one domain: its job, and migration."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainAbortJobFlags,
        DomainGetJobStatsFlags,
        DomainMigrateFlags,
        DomainMigrateMaxSpeedFlags,
    )
    from virtcore.operations.values import JobStats, MigrationBegun
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainJobOperations"]


class DomainJobOperations(OperationSet, family="domain"):
    """The job that a domain has, and its migration. What begins with ``domain_migrate_begin``, ``_perform`` and
    ``_confirm`` are phases of a migration, called by core and by a peer, not by users."""

    # -- the job

    @operation(Kind.QUERY)
    def domain_job_stats(self, domain: DomainRef, flags: DomainGetJobStatsFlags | int = 0) -> Result[JobStats]:
        """Progress of the running job, or of the last one (``virDomainGetJobStats``). Answered while the job runs."""

    @operation(Kind.CHANGE)
    def domain_abort_job(self, domain: DomainRef, flags: DomainAbortJobFlags | int = 0) -> Result[None]:
        """End the running job; what it began is rolled back (``virDomainAbortJobFlags``)."""

    # -- settings of migration

    @operation(Kind.CHANGE)
    def domain_migrate_set_max_downtime(self, domain: DomainRef, downtime: int, flags: int = 0) -> Result[None]:
        """Set for how long the guest may stand still at the end of its migration (``virDomainMigrateSetMaxDowntime``).

        :param downtime: ms.
        """

    @operation(Kind.QUERY)
    def domain_migrate_max_downtime(self, domain: DomainRef, flags: int = 0) -> Result[int]:
        """For how long it may stand still, in ms (``virDomainMigrateGetMaxDowntime``)."""

    @operation(Kind.CHANGE)
    def domain_migrate_set_compression_cache(self, domain: DomainRef, cache_size: int, flags: int = 0) -> Result[None]:
        """Set the size of the cache that compressed migration uses, in bytes
        (``virDomainMigrateSetCompressionCache``)."""

    @operation(Kind.QUERY)
    def domain_migrate_compression_cache(self, domain: DomainRef, flags: int = 0) -> Result[int]:
        """Size of that cache in bytes (``virDomainMigrateGetCompressionCache``)."""

    @operation(Kind.CHANGE)
    def domain_migrate_set_max_speed(
        self, domain: DomainRef, bandwidth: int, flags: DomainMigrateMaxSpeedFlags | int = 0
    ) -> Result[None]:
        """Limit the bandwidth of migration, in MiB/s (``virDomainMigrateSetMaxSpeed``)."""

    @operation(Kind.QUERY)
    def domain_migrate_max_speed(self, domain: DomainRef, flags: DomainMigrateMaxSpeedFlags | int = 0) -> Result[int]:
        """The limit of migration's bandwidth in MiB/s (``virDomainMigrateGetMaxSpeed``)."""

    @operation(Kind.CHANGE)
    def domain_migrate_start_post_copy(self, domain: DomainRef, flags: int = 0) -> Result[None]:
        """Let the guest go on at the destination and fetch the rest of its memory there
        (``virDomainMigrateStartPostCopy``)."""

    # -- phases of migration at the source

    @operation(Kind.CHANGE, internal=True)
    def domain_migrate_begin(
        self, domain: DomainRef, params: TypedParameters, flags: DomainMigrateFlags | int = 0
    ) -> Result[MigrationBegun]:
        """Begin: the XML to migrate, and what the destination has to know."""

    @operation(Kind.CHANGE, abortable=True, internal=True)
    def domain_migrate_perform(
        self,
        domain: DomainRef,
        dconnuri: str | None,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: DomainMigrateFlags | int = 0,
    ) -> Result[bytes]:
        """Move the guest; returns the cookie for the destination.

        :param dconnuri: URI of the destination for peer-to-peer migration, where the driver does all the phases itself.
        :param cookie: what the destination answered.
        """

    @operation(Kind.CHANGE, internal=True)
    def domain_migrate_confirm(
        self,
        domain: DomainRef,
        params: TypedParameters,
        cookie: bytes = b"",
        flags: DomainMigrateFlags | int = 0,
        cancelled: bool = False,
    ) -> Result[None]:
        """End: forget the guest here, or let it go on when the migration was ``cancelled``."""
