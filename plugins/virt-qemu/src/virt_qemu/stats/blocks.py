"""Counters and sizes of disks."""

from __future__ import annotations

import functools
import json
import os
import stat
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from virt_qemu.block.chain import images_of
from virt_qemu.command.disks import disk_path
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.model.domain.disk import BackingStore
from virtcore.model.storage.image_header import HEADER_SIZE, read_header
from virtcore.types import TypedParameters, TypedValue

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.model.storage.source import Source, StorageFormat

    Row = tuple[str, Kind, TypedValue]

__all__ = [
    "IdleDisk",
    "Sizes",
    "add_blocks",
    "add_idle_blocks",
    "describe_disks",
    "idle_disks",
    "look_at",
    "sizes_of_file",
]

# Looked up thousands of times for a list of guests, which is slow in the classes of enumerations.
_STRING, _UINT, _ULLONG = Kind.STRING, Kind.UINT, Kind.ULLONG
_DECODER = json.JSONDecoder()

#: Our names of a disk's counters, QEMU's.
_COUNTERS = (
    ("rd.reqs", "rd_operations"),
    ("rd.bytes", "rd_bytes"),
    ("rd.times", "rd_total_time_ns"),
    ("wr.reqs", "wr_operations"),
    ("wr.bytes", "wr_bytes"),
    ("wr.times", "wr_total_time_ns"),
    ("fl.reqs", "flush_operations"),
    ("fl.times", "flush_total_time_ns"),
)


class Sizes(NamedTuple):
    """Sizes of an image in bytes: what the guest sees, what it takes, how large the file or device is."""

    capacity: int
    allocation: int
    physical: int


def sizes_of_file(path: str, format: StorageFormat | None) -> Sizes | None:
    """Sizes of an image that nobody has open; None where it cannot be looked at."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if stat.S_ISBLK(found.st_mode):
                physical = allocation = file.seek(0, os.SEEK_END)
                file.seek(0)
            else:
                physical, allocation = found.st_size, found.st_blocks * 512
            header = read_header(file.read(HEADER_SIZE), format)
    except OSError:
        return None
    capacity = physical if header is None or header.capacity is None else header.capacity
    return Sizes(capacity, allocation, physical)


def _target(disk: Disk) -> str:
    return disk.target.dev or "" if disk.target is not None else ""


def _disks(domain: Domain) -> list[Disk]:
    return domain.devices.disks if domain.devices is not None else []


def _add_header(rows: TypedParameters, prefix: str, target: str, path: str | None, index: int | None) -> None:
    rows.add(prefix + "name", Kind.STRING, target)
    if path is not None:
        rows.add(prefix + "path", Kind.STRING, path)
    if index:
        rows.add(prefix + "backingIndex", Kind.UINT, index)


def add_blocks(domain: Domain, counters: object, nodes: object, backing: bool, rows: TypedParameters) -> None:
    """Add the group of a running guest's disks.

    :param counters: what ``query-blockstats`` says.
    :param nodes: what ``query-named-block-nodes`` says.
    :param backing: each disk's backing images, too.
    """
    by_device: dict[str, Mapping[str, object]] = {}
    by_node: dict[str, Mapping[str, object]] = {}
    for row in counters if isinstance(counters, list) else ():
        # The device's path in QEMU's tree ends in its id, or in a part of it.
        by_device[str(row.get("qdev", "")).removeprefix("/machine/peripheral/").split("/")[0]] = row
        below: object = row
        while isinstance(below, dict):
            by_node[str(below.get("node-name", ""))] = below
            below = below.get("backing")
    images = (
        {str(row.get("node-name")): row for row in nodes if isinstance(row, dict)} if isinstance(nodes, list) else {}
    )
    found: list[tuple[Disk, Source | None, int | None, bool]] = []
    for disk in _disks(domain):
        found.append((disk, disk.source, disk.source.index if disk.source is not None else None, True))
        if backing:
            below = [link for link in images_of(disk) if isinstance(link, BackingStore)]
            found.extend((disk, link.source, link.index, False) for link in below)
    rows.add("block.count", Kind.UINT, len(found))
    for number, (disk, source, index, front) in enumerate(found):
        prefix = f"block.{number}."
        _add_header(rows, prefix, _target(disk), disk_path(source), index)
        if front:
            _add_counters(rows, prefix, by_device.get(disk.alias or ""))
        _add_sizes(rows, prefix, index, by_node, images)


def _add_counters(rows: TypedParameters, prefix: str, row: Mapping[str, object] | None) -> None:
    counted = row.get("stats") if row is not None else None
    for name, counter in _COUNTERS if isinstance(counted, dict) else ():
        assert isinstance(counted, dict)
        value = counted.get(counter)
        if isinstance(value, int):
            rows.add(prefix + name, Kind.ULLONG, value)


def _add_sizes(
    rows: TypedParameters,
    prefix: str,
    index: int | None,
    by_node: Mapping[str, Mapping[str, object]],
    images: Mapping[str, Mapping[str, object]],
) -> None:
    """Add what QEMU says of an image: nothing where it does not, since asking the storage ourselves might not end."""
    if not index:
        return
    format_node, storage_node = f"libvirt-{index}-format", f"libvirt-{index}-storage"
    top = images.get(format_node) or images.get(storage_node)
    counted = by_node.get(format_node) or by_node.get(storage_node)
    highest = _highest_offset(counted)
    if highest is not None:
        rows.add(prefix + "allocation", Kind.ULLONG, highest)
    image = top.get("image") if top is not None else None
    if isinstance(image, dict):
        for name, size in (("capacity", "virtual-size"), ("physical", "actual-size")):
            value = image.get(size)
            if name == "physical" and not value:  # a file of nothing but holes, which takes what it is long
                value = image.get("virtual-size") if image.get("format") in ("raw", "file") else None
            if isinstance(value, int) and value:
                rows.add(prefix + name, Kind.ULLONG, value)
    storage = images.get(storage_node) or top
    threshold = storage.get("write_threshold") if storage is not None else None
    if isinstance(threshold, int) and threshold:
        rows.add(prefix + "threshold", Kind.ULLONG, threshold)


def _highest_offset(row: Mapping[str, object] | None) -> int | None:
    """Where the last byte was written: in the storage, if a format is above it."""
    if row is None:
        return None
    parent = row.get("parent")
    for stats in (parent.get("stats") if isinstance(parent, dict) else None, row.get("stats")):
        value = stats.get("wr_highest_offset") if isinstance(stats, dict) else None
        if isinstance(value, int):
            return value
    return None


class IdleDisk(NamedTuple):
    """What has to be known of a disk to tell its statistics while the guest does not run."""

    #: Rows that its definition alone decides.
    header: Sequence[Row]
    path: str | None
    #: Name of the image's format.
    format: str | None


def describe_disks(domain: Domain) -> str:
    """What :func:`idle_disks` needs of a definition: kept beside it, so that nobody has to read it for statistics."""
    return json.dumps(
        [
            (_target(disk), disk_path(disk.source), disk.driver.type if disk.driver is not None else None)
            for disk in _disks(domain)
        ],
        separators=(",", ":"),
    )


def idle_disks(described: str) -> Sequence[IdleDisk]:
    """The disks of a definition, as :func:`describe_disks` has them."""
    found = []
    for number, (target, path, format) in enumerate(_DECODER.raw_decode(described)[0]):
        header: tuple[Row, ...] = ((_name(number, "name"), _STRING, target),)
        if path is not None:
            header += ((_name(number, "path"), _STRING, path),)
        found.append(IdleDisk(header, path, format))
    return found


@functools.lru_cache(maxsize=1024)  # the same for every guest
def _name(number: int, what: str) -> str:
    return f"block.{number}.{what}"


def look_at(disks: Sequence[IdleDisk], before: Sequence[object] | None = None) -> Sequence[object]:
    """What the host's files are now: equal as long as their sizes and content are the same.

    :param before: what they were when somebody looked last.
    """
    if before is None:
        before = (None,) * len(disks)
    return [
        None if disk.path is None else _look_at(disk.path, there) for disk, there in zip(disks, before, strict=True)
    ]


def _look_at(path: str, before: object) -> object:
    try:
        # What was not there is most likely not there now, and errors take three times as long as answers.
        if before is None and not os.access(path, os.F_OK):
            return None
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return object()  # whose size the system does not tell so: never the same
    return found.st_dev, found.st_ino, found.st_size, found.st_blocks, found.st_mtime_ns, found.st_ctime_ns


def add_idle_blocks(disks: Sequence[IdleDisk], seen: Sequence[object], rows: list[Row]) -> None:
    """Add the group of the disks of a guest that does not run: sizes as the host's files tell them now.

    :param seen: what :func:`look_at` has found.
    """
    rows.append(("block.count", _UINT, len(disks)))
    for number, (disk, there) in enumerate(zip(disks, seen, strict=True)):
        rows += disk.header
        sizes = _sizes_of(disk) if there is not None else None
        if sizes is not None:
            for name in ("allocation", "capacity", "physical"):
                value = getattr(sizes, name)
                if value:
                    rows.append((_name(number, name), _ULLONG, value))


def _sizes_of(disk: IdleDisk) -> Sizes | None:
    from virtcore.model.storage.source import StorageFormat

    assert disk.path is not None
    return sizes_of_file(disk.path, None if disk.format is None else StorageFormat(disk.format))
