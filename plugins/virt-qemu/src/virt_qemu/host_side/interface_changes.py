"""What changes on the host of a network interface that a running guest has."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, TypeAlias

from virt_host.links import devices as links, switches
from virt_qemu.command.line import unsupported
from virt_qemu.host_side.filters import filter_traffic, unfilter_traffic
from virt_qemu.host_side.interfaces import bridge_of, limit, plug_in, virtualport_of, vlan_of, wants_isolation
from virtcore.errors import InternalError, OperationFailed, VirtError
from virtcore.model.network.port import VirtualPortType

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface

__all__ = ["change"]

log = logging.getLogger(__name__)

#: Makes what is on the host of an interface be as another one says.
_Way: TypeAlias = "Callable[[HostSide, Owner, Interface, Interface], Awaitable[None]]"


async def change(side: HostSide, owner: Owner, old: Interface, new: Interface, changes: Collection[str]) -> None:
    """Change what is on the host of an interface.

    :param old: as it is.
    :param new: as it is to be, with the same device on the host.
    :param changes: of ``bandwidth``, ``bridge``, ``isolation``, ``filter``, ``coalesce`` and ``vlan``.
    :raises VirtError: it cannot be changed so; it is as it was.
    """
    done: list[str] = []
    try:
        for name, way in _WAYS.items():
            if name in changes:
                done.append(name)
                await way(side, owner, old, new)
    except BaseException:
        for name in reversed(done):
            try:
                await _WAYS[name](side, owner, new, old)
            except VirtError as error:
                log.warning("%s of '%s' is not as it was: %s", name, _device(old), error)
        raise


def _device(interface: Interface) -> str:
    if interface.target is None or interface.target.dev is None:
        raise InternalError("a network interface has no device on the host")
    return interface.target.dev


async def _move(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    """Let it be in another bridge."""
    name, bridge = _device(old), bridge_of(new)
    if not links.exists(bridge):
        raise OperationFailed(f"bridge {bridge} doesn't exist")
    present = links.bridge_of(name)
    if present is not None and present != bridge:
        links.remove_from_bridge(name, present)
    if present != bridge:
        await plug_in(owner.uuid, new, bridge)


async def _isolate(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    links.set_isolated(_device(old), wants_isolation(new))


async def _coalesce(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    links.set_coalesce(_device(old), new.coalesce or 0)


async def _limit(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    await limit(owner.uuid, new)


async def _retag(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    port = virtualport_of(new)
    if port is None or port.type is not VirtualPortType.OPENVSWITCH:
        raise unsupported("changing the VLAN of an interface that is no port of Open vSwitch")
    await switches.set_vlans(_device(old), vlan_of(new))


async def _filter(side: HostSide, owner: Owner, old: Interface, new: Interface) -> None:
    await unfilter_traffic(side, old)
    try:
        await filter_traffic(side, owner, new)
    except VirtError as error:
        raise OperationFailed(
            f"failed to add new filter rules to '{_device(old)}' - attempting to restore old rules"
        ) from error


_WAYS: dict[str, _Way] = {
    "bandwidth": _limit,
    "bridge": _move,
    "coalesce": _coalesce,
    "filter": _filter,
    "isolation": _isolate,
    "vlan": _retag,
}
