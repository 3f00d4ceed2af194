"""Character devices as libvirt's parser leaves them."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Protocol

from virtcore.errors import ConfigUnsupported, SystemError, XMLError
from virtcore.model.domain.address import USBAddress
from virtcore.model.domain.chardev import (
    CharacterType,
    ConsoleTarget,
    DBusChardev,
    DevChardev,
    FileChardev,
    GuestForwardTarget,
    NMDMChardev,
    NullChardev,
    ParallelTarget,
    PipeChardev,
    PTYChardev,
    SerialTarget,
    SerialTargetType,
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
    VirtioTarget,
)
from virtcore.model.domain.rules.device_info import settle_info
from virtcore.model.domain.rules.device_settle_disk import settle_reconnect, settle_seclabels

if TYPE_CHECKING:
    from virtcore.model.domain.chardev import Channel, ChardevSource, Console, Parallel, Serial
    from virtcore.model.domain.rules.context import DomainContext

__all__ = ["settle_channel", "settle_console", "settle_parallel", "settle_serial", "settle_source"]

_CLASSES: dict[CharacterType, type[ChardevSource]] = {
    CharacterType.NULL: NullChardev,
    CharacterType.VC: VCChardev,
    CharacterType.PTY: PTYChardev,
    CharacterType.DEV: DevChardev,
    CharacterType.FILE: FileChardev,
    CharacterType.PIPE: PipeChardev,
    CharacterType.STDIO: StdioChardev,
    CharacterType.UDP: UDPChardev,
    CharacterType.TCP: TCPChardev,
    CharacterType.UNIX: UnixChardev,
    CharacterType.SPICEVMC: SpiceVMCChardev,
    CharacterType.SPICEPORT: SpicePortChardev,
    CharacterType.NMDM: NMDMChardev,
    CharacterType.QEMU_VDAGENT: VDAgentChardev,
    CharacterType.DBUS: DBusChardev,
}


class WithSource(Protocol):
    """Whatever has the host side of a character device."""

    type: CharacterType | None
    source: ChardevSource | None


def settle_parallel(parallel: Parallel, context: DomainContext) -> None:
    """A parallel port. Its number, where it has none, comes with completion.

    :raises VirtError: what libvirt's parser refuses.
    """
    _settle_character(parallel, context)
    if parallel.target is None:
        parallel.target = ParallelTarget()


def settle_serial(serial: Serial, context: DomainContext) -> None:
    """A serial port.

    :raises VirtError: what libvirt's parser refuses.
    """
    _settle_character(serial, context)
    if serial.target is None:
        serial.target = SerialTarget()
    if (
        serial.target.type is SerialTargetType.USB_SERIAL
        and serial.address is not None
        and not isinstance(serial.address, USBAddress)
    ):
        raise ConfigUnsupported("usb-serial requires address of usb type")


def settle_console(console: Console, context: DomainContext) -> None:
    """A console. Whatever number it has, its place in the list counts.

    :raises VirtError: what libvirt's parser refuses.
    """
    _settle_character(console, context)
    if console.target is None:
        console.target = ConsoleTarget()


def settle_channel(channel: Channel, context: DomainContext) -> None:
    """A channel.

    :raises VirtError: what libvirt's parser refuses.
    """
    _settle_character(channel, context)
    target = channel.target
    if isinstance(target, GuestForwardTarget):
        try:
            address = ipaddress.ip_address(target.address or "")
        except ValueError:
            raise SystemError(
                f"Cannot parse socket address '{target.address}': Name or service not known", value=target.address
            ) from None
        if address.version != 4:
            raise ConfigUnsupported("guestfwd channel only supports IPv4 addresses")
        target.address = str(address)


def _settle_character(device: Parallel | Serial | Console | Channel, context: DomainContext) -> None:
    if device.type is None:
        device.type = CharacterType.PTY
    settle_source(device, context)
    if device.type is CharacterType.SPICEVMC and not isinstance(device.target, VirtioTarget):
        raise ConfigUnsupported("spicevmc device type only supports virtio")
    settle_info(device, context)


def settle_source(device: WithSource, context: DomainContext) -> None:
    """The host side of a character device, with the defaults libvirt's parser gives it.

    :raises VirtError: what libvirt's parser refuses.
    """
    kind = device.type or CharacterType.PTY
    source = device.source
    if source is None:
        # Nothing of it was written.
        source = device.source = _CLASSES[kind]()
    if isinstance(source, UDPChardev):
        _settle_udp(source)
    elif isinstance(source, TCPChardev):
        if source.source is None:
            source.source = TCPSource()
        source.source.mode = source.source.mode or SocketMode.CONNECT
        source.protocol = source.protocol or TCPProtocol.RAW
        if context.status:
            source.source.tls_from_config = source.source.tls_from_config or 0
        settle_reconnect(source.source.reconnect)
    elif isinstance(source, UnixChardev):
        source.protocol = None
        if source.source is not None:
            _settle_unix(source.source, context)
    elif isinstance(source, (PTYChardev, DevChardev, FileChardev, PipeChardev)) and source.source is not None:
        source.source.seclabels = settle_seclabels(source.source.seclabels, context)


def _settle_unix(source: UnixSource, context: DomainContext) -> None:
    source.mode = source.mode or SocketMode.CONNECT
    source.seclabels = settle_seclabels(source.seclabels, context)
    settle_reconnect(source.reconnect)


def _settle_udp(source: UDPChardev) -> None:
    """The first source of each direction counts; the one that is bound comes first."""
    if len(source.sources) > 2:
        raise XMLError("only two source elements are allowed for character device")
    chosen: dict[SocketMode, UDPSource] = {}
    for entry in source.sources:
        entry.mode = entry.mode or SocketMode.CONNECT
        if entry.host is not None or entry.service is not None:
            chosen.setdefault(entry.mode, entry)
    source.sources = [chosen[mode] for mode in (SocketMode.BIND, SocketMode.CONNECT) if mode in chosen]
