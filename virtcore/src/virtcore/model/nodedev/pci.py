"""PCI devices of the host."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from virtcore.errors import ErrorCode
from virtcore.model.nodedev.fields import identifier, known_number
from virtcore.xml import HEX, INT, attribute, child, children, element, leaf, text

if TYPE_CHECKING:
    from virtcore.model.nodedev.mdev import MdevTypesCapability
    from virtcore.model.storage.source import SourcePCIAddress

__all__ = [
    "IOMMUGroup",
    "LinkValidity",
    "PCICapability",
    "PCIELink",
    "PCIELinkSpeed",
    "PCIExpress",
    "PCIHeaderCapability",
    "PCIHeaderType",
    "PCIProduct",
    "PCIVendor",
    "PhysicalFunctionCapability",
    "ReadOnlyFields",
    "ReadWriteFields",
    "SystemField",
    "VPDCapability",
    "VendorField",
    "VirtualFunctionsCapability",
]


class PCIHeaderType(StrEnum):
    """Kind of a PCI device that is no endpoint."""

    PCI_BRIDGE = "pci-bridge"
    CARDBUS_BRIDGE = "cardbus-bridge"


class LinkValidity(StrEnum):
    """What is said about a link: what it could do or what it does."""

    CAP = "cap"
    STA = "sta"


class PCIELinkSpeed(StrEnum):
    """Transfers of a lane in billions a second."""

    GT_2_5 = "2.5"
    GT_5 = "5"
    GT_8 = "8"
    GT_16 = "16"
    GT_32 = "32"
    GT_64 = "64"


@element("product")
class PCIProduct:
    """What the device is."""

    id: int = identifier("PCI product ID")
    name: str | None = text(doc="name for people")


@element("vendor")
class PCIVendor:
    """Who made the device."""

    id: int = identifier("PCI vendor ID")
    name: str | None = text(doc="name for people")


@element("capability", tag="phys_function")
class PhysicalFunctionCapability:
    """The device is a virtual function of another one."""

    address: SourcePCIAddress | None = child(
        required=True,
        demanded=False,
        missing="Missing address in 'phys_function' capability",
        doc="the physical function",
    )


@element("capability", tag="virt_functions", empty="keep")
class VirtualFunctionsCapability:
    """The device can have virtual functions."""

    max_count: int | None = attribute(
        "maxCount", blank=False, omit=0, invalid="Malformed 'maxCount' parameter", doc="how many", since="1.3.3"
    )
    addresses: list[SourcePCIAddress] = children("address", doc="those there are")


@element("capability", tag={PCIHeaderType.PCI_BRIDGE, PCIHeaderType.CARDBUS_BRIDGE}, empty="keep", since="1.3.3")
class PCIHeaderCapability:
    """The device is a bridge."""

    type: PCIHeaderType = attribute(required=True, doc="to what")


@element("vendor_field")
class VendorField:
    """A field whose meaning the vendor knows."""

    index: str | None = attribute(blank=False, doc="one letter or digit")
    value: str | None = text(doc="content")


@element("system_field")
class SystemField:
    """A field for the system."""

    index: str | None = attribute(blank=False, doc="one letter or digit")
    value: str | None = text(doc="content")


@element("fields", tag="readonly", empty="open")
class ReadOnlyFields:
    """What the vendor wrote."""

    change_level: str | None = leaf(doc="engineering change level")
    manufacture_id: str | None = leaf(doc="further identifier of the vendor")
    part_number: str | None = leaf(doc="part number")
    serial_number: str | None = leaf(doc="serial number")
    vendor_fields: list[VendorField] = children("vendor_field", doc="the vendor's own")


@element("fields", tag="readwrite", empty="open")
class ReadWriteFields:
    """What the owner may write."""

    asset_tag: str | None = leaf(doc="the owner's identifier")
    vendor_fields: list[VendorField] = children("vendor_field", doc="the vendor's own")
    system_fields: list[SystemField] = children("system_field", doc="the system's")


@element("capability", tag="vpd", since="7.9.0")
class VPDCapability:
    """The device has vital product data."""

    name: str = leaf(
        required=True, missing="Could not read a device name from the <name> element", doc="name of the product"
    )
    fields: list[ReadOnlyFields | ReadWriteFields] = children(
        tag="@access", invalid="Unsupported VPD field access type specified {value}", doc="what is known"
    )


@element("iommuGroup", since="1.2.0")
class IOMMUGroup:
    """The devices that cannot be kept apart from this one."""

    number: int = attribute(required=True, doc="number of the group")
    addresses: list[SourcePCIAddress] = children("address", demanded=True, doc="the devices, this one among them")


@element("link", tag={LinkValidity.CAP, LinkValidity.STA})
class PCIELink:
    """A link to the device above."""

    validity: LinkValidity = attribute(required=True, doc="what it could do, or what it does")
    port: int | None = attribute(codec=INT, omit=-1, doc="number of the port")
    speed: PCIELinkSpeed | None = attribute(blank=False, doc="billions of transfers a second")
    width: int = attribute(required=True, doc="number of lanes")


@element("pci-express", empty="keep", since="1.2.12")
class PCIExpress:
    """The device speaks PCI Express."""

    links: list[PCIELink] = children(tag="@validity", doc="its link")


@element("capability", tag="pci", empty="open")
class PCICapability:
    """A PCI device."""

    class_: int | None = leaf(
        "class",
        codec=HEX("0x%06x", base=16),
        maximum=0xFFFFFF,
        invalid="invalid PCI class supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="class, subclass and programming interface",
        since="5.2.0",
    )
    domain: int = known_number("PCI domain ID", "PCI domain")
    bus: int = known_number("PCI bus ID", "bus")
    slot: int = known_number("PCI slot ID", "slot of the bus")
    function: int = known_number("PCI function ID", "function of the slot")
    product: PCIProduct | None = child(
        required=True, missing="no PCI product ID supplied for '{document}'", code=ErrorCode.INTERNAL_ERROR
    )
    vendor: PCIVendor | None = child(
        required=True, missing="no PCI vendor ID supplied for '{document}'", code=ErrorCode.INTERNAL_ERROR
    )
    capabilities: list[
        PhysicalFunctionCapability
        | VirtualFunctionsCapability
        | PCIHeaderCapability
        | MdevTypesCapability
        | VPDCapability
    ] = children(tag="@type", missing="Missing capability type", invalid="", doc="what more it is")
    iommu_group: IOMMUGroup | None = child()
    numa_node: int | None = attribute(
        "node",
        within="numa",
        codec=INT,
        blank=False,
        shown=lambda self: self.numa_node is not None and self.numa_node >= 0,
        invalid="invalid NUMA node ID supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="NUMA node it is nearest to",
    )
    express: PCIExpress | None = child()
