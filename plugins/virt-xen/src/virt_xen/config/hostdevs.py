"""Devices of the host, USB controllers, and other emulated devices: ``pci``, ``usbdev``, ``usbctrl``, ``usbdevice``,
``soundhw``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_xen.config.settings import hexadecimal, pairs
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.addresses.pci import spell
from virtcore.model.domain.controller import USBController, USBControllerModel, XenbusController
from virtcore.model.domain.hostdev import (
    PCIHostdev,
    PCIHostdevSource,
    SourceUSBAddress,
    USBHostdev,
    USBHostdevSource,
)
from virtcore.model.domain.input import Input, InputBus, InputType
from virtcore.model.domain.os import OSType
from virtcore.model.domain.sound import Sound, SoundModel
from virtcore.model.storage.source import SourcePCIAddress

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virtcore.model.domain.domain import Domain

__all__ = [
    "read_inputs",
    "read_pci",
    "read_sounds",
    "read_usb",
    "read_xenbus",
    "write_inputs",
    "write_pci",
    "write_sounds",
    "write_usb",
    "write_xenbus",
]

_PCI = re.compile(r"(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?[0-9]{1,9}")
_INPUTS = {"mouse": InputType.MOUSE, "tablet": InputType.TABLET, "keyboard": InputType.KEYBOARD}
_LONGEST_SOUND = 9
_USB_VERSIONS = {USBControllerModel.QUSB1: 1, USBControllerModel.QUSB2: 2}
_LARGEST_INT = (1 << 31) - 1


# -- PCI


def read_pci(settings: Settings, domain: Domain) -> None:
    """``pci``, a string each: ``[domain:]bus:slot.function[,option=value...]``.

    :raises InternalError: one is malformed.
    """
    assert domain.devices is not None
    for entry in settings.only_strings("pci"):
        domain.devices.hostdevs.append(_read_pci(entry))


def _read_pci(entry: str) -> PCIHostdev:
    address, comma, options = entry.partition(",")
    found = _PCI.fullmatch(address)
    if found is None or int(found.group(3), 16) > 0x1F:
        raise InternalError(f"Malformed PCI address {address}", value=address)
    filtering: bool | None = None
    if comma:
        said = pairs(options)
        if said is None:
            raise InternalError(f"Malformed PCI options {options}", value=options)
        for key, value in said:
            if key == "permissive":
                if _INTEGER.fullmatch(value) is None:
                    raise InternalError(f"Malformed PCI options {options}", value=options)
                filtering = int(value) == 0
    place, bus, slot, function = found.groups()
    return PCIHostdev(
        managed=False,
        source=PCIHostdevSource(
            write_filtering=filtering,
            address=SourcePCIAddress(
                domain=int(place or "0", 16), bus=int(bus, 16), slot=int(slot, 16), function=int(function, 16)
            ),
        ),
    )


def write_pci(domain: Domain, output: Output) -> None:
    """``pci``, a string each."""
    assert domain.devices is not None
    output.set_list("pci", [_write_pci(each) for each in domain.devices.hostdevs if isinstance(each, PCIHostdev)])


def _write_pci(hostdev: PCIHostdev) -> str:
    assert hostdev.source is not None
    text = spell(hostdev.source.address or SourcePCIAddress())
    filtering = hostdev.source.write_filtering
    return text if filtering is None else f"{text},permissive={int(not filtering)}"


# -- USB


def read_usb(settings: Settings, domain: Domain) -> None:
    """``usbdev`` and ``usbctrl``; what cannot be understood of them is skipped, as libvirt does."""
    assert domain.devices is not None
    for entry in settings.strings("usbdev"):
        said = dict(pairs(entry) or ())
        bus, device = (hexadecimal(said.get(key, "")) for key in ("hostbus", "hostaddr"))
        if bus is not None and device is not None:
            address = SourceUSBAddress(bus=bus, device=device)
            domain.devices.hostdevs.append(USBHostdev(managed=False, source=USBHostdevSource(address=address)))
    for entry in settings.strings("usbctrl"):
        found = pairs(entry)
        if found is None:
            continue
        said = dict(found)
        version, ports = (hexadecimal(said.get(key, default)) for key, default in (("version", "2"), ("ports", "8")))
        if version is None or ports is None or not said.get("type", "qusb").startswith("qusb"):
            continue
        model = USBControllerModel.QUSB1 if version == 1 else USBControllerModel.QUSB2
        domain.devices.controllers.append(USBController(model=model, ports=ports))


def write_usb(domain: Domain, output: Output) -> None:
    """``usbdev`` and ``usbctrl``.

    :raises ConfigUnsupported: a controller is emulated.
    """
    assert domain.devices is not None
    devices = []
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, USBHostdev) and hostdev.source is not None:
            at = hostdev.source.address or SourceUSBAddress(bus=0, device=0)
            devices.append(f"hostbus={at.bus:x},hostaddr={at.device:x}")
    output.set_list("usbdev", devices)
    controllers = []
    for controller in domain.devices.controllers:
        if isinstance(controller, USBController):
            text = ""
            if controller.model is not None:
                if controller.model not in _USB_VERSIONS:
                    raise ConfigUnsupported("unsupported usb model", value=controller.model)
                text = f"type=qusb,version={_USB_VERSIONS[controller.model]},"
            if controller.ports is not None:
                text += f"ports={controller.ports:x}"
            controllers.append(text)
    output.set_list("usbctrl", controllers)


# -- limits of the paravirtual bus


def read_xenbus(settings: Settings, domain: Domain) -> None:
    """``max_event_channels`` and ``max_grant_frames``."""
    assert domain.devices is not None
    limits = [settings.number(name, 0) for name in ("max_event_channels", "max_grant_frames")]
    if max(limits) > _LARGEST_INT:
        raise InternalError("config value max_event_channels was malformed", value=str(max(limits)))
    channels, frames = (limit or None for limit in limits)
    domain.devices.controllers.append(XenbusController(max_event_channels=channels, max_grant_frames=frames))


def write_xenbus(domain: Domain, output: Output) -> None:
    """``max_event_channels`` and ``max_grant_frames``."""
    assert domain.devices is not None
    for controller in domain.devices.controllers:
        if isinstance(controller, XenbusController):
            output.set("max_event_channels", controller.max_event_channels or None)
            output.set("max_grant_frames", controller.max_grant_frames or None)


# -- emulated devices


def read_inputs(settings: Settings, domain: Domain, *, several: bool) -> None:
    """``usbdevice``: pointers and keyboards on USB.

    :param several: whether the format has more than one.
    :raises InternalError: it is no string.
    """
    assert domain.devices is not None
    if domain.os_type is not OSType.HVM:
        return
    value = settings.get("usbdevice")
    names = value if several and isinstance(value, list) else [value] if value is not None else []
    for name in names:
        if not isinstance(name, str):
            raise InternalError("config value usbdevice was malformed")
        if name in _INPUTS:
            domain.devices.inputs.append(Input(type=_INPUTS[name], bus=InputBus.USB))


def write_inputs(domain: Domain, output: Output, *, several: bool) -> None:
    """``usbdevice``.

    :param several: whether the format has more than one; else the last one counts.
    """
    assert domain.devices is not None
    if domain.os_type is not OSType.HVM:
        return
    on_usb = [device for device in domain.devices.inputs if device.bus is InputBus.USB]
    names = [device.type.value for device in on_usb if device.type.value in _INPUTS]
    if on_usb:
        output.set("usb", 1)
    if len(names) > 1 and several:
        output.set_list("usbdevice", names)
    elif names:
        output.set("usbdevice", names[-1])


def read_sounds(settings: Settings, domain: Domain) -> None:
    """``soundhw``.

    :raises VirtError: a card is unknown.
    """
    assert domain.devices is not None
    if domain.os_type is not OSType.HVM:
        return
    text = settings.string("soundhw")
    if text is None:
        return
    if text == "all":
        # What Xen's device model once had.
        text = f"{SoundModel.SB16},{SoundModel.ES1370}"
    for name in text.split(","):
        if len(name) > _LONGEST_SOUND:
            raise InternalError(f"Sound model {name} too big for destination", value=name)
        try:
            domain.devices.sounds.append(Sound(model=SoundModel(name)))
        except ValueError:
            raise ConfigUnsupported(f"unknown sound model '{name}'", value=name) from None


def write_sounds(domain: Domain, output: Output) -> None:
    """``soundhw``."""
    assert domain.devices is not None
    if domain.os_type is OSType.HVM and domain.devices.sounds:
        output.set("soundhw", ",".join(sound.model.value for sound in domain.devices.sounds))
