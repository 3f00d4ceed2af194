"""What a port of a network gets: the settings of its port group, a device or bridge, a guaranteed rate
(``networkAllocatePort``).
"""

from __future__ import annotations

import logging
import uuid
from copy import deepcopy
from typing import TYPE_CHECKING

from virt_host.network.host_network import floor_of
from virt_host.network.traffic import add_class, remove_class, set_class_rate
from virtcore.errors import InternalError, InvalidArg, OperationInvalid, OperationUnsupported, VirtError, XMLError
from virtcore.model.network import (
    BridgePlug,
    NetworkPlug,
    NoPlug,
    PortOptions,
    VirtualPort,
    VirtualPortParameters,
)
from virtcore.model.network.port_rules import settle_virtualport

if TYPE_CHECKING:
    from virt_host.network.host_network import HostNetwork
    from virt_host.network.modes import NetworkMode
    from virtcore.model.network import Bandwidth, Network, NetworkPort, PortGroup

__all__ = ["allocate", "change_bandwidth", "claim", "merge_virtualports", "release"]

log = logging.getLogger(__name__)


def _live(network: HostNetwork) -> Network:
    assert network.live is not None
    return network.live


def _bridge(network: HostNetwork) -> str:
    bridge = _live(network).bridge
    return (bridge.name or "") if bridge is not None else ""


# -- getting a port, and giving it back


async def allocate(network: HostNetwork, port: NetworkPort, mode: NetworkMode) -> None:
    """Give a port what it needs; it is completed.

    :raises VirtError: it cannot be; nothing has changed.
    """
    document = _live(network)
    if not isinstance(port.plug, NoPlug | None):
        raise InvalidArg("Port reclaim not requested but plug type is not none")
    _inherit(port, document)
    device = mode.plug(network, port)
    await _guarantee(network, port, port.bandwidth)
    try:
        if port.virtualport is not None and port.virtualport.type is not None:
            settle_virtualport(port.virtualport, complete=True, new_uuid=uuid.uuid4)
    except BaseException:
        await _guarantee(network, port, None)
        raise
    _count(document, device, 1)


def claim(network: HostNetwork, port: NetworkPort, mode: NetworkMode) -> None:
    """Take note of a port that is in use already.

    :raises VirtError: it cannot be one of this network.
    """
    document = _live(network)
    if isinstance(port.plug, NoPlug | None):
        raise InvalidArg("Port reclaim requested but plug type is none")
    if isinstance(port.plug, NetworkPlug | BridgePlug) and not _bridge(network):
        raise InternalError("Unexpectedly got a network port without a network bridge")
    _count(document, mode.find(network, port), 1)
    if port.bandwidth is not None and port.bandwidth.class_id:
        network.classes.add(port.bandwidth.class_id)


async def release(network: HostNetwork, port: NetworkPort, mode: NetworkMode) -> None:
    """Take back what a port had.

    :raises VirtError: it stays as it was.
    """
    device = mode.find(network, port)
    await _guarantee(network, port, None)
    _count(_live(network), device, -1)


def _count(document: Network, device: object, by: int) -> None:
    document.connections = max(0, (document.connections or 0) + by)
    if device is not None and hasattr(device, "connections"):
        device.connections = max(0, (device.connections or 0) + by)


def _inherit(port: NetworkPort, document: Network) -> None:
    """What a port does not say itself its port group says, or the network."""
    group = _group(document, port.group)
    if port.bandwidth is None and group is not None:
        port.bandwidth = deepcopy(group.bandwidth)
    for name in ("vlan", "trust_guest_rx_filters"):
        for source in (group, document):
            if getattr(port, name) is None and source is not None:
                setattr(port, name, deepcopy(getattr(source, name)))
    if (port.port is None or port.port.isolated is None) and document.port is not None:
        port.port = PortOptions(isolated=document.port.isolated)
    port.virtualport = merge_virtualports(
        port.virtualport, document.virtualport, group.virtualport if group is not None else None
    )


def _group(document: Network, name: str | None) -> PortGroup | None:
    """The port group of a name, or the default one."""
    if name is not None:
        return next((group for group in document.portgroups if group.name == name), None)
    return next((group for group in document.portgroups if group.default), None)


# -- virtual ports

_PARAMETERS = (
    ("managerid", "managerids ({} and {})"),
    ("typeid", "typeids ({} and {})"),
    ("typeidversion", "typeidversions ({} and {})"),
    ("instanceid", "instanceids ('{}' and '{}')"),
    ("interfaceid", "interfaceids ('{}' and '{}')"),
    ("profileid", "profileids ('{}' and '{}')"),
)


def merge_virtualports(*ports: VirtualPort | None) -> VirtualPort | None:
    """One virtual port of those that an interface, its network and its port group name; None: none names a kind.

    :raises XMLError: two contradict each other.
    """
    given = [port for port in ports if port is not None]
    if not any(port.type for port in given):
        return None
    merged = VirtualPort()
    for port in given:
        if port.type is not None:
            if merged.type not in (None, port.type):
                raise XMLError(f"attempt to merge virtualports with mismatched types ({merged.type} and {port.type})")
            merged.type = port.type
        for name, what in _PARAMETERS:
            value = getattr(port.parameters, name, None)
            if value in (None, ""):
                continue
            merged.parameters = merged.parameters or VirtualPortParameters()
            known = getattr(merged.parameters, name)
            if known not in (None, "", value):
                raise XMLError(f"attempt to merge virtualports with mismatched {what.format(known, value)}")
            setattr(merged.parameters, name, value)
    return merged


# -- guaranteed rates


def _floor(bandwidth: Bandwidth | None) -> int:
    return (bandwidth.inbound.floor or 0) if bandwidth is not None and bandwidth.inbound is not None else 0


def _check_floor(network: HostNetwork, mac: str, old: int, new: int) -> int | None:
    """Whether a guaranteed rate can be; returns what the bridge takes at most, or None where nothing is guaranteed.

    :raises VirtError: it cannot be.
    """
    document = _live(network)
    if new and not document.mode.has_bridge:
        raise OperationUnsupported(
            f"Invalid use of 'floor' on interface with MAC address {mac} - 'floor' is only supported for interface "
            "type 'network' with forward type 'nat', 'route', 'open' or none"
        )
    inbound = document.bandwidth.inbound if document.bandwidth is not None else None
    if new and inbound is None:
        raise OperationUnsupported(
            f"Invalid use of 'floor' on interface with MAC address {mac} - network '{network.name}' has no inbound QoS "
            "set"
        )
    if inbound is None or not (old or new):
        return None
    total = network.floor_sum - old + new
    most, what = (inbound.peak, "peak") if inbound.peak else (inbound.average or 0, "average")
    if total > most:
        raise OperationInvalid(
            f"Cannot plug '{mac}' interface into '{_bridge(network)}' because new combined inbound floor={total} would "
            f"overcommit {what}={most} on network '{network.name}'"
        )
    return most - total


async def _guarantee(network: HostNetwork, port: NetworkPort, bandwidth: Bandwidth | None) -> None:
    """Let a port have the rate that limits guarantee, or none.

    :raises VirtError: it cannot; it has what it had.
    """
    old, new = floor_of(port), _floor(bandwidth)
    number = port.bandwidth.class_id if port.bandwidth is not None else None
    if old == new:
        if bandwidth is not None and number:
            bandwidth.class_id = number
        return
    rest = _check_floor(network, port.mac, old, new)
    if rest is None:
        return
    limits = _live(network).bandwidth
    assert limits is not None
    bridge = _bridge(network)
    if not new:
        assert number
        await remove_class(bridge, number)
        network.classes.discard(number)
        if port.bandwidth is not None:
            port.bandwidth.class_id = None
    elif number:
        await set_class_rate(bridge, limits, number, new)
    else:
        number = network.next_class()
        try:
            await add_class(bridge, limits, port.mac, new, number)
        except BaseException:
            network.classes.discard(number)
            raise
    if new and bandwidth is not None:
        bandwidth.class_id = number
    try:
        await set_class_rate(bridge, limits, 2, rest)
    except VirtError as error:
        log.warning("Unable to update rate for 1:2 class on %s bridge: %s", bridge, error)


async def change_bandwidth(network: HostNetwork, port: NetworkPort, bandwidth: Bandwidth | None) -> None:
    """Change the limits of a port.

    :raises VirtError: they cannot be; it has those it had.
    """
    await _guarantee(network, port, bandwidth)
    port.bandwidth = bandwidth
