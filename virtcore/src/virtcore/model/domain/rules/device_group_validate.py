"""Validation of a domain's devices together that is the same for every driver: what two of them may not share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported, XMLError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.disk import DiskBus
from virtcore.model.domain.rules.device_list import (
    devices_of,
    disk_bus,
    disk_target,
    drive_used_by_disk,
    iterate_devices,
    same_drive,
    scsi_hostdevs,
    serial_console,
)
from virtcore.model.domain.rules.disk_validate import disk_path

if TYPE_CHECKING:
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "validate_aliases",
    "validate_drive_addresses",
    "validate_duplicate_disks",
    "validate_iommu",
    "validate_videos",
]

_USER_ALIAS = "ua-"


def validate_duplicate_disks(domain: Domain, context: DomainContext) -> None:
    """A target names one disk."""
    seen: dict[str | None, Disk] = {}
    for disk in devices_of(domain).disks:
        name = disk_target(disk)
        other = seen.setdefault(name, disk)
        if other is not disk:
            raise XMLError(
                f"target '{name}' duplicated for disk sources '{disk_path(other) or '<null>'}' and "
                f"'{disk_path(disk) or '<null>'}'",
                path="/domain/devices/disk/target/@dev",
            )


def validate_drive_addresses(domain: Domain, context: DomainContext) -> None:
    """A unit of a bus holds one disk or host device."""
    disks = [disk for disk in devices_of(domain).disks if isinstance(disk.address, DriveAddress)]
    for place, disk in enumerate(disks):
        assert isinstance(disk.address, DriveAddress)
        for other in disks[place + 1 :]:
            assert isinstance(other.address, DriveAddress)
            if disk_bus(disk) is disk_bus(other) and same_drive(disk.address, other.address):
                raise ConfigUnsupported(
                    f"Found duplicate drive address for disk with target name '{disk_target(disk)}' "
                    f"{_unit(disk.address)}",
                    path="/domain/devices/disk/address",
                )
    hostdevs = [hostdev for hostdev in scsi_hostdevs(domain) if isinstance(hostdev.address, DriveAddress)]
    for place, hostdev in enumerate(hostdevs):
        address = hostdev.address
        assert isinstance(address, DriveAddress)
        # libvirt's message has bus and controller in each other's place.
        swapped = DriveAddress(controller=address.bus, bus=address.controller, target=address.target, unit=address.unit)
        for another in hostdevs[place + 1 :]:
            if isinstance(another.address, DriveAddress) and same_drive(address, another.address):
                raise ConfigUnsupported(
                    f"SCSI host address {_unit(swapped)} in use by another SCSI host device",
                    path="/domain/devices/hostdev/address",
                )
        if drive_used_by_disk(domain, DiskBus.SCSI, address):
            raise ConfigUnsupported(
                f"SCSI host address {_unit(swapped)} in use by another SCSI disk",
                path="/domain/devices/hostdev/address",
            )


def _unit(address: DriveAddress) -> str:
    return (
        f"controller='{address.controller or 0}' bus='{address.bus or 0}' "
        f"target='{address.target or 0}' unit='{address.unit or 0}'"
    )


def validate_aliases(domain: Domain, context: DomainContext) -> None:
    """An alias of the user's names one device."""
    seen: set[str] = set()
    consoles = devices_of(domain).consoles
    for device in iterate_devices(domain, all_consoles=True):
        alias = getattr(device, "alias", None)
        if alias is None or not alias.startswith(_USER_ALIAS):
            continue
        if consoles and device is consoles[0] and serial_console(domain, consoles[0]):
            # It is the first serial port under another name.
            continue
        if alias in seen:
            raise ConfigUnsupported(f"non unique alias detected: {alias}", path="/domain/devices", value=alias)
        seen.add(alias)


def validate_iommu(domain: Domain, context: DomainContext) -> None:
    """Interrupt remapping needs the split I/O APIC."""
    iommu = devices_of(domain).iommu
    if iommu is None or iommu.driver is None:
        return
    from virtcore.model.domain.features import IOAPICDriver

    ioapic = domain.features.ioapic if domain.features is not None else None
    if iommu.driver.intremap and (ioapic is None or ioapic.driver is not IOAPICDriver.QEMU):
        raise ConfigUnsupported(
            "IOMMU interrupt remapping requires split I/O APIC (ioapic driver='qemu')",
            path="/domain/devices/iommu/driver/@intremap",
        )
    if iommu.driver.eim and not iommu.driver.intremap:
        raise ConfigUnsupported(
            "IOMMU eim requires interrupt remapping to be enabled", path="/domain/devices/iommu/driver/@eim"
        )


def validate_videos(domain: Domain, context: DomainContext) -> None:
    """One card is the first."""
    videos = devices_of(domain).videos
    if sum(video.model is not None and video.model.primary is True for video in videos) > 1:
        raise ConfigUnsupported("Only one primary video device is supported", path="/domain/devices/video")
