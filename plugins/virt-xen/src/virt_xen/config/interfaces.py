"""Network interfaces: ``vif``."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from virt_xen.config.settings import in_list, pairs
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, NoNetwork
from virtcore.model.domain.interface import (
    BridgeInterfaceSource,
    Interface,
    InterfaceMAC,
    InterfaceTarget,
    InterfaceType,
    NetworkInterfaceSource,
)
from virtcore.model.domain.os import OSType
from virtcore.model.network.port import (
    VLAN,
    Bandwidth,
    BandwidthRate,
    IPAddress,
    VirtualPort,
    VirtualPortType,
    VLANTag,
)
from virtcore.xml import MAC

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virtcore.model.domain.domain import Domain

__all__ = ["NetworkBridge", "plug_into_switches", "read_interfaces", "switch_port", "write_interfaces"]

NetworkBridge = Callable[[str], str]
"""The bridge of a virtual network."""

_DEFAULT_SCRIPT = "vif-bridge"
_OVS_SCRIPT = "vif-openvswitch"
#: Key -> longest value, and libvirt's complaint about a longer one.
_KEYS = {
    "mac": (17, "MAC address {} too big for destination"),
    "bridge": (49, "Bridge {} too big for destination"),
    "script": (4096, "Script {} too big for destination"),
    "model": (9, "Model {} too big for destination"),
    "type": (9, "Type {} too big for destination"),
    "vifname": (49, "Vifname {} too big for destination"),
    "ip": (127, "IP {} too big for destination"),
    "rate": (49, "rate {} too big for destination"),
}
_RATE = re.compile(r"([0-9]+)([GMK]?)([Bb])/s")
_TAG = re.compile(r"[0-9]{1,9}")


def read_interfaces(settings: Settings, domain: Domain, paravirtual: str) -> None:
    """``vif``, a string each.

    :param paravirtual: how ``type=`` calls an interface without an emulated device.
    :raises VirtError: one is malformed.
    """
    assert domain.devices is not None
    for entry in settings.strings("vif"):
        domain.devices.interfaces.append(_read(entry, paravirtual))


def _read(entry: str, paravirtual: str) -> Interface:
    found = pairs(entry)
    if found is None:
        raise InternalError("config value vif was malformed", value=entry)
    said: dict[str, str] = {}
    for key, value in found:
        if key in _KEYS:
            longest, complaint = _KEYS[key]
            if len(value) > longest:
                raise InternalError(complaint.format(value), value=value)
            said[key] = value
    interface = Interface()
    if said.get("mac"):
        try:
            interface.mac = InterfaceMAC(address=MAC.read(said["mac"]))
        except ValueError:
            raise InternalError(f"malformed mac address '{said['mac']}'", value=said["mac"]) from None
    script = said.get("script")
    bridge = said.get("bridge")
    if bridge or script in ("vif-bridge", "vif-vnic"):
        interface.type = InterfaceType.BRIDGE
        if not bridge:
            raise InternalError("config value vif was malformed", value=entry)
        _read_bridge(interface, bridge)
    else:
        interface.type = InterfaceType.ETHERNET
    for address in said.get("ip", "").split(" "):
        if address:
            interface.ips.append(_read_ip(address))
    interface.script = script or None
    if said.get("model"):
        interface.model = said["model"]
    elif said.get("type") == paravirtual:
        interface.model = "netfront"
    if said.get("vifname"):
        interface.target = InterfaceTarget(dev=said["vifname"])
    if said.get("rate"):
        interface.bandwidth = Bandwidth(outbound=BandwidthRate(average=_read_rate(said["rate"])))
    return interface


def _read_bridge(interface: Interface, text: str) -> None:
    """``bridge``, ``bridge.tag``, or ``bridge:tag:tag`` for a trunk."""
    name, dot, rest = text.partition(".")
    tags = [rest]
    if not dot:
        name, colon, rest = text.partition(":")
        tags = rest.split(":") if colon else []
    interface.source = BridgeInterfaceSource(bridge=name)
    if not tags:
        return
    if not all(map(_TAG.fullmatch, tags)):
        raise InternalError("config value vif was malformed", value=text)
    interface.vlan = VLAN(trunk=None if dot else True, tags=[VLANTag(id=int(tag)) for tag in tags])


def plug_into_switches(domain: Domain) -> None:
    """Tags mean a switch. Done when the domain is complete: its ports get no identifiers, which start gives them."""
    assert domain.devices is not None
    for interface in domain.devices.interfaces:
        if interface.vlan is not None:
            interface.virtualport = VirtualPort(type=VirtualPortType.OPENVSWITCH)


def _read_ip(text: str) -> IPAddress:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise InvalidArg(f"Failed to parse IP address: '{text}'", value=text) from None
    return IPAddress(address=str(address), family=f"ipv{address.version}")


def _read_rate(text: str) -> int:
    """KiB a second of ``10MB/s``; what stands behind an ``@`` says how often it is enforced, and is dropped."""
    found = _RATE.fullmatch(text.partition("@")[0])
    if found is None:
        raise InternalError(f"Invalid rate '{text}' specified", value=text)
    rate = int(found.group(1))
    if rate >= 1 << 64:
        raise InternalError(f"Failed to parse rate '{text}'", value=text)
    rate *= {"G": 1024 * 1024, "M": 1024}.get(found.group(2), 1)
    rate = rate // 8 if found.group(3) == "b" else rate
    return rate & ((1 << 64) - 1)


def write_interfaces(
    domain: Domain, output: Output, paravirtual: str, network_bridge: NetworkBridge | None = None
) -> None:
    """``vif``, a string each.

    :param paravirtual: how ``type=`` calls an interface without an emulated device.
    :param network_bridge: finds bridges of virtual networks; without it there are no networks.
    :raises VirtError: an interface is of a kind that Xen has not.
    """
    assert domain.devices is not None
    full = domain.os_type is OSType.HVM
    output.set_list("vif", [_write(each, paravirtual, network_bridge, full) for each in domain.devices.interfaces])


def _write(interface: Interface, paravirtual: str, network_bridge: NetworkBridge | None, full: bool) -> str:
    assert interface.mac is not None
    words = [f"mac={interface.mac.address}", *_write_connection(interface, network_bridge)]
    if interface.model == "netfront" and full:
        words.append(f"type={paravirtual}")
    elif interface.model is not None:
        words.append(f"model={in_list(interface.model, 'model')}")
    if interface.target is not None and interface.target.dev is not None:
        words.append(f"vifname={in_list(interface.target.dev, 'vifname')}")
    outbound = interface.bandwidth.outbound if interface.bandwidth is not None else None
    if outbound is not None and outbound.average:
        words.append(f"rate={outbound.average}KB/s")
    return ",".join(words)


def switch_port(interface: Interface, bridge: str) -> tuple[str, str | None]:
    """A bridge with the tags of the interface's VLANs, if it is a switch, and the script that connects it."""
    port, vlan, script = interface.virtualport, interface.vlan, interface.script
    if port is None or port.type is not VirtualPortType.OPENVSWITCH:
        return bridge, script
    if vlan is not None and vlan.tags:
        tags = vlan.tags if vlan.trunk else vlan.tags[:1]
        bridge += "".join(f"{':' if vlan.trunk else '.'}{tag.id}" for tag in tags)
    return bridge, script or _OVS_SCRIPT


def _write_connection(interface: Interface, network_bridge: NetworkBridge | None) -> list[str]:
    """What it is connected to, and the script that does so."""
    kind, source, script = interface.type or InterfaceType.USER, interface.source, interface.script
    ips = [f"ip={' '.join(ip.address or '' for ip in interface.ips)}"] if interface.ips else []
    if script is not None:
        in_list(script, "script")
    if kind is InterfaceType.ETHERNET:
        return ([f"script={script}"] if script is not None else []) + ips
    if isinstance(source, BridgeInterfaceSource):
        bridge, script = switch_port(interface, in_list(source.bridge, "bridge"))
        return [f"bridge={bridge}", *ips, f"script={script or _DEFAULT_SCRIPT}"]
    if isinstance(source, NetworkInterfaceSource):
        if network_bridge is None:
            raise NoNetwork(source.network)
        return [f"bridge={in_list(network_bridge(source.network), 'bridge')}", f"script={_DEFAULT_SCRIPT}"]
    raise ConfigUnsupported(f"Unsupported net type '{kind}'", value=kind)
