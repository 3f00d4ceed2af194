"""Telling systemd-resolved who knows the names of a network's guests (``<domain register='yes'/>``)."""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Final

from virt_host.links.devices import index_of
from virt_host.system_bus import Service, system_bus
from virtcore.errors import DBusService, InternalError

if TYPE_CHECKING:
    from virtcore.model.network import Network

__all__ = ["register_domain", "wants_registration"]

_NAME: Final = "org.freedesktop.resolve1"
_FAMILIES: Final = {4: socket.AF_INET, 6: socket.AF_INET6}


def wants_registration(network: Network) -> bool:
    """Whether the host is to ask a network for the names of its guests."""
    return network.domain is not None and bool(network.domain.register)


def register_domain(network: Network, bridge: str) -> None:
    """Have the host ask for the names of a network's guests at its bridge. It forgets that with the bridge. Blocks.

    :raises InternalError: systemd-resolved does not run, or refuses it.
    """
    assert network.domain is not None
    address = ipaddress.ip_address(network.ips[0].address) if network.ips else None
    with system_bus() as bus:
        service = Service(bus, _NAME, "/org/freedesktop/resolve1")
        try:
            if not service.runs:
                raise InternalError("failed to register name server: systemd-resolved is not available")
            if address is None:
                raise InternalError("failed to register name server: network has no address")
            link, interface = index_of(bridge), f"{_NAME}.Manager"
            server = (int(_FAMILIES[address.version]), address.packed)
            service.ask(interface, "SetLinkDNS", "ia(iay)", link, [server])
            service.ask(interface, "SetLinkDomains", "ia(sb)", link, [(network.domain.name, True)])
        except DBusService as error:
            raise InternalError(f"failed to register name server: {error}") from None
