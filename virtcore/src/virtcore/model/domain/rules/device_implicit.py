"""Devices together: what they imply, what they may not have in common (parts of ``virDomainDefPostParseCommon``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.domain.address import CCIDAddress, DriveAddress, VirtioSerialAddress
from virtcore.model.domain.rules.context import DomainFeature
from virtcore.model.domain.rules.device_list import (
    add_controllers,
    controller_type,
    devices_of,
    disk_bus,
    every_device,
    located,
    serial_console,
)
from virtcore.model.domain.rules.device_settle import add_hostdev_controllers

if TYPE_CHECKING:
    from virtcore.model.domain.controller import Controller
    from virtcore.model.domain.disk import DiskBus
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "add_implicit_devices",
    "collect_boot_orders",
    "complete_graphics",
    "reject_duplicate_controllers",
    "reject_duplicate_panics",
    "settle_first_devices",
]


def reject_duplicate_controllers(domain: Domain, context: DomainContext) -> None:
    """Refuses two controllers of a kind with one number; USB companions share theirs.

    :raises XMLError: there are two.
    """
    if not devices_of(domain).controllers:
        return
    from virtcore.model.domain.controller import USBController

    seen: set[tuple[type[Controller], int | None]] = set()
    for controller in devices_of(domain).controllers:
        if isinstance(controller, USBController):
            continue
        key = (type(controller), controller.index)
        if key in seen:
            raise XMLError(
                f"Multiple '{controller_type(controller)}' controllers with index '{controller.index}'",
                path="/domain/devices/controller/@index",
            )
        seen.add(key)


def reject_duplicate_panics(domain: Domain, context: DomainContext) -> None:
    """Refuses two panic notifiers of a model.

    :raises XMLError: there are two.
    """
    seen: set[str] = set()
    for panic in devices_of(domain).panics:
        model = str(panic.model or "default")
        if model in seen:
            raise XMLError(f"Multiple panic devices with model '{model}'", path="/domain/devices/panic/@model")
        seen.add(model)


def collect_boot_orders(domain: Domain) -> set[int]:
    """Boot orders of devices.

    :raises ConfigUnsupported: one is used twice.
    """
    orders: set[int] = set()
    for device in every_device(domain):
        order = getattr(device, "boot_order", None)
        if not order:
            continue
        if order in orders:
            with located(domain, device):
                raise ConfigUnsupported(f"boot order '{order}' used for more than one device")
        orders.add(order)
    return orders


def add_implicit_devices(domain: Domain, context: DomainContext) -> None:
    """Adds what other devices imply: the first serial port as console and the reverse, controllers, a graphics card."""
    devices = devices_of(domain)
    if not context.supports(DomainFeature.NO_STUB_CONSOLE) and (devices.consoles or devices.serials):
        _pair_console(domain)
    _add_disk_controllers(domain)
    _add_serial_controllers(domain)
    _add_card_readers(domain)
    if devices.hostdevs:
        add_hostdev_controllers(domain)
    if devices.graphics and not devices.videos:
        from virtcore.model.domain.video import Video, VideoModel, VideoType

        devices.videos.append(Video(model=VideoModel(type=VideoType.DEFAULT, heads=1)))


def _pair_console(domain: Domain) -> None:
    """In a fully virtual guest the first console and the first serial port are one device.

    The console stays as a stub (:attr:`Console.is_stub`); what is printed in its place is the serial port.
    """
    from virtcore.model.domain.chardev import (
        Console,
        ConsoleTarget,
        ConsoleTargetType,
        Serial,
        SerialTarget,
        SerialTargetType,
    )
    from virtcore.model.domain.os import OSType

    devices = devices_of(domain)
    for console in devices.consoles[1:]:
        if console.target is not None and console.target.type is ConsoleTargetType.SERIAL:
            raise ConfigUnsupported("Only the first console can be a serial port", path="/domain/devices/console")
    if domain.os_type is not OSType.HVM:
        return
    if devices.consoles and serial_console(domain, devices.consoles[0]):
        first = devices.consoles[0]
        if not devices.serials:
            devices.serials.append(
                Serial(
                    type=first.type,
                    source=first.source,
                    alias=first.alias,
                    acpi_index=first.acpi_index,
                    address=first.address,
                    target=SerialTarget(port=0),
                )
            )
        devices.consoles[0] = Console(target=ConsoleTarget(type=ConsoleTargetType.SERIAL, port=0))
    elif devices.serials:
        target = devices.serials[0].target
        kind = target.type if target is not None else None
        if kind in (SerialTargetType.PCI_SERIAL, SerialTargetType.USB_SERIAL, SerialTargetType.ISA_DEBUG):
            return
        devices.consoles.insert(0, Console(target=ConsoleTarget(type=ConsoleTargetType.SERIAL)))
        for number, console in enumerate(devices.consoles):
            if console.target is None:
                console.target = ConsoleTarget()
            console.target.port = number


def _add_disk_controllers(domain: Domain) -> None:
    """Controllers for the drive addresses of disks: 0 to the highest one named."""
    if not devices_of(domain).disks:
        return
    from virtcore.model.domain.disk import DiskBus

    highest: dict[DiskBus, int] = {}
    for disk in devices_of(domain).disks:
        bus = disk_bus(disk)
        if bus is not None and isinstance(disk.address, DriveAddress):
            highest[bus] = max(highest.get(bus, -1), disk.address.controller or 0)
    if not highest:
        return
    from virtcore.model.domain.controller import FDCController, IDEController, SATAController, SCSIController

    for bus, kind in (
        (DiskBus.SCSI, SCSIController),
        (DiskBus.FDC, FDCController),
        (DiskBus.IDE, IDEController),
        (DiskBus.SATA, SATAController),
    ):
        if bus in highest:
            add_controllers(domain, kind, range(highest[bus] + 1))


def _add_serial_controllers(domain: Domain) -> None:
    devices = devices_of(domain)
    if not devices.channels and not devices.consoles:
        return
    from virtcore.model.domain.chardev import ConsoleTargetType, VirtioTarget
    from virtcore.model.domain.controller import VirtioSerialController

    users: list[object] = [channel for channel in devices.channels if isinstance(channel.target, VirtioTarget)]
    users += [
        console
        for console in devices.consoles
        if console.target is not None and console.target.type is ConsoleTargetType.VIRTIO
    ]
    indexes: set[int] = set()
    for user in users:
        address = getattr(user, "address", None)
        indexes.add((address.controller or 0) if isinstance(address, VirtioSerialAddress) else 0)
    add_controllers(domain, VirtioSerialController, indexes)


def _add_card_readers(domain: Domain) -> None:
    cards = devices_of(domain).smartcards
    if not cards:
        return
    from virtcore.model.domain.controller import CCIDController

    indexes: set[int] = set()
    slot = max(
        (c.address.slot or 0 for c in cards if isinstance(c.address, CCIDAddress) and not c.address.controller),
        default=-1,
    )
    for card in cards:
        if card.address is None:
            slot += 1
            card.address = CCIDAddress(controller=0, slot=slot)
        indexes.add((card.address.controller or 0) if isinstance(card.address, CCIDAddress) else 0)
    add_controllers(domain, CCIDController, indexes)


def settle_first_devices(domain: Domain, context: DomainContext) -> Iterator[object]:
    """Marks the primary graphics card, and names the devices that may have been added too late to be complete."""
    devices = devices_of(domain)
    if devices.videos:
        from virtcore.model.domain.video import Video, VideoModel, VideoType

        first = devices.videos[0]
        assert first.model is not None
        if first.model.type is VideoType.NONE:
            devices.videos[0] = Video(model=VideoModel(type=VideoType.NONE), alias=first.alias)
        else:
            first.model.primary = True
            yield first
    if devices.serials:
        yield devices.serials[0]
    if not devices.controllers:
        return
    from virtcore.model.domain.controller import SCSIController

    for controller in tuple(devices.controllers):
        if isinstance(controller, SCSIController) and controller.model is None:
            yield controller


def complete_graphics(domain: Domain, context: DomainContext) -> None:
    """A Spice server without any port listens nowhere."""
    devices = devices_of(domain)
    if not devices.graphics:
        return
    from virtcore.model.domain.graphics import AddressListen, NoListen, SpiceGraphics

    for graphics in devices.graphics:
        if (
            isinstance(graphics, SpiceGraphics)
            and graphics.listens
            and isinstance(graphics.listens[0], AddressListen)
            and not graphics.port
            and not graphics.tls_port
            and not graphics.autoport
        ):
            graphics.listens[0] = NoListen()
