"""Validation of controllers that is the same for every driver.

Errors name places below the device; who iterates completes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.domain.controller import PCIController, PCIControllerModel, SCSIController, SCSIControllerModel

if TYPE_CHECKING:
    from virtcore.model.domain.controller import AnyController
    from virtcore.model.domain.domain import Domain

__all__ = ["validate_controller"]

_ROOTS = (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)
_VIRTIO_SCSI = (
    SCSIControllerModel.VIRTIO_SCSI,
    SCSIControllerModel.VIRTIO_TRANSITIONAL,
    SCSIControllerModel.VIRTIO_NON_TRANSITIONAL,
)
# What a message calls it, the target's field, the smallest and the largest value.
_RANGES = (
    ("target index", "index", 0, 30),
    ("chassisNr", "chassis_nr", 1, 255),
    ("chassis", "chassis", 0, 255),
    ("port", "port", 0, 255),
    ("busNr", "bus_nr", 1, 254),
)


def validate_controller(device: AnyController, domain: Domain) -> None:
    if isinstance(device, PCIController):
        _validate_pci_controller(device)
    driver = device.driver
    if driver is not None and (driver.iothread or driver.iothreads):
        if not isinstance(device, SCSIController) or device.model not in _VIRTIO_SCSI:
            raise ConfigUnsupported(
                "iothreads are supported only by 'virtio-scsi' controllers", path="driver/@iothread"
            )
        if driver.iothread and driver.iothreads:
            raise XMLError(
                "controller driver 'iothread' attribute can't be used together with 'iothreads' subelement",
                path="driver/@iothread",
            )


def _validate_pci_controller(device: PCIController) -> None:
    index = device.index or 0
    if device.model in _ROOTS and device.address is not None:
        raise ConfigUnsupported("pci-root and pcie-root controllers should not have an address", path="address")
    if index > 255:
        raise ConfigUnsupported(f"PCI controller index {index} too high, maximum is 255", path="@index")
    target = device.target
    if target is None:
        return
    for name, key, low, high in _RANGES:
        value = getattr(target, key)
        if value is not None and not low <= value <= high:
            raise ConfigUnsupported(
                f"PCI controller {name} '{value}' out of range - must be {low}-{high}", path="target"
            )
        if key == "index" and value is not None and (index == 0) != (value == 0):
            raise ConfigUnsupported(
                "Only the PCI controller with index 0 can have target index 0, and vice versa", path="target/@index"
            )
    if target.node is not None and target.node >= 0 and index == 0:
        raise ConfigUnsupported(
            "The PCI controller with index=0 can't be associated with a NUMA node", path="target/node"
        )
