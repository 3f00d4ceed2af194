"""slirp-helper: QEMU's network in user space, in a process of its own (``slirp_helper``)."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from virt_host.tools import features_of, find_tool
from virt_qemu.host_side.displays import start_bus
from virt_qemu.private_data import InterfacePrivate, Slirp
from virtcore.model.domain.interface import InterfaceType

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virt_qemu.resources import HostResources
    from virtcore.model.domain.interface import Interface

__all__ = ["slirp_command", "start_slirp", "stop_slirp"]

_CONNECTION = 3
"""Number of the connection to QEMU in the program."""
#: What the program can, by version of IP; and the length of a network's prefix that is not said.
_FAMILIES = {4: ("ipv4", "--net", 24), 6: ("ipv6", "--net6", 64)}


def _name(interface: Interface) -> str:
    return f"{interface.alias}-slirp"


async def start_slirp(side: HostSide, owner: Owner, interface: Interface, resources: HostResources) -> None:
    """Start the program for an interface of type ``user``, where it is installed and can do what is wanted.

    :raises VirtError: it does not run.
    """
    if interface.type is not InterfaceType.USER or interface.backend is not None:
        return
    program = find_tool(side.settings.slirp_helper)
    if program is None:
        return
    features = await features_of(program)
    wanted = {_FAMILIES[ipaddress.ip_address(str(each.address)).version][0] for each in interface.ips}
    if not wanted <= set(features):
        return  # QEMU does it itself
    bus = await start_bus(side, owner) if "dbus-address" in features else None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with theirs:
        try:
            process = await side.programs.start(
                owner,
                _name(interface),
                slirp_command(program, interface, _CONNECTION, bus),
                fds={_CONNECTION: theirs.fileno()},
                identity=side.identity_of(owner),
            )
        except BaseException:
            ours.close()
            raise
    interface.private_data = InterfacePrivate(slirp=[Slirp(pid=process.pid, features=features)])
    resources.provide_slirp(interface, ours.detach())


def slirp_command(program: str, interface: Interface, descriptor: int, bus: str | None) -> list[str]:
    """What the program is run with.

    :param descriptor: number of its connection to QEMU.
    :param bus: address of the guest's bus, where the program wants to know it.
    """
    argv = [program, f"--fd={descriptor}"]
    for each in interface.ips:
        address = ipaddress.ip_address(str(each.address))
        _, option, prefix = _FAMILIES[address.version]
        argv.append(f"{option}={address}/{each.prefix or prefix}")
    if bus is not None:
        mac = interface.mac.address if interface.mac is not None else ""
        argv += [f"--dbus-id=slirp-{mac}", f"--dbus-address={bus}"]
    return argv


async def stop_slirp(side: HostSide, owner: Owner, interface: Interface) -> None:
    """End the program of an interface."""
    if isinstance(interface.private_data, InterfacePrivate) and interface.private_data.slirp:
        await side.programs.stop(owner, _name(interface))
