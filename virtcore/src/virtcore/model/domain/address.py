"""Where a device sits in the guest (``<address>``), and what all devices share: alias, boot order, ROM, ACPI index."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.model.patterns import CSSID, DEVNO, POSITIVE, SSID
from virtcore.model.storage.source import BUS_PATTERN, FUNCTION_PATTERN, SLOT_PATTERN
from virtcore.xml import HEX, ON_OFF, YES_NO, attribute, child, element, inherited
from virtcore.xml.fields import NO_TAG

__all__ = [
    "Address",
    "AddressType",
    "BootableDevice",
    "CCIDAddress",
    "CCWAddress",
    "DIMMAddress",
    "Device",
    "DriveAddress",
    "ISAAddress",
    "PCIAddress",
    "ROMDevice",
    "SpaprVIOAddress",
    "USBAddress",
    "UnassignedAddress",
    "VirtioMMIOAddress",
    "VirtioS390Address",
    "VirtioSerialAddress",
    "ZPCIAddress",
]

#: A boot menu entry.
_LOADPARM = r"[a-zA-Z0-9.\s]{1,8}"


class AddressType(StrEnum):
    """Kind of guest address, in libvirt's order (``none`` is the absence of the element)."""

    PCI = "pci"
    DRIVE = "drive"
    VIRTIO_SERIAL = "virtio-serial"
    CCID = "ccid"
    USB = "usb"
    SPAPR_VIO = "spapr-vio"
    VIRTIO_S390 = "virtio-s390"
    CCW = "ccw"
    VIRTIO_MMIO = "virtio-mmio"
    ISA = "isa"
    DIMM = "dimm"
    UNASSIGNED = "unassigned"


@element("zpci")
class ZPCIAddress:
    """Identifiers of a PCI function on s390 (``<zpci>``)."""

    uid: int | None = attribute(codec=HEX("0x%04x"), doc="user-defined identifier, 1 to 0xffff")
    fid: int | None = attribute(codec=HEX("0x%08x"), doc="function identifier")


@element("address", tag=AddressType.PCI, empty="keep")
class PCIAddress:
    """A slot of a guest PCI bus; without numbers, "any PCI slot"."""

    domain: int | None = attribute(codec=HEX("0x%04x"), pattern="(0x)?[0-9a-fA-F]{1,8}", doc="PCI domain")
    bus: int | None = attribute(codec=HEX("0x%02x"), pattern=BUS_PATTERN, doc="index of the PCI controller")
    slot: int | None = attribute(codec=HEX("0x%02x"), pattern=SLOT_PATTERN, doc="slot, 0 to 0x1f")
    function: int | None = attribute(codec=HEX("0x%x"), pattern=FUNCTION_PATTERN, doc="function, 0 to 7")
    multifunction: bool | None = attribute(codec=ON_OFF, doc="whether other functions of the slot are in use")
    zpci: ZPCIAddress | None = child()

    @property
    def is_empty(self) -> bool:
        """Whether no slot is named: all numbers are absent or zero, whatever the function's is."""
        return not (self.domain or self.bus or self.slot)


@element("address", tag=AddressType.DRIVE)
class DriveAddress:
    """A unit on a disk controller's bus."""

    controller: int | None = attribute(pattern="[0-9]{1,2}", doc="index of the controller")
    bus: int | None = attribute(doc="bus of the controller")
    target: int | None = attribute(doc="target on the bus")
    unit: int | None = attribute(doc="unit of the target")


@element("address", tag=AddressType.VIRTIO_SERIAL)
class VirtioSerialAddress:
    """A port of a virtio-serial controller."""

    controller: int | None = attribute(doc="index of the controller")
    bus: int | None = attribute(doc="bus of the controller")
    port: int | None = attribute(doc="port, 0 is reserved for a console")


@element("address", tag=AddressType.CCID)
class CCIDAddress:
    """A slot of a smart card reader."""

    controller: int | None = attribute(doc="index of the CCID controller")
    slot: int | None = attribute(doc="slot of the reader")


@element("address", tag=AddressType.USB)
class USBAddress:
    """A port of a USB bus, through hubs: ``1.2.3``."""

    bus: int | None = attribute(doc="index of the USB controller")
    port: str | None = attribute(
        pattern=r"(([1-9]|[1-9][0-9]{1,2})(\.([1-9]|[1-9][0-9]{1,2})){0,3})", doc="dotted port path"
    )


@element("address", tag=AddressType.SPAPR_VIO)
class SpaprVIOAddress:
    """A register of the PAPR virtual I/O bus."""

    reg: int | None = attribute(
        codec=HEX("0x%08x", bits=64, base=16), pattern="(0x)?[0-9a-fA-F]{1,8}", doc="register address"
    )


@element("address", tag=AddressType.VIRTIO_S390)
class VirtioS390Address:
    """The legacy s390 virtio bus, which has no addresses; refused on loading."""


@element("address", tag=AddressType.CCW)
class CCWAddress:
    """A channel I/O device number on s390."""

    cssid: int | None = attribute(
        codec=HEX("0x%x"),
        demanded=True,
        exclusive="number/all",
        pattern=CSSID,
        doc="channel subsystem, virtual devices have 0xfe",
    )
    ssid: int | None = attribute(
        codec=HEX("0x%x"), demanded=True, exclusive="number/all", pattern=SSID, doc="subchannel set, 0 to 3"
    )
    devno: int | None = attribute(
        codec=HEX("0x%04x"), demanded=True, exclusive="number/all", pattern=DEVNO, doc="device number"
    )


@element("address", tag=AddressType.VIRTIO_MMIO)
class VirtioMMIOAddress:
    """A memory-mapped virtio slot; the machine assigns it."""


@element("address", tag=AddressType.ISA)
class ISAAddress:
    """I/O port and interrupt of an ISA device."""

    iobase: int | None = attribute(codec=HEX("0x%x", base=16), omit=0, doc="first I/O port")
    irq: int | None = attribute(codec=HEX("0x%x", base=16), omit=0, doc="interrupt line")


@element("address", tag=AddressType.DIMM)
class DIMMAddress:
    """A memory slot and where it appears in guest memory."""

    slot: int | None = attribute(required=True, doc="memory slot")
    base: int | None = attribute(codec=HEX("0x%x", bits=64, base=16), omit=0, doc="guest physical address in bytes")


@element("address", tag=AddressType.UNASSIGNED)
class UnassignedAddress:
    """A host device held for the domain without being given to the guest."""


Address: TypeAlias = (
    PCIAddress
    | DriveAddress
    | VirtioSerialAddress
    | CCIDAddress
    | USBAddress
    | SpaprVIOAddress
    | VirtioS390Address
    | CCWAddress
    | VirtioMMIOAddress
    | ISAAddress
    | DIMMAddress
    | UnassignedAddress
)


@element(None, last=True)
class Device:
    """What every guest device has (libvirt's device info)."""

    alias: str | None = attribute(
        "name",
        within="alias",
        blank=False,
        demanded=True,
        pattern=r"[a-zA-Z0-9_\-.]+",
        doc="identifier of the device; ``ua-`` names are the user's",
    )
    acpi_index: int | None = attribute(
        "index", within="acpi", nonzero=True, doc="index the guest names the device by", since="7.3.0"
    )
    address: Address | None = child(tag="@type", missing=NO_TAG)


@element(None, last=True)
class BootableDevice(Device):
    """A device the guest may boot from."""

    boot_order: int | None = attribute(
        "order",
        within="boot",
        nonzero=True,
        demanded=True,
        pattern=POSITIVE,
        missing="Missing required attribute 'order' in element 'boot'",
        doc="place in the boot order, from 1",
    )
    loadparm: str | None = attribute(within="boot", pattern=_LOADPARM, doc="boot menu entry on s390")
    _device = inherited()


@element(None, last=True)
class ROMDevice(Device):
    """A bootable PCI device whose option ROM may be tuned."""

    boot_order: int | None = attribute(
        "order", within="boot", nonzero=True, demanded=True, pattern=POSITIVE, doc="place in the boot order, from 1"
    )
    loadparm: str | None = attribute(within="boot", pattern=_LOADPARM, doc="boot menu entry on s390")
    alias: str | None = attribute(
        "name",
        within="alias",
        blank=False,
        demanded=True,
        pattern=r"[a-zA-Z0-9_\-.]+",
        doc="identifier of the device; ``ua-`` names are the user's",
    )
    rom_enabled: bool | None = attribute(
        "enabled", within="rom", codec=YES_NO, doc="whether the device has an option ROM", since="4.3.0"
    )
    rom_bar: bool | None = attribute(
        "bar", within="rom", codec=ON_OFF, doc="whether the ROM shows in the guest's memory map"
    )
    rom_file: str | None = attribute("file", within="rom", doc="image that replaces the ROM")
    acpi_index: int | None = attribute(
        "index", within="acpi", nonzero=True, doc="index the guest names the device by", since="7.3.0"
    )
    address: Address | None = child(tag="@type")
