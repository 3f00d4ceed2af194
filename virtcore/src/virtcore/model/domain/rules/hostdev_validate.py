"""Validation of host devices and network interfaces that is the same for every driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, InternalError, XMLError
from virtcore.model.domain.address import CCWAddress, DriveAddress, PCIAddress, UnassignedAddress, USBAddress
from virtcore.model.domain.disk import SGIO
from virtcore.model.domain.hostdev import (
    ISCSISource,
    MdevHostdev,
    MiscCapability,
    NetCapability,
    PCIHostdev,
    SCSIAdapterSource,
    SCSIHostdev,
    StorageCapability,
    TeamingType,
    USBHostdev,
    VHostSCSIHostdev,
)
from virtcore.model.domain.rules.device_list import devices_of
from virtcore.model.domain.rules.disk_validate import refuse_virtio_options

if TYPE_CHECKING:
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.hostdev import AnyHostdev
    from virtcore.model.domain.interface import Interface
    from virtcore.model.domain.rules.context import DomainContext
    from virtcore.model.storage.source import SourcePCIAddress

__all__ = ["validate_hostdev", "validate_hostdevs", "validate_interface"]


def validate_hostdev(device: AnyHostdev, domain: Domain) -> None:
    """One host device (``virDomainHostdevDefValidate``)."""
    address = device.address
    if isinstance(device, PCIHostdev):
        if address is not None and not isinstance(address, (PCIAddress, UnassignedAddress)):
            raise InternalError("PCI host devices must use 'pci' or 'unassigned' address type", path="address/@type")
    elif isinstance(device, SCSIHostdev):
        if address is not None and not isinstance(address, DriveAddress):
            raise ConfigUnsupported("SCSI host device must use 'drive' address type", path="address/@type")
        if device.sgio is SGIO.UNFILTERED:
            raise ConfigUnsupported("unfiltered sgio is no longer supported", path="@sgio")
    elif isinstance(device, VHostSCSIHostdev):
        if address is not None and not isinstance(address, (PCIAddress, CCWAddress)):
            raise ConfigUnsupported("SCSI_host host device must use 'pci' or 'ccw' address type", path="address/@type")
    elif isinstance(device, USBHostdev) and address is not None and not isinstance(address, USBAddress):
        raise ConfigUnsupported("USB host device must use 'usb' address type", path="address/@type")
    teaming = device.teaming
    if teaming is None:
        return
    if teaming.type is not TeamingType.TRANSIENT:
        raise ConfigUnsupported("teaming hostdev devices must have type='transient'", path="teaming/@type")
    if teaming.persistent is None:
        raise ConfigUnsupported(
            "missing required persistent attribute in hostdev teaming element", path="teaming/@persistent"
        )
    if not isinstance(device, PCIHostdev):
        raise ConfigUnsupported("teaming is only supported for pci hostdev devices", path="teaming")


def validate_hostdevs(domain: Domain, context: DomainContext) -> None:
    """A device of the host is given once; one of them is the frame buffer before the guest's driver runs."""
    devices = devices_of(domain)
    given = [_identity(device) for device in devices.hostdevs]
    given += [identity for interface in devices.interfaces if (identity := _interface_identity(interface)) is not None]
    if _any_twice(given):
        raise XMLError("Hostdev already exists in the domain configuration", path="/domain/devices/hostdev/source")
    frame_buffers = sum(
        isinstance(device, (PCIHostdev, MdevHostdev)) and device.ramfb is True for device in devices.hostdevs
    )
    if frame_buffers > 1:
        raise ConfigUnsupported("Only one vgpu device can have 'ramfb' enabled", path="/domain/devices/hostdev/@ramfb")


Identity = tuple[object, ...]


def _pci(address: SourcePCIAddress | None) -> Identity:
    if address is None:
        return ("pci", 0, 0, 0, 0)
    return ("pci", address.domain or 0, address.bus or 0, address.slot or 0, address.function or 0)


def _identity(device: AnyHostdev) -> Identity:
    """What tells a host device from others of its kind."""
    if isinstance(device, PCIHostdev):
        return _pci(device.source.address if device.source is not None else None)
    if isinstance(device, USBHostdev):
        source = device.source
        place = source.address if source is not None else None
        return (
            "usb",
            place.bus if place is not None else 0,
            place.device if place is not None else 0,
            (source.vendor or 0) if source is not None else 0,
            (source.product or 0) if source is not None else 0,
        )
    if isinstance(device, SCSIHostdev):
        if isinstance(device.source, ISCSISource):
            host = device.source.hosts[0] if device.source.hosts else None
            where = (host.name, host.port) if host is not None else (None, None)
            return ("iscsi", *where, device.source.name)
        adapter = device.source
        unit = adapter.address if isinstance(adapter, SCSIAdapterSource) else None
        if adapter is None or unit is None:
            return ("scsi", id(device))
        return ("scsi", adapter.adapter, unit.bus, unit.target, unit.unit)
    if isinstance(device, VHostSCSIHostdev):
        return ("vhost", device.source.wwpn if device.source is not None else None)
    if isinstance(device, MdevHostdev):
        return ("mdev", device.uuid)
    if isinstance(device, StorageCapability):
        return ("storage", device.block)
    if isinstance(device, MiscCapability):
        return ("misc", device.char)
    assert isinstance(device, NetCapability)
    return ("net", device.interface)


def _interface_identity(interface: Interface) -> Identity | None:
    from virtcore.model.domain.interface import HostdevInterfaceSource, InterfacePCIAddress, InterfaceUSBAddress

    source = interface.source
    if not isinstance(source, HostdevInterfaceSource):
        return None
    if isinstance(source.address, InterfaceUSBAddress):
        return ("usb", source.address.bus, source.address.device, source.vendor or 0, source.product or 0)
    return _pci(source.address) if isinstance(source.address, InterfacePCIAddress) else None


def _any_twice(given: list[Identity]) -> bool:
    """Whether two are the same device. USB devices: by place where the first says it, else by vendor and product."""
    seen: set[Identity] = set()
    for identity in reversed(given):
        if identity[0] != "usb":
            keys: tuple[Identity, ...] = (identity,)
            asked = identity
        else:
            place, product = ("usb place", *identity[1:3]), ("usb product", *identity[3:])
            keys = (place, product)
            asked = place if identity[1] and identity[2] else product
        if asked in seen:
            return True
        seen.update(keys)
    return False


# ----------------------------------------------------------------------------------------------------------- interfaces


def validate_interface(device: Interface, domain: Domain) -> None:
    """One interface (``virDomainNetDefValidate``)."""
    from virtcore.model.domain.interface import InterfaceType

    kind = device.type or InterfaceType.USER
    source = device.source
    if (getattr(source, "ips", None) or getattr(source, "routes", None)) and kind is not InterfaceType.ETHERNET:
        raise ConfigUnsupported(
            "Invalid attempt to set network interface host-side IP route and/or address info on interface of type "
            f"'{kind}'. This is only supported on interfaces of type 'ethernet'",
            path="source/ip",
        )
    if device.target is not None and device.target.managed is False and kind is not InterfaceType.ETHERNET:
        raise ConfigUnsupported(
            f"unmanaged target dev is not supported on interfaces of type '{kind}'", path="target/@managed"
        )
    if device.teaming is not None:
        if device.teaming.type is TeamingType.TRANSIENT:
            if device.teaming.persistent is None:
                raise ConfigUnsupported(
                    "teaming persistent attribute must be set if teaming type is 'transient'",
                    path="teaming/@persistent",
                )
        elif device.teaming.persistent is not None:
            raise ConfigUnsupported(
                f"teaming persistent attribute not allowed if teaming type is '{device.teaming.type}'",
                path="teaming/@persistent",
            )
    _validate_isolation(device, kind)
    if device.model not in ("virtio", "virtio-transitional", "virtio-non-transitional"):
        refuse_virtio_options(device.driver)
    _validate_passt(device, kind)


def _validate_isolation(device: Interface, kind: str) -> None:
    if device.port is None or not device.port.isolated:
        return
    mac = device.mac.address if device.mac is not None else None
    what = f"interface {mac} - <port isolated='yes'/> is not supported for network interfaces with"
    if kind not in ("network", "bridge"):
        raise ConfigUnsupported(f"{what} type='{kind}'", path="port/@isolated")
    if device.virtualport is not None and device.virtualport.type is not None:
        raise ConfigUnsupported(f"{what} virtualport type='{device.virtualport.type}'", path="port/@isolated")


def _validate_passt(device: Interface, kind: str) -> None:
    from virtcore.model.domain.interface import InterfaceBackendType

    user = kind in ("user", "vhostuser")
    passt = device.backend is not None and device.backend.type is InterfaceBackendType.PASST
    if passt and not user:
        raise ConfigUnsupported(
            "The 'passt' backend can only be used with interface type='user' or type='vhostuser'",
            path="backend/@type",
        )
    if user and getattr(device.source, "dev", None) is not None and not passt:
        raise ConfigUnsupported(
            "The 'dev' attribute of the <source> element can only be used with <interface> type='user' or "
            "type='vhostuser' if the <backend> type='passt'",
            path="source/@dev",
        )
    if not device.port_forwards:
        return
    if not passt:
        raise ConfigUnsupported(
            "The <portForward> element can only be used with the 'passt' backend of interface type='user' or "
            "type='vhostuser'",
            path="portForward",
        )
    for forward in device.port_forwards:
        for ports in forward.ranges:
            if not ports.start and (ports.end or ports.to or ports.exclude is not None):
                raise ConfigUnsupported(
                    "The 'range' of a 'portForward' requires 'start' attribute if 'end', 'to', or 'exclude' is "
                    "specified",
                    path="portForward/range",
                )
