"""Validation of devices that is the same for every driver (``virDomainDeviceDefValidateInternal``).

Checks of one device name places below it in their errors; who iterates completes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, NoTarget, XMLError
from virtcore.model.domain.address import CCIDAddress, UnassignedAddress
from virtcore.model.domain.rules.device_list import (
    devices_of,
    has_usb,
)
from virtcore.model.domain.rules.disk_validate import (
    refuse_virtio_options,
    validate_disk,
    validate_label_overrides,
)
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.audio import Audio
    from virtcore.model.domain.chardev import Channel, ChardevSource, Console, Parallel, Serial
    from virtcore.model.domain.controller import AnyController
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.graphics import Graphics
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.iommu import IOMMU
    from virtcore.model.domain.pstore import Pstore
    from virtcore.model.domain.redirdev import Redirdev
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.smartcard import Smartcard
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.vsock import Vsock

__all__ = ["validate_device"]

_CHANNEL_NAME = re.compile(r"[A-Za-z0-9_.-]*")


def validate_device(device: object, domain: Domain, context: DomainContext) -> None:
    """Refuses a device that no driver could provide.

    :raises VirtError: why; its path is relative to the device.
    """
    if isinstance(getattr(device, "address", None), UnassignedAddress) and not _is(device, "hostdev"):
        raise ConfigUnsupported("address of type 'unassigned' is supported only for hostdevs", path="address/@type")
    check = _CHECKS.get(declaration(type(device)).name or "")
    if check is not None:
        check(device, domain)


def _is(device: object, name: str) -> bool:
    return declaration(type(device)).name == name


# ---------------------------------------------------------------------------------------------------- character devices


def _validate_chardev(source: ChardevSource | None, domain: Domain, *, may_lack_path: bool = False) -> None:
    """The host side of a character device (``virDomainChrSourceDefValidate``)."""
    from virtcore.model.domain import chardev

    if isinstance(source, (chardev.FileChardev, chardev.DevChardev, chardev.PipeChardev)):
        if source.source is None or source.source.path is None:
            raise InternalError("Missing source path attribute for char device", path="source/@path")
    elif isinstance(source, chardev.NMDMChardev):
        ends = source.source
        if ends is not None and (ends.master is None) != (ends.slave is None):
            raise InternalError(
                "Should define both master and slave path attributes for nmdm device", path="source/@master"
            )
    elif isinstance(source, chardev.TCPChardev):
        tcp = source.source
        for name in ("host", "service"):
            if tcp is None or getattr(tcp, name) is None:
                raise InternalError(f"Missing source {name} attribute for char device", path=f"source/@{name}")
        assert tcp is not None
        _refuse_reconnect(tcp.mode, tcp.reconnect is not None and tcp.reconnect.enabled is True)
    elif isinstance(source, chardev.UDPChardev):
        if all(end.mode is chardev.SocketMode.BIND or end.service is None for end in source.sources):
            raise InternalError("Missing source service attribute for char device", path="source/@service")
    elif isinstance(source, chardev.UnixChardev):
        unix = source.source
        if (unix is None or unix.path is None) and not may_lack_path:
            raise InternalError("Missing source path attribute for char device", path="source/@path")
        if unix is not None:
            _refuse_reconnect(unix.mode, unix.reconnect is not None and unix.reconnect.enabled is True)
    elif isinstance(source, (chardev.SpicePortChardev, chardev.DBusChardev)):
        if source.channel is None:
            raise ConfigUnsupported("Missing source channel attribute for char device", path="source/@channel")
        if _CHANNEL_NAME.fullmatch(source.channel) is None:
            raise InvalidArg("Invalid character in source channel for char device", path="source/@channel")
    validate_label_overrides(getattr(getattr(source, "source", None), "seclabels", ()), domain)


def _refuse_reconnect(mode: object, enabled: bool) -> None:
    if mode == "bind" and enabled:
        raise InternalError("chardev reconnect is possible only for connect mode", path="source/reconnect")


def _validate_port(device: Serial | Parallel | Console, domain: Domain) -> None:
    _validate_chardev(device.source, domain)


def _validate_channel(device: Channel, domain: Domain) -> None:
    from virtcore.model.domain.chardev import GuestForwardTarget

    # The socket of a channel that the guest opens by name can be chosen later.
    _validate_chardev(device.source, domain, may_lack_path=not isinstance(device.target, GuestForwardTarget))


def _validate_redirdev(device: Redirdev, domain: Domain) -> None:
    if not has_usb(domain):
        raise ConfigUnsupported("cannot add redirected USB device: USB is disabled for this domain", path="@bus")
    _validate_chardev(device.source, domain)


def _validate_rng(device: RNG, domain: Domain) -> None:
    from virtcore.model.domain.rng import EGDBackend

    if isinstance(device.backend, EGDBackend):
        _validate_chardev(device.backend.source, domain)


def _validate_smartcard(device: Smartcard, domain: Domain) -> None:
    from virtcore.model.domain.smartcard import PassthroughSmartcard

    if device.address is not None and not isinstance(device.address, CCIDAddress):
        raise ConfigUnsupported("Controllers must use the 'ccid' address type", path="address/@type")
    if isinstance(device, PassthroughSmartcard):
        _validate_chardev(device.source, domain)


# ---------------------------------------------------------------------------------------------------------- controllers


def _validate_controller(device: AnyController, domain: Domain) -> None:
    from virtcore.model.domain.controller import PCIController, SCSIController

    if isinstance(device, PCIController):
        _validate_pci_controller(device)
    driver = device.driver
    if driver is not None and (driver.iothread or driver.iothreads):
        model = device.model if isinstance(device, SCSIController) else None
        if model not in ("virtio-scsi", "virtio-transitional", "virtio-non-transitional"):
            raise ConfigUnsupported(
                "iothreads are supported only by 'virtio-scsi' controllers", path="driver/@iothread"
            )
        if driver.iothread and driver.iothreads:
            raise XMLError(
                "controller driver 'iothread' attribute can't be used together with 'iothreads' subelement",
                path="driver/@iothread",
            )


def _validate_pci_controller(device: AnyController) -> None:
    from virtcore.model.domain.controller import PCIController, PCIControllerModel

    assert isinstance(device, PCIController)
    index = device.index or 0
    roots = (PCIControllerModel.PCI_ROOT, PCIControllerModel.PCIE_ROOT)
    if device.model in roots and device.address is not None:
        raise ConfigUnsupported("pci-root and pcie-root controllers should not have an address", path="address")
    if index > 255:
        raise ConfigUnsupported(f"PCI controller index {index} too high, maximum is 255", path="@index")
    target = device.target
    if target is None:
        return
    for name, key, low, high in (
        ("target index", "index", 0, 30),
        ("chassisNr", "chassis_nr", 1, 255),
        ("chassis", "chassis", 0, 255),
        ("port", "port", 0, 255),
        ("busNr", "bus_nr", 1, 254),
    ):
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


# ------------------------------------------------------------------------------------------- display, sound, and input


def _validate_video(device: Video, domain: Domain) -> None:
    from virtcore.model.domain.video import VideoBackend, VideoType

    model = device.model
    kind = model.type if model is not None else None
    if model is None or kind in (None, VideoType.DEFAULT):
        raise InternalError("missing video model and cannot determine default", path="model/@type")
    videos = devices_of(domain).videos
    if len(videos) > 1 and any(video.model is not None and video.model.type is VideoType.NONE for video in videos):
        raise ConfigUnsupported(
            "a 'none' video type must be the only video device defined for the domain", path="model/@type"
        )
    if device.driver is not None and device.driver.name is VideoBackend.VHOSTUSER:
        if kind is not VideoType.VIRTIO:
            raise ConfigUnsupported("'vhostuser' driver is only supported with 'virtio' device", path="driver/@name")
    elif model.acceleration is not None and model.acceleration.rendernode is not None:
        raise ConfigUnsupported(
            "unsupported rendernode accel attribute without 'vhostuser'", path="model/acceleration/@rendernode"
        )
    if model.resolution is not None and not (model.resolution.x and model.resolution.y):
        raise ConfigUnsupported("video resolution values must be greater than 0", path="model/resolution")
    if kind is not VideoType.QXL:
        for name in ("ram", "vram64", "vgamem"):
            if getattr(model, name):
                raise ConfigUnsupported(f"{name} attribute only supported for video type qxl", path=f"model/@{name}")
    if kind is VideoType.RAMFB and device.address is not None:
        raise ConfigUnsupported("address not supported for video type ramfb", path="address")
    if kind is not VideoType.VIRTIO:
        refuse_virtio_options(device.driver)
        if model.blob is not None:
            raise ConfigUnsupported(f"video type '{kind}' does not support blob resources", path="model/@blob")


def _validate_graphics(device: Graphics, domain: Domain) -> None:
    from virtcore.model.domain import graphics

    if isinstance(device, (graphics.VNCGraphics, graphics.SpiceGraphics, graphics.RDPGraphics)):
        for listen in device.listens:
            if isinstance(listen, graphics.NetworkListen):
                if listen.network is None:
                    raise XMLError("'network' attribute is required for listen type 'network'", path="listen/@network")
            elif isinstance(device, graphics.RDPGraphics) and not isinstance(listen, graphics.AddressListen):
                kind = declaration(type(listen)).tag
                raise ConfigUnsupported(
                    f"listen type '{kind}' is not available for graphics type 'rdp'", path="listen/@type"
                )
    if isinstance(device, graphics.VNCGraphics):
        _require_audio(device.audio_id, domain)
    elif isinstance(device, graphics.DBusGraphics) and device.p2p and device.address is not None:
        raise XMLError("D-Bus p2p with an address is not supported", path="@address")


def _require_audio(number: int | None, domain: Domain) -> None:
    if number and all(audio.id != number for audio in devices_of(domain).audios):
        raise XMLError(f"no audio device with ID {number}", path="audio/@id")


def _validate_sound(device: Sound, domain: Domain) -> None:
    _require_audio(device.audio_id, domain)


def _validate_audio(device: Audio, domain: Domain) -> None:
    if any(other is not device and other.id == device.id for other in devices_of(domain).audios):
        raise XMLError(f"audio ID {device.id} is used multiple times", path="@id")


def _validate_input(device: Input, domain: Domain) -> None:
    from virtcore.model.domain.input import InputBus, InputType, PassthroughInputSource

    _validate_input_bus(device, domain)
    if device.type is InputType.PASSTHROUGH:
        if device.bus is not InputBus.VIRTIO:
            raise ConfigUnsupported("only bus 'virtio' is supported for 'passthrough' input devices", path="@bus")
    elif device.type is InputType.EVDEV:
        if device.bus not in (InputBus.NONE, None):
            raise ConfigUnsupported("input evdev doesn't support bus element", path="@bus")
    elif isinstance(device.source, PassthroughInputSource) and device.source.evdev is not None:
        raise ConfigUnsupported(
            "setting source evdev path only supported for passthrough input devices", path="source/@evdev"
        )
    if device.model is not None and device.bus is not InputBus.VIRTIO:
        raise ConfigUnsupported(f"only bus 'virtio' is supported for input model '{device.model}'", path="@model")
    if device.bus is InputBus.PS2:
        ps2 = domain.features.ps2 if domain.features is not None else None
        if ps2 is not None and not ps2.state:
            raise ConfigUnsupported("ps2 bus inputs require the ps2 feature not to be disabled", path="@bus")


def _validate_input_bus(device: Input, domain: Domain) -> None:
    from virtcore.model.domain.domain import VirtType
    from virtcore.model.domain.input import InputBus, InputType
    from virtcore.model.domain.os import OSType
    from virtcore.model.domain.rules.settle_os import is_paravirtual

    plain = device.type in (InputType.MOUSE, InputType.KEYBOARD)
    if domain.os_type is OSType.HVM:
        if device.bus is InputBus.PS2 and not plain:
            raise InternalError(f"ps2 bus does not support {device.type} input device", path="@type")
        if device.bus is InputBus.XEN:
            raise InternalError(f"unsupported input bus {device.bus}", path="@bus")
    elif is_paravirtual(domain) or domain.os_type is OSType.XENPVH:
        if device.bus is not InputBus.XEN:
            raise InternalError(f"unsupported input bus {device.bus}", path="@bus")
        if not plain:
            raise InternalError(f"xen bus does not support {device.type} input device", path="@type")
    elif domain.type in (VirtType.VZ, VirtType.PARALLELS):
        if device.bus is not InputBus.PARALLELS:
            raise InternalError(f"parallels containers don't support input bus {device.bus}", path="@bus")
        if not plain:
            raise InternalError(f"parallels bus does not support {device.type} input device", path="@type")
    else:
        raise InternalError("Input devices are not supported by this virtualization driver.")


# ------------------------------------------------------------------------------------------------------------- the rest


def _validate_filesystem(device: Filesystem, domain: Domain) -> None:
    from virtcore.model.domain.filesystem import DirectorySource, FilesystemDriverType

    if device.target is None:
        source = device.source
        place = (source.dir or source.socket) if isinstance(source, DirectorySource) else None
        raise NoTarget(place, path="target/@dir")

    def virtiofs(filesystem: Filesystem) -> bool:
        return filesystem.driver is not None and filesystem.driver.type is FilesystemDriverType.VIRTIOFS

    if device.boot_order is not None and not virtiofs(device):
        raise ConfigUnsupported("boot order is only supported for virtiofs", path="boot")
    shares = [other.target for other in devices_of(domain).filesystems if virtiofs(other)]
    twice = next((name for place, name in enumerate(shares) if name in shares[:place]), None)
    if twice is None and not virtiofs(device) and device.target in shares:
        twice = device.target
    if twice is not None:
        raise ConfigUnsupported(f"filesystem target '{twice}' specified twice", path="target/@dir")


def _validate_vsock(device: Vsock, domain: Domain) -> None:
    from virtcore.model.domain.vsock import VsockModel

    if device.cid is not None and device.cid.address is not None and device.cid.address <= 2:
        raise ConfigUnsupported("guest CIDs must be >= 3", path="cid/@address")
    if device.model in (None, VsockModel.DEFAULT):
        refuse_virtio_options(device.driver)


def _validate_shmem(device: Shmem, domain: Domain) -> None:
    if "/" in device.name:
        raise ConfigUnsupported("shmem name cannot include '/' character", path="@name")
    if device.name in (".", ".."):
        raise ConfigUnsupported(f"shmem name cannot be equal to '{device.name}'", path="@name")


def _validate_iommu_device(device: IOMMU, domain: Domain) -> None:
    from virtcore.model.domain.iommu import IOMMUModel

    driver = device.driver
    if device.model in (IOMMUModel.SMMUV3, IOMMUModel.VIRTIO) and driver is not None and _says_anything(driver):
        raise XMLError(f"iommu model '{device.model}' doesn't support additional attributes", path="driver")
    if device.model in (IOMMUModel.SMMUV3, IOMMUModel.INTEL) and device.address is not None:
        raise XMLError(f"iommu model '{device.model}' can't have address", path="address")


def _says_anything(driver: object) -> bool:
    return any(value is not None for key, value in vars(driver).items() if key != "extra")


def _validate_tpm(device: TPM, domain: Domain) -> None:
    from virtcore.model.domain.tpm import EmulatorTPM, ExternalTPM, TPMVersion

    backend = device.backend
    if isinstance(backend, EmulatorTPM):
        if backend.version is not TPMVersion.V2_0:
            if backend.active_pcr_banks:
                raise XMLError("<active_pcr_banks/> requires TPM version '2.0'", path="backend/active_pcr_banks")
            if backend.profile is not None and backend.profile.source is not None:
                raise XMLError("<profile/> requires TPM version '2.0'", path="backend/profile")
    elif isinstance(backend, ExternalTPM):
        source = backend.source
        if source is None or source.type != "unix":
            raise XMLError("only source type 'unix' is supported for external TPM device", path="backend/source/@type")
        if source.mode not in (None, "connect"):
            raise XMLError("only 'connect' mode is supported for external TPM device", path="backend/source/@mode")
        if source.path is None:
            raise XMLError("missing socket path for external TPM device", path="backend/source/@path")


def _validate_pstore(device: Pstore, domain: Domain) -> None:
    if not device.path:
        raise XMLError("missing path for ACPI ERST pstore device", path="path")
    size = device.size or 0
    if size < 4 or size & (size - 1):
        raise XMLError("invalid size of ACPI ERST pstore device", path="size")


def _lazily(module: str, name: str) -> Callable[[object, Domain], None]:
    """A check of a module that few domains need."""

    def check(device: object, domain: Domain) -> None:
        from importlib import import_module

        getattr(import_module(f"virtcore.model.domain.rules.{module}"), name)(device, domain)

    return check


_CHECKS: dict[str, Callable[..., None]] = {
    "audio": _validate_audio,
    "channel": _validate_channel,
    "console": _validate_port,
    "controller": _validate_controller,
    "disk": validate_disk,
    "filesystem": _validate_filesystem,
    "graphics": _validate_graphics,
    "hostdev": _lazily("hostdev_validate", "validate_hostdev"),
    "input": _validate_input,
    "interface": _lazily("hostdev_validate", "validate_interface"),
    "iommu": _validate_iommu_device,
    "memory": _lazily("memory_validate", "validate_memory_device"),
    "parallel": _validate_port,
    "pstore": _validate_pstore,
    "redirdev": _validate_redirdev,
    "rng": _validate_rng,
    "serial": _validate_port,
    "shmem": _validate_shmem,
    "smartcard": _validate_smartcard,
    "sound": _validate_sound,
    "tpm": _validate_tpm,
    "video": _validate_video,
    "vsock": _validate_vsock,
}
