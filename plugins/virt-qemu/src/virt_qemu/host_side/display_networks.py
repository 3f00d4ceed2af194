"""Displays that listen on the address a virtual network has on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, NoConnect
from virtcore.model.domain.graphics import NetworkListen, SpiceGraphics, VNCGraphics
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.composition import PlaceServices
    from virtcore.model.domain import Domain
    from virtcore.model.network import Network

__all__ = ["find_display_addresses"]


async def find_display_addresses(services: PlaceServices, domain: Domain) -> None:
    """Find the addresses of the networks that displays listen on (``qemuProcessGraphicsSetupNetworkAddress``).

    :raises VirtError: there is no such network, or it has no address on this host.
    """
    assert domain.devices is not None
    for graphics in domain.devices.graphics:
        for listen in graphics.listens if isinstance(graphics, VNCGraphics | SpiceGraphics) else ():
            if isinstance(listen, NetworkListen) and listen.address is None and listen.network is not None:
                listen.address = await _address(services, listen.network)


async def _address(services: PlaceServices, name: str) -> str:
    from virtcore.model.network import load_network

    try:
        found = await services.call("network", "connection_lookup_network", name, None)
    except NoConnect:
        raise ConfigUnsupported("network-based listen isn't possible, network driver isn't present") from None
    network = load_network(await services.call("network", "network_xml", found))
    if network.mode.has_bridge:
        if not network.ips:
            raise InternalError(f"network '{network.name}' doesn't have an IP address")
        return str(network.ips[0].address)
    device = _device(network)
    if device is None:
        raise InternalError(f"network '{network.name}' doesn't have an IP address")
    from virt_host.links.netlink import address_of

    return await in_thread(address_of, device)


def _device(network: Network) -> str | None:
    """The device of the host that guests of a network are on."""
    if network.bridge is not None and network.bridge.name is not None:
        return network.bridge.name
    return network.forward.first_device() if network.forward is not None else None
