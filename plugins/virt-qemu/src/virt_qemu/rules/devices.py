"""Defaults of single devices on QEMU."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.rules.defaults import abi_update, default_panic_model, needs_eim
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.arch import Arch
from virtcore.model.domain.chardev import (
    CharacterType,
    SerialModel,
    SerialTarget,
    SerialTargetType,
    SocketMode,
    VirtioTarget,
)
from virtcore.model.domain.controller import (
    PCIController,
    PCIControllerModel,
    SCSIController,
    SCSIControllerModel,
    USBController,
    USBControllerModel,
)
from virtcore.model.domain.disk import BackingFormat, Disk, DiskDriver
from virtcore.model.domain.graphics import AddressListen, DBusGraphics, SocketListen, VNCGraphics
from virtcore.model.domain.hostdev import MdevHostdev, MdevModel
from virtcore.model.domain.interface import InterfaceBackend, InterfaceBackendType, InterfaceType
from virtcore.model.domain.iommu import IOMMU, IOMMUDriver, IOMMUModel
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.shmem import Shmem, ShmemModel, ShmemMSI
from virtcore.model.domain.video import VideoModel, VideoType
from virtcore.model.domain.vsock import VsockModel
from virtcore.model.storage.secret import EncryptionEngine
from virtcore.model.storage.source import StorageFormat, StorageType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["complete_device", "forget_bus", "forget_socket"]

#: Ports of an xHCI controller.
MAX_XHCI_PORTS = 15
#: Bytes of memory that guests share where nobody says.
_SHMEM_SIZE = 4 << 20
#: KiB
QXL_VGAMEM = 16 * 1024


def complete_device(device: object, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    """Fill in a device's defaults.

    :raises VirtError: QEMU has no such device, or its settings contradict each other.
    """
    rule = _RULES.get(type(device).__name__)
    if rule is not None:
        rule(device, domain, context, capabilities)


def forget_socket(device: VNCGraphics, folder: str) -> None:
    """Drop the path of a socket that was made for a running guest.

    :param folder: below which they are made.
    """
    for index, listen in enumerate(device.listens):
        if isinstance(listen, SocketListen) and listen.socket is not None and listen.socket.startswith(f"{folder}/"):
            device.listens[index] = AddressListen()


def forget_bus(device: DBusGraphics, folder: str) -> None:
    """Drop the address of a bus that was made for a running guest.

    :param folder: below which they are made.
    """
    if device.address is not None and device.address.startswith(f"unix:path={folder}/dbus/"):
        device.address = None


def _interface(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    if device.model is None:
        if device.type in (InterfaceType.VDPA, InterfaceType.VHOSTUSER):
            device.model = "virtio"
        elif device.type is not InterfaceType.HOSTDEV and (
            device.actual is None or device.actual.type is not InterfaceType.HOSTDEV
        ):
            device.model = _default_nic(Machine.of(domain), capabilities)
    if device.type in (None, InterfaceType.USER) and not capabilities.has("netdev.user"):
        backend = device.backend
        default = backend is None or backend.type in (None, InterfaceBackendType.DEFAULT)
        if default and capabilities.has("netdev.stream"):
            device.backend = backend or InterfaceBackend()
            device.backend.type = InterfaceBackendType.PASST


def _default_nic(machine: Machine, capabilities: EmulatorCapabilities) -> str:
    arch = machine.arch
    if (arch is not None and arch.is_s390) or machine.loongarch_virt or machine.riscv_virt or machine.arm_virt:
        return "virtio"
    if arch is not None and arch.is_arm:
        return "smc91c111" if machine.name == "versatilepb" else "lan9118"
    for flag, model in (("rtl8139", "rtl8139"), ("e1000", "e1000"), ("virtio-net", "virtio")):
        if capabilities.has(flag):
            return model
    return "rtl8139"


def _disk(device: Disk, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    driver = device.driver = device.driver if device.driver is not None else DiskDriver()
    if driver.name is None:
        driver.name = "qemu"
    if driver.type is None and device.type is not StorageType.VOLUME:
        driver.type = StorageFormat.RAW
    mirror = device.mirror
    if mirror is not None and (mirror.format is None or mirror.format.type is None):
        mirror.format = BackingFormat(type=StorageFormat.RAW)
        if mirror.file is not None:
            mirror.format_name = str(StorageFormat.RAW)
    if device.encryption is not None and device.encryption.engine is None:
        device.encryption.engine = EncryptionEngine.QEMU
    source: Any = device.source
    below = device.backing_store
    while source is not None:
        encryption = getattr(source, "encryption", None)
        if encryption is not None and encryption.engine is None:
            encryption.engine = EncryptionEngine.QEMU
        source = below.source if below is not None else None
        below = below.backing_store if below is not None else None


def _mdev(device: MdevHostdev, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    """A display that a later QEMU would switch on by itself stays off."""
    if device.model is MdevModel.VFIO_PCI and device.display is None:
        device.display = False


def _video(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    model = device.model = device.model if device.model is not None else VideoModel()
    if model.type in (None, VideoType.DEFAULT):
        model.type = _default_video(Machine.of(domain), capabilities)
    if model.type is VideoType.QXL and not model.vgamem:
        model.vgamem = QXL_VGAMEM


def _default_video(machine: Machine, capabilities: EmulatorCapabilities) -> VideoType | None:
    arch = machine.arch
    if arch is not None and arch.is_ppc64:
        return VideoType.VGA
    if machine.arm_virt or machine.loongarch_virt or machine.riscv_virt or (arch is not None and arch.is_s390):
        return VideoType.VIRTIO
    if capabilities.has("cirrus-vga"):
        return VideoType.CIRRUS
    return VideoType.VGA if capabilities.has("VGA") else None


def _panic(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    if device.model in (None, PanicModel.DEFAULT):
        device.model = default_panic_model(Machine.of(domain))


def _scsi_controller(
    device: SCSIController, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities
) -> None:
    if device.model not in (None, SCSIControllerModel.AUTO):
        return
    machine = Machine.of(domain)
    if machine.pseries:
        device.model = SCSIControllerModel.IBMVSCSI
    elif (machine.arch is not None and machine.arch.is_s390) or machine.loongarch_virt:
        device.model = SCSIControllerModel.VIRTIO_SCSI
    elif capabilities.has("lsi"):
        device.model = SCSIControllerModel.LSILOGIC
    elif capabilities.has("virtio-scsi-pci"):
        device.model = SCSIControllerModel.VIRTIO_SCSI
    elif machine.builtin_esp:
        device.model = SCSIControllerModel.NCR53C90
    else:
        raise InternalError(f"Unable to determine model for SCSI controller idx={device.index or 0}")


def _usb_controller(
    device: USBController, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities
) -> None:
    if device.model is None:
        device.model = _default_usb(device, Machine.of(domain), context, capabilities)
    if device.model in (USBControllerModel.QUSB1, USBControllerModel.QUSB2):
        raise ConfigUnsupported(f"USB controller model type 'qusb1' or 'qusb2' is not supported in {domain.type}")
    xhci = device.model in (USBControllerModel.NEC_XHCI, USBControllerModel.QEMU_XHCI)
    if xhci and (device.ports or 0) > MAX_XHCI_PORTS:
        raise ConfigUnsupported(f"'{device.model}' controller only supports up to '{MAX_XHCI_PORTS}' ports")


def _default_usb(
    device: USBController, machine: Machine, context: DomainContext, capabilities: EmulatorCapabilities
) -> USBControllerModel | None:
    def first(*choices: tuple[str, USBControllerModel]) -> USBControllerModel | None:
        return next((model for flag, model in choices if capabilities.has(flag)), None)

    xhci, nec = ("qemu-xhci", USBControllerModel.QEMU_XHCI), ("nec-usb-xhci", USBControllerModel.NEC_XHCI)
    ohci = ("pci-ohci", USBControllerModel.PCI_OHCI)
    arch = machine.arch
    if arch is not None and arch.is_s390 and device.address is None:
        return USBControllerModel.NONE
    if arch is not None and arch.is_ppc64:
        return first(xhci, nec, ohci) if abi_update(context) else first(ohci)
    if arch is Arch.AARCH64:
        modern = first(xhci, nec)
    elif arch is Arch.LOONGARCH64:
        modern = first(xhci)
    else:
        modern = None
    if modern is not None:
        return modern
    piix3 = ("piix3-usb-uhci", USBControllerModel.PIIX3_UHCI)
    return first(piix3) if machine.x86 else first(piix3, ohci)


def _pci_controller(
    device: PCIController, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities
) -> None:
    machine, model = Machine.of(domain), device.model
    roots = (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)
    if not machine.pseries and model in roots and device.index:
        raise XMLError("pci-root and pcie-root controllers should have index 0")
    if model is PCIControllerModel.PCI_EXPANDER_BUS and not machine.i440fx:
        raise ConfigUnsupported("pci-expander-bus controllers are only supported on 440fx-based machinetypes")
    if model is PCIControllerModel.PCIE_EXPANDER_BUS and not (machine.q35 or machine.arm_virt):
        raise ConfigUnsupported("pcie-expander-bus controllers are not supported with this machine type")
    node = device.target.node if device.target is not None else None
    if node is not None:
        numa = domain.cpu.numa if domain.cpu is not None else None
        cells = len(numa.cells) if numa is not None else 0
        if node >= cells:
            raise XMLError(
                f"{model} with index {device.index or 0} is configured for a NUMA node ({node}) not present in the "
                f"domain's <cpu><numa> array ({cells})"
            )


def _shmem(device: Shmem, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    doorbell = device.model is ShmemModel.IVSHMEM_DOORBELL
    if not doorbell and not device.size:
        device.size = _SHMEM_SIZE
    if device.model in (None, ShmemModel.IVSHMEM):
        return
    if device.server is None:
        if doorbell:
            raise ConfigUnsupported(f"shmem model '{device.model}' is supported only with server option enabled")
        if device.msi is not None:
            raise ConfigUnsupported(f"shmem model '{device.model}' doesn't support msi")
        return
    if not doorbell:
        raise ConfigUnsupported(f"shmem model '{device.model}' is supported only with server option disabled")
    if device.size:
        raise ConfigUnsupported(f"shmem model '{device.model}' does not support size setting")
    device.msi = device.msi if device.msi is not None else ShmemMSI()
    if device.msi.ioeventfd is None:
        device.msi.ioeventfd = True


#: Folders in which sockets of channels are made.
MADE_FOLDER = re.compile(r".*/domain-[^/]+").fullmatch

_SERIAL_MODEL = {
    SerialTargetType.ISA_SERIAL: SerialModel.ISA_SERIAL,
    SerialTargetType.USB_SERIAL: SerialModel.USB_SERIAL,
    SerialTargetType.PCI_SERIAL: SerialModel.PCI_SERIAL,
    SerialTargetType.SPAPR_VIO_SERIAL: SerialModel.SPAPR_VTY,
    SerialTargetType.SCLP_SERIAL: SerialModel.SCLPCONSOLE,
    SerialTargetType.ISA_DEBUG: SerialModel.ISA_DEBUGCON,
}


def _serial(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    machine = Machine.of(domain)
    target = device.target = device.target if device.target is not None else SerialTarget()
    # isa-serial was once what every machine got: it means "the machine's own kind".
    if target.type in (None, SerialTargetType.ISA_SERIAL):
        target.type = _default_serial(machine)
    if target.model is None:
        if target.type is SerialTargetType.SYSTEM_SERIAL:
            if machine.arm_virt:
                target.model = SerialModel.PL011
            elif machine.loongarch_virt or machine.riscv_virt:
                target.model = SerialModel._16550A
        elif target.type is not None:
            target.model = _SERIAL_MODEL.get(target.type)
    _character_device(device, domain, context, capabilities)


def _default_serial(machine: Machine) -> SerialTargetType | None:
    if machine.x86:
        return SerialTargetType.ISA_SERIAL
    if machine.pseries:
        return SerialTargetType.SPAPR_VIO_SERIAL
    if machine.arm_virt or machine.loongarch_virt or machine.riscv_virt:
        return SerialTargetType.SYSTEM_SERIAL
    return SerialTargetType.SCLP_SERIAL if machine.arch is not None and machine.arch.is_s390 else None


def _character_device(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    """A unix socket without a path is one we make: we listen. A path we made is not kept."""
    if not context.inactive or device.type is not CharacterType.UNIX:
        return
    source = getattr(device.source, "source", None)
    if source is None:
        return
    target = device.target
    if isinstance(target, VirtioTarget) and source.path is not None:
        folder, _, name = source.path.rpartition("/")
        if name == target.name and MADE_FOLDER(folder):
            source.path = None
    if source.path is None:
        source.mode = SocketMode.BIND


def _vsock(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    if device.model in (None, VsockModel.DEFAULT):
        device.model = VsockModel.VIRTIO


def _tpm(device: Any, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    from virtcore.model.domain.tpm import EmulatorTPM, TPMModel, TPMVersion

    machine = Machine.of(domain)
    if device.model is None:
        power = machine.arch is not None and machine.arch.is_ppc64
        device.model = TPMModel.TPM_SPAPR if power else TPMModel.TPM_TIS
    backend = device.backend
    if isinstance(backend, EmulatorTPM) and backend.version is None:
        old = device.model is TPMModel.TPM_TIS and machine.x86
        backend.version = TPMVersion.V1_2 if old else TPMVersion.V2_0


def _iommu(device: IOMMU, domain: Domain, context: DomainContext, capabilities: EmulatorCapabilities) -> None:
    if not abi_update(context) or not needs_eim(domain) or device.model is not IOMMUModel.INTEL:
        return
    driver = device.driver = device.driver if device.driver is not None else IOMMUDriver()
    if driver.intremap is None and capabilities.has("intel-iommu.intremap"):
        driver.intremap = True
    if driver.eim is None and capabilities.has("intel-iommu.eim"):
        driver.eim = True


_Rule = Callable[[Any, "Domain", "DomainContext", "EmulatorCapabilities"], None]

#: name of the element class -> its rule
_RULES: dict[str, _Rule] = {
    "Interface": _interface,
    "Disk": _disk,
    "MdevHostdev": _mdev,
    "Video": _video,
    "Panic": _panic,
    "SCSIController": _scsi_controller,
    "USBController": _usb_controller,
    "PCIController": _pci_controller,
    "Shmem": _shmem,
    "Serial": _serial,
    "Parallel": _character_device,
    "Console": _character_device,
    "Channel": _character_device,
    "Vsock": _vsock,
    "TPM": _tpm,
    "IOMMU": _iommu,
}
