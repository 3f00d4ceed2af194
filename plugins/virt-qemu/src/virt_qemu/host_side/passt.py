"""passt: a network in user space that needs no rights."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virt_host.tools import tool
from virtcore.model.domain.interface import (
    EthernetInterfaceSource,
    InterfaceType,
    UserInterfaceSource,
    VhostUserInterfaceSource,
)
from virtcore.runtime.launcher import Identity

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface, PortForward

__all__ = ["passt_command", "start_passt", "stop_passt"]


def _socket(side: HostSide, owner: Owner, interface: Interface) -> str:
    return f"{side.host.passt_folder}/{owner.short_name}-{interface.alias}.socket"


def _forward(forward: PortForward) -> str:
    """Ports that are forwarded, as passt is told them."""
    words = []
    for ports in forward.ranges:
        text = "~" if ports.exclude else ""
        text += str(ports.start) if ports.start is not None else ""
        text += f"-{ports.end}" if ports.end is not None else ""
        if ports.to is not None:
            text += f":{ports.to}"
            if ports.end is not None and ports.start is not None:
                text += f"-{ports.end + ports.to - ports.start}"
        words.append(text)
    where = forward.address or ""
    if forward.dev is not None:
        where += f"%{forward.dev}"
    ranges = ",".join(words) or "all"
    return f"{where}/{ranges}" if where else ranges


def passt_command(
    program: str, interface: Interface, socket: str, *, vhost_user: bool = False, identity: Identity | None = None
) -> list[str]:
    """What passt is run with.

    :param identity: who it becomes.
    """
    argv = [program, "--foreground", "--one-off", "--socket", socket]
    if identity is not None:
        argv += ["--runas", f"{identity.uid}:{identity.gid}"]
    if vhost_user:
        argv.append("--vhost-user")
    backend = interface.backend
    if backend is not None and backend.log_file is not None:
        argv += ["--log-file", backend.log_file]
    if interface.mac is not None and interface.mac.address is not None:
        argv += ["--mac-addr", interface.mac.address]
    source = interface.source
    plain = EthernetInterfaceSource | UserInterfaceSource | VhostUserInterfaceSource
    if isinstance(source, plain) and source.dev is not None:
        argv += ["--interface", source.dev]
    for address in interface.ips:
        if address.address is None:
            continue
        argv += ["--address", address.address]
        if address.prefix is not None and ":" not in address.address:
            argv += ["--netmask", str(address.prefix)]
    for forward in interface.port_forwards:
        argv += [f"--{forward.proto}-ports", _forward(forward)]
    return argv


async def start_passt(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Start passt for an interface.

    :raises VirtError: it does not run.
    """
    socket = _socket(side, owner, interface)
    side.make_folder(side.host.passt_folder)
    identity = side.identity
    if identity is None and os.geteuid() == 0:
        identity = Identity(0, 0)  # else it becomes nobody, who may not make its socket
    if identity is not None:
        os.chown(side.host.passt_folder, identity.uid, identity.gid)
    vhost_user = interface.type is InterfaceType.VHOSTUSER
    argv = passt_command(tool("passt"), interface, socket, vhost_user=vhost_user, identity=identity)
    await side.programs.start(owner, f"{interface.alias}-passt", argv, socket=socket)


async def stop_passt(side: HostSide, owner: Owner, interface: Interface) -> None:
    """End the passt of an interface and remove its socket."""
    await side.programs.stop(owner, f"{interface.alias}-passt")
    side.remove_file(_socket(side, owner, interface))
