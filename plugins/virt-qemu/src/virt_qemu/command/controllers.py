"""Controllers of buses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.address import index_of, place, thread_mapping, virtio
from virt_qemu.command.line import Builder, on_off
from virt_qemu.command.machine import is_q35
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.controller import (
    CCIDController,
    Controller,
    IDEController,
    PCIController,
    PCIControllerModel,
    PCIControllerTarget,
    SATAController,
    SCSIController,
    SCSIControllerModel,
    USBController,
    USBControllerModel,
    VirtioSerialController,
)

if TYPE_CHECKING:
    from virtcore.model.domain import Domain

__all__ = ["add_bridge_settings", "add_ccid_controllers", "add_controller", "add_controllers", "has_builtin_ide"]

#: The order of kinds on the command line; the others are built in, or added with what sits on them.
_ORDER = (PCIController, USBController, SCSIController, IDEController, SATAController, VirtioSerialController)

_USB = {
    USBControllerModel.PIIX3_UHCI: "piix3-usb-uhci",
    USBControllerModel.PIIX4_UHCI: "piix4-usb-uhci",
    USBControllerModel.EHCI: "usb-ehci",
    USBControllerModel.ICH9_EHCI1: "ich9-usb-ehci1",
    USBControllerModel.ICH9_UHCI1: "ich9-usb-uhci1",
    USBControllerModel.ICH9_UHCI2: "ich9-usb-uhci2",
    USBControllerModel.ICH9_UHCI3: "ich9-usb-uhci3",
    USBControllerModel.VT82C686B_UHCI: "vt82c686b-usb-uhci",
    USBControllerModel.PCI_OHCI: "pci-ohci",
    USBControllerModel.NEC_XHCI: "nec-usb-xhci",
    USBControllerModel.QEMU_XHCI: "qemu-xhci",
}

_SCSI = {
    SCSIControllerModel.LSILOGIC: "lsi",
    SCSIControllerModel.IBMVSCSI: "spapr-vscsi",
    SCSIControllerModel.LSISAS1068: "mptsas1068",
    SCSIControllerModel.LSISAS1078: "megasas",
    SCSIControllerModel.VMPVSCSI: "pvscsi",
    SCSIControllerModel.AM53C974: "am53c974",
    SCSIControllerModel.DC390: "dc-390",
}

_VIRTIO_SCSI = (
    SCSIControllerModel.VIRTIO_SCSI,
    SCSIControllerModel.VIRTIO_TRANSITIONAL,
    SCSIControllerModel.VIRTIO_NON_TRANSITIONAL,
)

_PORTS = (PCIControllerModel.PCIE_ROOT_PORT, PCIControllerModel.PCIE_SWITCH_DOWNSTREAM_PORT)
_EXPANDERS = (PCIControllerModel.PCI_EXPANDER_BUS, PCIControllerModel.PCIE_EXPANDER_BUS)


def has_builtin_ide(domain: Domain) -> bool:
    """Whether the machine has an IDE controller of its own."""
    machine = domain.machine or ""
    return machine == "pc" or machine.startswith(("pc-i440fx-", "pc-0.", "pc-1.")) or machine == "isapc"


def _built_in(builder: Builder, controller: Controller) -> bool:
    if isinstance(controller, PCIController):
        if controller.model is PCIControllerModel.PCI_ROOT:
            return not index_of(controller)
        return controller.model is PCIControllerModel.PCIE_ROOT
    if isinstance(controller, SATAController):
        return not controller.index and is_q35(builder)
    if isinstance(controller, IDEController):
        return not controller.index and Machine.of(builder.domain).builtin_ide
    if isinstance(controller, SCSIController):
        return controller.model is SCSIControllerModel.NCR53C90
    if not isinstance(controller, USBController):
        return False
    if controller.model is None and builder.domain.arch is not None and builder.domain.arch.is_s390:
        return True  # it has no USB; old documents have a controller all the same
    return controller.model is USBControllerModel.NONE


def add_bridge_settings(builder: Builder) -> None:
    """What is set on the host bridges of the PC, which are built in."""
    devices = builder.domain.devices
    assert devices is not None
    for controller in devices.controllers:
        if not isinstance(controller, PCIController) or controller.index:
            continue
        root = controller.model is PCIControllerModel.PCI_ROOT
        if not root and controller.model is not PCIControllerModel.PCIE_ROOT:
            continue
        if controller.pcihole64 is not None:
            bridge = "i440FX-pcihost" if root else "q35-pcihost"
            builder.add("-global", f"{bridge}.pci-hole64-size={controller.pcihole64}K")
        hotplug = controller.target.hotplug if controller.target is not None else None
        if root and hotplug is not None and has_builtin_ide(builder.domain):
            builder.add("-global", f"PIIX4_PM.acpi-root-pci-hotplug={on_off(hotplug)}")


def add_controllers(builder: Builder) -> None:
    """Every controller that the machine has not got built in, CCID apart."""
    devices = builder.domain.devices
    assert devices is not None
    for kind in _ORDER:
        for controller in devices.controllers:
            if isinstance(controller, kind) and not _built_in(builder, controller):
                add_controller(builder, controller)


def add_controller(builder: Builder, controller: Controller) -> None:
    """A controller that the machine has not got built in.

    :raises ConfigUnsupported: QEMU has none of its model.
    """
    builder.device(_properties(builder, controller) | place(builder, controller))


def add_ccid_controllers(builder: Builder) -> None:
    """Smart card readers; they sit on USB, so they come behind its hubs."""
    devices = builder.domain.devices
    assert devices is not None
    for controller in devices.controllers:
        if isinstance(controller, CCIDController):
            builder.device({"driver": "usb-ccid", "id": controller.alias} | place(builder, controller))


def _properties(builder: Builder, controller: Controller) -> dict[str, object]:
    if isinstance(controller, PCIController):
        return _pci(controller)
    if isinstance(controller, USBController):
        return _usb(builder, controller)
    if isinstance(controller, SCSIController):
        return _scsi(controller)
    if isinstance(controller, SATAController):
        return {"driver": "ahci", "id": controller.alias}
    if isinstance(controller, VirtioSerialController):
        return virtio("virtio-serial", controller, controller.model, controller.driver) | {
            "id": controller.alias,
            "max_ports": controller.ports,
            "vectors": controller.vectors,
        }
    raise ConfigUnsupported("Unsupported controller type: ide")


def _pci(controller: PCIController) -> dict[str, object]:
    if controller.model_name is None:
        raise InternalError("a PCI controller was not completed")
    target, driver = controller.target or PCIControllerTarget(), str(controller.model_name)
    reserve = target.mem_reserve << 10 if target.mem_reserve else None
    if controller.model is PCIControllerModel.PCI_ROOT:
        return {"driver": driver, "index": target.index, "id": controller.alias, "numa_node": target.node}
    if controller.model in _PORTS:
        return {
            "driver": driver,
            "port": target.port,
            "chassis": target.chassis,
            "id": controller.alias,
            "hotplug": target.hotplug,
            "mem-reserve": reserve,
        }
    if controller.model is PCIControllerModel.PCI_BRIDGE:
        return {
            "driver": driver,
            "chassis_nr": target.chassis_nr,
            "mem-reserve": reserve,
            "id": controller.alias,
        }
    if controller.model in _EXPANDERS:
        return {"driver": driver, "bus_nr": target.bus_nr, "id": controller.alias, "numa_node": target.node}
    return {"driver": driver, "id": controller.alias}


def _usb(builder: Builder, controller: USBController) -> dict[str, object]:
    domain = builder.domain
    if controller.model is None:
        raise ConfigUnsupported("no model provided for USB controller")
    driver = _USB.get(controller.model)
    if driver is None:
        raise ConfigUnsupported(f"Unsupported controller model: {controller.model}")
    flag = "ich9-usb-ehci1" if driver.startswith("ich9-") else driver
    if not builder.capabilities.has(flag):
        raise ConfigUnsupported(f"USB controller model '{controller.model}' not supported in this QEMU binary")
    if controller.ports and driver not in ("nec-usb-xhci", "qemu-xhci"):
        raise ConfigUnsupported(
            f"usb controller type '{controller.model}' doesn't support 'ports' with this QEMU binary"
        )
    props: dict[str, object] = {"driver": driver, "p2": controller.ports, "p3": controller.ports}
    if controller.master_startport is None:
        return props | {"id": controller.alias}
    assert domain.devices is not None
    for other in domain.devices.controllers:
        if isinstance(other, USBController) and other.index == controller.index and other.master_startport is None:
            return props | {"masterbus": f"{other.alias}.0", "firstport": controller.master_startport}
    raise InternalError("masterbus not found")


def _scsi(controller: SCSIController) -> dict[str, object]:
    driver = controller.driver
    if controller.model in _VIRTIO_SCSI:
        model = None if controller.model is SCSIControllerModel.VIRTIO_SCSI else str(controller.model)
        return virtio("virtio-scsi", controller, model, driver) | {
            "iothread": f"iothread{driver.iothread}" if driver is not None and driver.iothread else None,
            "id": controller.alias,
            "num_queues": driver.queues or None if driver is not None else None,
            "iothread-vq-mapping": thread_mapping(driver.iothreads) if driver is not None else None,
            "cmd_per_lun": driver.cmd_per_lun or None if driver is not None else None,
            "max_sectors": driver.max_sectors or None if driver is not None else None,
            "ioeventfd": driver.ioeventfd if driver is not None else None,
        }
    name = _SCSI.get(controller.model) if controller.model is not None else None
    if name is None:
        raise ConfigUnsupported(f"Unsupported controller model: {controller.model}")
    return {"driver": name, "id": controller.alias}
