"""Disks: sizes, counters, contents, errors."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from virt_qemu.block.chain import format_of
from virt_qemu.block.running import NamedNodes, alias_of, disk_images, rows_of
from virt_qemu.blockjobs.lookup import Chain
from virt_qemu.guest import guest_of
from virt_qemu.host import QemuState
from virt_qemu.lent import group_of
from virt_qemu.private_data import SourcePrivate
from virt_qemu.stats.blocks import sizes_of_file
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.arguments import refuse_empty
from virtcore.driver.toolkit.configuration.disks import find_disk
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.enums.domain import DomainDiskErrorCode
from virtcore.enums.domain_more import DomainBlockResizeFlags
from virtcore.errors import (
    InternalError,
    InvalidArg,
    OperationInvalid,
    OperationUnsupported,
    OverflowDetected,
    SystemError,
)
from virtcore.model.storage.location import is_empty, source_path
from virtcore.model.storage.source import BlockSource, FileSource, StorageFormat
from virtcore.operations.values import BlockInfo, DiskError
from virtcore.runtime.threads import in_thread
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import JSON
    from virtcore.model.domain import Domain
    from virtcore.model.domain.disk import Disk
    from virtcore.types import DomainRef

__all__ = ["DiskOperations"]

#: Our names of counters, QEMU's, in the order in which they are told.
_COUNTERS = (
    ("wr_bytes", "wr_bytes"),
    ("wr_operations", "wr_operations"),
    ("rd_bytes", "rd_bytes"),
    ("rd_operations", "rd_operations"),
    ("flush_operations", "flush_operations"),
    ("wr_total_times", "wr_total_time_ns"),
    ("rd_total_times", "rd_total_time_ns"),
    ("flush_total_times", "flush_total_time_ns"),
)
_ERRORS = {"failed": DomainDiskErrorCode.UNSPEC, "nospace": DomainDiskErrorCode.NO_SPACE}
_INDEXED = re.compile(r"(?P<target>[^\[\]]+)(?:\[(?P<index>\d+)\])?")


class DiskOperations(StatefulDriver[QemuState]):
    """Disks of QEMU guests."""

    @staticmethod
    def _disk(domain: Domain, name: str) -> Disk:
        found = find_disk(domain, name)
        if found is None:
            raise InvalidArg(f"invalid path {name} not assigned to domain")
        return found

    # -- sizes and counters

    async def domain_block_info(self, domain: DomainRef, disk: str, flags: int = 0) -> BlockInfo:
        self.check_flags(flags, 0, "domain_block_info")
        refuse_empty(disk, "disk", "domain_block_info")
        obj = self.domain(domain)
        async with obj.job.query("domain_block_info"):
            found = self._disk(self.state.config(obj), disk)
            if is_empty(found.source):
                raise InvalidArg(f"disk '{disk}' does not currently have a source assigned")
            if not obj.active:
                return await in_thread(_size_of_idle, found)
            return await _size_of_live(guest_of(obj), found)

    async def domain_block_stats(self, domain: DomainRef, disk: str, flags: int = 0) -> TypedParameters:
        self.check_flags(flags, 0, "domain_block_stats")
        obj = self.domain(domain)
        async with obj.job.query("domain_block_stats"):
            obj.require_active()
            assert obj.live is not None
            wanted = None
            if disk:
                found = find_disk(obj.live, disk)
                if found is None:
                    raise InvalidArg(f"invalid path: {disk}")
                if found.alias is None:
                    raise InternalError(f"missing disk device alias name for {disk}")
                wanted = found.alias
            rows = rows_of(await guest_of(obj).channel().execute("query-blockstats"))
        counted = [row.get("stats") for row in rows if wanted is None or alias_of(row) == wanted]
        if not counted:
            raise InternalError(f"cannot find statistics for device '{wanted or ''}'")
        answer = TypedParameters()
        for name, counter in _COUNTERS:
            values = [stats[counter] for stats in counted if isinstance(stats, dict) and counter in stats]
            answer.add(name, Kind.LLONG, sum(value for value in values if isinstance(value, int)))
        return answer

    async def domain_disk_errors(self, domain: DomainRef, flags: int = 0) -> list[DiskError]:
        self.check_flags(flags, 0, "domain_disk_errors")
        obj = self.domain(domain)
        async with obj.job.query("domain_disk_errors"):
            obj.require_active()
            rows = rows_of(await guest_of(obj).channel().execute("query-block"))
            devices = obj.live.devices if obj.live is not None else None
            told = {alias_of(row): _ERRORS.get(str(row.get("io-status"))) for row in rows}
            found = []
            for disk in devices.disks if devices is not None else ():
                error = told.get(disk.alias or "")
                if error is not None and disk.target is not None:
                    found.append(DiskError(disk.target.dev or "", error))
            return found

    # -- contents

    async def domain_block_peek(self, domain: DomainRef, disk: str, offset: int, size: int, flags: int = 0) -> bytes:
        self.check_flags(flags, 0, "domain_block_peek")
        obj = self.domain(domain)
        found = find_disk(self.state.config(obj), disk)
        if found is None:
            raise InvalidArg(f"invalid disk or path '{disk}'")
        format = format_of(found)
        if format is not StorageFormat.RAW:
            raise OperationUnsupported(f"peeking is only supported for disk with 'raw' format not '{format}'")
        path = source_path(found.source)
        if not isinstance(found.source, FileSource | BlockSource) or path is None:
            raise OperationUnsupported(f"peeking is not supported for the source of disk '{disk}'")
        return await in_thread(_read, path, offset, size)

    async def domain_block_resize(
        self, domain: DomainRef, disk: str, size: int, flags: DomainBlockResizeFlags | int = 0
    ) -> None:
        known = DomainBlockResizeFlags
        self.check_flags(flags, known.BYTES | known.CAPACITY, "domain_block_resize")
        if not disk:
            raise InvalidArg("empty path")
        if not int(flags) & known.BYTES:
            most = ((1 << 64) - 1) // 1024
            if size > most:
                raise OverflowDetected(f"size must be less than {most}")
            size *= 1024
        obj = self.domain(domain)
        async with obj.job.modify("domain_block_resize"):
            obj.require_active()
            guest = guest_of(obj)
            assert obj.live is not None
            found = find_disk(obj.live, disk)
            if found is None:
                raise InvalidArg(f"disk '{disk}' was not found in the domain config")
            if is_empty(found.source) or found.readonly:
                raise OperationInvalid(f"can't resize empty or readonly disk '{disk}'")
            if int(flags) & known.CAPACITY:
                size = await in_thread(_capacity_of_device, found, size)
            if format_of(found) in (StorageFormat.QCOW2, StorageFormat.QED):
                size = -(-size // 512) * 512  # what these formats count in
            node = disk_images(guest, found)[0].top()
            await guest.channel().execute("block_resize", {"node-name": node, "size": size})

    # -- how far storage grows

    async def domain_set_block_threshold(self, domain: DomainRef, dev: str, threshold: int, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_set_block_threshold")
        obj = self.domain(domain)
        async with obj.job.modify("domain_set_block_threshold"):
            obj.require_active()
            guest = guest_of(obj)
            named = _INDEXED.fullmatch(dev)
            if named is None:
                raise InvalidArg(f"failed to parse block device '{dev}'")
            assert obj.live is not None
            disk = find_disk(obj.live, named["target"])
            if disk is None or dev.startswith("/"):
                raise InvalidArg(f"failed to find disk '{named['target']}'")
            if is_empty(disk.source):
                raise OperationUnsupported(f"threshold currently can't be set for block device '{dev}'")
            chain = Chain.of(guest, disk)
            try:
                place = 0 if named["index"] is None else chain.find(dev)
            except InvalidArg:
                raise InvalidArg(f"failed to find disk '{dev}'") from None
            node = chain.images[place].storage_top()
            arguments: dict[str, JSON] = {"node-name": node, "write-threshold": threshold}
            await guest.channel().execute("block-set-write-threshold", arguments)
            source = chain.links[place].source
            assert source is not None
            if not isinstance(source.private_data, SourcePrivate):
                source.private_data = SourcePrivate()
            source.private_data.threshold_with_index = True if named["index"] is not None else None
            await self.state.save(obj, guest)


async def _size_of_live(guest: Guest, disk: Disk) -> BlockInfo:
    """Sizes as QEMU knows them; of a file or device itself as the host does."""
    image = disk_images(guest, disk)[0]
    monitor = guest.channel()
    known = await NamedNodes.ask(monitor)
    row = known.image(image.top())
    actual = row.get("actual-size")
    used = actual if isinstance(actual, int) else 0
    highest = None
    if not isinstance(disk.source, FileSource):
        # A device tells nothing of what is used of it; QEMU knows how far it has written.
        for each in rows_of(await monitor.execute("query-blockstats", {"query-nodes": True})):
            stats = each.get("stats")
            if each.get("node-name") == image.nodes.storage and isinstance(stats, dict):
                highest = stats.get("wr_highest_offset")
    path = source_path(disk.source)
    physical = used
    if isinstance(disk.source, FileSource | BlockSource) and path is not None and group_of(disk.source) is None:
        sizes = await in_thread(sizes_of_file, path, StorageFormat.RAW)
        physical = sizes.physical if sizes is not None else used
    return BlockInfo(known.capacity(image.top()), highest if isinstance(highest, int) else used, physical)


def _size_of_idle(disk: Disk) -> BlockInfo:
    path = source_path(disk.source)
    if not isinstance(disk.source, FileSource | BlockSource) or path is None:
        raise OperationUnsupported(f"sizes of disk '{disk.target.dev if disk.target else ''}' cannot be looked at")
    try:
        os.stat(path)
    except OSError as error:
        raise SystemError(f"cannot stat file '{path}': {error.strerror}") from None
    sizes = sizes_of_file(path, format_of(disk))
    if sizes is None:
        raise SystemError(f"failed to open path '{path}': it cannot be read")
    return BlockInfo(sizes.capacity, sizes.allocation, sizes.physical)


def _read(path: str, offset: int, size: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SystemError(f"Failed to open file '{path}': {error.strerror}") from None
    try:
        data = os.pread(descriptor, size, offset)
    except OSError as error:
        raise SystemError(f"'{path}': failed to read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(data) < size:
        raise SystemError(f"'{path}': failed to seek or read: it ends before")
    return data


def _capacity_of_device(disk: Disk, size: int) -> int:
    """The size of the host's device behind a disk, which the disk is to have.

    :raises InvalidArg: it is another one than was asked for.
    """
    path = source_path(disk.source)
    if format_of(disk) is not StorageFormat.RAW or not isinstance(disk.source, BlockSource) or path is None:
        raise OperationInvalid("block resize to full capacity supported only with 'raw' local block-based disks")
    sizes = sizes_of_file(path, StorageFormat.RAW)
    capacity = sizes.physical if sizes is not None else 0
    if size and size != capacity:
        raise InvalidArg(f"Requested resize to '{size}' but device size is '{capacity}'")
    return capacity
