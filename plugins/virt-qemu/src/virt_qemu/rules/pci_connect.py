"""What each device needs of its PCI bus.

Most follow from the device's class and model: conventional PCI, PCI Express, or what virtio devices get on this
machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.machine import pci_root
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.addresses.pci import Connect, connect_type
from virtcore.model.domain.controller import (
    CCIDController,
    Controller,
    FDCController,
    IDEController,
    PCIController,
    PCIControllerModel,
    SCSIController,
    SCSIControllerModel,
    USBController,
    USBControllerModel,
)
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.hostdev import MdevHostdev, MdevModel, PCIHostdev, VHostSCSIHostdev
from virtcore.model.domain.input import InputBus
from virtcore.model.domain.interface import HostdevInterfaceSource, Interface, InterfacePCIAddress, InterfaceType
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.video import VideoType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain

__all__ = ["PCINeeds", "is_pci_hostdev", "is_placed_controller"]

_PCI = Connect.PCI_DEVICE | Connect.AUTOASSIGN
_PCIE = Connect.PCIE_DEVICE | Connect.AUTOASSIGN
#: Sound cards that are no PCI devices.
_OTHER_SOUND = (SoundModel.SB16, SoundModel.PCSPK, SoundModel.USB, SoundModel.ICH7)
#: Network cards that are conventional PCI devices, or none.
_CONVENTIONAL_NICS = (
    "netfront",
    "rtl8139",
    "e1000",
    "virtio-transitional",
    "spapr-vlan",
    "lan9118",
    "scm91c111",
    "vlance",
    "vmxnet",
    "vmxnet2",
    "vmxnet3",
    "Am79C970A",
    "Am79C973",
    "82540EM",
    "82545EM",
    "82543GC",
)
_VIRTIO_MODELS = ("virtio", "virtio-non-transitional", None)


class PCINeeds:
    """What devices of a domain need of their PCI bus.

    :param express: tells whether the host's PCI device behind a host device is PCI Express; without it all are.
    """

    def __init__(
        self,
        domain: Domain,
        capabilities: EmulatorCapabilities,
        express: Callable[[PCIHostdev], bool] | None = None,
    ) -> None:
        self._express = express
        self.pcie = _PCIE if pci_root(domain) is PCIControllerModel.PCIE_ROOT else _PCI
        self.virtio = self.pcie if capabilities.has("virtio-pci-non-transitional") else _PCI

    def of(self, device: object) -> Connect:
        """Needs of a device; nothing when it is no PCI device."""
        rule = _RULES.get(type(device).__name__)
        return rule(self, device) if rule is not None else Connect.NONE

    def _variant(self, model: str | None) -> Connect:
        """Needs of a virtio device of a model: transitional ones only work in conventional slots."""
        if model == "virtio-transitional":
            return _PCI
        return self.virtio if model in _VIRTIO_MODELS else Connect.NONE

    def _usb(self, model: USBControllerModel | None) -> Connect:
        if model in (USBControllerModel.NEC_XHCI, USBControllerModel.QEMU_XHCI):
            return self.pcie
        if model in (USBControllerModel.NONE, USBControllerModel.QUSB1, USBControllerModel.QUSB2):
            return Connect.NONE
        return _PCI

    def _scsi(self, model: SCSIControllerModel | None) -> Connect:
        if model in (SCSIControllerModel.VIRTIO_SCSI, SCSIControllerModel.VIRTIO_NON_TRANSITIONAL):
            return self.virtio
        if model in (None, SCSIControllerModel.AUTO, SCSIControllerModel.NCR53C90):
            return Connect.NONE
        return _PCI

    def _interface(self, device: Any) -> Connect:
        if device.type is InterfaceType.HOSTDEV:
            return self.pcie
        if device.model == "usb-net":
            return Connect.NONE
        if device.model in ("virtio", "virtio-non-transitional"):
            return self.virtio
        # Models libvirt does not know are taken for host devices of a pool, which are PCI Express.
        return _PCI if device.model in _CONVENTIONAL_NICS else self.pcie

    def _filesystem(self, device: Any) -> Connect:
        kind = device.driver.type if device.driver is not None else None
        if kind is FilesystemDriverType.VIRTIOFS:
            return self.virtio
        if kind in (None, FilesystemDriverType.PATH, FilesystemDriverType.HANDLE):
            return self._variant(device.model)
        return Connect.NONE

    def _sound(self, model: SoundModel) -> Connect:
        if model is SoundModel.VIRTIO:
            return self.virtio
        return Connect.NONE if model in _OTHER_SOUND else _PCI

    def _video(self, device: Any) -> Connect:
        kind = device.model.type if device.model is not None else None
        if kind is VideoType.VIRTIO:
            return self.virtio
        if kind is VideoType.BOCHS:
            return self.pcie
        return Connect.NONE if kind in (None, VideoType.NONE, VideoType.RAMFB, VideoType.GOP) else _PCI

    def _hostdev(self, device: PCIHostdev | MdevHostdev | VHostSCSIHostdev) -> Connect:
        if self.pcie == _PCI:
            return _PCI
        if isinstance(device.address, PCIAddress) and not device.address.is_empty:
            return self.pcie  # either fits an address that is already chosen
        if isinstance(device, VHostSCSIHostdev):
            return self._variant(None if device.model in (None, "default") else str(device.model))
        if isinstance(device, PCIHostdev) and self._express is not None and not self._express(device):
            return _PCI
        return self.pcie


#: name of the element class -> what it needs
_RULES: dict[str, Callable[[PCINeeds, Any], Connect]] = {
    "PCIController": lambda needs, device: connect_type(device.model),
    "USBController": lambda needs, device: needs._usb(device.model),
    "SATAController": lambda needs, device: _PCI,
    "IDEController": lambda needs, device: _PCI,
    "SCSIController": lambda needs, device: needs._scsi(device.model),
    "VirtioSerialController": lambda needs, device: needs._variant(device.model),
    "Filesystem": PCINeeds._filesystem,
    "Interface": PCINeeds._interface,
    "Sound": lambda needs, device: needs._sound(device.model),
    "Disk": lambda needs, device: (
        needs._variant(device.model)
        if device.target is not None and device.target.bus is DiskBus.VIRTIO
        else Connect.NONE
    ),
    "PCIHostdev": PCINeeds._hostdev,
    "MdevHostdev": PCINeeds._hostdev,
    "VHostSCSIHostdev": PCINeeds._hostdev,
    "Memballoon": lambda needs, device: needs._variant(str(device.model)),
    "RNG": lambda needs, device: needs._variant(str(device.model)),
    "Watchdog": lambda needs, device: _PCI if device.model == "i6300esb" else Connect.NONE,
    "Video": PCINeeds._video,
    "Shmem": lambda needs, device: _PCI,
    "Input": lambda needs, device: needs._variant(device.model) if device.bus is InputBus.VIRTIO else Connect.NONE,
    "Serial": lambda needs, device: (
        _PCI if device.target is not None and device.target.type == "pci-serial" else Connect.NONE
    ),
    "IOMMU": lambda needs, device: needs.virtio | Connect.INTEGRATED if device.model == "virtio" else Connect.NONE,
    "Vsock": lambda needs, device: needs._variant(str(device.model)) if device.model is not None else Connect.NONE,
    "VirtioPMEM": lambda needs, device: needs.virtio,
    "VirtioMEM": lambda needs, device: needs.virtio,
    "Crypto": lambda needs, device: _PCI,
    "Panic": lambda needs, device: _PCI | Connect.INTEGRATED if device.model == "pvpanic" else Connect.NONE,
    "Pstore": lambda needs, device: _PCI,
}


def is_placed_controller(controller: Controller) -> bool:
    """Whether a controller other than PCI's own gets a slot by itself."""
    if isinstance(controller, PCIController | FDCController | CCIDController):
        return False
    if isinstance(controller, USBController):
        return controller.model is not USBControllerModel.NONE
    if isinstance(controller, IDEController):
        return bool(controller.index)
    if isinstance(controller, SCSIController):
        return controller.model is not SCSIControllerModel.NCR53C90
    return True


def is_pci_hostdev(hostdev: object) -> bool:
    """Whether something is a device of the host that takes a PCI slot."""
    if isinstance(hostdev, Interface):
        source = hostdev.source
        return isinstance(source, HostdevInterfaceSource) and isinstance(source.address, InterfacePCIAddress)
    if isinstance(hostdev, MdevHostdev):
        return hostdev.model is MdevModel.VFIO_PCI
    return isinstance(hostdev, PCIHostdev | VHostSCSIHostdev)
