"""Devices of the host given to the guest: ``<hostdev>``, one class per kind."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import ROMDevice
from virtcore.model.domain.disk import SGIO
from virtcore.model.network.port import IPAddress, Route
from virtcore.model.storage.secret import Auth
from virtcore.model.storage.source import NetworkHost, SourcePCIAddress, StartupPolicy
from virtcore.xml import (
    HEX,
    ON_OFF,
    UINT_ANY,
    UUID,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    flag,
    flags,
    inherited,
    leaf,
    private,
    union,
)
from virtcore.xml.scalars import number

__all__ = [
    "HostdevSource",
    "AnyHostdev",
    "Hostdev",
    "HostdevCapability",
    "HostdevMode",
    "HostdevType",
    "ISCSISource",
    "MdevHostdev",
    "MdevModel",
    "MiscCapability",
    "NetCapability",
    "PCIDriverName",
    "PCIHostdev",
    "PCIHostdevDriver",
    "PCIHostdevSource",
    "PCIOriginalState",
    "SCSIAdapterSource",
    "SCSIHostProtocol",
    "SCSIHostdev",
    "SCSIProtocol",
    "SourceSCSIAddress",
    "SourceUSBAddress",
    "StorageCapability",
    "Teaming",
    "TeamingType",
    "USBGuestReset",
    "USBHostdev",
    "USBHostdevSource",
    "VHostSCSIHostdev",
    "VHostSCSIModel",
    "VHostSCSISource",
]


#: Vendor and product identifiers of USB devices.
USB_ID = HEX("0x%.4x")
USB_ID_PATTERN = "(0x)?[0-9a-fA-F]{1,4}"


class HostdevMode(StrEnum):
    """Whether hardware or a facility of the host is given."""

    SUBSYSTEM = "subsystem"
    CAPABILITIES = "capabilities"


class HostdevType(StrEnum):
    """Kind of hardware."""

    USB = "usb"
    PCI = "pci"
    SCSI = "scsi"
    SCSI_HOST = "scsi_host"
    MDEV = "mdev"


class HostdevCapability(StrEnum):
    """Kind of facility (containers)."""

    STORAGE = "storage"
    MISC = "misc"
    NET = "net"


class PCIDriverName(StrEnum):
    """Host driver a PCI device is bound to."""

    KVM = "kvm"
    VFIO = "vfio"
    XEN = "xen"


class PCIOriginalState(StrEnum):
    """What has to be undone when a PCI device comes back."""

    UNBIND = "unbind"
    REMOVESLOT = "removeslot"
    REPROBE = "reprobe"


class USBGuestReset(StrEnum):
    """Whether the guest can reset the device."""

    OFF = "off"
    UNINITIALIZED = "uninitialized"
    ON = "on"


class SCSIProtocol(StrEnum):
    """How a SCSI unit is reached."""

    ADAPTER = "adapter"
    ISCSI = "iscsi"


class SCSIHostProtocol(StrEnum):
    """How a SCSI target is reached."""

    VHOST = "vhost"


class VHostSCSIModel(StrEnum):
    """Variant of the virtio device."""

    DEFAULT = "default"
    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


class MdevModel(StrEnum):
    """Interface of a mediated device."""

    VFIO_PCI = "vfio-pci"
    VFIO_CCW = "vfio-ccw"
    VFIO_AP = "vfio-ap"


class TeamingType(StrEnum):
    """Part of a device in a fail-over pair."""

    PERSISTENT = "persistent"
    TRANSIENT = "transient"


@element("teaming")
class Teaming:
    """A fail-over pair of a passed-through and a virtio interface."""

    type: TeamingType | None = attribute(
        blank=False,
        invalid="unknown teaming type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="part of this device",
    )
    persistent: str | None = attribute(blank=False, doc="alias of the persistent device")


@element("driver")
class PCIHostdevDriver:
    """Host driver of a PCI device."""

    name: PCIDriverName | None = attribute(doc="kind of driver")
    model: str | None = attribute(doc="name of a variant driver", since="10.1.0")


@element(None)
class HostdevSource:
    """What every source may say, though it means something for USB devices only."""

    startup_policy: StartupPolicy | None = attribute("startupPolicy", doc="what to do when it is missing (USB)")


@element("source", empty="keep")
class PCIHostdevSource(HostdevSource):
    """A PCI function of the host."""

    write_filtering: bool | None = attribute(
        "writeFiltering", codec=YES_NO, doc="whether configuration writes are filtered (Xen)"
    )
    address: SourcePCIAddress | None = child(demanded=True)
    original_states: list[PCIOriginalState] = flags(
        within="origstates", when=Mode.PCI_ORIG_STATES, read=Mode.PCI_ORIG_STATES
    )


@element("address")
class SourceUSBAddress:
    """A USB device of the host, by where it is plugged."""

    bus: int = attribute(codec=UINT_ANY, required=True, doc="number of the bus")
    device: int = attribute(codec=UINT_ANY, required=True, doc="number on the bus; changes when plugged again")


@element("source", empty="keep")
class USBHostdevSource(HostdevSource):
    """A USB device of the host."""

    auto_address: bool | None = attribute(
        "autoAddress", codec=YES_NO, omit=False, when=Mode.MIGRATABLE, doc="the address was found"
    )
    missing: bool | None = attribute(codec=YES_NO, omit=False, when=Mode.LIVE, doc="it was missing at start")
    guest_reset: USBGuestReset | None = attribute("guestReset", doc="whether the guest can reset it", since="9.5.0")
    vendor: int | None = attribute(
        "id",
        within="vendor",
        codec=USB_ID,
        pattern=USB_ID_PATTERN,
        nonzero=True,
        doc="vendor identifier",
    )
    product: int | None = attribute(
        "id", within="product", codec=USB_ID, pattern=USB_ID_PATTERN, doc="product identifier"
    )
    address: SourceUSBAddress | None = child()


@element("address")
class SourceSCSIAddress:
    """A SCSI unit of the host."""

    bus: int = attribute(codec=UINT_ANY, required=True, doc="bus of the adapter")
    target: int = attribute(codec=UINT_ANY, required=True, doc="target on the bus")
    unit: int = attribute(codec=number(64, base=0), required=True, doc="unit of the target")


@element("source", tag=SCSIProtocol.ADAPTER)
class SCSIAdapterSource(HostdevSource):
    """A unit behind a SCSI adapter of the host."""

    adapter: str | None = attribute(
        "name",
        within="adapter",
        blank=False,
        required=True,
        missing="'adapter' name must be specified for scsi hostdev source",
        doc="scsi_hostN",
    )
    address: SourceSCSIAddress | None = child(
        required=True, missing="'address' must be specified for scsi hostdev source"
    )
    private_data: object | None = private(point="hostdev-source", doc="what the driver knows of the unit")


@element("source", tag=SCSIProtocol.ISCSI)
class ISCSISource(HostdevSource):
    """A unit of an iSCSI target."""

    name: str | None = attribute(required=True, missing="missing iSCSI hostdev source path name", doc="IQN and unit")
    hosts: list[NetworkHost] = children("host", doc="the one portal")
    private_data: object | None = private(point="hostdev-source", doc="what the driver knows of the unit")
    auth: Auth | None = child()
    initiator: str | None = attribute("name", within="initiator/iqn", blank=False, doc="iSCSI name of this client")


@element("source")
class VHostSCSISource(HostdevSource):
    """A target of the host kernel's vhost-scsi."""

    protocol: SCSIHostProtocol = attribute(required=True, doc="always vhost")
    wwpn: str | None = attribute(
        required=True, missing="missing vhost-scsi hostdev source wwpn", doc="naa. and 16 hexadecimal digits"
    )


_MISSING = "Missing <source> element in hostdev device"


@element(None)
class Hostdev(ROMDevice):
    """What all host devices have."""

    sgio: SGIO | None = attribute(doc="which SCSI commands pass (SCSI)")
    rawio: bool | None = attribute(codec=YES_NO, doc="whether the process may send raw SCSI commands (SCSI)")
    teaming: Teaming | None = child()
    readonly: bool = flag(doc="the guest cannot write (SCSI)")
    shareable: bool = flag(doc="other domains may use it at the same time (SCSI)")


@element("hostdev", tag=(HostdevMode.SUBSYSTEM, HostdevType.PCI), undocumented=("sgio", "rawio"))
class PCIHostdev(Hostdev):
    """A PCI device of the host."""

    managed: bool | None = attribute(codec=YES_NO, doc="libvirt takes it from the host and gives it back")
    model: str | None = attribute(doc="refused: these devices have no model")
    display: bool | None = attribute(codec=ON_OFF, doc="shows the display of a vGPU", since="10.5.0")
    ramfb: bool | None = attribute(codec=ON_OFF, doc="frame buffer before the guest's driver runs", since="10.5.0")
    driver: PCIHostdevDriver | None = child()
    source: PCIHostdevSource | None = child(required=True, missing=_MISSING)
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.SUBSYSTEM, HostdevType.USB), undocumented=("sgio", "rawio"))
class USBHostdev(Hostdev):
    """A USB device of the host."""

    managed: bool | None = attribute(codec=YES_NO, doc="libvirt takes it from the host and gives it back")
    model: str | None = attribute(doc="refused: these devices have no model")
    source: USBHostdevSource | None = child(required=True, missing=_MISSING)
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.SUBSYSTEM, HostdevType.SCSI))
class SCSIHostdev(Hostdev):
    """A SCSI unit."""

    managed: bool | None = attribute(codec=YES_NO, doc="libvirt takes it from the host and gives it back")
    model: str | None = attribute(doc="refused: these devices have no model")
    sgio: SGIO | None = attribute(doc="which SCSI commands pass")
    rawio: bool | None = attribute(codec=YES_NO, doc="whether the process may send raw SCSI commands")
    source: SCSIAdapterSource | ISCSISource | None = union(
        tag="@protocol", default=SCSIProtocol.ADAPTER, hide_default=True, required=True, missing=_MISSING
    )
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.SUBSYSTEM, HostdevType.SCSI_HOST), undocumented=("sgio", "rawio"))
class VHostSCSIHostdev(Hostdev):
    """A SCSI target through vhost-scsi."""

    managed: bool | None = attribute(codec=YES_NO, doc="libvirt takes it from the host and gives it back")
    model: VHostSCSIModel | None = attribute(omit=VHostSCSIModel.DEFAULT, doc="variant of the device", since="5.2.0")
    source: VHostSCSISource | None = child(required=True, missing=_MISSING)
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.SUBSYSTEM, HostdevType.MDEV))
class MdevHostdev(Hostdev):
    """A mediated device of the host."""

    managed: bool | None = attribute(codec=YES_NO, doc="has no effect")
    model: MdevModel = attribute(required=True, doc="interface of the device")
    display: bool | None = attribute(codec=ON_OFF, doc="shows the display of a vGPU", since="4.6.0")
    ramfb: bool | None = attribute(codec=ON_OFF, doc="frame buffer before the guest's driver runs", since="5.10.0")
    uuid: str | None = attribute("uuid", within="source/address", codec=UUID, doc="UUID of the mediated device")
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.CAPABILITIES, HostdevCapability.STORAGE))
class StorageCapability(Hostdev):
    """A block device of the host (containers)."""

    block: str | None = leaf(
        within="source", required=True, missing="Missing <block> element in hostdev storage device", doc="path"
    )
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.CAPABILITIES, HostdevCapability.MISC))
class MiscCapability(Hostdev):
    """A character device of the host (containers)."""

    char: str | None = leaf(
        within="source", required=True, missing="Missing <char> element in hostdev character device", doc="path"
    )
    _hostdev = inherited()


@element("hostdev", tag=(HostdevMode.CAPABILITIES, HostdevCapability.NET))
class NetCapability(Hostdev):
    """A network interface of the host (containers)."""

    interface: str | None = leaf(
        within="source", required=True, missing="Missing <interface> element in hostdev net device", doc="name"
    )
    ips: list[IPAddress] = children("ip", doc="addresses it gets")
    routes: list[Route] = children("route", doc="routes it gets")
    _hostdev = inherited()


AnyHostdev: TypeAlias = (
    PCIHostdev
    | USBHostdev
    | SCSIHostdev
    | VHostSCSIHostdev
    | MdevHostdev
    | StorageCapability
    | MiscCapability
    | NetCapability
)
