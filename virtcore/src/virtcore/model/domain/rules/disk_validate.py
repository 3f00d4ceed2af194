"""Validation of disks that is the same for every driver: sources, buses, names, limits.

Errors name places below the device; who iterates completes them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtcore.errors import (
    ConfigUnsupported,
    InternalError,
    NoSource,
    NoTarget,
    OperationUnsupported,
    XMLError,
)
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.disk import SGIO, Disk, DiskBus, DiskCache, DiskDevice, DiskTray, SnapshotLocation
from virtcore.model.patterns import SCSI_WWN
from virtcore.model.storage.location import is_empty, source_path
from virtcore.model.storage.source import (
    BlockSource,
    DirSource,
    FileSource,
    NetProtocol,
    NetworkSource,
    NVMeSource,
    StartupPolicy,
    StorageFormat,
    VhostUserSource,
    VolumeSource,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtcore.model.domain.disk import IOTune, VirtioOptions
    from virtcore.model.domain.domain import Domain
    from virtcore.model.domain.resources import ThrottleGroup
    from virtcore.model.storage.source import DeviceSeclabel, Source

__all__ = [
    "printable",
    "refuse_virtio_options",
    "validate_disk",
    "validate_iotune",
    "validate_label_overrides",
]

_VENDOR_LENGTH = 8
_PRODUCT_LENGTH = 40
_SCSI_PRODUCT_LENGTH = 16
_WWN = re.compile(SCSI_WWN)
_DRIVE_BUSES = (DiskBus.IDE, DiskBus.FDC, DiskBus.SCSI, DiskBus.SATA)
_DISK_NAMES = ("hd", "sd", "vd", "xvd", "ubd")
_AUTHENTICATED = (
    NetProtocol.ISCSI,
    NetProtocol.HTTP,
    NetProtocol.HTTPS,
    NetProtocol.FTP,
    NetProtocol.FTPS,
    NetProtocol.SSH,
    NetProtocol.RBD,
)
_SECRET_TYPES = ("none", "volume", "ceph", "iscsi", "tls", "vtpm")
_REMOVABLE_MEDIA = (DiskDevice.CDROM, DiskDevice.FLOPPY)
_LIMITS = (
    "total_bytes_sec",
    "read_bytes_sec",
    "write_bytes_sec",
    "total_iops_sec",
    "read_iops_sec",
    "write_iops_sec",
)


def printable(text: str) -> bool:
    """Whether a text has nothing but printable ASCII characters."""
    return all(" " <= letter <= "~" for letter in text)


def refuse_virtio_options(driver: VirtioOptions | None) -> None:
    """Options of virtio devices on a device that is none."""
    if driver is None:
        return
    for name in ("iommu", "ats", "packed"):
        if getattr(driver, name) is not None:
            raise ConfigUnsupported(
                f"{name} driver option is only supported for virtio devices", path=f"driver/@{name}"
            )
    if driver.page_per_vq is not None:
        raise ConfigUnsupported("page_per_vq option is only supported for virtio devices", path="driver/@page_per_vq")


def validate_label_overrides(labels: Sequence[DeviceSeclabel], domain: Domain) -> None:
    """A label of one device needs relabelling by the domain's."""
    if not labels or not domain.seclabels:
        return
    fixed = {label.model for label in domain.seclabels if not label.relabel}
    if any(label.model in fixed for label in labels):
        raise ConfigUnsupported(
            "label overrides require relabeling to be enabled at the domain level", path="source/seclabel"
        )


def validate_disk(disk: Disk, domain: Domain) -> None:
    """One disk (``virDomainDiskDefValidate``)."""
    target = disk.target
    if target is None or target.dev is None:
        if isinstance(disk.source, VolumeSource):
            raise NoTarget(f"pool = '{disk.source.pool}', volume = '{disk.source.volume}'", path="target")
        raise NoTarget(source_path(disk.source), path="target")
    _validate_chain(disk)
    if disk.sgio is SGIO.UNFILTERED:
        raise ConfigUnsupported("unfiltered sgio is no longer supported", path="@sgio")
    if disk.device is DiskDevice.LUN:
        _validate_lun(disk)
    else:
        if disk.source is not None and disk.source.reservations is not None:
            raise ConfigUnsupported("<reservations/> allowed only for lun devices", path="source/reservations")
        if disk.rawio is not None:
            raise ConfigUnsupported("rawio can be used only with device='lun'", path="@rawio")
        if disk.sgio is not None:
            raise ConfigUnsupported("sgio can be used only with device='lun'", path="@sgio")
    if disk.iotune is not None:
        validate_iotune(disk.iotune)
    _validate_bus(disk)
    if isinstance(disk.source, NVMeSource) and disk.source.namespace == 0:
        raise ConfigUnsupported("NVMe namespace can't be zero", path="source/@namespace")
    if isinstance(disk.source, VhostUserSource):
        _validate_vhost_user(disk)
    for source, _ in _chain(disk):
        if source is not None:
            validate_label_overrides(source.seclabels, domain)
    if target.tray is DiskTray.OPEN and disk.device not in _REMOVABLE_MEDIA:
        raise ConfigUnsupported("tray is only valid for cdrom and floppy", path="target/@tray")
    _validate_names(disk)
    if (
        target.removable is not None
        and target.bus is not DiskBus.USB
        and not (target.bus is DiskBus.SCSI and disk.device in (DiskDevice.DISK, None))
    ):
        raise XMLError("removable is only valid for usb or scsi disks", path="target/@removable")
    _validate_startup_policy(disk)
    if disk.wwn is not None and _WWN.fullmatch(disk.wwn) is None:
        raise InternalError(f"Malformed wwn: {disk.wwn}", path="wwn", value=disk.wwn)
    _validate_target_name(disk, target.dev)
    if disk.device in (DiskDevice.DISK, None) and is_empty(disk.source):
        raise NoSource(target.dev, path="source")
    _validate_driver(disk)
    _validate_throttle_filters(disk, target.dev)


def _chain(disk: Disk) -> Iterator[tuple[Source | None, StorageFormat | None]]:
    """Each image from the top, with its format."""
    yield disk.source, disk.driver.type if disk.driver is not None else None
    below = disk.backing_store
    while below is not None and below.type is not None:
        yield below.source, below.format.type if below.format is not None else None
        below = below.backing_store


def _validate_chain(disk: Disk) -> None:
    for place, (source, format_) in enumerate(_chain(disk)):
        if source is None:
            continue
        if isinstance(source, NetworkSource):
            auth = source.auth or (disk.auth if place == 0 else None)
            _validate_network(source, auth.secret.type if auth is not None and auth.secret is not None else None, auth)
        encryption = source.encryption or (disk.encryption if place == 0 else None)
        if encryption is not None and encryption.cipher is not None:
            raise ConfigUnsupported(
                "supplying <cipher> for domain disk definition is unnecessary", path="encryption/cipher"
            )
        store = source.data_store
        if store is None:
            continue
        path = "source/dataStore"
        if format_ is not StorageFormat.QCOW2:
            raise ConfigUnsupported("<dataStore> feature available only with qcow2 images", path=path)
        if store.format != StorageFormat.RAW:
            raise ConfigUnsupported("only 'raw' images supported as <dataStore>", path=path)
        if store.source is not None and store.source.data_store is not None:
            raise XMLError(
                "The <source> of <dataStore> can't have another nested <dataStore> or <backingStore> element",
                path=path,
            )
        if store.source is not None and store.source.slices:
            raise XMLError("slices are not supported for <dataStore>", path=path)


def _validate_network(source: NetworkSource, usage: str | None, auth: object | None) -> None:
    path = "source"
    if source.protocol is NetProtocol.SHEEPDOG:
        raise ConfigUnsupported(
            "'sheepdog' protocol is no longer supported by any hypervisor driver", path=f"{path}/@protocol"
        )
    if auth is None:
        return
    if source.protocol is not NetProtocol.NONE and source.protocol not in _AUTHENTICATED:
        raise ConfigUnsupported(
            f"authentication is not supported for protocol '{source.protocol}'", path=f"{path}/auth"
        )
    if usage not in _SECRET_TYPES:
        raise ConfigUnsupported(
            f"unknown secret type '{'<null>' if usage is None else usage}'", path=f"{path}/auth/secret/@type"
        )
    wanted = {NetProtocol.ISCSI: "iscsi", NetProtocol.RBD: "ceph"}.get(source.protocol)
    if wanted is not None and usage != wanted:
        raise ConfigUnsupported(f"invalid secret type '{usage}'", path=f"{path}/auth/secret/@type")


def _validate_lun(disk: Disk) -> None:
    source = disk.source
    if isinstance(source, NetworkSource):
        if source.protocol is not NetProtocol.ISCSI:
            raise ConfigUnsupported(
                f"disk device='lun' is not supported for protocol='{source.protocol}'",
                path="source/@protocol",
            )
    elif disk.type not in ("block", "volume"):
        raise ConfigUnsupported("disk device='lun' is only valid for block type disk source", path="@type")
    if disk.driver is not None and disk.driver.type not in (None, StorageFormat.RAW):
        raise ConfigUnsupported("disk device 'lun' must use 'raw' format", path="driver/@type")
    if source is not None and source.slices:
        raise ConfigUnsupported("disk device 'lun' doesn't support storage slice", path="source/slices")
    encryption = disk.encryption or (source.encryption if source is not None else None)
    if encryption is not None and encryption.format != "default":
        raise ConfigUnsupported("disk device 'lun' doesn't support encryption", path="encryption")


def _validate_bus(disk: Disk) -> None:
    target, driver = disk.target, disk.driver
    assert target is not None
    if disk.address is not None and target.bus in _DRIVE_BUSES and not isinstance(disk.address, DriveAddress):
        from virtcore.xml import declaration

        raise ConfigUnsupported(
            f"Invalid address type '{declaration(type(disk.address)).tag}' for the disk '{target.dev}' "
            f"with the bus type '{target.bus}'",
            path="address/@type",
        )
    if target.bus is DiskBus.VIRTIO:
        return
    if disk.model is not None:
        raise ConfigUnsupported(f"disk model '{disk.model}' not supported for bus '{target.bus}'", path="@model")
    if driver is None:
        return
    if driver.queues:
        raise ConfigUnsupported(
            "queues attribute in disk driver element is only supported for virtio bus", path="driver/@queues"
        )
    if driver.queue_size:
        raise ConfigUnsupported(
            "queue_size attribute in disk driver is only supported for virtio bus", path="driver/@queue_size"
        )
    for name in ("event_idx", "ioeventfd"):
        if getattr(driver, name) is not None:
            raise ConfigUnsupported(f"disk {name} mode supported only for virtio bus", path=f"driver/@{name}")
    refuse_virtio_options(driver)


def _validate_vhost_user(disk: Disk) -> None:
    """A vhost-user disk is served by another process: hardly anything of libvirt's own applies to it."""
    target, driver, source = disk.target, disk.driver, disk.source
    assert target is not None
    assert source is not None
    if target.bus is not DiskBus.VIRTIO:
        raise ConfigUnsupported("vhostuser disk supports only virtio bus", path="target/@bus")
    if disk.snapshot is not SnapshotLocation.NO:
        raise ConfigUnsupported("only snapshot=no is supported with vhostuser disk", path="@snapshot")
    geometry = disk.geometry
    blockio = disk.blockio
    backing = disk.backing_store
    unsupported: dict[str, object] = {}
    if driver is not None:
        unsupported |= {
            "cache": driver.cache not in (None, DiskCache.DEFAULT),
            "error_policy": driver.error_policy or driver.rerror_policy,
            "io": driver.io,
            "ioeventfd": driver.ioeventfd is not None,
            "copy_on_read": driver.copy_on_read is not None,
            "discard": driver.discard,
            "iothread": driver.iothread,
            "detect_zeroes": driver.detect_zeroes,
            "metadata_cache": driver.metadata_cache_max_size,
        }
    unsupported |= {
        "iotune": disk.iotune is not None and (disk.iotune.group_name or _limits_anything(disk.iotune)),
        "backingStore": backing is not None,
        "encryption": disk.encryption or source.encryption,
        "readonly": disk.readonly,
        "shareable": disk.shareable,
        "transient": disk.transient,
        "serial": disk.serial,
        "wwn": disk.wwn,
        "vendor": disk.vendor,
        "product": disk.product,
        "auth": disk.auth or source.auth,
        "geometry": geometry is not None and (geometry.cyls or geometry.heads or geometry.secs or geometry.trans),
        "blockio": blockio is not None
        and (blockio.logical_block_size or blockio.physical_block_size or blockio.discard_granularity),
    }
    for name, given in unsupported.items():
        if given:
            raise ConfigUnsupported(f"{name} is not supported with vhostuser disk", path="source")


def _validate_names(disk: Disk) -> None:
    target = disk.target
    assert target is not None
    if disk.vendor is not None:
        if not printable(disk.vendor):
            raise XMLError("disk vendor is not printable string", path="vendor")
        if len(disk.vendor) > _VENDOR_LENGTH:
            raise ConfigUnsupported(f"disk vendor is more than {_VENDOR_LENGTH} characters", path="vendor")
    if disk.product is not None:
        length = _SCSI_PRODUCT_LENGTH if target.bus is DiskBus.SCSI else _PRODUCT_LENGTH
        if not printable(disk.product):
            raise XMLError("disk product is not printable string", path="product")
        if len(disk.product) > length:
            raise ConfigUnsupported(f"disk product is more than {length} characters", path="product")
    floppy = disk.device is DiskDevice.FLOPPY
    if floppy != (target.bus is DiskBus.FDC):
        what = "floppy disk" if floppy else "disk"
        raise InternalError(f"Invalid bus type '{target.bus}' for {what}", path="target/@bus")


def _validate_startup_policy(disk: Disk) -> None:
    policy = disk.source.startup_policy if disk.source is not None else None
    if policy is None:
        return
    path = "source/@startupPolicy"
    if not isinstance(disk.source, (VolumeSource, FileSource, BlockSource, DirSource)):
        raise XMLError(
            f"disk startupPolicy '{policy}' is not allowed for disk of '{disk.type}' type", path=path, value=policy
        )
    if disk.device not in _REMOVABLE_MEDIA and policy is StartupPolicy.REQUISITE:
        raise XMLError("disk startupPolicy 'requisite' is allowed only for cdrom or floppy", path=path, value=policy)


def _validate_target_name(disk: Disk, name: str) -> None:
    path = "target/@dev"
    if disk.device in (DiskDevice.DISK, DiskDevice.LUN, None) and not name.startswith(_DISK_NAMES):
        raise InternalError(f"Invalid harddisk device name: {name}", path=path, value=name)
    if disk.device is DiskDevice.FLOPPY and not name.startswith("fd"):
        raise InternalError(f"Invalid floppy device name: {name}", path=path, value=name)


def _validate_driver(disk: Disk) -> None:
    driver = disk.driver
    if driver is None:
        return
    path = "driver"
    if driver.discard_no_unref:
        if driver.type is not StorageFormat.QCOW2:
            raise ConfigUnsupported(
                "'discard_no_unref' only works with qcow2 disk format", path=f"{path}/@discard_no_unref"
            )
        if disk.readonly:
            raise ConfigUnsupported(
                "'discard_no_unref' is not compatible with read-only disk", path=f"{path}/@discard_no_unref"
            )
    if driver.iothread and driver.iothreads:
        raise XMLError(
            "disk driver 'iothread' attribute can't be used together with 'iothreads' subelement",
            path=f"{path}/@iothread",
        )


def _limits_anything(tune: IOTune) -> bool:
    return any(getattr(tune, f"{name}{kind}") for name in _LIMITS for kind in ("", "_max", "_max_length")) or bool(
        tune.size_iops_sec
    )


def _validate_throttle_filters(disk: Disk, name: str) -> None:
    if not disk.throttle_filters:
        return
    path = "throttlefilters"
    tune = disk.iotune
    if tune is not None and (tune.group_name is not None or _limits_anything(tune)):
        raise OperationUnsupported(
            f"block 'throttlefilters' can't be used together with 'iotune' for disk '{name}'", path=path
        )
    if disk.device is DiskDevice.CDROM:
        raise OperationUnsupported("cdrom device with throttle filters isn't supported", path=path)


def validate_iotune(tune: IOTune | ThrottleGroup) -> None:
    """A limit for both directions excludes one for each."""
    for unit in ("bytes_sec", "iops_sec", "bytes_sec_max", "iops_sec_max"):
        if getattr(tune, f"total_{unit}") and (getattr(tune, f"read_{unit}") or getattr(tune, f"write_{unit}")):
            raise XMLError(f"total and read/write {unit} cannot be set at the same time", path="iotune")
