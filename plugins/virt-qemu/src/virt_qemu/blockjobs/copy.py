"""Copy: a disk is mirrored to another place, to which the guest can be switched over (``blockdev-mirror``)."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

from virt_qemu.block.chain import complete_chain, format_of, images_of
from virt_qemu.block.create import create_storage_options
from virt_qemu.block.nodes import Attaching
from virt_qemu.block.running import NamedNodes, create_image, disk_images
from virt_qemu.block.tls import settle_image_tls
from virt_qemu.block_jobs import BlockJob, JobDisk
from virt_qemu.blockjobs.lookup import Chain
from virt_qemu.blockjobs.state import find_job
from virt_qemu.blockjobs.transitions import mirrored
from virt_qemu.command.disks import number_images
from virt_qemu.guest import guest_of
from virt_qemu.volumes import find_volumes
from virtcore.enums.domain_more import DomainBlockCopyFlags as Flags
from virtcore.errors import ConfigUnsupported, InvalidArg, OperationInvalid, SystemError
from virtcore.model.domain.disk import BackingFormat, BackingStore, BlockJob as MirrorJob, DiskMirror
from virtcore.model.storage.location import source_path
from virtcore.model.storage.source import BlockSource, FileSource, StorageFormat, StorageType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.blockjobs.state import BlockJobState
    from virt_qemu.guest import Guest
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain.disk import Disk
    from virtcore.model.storage.source import NetProtocol

__all__ = ["begin_copy"]


async def begin_copy(
    state: BlockJobState,
    obj: DomainObject,
    name: str,
    destination: Disk,
    flags: int,
    *,
    bandwidth: int = 0,
    granularity: int = 0,
    buffer: int = 0,
) -> None:
    """Begin a copy. Called with the domain's job held.

    :param destination: where to: its source, the format of its driver, and a chain if it has one.
    :param flags: ``DomainBlockCopyFlags``.
    :param bandwidth: bytes a second, 0 for no limit.
    :param granularity: bytes that are copied at once, 0 for what QEMU chooses; likewise for the buffer.
    :raises VirtError: it cannot be begun; nothing was made that is not removed again.
    """
    guest = guest_of(obj)
    disk = state.disk_for_job(obj, name)
    if obj.persistent and not flags & Flags.TRANSIENT_JOB:
        raise OperationInvalid("domain is not transient")
    await find_volumes(state.host_side.services, (destination,))
    chain = Chain.of(guest, disk)
    if len(chain.links) == 1:
        flags &= ~Flags.SHALLOW  # one layer is all there is
    reuse = _check_destination(destination, chain.target, bool(flags & Flags.REUSE_EXT))
    mirror = _mirror(destination, disk, reuse)
    shallow = bool(flags & Flags.SHALLOW)
    if shallow and format_of(mirror) is StorageFormat.RAW:
        raise InvalidArg(f"shallow copy of disk '{chain.target}' into a raw file is not possible")
    if not reuse and not shallow:
        mirror.backing_store = BackingStore()
    elif reuse:
        complete_chain(mirror)
    inherits = shallow and not reuse
    tls = state.image_tls
    settle_image_tls(mirror.source, tls)
    _number(guest, disk, mirror, tls)
    disk.mirror = mirror
    job = BlockJob(
        name=f"copy-{chain.target}-{chain.nodes[0]}",
        type="copy",
        state="new",
        flags=flags,
        shallow_new=inherits or None,
        disk=JobDisk(target=chain.target),
    )
    arguments: dict[str, object] = {
        "device": chain.nodes[0],
        "target": disk_images(guest, mirrored(disk))[0].top(),
        "sync": "top" if shallow else "full",
        "auto-finalize": True,
        "auto-dismiss": False,
    }
    limits = {"speed": bandwidth, "granularity": granularity, "buf-size": buffer}
    arguments |= {key: value for key, value in limits.items() if value}
    if flags & Flags.SYNCHRONOUS_WRITES:
        arguments["copy-mode"] = "write-blocking"
    made = None if reuse or not isinstance(mirror.source, FileSource) else mirror.source.file
    sources = [link.source for link in images_of(mirror) if link.source is not None]
    try:
        async with Attaching(guest, await state.secrets_for(mirror.source), tls) as attaching:
            await _open_mirror(guest, attaching, disk, reuse=reuse, inherits=inherits, chain=chain)
            await state.begin_block_job(obj, job, "blockdev-mirror", arguments)
    except BaseException:
        if find_job(guest, name=job.name) is not job:
            disk.mirror = None
            obj.touch()
            await state.dismiss_images(obj, guest, sources)
            if made is not None and os.path.exists(made):
                os.unlink(made)
        raise


def _mirror(destination: Disk, disk: Disk, reuse: bool) -> DiskMirror:
    """The ``<mirror>`` of a copy."""
    told = destination.driver.type if destination.driver is not None else None
    source = destination.source
    assert source is not None
    if told is None:
        told = _probe(source_path(source) or "") if reuse else format_of(disk)
    return DiskMirror(
        type=destination.type or StorageType.FILE,
        file=source.file if isinstance(source, FileSource) else None,
        format_name=str(told) if isinstance(source, FileSource) else None,
        job=MirrorJob.COPY,
        format=BackingFormat(type=told),
        source=source,
        backing_store=destination.backing_store,
    )


def _probe(path: str) -> StorageFormat:
    """Format of an image that was made for the copy."""
    from virtcore.model.storage.image_header import HEADER_SIZE, probe_format

    try:
        with open(path, "rb") as file:
            return probe_format(file.read(HEADER_SIZE))
    except OSError as error:
        raise SystemError(f"cannot read header '{path}': {error.strerror}") from error


def _check_destination(destination: Disk, target: str, reuse: bool) -> bool:
    """Refuse a place that cannot take a copy; whether the image is there already, to be used as it is.

    :raises VirtError: as libvirt does.
    """
    source = destination.source
    if source is None:
        raise InvalidArg(f"missing destination file for disk {target}")
    path = source_path(source)
    if not isinstance(source, FileSource | BlockSource) or path is None:
        if _cannot_be_made(destination) and not reuse:
            raise ConfigUnsupported("non-file destination not supported yet")
        return reuse
    try:
        found = os.stat(path)
    except FileNotFoundError as error:
        if reuse or isinstance(source, BlockSource):
            raise SystemError(f"missing destination file for disk {target}: {path}: {error.strerror}") from None
        return False
    except OSError as error:
        raise SystemError(f"unable to stat for disk {target}: {path}: {error.strerror}") from None
    device = stat.S_ISBLK(found.st_mode)
    if not device and found.st_size and not reuse:
        raise ConfigUnsupported(
            f"external destination file for disk {target} already exists and is not a block device: {path}"
        )
    if isinstance(source, BlockSource) and not device:
        raise InvalidArg(f"blockdev flag requested for disk {target}, but file '{path}' is not a block device")
    return reuse


def _cannot_be_made(destination: Disk) -> bool:
    """Whether QEMU cannot make the storage of a destination on the network."""
    from virt_qemu.block.image import source_image

    assert destination.source is not None
    return create_storage_options(source_image(destination.source, StorageFormat.RAW, 0), 0) is None


def _number(guest: Guest, disk: Disk, mirror: DiskMirror, tls: Mapping[NetProtocol, ImageTLS]) -> None:
    """Give the images of the copy numbers of their own."""
    last = guest.node_index
    disk.mirror = mirror
    other = mirrored(disk)
    disk.mirror = None
    guest.node_index = number_images(other, last, tls)
    assert mirror.source is not None
    assert other.source is not None
    mirror.source.index = other.source.index


async def _open_mirror(
    guest: Guest, attaching: Attaching, disk: Disk, *, reuse: bool, inherits: bool, chain: Chain
) -> None:
    """Have QEMU open the copy, made before where it is new."""
    monitor = guest.channel()
    images = disk_images(guest, mirrored(disk))
    top = replace(images[0], readonly=False)
    if reuse:
        for each in reversed(images[1:]):
            await attaching.add_image(each)
        await attaching.add_image(top)
        return
    known = await NamedNodes.ask(monitor)
    below = chain.images[1] if inherits else None
    if below is not None:
        top = replace(top, below=below)
    node = chain.nodes[0]
    await create_image(attaching, monitor, top, known.capacity(node), below, known.image(node))
