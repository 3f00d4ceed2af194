"""``<interface>``: network interfaces of the host, as they are configured; names resolve on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore._lazy import lazy

if TYPE_CHECKING:
    from virtcore.model.interface.device import (
        DHCP as DHCP,
        ARPMonitor as ARPMonitor,
        ARPValidation as ARPValidation,
        Bond as Bond,
        BondMember as BondMember,
        BondMode as BondMode,
        Bridge as Bridge,
        BridgeMember as BridgeMember,
        HostInterface as HostInterface,
        InterfaceAddress as InterfaceAddress,
        InterfaceProtocol as InterfaceProtocol,
        InterfaceType as InterfaceType,
        MIICarrier as MIICarrier,
        MIIMonitor as MIIMonitor,
        ProtocolFamily as ProtocolFamily,
        StartMode as StartMode,
        VLANInterface as VLANInterface,
    )
    from virtcore.model.interface.document import (
        InterfaceRules as InterfaceRules,
        format_interface as format_interface,
        load_interface as load_interface,
    )
    from virtcore.model.interface.link import InterfaceLink as InterfaceLink, LinkState as LinkState

_MODULES = {
    "device": (
        "ARPMonitor",
        "ARPValidation",
        "Bond",
        "BondMember",
        "BondMode",
        "Bridge",
        "BridgeMember",
        "DHCP",
        "HostInterface",
        "InterfaceAddress",
        "InterfaceProtocol",
        "InterfaceType",
        "MIICarrier",
        "MIIMonitor",
        "ProtocolFamily",
        "StartMode",
        "VLANInterface",
    ),
    "document": ("InterfaceRules", "format_interface", "load_interface"),
    "link": ("InterfaceLink", "LinkState"),
}


__all__ = [
    "ARPMonitor",
    "ARPValidation",
    "Bond",
    "BondMember",
    "BondMode",
    "Bridge",
    "BridgeMember",
    "DHCP",
    "HostInterface",
    "InterfaceAddress",
    "InterfaceLink",
    "InterfaceProtocol",
    "InterfaceRules",
    "InterfaceType",
    "LinkState",
    "MIICarrier",
    "MIIMonitor",
    "ProtocolFamily",
    "StartMode",
    "VLANInterface",
    "format_interface",
    "load_interface",
]


__getattr__, __dir__ = lazy(__name__, _MODULES)
