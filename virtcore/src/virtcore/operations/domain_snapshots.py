"""Operations on one domain: finding and making snapshots and checkpoints."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainCheckpointCreateFlags,
        DomainCheckpointListFlags,
        DomainSnapshotCreateFlags,
        DomainSnapshotListFlags,
    )
    from virtcore.types import DomainCheckpointRef, DomainRef, DomainSnapshotRef

__all__ = ["DomainSnapshotOperations"]


class DomainSnapshotOperations(OperationSet, family="domain"):
    """Snapshots and checkpoints of a domain; what is done with one is in :mod:`virtcore.operations.domain_snapshot` and
    :mod:`virtcore.operations.domain_checkpoint`."""

    # -- snapshots

    @operation(Kind.CHANGE, abortable=True, secret=("xml",))
    def domain_create_snapshot(
        self, domain: DomainRef, xml: str, flags: DomainSnapshotCreateFlags | int = 0
    ) -> Result[DomainSnapshotRef]:
        """Take a snapshot (``virDomainSnapshotCreateXML``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.QUERY)
    def domain_list_snapshots(
        self, domain: DomainRef, flags: DomainSnapshotListFlags | int = 0
    ) -> Result[Sequence[DomainSnapshotRef]]:
        """Snapshots that pass every group of filter flags; 0 for all (``virDomainListAllSnapshots``)."""

    @operation(Kind.QUERY)
    def domain_lookup_snapshot(self, domain: DomainRef, name: str, flags: int = 0) -> Result[DomainSnapshotRef]:
        """The snapshot of a name (``virDomainSnapshotLookupByName``).

        :raises NoDomainSnapshot: there is none.
        """

    @operation(Kind.QUERY)
    def domain_has_current_snapshot(self, domain: DomainRef, flags: int = 0) -> Result[bool]:
        """Whether it has a current snapshot (``virDomainHasCurrentSnapshot``)."""

    @operation(Kind.QUERY)
    def domain_current_snapshot(self, domain: DomainRef, flags: int = 0) -> Result[DomainSnapshotRef]:
        """The current snapshot (``virDomainSnapshotCurrent``).

        :raises NoDomainSnapshot: there is none.
        """

    # -- checkpoints

    @operation(Kind.CHANGE)
    def domain_create_checkpoint(
        self, domain: DomainRef, xml: str, flags: DomainCheckpointCreateFlags | int = 0
    ) -> Result[DomainCheckpointRef]:
        """Make a checkpoint (``virDomainCheckpointCreateXML``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.QUERY)
    def domain_list_checkpoints(
        self, domain: DomainRef, flags: DomainCheckpointListFlags | int = 0
    ) -> Result[Sequence[DomainCheckpointRef]]:
        """Checkpoints that pass every group of filter flags; 0 for all (``virDomainListAllCheckpoints``)."""

    @operation(Kind.QUERY)
    def domain_lookup_checkpoint(self, domain: DomainRef, name: str, flags: int = 0) -> Result[DomainCheckpointRef]:
        """The checkpoint of a name (``virDomainCheckpointLookupByName``).

        :raises NoDomainCheckpoint: there is none.
        """
