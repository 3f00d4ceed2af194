"""Files that take a disk's changes from a snapshot on: made for a guest that runs, or that does not, and put into its
configuration.
"""

from __future__ import annotations

import copy
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from virt_qemu.block.bitmaps import Action, add_bitmap
from virt_qemu.block.chain import format_of, set_format
from virt_qemu.block.image import Image, disk_image
from virt_qemu.block.nodes import Attaching
from virt_qemu.block.running import NamedNodes, create_image, disk_images, transaction
from virt_qemu.programs import find_qemu_img, run_program
from virtcore.errors import InternalError
from virtcore.model.domain.disk import BackingFormat, BackingStore, Disk, SnapshotLocation
from virtcore.model.moment import disk_by_name, disks_of, target_of
from virtcore.model.snapshot import SnapshotDisk, SnapshotDriver
from virtcore.model.storage.location import source_path, source_type
from virtcore.model.storage.source import FileSource, StorageFormat, StorageType
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.block.tls import ImageTLS
    from virt_qemu.guest import Guest
    from virt_qemu.host_secrets import Lookup
    from virtcore.model.domain import Domain
    from virtcore.model.storage.source import NetProtocol, Source

__all__ = ["adopt_overlays", "external_disks", "make_overlays", "make_overlays_offline", "put_over", "remove_files"]

log = logging.getLogger(__name__)

#: The node of an image above which nothing is, as we name it.
_UNKNOWN = re.compile(r"libvirt-(?P<number>\d+)-format")


def external_disks(entries: Sequence[SnapshotDisk], domain: Domain) -> Iterator[tuple[SnapshotDisk, Disk]]:
    """The disks of a domain that go on in files of their own."""
    for entry in entries:
        if entry.snapshot is SnapshotLocation.EXTERNAL:
            disk = disk_by_name(disks_of(domain), entry.name)
            if disk is None:
                raise InternalError(f"disk '{entry.name}' not found in domain")
            yield entry, disk


def put_over(disk: Disk, entry: SnapshotDisk, *, chain: bool) -> None:
    """Put a snapshot's file into a disk of a configuration, above the image that is there.

    :param chain: the images below are listed, too.
    """
    assert disk.source is not None
    source = copy.copy(disk.source)
    source.index = None  # which it is stands in the element around it
    below = BackingStore(
        type=source_type(source),
        index=disk.source.index,
        format=BackingFormat(type=format_of(disk)),
        source=source,
        backing_store=disk.backing_store,
    )
    assert entry.source is not None
    disk.source = copy.deepcopy(entry.source)
    disk.type = source_type(disk.source)
    disk.auth = disk.encryption = None  # of the image below
    assert entry.driver is not None
    assert entry.driver.type is not None
    set_format(disk, entry.driver.type)
    if disk.driver is not None:
        disk.driver.metadata_cache_max_size = entry.driver.metadata_cache_max_size
    disk.backing_store = below if chain else None


# -- of a running guest


async def make_overlays(
    guest: Guest,
    entries: Sequence[SnapshotDisk],
    *,
    reuse: bool,
    lookup: Lookup,
    tls: Mapping[NetProtocol, ImageTLS],
) -> None:
    """Have a running guest go on in the files of a snapshot, all its disks at one instant, and put them into its live
    configuration. Nothing has changed where that fails.

    :param reuse: the files are there.
    :param lookup: the value of a secret that one of them names.
    :param tls: how the host reaches servers of images.
    :raises VirtError: QEMU refused it, or a file cannot be made.
    """
    monitor = guest.channel()
    known = await NamedNodes.ask(monitor)
    disks = list(external_disks(entries, guest.status.domain))
    made: list[str] = []
    actions: list[Action] = []
    changed: list[tuple[Disk, Disk]] = []
    try:
        async with Attaching(guest, lookup, tls) as attaching:
            for entry, disk in disks:
                below = disk_images(guest, disk)[0]
                other, image = _overlay(guest, disk, entry)
                if not reuse and isinstance(image.source, FileSource) and image.source.file is not None:
                    made.append(image.source.file)
                if reuse:
                    await attaching.add_image(image)
                else:
                    node = known.image(below.top())
                    await create_image(attaching, monitor, image, known.capacity(below.top()), below, node)
                actions += _recorded(known, below, image)
                actions.append({"type": "blockdev-snapshot", "data": {"node": below.top(), "overlay": image.top()}})
                changed.append((disk, other))
            await transaction(monitor, actions)
    except BaseException:
        await in_thread(remove_files, made)
        raise
    for disk, other in changed:
        disk.source, disk.type, disk.driver = other.source, other.type, other.driver
        disk.backing_store, disk.auth, disk.encryption = other.backing_store, None, None


def _overlay(guest: Guest, disk: Disk, entry: SnapshotDisk) -> tuple[Disk, Image]:
    """A disk of a running guest with a file of a snapshot in it, and that file as an image with nothing below yet."""
    other = copy.copy(disk)
    other.driver = copy.copy(disk.driver)
    put_over(other, entry, chain=True)
    assert other.source is not None
    other.source.index = guest.next_node()
    assert guest.capabilities is not None
    alone = copy.copy(other)
    alone.backing_store = BackingStore()
    return other, disk_image(alone, raw_layers=not guest.capabilities.has("blockjob.backing-mask-protocol"))


async def adopt_overlays(guest: Guest) -> list[tuple[SnapshotDisk, Source | None]]:
    """Put files into a guest's live configuration that it goes on in without our knowing: we were cut off between the
    instant in which it began to and the writing down. Returns them, with what was in the disks before.
    """
    rows = await guest.channel().execute("query-block")
    drives = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    adopted: list[tuple[SnapshotDisk, Source | None]] = []
    for disk in disks_of(guest.status.domain):
        device = f"/machine/peripheral/{disk.alias}/"
        row = next((each for each in drives if f"{each.get('qdev')}/".startswith(device)), {})
        inserted = row.get("inserted")
        if not isinstance(inserted, dict) or disk.source is None or disk.source.index is None:
            continue
        found = _UNKNOWN.fullmatch(str(inserted.get("node-name")))
        if found is None or int(found["number"]) <= disk.source.index or disk.mirror is not None:
            continue
        if inserted.get("backing_file") != source_path(disk.source):
            continue
        entry = SnapshotDisk(
            name=target_of(disk),
            snapshot=SnapshotLocation.EXTERNAL,
            type=StorageType.FILE,
            driver=SnapshotDriver(type=StorageFormat(str(inserted.get("drv")))),
            source=FileSource(file=str(inserted.get("file"))),
        )
        adopted.append((entry, disk.source))
        put_over(disk, entry, chain=True)
        assert disk.source is not None
        disk.source.index = int(found["number"])
        guest.node_index = max(guest.node_index, disk.source.index)
    return adopted


def _recorded(known: NamedNodes, below: Image, above: Image) -> list[Action]:
    """What goes on recording changes in a new file for bitmaps that record them in the image below."""
    found: list[Action] = []
    for bitmap in known.bitmaps.get(below.top(), {}).values():
        if bitmap.persistent and bitmap.recording and not bitmap.inconsistent:
            found.append(add_bitmap(above.top(), bitmap.name, bitmap.granularity, persistent=True))
    return found


# -- of a domain that does not run


async def make_overlays_offline(domain: Domain, entries: Sequence[SnapshotDisk]) -> None:
    """Make the files of a snapshot over the images of a domain that does not run; all of them or none.

    :raises InternalError: qemu-img failed.
    """
    program = find_qemu_img()
    made: list[str] = []
    try:
        for entry, disk in external_disks(entries, domain):
            path, below = source_path(entry.source) or "", source_path(disk.source) or ""
            assert entry.driver is not None
            if not os.path.exists(path):
                made.append(path)
            words = ["create", "-q", "-f", str(entry.driver.type), "-F", str(format_of(disk)), "-b", below, path]
            await run_program([program, *words])
    except BaseException:
        await in_thread(remove_files, made)
        raise


def remove_files(paths: Sequence[str]) -> None:
    """Remove files that are of no more use; what cannot be removed is logged. May block."""
    for path in paths:
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("Failed to remove snapshot image '%s': %s", path, error.strerror)
