"""Operations on one snapshot of a domain."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainSnapshotDeleteFlags,
        DomainSnapshotListFlags,
        DomainSnapshotRevertFlags,
        DomainSnapshotXMLFlags,
    )
    from virtcore.types import DomainSnapshotRef

__all__ = ["SnapshotOperations"]


class SnapshotOperations(OperationSet, family="domain_snapshot"):
    """What a driver offers on a snapshot. Every method raises ``NoDomainSnapshot`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def domain_snapshot_xml(self, snapshot: DomainSnapshotRef, flags: DomainSnapshotXMLFlags | int = 0) -> Result[str]:
        """The snapshot's XML (``virDomainSnapshotGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def domain_snapshot_parent(self, snapshot: DomainSnapshotRef, flags: int = 0) -> Result[DomainSnapshotRef]:
        """The snapshot it was taken after (``virDomainSnapshotGetParent``).

        :raises NoDomainSnapshot: it is a root.
        """

    @operation(Kind.QUERY)
    def domain_snapshot_list_children(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotListFlags | int = 0
    ) -> Result[Sequence[DomainSnapshotRef]]:
        """Snapshots taken after it that pass every group of filter flags (``virDomainSnapshotListAllChildren``)."""

    @operation(Kind.QUERY)
    def domain_snapshot_is_current(self, snapshot: DomainSnapshotRef, flags: int = 0) -> Result[bool]:
        """Whether it is its domain's current one (``virDomainSnapshotIsCurrent``)."""

    @operation(Kind.QUERY)
    def domain_snapshot_has_metadata(self, snapshot: DomainSnapshotRef, flags: int = 0) -> Result[bool]:
        """Whether the driver keeps metadata of it (``virDomainSnapshotHasMetadata``)."""

    @operation(Kind.CHANGE, abortable=True)
    def domain_snapshot_revert(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotRevertFlags | int = 0
    ) -> Result[None]:
        """Take the domain back to it (``virDomainRevertToSnapshot``)."""

    @operation(Kind.CHANGE)
    def domain_snapshot_delete(
        self, snapshot: DomainSnapshotRef, flags: DomainSnapshotDeleteFlags | int = 0
    ) -> Result[None]:
        """Remove it (``virDomainSnapshotDelete``)."""
