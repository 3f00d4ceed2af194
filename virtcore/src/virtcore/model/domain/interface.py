"""Network interfaces: ``<interface>``."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import ROMDevice
from virtcore.model.domain.disk import VirtioOptions
from virtcore.model.domain.hostdev import PCIHostdevDriver, PCIOriginalState, Teaming, USBGuestReset
from virtcore.model.network.port import (
    IP,
    VLAN,
    Bandwidth,
    IPAddress,
    MACTableManager,
    PortOptions,
    Route,
    VirtualPort,
)
from virtcore.model.storage.source import Reconnect, SourcePCIAddress, StartupPolicy
from virtcore.xml import (
    HEX,
    INT,
    MAC,
    ON_OFF,
    UINT_ANY,
    ULONG,
    UUID,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    flags,
    leaf,
    printed,
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
    "FilterParameter",
    "FilterReference",
    "GuestOffloads",
    "HostOffloads",
    "HostdevInterfaceSource",
    "Interface",
    "InterfaceBackend",
    "InterfaceBackendType",
    "InterfaceDriver",
    "InterfaceDriverName",
    "InterfaceGuest",
    "InterfaceMAC",
    "InterfacePCIAddress",
    "InterfaceSource",
    "InterfaceTarget",
    "InterfaceType",
    "InterfaceUSBAddress",
    "InternalInterfaceSource",
    "LinkState",
    "MACType",
    "MacvtapMode",
    "NetworkInterfaceSource",
    "PortForward",
    "PortForwardProtocol",
    "PortForwardRange",
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
        codec=MAC, invalid="unable to parse mac address '{value}'", doc="address; generated when absent"
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


@element("source", tag=InterfaceType.BRIDGE)
class BridgeInterfaceSource:
    """A bridge of the host."""

    bridge: str = attribute(required=True, doc="name of the bridge")


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
    path: str | None = attribute(doc="path of the socket")
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
class DirectInterfaceSource:
    """A macvtap device on a host interface."""

    dev: str = attribute(required=True, doc="name of the host interface")
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
        "id", within="vendor", codec=HEX("0x%.4x"), nonzero=True, doc="vendor identifier (USB)"
    )
    product: int | None = attribute("id", within="product", codec=HEX("0x%.4x"), doc="product identifier (USB)")
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


@element("range")
class PortForwardRange:
    """Ports that are forwarded."""

    start: int | None = attribute(nonzero=True, doc="first port")
    end: int | None = attribute(nonzero=True, doc="last port")
    to: int | None = attribute(nonzero=True, doc="first port in the guest")
    exclude: bool | None = attribute(codec=YES_NO, doc="these ports are left out")


@element("portForward", empty="keep")
class PortForward:
    """Connections to the host that reach the guest (passt)."""

    proto: PortForwardProtocol = attribute(required=True, doc="protocol")
    address: str | None = attribute(
        codec=IP, invalid="Invalid address '{value}' in <portForward>", doc="address of the host"
    )
    dev: str | None = attribute(doc="interface of the host")
    ranges: list[PortForwardRange] = children("range", doc="ports; all when empty")


def _configured_name(target: InterfaceTarget) -> str | None:
    return None if target.is_generated and target.managed is not False else target.dev


@element("target")
class InterfaceTarget:
    """The host's end."""

    dev: str | None = attribute(when=Mode.LIVE, doc="name of the host's device; vnetN is generated")
    _configured_dev = printed(_configured_name, "dev", when=Mode.INACTIVE)
    managed: bool | None = attribute(codec=YES_NO, doc="no: the device exists already", since="5.7.0")

    @property
    def is_generated(self) -> bool:
        """Whether the name is one that libvirt generates at start."""
        return self.dev is not None and self.dev.startswith(("vnet", "macvtap", "macvlan"))


@element("guest")
class InterfaceGuest:
    """The guest's end (containers)."""

    dev: str | None = attribute(blank=False, doc="name wanted")
    actual: str | None = attribute(blank=False, doc="name in use")


@element("host")
class HostOffloads:
    """Offloads the host's end may use."""

    csum: bool | None = attribute(codec=ON_OFF, doc="checksums")
    gso: bool | None = attribute(codec=ON_OFF, doc="generic segmentation")
    tso4: bool | None = attribute(codec=ON_OFF, doc="TCP segmentation, IPv4")
    tso6: bool | None = attribute(codec=ON_OFF, doc="TCP segmentation, IPv6")
    ecn: bool | None = attribute(codec=ON_OFF, doc="congestion notification")
    ufo: bool | None = attribute(codec=ON_OFF, doc="UDP fragmentation")
    mrg_rxbuf: bool | None = attribute(codec=ON_OFF, doc="mergeable receive buffers")


@element("guest")
class GuestOffloads:
    """Offloads the guest's end may use."""

    csum: bool | None = attribute(codec=ON_OFF, doc="checksums")
    tso4: bool | None = attribute(codec=ON_OFF, doc="TCP segmentation, IPv4")
    tso6: bool | None = attribute(codec=ON_OFF, doc="TCP segmentation, IPv6")
    ecn: bool | None = attribute(codec=ON_OFF, doc="congestion notification")
    ufo: bool | None = attribute(codec=ON_OFF, doc="UDP fragmentation")


@element("driver")
class InterfaceDriver(VirtioOptions):
    """Options of a virtio interface."""

    name: InterfaceDriverName | None = attribute(doc="who moves the packets")
    txmode: TXMode | None = attribute(doc="when transmitted packets are handled")
    ioeventfd: bool | None = attribute(codec=ON_OFF, doc="I/O in a thread of its own")
    event_idx: bool | None = attribute(codec=ON_OFF, doc="fewer interrupts")
    queues: int | None = attribute(omit=0, doc="number of queue pairs")
    rx_queue_size: int | None = attribute(omit=0, doc="size of receive queues", since="2.3.0")
    tx_queue_size: int | None = attribute(omit=0, doc="size of transmit queues", since="3.7.0")
    rss: bool | None = attribute(codec=ON_OFF, doc="receive side scaling", since="8.3.0")
    rss_hash_report: bool | None = attribute(codec=ON_OFF, doc="report hashes", since="8.3.0")
    host: HostOffloads | None = child()
    guest: GuestOffloads | None = child()


@element("backend")
class InterfaceBackend:
    """Program and devices behind the interface."""

    type: InterfaceBackendType | None = attribute(omit=InterfaceBackendType.DEFAULT, doc="program", since="9.0.0")
    tap: str | None = attribute(doc="path of the tap device")
    vhost: str | None = attribute(doc="path of the vhost device")
    log_file: str | None = attribute("logFile", doc="log of the program", since="9.0.0")


@element("parameter")
class FilterParameter:
    """A value for a variable of the filter."""

    name: str | None = attribute(doc="name of the variable")
    value: str | None = attribute(doc="value; several with one name make a list")


@element("filterref")
class FilterReference:
    """A network filter."""

    filter: str | None = attribute(doc="name of the filter")
    parameters: list[FilterParameter] = children("parameter", doc="values of its variables")


_NOT_HOSTDEV = (*(t for t in InterfaceType if t is not InterfaceType.HOSTDEV), None)


@element("interface")
class Interface(ROMDevice):
    """A network interface."""

    type: InterfaceType | None = attribute(doc="what it is connected to; user by default")
    managed: bool | None = attribute(
        codec=YES_NO, omit=False, only={"type": (InterfaceType.HOSTDEV,)}, doc="libvirt takes the device from the host"
    )
    trust_guest_rx_filters: bool | None = attribute(
        "trustGuestRxFilters", codec=YES_NO, doc="follow the guest's receive filters", since="1.1.0"
    )
    mac: InterfaceMAC | None = child()
    host_driver: PCIHostdevDriver | None = child("driver", only={"type": (InterfaceType.HOSTDEV,)})
    source: InterfaceSource | None = union(tag="type", default=InterfaceType.USER)
    vlan: VLAN | None = child()
    virtualport: VirtualPort | None = child()
    bandwidth: Bandwidth | None = child()
    port: PortOptions | None = child()
    actual: ActualInterface | None = child(when=Mode.ACTUAL_NET, read=Mode.ACTUAL_NET)
    ips: list[IPAddress] = children("ip", doc="addresses of the guest's end")
    routes: list[Route] = children("route", doc="routes of the guest's end")
    port_forwards: list[PortForward] = children("portForward", doc="forwarded ports", since="9.0.0")
    script: str | None = attribute("path", within="script", blank=False, doc="run when the interface comes up")
    downscript: str | None = attribute(
        "path", within="downscript", blank=False, doc="run when it goes down", since="5.1.0"
    )
    backend_domain: str | None = attribute("name", within="backenddomain", blank=False, doc="Xen domain that serves it")
    target: InterfaceTarget | None = child()
    guest: InterfaceGuest | None = child()
    model: str | None = attribute("type", within="model", blank=False, doc="device the guest sees")
    driver: InterfaceDriver | None = child(shown=lambda self: self.is_virtio, only={"type": _NOT_HOSTDEV})
    backend: InterfaceBackend | None = child()
    filterref: FilterReference | None = child()
    sndbuf: int | None = leaf(
        within="tune", codec=ULONG, invalid="sndbuf must be a positive integer", doc="bytes of the send buffer"
    )
    teaming: Teaming | None = child()
    link: LinkState | None = attribute(
        "state",
        within="link",
        blank=False,
        invalid="unknown interface link state '{value}'",
        code=ErrorCode.CONFIG_UNSUPPORTED,
        doc="state of the link",
    )
    mtu: int | None = attribute(
        "size", within="mtu", blank=False, omit=0, invalid="malformed mtu size", doc="bytes", since="3.1.0"
    )
    coalesce: int | None = attribute(
        "max",
        within="coalesce/rx/frames",
        blank=False,
        omit=0,
        invalid="cannot parse value '{value}' for coalesce parameter",
        doc="received frames per interrupt",
        since="3.3.0",
    )

    @property
    def is_virtio(self) -> bool:
        """Whether the guest sees a virtio device; only these have driver options."""
        return self.model in ("virtio", "virtio-transitional", "virtio-non-transitional")
