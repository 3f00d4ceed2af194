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
    every_device,
    scsi_hostdevs,
    serial_console,
)
from virtcore.model.storage.location import source_path

if TYPE_CHECKING:
    from virtcore.model.domain.devices import Devices
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.rules.context import DomainContext

__all__ = [
    "refuse_conflicts",
    "validate_aliases",
    "validate_audios",
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
                f"target '{name}' duplicated for disk sources '{source_path(other.source) or '<null>'}' and "
                f"'{source_path(disk.source) or '<null>'}'",
                path="/domain/devices/disk/target/@dev",
            )


def validate_drive_addresses(domain: Domain, context: DomainContext) -> None:
    """A unit of a bus holds one disk or host device."""
    units: dict[tuple[object, ...], Disk] = {}
    for disk in devices_of(domain).disks:
        if not isinstance(disk.address, DriveAddress):
            continue
        first = units.setdefault((disk_bus(disk), *_key(disk.address)), disk)
        if first is not disk:
            raise ConfigUnsupported(
                f"Found duplicate drive address for disk with target name '{disk_target(first)}' {_unit(disk.address)}",
                path="/domain/devices/disk/address",
            )
    hostdevs: set[tuple[int, ...]] = set()
    for hostdev in scsi_hostdevs(domain):
        address = hostdev.address
        if not isinstance(address, DriveAddress):
            continue
        key = _key(address)
        # libvirt's message has bus and controller in each other's place.
        swapped = DriveAddress(controller=address.bus, bus=address.controller, target=address.target, unit=address.unit)
        if key in hostdevs:
            raise ConfigUnsupported(
                f"SCSI host address {_unit(swapped)} in use by another SCSI host device",
                path="/domain/devices/hostdev/address",
            )
        if (DiskBus.SCSI, *key) in units:
            raise ConfigUnsupported(
                f"SCSI host address {_unit(swapped)} in use by another SCSI disk",
                path="/domain/devices/hostdev/address",
            )
        hostdevs.add(key)


def _key(address: DriveAddress) -> tuple[int, int, int, int]:
    return (address.controller or 0, address.bus or 0, address.target or 0, address.unit or 0)


def _unit(address: DriveAddress) -> str:
    return (
        f"controller='{address.controller or 0}' bus='{address.bus or 0}' "
        f"target='{address.target or 0}' unit='{address.unit or 0}'"
    )


def validate_aliases(domain: Domain, context: DomainContext) -> None:
    """An alias of the user's names one device."""
    seen: set[str] = set()
    consoles = devices_of(domain).consoles
    for device in every_device(domain, all_consoles=True):
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


def refuse_conflicts(domain: Domain, context: DomainContext) -> None:
    """What libvirt looks for with each device among its kind, looked for once."""
    devices = devices_of(domain)
    if devices.filesystems:
        _refuse_same_share(devices)
    if len(devices.videos) > 1:
        _refuse_lonely_video(devices)
    if devices.memory:
        from virtcore.model.domain.rules.memory_validate import refuse_overlaps

        refuse_overlaps(devices.memory)
    if domain.throttle_groups or any(disk.throttle_filters for disk in devices.disks):
        _refuse_unknown_throttle_groups(domain)


def validate_audios(domain: Domain, context: DomainContext) -> None:
    """A number names one backend of sound."""
    numbers = set()
    for audio in devices_of(domain).audios:
        if audio.id in numbers:
            raise XMLError(f"audio ID {audio.id} is used multiple times", path="/domain/devices/audio/@id")
        numbers.add(audio.id)


def _refuse_same_share(devices: Devices) -> None:
    """Tags of virtiofs shares; other filesystems may share a target among themselves."""
    from virtcore.model.domain.filesystem import FilesystemDriverType

    shares: set[str | None] = set()
    others: set[str | None] = set()
    for filesystem in devices.filesystems:
        virtiofs = filesystem.driver is not None and filesystem.driver.type is FilesystemDriverType.VIRTIOFS
        if filesystem.target in shares or (virtiofs and filesystem.target in others):
            raise ConfigUnsupported(
                f"filesystem target '{filesystem.target}' specified twice", path="/domain/devices/filesystem/target"
            )
        (shares if virtiofs else others).add(filesystem.target)


def _refuse_lonely_video(devices: Devices) -> None:
    from virtcore.model.domain.video import VideoType

    if any(video.model is not None and video.model.type is VideoType.NONE for video in devices.videos):
        raise ConfigUnsupported(
            "a 'none' video type must be the only video device defined for the domain",
            path="/domain/devices/video/model/@type",
        )


def _refuse_unknown_throttle_groups(domain: Domain) -> None:
    groups = {group.group_name for group in domain.throttle_groups}
    for disk in devices_of(domain).disks:
        for throttle in disk.throttle_filters:
            if throttle.group not in groups:
                raise XMLError(
                    f"throttle group '{throttle.group}' not found", path="/domain/devices/disk/throttlefilters"
                )
