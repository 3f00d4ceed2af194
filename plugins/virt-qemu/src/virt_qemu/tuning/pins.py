"""The host CPUs that a running guest's threads may be on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.configuration.vcpus import emulator_pin, pins
from virtcore.errors import SystemError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain
    from virtcore.types import CpuMap

__all__ = ["apply_pins"]


async def apply_pins(change: GuestChange) -> None:
    """Move the threads whose place has changed."""
    host = change.state.host_cpus
    before = dict(_places(change.guest, change.old, host))
    moved: list[int] = []
    try:
        for thread, cpus in _places(change.guest, change.new, host):
            if before.get(thread) != cpus:
                _move(thread, cpus)
                moved.append(thread)
    except SystemError:
        for thread in moved:
            _move(thread, before.get(thread, host))
        raise


def _places(guest: Guest, domain: Domain, host: CpuMap) -> Iterator[tuple[int, CpuMap]]:
    """A guest's threads, and where each may be."""
    for number, cpus in enumerate(pins(domain, host)):
        thread = guest.threads.get(number)
        if thread is not None:
            yield thread, cpus
    if guest.process is not None:
        yield guest.process.pid, emulator_pin(domain, host)


def _move(thread: int, cpus: CpuMap) -> None:
    try:
        os.sched_setaffinity(thread, cpus)
    except OSError as error:
        raise SystemError(f"cannot set CPU affinity on process {thread}: {error.strerror}") from error
