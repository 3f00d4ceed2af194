"""I/O threads of a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtcore.errors import InvalidArg
from virtcore.operations.values import IOThreadInfo
from virtcore.types import CpuMap

if TYPE_CHECKING:
    from virtcore.model.domain import Domain
    from virtcore.model.domain.resources import IOThread

__all__ = ["add", "iothreads", "listed", "numbers", "pin", "remove", "require"]


def numbers(domain: Domain) -> list[int]:
    """Numbers of the threads."""
    if domain.iothread_ids:
        return [thread.id for thread in domain.iothread_ids]
    return list(range(1, (domain.iothreads or 0) + 1))


def iothreads(domain: Domain, host: CpuMap | None = None) -> list[IOThreadInfo]:
    """The threads, and the host CPUs they may be on.

    :param host: where those may be of which nothing is said; None: as many as there are virtual CPUs.
    """
    tune = domain.cputune
    pinned = {} if tune is None else {entry.iothread: entry.cpuset for entry in tune.iothreadpins}
    unpinned = CpuMap(range(domain.vcpu_count)) if host is None else host
    if domain.vcpu is not None and domain.vcpu.cpuset is not None:
        unpinned = CpuMap(domain.vcpu.cpuset)
    return [IOThreadInfo(number, CpuMap(pinned.get(number, unpinned))) for number in numbers(domain)]


def require(domain: Domain, number: int) -> None:
    """Refuse what is no I/O thread of a configuration."""
    if number not in numbers(domain):
        raise InvalidArg(f"cannot find IOThread '{number}' in iothreadids")


def add(domain: Domain, number: int) -> None:
    """Add a thread."""
    known = numbers(domain)
    if number in known:
        raise InvalidArg(f"an IOThread is already using iothread_id '{number}'")
    _list(domain, [*known, number])


def remove(domain: Domain, number: int) -> None:
    """Remove a thread that nothing uses, and what is said of it."""
    from virtcore.model.domain.resources import IOThread

    known = numbers(domain)
    if number not in known:
        raise InvalidArg(f"cannot find IOThread '{number}' in iothreadids list")
    _check_unused(domain, number)
    known.remove(number)
    _list(domain, known)
    tune = domain.cputune
    if tune is not None:
        from virtcore.xml import CpuSet

        tune.iothreadpins = [entry for entry in tune.iothreadpins if entry.iothread != number]
        for entry in tune.iothreadscheds:
            entry.iothreads = CpuSet(entry.iothreads - {number})
        tune.iothreadscheds = [entry for entry in tune.iothreadscheds if entry.iothreads]
    # A list that says no more than the count goes with the thread that it was made for.
    plain = [IOThread(id=place) for place in range(1, len(known) + 1)]
    if domain.iothread_ids == plain and not (tune is not None and tune.iothreadpins):
        domain.iothread_ids = []


def pin(domain: Domain, number: int, cpus: CpuMap) -> None:
    """Set the host CPUs that a thread may be on."""
    from virtcore.model.domain.cputune import CPUTune, IOThreadPin
    from virtcore.xml import CpuSet

    if not cpus:
        raise InvalidArg("Empty iothread cpumap list for pinning")
    known = numbers(domain)
    if number not in known:
        raise InvalidArg(f"iothreadid {number} not found")
    _list(domain, known)  # one of which more is said than that it is there is listed
    domain.cputune = domain.cputune or CPUTune()
    found = {entry.iothread: entry for entry in domain.cputune.iothreadpins}
    found[number] = IOThreadPin(iothread=number, cpuset=CpuSet(cpus))
    domain.cputune.iothreadpins = [found[each] for each in known if each in found]


def listed(domain: Domain, number: int) -> IOThread:
    """The element of a thread; made where so far they are only counted."""
    require(domain, number)
    _list(domain, numbers(domain))
    return next(thread for thread in domain.iothread_ids if thread.id == number)


def _list(domain: Domain, wanted: list[int]) -> None:
    from virtcore.model.domain.resources import IOThread

    known = {thread.id: thread for thread in domain.iothread_ids}
    domain.iothread_ids = [known.get(number) or IOThread(id=number) for number in wanted]
    domain.iothreads = len(wanted)


def _check_unused(domain: Domain, number: int) -> None:
    devices = domain.devices
    if devices is None:
        return
    for disk in devices.disks:
        driver = disk.driver
        if driver is not None and (
            driver.iothread == number or any(mapping.id == number for mapping in driver.iothreads)
        ):
            name = disk.target.dev if disk.target is not None else None
            raise InvalidArg(f"cannot remove IOThread {number} since it is being used by disk '{name}'")
    for controller in devices.controllers:
        options = getattr(controller, "driver", None)
        if options is not None and getattr(options, "iothread", None) == number:
            raise InvalidArg(f"cannot remove IOThread '{number}' since it is being used by controller")
