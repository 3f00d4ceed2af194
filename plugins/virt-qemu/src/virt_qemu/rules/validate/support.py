"""Checks of devices against what the emulator has been built with, and the boards it can put them on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from virt_qemu.capabilities.devices import rng_models, video_models
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.chardev import ConsoleTargetType, SerialModel, SerialTargetType
from virtcore.model.domain.filesystem import FilesystemDriverType, FilesystemType
from virtcore.model.domain.graphics import DesktopGraphics, SDLGraphics, SpiceGraphics, VNCGraphics
from virtcore.model.domain.hostdev import MdevModel
from virtcore.model.domain.memory import MemoryAccess
from virtcore.model.domain.rng import BuiltinBackend, EGDBackend, RandomBackend
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.tpm import EmulatorTPM, PassthroughTPM, TPMModel
from virtcore.model.domain.watchdog import WatchdogModel
from virtcore.model.storage.source import StorageType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.chardev import Console, Serial
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.hostdev import MdevHostdev
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.watchdog import Watchdog

__all__ = ["require_shared_memory", "validate_support"]


def validate_support(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse a device that the emulator or the board has not got.

    :raises ConfigUnsupported: with libvirt's message.
    """
    rule = _RULES.get(type(device).__name__)
    if rule is not None:
        rule(device, domain, capabilities)


def require_shared_memory(name: str, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """Refuse what works on the guest's memory from outside of QEMU when that cannot be shared.

    :param name: what messages call it.
    :raises ConfigUnsupported: it cannot.
    """
    backing = domain.memory_backing
    shared = backing is not None and backing.access is MemoryAccess.SHARED
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = numa.cells if numa is not None else []
    machine = capabilities.machine(domain.machine or "", domain.type)
    if not cells and not (shared and machine is not None and machine.default_ram_id is not None):
        raise ConfigUnsupported(f"'{name}' requires shared memory")
    for cell in cells:
        own = cell.mem_access
        if own is MemoryAccess.PRIVATE or (own is not MemoryAccess.SHARED and not shared):
            raise ConfigUnsupported(f"'{name}' requires shared memory")


def _disk(device: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.type is StorageType.VHOSTUSER:
        if not capabilities.has("vhost-user-blk"):
            raise ConfigUnsupported("vhostuser disk is not supported with this QEMU binary")
        require_shared_memory("vhostuser", domain, capabilities)


def _graphics(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if isinstance(device, DesktopGraphics):
        raise ConfigUnsupported("unsupported graphics type 'desktop'")
    for kind, flag, message in (
        (SDLGraphics, "sdl", "sdl not supported by this QEMU binary"),
        (VNCGraphics, "vnc", "vnc graphics are not supported with this QEMU"),
        (SpiceGraphics, "spice", "spice graphics are not supported with this QEMU"),
    ):
        if isinstance(device, kind) and not capabilities.has(flag):
            raise ConfigUnsupported(message)


def _does_not_support(name: str, value: object) -> ConfigUnsupported:
    return ConfigUnsupported(f"domain configuration does not support '{name}' value '{value}'")


def _video(device: Video, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    kind = device.model.type if device.model is not None else None
    if kind is not None and str(kind) not in video_models(capabilities):
        raise _does_not_support("video model", kind)


_RNG_BACKENDS = {
    RandomBackend: ("rng-random", "this qemu doesn't support the rng-random backend"),
    EGDBackend: ("rng-egd", "this qemu doesn't support the rng-egd backend"),
    BuiltinBackend: ("rng-builtin", "this qemu doesn't support the rng-builtin backend"),
}


def _rng(device: RNG, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if str(device.model) not in rng_models(capabilities):
        raise _does_not_support("rng model", device.model)
    flag, message = _RNG_BACKENDS.get(type(device.backend), (None, ""))
    if flag is not None and not capabilities.has(flag):
        raise ConfigUnsupported(message)


def _watchdog(device: Watchdog, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    model, addressed = device.model, device.address is not None
    machine = Machine.of(domain)
    if model is WatchdogModel.I6300ESB:
        if addressed and not isinstance(device.address, PCIAddress):
            raise ConfigUnsupported(f"{model} model of watchdog can go only on PCI bus")
    elif model is WatchdogModel.IB700:
        if addressed:
            raise ConfigUnsupported(f"{model} model of watchdog can go only on ISA bus")
    elif model is WatchdogModel.DIAG288:
        if addressed:
            raise ConfigUnsupported(f"{model} model of watchdog is virtual and cannot go on any bus.")
        if not machine.s390:
            raise ConfigUnsupported(f"{model} model of watchdog is allowed for s390 and s390x only")
    elif model is WatchdogModel.ITCO:
        if addressed:
            raise ConfigUnsupported(f"{model} model of watchdog is part of the machine and cannot have any address set")
        if not machine.q35:
            raise ConfigUnsupported(f"{model} model of watchdog is only part of q35 machine")


def _serial(device: Serial, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    target, machine = device.target, Machine.of(domain)
    if target is None:
        return
    models: dict[SerialModel | None, bool] = {
        SerialModel.SPAPR_VTY: machine.pseries,
        SerialModel.SCLPCONSOLE: machine.s390,
        SerialModel.SCLPLMCONSOLE: machine.s390,
        SerialModel.PL011: machine.arm_virt,
        SerialModel._16550A: machine.riscv_virt or machine.loongarch_virt,
    }
    types: dict[SerialTargetType | None, bool] = {
        SerialTargetType.SPAPR_VIO_SERIAL: machine.pseries,
        SerialTargetType.SCLP_SERIAL: machine.s390,
    }
    fits = models.get(target.model, True) and types.get(target.type, True)
    if not fits:
        raise ConfigUnsupported(
            f"Serial device with target type '{target.type}' and target model '{target.model}' "
            "not compatible with guest architecture or machine type"
        )


def _console(device: Console, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    kind = device.target.type if device.target is not None else None
    if kind in (ConsoleTargetType.XEN, ConsoleTargetType.UML, ConsoleTargetType.LXC, ConsoleTargetType.OPENVZ):
        raise ConfigUnsupported(f"unsupported console target type {kind}")


def _nvram(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if not Machine.of(domain).pseries:
        raise ConfigUnsupported("nvram device is only supported for PPC64")
    if not capabilities.has("nvram"):
        raise ConfigUnsupported("nvram device is not supported by this QEMU binary")


def _hub(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if not capabilities.has("usb-hub"):
        raise ConfigUnsupported("usb-hub not supported by QEMU binary")


def _redirdev(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if not capabilities.has("usb-redir"):
        raise ConfigUnsupported("USB redirection is not supported by this version of QEMU")


def _sound(device: Sound, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    for model, flag, message in (
        (SoundModel.USB, "usb-audio", "usb-audio controller is not supported by this QEMU binary"),
        (
            SoundModel.ICH9,
            "ich9-intel-hda",
            "The ich9-intel-hda audio controller is not supported in this QEMU binary",
        ),
        (SoundModel.VIRTIO, "virtio-sound", "virtio-sound controller is not supported by this QEMU binary"),
    ):
        if device.model is model and not capabilities.has(flag):
            raise ConfigUnsupported(message)
    if device.model in (SoundModel.ICH6, SoundModel.ICH7, SoundModel.ICH9):
        for codec in device.codecs:
            if not capabilities.has(f"hda-{codec}"):
                raise ConfigUnsupported(f"hda-{codec} not supported in this QEMU binary")


_TPM_MODELS = {TPMModel.TPM_TIS: "tpm-tis", TPMModel.TPM_CRB: "tpm-crb", TPMModel.TPM_SPAPR: "tpm-spapr",
               TPMModel.SPAPR_TPM_PROXY: "spapr-tpm-proxy"}  # fmt: skip


def _tpm(device: TPM, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    for kind, flag in ((PassthroughTPM, "tpm-passthrough"), (EmulatorTPM, "tpm-emulator")):
        if isinstance(device.backend, kind) and not capabilities.has(flag):
            name = flag.removeprefix("tpm-")
            raise ConfigUnsupported(
                f"The QEMU executable {capabilities.binary} does not support TPM backend type {name}"
            )
    if device.model is not None and not capabilities.has(_TPM_MODELS[device.model]):
        raise ConfigUnsupported(f"The QEMU executable {capabilities.binary} does not support TPM model {device.model}")


def _vsock(device: object, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if not capabilities.has("vhost-vsock"):
        raise ConfigUnsupported("vhost-vsock is not supported with this QEMU binary")


def _filesystem(device: Filesystem, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.type not in (None, FilesystemType.MOUNT):
        raise ConfigUnsupported("only supports mount filesystem type")
    if device.driver is None or device.driver.type is not FilesystemDriverType.VIRTIOFS:
        return
    if not capabilities.has("vhost-user-fs"):
        raise ConfigUnsupported("virtiofs is not supported with this QEMU binary")
    require_shared_memory("virtiofs", domain, capabilities)


def _mdev(device: MdevHostdev, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if device.model is MdevModel.VFIO_AP and device.boot_order:
        raise ConfigUnsupported("booting from assigned devices is not supported by mediated devices of model vfio-ap")


#: name of the element class -> its rule
_RULES: dict[str, Callable[[Any, Domain, EmulatorCapabilities], None]] = {
    "Disk": _disk,
    "SDLGraphics": _graphics,
    "VNCGraphics": _graphics,
    "SpiceGraphics": _graphics,
    "DesktopGraphics": _graphics,
    "Video": _video,
    "RNG": _rng,
    "Watchdog": _watchdog,
    "Serial": _serial,
    "Console": _console,
    "NVRAM": _nvram,
    "Hub": _hub,
    "Redirdev": _redirdev,
    "Sound": _sound,
    "TPM": _tpm,
    "Vsock": _vsock,
    "Filesystem": _filesystem,
    "MdevHostdev": _mdev,
}
