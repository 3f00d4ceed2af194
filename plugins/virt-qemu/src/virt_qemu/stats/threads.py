"""What the host's kernel tells of a guest's process, its threads and its network devices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from virtcore.operations.values import InterfaceStats

__all__ = ["ThreadTimes", "affinity", "cpu_of", "cpu_times", "device_counters", "resident", "thread_times"]

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE") // 1024
_NETWORK = Path("/proc/net/dev")


class ThreadTimes(NamedTuple):
    """Times of a thread in ns: of its programs and the kernel, waiting for I/O, waiting for a CPU."""

    time: int
    wait: int
    delay: int


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None  # it has ended, or this kernel does not tell


def _stat(pid: int, thread: int | None) -> list[bytes]:
    """Fields of ``stat`` from the state on; none when it has ended."""
    text = _read(f"/proc/{pid}/stat" if thread is None else f"/proc/{pid}/task/{thread}/stat")
    return text.rpartition(b")")[2].split() if text else []


def cpu_times(pid: int, thread: int | None = None) -> tuple[int, int]:
    """User and system time of a process, or of one of its threads, in ns; zeros when it has ended."""
    fields = _stat(pid, thread)
    return (int(fields[11]) * _TICK, int(fields[12]) * _TICK) if fields else (0, 0)


def cpu_of(pid: int, thread: int) -> int:
    """The host CPU that a thread is on, or was last."""
    fields = _stat(pid, thread)
    return int(fields[36]) if fields else 0


def affinity(thread: int) -> frozenset[int]:
    """The host CPUs that a thread may be on; none when it has ended."""
    try:
        return frozenset(os.sched_getaffinity(thread))
    except OSError:
        return frozenset()


def thread_times(pid: int, thread: int) -> ThreadTimes:
    """Times of a thread; what this kernel does not tell is 0."""
    wait = delay = 0
    for line in (_read(f"/proc/{pid}/task/{thread}/sched") or b"").splitlines():
        name, _, value = line.partition(b":")
        if name.strip() in (b"se.statistics.wait_sum", b"wait_sum"):
            wait = int(float(value) * 1_000_000)  # it is in ms
    fields = (_read(f"/proc/{pid}/task/{thread}/schedstat") or b"").split()
    if len(fields) > 1:
        delay = int(fields[1])
    return ThreadTimes(sum(cpu_times(pid, thread)), wait, delay)


def resident(pid: int) -> int:
    """Memory of a process that is in RAM, in KiB."""
    text = _read(f"/proc/{pid}/statm")
    return int(text.split()[1]) * _PAGE if text else 0


def device_counters(path: Path = _NETWORK) -> dict[str, InterfaceStats]:
    """Counters of the host's network devices by name, as the host sees them."""
    found = {}
    for line in path.read_text().splitlines()[2:]:
        name, _, rest = line.partition(":")
        values = [int(value) for value in rest.split()]
        found[name.strip()] = InterfaceStats(*values[0:4], *values[8:12])
    return found
