"""Backups: the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.backup.state import backup_of
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virtcore.driver.toolkit.job_driver import JobDriver
from virtcore.enums.domain import DomainBackupBeginFlags
from virtcore.enums.domain_more import DomainAbortJobFlags
from virtcore.errors import NoDomainBackup
from virtcore.operations.declare import inline

if TYPE_CHECKING:
    from virtcore.types import DomainRef

__all__ = ["BackupOperations"]


class BackupOperations(JobDriver[QemuState]):
    """Backups of running guests, and how they are called off: as the domain's job."""

    async def domain_backup_begin(
        self,
        domain: DomainRef,
        backup_xml: str,
        checkpoint_xml: str | None = None,
        flags: DomainBackupBeginFlags | int = 0,
    ) -> None:
        self.check_flags(flags, DomainBackupBeginFlags.REUSE_EXTERNAL, "domain_backup_begin")
        await self.state.begin_backup(self.domain(domain), backup_xml, checkpoint_xml, int(flags))

    @inline
    def domain_backup_xml(self, domain: DomainRef, flags: int = 0) -> str:
        from virtcore.model.backup import format_backup

        self.check_flags(flags, 0, "domain_backup_xml")
        obj = self.domain(domain)
        backup = backup_of(guest_of(obj)) if obj.active else None
        if backup is None:
            raise NoDomainBackup("no domain backup job present")
        return format_backup(backup)

    async def domain_abort_job(self, domain: DomainRef, flags: DomainAbortJobFlags | int = 0) -> None:
        obj = self.domain(domain)
        if obj.active and backup_of(guest_of(obj)) is not None:
            self.check_flags(flags, 0, "domain_abort_job")
            await self.state.cancel_backup(obj)
            return
        await super().domain_abort_job(domain, flags)
