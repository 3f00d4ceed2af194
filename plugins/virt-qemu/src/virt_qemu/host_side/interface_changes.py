"""What changes on the host of a network interface that a running guest has."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from virt_host.links import devices as links
from virt_qemu.command.line import unsupported
from virt_qemu.host_side.filters import filter_traffic, unfilter_traffic
from virt_qemu.host_side.interfaces import bridge_of, limit, wants_isolation
from virtcore.errors import InternalError, OperationFailed, VirtError

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface

__all__ = ["change"]

log = logging.getLogger(__name__)

#: Makes what is on the host of an interface be as another one says.
_Way: TypeAlias = "Callable[[Interface, Interface], Awaitable[None]]"


async def change(side: HostSide, owner: Owner, old: Interface, new: Interface, changes: Collection[str]) -> None:
    """Change what is on the host of an interface.

    :param old: as it is.
    :param new: as it is to be, with the same device on the host.
    :param changes: of ``bandwidth``, ``bridge``, ``isolation``, ``filter``, ``coalesce`` and ``vlan``.
    :raises VirtError: it cannot be changed so; it is as it was.
    """
    if "vlan" in changes:
        raise unsupported("changing the VLAN of an interface")
    ways: dict[str, _Way] = {**_WAYS, "filter": partial(_filter, side, owner)}
    done: list[str] = []
    try:
        for name, way in ways.items():
            if name in changes:
                done.append(name)
                await way(old, new)
    except BaseException:
        for name in reversed(done):
            try:
                await ways[name](new, old)
            except VirtError as error:
                log.warning("%s of '%s' is not as it was: %s", name, _device(old), error)
        raise


def _device(interface: Interface) -> str:
    if interface.target is None or interface.target.dev is None:
        raise InternalError("a network interface has no device on the host")
    return interface.target.dev


async def _move(old: Interface, new: Interface) -> None:
    """Let it be in another bridge."""
    name, bridge = _device(old), bridge_of(new)
    if not links.exists(bridge):
        raise OperationFailed(f"bridge {bridge} doesn't exist")
    present = links.bridge_of(name)
    if present is not None and present != bridge:
        links.remove_from_bridge(name, present)
    if present != bridge:
        links.add_to_bridge(name, bridge)
        if wants_isolation(new):
            links.set_isolated(name, True)


async def _isolate(old: Interface, new: Interface) -> None:
    links.set_isolated(_device(old), wants_isolation(new))


async def _coalesce(old: Interface, new: Interface) -> None:
    links.set_coalesce(_device(old), new.coalesce or 0)


async def _limit(old: Interface, new: Interface) -> None:
    await limit(new)


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
    "isolation": _isolate,
}
