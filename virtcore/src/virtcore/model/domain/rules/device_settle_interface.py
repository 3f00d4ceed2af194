"""Interfaces and host devices as libvirt's parser leaves them."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, InvalidArg, OverflowDetected, XMLError
from virtcore.model.domain.interface import (
    DirectInterfaceSource,
    HostdevInterfaceSource,
    InterfaceBackendType,
    InterfaceMAC,
    InterfacePCIAddress,
    InterfaceType,
    MacvtapMode,
    SocketInterfaceSource,
    UserInterfaceSource,
    VDSInterfaceSource,
    VhostUserInterfaceSource,
    VhostUserMode,
)
from virtcore.model.domain.rules.device_info import settle_info
from virtcore.model.domain.rules.device_settle_disk import settle_hosts, settle_reconnect
from virtcore.model.network.port_rules import settle_bandwidth, settle_routes, settle_virtualport, settle_vlan
from virtcore.model.nwfilter.reference import settle_parameters
from virtcore.model.paths import sanitize_path
from virtcore.model.pci import settle_pci
from virtcore.model.storage.settle import settle_secret
from virtcore.xml import declaration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtcore.model.domain.hostdev import AnyHostdev, Teaming
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.network.port import IPAddress

__all__ = ["is_known_model", "settle_hostdev", "settle_interface"]

_MODELS = {
    name.lower(): name
    for name in (
        "netfront",
        "rtl8139",
        "virtio",
        "e1000",
        "e1000e",
        "igb",
        "virtio-transitional",
        "virtio-non-transitional",
        "usb-net",
        "spapr-vlan",
        "lan9118",
        "scm91c111",
        "vlance",
        "vmxnet",
        "vmxnet2",
        "vmxnet3",
        "Am79C970A",
        "Am79C973",
        "82540EM",
        "82545EM",
        "82543GC",
    )
}
_MODEL_NAME = re.compile("[a-zA-Z0-9_-]*")

_WITH_SOURCE = frozenset(
    {
        InterfaceType.NETWORK,
        InterfaceType.VDS,
        InterfaceType.INTERNAL,
        InterfaceType.BRIDGE,
        InterfaceType.DIRECT,
        InterfaceType.VDPA,
        InterfaceType.CLIENT,
        InterfaceType.SERVER,
        InterfaceType.MCAST,
        InterfaceType.UDP,
    }
)
_WITH_FILTER = frozenset({InterfaceType.NETWORK, InterfaceType.BRIDGE, InterfaceType.ETHERNET})
# A virtual port may leave its type to the network; elsewhere it has to be complete.
_WITH_PORT = frozenset({InterfaceType.NETWORK, InterfaceType.BRIDGE, InterfaceType.DIRECT, InterfaceType.HOSTDEV})


def settle_interface(interface: Interface, context: DomainContext) -> None:
    """An interface.

    :raises VirtError: what libvirt's parser refuses.
    """
    if interface.type is None:
        interface.type = InterfaceType.USER
    kind = interface.type
    _settle_model(interface)
    if interface.source is None and kind in _WITH_SOURCE:
        raise XMLError(f"interface type='{kind}' requires a 'source' element")
    if kind is InterfaceType.HOSTDEV and interface.source is None:
        raise ConfigUnsupported("unknown host device source address type '<null>'")
    _settle_source(interface)
    if interface.virtualport is not None:
        if kind not in _WITH_PORT:
            raise ConfigUnsupported(f"<virtualport> element unsupported for <interface type='{kind}'>")
        resolved = kind is not InterfaceType.NETWORK
        settle_virtualport(interface.virtualport, typed=resolved, complete=resolved, new_uuid=context.new_uuid)
    if interface.filterref is not None:
        if kind not in _WITH_FILTER or interface.filterref.filter is None:
            interface.filterref = None
        else:
            settle_parameters(interface.filterref)
    interface.bandwidth = settle_bandwidth(interface.bandwidth, floor=kind is InterfaceType.NETWORK)
    if interface.vlan is not None:
        settle_vlan(interface.vlan)
    _settle_mac(interface, context)
    settle_info(interface, context)
    _settle_ips(interface.ips)
    settle_routes(interface.routes, "guest interface")
    target = interface.target
    if target is not None and target.managed is not False and context.inactive and target.is_generated:
        target.dev = None
    backend = interface.backend
    if backend is not None:
        if backend.tap is not None:
            backend.tap = sanitize_path(backend.tap)
        if not interface.is_virtio or kind is InterfaceType.HOSTDEV:
            backend.vhost = None
        elif backend.vhost is not None:
            backend.vhost = sanitize_path(backend.vhost)
    if interface.driver is not None and interface.driver.queues == 1:
        interface.driver.queues = None
    _verify_teaming(interface.teaming)
    if interface.coalesce is not None and interface.coalesce > 0xFFFFFFFF:
        raise OverflowDetected(
            f"value '{interface.coalesce}' is too big for coalesce parameter, maximum is '{0xFFFFFFFF}'"
        )


def is_known_model(model: str) -> bool:
    """Whether libvirt has a name of its own for an interface's model."""
    return model.lower() in _MODELS


def _settle_model(interface: Interface) -> None:
    if interface.model is None:
        return
    known = _MODELS.get(interface.model.lower())
    if known is not None:
        interface.model = known
    elif not _MODEL_NAME.fullmatch(interface.model):
        raise InvalidArg("Model name contains invalid characters")


def _settle_source(interface: Interface) -> None:
    source = interface.source
    passt = interface.backend is not None and interface.backend.type is InterfaceBackendType.PASST
    if interface.type is InterfaceType.VHOSTUSER:
        if source is None:
            source = interface.source = VhostUserInterfaceSource()
        assert isinstance(source, VhostUserInterfaceSource)
        if source.type is not None and source.type != "unix":
            raise ConfigUnsupported(f"Type='{source.type}' unsupported for <interface type='vhostuser'>")
        settle_reconnect(source.reconnect)
        if passt:
            # passt decides all of them.
            source.type = source.path = source.mode = source.reconnect = None
        else:
            source.type = "unix"
            source.mode = source.mode or VhostUserMode.CLIENT
            source.dev = None
    elif isinstance(source, DirectInterfaceSource):
        source.mode = source.mode or MacvtapMode.VEPA
    elif isinstance(source, SocketInterfaceSource):
        if interface.type is not InterfaceType.SERVER and source.address is None:
            raise XMLError("Missing required attribute 'address' in element 'source'")
    elif isinstance(source, VDSInterfaceSource):
        source.portid = source.portid or 0
        source.connectionid = source.connectionid or 0
    elif isinstance(source, HostdevInterfaceSource):
        if isinstance(source.address, InterfacePCIAddress):
            settle_pci(source.address)
        _verify_usb_ids(source.vendor, source.product)
    elif isinstance(source, UserInterfaceSource) and not passt:
        source.dev = None
    ips = getattr(source, "ips", None)
    if ips:
        _settle_ips(ips)
    routes = getattr(source, "routes", None)
    if routes:
        settle_routes(routes, "interface host IP")


def _settle_mac(interface: Interface, context: DomainContext) -> None:
    mac = interface.mac
    if mac is None:
        mac = interface.mac = InterfaceMAC()
    if mac.address is not None and int(mac.address[:2], 16) & 1:
        raise XMLError(f"expected unicast mac address, found multicast '{mac.address}'")
    if mac.address is None or mac.address == "00:00:00:00:00:00":
        mac.address = context.new_mac()


def _settle_ips(ips: Iterable[IPAddress]) -> None:
    for ip in ips:
        assert ip.address is not None
        version = ipaddress.ip_address(ip.address).version
        if ip.family in ("ipv4", "ipv6") and ip.family != f"ipv{version}":
            raise XMLError(f"Invalid address '{ip.address}' in <ip>")
        ip.family = f"ipv{version}"
        if ip.prefix is not None and ip.prefix > (32 if version == 4 else 128):
            raise XMLError(f"Invalid prefix value '{ip.prefix}' in <ip>")


def _verify_teaming(teaming: Teaming | None) -> None:
    if teaming is not None and teaming.type is None and teaming.persistent is not None:
        raise ConfigUnsupported("unknown teaming type '<null>'")


def _verify_usb_ids(vendor: int | None, product: int | None) -> None:
    if vendor is not None and product is None:
        raise InternalError("missing product")
    if product is not None and vendor is None:
        raise InternalError("missing vendor")


# --------------------------------------------------------------------------------------------------------- host devices


def settle_hostdev(hostdev: AnyHostdev, context: DomainContext) -> None:
    """A device of the host.

    :raises VirtError: what libvirt's parser refuses.
    """
    from virtcore.model.domain.hostdev import (
        ISCSISource,
        MdevHostdev,
        NetCapability,
        PCIHostdev,
        SCSIHostdev,
        USBHostdev,
        VHostSCSIHostdev,
    )

    if isinstance(hostdev, (PCIHostdev, USBHostdev, SCSIHostdev, VHostSCSIHostdev, MdevHostdev)):
        hostdev.managed = bool(hostdev.managed)
    if isinstance(hostdev, PCIHostdev):
        assert hostdev.source is not None
        if hostdev.source.address is None:
            from virtcore.model.storage.source import SourcePCIAddress

            hostdev.source.address = SourcePCIAddress()
        settle_pci(hostdev.source.address)
    elif isinstance(hostdev, USBHostdev):
        assert hostdev.source is not None
        _verify_usb_ids(hostdev.source.vendor, hostdev.source.product)
    elif isinstance(hostdev, SCSIHostdev):
        if isinstance(hostdev.source, ISCSISource):
            _settle_iscsi(hostdev.source)
    elif isinstance(hostdev, VHostSCSIHostdev):
        assert hostdev.source is not None
        if not re.fullmatch("naa.(0x)?[0-9a-fA-F]{16}", hostdev.source.wwpn or ""):
            raise XMLError("malformed 'wwpn' value")
    elif isinstance(hostdev, MdevHostdev):
        if hostdev.uuid is None:
            raise ConfigUnsupported("Missing <address> element")
    elif isinstance(hostdev, NetCapability):
        _settle_ips(hostdev.ips)
        settle_routes(hostdev.routes, "Domain hostdev device")
    if isinstance(hostdev, (PCIHostdev, USBHostdev, SCSIHostdev)) and hostdev.model is not None:
        kind = declaration(type(hostdev)).tags[0]
        said = kind[1] if isinstance(kind, tuple) else kind
        raise XMLError(f"'model' attribute in <hostdev> is only supported when type='{said}'", path="@model")
    policy = getattr(getattr(hostdev, "source", None), "startup_policy", None)
    if policy is not None and not isinstance(hostdev, USBHostdev):
        raise ConfigUnsupported("Setting startupPolicy is only allowed for USB devices", path="source/@startupPolicy")
    if not isinstance(hostdev, SCSIHostdev):
        for name in ("sgio", "rawio"):
            if getattr(hostdev, name) is not None:
                raise XMLError(f"{name} is only supported for scsi host device", path=f"@{name}")
        hostdev.readonly = hostdev.shareable = False
    settle_info(hostdev, context)
    _verify_teaming(hostdev.teaming)


def _settle_iscsi(source: object) -> None:
    from virtcore.model.domain.hostdev import ISCSISource
    from virtcore.model.storage.source import NetProtocol

    assert isinstance(source, ISCSISource)
    settle_hosts(source.hosts, NetProtocol.NONE)
    if not source.hosts:
        raise XMLError("missing the host address for the iSCSI hostdev")
    if len(source.hosts) > 1:
        raise XMLError("only one source host address may be specified for the iSCSI hostdev")
    if source.auth is not None:
        settle_secret(source.auth.secret)
        kind = source.auth.secret.type if source.auth.secret is not None else None
        if kind not in ("none", "volume", "ceph", "iscsi", "tls", "vtpm"):
            raise ConfigUnsupported(f"invalid secret type {kind}")
        if kind != "iscsi":
            raise InternalError(f"hostdev invalid secret type '{kind}'")
