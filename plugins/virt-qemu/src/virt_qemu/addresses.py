"""Addresses and names of guests as networks, their agents and the host's neighbours know them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING

from virt_qemu.agent.commands import interfaces
from virt_qemu.agent.operations import AgentOperations
from virtcore.enums.domain import DomainInterfaceAddressesSource as Source
from virtcore.enums.network import IPAddrType
from virtcore.errors import ArgumentUnsupported
from virtcore.model.domain.interface import NetworkInterfaceSource
from virtcore.operations.values import DHCPLease, DomainInterface, DomainIPAddress
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Interface
    from virtcore.types import DomainRef

__all__ = ["AddressOperations"]


class AddressOperations(AgentOperations):
    """Where guests are on networks."""

    async def domain_interface_addresses(
        self, domain: DomainRef, source: Source | int = 0, flags: int = 0
    ) -> list[DomainInterface]:
        self.check_flags(flags, 0, "domain_interface_addresses")
        obj = self.domain(domain)
        obj.require_active()
        if source == Source.LEASE:
            return [
                DomainInterface(
                    _name(interface),
                    _mac(interface),
                    [DomainIPAddress(lease.type, lease.ip_addr, lease.prefix) for lease in leases],
                )
                for interface, leases in await self._leases(obj)
                if leases
            ]
        if source == Source.AGENT:
            return await interfaces(self.state.agent_of(obj))
        if source == Source.ARP:
            return await self._neighbours(obj)
        raise ArgumentUnsupported(f"Unknown IP address data source {int(source)}")

    async def leased_host_name(self, obj: DomainObject) -> str | None:
        for _, leases in await self._leases(obj):
            for lease in leases:
                if lease.hostname:
                    return lease.hostname
        return None

    async def _leases(self, obj: DomainObject) -> list[tuple[Interface, Sequence[DHCPLease]]]:
        """What the networks of a guest's interfaces have leased to them."""
        found = []
        services = self.state.host_side.services
        for interface in _interfaces(obj):
            source = interface.source
            if isinstance(source, NetworkInterfaceSource):
                network = await services.call("network", "connection_lookup_network", source.network, None)
                leases = await services.call("network", "network_dhcp_leases", network, _mac(interface), 0)
                found.append((interface, leases))
        return found

    async def _neighbours(self, obj: DomainObject) -> list[DomainInterface]:
        from virt_host.links.netlink import neighbours

        known = await in_thread(neighbours)
        found = []
        for interface in _interfaces(obj):
            mac = _mac(interface)
            addresses = [
                DomainIPAddress(IPAddrType.IPV6 if ip_address(address).version == 6 else IPAddrType.IPV4, address, 0)
                for address, link in known
                if mac is not None and link == mac.lower()
            ]
            if addresses:
                found.append(DomainInterface(_name(interface), mac, addresses))
        return found


def _interfaces(obj: DomainObject) -> list[Interface]:
    return obj.live.devices.interfaces if obj.live is not None and obj.live.devices is not None else []


def _name(interface: Interface) -> str:
    return (interface.target.dev if interface.target is not None else None) or ""


def _mac(interface: Interface) -> str | None:
    return interface.mac.address if interface.mac is not None else None
