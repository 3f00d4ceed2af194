"""Serial and parallel ports, consoles, channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virt_qemu.command.address import place
from virt_qemu.command.line import Builder, unsupported
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.chardev import (
    ConsoleTargetType,
    DBusChardev,
    DevChardev,
    FileChardev,
    GuestForwardTarget,
    NMDMChardev,
    NullChardev,
    PipeChardev,
    PTYChardev,
    SerialModel,
    SocketMode,
    SpicePortChardev,
    SpiceVMCChardev,
    StdioChardev,
    TCPChardev,
    TCPProtocol,
    UDPChardev,
    UnixChardev,
    VCChardev,
    VDAgentChardev,
    VirtioTarget,
)

if TYPE_CHECKING:
    from virtcore.model.domain.chardev import Channel, ChardevSource, Console, Parallel, Serial
    from virtcore.model.storage.source import Reconnect

__all__ = [
    "add_channel",
    "add_channels",
    "add_chardev",
    "add_console",
    "add_consoles",
    "add_parallel",
    "add_parallels",
    "add_serial",
    "add_serials",
    "is_serial_console",
]

#: Serial ports that are devices; others the machine has built in.
_SERIALS = (
    SerialModel.ISA_SERIAL,
    SerialModel.USB_SERIAL,
    SerialModel.PCI_SERIAL,
    SerialModel.ISA_DEBUGCON,
    SerialModel.SPAPR_VTY,
    SerialModel.SCLPCONSOLE,
    SerialModel.SCLPLMCONSOLE,
)


class Backed(Protocol):
    """A device with a character device of the host behind it."""

    source: ChardevSource | None


_SCLP = (ConsoleTargetType.SCLP, ConsoleTargetType.SCLPLM)


def add_chardev(builder: Builder, device: Backed, alias: str) -> str:
    """The host side of a character device; returns its id."""
    name = f"char{alias}"
    kind, props = _backend(builder, device, alias)
    log = device.source.log if device.source is not None else None
    logged: dict[str, object] = {}
    if log is not None and log.file is not None:
        if builder.standalone:
            logged = {"logfile": log.file, "logappend": log.append}
            builder.options("-chardev", kind, {"id": name} | props | logged)
            return name
        number = builder.resources.log(log.file, bool(log.append))
        logged = {"logfile": builder.fdset((number, f"{alias}-log")), "logappend": True}
    builder.options("-chardev", kind, {"id": name} | props | logged)
    return name


def _backend(builder: Builder, device: Backed, alias: str) -> tuple[str, dict[str, object]]:
    source = device.source
    if isinstance(source, PTYChardev) or source is None:
        return "pty", {}
    for kind, name in ((NullChardev, "null"), (VCChardev, "vc"), (StdioChardev, "stdio")):
        if isinstance(source, kind):
            return name, {}
    if isinstance(source, FileChardev):
        assert source.source is not None
        assert source.source.path is not None
        if builder.standalone:
            return "file", {"path": source.source.path, "append": source.source.append}
        number = builder.resources.output(source.source.path, bool(source.source.append))
        return "file", {"path": builder.fdset((number, f"{alias}-source")), "append": True}
    if isinstance(source, PipeChardev | DevChardev):
        assert source.source is not None
        name = "parallel" if alias.startswith("parallel") else "serial"
        return "pipe" if isinstance(source, PipeChardev) else name, {"path": source.source.path}
    if isinstance(source, UnixChardev):
        return "socket", _unix(builder, source)
    if isinstance(source, TCPChardev):
        return "socket", _tcp(builder, source, alias)
    if isinstance(source, UDPChardev):
        return "udp", _udp(source)
    if isinstance(source, SpiceVMCChardev):
        return "spicevmc", {"name": _spice_name(device)}
    if isinstance(source, SpicePortChardev):
        return "spiceport", {"name": source.channel}
    if isinstance(source, DBusChardev):
        return "dbus", {"name": source.channel}
    if isinstance(source, VDAgentChardev):
        agent = source.source
        mouse = agent.mouse if agent is not None else None
        return "qemu-vdagent", {
            "name": "vdagent",
            "clipboard": agent.clipboard if agent is not None else None,
            "mouse": mouse == "client" if mouse is not None else None,
        }
    if isinstance(source, NMDMChardev):
        raise ConfigUnsupported("unsupported chardev 'nmdm'")
    raise unsupported(f"a character device of this kind ({type(source).__name__})")


def _spice_name(device: object) -> str:
    """What a channel of SPICE is for."""
    return {"Redirdev": "usbredir", "PassthroughSmartcard": "smartcard"}.get(type(device).__name__, "vdagent")


def _unix(builder: Builder, source: UnixChardev) -> dict[str, object]:
    if source.source is None or source.source.path is None:
        raise InternalError("a Unix socket was not given a path")
    if source.source.mode is SocketMode.BIND:
        return builder.listening(source.source.path)
    return {"path": source.source.path} | _reconnect(builder, source.source.reconnect)


def _reconnect(builder: Builder, reconnect: Reconnect | None) -> dict[str, object]:
    if reconnect is None or reconnect.enabled is None:
        return {}
    return builder.reconnect(reconnect.timeout or 0 if reconnect.enabled else 0)


def _tcp(builder: Builder, source: TCPChardev, alias: str) -> dict[str, object]:
    assert source.source is not None
    folder = builder.host.chardev_tls
    tls = folder is not None if source.source.tls is None else source.source.tls
    bind = source.source.mode is SocketMode.BIND
    return (
        {
            "host": source.source.host,
            "port": source.source.service,
            "telnet": True if source.protocol is TCPProtocol.TELNET else None,
            "server": True if bind else None,
            "wait": False if bind else None,
        }
        | _reconnect(builder, source.source.reconnect)
        | _tls(builder, alias, tls, bind)
    )


def _tls(builder: Builder, alias: str, wanted: bool, server: bool) -> dict[str, object]:
    """Certificates for a connection, if it is to have some."""
    if not wanted:
        return {}
    folder, name = builder.host.chardev_tls, f"objchar{alias}_tls0"
    if folder is None:
        raise ConfigUnsupported("TLS for character devices is not configured")
    # A client always looks who it talks to.
    builder.tls_credentials(
        name,
        folder,
        server=server,
        verify=builder.host.chardev_tls_verify if server else True,
        secret=(f"char{alias}-secret0", builder.host.chardev_tls_secret),
    )
    return {"tls-creds": name}


def _udp(source: UDPChardev) -> dict[str, object]:
    props: dict[str, object] = {"host": "", "port": "", "localaddr": "", "localport": "0"}
    for side in source.sources:
        if side.mode is SocketMode.BIND:
            props |= {"localaddr": side.host or "", "localport": side.service or "0"}
        else:
            props |= {"host": side.host or "", "port": side.service or ""}
    return props


def add_serials(builder: Builder) -> None:
    """Serial ports."""
    devices = builder.domain.devices
    assert devices is not None
    for serial in devices.serials:
        add_serial(builder, serial)


def add_serial(builder: Builder, serial: Serial) -> None:
    """A serial port."""
    target, alias = serial.target, serial.alias or ""
    chardev = add_chardev(builder, serial, alias)
    if target is None or target.model not in _SERIALS:
        builder.add("-serial", f"chardev:{chardev}")
        return
    index = target.port if target.model is SerialModel.ISA_SERIAL else None
    builder.device(
        {"driver": str(target.model), "chardev": chardev, "id": alias, "index": index} | place(builder, serial)
    )


def add_parallels(builder: Builder) -> None:
    """Parallel ports."""
    devices = builder.domain.devices
    assert devices is not None
    for parallel in devices.parallels:
        add_parallel(builder, parallel)


def add_parallel(builder: Builder, parallel: Parallel) -> None:
    """A parallel port."""
    alias = parallel.alias or ""
    chardev = add_chardev(builder, parallel, alias)
    builder.device({"driver": "isa-parallel", "chardev": chardev, "id": alias})


def is_serial_console(console: Console) -> bool:
    """Whether a console stands for the first serial port."""
    return console.target is not None and console.target.type is ConsoleTargetType.SERIAL


def add_consoles(builder: Builder) -> None:
    """Consoles that are devices of their own."""
    devices = builder.domain.devices
    assert devices is not None
    for console in devices.consoles:
        if not is_serial_console(console):
            add_console(builder, console)


def add_console(builder: Builder, console: Console) -> None:
    """A console that is a device of its own."""
    alias = console.alias or ""
    if console.target is not None and console.target.type in _SCLP:
        chardev = add_chardev(builder, console, alias)
        builder.device({"driver": f"{console.target.type}console", "chardev": chardev, "id": alias})
        return
    if console.target is None or console.target.type is not ConsoleTargetType.VIRTIO:
        raise unsupported(f"a console of type '{console.target.type if console.target else None}'")
    chardev = add_chardev(builder, console, alias)
    builder.device({"driver": "virtconsole"} | place(builder, console) | {"chardev": chardev, "id": alias})


def add_channels(builder: Builder) -> None:
    """Channels between host and guest."""
    devices = builder.domain.devices
    assert devices is not None
    for channel in devices.channels:
        add_channel(builder, channel)


def add_channel(builder: Builder, channel: Channel) -> None:
    """A channel between host and guest."""
    if isinstance(channel.target, GuestForwardTarget):
        _add_forward(builder, channel, channel.target)
        return
    if not isinstance(channel.target, VirtioTarget):
        raise unsupported("a channel that is no virtio port")
    alias = channel.alias or ""
    chardev = add_chardev(builder, channel, alias)
    default = "com.redhat.spice.0" if isinstance(channel.source, SpiceVMCChardev) else None
    builder.device(
        {"driver": "virtserialport"}
        | place(builder, channel)
        | {"chardev": chardev, "id": alias, "name": channel.target.name or default}
    )


def _add_forward(builder: Builder, channel: Channel, target: GuestForwardTarget) -> None:
    """A connection from the guest to an address, which ends in a character device."""
    alias = channel.alias or ""
    chardev = add_chardev(builder, channel, alias)
    forward = f"tcp:{target.address}:{target.port}-chardev:{chardev}"
    if builder.capabilities.has("netdev.json"):
        builder.json("-netdev", {"type": "user", "guestfwd": [{"str": forward}], "id": alias})
    else:
        builder.options("-netdev", "user", {"guestfwd": forward, "id": alias})
