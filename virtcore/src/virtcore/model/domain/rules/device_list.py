"""The devices of a domain as lists: their order, where a new one goes, who uses which drive address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from virtcore.errors import ConfigUnsupported, VirtError
from virtcore.model.domain.address import DriveAddress
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virtcore.model.domain.chardev import Console
    from virtcore.model.domain.controller import AnyController, Controller
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk, DiskBus
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.hostdev import SCSIHostdev

__all__ = [
    "add_controllers",
    "controller_type",
    "devices_of",
    "disk_bus",
    "disk_index",
    "disk_target",
    "drive_of",
    "drive_used_by_disk",
    "drive_used_by_hostdev",
    "drives_of_disks",
    "drives_of_hostdevs",
    "every_device",
    "has_usb",
    "is_usb2",
    "iterate_devices",
    "locate",
    "located",
    "scsi_hostdevs",
    "serial_console",
    "sort_controllers",
    "sort_disks",
]

_T = TypeVar("_T")
#: Controller, bus, target and unit.
Drive = tuple[int, int, int, int]

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

#: Addresses may name any controller, and all up to it come into being: more than this is nonsense.
_MOST_CONTROLLERS = 65535

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
    devices = vars(devices_of(domain))
    for name in _ALL if missing_info else _WITH_INFO:
        held = devices.get(name)
        if held:
            yield from tuple(_walked(domain, name, held, all_consoles))


def every_device(domain: Domain, *, all_consoles: bool = False, missing_info: bool = False) -> list[object]:
    """The same devices at once: for the many walks that add and remove none."""
    found: list[object] = []
    devices = vars(devices_of(domain))
    for name in _ALL if missing_info else _WITH_INFO:
        held = devices.get(name)
        if held:
            found += _walked(domain, name, held, all_consoles)
    return found


def _walked(domain: Domain, name: str, held: Any, all_consoles: bool) -> Sequence[object]:
    """Those of one kind that a walk over the devices comes to."""
    if not isinstance(held, list):
        return (held,)
    if name == "consoles" and not all_consoles and serial_console(domain, held[0]):
        return held[1:]
    return held


def serial_console(domain: Domain, console: Console) -> bool:
    """Whether the console is only another name of a serial port (fully virtual guests)."""
    # By name, since this is asked at every walk over the devices: both are enumerations of strings.
    return domain.os_type == "hvm" and (console.target is None or console.target.type in (None, "serial"))


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
    error.locate(path if relative is None else f"{path}/{relative}")


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


def sort_disks(disks: list[Disk]) -> list[Disk]:
    """Disks as libvirt keeps them: bus by bus, each behind those with smaller names."""
    if len(disks) < 2:
        return disks
    buses: dict[DiskBus | None, list[Disk]] = {}
    for disk in disks:
        buses.setdefault(disk_bus(disk), []).append(disk)
    return [disk for group in buses.values() for disk in _sorted(group, _disk_order)]


def _disk_order(disk: Disk) -> tuple[int, bool] | None:
    name = disk_target(disk)
    return (disk_index(name), False) if name else None


def _sorted(items: list[_T], order: Callable[[_T], tuple[int, bool] | None]) -> list[_T]:
    """Each one, as it comes, goes before the first that is greater; at the end where it has no order."""
    if len(items) < 2:
        return items
    orders: list[tuple[int, bool]] = []
    # Those with an order, each with the ones without it that stand before it.
    places: list[tuple[list[_T], _T]] = []
    rest: list[_T] = []
    for item in items:
        key = order(item)
        if key is None:
            rest.append(item)
            continue
        at = bisect_right(orders, key)
        orders.insert(at, key)
        if at == len(places):
            places.append((rest, item))
            rest = []
        else:
            before, greater = places[at]
            places[at] = ([], greater)
            places.insert(at, (before, item))
    return [item for before, last in places for item in (*before, last)] + rest


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


def sort_controllers(controllers: list[AnyController]) -> list[AnyController]:
    """Controllers as libvirt keeps them: kind by kind, by number, a USB master before its companions."""
    if len(controllers) < 2:
        return controllers
    kinds: dict[type[Controller], list[AnyController]] = {}
    for controller in controllers:
        kinds.setdefault(type(controller), []).append(controller)
    return [controller for group in kinds.values() for controller in _sorted(group, _controller_order)]


def _controller_order(controller: AnyController) -> tuple[int, bool] | None:
    index = controller.index
    return None if index is None else (index, controller.master_startport is not None)


def add_controllers(
    domain: Domain,
    kind: type[AnyController],
    indexes: Collection[int],
    make: Callable[[int], AnyController] | None = None,
) -> None:
    """Adds the controllers of a kind that are missing, each behind those of its kind with smaller numbers.

    :param indexes: numbers that are needed; a range is not empty.
    :param make: makes one with this number; by default it has nothing else.
    :raises ConfigUnsupported: a number nobody means.
    """
    controllers = devices_of(domain).controllers
    # A range says its last at once, however long it is.
    highest = indexes[-1] if isinstance(indexes, range) else max(indexes, default=0)
    if highest > _MOST_CONTROLLERS:
        raise ConfigUnsupported(
            f"controller index '{highest}' is out of range: at most '{_MOST_CONTROLLERS}' is supported",
            path="/domain/devices",
            value=str(highest),
        )
    wanted = set(indexes).difference(c.index for c in controllers if type(c) is kind)
    if not wanted:
        return
    new: list[AnyController] = [make(index) if make else kind(index=index) for index in sorted(wanted, reverse=True)]
    result: list[AnyController] = []
    last: int | None = None
    for controller in controllers:
        if type(controller) is kind:
            while controller.index is not None and new and (new[-1].index or 0) < controller.index:
                result.append(new.pop())
            last = len(result) + 1
        result.append(controller)
    at = len(result) if last is None else last
    result[at:at] = reversed(new)
    controllers[:] = result


def scsi_hostdevs(domain: Domain) -> list[SCSIHostdev]:
    """Host devices that are SCSI units."""
    if not devices_of(domain).hostdevs:
        return []
    from virtcore.model.domain.hostdev import SCSIHostdev

    return [hostdev for hostdev in devices_of(domain).hostdevs if isinstance(hostdev, SCSIHostdev)]


def drive_of(address: object) -> Drive | None:
    """Controller, bus, target and unit of a drive address."""
    if not isinstance(address, DriveAddress):
        return None
    return (address.controller or 0, address.bus or 0, address.target or 0, address.unit or 0)


def drives_of_disks(domain: Domain, bus: DiskBus) -> set[Drive | None]:
    """What disks of the bus are addressed at."""
    return {drive_of(disk.address) for disk in devices_of(domain).disks if disk_bus(disk) is bus}


def drives_of_hostdevs(domain: Domain) -> set[Drive | None]:
    """What SCSI host devices are addressed at."""
    return {drive_of(hostdev.address) for hostdev in scsi_hostdevs(domain)}


def drive_used_by_disk(domain: Domain, bus: DiskBus, address: DriveAddress) -> bool:
    """Whether a disk of the bus has this address."""
    drive, controller = drive_of(address), address.controller or 0
    return any(
        (getattr(disk.address, "controller", None) or 0) == controller
        and drive_of(disk.address) == drive
        and disk_bus(disk) is bus
        for disk in devices_of(domain).disks
    )


def drive_used_by_hostdev(domain: Domain, address: DriveAddress) -> bool:
    """Whether a SCSI host device has this address."""
    if not devices_of(domain).hostdevs:
        return False
    from virtcore.model.domain.hostdev import SCSIHostdev

    drive, controller = drive_of(address), address.controller or 0
    return any(
        (getattr(hostdev.address, "controller", None) or 0) == controller
        and isinstance(hostdev, SCSIHostdev)
        and drive_of(hostdev.address) == drive
        for hostdev in devices_of(domain).hostdevs
    )
