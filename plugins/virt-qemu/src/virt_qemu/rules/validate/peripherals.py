"""Checks of devices of which most guests have one: file systems, watchdogs, TPMs, IOMMUs, memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.rules.machine import Machine
from virt_qemu.rules.validate.shared import require, require_shared_memory
from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.domain.address import CCWAddress, PCIAddress, SpaprVIOAddress
from virtcore.model.domain.crypto import CryptoBackendModel
from virtcore.model.domain.filesystem import AccessMode, DirectorySource, FilesystemDriverType, FilesystemType
from virtcore.model.domain.iommu import IOMMUModel
from virtcore.model.domain.memballoon import MemballoonModel
from virtcore.model.domain.memory_device import DIMM, NVDIMM, SGXEPC, VirtioMEM, VirtioPMEM
from virtcore.model.domain.shmem import ShmemModel
from virtcore.model.domain.tpm import EmulatorTPM, ExternalTPM, PassthroughTPM, TPMModel, TPMVersion
from virtcore.model.domain.watchdog import WatchdogModel

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.crypto import Crypto
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.iommu import IOMMU
    from virtcore.model.domain.memballoon import Memballoon
    from virtcore.model.domain.nvram import NVRAM
    from virtcore.model.domain.pstore import Pstore
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.watchdog import Watchdog

__all__ = [
    "validate_crypto",
    "validate_filesystem",
    "validate_hub",
    "validate_iommu",
    "validate_memballoon",
    "validate_memory",
    "validate_nvram",
    "validate_pstore",
    "validate_shmem",
    "validate_tpm",
    "validate_vsock",
    "validate_watchdog",
]

_MIB = 1 << 20


# -- file systems


def validate_filesystem(device: Filesystem, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A directory of the host's.

    :raises ConfigUnsupported: with libvirt's message.
    """
    driver = device.driver
    kind = driver.type if driver is not None else None
    modes = bool(device.fmode or device.dmode)
    if device.type not in (None, FilesystemType.MOUNT):
        raise ConfigUnsupported("only supports mount filesystem type")
    if device.space_hard_limit or device.space_soft_limit:
        raise ConfigUnsupported("filesystem usage limits are not supported with QEMU")
    if device.multidevs not in (None, "default"):
        require(capabilities, "fsdev.multidevs", "multidevs is not supported with this QEMU binary")
    if modes and device.accessmode is not AccessMode.MAPPED:
        raise ConfigUnsupported("fmode and dmode must be used with accessmode=mapped")
    binary = device.binary
    if kind is not FilesystemDriverType.VIRTIOFS and binary is not None and binary.sandbox is not None:
        raise ConfigUnsupported("sandbox can only be used with driver=virtiofs")
    if kind is FilesystemDriverType.HANDLE and device.accessmode not in (None, AccessMode.PASSTHROUGH):
        raise ConfigUnsupported("only supports passthrough accessmode")
    if kind in (FilesystemDriverType.LOOP, FilesystemDriverType.NBD, FilesystemDriverType.PLOOP):
        raise ConfigUnsupported("Filesystem driver type not supported")
    if kind is FilesystemDriverType.VIRTIOFS:
        _virtiofs(device, domain, capabilities, modes)
    if kind is FilesystemDriverType.MTP:
        require(capabilities, "usb-mtp", "mtp is not supported with this QEMU binary")
        if device.accessmode not in (None, AccessMode.PASSTHROUGH):
            raise ConfigUnsupported("mtp only supports passthrough accessmode")


def _virtiofs(device: Filesystem, domain: Domain, capabilities: EmulatorCapabilities, modes: bool) -> None:
    assert device.driver is not None
    served = isinstance(device.source, DirectorySource) and device.source.socket is not None
    if not served:
        if device.accessmode not in (None, AccessMode.PASSTHROUGH):
            raise ConfigUnsupported("virtiofs only supports passthrough accessmode")
        if device.driver.wrpolicy is not None:
            raise ConfigUnsupported("virtiofs does not support wrpolicy")
    if device.model is not None:
        raise ConfigUnsupported("virtiofs does not support model")
    if device.driver.format is not None:
        raise ConfigUnsupported("virtiofs does not support format")
    require(capabilities, "vhost-user-fs", "virtiofs is not supported with this QEMU binary")
    if device.multidevs not in (None, "default"):
        raise ConfigUnsupported("virtiofs does not support multidevs")
    if modes:
        raise ConfigUnsupported("virtiofs does not support fmode and dmode")
    require_shared_memory("virtiofs", domain)
    if device.boot_order:
        require(
            capabilities,
            "vhost-user-fs.bootindex",
            "setting virtiofs boot order is not supported with this QEMU binary",
        )
        if device.address is not None and not isinstance(device.address, PCIAddress):
            raise ConfigUnsupported("setting virtiofs boot order is supported only with PCI bus")


# -- watchdogs


def validate_watchdog(device: Watchdog, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A watchdog; all of a guest do the same.

    :raises ConfigUnsupported: with libvirt's message.
    """
    assert domain.devices is not None
    others = domain.devices.watchdogs
    if others and others[0].action != device.action:
        raise ConfigUnsupported("watchdogs with different actions are not supported with this QEMU binary")
    model, addressed, machine = device.model, device.address is not None, Machine.of(domain)
    if model is WatchdogModel.I6300ESB:
        if addressed and not isinstance(device.address, PCIAddress):
            raise ConfigUnsupported(f"{model} model of watchdog can go only on PCI bus")
    elif model is WatchdogModel.IB700:
        if not machine.i440fx:
            raise ConfigUnsupported(f"{model} model of watchdog cannot be used with this machine type")
        if addressed:
            raise ConfigUnsupported(f"{model} model of watchdog does not support configuring the address")
    elif model is WatchdogModel.DIAG288:
        if addressed:
            raise ConfigUnsupported(f"{model} model of watchdog is virtual and cannot go on any bus.")
        if not machine.s390:
            raise ConfigUnsupported(f"{model} model of watchdog is allowed for s390 and s390x only")
    elif model is WatchdogModel.ITCO:
        if addressed:
            raise ConfigUnsupported(
                f"{model} model of watchdog is part of the machine and cannot have any address set."
            )
        if not machine.q35:
            raise ConfigUnsupported(f"{model} model of watchdog is only part of q35 machine")


# -- TPMs


def validate_tpm(device: TPM, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A TPM.

    :raises ConfigUnsupported: with libvirt's message.
    """
    backend, model = device.backend, device.model
    if isinstance(backend, EmulatorTPM) and backend.version is TPMVersion.V1_2:
        if model is not TPMModel.TPM_TIS:
            raise ConfigUnsupported(f"TPM 1.2 is not supported for model '{model}'")
        if domain.arch is None or not domain.arch.is_x86:
            raise ConfigUnsupported(f"TPM 1.2 is not supported on architecture '{domain.arch}'")
    lacks = f"The QEMU executable {capabilities.binary} does not support TPM"
    for kind, flag, name in (
        (PassthroughTPM, "tpm-passthrough", "passthrough"),
        (EmulatorTPM, "tpm-emulator", "emulator"),
        (ExternalTPM, "tpm-emulator", "external"),
    ):
        if isinstance(backend, kind):
            require(capabilities, flag, f"{lacks} backend type {name}")
    proxy = model is TPMModel.SPAPR_TPM_PROXY and Machine.of(domain).ppc64
    if proxy and not isinstance(backend, PassthroughTPM):
        raise ConfigUnsupported(f"TPM Proxy model {model} requires 'Passthrough' backend")
    if model is not None:
        require(capabilities, model, f"{lacks} model {model}")


# -- IOMMUs

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


def validate_iommu(device: IOMMU, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """An IOMMU.

    :raises ConfigUnsupported: with libvirt's message.
    """
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


# -- memory


def validate_memory(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Memory that is a device.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if isinstance(device, DIMM):
        require(capabilities, "pc-dimm", "memory hotplug isn't supported by this QEMU binary")
    elif isinstance(device, NVDIMM):
        require(capabilities, "nvdimm", "nvdimm isn't supported by this QEMU binary")
        if device.target is not None and device.target.readonly:
            require(capabilities, "nvdimm.unarmed", "nvdimm readonly property is not available with this QEMU binary")
    elif isinstance(device, VirtioPMEM):
        require(capabilities, "virtio-pmem-pci", "virtio-pmem isn't supported by this QEMU binary")
    elif isinstance(device, VirtioMEM):
        _virtio_mem(device, domain, capabilities)
    elif isinstance(device, SGXEPC):
        _enclave(device, capabilities)


def _virtio_mem(device: VirtioMEM, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    ccw = isinstance(device.address, CCWAddress)
    require(
        capabilities,
        "virtio-mem-ccw" if ccw else "virtio-mem-pci",
        "virtio-mem isn't supported by this QEMU binary",
    )
    target = device.target
    if ccw:
        if device.source is not None and device.source.pagesize:
            raise ConfigUnsupported("virtio-mem-ccw can't use different page size than the boot memory")
        if target is not None and target.node is not None:
            raise ConfigUnsupported("NUMA nodes are not supported for virtio-mem-ccw")
    if target is not None and target.dynamic_memslots:
        require(capabilities, "virtio-mem-pci.dynamic-memslots", "virtio-mem does not support dynamicMemslots")


def _enclave(device: SGXEPC, capabilities: EmulatorCapabilities) -> None:
    require(capabilities, "sgx-epc", "sgx epc isn't supported by this QEMU binary")
    sections = capabilities.sgx.sections if capabilities.sgx is not None else []
    if not sections:
        raise ConfigUnsupported("this QEMU version didn't provide SGX EPC NUMA info")
    wanted = (device.target.size if device.target is not None else None) or 0
    nodes = device.source.nodemask if device.source is not None else None
    for node in nodes if nodes is not None else (0,):
        size = next((section.size for section in sections if section.node == node), 0) or 0
        if wanted > size:
            raise ConfigUnsupported(f"sgx epc size {size} on host node {node} is less than requested size {wanted}")


def validate_shmem(device: Shmem, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Memory that guests share.

    :raises VirtError: with libvirt's message.
    """
    size = device.size or 0
    if size and (size < _MIB or size & (size - 1)):
        raise XMLError("shmem size must be a power of 2 and at least 1 MiB (1024 KiB)")
    if device.model is ShmemModel.IVSHMEM:
        raise ConfigUnsupported("ivshmem device is no longer supported")
    if device.model is not None:
        require(capabilities, str(device.model), f"shmem model '{device.model}' is not supported by this QEMU binary")


def validate_memballoon(device: Memballoon, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """What gives memory back.

    :raises ConfigUnsupported: with libvirt's message.
    """
    if device.model is MemballoonModel.NONE:
        return
    if device.model is MemballoonModel.XEN:
        raise ConfigUnsupported(f"Memory balloon device type '{device.model}' is not supported by this version of qemu")
    for option, flag, name in (
        (device.autodeflate, "virtio-balloon-pci.deflate-on-oom", "deflate-on-oom"),
        (device.free_page_reporting, "virtio-balloon.free-page-reporting", "freePageReporting"),
    ):
        if option is not None:
            require(capabilities, flag, f"{name} is not supported by this QEMU binary")


# -- the rest


def validate_nvram(device: NVRAM, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """What POWER's firmware keeps.

    :raises VirtError: with libvirt's message.
    """
    if not Machine.of(domain).pseries:
        raise ConfigUnsupported("nvram device is only supported for PPC64")
    require(capabilities, "nvram", "nvram device is not supported by this QEMU binary")
    if not (isinstance(device.address, SpaprVIOAddress) and device.address.reg is not None):
        raise XMLError("nvram address type must be spaprvio")


def validate_hub(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """A USB hub.

    :raises ConfigUnsupported: QEMU has none.
    """
    require(capabilities, "usb-hub", "usb-hub not supported by QEMU binary")


def validate_vsock(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Sockets between guest and host.

    :raises ConfigUnsupported: QEMU has none.
    """
    require(capabilities, "vhost-vsock", "vsock device is not supported with this QEMU binary")


def validate_crypto(device: Crypto, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """What encrypts for the guest.

    :raises ConfigUnsupported: with libvirt's message.
    """
    require(capabilities, "virtio-crypto", f"crypto model {device.model} is not supported")
    backend = device.backend
    if backend is not None and backend.model is CryptoBackendModel.LKCF:
        require(capabilities, "cryptodev-backend-lkcf", f"crypto backend {backend.model} is not supported")


def validate_pstore(device: Pstore, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """What keeps a kernel's last words.

    :raises VirtError: with libvirt's message.
    """
    require(capabilities, "acpi-erst", "acpi-erst backend of pstore device is not supported")
    if device.address is not None and not isinstance(device.address, PCIAddress):
        raise ConfigUnsupported("ACPI ERST device must reside on a PCI bus")
