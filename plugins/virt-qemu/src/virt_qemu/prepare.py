"""Between definition and command line: what a start decides and what it needs of the host."""

from __future__ import annotations

import os
import secrets
import socket
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.chain import complete_chain, format_of
from virt_qemu.block.image import BACKED_FORMATS
from virt_qemu.block.tls import settle_image_tls
from virt_qemu.command.disks import disk_path, is_empty, prepare_disks
from virt_qemu.cpu_start import decide_cpu
from virt_qemu.lent import NO_GROUPS, Groups, group_of
from virt_qemu.rules.addresses import assign_addresses
from virt_qemu.rules.aliases import assign_aliases
from virt_qemu.variables import prepare_variables
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, SystemError
from virtcore.model.domain.address import VirtioSerialAddress
from virtcore.model.domain.chardev import SocketMode, UnixChardev, UnixSource
from virtcore.model.domain.graphics import (
    AddressListen,
    NetworkListen,
    SocketListen,
    SpiceChannelMode,
    SpiceGraphics,
    VNCGraphics,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.firmware import FirmwareCatalog
    from virt_qemu.startup_policy import Missing
    from virtcore.model.cpu.element import HostCPU
    from virtcore.model.domain import Domain
    from virtcore.model.domain.chardev import Channel
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.graphics import Listen
    from virtcore.model.storage.source import NetProtocol

__all__ = [
    "RDP_PORTS",
    "DisplayDefaults",
    "check_disk",
    "decide",
    "free_port",
    "ports_of",
    "prepare_domain",
    "prepare_folder",
    "settle_channel",
]


RDP_PORTS = range(3389, 65536)
"""Ports that displays of RDP are given."""


class DisplayDefaults(NamedTuple):
    """What displays listen on where guests do not say.

    :ivar ports: numbers of ports that may be given out.
    :ivar websockets: the same for VNC in browsers.
    :ivar spice_tls: whether Spice has encrypted ports.
    :ivar sockets_for: displays, ``vnc`` and ``spice``, that listen on a socket.
    :ivar taken: ports that were given out to guests that may not listen yet; what is given out is added.
    """

    vnc_listen: str = "127.0.0.1"
    spice_listen: str = "127.0.0.1"
    spice_tls: bool = False
    ports: range = range(5900, 65536)
    websockets: range = range(5700, 65536)
    sockets_for: tuple[str, ...] = ()
    taken: set[int] | None = None


def prepare_folder(folder: Path) -> None:
    """Make the guest's folder afresh, with a key for its secrets.

    :raises SystemError: it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.iterdir():
            if not left.is_dir():
                left.unlink()
        key = os.open(folder / "master-key.aes", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.write(key, secrets.token_bytes(32))
        os.close(key)
        (folder / "pid").touch(mode=0o600)
    except OSError as error:
        raise SystemError(f"Unable to create directory {folder}: {error.strerror}") from None


def prepare_domain(
    domain: Domain,
    folder: Path,
    capabilities: EmulatorCapabilities,
    missing: Missing,
    *,
    displays: DisplayDefaults | None = None,
    image_tls: Mapping[NetProtocol, ImageTLS] | None = None,
    groups: Groups = NO_GROUPS,
    reset_nvram: bool = False,
    reader: tuple[int, int] | None = None,
    firmware: FirmwareCatalog | None = None,
) -> None:
    """Turn a definition into what will run: what a start decides, on images that are there.

    :param capabilities: of the emulator that will run it.
    :param missing: which images it can do without.
    :param displays: what displays listen on where it does not say.
    :param image_tls: how servers of images are reached.
    :param groups: descriptors that it has been lent.
    :param reset_nvram: make the firmware's variables afresh.
    :param firmware: the host's images; without it the image is not looked for again.
    :param reader: user and group who are to read images; None: we.
    :raises VirtError: something that the guest needs is not there.
    """
    assert domain.devices is not None
    displays = displays if displays is not None else DisplayDefaults()
    ports, taken = displays.ports, displays.taken
    decide(
        domain,
        folder,
        lambda address: free_port(address, ports, taken),
        capabilities,
        displays=displays,
        image_tls=image_tls,
        firmware=firmware,
    )
    for disk in reversed(list(domain.devices.disks)):  # the last one begins, as libvirt tells of them
        with missing.allowed(disk):
            check_disk(disk, groups, reader)
    prepare_disks(domain, image_tls or {})  # what serves images is called after their nodes
    prepare_variables(domain, reset=reset_nvram)


def decide(
    domain: Domain,
    folder: Path,
    port: Callable[[str], int],
    capabilities: EmulatorCapabilities,
    host_cpu: HostCPU | None = None,
    spice_port: Callable[[str], int] | None = None,
    displays: DisplayDefaults | None = None,
    image_tls: Mapping[NetProtocol, ImageTLS] | None = None,
    spice_tls_port: Callable[[str], int] | None = None,
    firmware: FirmwareCatalog | None = None,
) -> None:
    """Fill in what a definition leaves to the start: the processor, aliases, sockets and ports.

    :param port: finds a free display port of an address.
    :param capabilities: of the emulator that will run it.
    :param spice_port: the same for SPICE, if it has ports of its own.
    :param displays: what displays listen on where nothing else is said.
    :param image_tls: how servers of images are reached.
    :param host_cpu: see :func:`virt_qemu.cpu_start.decide_cpu`.
    :raises VirtError: the processor, or an encrypted transport, cannot be had here.
    """
    assert domain.devices is not None
    displays = displays if displays is not None else DisplayDefaults()
    decide_cpu(domain, capabilities, host_cpu)
    assign_addresses(domain, capabilities, new=True)
    assign_aliases(domain)
    _require_firmware(domain, firmware)
    if domain.genid is not None and domain.genid.uuid is None:
        domain.genid.uuid = str(uuid.uuid4())
    settle_image_tls(domain.devices.disks, image_tls or {})
    for channel in domain.devices.channels:
        settle_channel(channel, folder)
    for graphics in domain.devices.graphics:
        if isinstance(graphics, VNCGraphics):
            _place(graphics, folder / "vnc.sock", port, "vnc" in displays.sockets_for, displays.vnc_listen)
            _place_websocket(graphics, displays)
        elif isinstance(graphics, SpiceGraphics):
            on_socket = "spice" in displays.sockets_for
            _prefer_socket(graphics.listens, on_socket)
            plain, encrypted = _spice_ports(graphics, displays.spice_tls)
            _place(
                graphics,
                folder / "spice.sock",
                spice_port or port,
                on_socket,
                displays.spice_listen,
                automatic=plain,
            )
            if encrypted:
                _place_encrypted(graphics, spice_tls_port or port, displays.spice_tls)


def settle_channel(channel: Channel, folder: Path) -> None:
    """Say where the host's end of a channel is, if that is left to us."""
    source = channel.source
    if not isinstance(source, UnixChardev):
        return
    if source.source is None:
        source.source = UnixSource(mode=SocketMode.BIND)
    if source.source.path is None:
        name = getattr(channel.target, "name", None) or _port_name(channel.address)
        source.source.path = str(folder / f"{name.replace('/', '-')}"[:80])


def _port_name(address: object) -> str:
    """What the socket of a port without a name is called."""
    if not isinstance(address, VirtioSerialAddress):
        address = VirtioSerialAddress()
    return f"vioser-{address.controller or 0:02}-{address.bus or 0:02}-{address.port or 0:02}.sock"


def _require_firmware(domain: Domain, catalog: FirmwareCatalog | None) -> None:
    """Make sure that a kind of firmware has become an image, and one of those that the host has.

    :raises OperationFailed: it has not.
    """
    os_ = domain.os
    if os_ is None or os_.firmware is None:
        return
    if catalog is not None:
        catalog.complete(domain, abi_update=False)
    elif os_.kernel is None and (os_.loader is None or os_.loader.path is None):
        raise OperationFailed(
            f"Unable to find '{os_.firmware}' firmware that is compatible with the current configuration"
        )


def check_disk(disk: Disk, groups: Groups = NO_GROUPS, reader: tuple[int, int] | None = None) -> None:
    """Look whether a disk's image is there, and what is below it.

    :param groups: descriptors that the guest has been lent.
    :param reader: user and group who are to read images; None: we.
    """
    path = disk_path(disk.source)
    if group_of(disk.source) is not None:
        complete_chain(disk, groups, reader)
        return
    if path is None:
        if is_empty(disk.source) and disk.driver is not None:
            disk.driver.type = None  # nothing is known of what will be in it
        complete_chain(disk)
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if format_of(disk) in BACKED_FORMATS:
            complete_chain(disk, groups, reader)  # which says what there is to say
        raise SystemError(f"Cannot access storage file '{path}': {error.strerror}") from None
    os.close(descriptor)
    complete_chain(disk, groups, reader)


def _prefer_socket(listens: list[Listen], wanted: bool) -> None:
    """Listen on a socket instead of an address that nobody asked for."""
    first = listens[0] if listens else None
    if wanted and (first is None or (isinstance(first, AddressListen) and first.address is None)):
        listens[:1] = [SocketListen()]


def _spice_ports(graphics: SpiceGraphics, tls: bool) -> tuple[bool, bool]:
    """Whether a display needs a port, and an encrypted one, of our choice: what its channels need it for tells."""
    plain, encrypted = graphics.port == -1, graphics.tls_port == -1
    if not graphics.autoport:
        return plain, encrypted
    default = graphics.default_mode or SpiceChannelMode.ANY
    modes = {default, *(channel.mode for channel in graphics.channels)}
    plain = plain or SpiceChannelMode.INSECURE in modes or default is SpiceChannelMode.ANY
    return plain, encrypted or SpiceChannelMode.SECURE in modes or (default is SpiceChannelMode.ANY and tls)


def _place_encrypted(graphics: SpiceGraphics, port: Callable[[str], int], tls: bool) -> None:
    """Give a display its encrypted port.

    :raises ConfigUnsupported: the administrator has not set up TLS.
    """
    first = graphics.listens[0] if graphics.listens else None
    if not isinstance(first, AddressListen | NetworkListen):
        return
    if not tls:
        raise ConfigUnsupported("Auto allocation of spice TLS port requested but spice TLS is disabled in qemu.conf")
    graphics.tls_port = port(getattr(first, "address", None) or "")


def _place(
    graphics: VNCGraphics | SpiceGraphics,
    socket_path: Path,
    port: Callable[[str], int],
    on_socket: bool,
    address: str,
    *,
    automatic: bool | None = None,
) -> None:
    """Give a display what it listens on.

    :param automatic: whether it needs a port of our choice; None: where the definition says so or names none.
    """
    if automatic is None:
        automatic = bool(graphics.autoport or not graphics.port or graphics.port < 0)
    _prefer_socket(graphics.listens, on_socket)
    for listen in graphics.listens:
        if isinstance(listen, SocketListen) and listen.socket is None:
            listen.socket = str(socket_path)
            listen.auto_generated = True
    first = graphics.listens[0] if graphics.listens else None
    if first is None:
        first = AddressListen()
        graphics.listens.append(first)
    if isinstance(first, AddressListen | NetworkListen):
        if first.address is None:
            first.address = address
        if automatic:
            graphics.port = port(first.address)


def _place_websocket(graphics: VNCGraphics, displays: DisplayDefaults) -> None:
    """Give a display the port for browsers, if it asks for any."""
    first = graphics.listens[0] if graphics.listens else None
    if graphics.websocket == -1 and isinstance(first, AddressListen | NetworkListen):
        graphics.websocket = free_port(first.address or "127.0.0.1", displays.websockets, displays.taken, "webSocket")
        graphics.websocket_generated = True


def ports_of(domain: Domain) -> set[int]:
    """Ports of a guest's displays."""
    assert domain.devices is not None
    found: set[int | None] = set()
    for graphics in domain.devices.graphics:
        found |= {getattr(graphics, name, None) for name in ("port", "websocket")}
    return {port for port in found if port is not None}


def free_port(address: str, ports: range, taken: set[int] | None = None, what: str = "display") -> int:
    """A port nobody listens on.

    :param taken: ports that were given out already; this one is added.
    :param what: what it is for.

    :raises InternalError: all are taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in ports:
        if taken is not None and port in taken:
            continue
        with socket.socket(family) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind((address, port))
            except OSError:
                continue
            if taken is not None:
                taken.add(port)
            return port
    raise InternalError(f"Unable to find an unused port in range '{what}' ({ports.start}-{ports.stop - 1})")
