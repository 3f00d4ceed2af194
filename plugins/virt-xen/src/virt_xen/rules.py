"""Xen's domain rules, hooked into the stages that all drivers share. They need no host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.arch import Arch
from virtcore.model.domain.chardev import CharacterType, Console, ConsoleTarget, ConsoleTargetType, PTYChardev
from virtcore.model.domain.controller import XenbusController
from virtcore.model.domain.disk import Disk, DiskDriver
from virtcore.model.domain.domain import VirtType
from virtcore.model.domain.features import Features
from virtcore.model.domain.hostdev import MiscCapability, NetCapability, StorageCapability
from virtcore.model.domain.input import Input, InputBus, InputType
from virtcore.model.domain.memballoon import Memballoon, MemballoonModel
from virtcore.model.domain.os import ACPITableType, Firmware, FirmwareFeatureName, LoaderType, OSType
from virtcore.model.domain.rules import DomainContext, DomainFeature, DomainRules, ParseFlag
from virtcore.model.domain.rules.device_list import add_controllers, devices_of
from virtcore.model.domain.rules.support import require_support
from virtcore.model.domain.video import Video, VideoModel, VideoType
from virtcore.model.storage.source import NetworkSource, StorageFormat

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["VIDEO_MEMORY", "XenRules", "has_old_style_uefi", "traditional_device_model"]

_MAC_PREFIX = b"\x00\x16\x3e"
_MIB = 1024
_KINDS = (OSType.HVM, OSType.XEN, OSType.LINUX, OSType.XENPVH)
#: Video memory in KiB that a fully virtual guest's card gets: from QEMU, from Xen's old fork of it.
VIDEO_MEMORY = {
    VideoType.VGA: (16 * _MIB, 8 * _MIB),
    VideoType.XEN: (16 * _MIB, 8 * _MIB),
    VideoType.CIRRUS: (8 * _MIB, 4 * _MIB),
    VideoType.QXL: (128 * _MIB, 128 * _MIB),
}


class XenRules(DomainRules):
    """Completion and validation for Xen guests."""

    features = DomainFeature.USER_ALIAS | DomainFeature.FW_AUTOSELECT | DomainFeature.NET_MODEL_STRING

    def context(
        self, flags: ParseFlag = ParseFlag.INACTIVE, *, arch: Arch | None = None, security_model: str | None = None
    ) -> DomainContext:
        context = super().context(flags, arch=arch, security_model=security_model)
        context.mac_prefix = _MAC_PREFIX
        return context

    def domain(self, domain: Domain, context: DomainContext) -> None:
        devices = devices_of(domain)
        full = domain.os_type is OSType.HVM
        if not full and not devices.consoles:
            devices.consoles.append(
                Console(
                    type=CharacterType.PTY,
                    source=PTYChardev(),
                    target=ConsoleTarget(type=ConsoleTargetType.XEN, port=0),
                )
            )
        bus = InputBus.PS2 if full else InputBus.XEN
        for kind in (InputType.MOUSE, InputType.KEYBOARD):
            if not any(device.type is kind and device.bus is bus for device in devices.inputs):
                devices.inputs.append(Input(type=kind, bus=bus))
        if full and domain.arch is Arch.X86_64:
            domain.features = domain.features or Features()
            domain.features.pae = True
            if domain.cpu is not None and domain.cpu.numa is not None:
                domain.features.acpi = True
        assert domain.os is not None
        for table in domain.os.acpi_tables:
            if table.type is ACPITableType.SLIC:
                # What Xen takes has always been a file of whole tables, whatever it was called.
                table.type = ACPITableType.RAWSET
        if devices.memballoon is None:
            devices.memballoon = Memballoon(model=MemballoonModel.XEN)
        if not any(isinstance(controller, XenbusController) for controller in devices.controllers):
            add_controllers(domain, XenbusController, [0])

    def device(self, device: object, domain: Domain, context: DomainContext) -> None:
        if isinstance(device, Console):
            if domain.os_type is not OSType.HVM and (device.target is None or device.target.type is None):
                device.target = device.target or ConsoleTarget()
                device.target.type = ConsoleTargetType.XEN
        elif isinstance(device, StorageCapability | MiscCapability | NetCapability):
            raise ConfigUnsupported(f"hostdev mode 'capabilities' is not supported in {domain.type}")
        elif isinstance(device, Video):
            _complete_video(device, domain)
        elif isinstance(device, Disk):
            driver = device.driver = device.driver or DiskDriver()
            if isinstance(device.source, NetworkSource) and driver.name is None:
                driver.name = "qemu"
            driver.type = driver.type or StorageFormat.RAW

    def validate_domain(self, domain: Domain, context: DomainContext) -> None:
        require_support(domain, types=[VirtType.XEN], os_types=_KINDS, archs=list(Arch))
        assert domain.os is not None
        for table in domain.os.acpi_tables:
            if table.type is not ACPITableType.RAWSET:
                raise ConfigUnsupported(f"ACPI table type '{table.type}' is not supported", value=table.type)
        secure = (
            domain.os.firmware is Firmware.EFI
            and any(
                feature.name is FirmwareFeatureName.SECURE_BOOT and feature.enabled
                for feature in domain.os.firmware_features
            )
        ) or (has_old_style_uefi(domain) and domain.os.loader is not None and domain.os.loader.secure)
        if secure:
            raise ConfigUnsupported("Secure boot is not supported on Xen")


def has_old_style_uefi(domain: Domain) -> bool:
    """Whether the domain names its UEFI firmware itself."""
    loader = domain.os.loader if domain.os is not None else None
    return loader is not None and loader.type is LoaderType.PFLASH and loader.readonly is True


def traditional_device_model(domain: Domain) -> bool:
    """Whether the guest's devices come from Xen's old fork of QEMU."""
    emulator = domain.devices.emulator if domain.devices is not None else None
    return domain.os_type is OSType.HVM and emulator is not None and emulator.endswith("/qemu-dm")


def _complete_video(video: Video, domain: Domain) -> None:
    model = video.model = video.model or VideoModel()
    if model.type in (None, VideoType.DEFAULT):
        if domain.os_type in (OSType.XEN, OSType.LINUX):
            model.type = VideoType.XEN
        else:
            ppc = domain.arch is not None and domain.arch.is_ppc64
            model.type = VideoType.VGA if ppc else VideoType.CIRRUS
    if domain.os_type is OSType.HVM and not model.vram and model.type in VIDEO_MEMORY:
        model.vram = VIDEO_MEMORY[model.type][traditional_device_model(domain)]
