"""The host side of character devices, which others share with them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from virtcore.model.storage.source import DeviceSeclabel, Reconnect
from virtcore.xml import ON_OFF, YES_NO, Mode, attribute, child, children, element

if TYPE_CHECKING:
    from virtcore.model.domain.graphics import MouseMode

__all__ = [
    "ChannelState",
    "ChannelTargetType",
    "CharacterSource",
    "CharacterType",
    "ChardevLog",
    "ChardevSource",
    "ConsoleTargetType",
    "DBusChardev",
    "DevChardev",
    "FileChardev",
    "HostPath",
    "NMDMChardev",
    "NMDMSource",
    "NullChardev",
    "OutputFile",
    "PTYChardev",
    "PipeChardev",
    "SerialModel",
    "SerialTargetType",
    "SocketMode",
    "SpicePortChardev",
    "SpiceVMCChardev",
    "StdioChardev",
    "TCPChardev",
    "TCPProtocol",
    "TCPSource",
    "UDPChardev",
    "UDPSource",
    "UnixChardev",
    "UnixSource",
    "VCChardev",
    "VDAgentChardev",
    "VDAgentSource",
]


class CharacterType(StrEnum):
    """What the host side of a character device is."""

    NULL = "null"
    VC = "vc"
    PTY = "pty"
    DEV = "dev"
    FILE = "file"
    PIPE = "pipe"
    STDIO = "stdio"
    UDP = "udp"
    TCP = "tcp"
    UNIX = "unix"
    SPICEVMC = "spicevmc"
    SPICEPORT = "spiceport"
    NMDM = "nmdm"
    QEMU_VDAGENT = "qemu-vdagent"
    DBUS = "dbus"


class TCPProtocol(StrEnum):
    """What is spoken on a TCP connection."""

    RAW = "raw"
    TELNET = "telnet"
    TELNETS = "telnets"
    TLS = "tls"


class SocketMode(StrEnum):
    """Whether the emulator connects or listens."""

    CONNECT = "connect"
    BIND = "bind"


class SerialTargetType(StrEnum):
    """Kind of serial port."""

    ISA_SERIAL = "isa-serial"
    USB_SERIAL = "usb-serial"
    PCI_SERIAL = "pci-serial"
    SPAPR_VIO_SERIAL = "spapr-vio-serial"
    SYSTEM_SERIAL = "system-serial"
    SCLP_SERIAL = "sclp-serial"
    ISA_DEBUG = "isa-debug"


class SerialModel(StrEnum):
    """Device behind a serial port."""

    ISA_SERIAL = "isa-serial"
    USB_SERIAL = "usb-serial"
    PCI_SERIAL = "pci-serial"
    SPAPR_VTY = "spapr-vty"
    PL011 = "pl011"
    SCLPCONSOLE = "sclpconsole"
    SCLPLMCONSOLE = "sclplmconsole"
    _16550A = "16550a"
    ISA_DEBUGCON = "isa-debugcon"


class ConsoleTargetType(StrEnum):
    """Kind of console."""

    SERIAL = "serial"
    XEN = "xen"
    UML = "uml"
    VIRTIO = "virtio"
    LXC = "lxc"
    OPENVZ = "openvz"
    SCLP = "sclp"
    SCLPLM = "sclplm"


class ChannelTargetType(StrEnum):
    """How the guest sees a channel."""

    GUESTFWD = "guestfwd"
    VIRTIO = "virtio"
    XEN = "xen"


class ChannelState(StrEnum):
    """Whether the guest has opened the channel."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


@element("log")
class ChardevLog:
    """File that gets a copy of what the guest writes."""

    file: str | None = attribute(doc="path of the log")
    append: bool | None = attribute(codec=ON_OFF, doc="keep what is there at start")


@element("source")
class HostPath:
    """A path of the host."""

    path: str | None = attribute(doc="absolute path")
    seclabels: list[DeviceSeclabel] = children("seclabel", doc="security labels")


@element("source")
class OutputFile(HostPath):
    """A file of the host that is written."""

    append: bool | None = attribute(codec=ON_OFF, doc="keep what is there at start")


@element("source")
class UnixSource:
    """A Unix socket."""

    mode: SocketMode | None = attribute(doc="connect by default")
    path: str | None = attribute(doc="path; generated for some channels")
    seclabels: list[DeviceSeclabel] = children("seclabel", doc="security labels")
    reconnect: Reconnect | None = child()


@element("source")
class TCPSource:
    """A TCP endpoint."""

    mode: SocketMode | None = attribute(doc="connect by default")
    host: str | None = attribute(doc="host to connect to, or address to listen on")
    service: str | None = attribute(doc="port or service name")
    tls: bool | None = attribute(codec=YES_NO, doc="whether the connection is encrypted", since="2.4.0")
    tls_from_config: int | None = attribute(
        "tlsFromConfig", when=Mode.STATUS, read=Mode.STATUS, doc="1 if tls comes from qemu.conf"
    )
    reconnect: Reconnect | None = child()


@element("source")
class UDPSource:
    """One direction of a UDP pair."""

    mode: SocketMode | None = attribute(doc="bind: where we listen; connect: where we send")
    host: str | None = attribute(doc="host or address")
    service: str | None = attribute(doc="port or service name")


@element("source")
class NMDMSource:
    """A pair of null modem devices."""

    master: str | None = attribute(doc="the emulator's end")
    slave: str | None = attribute(doc="the host's end")


@element("source")
class VDAgentSource:
    """What the emulator's built-in agent passes on."""

    clipboard: bool | None = attribute("copypaste", within="clipboard", codec=YES_NO, doc="share the clipboard")
    mouse: MouseMode | None = attribute("mode", within="mouse", doc="who draws the pointer")


@element(None, last=True)
class CharacterSource:
    """What every host side may have."""

    log: ChardevLog | None = child(repeat="refuse", repeated="only one log element is allowed for character device")


_ONE = "only one source element is allowed for character device"


@element(None, tag=CharacterType.NULL)
class NullChardev(CharacterSource):
    """Nothing: output is dropped."""


@element(None, tag=CharacterType.VC)
class VCChardev(CharacterSource):
    """A virtual console of the emulator's display."""


@element(None, tag=CharacterType.PTY)
class PTYChardev(CharacterSource):
    """A pseudo terminal, allocated at start."""

    source: HostPath | None = child(when=Mode.LIVE, read=Mode.LIVE, repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.DEV)
class DevChardev(CharacterSource):
    """A character device of the host."""

    source: HostPath | None = child(repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.FILE)
class FileChardev(CharacterSource):
    """A file that is written."""

    source: OutputFile | None = child(repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.PIPE)
class PipeChardev(CharacterSource):
    """A named pipe."""

    source: HostPath | None = child(repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.STDIO)
class StdioChardev(CharacterSource):
    """Standard input and output of the emulator."""


@element(None, tag=CharacterType.UDP)
class UDPChardev(CharacterSource):
    """UDP: what we bind and where we send."""

    sources: list[UDPSource] = children("source", doc="bind first, then connect")


@element(None, tag=CharacterType.TCP)
class TCPChardev(CharacterSource):
    """A TCP connection."""

    source: TCPSource | None = child(repeat="refuse", repeated=_ONE, single=False)
    protocol: TCPProtocol | None = attribute("type", within="protocol", doc="raw by default")


@element(None, tag=CharacterType.UNIX)
class UnixChardev(CharacterSource):
    """A Unix socket."""

    source: UnixSource | None = child(
        repeat="refuse",
        repeated=_ONE,
        single=False,
        shown=lambda self: self.source is not None and self.source.path is not None,
    )
    protocol: TCPProtocol | None = attribute("type", within="protocol", doc="means nothing here; old documents have it")


@element(None, tag=CharacterType.SPICEVMC)
class SpiceVMCChardev(CharacterSource):
    """A channel of the Spice client."""


@element(None, tag=CharacterType.SPICEPORT)
class SpicePortChardev(CharacterSource):
    """A named Spice port."""

    channel: str | None = attribute(within="source", doc="name of the port")


@element(None, tag=CharacterType.NMDM)
class NMDMChardev(CharacterSource):
    """A null modem pair (bhyve)."""

    source: NMDMSource | None = child(repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.QEMU_VDAGENT)
class VDAgentChardev(CharacterSource):
    """The emulator's own implementation of the Spice agent protocol."""

    source: VDAgentSource | None = child(repeat="refuse", repeated=_ONE, single=False)


@element(None, tag=CharacterType.DBUS)
class DBusChardev(CharacterSource):
    """A channel on the emulator's D-Bus display."""

    channel: str | None = attribute(within="source", doc="name of the channel", since="8.4.0")


ChardevSource: TypeAlias = (
    NullChardev
    | VCChardev
    | PTYChardev
    | DevChardev
    | FileChardev
    | PipeChardev
    | StdioChardev
    | UDPChardev
    | TCPChardev
    | UnixChardev
    | SpiceVMCChardev
    | SpicePortChardev
    | NMDMChardev
    | VDAgentChardev
    | DBusChardev
)
