"""What checks of several kinds of devices ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtcore.errors import ConfigUnsupported
from virtcore.model.domain.graphics import SpiceGraphics
from virtcore.model.domain.memory import MemoryAccess

if TYPE_CHECKING:
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virtcore.model.domain.disk import IOThreadMapping
    from virtcore.model.domain.domain import Domain

__all__ = ["has_spice", "knows_iothread", "require", "require_shared_memory", "validate_mapping"]


def require(capabilities: EmulatorCapabilities, flag: str, message: str) -> None:
    """Refuse what the emulator has not been built with.

    :raises ConfigUnsupported: it lacks the capability.
    """
    if not capabilities.has(flag):
        raise ConfigUnsupported(message)


def require_shared_memory(name: str, domain: Domain) -> None:
    """Refuse what works on the guest's memory from outside of QEMU when that cannot be shared.

    :param name: what messages call it.
    :raises ConfigUnsupported: it cannot.
    """
    backing = domain.memory_backing
    shared = backing is not None and backing.access is MemoryAccess.SHARED
    numa = domain.cpu.numa if domain.cpu is not None else None
    cells = numa.cells if numa is not None else []
    private = not shared if not cells else False
    for cell in cells:
        own = cell.mem_access
        if own is MemoryAccess.PRIVATE or (own is not MemoryAccess.SHARED and not shared):
            private = True
    if private:
        raise ConfigUnsupported(f"'{name}' requires shared memory")


def has_spice(domain: Domain) -> bool:
    """Whether the guest has a display over Spice."""
    assert domain.devices is not None
    return any(isinstance(display, SpiceGraphics) for display in domain.devices.graphics)


def knows_iothread(domain: Domain, number: int) -> bool:
    """Whether the domain has an I/O thread of a number."""
    if not domain.iothread_ids:
        return 1 <= number <= (domain.iothreads or 0)
    return any(thread.id == number for thread in domain.iothread_ids)


def validate_mapping(mapping: Sequence[IOThreadMapping], queues: int, domain: Domain) -> None:
    """Refuse queues that are not spread over threads one by one.

    :param queues: how many there are; 0 where nobody said.
    :raises ConfigUnsupported: with libvirt's message.
    """
    explicit = bool(mapping[0].queues)
    if explicit and not queues:
        raise ConfigUnsupported("'queue' count must be configured for explicit iothread to queue mapping")
    threads: set[int] = set()
    taken: set[int] = set()
    for one in mapping:
        if one.id in threads:
            raise ConfigUnsupported(f"duplicate mapping for iothread '{one.id}'")
        threads.add(one.id)
        if not knows_iothread(domain, one.id):
            raise ConfigUnsupported(f"iothread '{one.id}' not defined in iothreadid")
        if bool(one.queues) != explicit:
            raise ConfigUnsupported("iothread to queue mapping must be provided for all iothreads or for none")
        for queue in one.queues:
            if queue in taken:
                raise ConfigUnsupported(f"iothread queue '{queue}' is already assigned")
            if queue >= queues:
                raise ConfigUnsupported(f"iothread queue '{queue}' mapping out of range")
            taken.add(queue)
    missing = next((queue for queue in range(queues) if queue not in taken), None) if explicit else None
    if missing is not None:
        raise ConfigUnsupported(f"missing iothread mapping for queue '{missing}'")
