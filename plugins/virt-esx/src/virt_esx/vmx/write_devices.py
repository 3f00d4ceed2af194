"""The devices of a domain as a VMX file has them; disks are :mod:`.write_disks`'."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from virt_esx.vmx.lines import VMXLines, write_uuid
from virt_esx.vmx.write_disks import write_disks
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.chardev import (
    DevChardev,
    FileChardev,
    PipeChardev,
    SocketMode,
    TCPChardev,
    TCPProtocol,
)
from virtcore.model.domain.filesystem import DirectorySource, FilesystemType
from virtcore.model.domain.graphics import AddressListen, VNCGraphics
from virtcore.model.domain.interface import (
    BridgeInterfaceSource,
    InterfaceType,
    MACType,
    VDSInterfaceSource,
)
from virtcore.model.domain.video import VideoType
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext
    from virtcore.model.domain.chardev import CharacterType, ChardevSource, Parallel, Serial
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.filesystem import Filesystem
    from virtcore.model.domain.interface import Interface, InterfaceMAC
    from virtcore.model.domain.video import Video

__all__ = ["write_devices"]

_MODELS = ("vlance", "vmxnet", "vmxnet2", "vmxnet3", "e1000", "e1000e")
# Hardware of this version has ten network adapters rather than four.
_TEN_NETWORKS_HARDWARE = 7
_VNC_PORTS = range(5900, 5965)
_SERIAL_PORTS = 4
_PARALLEL_PORTS = 3
_VIDEO_MEMORY_STEP = 64
_SCHEMES = {
    None: "tcp",
    TCPProtocol.RAW: "tcp",
    TCPProtocol.TELNET: "telnet",
    TCPProtocol.TELNETS: "telnets",
    TCPProtocol.TLS: "ssl",
}

# Addresses VMware gives itself, those it lets users choose, those vCenter gives.
_GENERATED_PREFIX = 0x000C29
_VMWARE_PREFIX = 0x005056
_STATIC_SUFFIXES = range(0x400000)
_VCENTER_SUFFIXES = range(0x800000, 0xC00000)

_log = logging.getLogger("virtcore.esx")


def write_devices(domain: Domain, context: VMXContext, lines: VMXLines, hardware_version: int) -> bool:
    """Every device.

    :return: whether there is a SCSI adapter.
    :raises VirtError: a device that no VMware machine can have.
    """
    from virtcore.model.domain.devices import Devices

    devices: Devices = domain.devices or Devices()
    for graphics in devices.graphics:
        if not isinstance(graphics, VNCGraphics):
            kind = declaration(type(graphics)).tag
            raise ConfigUnsupported(f"Unsupported graphics type '{kind}'", path="/domain/devices/graphics/@type")
        _write_vnc(graphics, lines)
    has_scsi = write_disks(devices, context, lines)
    if devices.filesystems:
        lines.add("isolation.tools.hgfs.disable", False)
        lines.add("sharedFolder.maxNum", len(devices.filesystems))
    for number, filesystem in enumerate(devices.filesystems):
        _write_shared_folder(filesystem, f"sharedFolder{number}", lines)
    most = 10 if hardware_version >= _TEN_NETWORKS_HARDWARE else 4
    for number, interface in enumerate(devices.interfaces):
        if number >= most:
            raise InternalError(
                f"Ethernet controller index {number} out of [0..{most - 1}] range", path="/domain/devices/interface"
            )
        _write_ethernet(interface, f"ethernet{number}", lines)
    if len(devices.videos) > 1:
        raise InternalError("No support for multiple video devices", path="/domain/devices/video")
    for video in devices.videos:
        _write_svga(video, lines)
    for serial in devices.serials:
        _write_serial(serial, context, lines)
    for parallel in devices.parallels:
        _write_parallel(parallel, context, lines)
    return has_scsi


def _write_vnc(graphics: VNCGraphics, lines: VMXLines) -> None:
    lines.add("RemoteDisplay.vnc.enabled", True)
    if graphics.autoport:
        _log.warning("VNC autoport is enabled, but the automatically assigned VNC port cannot be read back")
    else:
        port = graphics.port or 0
        if port not in _VNC_PORTS:
            _log.warning("VNC port %d it out of [5900..5964] range", port)
        lines.add("RemoteDisplay.vnc.port", port)
    listen = graphics.listens[0] if graphics.listens else None
    if isinstance(listen, AddressListen) and listen.address is not None:
        lines.add("RemoteDisplay.vnc.ip", listen.address)
    if graphics.keymap is not None:
        lines.add("RemoteDisplay.vnc.keymap", graphics.keymap)
    if graphics.passwd is not None:
        lines.add("RemoteDisplay.vnc.password", graphics.passwd)


def _write_shared_folder(filesystem: Filesystem, prefix: str, lines: VMXLines) -> None:
    source = filesystem.source
    if filesystem.type is not FilesystemType.MOUNT or not isinstance(source, DirectorySource):
        raise ConfigUnsupported("Only 'mount' filesystem type is supported", path="/domain/devices/filesystem/@type")
    lines.add(f"{prefix}.present", True)
    lines.add(f"{prefix}.enabled", True)
    lines.add(f"{prefix}.readAccess", True)
    lines.add(f"{prefix}.writeAccess", not filesystem.readonly)
    lines.add(f"{prefix}.hostPath", source.dir or "")
    lines.add(f"{prefix}.guestName", filesystem.target or "")


def _write_ethernet(interface: Interface, prefix: str, lines: VMXLines) -> None:
    lines.add(f"{prefix}.present", True)
    model = interface.model
    if model is not None:
        if model not in _MODELS:
            raise InternalError(
                "Expecting domain XML entry 'devices/interface/model' to be 'vlance' or 'vmxnet' or 'vmxnet2' or "
                f"'vmxnet3' or 'e1000' or 'e1000e' but found '{model}'",
                path="/domain/devices/interface/model/@type",
            )
        lines.add(f"{prefix}.virtualDev", "vmxnet" if model == "vmxnet2" else model)
        if model == "vmxnet2":
            lines.add(f"{prefix}.features", "15")
    source = interface.source
    if isinstance(source, BridgeInterfaceSource):
        lines.add(f"{prefix}.networkName", source.bridge)
        if interface.target is not None and interface.target.dev is not None:
            lines.add(f"{prefix}.connectionType", "custom")
            lines.add(f"{prefix}.vnet", interface.target.dev)
        else:
            lines.add(f"{prefix}.connectionType", "bridged")
    elif isinstance(source, VDSInterfaceSource):
        lines.add(f"{prefix}.dvs.switchId", write_uuid(UUID(source.switchid)))
        if source.portid:
            lines.add(f"{prefix}.dvs.portId", source.portid)
        if source.portgroupid is not None:
            lines.add(f"{prefix}.dvs.portgroupId", source.portgroupid)
        if source.connectionid:
            lines.add(f"{prefix}.dvs.connectionId", source.connectionid)
    elif interface.type in (InterfaceType.USER, None):
        lines.add(f"{prefix}.connectionType", "nat")
    elif interface.type is not InterfaceType.NULL:
        raise ConfigUnsupported(f"Unsupported net type '{interface.type}'", path="/domain/devices/interface/@type")
    if interface.mac is not None and interface.mac.address is not None:
        _write_mac(interface.mac, interface.mac.address, prefix, lines)


def _write_mac(mac: InterfaceMAC, address: str, prefix: str, lines: VMXLines) -> None:
    """Where the address comes from is guessed from its range where the domain does not say."""
    digits = int(address.replace(":", ""), 16)
    vendor, suffix = digits >> 24, digits & 0xFFFFFF
    vcenter = vendor == _VMWARE_PREFIX and suffix in _VCENTER_SUFFIXES
    check: bool | None = None
    if vendor == _GENERATED_PREFIX or vcenter:
        kind = MACType.GENERATED
    else:
        kind = MACType.STATIC
        check = None if vendor == _VMWARE_PREFIX and suffix in _STATIC_SUFFIXES else False
    if mac.type is not None:
        kind = mac.type
        if kind is MACType.GENERATED:
            check = None
    if mac.check is not None:
        check = mac.check
    if kind is MACType.GENERATED:
        lines.add(f"{prefix}.addressType", "vpx" if vcenter else "generated")
        lines.add(f"{prefix}.generatedAddress", address)
        if not vcenter:
            lines.add(f"{prefix}.generatedAddressOffset", "0")
    else:
        lines.add(f"{prefix}.addressType", "static")
        lines.add(f"{prefix}.address", address)
    if check is not None:
        lines.add(f"{prefix}.checkMACAddress", check)


def _write_svga(video: Video, lines: VMXLines) -> None:
    model = video.model
    assert model is not None
    if model.type is not VideoType.VMVGA:
        raise ConfigUnsupported(
            f"Unsupported video device type '{model.type}'", path="/domain/devices/video/model/@type"
        )
    if (model.heads or 0) > 1:
        raise ConfigUnsupported("Multi-head video devices are unsupported", path="/domain/devices/video/model/@heads")
    # Windows wants a multiple of 64 KiB.
    memory = -(-(model.vram or 0) // _VIDEO_MEMORY_STEP) * _VIDEO_MEMORY_STEP
    lines.add("svga.vramSize", memory * 1024)


def _unsupported(type: CharacterType | None) -> ConfigUnsupported:
    return ConfigUnsupported(f"Unsupported character device type '{type or 'pty'}'", path="/domain/devices/serial")


def _write_serial(serial: Serial, context: VMXContext, lines: VMXLines) -> None:
    port = (serial.target.port or 0) if serial.target is not None else 0
    if port >= _SERIAL_PORTS:
        raise InternalError(f"Serial port index {port} out of [0..3] range", path="/domain/devices/serial/target/@port")
    prefix = f"serial{port}"
    lines.add(f"{prefix}.present", True)
    source = serial.source
    if isinstance(source, PipeChardev):
        lines.add(f"{prefix}.fileType", "pipe")
        # What the client of vSphere writes.
        lines.add(f"{prefix}.pipe.endPoint", "client")
        lines.add(f"{prefix}.tryNoRxLoss", False)
        lines.add(f"{prefix}.fileName", _path(source))
    elif isinstance(source, TCPChardev):
        tcp = source.source
        assert tcp is not None
        lines.add(f"{prefix}.fileType", "network")
        lines.add(f"{prefix}.fileName", f"{_SCHEMES[source.protocol]}://{tcp.host}:{tcp.service}")
        lines.add(f"{prefix}.network.endPoint", "server" if tcp.mode is SocketMode.BIND else "client")
    else:
        _write_port(source, serial.type, prefix, context, lines)
    lines.add(f"{prefix}.yieldOnMsrRead", True)


def _write_parallel(parallel: Parallel, context: VMXContext, lines: VMXLines) -> None:
    port = (parallel.target.port or 0) if parallel.target is not None else 0
    if port >= _PARALLEL_PORTS:
        raise InternalError(
            f"Parallel port index {port} out of [0..2] range", path="/domain/devices/parallel/target/@port"
        )
    lines.add(f"parallel{port}.present", True)
    _write_port(parallel.source, parallel.type, f"parallel{port}", context, lines)


def _write_port(
    source: ChardevSource | None, type: CharacterType | None, prefix: str, context: VMXContext, lines: VMXLines
) -> None:
    """What serial and parallel ports have in common."""
    if isinstance(source, DevChardev):
        lines.add(f"{prefix}.fileType", "device")
        lines.add(f"{prefix}.fileName", _path(source))
    elif isinstance(source, FileChardev):
        lines.add(f"{prefix}.fileType", "file")
        lines.add(f"{prefix}.fileName", context.files.write(_path(source)))
    else:
        raise _unsupported(type)


def _path(source: DevChardev | FileChardev | PipeChardev) -> str:
    return (source.source.path or "") if source.source is not None else ""
