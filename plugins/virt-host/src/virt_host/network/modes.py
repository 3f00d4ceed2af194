"""Ways of forwarding: what it takes to start a network that has one, and what its ports get.

A way is a class; :data:`MODES` says which.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from virt_host.firewalld import leave_zone, put_into_zone
from virt_host.links import devices as links
from virt_host.network.firewall import TRANSLATED_PORTS
from virt_host.network.firewalls import need_firewall
from virt_host.network.resolved import register_domain, wants_registration
from virt_host.network.traffic import limit_device
from virtcore.errors import ConfigUnsupported, InternalError, VirtError
from virtcore.model.domain.interface import MacvtapMode
from virtcore.model.network import (
    NAT,
    BridgePlug,
    DirectPlug,
    ForwardAddress,
    ForwardInterface,
    ForwardMode,
    HostdevPlug,
    MACTableManager,
    NATPort,
    NetworkPlug,
    VirtualPortType,
)
from virtcore.model.storage.source import SourcePCIAddress
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_host.network.daemons import Dnsmasq
    from virt_host.network.firewalls import Firewall
    from virt_host.network.host_network import HostNetwork
    from virtcore.model.network import Forward, Network, NetworkPort, VirtualPort

__all__ = ["MODES", "BridgedMode", "PooledMode", "RoutedMode", "mode_of"]

log = logging.getLogger(__name__)

_QBG_QBH = (VirtualPortType.QBG, VirtualPortType.QBH)


class NetworkMode(ABC):
    """One way of forwarding.

    :param firewall: the host's; None: it has none.
    :param dnsmasq: what serves names and addresses.
    """

    def __init__(self, firewall: Firewall | None, dnsmasq: Dnsmasq) -> None:
        self.firewall = firewall
        self.dnsmasq = dnsmasq

    @abstractmethod
    async def start(self, network: HostNetwork) -> None:
        """Start a network.

        :raises VirtError: it cannot be started; nothing is left of it.
        """

    async def stop(self, network: HostNetwork) -> None:
        """End what was started. Never raises."""
        return

    async def recover(self, network: HostNetwork) -> bool:
        """Whether a network that another process started is there."""
        return True

    async def restore(self, network: HostNetwork) -> None:
        """Put back what an active network may have lost. Never raises."""
        return

    async def changed(self, network: HostNetwork, new: Network) -> None:
        """Make an active network work as a new document says.

        :raises VirtError: it cannot.
        """
        return

    #: What it is that a network of this way uses, as refusals of virtual ports have it.
    uses: ClassVar[str]
    #: Kinds of virtual ports that its ports may be.
    virtual_ports: ClassVar[tuple[VirtualPortType, ...]]

    def plug(self, network: HostNetwork, port: NetworkPort) -> ForwardInterface | ForwardAddress | None:
        """Decide what a port is plugged into; returns the device of the network's pool, if it is one.

        :raises VirtError: there is none left.
        """
        profile = port.virtualport
        if profile is not None and profile.type is not None and profile.type not in self.virtual_ports:
            raise ConfigUnsupported(
                f"<virtualport type='{profile.type}'> not supported for network '{network.name}' which uses {self.uses}"
            )
        return self.choose(network, port)

    @abstractmethod
    def choose(self, network: HostNetwork, port: NetworkPort) -> ForwardInterface | ForwardAddress | None:
        """As :meth:`plug`, for a port that may be."""

    def find(self, network: HostNetwork, port: NetworkPort) -> ForwardInterface | ForwardAddress | None:
        """The device of the network's pool that a port has.

        :raises InternalError: the network has not got it.
        """
        return None


def _live(network: HostNetwork) -> Network:
    assert network.live is not None
    return network.live


def _bridge_name(document: Network) -> str:
    bridge = document.bridge
    if bridge is None or bridge.name is None:
        raise InternalError(f"network '{document.name}' has no bridge name defined")
    return bridge.name


def _manages_macs(document: Network) -> bool:
    return document.bridge is not None and document.bridge.mac_table_manager is MACTableManager.LIBVIRT


# -------------------------------------------------------------------------------------------- a bridge of its own


class RoutedMode(NetworkMode):
    """A bridge of the network's own, from which packets are routed, translated or not, or not at all."""

    uses = "IP forwarding"
    virtual_ports = ()

    async def start(self, network: HostNetwork) -> None:
        from virt_host.network.routes import check_collisions

        document = _live(network)
        check_collisions(document)
        await in_thread(_make_bridge, document)
        try:
            await self._add_rules(network, document)
            await in_thread(_bring_up, document)
            await self.dnsmasq.start(document)
            if wants_registration(document):
                await in_thread(register_domain, document, _bridge_name(document))
            await limit_device(_bridge_name(document), document.bandwidth, swapped=True, hierarchical=True)
        except BaseException:
            await self.stop(network)
            raise

    async def _add_rules(self, network: HostNetwork, document: Network) -> None:
        assert document.bridge is not None
        await in_thread(
            put_into_zone,
            document.name,
            _bridge_name(document),
            document.bridge.zone,
            routed=document.mode is ForwardMode.ROUTE,
            by_default=document.mode is not ForwardMode.OPEN,
        )
        if document.mode is not ForwardMode.OPEN:
            _settle_ports(document)
            network.removal = await need_firewall(self.firewall).add(document)

    async def _remove_rules(self, network: HostNetwork) -> None:
        removal, network.removal = network.removal, []
        if removal and self.firewall is not None:
            await self.firewall.remove(removal)

    async def stop(self, network: HostNetwork) -> None:
        document = _live(network)
        bridge = _bridge_name(document)
        await self.dnsmasq.stop(network.name)
        await self._remove_rules(network)
        await in_thread(leave_zone, bridge)
        try:
            await in_thread(_remove_bridge, bridge)
        except VirtError as error:
            log.warning("network '%s': bridge %s stays: %s", network.name, bridge, error)

    async def recover(self, network: HostNetwork) -> bool:
        document = _live(network)
        if not network.complete or not links.is_bridge(_bridge_name(document)):
            await self.stop(network)
            return False
        await self.restore(network)
        return True

    async def restore(self, network: HostNetwork) -> None:
        document = _live(network)
        await self._remove_rules(network)
        for what in (self._add_rules(network, document), self.dnsmasq.refresh(document)):
            try:
                await what
            except VirtError as error:  # it goes on with what it has
                log.error("network '%s' is not served as before: %s", network.name, error)

    async def changed(self, network: HostNetwork, new: Network) -> None:
        try:
            await self._follow(network, _live(network), new)
        except BaseException:
            await self.restore(network)
            raise

    async def _follow(self, network: HostNetwork, old: Network, new: Network) -> None:
        if (old.forward, old.ips, old.routes) != (new.forward, new.ips, new.routes):
            await self._remove_rules(network)
            await self._add_rules(network, new)
        before, after = self.dnsmasq.files(old), self.dnsmasq.files(new)
        if before.configuration != after.configuration:
            await self.dnsmasq.stop(network.name)
            await self.dnsmasq.start(new)
        elif before != after:
            await self.dnsmasq.refresh(new)

    def choose(self, network: HostNetwork, port: NetworkPort) -> None:
        document = _live(network)
        assert document.bridge is not None
        port.plug = NetworkPlug(bridge=_bridge_name(document), mac_table_manager=document.bridge.mac_table_manager)


def _settle_ports(document: Network) -> None:
    """A network that translates says from its start on which ports its guests appear with."""
    forward = document.forward
    if document.mode is not ForwardMode.NAT or forward is None:
        return
    forward.nat = forward.nat or NAT()
    if forward.nat.port is None or not (forward.nat.port.start or forward.nat.port.end):
        forward.nat.port = NATPort(start=TRANSLATED_PORTS[0], end=TRANSLATED_PORTS[1])


def _make_bridge(document: Network) -> None:
    from virt_host.links.netlink import create_bridge, set_bridge
    from virt_host.network.routes import set_ipv6_settings

    name = _bridge_name(document)
    create_bridge(name, document.mac)
    try:
        assert document.bridge is not None
        if document.mtu:
            links.set_mtu(name, document.mtu)
        set_bridge(name, "forward_delay", 100 * (document.bridge.delay or 0))
        set_bridge(name, "stp_state", int(document.bridge.stp is not False))
        set_ipv6_settings(name, wanted=any(ip.parsed.version == 6 for ip in document.ips))
    except BaseException:
        _remove_bridge(name)
        raise


def _bring_up(document: Network) -> None:
    from virt_host.links.netlink import add_address, add_route, set_bridge
    from virt_host.network.routes import enable_forwarding, route_destination

    name = _bridge_name(document)
    for ip in document.ips:
        if ip.prefix_length is None:
            raise InternalError(f"bridge '{name}' has an invalid netmask or IP address")
        add_address(name, ip.address, ip.prefix_length)
    if _manages_macs(document):
        set_bridge(name, "vlan_filtering", 1)
    links.set_up(name, True)
    for route in document.routes:
        try:
            add_route(name, str(route_destination(route)), str(route.gateway), route.metric or 1)
        except VirtError as error:
            log.warning("network '%s' is without a route: %s", document.name, error)
    if document.mode is not ForwardMode.NONE:
        versions = {ip.parsed.version for ip in document.ips}
        enable_forwarding(ipv4=4 in versions, ipv6=6 in versions)


def _remove_bridge(name: str) -> None:
    if links.exists(name):
        links.set_up(name, False)
        links.delete_device(name)


# ---------------------------------------------------------------------------------------------- a bridge of the host


class BridgedMode(NetworkMode):
    """A bridge of the host, which others may use as well."""

    uses = "a bridge device"
    virtual_ports = (VirtualPortType.OPENVSWITCH,)

    async def start(self, network: HostNetwork) -> None:
        document = _live(network)
        if _manages_macs(document):
            from virt_host.links.netlink import set_bridge

            await in_thread(set_bridge, _bridge_name(document), "vlan_filtering", 1)

    async def recover(self, network: HostNetwork) -> bool:
        return links.exists(_bridge_name(_live(network)))

    def choose(self, network: HostNetwork, port: NetworkPort) -> None:
        document = _live(network)
        assert document.bridge is not None
        port.plug = BridgePlug(bridge=_bridge_name(document), mac_table_manager=document.bridge.mac_table_manager)


# ------------------------------------------------------------------------------------------------ devices of the host


class PooledMode(NetworkMode):
    """Network cards or their functions, of which each port gets one, alone or with others."""

    async def start(self, network: HostNetwork) -> None:
        await in_thread(_find_functions, _live(network))

    def _forward(self, network: HostNetwork) -> Forward:
        forward = _live(network).forward
        assert forward is not None
        return forward


class PooledMacvtapMode(PooledMode):
    """Macvtaps on network cards."""

    uses = "a macvtap device"
    virtual_ports = _QBG_QBH

    def _exclusive(self, network: HostNetwork, profile: VirtualPort | None) -> bool:
        """Whether nobody else may use a port's device."""
        mode = _live(network).mode
        qbh = profile is not None and profile.type is VirtualPortType.QBH
        return mode is ForwardMode.PASSTHROUGH or (mode is ForwardMode.PRIVATE and qbh)

    def choose(self, network: HostNetwork, port: NetworkPort) -> ForwardInterface:
        forward = self._forward(network)
        if not forward.interfaces and forward.pf is None:
            raise InternalError(
                f"network '{network.name}' uses a direct mode, but has no forward dev and no interface pool"
            )
        devices = sorted(forward.interfaces, key=lambda device: device.connections or 0)
        if self._exclusive(network, port.virtualport):
            devices = [device for device in devices if not device.connections]
        if not devices:
            raise _none_available(network)
        port.plug = DirectPlug(dev=devices[0].dev, mode=MacvtapMode(str(_live(network).mode)))
        return devices[0]

    def find(self, network: HostNetwork, port: NetworkPort) -> ForwardInterface:
        assert isinstance(port.plug, DirectPlug)
        name = port.plug.dev
        for device in self._forward(network).interfaces:
            if device.dev == name:
                if device.connections and port.uuid not in network.ports and self._exclusive(network, port.virtualport):
                    raise InternalError(
                        f"network '{network.name}' claims dev='{name}' is already in use by a different port"
                    )
                return device
        raise InternalError(f"network '{network.name}' doesn't have dev='{name}' in use by network port '{port.uuid}'")


class HostdevMode(PooledMode):
    """Functions of network cards that guests get as they are."""

    uses = "an SR-IOV Virtual Function via PCI passthrough"
    virtual_ports = _QBG_QBH

    def choose(self, network: HostNetwork, port: NetworkPort) -> ForwardAddress:
        forward = self._forward(network)
        for address in forward.addresses:
            if not _users(network, address):
                port.plug = HostdevPlug(
                    managed=bool(forward.managed) or None, driver=forward.driver, address=_copied(address)
                )
                return address
        raise _none_available(network)

    def find(self, network: HostNetwork, port: NetworkPort) -> ForwardAddress:
        assert isinstance(port.plug, HostdevPlug)
        wanted = _numbers(port.plug.address)
        where = "{:04x}:{:02x}:{:02x}.{:x}".format(*wanted)
        for address in self._forward(network).addresses:
            if _numbers(address) == wanted:
                if port.uuid not in network.ports and _users(network, address):
                    raise InternalError(
                        f"network '{network.name}' claims the PCI device at domain={wanted[0]} bus={wanted[1]} "
                        f"slot={wanted[2]} function={wanted[3]} is already in use by a different network port"
                    )
                return address
        raise InternalError(f"network '{network.name}' doesn't have PCI device {where} in use by network port")


def _none_available(network: HostNetwork) -> InternalError:
    return InternalError(f"network '{network.name}' requires exclusive access to interfaces, but none are available")


def _numbers(address: SourcePCIAddress) -> tuple[int, int, int, int]:
    return address.domain or 0, address.bus or 0, address.slot or 0, address.function or 0


def _copied(address: SourcePCIAddress) -> SourcePCIAddress:
    domain, bus, slot, function = _numbers(address)
    return SourcePCIAddress(domain=domain, bus=bus, slot=slot, function=function)


def _users(network: HostNetwork, address: SourcePCIAddress) -> list[NetworkPort]:
    wanted = _numbers(address)
    return [
        port
        for port in network.ports.values()
        if isinstance(port.plug, HostdevPlug) and _numbers(port.plug.address) == wanted
    ]


def _find_functions(document: Network) -> None:
    """Fill the pool of a network whose physical function is named with its virtual functions.

    :raises InternalError: there are none that can be used.
    """
    forward = document.forward
    if forward is None or forward.pf is None or forward.interfaces or forward.addresses:
        return
    card = forward.pf.dev
    for address, name in links.virtual_functions(card):
        if document.mode is ForwardMode.HOSTDEV:
            domain, bus, rest = address.split(":")
            slot, function = rest.split(".")
            forward.addresses.append(
                ForwardAddress(
                    type="pci", domain=int(domain, 16), bus=int(bus, 16), slot=int(slot, 16), function=int(function, 16)
                )
            )
        elif name is not None:
            forward.interfaces.append(ForwardInterface(dev=name))
        else:
            log.warning("function %s of %s has no network device: somebody else may use it", address, card)
    if not (forward.interfaces or forward.addresses):
        raise InternalError(f"No usable Vf's present on SRIOV PF {card}")


# ------------------------------------------------------------------------------------------------------------- choice

MODES: dict[ForwardMode, type[NetworkMode]] = {
    ForwardMode.NONE: RoutedMode,
    ForwardMode.NAT: RoutedMode,
    ForwardMode.ROUTE: RoutedMode,
    ForwardMode.OPEN: RoutedMode,
    ForwardMode.BRIDGE: PooledMacvtapMode,
    ForwardMode.PRIVATE: PooledMacvtapMode,
    ForwardMode.VEPA: PooledMacvtapMode,
    ForwardMode.PASSTHROUGH: PooledMacvtapMode,
    ForwardMode.HOSTDEV: HostdevMode,
}


def mode_of(document: Network) -> type[NetworkMode]:
    """How a network forwards: where it names a bridge of the host, that is it."""
    if document.mode is ForwardMode.BRIDGE and document.bridge is not None and document.bridge.name is not None:
        return BridgedMode
    return MODES[document.mode]
