"""Operations on virtual networks and their ports: the service ``network``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectListAllNetworksFlags,
        NetworkCreateFlags,
        NetworkDefineFlags,
        NetworkMetadataType,
        NetworkPortCreateFlags,
        NetworkUpdateCommand,
        NetworkUpdateFlags,
        NetworkUpdateSection,
        NetworkXMLFlags,
    )
    from virtcore.operations.values import DHCPLease
    from virtcore.types import NetworkPortRef, NetworkRef, TypedParameters

__all__ = ["NetworkFindOperations", "NetworkOperations", "NetworkPortOperations", "NetworkService"]


class NetworkFindOperations(OperationSet, family="connection"):
    """Finding and making networks."""

    @operation(Kind.QUERY)
    def connection_list_networks(self, flags: ConnectListAllNetworksFlags | int = 0) -> Result[Sequence[NetworkRef]]:
        """Networks that pass every group of filter flags; 0 for all (``virConnectListAllNetworks``)."""

    @operation(Kind.QUERY, keys=("name", "uuid"))
    def connection_lookup_network(self, name: str | None = None, uuid: str | None = None) -> Result[NetworkRef]:
        """The network of a name or UUID, exactly one of which is given (``virNetworkLookupByName`` and siblings).

        :raises NoNetwork: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_define_network(self, xml: str, flags: NetworkDefineFlags | int = 0) -> Result[NetworkRef]:
        """Define a persistent network, or change the definition of one (``virNetworkDefineXMLFlags``).

        :raises XMLError: the document is refused; nothing changed.
        """

    @operation(Kind.CHANGE)
    def connection_create_network(self, xml: str, flags: NetworkCreateFlags | int = 0) -> Result[NetworkRef]:
        """Start a network from XML; without an earlier definition it is transient (``virNetworkCreateXMLFlags``)."""


class NetworkOperations(OperationSet, family="network"):
    """What a driver offers on a network. Every method raises ``NoNetwork`` when it is not (any more) known."""

    @operation(Kind.CHANGE)
    def network_create(self, network: NetworkRef) -> Result[None]:
        """Start a defined network (``virNetworkCreate``)."""

    @operation(Kind.CHANGE)
    def network_destroy(self, network: NetworkRef) -> Result[None]:
        """Stop it at once; a transient one is gone (``virNetworkDestroy``)."""

    @operation(Kind.CHANGE)
    def network_undefine(self, network: NetworkRef) -> Result[None]:
        """Remove the persistent definition; an active network becomes transient (``virNetworkUndefine``)."""

    @operation(Kind.CHANGE)
    def network_update(
        self,
        network: NetworkRef,
        command: NetworkUpdateCommand | int,
        section: NetworkUpdateSection | int,
        parent_index: int,
        xml: str,
        flags: NetworkUpdateFlags | int = 0,
    ) -> Result[None]:
        """Add, change or remove one element of its definition or its running state (``virNetworkUpdate``).

        :param parent_index: which of several parents, from 0; -1 when there is no or only one choice.
        :param xml: the element.
        """

    @operation(Kind.QUERY)
    def network_xml(self, network: NetworkRef, flags: NetworkXMLFlags | int = 0) -> Result[str]:
        """Its XML, live by default while it is active (``virNetworkGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def network_bridge_name(self, network: NetworkRef) -> Result[str]:
        """Name of its bridge device (``virNetworkGetBridgeName``)."""

    @operation(Kind.QUERY)
    def network_is_active(self, network: NetworkRef) -> Result[bool]:
        """Whether it is active (``virNetworkIsActive``)."""

    @operation(Kind.QUERY)
    def network_is_persistent(self, network: NetworkRef) -> Result[bool]:
        """Whether it has a persistent definition (``virNetworkIsPersistent``)."""

    @operation(Kind.QUERY)
    def network_autostart(self, network: NetworkRef) -> Result[bool]:
        """Whether it starts with the host (``virNetworkGetAutostart``)."""

    @operation(Kind.CHANGE)
    def network_set_autostart(self, network: NetworkRef, autostart: bool) -> Result[None]:
        """Set whether it starts with the host (``virNetworkSetAutostart``)."""

    @operation(Kind.QUERY)
    def network_dhcp_leases(
        self, network: NetworkRef, mac: str | None = None, flags: int = 0
    ) -> Result[Sequence[DHCPLease]]:
        """Leases that its DHCP server gave (``virNetworkGetDHCPLeases``).

        :param mac: only those of this MAC address; None for all.
        """

    @operation(Kind.QUERY)
    def network_metadata(
        self,
        network: NetworkRef,
        type: NetworkMetadataType | int,
        uri: str | None = None,
        flags: NetworkUpdateFlags | int = 0,
    ) -> Result[str]:
        """Title, description or a custom metadata element (``virNetworkGetMetadata``).

        :param uri: namespace of the custom element.
        :raises NoNetworkMetadata: there is none.
        """

    @operation(Kind.CHANGE)
    def network_set_metadata(
        self,
        network: NetworkRef,
        type: NetworkMetadataType | int,
        metadata: str | None,
        key: str | None = None,
        uri: str | None = None,
        flags: NetworkUpdateFlags | int = 0,
    ) -> Result[None]:
        """Set or, with None, remove title, description or a custom metadata element (``virNetworkSetMetadata``).

        :param key: prefix that the custom element's namespace is given in the XML.
        :param uri: namespace of the custom element.
        """

    # -- ports

    @operation(Kind.QUERY)
    def network_list_ports(self, network: NetworkRef, flags: int = 0) -> Result[Sequence[NetworkPortRef]]:
        """Its ports (``virNetworkListAllPorts``)."""

    @operation(Kind.QUERY)
    def network_lookup_port(self, network: NetworkRef, uuid: str) -> Result[NetworkPortRef]:
        """The port of a UUID (``virNetworkPortLookupByUUID``).

        :raises NoNetworkPort: there is none.
        """

    @operation(Kind.CHANGE)
    def network_create_port(
        self, network: NetworkRef, xml: str, flags: NetworkPortCreateFlags | int = 0
    ) -> Result[NetworkPortRef]:
        """Make a port for a guest's interface (``virNetworkPortCreateXML``)."""


class NetworkPortOperations(OperationSet, family="network_port"):
    """What a driver offers on a port. Every method raises ``NoNetworkPort`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def network_port_xml(self, port: NetworkPortRef, flags: int = 0) -> Result[str]:
        """Its XML (``virNetworkPortGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def network_port_parameters(self, port: NetworkPortRef, flags: int = 0) -> Result[TypedParameters]:
        """Its bandwidth: ``inbound.average`` and siblings in KiB/s, ``.burst`` in KiB
        (``virNetworkPortGetParameters``)."""

    @operation(Kind.CHANGE)
    def network_port_set_parameters(
        self, port: NetworkPortRef, parameters: TypedParameters, flags: int = 0
    ) -> Result[None]:
        """Set its bandwidth (``virNetworkPortSetParameters``)."""

    @operation(Kind.CHANGE)
    def network_port_delete(self, port: NetworkPortRef, flags: int = 0) -> Result[None]:
        """Give it back (``virNetworkPortDelete``)."""


class NetworkService(NetworkFindOperations, NetworkOperations, NetworkPortOperations, service="network"):
    """What a driver of networks implements."""
