"""``<interface>`` and what stands in it beside the source."""

from __future__ import annotations

from virtcore.errors import ErrorCode
from virtcore.model.domain.address import ROMDevice
from virtcore.model.domain.disk import VirtioOptions
from virtcore.model.domain.hostdev import PCIHostdevDriver, Teaming
from virtcore.model.domain.interface.source import (
    ActualInterface,
    InterfaceBackendType,
    InterfaceDriverName,
    InterfaceMAC,
    InterfaceSource,
    InterfaceType,
    LinkState,
    PortForwardProtocol,
    TXMode,
)
from virtcore.model.network.addresses import IP
from virtcore.model.network.port import VLAN, Bandwidth, IPAddress, PortOptions, Route, VirtualPort
from virtcore.model.nwfilter.reference import FilterReference
from virtcore.model.patterns import FILLED
from virtcore.xml import (
    ON_OFF,
    ULONG,
    YES_NO,
    Mode,
    attribute,
    child,
    children,
    element,
    inherited,
    leaf,
    printed,
    private,
    union,
)

__all__ = [
    "GuestOffloads",
    "HostOffloads",
    "Interface",
    "InterfaceBackend",
    "InterfaceDriver",
    "InterfaceGuest",
    "InterfaceTarget",
    "PortForward",
    "PortForwardRange",
]


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


_NOT_HOSTDEV = (*(t for t in InterfaceType if t is not InterfaceType.HOSTDEV), None)


@element("interface")
class Interface(ROMDevice):
    """A network interface."""

    type: InterfaceType | None = attribute(demanded=True, doc="what it is connected to; user by default")
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
    script: str | None = attribute(
        "path", within="script", blank=False, demanded=True, pattern=FILLED, doc="run when the interface comes up"
    )
    downscript: str | None = attribute(
        "path", within="downscript", blank=False, doc="run when it goes down", since="5.1.0"
    )
    backend_domain: str | None = attribute("name", within="backenddomain", blank=False, doc="Xen domain that serves it")
    target: InterfaceTarget | None = child()
    guest: InterfaceGuest | None = child()
    model: str | None = attribute(
        "type", within="model", blank=False, demanded=True, pattern=r"[a-zA-Z0-9\-_]+", doc="device the guest sees"
    )
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
    _device = inherited()
    private_data: object | None = private(point="interface", doc="what the driver knows of the interface")

    @property
    def is_virtio(self) -> bool:
        """Whether the guest sees a virtio device; only these have driver options."""
        return self.model in ("virtio", "virtio-transitional", "virtio-non-transitional")
