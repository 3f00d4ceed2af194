"""Completion of single devices that is the same for every driver (``virDomainDeviceDefPostParseCommon``)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count, filterfalse
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, VirtError, XMLError
from virtcore.model.domain.address import CCWAddress, DriveAddress, PCIAddress
from virtcore.model.domain.rules.context import DomainFeature
from virtcore.model.domain.rules.device_list import (
    devices_of,
    disk_index,
    disk_target,
    drive_used_by_disk,
    drive_used_by_hostdev,
    drives_of_disks,
    drives_of_hostdevs,
    is_usb2,
    locate,
    scsi_hostdevs,
    sort_controllers,
)
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.chardev import Console, Parallel, Serial
    from virtcore.model.domain.controller import AnyController, Controller
    from virtcore.model.domain.disk import Disk, DiskBus
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.hostdev import AnyHostdev
    from virtcore.model.domain.input import Input, InputBus
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.memory_device import AnyMemoryDevice
    from virtcore.model.domain.rng import RNG
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.domain.sound import Sound
    from virtcore.model.domain.video import Video
    from virtcore.model.domain.vsock import Vsock

__all__ = [
    "assign_controller_indexes",
    "assign_isa_serial_ports",
    "check_device_features",
    "complete_device",
]

_ISA_SERIAL_PORTS = 4
_NARROW_SCSI_UNITS = 7
_WIDE_SCSI_UNITS = 16


def assign_controller_indexes(domain: Domain, context: DomainContext) -> None:
    """Numbers controllers that have none: the lowest free number; USB 2 companions share one."""
    controllers = devices_of(domain).controllers
    if all(controller.index is not None for controller in controllers):
        return
    from virtcore.model.domain.controller import USBController

    regrouped = False
    used: dict[type[Controller], set[int]] = {}
    companions: set[tuple[int | None, object]] = set()
    for controller in controllers:
        if controller.index is not None:
            used.setdefault(type(controller), set()).add(controller.index)
        if isinstance(controller, USBController):
            companions.add((controller.index, controller.model))
    free = {kind: filterfalse(taken.__contains__, count()) for kind, taken in used.items()}
    before: USBController | None = None
    for controller in controllers:
        usb = controller if isinstance(controller, USBController) else None
        if controller.index is None:
            kind = type(controller)
            if usb is not None and is_usb2(usb) and controller is not controllers[0]:
                # The order of companions counts only once they have a number.
                regrouped = True
                if before is not None and is_usb2(before) and (before.index, usb.model) not in companions:
                    controller.index = before.index
            if controller.index is None:
                if kind not in free:
                    used[kind] = set()
                    free[kind] = filterfalse(used[kind].__contains__, count())
                controller.index = next(free[kind])
            if usb is not None:
                companions.add((usb.index, usb.model))
        before = usb or before
    if regrouped:
        devices_of(domain).controllers = sort_controllers(controllers)


def assign_isa_serial_ports(domain: Domain, context: DomainContext) -> None:
    """Gives USB serial ports without number the lowest free one (which libvirt meant to do for ISA ports).

    :raises InternalError: too many of them, or a number used twice.
    """
    serials = devices_of(domain).serials
    if not serials:
        return
    from virtcore.model.domain.chardev import SerialTargetType

    ports = [
        serial.target
        for serial in serials
        if serial.target is not None and serial.target.type is SerialTargetType.ISA_SERIAL
    ]
    used: set[int] = set()
    for number, port in enumerate(ports, 1):
        if number > _ISA_SERIAL_PORTS or (port.port or 0) >= _ISA_SERIAL_PORTS:
            raise InternalError(f"Maximum supported number of ISA serial ports is '{_ISA_SERIAL_PORTS}'")
        if port.port is not None:
            if port.port in used:
                raise InternalError(f"target port '{port.port}' already allocated")
            used.add(port.port)
    for port in ports:
        if port.port is None:
            port.port = next(number for number in range(_ISA_SERIAL_PORTS) if number not in used)
            used.add(port.port)


# ------------------------------------------------------------------------------------------------------ single devices


def complete_device(device: object, domain: Domain, context: DomainContext) -> None:
    """Fills in what has a default for every driver.

    :raises VirtError: what is given contradicts itself.
    """
    complete = _functions(type(device))[0]
    if complete is not None:
        try:
            complete(device, domain, context)
        except VirtError as error:
            locate(error, domain, device)
            raise


_FUNCTIONS: dict[type[object], tuple[Callable[..., None] | None, Callable[..., None] | None]] = {}


def _functions(kind: type[object]) -> tuple[Callable[..., None] | None, Callable[..., None] | None]:
    """How devices of a class are completed, and what of them depends on the driver's features."""
    found = _FUNCTIONS.get(kind)
    if found is None:
        name = declaration(kind).name or ""
        found = _FUNCTIONS[kind] = (_COMPLETE.get(name), _CHECK.get(name))
    return found


def _complete_disk(disk: Disk, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.disk import DiskBus, DiskDevice, DiskTarget, SnapshotLocation
    from virtcore.model.storage.source import NetProtocol, NetworkSource, NVMeSource, VhostUserSource

    target = disk.target
    if target is None:
        target = disk.target = DiskTarget()
    if target.dev is not None:
        target.dev = target.dev.removeprefix("ioemu:")
    if disk.device is DiskDevice.CDROM:
        disk.readonly = True
    if target.bus is None:
        target.bus = _default_bus(disk)
    if disk.snapshot is None and disk.readonly:
        disk.snapshot = SnapshotLocation.NO
    source = disk.source
    if isinstance(source, NetworkSource) and source.protocol is NetProtocol.ISCSI and source.name is not None:
        source.name = _with_unit(source.name)
    elif isinstance(source, NVMeSource) and source.managed is None:
        source.managed = True
    elif isinstance(source, VhostUserSource) and disk.snapshot is None:
        disk.snapshot = SnapshotLocation.NO
    if disk.address is None and target.dev is not None:
        index = disk_index(target.dev)
        if index < 0:
            raise XMLError(f"Unknown disk name '{target.dev}' and no address specified")
        disk.address = _disk_address(target.dev, target.bus, index, domain, context)
    if target.bus in (DiskBus.IDE, DiskBus.SCSI, DiskBus.SATA, DiskBus.FDC) and isinstance(disk.address, DriveAddress):
        disk.address.controller = disk.address.controller or 0
    _share_limits(disk, domain)


def _default_bus(disk: Disk) -> DiskBus:
    from virtcore.model.domain.disk import DiskBus, DiskDevice

    if disk.device is DiskDevice.FLOPPY:
        return DiskBus.FDC
    name = disk_target(disk) or ""
    for prefix, bus in (
        ("hd", DiskBus.IDE),
        ("sd", DiskBus.SCSI),
        ("vd", DiskBus.VIRTIO),
        ("xvd", DiskBus.XEN),
        ("ubd", DiskBus.UML),
    ):
        if name.startswith(prefix):
            return bus
    return DiskBus.IDE


def _scsi_units(context: DomainContext) -> int:
    return _WIDE_SCSI_UNITS if context.supports(DomainFeature.WIDE_SCSI) else _NARROW_SCSI_UNITS


def _disk_address(name: str, bus: DiskBus, index: int, domain: Domain, context: DomainContext) -> DriveAddress | None:
    """Where a disk of this name sits on its bus; None where the bus has no controller of that kind."""
    from virtcore.model.domain.disk import DiskBus

    if bus is DiskBus.SCSI:
        if _scsi_units(context) > _NARROW_SCSI_UNITS:
            # Unit 7 is the adapter itself.
            controller, unit = divmod(index, _WIDE_SCSI_UNITS - 1)
            unit += unit >= 7
        else:
            controller, unit = divmod(index, 7)
        address = DriveAddress(controller=controller, bus=0, target=0, unit=unit)
        if drive_used_by_hostdev(domain, address):
            raise ConfigUnsupported(
                f"using disk target name '{name}' conflicts with SCSI host device address "
                f"controller='{controller}' bus='0' target='0' unit='{unit}"
            )
        return address
    if bus is DiskBus.IDE:
        return DriveAddress(controller=index // 4, bus=index % 4 // 2, target=0, unit=index % 2)
    if bus is DiskBus.SATA:
        return DriveAddress(controller=index // 6, bus=0, target=0, unit=index % 6)
    if bus is DiskBus.FDC:
        return DriveAddress(controller=index // 2, bus=0, target=0, unit=index % 2)
    return None


def _with_unit(name: str) -> str:
    """An iSCSI name with its unit; 0 by default."""
    return name if "/" in name else f"{name}/0"


def _share_limits(disk: Disk, domain: Domain) -> None:
    """A disk that only names a group of limits gets the limits of another disk of the group."""
    tune = disk.iotune
    if tune is None or tune.group_name is None or _has_limits(disk):
        return
    for other in devices_of(domain).disks:
        if other.iotune is not None and other.iotune.group_name == tune.group_name and _has_limits(other):
            from copy import copy

            disk.iotune = copy(other.iotune)
            return


def _has_limits(disk: Disk) -> bool:
    tune = disk.iotune
    return tune is not None and any(isinstance(value, int) and value for value in vars(tune).values())


def _complete_video(video: Video, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.video import VideoType

    model = video.model
    assert model is not None
    default = _video_memory(domain, model.type)
    if not model.ram and model.type is VideoType.QXL:
        model.ram = default
    if not model.vram:
        model.vram = default
    model.ram = _power_of_two(model.ram)
    model.vram = _power_of_two(model.vram)


def _video_memory(domain: Domain, kind: object) -> int | None:
    """Video memory in KiB a card has by default."""
    from virtcore.model.domain.video import VideoType

    if kind in (VideoType.VGA, VideoType.CIRRUS, VideoType.VMVGA):
        return {"vbox": 8, "vmware": 4}.get(str(domain.type), 16) * 1024
    sizes: dict[object, int] = {VideoType.BOCHS: 16, VideoType.XEN: 4, VideoType.QXL: 64}
    return sizes[kind] * 1024 if kind in sizes else None


def _power_of_two(size: int | None) -> int | None:
    return 1 << (size - 1).bit_length() if size else None


def _complete_hostdev(hostdev: AnyHostdev, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.disk import DiskBus
    from virtcore.model.domain.hostdev import ISCSISource, MdevHostdev, MdevModel, SCSIHostdev

    if isinstance(hostdev, SCSIHostdev):
        if isinstance(hostdev.source, ISCSISource) and hostdev.source.name is not None:
            hostdev.source.name = _with_unit(hostdev.source.name)
        if hostdev.address is None:
            _assign_scsi_units(domain, context)
        address = hostdev.address
        if isinstance(address, DriveAddress) and drive_used_by_disk(domain, DiskBus.SCSI, address):
            raise XMLError(
                f"SCSI host address controller='{address.controller}' bus='{address.bus}' target='{address.target}' "
                f"unit='{address.unit}' in use by a SCSI disk"
            )
    elif isinstance(hostdev, MdevHostdev) and hostdev.address is not None:
        fits: dict[MdevModel, type[object]] = {MdevModel.VFIO_PCI: PCIAddress, MdevModel.VFIO_CCW: CCWAddress}
        wanted = fits.get(hostdev.model)
        if wanted is not None and not isinstance(hostdev.address, wanted):
            kind = declaration(type(hostdev.address)).tag
            raise XMLError(f"Unsupported address type '{kind}' with mediated device model '{hostdev.model}'")


def _assign_scsi_units(domain: Domain, context: DomainContext) -> None:
    """Gives all SCSI host devices without address the free units, in their order."""
    from virtcore.model.domain.disk import DiskBus

    used = drives_of_disks(domain, DiskBus.SCSI) | drives_of_hostdevs(domain)
    units = _scsi_units(context)
    places = (divmod(number, units) for number in count())
    for hostdev in scsi_hostdevs(domain):
        if hostdev.address is None:
            controller, unit = next(place for place in places if (place[0], 0, 0, place[1]) not in used)
            hostdev.address = DriveAddress(controller=controller, bus=0, target=0, unit=unit)


def _complete_character(device: Serial | Parallel | Console, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.chardev import Console, ConsoleTarget, ConsoleTargetType, Serial, SerialTargetType

    devices = devices_of(domain)
    siblings: list[Serial] | list[Parallel] | list[Console]
    if isinstance(device, Console):
        if device.target is None:
            device.target = ConsoleTarget()
        if device.target.type is None:
            device.target.type = ConsoleTargetType.SERIAL
        siblings = devices.consoles
    elif isinstance(device, Serial):
        arch = domain.arch
        if (
            device.target is not None
            and device.target.type is SerialTargetType.ISA_DEBUG
            and not (arch is not None and arch.is_x86)
        ):
            raise ConfigUnsupported("isa-debug serial type only valid on x86 architecture")
        siblings = devices.serials
    else:
        siblings = devices.parallels
    target = device.target
    if target is not None and target.port is None:
        # All that have none, in their order: the numbers they would get one by one.
        targets = [other.target for other in siblings if other.target is not None]
        if all(given is not target for given in targets):
            targets.append(target)  # one that is to come
        port = max((given.port for given in targets if given.port is not None), default=-1)
        for given in targets:
            if given.port is None:
                port += 1
                given.port = port


def _complete_rng(rng: RNG, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.rng import RandomBackend

    if isinstance(rng.backend, RandomBackend) and rng.backend.path is None:
        rng.backend.path = "/dev/random"


def _complete_controller(controller: AnyController, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.controller import SCSIController, SCSIControllerModel

    virtio = isinstance(controller, SCSIController) and controller.model in (
        SCSIControllerModel.VIRTIO_SCSI,
        SCSIControllerModel.VIRTIO_TRANSITIONAL,
        SCSIControllerModel.VIRTIO_NON_TRANSITIONAL,
    )
    if controller.driver is not None and controller.driver.iothread and not virtio:
        raise XMLError("'iothread' attribute only supported for virtio scsi controllers")


def _complete_vsock(vsock: Vsock, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.vsock import VsockCID

    if vsock.cid is None:
        vsock.cid = VsockCID()
    if vsock.cid.auto is None:
        vsock.cid.auto = not vsock.cid.address


def _complete_memory(memory: AnyMemoryDevice, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.memory_device import NVDIMM, MemoryDeviceAccess, VirtioPMEM

    if isinstance(memory, VirtioPMEM):
        if memory.access is None:
            # The guest's writes have to reach the file.
            memory.access = MemoryDeviceAccess.SHARED
    elif isinstance(memory, NVDIMM) and domain.arch is not None and domain.arch.is_ppc64 and memory.uuid is None:
        memory.uuid = str(context.new_uuid())


def _complete_filesystem(filesystem: Filesystem, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.filesystem import AccessMode, DirectorySource

    source = filesystem.source
    if filesystem.accessmode is None and not (isinstance(source, DirectorySource) and source.socket is not None):
        filesystem.accessmode = AccessMode.PASSTHROUGH


def _complete_input(device: Input, domain: Domain, context: DomainContext) -> None:
    if device.bus is None:
        device.bus = _input_bus(device, domain)


def _input_bus(device: Input, domain: Domain) -> InputBus | None:
    from virtcore.model.domain.input import InputBus, InputType
    from virtcore.model.domain.os import OSType
    from virtcore.model.domain.rules.settle_os import is_paravirtual

    if domain.os_type is OSType.HVM:
        arch = domain.arch
        if device.type in (InputType.MOUSE, InputType.KEYBOARD) and (arch is None or arch.is_x86):
            return InputBus.PS2
        if (arch is not None and arch.is_s390) or device.type is InputType.PASSTHROUGH:
            return InputBus.VIRTIO
        return InputBus.NONE if device.type is InputType.EVDEV else InputBus.USB
    if is_paravirtual(domain) or domain.os_type is OSType.XENPVH:
        return InputBus.XEN
    return InputBus.PARALLELS if str(domain.type) in ("vz", "parallels") else None


def _complete_sound(sound: Sound, domain: Domain, context: DomainContext) -> None:
    from virtcore.model.domain.sound import SoundModel

    if sound.model is SoundModel.VIRTIO and not sound.streams:
        sound.streams = 2


_COMPLETE: dict[str, Callable[..., None]] = {
    "serial": _complete_character,
    "parallel": _complete_character,
    "console": _complete_character,
    "rng": _complete_rng,
    "disk": _complete_disk,
    "video": _complete_video,
    "hostdev": _complete_hostdev,
    "controller": _complete_controller,
    "vsock": _complete_vsock,
    "memory": _complete_memory,
    "filesystem": _complete_filesystem,
    "input": _complete_input,
    "sound": _complete_sound,
}


def check_device_features(device: object, context: DomainContext) -> None:
    """Refuses what the driver says it does not support.

    :raises ConfigUnsupported: why.
    """
    check = _functions(type(device))[1]
    if check is not None:
        check(device, context)


def _check_memory(device: object, context: DomainContext) -> None:
    if not context.supports(DomainFeature.MEMORY_HOTPLUG):
        raise ConfigUnsupported("memory devices are not supported by this driver", path="/domain/devices/memory")


def _check_model(device: Interface, context: DomainContext) -> None:
    from virtcore.model.domain.rules.device_settle_interface import is_known_model

    if device.model is None or is_known_model(device.model) or context.supports(DomainFeature.NET_MODEL_STRING):
        return
    raise ConfigUnsupported(
        f"driver does not support net model '{device.model}'",
        path="/domain/devices/interface/model/@type",
        value=device.model,
    )


def _check_descriptors(device: Disk, context: DomainContext) -> None:
    if getattr(device.source, "fdgroup", None) and not context.supports(DomainFeature.DISK_FD):
        raise ConfigUnsupported(
            f"driver does not support FD passing for disk '{disk_target(device)}'",
            path="/domain/devices/disk/source/@fdgroup",
        )


_CHECK: dict[str, Callable[..., None]] = {
    "memory": _check_memory,
    "interface": _check_model,
    "disk": _check_descriptors,
}
