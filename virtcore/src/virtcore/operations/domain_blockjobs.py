"""Operations on one domain: block jobs and backup."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainBackupBeginFlags,
        DomainBlockCommitFlags,
        DomainBlockCopyFlags,
        DomainBlockJobAbortFlags,
        DomainBlockJobInfoFlags,
        DomainBlockJobSetSpeedFlags,
        DomainBlockRebaseFlags,
    )
    from virtcore.operations.values import BlockJobInfo
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["DomainBlockJobOperations"]


class DomainBlockJobOperations(OperationSet, family="domain"):
    """Jobs on a running guest's disks. Each is begun by an operation that returns at once, goes on by itself and
    tells of its end by an event."""

    # -- block jobs

    @operation(Kind.CHANGE, abortable=True)
    def domain_block_rebase(
        self,
        domain: DomainRef,
        disk: str,
        base: str | None = None,
        bandwidth: int = 0,
        flags: DomainBlockRebaseFlags | int = 0,
    ) -> Result[None]:
        """Copy the part of a disk's backing chain above ``base`` into its top image, or with flag ``COPY`` mirror the
        disk to ``base`` (``virDomainBlockRebase``).

        :param base: None for none: the whole chain is copied.
        :param bandwidth: most MiB/s, bytes/s with the flag for it; 0 for no limit; so in all block jobs.
        """

    @operation(Kind.CHANGE, abortable=True)
    def domain_block_copy(
        self, domain: DomainRef, disk: str, xml: str, params: TypedParameters, flags: DomainBlockCopyFlags | int = 0
    ) -> Result[None]:
        """Mirror a disk to another place (``virDomainBlockCopy``).

        :param xml: the destination as a ``disk`` element.
        """

    @operation(Kind.CHANGE, abortable=True)
    def domain_block_commit(
        self,
        domain: DomainRef,
        disk: str,
        base: str | None = None,
        top: str | None = None,
        bandwidth: int = 0,
        flags: DomainBlockCommitFlags | int = 0,
    ) -> Result[None]:
        """Merge images of a disk's backing chain downwards (``virDomainBlockCommit``).

        :param base: the image that takes the data; None for the lowest.
        :param top: the topmost image that is merged; None for the one in use.
        """

    @operation(Kind.QUERY)
    def domain_block_job_info(
        self, domain: DomainRef, disk: str, flags: DomainBlockJobInfoFlags | int = 0
    ) -> Result[BlockJobInfo | None]:
        """The block job of a disk; None when there is none (``virDomainGetBlockJobInfo``)."""

    @operation(Kind.CHANGE)
    def domain_block_job_set_speed(
        self, domain: DomainRef, disk: str, bandwidth: int, flags: DomainBlockJobSetSpeedFlags | int = 0
    ) -> Result[None]:
        """Limit the speed of a block job (``virDomainBlockJobSetSpeed``)."""

    @operation(Kind.CHANGE)
    def domain_block_job_abort(
        self, domain: DomainRef, disk: str, flags: DomainBlockJobAbortFlags | int = 0
    ) -> Result[None]:
        """End a block job, or complete one that is ready (``virDomainBlockJobAbort``)."""

    # -- backup

    @operation(Kind.CHANGE, abortable=True)
    def domain_backup_begin(
        self,
        domain: DomainRef,
        backup_xml: str,
        checkpoint_xml: str | None = None,
        flags: DomainBackupBeginFlags | int = 0,
    ) -> Result[None]:
        """Begin a backup of disks of a running guest (``virDomainBackupBegin``). It goes on as the domain's job.

        :param checkpoint_xml: the checkpoint to make at the same moment.
        """

    @operation(Kind.QUERY)
    def domain_backup_xml(self, domain: DomainRef, flags: int = 0) -> Result[str]:
        """The running backup as XML (``virDomainBackupGetXMLDesc``).

        :raises NoDomainBackup: there is none.
        """
