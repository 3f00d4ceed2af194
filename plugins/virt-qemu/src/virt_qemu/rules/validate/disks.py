"""Checks of disks: what the guest sees of them, their limits, their images."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virt_qemu.rules.validate.shared import knows_iothread, require, require_shared_memory, validate_mapping
from virt_qemu.rules.validate.storage import validate_source
from virtcore.errors import ArgumentUnsupported, ConfigUnsupported, InternalError
from virtcore.model.domain.address import DriveAddress, USBAddress
from virtcore.model.domain.disk import DiskBus, DiskCache, DiskDevice, DiskIO, IOTune
from virtcore.model.domain.domain import LifecycleAction
from virtcore.model.storage.location import is_empty
from virtcore.model.storage.source import StorageFormat, StorageType

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.disk import Disk
    from virtcore.model.domain.domain import Domain

__all__ = ["validate_disk"]

_UNSAFE = re.compile(r"[^a-zA-Z0-9\-_ .+]")
_REMOVABLE = (DiskDevice.CDROM, DiskDevice.FLOPPY)
_TARGET = re.compile(r"(?:fd|hd|vd|sd|xvd|ubd)([a-z]*)([0-9]*)")
_LAST_INDEX = 2**31 - 1
#: What QEMU's own limits on throttling are.
_MAX_LIMIT = 1_000_000_000_000_000
#: Limits that QEMU bounds.
_RATES = [f"{which}_{what}_sec" for what in ("bytes", "iops") for which in ("total", "read", "write")]
_LIMITS = (*_RATES, *(f"{name}_max" for name in _RATES), "size_iops_sec")
#: All of them; those of a group are the same for each of its disks.
_GROUPED = (*_LIMITS, *(f"{name}_length" for name in _LIMITS if name.endswith("_max")))
_UNCACHED = (DiskCache.DIRECTSYNC, DiskCache.NONE)
_DRIVES = (DiskBus.SCSI, DiskBus.IDE, DiskBus.FDC, DiskBus.SATA)


def validate_disk(disk: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """One disk.

    :raises VirtError: with libvirt's message.
    """
    assert disk.target is not None
    _front_end(disk, domain, capabilities)
    _limits(disk, domain)
    _transient(disk, domain, capabilities)
    driver, name = disk.driver, disk.target.dev
    kind = driver.type if driver is not None else None
    if disk.shareable and not disk.readonly and kind not in (None, StorageFormat.RAW):
        raise ConfigUnsupported(f"shared access for disk '{name}' requires use of supported storage format")
    if driver is not None and driver.name not in (None, "qemu"):
        raise ConfigUnsupported(f"unsupported driver name '{driver.name}' for disk '{name}'")
    _target(name or "")
    if driver is not None and driver.discard_no_unref is not None:
        require(capabilities, "qcow2-discard-no-unref", "'discard_no_unref' is not supported by this QEMU binary")
    _images(disk, capabilities)
    encryption = disk.encryption or getattr(disk.source, "encryption", None)
    if disk.target.bus is DiskBus.SD and encryption is not None and len(encryption.secrets) > 1:
        raise ConfigUnsupported(f"sd card '{name}' does not support multiple encryption secrets")
    for type_, flag in ((StorageType.VHOSTUSER, "vhost-user-blk"), (StorageType.VHOSTVDPA, "virtio-blk-vhost-vdpa")):
        if disk.type is type_:
            require(capabilities, flag, f"{type_} disk is not supported with this QEMU binary")
            require_shared_memory(type_, domain)
    if disk.type is StorageType.VHOSTVDPA and (driver is None or driver.cache not in _UNCACHED):
        raise ConfigUnsupported(
            f"disk type '{disk.type}' requires cache mode '{DiskCache.DIRECTSYNC}' or '{DiskCache.NONE}'"
        )


def _images(disk: Disk, capabilities: EmulatorCapabilities) -> None:
    driver = disk.driver
    validate_source(
        disk.type,
        disk.source,
        driver.type if driver is not None else None,
        capabilities,
        encryption=disk.encryption,
        readonly=disk.readonly,
        cache_size=driver.metadata_cache_max_size if driver is not None else None,
    )
    below = disk.backing_store
    while below is not None and below.type is not None:
        validate_source(
            below.type,
            below.source,
            below.format.type if below.format is not None else None,
            capabilities,
            readonly=True,
            cache_size=below.format.metadata_cache_max_size if below.format is not None else None,
        )
        below = below.backing_store


def _target(name: str) -> None:
    found = _TARGET.fullmatch(name)
    index = 0
    for letter in found[1] if found is not None else "":
        index = index * 26 + ord(letter) - ord("a") + 1
    if found is None or index > _LAST_INDEX:
        raise ConfigUnsupported(f"invalid disk target '{name}'")
    if found[2].strip("0"):
        raise ConfigUnsupported(f"invalid disk target '{name}', partitions can't appear in disk targets")


def _front_end(disk: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    """What the guest sees."""
    assert disk.target is not None
    bus, name, driver = disk.target.bus, disk.target.dev, disk.driver
    copy_on_read = driver is not None and driver.copy_on_read is True
    _geometry(disk)
    if disk.serial is not None and bus is DiskBus.SD:
        raise InternalError(f"Serial property not supported for drive bus '{bus}'")
    if disk.device is DiskDevice.CDROM and bus in (DiskBus.VIRTIO, DiskBus.SD):
        raise ConfigUnsupported(f"disk type of '{name}' does not support ejectable media")
    if copy_on_read:
        if disk.readonly:
            raise ConfigUnsupported(f"copy_on_read is not compatible with read-only disk '{name}'")
        if disk.device in _REMOVABLE:
            raise ConfigUnsupported(f"copy_on_read is not supported with removable disk '{name}'")
    if disk.wwn is not None and bus not in (DiskBus.IDE, DiskBus.SCSI):
        raise ConfigUnsupported("Only ide and scsi disk support wwn")
    if disk.vendor is not None and bus is not DiskBus.SCSI:
        raise ConfigUnsupported("Only scsi disk supports 'vendor'")
    if disk.product is not None and bus not in (DiskBus.IDE, DiskBus.SATA, DiskBus.SCSI):
        raise ConfigUnsupported("Only ide, sata and scsi disk supports 'product'")
    if disk.device is DiskDevice.LUN:
        _lun(disk, capabilities, copy_on_read)
    if disk.target.rotation_rate:
        if bus not in (DiskBus.SCSI, DiskBus.IDE, DiskBus.SATA):
            raise InternalError("rotation rate is only valid for SCSI/IDE/SATA bus")
        if disk.device not in (DiskDevice.DISK, None):
            raise InternalError("rotation rate is only valid for disk device")
        if not capabilities.has("rotation-rate"):
            raise InternalError("rotation rate is not supported with this QEMU")
    _bus(disk, capabilities)
    if disk.readonly and disk.device in (DiskDevice.DISK, None) and bus in (DiskBus.IDE, DiskBus.SATA):
        raise ConfigUnsupported(f"readonly {bus} disks are not supported")
    if driver is not None and driver.io is DiskIO.NATIVE and driver.cache not in _UNCACHED:
        raise ConfigUnsupported("io='native' needs either no disk cache or directsync cache mode")
    if driver is not None and driver.io is DiskIO.IO_URING:
        require(capabilities, "aio.io_uring", "io uring is not supported by this QEMU binary")
    if disk.serial is not None:
        if bus is DiskBus.SCSI and disk.device is DiskDevice.LUN:
            raise ConfigUnsupported("scsi-block 'lun' devices do not support the serial property")
        if _UNSAFE.search(disk.serial):
            raise InternalError(f"driver serial '{disk.serial}' contains unsafe characters")
    _iothreads(disk, domain, capabilities)


def _geometry(disk: Disk) -> None:
    geometry, bus = disk.geometry, disk.target.bus if disk.target is not None else None
    if geometry is None or not (geometry.cyls and geometry.heads and geometry.secs):
        return
    if bus in (DiskBus.USB, DiskBus.SD):
        raise ConfigUnsupported(f"CHS geometry can not be set for '{bus}' bus")
    if geometry.trans is not None and bus is not DiskBus.IDE:
        raise ConfigUnsupported(f"CHS translation mode can only be set for 'ide' bus not '{bus}'")


def _lun(disk: Disk, capabilities: EmulatorCapabilities, copy_on_read: bool) -> None:
    """A logical unit of the host that the guest talks SCSI to."""
    assert disk.target is not None
    bus = disk.target.bus
    if bus is DiskBus.SCSI:
        require(capabilities, "scsi-block", "This QEMU doesn't support scsi-block for lun passthrough")
    elif bus is DiskBus.VIRTIO:
        require(
            capabilities,
            "virtio-blk-pci.scsi",
            "This QEMU doesn't support SCSI emulation with 'virtio-blk' device",
        )
    else:
        raise ConfigUnsupported(f"disk device='lun' is not supported for bus='{bus}'")
    if copy_on_read:
        raise ConfigUnsupported(f"copy_on_read is not compatible with 'lun' disk '{disk.target.dev}'")
    if disk.wwn is not None:
        raise ConfigUnsupported("Setting wwn is not supported for lun device")
    if disk.vendor is not None or disk.product is not None:
        raise ConfigUnsupported("Setting vendor or product is not supported for lun device")


def _bus(disk: Disk, capabilities: EmulatorCapabilities) -> None:
    assert disk.target is not None
    bus = disk.target.bus
    if bus in _DRIVES and not isinstance(disk.address, DriveAddress):
        raise InternalError(f"unexpected address type for {bus} disk")
    if bus is DiskBus.VIRTIO and disk.driver is not None and disk.driver.queue_size:
        require(capabilities, "virtio-blk.queue-size", "queue-size property isn't supported by this QEMU binary")
    if bus is DiskBus.USB:
        require(capabilities, "usb-storage", "This QEMU doesn't support '-device usb-storage'")
        if disk.source is None:
            raise ConfigUnsupported("'usb' disk must not be empty")
        if disk.address is not None and not isinstance(disk.address, USBAddress):
            raise InternalError("unexpected address type for usb disk")


def _iothreads(disk: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    driver = disk.driver
    if driver is None or not (driver.iothread or driver.iothreads):
        return
    assert disk.target is not None
    bus, name = disk.target.bus, disk.target.dev
    if bus is not DiskBus.VIRTIO:
        raise ConfigUnsupported(f"IOThreads not available for bus {bus} target {name}")
    if driver.iothreads:
        require(
            capabilities,
            "virtio-blk.iothread-mapping",
            f"IOThread mapping for disk '{name}' is not available with this QEMU binary",
        )
        validate_mapping(driver.iothreads, driver.queues or 0, domain)
    elif not knows_iothread(domain, driver.iothread or 0):
        raise ConfigUnsupported(f"Disk iothread '{driver.iothread}' not defined in iothreadid")


def _limits(disk: Disk, domain: Domain) -> None:
    tune = disk.iotune
    if tune is None:
        return
    assert disk.target is not None
    assert domain.devices is not None
    limited = any(getattr(tune, name) for name in _GROUPED)
    if tune.group_name is not None and not limited:
        raise ConfigUnsupported("group_name can be configured only together with settings")
    if disk.target.bus is DiskBus.SD and limited:
        raise ConfigUnsupported("<iotune> is not supported with bus='sd'")
    if tune.group_name is not None:
        for other in domain.devices.disks:
            theirs = other.iotune
            if other.target is None or other.target.dev == disk.target.dev:
                continue
            if theirs is not None and theirs.group_name == tune.group_name and _differ(tune, theirs):
                raise ConfigUnsupported(f"different iotunes for disks {disk.target.dev} and {other.target.dev}")
    if any((getattr(tune, name) or 0) > _MAX_LIMIT for name in _LIMITS):
        raise ArgumentUnsupported(f"block I/O throttle limit must be no more than {_MAX_LIMIT} using QEMU")


def _differ(one: IOTune, other: IOTune) -> bool:
    return any((getattr(one, name) or 0) != (getattr(other, name) or 0) for name in _GROUPED)


def _transient(disk: Disk, domain: Domain, capabilities: EmulatorCapabilities) -> None:
    if disk.transient is None:
        return
    assert disk.target is not None
    name, bus = disk.target.dev, disk.target.bus
    if is_empty(disk.source):
        raise ConfigUnsupported(f"transient disk '{name}' must not be empty")
    if disk.readonly:
        raise ConfigUnsupported(f"transient disk '{name}' must not be read-only")
    if disk.type is not StorageType.FILE:
        raise ConfigUnsupported(f"transient disk supported only with 'file' type ({name})")
    if disk.device not in (DiskDevice.DISK, None):
        raise ConfigUnsupported(f"transient disk supported only with 'disk' device ({name})")
    if not disk.transient.share_backing:
        return
    ends = (domain.on_reboot, domain.on_poweroff, domain.on_crash)
    destroys = domain.on_reboot is LifecycleAction.DESTROY and all(end is LifecycleAction.DESTROY for end in ends[1:])
    if not capabilities.has("set-action") and destroys:
        raise ConfigUnsupported(
            "transient disk backing image sharing with destroy action of lifecycle isn't supported by this QEMU binary"
        )
    if bus not in (DiskBus.USB, DiskBus.VIRTIO, DiskBus.SCSI):
        raise ConfigUnsupported(f"disk bus '{bus}' doesn't support transiend disk backing image sharing")
