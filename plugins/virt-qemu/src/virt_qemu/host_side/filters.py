"""Network filters of guests' interfaces: a binding of the interface's port for each that wants one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_qemu.command.networks import actual_type
from virtcore.errors import ConfigUnsupported, InternalError, NoNWFilterBinding, VirtError
from virtcore.model.domain.interface import InterfaceType

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface

__all__ = ["check_filter", "filter_again", "filter_traffic", "unfilter_traffic"]

log = logging.getLogger(__name__)

_FILTERED = (InterfaceType.NETWORK, InterfaceType.BRIDGE, InterfaceType.ETHERNET)


def check_filter(side: HostSide, interface: Interface) -> None:
    """Refuse a filter where there is none to be had.

    :raises ConfigUnsupported: interfaces of its kind have none.
    :raises InternalError: users without the administrator's rights have none.
    """
    if interface.filterref is None:
        return
    kind, mac = actual_type(interface), interface.mac.address if interface.mac is not None else None
    if kind not in _FILTERED:
        raise ConfigUnsupported(
            f"interface {mac} - filterref is not supported for network interfaces of type {kind or InterfaceType.USER}"
        )
    actual = interface.actual.virtualport if interface.actual is not None else None
    port = actual if actual is not None else interface.virtualport
    if port is not None and port.type is not None:
        raise ConfigUnsupported(
            f"interface {mac} - filterref is not supported for network interfaces with virtualport type {port.type}"
        )
    if not side.privileged:
        raise InternalError("unexpected nwfilter URI path '/session', try nwfilter:///system")


async def filter_traffic(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Filter the traffic of an interface as it says, if it does.

    :raises VirtError: that cannot be done; nothing is left of it.
    """
    reference = interface.filterref
    if reference is None:
        return
    from virtcore.model.nwfilter import FilterBinding, format_nwfilter_binding

    if interface.target is None or interface.target.dev is None or interface.mac is None:
        raise InternalError("a network interface has no device on the host")
    binding = FilterBinding(
        owner_name=owner.name,
        owner_uuid=owner.uuid,
        portdev=interface.target.dev,
        mac=interface.mac.address or "",
        filterref=reference,
    )
    await side.services.call("nwfilter", "connection_create_nwfilter_binding", format_nwfilter_binding(binding), 0)


async def unfilter_traffic(side: HostSide, interface: Interface) -> None:
    """Filter the traffic of an interface no more. Never raises."""
    if interface.filterref is None or interface.target is None or interface.target.dev is None or not side.privileged:
        return
    try:
        found = await side.services.call("nwfilter", "connection_lookup_nwfilter_binding", interface.target.dev)
        await side.services.call("nwfilter", "nwfilter_binding_delete", found)
    except NoNWFilterBinding:
        pass  # it is not, or somebody has seen to that
    except VirtError as error:
        log.warning("the traffic of '%s' is still filtered: %s", interface.target.dev, error)


async def filter_again(side: HostSide, owner: Owner, interface: Interface) -> None:
    """See to it that the traffic of an interface of a guest that was found again is filtered.

    :raises VirtError: it is not, and cannot be.
    """
    if interface.filterref is None or interface.target is None or interface.target.dev is None:
        return
    try:
        await side.services.call("nwfilter", "connection_lookup_nwfilter_binding", interface.target.dev)
    except NoNWFilterBinding:
        await filter_traffic(side, owner, interface)
