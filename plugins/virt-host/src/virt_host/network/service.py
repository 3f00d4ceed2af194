"""The virtual networks of a Linux host, as the service of every driver that runs on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_host.firewalld import FirewalldWatch
from virt_host.hook_scripts import HookScripts
from virt_host.network import settings
from virt_host.network.daemons import Dnsmasq
from virt_host.network.firewalls import choose_firewall
from virt_host.network.leases import canonical_mac, read_leases
from virt_host.network.table import HostNetworkTable
from virtcore.driver.toolkit.hosted import HostedService
from virtcore.driver.toolkit.networks import NetworkObject, StatefulNetworks
from virtcore.enums.network import NetworkUpdateFlags
from virtcore.errors import OperationInvalid
from virtcore.operations.declare import inline
from virtcore.operations.parameters import BANDWIDTH
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.enums.network import NetworkUpdateCommand, NetworkUpdateSection
    from virtcore.model.network import Bandwidth
    from virtcore.operations.values import DHCPLease
    from virtcore.types import NetworkPortRef, NetworkRef, TypedParameters

__all__ = ["HostNetworks"]


class HostNetworks(HostedService, StatefulNetworks):
    """The networks of one place."""

    name = "network"
    network_prefix = "network"

    networks: HostNetworkTable
    _firewalld: FirewalldWatch | None = None

    async def restore(self) -> None:
        folders = self.folders
        chosen = await in_thread(settings.load, folders.config.with_name("network.conf"))
        self.networks = HostNetworkTable(
            folders.config,
            self.disk,
            folders.status,
            firewall=choose_firewall(chosen.firewall_backend),
            dnsmasq=Dnsmasq(folders.lib.with_name("dnsmasq"), folders.run),
            hooks=HookScripts(folders.config.with_name("hooks"), "network"),
        )
        await self.networks.open()
        if self.place.privileged:
            self._firewalld = FirewalldWatch(lambda: self.spawn(self.reload()))
        # Guests that start with the host need them: whoever asks for a network waits.
        await self._start_once()

    async def reload(self) -> None:
        await self.networks.reload()

    async def rest(self) -> None:
        if self._firewalld is not None:
            self._firewalld.close()

    async def start_marked(self) -> None:
        await self.networks.start_marked()

    @property
    def in_use(self) -> bool:
        return any(network.active for network in self.networks.table)

    def _active(self, network: NetworkRef) -> NetworkObject:
        obj = self.network(network)
        obj.require_active()
        return obj

    async def network_undefine(self, network: NetworkRef) -> None:
        obj = self.network(network)
        if not obj.persistent:
            raise OperationInvalid("can't undefine transient network")
        await self.networks.undefine(obj)

    async def network_update(
        self,
        network: NetworkRef,
        command: NetworkUpdateCommand | int,
        section: NetworkUpdateSection | int,
        parent_index: int,
        xml: str,
        flags: NetworkUpdateFlags | int = 0,
    ) -> None:
        await super().network_update(network, command, section, parent_index, xml, flags)
        await self.networks.updated(self.network(network))

    # -- leases

    async def network_dhcp_leases(self, network: NetworkRef, mac: str | None = None, flags: int = 0) -> list[DHCPLease]:
        self._check(flags, 0, "network_dhcp_leases")
        wanted = None if mac is None else canonical_mac(mac)
        document = self.network(network).current
        bridge = document.bridge.name if document.bridge is not None else None
        if bridge is None:
            return []
        return await in_thread(read_leases, document, self.networks.dnsmasq.status_file(bridge), wanted)

    # -- ports

    @inline
    def network_list_ports(self, network: NetworkRef, flags: int = 0) -> list[NetworkPortRef]:
        self._check(flags, 0, "network_list_ports")
        self._active(network)
        return super().network_list_ports(network)

    @inline
    def network_port_parameters(self, port: NetworkPortRef, flags: int = 0) -> TypedParameters:
        self._check(flags, 0, "network_port_parameters")
        bandwidth = self._port(port.network, port.uuid).bandwidth
        return BANDWIDTH.typed(_values(bandwidth))

    async def network_port_set_parameters(
        self, port: NetworkPortRef, parameters: TypedParameters, flags: int = 0
    ) -> None:
        self._check(flags, 0, "network_port_set_parameters")
        BANDWIDTH.validate(parameters)
        obj = self.network(port.network)
        async with obj.lock:
            await self.networks.limit(obj, self._port(port.network, port.uuid), _bandwidth(parameters))


_INBOUND, _OUTBOUND = ("average", "peak", "floor", "burst"), ("average", "peak", "burst")


def _values(bandwidth: Bandwidth | None) -> dict[str, int]:
    found: dict[str, int] = {}
    if bandwidth is not None:
        for direction, names in (("inbound", _INBOUND), ("outbound", _OUTBOUND)):
            rate = getattr(bandwidth, direction)
            if rate is not None:
                found.update((f"{direction}.{name}", getattr(rate, name) or 0) for name in names)
    return found


def _bandwidth(parameters: TypedParameters) -> Bandwidth:
    """The limits that parameters say: a direction without an average, or a guarantee, has none."""
    from virtcore.model.network import Bandwidth, BandwidthRate

    bandwidth = Bandwidth()
    for direction, names in (("inbound", _INBOUND), ("outbound", _OUTBOUND)):
        rate = BandwidthRate()
        for name in names:
            setattr(rate, name, parameters.get(f"{direction}.{name}") or None)
        if rate.average or rate.floor:
            setattr(bandwidth, direction, rate)
    return bandwidth
