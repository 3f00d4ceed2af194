"""Volumes, and what a kind of storage pool can do: the backends of :mod:`~virtcore.driver.toolkit.pools`.

A backend says for a kind of pool how it is made, started and looked at, and how volumes come and go. What it has no
method for it refuses, with libvirt's words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

from virtcore.errors import NoSupport, OperationInvalid
from virtcore.runtime.jobs import report
from virtcore.types import StorageVolRef

if TYPE_CHECKING:
    from virtcore.driver.toolkit.pools import PoolObject
    from virtcore.enums.storage import (
        StoragePoolBuildFlags,
        StoragePoolDeleteFlags,
        StorageVolCreateFlags,
        StorageVolDeleteFlags,
        StorageVolResizeFlags,
        StorageVolWipeAlgorithm,
    )
    from virtcore.model.storage import Volume
    from virtcore.model.storage.pool_source import PoolSource, StoragePoolType
    from virtcore.operations.stream import ByteStream

__all__ = ["PoolBackend", "VolumeObject", "report_progress"]


class VolumeObject:
    """One volume.

    :ivar document: what it is.
    :ivar building: it is being made, and nobody else may have it yet.
    :ivar users: how many read it or write it now; they keep it from being removed.
    """

    __slots__ = ("building", "document", "users")

    def __init__(self, document: Volume) -> None:
        self.document = document
        self.building = False
        self.users = 0

    @property
    def name(self) -> str:
        """Unique in its pool."""
        return self.document.name

    @property
    def key(self) -> str:
        """Unique on its host."""
        return self.document.key or ""

    @property
    def path(self) -> str:
        """Where the host finds it."""
        target = self.document.target
        return (target.path if target is not None else None) or ""

    @property
    def allocation(self) -> int:
        """Bytes it takes."""
        return self.document.allocation or 0

    def ref(self, pool: PoolObject) -> StorageVolRef:
        """Its reference."""
        return StorageVolRef(pool.name, self.name, self.key)

    def require_made(self) -> None:
        """Check that it is complete.

        :raises OperationInvalid: it is still being made.
        """
        if self.building:
            raise OperationInvalid(f"volume '{self.name}' is still being allocated.")

    def require_free(self) -> None:
        """Check that nobody reads or writes it.

        :raises OperationInvalid: somebody does, or it is still being made.
        """
        if self.users:
            raise OperationInvalid(f"volume '{self.name}' is still in use.")
        self.require_made()

    @contextmanager
    def used(self, pool: PoolObject) -> Iterator[None]:
        """Nobody removes it, or stops its pool, meanwhile."""
        self.users += 1
        pool.jobs += 1
        try:
            yield
        finally:
            self.users -= 1
            pool.jobs -= 1


def report_progress(done: int, total: int) -> None:
    """Tell those who watch how far a long piece of work on a volume is, in bytes.

    :raises OperationAborted: it was aborted, and this thread is to give up.
    """
    from virtcore.enums.domain_more import DomainJobType
    from virtcore.operations.parameters import JOB
    from virtcore.operations.values import JobStats

    values = {"data_total": total, "data_processed": done, "data_remaining": max(total - done, 0)}
    report(JobStats(DomainJobType.BOUNDED, JOB.typed(values)))


class PoolBackend:
    """What a kind of pool can do. An instance serves all pools of its kind; it is used in the core loop."""

    #: It counts what the pool's volumes take by itself, when they come, change and go.
    counts: ClassVar[bool] = False
    #: The capacity of a new volume must be told: it is not found out when the volume is made.
    needs_capacity: ClassVar[bool] = False

    def __init__(self, kind: StoragePoolType) -> None:
        self.kind = kind

    # -- pools

    async def find_sources(self, source: PoolSource | None) -> str:
        """XML of what pools could be made of (``virConnectFindStoragePoolSources``).

        :param source: where to look.
        """
        raise NoSupport(f"pool type '{self.kind}' does not support source discovery")

    async def build(self, pool: PoolObject, flags: StoragePoolBuildFlags) -> None:
        """Make what the pool needs. Most kinds need nothing."""

    async def start(self, pool: PoolObject) -> None:
        """Make the storage behind ``pool.live`` ready; :meth:`refresh` follows."""

    async def check(self, pool: PoolObject) -> bool:
        """Whether the storage is ready that another process made so; :meth:`refresh` follows."""
        return False

    async def stop(self, pool: PoolObject) -> None:
        """End what :meth:`start` began."""

    async def refresh(self, pool: PoolObject) -> list[VolumeObject]:
        """Hook: the pool's volumes as they are now; puts the figures of ``pool.live`` right."""
        raise NotImplementedError

    async def delete(self, pool: PoolObject, flags: StoragePoolDeleteFlags) -> None:
        """Remove what is behind an inactive pool."""
        raise NoSupport("pool does not support pool deletion")

    # -- volumes

    async def create_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        """Give a new volume its place, key and path, quickly; :meth:`build_volume` does what takes long."""
        raise NoSupport("storage pool does not support volume creation")

    async def build_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolCreateFlags) -> None:
        """Make a new volume. Raising means that there is none: :meth:`delete_volume` follows."""

    async def build_volume_from(
        self, pool: PoolObject, volume: VolumeObject, source: VolumeObject, flags: StorageVolCreateFlags
    ) -> None:
        """Make a new volume with the content of another one. As :meth:`build_volume`."""
        raise NoSupport("storage pool does not support volume creation from an existing volume")

    async def refresh_volume(self, pool: PoolObject, volume: VolumeObject) -> None:
        """Put the figures of a volume right."""

    async def delete_volume(self, pool: PoolObject, volume: VolumeObject, flags: StorageVolDeleteFlags) -> None:
        """Remove a volume."""
        raise NoSupport("storage pool does not support vol deletion")

    async def resize_volume(
        self, pool: PoolObject, volume: VolumeObject, capacity: int, flags: StorageVolResizeFlags
    ) -> None:
        """Change a volume's capacity, in bytes; its document follows."""
        raise NoSupport("storage pool does not support changing of volume capacity")

    async def wipe_volume(self, pool: PoolObject, volume: VolumeObject, algorithm: StorageVolWipeAlgorithm) -> None:
        """Overwrite a volume's content."""
        raise NoSupport("storage pool doesn't support volume wiping")

    async def upload(self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int) -> ByteStream:
        """A stream that writes a volume; ``length`` 0 is up to its end."""
        raise NoSupport("storage pool doesn't support volume upload")

    async def download(
        self, pool: PoolObject, volume: VolumeObject, offset: int, length: int, flags: int
    ) -> ByteStream:
        """A stream that reads a volume; ``length`` 0 is up to its end."""
        raise NoSupport("storage pool doesn't support volume download")
