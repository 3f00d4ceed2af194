"""Character devices: ``serial``, ``parallel``, a paravirtual guest's console, ``channel``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from virt_xen.config.settings import in_list, pairs
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.chardev import (
    Channel,
    CharacterType,
    ChardevSource,
    Console,
    ConsoleTarget,
    ConsoleTargetType,
    DBusChardev,
    DevChardev,
    FileChardev,
    HostPath,
    NMDMChardev,
    NullChardev,
    OutputFile,
    Parallel,
    ParallelTarget,
    PipeChardev,
    PTYChardev,
    Serial,
    SerialTarget,
    SocketMode,
    SpicePortChardev,
    SpiceVMCChardev,
    StdioChardev,
    TCPChardev,
    TCPProtocol,
    TCPSource,
    UDPChardev,
    UDPSource,
    UnixChardev,
    UnixSource,
    VCChardev,
    VDAgentChardev,
    XenTarget,
)
from virtcore.model.domain.os import OSType
from virtcore.xml import declaration

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virtcore.model.domain.domain import Domain

__all__ = ["channel_words", "read_channels", "read_characters", "write_channels", "write_characters", "write_source"]

_SEVERAL = "Multiple serial devices are not supported by xen-xm"
_MALFORMED = "malformed char device string"
#: Kinds that nothing more is said of.
_PLAIN: dict[CharacterType, type[ChardevSource]] = {
    CharacterType.NULL: NullChardev,
    CharacterType.VC: VCChardev,
    CharacterType.PTY: PTYChardev,
    CharacterType.STDIO: StdioChardev,
    CharacterType.SPICEVMC: SpiceVMCChardev,
    CharacterType.SPICEPORT: SpicePortChardev,
    CharacterType.NMDM: NMDMChardev,
    CharacterType.QEMU_VDAGENT: VDAgentChardev,
    CharacterType.DBUS: DBusChardev,
    CharacterType.DEV: DevChardev,
}
_Source: TypeAlias = tuple[CharacterType, ChardevSource]


# -- reading


def read_characters(settings: Settings, domain: Domain, *, several: bool) -> None:
    """Ports of a fully virtual guest, or the console of another.

    :param several: whether the format has more than one serial port.
    :raises VirtError: one is malformed.
    """
    devices = domain.devices
    assert devices is not None
    if domain.os_type is not OSType.HVM:
        target = ConsoleTarget(type=ConsoleTargetType.XEN, port=0)
        devices.consoles.append(Console(type=CharacterType.PTY, source=PTYChardev(), target=target))
        return
    parallel = settings.string("parallel")
    if parallel is not None and parallel != "none":
        kind, source = _read(parallel)
        devices.parallels.append(Parallel(type=kind, source=source, target=ParallelTarget(port=0)))
    ports: list[str] = []
    if isinstance(settings.get("serial"), list):
        if not several:
            raise ConfigUnsupported(_SEVERAL)
        ports = settings.only_strings("serial")
    else:
        port = settings.string("serial")
        ports = [port] if port is not None else []
    for number, text in enumerate(ports):
        if text != "none":
            kind, source = _read(text)
            devices.serials.append(Serial(type=kind, source=source, target=SerialTarget(port=number)))


def _read(text: str) -> _Source:
    """The host side of a port: a device's path, a kind, or a kind and where."""
    if text.startswith("/"):
        return CharacterType.DEV, DevChardev(source=HostPath(path=text))
    name, colon, rest = text.partition(":")
    if name.startswith("telnet"):
        return CharacterType.TCP, _read_tcp(rest if colon else name, TCPProtocol.TELNET)
    try:
        kind = CharacterType(name)
    except ValueError:
        raise InternalError(f"unknown chr device type '{name}'", value=name) from None
    where = rest if colon else name
    if kind is CharacterType.FILE:
        return kind, FileChardev(source=OutputFile(path=where))
    if kind is CharacterType.PIPE:
        return kind, PipeChardev(source=HostPath(path=where))
    if kind is CharacterType.TCP:
        return kind, _read_tcp(where, TCPProtocol.RAW)
    if kind is CharacterType.UDP:
        return kind, _read_udp(where)
    if kind is CharacterType.UNIX:
        path, comma, options = where.partition(",")
        listens = "server" in (comma + options).split(",")
        return kind, UnixChardev(source=UnixSource(mode=_mode(listens), path=path))
    return kind, _PLAIN[kind]()


def _mode(listens: bool) -> SocketMode:
    return SocketMode.BIND if listens else SocketMode.CONNECT


def _read_tcp(text: str, protocol: TCPProtocol) -> TCPChardev:
    host, colon, rest = text.partition(":")
    if not colon:
        raise InternalError(_MALFORMED, value=text)
    service, _, options = rest.partition(",")
    listens = "server" in options.split(",")
    return TCPChardev(source=TCPSource(mode=_mode(listens), host=host or None, service=service), protocol=protocol)


def _read_udp(text: str) -> UDPChardev:
    host, colon, rest = text.partition(":")
    if not colon:
        raise InternalError(_MALFORMED, value=text)
    service, at, ours = rest.partition("@")
    sources = [UDPSource(mode=SocketMode.CONNECT, host=host or None, service=service)]
    if at:
        address, colon, port = ours.partition(":")
        if not colon:
            raise InternalError(_MALFORMED, value=text)
        sources.insert(0, UDPSource(mode=SocketMode.BIND, host=address or None, service=port))
    return UDPChardev(sources=sources)


# -- writing


def write_characters(domain: Domain, output: Output, *, several: bool) -> None:
    """Ports of a fully virtual guest.

    :param several: whether the format has more than one serial port.
    :raises ConfigUnsupported: one is of a kind that Xen has not, or there are too many.
    """
    devices = domain.devices
    assert devices is not None
    if domain.os_type is not OSType.HVM:
        return
    output.set("parallel", write_source(devices.parallels[0].source) if devices.parallels else "none")
    serials = {(serial.target.port if serial.target is not None else None) or 0: serial for serial in devices.serials}
    if not serials:
        output.set("serial", "none")
    elif len(devices.serials) == 1 and 0 in serials:
        output.set("serial", write_source(serials[0].source))
    elif not several:
        raise ConfigUnsupported(_SEVERAL)
    else:
        if max(serials) > 255:
            raise ConfigUnsupported(f"serial port {max(serials)} is out of range", value=str(max(serials)))
        output.set_list(
            "serial",
            [write_source(serials[port].source) if port in serials else "none" for port in range(max(serials) + 1)],
        )


def write_source(source: ChardevSource | None, *, libxl: bool = False) -> str:
    """The host side of a port.

    :param libxl: as QEMU takes it from libxl, rather than as configurations have it: paths as they are, and a number
        for every UDP port of ours.
    :raises ConfigUnsupported: Xen has none of this kind.
    """
    if source is None:
        return "pty"
    kind = str(declaration(type(source)).tag)
    if isinstance(source, NullChardev | StdioChardev | VCChardev | PTYChardev):
        return kind
    if isinstance(source, FileChardev | PipeChardev | DevChardev):
        path = _path(source.source.path if source.source is not None else None, libxl)
        return path if isinstance(source, DevChardev) else f"{kind}:{path}"
    if isinstance(source, TCPChardev):
        end = source.source or TCPSource()
        name = "tcp" if source.protocol in (None, TCPProtocol.RAW) else "telnet"
        return f"{name}:{end.host or ''}:{end.service or ''}{_server(end.mode)}"
    if isinstance(source, UDPChardev):
        ends = {end.mode or SocketMode.CONNECT: end for end in source.sources}
        there, here = (ends.get(mode, UDPSource()) for mode in (SocketMode.CONNECT, SocketMode.BIND))
        port = here.service or ("0" if libxl else "")
        return f"udp:{there.host or ''}:{there.service or ''}@{here.host or ''}:{port}"
    if isinstance(source, UnixChardev):
        socket = source.source or UnixSource()
        return f"unix:{_path(socket.path, libxl)}{_server(socket.mode)}"
    what = "chardev" if libxl else "chr device type"
    raise ConfigUnsupported(f"unsupported {what} '{kind}'", value=kind)


def _path(path: str | None, libxl: bool) -> str:
    return path or "" if libxl else re.sub(r"([\\'])", r"\\\1", path or "")


def _server(mode: SocketMode | None) -> str:
    return ",server,nowait" if mode is SocketMode.BIND else ""


# -- channels


def read_channels(settings: Settings, domain: Domain) -> None:
    """``channel``, a string each.

    :raises InternalError: one has no connection of a kind that libvirt knows.
    """
    assert domain.devices is not None
    for entry in settings.strings("channel"):
        found = pairs(entry)
        if found is None:
            continue
        said = dict(found)
        target = XenTarget(name=said.get("name"))
        connection = said.get("connection", "")
        if connection.startswith("socket"):
            source: ChardevSource = UnixChardev(source=UnixSource(mode=SocketMode.BIND, path=said.get("path")))
            channel = Channel(type=CharacterType.UNIX, source=source, target=target)
        elif connection.startswith("pty"):
            channel = Channel(type=CharacterType.PTY, source=PTYChardev(), target=target)
        else:
            raise InternalError("config value channel was malformed", value=entry)
        domain.devices.channels.append(channel)


def write_channels(domain: Domain, output: Output) -> None:
    """``channel``, a string each.

    :raises ConfigUnsupported: one is of a kind that Xen has not.
    """
    assert domain.devices is not None
    output.set_list(
        "channel",
        [
            ",".join(f"{key}={in_list(value, key)}" for key, value in channel_words(channel))
            for channel in domain.devices.channels
            if isinstance(channel.target, XenTarget)
        ],
    )


def channel_words(channel: Channel) -> list[tuple[str, str]]:
    """What a channel is, as pairs.

    :raises ConfigUnsupported: it is of a kind that Xen has not.
    """
    assert isinstance(channel.target, XenTarget)
    name = [("name", channel.target.name or "")]
    source = channel.source
    if source is None or isinstance(source, PTYChardev):
        return [("connection", "pty"), *name]
    if isinstance(source, UnixChardev):
        path = source.source.path if source.source is not None else None
        return [("connection", "socket"), *([("path", path)] if path is not None else []), *name]
    raise ConfigUnsupported("channel source type not supported")
