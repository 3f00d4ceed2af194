"""``<domainCapabilities>``: what guests of an emulator can have, by libvirt's rules.

What the emulator can do decides; the machine type decides on buses that boards have or lack, and the host on what is
beside the emulator: firmware, TPM emulators, device assignment, the processor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.capabilities.devices import TRANSITIONAL, choose, rng_models, video_models
from virt_qemu.cpu_modes import cpu_modes
from virt_qemu.firmware import SupportedFirmware
from virt_qemu.rules.machine import Machine
from virtcore.errors import InvalidArg
from virtcore.model.cpu.element import CPUFeature, CPUFeaturePolicy
from virtcore.model.domain import VirtType
from virtcore.model.domain.crypto import CryptoBackendModel, CryptoModel, CryptoType
from virtcore.model.domain.disk import DiskBus, DiskDevice, DiskModel
from virtcore.model.domain.filesystem import FilesystemDriverType
from virtcore.model.domain.graphics import GraphicsType
from virtcore.model.domain.panic import PanicModel
from virtcore.model.domain.redirdev import RedirdevBus
from virtcore.model.domain.tpm import TPMBackendType, TPMModel, TPMVersion
from virtcore.model.domain_capabilities import (
    DeviceCapabilities,
    DomainCapabilities,
    EnumeratedCapability,
    FeatureCapabilities,
    HostModelMode,
    LoaderCapability,
    OSCapability,
    SEVCapability,
    SGXCapability,
    capability_enums,
    offered,
)

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.arch import Arch
    from virtcore.model.cpu.element import HostCPU

__all__ = ["HostFacts", "SEVRegisters", "choose_machine", "domain_capabilities"]

#: USB controllers, one of which a guest needs for devices of the host.
_USB_CONTROLLERS = (
    "piix3-usb-uhci",
    "piix4-usb-uhci",
    "usb-ehci",
    "ich9-usb-ehci1",
    "vt82c686b-usb-uhci",
    "pci-ohci",
    "nec-usb-xhci",
    "qemu-xhci",
)


@dataclass(frozen=True, slots=True)
class SEVRegisters:
    """What an AMD processor says of SEV (CPUID leaf 0x8000001F).

    :ivar guests: how many guests can be encrypted at a time.
    :ivar first_plain: the first number for guests whose registers are not encrypted.
    """

    guests: int
    first_plain: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What the host has beside the emulator.

    :ivar firmware: images for the machine type.
    :ivar tpm_versions: that its TPM emulator can be; None where it has none.
    :ivar device_assignment: whether PCI devices can be given to guests (VFIO).
    :ivar rdp: whether it has a server of RDP for guests' displays.
    :ivar cpu: its processor, where libvirt knows the model.
    :ivar address_bits: of physical addresses, where they are known.
    :ivar max_vcpus: most virtual CPUs that KVM can do, where it can be asked.
    """

    firmware: SupportedFirmware
    tpm_versions: tuple[TPMVersion, ...] | None = None
    device_assignment: bool = False
    rdp: bool = False
    cpu: HostCPU | None = None
    address_bits: int | None = None
    sev: SEVRegisters | None = None
    max_vcpus: int | None = None


def choose_machine(
    capabilities: EmulatorCapabilities, arch: Arch, machine: str | None, virttype: str | None
) -> tuple[VirtType, str]:
    """The domain type and the machine that a question about an emulator is about.

    :raises InvalidArg: the emulator has no such architecture, type or machine.
    """
    kind = VirtType.NONE
    if virttype is not None:
        try:
            kind = VirtType(virttype)
        except ValueError:
            raise InvalidArg(f"unknown virttype: {virttype}") from None
    own = capabilities.arch
    if own is not arch and not ((own.is_x86 and arch.is_x86) or (own.is_ppc64 and arch.is_ppc64)):
        raise InvalidArg(f"architecture from emulator '{own}' doesn't match given architecture '{arch}'")
    best = next((one for one in (VirtType.KVM, VirtType.HVF) if capabilities.has(one)), VirtType.QEMU)
    if kind is VirtType.NONE:
        kind = best
    if kind is VirtType.KVM and best is VirtType.QEMU:
        raise InvalidArg(f"KVM is not supported by '{capabilities.binary}' on this host")
    if machine is None:
        return kind, capabilities.default_machine(kind) or ""
    name = capabilities.canonical_machine(machine, kind)
    if capabilities.machine(name, kind) is None:
        raise InvalidArg(f"the machine '{name}' is not supported by emulator '{capabilities.binary}'")
    return kind, name


def domain_capabilities(
    capabilities: EmulatorCapabilities,
    arch: Arch,
    kind: VirtType,
    machine: str,
    host: HostFacts,
    *,
    disable_deprecated: bool = False,
) -> DomainCapabilities:
    """What guests can have.

    :param arch: their architecture.
    :param kind: the domain type.
    :param machine: the machine type, by its full name.
    :param disable_deprecated: ``host-model`` is without features that processors will not have for long.
    """
    accelerator = capabilities.own_accelerator(kind)
    found = next((one for one in accelerator.machines if one.name == machine), None) if accelerator else None
    max_vcpus = (found.max_cpus if found is not None else None) or 0
    if kind is VirtType.KVM and host.max_vcpus is not None:
        max_vcpus = min(max_vcpus, host.max_vcpus)
    cpu = cpu_modes(capabilities, kind, host.address_bits, host.cpu)
    if disable_deprecated and accelerator is not None and accelerator.host_cpu is not None:
        for mode in cpu.modes:
            if isinstance(mode, HostModelMode) and mode.supported:
                _disable(mode, accelerator.host_cpu.deprecated)
    board = Machine(arch, machine)
    return DomainCapabilities(
        path=capabilities.binary,
        domain=kind,
        machine=machine,
        arch=arch,
        max_vcpus=max_vcpus,
        iothreads=True,
        os=_os(host.firmware),
        cpu=cpu,
        memory_backing=offered(
            sourceType=["file", "anonymous", *(["memfd"] if capabilities.has("memory-backend-memfd") else [])]
        ),
        devices=_devices(capabilities, board, host),
        features=_features(capabilities, board, kind, host),
    )


def _disable(mode: HostModelMode, names: Iterable[str]) -> None:
    features = {feature.name: feature for feature in mode.features}
    for name in names:
        if name not in features:
            features[name] = CPUFeature(name=name)
            mode.features.append(features[name])
        features[name].policy = CPUFeaturePolicy.DISABLE


def _os(firmware: SupportedFirmware) -> OSCapability:
    return OSCapability(
        supported=True,
        enums=capability_enums(firmware=firmware.interfaces),
        loader=LoaderCapability(
            supported=True,
            images=[image for image, _ in firmware.images],
            enums=capability_enums(
                type=["rom", "pflash"],
                readonly=["yes", "no"],
                secure=["yes", "no"] if firmware.secure else ["no"],
            ),
        ),
    )


def _devices(capabilities: EmulatorCapabilities, board: Machine, host: HostFacts) -> DeviceCapabilities:
    has = capabilities.has
    tpm_models = choose(
        capabilities, (TPMModel.TPM_TIS, "tpm-tis"), (TPMModel.TPM_CRB, "tpm-crb"), (TPMModel.TPM_SPAPR, "tpm-spapr")
    )
    tpm_backends, tpm_versions = _tpm_backends(capabilities, host)
    panics = list(_panics(capabilities, board))
    interfaces = choose(capabilities, ("default", "netdev.user"), ("passt", "netdev.stream"))
    assignment = ["default", "vfio"] if host.device_assignment else []
    return DeviceCapabilities(
        disk=_disk(capabilities, board),
        graphics=offered(
            type=choose(
                capabilities,
                (GraphicsType.SDL, "sdl"),
                (GraphicsType.VNC, "vnc"),
                *([(GraphicsType.RDP, "display-dbus")] if host.rdp else []),
                (GraphicsType.SPICE, "spice"),
                (GraphicsType.EGL_HEADLESS, "egl-headless"),
                (GraphicsType.DBUS, "display-dbus"),
            )
        ),
        video=offered(modelType=video_models(capabilities)),
        hostdev=offered(
            mode=["subsystem"],
            startupPolicy=["default", "mandatory", "requisite", "optional"],
            subsysType=[*(["usb"] if any(map(has, _USB_CONTROLLERS)) else []), "pci", "scsi"],
            capsType=[],
            pciBackend=assignment,
        ),
        rng=offered(
            model=rng_models(capabilities),
            backendModel=choose(capabilities, ("random", "rng-random"), ("egd", "rng-egd"), ("builtin", "rng-builtin")),
        ),
        filesystem=offered(
            driverType=choose(
                capabilities,
                (FilesystemDriverType.PATH, None),
                (FilesystemDriverType.HANDLE, None),
                (FilesystemDriverType.VIRTIOFS, "vhost-user-fs"),
            )
        ),
        tpm=offered(
            supported=bool(tpm_models and tpm_backends),
            model=tpm_models,
            backendModel=tpm_backends,
            backendVersion=tpm_versions,
        ),
        redirdev=offered(supported=has("usb-redir"), bus=[RedirdevBus.USB]),
        channel=offered(type=choose(capabilities, ("pty", None), ("unix", None), ("spicevmc", "spice"))),
        crypto=offered(
            model=choose(capabilities, (CryptoModel.VIRTIO, "virtio-crypto")),
            type=[CryptoType.QEMU],
            backendModel=choose(
                capabilities, (CryptoBackendModel.BUILTIN, None), (CryptoBackendModel.LKCF, "cryptodev-backend-lkcf")
            ),
        ),
        interface=offered(supported=bool(interfaces), backendType=interfaces),
        panic=offered(supported=bool(panics), model=panics),
    )


def _disk(capabilities: EmulatorCapabilities, board: Machine) -> EnumeratedCapability:
    # POWER servers have no floppy disks.
    floppy = [] if board.pseries else [DiskDevice.FLOPPY]
    return offered(
        diskDevice=[DiskDevice.DISK, DiskDevice.CDROM, *floppy, DiskDevice.LUN],
        bus=[
            *([DiskBus.IDE] if board.builtin_ide else []),
            *([DiskBus.FDC] if floppy else []),
            DiskBus.SCSI,
            DiskBus.VIRTIO,
            *choose(capabilities, (DiskBus.USB, "usb-storage"), (DiskBus.SATA, "ich9-ahci")),
        ],
        model=choose(
            capabilities,
            (DiskModel.VIRTIO, None),
            (DiskModel.VIRTIO_TRANSITIONAL, TRANSITIONAL),
            (DiskModel.VIRTIO_NON_TRANSITIONAL, TRANSITIONAL),
        ),
    )


def _tpm_backends(capabilities: EmulatorCapabilities, host: HostFacts) -> tuple[list[str], list[str]]:
    """Backends and versions."""
    backends = choose(capabilities, (TPMBackendType.PASSTHROUGH, "tpm-passthrough"))
    if not capabilities.has("tpm-emulator"):
        return backends, []
    emulator = [] if host.tpm_versions is None else [TPMBackendType.EMULATOR]
    return [*backends, *emulator, TPMBackendType.EXTERNAL], [*(host.tpm_versions or ())]


def _panics(capabilities: EmulatorCapabilities, board: Machine) -> Iterator[str]:
    if capabilities.has("pvpanic"):
        yield PanicModel.ISA
    if board.ppc64:
        yield PanicModel.PSERIES
    if board.x86:
        yield PanicModel.HYPERV
    if board.s390:
        yield PanicModel.S390
    if capabilities.has("pvpanic-pci"):
        yield PanicModel.PVPANIC


def _features(
    capabilities: EmulatorCapabilities, board: Machine, kind: VirtType, host: HostFacts
) -> FeatureCapabilities:
    has = capabilities.has
    security = choose(capabilities, ("sev", "sev-guest"), ("sev-snp", "sev-snp-guest"), ("s390-pv", "s390-pv-guest"))
    gics = [str(version) for version in capabilities.gic_versions(kind)] if board.arm_virt else []
    sev, hyperv = capabilities.sev, capabilities.hyperv
    encryption = SEVCapability(supported=False)
    if sev is not None:
        encryption = SEVCapability(
            supported=True,
            cbitpos=sev.cbitpos,
            reduced_phys_bits=sev.reduced_phys_bits,
            max_guests=0 if host.sev is None else host.sev.guests - host.sev.first_plain + 1,
            max_es_guests=0 if host.sev is None else host.sev.first_plain - 1,
            cpu0_id=sev.cpu0_id,
        )
    return FeatureCapabilities(
        gic=offered(supported=bool(gics), version=gics),
        vmcoreinfo=has("vmcoreinfo"),
        genid=has("vmgenid"),
        backing_store_input=True,
        backup=True,
        async_teardown=has("run-with.async-teardown"),
        s390_pv=has("s390-pv-guest") if board.s390 else None,
        ps2=board.x86 and has("machine-i8042-opt"),
        sev=encryption,
        sgx=capabilities.sgx or SGXCapability(supported=False),
        hyperv=None if hyperv is None else offered(features=hyperv),
        launch_security=offered(supported=bool(security), sectype=security),
    )
