"""Operations on the host's devices: the service ``nodedev``."""
# A declaration has no body.
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Sequence
from virtcore.operations.declare import Kind, OperationSet, Result, operation

if TYPE_CHECKING:
    from virtcore.enums import (
        ConnectListAllNodeDeviceFlags,
        NodeDeviceCreateXMLFlags,
        NodeDeviceDefineXMLFlags,
        NodeDeviceUpdateFlags,
        NodeDeviceXMLFlags,
    )
    from virtcore.types import NodeDeviceRef

__all__ = ["NodeDeviceFindOperations", "NodeDeviceOperations", "NodeDeviceService"]


class NodeDeviceFindOperations(OperationSet, family="connection"):
    """Finding and making devices of the host."""

    @operation(Kind.QUERY)
    def connection_list_node_devices(
        self, capability: str | None = None, flags: ConnectListAllNodeDeviceFlags | int = 0
    ) -> Result[Sequence[NodeDeviceRef]]:
        """Devices that pass every group of filter flags; 0 for all (``virConnectListAllNodeDevices``).

        :param capability: only those with the capability of this name, e.g. ``pci`` (``virNodeListDevices``).
        """

    @operation(Kind.QUERY, keys=("name", "wwnn wwpn"))
    def connection_lookup_node_device(
        self, name: str | None = None, wwnn: str | None = None, wwpn: str | None = None, flags: int = 0
    ) -> Result[NodeDeviceRef]:
        """The device of a name, or the SCSI host of a world wide node and port name
        (``virNodeDeviceLookupByName``, ``virNodeDeviceLookupSCSIHostByWWN``).

        :raises NoNodeDevice: there is none.
        """

    @operation(Kind.CHANGE)
    def connection_create_node_device(
        self, xml: str, flags: NodeDeviceCreateXMLFlags | int = 0
    ) -> Result[NodeDeviceRef]:
        """Make a transient device from XML: a virtual HBA or a mediated device (``virNodeDeviceCreateXML``)."""

    @operation(Kind.CHANGE)
    def connection_define_node_device(
        self, xml: str, flags: NodeDeviceDefineXMLFlags | int = 0
    ) -> Result[NodeDeviceRef]:
        """Define a persistent mediated device (``virNodeDeviceDefineXML``).

        :raises XMLError: the document is refused; nothing changed.
        """


class NodeDeviceOperations(OperationSet, family="node_device"):
    """What a driver offers on a device. Every method raises ``NoNodeDevice`` when it is not (any more) known."""

    @operation(Kind.QUERY)
    def node_device_xml(self, device: NodeDeviceRef, flags: NodeDeviceXMLFlags | int = 0) -> Result[str]:
        """Its XML (``virNodeDeviceGetXMLDesc``)."""

    @operation(Kind.QUERY)
    def node_device_parent(self, device: NodeDeviceRef) -> Result[str | None]:
        """Name of its parent; None for the root (``virNodeDeviceGetParent``)."""

    @operation(Kind.QUERY)
    def node_device_capabilities(self, device: NodeDeviceRef) -> Result[Sequence[str]]:
        """Names of its capabilities, e.g. ``pci`` (``virNodeDeviceListCaps``)."""

    @operation(Kind.QUERY)
    def node_device_is_active(self, device: NodeDeviceRef) -> Result[bool]:
        """Whether it is there, not only defined (``virNodeDeviceIsActive``)."""

    @operation(Kind.QUERY)
    def node_device_is_persistent(self, device: NodeDeviceRef) -> Result[bool]:
        """Whether it has a persistent definition (``virNodeDeviceIsPersistent``)."""

    @operation(Kind.QUERY)
    def node_device_autostart(self, device: NodeDeviceRef) -> Result[bool]:
        """Whether it starts with the host or its parent (``virNodeDeviceGetAutostart``)."""

    @operation(Kind.CHANGE)
    def node_device_set_autostart(self, device: NodeDeviceRef, autostart: bool) -> Result[None]:
        """Set whether it starts with the host or its parent (``virNodeDeviceSetAutostart``)."""

    @operation(Kind.CHANGE)
    def node_device_create(self, device: NodeDeviceRef, flags: int = 0) -> Result[None]:
        """Start a defined device (``virNodeDeviceCreate``)."""

    @operation(Kind.CHANGE)
    def node_device_destroy(self, device: NodeDeviceRef) -> Result[None]:
        """Remove a virtual HBA or a mediated device from the host (``virNodeDeviceDestroy``)."""

    @operation(Kind.CHANGE)
    def node_device_undefine(self, device: NodeDeviceRef, flags: int = 0) -> Result[None]:
        """Remove its persistent definition (``virNodeDeviceUndefine``)."""

    @operation(Kind.CHANGE)
    def node_device_update(
        self, device: NodeDeviceRef, xml: str, flags: NodeDeviceUpdateFlags | int = 0
    ) -> Result[None]:
        """Change a mediated device, running or defined (``virNodeDeviceUpdate``)."""

    @operation(Kind.CHANGE)
    def node_device_detach(self, device: NodeDeviceRef, driver: str | None = None, flags: int = 0) -> Result[None]:
        """Take it from the host's driver, so that a guest can have it (``virNodeDeviceDetachFlags``).

        :param driver: the driver it is given to, e.g. ``vfio-pci``; None for the hypervisor's default.
        """

    @operation(Kind.CHANGE)
    def node_device_reattach(self, device: NodeDeviceRef) -> Result[None]:
        """Give it back to the host's driver (``virNodeDeviceReAttach``)."""

    @operation(Kind.CHANGE)
    def node_device_reset(self, device: NodeDeviceRef) -> Result[None]:
        """Reset it, before a guest gets it or the host gets it back (``virNodeDeviceReset``)."""


class NodeDeviceService(NodeDeviceFindOperations, NodeDeviceOperations, service="nodedev"):
    """What a driver of the host's devices implements."""
