"""The place of guests' interfaces in virtual networks: getting it, keeping it, giving it back."""

from __future__ import annotations

import logging
import uuid
from copy import deepcopy
from typing import TYPE_CHECKING, TypeAlias

from virtcore.enums.network import NetworkPortCreateFlags
from virtcore.errors import InternalError, NoNetwork, NoNetworkPort, VirtError
from virtcore.model.domain.interface import (
    ActualBridgeSource,
    ActualInterface,
    ActualNetworkSource,
    DirectInterfaceSource,
    HostdevInterfaceSource,
    InterfacePCIAddress,
    InterfaceType,
    NetworkInterfaceSource,
)
from virtcore.model.network.networkport import (
    BridgePlug,
    DirectPlug,
    HostdevPlug,
    NetworkPlug,
    NetworkPort,
    NoPlug,
    format_network_port,
    load_network_port,
)
from virtcore.model.storage.source import SourcePCIAddress

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface

__all__ = ["join_network", "leave_network", "mac_of", "rejoin_network"]

log = logging.getLogger(__name__)

Plug: TypeAlias = BridgePlug | NetworkPlug | DirectPlug | HostdevPlug


async def join_network(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Get an interface in a network a port of that, and with it what the interface really is.

    :raises VirtError: it gets none.
    """
    if interface.type is not InterfaceType.NETWORK:
        return
    source = _source(interface)
    found = await _new_port(side, owner, interface, None)
    source.portid = found.uuid
    interface.actual = _actual(found)


async def rejoin_network(side: HostSide, owner: Owner, interface: Interface) -> str | None:
    """See to it that the network of a guest that was found again knows its port; returns the bridge that it belongs
    into, where it does.

    :raises VirtError: the network is not active any more, or does not know what the guest has of it.
    """
    if interface.type is not InterfaceType.NETWORK or interface.actual is None:
        return None
    source, plug = _source(interface), _plug(interface.actual)
    try:
        network = await side.services.call("network", "connection_lookup_network", source.network, None)
        if source.portid is None:
            raise NoNetworkPort(source.network)
        await side.services.call("network", "network_lookup_port", network, source.portid)
    except NoNetworkPort:  # the network was stopped and started meanwhile
        source.portid = (await _new_port(side, owner, interface, plug)).uuid
    return plug.bridge if isinstance(plug, BridgePlug) else None


def _source(interface: Interface) -> NetworkInterfaceSource:
    source = interface.source
    assert isinstance(source, NetworkInterfaceSource)
    return source


async def _new_port(side: HostSide, owner: Owner, interface: Interface, plug: Plug | None) -> NetworkPort:
    """Make a port.

    :param plug: what it is plugged into already; None: the network decides.
    """
    source, actual = _source(interface), interface.actual if plug is not None else None
    wanted = interface if actual is None else actual
    port = NetworkPort(
        uuid=str(uuid.uuid4()),
        owner_name=owner.name,
        owner_uuid=owner.uuid,
        group=source.portgroup,
        mac=mac_of(interface),
        virtualport=wanted.virtualport,
        bandwidth=deepcopy(wanted.bandwidth),
        vlan=wanted.vlan,
        port=wanted.port,
        trust_guest_rx_filters=wanted.trust_guest_rx_filters,
        plug=plug or NoPlug(),
    )
    if actual is not None and actual.class_id and port.bandwidth is not None:
        port.bandwidth.class_id = actual.class_id
    flags = NetworkPortCreateFlags.RECLAIM if plug is not None else NetworkPortCreateFlags(0)
    network = await side.services.call("network", "connection_lookup_network", source.network, None)
    made = await side.services.call("network", "network_create_port", network, format_network_port(port), flags)
    return load_network_port(await side.services.call("network", "network_port_xml", made, 0))


def _plug(actual: ActualInterface) -> Plug:
    """What an interface is plugged into, as its network has it."""
    source = actual.source
    if isinstance(source, ActualBridgeSource | ActualNetworkSource) and source.bridge is not None:
        kind = BridgePlug if isinstance(source, ActualBridgeSource) else NetworkPlug
        return kind(bridge=source.bridge, mac_table_manager=source.mac_table_manager)
    if isinstance(source, DirectInterfaceSource):
        return DirectPlug(dev=source.dev, mode=source.mode)
    if isinstance(source, HostdevInterfaceSource) and isinstance(source.address, InterfacePCIAddress):
        where = source.address
        address = SourcePCIAddress(domain=where.domain, bus=where.bus, slot=where.slot, function=where.function)
        return HostdevPlug(managed=actual.managed, driver=actual.driver, address=address)
    raise InternalError("unexpected network interface without a connection")


def _actual(port: NetworkPort) -> ActualInterface:
    """What a port says the interface is."""
    plug = port.plug
    actual: ActualInterface
    if isinstance(plug, NetworkPlug):
        network = ActualNetworkSource(bridge=plug.bridge, mac_table_manager=plug.mac_table_manager)
        actual = ActualInterface(type=InterfaceType.NETWORK, source=network)
    elif isinstance(plug, BridgePlug):
        bridge = ActualBridgeSource(bridge=plug.bridge, mac_table_manager=plug.mac_table_manager)
        actual = ActualInterface(type=InterfaceType.BRIDGE, source=bridge)
    elif isinstance(plug, DirectPlug):
        actual = ActualInterface(type=InterfaceType.DIRECT, source=DirectInterfaceSource(dev=plug.dev, mode=plug.mode))
    elif isinstance(plug, HostdevPlug):
        address = plug.address
        function = HostdevInterfaceSource(
            address=InterfacePCIAddress(
                domain=address.domain, bus=address.bus, slot=address.slot, function=address.function
            )
        )
        actual = ActualInterface(type=InterfaceType.HOSTDEV, source=function)
        actual.managed = plug.managed
        actual.driver = plug.driver
    else:
        raise InternalError("unexpected network port without a plug")
    actual.virtualport, actual.bandwidth = port.virtualport, deepcopy(port.bandwidth)
    if actual.bandwidth is not None:
        actual.bandwidth.class_id = None  # that has a place of its own
    actual.vlan, actual.port = port.vlan, port.port
    actual.trust_guest_rx_filters = port.trust_guest_rx_filters
    actual.class_id = port.bandwidth.class_id if port.bandwidth is not None else None
    return actual


async def leave_network(side: HostSide, interface: Interface) -> None:
    """Give the port of an interface in a network back. Never raises."""
    source = interface.source
    if interface.type is not InterfaceType.NETWORK or not isinstance(source, NetworkInterfaceSource):
        return
    if source.portid is None:
        return
    try:
        network = await side.services.call("network", "connection_lookup_network", source.network, None)
        port = await side.services.call("network", "network_lookup_port", network, source.portid)
        await side.services.call("network", "network_port_delete", port, 0)
    except (NoNetwork, NoNetworkPort):
        pass  # it has gone with its network
    except VirtError as error:
        log.warning("cannot give back the port of network '%s': %s", source.network, error)
    source.portid = None
    interface.actual = None


def mac_of(interface: Interface) -> str:
    """MAC address of an interface of a guest that runs, or starts.

    :raises InternalError: it has none: nobody completed it.
    """
    if interface.mac is None or interface.mac.address is None:
        raise InternalError("a network interface was not completed")
    return interface.mac.address
