"""Controllers: ``<controller>``, one class per kind of bus."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Address, Device
from virtcore.model.domain.disk import IOThreadMapping, VirtioOptions
from virtcore.xml import (
    INT,
    ON_OFF,
    attribute,
    child,
    children,
    element,
    inherited,
    leaf,
    scaled,
)
from virtcore.xml.scalars import number

__all__ = [
    "AnyController",
    "CCIDController",
    "Controller",
    "ControllerDriver",
    "ControllerType",
    "FDCController",
    "IDEController",
    "IDEModel",
    "ISAController",
    "PCIController",
    "PCIControllerModel",
    "PCIControllerModelName",
    "PCIControllerTarget",
    "SATAController",
    "SCSIController",
    "SCSIControllerModel",
    "USBController",
    "USBControllerModel",
    "VirtioSerialController",
    "VirtioSerialModel",
    "XenbusController",
]

#: A number that may be written as 0x… or 0… too; whether it fits is for validation to say.
_NUMBER = number(32, signed=True, base=0)
_UNKNOWN = "Unknown model type '{value}'"
_CODE = ErrorCode.CONFIG_UNSUPPORTED


class ControllerType(StrEnum):
    """Kind of bus a controller drives."""

    IDE = "ide"
    FDC = "fdc"
    SCSI = "scsi"
    SATA = "sata"
    VIRTIO_SERIAL = "virtio-serial"
    CCID = "ccid"
    USB = "usb"
    PCI = "pci"
    XENBUS = "xenbus"
    ISA = "isa"


class NoModel(StrEnum):
    """Model of a controller of which there is one kind: none can be named."""


class PCIControllerModel(StrEnum):
    """Kind of PCI bus or bridge."""

    PCI_ROOT = "pci-root"
    PCIE_ROOT = "pcie-root"
    PCI_BRIDGE = "pci-bridge"
    DMI_TO_PCI_BRIDGE = "dmi-to-pci-bridge"
    PCIE_TO_PCI_BRIDGE = "pcie-to-pci-bridge"
    PCIE_ROOT_PORT = "pcie-root-port"
    PCIE_SWITCH_UPSTREAM_PORT = "pcie-switch-upstream-port"
    PCIE_SWITCH_DOWNSTREAM_PORT = "pcie-switch-downstream-port"
    PCI_EXPANDER_BUS = "pci-expander-bus"
    PCIE_EXPANDER_BUS = "pcie-expander-bus"


class PCIControllerModelName(StrEnum):
    """Device the hypervisor uses for a PCI controller."""

    PCI_BRIDGE = "pci-bridge"
    I82801B11_BRIDGE = "i82801b11-bridge"
    IOH3420 = "ioh3420"
    X3130_UPSTREAM = "x3130-upstream"
    XIO3130_DOWNSTREAM = "xio3130-downstream"
    PXB = "pxb"
    PXB_PCIE = "pxb-pcie"
    PCIE_ROOT_PORT = "pcie-root-port"
    SPAPR_PCI_HOST_BRIDGE = "spapr-pci-host-bridge"
    PCIE_PCI_BRIDGE = "pcie-pci-bridge"


class SCSIControllerModel(StrEnum):
    """SCSI host adapter."""

    AUTO = "auto"
    BUSLOGIC = "buslogic"
    LSILOGIC = "lsilogic"
    LSISAS1068 = "lsisas1068"
    VMPVSCSI = "vmpvscsi"
    IBMVSCSI = "ibmvscsi"
    VIRTIO_SCSI = "virtio-scsi"
    LSISAS1078 = "lsisas1078"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"
    NCR53C90 = "ncr53c90"
    DC390 = "dc390"
    AM53C974 = "am53c974"


class USBControllerModel(StrEnum):
    """USB host controller; ``none`` disables USB."""

    PIIX3_UHCI = "piix3-uhci"
    PIIX4_UHCI = "piix4-uhci"
    EHCI = "ehci"
    ICH9_EHCI1 = "ich9-ehci1"
    ICH9_UHCI1 = "ich9-uhci1"
    ICH9_UHCI2 = "ich9-uhci2"
    ICH9_UHCI3 = "ich9-uhci3"
    VT82C686B_UHCI = "vt82c686b-uhci"
    PCI_OHCI = "pci-ohci"
    NEC_XHCI = "nec-xhci"
    QUSB1 = "qusb1"
    QUSB2 = "qusb2"
    QEMU_XHCI = "qemu-xhci"
    NONE = "none"


class IDEModel(StrEnum):
    """IDE controller."""

    PIIX3 = "piix3"
    PIIX4 = "piix4"
    ICH6 = "ich6"


class VirtioSerialModel(StrEnum):
    """Variant of the virtio device."""

    VIRTIO = "virtio"
    VIRTIO_TRANSITIONAL = "virtio-transitional"
    VIRTIO_NON_TRANSITIONAL = "virtio-non-transitional"


@element("driver")
class ControllerDriver(VirtioOptions):
    """Emulator-side options of a controller."""

    queues: int | None = attribute(omit=0, doc="number of queues")
    cmd_per_lun: int | None = attribute(omit=0, doc="commands that may queue on a unit", since="1.2.7")
    max_sectors: int | None = attribute(omit=0, doc="sectors a command may move", since="1.2.7")
    ioeventfd: bool | None = attribute(codec=ON_OFF, doc="I/O in a thread of its own", since="1.2.18")
    iothread: int | None = attribute(omit=0, doc="I/O thread that serves the controller", since="1.3.5")
    iothreads: list[IOThreadMapping] = children(within="iothreads", doc="I/O threads and their queues", since="11.2.0")


@element(None)
class Controller(Device):
    """What all controllers have."""

    index: int | None = attribute(
        codec=INT, minimum=0, doc="number of the controller among its kind; the lowest free one by default"
    )
    driver: ControllerDriver | None = child()
    alias: str | None = attribute(
        "name",
        within="alias",
        blank=False,
        demanded=True,
        pattern=r"[a-zA-Z0-9_\-.]+",
        doc="identifier of the device; ``ua-`` names are the user's",
    )
    master_startport: int | None = attribute(
        "startport", within="master", demanded=True, doc="first port of the master that a USB companion serves"
    )
    acpi_index: int | None = attribute(
        "index", within="acpi", nonzero=True, doc="index the guest names the device by", since="7.3.0"
    )
    address: Address | None = child(tag="@type")


@element("controller", tag=ControllerType.IDE)
class IDEController(Controller):
    """An IDE controller: two channels with two drives each."""

    model: IDEModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="kind of controller")


@element("controller", tag=ControllerType.FDC)
class FDCController(Controller):
    """A floppy disk controller with two drives."""

    model: NoModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="there is one kind only")


@element("controller", tag=ControllerType.SCSI)
class SCSIController(Controller):
    """A SCSI host adapter."""

    model: SCSIControllerModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="kind of adapter")


@element("controller", tag=ControllerType.SATA)
class SATAController(Controller):
    """A SATA controller with six ports."""

    model: NoModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="there is one kind only")


@element("controller", tag=ControllerType.VIRTIO_SERIAL)
class VirtioSerialController(Controller):
    """A virtio-serial controller, for channels and consoles."""

    model: VirtioSerialModel | None = attribute(
        invalid=_UNKNOWN, code=_CODE, doc="variant of the device", since="5.2.0"
    )
    ports: int | None = attribute(codec=INT, minimum=0, doc="number of ports")
    vectors: int | None = attribute(codec=INT, minimum=0, doc="number of interrupt vectors")


@element("controller", tag=ControllerType.CCID)
class CCIDController(Controller):
    """A USB smart card reader."""

    model: NoModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="there is one kind only")


@element("controller", tag=ControllerType.USB)
class USBController(Controller):
    """A USB host controller."""

    model: USBControllerModel | None = attribute(
        invalid=_UNKNOWN, code=_CODE, doc="kind of controller; none disables USB"
    )
    ports: int | None = attribute(codec=INT, minimum=0, doc="number of ports", since="1.3.5")


@element("target")
class PCIControllerTarget:
    """What the guest sees of a PCI controller."""

    chassis_nr: int | None = attribute("chassisNr", codec=_NUMBER, minimum=0, doc="chassis of a bridge")
    chassis: int | None = attribute(codec=_NUMBER, minimum=0, doc="chassis of a root or downstream port")
    port: int | None = attribute(
        codec=number(32, signed=True, base=0, form="0x%x"), minimum=0, doc="port of a root or downstream port"
    )
    bus_nr: int | None = attribute("busNr", codec=_NUMBER, minimum=0, doc="bus number of an expander bus")
    index: int | None = attribute(codec=_NUMBER, minimum=0, doc="number of a PAPR host bridge", since="3.6.0")
    hotplug: bool | None = attribute(codec=ON_OFF, doc="whether devices can be plugged at run time", since="6.3.0")
    mem_reserve: int | None = attribute(
        "memReserve", codec=number(64, base=0), nonzero=True, doc="KiB of memory space to reserve", since="10.3.0"
    )
    node: int | None = leaf(codec=INT, minimum=0, invalid="invalid NUMA node in target", doc="guest NUMA node")


@element("controller", tag=ControllerType.PCI)
class PCIController(Controller):
    """A PCI bus: root, bridge, port or expander."""

    model_name: PCIControllerModelName | None = attribute("name", within="model", doc="device the hypervisor uses")
    target: PCIControllerTarget | None = child(
        repeat="refuse", repeated="Multiple <target> elements in controller definition not allowed"
    )
    _controller = inherited()
    model: PCIControllerModel | None = attribute(demanded=True, invalid=_UNKNOWN, code=_CODE, doc="kind of bus")
    pcihole64: int | None = leaf(
        codec=scaled("KiB"),
        only={"model": (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)},
        doc="size of the 64-bit hole in KiB",
    )


@element("controller", tag=ControllerType.XENBUS)
class XenbusController(Controller):
    """The bus of Xen's paravirtual devices."""

    model: NoModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="there is one kind only")

    max_grant_frames: int | None = attribute(
        "maxGrantFrames", codec=INT, minimum=0, doc="grant frames the guest may use", since="5.2.0"
    )
    max_event_channels: int | None = attribute(
        "maxEventChannels", codec=INT, minimum=0, doc="event channels the guest may use", since="6.4.0"
    )


@element("controller", tag=ControllerType.ISA)
class ISAController(Controller):
    """The ISA bus."""

    model: NoModel | None = attribute(invalid=_UNKNOWN, code=_CODE, doc="there is one kind only")


AnyController: TypeAlias = (
    PCIController
    | USBController
    | SCSIController
    | SATAController
    | IDEController
    | VirtioSerialController
    | FDCController
    | CCIDController
    | XenbusController
    | ISAController
)
