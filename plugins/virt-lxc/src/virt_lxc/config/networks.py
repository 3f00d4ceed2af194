"""The networks of a container's configuration: ``lxc.network.*`` one after the other, since LXC 3.0 ``lxc.net.N.*``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from virt_lxc.config.settings import LXCSettings
from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg
from virtcore.model.domain.devices import Devices
from virtcore.model.domain.hostdev import NetCapability
from virtcore.model.domain.interface import (
    BridgeInterfaceSource,
    DirectInterfaceSource,
    Interface,
    InterfaceGuest,
    InterfaceMAC,
    InterfaceType,
    LinkState,
    MacvtapMode,
)
from virtcore.model.network.addresses import parse_ip, read_ip
from virtcore.model.network.port import IPAddress, Route
from virtcore.model.network.port_rules import settle_routes
from virtcore.xml import MAC, UINT

__all__ = ["read_networks"]

_NO_MAC = "00:00:00:00:00:00"
_NEW_NAME = re.compile(r"lxc\.net\.([0-9]{1,20})\.(.+)", re.ASCII)
_MODES = {"private": MacvtapMode.PRIVATE, "vepa": MacvtapMode.VEPA, "bridge": MacvtapMode.BRIDGE}
# Settings that are kept as they are, by the name of the field.
_PLAIN = {
    "name": "name",
    "type": "type",
    "link": "link",
    "hwaddr": "mac",
    "flags": "flags",
    "macvlan.mode": "mode",
    "vlan.id": "vlan",
    "ipv4.gateway": "gateway_ipv4",
    "ipv6.gateway": "gateway_ipv6",
}
_ADDRESSES = {"ipv4": 4, "ipv4.address": 4, "ipv6": 6, "ipv6.address": 6}


@dataclass(slots=True)
class _Network:
    """What a file says of one network."""

    type: str = ""
    link: str | None = None
    name: str | None = None
    mac: str | None = None
    flags: str | None = None
    mode: str | None = None
    vlan: str | None = None
    gateway_ipv4: str | None = None
    gateway_ipv6: str | None = None
    ips: list[IPAddress] = field(default_factory=list)

    def set(self, setting: str, value: str, name: str) -> None:
        """Take over a setting.

        :param name: its whole name.
        """
        if setting in _PLAIN:
            setattr(self, _PLAIN[setting], value)
        elif setting in _ADDRESSES:
            self.ips.append(_address(value, _ADDRESSES[setting]))
        else:
            raise _unhandled(name)

    def routes(self) -> list[Route]:
        """Default routes through its gateways."""
        routes = []
        for family, all_, gateway in (("ipv4", "0.0.0.0", self.gateway_ipv4), ("ipv6", "::", self.gateway_ipv6)):
            if gateway is not None:
                routes.append(Route(family=family, address=all_, gateway=gateway))
        settle_routes(routes, "Domain interface")
        return routes


def _unhandled(name: str) -> InternalError:
    return InternalError(f"unhandled network setting '{name}'", value=name)


def read_networks(settings: LXCSettings, devices: Devices) -> bool:
    """Add the interfaces and the host's interfaces that move into the container.

    :return: whether the file says anything about networks.
    :raises VirtError: it says what no domain can say.
    """
    found = _networks(settings)
    for network in found:
        if network.type in ("", "empty", "none"):
            continue
        if network.type in ("phys", "vlan"):
            devices.hostdevs.append(_host_interface(network))
        else:
            devices.interfaces.append(_interface(network))
    return bool(found)


def _networks(settings: LXCSettings) -> list[_Network]:
    found: list[_Network] = []
    numbered: dict[int, _Network] = {}
    for name, value in settings.each("lxc.network.", "lxc.net."):
        new = _NEW_NAME.fullmatch(name)
        if new is not None:
            number, setting = int(new[1]), new[2]
            if number not in numbered:
                numbered[number] = _Network()
                found.append(numbered[number])
            numbered[number].set(setting, value, name)
        elif name.startswith("lxc.network."):
            setting = name.removeprefix("lxc.network.")
            if setting == "type":
                found.append(_Network())
            if not found:
                raise _unhandled(name)
            found[-1].set(setting, value, name)
        else:
            raise _unhandled(name)
    return found


def _address(text: str, version: int) -> IPAddress:
    address, slash, prefix = text.partition("/")
    try:
        spelled = read_ip(address)
        if not slash or parse_ip(spelled).version != version:
            raise ValueError(text)
        return IPAddress(address=spelled, family=f"ipv{version}", prefix=UINT.read(prefix))
    except ValueError:
        raise InvalidArg(f"Invalid CIDR address: '{text}'", value=text) from None


def _host_interface(network: _Network) -> NetCapability:
    """An interface of the host. That of a VLAN the user has to make."""
    if network.link is None:
        raise ConfigUnsupported("Missing 'link' attribute for NIC")
    name = network.link
    if network.type == "vlan" and network.vlan is not None:
        name = f"{network.link}.{network.vlan}"
    return NetCapability(interface=name, ips=network.ips, routes=network.routes())


def _interface(network: _Network) -> Interface:
    interface = Interface(
        type=InterfaceType.USER,
        mac=InterfaceMAC(address=_mac(network.mac)),
        ips=network.ips,
        link=LinkState.UP if network.flags == "up" else LinkState.DOWN,
        guest=InterfaceGuest(dev=network.name) if network.name is not None else None,
    )
    if network.type == "veth":
        interface.type = InterfaceType.ETHERNET if network.link is None else InterfaceType.BRIDGE
        if network.link is not None:
            interface.source = BridgeInterfaceSource(bridge=network.link)
    elif network.type == "macvlan":
        if network.link is None:
            raise InternalError("a network of type macvlan needs a link")
        interface.type = InterfaceType.DIRECT
        mode = MacvtapMode.PRIVATE if network.mode is None else _MODES.get(network.mode, MacvtapMode.VEPA)
        interface.source = DirectInterfaceSource(dev=network.link, mode=mode)
    interface.routes = network.routes()
    return interface


def _mac(text: str | None) -> str:
    """What is no address is passed over, as by libvirt."""
    try:
        return MAC.read(text) if text is not None else _NO_MAC
    except ValueError:
        return _NO_MAC
