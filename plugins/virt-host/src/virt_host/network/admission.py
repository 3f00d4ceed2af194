"""What a host's networks may be beside each other: names and addresses of their bridges, and what a way of forwarding
allows (``networkValidate``).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Collection
from itertools import combinations
from typing import TYPE_CHECKING

from virt_host.links import devices as links
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.network import Bridge, ForwardMode, VirtualPortType

if TYPE_CHECKING:
    from virtcore.model.network import ForwardAddress, Network, VirtualPort

__all__ = ["admit_network", "new_bridge_mac"]

_MOST_BRIDGES = 256
_TEMPLATE = "virbr%d"


def admit_network(network: Network, taken: Collection[str], pci_devices: str = "/sys/bus/pci/devices") -> None:
    """Refuse what a host cannot do; a bridge without a name or a MAC address gets one.

    :param network: complete and valid.
    :param taken: names of the bridges of other networks.
    :param pci_devices: where the host's PCI devices are described.
    :raises VirtError: the network has something that its way of forwarding has not got.
    """
    if network.mode.has_bridge:
        _name_bridge(network, taken)
        if network.mac is None:
            network.mac = new_bridge_mac()
    else:
        _refuse_what_bridges_have(network)
    _check_devices(network, pci_devices)
    _check_dhcp(network)
    _check_vlans(network)


def new_bridge_mac() -> str:
    """A MAC address in the range of QEMU's guests."""
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))


def _name_bridge(network: Network, taken: Collection[str]) -> None:
    bridge = network.bridge = network.bridge or Bridge()
    if bridge.name is not None and "%d" not in bridge.name:
        if bridge.name in taken:
            raise InternalError(f"bridge name '{bridge.name}' already in use.")
        return
    template = bridge.name if bridge.name is not None and bridge.name.count("%") == 1 else _TEMPLATE
    for number in range(_MOST_BRIDGES + 1):
        name = template.replace("%d", str(number))
        if name not in taken and not links.exists(name):
            bridge.name = name
            return
    raise InternalError(f"Bridge generation exceeded max id {_MOST_BRIDGES}")


def _refuse_what_bridges_have(network: Network) -> None:
    """Only a bridge of the network's own has addresses and servers."""
    dns = network.dns
    for present, what in (
        (network.mac is not None, "<mac> element in"),
        (bool(network.ips), "<ip> element in"),
        (dns is not None and bool(dns.texts or dns.hosts or dns.services), "<dns> element in"),
        (network.domain is not None and network.domain.name is not None, "<domain> element in"),
        (network.bandwidth is not None, "network-wide <bandwidth> element in"),
    ):
        if present:
            raise ConfigUnsupported(f"Unsupported {what} network {network.name} with forward mode='{network.mode}'")


def _check_devices(network: Network, pci_devices: str) -> None:
    forward, mode = network.forward, network.mode
    if forward is None:
        return
    for interface in forward.interfaces:
        if mode is ForwardMode.HOSTDEV:
            raise ConfigUnsupported(
                f"hostdev network '{network.name}' lists '{interface.dev}' in the device pool, but hostdev networks "
                "require all devices to be listed by PCI address, not network device name"
            )
    for address in forward.addresses:
        if mode is not ForwardMode.HOSTDEV:
            raise ConfigUnsupported(
                f"network '{network.name}' has forward mode '{mode}' but lists a device by PCI address in the device "
                "pool. This is only supported for networks with forward mode 'hostdev'"
            )
        path = f"{pci_devices}/{_name(address)}"
        if not os.path.lexists(f"{path}/physfn"):
            raise ConfigUnsupported(f"device '{path}' in network '{network.name}' is not an SR-IOV Virtual Function")
    if (forward.pf is not None) + bool(forward.interfaces) + bool(forward.addresses) > 1:
        raise ConfigUnsupported(
            f"<address>, <interface>, and <pf> elements of <forward> in network {network.name} are mutually exclusive"
        )


def _name(address: ForwardAddress) -> str:
    return f"{address.domain or 0:04x}:{address.bus or 0:02x}:{address.slot or 0:02x}.{address.function or 0:x}"


def _check_dhcp(network: Network) -> None:
    for version in (4, 6):
        if sum(ip.parsed.version == version and ip.serves_dhcp for ip in network.ips) > 1:
            raise ConfigUnsupported(
                f"Multiple IPv{version} dhcp sections found -- dhcp is supported only for a single IPv{version} "
                "address on each network"
            )


def _is_openvswitch(port: VirtualPort | None) -> bool:
    return port is not None and port.type is VirtualPortType.OPENVSWITCH


def _check_vlans(network: Network) -> None:
    """Port groups, and where VLANs may be: with functions of network cards and on bridges of the host."""
    mode, groups = network.mode, network.portgroups
    allowed = mode in (ForwardMode.HOSTDEV, ForwardMode.PASSTHROUGH, ForwardMode.BRIDGE)
    used = network.vlan is not None and bool(network.vlan.tags)
    misplaced = False
    default = None
    for group in groups:
        if used or (group.vlan is not None and group.vlan.tags):
            if group.virtualport is not None:
                misplaced |= mode is not ForwardMode.BRIDGE or not _is_openvswitch(group.virtualport)
            else:
                misplaced |= not allowed
        if group.default:
            if default is not None:
                raise ConfigUnsupported(
                    f"network '{network.name}' has multiple default <portgroup> elements ({default.name} and "
                    f"{group.name}), but only one default is allowed"
                )
            default = group
    for one, other in combinations(groups, 2):
        if one.name == other.name:
            raise ConfigUnsupported(
                f"multiple <portgroup> elements with the same name ({one.name}) in network '{network.name}'"
            )
    for group in groups:
        if group.bandwidth is not None and not mode.has_bridge:
            raise ConfigUnsupported(
                f"Unsupported <bandwidth> element in network '{network.name}' in portgroup '{group.name}' with forward "
                f"mode='{mode}'"
            )
    if misplaced or (used and not allowed and default is None):
        raise ConfigUnsupported(
            f"<vlan> element specified for network {network.name}, whose type doesn't support vlan configuration"
        )
