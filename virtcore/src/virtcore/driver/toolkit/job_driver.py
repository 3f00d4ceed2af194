"""Operations on a domain's job, for drivers whose long operations hold an asynchronous one."""

from __future__ import annotations

from typing import TypeVar

from virtcore.driver.toolkit.state import DriverState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.domain_more import DomainAbortJobFlags, DomainGetJobStatsFlags, DomainJobType
from virtcore.operations.declare import inline
from virtcore.operations.values import JobStats
from virtcore.types import DomainRef, TypedParameters

__all__ = ["JobDriver"]

S = TypeVar("S", bound=DriverState)


class JobDriver(StatefulDriver[S]):
    """Base of drivers whose domains have jobs that can be watched and aborted. Nothing here waits for a job."""

    @inline
    def domain_job_stats(self, domain: DomainRef, flags: DomainGetJobStatsFlags | int = 0) -> JobStats:
        self.check_flags(flags, sum(DomainGetJobStatsFlags), "domain_job_stats")
        obj = self.domain(domain)
        if flags & DomainGetJobStatsFlags.COMPLETED:
            running = obj.job.asynchronous_holder is not None
            keep = bool(flags & DomainGetJobStatsFlags.KEEP_COMPLETED)
            found = None if running else obj.job.completed(keep=keep)
        else:
            obj.require_active()
            found = obj.job.progress()
        return found or JobStats(DomainJobType.NONE, TypedParameters())

    async def domain_abort_job(self, domain: DomainRef, flags: DomainAbortJobFlags | int = 0) -> None:
        self.check_flags(flags, 0, "domain_abort_job")
        obj = self.domain(domain)
        obj.require_active()
        obj.job.abort()
