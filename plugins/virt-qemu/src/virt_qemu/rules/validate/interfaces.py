"""Checks of network interfaces."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from virt_qemu.rules.validate.shared import require, require_shared_memory
from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.domain.hostdev import TeamingType
from virtcore.model.domain.interface import InterfaceBackendType, InterfaceType, VhostUserInterfaceSource, VhostUserMode

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.interface import Interface

__all__ = ["validate_interface"]

_VIRTIO = ("virtio", "virtio-transitional", "virtio-non-transitional")
_COALESCING = (InterfaceType.NETWORK, InterfaceType.BRIDGE)
_WITH_MTU = (InterfaceType.NETWORK, InterfaceType.BRIDGE, InterfaceType.ETHERNET, InterfaceType.VHOSTUSER)
_IPV4_PREFIXES = range(4, 28)
_IPV6_PREFIX = 64


def validate_interface(device: Interface, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """One interface.

    :raises VirtError: with libvirt's message.
    """
    kind = device.type
    passt = device.backend is not None and device.backend.type is InterfaceBackendType.PASST
    virtio = device.model in _VIRTIO
    if device.routes:
        raise ConfigUnsupported("Invalid attempt to set network interface guest-side IP route, not supported by QEMU")
    if kind is InterfaceType.USER or (kind is InterfaceType.VHOSTUSER and passt):
        _user_backend(passt, capabilities)
        _addresses(device)
    elif device.ips:
        raise ConfigUnsupported(
            "Invalid attempt to set network interface guest-side IP address info, not supported by QEMU"
        )
    if kind is InterfaceType.VDPA:
        require(capabilities, "netdev.vhost-vdpa", "vDPA devices are not supported with this QEMU binary")
    if kind is InterfaceType.VHOSTUSER:
        require_shared_memory("interface", domain)
        source = device.source
        if (
            isinstance(source, VhostUserInterfaceSource)
            and source.mode is VhostUserMode.SERVER
            and source.reconnect is not None
            and source.reconnect.enabled is not None
        ):
            raise ConfigUnsupported(
                "'reconnect' attribute is not supported when source mode='server' for <interface type='vhostuser'>"
            )
    if kind in (InterfaceType.VDPA, InterfaceType.VHOSTUSER) and not virtio:
        raise ConfigUnsupported(f"invalid model for interface of type '{kind}': '{device.model}' - must be 'virtio'")
    if virtio:
        _virtio(device, capabilities)
    if device.mtu and kind not in _WITH_MTU and not (kind is InterfaceType.USER and passt):
        raise ConfigUnsupported(f"setting MTU on interface type {kind} is not supported yet")
    if device.teaming is not None:
        if device.teaming.type is TeamingType.PERSISTENT and not virtio:
            raise ConfigUnsupported(
                f"virtio-net teaming persistent interface must be <model type='virtio'/>, not '{device.model}'"
            )
        if device.teaming.type is TeamingType.TRANSIENT and kind not in (InterfaceType.HOSTDEV, InterfaceType.NETWORK):
            raise ConfigUnsupported(f"virtio-net teaming transient interface must be type='hostdev', not '{kind}'")
    if device.coalesce is not None and kind not in _COALESCING:
        raise ConfigUnsupported(f"coalesce settings on interface type {kind} are not supported")


def _user_backend(passt: bool, capabilities: EmulatorCapabilities) -> None:
    flag, name = ("netdev.stream", "passt") if passt else ("netdev.user", "default")
    require(capabilities, flag, f"the '{name}' network backend is not supported with this QEMU binary")


def _addresses(device: Interface) -> None:
    versions = set()
    for address in device.ips:
        if address.peer is not None:
            raise ConfigUnsupported("Invalid attempt to set peer IP for guest")
        version = ip_address(address.address or "").version
        if version in versions:
            raise ConfigUnsupported(f"Only one IPv{version} address per interface is allowed")
        versions.add(version)
        prefix = address.prefix or 0
        if version == 4 and prefix and prefix not in _IPV4_PREFIXES:
            raise XMLError("invalid prefix, must be in range of 4-27")
        if version == 6 and prefix and prefix != _IPV6_PREFIX:
            raise ConfigUnsupported(f"unsupported IPv6 address prefix='{prefix}' - must be 64")


def _virtio(device: Interface, capabilities: EmulatorCapabilities) -> None:
    driver = device.driver
    if driver is None:
        return
    for name in ("rx_queue_size", "tx_queue_size"):
        size = getattr(driver, name)
        if size and size & (size - 1):
            raise ConfigUnsupported(f"{name} has to be a power of two")
    for name, what in (("rss", "rss"), ("rss_hash_report", "rss hash report")):
        if getattr(driver, name) is not None:
            require(capabilities, "virtio-net.rss", f"virtio {what} is not supported with this QEMU binary")
