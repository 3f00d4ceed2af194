"""Operations on a connection: guests that are no domain yet."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import DomainCreateFlags, DomainMigrateFlags, DomainSaveImageXMLFlags, DomainSaveRestoreFlags
    from virtcore.operations.values import MigrationFinished, MigrationPrepared, MigrationTunnel
    from virtcore.types import DomainRef, TypedParameters

__all__ = ["GuestOperations"]


class GuestOperations(OperationSet, family="connection"):
    """Saved guests, other formats, guests that arrive by migration."""

    # -- saved guests

    @operation(Kind.CHANGE, abortable=True, secret=("dxml",))
    def connection_restore(
        self,
        file: str | None = None,
        dxml: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> Result[None]:
        """Start a guest from a file that it was saved into (``virDomainRestoreParams``).

        :param file: path on the host.
        :param dxml: XML to use in place of the saved one; differs only where the guest cannot see it.
        :param parallel_channels: how many threads read.
        """

    @operation(Kind.QUERY)
    def connection_save_image_xml(self, file: str, flags: DomainSaveImageXMLFlags | int = 0) -> Result[str]:
        """The XML in a file that a guest was saved into (``virDomainSaveImageGetXMLDesc``)."""

    @operation(Kind.CHANGE, secret=("dxml",))
    def connection_save_image_define_xml(
        self, file: str, dxml: str, flags: DomainSaveRestoreFlags | int = 0
    ) -> Result[None]:
        """Replace the XML in a file that a guest was saved into (``virDomainSaveImageDefineXML``)."""

    # -- other formats

    @operation(Kind.QUERY, secret=("native_config",))
    def connection_xml_from_native(self, native_format: str, native_config: str, flags: int = 0) -> Result[str]:
        """The domain that a hypervisor's own configuration describes, as XML (``virConnectDomainXMLFromNative``).

        :param native_format: such as ``qemu-argv``, ``xen-xl``, ``vmware-vmx``.
        """

    @operation(Kind.QUERY, secret=("xml",))
    def connection_xml_to_native(self, native_format: str, xml: str, flags: int = 0) -> Result[str]:
        """A domain in a hypervisor's own format (``virConnectDomainXMLToNative``)."""

    # -- with descriptors, and of others

    @operation(Kind.CHANGE, abortable=True, secret=("xml",))
    def connection_create_domain_with_files(
        self, xml: str, files: Sequence[int], flags: DomainCreateFlags | int = 0
    ) -> Result[DomainRef]:
        """As :meth:`connection_create_domain`; a container's first process gets descriptors
        (``virDomainCreateXMLWithFiles``).

        :param files: the descriptors; the caller closes them.
        """

    @operation(Kind.CHANGE)
    def connection_qemu_attach(self, pid: int, flags: int = 0) -> Result[DomainRef]:
        """Take over a QEMU process that others started (``virDomainQemuAttach``)."""

    # -- phases of migration at the destination, called by core and by a peer

    @operation(Kind.CHANGE, internal=True)
    def connection_migrate_prepare(
        self, params: TypedParameters, cookie: bytes = b"", flags: DomainMigrateFlags | int = 0
    ) -> Result[MigrationPrepared]:
        """Prepare for a guest that will come.

        :param cookie: what the source began with.
        """

    @operation(Kind.CHANGE, internal=True)
    def connection_migrate_prepare_tunnel(
        self, params: TypedParameters, cookie: bytes = b"", flags: DomainMigrateFlags | int = 0
    ) -> Result[MigrationTunnel]:
        """Prepare for a guest whose data comes through the connection."""

    @operation(Kind.CHANGE, internal=True)
    def connection_migrate_finish(
        self, params: TypedParameters, cookie: bytes = b"", flags: DomainMigrateFlags | int = 0, cancelled: bool = False
    ) -> Result[MigrationFinished]:
        """End: start the guest that has come, or forget it when the migration was ``cancelled``."""
