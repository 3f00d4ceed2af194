"""The host CPUs that a running guest's threads may be on, and how the host's kernel schedules them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtcore.driver.toolkit.configuration.iothreads import iothreads
from virtcore.driver.toolkit.configuration.vcpus import emulator_pin, pins
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.errors import SystemError, VirtError
from virtcore.model.domain.cputune import Scheduler
from virtcore.operations.events import DomainTunableEvent
from virtcore.types import CpuMap, TypedParameters
from virtcore.xml import CpuSet

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain

__all__ = ["apply_pins", "pin_process", "pin_threads"]

_POLICIES = {
    Scheduler.BATCH: os.SCHED_BATCH,
    Scheduler.IDLE: os.SCHED_IDLE,
    Scheduler.FIFO: os.SCHED_FIFO,
    Scheduler.RR: os.SCHED_RR,
}


class _Place(NamedTuple):
    """Where a thread may be.

    :ivar name: what it is called in the event that tells of a change.
    """

    name: str
    thread: int
    cpus: CpuMap


async def apply_pins(change: GuestChange) -> None:
    """Move the threads whose place has changed, and tell so."""
    host = change.state.host_cpus
    before = {place.name: place for place in _places(change.guest, change.old, host)}
    moves = [place for place in _places(change.guest, change.new, host) if before.get(place.name) != place]
    moved: list[_Place] = []
    try:
        for place in moves:
            _put(change.guest, place)
            moved.append(place)
    except VirtError:
        for place in moved:
            _put(change.guest, before[place.name])
        raise
    for place in moves:
        params = TypedParameters([(f"cputune.{place.name}", Kind.STRING, str(CpuSet(place.cpus)))])
        change.state.events.emit(DomainTunableEvent(change.obj.ref, params))


def pin_process(guest: Guest, domain: Domain, host: CpuMap) -> None:
    """Place a QEMU that was just started; the threads it starts are where it is: anywhere, though we may not be.

    :raises SystemError: the kernel refuses it.
    """
    if guest.process is None:
        return
    cpus = emulator_pin(domain, host)
    if cpus != host:
        _move(_Place("emulatorpin", guest.process.pid, cpus))
    elif os.sched_getaffinity(0) != set(cpus):
        with suppress(SystemError):  # we may be kept from some, and guests with us
            _move(_Place("emulatorpin", guest.process.pid, cpus))
    tune = domain.cputune
    if tune is not None and tune.emulatorsched is not None:
        _schedule(guest.process.pid, tune.emulatorsched.scheduler, tune.emulatorsched.priority)


def pin_threads(guest: Guest, domain: Domain, host: CpuMap) -> None:
    """Place and schedule the threads of a QEMU that was just started.

    :raises SystemError: the kernel refuses it.
    """
    start = emulator_pin(domain, host)
    for place in _places(guest, domain, host):
        if place.name != "emulatorpin" and place.cpus != start:
            _move(place)
    tune = domain.cputune
    if tune is None:
        return
    # What is scheduled in its own way is not left with what it has of the emulator.
    for vcpus in tune.vcpuscheds:
        for number in vcpus.vcpus:
            if number in guest.threads:
                _schedule(guest.threads[number], vcpus.scheduler, vcpus.priority)
    for threads in tune.iothreadscheds:
        for number in threads.iothreads:
            if number in guest.iothreads:
                _schedule(guest.iothreads[number], threads.scheduler, threads.priority)


def _places(guest: Guest, domain: Domain, host: CpuMap) -> Iterator[_Place]:
    """A guest's threads, and where each may be."""
    for number, cpus in enumerate(pins(domain, host)):
        if number in guest.threads:
            yield _Place(f"vcpupin{number}", guest.threads[number], cpus)
    for entry in iothreads(domain, host):
        if entry.iothread_id in guest.iothreads:
            yield _Place(f"iothreadpin{entry.iothread_id}", guest.iothreads[entry.iothread_id], entry.cpumap)
    if guest.process is not None:
        yield _Place("emulatorpin", guest.process.pid, emulator_pin(domain, host))


def _put(guest: Guest, place: _Place) -> None:
    """Move a thread that runs, in the group that it has for itself."""
    part = place.name.replace("pin", "")
    group = guest.group.below(part) if guest.group is not None else None
    if group is not None and group.has("cpuset") and group.exists:
        group.set_cpus(place.cpus)
    _move(place)


def _move(place: _Place) -> None:
    _ask_kernel(
        lambda: os.sched_setaffinity(place.thread, place.cpus), f"cannot set CPU affinity on process {place.thread}"
    )


def _schedule(thread: int, scheduler: Scheduler, priority: int | None) -> None:
    _ask_kernel(
        lambda: os.sched_setscheduler(thread, _POLICIES[scheduler], os.sched_param(priority or 0)),
        f"Cannot set scheduler parameters for pid {thread}",
    )


def _ask_kernel(change: Callable[[], None], complaint: str) -> None:
    try:
        change()
    except OSError as error:
        raise SystemError(f"{complaint}: {error.strerror}") from error
