"""Results of operations about jobs, block jobs and migration."""

from __future__ import annotations

from virtcore._tuples import NamedTuple
from virtcore._typing import TYPE_CHECKING
from virtcore.operations.stream import ByteStream
from virtcore.types import DomainRef, TypedParameters

if TYPE_CHECKING:
    from virtcore.enums.domain_more import DomainBlockJobType, DomainJobType

__all__ = [
    "BlockInfo",
    "BlockJobInfo",
    "JobStats",
    "MigrationBegun",
    "MigrationFinished",
    "MigrationPrepared",
    "MigrationTunnel",
]


class JobStats(NamedTuple):
    """A domain's job (``virDomainGetJobStats``); the fields of ``params`` are those of
    :data:`~virtcore.operations.parameters.JOB`."""

    type: DomainJobType
    params: TypedParameters

    @property
    def percent(self) -> float | None:
        """How much of the data is done, 0 to 100; None where the total is not known."""
        total, remaining = self.params.get("data_total"), self.params.get("data_remaining")
        if not isinstance(total, int) or not isinstance(remaining, int) or total <= 0:
            return None
        return 100.0 * max(total - remaining, 0) / total


class BlockInfo(NamedTuple):
    """Sizes of a disk in bytes (``virDomainBlockInfo``): as the guest sees it, used on the host, of the container."""

    capacity: int
    allocation: int
    physical: int


class BlockJobInfo(NamedTuple):
    """A block job (``virDomainBlockJobInfo``): bandwidth in MiB/s (bytes/s when asked for), progress from 0 to ``end``
    in units of its own."""

    type: DomainBlockJobType
    bandwidth: int
    cur: int
    end: int


class MigrationBegun(NamedTuple):
    """What the source begins a migration with: a cookie for the destination, and the domain's XML."""

    cookie: bytes
    xml: str


class MigrationPrepared(NamedTuple):
    """What the destination answers: a cookie for the source, and where to migrate to (None: where was asked)."""

    cookie: bytes
    uri: str | None


class MigrationTunnel(NamedTuple):
    """What the destination answers when the data comes through it: a cookie for the source, and where to write."""

    cookie: bytes
    stream: ByteStream


class MigrationFinished(NamedTuple):
    """The domain as it runs at the destination (None: it does not), and a cookie for the source."""

    domain: DomainRef | None
    cookie: bytes
