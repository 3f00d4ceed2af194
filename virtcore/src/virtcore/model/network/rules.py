"""What libvirt's parser fills into a virtual network, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from virtcore.errors import ConfigUnsupported, ErrorDomain, XMLDetail, XMLError
from virtcore.model.definition import DefinitionContext, DefinitionRules
from virtcore.model.metadata import sanitize_metadata
from virtcore.model.network import dhcp_rules, dns_rules
from virtcore.model.network.addresses import check_range, network_of, parse_ip
from virtcore.model.network.forward import ForwardInterface, ForwardMode
from virtcore.model.network.network import Bridge, PortGroup
from virtcore.model.network.port_rules import settle_bandwidth, settle_routes, settle_virtualport, settle_vlan
from virtcore.model.pci import settle_pci
from virtcore.xml import Stage

if TYPE_CHECKING:
    from virtcore.model.network.forward import NAT, Forward
    from virtcore.model.network.network import Network

__all__ = ["NetworkRules", "settle_portgroup"]


# ----------------------------------------------------------------------------------------------------------- completion


def complete_uuid(network: Network, context: DefinitionContext) -> None:
    """A network that has no UUID gets one."""
    if network.uuid is None:
        network.uuid = str(context.new_uuid())


def complete_shared(network: Network, context: DefinitionContext) -> None:
    """What networks have in common with interfaces of domains."""
    if network.virtualport is not None:
        settle_virtualport(network.virtualport, typed=True)
    network.bandwidth = settle_bandwidth(network.bandwidth, floor=False)
    if network.vlan is not None:
        settle_vlan(network.vlan)
    for group in network.portgroups:
        settle_portgroup(group)
    settle_routes(network.routes, network.name)


def settle_portgroup(group: PortGroup) -> None:
    """A class of connections.

    :raises VirtError: what libvirt's parser refuses.
    """
    if group.virtualport is not None:
        settle_virtualport(group.virtualport)
    group.bandwidth = settle_bandwidth(group.bandwidth, floor=False)
    if group.vlan is not None:
        settle_vlan(group.vlan)


def complete_ips(network: Network, context: DefinitionContext) -> None:
    """What is handed out with each address."""
    for ip in network.ips:
        if ip.dhcp is not None:
            dhcp_rules.settle_dhcp(ip)


def complete_forward(network: Network, context: DefinitionContext) -> None:
    """The devices behind the network: interfaces, else virtual functions, else a physical function."""
    forward = network.forward
    if forward is None:
        return
    forward.mode = forward.mode or ForwardMode.NAT
    forward.managed = bool(forward.managed)
    if forward.nat is not None:
        _verify_nat(forward.nat, forward, network.name)
    if forward.dev is not None and (forward.addresses or forward.pf is not None):
        raise XMLError(
            "the <forward> 'dev' attribute cannot be used when <address> or <pf> sub-elements are present in network "
            f"{network.name}",
            path="/network/forward/@dev",
        )
    if forward.interfaces or forward.dev is not None:
        _settle_interfaces(forward, network.name)
        forward.addresses = []
        forward.pf = None
    elif forward.addresses:
        _settle_addresses(forward, network.name)
        forward.pf = None


def _verify_nat(nat: NAT, forward: Forward, name: str) -> None:
    if forward.mode is not ForwardMode.NAT:
        raise XMLError(
            f"The <nat> element can only be used when <forward> 'mode' is 'nat' in network {name}",
            path="/network/forward/nat",
        )
    if nat.address is not None:
        for end in ("start", "end"):
            value = getattr(nat.address, end)
            if parse_ip(value).version != 4:
                raise XMLError(
                    f"Bad ipv4 {end} address '{value}' in <nat> in <forward> in network '{name}'",
                    path=f"/network/forward/nat/address/@{end}",
                )
        check_range(parse_ip(nat.address.start), parse_ip(nat.address.end))
    if nat.port is not None and nat.port.end < nat.port.start:
        raise XMLDetail(
            f"Missing or invalid 'end' attribute in <port> in <nat> in <forward> in network {name}",
            path="/network/forward/nat/port/@end",
        )


def _settle_interfaces(forward: Forward, name: str) -> None:
    if not forward.interfaces:
        forward.interfaces = [ForwardInterface(dev=str(forward.dev))]
    first = forward.interfaces[0].dev
    if forward.dev not in (None, first):
        raise XMLError(
            f"<forward dev='{forward.dev}'> must match first <interface dev='{first}'/> in network {name}",
            path="/network/forward/@dev",
        )
    seen: set[str] = set()
    for number, interface in enumerate(forward.interfaces, 1):
        if interface.dev in seen:
            raise XMLError(
                f"interface '{interface.dev}' can only be listed once in network {name}",
                path=f"/network/forward/interface[{number}]",
            )
        seen.add(interface.dev)
    forward.dev = first


def _settle_addresses(forward: Forward, name: str) -> None:
    seen: set[tuple[int | None, ...]] = set()
    for number, address in enumerate(forward.addresses, 1):
        path = f"/network/forward/address[{number}]"
        if address.type is None:
            raise XMLError(f"missing address type in network {name}", path=path)
        if address.type not in ("none", "pci", "netdev"):
            raise ConfigUnsupported(f"unknown address type '{address.type}' in network {name}", path=f"{path}/@type")
        if address.type != "pci":
            raise XMLError(f"unsupported address type '{address.type}' in network {name}", path=f"{path}/@type")
        settle_pci(address)
        function = (address.domain, address.bus, address.slot, address.function)
        if function in seen:
            raise XMLError(
                f"PCI device '{address.domain:04x}:{address.bus:02x}:{address.slot:02x}.{address.function:x}' can only "
                f"be listed once in network {name}",
                path=path,
            )
        seen.add(function)


def complete_bridge(network: Network, context: DefinitionContext) -> None:
    """A network has a bridge of its own unless it borrows the host's or has none."""
    bridge = network.bridge
    if network.mode.has_bridge:
        bridge = network.bridge = bridge or Bridge()
        bridge.stp = bridge.stp is not False
        bridge.delay = bridge.delay or 0
    elif bridge is not None:
        bridge.delay = bridge.delay or None
        if not any((bridge.name, bridge.zone, bridge.mac_table_manager, bridge.delay, bridge.stp is not None)):
            network.bridge = None


def complete_metadata(network: Network, context: DefinitionContext) -> None:
    """Each application has one element in ``<metadata>``."""
    network.metadata = sanitize_metadata(network.metadata)


# ----------------------------------------------------------------------------------------------------------- validation


def validate_names(network: Network, context: DefinitionContext) -> None:
    """Name, title, domain and MAC address."""
    if "/" in network.name:
        raise XMLDetail("invalid char in name: /", path="/network/name", value=network.name)
    if network.title is not None and "\n" in network.title:
        raise XMLError("Network title can't contain newlines", path="/network/title")
    domain = network.domain
    if domain is not None and domain.register and not domain.local_only:
        raise ConfigUnsupported(
            f"attribute 'register=yes' in <domain> element requires 'localOnly=yes' in network {network.name}",
            path="/network/domain/@register",
        )
    if network.mac is not None and int(network.mac[:2], 16) & 1:
        raise XMLError(
            f"Invalid multicast bridge mac address '{network.mac}' in network '{network.name}'",
            path="/network/mac/@address",
        )


def validate_dns(network: Network, context: DefinitionContext) -> None:
    """The network's name server."""
    if network.dns is not None:
        dns_rules.verify_dns(network.dns, network.name)


def validate_ips(network: Network, context: DefinitionContext) -> None:
    """Addresses, and what is handed out with them."""
    for number, ip in enumerate(network.ips, 1):
        dhcp_rules.verify_ip(ip, network.name, f"/network/ip[{number}]")


def validate_routes(network: Network, context: DefinitionContext) -> None:
    """The next hop of a route is in the network."""
    for number, route in enumerate(network.routes, 1):
        gateway = parse_ip(str(route.gateway))
        for ip in network.ips:
            prefix = ip.prefix_length
            if ip.parsed.version != gateway.version or prefix is None:
                continue
            if network_of(ip.parsed, prefix) == network_of(gateway, prefix):
                break
        else:
            raise ConfigUnsupported(
                f"unreachable static route gateway '{route.gateway}' specified for network '{network.name}'",
                path=f"/network/route[{number}]/@gateway",
            )


def validate_forward(network: Network, context: DefinitionContext) -> None:
    """What a way of forwarding allows and needs."""
    mode, name, bridge = network.mode, network.name, network.bridge
    forward = network.forward
    interfaces = len(forward.interfaces) if forward is not None else 0
    if mode in (ForwardMode.ROUTE, ForwardMode.NAT):
        if not network.ips:
            raise XMLError(f"{mode} forwarding requested, but no IP address provided for network '{name}'")
        if interfaces > 1:
            raise XMLError(
                f"multiple forwarding interfaces specified for network '{name}', only one is supported",
                path="/network/forward",
            )
    elif mode is ForwardMode.OPEN and interfaces:
        raise XMLError(
            f"forward dev not allowed for network '{name}' with forward mode='{mode}'", path="/network/forward"
        )
    if bridge is not None and forward is not None and not mode.has_bridge:
        _validate_bridge(bridge, forward, mode, name)
    if network.mtu and not mode.has_bridge:
        raise XMLError(
            f"mtu size only allowed in open, route, nat, and isolated mode, not in {mode} (network '{name}')",
            path="/network/mtu/@size",
        )


def _validate_bridge(bridge: Bridge, forward: Forward, mode: ForwardMode, name: str) -> None:
    """The bridge of a network that has none of its own."""
    if mode is not ForwardMode.BRIDGE:
        for value, what, attribute in (
            (bridge.name, "name", "name"),
            (bridge.zone, "zone", "zone"),
            (bridge.mac_table_manager, "macTableManager setting", "macTableManager"),
        ):
            if value is not None:
                raise XMLError(
                    f"bridge {what} not allowed in {mode} mode (network '{name}')",
                    path=f"/network/bridge/@{attribute}",
                )
    if bridge.delay or bridge.stp is not None or bridge.zone is not None:
        raise XMLError(
            "bridge delay/stp/zone options only allowed in open, route, nat, and isolated mode, not in "
            f"{mode} (network '{name}')",
            path="/network/bridge",
        )
    if bridge.name is not None and (forward.interfaces or forward.addresses or forward.pf is not None):
        raise XMLError(
            f"A network with forward mode='{mode}' can specify a bridge name or a forward dev, but not both "
            f"(network '{name}')",
            path="/network/bridge/@name",
        )


def _stage(name: str, step: Callable[[Network, DefinitionContext], None]) -> Stage:
    return Stage(name, lambda rules, network, context: step(network, context))


class NetworkRules(DefinitionRules["Network", DefinitionContext]):
    """Completion and validation of virtual networks, the same for every driver."""

    error_domain: ClassVar[ErrorDomain] = ErrorDomain.NETWORK
    completion: ClassVar[tuple[Stage, ...]] = (
        _stage("uuid", complete_uuid),
        _stage("shared", complete_shared),
        _stage("ips", complete_ips),
        _stage("forward", complete_forward),
        _stage("bridge", complete_bridge),
        _stage("metadata", complete_metadata),
    )
    validation: ClassVar[tuple[Stage, ...]] = (
        _stage("names", validate_names),
        _stage("dns", validate_dns),
        _stage("ips", validate_ips),
        _stage("routes", validate_routes),
        _stage("forward", validate_forward),
    )
