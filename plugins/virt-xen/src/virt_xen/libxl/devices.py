"""Devices, as libxl is given them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_xen.config.disks import host_path
from virt_xen.config.displays import FIRST_PORT, listen_address
from virt_xen.config.interfaces import switch_port
from virt_xen.config.rbd import format_rbd
from virtcore.errors import ConfigUnsupported, OperationInvalid
from virtcore.model.domain.chardev import XenTarget
from virtcore.model.domain.controller import USBController, USBControllerModel
from virtcore.model.domain.disk import Disk, DiskDevice, DiskDiscard, DiskDriver
from virtcore.model.domain.graphics import SDLGraphics, VNCGraphics
from virtcore.model.domain.hostdev import PCIHostdev, USBHostdev
from virtcore.model.domain.interface import BridgeInterfaceSource, Interface, InterfaceType, NetworkInterfaceSource
from virtcore.model.domain.os import OSType
from virtcore.model.storage.source import NetworkSource, SourcePCIAddress, StorageFormat

if TYPE_CHECKING:
    from virt_xen.libxl.resources import JSON, Resources
    from virtcore.model.domain.chardev import Channel
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.graphics import Graphics

__all__ = ["channels", "defbool", "disks", "framebuffers", "nics", "pci", "usb"]

_QEMU_FORMATS = {
    StorageFormat.RAW: "raw",
    StorageFormat.QCOW: "qcow",
    StorageFormat.QCOW2: "qcow2",
    StorageFormat.VHD: "vhd",
    StorageFormat.QED: "qed",
}
#: The driver ``tap`` and its formats: libxl's name of the format, who serves it.
_TAP_FORMATS = {
    StorageFormat.RAW: ("raw", "tap"),
    StorageFormat.QCOW: ("qcow", "qdisk"),
    StorageFormat.QCOW2: ("qcow2", "qdisk"),
    StorageFormat.VHD: ("vhd", "tap"),
}
#: Microseconds after which an interface may send again.
_RATE_INTERVAL = 50000
_USB_VERSIONS = {None: 2, USBControllerModel.QUSB1: 1, USBControllerModel.QUSB2: 2}
_USB_PORTS = 8


def defbool(value: bool) -> str:
    """A value of libxl's that is on, off, or left to it."""
    return "True" if value else "False"


# -- disks


def disks(domain: Domain, resources: Resources) -> list[JSON]:
    """The disks.

    :raises VirtError: libxl has no driver or format for one.
    """
    assert domain.devices is not None
    return [_disk(disk, resources) for disk in domain.devices.disks if disk.device is not DiskDevice.FLOPPY]


def _disk(disk: Disk, resources: Resources) -> JSON:
    driver = disk.driver or DiskDriver()
    if isinstance(disk.source, NetworkSource):
        if driver.name != "qemu":
            raise OperationInvalid("only the 'qemu' driver can be used with network disks")
        auth = disk.source.auth
        path: str | None = format_rbd(disk.source, resources.secret(auth) if auth is not None else None)
    else:
        path = host_path(disk.source)
    backend, format_ = _backend(driver)
    cdrom = disk.device is DiskDevice.CDROM
    if cdrom and path is None:
        format_ = "empty"
    if disk.transient is not None:
        raise ConfigUnsupported("libxenlight does not support transient disks")
    found: dict[str, JSON] = {}
    if disk.backend_domain is not None:
        found["backend_domname"] = disk.backend_domain
    if path is not None:
        found["pdev_path"] = path
    found["vdev"] = disk.target.dev if disk.target is not None else None
    if backend is not None:
        found["backend"] = backend
    found["format"] = format_
    found["removable"] = 1
    if not disk.readonly:
        found["readwrite"] = 1
    if cdrom:
        found["is_cdrom"] = 1
    if not disk.readonly and driver.discard is not None:
        found["discard_enable"] = defbool(driver.discard is DiskDiscard.UNMAP)
    return found


def _backend(driver: DiskDriver) -> tuple[str | None, str]:
    """Who serves the disk (None: libxl's choice), and libxl's name of its format."""
    format_ = driver.type or StorageFormat.RAW
    if driver.name is None:
        return None, "raw"
    if driver.name in ("tap", "tap2") and format_ in _TAP_FORMATS:
        name, backend = _TAP_FORMATS[format_]
        return backend, name
    if driver.name == "qemu" and format_ in _QEMU_FORMATS:
        return "qdisk", _QEMU_FORMATS[format_]
    if driver.name in ("file", "phy") and format_ is StorageFormat.RAW:
        return ("qdisk" if driver.name == "file" else "phy"), "raw"
    if driver.name not in ("tap", "tap2", "qemu", "file", "phy"):
        raise ConfigUnsupported(f"libxenlight does not support disk driver {driver.name}", value=driver.name)
    raise ConfigUnsupported(f"libxenlight does not support disk format {format_} with disk driver {driver.name}")


# -- interfaces


def nics(domain: Domain, resources: Resources) -> list[JSON]:
    """Network interfaces; devices of the host are among the PCI devices.

    :raises VirtError: one is connected to what Xen cannot connect it to.
    """
    assert domain.devices is not None
    full = domain.os_type is OSType.HVM
    found: list[JSON] = []
    for interface in domain.devices.interfaces:
        if interface.type is not InterfaceType.HOSTDEV:
            found.append(_nic(interface, len(found), resources, full))
    return found


def _nic(interface: Interface, number: int, resources: Resources, full: bool) -> JSON:
    kind, source = interface.type or InterfaceType.USER, interface.source
    script = interface.script
    if script is not None and kind not in (InterfaceType.BRIDGE, InterfaceType.ETHERNET):
        raise ConfigUnsupported("specifying a script is only supported with interface types bridge and ethernet")
    bridge: str | None = None
    if isinstance(source, BridgeInterfaceSource):
        bridge, script = switch_port(interface, source.bridge)
    elif isinstance(source, NetworkInterfaceSource):
        bridge = resources.network_bridge(source.network)
    elif kind is not InterfaceType.ETHERNET:
        raise ConfigUnsupported(f"unsupported interface type {kind}", value=kind)
    assert interface.mac is not None
    found: dict[str, JSON] = {}
    if interface.backend_domain is not None:
        found["backend_domname"] = interface.backend_domain
    found["devid"] = number
    for name, value in (
        ("mtu", interface.mtu or None),
        ("model", interface.model),
        ("mac", interface.mac.address),
        ("ip", " ".join(ip.address or "" for ip in interface.ips) or None),
        ("bridge", bridge),
        ("ifname", interface.target.dev if interface.target is not None else None),
        ("script", script),
        ("nictype", "vif_ioemu" if full and interface.model != "netfront" else "vif"),
    ):
        if value is not None:
            found[name] = value
    outbound = interface.bandwidth.outbound if interface.bandwidth is not None else None
    if outbound is not None and outbound.average:
        found["rate_bytes_per_interval"] = outbound.average * 1024 * _RATE_INTERVAL // 1_000_000
        found["rate_interval_usecs"] = _RATE_INTERVAL
    return found


# -- displays


def framebuffers(domain: Domain, resources: Resources) -> list[dict[str, JSON]]:
    """A paravirtual frame buffer for each display. Ports left to the host are chosen here, and set in the domain."""
    assert domain.devices is not None
    return [_framebuffer(graphics, resources) for graphics in domain.devices.graphics]


def _framebuffer(graphics: Graphics, resources: Resources) -> dict[str, JSON]:
    vnc: dict[str, JSON] = {}
    sdl: dict[str, JSON] = {}
    keymap = None
    if isinstance(graphics, SDLGraphics):
        vnc["enable"] = defbool(False)
        sdl.update({"enable": defbool(True), "opengl": defbool(False)})
        sdl.update({k: v for k, v in (("display", graphics.display), ("xauthority", graphics.xauth)) if v is not None})
    elif isinstance(graphics, VNCGraphics):
        if graphics.autoport:
            graphics.port = resources.display_port()
        vnc["enable"] = defbool(True)
        display = max((graphics.port or 0) - FIRST_PORT, 0)
        for name, value in (
            ("listen", listen_address(graphics)),
            ("passwd", graphics.passwd),
            ("display", display or None),
            # Free ports are the driver's affair.
            ("findunused", defbool(False)),
        ):
            if value is not None:
                vnc[name] = value
        sdl["enable"] = defbool(False)
        keymap = graphics.keymap
    found: dict[str, JSON] = {"devid": -1, "vnc": vnc, "sdl": sdl}
    if keymap is not None:
        found["keymap"] = keymap
    return found


# -- devices of the host, channels


def pci(domain: Domain) -> list[JSON]:
    """PCI devices of the host."""
    assert domain.devices is not None
    found: list[JSON] = []
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, PCIHostdev) and hostdev.source is not None:
            at = hostdev.source.address or SourcePCIAddress()
            parts = (("func", at.function), ("dev", at.slot), ("bus", at.bus), ("domain", at.domain))
            device: dict[str, JSON] = {name: value for name, value in parts if value}
            if hostdev.source.write_filtering is False:
                device["permissive"] = True
            found.append(device)
    return found


def usb(domain: Domain) -> tuple[list[JSON], list[JSON]]:
    """USB controllers, and USB devices of the host.

    :raises ConfigUnsupported: a controller is of a model that Xen has not.
    """
    assert domain.devices is not None
    controllers: list[JSON] = []
    for controller in domain.devices.controllers:
        if isinstance(controller, USBController):
            if controller.model not in _USB_VERSIONS:
                raise ConfigUnsupported("unsupported usb model", value=controller.model)
            version = _USB_VERSIONS[controller.model]
            ports = _USB_PORTS if controller.ports is None else controller.ports
            controllers.append({"type": "qusb", "devid": controller.index or 0, "version": version, "ports": ports})
    devices: list[JSON] = []
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, USBHostdev) and hostdev.source is not None and hostdev.source.address is not None:
            at = hostdev.source.address
            where: JSON = {"hostbus": at.bus, "hostaddr": at.device}
            devices.append({"ctrl": -1, "type": "hostdev", "type.hostdev": where})
    return controllers, devices


def channels(domain: Domain) -> list[JSON]:
    """Paravirtual channels.

    :raises ConfigUnsupported: one is of a kind that Xen has not.
    """
    assert domain.devices is not None
    xen = [channel for channel in domain.devices.channels if isinstance(channel.target, XenTarget)]
    return [_channel(channel, number) for number, channel in enumerate(xen)]


def _channel(channel: Channel, number: int) -> JSON:
    from virt_xen.config.characters import channel_words

    said = dict(channel_words(channel))
    kind = said["connection"]
    where: dict[str, JSON] = {"path": said["path"]} if "path" in said else {}
    return {"devid": number, "name": said["name"], "connection": kind, f"connection.{kind}": where}
