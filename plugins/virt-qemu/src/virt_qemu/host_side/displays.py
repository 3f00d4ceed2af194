"""Displays that programs beside QEMU serve: a bus of D-Bus of the guest's own, and qemu-rdp on it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from virt_host.tools import features_of, find_tool
from virt_qemu.prepare import RDP_PORTS, free_port
from virt_qemu.settings.host import certificates
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, SystemError
from virtcore.model.domain.graphics import AddressListen, DBusGraphics, NetworkListen, RDPGraphics

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.graphics import Graphics

__all__ = ["bus_address", "has_bus", "prepare", "rdp_command", "release", "start_bus", "stop_bus", "tell_credentials"]

_BUS = "dbus"
_RDP = "qemu-rdp"
_SERVICE, _PATH = "org.QemuDisplay.RDP", "/org/qemu_display/rdp"
_LIMIT = 30.0
"""Seconds qemu-rdp has until it is on the bus."""
_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>org.libvirt.qemu</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context='default'>
    <allow send_destination='*' eavesdrop='true'/>
    <allow eavesdrop='true'/>
    <allow own='*'/>
  </policy>
</busconfig>
"""


def _folder(side: HostSide, owner: Owner) -> Path:
    """The folder of a guest's bus. The guest's user makes a socket in it."""
    return side.folders.run / _BUS / owner.short_name


def bus_address(side: HostSide, owner: Owner) -> str:
    """Address of a guest's own bus, whether it runs or not."""
    return f"unix:path={_folder(side, owner) / 'bus'}"


async def prepare(side: HostSide, owner: Owner, graphics: Graphics, resources: HostResources) -> None:
    """Start what serves a display.

    :raises VirtError: it does not run.
    """
    if isinstance(graphics, DBusGraphics):
        if not graphics.p2p and graphics.address is None:
            graphics.address = await start_bus(side, owner)
    elif isinstance(graphics, RDPGraphics):
        await _start_rdp(side, owner, graphics)


async def release(side: HostSide, owner: Owner, graphics: Graphics) -> None:
    """End what serves a display; the guest's bus goes with the guest."""
    if isinstance(graphics, RDPGraphics):
        await side.programs.stop(owner, _RDP)


# ----------------------------------------------------------------------------------------------------------------- bus


async def start_bus(side: HostSide, owner: Owner) -> str:
    """Start a guest's own bus, unless it runs; returns its address.

    :raises VirtError: it does not run.
    """
    address = bus_address(side, owner)
    if has_bus(side, owner):
        return address
    name = side.settings.dbus_daemon
    program = find_tool(name)
    if program is None:
        raise SystemError(f"'{name}' is not a suitable dbus-daemon: No such file or directory")
    shutil.rmtree(_folder(side, owner), ignore_errors=True)
    folder = side.guests_folder(owner, _BUS)
    configuration = folder / "bus.conf"
    try:
        configuration.write_text(_CONFIGURATION.format(address=address))
    except OSError as error:
        raise SystemError(f"Failed to write '{configuration}': {error.strerror}") from None
    side.hand_over(owner, str(configuration))
    try:
        await side.programs.start(
            owner,
            _BUS,
            [program, f"--config-file={configuration}", "--nofork"],
            socket=str(folder / "bus"),
            identity=side.identity_of(owner),
            died=lambda written: OperationFailed(f"dbus-daemon died and reported:\n{written}"),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return address


def has_bus(side: HostSide, owner: Owner) -> bool:
    """Whether a guest's own bus runs."""
    return side.programs.find(owner, _BUS) is not None


async def stop_bus(side: HostSide, owner: Owner) -> None:
    """End a guest's own bus; without one nothing happens."""
    await side.programs.stop(owner, _BUS)
    shutil.rmtree(_folder(side, owner), ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------ qemu-rdp


def _check_rdp(owner: Owner, graphics: RDPGraphics) -> None:
    """Refuse what qemu-rdp cannot do.

    :raises ConfigUnsupported: the guest wants it.
    """
    if len(graphics.listens) > 1:
        raise ConfigUnsupported("qemu-rdp does not support multiple listens for one graphics device.")
    devices = owner.domain.devices if owner.domain is not None else None
    others = devices.graphics if devices is not None else []
    if not any(isinstance(other, DBusGraphics) and not other.p2p for other in others):
        raise ConfigUnsupported("qemu-rdp support requires a D-Bus bus graphics device.")


async def _start_rdp(side: HostSide, owner: Owner, graphics: RDPGraphics) -> None:
    _check_rdp(owner, graphics)
    name = side.settings.qemu_rdp
    program = find_tool(name)
    if program is None:
        raise SystemError(f"'{name}' is not a suitable qemu-rdp helper name: No such file or directory")
    if "dbus-address" not in await features_of(program):
        raise InternalError(f"'{name}' cannot be told the address of a bus")
    folder = certificates(side.settings, "rdp")
    files = [f"{folder}/server-cert.pem", f"{folder}/server-key.pem"]
    for what, path in zip(("certificate", "key"), files, strict=True):
        if not os.path.exists(path):
            raise OperationFailed(f"Missing {what} file '{path}'")
    argv = rdp_command(program, await start_bus(side, owner), _place(side, graphics), *files)
    await side.programs.start(owner, _RDP, argv, identity=side.identity_of(owner))


def _place(side: HostSide, graphics: RDPGraphics) -> str:
    """Where a display listens, which is written into it where it does not say."""
    first = graphics.listens[0] if graphics.listens else None
    if first is None:
        first = AddressListen()
        graphics.listens.append(first)
    if not isinstance(first, AddressListen | NetworkListen):
        raise InternalError("Unsupported qemu-rdp listen type")
    if first.address is None:
        first.address = side.settings.rdp_listen
    if graphics.autoport or not graphics.port or graphics.port < 0:
        graphics.port = free_port(first.address, RDP_PORTS, side.ports, "rdp")
    address = f"[{first.address}]" if ":" in first.address else first.address
    return f"{address}:{graphics.port}"


def rdp_command(program: str, bus: str, place: str, certificate: str, key: str) -> list[str]:
    """What qemu-rdp is run with.

    :param bus: address of the guest's bus.
    :param place: address and port to listen on.
    """
    return [program, f"--dbus-address={bus}", "serve", "--bind-address", place, f"--cert={certificate}", f"--key={key}"]


async def tell_credentials(side: HostSide, owner: Owner, graphics: RDPGraphics) -> None:
    """Tell qemu-rdp who may log in, once it is on the bus.

    :raises VirtError: it is not, or refuses.
    """
    username = graphics.username if graphics.username is not None else side.settings.rdp_username
    password = graphics.passwd if graphics.passwd is not None else side.settings.rdp_password
    try:
        async with asyncio.timeout(_LIMIT):
            await _call(bus_address(side, owner), username or "", password or "")
    except TimeoutError:
        raise InternalError(f"'{_SERVICE}' is not on the bus of domain '{owner.name}'") from None


async def _call(bus: str, username: str, password: str) -> None:
    from jeepney import (  # type: ignore[import-untyped]
        DBusAddress,
        MatchRule,
        MessageType,
        message_bus,
        new_method_call,
    )
    from jeepney.io.asyncio import DBusRouter, open_dbus_connection  # type: ignore[import-untyped]

    connection = await open_dbus_connection(bus)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        router: Any = await stack.enter_async_context(DBusRouter(connection))
        rule = MatchRule(type="signal", sender=message_bus.bus_name, interface=message_bus.interface,
                         member="NameOwnerChanged", path=message_bus.object_path)  # fmt: skip
        rule.add_arg_condition(0, _SERVICE)
        with router.filter(rule) as appearing:
            await router.send_and_get_reply(message_bus.AddMatch(rule))
            there = (await router.send_and_get_reply(message_bus.NameHasOwner(_SERVICE))).body[0]
            while not there:
                there = bool((await appearing.get()).body[2])
        service = DBusAddress(_PATH, bus_name=_SERVICE, interface=_SERVICE)
        call = new_method_call(service, "SetCredentials", "sss", (username, password, ""))
        reply = await router.send_and_get_reply(call)
        if reply.header.message_type is MessageType.error:
            # What it says may have what it was told.
            raise InternalError(f"'{_SERVICE}' refuses the credentials of a display")
