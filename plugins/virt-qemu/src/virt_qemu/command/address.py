"""Where devices sit, as properties of QEMU's devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.command.line import Builder
from virt_qemu.rules.machine import Machine
from virtcore.errors import InternalError
from virtcore.model.domain.address import (
    CCWAddress,
    DIMMAddress,
    DriveAddress,
    ISAAddress,
    PCIAddress,
    SpaprVIOAddress,
    USBAddress,
    VirtioMMIOAddress,
    VirtioSerialAddress,
)
from virtcore.model.domain.controller import (
    Controller,
    PCIController,
    PCIControllerModel,
    SCSIController,
    SCSIControllerModel,
    USBController,
    VirtioSerialController,
)

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.address import Device
    from virtcore.model.domain.disk import IOThreadMapping, VirtioOptions

__all__ = [
    "controller_alias",
    "device_address",
    "index_of",
    "place",
    "scsi_address",
    "thread_mapping",
    "virtio",
    "virtio_options",
]

#: SCSI controllers whose devices have a number and no unit.
_ONE_ID_SCSI = (
    SCSIControllerModel.LSILOGIC,
    SCSIControllerModel.NCR53C90,
    SCSIControllerModel.DC390,
    SCSIControllerModel.AM53C974,
)


def _controllers(domain: Domain) -> list[Controller]:
    return list(domain.devices.controllers) if domain.devices is not None else []


def controller_alias(domain: Domain, kind: type[Controller], index: int) -> str:
    """Alias of a controller.

    :raises InternalError: there is none.
    """
    for controller in _controllers(domain):
        if isinstance(controller, kind) and controller.index == index and controller.alias is not None:
            return controller.alias
    name = kind.__name__.removesuffix("Controller").lower()
    raise InternalError(f"could not find {name} controller with index {index} required for device")


def _pci_bus(domain: Domain, bus: int) -> str:
    for controller in _controllers(domain):
        if isinstance(controller, PCIController) and controller.index == bus:
            # The roots are built in: a name the user gave them is not QEMU's.
            if controller.model is PCIControllerModel.PCIE_ROOT:
                return "pcie.0"
            if controller.model is PCIControllerModel.PCI_ROOT and not index_of(controller):
                return "pci.0" if _has_many_buses(domain) else "pci"
            if controller.model is PCIControllerModel.PCI_ROOT:
                # A further host bridge of POWER has one bus, numbered like those of the others.
                return f"{controller.alias}.0"
            if controller.alias is not None:
                return controller.alias
    raise InternalError(f"Could not find PCI controller with index '{bus}' required for device")


def index_of(controller: PCIController) -> int:
    """Which of several host bridges a root is; 0 for the machine's own."""
    return (controller.target.index or 0) if controller.target is not None else 0


def _has_many_buses(domain: Domain) -> bool:
    """Whether the machine's PCI bus is numbered, as it is where there can be others."""
    return Machine.of(domain).many_pci_buses


def place(builder: Builder, device: Device) -> dict[str, object]:
    """Properties that place a device; what identifies it on s390 is added before it."""
    address = device.address
    if isinstance(address, PCIAddress) and address.zpci is not None and address.zpci.uid is not None:
        builder.device(
            {
                "driver": "zpci",
                "uid": address.zpci.uid,
                "fid": address.zpci.fid,
                "target": device.alias,
                "id": f"zpci{address.zpci.uid}",
            }
        )
    return device_address(builder.domain, device)


def scsi_address(builder: Builder, device: Device) -> dict[str, object]:
    """Properties that place a device on a SCSI bus."""
    address, domain = device.address, builder.domain
    if not isinstance(address, DriveAddress):
        return place(builder, device)
    number = address.controller or 0
    alias = controller_alias(domain, SCSIController, number)
    models = [each.model for each in _controllers(domain) if isinstance(each, SCSIController) and each.index == number]
    if models[0] in _ONE_ID_SCSI:
        return {"bus": f"{alias}.{address.bus or 0}", "scsi-id": address.unit or 0}
    return {
        "bus": f"{alias}.0",
        "channel": address.bus or 0,
        "scsi-id": address.target or 0,
        "lun": address.unit or 0,
    }


def device_address(domain: Domain, device: Device) -> dict[str, object]:
    """Properties that place a device on its bus; none where it has no address."""
    address = device.address
    if isinstance(address, PCIAddress):
        slot = f"0x{address.slot or 0:x}"
        return {
            "bus": _pci_bus(domain, address.bus or 0),
            "multifunction": address.multifunction,
            "addr": f"{slot}.0x{address.function:x}" if address.function else slot,
            "acpi-index": device.acpi_index,
        }
    if isinstance(address, USBAddress):
        return {"bus": f"{controller_alias(domain, USBController, address.bus or 0)}.0", "port": address.port}
    if isinstance(address, VirtioSerialAddress):
        alias = controller_alias(domain, VirtioSerialController, address.controller or 0)
        return {"bus": f"{alias}.{address.bus or 0}", "nr": address.port or 0}
    if isinstance(address, CCWAddress):
        return {"devno": f"{address.cssid or 0:x}.{address.ssid or 0:x}.{address.devno or 0:04x}"}
    if isinstance(address, ISAAddress):
        return {"iobase": address.iobase or 0, "irq": address.irq or None}
    if isinstance(address, SpaprVIOAddress):
        return {"reg": address.reg}
    if isinstance(address, DIMMAddress):
        return {"slot": address.slot, "addr": address.base or None}
    return {}


def virtio(
    name: str, device: Device, model: str | None = None, options: VirtioOptions | None = None
) -> dict[str, object]:
    """First properties of a virtio device: the driver for its bus and variant, and what every such driver can be told.

    :param name: base name such as ``virtio-blk``.
    :param model: libvirt's model of the device.
    """
    if isinstance(device.address, PCIAddress):
        suffix = "-pci"
    elif isinstance(device.address, CCWAddress):
        suffix = "-ccw"
    elif isinstance(device.address, VirtioMMIOAddress):
        suffix = "-device"
    elif device.address is not None:
        raise InternalError(f"Unexpected address type for '{name}'")
    else:
        # libvirt's way to say that the board has no bus for the device.
        raise InternalError("Unexpected enum value 0 for virDomainDeviceAddressType")
    if model in ("virtio-transitional", "virtio-non-transitional"):
        suffix += "-" + model.removeprefix("virtio-")
    props: dict[str, object] = {"driver": name + suffix}
    return props | virtio_options(options)


def virtio_options(options: VirtioOptions | None) -> dict[str, object]:
    """What every driver of virtio can be told."""
    if options is None:
        return {}
    return {
        "iommu_platform": options.iommu,
        "ats": options.ats,
        "packed": options.packed,
        "page-per-vq": options.page_per_vq,
    }


def thread_mapping(threads: list[IOThreadMapping]) -> list[dict[str, object]] | None:
    """Which thread serves which queues; those that are not named are spread over all."""
    if not threads:
        return None
    mapped: list[dict[str, object]] = []
    for thread in threads:
        queues = list(thread.queues)
        mapped.append({"iothread": f"iothread{thread.id}"} | ({"vqs": queues} if queues else {}))
    return mapped
