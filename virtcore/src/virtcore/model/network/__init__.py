"""Virtual networks and their ports, and what they share with interfaces of domains; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.network.dns import (
        DNS as DNS,
        DNSForwarder as DNSForwarder,
        DNSHost as DNSHost,
        DNSService as DNSService,
        DNSText as DNSText,
    )
    from virtcore.model.network.document import (
        format_network as format_network,
        load_network as load_network,
    )
    from virtcore.model.network.forward import (
        NAT as NAT,
        Forward as Forward,
        ForwardAddress as ForwardAddress,
        ForwardInterface as ForwardInterface,
        ForwardMode as ForwardMode,
        NATAddress as NATAddress,
        NATPort as NATPort,
        PhysicalFunction as PhysicalFunction,
    )
    from virtcore.model.network.ip import (
        DHCP as DHCP,
        Bootp as Bootp,
        DHCPHost as DHCPHost,
        DHCPRange as DHCPRange,
        Lease as Lease,
        LeaseUnit as LeaseUnit,
        NetworkIP as NetworkIP,
    )
    from virtcore.model.network.network import (
        Bridge as Bridge,
        DomainName as DomainName,
        Network as Network,
        PortGroup as PortGroup,
    )
    from virtcore.model.network.networkport import (
        BridgePlug as BridgePlug,
        DirectPlug as DirectPlug,
        HostdevPlug as HostdevPlug,
        NetworkPlug as NetworkPlug,
        NetworkPort as NetworkPort,
        NoPlug as NoPlug,
        format_network_port as format_network_port,
        load_network_port as load_network_port,
    )
    from virtcore.model.network.port import (
        VLAN as VLAN,
        Bandwidth as Bandwidth,
        BandwidthRate as BandwidthRate,
        IPAddress as IPAddress,
        MACTableManager as MACTableManager,
        NativeVLANMode as NativeVLANMode,
        PortOptions as PortOptions,
        Route as Route,
        VirtualPort as VirtualPort,
        VirtualPortParameters as VirtualPortParameters,
        VirtualPortType as VirtualPortType,
        VLANTag as VLANTag,
    )
    from virtcore.model.network.rules import (
        NetworkRules as NetworkRules,
    )
    from virtcore.model.network.update import (
        update_network as update_network,
    )

_MODULES = {
    "dns": ("DNS", "DNSForwarder", "DNSHost", "DNSService", "DNSText"),
    "document": ("format_network", "load_network"),
    "forward": (
        "Forward",
        "ForwardAddress",
        "ForwardInterface",
        "ForwardMode",
        "NAT",
        "NATAddress",
        "NATPort",
        "PhysicalFunction",
    ),
    "ip": ("Bootp", "DHCP", "DHCPHost", "DHCPRange", "Lease", "LeaseUnit", "NetworkIP"),
    "network": ("Bridge", "DomainName", "Network", "PortGroup"),
    "networkport": (
        "BridgePlug",
        "DirectPlug",
        "HostdevPlug",
        "NetworkPlug",
        "NetworkPort",
        "NoPlug",
        "format_network_port",
        "load_network_port",
    ),
    "port": (
        "Bandwidth",
        "BandwidthRate",
        "IPAddress",
        "MACTableManager",
        "NativeVLANMode",
        "PortOptions",
        "Route",
        "VLAN",
        "VLANTag",
        "VirtualPort",
        "VirtualPortParameters",
        "VirtualPortType",
    ),
    "rules": ("NetworkRules",),
    "update": ("update_network",),
}

__all__ = [
    "Bandwidth",
    "BandwidthRate",
    "IPAddress",
    "MACTableManager",
    "NativeVLANMode",
    "PortOptions",
    "Route",
    "VLAN",
    "VLANTag",
    "VirtualPort",
    "VirtualPortParameters",
    "VirtualPortType",
    "Bridge",
    "DomainName",
    "Network",
    "PortGroup",
    "Forward",
    "ForwardAddress",
    "ForwardInterface",
    "ForwardMode",
    "NAT",
    "NATAddress",
    "NATPort",
    "PhysicalFunction",
    "Bootp",
    "DHCP",
    "DHCPHost",
    "DHCPRange",
    "Lease",
    "LeaseUnit",
    "NetworkIP",
    "DNS",
    "DNSForwarder",
    "DNSHost",
    "DNSService",
    "DNSText",
    "format_network",
    "load_network",
    "BridgePlug",
    "DirectPlug",
    "HostdevPlug",
    "NetworkPlug",
    "NetworkPort",
    "NoPlug",
    "format_network_port",
    "load_network_port",
    "NetworkRules",
    "update_network",
]


__getattr__, __dir__ = lazy(__name__, _MODULES)
