"""Disks: ``disk``, whose strings both formats write differently."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_xen.config.disk_syntax import parse_disk
from virt_xen.config.rbd import format_rbd, parse_rbd
from virt_xen.config.settings import in_list
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.disk import Disk, DiskBus, DiskDevice, DiskDriver, DiskTarget
from virtcore.model.domain.os import OSType
from virtcore.model.storage.source import (
    BlockSource,
    DirSource,
    FileSource,
    NetworkSource,
    Source,
    StorageFormat,
    StorageType,
)

if TYPE_CHECKING:
    from virt_xen.config.settings import Output, Settings
    from virtcore.model.domain.domain import Domain

__all__ = ["host_path", "read_disks_xl", "read_disks_xm", "write_disks_xl", "write_disks_xm"]

log = logging.getLogger("virtcore")

#: Names of formats: libvirt's, and what xl calls them when it reads and when libvirt writes them.
_FORMATS = {
    "raw": StorageFormat.RAW,
    "qcow": StorageFormat.QCOW,
    "qcow2": StorageFormat.QCOW2,
    "qed": StorageFormat.QED,
    "vhd": StorageFormat.VHD,
    "xvhd": StorageFormat.VHD,
}
_WRITTEN = {format: name for name, format in _FORMATS.items()}
#: Who serves a disk: what xl calls it, what libvirt does.
_DRIVERS = {None: "qemu", "qdisk": "qemu", "tap": "tap", "phy": "phy"}
_BACKENDS = {"qemu": "qdisk", "file": "qdisk", "tap": "tap", "tap2": "tap", "phy": "phy"}
_TAP = ("tap", "tap2")


def _bus(name: str, *, full: bool) -> DiskBus:
    """The bus of a disk with this name in the guest."""
    if name.startswith("xvd") or not full:
        return DiskBus.XEN
    return DiskBus.SCSI if name.startswith("sd") else DiskBus.IDE


def host_path(source: Source | None) -> str | None:
    """The file, device or folder of an image; None where it is nothing of the kind."""
    if isinstance(source, FileSource):
        return source.file
    if isinstance(source, BlockSource):
        return source.dev
    return source.dir if isinstance(source, DirSource) else None


def _refuse_transient(disk: Disk) -> None:
    if disk.transient is not None:
        raise ConfigUnsupported("transient disks not supported yet")


def _written(domain: Domain) -> list[Disk]:
    """Disks that configurations have; floppies are left out."""
    assert domain.devices is not None
    return [disk for disk in domain.devices.disks if disk.device is not DiskDevice.FLOPPY]


def _target(disk: Disk) -> str:
    return (disk.target.dev if disk.target is not None else None) or ""


# -- xl


def read_disks_xl(settings: Settings, domain: Domain) -> None:
    """Disks in xl's syntax.

    :raises VirtError: one is malformed, or served by nobody libvirt knows.
    """
    assert domain.devices is not None
    full = domain.os_type is OSType.HVM
    for entry in settings.strings("disk"):
        domain.devices.disks.append(_read_xl(entry, full))


def _read_xl(entry: str, full: bool) -> Disk:
    spec = parse_disk(entry)
    disk = Disk(
        type=StorageType.FILE,
        device=DiskDevice.CDROM if spec.cdrom else DiskDevice.DISK,
        target=DiskTarget(dev=spec.vdev, bus=_bus(spec.vdev, full=full)),
        readonly=not spec.readwrite,
    )
    if spec.cdrom:
        # Whatever was said, it is a file that QEMU reads.
        disk.driver = DiskDriver(name="qemu", type=StorageFormat.RAW)
        disk.source = FileSource(file=spec.target) if spec.target is not None else None
        return disk
    if spec.backend not in _DRIVERS:
        raise ConfigUnsupported(f"disk backend not supported: {spec.backend}", value=spec.backend)
    driver = disk.driver = DiskDriver(name=_DRIVERS[spec.backend], type=_FORMATS.get(spec.format or "raw"))
    target = spec.target or ""
    if target.startswith("rbd:") and driver.name == "qemu":
        # The backslashes are doubled for the file's sake.
        disk.type, disk.source = StorageType.NETWORK, parse_rbd(target.replace("\\\\", "\\"))
    elif driver.name == "phy":
        disk.type, disk.source = StorageType.BLOCK, BlockSource(dev=target)
    else:
        disk.source = FileSource(file=target)
    return disk


def write_disks_xl(domain: Domain, output: Output) -> None:
    """Disks in xl's syntax.

    :raises VirtError: one has what xl has not.
    """
    output.set_list("disk", list(map(_write_xl, _written(domain))))


def _write_xl(disk: Disk) -> str:
    driver = disk.driver or DiskDriver()
    name = _WRITTEN.get(driver.type, "raw") if driver.type is not None else "raw"
    access = "ro" if disk.readonly else "!" if disk.shareable else "rw"
    _refuse_transient(disk)
    words = [f"format={name}", f"vdev={in_list(_target(disk), 'vdev')}", f"access={access}"]
    if driver.name is not None:
        if driver.name not in _BACKENDS:
            raise ConfigUnsupported(f"libxenlight does not support disk driver {driver.name}", value=driver.name)
        words.append(f"backendtype={_BACKENDS[driver.name]}")
    if disk.device is DiskDevice.CDROM:
        words.append("devtype=cdrom")
    # By name it takes the rest of the string, whatever stands there.
    source = disk.source
    target = format_rbd(source, doubled=True) if isinstance(source, NetworkSource) else host_path(source)
    if target is not None:
        words.append(f"target={target}")
    return ",".join(words)


# -- xm


def read_disks_xm(settings: Settings, domain: Domain) -> None:
    """Disks in xm's syntax. One that cannot be understood is left out, as libvirt does, with a warning in the log.

    :raises InternalError: it is a list of other things than strings.
    """
    assert domain.devices is not None
    if settings.get("disk") is None:
        return
    entries = settings.items("disk")
    if not isinstance(settings.get("disk"), list) or len(settings.strings("disk")) != len(entries):
        raise InternalError("memory conf: expected a string list for 'disk' parameter")
    full = domain.os_type is OSType.HVM
    for entry in settings.strings("disk"):
        disk = _read_xm(entry, full)
        if disk is None:
            log.warning("disk '%s' is left out: it is malformed", entry)
        else:
            domain.devices.disks.append(disk)


def _read_xm(entry: str, full: bool) -> Disk | None:
    """``driver:[format:]source,target[:cdrom],mode``; None where it is none."""
    parts = entry.split(",", 2)
    if len(parts) != 3:
        return None
    source, target, mode = parts
    target = target.removeprefix("ioemu:")
    driver = DiskDriver(name="phy")
    if source:
        name, colon, rest = source.partition(":")
        if colon:
            driver.name, source = name, rest
        if driver.name in _TAP:
            kind, colon, source = source.partition(":")
            if not colon:
                return None
            try:
                driver.type = StorageFormat.RAW if kind == "aio" else StorageFormat(kind)
            except ValueError:
                return None
    name, colon, kind = target.partition(":")
    block = driver.name == "phy"
    disk = Disk(
        type=StorageType.BLOCK if block else StorageType.FILE,
        device=DiskDevice.CDROM if kind == "cdrom" else DiskDevice.DISK,
        driver=driver,
        target=DiskTarget(dev=name, bus=_bus(name, full=full)),
        readonly=mode in ("r", "ro"),
        shareable=mode in ("w!", "!"),
    )
    # An empty drive is still a block device.
    disk.source = BlockSource(dev=source or None) if block else FileSource(file=source or None)
    return disk


def write_disks_xm(domain: Domain, output: Output) -> None:
    """Disks in xm's syntax.

    :raises VirtError: one has what xm has not.
    """
    output.set_list("disk", list(map(_write_xm, _written(domain))))


def _write_xm(disk: Disk) -> str:
    driver = disk.driver or DiskDriver()
    path = host_path(disk.source)
    if path is None and disk.source is not None and not isinstance(disk.source, FileSource | BlockSource | DirSource):
        raise InternalError(f"unsupported disk type {disk.type}")
    text = ""
    if path is not None:
        if driver.type is not None:
            if driver.name is not None:
                text = f"{in_list(driver.name, 'driver')}:"
            if driver.name in _TAP:
                text += f"{'aio' if driver.type is StorageFormat.RAW else driver.type}:"
        elif disk.type in (None, StorageType.FILE):
            text = "file:"
        elif disk.type is StorageType.BLOCK:
            text = "phy:"
        else:
            raise InternalError(f"unsupported disk type {disk.type}")
        text += in_list(path, "source")
    _refuse_transient(disk)
    kind = ":cdrom" if disk.device is DiskDevice.CDROM else ""
    mode = "r" if disk.readonly else "!" if disk.shareable else "w"
    return f"{text},{in_list(_target(disk), 'target')}{kind},{mode}"
