"""How a migration goes, or went: for whoever asks, and for the other side's cookie."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virt_qemu.migration_cookie import CookieStatistics

if TYPE_CHECKING:
    from virt_qemu.migration.control import Progress
    from virtcore.types import TypedValue

__all__ = ["MigrationStatistics", "now"]

_BITS_OF_MBIT = 1000 * 1000 / 8

#: Parameter of a job -> where ``query-migrate`` has it.
_MEMORY = {
    "memory_total": ("ram", "total"),
    "memory_processed": ("ram", "transferred"),
    "memory_remaining": ("ram", "remaining"),
    "memory_constant": ("ram", "duplicate"),
    "memory_normal": ("ram", "normal"),
    "memory_normal_bytes": ("ram", "normal-bytes"),
    "memory_dirty_rate": ("ram", "dirty-pages-rate"),
    "memory_iteration": ("ram", "dirty-sync-count"),
    "memory_postcopy_requests": ("ram", "postcopy-requests"),
    "memory_page_size": ("ram", "page-size"),
    "disk_total": ("disk", "total"),
    "disk_processed": ("disk", "transferred"),
    "disk_remaining": ("disk", "remaining"),
    "compression_cache": ("xbzrle-cache", "cache-size"),
    "compression_bytes": ("xbzrle-cache", "bytes"),
    "compression_pages": ("xbzrle-cache", "pages"),
    "compression_cache_misses": ("xbzrle-cache", "cache-miss"),
    "compression_overflow": ("xbzrle-cache", "overflow"),
    "auto_converge_throttle": ("cpu-throttle-percentage",),
    "vfio_data_transferred": ("vfio", "transferred"),
    "setup_time": ("setup-time",),
}
#: What is left out of a job's statistics where it is 0.
_OMITTED = ("memory_page_size", "auto_converge_throttle")
_TOTALS = ("total", "processed", "remaining")
#: What only migrations to other hosts tell.
_OF_HOSTS = ("disk_", "compression_", "auto_converge_", "vfio_")


def now() -> int:
    """Milliseconds since 1970: hosts tell each other the time so."""
    return int(time.time() * 1000)


@dataclass(slots=True)
class MigrationStatistics:
    """One side's statistics.

    :ivar started: when it was begun, in ms since 1970; by the source's clock.
    :ivar stopped: when the guest stood still; 0 while it does not.
    :ivar sent: when the source had sent everything.
    :ivar delta: what the other host's clock is behind, in ms; None where it is not known.
    :ivar elapsed: ms it took, once that is known.
    :ivar downtime: ms the guest stood still, or is expected to.
    :ivar values: what QEMU told, by parameters of jobs.
    :ivar mirrored: bytes of disks that were copied, and of all that are to be.
    """

    started: int = field(default_factory=now)
    stopped: int = 0
    sent: int = 0
    delta: int | None = None
    elapsed: int | None = None
    downtime: int | None = None
    values: dict[str, int] = field(default_factory=dict)
    mirrored: tuple[int, int] = (0, 0)

    def take(self, progress: Progress) -> None:
        """Take over what QEMU tells now."""
        values = {name: int(value) for name, path in _MEMORY.items() if (value := progress.number(*path)) is not None}
        if (speed := progress.number("ram", "mbps")) is not None:
            values["memory_bps"] = int(speed * _BITS_OF_MBIT)
        if (speed := progress.number("disk", "mbps")) is not None:
            values["disk_bps"] = int(speed * _BITS_OF_MBIT)
        if values:
            self.values = values
        told = progress.number("downtime")
        told = progress.number("expected-downtime") if told is None else told
        if told is not None:
            self.downtime = int(told)

    def measure(self, *, standing: bool = True) -> None:
        """Take the time: how long it has gone on, and how long the guest has stood still.

        :param standing: it still stands.
        """
        moment = now()
        self.elapsed = max(moment - self.started, 0)
        if self.stopped and standing:
            self.downtime = max(moment - self.stopped, 0)

    def parameters(self, *, into_file: bool = False) -> dict[str, TypedValue]:
        """As parameters of the job.

        :param into_file: the guest does not go to another host: only its memory counts.
        """
        values: dict[str, TypedValue] = {}
        elapsed = max(now() - self.started, 0) if self.elapsed is None else self.elapsed
        values["time_elapsed"] = elapsed
        if self.delta is not None and elapsed > self.delta:
            values["time_elapsed_net"] = elapsed - self.delta
        if self.downtime is not None:
            values["downtime"] = self.downtime
            if self.delta is not None and self.downtime > self.delta:
                values["downtime_net"] = self.downtime - self.delta
        told = dict.fromkeys((f"{kind}_{each}" for kind in ("memory", "disk") for each in _TOTALS), 0) | self.values
        copied, whole = self.mirrored
        told["disk_total"] += whole
        told["disk_processed"] += copied
        told["disk_remaining"] += whole - copied
        for each in _TOTALS:
            values[f"data_{each}"] = told[f"memory_{each}"] + told[f"disk_{each}"]
        values |= {name: value for name, value in told.items() if value or name not in _OMITTED}
        return {name: value for name, value in values.items() if not (into_file and name.startswith(_OF_HOSTS))}

    def to_cookie(self) -> CookieStatistics:
        """As the other side is told."""
        told = {name: value for name, value in self.values.items() if name in CookieStatistics.__annotations__}
        for name in ("memory", "disk"):
            for each in _TOTALS:
                told.setdefault(f"{name}_{each}", 0)
        told |= {name: told.get(name, 0) for name in ("memory_bps", "disk_bps", "auto_converge_throttle")}
        copied, whole = self.mirrored
        told["disk_total"] += whole
        told["disk_processed"] += copied
        told["disk_remaining"] += whole - copied
        return CookieStatistics(
            started=self.started,
            stopped=self.stopped,
            sent=self.sent,
            delta=self.delta,
            time_elapsed=self.elapsed or 0,
            downtime=self.downtime,
            **told,
        )

    @classmethod
    def of_cookie(cls, told: CookieStatistics) -> MigrationStatistics:
        """What the other side has told."""
        statistics = cls(
            started=told.started or 0,
            stopped=told.stopped or 0,
            sent=told.sent or 0,
            delta=told.delta,
            elapsed=told.time_elapsed,
            downtime=told.downtime,
        )
        for name in (*_MEMORY, "memory_bps", "disk_bps"):
            value = getattr(told, name, None)
            if value is not None:
                statistics.values[name] = value
        return statistics
