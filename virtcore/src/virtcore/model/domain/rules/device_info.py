"""Alias, boot order, ROM and address as libvirt's parser leaves them: numbers filled in, nonsense refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.address import (
    BootableDevice,
    CCIDAddress,
    CCWAddress,
    DriveAddress,
    PCIAddress,
    ROMDevice,
    USBAddress,
    VirtioS390Address,
    VirtioSerialAddress,
)
from virtcore.model.domain.rules.context import DomainFeature
from virtcore.model.pci import verify_pci

if TYPE_CHECKING:
    from virtcore.model.domain.address import Device
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["settle_info"]

_USER_ALIAS = re.compile("ua-[a-zA-Z0-9_-]*")
_LOADPARM = re.compile("[a-zA-Z0-9. ]*")
_USB_PORT = re.compile(r"\s*[0-9]+(\.\s*[0-9]+){0,3}")

_CCW_CSSID_MAX = 254
_CCW_SSID_MAX = 3
_CCW_DEVNO_MAX = 65535


def settle_info(device: Device, context: DomainContext) -> None:
    """What all devices share.

    :raises VirtError: an address or boot setting cannot be.
    """
    alias = device.alias
    if alias is not None and context.inactive:
        keeps = context.supports(DomainFeature.USER_ALIAS) and _USER_ALIAS.fullmatch(alias)
        if not keeps:
            device.alias = None
    if isinstance(device, (BootableDevice, ROMDevice)):
        if device.loadparm is not None:
            _settle_boot(device)
        if (
            isinstance(device, ROMDevice)
            and device.rom_enabled is False
            and (device.rom_bar is not None or device.rom_file)
        ):
            raise ConfigUnsupported("ROM tuning is not supported when ROM is disabled")
    address = device.address
    if address is not None:
        settle = _ADDRESSES.get(type(address))
        if settle is not None:
            settle(address)


def _settle_drive(address: DriveAddress) -> None:
    address.controller = address.controller or 0
    address.bus = address.bus or 0
    address.target = address.target or 0
    address.unit = address.unit or 0


def _settle_virtio_serial(address: VirtioSerialAddress) -> None:
    address.controller = address.controller or 0
    address.bus = address.bus or 0
    address.port = address.port or 0


def _settle_ccid(address: CCIDAddress) -> None:
    address.controller = address.controller or 0
    address.slot = address.slot or 0


def _refuse_virtio_s390(address: VirtioS390Address) -> None:
    raise XMLError("virtio-s390 bus doesn't have an address")


def _settle_boot(device: BootableDevice | ROMDevice) -> None:
    assert device.loadparm is not None
    if device.boot_order is None:
        raise XMLError("Missing required attribute 'order' in element 'boot'")
    loadparm = device.loadparm.upper()
    if not 1 <= len(loadparm.encode()) <= 8:
        raise InternalError(f"loadparm value '{loadparm}' must be between 1 and 8 characters")
    if not _LOADPARM.fullmatch(loadparm):
        raise InternalError(
            f"invalid loadparm value '{loadparm}', expecting chars in set of [a-zA-Z0-9.] and blank spaces"
        )
    device.loadparm = loadparm


def _settle_pci(address: PCIAddress) -> None:
    bus, slot, function = address.bus or 0, address.slot or 0, address.function or 0
    if not (bus or slot or function or address.domain):
        # Any slot: nothing is printed.
        address.domain = address.bus = address.slot = address.function = None
        return
    if bus > 0xFF or slot > 0x1F or function > 7:
        verify_pci(bus, slot, function)
    address.domain = address.domain or 0
    address.bus, address.slot, address.function = bus, slot, function


def _settle_usb(address: USBAddress) -> None:
    address.bus = address.bus or 0
    if address.port is None:
        return
    if not _USB_PORT.fullmatch(address.port):
        raise InternalError("Cannot parse <address> 'port' attribute")
    ports = [int(part) for part in address.port.split(".")]
    while ports and not ports[-1]:
        ports.pop()
    address.port = ".".join(map(str, ports)) or None


def _settle_ccw(address: CCWAddress) -> None:
    given = (address.cssid, address.ssid, address.devno)
    if given == (None, None, None):
        return  # to be chosen
    cssid, ssid, devno = (number or 0 for number in given)
    if cssid > _CCW_CSSID_MAX or ssid > _CCW_SSID_MAX or devno > _CCW_DEVNO_MAX:
        raise InternalError(
            f"Invalid specification for virtio ccw address: cssid='0x{cssid:x}' ssid='0x{ssid:x}' devno='0x{devno:04x}'"
        )
    if None in given:
        raise InternalError("Invalid partial specification for virtio ccw address")
    address.cssid, address.ssid, address.devno = cssid, ssid, devno


_ADDRESSES: dict[type[object], Callable[..., None]] = {
    PCIAddress: _settle_pci,
    DriveAddress: _settle_drive,
    VirtioSerialAddress: _settle_virtio_serial,
    CCIDAddress: _settle_ccid,
    USBAddress: _settle_usb,
    CCWAddress: _settle_ccw,
    VirtioS390Address: _refuse_virtio_s390,
}
