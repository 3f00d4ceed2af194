"""What an interface is connected to: ``<source>`` of interfaces, and what it was resolved to."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.hostdev import USB_ID, USB_ID_PATTERN, PCIHostdevDriver, PCIOriginalState, USBGuestReset
from virtcore.model.network.port import (
    VLAN,
    Bandwidth,
    IPAddress,
    MACTableManager,
    PortOptions,
    Route,
    VirtualPort,
)
from virtcore.model.patterns import ABSOLUTE_PATH, DEVICE_NAME, UNICAST_MAC
from virtcore.model.storage.source import Reconnect, SourcePCIAddress, StartupPolicy
from virtcore.xml import (
    INT,
    MAC,
    UINT_ANY,
    UUID,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    flags,
    union,
)
from virtcore.xml.scalars import number

__all__ = [
    "ActualBridgeSource",
    "ActualInterface",
    "ActualNetworkSource",
    "BridgeInterfaceSource",
    "DirectInterfaceSource",
    "EthernetInterfaceSource",
    "HostdevInterfaceSource",
    "InterfaceBackendType",
    "InterfaceDriverName",
    "InterfaceMAC",
    "InterfacePCIAddress",
    "InterfaceSource",
    "InterfaceType",
    "InterfaceUSBAddress",
    "InternalInterfaceSource",
    "LinkState",
    "MACType",
    "MacvtapMode",
    "NetworkInterfaceSource",
    "PortForwardProtocol",
    "SocketInterfaceSource",
    "TXMode",
    "UDPInterfaceSource",
    "UDPLocal",
    "UserInterfaceSource",
    "VDPAInterfaceSource",
    "VDSInterfaceSource",
    "VhostUserInterfaceSource",
    "VhostUserMode",
]


class InterfaceType(StrEnum):
    """What the interface is connected to."""

    USER = "user"
    ETHERNET = "ethernet"
    VHOSTUSER = "vhostuser"
    SERVER = "server"
    CLIENT = "client"
    MCAST = "mcast"
    NETWORK = "network"
    BRIDGE = "bridge"
    INTERNAL = "internal"
    DIRECT = "direct"
    HOSTDEV = "hostdev"
    UDP = "udp"
    VDPA = "vdpa"
    NULL = "null"
    VDS = "vds"


class MACType(StrEnum):
    """Where the MAC address comes from."""

    GENERATED = "generated"
    STATIC = "static"


class InterfaceDriverName(StrEnum):
    """Who moves the packets."""

    QEMU = "qemu"
    VHOST = "vhost"


class TXMode(StrEnum):
    """When transmitted packets are handled."""

    IOTHREAD = "iothread"
    TIMER = "timer"


class LinkState(StrEnum):
    """State of the link."""

    UP = "up"
    DOWN = "down"


class InterfaceBackendType(StrEnum):
    """Program behind a user-mode network."""

    DEFAULT = "default"
    PASST = "passt"


class PortForwardProtocol(StrEnum):
    """Forwarded protocol."""

    TCP = "tcp"
    UDP = "udp"


class MacvtapMode(StrEnum):
    """How a macvtap device reaches its neighbours."""

    VEPA = "vepa"
    PRIVATE = "private"
    BRIDGE = "bridge"
    PASSTHROUGH = "passthrough"


class VhostUserMode(StrEnum):
    """Who listens on the socket."""

    CLIENT = "client"
    SERVER = "server"


@element("mac")
class InterfaceMAC:
    """The interface's MAC address."""

    address: str | None = attribute(
        codec=MAC,
        demanded=True,
        pattern=UNICAST_MAC,
        invalid="unable to parse mac address '{value}'",
        doc="address; generated when absent",
    )
    type: MACType | None = attribute(doc="where it comes from (vSphere)", since="6.9.0")
    check: bool | None = attribute(codec=YES_NO, doc="whether the address must suit the type (vSphere)", since="6.9.0")
    current: str | None = attribute(
        "currentAddress", codec=MAC, when=Mode.LIVE, read=Mode.STATUS, doc="address the guest has set"
    )


@element(None, last=True)
class _HostSide:
    """Addresses and routes of the host's end."""

    dev: str | None = attribute(doc="host interface passt binds to")
    ips: list[IPAddress] = children("ip", doc="addresses of the host's end")
    routes: list[Route] = children("route", doc="routes of the host's end")


@element("source", tag=InterfaceType.NETWORK)
class NetworkInterfaceSource:
    """A virtual network."""

    network: str = attribute(required=True, doc="name of the network")
    portgroup: str | None = attribute(doc="group of settings within the network")
    portid: str | None = attribute(
        codec=UUID, when=Mode.LIVE, read=Mode.LIVE, doc="UUID of the port in use", since="5.1.0"
    )
    bridge: str | None = attribute(when=Mode.LIVE, read=Mode.ACTUAL_NET, doc="bridge in use")
    mac_table_manager: MACTableManager | None = attribute(
        "macTableManager", when=Mode.LIVE, read=Mode.ACTUAL_NET, doc="who fills the bridge's MAC table"
    )


@element(None)
class _InNetwork:
    """What a running guest has of a virtual network: shown with what that gave it, and never read."""

    network: str | None = attribute(when=Mode.LIVE, read=Mode.STATUS, doc="name of the network")
    portgroup: str | None = attribute(when=Mode.LIVE, read=Mode.STATUS, doc="group of settings within the network")
    portid: str | None = attribute(codec=UUID, when=Mode.LIVE, read=Mode.STATUS, doc="UUID of the port in use")


@element("source", tag=InterfaceType.BRIDGE)
class BridgeInterfaceSource(_InNetwork):
    """A bridge of the host."""

    bridge: str = attribute(required=True, pattern=r"[a-zA-Z0-9_\.\-\\:/ ]*", doc="name of the bridge")
    mac_table_manager: MACTableManager | None = attribute(
        "macTableManager", when=Mode.LIVE, read=Mode.STATUS, doc="who fills the bridge's MAC table"
    )


@element("source", tag=InterfaceType.ETHERNET)
class EthernetInterfaceSource(_HostSide):
    """A tap device."""


@element("source", tag=frozenset({InterfaceType.USER, InterfaceType.NULL}))
class UserInterfaceSource(_HostSide):
    """A network in user space."""


@element("source", tag=InterfaceType.VHOSTUSER)
class VhostUserInterfaceSource(_HostSide):
    """Another process over vhost-user."""

    type: str | None = attribute(doc="always unix")
    path: str | None = attribute(pattern=ABSOLUTE_PATH, doc="path of the socket")
    mode: VhostUserMode | None = attribute(doc="who listens")
    reconnect: Reconnect | None = child()


@element("local")
class UDPLocal:
    """Our end of a UDP tunnel."""

    address: str = attribute(required=True, doc="address")
    port: int = attribute(codec=INT, required=True, doc="UDP port")


@element("source", tag=frozenset({InterfaceType.SERVER, InterfaceType.CLIENT, InterfaceType.MCAST}))
class SocketInterfaceSource:
    """A TCP connection or multicast group that carries the frames."""

    address: str | None = attribute(doc="address; optional for a server")
    port: int = attribute(codec=INT, required=True, doc="port")


@element("source", tag=InterfaceType.UDP)
class UDPInterfaceSource:
    """A UDP tunnel that carries the frames."""

    address: str = attribute(required=True, doc="address of the other end")
    port: int = attribute(codec=INT, required=True, doc="its port")
    local: UDPLocal | None = child(required=True, missing="'<local>' element missing for 'udp' socket interface")


@element("source", tag=InterfaceType.INTERNAL)
class InternalInterfaceSource:
    """A network within the hypervisor (VirtualBox)."""

    name: str = attribute(required=True, doc="name of the network")


@element("source", tag=InterfaceType.DIRECT)
class DirectInterfaceSource(_InNetwork):
    """A macvtap device on a host interface."""

    dev: str = attribute(required=True, pattern=DEVICE_NAME, doc="name of the host interface")
    mode: MacvtapMode | None = attribute(doc="how neighbours are reached; vepa by default")


@element("source", tag=InterfaceType.VDPA)
class VDPAInterfaceSource:
    """A vDPA device of the host."""

    dev: str = attribute(required=True, doc="path of the vhost-vdpa device", since="6.9.0")


@element("source", tag=InterfaceType.VDS)
class VDSInterfaceSource:
    """A distributed switch (vSphere)."""

    switchid: str = attribute(codec=UUID, required=True, doc="UUID of the switch")
    portid: int | None = attribute(codec=number(64, signed=True, base=0), doc="number of the port")
    portgroupid: str | None = attribute(doc="port group")
    connectionid: int | None = attribute(codec=number(64, signed=True, base=0), doc="number of the connection")


@element("address", tag="pci", empty="keep")
class InterfacePCIAddress(SourcePCIAddress):
    """The PCI function behind an interface of type hostdev."""


@element("address", tag="usb")
class InterfaceUSBAddress:
    """The USB device behind an interface of type hostdev."""

    bus: int = attribute(codec=UINT_ANY, required=True, doc="number of the bus")
    device: int = attribute(codec=UINT_ANY, required=True, doc="number on the bus")


@element("source", tag=InterfaceType.HOSTDEV)
class HostdevInterfaceSource:
    """A network device of the host."""

    startup_policy: StartupPolicy | None = attribute("startupPolicy", doc="what to do when it is missing (USB)")
    missing: bool | None = attribute(codec=YES_NO, omit=False, when=Mode.LIVE, doc="it was missing at start (USB)")
    guest_reset: USBGuestReset | None = attribute("guestReset", doc="whether the guest can reset it (USB)")
    write_filtering: bool | None = attribute(
        "writeFiltering", codec=YES_NO, doc="whether configuration writes are filtered (Xen)"
    )
    vendor: int | None = attribute(
        "id",
        within="vendor",
        codec=USB_ID,
        pattern=USB_ID_PATTERN,
        nonzero=True,
        doc="vendor identifier (USB)",
    )
    product: int | None = attribute(
        "id", within="product", codec=USB_ID, pattern=USB_ID_PATTERN, doc="product identifier (USB)"
    )
    address: InterfacePCIAddress | InterfaceUSBAddress | None = child(
        tag="@type",
        invalid="unknown host device source address type '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
    )
    original_states: list[PCIOriginalState] = flags(
        within="origstates", when=Mode.PCI_ORIG_STATES, read=Mode.PCI_ORIG_STATES
    )


InterfaceSource: TypeAlias = (
    NetworkInterfaceSource
    | BridgeInterfaceSource
    | EthernetInterfaceSource
    | UserInterfaceSource
    | VhostUserInterfaceSource
    | SocketInterfaceSource
    | UDPInterfaceSource
    | InternalInterfaceSource
    | DirectInterfaceSource
    | VDPAInterfaceSource
    | VDSInterfaceSource
    | HostdevInterfaceSource
)


@element("source", tag=InterfaceType.NETWORK)
class ActualNetworkSource:
    """The bridge of a virtual network."""

    bridge: str | None = attribute(doc="name of the bridge")
    mac_table_manager: MACTableManager | None = attribute("macTableManager", doc="who fills the bridge's MAC table")


@element("source", tag=InterfaceType.BRIDGE)
class ActualBridgeSource(ActualNetworkSource):
    """A bridge of the host."""


@element("actual")
class ActualInterface:
    """What an interface of type network was resolved to; only status documents have it."""

    type: InterfaceType = attribute(required=True, doc="what it really is")
    managed: bool | None = attribute(codec=YES_NO, omit=False, doc="libvirt takes the device from the host (hostdev)")
    trust_guest_rx_filters: bool | None = attribute(
        "trustGuestRxFilters", codec=YES_NO, doc="follow the guest's receive filters"
    )
    driver: PCIHostdevDriver | None = child(only={"type": (InterfaceType.HOSTDEV,)})
    source: ActualNetworkSource | ActualBridgeSource | DirectInterfaceSource | HostdevInterfaceSource | None = union(
        tag="type"
    )
    class_id: int | None = attribute("id", within="class", blank=False, omit=0, doc="traffic class of the network")
    vlan: VLAN | None = child()
    virtualport: VirtualPort | None = child()
    bandwidth: Bandwidth | None = child()
    port: PortOptions | None = child()
