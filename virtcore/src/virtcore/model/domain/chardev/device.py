"""``<serial>``, ``<parallel>``, ``<console>``, ``<channel>``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import Device
from virtcore.xml import Mode, attribute, child, element, printed, union

if TYPE_CHECKING:
    pass
from virtcore.model.domain.chardev.source import (
    ChannelState,
    ChannelTargetType,
    CharacterType,
    ChardevSource,
    ConsoleTargetType,
    PTYChardev,
    SerialModel,
    SerialTargetType,
)

__all__ = [
    "Channel",
    "ChannelTarget",
    "CharacterDevice",
    "Console",
    "ConsoleTarget",
    "GuestForwardTarget",
    "Parallel",
    "ParallelTarget",
    "Serial",
    "SerialTarget",
    "VirtioTarget",
    "XenTarget",
    "printed_consoles",
]


_TYPE = "unknown type presented to host for character device: {value}"


@element("target", empty="keep")
class ParallelTarget:
    """The guest's port."""

    port: int | None = attribute(invalid="Invalid port number: {value}", doc="number of the port")


@element("target", empty="keep")
class SerialTarget:
    """The guest's serial port."""

    type: SerialTargetType | None = attribute(
        invalid="unknown target type '{value}' specified for character device",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of port",
    )
    port: int | None = attribute(invalid="Invalid port number: {value}", doc="number of the port")
    model: SerialModel | None = attribute(
        "name",
        within="model",
        blank=False,
        invalid="unknown target model '{value}' specified for character device",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="device behind the port",
        since="3.10.0",
    )


@element("target", empty="keep")
class ConsoleTarget:
    """The guest's console."""

    type: ConsoleTargetType | None = attribute(
        invalid="unknown target type '{value}' specified for character device",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="kind of console",
    )
    port: int | None = attribute(invalid="Invalid port number: {value}", doc="number of the console")


@element("target", tag=ChannelTargetType.GUESTFWD)
class GuestForwardTarget:
    """TCP connections of the guest to this address become the channel."""

    address: str | None = attribute(
        required=True, missing="guestfwd channel does not define a target address", doc="IPv4 address"
    )
    port: int | None = attribute(required=True, doc="TCP port")


@element("target", tag=ChannelTargetType.VIRTIO)
class VirtioTarget:
    """A virtio-serial port."""

    name: str | None = attribute(doc="name of the port, such as org.qemu.guest_agent.0")
    state: ChannelState | None = attribute(
        when=Mode.LIVE, read=Mode.LIVE, doc="whether the guest has it open", since="1.2.11"
    )


@element("target", tag=ChannelTargetType.XEN)
class XenTarget:
    """A paravirtual Xen channel."""

    name: str | None = attribute(doc="name of the channel", since="2.3.0")


ChannelTarget: TypeAlias = GuestForwardTarget | VirtioTarget | XenTarget


@element(None)
class CharacterDevice:
    """What serial and parallel ports, consoles and channels have in common."""

    type: CharacterType | None = attribute(
        invalid=_TYPE, code=ErrorCode.CONFIG_UNSUPPORTED, doc="kind of host side; pty by default"
    )
    source: ChardevSource | None = union(tag="type", default=CharacterType.PTY, inline=True)


@element("parallel")
class Parallel(CharacterDevice, Device):
    """A parallel port."""

    target: ParallelTarget | None = child()


@element("serial")
class Serial(CharacterDevice, Device):
    """A serial port."""

    target: SerialTarget | None = child()


def _console_tty(console: Console) -> str | None:
    """Path of the first console's pseudo terminal, as old clients look for it."""
    if isinstance(console.source, PTYChardev) and console.target is not None and console.target.port == 0:
        return console.source.source.path if console.source.source is not None else None
    return None


@element("console")
class Console(CharacterDevice, Device):
    """A console; the first of a fully virtual guest is its first serial port."""

    _tty = printed(_console_tty, "tty", when=Mode.LIVE)
    target: ConsoleTarget | None = child()

    @property
    def is_stub(self) -> bool:
        """Whether it only stands for a serial port, whose settings count."""
        return self.type is None and (self.target is None or self.target.type in (None, ConsoleTargetType.SERIAL))


def printed_consoles(consoles: list[Console], serials: list[Serial]) -> list[Console]:
    """Consoles as they are printed: serial ports in place of the stubs that stand for them."""
    result = []
    for number, console in enumerate(consoles):
        if console.is_stub and number < len(serials):
            serial = serials[number]
            port = serial.target.port if serial.target is not None else None
            console = Console(
                type=serial.type,
                source=serial.source,
                alias=serial.alias,
                acpi_index=serial.acpi_index,
                address=serial.address,
                target=ConsoleTarget(type=ConsoleTargetType.SERIAL, port=port),
            )
        result.append(console)
    return result


@element("channel")
class Channel(CharacterDevice, Device):
    """A private channel between host and guest."""

    target: ChannelTarget | None = child(
        tag="@type",
        required=True,
        missing="target type must be specified for channel device",
        missing_code=ErrorCode.XML_ERROR,
        invalid="unknown target type '{value}' specified for character device",
        code=ErrorCode.CONFIG_UNSUPPORTED,
    )
