"""Operations on one domain: saving it and dumping its memory."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        DomainCoreDumpFlags,
        DomainCoreDumpFormat,
        DomainSaveImageXMLFlags,
        DomainSaveRestoreFlags,
    )
    from virtcore.types import DomainRef

__all__ = ["DomainSavingOperations"]


class DomainSavingOperations(OperationSet, family="domain"):
    """A domain's state in a file, of the caller's or of the driver's."""

    @operation(Kind.CHANGE, abortable=True, secret=("dxml",))
    def domain_save(
        self,
        domain: DomainRef,
        file: str | None = None,
        dxml: str | None = None,
        image_format: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> Result[None]:
        """Save the running guest into a file, and end it (``virDomainSaveParams``).

        :param file: path on the host.
        :param dxml: XML to keep in place of the guest's own; differs only where the guest cannot see it.
        :param image_format: ``raw``, ``gzip``, ``zstd``, ``sparse``, ...; None as configured.
        :param parallel_channels: how many threads write; only with format ``sparse``.
        """

    @operation(Kind.CHANGE, abortable=True)
    def domain_managed_save(self, domain: DomainRef, flags: DomainSaveRestoreFlags | int = 0) -> Result[None]:
        """Save the running guest where the driver keeps it, and end it: its next start goes on from there
        (``virDomainManagedSave``).
        """

    @operation(Kind.CHANGE)
    def domain_managed_save_remove(self, domain: DomainRef, flags: int = 0) -> Result[None]:
        """Remove the managed save image (``virDomainManagedSaveRemove``)."""

    @operation(Kind.QUERY)
    def domain_managed_save_xml(self, domain: DomainRef, flags: DomainSaveImageXMLFlags | int = 0) -> Result[str]:
        """The XML in the managed save image (``virDomainManagedSaveGetXMLDesc``)."""

    @operation(Kind.CHANGE, secret=("dxml",))
    def domain_managed_save_define_xml(
        self, domain: DomainRef, dxml: str | None, flags: DomainSaveRestoreFlags | int = 0
    ) -> Result[None]:
        """Replace the XML in the managed save image (``virDomainManagedSaveDefineXML``)."""

    @operation(Kind.CHANGE, abortable=True)
    def domain_core_dump(
        self,
        domain: DomainRef,
        to: str,
        dumpformat: DomainCoreDumpFormat | int = 0,
        flags: DomainCoreDumpFlags | int = 0,
    ) -> Result[None]:
        """Write the guest's memory into a file for a debugger (``virDomainCoreDumpWithFormat``).

        :param to: path on the host.
        """
