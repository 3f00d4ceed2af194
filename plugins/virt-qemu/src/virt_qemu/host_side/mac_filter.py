"""The filter by which bridges let no frame through but those with the MAC address of the guest that sends them.

It is the host's and the same for all guests (``mac_filter`` in qemu.conf): what comes from no guest is not let through
either.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_host.description.program import finish_program
from virt_host.tools import tool
from virt_qemu.command.networks import actual_type
from virtcore.errors import InternalError, VirtError
from virtcore.model.domain.interface import InterfaceType

if TYPE_CHECKING:
    from virtcore.model.domain.interface import Interface

__all__ = ["let_through", "set_up_filter", "shut_out"]

log = logging.getLogger(__name__)

_CHAIN = "libvirt_qemu_FORWARD"
_FILTERED = (InterfaceType.ETHERNET, InterfaceType.BRIDGE, InterfaceType.NETWORK)


async def set_up_filter() -> None:
    """Let nothing through that no rule of a guest's lets through. Doing it again changes nothing.

    :raises VirtError: the host has no ebtables, or that refuses it.
    """
    program = tool("ebtables")
    made = await finish_program([program, "--concurrent", "--new-chain", _CHAIN])
    if not made.status:
        await _run("--insert", "FORWARD", "--jump", _CHAIN)
    await _run("-P", _CHAIN, "DROP")


async def let_through(interface: Interface) -> None:
    """Let frames of an interface through that have its MAC address.

    :raises VirtError: ebtables refuses it.
    """
    rule = _rule(interface)
    if rule:
        await _run("--insert", _CHAIN, *rule)


async def shut_out(interface: Interface) -> None:
    """Forget an interface that goes. Never raises."""
    rule = _rule(interface)
    if not rule:
        return
    try:
        await _run("--delete", _CHAIN, *rule)
    except VirtError as error:
        log.warning("the filter of MAC addresses is not what it was: %s", error)


def _rule(interface: Interface) -> list[str]:
    """What of an interface is let through; empty where it is in no bridge, or not yet anywhere."""
    name = interface.target.dev if interface.target is not None else None
    mac = interface.mac.address if interface.mac is not None else None
    if name is None or mac is None or actual_type(interface) not in _FILTERED:
        return []
    return ["--in-interface", name, "--source", str(mac), "--jump", "ACCEPT"]


async def _run(*words: str) -> None:
    argv = [tool("ebtables"), "--concurrent", *words]
    finished = await finish_program(argv)
    if finished.status:
        shown = " ".join(["ebtables", *argv[1:]])
        raise InternalError(f"Failed to run firewall command {shown}: {finished.errors.strip()}")
