"""Performance events of a guest's process, counted by the host's kernel."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtcore.errors import ArgumentUnsupported, SystemError
from virtcore.model.domain.resources import PerfEventName as Name

if TYPE_CHECKING:
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain

__all__ = ["PerfCounters", "apply_events", "wanted_events"]

_HARDWARE, _SOFTWARE = 0, 1
#: Numbers of the kernel's: type and event.
_EVENTS = {
    Name.CPU_CYCLES: (_HARDWARE, 0),
    Name.INSTRUCTIONS: (_HARDWARE, 1),
    Name.CACHE_REFERENCES: (_HARDWARE, 2),
    Name.CACHE_MISSES: (_HARDWARE, 3),
    Name.BRANCH_INSTRUCTIONS: (_HARDWARE, 4),
    Name.BRANCH_MISSES: (_HARDWARE, 5),
    Name.BUS_CYCLES: (_HARDWARE, 6),
    Name.STALLED_CYCLES_FRONTEND: (_HARDWARE, 7),
    Name.STALLED_CYCLES_BACKEND: (_HARDWARE, 8),
    Name.REF_CPU_CYCLES: (_HARDWARE, 9),
    Name.CPU_CLOCK: (_SOFTWARE, 0),
    Name.TASK_CLOCK: (_SOFTWARE, 1),
    Name.PAGE_FAULTS: (_SOFTWARE, 2),
    Name.CONTEXT_SWITCHES: (_SOFTWARE, 3),
    Name.CPU_MIGRATIONS: (_SOFTWARE, 4),
    Name.PAGE_FAULTS_MIN: (_SOFTWARE, 5),
    Name.PAGE_FAULTS_MAJ: (_SOFTWARE, 6),
    Name.ALIGNMENT_FAULTS: (_SOFTWARE, 7),
    Name.EMULATION_FAULTS: (_SOFTWARE, 8),
}
#: Events of Intel's cache monitoring, whose type the kernel tells: their numbers there.
_CACHE_EVENTS = {Name.CMT: 1, Name.MBMT: 2, Name.MBML: 3}
_CACHE_MONITORING = Path("/sys/devices/intel_cqm")
#: The system call's number by the machine's name.
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "loongarch64": 241, "ppc64le": 319, "s390x": 331}
_CLOSE_ON_EXEC = 8
_INHERIT = 2


class _Kind(NamedTuple):
    type: int
    event: int
    scale: int = 1


def _kind(name: Name) -> _Kind:
    found = _EVENTS.get(name)
    if found is not None:
        return _Kind(*found)
    try:
        scale = (
            int((_CACHE_MONITORING / "events/llc_occupancy.scale").read_text())
            if name is Name.CMT
            else 1  # bytes in the kernel's own unit
        )
        return _Kind(int((_CACHE_MONITORING / "type").read_text()), _CACHE_EVENTS[name], scale)
    except (OSError, ValueError):
        raise ArgumentUnsupported(f"unable to enable host cpu perf event for {name.value}") from None


def _open(kind: _Kind, thread: int) -> int:
    number = _PERF_EVENT_OPEN.get(os.uname().machine)
    if number is None:
        raise OSError(38, os.strerror(38))
    # type, size, event, period, sample type, read format, flags, wake-up, breakpoint type, configuration
    attributes = struct.pack("=IIQQQQQIIQ", kind.type, 64, kind.event, 0, 0, 0, _INHERIT, 0, 0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    opened = int(libc.syscall(number, attributes, thread, -1, -1, _CLOSE_ON_EXEC))
    if opened < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return opened


class PerfCounters:
    """The events that are counted of one process: of its threads, and of those they start."""

    def __init__(self) -> None:
        self._opened: dict[Name, tuple[_Kind, list[int]]] = {}

    def enable(self, name: Name, pid: int) -> None:
        """Begin to count an event.

        :raises ArgumentUnsupported: this host has not got it.
        :raises SystemError: the kernel refuses it.
        """
        if name in self._opened:
            return
        kind = _kind(name)
        opened: list[int] = []
        try:
            for thread in os.listdir(f"/proc/{pid}/task"):
                opened.append(_open(kind, int(thread)))
        except OSError as error:
            for number in opened:
                os.close(number)
            raise SystemError(f"unable to open host cpu perf event for {name.value}: {error.strerror}") from error
        self._opened[name] = kind, opened

    def disable(self, name: Name) -> None:
        """End counting an event."""
        for number in self._opened.pop(name, (None, []))[1]:
            os.close(number)

    def set(self, names: Iterable[Name], pid: int) -> None:
        """Count these events and no others; when one is refused, as before.

        :raises VirtError: as :meth:`enable`.
        """
        wanted = list(names)
        added: list[Name] = []
        try:
            for name in wanted:
                if name not in self._opened:
                    self.enable(name, pid)
                    added.append(name)
        except BaseException:
            for name in added:
                self.disable(name)
            raise
        for name in set(self._opened) - set(wanted):
            self.disable(name)

    def read(self) -> Iterator[tuple[str, int]]:
        """What was counted, by the events' names in libvirt's order."""
        for name in Name:
            found = self._opened.get(name)
            if found is not None:
                kind, opened = found
                yield str(name.value), sum(struct.unpack("=Q", os.read(number, 8))[0] for number in opened) * kind.scale

    def close(self) -> None:
        """End all counting."""
        for name in list(self._opened):
            self.disable(name)


def wanted_events(domain: Domain) -> list[Name]:
    """The events that a configuration counts."""
    return [event.name for event in domain.perf.events if event.enabled] if domain.perf is not None else []


async def apply_events(change: GuestChange) -> None:
    """Count what the configuration says."""
    assert change.guest.process is not None
    change.guest.perf.set(wanted_events(change.new), change.guest.process.pid)
