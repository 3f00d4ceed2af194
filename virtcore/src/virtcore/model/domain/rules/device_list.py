"""The devices of a domain as lists: their order, where a new one goes, who uses which drive address."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from virtcore.errors import VirtError
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.address import DriveAddress
    from virtcore.model.domain.chardev import Console
    from virtcore.model.domain.controller import AnyController, Controller
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk, DiskBus
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.hostdev import SCSIHostdev

__all__ = [
    "add_controller",
    "controller_type",
    "devices_of",
    "disk_bus",
    "disk_index",
    "disk_target",
    "drive_used_by_disk",
    "drive_used_by_hostdev",
    "find_controller",
    "has_usb",
    "insert_controller",
    "insert_disk",
    "is_usb2",
    "iterate_devices",
    "locate",
    "located",
    "same_drive",
    "scsi_hostdevs",
    "serial_console",
    "unused_index",
]

# virDomainDeviceInfoIterate's order; consoles, which have a rule of their own, stand where "consoles" does.
_WITH_INFO = (
    "disks",
    "interfaces",
    "sounds",
    "hostdevs",
    "videos",
    "controllers",
    "smartcards",
    "serials",
    "parallels",
    "channels",
    "consoles",
    "inputs",
    "filesystems",
    "watchdogs",
    "memballoon",
    "rngs",
    "nvram",
    "hubs",
    "shmems",
    "tpms",
    "panics",
    "memory",
    "redirdevs",
    "iommu",
    "vsock",
    "cryptos",
    "pstore",
)
_ALL = (*_WITH_INFO, "graphics", "audios", "leases")

#: Models of USB controllers that work as a group.
_USB2_MODELS = frozenset({"ich9-ehci1", "ich9-uhci1", "ich9-uhci2", "ich9-uhci3"})

_DRIVE_PREFIXES = ("fd", "hd", "vd", "sd", "xvd", "ubd")


def devices_of(domain: Domain) -> Devices:
    """The domain's devices; made where there are none."""
    if domain.devices is None:
        from virtcore.model.domain.devices import Devices

        domain.devices = Devices()
    return domain.devices


def iterate_devices(domain: Domain, *, all_consoles: bool = False, missing_info: bool = False) -> Iterator[object]:
    """All devices, in the order in which libvirt completes and checks them.

    :param all_consoles: also the first console where it only stands for the first serial port.
    :param missing_info: also what has no address: displays, audio backends, leases.
    """
    devices = devices_of(domain)
    for name in _ALL if missing_info else _WITH_INFO:
        held = getattr(devices, name)
        if not held:
            continue
        if not isinstance(held, list):
            yield held
        elif name != "consoles" or all_consoles or not serial_console(domain, held[0]):
            yield from tuple(held)
        else:
            yield from tuple(held[1:])


def serial_console(domain: Domain, console: Console) -> bool:
    """Whether the console is only another name of a serial port (fully virtual guests)."""
    from virtcore.model.domain.chardev import ConsoleTargetType
    from virtcore.model.domain.os import OSType

    return domain.os_type is OSType.HVM and (
        console.target is None or console.target.type in (None, ConsoleTargetType.SERIAL)
    )


class located:
    """Gives errors of a device their place: a path relative to the device, or none, becomes a full one."""

    __slots__ = ("device", "domain")

    def __init__(self, domain: Domain, device: object) -> None:
        self.domain = domain
        self.device = device

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, VirtError):
            locate(error, self.domain, self.device)


def locate(error: VirtError, domain: Domain, device: object) -> None:
    """Completes the path of an error of a device."""
    relative = error.path
    if relative is not None and relative.startswith("/"):
        return
    path = _path(domain, device)
    error.path = path if relative is None else f"{path}/{relative}"
    notes = getattr(error, "__notes__", [])
    if relative is not None and f"at {relative}" in notes:
        notes[notes.index(f"at {relative}")] = f"at {error.path}"
    else:
        error.add_note(f"at {error.path}")


def _path(domain: Domain, device: object) -> str:
    name = declaration(type(device)).name
    siblings = [
        other
        for other in iterate_devices(domain, all_consoles=True, missing_info=True)
        if declaration(type(other)).name == name
    ]
    place = next((n for n, other in enumerate(siblings, 1) if other is device), 0)
    return f"/domain/devices/{name}[{place}]" if len(siblings) > 1 and place else f"/domain/devices/{name}"


# ---------------------------------------------------------------------------------------------------------------- disks


@lru_cache(maxsize=4096)
def disk_index(name: str) -> int:
    """Number of a disk by its logical name (``vda`` is 0, ``vdaa`` 26; partitions do not count); -1: no disk's name."""
    prefix = next((p for p in _DRIVE_PREFIXES if name.startswith(p)), None)
    letters = name[len(prefix) :].rstrip("0123456789") if prefix is not None else ""
    if not letters or not (letters.isascii() and letters.isalpha() and letters.islower()):
        return -1
    index = 0
    for letter in letters:
        index = index * 26 + ord(letter) - ord("a") + 1
        if index > 1 << 31:
            return -1
    return index - 1


def disk_target(disk: Disk) -> str | None:
    """The disk's logical name."""
    return None if disk.target is None else disk.target.dev


def disk_bus(disk: Disk) -> DiskBus | None:
    """The disk's bus."""
    return None if disk.target is None else disk.target.bus


def insert_disk(disks: list[Disk], disk: Disk) -> None:
    """Puts a disk behind those of its bus with smaller names (libvirt keeps them sorted)."""
    bus, name = disk_bus(disk), disk_target(disk)
    number = disk_index(name) if name else None
    at: int | None = None
    for place in range(len(disks) - 1, -1, -1):
        other = disks[place]
        if disk_bus(other) is not bus:
            continue
        other_name = disk_target(other)
        other_number = disk_index(other_name) if other_name else None
        if other_number is not None and number is not None and other_number > number:
            at = place
        else:
            if at is None:
                at = place + 1
            if other_number is not None and number is not None and other_number < number:
                # Those before have still smaller numbers.
                break
    disks.insert(len(disks) if at is None else at, disk)


# ---------------------------------------------------------------------------------------------------------- controllers


def controller_type(controller: Controller) -> str:
    """Kind of bus it drives."""
    return str(declaration(type(controller)).tag)


def is_usb2(controller: Controller) -> bool:
    """Whether it is one of the four of an ICH9 group."""
    return getattr(controller, "model", None) in _USB2_MODELS


def has_usb(domain: Domain) -> bool:
    """Whether there is a USB controller that is not ``none``."""
    from virtcore.model.domain.controller import USBController, USBControllerModel

    return any(
        isinstance(controller, USBController) and controller.model is not USBControllerModel.NONE
        for controller in devices_of(domain).controllers
    )


def find_controller(domain: Domain, kind: type[Controller], index: int) -> Controller | None:
    """The controller of a kind with this number."""
    for controller in devices_of(domain).controllers:
        if isinstance(controller, kind) and controller.index == index:
            return controller
    return None


def unused_index(domain: Domain, kind: type[Controller]) -> int:
    """The lowest number no controller of the kind has."""
    used = {controller.index for controller in devices_of(domain).controllers if type(controller) is kind}
    index = 0
    while index in used:
        index += 1
    return index


def insert_controller(controllers: list[AnyController], controller: AnyController) -> None:
    """Puts a controller behind those of its kind with smaller numbers, a USB master before its companions."""
    kind, index = type(controller), controller.index
    master = controller.master_startport is None
    at: int | None = None
    for place in range(len(controllers) - 1, -1, -1):
        other = controllers[place]
        if type(other) is not kind:
            continue
        if index is None:
            at = place + 1
            break
        other_index = other.index
        if other_index is not None and (
            other_index > index or (other_index == index and master and other.master_startport is not None)
        ):
            at = place
        else:
            if at is None:
                at = place + 1
            if other_index is not None and other_index < index:
                # Those before have still smaller numbers.
                break
    controllers.insert(len(controllers) if at is None else at, controller)


def add_controller(domain: Domain, controller: AnyController) -> bool:
    """Adds a controller unless there is one of its kind and number; one without number gets the lowest free.

    :return: whether it was added.
    """
    if controller.index is None:
        controller.index = unused_index(domain, type(controller))
    elif find_controller(domain, type(controller), controller.index) is not None:
        return False
    insert_controller(devices_of(domain).controllers, controller)
    return True


def scsi_hostdevs(domain: Domain) -> list[SCSIHostdev]:
    """Host devices that are SCSI units."""
    if not devices_of(domain).hostdevs:
        return []
    from virtcore.model.domain.hostdev import SCSIHostdev

    return [hostdev for hostdev in devices_of(domain).hostdevs if isinstance(hostdev, SCSIHostdev)]


def same_drive(first: DriveAddress, second: DriveAddress) -> bool:
    """Whether two addresses name the same unit."""
    return (first.controller or 0, first.bus or 0, first.target or 0, first.unit or 0) == (
        second.controller or 0,
        second.bus or 0,
        second.target or 0,
        second.unit or 0,
    )


def drive_used_by_disk(domain: Domain, bus: DiskBus, address: DriveAddress) -> bool:
    """Whether a disk of the bus has this address."""
    from virtcore.model.domain.address import DriveAddress

    return any(
        disk_bus(disk) is bus and isinstance(disk.address, DriveAddress) and same_drive(disk.address, address)
        for disk in devices_of(domain).disks
    )


def drive_used_by_hostdev(domain: Domain, address: DriveAddress) -> bool:
    """Whether a SCSI host device has this address."""
    from virtcore.model.domain.address import DriveAddress

    return any(
        isinstance(hostdev.address, DriveAddress) and same_drive(hostdev.address, address)
        for hostdev in scsi_hostdevs(domain)
    )
