"""Operations that only LXC has."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.types import DomainRef

__all__ = ["LxcOperations"]


class LxcOperations(OperationSet, family="domain"):
    """A container seen from outside."""

    @operation(Kind.CHANGE)
    def domain_lxc_open_namespace(self, domain: DomainRef, flags: int = 0) -> Result[Sequence[int]]:
        """Descriptors of the container's namespaces (``virDomainLxcOpenNamespace``); the caller's to close."""
