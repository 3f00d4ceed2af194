"""What changes on the host of a network interface that a running guest has."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from virt_host.links import devices as links
from virt_qemu.command.line import unsupported
from virt_qemu.host_side.interfaces import bridge_of, limit, wants_isolation
from virtcore.errors import InternalError, OperationFailed, VirtError

if TYPE_CHECKING:
    from virtcore.model.domain.interface import Interface

__all__ = ["change"]

log = logging.getLogger(__name__)


async def change(old: Interface, new: Interface, changes: Collection[str]) -> None:
    """Change what is on the host of an interface.

    :param old: as it is.
    :param new: as it is to be, with the same device on the host.
    :param changes: of ``bandwidth``, ``bridge``, ``isolation``, ``filter``, ``coalesce`` and ``vlan``.
    :raises VirtError: it cannot be changed so; it is as it was.
    """
    for name, what in (
        ("filter", "a network filter"),
        ("vlan", "changing the VLAN of an interface"),
    ):
        if name in changes:
            raise unsupported(what)
    done: list[str] = []
    try:
        for name, way in _WAYS.items():
            if name in changes:
                done.append(name)
                await way(old, new)
    except BaseException:
        for name in reversed(done):
            try:
                await _WAYS[name](new, old)
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


_WAYS: dict[str, Callable[[Interface, Interface], Awaitable[None]]] = {
    "bandwidth": _limit,
    "bridge": _move,
    "coalesce": _coalesce,
    "isolation": _isolate,
}
