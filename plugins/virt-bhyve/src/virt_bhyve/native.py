"""``bhyve-argv``: the command lines of loader and bhyve as one text, read and written."""

from __future__ import annotations

import logging
import re
import shlex
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from virt_bhyve.capabilities import ALL, BhyveCapabilities, BhyveCapability
from virt_bhyve.command import DryRun, bhyve_command
from virt_bhyve.firmware import FIRMWARE_FOLDER, choose_firmware
from virt_bhyve.loader import loader_command
from virt_bhyve.rules import BhyveRules
from virtcore.driver.native import refuse_unprintable
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, OperationFailed, VirtError
from virtcore.model.arch import Arch
from virtcore.model.domain.address import PCIAddress
from virtcore.model.domain.chardev import CharacterType, NMDMChardev, NMDMSource, Serial, SerialTarget
from virtcore.model.domain.clock import Clock, ClockOffset
from virtcore.model.domain.cputune import CPUPlacement, VCPUMaximum
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.disk import Disk, DiskBus, DiskDevice, DiskTarget
from virtcore.model.domain.document import load_domain
from virtcore.model.domain.domain import Domain, LifecycleAction, VirtType
from virtcore.model.domain.features import APIC, Features
from virtcore.model.domain.graphics import AddressListen, VNCGraphics
from virtcore.model.domain.interface import (
    BridgeInterfaceSource,
    Interface,
    InterfaceMAC,
    InterfaceTarget,
    InterfaceType,
)
from virtcore.model.domain.memory import Memory, MemoryBacking
from virtcore.model.domain.os import OS, LoaderType, OSType, OSVariant
from virtcore.model.domain.rng import RNG, RandomBackend, RNGModel
from virtcore.model.domain.rules import ParseFlag
from virtcore.model.domain.video import VGAConf, Video, VideoDriver, VideoModel, VideoResolution, VideoType
from virtcore.model.storage.source import BlockSource, FileSource, StorageType
from virtcore.xml import MAC, UUID

if TYPE_CHECKING:
    from virtcore.model.domain.rules import DomainContext

__all__ = ["format_command_lines", "parse_command_lines"]

log = logging.getLogger("virtcore")

_BHYVE, _BHYVELOAD = "/usr/sbin/bhyve", "/usr/sbin/bhyveload"
_DEVICE_MAP = "<device.map>"
#: What stands in for the bridge, which a command line does not tell.
_BRIDGE = "virbr0"
_MIB = 1 << 20
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": _MIB, "g": 1 << 30, "t": 1 << 40}
_MEMORY = re.compile(r"([0-9]{1,19})([bkmgt]?)", re.IGNORECASE)
_LAST_DISK = 26
#: A 32-bit number, signed where libvirt takes it into an int.
_NUMBER = re.compile(r"[0-9]{1,10}")
_UINT_MAX = (1 << 32) - 1


# -- from domain XML


def format_command_lines(xml: str, capabilities: BhyveCapabilities = ALL) -> str:
    """The command lines that would load and run a domain, one a line.

    :param xml: the domain; neither it nor the host changes.
    :param capabilities: what the programs can do.
    :raises VirtError: the document is malformed, or asks for what bhyve cannot do.
    """
    rules = BhyveRules(capabilities)
    domain = load_domain(xml, rules, rules.context(ParseFlag.INACTIVE, arch=Arch.X86_64))
    choose_firmware(domain, FIRMWARE_FOLDER, ["BHYVE_UEFI.fd"])
    assert domain.os is not None
    loader = domain.os.loader
    if domain.bootloader is None and loader is not None:
        if not loader.readonly or loader.type is not LoaderType.PFLASH:
            raise ConfigUnsupported("Only read-only pflash is supported.")
        if BhyveCapability.LPC_BOOTROM not in capabilities.bhyve:
            raise ConfigUnsupported("Installed bhyve binary does not support bootrom")
    commands = []
    load = loader_command(domain, capabilities, DryRun(), _DEVICE_MAP)
    if load is not None:
        commands.append([_path(load.argv[0]), *load.argv[1:]])
    words = bhyve_command(domain, capabilities, DryRun())
    commands.append([_path(words[0]), *words[1:]])
    return "\n".join(map(shlex.join, commands))


def _path(program: str) -> str:
    """Where FreeBSD has its own programs; those of the user's have a path."""
    return {"bhyve": _BHYVE, "bhyveload": _BHYVELOAD}.get(program, program)


# -- from command lines


def parse_command_lines(
    text: str,
    *,
    new_uuid: Callable[[], uuid.UUID] = uuid.uuid4,
    context: DomainContext | None = None,
) -> Domain:
    """The domain that command lines of bhyve, and perhaps of a loader, run.

    What has no place in a domain (a network device that is no tap, a 27th disk) is left out, with a warning in the
    log. Nothing is completed: the domain is what the words say.

    :param text: a command a line; a line goes on after a backslash.
    :param new_uuid: where the UUID of a guest without one comes from.
    :param context: where MAC addresses come from.
    :raises VirtError: it is no such text.
    """
    refuse_unprintable(text)
    loader, bhyve = _split_commands(text)
    reader = _Reader(new_uuid, context or BhyveRules().context())
    reader.read_bhyve(bhyve)
    if loader and loader[0] == _BHYVELOAD:
        reader.read_bhyveload(loader)
    elif loader:
        reader.take_loader(loader)
    return reader.domain


def _split_commands(text: str) -> tuple[list[str], list[str]]:
    """The words of the loader (perhaps none) and of bhyve.

    :raises InternalError: there is no bhyve.
    """
    text = re.sub(r"\\(\r\n|\r|\n)", "", text)
    loader: list[str] = []
    bhyve: list[str] = []
    for line in re.split(r"[\r\n]+", text):
        words = _split_words(line)
        if not words:
            continue
        if not bhyve and words[0] == _BHYVE:
            bhyve = words
        elif not loader:
            loader = words
    if not bhyve:
        raise InternalError("Failed to convert the command string to argv-lists")
    return loader, bhyve


def _split_words(line: str) -> list[str]:
    """A line's words: parted by white space, or quoted; a quotation that is not closed goes to the end."""
    words, at = [], 0
    while at < len(line):
        quote = line[at] if line[at] in "'\"" else None
        at += quote is not None
        end = line.find(quote or " ", at)
        words.append(line[at:] if end < 0 else line[at:end])
        if end < 0:
            break
        at = end + (quote is not None)
        while at < len(line) and line[at].isspace():
            at += 1
    return words


def _number(text: str, complaint: str, largest: int = _UINT_MAX) -> int:
    if _NUMBER.fullmatch(text) is None or int(text) > largest:
        raise OperationFailed(complaint, value=text)
    return int(text)


def _memory(text: str) -> int:
    """Memory in KiB. A number without unit means MiB, or bytes where that would be absurd."""
    found = _MEMORY.fullmatch(text)
    if found is None:
        raise OperationFailed("Failed to parse memory", value=text)
    size, unit = int(found.group(1)), found.group(2).lower()
    size *= _MIB if not unit and size < _MIB else _UNITS[unit]
    if size >= 1 << 63:
        raise OperationFailed("Failed to parse memory", value=text)
    return size // 1024


class _Words:
    """The options of a command, one after the other; stops at the first word that is none."""

    def __init__(self, words: list[str]) -> None:
        self.words = words
        self.at = 1

    def option(self) -> str | None:
        """The letter of the next option. The last word is the guest's name and never one."""
        if self.at >= len(self.words) - 1 or not self.words[self.at].startswith("-"):
            return None
        self.at += 1
        return self.words[self.at - 1][1:2]

    def value(self) -> str:
        """The word after an option.

        :raises InvalidArg: it is the last.
        """
        if self.at >= len(self.words) - 1:
            raise InvalidArg(f"Missing argument for '{self.words[self.at - 1]}'")
        self.at += 1
        return self.words[self.at - 1]

    def name(self) -> str:
        """What stands behind all options.

        :raises OperationFailed: more, or less, than one word.
        """
        if self.at != len(self.words) - 1 or not self.words[self.at]:
            raise OperationFailed("Failed to parse arguments for bhyve command")
        return self.words[self.at]


class _Reader:
    def __init__(self, new_uuid: Callable[[], uuid.UUID], context: DomainContext) -> None:
        self.context = context
        self.devices = Devices()
        self.virtio_disks = 0
        self.sata_disks = 0
        self.memory = 0
        self.domain = Domain(
            type=VirtType.BHYVE,
            name="",
            uuid=str(new_uuid()),
            memory=Memory(size=0),
            current_memory=0,
            vcpu=VCPUMaximum(placement=CPUPlacement.STATIC, maximum=0),
            os=OS(type=OSVariant(type=OSType.HVM)),
            clock=Clock(offset=ClockOffset.LOCALTIME),
            on_poweroff=LifecycleAction.DESTROY,
            on_reboot=LifecycleAction.DESTROY,
            on_crash=LifecycleAction.DESTROY,
            devices=self.devices,
        )

    # -- commands

    def read_bhyve(self, argv: list[str]) -> None:
        domain, words = self.domain, _Words(argv)
        features = Features()
        while (option := words.option()) is not None:
            if option == "A":
                features.acpi = True
            elif option == "I":
                features.apic = APIC()
            elif option == "S":
                domain.memory_backing = MemoryBacking(locked=True)
            elif option == "u":
                domain.clock = Clock(offset=ClockOffset.UTC)
            elif option == "U":
                domain.uuid = self.uuid(words.value())
            elif option == "c":
                complaint = "Failed to parse number of vCPUs"
                count = _number(words.value(), complaint, _UINT_MAX >> 1)
                if not count:
                    raise ConfigUnsupported("domain config can't have 0 maximum vCPUs")
                domain.vcpu = VCPUMaximum(placement=CPUPlacement.STATIC, maximum=count)
            elif option == "m":
                self.take_memory(words.value())
            elif option == "l":
                self.lpc(words.value())
            elif option == "s":
                self.pci(words.value())
            elif option in ("p", "g"):
                words.value()
        if features.acpi or features.apic is not None:
            domain.features = features
        self.take_name(words.name())

    def read_bhyveload(self, argv: list[str]) -> None:
        words, seen = _Words(argv), set()
        while (option := words.option()) is not None:
            seen.add(option)
            if option == "m":
                self.take_memory(words.value())
            elif option == "d":
                self.boot_from(words.value())
        self.take_name(words.name())
        if seen != {"d", "m"}:
            # More, or less, than what the driver itself would say.
            self.take_loader(argv)

    def take_loader(self, argv: list[str]) -> None:
        self.domain.bootloader = argv[0]
        self.domain.bootloader_args = " ".join(argv[1:])

    def take_name(self, name: str) -> None:
        if self.domain.name and self.domain.name != name:
            raise OperationFailed("Failed to parse arguments: VM name mismatch")
        self.domain.name = name

    def take_memory(self, text: str) -> None:
        size = _memory(text)
        if self.memory and self.memory != size:
            raise OperationFailed("Failed to parse memory: size mismatch")
        self.memory = size
        self.domain.memory = Memory(size=size)
        self.domain.current_memory = size

    @staticmethod
    def uuid(text: str) -> str:
        try:
            return str(UUID.read(text))
        except ValueError:
            raise InternalError(f"Cannot parse UUID '{text}'", value=text) from None

    def boot_from(self, path: str) -> None:
        """The disk that is loaded from boots first; the first one does so anyway."""
        for place, disk in enumerate(self.devices.disks):
            if path in (getattr(disk.source, "file", None), getattr(disk.source, "dev", None)):
                disk.boot_order = place or None
                return

    # -- devices

    def lpc(self, text: str) -> None:
        """A device behind the ISA bridge; only serial ports are known."""
        kind, comma, path = text.partition(",")
        if not comma:
            raise OperationFailed(f"Failed to parse '{text}'", value=text)
        if not kind.startswith("com") or len(kind) != 4:
            return
        if not path.startswith("/dev/nmdm"):
            raise OperationFailed(f"Failed to set com port {kind}: does not start with '/dev/nmdm'.", value=path)
        other = {"A": "B", "B": "A"}.get(path[-1])
        if other is None:
            raise OperationFailed(f"Failed to set slave for {path}: last letter not 'A' or 'B'", value=path)
        if kind[3] not in "12":
            raise OperationFailed(f"Failed to parse {kind}: only com1 and com2 supported.", value=kind)
        self.devices.serials.append(
            Serial(
                type=CharacterType.NMDM,
                source=NMDMChardev(source=NMDMSource(master=path, slave=path[:-1] + other)),
                target=SerialTarget(port=int(kind[3]) - 1),
            )
        )

    def pci(self, text: str) -> None:
        """A PCI device: its place, its kind, its configuration."""
        place, comma, rest = text.partition(",")
        if not comma:
            raise OperationFailed(f"Failed to parse '{text}'", value=text)
        kind, comma, config = rest.partition(",")
        read = _DEVICES.get(kind)
        address = _address(place)
        if read is None:
            return
        try:
            read(self, address, config if comma else None)
        except VirtError as error:
            log.warning("bhyve device '%s' is left out: %s", kind, error)

    def disk(self, address: PCIAddress, config: str | None, device: DiskDevice, bus: DiskBus) -> None:
        if config is None:
            raise OperationFailed("Failed to parse disk without source")
        if bus is DiskBus.VIRTIO:
            prefix, number = "vd", self.virtio_disks
            self.virtio_disks += 1
        else:
            prefix, number = "sd", self.sata_disks
            self.sata_disks += 1
        if number >= _LAST_DISK:
            raise ConfigUnsupported("too many disks")
        path = config.partition(",")[0]
        block = config.startswith("/dev/")
        self.devices.disks.append(
            Disk(
                type=StorageType.BLOCK if block else StorageType.FILE,
                device=device,
                source=BlockSource(dev=path) if block else FileSource(file=path),
                target=DiskTarget(dev=f"{prefix}{chr(ord('a') + number)}", bus=bus),
                address=address,
            )
        )

    def network(self, address: PCIAddress, config: str | None, model: str) -> None:
        if config is None or not config.startswith("tap"):
            raise ConfigUnsupported("Only tap devices supported")
        device, comma, option = config.partition(",")
        mac = "00:00:00:00:00:00"
        if not comma:
            mac = self.context.new_mac()
        elif not option.startswith("mac="):
            raise ConfigUnsupported("Only mac option can be specified for virt-net")
        else:
            try:
                mac = str(MAC.read(option[4:]))
            except ValueError:
                log.warning("unable to parse mac address '%s'", option[4:])
        self.devices.interfaces.append(
            Interface(
                type=InterfaceType.BRIDGE,
                mac=InterfaceMAC(address=mac),
                source=BridgeInterfaceSource(bridge=_BRIDGE),
                target=InterfaceTarget(dev=device),
                model=model,
                address=address,
            )
        )

    def rng(self, address: PCIAddress, config: str | None) -> None:
        self.devices.rngs.append(RNG(model=RNGModel.VIRTIO, backend=RandomBackend(path="/dev/random"), address=address))

    def framebuffer(self, address: PCIAddress, config: str | None) -> None:
        if config is None:
            raise OperationFailed("Failed to parse framebuffer without configuration")
        graphics = VNCGraphics(port=0, autoport=False)
        model = VideoModel(type=VideoType.GOP, heads=1)
        video = Video(model=model)
        for parameter in config.split(","):
            name, _, value = parameter.partition("=")
            if name in ("rfb", "tcp"):
                # Of bhyve's own [address]:port only the last colon parts.
                host, colon, port = value.rpartition(":")
                if not colon:
                    raise OperationFailed(f"Failed to parse '{parameter}'", value=parameter)
                host = host.removeprefix("[").removesuffix("]")
                graphics.listens.append(AddressListen(address=host or "127.0.0.1"))
                graphics.port = _number(port, f"Failed to parse '{parameter}'", _UINT_MAX >> 1)
            elif name in ("w", "h"):
                model.resolution = model.resolution or VideoResolution(x=0, y=0)
                size = _number(value, f"Failed to parse '{parameter}'")
                if name == "w":
                    model.resolution.x = size
                else:
                    model.resolution.y = size
            elif name == "password":
                graphics.passwd = value
            elif parameter in ("vga=on", "vga=io", "vga=off"):
                video.driver = VideoDriver(vgaconf=VGAConf(value))
        self.devices.videos.append(video)
        self.devices.graphics.append(graphics)


def _address(text: str) -> PCIAddress:
    """``slot``, ``slot:function`` or ``bus:slot:function``."""
    parts = [_number(part, f"Failed to parse PCI address '{text}'") for part in text.split(":", 2)]
    bus, slot, function = {1: (0, *parts, 0), 2: (0, *parts), 3: tuple(parts)}[len(parts)]
    return PCIAddress(domain=0, bus=bus, slot=slot, function=function)


_DEVICES: dict[str, Callable[[_Reader, PCIAddress, str | None], None]] = {
    "ahci-cd": lambda reader, at, config: reader.disk(at, config, DiskDevice.CDROM, DiskBus.SATA),
    "ahci-hd": lambda reader, at, config: reader.disk(at, config, DiskDevice.DISK, DiskBus.SATA),
    "virtio-blk": lambda reader, at, config: reader.disk(at, config, DiskDevice.DISK, DiskBus.VIRTIO),
    "virtio-net": lambda reader, at, config: reader.network(at, config, "virtio"),
    "e1000": lambda reader, at, config: reader.network(at, config, "e1000"),
    "virtio-rnd": lambda reader, at, config: reader.rng(at, config),
    "fbuf": lambda reader, at, config: reader.framebuffer(at, config),
}
