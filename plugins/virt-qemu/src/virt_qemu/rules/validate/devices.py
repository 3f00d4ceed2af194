"""Checks of single devices: their addresses, and what QEMU has of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate.support import require_shared_memory, validate_support
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.address import CCWAddress, PCIAddress, SpaprVIOAddress, USBAddress
from virtcore.model.domain.disk import DiskBus, DiskDevice
from virtcore.model.domain.graphics import EGLHeadlessGraphics, SpiceGraphics, VNCGraphics
from virtcore.model.domain.input import InputBus, InputType
from virtcore.model.domain.interface import InterfaceBackendType, InterfaceType
from virtcore.model.domain.iommu import IOMMUModel
from virtcore.model.domain.tpm import EmulatorTPM, TPMModel, TPMVersion
from virtcore.model.storage.secret import EncryptionEngine, EncryptionFormat
from virtcore.model.storage.source import StorageFormat, StorageType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.hostdev import MdevHostdev, PCIHostdev, VHostSCSIHostdev
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.iommu import IOMMU
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.storage.secret import Encryption

__all__ = ["validate_device"]

_LAST_UID = 0xFFFF
_LAST_REGISTER = 0xFFFFFFFF
_MIB = 1 << 20


def validate_device(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse a device that QEMU cannot provide.

    :raises VirtError: with libvirt's message.
    """
    _validate_address(getattr(device, "address", None), domain, capabilities)
    rule = _RULES.get(type(device).__name__)
    if rule is not None:
        rule(device, domain, capabilities)
    validate_support(device, domain, capabilities)


def _validate_address(address: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if isinstance(address, PCIAddress):
        zpci = address.zpci
        if zpci is None or (zpci.uid is None and zpci.fid is None):
            return
        if not capabilities.has("zpci"):
            raise ConfigUnsupported("This QEMU binary doesn't support zPCI")
        if zpci.uid is not None and not 0 < zpci.uid <= _LAST_UID:
            raise XMLError(f"Invalid PCI address uid='0x{zpci.uid:04x}', must be > 0x0000 and <= 0x{_LAST_UID:04x}")
    elif isinstance(address, SpaprVIOAddress):
        if address.reg is not None and address.reg > _LAST_REGISTER:
            raise ConfigUnsupported(
                f"spapr-vio reg='{address.reg:#x}' exceeds maximum possible value ({_LAST_REGISTER:#x})"
            )
    elif isinstance(address, CCWAddress) and not Machine.of(domain).s390_ccw:
        raise ConfigUnsupported(f"CCW addresses are not supported by machine type '{domain.machine}'")


def _disk(device: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    _validate_format(device, capabilities)
    bus = device.target.bus if device.target is not None else None
    if device.vendor is not None and bus is not DiskBus.SCSI:
        raise ConfigUnsupported("Only scsi disk supports 'vendor'")
    if device.product is not None and bus not in (DiskBus.IDE, DiskBus.SATA, DiskBus.SCSI):
        raise ConfigUnsupported("Only ide, sata and scsi disk supports 'product'")
    if device.device is DiskDevice.LUN and bus is DiskBus.VIRTIO and not capabilities.has("virtio-blk-pci.scsi"):
        raise ConfigUnsupported("This QEMU doesn't support SCSI emulation with 'virtio-blk' device")
    if bus is not DiskBus.USB:
        return
    if not capabilities.has("usb-storage"):
        raise ConfigUnsupported("This QEMU doesn't support '-device usb-storage'")
    if device.source is None:
        raise ConfigUnsupported("'usb' disk must not be empty")
    if device.address is not None and not isinstance(device.address, USBAddress):
        raise InternalError("unexpected address type for usb disk")


def _validate_librbd(encryption: Encryption, capabilities: EmulatorCapabilities) -> None:
    """Encryption by the library of Ceph."""
    if not capabilities.has("rbd-encryption"):
        raise ConfigUnsupported("librbd encryption is not supported by this QEMU binary")
    if encryption.format is EncryptionFormat.LUKS_ANY and not capabilities.has("rbd-encryption-luks-any"):
        raise ConfigUnsupported("luks-any encryption is not supported by this QEMU binary")
    if len(encryption.secrets) > 1 and not capabilities.has("rbd-encryption-layering"):
        raise ConfigUnsupported("librbd encryption layering is not supported by this QEMU binary")


def _validate_format(device: Disk, capabilities: EmulatorCapabilities) -> None:
    kind = device.driver.type if device.driver is not None else None
    if kind is StorageFormat.COW:
        raise ConfigUnsupported("'cow' storage format is not supported")
    if kind is StorageFormat.DIR:
        raise ConfigUnsupported(
            "'directory' storage format is not directly supported by QEMU, use 'dir' disk type instead"
        )
    if kind is StorageFormat.ISO:
        raise ConfigUnsupported("storage format 'iso' is not directly supported by QEMU, use 'raw' instead")
    if kind is StorageFormat.FAT and device.type not in (StorageType.VOLUME, StorageType.DIR):
        raise ConfigUnsupported("storage format 'fat' is supported only with 'dir' storage type")
    encryption = device.encryption or getattr(device.source, "encryption", None)
    if encryption is not None and encryption.engine is EncryptionEngine.LIBRBD:
        _validate_librbd(encryption, capabilities)
    if (
        encryption is not None
        and encryption.engine is EncryptionEngine.QEMU
        and kind not in (StorageFormat.RAW, StorageFormat.QCOW2)
    ):
        raise ConfigUnsupported("encryption is supported only with 'raw' and 'qcow2' image format")
    if device.type is StorageType.DIR and kind not in (None, StorageFormat.FAT):
        raise ConfigUnsupported("storage type 'dir' requires use of storage format 'fat'")


def _graphics(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A headless OpenGL display goes with displays that have none of their own."""
    assert domain.devices is not None
    if not any(isinstance(other, EGLHeadlessGraphics) for other in domain.devices.graphics):
        return
    if not isinstance(device, EGLHeadlessGraphics | VNCGraphics | SpiceGraphics):
        raise ConfigUnsupported(
            "graphics type 'egl-headless' is only supported with one of: 'vnc', 'spice' graphics types"
        )
    if isinstance(device, SpiceGraphics) and device.gl is not None and device.gl.enable is True:
        raise ConfigUnsupported("multiple OpenGL displays are not supported by QEMU")


def _hostdev(device: PCIHostdev | MdevHostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    assert domain.devices is not None
    if device.display is True and not domain.devices.graphics:
        raise ConfigUnsupported("graphics device is needed for attribute value 'display=on' in <hostdev>")


def _vhost_scsi(device: VHostSCSIHostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.boot_order:
        raise ConfigUnsupported("booting from assigned devices is not supported by vhost SCSI devices")


def _input(device: Input, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.bus is InputBus.USB and device.type is InputType.KEYBOARD and not capabilities.has("usb-kbd"):
        raise ConfigUnsupported("usb keyboard is not supported by this QEMU binary")
    if device.bus is InputBus.VIRTIO and device.model in ("virtio-transitional", "virtio-non-transitional"):
        raise ConfigUnsupported(f"virtio (non-)transitional models are not supported for input type={device.type}")


def _shmem(device: Shmem, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if not device.size:
        return
    size = device.size * _MIB
    if size < _MIB or size & (size - 1):
        raise XMLError("shmem size must be a power of 2 and at least 1 MiB (1024 KiB)")


def _interface(device: Interface, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    passt = device.backend is not None and device.backend.type is InterfaceBackendType.PASST
    if device.type is InterfaceType.VHOSTUSER and passt:
        require_shared_memory("interface", domain, capabilities)


def _parallel(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if Machine.of(domain).pseries or (domain.arch is not None and domain.arch.is_s390):
        raise ConfigUnsupported("parallel ports are not supported")


def _tpm(device: TPM, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    backend = device.backend
    if not isinstance(backend, EmulatorTPM) or backend.version is not TPMVersion.V1_2:
        return
    if device.model is not TPMModel.TPM_TIS:
        raise ConfigUnsupported(f"TPM 1.2 is not supported for model '{device.model}'")
    if domain.arch is None or not domain.arch.is_x86:
        raise ConfigUnsupported(f"TPM 1.2 is not supported on architecture '{domain.arch}'")


#: Option of an IOMMU -> the capability it needs, and what messages call it.
_IOMMU_OPTIONS = {
    "intremap": ("intel-iommu.intremap", "interrupt remapping"),
    "caching_mode": ("intel-iommu.caching-mode", "caching mode"),
    "eim": ("intel-iommu.eim", "eim"),
    "iotlb": ("intel-iommu.device-iotlb", "device IOTLB"),
    "aw_bits": ("intel-iommu.aw-bits", "aw_bits"),
    "dma_translation": ("intel-iommu.dma-translation", "updating dma translation"),
}
_IOMMU_NEEDS = {
    IOMMUModel.INTEL: ("intel-iommu",),
    IOMMUModel.SMMUV3: ("machine.virt.iommu",),
    IOMMUModel.VIRTIO: ("virtio-iommu-pci", "virtio-iommu.boot-bypass"),
}


def _iommu(device: IOMMU, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    machine, model = Machine.of(domain), device.model
    boards, present = {
        IOMMUModel.INTEL: ("Q35", machine.q35),
        IOMMUModel.SMMUV3: ("ARM Virt", machine.arm_virt),
        IOMMUModel.VIRTIO: ("Q35 and ARM Virt", machine.q35 or machine.arm_virt),
    }[model]
    if not present:
        raise ConfigUnsupported(f"IOMMU device: '{model}' is only supported with {boards} machines")
    if not all(map(capabilities.has, _IOMMU_NEEDS[model])):
        raise ConfigUnsupported(f"IOMMU device: '{model}' is not supported with this QEMU binary")
    if model is IOMMUModel.VIRTIO:
        if domain.features is None or not domain.features.acpi:
            raise ConfigUnsupported(f"IOMMU device: '{model}' requires ACPI")
        if device.address is not None and not isinstance(device.address, PCIAddress):
            raise ConfigUnsupported(f"IOMMU device: '{model}' needs a PCI address")
    for option, (flag, name) in _IOMMU_OPTIONS.items():
        value = getattr(device.driver, option, None)
        if value is not None and not capabilities.has(flag):
            raise ConfigUnsupported(f"iommu: {name} is not supported with this QEMU binary")


#: name of the element class -> its rule
_RULES: dict[str, Callable[[Any, Domain, EmulatorCapabilities], None]] = {
    "Disk": _disk,
    "PCIHostdev": _hostdev,
    "MdevHostdev": _hostdev,
    "VHostSCSIHostdev": _vhost_scsi,
    "Input": _input,
    "Shmem": _shmem,
    "Interface": _interface,
    "Parallel": _parallel,
    "TPM": _tpm,
    "IOMMU": _iommu,
    "SDLGraphics": _graphics,
    "VNCGraphics": _graphics,
    "SpiceGraphics": _graphics,
    "RDPGraphics": _graphics,
    "DesktopGraphics": _graphics,
    "DBusGraphics": _graphics,
}
