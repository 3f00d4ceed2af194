"""bhyve's command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from virt_bhyve.capabilities import BhyveCapability
from virt_bhyve.namespace import extra_arguments
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import DriveAddress, PCIAddress
from virtcore.model.domain.audio import OSSAudio, OSSStream
from virtcore.model.domain.chardev import NMDMChardev
from virtcore.model.domain.clock import ClockOffset
from virtcore.model.domain.controller import (
    AnyController,
    ISAController,
    PCIController,
    PCIControllerModel,
    SATAController,
    USBController,
)
from virtcore.model.domain.disk import DiskBus, DiskDevice
from virtcore.model.domain.features import UnknownMSR
from virtcore.model.domain.filesystem import AccessMode, DirectorySource, FilesystemType
from virtcore.model.domain.graphics import AddressListen, NetworkListen, VNCGraphics
from virtcore.model.domain.input import InputBus, InputType
from virtcore.model.domain.interface import BridgeInterfaceSource, InterfaceType
from virtcore.model.domain.rules.device_list import devices_of
from virtcore.model.domain.sound import SoundModel
from virtcore.model.domain.video import VGAConf
from virtcore.model.storage.source import FileSource, VolumeSource
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_bhyve.capabilities import BhyveCapabilities
    from virtcore.model.domain.audio import Audio
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.graphics import Graphics
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.video import Video

__all__ = ["DryRun", "Resources", "bhyve_command", "disk_path", "guest_name", "megabytes", "null_modem"]

_FIRST_VNC_PORT, _LAST_PORT = 5900, 65535
_MOST_SERIAL_PORTS = 2


class Resources(Protocol):
    """What a start takes from the host."""

    def tap(self, bridge: str, interface: Interface) -> str:
        """Make a tap device on a bridge; the name that bhyve is to open."""

    def vnc_port(self, graphics: VNCGraphics) -> int:
        """The port for a display, a free one where the domain leaves the choice."""

    def volume(self, source: VolumeSource) -> str:
        """The path of a pool's volume."""


class DryRun:
    """Takes nothing: the command line is only to be looked at."""

    def tap(self, bridge: str, interface: Interface) -> str:
        return "tap0"

    def vnc_port(self, graphics: VNCGraphics) -> int:
        return graphics.port or 0

    def volume(self, source: VolumeSource) -> str:
        raise ConfigUnsupported("unsupported disk type")


def bhyve_command(domain: Domain, capabilities: BhyveCapabilities, resources: Resources) -> list[str]:
    """The words that run a guest.

    :param domain: completed by :class:`~virt_bhyve.rules.BhyveRules`, with its firmware chosen.
    :raises VirtError: bhyve, or this bhyve, cannot do what the domain asks for.
    """
    return ["bhyve", *_Builder(domain, capabilities, resources).words()]


def megabytes(domain: Domain) -> int:
    """The guest's memory as bhyve takes it."""
    return -(-domain.memory_total // 1024)


def null_modem(domain: Domain) -> str | None:
    """The guest's end of the first serial port; None where there is no port.

    :raises ConfigUnsupported: the port is no null modem.
    """
    serials = devices_of(domain).serials
    if not serials:
        return None
    source = serials[0].source
    if not isinstance(source, NMDMChardev) or source.source is None or source.source.master is None:
        raise ConfigUnsupported("only nmdm console types are supported")
    return part(source.source.master, "null modem names")


def part(value: str, what: str) -> str:
    """A part of a device's words, which commas part from each other.

    :raises ConfigUnsupported: it has a comma, and what follows would be taken for an option.
    """
    if "," in value:
        raise ConfigUnsupported(f"Commas (',') are not allowed in {what}", value=value)
    return value


def guest_name(domain: Domain) -> str:
    """The guest's name as the last word of a command.

    :raises ConfigUnsupported: it would be taken for an option.
    """
    if domain.name.startswith("-"):
        raise ConfigUnsupported(f"name '{domain.name}' would be taken for an option", value=domain.name)
    return domain.name


def disk_path(disk: Disk, resources: Resources) -> str | None:
    """The image behind a disk; None for an empty drive.

    :raises ConfigUnsupported: it is no file.
    """
    source = disk.source
    if isinstance(source, VolumeSource):
        return part(resources.volume(source), "disk paths")
    if source is not None and not isinstance(source, FileSource):
        raise ConfigUnsupported("unsupported disk type")
    return part(source.file, "disk paths") if source is not None and source.file is not None else None


def _place(device: Any) -> str:
    """Slot and function of a device on the bus."""
    address = device.address
    if not isinstance(address, PCIAddress):
        raise InternalError(f"{declaration(type(device)).name} has no PCI address")
    return f"{address.slot or 0}:{address.function or 0}"


class _Builder:
    def __init__(self, domain: Domain, capabilities: BhyveCapabilities, resources: Resources) -> None:
        self.domain = domain
        self.devices: Devices = devices_of(domain)
        self.known = capabilities.bhyve
        self.resources = resources

    def require(self, capability: BhyveCapability, complaint: str) -> None:
        if capability not in self.known:
            raise ConfigUnsupported(complaint)

    def words(self) -> Iterator[str]:
        domain, devices = self.domain, self.devices
        yield from ("-c", self.cpus(), "-m", str(megabytes(domain)))
        yield from self.flags()
        # The guest leaves its CPU when it has nothing to do, or waits in a loop.
        yield from ("-H", "-P", "-s", "0:0,hostbridge")
        assert domain.os is not None
        if domain.bootloader is None and domain.os.loader is not None:
            self.require(BhyveCapability.LPC_BOOTROM, "Installed bhyve binary does not support UEFI loader")
            yield from ("-l", f"bootrom,{part(domain.os.loader.path or '', 'loader paths')}")
        for device in self.on_bus(devices):
            yield from ("-s", device)
        master = null_modem(domain)
        if master is not None:
            target = devices.serials[0].target
            port = (target.port if target is not None else None) or 0
            if port > _MOST_SERIAL_PORTS:
                raise ConfigUnsupported("only two serial ports are supported")
            yield from ("-l", f"com{port + 1},{master}")
        yield from extra_arguments(domain)
        yield guest_name(domain)

    def on_bus(self, devices: Devices) -> Iterator[str]:
        yield from self.controllers()
        yield from map(self.network, devices.interfaces)
        for disk in devices.disks:
            bus = disk.target.bus if disk.target is not None else None
            if bus is DiskBus.VIRTIO:
                yield self.virtio_disk(disk)
            elif bus is not DiskBus.SATA:
                raise ConfigUnsupported("unsupported disk device")
        if devices.graphics and devices.videos:
            if len(devices.graphics) > 1 or len(devices.videos) > 1:
                raise ConfigUnsupported("Multiple graphics devices are not supported")
            yield self.framebuffer(devices.graphics[0], devices.videos[0])
        yield from map(self.sound, devices.sounds)
        yield from map(self.filesystem, devices.filesystems)
        yield from (f"{_place(rng)},virtio-rnd" for rng in devices.rngs)

    # -- the machine

    def cpus(self) -> str:
        count = self.domain.vcpu_count
        topology = self.domain.cpu.topology if self.domain.cpu is not None else None
        if topology is None:
            return str(count)
        if (topology.dies or 1) != 1:
            raise ConfigUnsupported("Only 1 die per socket is supported")
        if (topology.clusters or 1) != 1:
            raise ConfigUnsupported("Only 1 cluster per die is supported")
        if count != topology.sockets * topology.cores * topology.threads:
            raise ConfigUnsupported(
                "Invalid CPU topology: total number of vCPUs must equal the product of sockets, cores, and threads"
            )
        self.require(BhyveCapability.CPUTOPOLOGY, "Installed bhyve binary does not support defining CPU topology")
        return f"cpus={count},sockets={topology.sockets},cores={topology.cores},threads={topology.threads}"

    def flags(self) -> Iterator[str]:
        domain, features = self.domain, self.domain.features
        if domain.memory_backing is not None and domain.memory_backing.locked:
            yield "-S"
        if features is not None:
            if features.acpi:
                yield "-A"
            if features.apic is not None:
                yield "-I"
            if features.msrs is not None and features.msrs.unknown is UnknownMSR.IGNORE:
                yield "-w"
        offset = domain.clock.offset if domain.clock is not None else None
        if offset in (None, ClockOffset.UTC):
            self.require(BhyveCapability.RTC_UTC, "Installed bhyve binary does not support UTC clock")
            yield "-u"
        elif offset is not ClockOffset.LOCALTIME:
            raise ConfigUnsupported(f"unsupported clock offset '{offset}'")

    # -- controllers

    def controllers(self) -> Iterator[str]:
        seen: set[type[AnyController]] = set()
        for controller in self.devices.controllers:
            if isinstance(controller, PCIController):
                if controller.model is not PCIControllerModel.PCI_ROOT:
                    raise ConfigUnsupported("unsupported PCI controller model: only PCI root supported")
            elif isinstance(controller, SATAController):
                yield f"{_place(controller)},ahci{self.drives(controller)}"
            elif isinstance(controller, USBController):
                if USBController in seen:
                    raise ConfigUnsupported("only single USB controller is supported")
                self.require_tablet()
                yield f"{_place(controller)},xhci,tablet"
            elif isinstance(controller, ISAController):
                if ISAController in seen:
                    raise ConfigUnsupported("only single ISA controller is supported")
                yield f"{_place(controller)},lpc"
            seen.add(type(controller))

    def drives(self, controller: SATAController) -> str:
        """What a SATA controller drives: several drives where bhyve can do so, else the one."""
        words = []
        kinds = {None: "hd", DiskDevice.DISK: "hd", DiskDevice.CDROM: "cd"}
        for disk in self.devices.disks:
            if disk.target is None or disk.target.bus is not DiskBus.SATA:
                continue
            address = disk.address
            if not isinstance(address, DriveAddress) or (address.controller or 0) != (controller.index or 0):
                continue
            path = disk_path(disk, self.resources)
            if path is None and disk.device is DiskDevice.CDROM:
                raise ConfigUnsupported("cdrom device without source path not supported")
            if disk.device not in kinds:
                raise ConfigUnsupported("unsupported disk device")
            if path is None:
                raise ConfigUnsupported("unsupported disk type")
            several = BhyveCapability.AHCI32SLOT in self.known
            words.append(f",{kinds[disk.device]}:{path}" if several else f"-{kinds[disk.device]},{path}")
        return "".join(words)

    def require_tablet(self) -> None:
        """A USB controller has one tablet and nothing else."""
        for device in self.devices.inputs:
            if device.bus is not InputBus.USB:
                raise ConfigUnsupported("only USB input devices are supported")
            if device.type is not InputType.TABLET:
                raise ConfigUnsupported("only tablet input devices are supported")
        if len(self.devices.inputs) != 1:
            raise ConfigUnsupported("only single input device is supported")

    # -- devices

    def network(self, interface: Interface) -> str:
        if interface.model == "virtio":
            model = "virtio-net"
        elif interface.model == "e1000":
            self.require(BhyveCapability.NET_E1000, "NIC model 'e1000' is not supported by given bhyve binary")
            model = "e1000"
        else:
            raise ConfigUnsupported("NIC model is not supported")
        kind, source = interface.type or InterfaceType.USER, interface.source
        bridge = source.bridge if isinstance(source, BridgeInterfaceSource) else None
        if kind is InterfaceType.NETWORK and interface.actual is not None:
            kind = interface.actual.type
            bridge = getattr(interface.actual.source, "bridge", None)
        if kind is not InterfaceType.BRIDGE or bridge is None:
            raise ConfigUnsupported(f"Network type {list(InterfaceType).index(kind)} is not supported")
        assert interface.mac is not None
        device = self.resources.tap(bridge, interface)
        return f"{_place(interface)},{model},{device},mac={interface.mac.address}"

    def virtio_disk(self, disk: Disk) -> str:
        if disk.device not in (None, DiskDevice.DISK):
            raise ConfigUnsupported("unsupported disk device")
        path = disk_path(disk, self.resources)
        if path is None:
            raise ConfigUnsupported("unsupported disk type")
        return f"{_place(disk)},virtio-blk,{path}"

    def framebuffer(self, graphics: Graphics, video: Video) -> str:
        assert self.domain.os is not None
        if (
            BhyveCapability.LPC_BOOTROM not in self.known
            or self.domain.bootloader is not None
            or self.domain.os.loader is None
        ):
            raise ConfigUnsupported("Graphics are only supported when booting using UEFI")
        self.require(BhyveCapability.FBUF, "Bhyve version does not support framebuffer")
        if not isinstance(graphics, VNCGraphics):
            raise ConfigUnsupported("Only VNC supported")
        if not graphics.listens:
            raise InternalError("Missing listen element")
        listen = graphics.listens[0]
        if not isinstance(listen, AddressListen | NetworkListen):
            raise ConfigUnsupported("Unsupported listen type")
        if not graphics.autoport and not _FIRST_VNC_PORT <= (graphics.port or 0) <= _LAST_PORT:
            raise ConfigUnsupported("vnc port must be in range [5900,65535]")
        host = part(listen.address or "", "listen addresses")
        if ":" in host:
            host = f"[{host}]"
        words = [f"{_place(video)},fbuf", f"tcp={host}:{self.resources.vnc_port(graphics)}"]
        if graphics.passwd is not None:
            self.require(BhyveCapability.VNC_PASSWORD, "VNC Password authentication not supported by bhyve")
            if "," in graphics.passwd:
                raise ConfigUnsupported("Password may not contain ',' character")
            words.append(f"password={graphics.passwd}")
        resolution = video.model.resolution if video.model is not None else None
        if resolution is not None:
            words.append(f"w={resolution.x or 0},h={resolution.y or 0}")
        if video.driver is not None:
            words.append(f"vga={video.driver.vgaconf or VGAConf.IO}")
        return ",".join(words)

    def sound(self, sound: Sound) -> str:
        self.require(BhyveCapability.SOUND_HDA, "Sound devices emulation is not supported by given bhyve binary")
        if sound.model is not SoundModel.ICH7:
            raise ConfigUnsupported("Sound device model is not supported")
        audio = next((a for a in self.devices.audios if sound.audio_id and a.id == sound.audio_id), None)
        return f"{_place(sound)},hda{_oss(audio) if audio is not None else ''}"

    def filesystem(self, filesystem: Filesystem) -> str:
        source = filesystem.source
        if filesystem.type not in (None, FilesystemType.MOUNT) or not isinstance(source, DirectorySource):
            raise ConfigUnsupported(f"unsupported filesystem type '{filesystem.type}'")
        driver = filesystem.driver.type if filesystem.driver is not None else None
        if driver is not None:
            raise ConfigUnsupported(f"unsupported filesystem driver '{driver}'")
        if filesystem.accessmode not in (None, AccessMode.PASSTHROUGH):
            raise ConfigUnsupported(f"unsupported filesystem accessmode '{filesystem.accessmode}'")
        readonly = ",ro" if filesystem.readonly else ""
        tag, path = part(filesystem.target or "", "share names"), part(source.dir or "", "shared paths")
        return f"{_place(filesystem)},virtio-9p,{tag}={path}{readonly}"


def _oss(audio: Audio) -> str:
    """Where the sound comes from and goes to."""
    if not isinstance(audio, OSSAudio):
        raise ConfigUnsupported(f"unsupported audio backend '{declaration(type(audio)).tag}'")
    if any(map(_is_tuned, (audio.input, audio.output))):
        raise ConfigUnsupported("cannot set common audio backend settings")
    play = (
        f",play={part(audio.input.dev, 'sound devices')}"
        if audio.input is not None and audio.input.dev is not None
        else ""
    )
    record = (
        f",rec={part(audio.output.dev, 'sound devices')}"
        if audio.output is not None and audio.output.dev is not None
        else ""
    )
    return play + record


def _is_tuned(stream: OSSStream | None) -> bool:
    """Whether a direction has what is common to all backends."""
    if stream is None:
        return False
    common = (stream.mixing_engine, stream.fixed_settings, stream.voices, stream.buffer_length, stream.settings)
    return any(value is not None for value in common)
