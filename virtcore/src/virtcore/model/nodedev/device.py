"""``<device>``: a device of the host, and the capabilities that need few words."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from virtcore.errors import ErrorCode
from virtcore.model.nodedev.fields import identifier, known_number
from virtcore.xml import UUID, Mode, attribute, child, children, element, extras, leaf, text
from virtcore.xml.fields import BAD_TAG, NO_TAG

if TYPE_CHECKING:
    from virtcore.model.interface.link import InterfaceLink
    from virtcore.model.nodedev.mdev import MdevCapability, MdevTypesCapability
    from virtcore.model.nodedev.pci import PCICapability
    from virtcore.model.nodedev.s390 import (
        APCardCapability,
        APMatrixCapability,
        APQueueCapability,
        CCWCapability,
        CCWGroupCapability,
        CSSCapability,
    )
    from virtcore.model.nodedev.scsi import (
        DRMCapability,
        SCSICapability,
        SCSIGenericCapability,
        SCSIHostCapability,
        SCSITargetCapability,
        StorageCapability,
    )
    from virtcore.xml import Extras

__all__ = [
    "Capability",
    "CapabilityType",
    "Devnode",
    "DevnodeType",
    "Firmware",
    "Hardware",
    "NetCapability",
    "NetFeature",
    "NetFeatureName",
    "NetTechnology",
    "NodeDevice",
    "ParentDevice",
    "PartialCapability",
    "SystemCapability",
    "USBDeviceCapability",
    "USBInterfaceCapability",
    "USBProduct",
    "USBVendor",
    "VDPACapability",
]

T = TypeVar("T")


class CapabilityType(StrEnum):
    """What a device is (``virNodeDevCapType``)."""

    SYSTEM = "system"
    PCI = "pci"
    USB_DEVICE = "usb_device"
    USB = "usb"
    NET = "net"
    SCSI_HOST = "scsi_host"
    SCSI_TARGET = "scsi_target"
    SCSI = "scsi"
    STORAGE = "storage"
    FC_HOST = "fc_host"
    VPORTS = "vports"
    SCSI_GENERIC = "scsi_generic"
    DRM = "drm"
    MDEV_TYPES = "mdev_types"
    MDEV = "mdev"
    CCW = "ccw"
    CSS = "css"
    VDPA = "vdpa"
    AP_CARD = "ap_card"
    AP_QUEUE = "ap_queue"
    AP_MATRIX = "ap_matrix"
    VPD = "vpd"
    CCWGROUP = "ccwgroup"
    CCWGROUP_MEMBER = "ccwgroup_member"


class DevnodeType(StrEnum):
    """What a path in ``/dev`` is."""

    DEV = "dev"
    LINK = "link"


class NetTechnology(StrEnum):
    """Kind of network."""

    ETHERNET = "80203"
    WLAN = "80211"


class NetFeatureName(StrEnum):
    """What a network card does by itself."""

    RX = "rx"
    TX = "tx"
    SG = "sg"
    TSO = "tso"
    GSO = "gso"
    GRO = "gro"
    LRO = "lro"
    RXVLAN = "rxvlan"
    TXVLAN = "txvlan"
    NTUPLE = "ntuple"
    RXHASH = "rxhash"
    RDMA = "rdma"
    TXUDPTNL = "txudptnl"
    SWITCHDEV = "switchdev"


@element("hardware", empty="open")
class Hardware:
    """The machine."""

    vendor: str | None = leaf(doc="who made it")
    version: str | None = leaf(doc="version")
    serial: str | None = leaf(doc="serial number")
    uuid: str = leaf(
        codec=UUID,
        required=True,
        missing="no system UUID supplied for '{document}'",
        invalid="malformed uuid element for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="UUID of the machine",
    )


@element("firmware", empty="open")
class Firmware:
    """The machine's firmware."""

    vendor: str | None = leaf(doc="who made it")
    version: str | None = leaf(doc="version")
    release_date: str | None = leaf(doc="when it was made")


@element("capability", tag="system", empty="open")
class SystemCapability:
    """The host itself."""

    product: str | None = leaf(doc="name of the product")
    hardware: Hardware | None = child(
        required=True, missing="no system UUID supplied for '{document}'", code=ErrorCode.INTERNAL_ERROR
    )
    firmware: Firmware | None = child()


@element("product", empty="spaced")
class USBProduct:
    """What the device is."""

    id: int = identifier("USB product ID")
    name: str | None = text(doc="name for people")


@element("vendor", empty="spaced")
class USBVendor:
    """Who made the device."""

    id: int = identifier("USB vendor ID")
    name: str | None = text(doc="name for people")


@element("capability", tag="usb_device", empty="open")
class USBDeviceCapability:
    """A USB device."""

    bus: int = known_number("USB bus number", "bus it is on")
    device: int = known_number("USB device number", "its number on the bus")
    product: USBProduct | None = child(
        required=True, missing="no USB product ID supplied for '{document}'", code=ErrorCode.INTERNAL_ERROR
    )
    vendor: USBVendor | None = child(
        required=True, missing="no USB vendor ID supplied for '{document}'", code=ErrorCode.INTERNAL_ERROR
    )


@element("capability", tag="usb", empty="open")
class USBInterfaceCapability:
    """An interface of a USB device."""

    number: int = known_number("USB interface number", "its number")
    class_: int = known_number("USB interface class", "class")
    subclass: int = known_number("USB interface subclass", "subclass")
    protocol: int = known_number("USB interface protocol", "protocol")
    description: str | None = leaf(doc="text for people")


@element("feature")
class NetFeature:
    """Something a network card does by itself."""

    name: NetFeatureName = attribute(
        required=True,
        missing="missing network device feature name",
        invalid="unknown network device feature '{value}'",
        doc="what it is",
    )


@element("capability", tag="net", empty="open")
class NetCapability:
    """A network card."""

    interface: str = leaf(
        required=True,
        missing="no network interface supplied for '{document}'",
        code=ErrorCode.INTERNAL_ERROR,
        doc="name of the interface",
    )
    address: str | None = leaf(doc="MAC address")
    link: InterfaceLink | None = child(since="1.2.3")
    features: list[NetFeature] = children(doc="what it does by itself", since="1.2.12")
    technology: NetTechnology | None = attribute(
        "type",
        within="capability",
        blank=False,
        invalid="invalid network type supplied for '{document}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of network",
    )


@element("capability", tag="vdpa", empty="open", since="6.9.0")
class VDPACapability:
    """A network device that a guest can drive in its own way."""

    chardev: str | None = leaf(doc="path of the character device")


@element(
    "capability",
    tag={
        CapabilityType.FC_HOST,
        CapabilityType.VPORTS,
        CapabilityType.MDEV_TYPES,
        CapabilityType.VPD,
        CapabilityType.CCWGROUP_MEMBER,
    },
    empty="open",
)
class PartialCapability:
    """What is known as a capability but only a part of another one; refused on loading."""

    type: CapabilityType = attribute(required=True, doc="what it is")
    capabilities: list[MdevTypesCapability] = children(
        "capability", tag="@type", read=Mode.LIVE, doc="of what is nothing but the parent of mediated devices"
    )


Capability: TypeAlias = (
    "SystemCapability | PCICapability | USBDeviceCapability | USBInterfaceCapability | NetCapability"
    " | SCSIHostCapability | SCSITargetCapability | SCSICapability | StorageCapability | SCSIGenericCapability"
    " | DRMCapability | MdevCapability | CCWCapability | CSSCapability | VDPACapability | APCardCapability"
    " | APQueueCapability | APMatrixCapability | CCWGroupCapability | PartialCapability"
)


#: Parts of capabilities that are capabilities, too.
_PARTS = {
    "fc_host": CapabilityType.FC_HOST,
    "vport_ops": CapabilityType.VPORTS,
    "mdev_types": CapabilityType.MDEV_TYPES,
    "vpd": CapabilityType.VPD,
    "ccwgroup_member": CapabilityType.CCWGROUP_MEMBER,
}


@element("devnode")
class Devnode:
    """A path in ``/dev``."""

    type: DevnodeType = attribute(required=True, doc="the device, or a link to it")
    path: str | None = text(doc="the path")


@element("parent")
class ParentDevice:
    """The device this one is on or part of: by name; when one is made, also by what the parent is."""

    wwnn: str | None = attribute(blank=False, shown=lambda self: self.name is None, doc="world wide node name")
    wwpn: str | None = attribute(blank=False, shown=lambda self: self.name is None, doc="world wide port name")
    fabric_wwn: str | None = attribute(
        blank=False, shown=lambda self: self.name is None, doc="world wide name of the fabric"
    )
    name: str | None = text(doc="name of the device")


@element("device", root=True, doc="A device of the host.")
class NodeDevice:
    name: str | None = leaf(demanded=True, doc="unique on its host")
    path: str | None = leaf(unless=Mode.INACTIVE, doc="path in sysfs")
    devnodes: list[Devnode] = children("devnode", doc="paths in /dev", since="3.9.0")
    parent: ParentDevice | None = child()
    driver: str | None = leaf(
        "name", within="driver", unless=Mode.INACTIVE, read=Mode.LIVE, doc="kernel's driver of the device"
    )
    capabilities: list[Capability] = children(
        "capability",
        tag="@type",
        missing=NO_TAG,
        invalid=BAD_TAG,
        doc="what it is",
    )
    extra: Extras = extras()

    def capability(self, kind: type[T]) -> T | None:
        """The device's capability of a kind; None where it has none."""
        return next((each for each in self.capabilities if isinstance(each, kind)), None)

    def kinds(self, *, parts: bool = True) -> list[CapabilityType]:
        """What the device is, as lists are filtered by it.

        :param parts: also what its capabilities are beside: a SCSI host that is a fibre channel adapter is both.
        """
        from virtcore.xml.declare import declaration

        found: list[CapabilityType] = []
        for capability in self.capabilities:
            if isinstance(capability, PartialCapability):
                found.append(capability.type)
                continue
            tag = declaration(type(capability)).tag
            assert isinstance(tag, str)  # the others have one kind each
            found.append(CapabilityType(tag))
            if parts:
                inner = (declaration(type(part)).tag for part in getattr(capability, "capabilities", ()))
                found += [_PARTS[tag] for tag in inner if isinstance(tag, str) and tag in _PARTS]
        return found
