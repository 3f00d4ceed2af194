"""Operations on network filters and their bindings: the service ``nwfilter``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import NWFilterBindingCreateFlags, NWFilterDefineFlags
    from virtcore.types import NWFilterBindingRef, NWFilterRef

__all__ = ["NWFilterBindingOperations", "NWFilterFindOperations", "NWFilterOperations", "NWFilterService"]


class NWFilterFindOperations(OperationSet, family="connection"):
    """Finding and making filters and bindings."""

    @operation(Kind.QUERY)
    def connection_list_nwfilters(self, flags: int = 0) -> Result[Sequence[NWFilterRef]]:
        """Every filter (``virConnectListAllNWFilters``)."""

    @operation(Kind.QUERY, keys=("name", "uuid"))
    def connection_lookup_nwfilter(self, name: str | None = None, uuid: str | None = None) -> Result[NWFilterRef]:
        """The filter of a name or UUID, exactly one of which is given (``virNWFilterLookupByName`` and siblings).

        :raises NoNWFilter: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_define_nwfilter(self, xml: str, flags: NWFilterDefineFlags | int = 0) -> Result[NWFilterRef]:
        """Define a filter, or change the definition of one; ports that use it follow (``virNWFilterDefineXMLFlags``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.QUERY)
    def connection_list_nwfilter_bindings(self, flags: int = 0) -> Result[Sequence[NWFilterBindingRef]]:
        """Every binding (``virConnectListAllNWFilterBindings``)."""

    @operation(Kind.QUERY)
    def connection_lookup_nwfilter_binding(self, port_dev: str) -> Result[NWFilterBindingRef]:
        """The binding of a port's device (``virNWFilterBindingLookupByPortDev``).

        :raises NoNWFilterBinding: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_create_nwfilter_binding(
        self, xml: str, flags: NWFilterBindingCreateFlags | int = 0
    ) -> Result[NWFilterBindingRef]:
        """Filter a port's traffic (``virNWFilterBindingCreateXML``)."""


class NWFilterOperations(OperationSet, family="nwfilter"):
    """What a driver offers on a filter. Every method raises ``NoNWFilter`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def nwfilter_xml(self, nwfilter: NWFilterRef, flags: int = 0) -> Result[str]:
        """Its XML (``virNWFilterGetXMLDesc``)."""

    @operation(Kind.CHANGE)
    def nwfilter_undefine(self, nwfilter: NWFilterRef) -> Result[None]:
        """Remove it; refused while it is used (``virNWFilterUndefine``)."""


class NWFilterBindingOperations(OperationSet, family="nwfilter_binding"):
    """What a driver offers on a binding. Every method raises ``NoNWFilterBinding`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def nwfilter_binding_xml(self, binding: NWFilterBindingRef, flags: int = 0) -> Result[str]:
        """Its XML (``virNWFilterBindingGetXMLDesc``)."""

    @operation(Kind.CHANGE)
    def nwfilter_binding_delete(self, binding: NWFilterBindingRef) -> Result[None]:
        """End the filtering of the port's traffic (``virNWFilterBindingDelete``)."""


class NWFilterService(NWFilterFindOperations, NWFilterOperations, NWFilterBindingOperations, service="nwfilter"):
    """What a driver of network filters implements."""
