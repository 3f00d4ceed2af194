"""What QEMU wants to know about PCI controllers beside their addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.controller import (
    PCIController,
    PCIControllerModel,
    PCIControllerModelName,
    PCIControllerTarget,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.rules.machine import Machine

__all__ = ["complete_pci_controller"]

_MODEL_NAME = {
    PCIControllerModel.PCI_BRIDGE: PCIControllerModelName.PCI_BRIDGE,
    PCIControllerModel.DMI_TO_PCI_BRIDGE: PCIControllerModelName.I82801B11_BRIDGE,
    PCIControllerModel.PCIE_TO_PCI_BRIDGE: PCIControllerModelName.PCIE_PCI_BRIDGE,
    PCIControllerModel.PCIE_SWITCH_UPSTREAM_PORT: PCIControllerModelName.X3130_UPSTREAM,
    PCIControllerModel.PCIE_SWITCH_DOWNSTREAM_PORT: PCIControllerModelName.XIO3130_DOWNSTREAM,
    PCIControllerModel.PCI_EXPANDER_BUS: PCIControllerModelName.PXB,
    PCIControllerModel.PCIE_EXPANDER_BUS: PCIControllerModelName.PXB_PCIE,
}


def complete_pci_controller(
    controller: PCIController, every: list[PCIController], machine: Machine, capabilities: EmulatorCapabilities
) -> None:
    """Fill in what QEMU wants to know about a PCI controller, once all have their addresses.

    :param every: the guest's PCI controllers.
    :raises ConfigUnsupported: it cannot be where it is, or there is no number left.
    """
    model, index = controller.model, controller.index or 0
    address = controller.address if isinstance(controller.address, PCIAddress) else PCIAddress()
    if controller.model_name is None:
        controller.model_name = _model_name(model, machine, capabilities)
    target, complete = controller.target if controller.target is not None else PCIControllerTarget(), True
    if model is PCIControllerModel.PCI_BRIDGE and target.chassis_nr is None:
        target.chassis_nr = index
    elif model is PCIControllerModel.PCIE_ROOT_PORT:
        target.chassis = index if target.chassis is None else target.chassis
        if target.port is None:
            target.port = ((address.slot or 0) << 3) + (address.function or 0)
    elif model is PCIControllerModel.PCIE_SWITCH_DOWNSTREAM_PORT:
        target.chassis = index if target.chassis is None else target.chassis
        target.port = address.slot or 0 if target.port is None else target.port
    elif model in (PCIControllerModel.PCI_EXPANDER_BUS, PCIControllerModel.PCIE_EXPANDER_BUS):
        if target.bus_nr is None:
            target.bus_nr = _free_bus_number(every, address.bus or 0)
    elif model is PCIControllerModel.PCI_ROOT and machine.pseries and target.index is None:
        target.index = _free_host_bridge(every, index, address.bus or 0)
    else:
        complete = False
    if complete:
        controller.target = target
    if model is PCIControllerModel.PCI_BRIDGE and index <= (address.bus or 0):
        raise ConfigUnsupported(
            f"PCI controller at index {index} (0x{index:02x}) has bus='0x{address.bus or 0:02x}', "
            "but index must be larger than bus"
        )


def _model_name(
    model: PCIControllerModel | None, machine: Machine, capabilities: EmulatorCapabilities
) -> PCIControllerModelName | None:
    if model is PCIControllerModel.PCIE_ROOT_PORT:
        generic = capabilities.has("pcie-root-port")
        return PCIControllerModelName.PCIE_ROOT_PORT if generic else PCIControllerModelName.IOH3420
    if model is PCIControllerModel.PCI_ROOT and machine.pseries:
        return PCIControllerModelName.SPAPR_PCI_HOST_BRIDGE
    return _MODEL_NAME.get(model) if model is not None else None


def _free_bus_number(every: list[PCIController], bus: int) -> int:
    """Two below the lowest in use: one for the expander, one for the bridge inside it."""
    used = [
        controller.target.bus_nr
        for controller in every
        if controller.target is not None and controller.target.bus_nr is not None
    ]
    lowest = min(used, default=256)
    if lowest <= 2:
        raise ConfigUnsupported(
            "No free busNr lower than current lowest busNr is available to auto-assign to bus "
            f"{bus}. Must be manually assigned"
        )
    return lowest - 2


def _free_host_bridge(every: list[PCIController], index: int, bus: int) -> int:
    """Number of a PAPR host bridge: 0 is the implicit one."""
    if index == 0:
        return 0
    used = {
        controller.target.index
        for controller in every
        if controller.model is PCIControllerModel.PCI_ROOT and controller.target is not None
    }
    for number in range(1, 32):
        if number not in used:
            return number
    raise ConfigUnsupported(f"No usable target index found for {bus}")
