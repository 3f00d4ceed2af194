"""Disks: the layers of the image and the device the guest sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.command.address import controller_alias, place, scsi_address, thread_mapping, virtio
from virt_qemu.command.controllers import has_builtin_ide
from virt_qemu.command.line import NULL, Builder, unsupported
from virt_qemu.command.machine import is_q35
from virt_qemu.command.storage import source_properties
from virtcore.errors import InternalError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.controller import IDEController, SATAController
from virtcore.model.domain.disk import BackingStore, DiskBus, DiskCache, DiskDevice, DiskDiscard, DiskErrorPolicy
from virtcore.model.domain.hostdev import SCSIHostdev
from virtcore.model.storage.secret import EncryptionEngine, EncryptionFormat
from virtcore.model.storage.source import BlockSource, FileSource, StorageFormat, VhostUserSource

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk, DiskDriver
    from virtcore.model.storage.secret import Auth, Encryption
    from virtcore.model.storage.source import Source

__all__ = ["add_disks", "add_reservations_helper", "disk_path", "prepare_disks"]

#: cache mode -> (device writes back, cache.direct, cache.no-flush)
_CACHES = {
    DiskCache.NONE: (True, True, False),
    DiskCache.WRITETHROUGH: (False, False, False),
    DiskCache.WRITEBACK: (True, False, False),
    DiskCache.DIRECTSYNC: (False, True, False),
    DiskCache.UNSAFE: (True, False, True),
}
_HELPER = "pr-helper0"
#: Formats whose QEMU driver has another name.
_FORMATS = {StorageFormat.PLOOP: "parallels", StorageFormat.VHD: "vhdx", StorageFormat.FAT: "raw"}
_BACKING_FORMATS = (StorageFormat.QCOW, StorageFormat.QCOW2, StorageFormat.QED, StorageFormat.VMDK)


def disk_path(source: Source | None) -> str | None:
    """The file or device behind a source; None for an empty drive."""
    if isinstance(source, FileSource):
        return source.file
    if isinstance(source, BlockSource):
        return source.dev
    return None


def is_empty(source: Source | None) -> bool:
    """Whether a drive holds nothing."""
    return source is None or (isinstance(source, FileSource | BlockSource) and disk_path(source) is None)


def prepare_disks(domain: Domain) -> dict[int, int]:
    """Settle what a start settles: the cache of shared disks, and the number of every image, by which its nodes are
    named (disks first, the last one begins). Returns the numbers of SCSI devices of the host, by ``id()``."""
    assert domain.devices is not None
    number, nodes = 0, {}
    for disk in reversed(domain.devices.disks):
        number += 1
        driver = disk.driver
        if disk.shareable and not disk.readonly and driver is not None and driver.cache in (None, DiskCache.DEFAULT):
            driver.cache = DiskCache.NONE  # several guests must not see each other's writes late
        if disk.source is not None and not is_empty(disk.source):
            disk.source.index = number
        backing = disk.backing_store
        while backing is not None and backing.source is not None:
            number += 1
            backing.index = number
            backing = backing.backing_store
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, SCSIHostdev):
            number += 1
            nodes[id(hostdev)] = number
    return nodes


def add_reservations_helper(builder: Builder) -> None:
    """The guest's own helper for persistent reservations, if a disk uses it."""
    devices = builder.domain.devices
    assert devices is not None
    found = (disk.source.reservations for disk in devices.disks if disk.source is not None)
    if any(one is not None and one.managed for one in found):
        path = f"{builder.state_folder}/{_HELPER}.sock"
        builder.object({"qom-type": "pr-manager-helper", "id": _HELPER, "path": path})


def add_disks(builder: Builder, boot: Mapping[int, int]) -> None:
    """Every disk, floppy drives included.

    :param boot: id of a device -> its place in the boot order.
    """
    devices = builder.domain.devices
    assert devices is not None
    _add_floppy_controller(builder, boot)
    for disk in devices.disks:
        if disk.transient is not None and disk.transient.share_backing:
            continue  # plugged in before the guest runs, once it has an overlay of its own
        top = _add_image(builder, disk)
        builder.device(_device(builder, disk, top, boot))


def _add_floppy_controller(builder: Builder, boot: Mapping[int, int]) -> None:
    """The floppy drives' controller where the machine has none, and which drive it boots from."""
    devices = builder.domain.devices
    assert devices is not None
    floppies = [disk for disk in devices.disks if disk.device is DiskDevice.FLOPPY]
    places: dict[str, object] = {}
    for disk in floppies:
        unit = disk.address.unit if isinstance(disk.address, DriveAddress) else 0
        if boot.get(id(disk)):
            places["bootindexB" if unit else "bootindexA"] = boot[id(disk)]
    if is_q35(builder):
        if floppies:
            builder.device({"driver": "isa-fdc"} | places)
        return
    for name, rank in places.items():
        builder.add("-global", f"isa-fdc.{name}={rank}")


def _add_image(builder: Builder, disk: Disk) -> str | None:
    """The image's layers, lowest first; returns the node the device uses, None for an empty drive."""
    if disk.source is None or is_empty(disk.source):
        if disk.device not in (DiskDevice.CDROM, DiskDevice.FLOPPY):
            raise InternalError(f"disk '{disk.target.dev if disk.target else ''}' has no source")
        return None
    driver = disk.driver
    if disk.throttle_filters:
        raise unsupported("throttling of a disk")
    if isinstance(disk.source, VhostUserSource):
        chardev: dict[str, object] = {"id": f"chr-vu-{disk.alias}", "path": disk.source.path}
        if disk.source.reconnect is not None and disk.source.reconnect.enabled:
            chardev |= builder.reconnect(disk.source.reconnect.timeout or 0)
        builder.options("-chardev", "socket", chardev)
        return None
    below = _add_backing(builder, disk.backing_store, driver)
    image_format = driver.type if driver is not None and driver.type is not None else StorageFormat.RAW
    cdrom = disk.device is DiskDevice.CDROM and image_format is StorageFormat.RAW
    floppy = disk.device is DiskDevice.FLOPPY
    top = _add_layers(
        builder,
        disk.source,
        disk.source.index,
        image_format,
        driver,
        disk.readonly,
        below,
        cdrom=cdrom,
        floppy=floppy,
        auth=disk.source.auth or disk.auth,
        encryption=disk.source.encryption or disk.encryption,
        cache_size=driver.metadata_cache_max_size if driver is not None else None,
    )
    if driver is None or not driver.copy_on_read:
        return top
    name = f"libvirt-CoR-{disk.target.dev if disk.target is not None else ''}"
    builder.json("-blockdev", {"driver": "copy-on-read", "node-name": name, "file": top, "discard": "unmap"})
    return name


def _add_backing(builder: Builder, backing: BackingStore | None, driver: DiskDriver | None) -> object:
    """The images below; returns the node of the next one, JSON's null where the chain ends, None where it is open."""
    if backing is None:
        return None
    if backing.source is None:
        return NULL
    if backing.format is None or backing.format.type is None:
        raise unsupported("a backing image of unknown format")
    below = _add_backing(builder, backing.backing_store, driver)
    return _add_layers(
        builder,
        backing.source,
        backing.index,
        backing.format.type,
        driver,
        True,
        below,
        auth=backing.source.auth,
        encryption=backing.source.encryption,
        cache_size=backing.format.metadata_cache_max_size,
    )


def _add_layers(
    builder: Builder,
    source: Source,
    number: int | None,
    image_format: StorageFormat,
    driver: DiskDriver | None,
    readonly: bool,
    below: object,
    *,
    cdrom: bool = False,
    floppy: bool = False,
    auth: Auth | None = None,
    encryption: Encryption | None = None,
    cache_size: int | None = None,
) -> str:
    if source.data_store is not None:
        raise unsupported("a data file of an image")
    reservations = _reservations(builder, source, number)
    if isinstance(source, FileSource) and source.fdgroup is not None:
        raise unsupported("an image on passed descriptors")
    common: dict[str, object] = {"read-only": readonly}
    cache: dict[str, object] = {}
    if driver is not None:
        zeroes = driver.detect_zeroes
        # Turning zeroes into discards needs discards.
        if zeroes == "unmap" and driver.discard is not DiskDiscard.UNMAP:
            common["detect-zeroes"] = "on"
        elif zeroes is not None:
            common["detect-zeroes"] = str(zeroes)
        if driver.discard is not None:
            common = {"read-only": readonly, "discard": str(driver.discard)} | common
        if driver.cache in _CACHES:
            _, direct, no_flush = _CACHES[driver.cache]
            cache = {"cache": {"direct": direct, "no-flush": no_flush}}
    by_server = encryption is not None and encryption.engine is EncryptionEngine.LIBRBD
    plain = image_format is StorageFormat.RAW and not builder.raw_layers and (encryption is None or by_server)
    top = f"libvirt-{number}-{'storage' if plain else 'format'}"
    encrypt = _encrypt(builder, encryption, top) if encryption is not None and by_server else None
    storage = source_properties(
        builder,
        source,
        node=f"libvirt-{number}-storage",
        floppy=floppy,
        cdrom=cdrom,
        writable=not readonly,
        auth=auth,
        encrypt=encrypt,
    )
    if encryption is not None and not by_server:
        encrypt = _encrypt(builder, encryption, top)
    local = isinstance(source, FileSource | BlockSource)
    storage |= {
        "pr-manager": reservations,
        "aio": str(driver.io) if local and driver is not None and driver.io is not None else None,
        "node-name": f"libvirt-{number}-storage",
    }
    node, relaxed = f"libvirt-{number}-storage", {"auto-read-only": True, "discard": "unmap"} | cache
    for part in source.slices:
        builder.json("-blockdev", storage | relaxed)
        storage = {"driver": "raw", "file": node, "offset": part.offset, "size": part.size}
        node = f"libvirt-{number}-slice-sto"
        storage["node-name"] = node
    if plain:
        # Nothing to interpret: the device uses the storage itself.
        builder.json("-blockdev", storage | common | cache)
        return node
    builder.json("-blockdev", storage | relaxed)
    layer: dict[str, object] = {"node-name": f"libvirt-{number}-format"} | common | cache
    layer["driver"] = _FORMATS.get(image_format, str(image_format))
    if encrypt is not None and not by_server:
        if image_format is StorageFormat.RAW:
            layer |= {"driver": "luks", "key-secret": encrypt["key-secret"]}
        else:
            layer["encrypt"] = encrypt
    if image_format is StorageFormat.QCOW2:
        layer["cache-size"] = cache_size or None
        layer["discard-no-unref"] = driver.discard_no_unref if driver is not None else None
    layer["file"] = node
    if image_format in _BACKING_FORMATS:
        layer["backing"] = below
    builder.json("-blockdev", layer)
    return f"libvirt-{number}-format"


def _reservations(builder: Builder, source: Source, number: int | None) -> str | None:
    """Id of the helper that makes persistent reservations: the guest's own, or one that the user runs."""
    wanted = source.reservations
    if wanted is None:
        return None
    if wanted.managed:
        return _HELPER
    name = f"pr-helper-libvirt-{number}-storage"
    path = wanted.source.path if wanted.source is not None else None
    builder.object({"qom-type": "pr-manager-helper", "id": name, "path": path})
    return name


def _encrypt(builder: Builder, encryption: Encryption, node: str) -> dict[str, object]:
    """How an image is encrypted, and the secret that opens it."""
    if len(encryption.secrets) != 1:
        raise unsupported("several secrets of an encrypted image")
    key = builder.secret(f"{node}-encryption-secret0", encryption.secrets[0])
    name = "aes" if encryption.format is EncryptionFormat.QCOW else str(encryption.format)
    return {"format": name, "key-secret": key}


def _drive_address(builder: Builder, disk: Disk, bus: DiskBus) -> dict[str, object]:
    domain, address = builder.domain, disk.address
    if not isinstance(address, DriveAddress):
        return place(builder, disk)
    controller, unit = address.controller or 0, address.unit or 0
    if bus is DiskBus.IDE:
        alias = "ide" if has_builtin_ide(domain) else controller_alias(domain, IDEController, controller)
        return {"bus": f"{alias}.{address.bus or 0}", "unit": unit}
    if bus is DiskBus.SATA:
        builtin = is_q35(builder) and controller == 0
        return {"bus": f"{'ide' if builtin else controller_alias(domain, SATAController, controller)}.{unit}"}
    if bus is DiskBus.FDC:
        return {"unit": unit}
    if bus is not DiskBus.SCSI:
        raise InternalError(f"address type drive is not supported for bus '{bus}'")
    return scsi_address(builder, disk)


def _device(builder: Builder, disk: Disk, top: str | None, boot: Mapping[int, int]) -> dict[str, object]:
    target, driver = disk.target, disk.driver
    if target is None or target.bus is None:
        raise InternalError("a disk was not completed")
    bus = target.bus
    props: dict[str, object]
    model = product = removable = device_id = None
    if bus in (DiskBus.IDE, DiskBus.SATA):
        props = {"driver": "ide-cd" if disk.device is DiskDevice.CDROM else "ide-hd"}
        model = disk.product
    elif bus is DiskBus.SCSI:
        names = {DiskDevice.LUN: "scsi-block", DiskDevice.CDROM: "scsi-cd"}
        props = {"driver": names.get(disk.device or DiskDevice.DISK, "scsi-hd")}
        removable = target.removable if props["driver"] == "scsi-hd" else None
        product = disk.product
        if disk.device is not DiskDevice.LUN:
            # What guests saw before images were given as nodes: it must not change.
            device_id = disk.serial if disk.serial is not None else f"drive-{disk.alias}"
    elif bus is DiskBus.VIRTIO:
        props = _virtio_properties(builder, disk)
    elif bus is DiskBus.USB:
        props = {"driver": "usb-storage"}
        removable = bool(target.removable)
    elif bus is DiskBus.FDC:
        props = {"driver": "floppy"}
    else:
        raise InternalError(f"unsupported disk bus '{bus}' with device setup")
    props |= _drive_address(builder, disk, bus)
    cache = driver.cache if driver is not None else None
    writes_back = _CACHES[cache][0] if cache in _CACHES and disk.device is not DiskDevice.LUN else None
    blockio, geometry = disk.blockio, disk.geometry
    whole = geometry if geometry is not None and geometry.is_complete else None
    writes, reads = _error_policies(driver)
    return props | {
        "device_id": device_id,
        "share-rw": True if disk.shareable else None,
        "drive": top,
        "chardev": f"chr-vu-{disk.alias}" if isinstance(disk.source, VhostUserSource) else None,
        "id": disk.alias,
        "bootindex": boot.get(id(disk)) if disk.device is not DiskDevice.FLOPPY else None,
        "loadparm": builder.loadparm(disk.loadparm, boot.get(id(disk))),
        "logical_block_size": blockio.logical_block_size or None if blockio is not None else None,
        "physical_block_size": blockio.physical_block_size or None if blockio is not None else None,
        "discard_granularity": blockio.discard_granularity or None if blockio is not None else None,
        "wwn": int(disk.wwn, 16) if disk.wwn is not None else None,
        "rotation_rate": target.rotation_rate or None,
        "vendor": disk.vendor,
        "product": product,
        "model": model,
        "removable": removable,
        "write-cache": None if writes_back is None else "on" if writes_back else "off",
        "cyls": whole.cyls if whole is not None else None,
        "heads": whole.heads if whole is not None else None,
        "secs": whole.secs if whole is not None else None,
        "bios-chs-trans": str(geometry.trans) if geometry is not None and geometry.trans is not None else None,
        "serial": disk.serial.replace(" ", "\\ ") if disk.serial is not None else None,
        "werror": writes,
        "rerror": reads,
    }


def _virtio_properties(builder: Builder, disk: Disk) -> dict[str, object]:
    driver = disk.driver
    has = builder.capabilities.has
    scsi = None
    if has("virtio-blk-pci.scsi"):
        if disk.device is DiskDevice.LUN:
            scsi = True
        elif not has("virtio-blk-pci.scsi.default.disabled"):
            scsi = False
    if isinstance(disk.source, VhostUserSource):
        props = virtio("vhost-user-blk", disk, disk.model, driver)
        return props | {"num-queues": driver.queues or None if driver is not None else None}
    props = virtio("virtio-blk", disk, disk.model, driver)
    if driver is None:
        return props | {"scsi": scsi}
    return props | {
        "iothread": f"iothread{driver.iothread}" if driver.iothread else None,
        "ioeventfd": driver.ioeventfd,
        "event_idx": driver.event_idx,
        "scsi": scsi,
        "num-queues": driver.queues or None,
        "queue-size": driver.queue_size or None,
        "iothread-vq-mapping": thread_mapping(driver.iothreads),
    }


def _error_policies(driver: DiskDriver | None) -> tuple[str | None, str | None]:
    """What write and read errors do."""
    if driver is None:
        return None, None
    writes = str(driver.error_policy) if driver.error_policy is not None else None
    reads = str(driver.rerror_policy) if driver.rerror_policy is not None else None
    if driver.error_policy is DiskErrorPolicy.ENOSPACE:
        return "enospc", reads
    return writes, reads if reads is not None else writes
