"""Disks: the layers of the image and the device the guest sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virt_qemu.block.image import MANAGED_HELPER, disk_image
from virt_qemu.block.layers import CACHES
from virt_qemu.block.tls import name_credentials
from virt_qemu.command.address import controller_alias, place, scsi_address, thread_mapping, virtio
from virt_qemu.command.controllers import has_builtin_ide
from virt_qemu.command.images import add_image
from virt_qemu.command.line import Builder, switch
from virt_qemu.command.machine import is_q35
from virt_qemu.command.sd_cards import add_sd_card
from virt_qemu.disks.throttling import group_id, group_properties
from virt_qemu.private_data import DiskPrivate, NodeName
from virt_qemu.rules.machine import Machine
from virtcore.errors import ConfigUnsupported, InternalError
from virtcore.model.domain.address import DriveAddress
from virtcore.model.domain.controller import IDEController, SATAController
from virtcore.model.domain.disk import DiskBus, DiskCache, DiskDevice, DiskErrorPolicy
from virtcore.model.domain.hostdev import SCSIHostdev
from virtcore.model.storage.source import (
    BlockSource,
    FileSource,
    StorageFormat,
    VhostUserSource,
)

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk, DiskDriver
    from virtcore.model.storage.source import NetProtocol, Source

__all__ = [
    "add_disk",
    "add_disks",
    "add_drive",
    "add_reservations_helper",
    "add_throttle_groups",
    "disk_path",
    "image_numbers",
    "is_empty",
    "number_images",
    "prepare_disks",
    "settle_cache",
]


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


def prepare_disks(domain: Domain, tls: Mapping[NetProtocol, ImageTLS]) -> tuple[dict[int, int], int]:
    """Settle what a start settles: the cache of shared disks, and the number of every image, by which its nodes are
    named (disks first, the last one begins); the same ones when it is done again. Returns the numbers of SCSI devices
    of the host, by ``id()``, and the last number.

    :param tls: how the host reaches servers of images.
    """
    assert domain.devices is not None
    number, nodes = 0, {}
    for disk in reversed(domain.devices.disks):
        settle_cache(disk)
        number = number_images(disk, number, tls)
    for hostdev in domain.devices.hostdevs:
        if isinstance(hostdev, SCSIHostdev):
            number += 1
            nodes[id(hostdev)] = number
    return nodes, number


def settle_cache(disk: Disk) -> None:
    """Let guests that share a disk not see each other's writes late."""
    driver = disk.driver
    if disk.shareable and not disk.readonly and driver is not None and driver.cache in (None, DiskCache.DEFAULT):
        driver.cache = DiskCache.NONE


def number_images(disk: Disk, number: int, tls: Mapping[NetProtocol, ImageTLS]) -> int:
    """Number the images in a drive, the top one first; an empty drive takes a number, too. Those on servers that are
    reached encrypted get certificates by that number.

    :param number: the last one that is taken; returned is the last one taken then.
    :param tls: how the host reaches servers of images.
    """
    number += 1
    if disk.source is not None and not is_empty(disk.source):
        disk.source.index = number
        name_credentials(disk.source, number, tls)
        number = _number_data_file(disk.source, number)
    backing = disk.backing_store
    while backing is not None and backing.source is not None:
        number += 1
        backing.index = number
        name_credentials(backing.source, number, tls)
        number = _number_data_file(backing.source, number)
        backing = backing.backing_store
    return _number_filters(disk, number)


def _number_filters(disk: Disk, number: int) -> int:
    """Name the nodes of a disk's throttle filters; returns the last number taken."""
    nodes = []
    for each in disk.throttle_filters:
        number += 1
        nodes.append(NodeName(type="throttle-filter", name=f"libvirt-{number}-filter", group=each.group))
    if nodes:
        known = disk.private_data if isinstance(disk.private_data, DiskPrivate) else DiskPrivate()
        known.nodes = [node for node in known.nodes if node.type != "throttle-filter"] + nodes
        disk.private_data = known
    return number


def filter_nodes(disk: Disk) -> list[NodeName]:
    """The nodes of a disk's throttle filters, the one next to the image first."""
    known = disk.private_data.nodes if isinstance(disk.private_data, DiskPrivate) else []
    return [node for node in known if node.type == "throttle-filter"]


def image_numbers(disk: Disk) -> list[int]:
    """The numbers of the images in a drive."""
    sources = [disk.source]
    numbers = []
    backing = disk.backing_store
    while backing is not None:
        numbers.append(backing.index)
        sources.append(backing.source)
        backing = backing.backing_store
    for source in sources:
        if source is not None:
            numbers.append(source.index)
            if source.data_store is not None and source.data_store.source is not None:
                numbers.append(source.data_store.source.index)
    return [number for number in numbers if number]


def _number_data_file(source: Source, number: int) -> int:
    """Number the data file of an image, if it has one, behind the image; returns the last number taken."""
    store = source.data_store
    if store is None or store.source is None:
        return number
    store.source.index = number + 1
    return number + 1


def add_reservations_helper(builder: Builder) -> None:
    """The guest's own helper for persistent reservations, if a disk uses it."""
    devices = builder.domain.devices
    assert devices is not None
    found = (disk.source.reservations for disk in devices.disks if disk.source is not None)
    if any(one is not None and one.managed for one in found):
        path = f"{builder.state_folder}/{MANAGED_HELPER}.sock"
        builder.object({"qom-type": "pr-manager-helper", "id": MANAGED_HELPER, "path": path})


def add_throttle_groups(builder: Builder) -> None:
    """The groups of limits that disks share."""
    for group in builder.domain.throttle_groups:
        builder.object(group_properties(group))


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
        add_disk(builder, disk, boot)


def add_disk(builder: Builder, disk: Disk, boot: Mapping[int, int]) -> None:
    """A disk: its images and the device the guest sees.

    :param boot: id of a device -> its place in the boot order.
    """
    if disk.device is DiskDevice.FLOPPY and Machine.of(builder.domain).pseries:
        raise ConfigUnsupported("PowerPC pseries machines do not support floppy device")
    if disk.target is not None and disk.target.bus is DiskBus.SD:
        add_sd_card(builder, disk)
        return
    top = add_drive(builder, disk)
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


def add_drive(builder: Builder, disk: Disk) -> str | None:
    """The image's layers, lowest first; returns the node the device uses, None for an empty drive."""
    if disk.source is None or is_empty(disk.source):
        if disk.device not in (DiskDevice.CDROM, DiskDevice.FLOPPY):
            raise InternalError(f"disk '{disk.target.dev if disk.target else ''}' has no source")
        return None
    driver = disk.driver
    if isinstance(disk.source, VhostUserSource):
        chardev: dict[str, object] = {"id": f"chr-vu-{disk.alias}", "path": disk.source.path}
        if disk.source.reconnect is not None and disk.source.reconnect.enabled:
            chardev |= builder.reconnect(disk.source.reconnect.timeout or 0)
        builder.options("-chardev", "socket", chardev)
        return None
    raw = driver is None or driver.type in (None, StorageFormat.RAW)
    cdrom = disk.device is DiskDevice.CDROM and raw and isinstance(disk.source, BlockSource)
    image = disk_image(
        disk,
        raw_layers=builder.raw_layers,
        host_cdrom=cdrom and builder.resources.is_cdrom(disk_path(disk.source) or ""),
        gluster_debug=builder.host.gluster_debug,
    )
    for each in reversed(list(image.chain())):
        add_image(builder, each)
    top = image.top()
    for node in filter_nodes(disk):
        group = group_id(node.group or "")
        props = {"driver": "throttle", "node-name": node.name, "throttle-group": group, "file": top}
        builder.json("-blockdev", props)
        top = node.name
    if driver is None or not driver.copy_on_read:
        return top
    name = f"libvirt-CoR-{disk.target.dev if disk.target is not None else ''}"
    builder.json("-blockdev", {"driver": "copy-on-read", "node-name": name, "file": top, "discard": "unmap"})
    return name


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
    writes_back = CACHES[cache][0] if cache in CACHES and disk.device is not DiskDevice.LUN else None
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
        "write-cache": switch(writes_back),
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
