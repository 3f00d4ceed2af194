"""The firewall of a virtual network, as commands of iptables and ip6tables or of nft.

Each rule is inserted at the beginning of its chain: a later one is looked at before an earlier one. The chains are the
host's and the same for all networks.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtcore.errors import InternalError
from virtcore.model.network import ForwardMode

if TYPE_CHECKING:
    from virtcore.model.network import NAT, Network, NetworkIP

__all__ = ["TRANSLATED_PORTS", "iptables_commands", "nft_commands"]

Command = list[str]

#: Where packets go that concern nobody outside, by IP version: broadcasts and local multicasts.
_LOCAL = {4: ("255.255.255.255/32", "224.0.0.0/24"), 6: ("ff02::/16",)}
#: Ports that guests appear with unless the network names others.
TRANSLATED_PORTS = (1024, 65535)


def iptables_commands(network: Network) -> list[Command]:
    """The commands that set up a network's rules with iptables and ip6tables.

    :param network: complete and valid, its bridge with a name.
    :raises InternalError: the network's addresses or ports cannot be told to a firewall.
    """
    return list(_commands(network, _IPTables(_bridge(network), _device(network))))


def nft_commands(network: Network) -> list[Command]:
    """The commands that set up a network's rules with nft; the first ones, of tc, fill in checksums of DHCP.

    The command that shows the bridge's queuing discipline asks whether there is one; only where there is none is the
    next one, which adds it, to be run.

    :param network: complete and valid, its bridge with a name.
    :raises InternalError: the network's addresses or ports cannot be told to a firewall.
    """
    return list(_commands(network, _NFT(_bridge(network), _device(network))))


def _bridge(network: Network) -> str:
    if network.bridge is None or network.bridge.name is None:
        raise InternalError(f"network '{network.name}' does not have a bridge name.")
    return network.bridge.name


def _device(network: Network) -> str | None:
    """The only device of the host that guests may go through."""
    return None if network.forward is None else network.forward.first_device()


@dataclass(frozen=True, slots=True)
class _Translation:
    """How guests are translated.

    :ivar network: the guests' addresses.
    :ivar addresses: what they become, ``FIRST-LAST``; None: the address of the device.
    :ivar protocol: ``tcp`` or ``udp``; None: any.
    :ivar ports: range of ports, ``FIRST-LAST``; None: the port does not matter.
    """

    network: str
    addresses: str | None
    protocol: str | None
    ports: str | None


class _Backend(ABC):
    """A firewall's way of saying things. Versions are those of IP."""

    def __init__(self, bridge: str, device: str | None) -> None:
        self.bridge = bridge
        self.device = device

    @abstractmethod
    def services(self, version: int, *, tftp: bool) -> Iterator[Command]:
        """Guests reach the network's name and DHCP servers."""

    @abstractmethod
    def isolation(self, version: int) -> Iterator[Command]:
        """Guests reach each other and nobody else."""

    @abstractmethod
    def outbound(self, version: int, network: str) -> Command:
        """Guests reach the world."""

    @abstractmethod
    def inbound(self, version: int, network: str, *, related: bool) -> Command:
        """The world reaches guests, or only answers them."""

    @abstractmethod
    def translated(self, version: int, what: _Translation) -> Command:
        """Guests appear with another address."""

    @abstractmethod
    def untranslated(self, version: int, network: str, destination: str) -> Command:
        """Guests appear as they are."""

    def checksums_first(self) -> Iterator[Command]:
        """DHCP clients want checksums: said before the rules."""
        yield from ()

    def checksums_last(self) -> Iterator[Command]:
        """The same, said behind the rules."""
        yield from ()


def _commands(network: Network, backend: _Backend) -> Iterator[Command]:
    mode = network.mode
    if mode not in (ForwardMode.NONE, ForwardMode.NAT, ForwardMode.ROUTE):
        return
    versions = {ip.parsed.version for ip in network.ips}
    serves = any(ip.parsed.version == 4 and ip.serves_dhcp for ip in network.ips)
    tftp = any(ip.parsed.version == 4 and ip.tftp_root is not None for ip in network.ips)
    if serves:
        yield from backend.checksums_first()
    yield from backend.services(4, tftp=tftp)
    yield from backend.isolation(4)
    if 6 in versions or network.ipv6:
        yield from backend.isolation(6)
        if 6 in versions:
            yield from backend.services(6, tftp=False)
    nat = network.forward.nat if network.forward is not None else None
    for ip in network.ips:
        if mode is ForwardMode.NAT and (ip.parsed.version == 4 or (nat is not None and nat.ipv6)):
            yield from _translating(ip, nat, backend)
        elif mode is not ForwardMode.NONE:
            # IPv6 is routed unless its translation is asked for.
            version, addresses = ip.parsed.version, _network_of(ip)
            yield backend.outbound(version, addresses)
            yield backend.inbound(version, addresses, related=False)
    if serves:
        yield from backend.checksums_last()


def _network_of(ip: NetworkIP) -> str:
    prefix = ip.prefix_length
    if prefix is None:
        raise InternalError(f"Invalid prefix or netmask for '{ip.address}'")
    return str(ipaddress.ip_interface((ip.address, prefix)).network)


def _translating(ip: NetworkIP, nat: NAT | None, backend: _Backend) -> Iterator[Command]:
    version, network = ip.parsed.version, _network_of(ip)
    yield backend.outbound(version, network)
    yield backend.inbound(version, network, related=True)
    addresses = None
    if nat is not None and nat.address is not None and version == 4:
        addresses = f"{nat.address.start}-{nat.address.end}"
    first, last = TRANSLATED_PORTS
    if nat is not None and nat.port is not None and (nat.port.start or nat.port.end):
        first, last = nat.port.start, nat.port.end
    if first >= last:
        raise InternalError(f"Invalid port range '{first}-{last}'.")
    ports = f"{first}-{last}"
    yield backend.translated(version, _Translation(network, addresses, None, None))
    for protocol in ("udp", "tcp"):
        yield backend.translated(version, _Translation(network, addresses, protocol, ports))
    for destination in _LOCAL[version]:
        yield backend.untranslated(version, network, destination)


# ------------------------------------------------------------------------------------------------------------- iptables


class _IPTables(_Backend):
    def insert(self, version: int, chain: str, *words: str, table: str = "filter") -> Command:
        program = "iptables" if version == 4 else "ip6tables"
        return [program, "-w", "--table", table, "--insert", f"LIBVIRT_{chain}", *words]

    def port(self, version: int, protocol: str, number: int, *, out: bool) -> Command:
        chain, side = ("OUT", "--out-interface") if out else ("INP", "--in-interface")
        where = (side, self.bridge, "--protocol", protocol, "--destination-port", str(number))
        return self.insert(version, chain, *where, "--jump", "ACCEPT")

    def services(self, version: int, *, tftp: bool) -> Iterator[Command]:
        if version == 4:
            yield from self.both(version, 67, 68)
        yield from self.both(version, 53, 53)
        if tftp:
            yield self.port(version, "udp", 69, out=False)
            yield self.port(version, "udp", 69, out=True)
        if version == 6:
            yield self.port(version, "udp", 547, out=False)
            yield self.port(version, "udp", 546, out=True)

    def both(self, version: int, server: int, client: int) -> Iterator[Command]:
        """Over TCP and UDP, to the server's port and back to the client's."""
        for out, number in ((False, server), (True, client)):
            for protocol in ("tcp", "udp"):
                yield self.port(version, protocol, number, out=out)

    def isolation(self, version: int) -> Iterator[Command]:
        inside, outside = ("--in-interface", self.bridge), ("--out-interface", self.bridge)
        yield self.insert(version, "FWO", *inside, "--jump", "REJECT")
        yield self.insert(version, "FWI", *outside, "--jump", "REJECT")
        yield self.insert(version, "FWX", *inside, *outside, "--jump", "ACCEPT")

    def out_device(self) -> tuple[str, ...]:
        return () if self.device is None else ("--out-interface", self.device)

    def outbound(self, version: int, network: str) -> Command:
        where = ("--source", network, "--in-interface", self.bridge, *self.out_device())
        return self.insert(version, "FWO", *where, "--jump", "ACCEPT")

    def inbound(self, version: int, network: str, *, related: bool) -> Command:
        device = () if self.device is None else ("--in-interface", self.device)
        where = ("--destination", network, *device, "--out-interface", self.bridge)
        state = ("--match", "conntrack", "--ctstate", "ESTABLISHED,RELATED") if related else ()
        return self.insert(version, "FWI", *where, *state, "--jump", "ACCEPT")

    def translated(self, version: int, what: _Translation) -> Command:
        protocol = () if what.protocol is None else ("-p", what.protocol)
        where = ("--source", what.network, *protocol, "!", "--destination", what.network, *self.out_device())
        jump: tuple[str, ...]
        if what.addresses is not None:
            source = what.addresses + ("" if what.ports is None else f":{what.ports}")
            jump = ("--jump", "SNAT", "--to-source", source)
        else:
            jump = ("--jump", "MASQUERADE", *(() if what.ports is None else ("--to-ports", what.ports)))
        return self.insert(version, "PRT", *where, *jump, table="nat")

    def untranslated(self, version: int, network: str, destination: str) -> Command:
        where = (*self.out_device(), "--source", network, "--destination", destination)
        return self.insert(version, "PRT", *where, "--jump", "RETURN", table="nat")

    def checksums_last(self) -> Iterator[Command]:
        where = ("--out-interface", self.bridge, "--protocol", "udp", "--destination-port", "68")
        yield self.insert(4, "PRT", *where, "--jump", "CHECKSUM", "--checksum-fill", table="mangle")


# ------------------------------------------------------------------------------------------------------------------ nft


class _NFT(_Backend):
    def insert(self, version: int, chain: str, *words: str) -> Command:
        return ["nft", "-ae", "insert", "rule", self.family(version), "libvirt_network", f"guest_{chain}", *words]

    @staticmethod
    def family(version: int) -> str:
        return "ip" if version == 4 else "ip6"

    def services(self, version: int, *, tftp: bool) -> Iterator[Command]:
        """The host's own firewall decides who reaches its servers."""
        yield from ()

    def isolation(self, version: int) -> Iterator[Command]:
        inside, outside = ("iif", self.bridge), ("oif", self.bridge)
        yield self.insert(version, "output", *inside, "counter", "reject")
        yield self.insert(version, "input", *outside, "counter", "reject")
        yield self.insert(version, "cross", *inside, *outside, "counter", "accept")

    def out_device(self) -> tuple[str, ...]:
        return () if self.device is None else ("oifname", self.device)

    def outbound(self, version: int, network: str) -> Command:
        where = (self.family(version), "saddr", network, "iif", self.bridge, *self.out_device())
        return self.insert(version, "output", *where, "counter", "accept")

    def inbound(self, version: int, network: str, *, related: bool) -> Command:
        device = () if self.device is None else ("iifname", self.device)
        bridge, guests = ("oif", self.bridge), (self.family(version), "daddr", network)
        where = (*guests, *device, *bridge)
        if related:
            where = (*device, *bridge, *guests, "ct", "state", "related,established")
        return self.insert(version, "input", *where, "counter", "accept")

    def translated(self, version: int, what: _Translation) -> Command:
        family = self.family(version)
        protocol = () if what.protocol is None else ("meta", "l4proto", what.protocol)
        guests = (family, "saddr", what.network, family, "daddr", "!=", what.network)
        ports = "" if what.ports is None else f":{what.ports}"
        action: tuple[str, ...]
        if what.addresses is not None:
            action = ("snat", "to", what.addresses + ports)
        else:
            action = ("masquerade", *(("to", ports) if ports else ()))
        return self.insert(version, "nat", *protocol, *guests, *self.out_device(), "counter", *action)

    def untranslated(self, version: int, network: str, destination: str) -> Command:
        family = self.family(version)
        where = (*self.out_device(), family, "saddr", network, family, "daddr", destination)
        return self.insert(version, "nat", *where, "counter", "return")

    def checksums_first(self) -> Iterator[Command]:
        yield ["tc", "qdisc", "show", "dev", self.bridge, "handle", "1:"]
        yield ["tc", "qdisc", "add", "dev", self.bridge, "root", "handle", "1:", "htb", "default", "2"]
        yield [
            *("tc", "filter", "add", "dev", self.bridge, "prio", "2", "protocol", "ip", "parent", "1:", "u32"),
            *("match", "ip", "dport", "68", "ffff", "action", "csum", "ip", "and", "udp"),
        ]
