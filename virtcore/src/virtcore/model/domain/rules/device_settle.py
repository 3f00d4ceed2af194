"""What libvirt's parser fills in, sorts, drops or refuses while it reads devices, in its order."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from virtcore.errors import ConfigUnsupported, VirtError, XMLDetail, XMLError
from virtcore.model.domain.address import DriveAddress, USBAddress
from virtcore.model.domain.rules.device_info import settle_info
from virtcore.model.domain.rules.device_list import (
    add_controllers,
    devices_of,
    locate,
    located,
    scsi_hostdevs,
    sort_controllers,
    sort_disks,
)
from virtcore.model.paths import sanitize_path

if TYPE_CHECKING:
    from virtcore.model.domain.address import Device
    from virtcore.model.domain.audio import Audio
    from virtcore.model.domain.chardev import Console
    from virtcore.model.domain.controller import AnyController, SCSIControllerModel, USBController
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.hostdev import AnyHostdev
    from virtcore.model.domain.hub import Hub
    from virtcore.model.domain.input import Input
    from virtcore.model.domain.memballoon import Memballoon
    from virtcore.model.domain.memory_device import AnyMemoryDevice
    from virtcore.model.domain.redirdev import Redirdev, RedirFilter
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.domain.shmem import Shmem
    from virtcore.model.domain.smartcard import Smartcard
    from virtcore.model.domain.tpm import TPM
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.watchdog import Watchdog

__all__ = ["add_hostdev_controllers", "memory_device_size", "settle_devices"]

Step = Callable[[Any, "Domain", "DomainContext"], None]
Settle = Callable[[Any, "DomainContext"], None]


def settle_devices(domain: Domain, context: DomainContext) -> None:
    """Makes of freshly read devices what libvirt's parser would have made of the document.

    :raises VirtError: what libvirt's parser refuses.
    """
    held = vars(devices_of(domain))
    for name, step in _STEPS:
        found = held.get(name)
        if found:
            step(found, domain, context)


def _each(settle: Settle) -> Step:
    """A step that looks at one device after the other."""

    def step(found: Any, domain: Domain, context: DomainContext) -> None:
        device: object = None
        try:
            for device in found if isinstance(found, list) else (found,):
                settle(device, context)
        except VirtError as error:
            locate(error, domain, device)
            raise

    return step


def _later(module: str, name: str) -> Settle:
    """A function of a module that is imported when the first such device comes."""
    known: list[Settle] = []

    def settle(device: object, context: DomainContext) -> None:
        if not known:
            known.append(getattr(import_module(f"{__package__}.{module}"), name))
        known[0](device, context)

    return settle


def _settle_disks(found: list[Disk], domain: Domain, context: DomainContext) -> None:
    _settle_each_disk(found, domain, context)
    devices_of(domain).disks = sort_disks(found)


def settle_info_of(device: Device, context: DomainContext) -> None:
    """A device of which only alias and address have to be settled."""
    settle_info(device, context)


# ---------------------------------------------------------------------------------------------------------- controllers


def _settle_controllers(found: list[AnyController], domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.controller import USBController, USBControllerModel

    disabled = other = master = False
    controller: AnyController | None = None
    try:
        for controller in found:
            if isinstance(controller, USBController):
                none = controller.model is USBControllerModel.NONE
                _settle_usb_controller(controller, none=none)
                if disabled or (none and other):
                    raise XMLDetail("Can't add another USB controller: USB is disabled for this domain")
                disabled = disabled or none
                other = other or not none
                master = master or controller.master_startport is None
            if controller.address is not None or controller.alias is not None:
                settle_info(controller, context)
    except VirtError as error:
        locate(error, domain, controller)
        raise
    devices_of(domain).controllers = sort_controllers(found)
    if other and not master:
        raise XMLDetail("No master USB controller specified", path="/domain/devices/controller")


def _usb_disabled(domain: Domain) -> bool:
    from virtcore.model.domain.controller import USBController, USBControllerModel

    return any(
        isinstance(controller, USBController) and controller.model is USBControllerModel.NONE
        for controller in devices_of(domain).controllers
    )


def _settle_usb_controller(controller: USBController, *, none: bool) -> None:
    if none:
        controller.alias = controller.address = controller.acpi_index = controller.master_startport = None
    elif controller.master_startport is None:
        # Companions have a sensible place.
        controller.master_startport = {"ich9-uhci1": 0, "ich9-uhci2": 2, "ich9-uhci3": 4}.get(controller.model or "")


def _settle_hostdevs(found: list[AnyHostdev], domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.hostdev import USBHostdev
    from virtcore.model.domain.rules.device_settle_interface import settle_hostdev

    disabled = _usb_disabled(domain)
    for hostdev in found:
        with located(domain, hostdev):
            settle_hostdev(hostdev, context)
            if disabled and isinstance(hostdev, USBHostdev):
                raise ConfigUnsupported("Can't add host USB device: USB is disabled in this host")
    add_hostdev_controllers(domain)


def add_hostdev_controllers(domain: Domain) -> None:
    """Adds the SCSI controllers host devices are addressed at; the model is that of those they have already."""
    from virtcore.model.domain.controller import SCSIController

    highest = -1
    model: SCSIControllerModel | None = None
    models: dict[int | None, SCSIControllerModel] = {}
    for controller in devices_of(domain).controllers:
        if isinstance(controller, SCSIController) and controller.model:
            models.setdefault(controller.index, controller.model)
    for hostdev in scsi_hostdevs(domain):
        index = (hostdev.address.controller or 0) if isinstance(hostdev.address, DriveAddress) else 0
        if index > highest:
            highest = index
            model = models.get(index, model)
    if highest >= 0:
        add_controllers(
            domain, SCSIController, range(highest + 1), lambda index: SCSIController(index=index, model=model)
        )


# -------------------------------------------------------------------------------------------------------- other devices


def _settle_filesystem(filesystem: Filesystem, context: DomainContext) -> None:
    from virtcore.errors import NoSource
    from virtcore.model.domain.filesystem import (
        DirectorySource,
        FilesystemDriverType,
        FilesystemType,
        FilesystemVolumeSource as Volume,
    )

    if filesystem.type is None:
        filesystem.type = FilesystemType.MOUNT
    for name in ("fmode", "dmode"):
        mode = getattr(filesystem, name)
        if mode is not None and mode > 0o777:
            raise XMLError(f"invalid {name}: '0{mode:o}'")
    driver = filesystem.driver
    if driver is None or driver.type is not FilesystemDriverType.VIRTIOFS:
        filesystem.binary = None
        filesystem.uid_map = []
        filesystem.gid_map = []
    if filesystem.binary is not None and filesystem.binary.path is not None:
        filesystem.binary.path = sanitize_path(filesystem.binary.path)
    filesystem.uid_map.sort(key=lambda entry: entry.start)
    filesystem.gid_map.sort(key=lambda entry: entry.start)
    source = filesystem.source
    kind = filesystem.type
    if kind is FilesystemType.RAM:
        if source is None:
            raise XMLError("missing 'usage' attribute for RAM filesystem")
    elif isinstance(source, Volume) or kind is FilesystemType.VOLUME:
        if not isinstance(source, Volume) or None in (source.pool, source.volume):
            raise XMLError("'pool' and 'volume' must be specified together for 'pool' type source")
    else:
        attribute = {"block": "dev", "file": "file", "template": "name"}.get(str(kind), "dir")
        named = source is not None and getattr(source, attribute, None) is not None
        if not named and not (isinstance(source, DirectorySource) and source.socket is not None):
            raise NoSource(filesystem.target)
    settle_info(filesystem, context)


def _settle_smartcard(card: Smartcard, context: DomainContext) -> None:
    from virtcore.model.domain.smartcard import HostCertificatesSmartcard, PassthroughSmartcard

    if isinstance(card, HostCertificatesSmartcard):
        if len(card.certificates) != 3:
            raise XMLError("host-certificates mode needs exactly three certificates")
        if card.database is not None and not card.database.startswith("/"):
            raise XMLError(f"expecting absolute path: {card.database}")
    elif isinstance(card, PassthroughSmartcard):
        from virtcore.model.domain.rules.device_settle_chardev import settle_source

        settle_source(card, context)
    settle_info(card, context)


def _settle_input(device: Input, context: DomainContext) -> None:
    settle_info(device, context)
    if device.address is not None and device.bus == "usb" and not isinstance(device.address, USBAddress):
        raise XMLError("Invalid address for a USB device")
    source = device.source
    if source is None:
        return
    from virtcore.model.domain.input import EvdevInputSource, PassthroughInputSource

    if (isinstance(source, PassthroughInputSource) and source.evdev is None) or (
        isinstance(source, EvdevInputSource) and source.dev is None
    ):
        raise XMLError("Missing evdev path for input device")
    if isinstance(source, PassthroughInputSource) and source.evdev is not None:
        source.evdev = sanitize_path(source.evdev)
    elif isinstance(source, EvdevInputSource) and source.dev is not None:
        source.dev = sanitize_path(source.dev)


def _settle_inputs(found: list[Input], domain: Domain, context: DomainContext) -> None:
    _settle_each_input(found, domain, context)
    if any(device.bus == "usb" for device in found) and _usb_disabled(domain):
        raise ConfigUnsupported("Can't add USB input device. USB bus is disabled", path="/domain/devices/input")


def _settle_hubs(found: list[Hub], domain: Domain, context: DomainContext) -> None:
    _settle_each_hub(found, domain, context)
    if _usb_disabled(domain):
        raise ConfigUnsupported("Can't add USB hub: USB is disabled for this domain", path="/domain/devices/hub")


def _settle_audio(audio: Audio, context: DomainContext) -> None:
    for stream in (audio.input, audio.output):
        if stream is not None and stream.settings is not None and not stream.fixed_settings:
            raise ConfigUnsupported("audio settings specified without fixed settings flag")
        if stream is not None and stream.fixed_settings:
            if not stream.mixing_engine:
                raise ConfigUnsupported("fixed audio settings requires mixing engine")
            if stream.settings is None:
                from virtcore.model.domain.audio import AudioSettings

                stream.settings = AudioSettings()


def _settle_video(video: Video, context: DomainContext) -> None:
    model = video.model
    if model is None or model.type is None:
        from virtcore.model.domain.video import VideoModel, VideoType

    if model is None:
        video.model = VideoModel(type=VideoType.DEFAULT, heads=1)
    else:
        if model.heads is None:
            model.heads = 1
        if model.type is None:
            model.type = VideoType.DEFAULT
        acceleration = model.acceleration
        if acceleration is not None and (acceleration.accel3d, acceleration.accel2d, acceleration.rendernode) == (
            None,
            None,
            None,
        ):
            raise ConfigUnsupported("missing values for acceleration")
        if acceleration is not None and acceleration.rendernode is not None:
            acceleration.rendernode = sanitize_path(acceleration.rendernode)
    settle_info(video, context)


def _settle_videos(found: list[Video], domain: Domain, context: DomainContext) -> None:
    """Each card that is marked as primary goes to the front."""
    _settle_each_video(found, domain, context)
    videos: list[Video] = []
    for video in found:
        if video.model is not None and video.model.primary:
            videos.insert(0, video)
        else:
            videos.append(video)
    devices_of(domain).videos = videos


def _settle_watchdog(watchdog: Watchdog, context: DomainContext) -> None:
    from virtcore.model.domain.watchdog import WatchdogAction

    if watchdog.action is None:
        watchdog.action = WatchdogAction.RESET
    settle_info(watchdog, context)


def _settle_memballoon(balloon: Memballoon, context: DomainContext) -> None:
    if balloon.stats_period is not None and balloon.stats_period < 0:
        balloon.stats_period = None
    if balloon.model == "none":
        balloon.alias = balloon.address = balloon.acpi_index = None
    else:
        settle_info(balloon, context)


def _settle_rng(rng: RNG, context: DomainContext) -> None:
    from virtcore.model.domain.rng import EGDBackend

    if isinstance(rng.backend, EGDBackend):
        from virtcore.model.domain.rules.device_settle_chardev import settle_source

        settle_source(rng.backend, context)
    settle_info(rng, context)


_MOST_TPMS = 2


def _settle_tpm(tpm: TPM, context: DomainContext) -> None:
    from virtcore.model.domain.chardev import CharacterType
    from virtcore.model.domain.tpm import ExternalTPM, PassthroughTPM

    backend = tpm.backend
    if isinstance(backend, PassthroughTPM):
        if backend.device is None:
            backend.device = "/dev/tpm0"
    elif isinstance(backend, ExternalTPM):
        source = backend.source
        assert source is not None
        if source.type not in [str(kind) for kind in CharacterType]:
            raise ConfigUnsupported(f"unknown backend source type '{source.type}' for external TPM")
        if source.mode is None:
            source.mode = "connect"
        elif source.mode not in ("connect", "bind"):
            raise XMLError(
                f"Invalid value for attribute 'mode' in element 'source': '{source.mode}'.", value=source.mode
            )
    settle_info(tpm, context)


def _settle_redirdev(redirdev: Redirdev, context: DomainContext) -> None:
    from virtcore.model.domain.chardev import CharacterType, DBusChardev
    from virtcore.model.domain.redirdev import RedirdevBus
    from virtcore.model.domain.rules.device_settle_chardev import settle_source

    if redirdev.bus is None:
        redirdev.bus = RedirdevBus.USB
    settle_source(redirdev, context)
    if redirdev.type is CharacterType.DBUS:
        source = redirdev.source
        assert isinstance(source, DBusChardev)
        if source.channel is None:
            source.channel = "org.qemu.usbredir"
    settle_info(redirdev, context)
    if redirdev.address is not None and not isinstance(redirdev.address, USBAddress):
        raise XMLError("Invalid address for a USB device")


def _settle_shmem(shmem: Shmem, context: DomainContext) -> None:
    from virtcore.model.domain.shmem import ShmemModel

    if shmem.model is None:
        shmem.model = ShmemModel.IVSHMEM
    if shmem.model is ShmemModel.IVSHMEM:
        shmem.role = None
    if shmem.server is not None and shmem.server.path is not None:
        shmem.server.path = sanitize_path(shmem.server.path)
    if shmem.msi is not None and shmem.server is None:
        raise XMLError("msi option is only supported with a server")
    settle_info(shmem, context)


def _settle_memory(memory: AnyMemoryDevice, context: DomainContext) -> None:
    from virtcore.model.domain.memory_device import NVDIMM, VirtioMEM

    nodemask = getattr(memory.source, "nodemask", None)
    if nodemask is not None and not nodemask:
        raise ConfigUnsupported(f"Invalid value of 'nodemask': {nodemask}")
    target = memory.target
    assert target is not None
    if isinstance(memory, NVDIMM) and memory.target is not None:
        label = memory.target.label_size
        if label and label < 128:
            raise XMLError("nvdimm label must be at least 128KiB")
        if (label or 0) >= (target.size or 0):
            raise XMLError("label size must be smaller than NVDIMM size")
    elif isinstance(memory, VirtioMEM) and memory.target is not None:
        if memory.target.block:
            memory.target.requested = memory.target.requested or 0
            if not context.inactive:
                memory.target.current = memory.target.current or 0
        else:
            memory.target.requested = memory.target.current = None
    settle_info(memory, context)


def memory_device_size(device: AnyMemoryDevice) -> int:
    """Size of a memory device in KiB."""
    return 0 if device.target is None else device.target.size or 0


def _settle_consoles(found: list[Console], domain: Domain, context: DomainContext) -> None:
    """Consoles are numbered by their place."""
    _settle_each_console(found, domain, context)
    for number, console in enumerate(found):
        if console.target is not None:
            console.target.port = number


def _settle_tpms(found: list[TPM], domain: Domain, context: DomainContext) -> None:
    """A guest has one TPM, and one that is the host's."""
    if len(found) > _MOST_TPMS:
        raise XMLError("a maximum of two TPM devices is supported, one of them being a TPM Proxy device")
    _each(_settle_tpm)(found, domain, context)


def _settle_redirfilter(found: RedirFilter, domain: Domain, context: DomainContext) -> None:
    if not found.usbdevs:
        devices_of(domain).redirfilter = None


_settle_each_console = _each(_later("device_settle_chardev", "settle_console"))
_settle_each_disk = _each(_later("device_settle_disk", "settle_disk"))
_settle_each_input = _each(_settle_input)
_settle_each_video = _each(_settle_video)
_settle_each_hub = _each(settle_info_of)

#: What is done to which devices, in the order of libvirt's parser.
_STEPS: tuple[tuple[str, Step], ...] = (
    ("disks", _settle_disks),
    ("controllers", _settle_controllers),
    ("filesystems", _each(_settle_filesystem)),
    ("interfaces", _each(_later("device_settle_interface", "settle_interface"))),
    ("smartcards", _each(_settle_smartcard)),
    ("parallels", _each(_later("device_settle_chardev", "settle_parallel"))),
    ("serials", _each(_later("device_settle_chardev", "settle_serial"))),
    ("consoles", _settle_consoles),
    ("channels", _each(_later("device_settle_chardev", "settle_channel"))),
    ("inputs", _settle_inputs),
    ("graphics", _each(_later("device_settle_graphics", "settle_graphics"))),
    ("sounds", _each(settle_info_of)),
    ("audios", _each(_settle_audio)),
    ("videos", _settle_videos),
    ("hostdevs", _settle_hostdevs),
    ("watchdogs", _each(_settle_watchdog)),
    ("memballoon", _each(_settle_memballoon)),
    ("rngs", _each(_settle_rng)),
    ("cryptos", _each(settle_info_of)),
    ("tpms", _settle_tpms),
    ("nvram", _each(settle_info_of)),
    ("hubs", _settle_hubs),
    ("redirdevs", _each(_settle_redirdev)),
    ("redirfilter", _settle_redirfilter),
    ("panics", _each(settle_info_of)),
    ("shmems", _each(_settle_shmem)),
    ("memory", _each(_settle_memory)),
    ("iommu", _each(settle_info_of)),
    ("vsock", _each(settle_info_of)),
    ("pstore", _each(settle_info_of)),
)
