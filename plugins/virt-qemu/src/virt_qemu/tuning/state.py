"""The part of the driver's state that changes running guests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_host.description.cpuinfo import online_cpus
from virt_host.description.tree import HostTree
from virt_qemu.guest import Guest, guest_of
from virt_qemu.tuning.live import GuestChange, LiveChange, apply_changes
from virtcore.driver.toolkit.reconfigure import ReconfigurableState
from virtcore.errors import VirtError
from virtcore.types import CpuMap

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["TuningState"]

log = logging.getLogger(__name__)


def _kinds() -> tuple[LiveChange, ...]:
    """What can be changed while a guest runs, in the order in which it is."""
    from virt_qemu import perf
    from virt_qemu.hotplug import iothreads
    from virt_qemu.tuning import balloon, pins

    return (
        LiveChange(("/domain/currentMemory",), balloon.apply_size),
        LiveChange(("/domain/devices/memballoon/stats",), balloon.apply_stats_period),
        LiveChange(("/domain/iothreads", "/domain/iothreadids"), iothreads.apply_threads),
        LiveChange(
            ("/domain/cputune/vcpupin", "/domain/cputune/emulatorpin", "/domain/cputune/iothreadpin"), pins.apply_pins
        ),
        LiveChange(("/domain/perf",), perf.apply_events),
    )


class TuningState(ReconfigurableState):
    """Settings of running guests."""

    tree = HostTree()

    @property
    def host_cpus(self) -> CpuMap:
        return CpuMap(online_cpus(self.tree))

    async def save(self, obj: DomainObject, guest: Guest) -> None:
        """Write down what is needed to find a guest again."""
        raise NotImplementedError

    # -- at the start

    def limit_process(self, guest: Guest, domain: Domain) -> None:
        """Confine and watch a QEMU that was just started.

        :raises VirtError: the host refuses it.
        """
        from virt_qemu.perf import wanted_events
        from virt_qemu.tuning.pins import pin_process

        pin_process(guest, domain, self.host_cpus)
        if guest.process is not None:
            guest.perf.set(wanted_events(domain), guest.process.pid)

    def limit_threads(self, guest: Guest, domain: Domain) -> None:
        """Confine the threads of a QEMU whose monitor has told of them.

        :raises VirtError: the host refuses it.
        """
        from virt_qemu.tuning.pins import pin_threads

        pin_threads(guest, domain, self.host_cpus)

    def watch_again(self, obj: DomainObject, guest: Guest) -> None:
        """Watch a guest that was found; what is not to be had any more is given up."""
        from virt_qemu.perf import wanted_events

        if obj.live is None or guest.process is None:
            return
        for name in wanted_events(obj.live):
            try:
                guest.perf.enable(name, guest.process.pid)
            except VirtError as error:
                log.warning("domain '%s': %s", obj.name, error)

    # -- while it runs

    async def change_guest(self, obj: DomainObject, changed: Domain) -> None:
        guest = guest_of(obj)
        assert obj.live is not None
        # What QEMU tells meanwhile holds for what the guest is becoming, too (see `configurations`).
        guest.becoming = changed
        try:
            await apply_changes(GuestChange(state=self, obj=obj, guest=guest, old=obj.live, new=changed), _kinds())
        finally:
            guest.becoming = None

    async def live_changed(self, obj: DomainObject) -> None:
        if obj.active:
            await self.save(obj, guest_of(obj))
