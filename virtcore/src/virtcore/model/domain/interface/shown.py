"""What users are shown of an interface in a virtual network while its guest runs: what it is really connected to."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from virtcore.model.domain.interface.device import Interface
from virtcore.model.domain.interface.source import (
    ActualBridgeSource,
    ActualNetworkSource,
    BridgeInterfaceSource,
    DirectInterfaceSource,
    HostdevInterfaceSource,
    NetworkInterfaceSource,
)

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain

__all__ = ["as_connected", "with_connections"]


def with_connections(domain: Domain) -> Domain:
    """A domain whose interfaces show what they are connected to."""
    domain, devices = copy(domain), copy(domain.devices)
    assert devices is not None
    domain.devices = devices
    devices.interfaces = [as_connected(interface) for interface in devices.interfaces]
    return domain


def as_connected(interface: Interface) -> Interface:
    """An interface that shows what it is connected to: itself, where it is in no virtual network."""
    actual, named = interface.actual, interface.source
    if actual is None or not isinstance(named, NetworkInterfaceSource):
        return interface
    shown, source = copy(interface), actual.source
    network, portgroup, portid = named.network, named.portgroup, named.portid
    shown.type = actual.type
    if isinstance(source, ActualBridgeSource):
        shown.source = BridgeInterfaceSource(
            network=network,
            portgroup=portgroup,
            portid=portid,
            bridge=source.bridge or "",
            mac_table_manager=source.mac_table_manager,
        )
    elif isinstance(source, ActualNetworkSource):
        shown.source = NetworkInterfaceSource(
            network=network,
            portgroup=portgroup,
            portid=portid,
            bridge=source.bridge,
            mac_table_manager=source.mac_table_manager,
        )
    elif isinstance(source, DirectInterfaceSource):
        shown.source = DirectInterfaceSource(
            network=network, portgroup=portgroup, portid=portid, dev=source.dev, mode=source.mode
        )
    elif isinstance(source, HostdevInterfaceSource):
        shown.source, shown.managed, shown.host_driver = source, actual.managed, actual.driver
    shown.vlan, shown.virtualport, shown.bandwidth = actual.vlan, actual.virtualport, actual.bandwidth
    shown.port, shown.trust_guest_rx_filters = actual.port, actual.trust_guest_rx_filters
    return shown
