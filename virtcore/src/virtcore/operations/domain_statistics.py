"""Operations on one domain: what it uses and what it does."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Mapping, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import DomainDirtyRateCalcFlags, DomainMemoryFlags, DomainMemoryStatTags
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainStatisticsOperations"]


class DomainStatisticsOperations(OperationSet, family="domain"):
    """Statistics of a running guest, and its memory's content."""

    @operation(Kind.QUERY)
    def domain_cpu_stats(
        self, domain: DomainRef, start_cpu: int = -1, ncpus: int = 1, flags: int = 0
    ) -> Result[Sequence[TypedParameters]]:
        """CPU time in ns, one row per host CPU (``virDomainGetCPUStats``).

        :param start_cpu: first host CPU; -1 for one row of totals.
        :param ncpus: how many host CPUs; 0 for all from the first on.
        """

    @operation(Kind.QUERY)
    def domain_memory_stats(self, domain: DomainRef, flags: int = 0) -> Result[Mapping[DomainMemoryStatTags, int]]:
        """Memory use as guest and host see it, in KiB; page faults; time of the last update in s
        (``virDomainMemoryStats``)."""

    @operation(Kind.QUERY)
    def domain_memory_peek(
        self, domain: DomainRef, start: int, size: int, flags: DomainMemoryFlags | int = 0
    ) -> Result[bytes]:
        """Content of the guest's memory (``virDomainMemoryPeek``).

        :param start: address.
        :param size: bytes, at most 4 MiB.
        """

    @operation(Kind.CHANGE)
    def domain_start_dirty_rate_calc(
        self, domain: DomainRef, seconds: int, flags: DomainDirtyRateCalcFlags | int = 0
    ) -> Result[None]:
        """Begin to measure how fast the guest changes its memory (``virDomainStartDirtyRateCalc``). The result comes
        with the statistics of group ``DIRTYRATE``.

        :param seconds: how long, 1 to 60.
        """
