"""Block jobs: the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.blockjobs.ending import begin_pivot, cancel_job
from virt_qemu.blockjobs.lookup import bytes_per_second
from virt_qemu.blockjobs.state import find_job, kind_of
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virtcore.driver.toolkit import StatefulDriver
from virtcore.enums.domain_more import (
    DomainBlockCommitFlags,
    DomainBlockCopyFlags,
    DomainBlockJobAbortFlags,
    DomainBlockJobInfoFlags,
    DomainBlockJobSetSpeedFlags,
    DomainBlockRebaseFlags,
)
from virtcore.errors import (
    InvalidArg,
    OperationFailed,
    OperationInvalid,
    OverflowDetected,
    XMLError,
)
from virtcore.operations.values import BlockJobInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virt_qemu.block_jobs import BlockJob
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain.disk import Disk
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["BlockJobOperations"]


class BlockJobOperations(StatefulDriver[QemuState]):
    """Pull, commit and copy of disks of running guests."""

    async def domain_block_rebase(
        self,
        domain: DomainRef,
        disk: str,
        base: str | None = None,
        bandwidth: int = 0,
        flags: DomainBlockRebaseFlags | int = 0,
    ) -> None:
        known = DomainBlockRebaseFlags
        self.check_flags(flags, sum(known), "domain_block_rebase")
        flags = int(flags)
        if flags & known.COPY:
            await self._copy_to(domain, disk, base, bandwidth, flags)
            return
        if flags & known.RELATIVE and base is None:
            raise InvalidArg("flag VIR_DOMAIN_BLOCK_REBASE_RELATIVE is valid only with non-null base")
        from virt_qemu.blockjobs.pull import begin_pull

        obj = self.domain(domain)
        async with obj.job.modify("domain_block_rebase"):
            obj.require_active()
            await begin_pull(self.state, obj, disk, base, bandwidth, flags)

    async def _copy_to(self, domain: DomainRef, disk: str, base: str | None, bandwidth: int, flags: int) -> None:
        """A copy as the older function begins it: to a path."""
        from virtcore.model.domain.disk import Disk, DiskDriver
        from virtcore.model.storage.source import BlockSource, FileSource, StorageFormat, StorageType

        known = DomainBlockRebaseFlags
        if base is None:
            raise InvalidArg("base must not be NULL")
        device = bool(flags & known.COPY_DEV)
        destination = Disk(
            type=StorageType.BLOCK if device else StorageType.FILE,
            source=BlockSource(dev=base) if device else FileSource(file=base),
            driver=DiskDriver(name="qemu", type=StorageFormat.RAW) if flags & known.COPY_RAW else None,
        )
        speed = bytes_per_second(bandwidth, bool(flags & known.BANDWIDTH_BYTES))
        # The bits of both functions differ; the older one never asked for the domain to be transient.
        copied = int(DomainBlockCopyFlags.SHALLOW) if flags & known.SHALLOW else 0
        copied |= int(DomainBlockCopyFlags.REUSE_EXT) if flags & known.REUSE_EXT else 0
        obj = self.domain(domain)
        from virt_qemu.blockjobs.copy import begin_copy

        async with obj.job.modify("domain_block_rebase"):
            obj.require_active()
            await begin_copy(self.state, obj, disk, destination, copied, bandwidth=speed)

    async def domain_block_copy(
        self, domain: DomainRef, disk: str, xml: str, params: TypedParameters, flags: DomainBlockCopyFlags | int = 0
    ) -> None:
        from virt_qemu.blockjobs.copy import begin_copy
        from virtcore.operations.parameters import BLOCK_COPY

        self.check_flags(flags, sum(DomainBlockCopyFlags), "domain_block_copy")
        BLOCK_COPY.validate(params)
        values = {name: value for name, value in params.items() if isinstance(value, int)}
        granularity = values.get("granularity", 0)
        if granularity & (granularity - 1):
            raise InvalidArg("granularity must be power of 2")
        bandwidth = bytes_per_second(values.get("bandwidth", 0), True)
        obj = self.domain(domain)
        destination = load_destination(xml)
        async with obj.job.modify("domain_block_copy"):
            obj.require_active()
            await begin_copy(
                self.state,
                obj,
                disk,
                destination,
                int(flags),
                bandwidth=bandwidth,
                granularity=granularity,
                buffer=values.get("buf-size", 0),
            )

    async def domain_block_commit(
        self,
        domain: DomainRef,
        disk: str,
        base: str | None = None,
        top: str | None = None,
        bandwidth: int = 0,
        flags: DomainBlockCommitFlags | int = 0,
    ) -> None:
        from virt_qemu.blockjobs.commit import begin_commit

        self.check_flags(flags, sum(DomainBlockCommitFlags), "domain_block_commit")
        obj = self.domain(domain)
        async with obj.job.modify("domain_block_commit"):
            obj.require_active()
            await begin_commit(self.state, obj, disk, base, top, bandwidth, int(flags))

    # -- jobs that are going on

    async def domain_block_job_info(
        self, domain: DomainRef, disk: str, flags: DomainBlockJobInfoFlags | int = 0
    ) -> BlockJobInfo | None:
        self.check_flags(flags, DomainBlockJobInfoFlags.BANDWIDTH_BYTES, "domain_block_job_info")
        obj = self.domain(domain)
        async with obj.job.query("domain_block_job_info"):
            obj.require_active()
            guest = guest_of(obj)
            target = self._target(obj, disk)
            rows = await guest.channel().execute("query-block-jobs")
            job = find_job(guest, disk=target)
            if job is None:
                return None
            for row in rows if isinstance(rows, list) else []:
                if isinstance(row, dict) and row.get("device") == job.name:
                    return _info(job, row, bool(int(flags) & DomainBlockJobInfoFlags.BANDWIDTH_BYTES))
            return None

    def _target(self, obj: DomainObject, name: str) -> str:
        disk = self.state.disk_of(obj, name)
        assert disk.target is not None
        return disk.target.dev or ""

    async def domain_block_job_set_speed(
        self, domain: DomainRef, disk: str, bandwidth: int, flags: DomainBlockJobSetSpeedFlags | int = 0
    ) -> None:
        in_bytes = int(DomainBlockJobSetSpeedFlags.SPEED_BANDWIDTH_BYTES)
        self.check_flags(flags, in_bytes, "domain_block_job_set_speed")
        speed = bytes_per_second(bandwidth, bool(int(flags) & in_bytes))
        obj = self.domain(domain)
        async with obj.job.modify("domain_block_job_set_speed"):
            obj.require_active()
            guest = guest_of(obj)
            target = self._target(obj, disk)
            job = find_job(guest, disk=target)
            if job is None:
                raise InvalidArg(f"disk {target} does not have an active block job")
            await guest.channel().execute("block-job-set-speed", {"device": job.name, "speed": speed})

    async def domain_block_job_abort(
        self, domain: DomainRef, disk: str, flags: DomainBlockJobAbortFlags | int = 0
    ) -> None:
        known = DomainBlockJobAbortFlags
        self.check_flags(flags, sum(known), "domain_block_job_abort")
        flags = int(flags)
        obj = self.domain(domain)
        async with obj.job.modify("domain_block_job_abort"):
            obj.require_active()
            guest = guest_of(obj)
            live = self.state.disk_of(obj, disk)
            target = self._target(obj, disk)
            job = find_job(guest, disk=target)
            if job is None:
                raise InvalidArg(f"disk {target} does not have an active block job")
            if job.state in ("aborting", "pivoting"):
                raise OperationInvalid(f"block job on disk '{target}' is still being ended")
            with self.state.awaited(guest, job) as told:
                if flags & known.PIVOT:
                    await begin_pivot(self.state, obj, live, job)
                else:
                    await cancel_job(self.state, obj, job)
                if not flags & known.ASYNC:
                    await self.state.wait_for_end(obj, guest, job, told)
            if flags & known.PIVOT and job.state == "failed":
                reason = f": {job.error}" if job.error else ""
                raise OperationFailed(f"block job '{job.name}' failed while pivoting{reason}")


def _info(job: BlockJob, row: Mapping[str, object], in_bytes: bool) -> BlockJobInfo:
    """What ``query-block-jobs`` says of a job."""
    current, end, speed = (int(str(row.get(key) or 0)) for key in ("offset", "len", "speed"))
    ready = row.get("ready") is True
    if end == 0 and current == 0:
        # Nothing to do is no progress of 0 of 0.
        current, end = (1, 1) if ready else (0, 1)
    elif current == end and job.type in ("copy", "active-commit") and not ready:
        current -= 1
    if in_bytes:
        bandwidth = speed
    else:
        bandwidth = -(-speed // (1 << 20))
        if bandwidth >= 1 << 63:
            raise OverflowDetected(f"bandwidth {speed} cannot be represented in result")
    return BlockJobInfo(kind_of(job), bandwidth, current, end)


def load_destination(xml: str) -> Disk:
    """Read where a copy goes: a disk without what the guest sees of it (``virDomainDiskDefParseSource``).

    :raises VirtError: it is malformed.
    """
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.rules.context import DomainContext, ParseFlag
    from virtcore.model.domain.rules.device_settle_disk import settle_source
    from virtcore.model.storage.source import StorageType
    from virtcore.xml import Mode
    from virtcore.xml.document import document
    from virtcore.xml.reader import parse_part

    tag = str(document(xml, "(disk_definition)").tag)
    if tag != "disk":
        raise XMLError(f"expecting root element of 'disk', not '{tag}'")
    disk = parse_part(xml, Devices, mode=Mode.INACTIVE, keep=False)
    assert isinstance(disk, Disk)
    disk.type = disk.type or StorageType.FILE
    if disk.source is not None:
        settle_source(disk.source, DomainContext(flags=ParseFlag.NONE))
    return disk
