"""The devices of a VMX file."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeVar

from virt_esx.vmx.read_disks import Slot, read_disk, read_floppy
from virtcore.errors import InternalError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.chardev import (
    CharacterType,
    DevChardev,
    FileChardev,
    HostPath,
    NullChardev,
    OutputFile,
    Parallel,
    ParallelTarget,
    PipeChardev,
    Serial,
    SerialTarget,
    SocketMode,
    TCPChardev,
    TCPProtocol,
    TCPSource,
)
from virtcore.model.domain.controller import SATAController, SCSIController, SCSIControllerModel
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.filesystem import DirectorySource, Filesystem, FilesystemType
from virtcore.model.domain.graphics import AddressListen, VNCGraphics
from virtcore.model.domain.interface import (
    BridgeInterfaceSource,
    Interface,
    InterfaceMAC,
    InterfaceTarget,
    InterfaceType,
    MACType,
    VDSInterfaceSource,
)
from virtcore.model.domain.video import Video, VideoModel, VideoType
from virtcore.uri import URI
from virtcore.xml import MAC

if TYPE_CHECKING:
    from virt_esx.vmx.context import VMXContext
    from virt_esx.vmx.settings import VMXSettings

__all__ = ["SCSI_MODELS", "read_devices"]

T = TypeVar("T")

SCSI_MODELS = {
    "buslogic": SCSIControllerModel.BUSLOGIC,
    "lsilogic": SCSIControllerModel.LSILOGIC,
    "lsisas1068": SCSIControllerModel.LSISAS1068,
    "pvscsi": SCSIControllerModel.VMPVSCSI,
}
"""VMware's names of SCSI adapters."""

_ADAPTERS = 4
_SATA_UNITS = 30
_SATA_PORTS = 6
_IDE_CHANNELS = 2
_IDE_UNITS = 2
_FLOPPIES = 2
_SERIAL_PORTS = 4
_PARALLEL_PORTS = 3
#: Unit of the SCSI adapter itself.
_ADAPTER_UNIT = 7
_MODELS = ("vlance", "vmxnet", "vmxnet3", "e1000", "e1000e")
# Features of a vmxnet adapter that make it a vmxnet2.
_ENHANCED = 15
_NO_MAC = "00:00:00:00:00:00"
_DEFAULT_VIDEO_MEMORY = 4 * 1024 * 1024
_PROTOCOLS = {
    None: TCPProtocol.RAW,
    "tcp": TCPProtocol.RAW,
    "tcp4": TCPProtocol.RAW,
    "tcp6": TCPProtocol.RAW,
    "telnet": TCPProtocol.TELNET,
    "telnets": TCPProtocol.TELNETS,
    "ssl": TCPProtocol.TLS,
    "tcp+ssl": TCPProtocol.TLS,
    "tcp4+ssl": TCPProtocol.TLS,
    "tcp6+ssl": TCPProtocol.TLS,
}


def read_devices(settings: VMXSettings, context: VMXContext, networks: list[int], *, scsi_units: int) -> Devices:
    """Every device, with the controllers of SCSI and SATA disks; those of others are implied.

    :param networks: numbers of the network adapters.
    :param scsi_units: units of a SCSI adapter, its own included.
    :raises VirtError: an entry has a value that no domain can have.
    """
    devices = Devices()
    devices.graphics += _some(_vnc(settings))
    _read_scsi(settings, context, devices, scsi_units)
    _read_sata(settings, context, devices)
    for channel, unit in product(range(_IDE_CHANNELS), range(_IDE_UNITS)):
        address = DriveAddress(controller=0, bus=channel, target=0, unit=unit)
        slot = Slot(f"ide{channel}:{unit}", DiskBus.IDE, channel * _IDE_UNITS + unit, address)
        devices.disks += _some(read_disk(settings, context, slot))
    for unit in range(_FLOPPIES):
        address = DriveAddress(controller=0, bus=0, target=0, unit=unit)
        devices.disks += _some(read_floppy(settings, context, Slot(f"floppy{unit}", DiskBus.FDC, unit, address)))
    if not settings.boolean("isolation.tools.hgfs.disable", True):
        most = settings.integer("sharedFolder.maxNum", 0)
        for number in settings.indexes("sharedFolder"):
            if number < most:
                devices.filesystems += _some(_shared_folder(settings, f"sharedFolder{number}"))
    for number in networks:
        devices.interfaces += _some(_ethernet(settings, f"ethernet{number}"))
    devices.videos.append(_svga(settings))
    for port in range(_SERIAL_PORTS):
        devices.serials += _some(_serial(settings, context, port))
    for port in range(_PARALLEL_PORTS):
        devices.parallels += _some(_parallel(settings, context, port))
    return devices


def _some(device: T | None) -> list[T]:
    return [] if device is None else [device]


# ---------------------------------------------------------------------------------------------------------------- disks


def _read_scsi(settings: VMXSettings, context: VMXContext, devices: Devices, units: int) -> None:
    models: list[SCSIControllerModel | None] = []
    last = -1
    for number in range(_ADAPTERS):
        present = settings.boolean(f"scsi{number}.present")
        models.append(_scsi_model(settings, f"scsi{number}.virtualDev") if present else None)
        for unit in range(units) if present else ():
            if unit == _ADAPTER_UNIT:
                continue
            index = number * (units - 1) + unit - (unit > _ADAPTER_UNIT)
            address = DriveAddress(controller=number, bus=0, target=0, unit=unit)
            disk = read_disk(settings, context, Slot(f"scsi{number}:{unit}", DiskBus.SCSI, index, address))
            if disk is not None:
                devices.disks.append(disk)
                last = number
    # All up to the last one in use, whether or not the file has them.
    devices.controllers += [SCSIController(index=number, model=models[number]) for number in range(last + 1)]


def _scsi_model(settings: VMXSettings, entry: str) -> SCSIControllerModel | None:
    name = settings.string(entry)
    if name is None:
        return None
    model = SCSI_MODELS.get(name.lower())
    if model is None:
        raise InternalError(
            f"Expecting VMX entry '{entry}' to be 'buslogic' or 'lsilogic' or 'lsisas1068' or 'pvscsi' "
            f"but found '{name.lower()}'"
        )
    return model


def _read_sata(settings: VMXSettings, context: VMXContext, devices: Devices) -> None:
    last = -1
    for number in range(_ADAPTERS):
        for unit in range(_SATA_UNITS) if settings.boolean(f"sata{number}.present") else ():
            index = number * _SATA_UNITS + unit
            # libvirt's SATA controllers are smaller than VMware's.
            controller, port = divmod(index, _SATA_PORTS)
            address = DriveAddress(controller=controller, bus=0, target=0, unit=port)
            disk = read_disk(settings, context, Slot(f"sata{number}:{unit}", DiskBus.SATA, index, address))
            if disk is not None:
                devices.disks.append(disk)
                last = controller
    devices.controllers += [SATAController(index=number) for number in range(last + 1)]


# -------------------------------------------------------------------------------------------------------- other devices


def _vnc(settings: VMXSettings) -> VNCGraphics | None:
    if not settings.boolean("RemoteDisplay.vnc.enabled"):
        return None
    port = settings.integer("RemoteDisplay.vnc.port", -1)
    return VNCGraphics(
        port=None if port < 0 else port,
        autoport=port < 0,
        listens=[AddressListen(address=settings.string("RemoteDisplay.vnc.ip"))],
        keymap=settings.string("RemoteDisplay.vnc.keymap"),
        passwd=settings.string("RemoteDisplay.vnc.password"),
    )


def _shared_folder(settings: VMXSettings, prefix: str) -> Filesystem | None:
    present = settings.boolean(f"{prefix}.present")
    if not (settings.boolean(f"{prefix}.enabled") and present):
        return None
    return Filesystem(
        type=FilesystemType.MOUNT,
        source=DirectorySource(dir=settings.required(f"{prefix}.hostPath")),
        target=settings.required(f"{prefix}.guestName"),
        readonly=not settings.boolean(f"{prefix}.writeAccess"),
    )


def _present(settings: VMXSettings, prefix: str) -> bool:
    """Whether there is a device; whether it is connected at start no domain can say."""
    present = settings.boolean(f"{prefix}.present")
    settings.boolean(f"{prefix}.startConnected", True)
    return present


def _ethernet(settings: VMXSettings, prefix: str) -> Interface | None:
    if not _present(settings, prefix):
        return None
    connection = settings.string(f"{prefix}.connectionType")
    mac = _mac(settings, prefix)
    model = _interface_model(settings, prefix)
    network = target = None
    kind = connection.lower() if connection is not None else None
    if kind is None:
        network = settings.string(f"{prefix}.networkName")
    elif kind in ("bridged", "custom"):
        network = settings.required(f"{prefix}.networkName")
    if kind == "custom":
        target = settings.required(f"{prefix}.vnet")
    interface = Interface(type=InterfaceType.BRIDGE, mac=mac, model=model)
    switch = settings.uuid(f"{prefix}.dvs.switchId")
    if switch is not None:
        interface.type = InterfaceType.VDS
        interface.source = VDSInterfaceSource(
            switchid=switch,
            portgroupid=settings.string(f"{prefix}.dvs.portgroupId"),
            portid=settings.integer(f"{prefix}.dvs.portId", 0),
            connectionid=settings.integer(f"{prefix}.dvs.connectionId", 0),
        )
    elif kind is None and network is None:
        interface.type = InterfaceType.NULL
    elif kind in (None, "bridged", "custom"):
        assert network is not None
        interface.source = BridgeInterfaceSource(bridge=network)
        if target is not None:
            interface.target = InterfaceTarget(dev=target)
    elif kind == "nat":
        interface.type = InterfaceType.USER
    elif kind == "hostonly":
        raise InternalError(f"No yet handled value '{connection}' for VMX entry '{prefix}.connectionType'")
    else:
        raise InternalError(f"Invalid value '{connection}' for VMX entry '{prefix}.connectionType'")
    return interface


def _mac(settings: VMXSettings, prefix: str) -> InterfaceMAC:
    kind = settings.string(f"{prefix}.addressType")
    source = None
    if kind is None or kind.lower() in ("generated", "vpx"):
        entry = f"{prefix}.generatedAddress"
        source = MACType.GENERATED if kind is not None else None
    elif kind.lower() == "static":
        entry = f"{prefix}.address"
        source = MACType.STATIC
    else:
        raise InternalError(
            f"Expecting VMX entry '{prefix}.addressType' to be 'generated' or 'static' or 'vpx' but found '{kind}'"
        )
    written = settings.string(entry)
    try:
        address = _NO_MAC if written is None else MAC.read(written)
    except ValueError:
        raise InternalError(
            f"Expecting VMX entry '{entry}' to be MAC address but found '{written}'", value=written
        ) from None
    check = settings.string(f"{prefix}.checkMACAddress")
    return InterfaceMAC(address=address, type=source, check=None if check is None else check == "true")


def _interface_model(settings: VMXSettings, prefix: str) -> str | None:
    device = settings.string(f"{prefix}.virtualDev")
    features = settings.integer(f"{prefix}.features", 0)
    if device is None:
        return None
    model = device.lower()
    if model not in _MODELS:
        raise InternalError(
            f"Expecting VMX entry '{prefix}.virtualDev' to be 'vlance' or 'vmxnet' or 'vmxnet3' or 'e1000' or "
            f"'e1000e' but found '{device}'"
        )
    return "vmxnet2" if model == "vmxnet" and features == _ENHANCED else model


def _svga(settings: VMXSettings) -> Video:
    memory = settings.integer("svga.vramSize", _DEFAULT_VIDEO_MEMORY)
    if memory >= 1 << 42:
        raise InternalError("Config entry 'svga.vramSize' must represent an integer value", value=str(memory))
    return Video(model=VideoModel(type=VideoType.VMVGA, vram=max(0, -(-memory // 1024))))


def _serial(settings: VMXSettings, context: VMXContext, port: int) -> Serial | None:
    prefix = f"serial{port}"
    if not _present(settings, prefix):
        return None
    kind = settings.string(f"{prefix}.fileType")
    name = settings.string(f"{prefix}.fileName")
    serial = Serial(target=SerialTarget(port=port))
    # VMware sometimes leaves the kind out, which means a device.
    match kind.lower() if kind is not None else "device":
        case "device":
            serial.type = CharacterType.DEV
            serial.source = DevChardev(source=HostPath(path=name))
        case "file":
            serial.type = CharacterType.FILE
            path = context.files.read(settings.required(f"{prefix}.fileName"), optional=False)
            serial.source = FileChardev(source=OutputFile(path=path))
        case "pipe":
            serial.type = CharacterType.PIPE
            serial.source = PipeChardev(source=HostPath(path=name))
        case "network":
            tcp = _tcp(settings, prefix, name or "")
            serial.type = CharacterType.NULL if tcp is None else CharacterType.TCP
            serial.source = NullChardev() if tcp is None else tcp
        case _:
            raise InternalError(
                f"Expecting VMX entry '{prefix}.fileType' to be 'device', 'file' or 'pipe' or 'network' "
                f"but found '{kind}'"
            )
    return serial


def _tcp(settings: VMXSettings, prefix: str, name: str) -> TCPChardev | None:
    """A port on the network; None where the name is no address, as that of a concentrator."""
    try:
        uri = URI.parse(name)
    except InternalError:
        return None
    if uri.port == 0:
        return None
    protocol = _PROTOCOLS.get(uri.scheme.lower() if uri.scheme is not None else None)
    if protocol is None:
        raise InternalError(f"VMX entry '{prefix}.fileName' contains unsupported scheme '{uri.scheme}'")
    end = settings.string(f"{prefix}.network.endPoint")
    modes = {"server": SocketMode.BIND, "client": SocketMode.CONNECT}
    mode = SocketMode.BIND if end is None else modes.get(end.lower())
    if mode is None:
        raise InternalError(
            f"Expecting VMX entry '{prefix}.network.endPoint' to be 'server' or 'client' but found '{end}'"
        )
    return TCPChardev(source=TCPSource(mode=mode, host=uri.server, service=str(uri.port)), protocol=protocol)


def _parallel(settings: VMXSettings, context: VMXContext, port: int) -> Parallel | None:
    prefix = f"parallel{port}"
    if not _present(settings, prefix):
        return None
    kind = settings.required(f"{prefix}.fileType")
    name = settings.required(f"{prefix}.fileName")
    parallel = Parallel(target=ParallelTarget(port=port))
    match kind.lower():
        case "device":
            parallel.type = CharacterType.DEV
            parallel.source = DevChardev(source=HostPath(path=name))
        case "file":
            parallel.type = CharacterType.FILE
            parallel.source = FileChardev(source=OutputFile(path=context.files.read(name, optional=False)))
        case _:
            raise InternalError(f"Expecting VMX entry '{prefix}.fileType' to be 'device' or 'file' but found '{kind}'")
    return parallel
