"""Checks of devices of the host that guests get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.rules.validate.shared import require
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.hostdev import (
    MdevHostdev,
    MdevModel,
    MiscCapability,
    NetCapability,
    PCIDriverName,
    PCIHostdev,
    StorageCapability,
    USBHostdev,
    VHostSCSIHostdev,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.hostdev import Hostdev

__all__ = ["validate_hostdev"]


def validate_hostdev(device: Hostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """One device.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if isinstance(device, StorageCapability | MiscCapability | NetCapability):
        raise ConfigUnsupported(f"hostdev mode 'capabilities' is not supported in {domain.type}")
    if isinstance(device, USBHostdev):
        if device.source is not None and device.source.guest_reset is not None:
            require(
                capabilities,
                "usb-host.guest-resets-all",
                "guestReset is not supported with this version of QEMU",
            )
    elif isinstance(device, PCIHostdev):
        _pci(device, domain, capabilities)
    elif isinstance(device, VHostSCSIHostdev):
        if device.boot_order:
            raise ConfigUnsupported("booting from assigned devices is not supported by vhost SCSI devices")
        require(capabilities, "vhost-scsi", "This QEMU doesn't support vhost-scsi devices")
    elif isinstance(device, MdevHostdev):
        _mdev(device, domain, capabilities)


def _pci(device: PCIHostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.driver is not None and device.driver.name is PCIDriverName.VFIO:
        require(capabilities, "vfio-pci", "VFIO PCI device assignment is not supported by this version of qemu")
    if device.source is not None and device.source.write_filtering is not None:
        raise ConfigUnsupported("Write filtering of PCI device configuration space is not supported by qemu")
    _display(device, domain)


def _display(device: PCIHostdev | MdevHostdev, domain: Domain) -> None:
    assert domain.devices is not None
    if device.display and not domain.devices.graphics:
        raise ConfigUnsupported("graphics device is needed for attribute value 'display=on' in <hostdev>")


def _mdev(device: MdevHostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.devices is not None
    kind = {MdevModel.VFIO_PCI: "PCI", MdevModel.VFIO_AP: "AP", MdevModel.VFIO_CCW: "CCW"}[device.model]
    require(
        capabilities,
        str(device.model),
        f"VFIO {kind} device assignment is not supported by this version of QEMU",
    )
    if device.model is not MdevModel.VFIO_CCW and device.boot_order:
        raise ConfigUnsupported(
            f"booting from assigned devices is not supported by mediated devices of model {device.model}"
        )
    if device.model is MdevModel.VFIO_PCI:
        _display(device, domain)
    if device.model is MdevModel.VFIO_AP:
        matrices = [
            other
            for other in domain.devices.hostdevs
            if isinstance(other, MdevHostdev) and other.model is MdevModel.VFIO_AP
        ]
        if len(matrices) > 1:
            raise ConfigUnsupported("Only one hostdev of model vfio-ap is supported")
