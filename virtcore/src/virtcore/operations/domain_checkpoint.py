"""Operations on one checkpoint of a domain."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import DomainCheckpointDeleteFlags, DomainCheckpointListFlags, DomainCheckpointXMLFlags
    from virtcore.types import DomainCheckpointRef

__all__ = ["CheckpointOperations"]


class CheckpointOperations(OperationSet, family="domain_checkpoint"):
    """What a driver offers on a checkpoint. Every method raises ``NoDomainCheckpoint`` when it is not (any more)
    known."""

    @operation(Kind.QUERY)
    def domain_checkpoint_xml(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointXMLFlags | int = 0
    ) -> Result[str]:
        """The checkpoint's XML (``virDomainCheckpointGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def domain_checkpoint_parent(self, checkpoint: DomainCheckpointRef, flags: int = 0) -> Result[DomainCheckpointRef]:
        """The checkpoint made before it (``virDomainCheckpointGetParent``).

        :raises NoDomainCheckpoint: it is a root.
        """

    @operation(Kind.QUERY)
    def domain_checkpoint_list_children(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointListFlags | int = 0
    ) -> Result[Sequence[DomainCheckpointRef]]:
        """Checkpoints made after it that pass every group of filter flags (``virDomainCheckpointListAllChildren``)."""

    @operation(Kind.CHANGE)
    def domain_checkpoint_delete(
        self, checkpoint: DomainCheckpointRef, flags: DomainCheckpointDeleteFlags | int = 0
    ) -> Result[None]:
        """Remove it (``virDomainCheckpointDelete``)."""
