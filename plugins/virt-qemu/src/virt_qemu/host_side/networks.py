"""The place of guests' interfaces in virtual networks: getting it, keeping it, giving it back."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.host_side.owner import Owner
    from virtcore.model.domain.interface import Interface
    from virtcore.model.network.networkport import NetworkPort

__all__ = ["join_network", "leave_network"]

log = logging.getLogger(__name__)


async def join_network(side: HostSide, owner: Owner, interface: Interface) -> None:
    """Get an interface in a network a port of that, and with it what the interface really is.

    :raises VirtError: it gets none.
    """
    if interface.type is not InterfaceType.NETWORK:
        return
    from virtcore.model.network.networkport import (
        NetworkPort,
        NoPlug,
        format_network_port,
        load_network_port,
    )

    source = interface.source
    assert isinstance(source, NetworkInterfaceSource)
    network = await side.services.call("network", "connection_lookup_network", source.network, None)
    port = NetworkPort(
        uuid=str(uuid.uuid4()),
        owner_name=owner.name,
        owner_uuid=owner.uuid,
        group=source.portgroup,
        mac=_mac(interface),
        virtualport=interface.virtualport,
        bandwidth=interface.bandwidth,
        vlan=interface.vlan,
        port=interface.port,
        trust_guest_rx_filters=interface.trust_guest_rx_filters,
        plug=NoPlug(),
    )
    made = await side.services.call("network", "network_create_port", network, format_network_port(port), 0)
    text = await side.services.call("network", "network_port_xml", made, 0)
    found = load_network_port(text)
    source.portid = found.uuid
    interface.actual = _actual(found)


def _actual(port: NetworkPort) -> ActualInterface:
    """What a port says the interface is."""
    from virtcore.model.network.networkport import BridgePlug, DirectPlug, HostdevPlug, NetworkPlug

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
    actual.virtualport, actual.bandwidth = port.virtualport, port.bandwidth
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


def _mac(interface: Interface) -> str:
    if interface.mac is None or interface.mac.address is None:
        raise InternalError("a network interface was not completed")
    return interface.mac.address
