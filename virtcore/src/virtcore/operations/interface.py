"""Operations on the host's network interfaces: the service ``interface``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import ConnectListAllInterfacesFlags, InterfaceDefineFlags, InterfaceXMLFlags
    from virtcore.types import InterfaceRef

__all__ = ["InterfaceFindOperations", "InterfaceOperations", "InterfaceService"]


class InterfaceFindOperations(OperationSet, family="connection"):
    """Finding and making interfaces, and changing several at once."""

    @operation(Kind.QUERY)
    def connection_list_interfaces(
        self, flags: ConnectListAllInterfacesFlags | int = 0
    ) -> Result[Sequence[InterfaceRef]]:
        """Interfaces that pass the filter flags; 0 for all (``virConnectListAllInterfaces``)."""

    @operation(Kind.QUERY, keys=("name", "mac"))
    def connection_lookup_interface(self, name: str | None = None, mac: str | None = None) -> Result[InterfaceRef]:
        """The interface of a name or MAC address, exactly one of which is given (``virInterfaceLookupByName`` and
        sibling).

        :raises NoInterface: there is none.
        :raises MultipleInterfaces: several have the MAC address.
        """

    @operation(Kind.CHANGE)
    def connection_define_interface(self, xml: str, flags: InterfaceDefineFlags | int = 0) -> Result[InterfaceRef]:
        """Configure an interface, or change the configuration of one (``virInterfaceDefineXML``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.CHANGE)
    def connection_interface_begin(self, flags: int = 0) -> Result[None]:
        """Keep the configuration of all interfaces, to return to it (``virInterfaceChangeBegin``)."""

    @operation(Kind.CHANGE)
    def connection_interface_commit(self, flags: int = 0) -> Result[None]:
        """Forget the configuration kept before: the changes stay (``virInterfaceChangeCommit``)."""

    @operation(Kind.CHANGE)
    def connection_interface_rollback(self, flags: int = 0) -> Result[None]:
        """Return to the configuration kept before (``virInterfaceChangeRollback``)."""


class InterfaceOperations(OperationSet, family="interface"):
    """What a driver offers on an interface. Every method raises ``NoInterface`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def interface_xml(self, interface: InterfaceRef, flags: InterfaceXMLFlags | int = 0) -> Result[str]:
        """Its XML, live by default (``virInterfaceGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def interface_is_active(self, interface: InterfaceRef) -> Result[bool]:
        """Whether it is up (``virInterfaceIsActive``)."""

    @operation(Kind.CHANGE)
    def interface_create(self, interface: InterfaceRef, flags: int = 0) -> Result[None]:
        """Bring it up (``virInterfaceCreate``)."""

    @operation(Kind.CHANGE)
    def interface_destroy(self, interface: InterfaceRef, flags: int = 0) -> Result[None]:
        """Bring it down (``virInterfaceDestroy``)."""

    @operation(Kind.CHANGE)
    def interface_undefine(self, interface: InterfaceRef) -> Result[None]:
        """Remove its configuration (``virInterfaceUndefine``)."""


class InterfaceService(InterfaceFindOperations, InterfaceOperations, service="interface"):
    """What a driver of the host's interfaces implements."""
