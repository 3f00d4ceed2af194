"""The part of the driver's state that changes running guests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from virt_host.cgroup import CONTROLLERS, PIDS, ControlGroup, Mounts
from virt_host.description.cpuinfo import online_cpus
from virt_host.description.tree import HostTree
from virt_qemu.guest import Guest, guest_of
from virt_qemu.host_side.programs import helpers_of
from virt_qemu.tuning.live import GuestChange, LiveChange, apply_changes
from virtcore.driver.toolkit.reconfigure import ReconfigurableState
from virtcore.errors import VirtError
from virtcore.runtime.threads import in_thread
from virtcore.types import CpuMap

if TYPE_CHECKING:
    from virt_qemu.host_side.host import HostSide
    from virt_qemu.settings import QemuSettings
    from virtcore.driver.toolkit import DomainObject
    from virtcore.model.domain import Domain

__all__ = ["TuningState"]

log = logging.getLogger(__name__)


def _kinds() -> tuple[LiveChange, ...]:
    """What can be changed while a guest runs, in the order in which it is."""
    from virt_qemu import perf
    from virt_qemu.disks import throttling
    from virt_qemu.hotplug import iothreads
    from virt_qemu.tuning import balloon, groups, interfaces, lifecycle, pins

    return (
        LiveChange(("/domain/currentMemory",), balloon.apply_size),
        LiveChange(("/domain/devices/memballoon/stats",), balloon.apply_stats_period),
        LiveChange(("/domain/iothreads", "/domain/iothreadids"), iothreads.apply_threads),
        LiveChange(("/domain/iothreads", "/domain/iothreadids"), groups.apply_threads),
        LiveChange(
            ("/domain/cputune/vcpupin", "/domain/cputune/emulatorpin", "/domain/cputune/iothreadpin"), pins.apply_pins
        ),
        LiveChange(tuple(f"/domain/cputune/{field}" for field in groups.SCHEDULER_FIELDS.values()), groups.apply_cpu),
        LiveChange(("/domain/memtune",), groups.apply_memory),
        LiveChange(("/domain/blkiotune",), groups.apply_io),
        LiveChange(("/domain/numatune",), groups.apply_nodes),
        LiveChange(("/domain/devices/interface/bandwidth",), interfaces.apply_bandwidth),
        LiveChange(("/domain/perf",), perf.apply_events),
        LiveChange(("/domain/on_poweroff", "/domain/on_reboot", "/domain/on_crash"), lifecycle.apply_actions),
        LiveChange(("/domain/throttlegroups",), throttling.apply_groups),
        LiveChange(("/domain/devices/disk/iotune",), throttling.apply_limits),
    )


class TuningState(ReconfigurableState):
    """Settings of running guests."""

    tree = HostTree()
    privileged: bool
    settings: QemuSettings

    @property
    def host_cpus(self) -> CpuMap:
        return CpuMap(online_cpus(self.tree))

    @property
    def host_side(self) -> HostSide:
        """What guests have on the host."""
        raise NotImplementedError

    async def save(self, obj: DomainObject, guest: Guest) -> None:
        """Write down what is needed to find a guest again."""
        raise NotImplementedError

    # -- at the start

    @cached_property
    def control_groups(self) -> Mounts:
        """The host's control groups; none that a user without the administrator's rights could make some in."""
        return Mounts.detect() if self.privileged else Mounts()

    def group_of(
        self, number: int, name: str, domain: Domain | None = None, *, with_cpu: bool = True
    ) -> ControlGroup | None:
        """The control group of a guest, which need not be there; None where this host has none.

        :param with_cpu: it is one among all who want CPU time, too, as whose CPU time is limited has to be.
        """
        from virt_qemu.tuning.groups import group_name, make_group

        controllers = set(self.settings.cgroup_controllers or CONTROLLERS)
        if not with_cpu:
            controllers.discard("cpu")
        if self.settings.max_threads_per_process:
            controllers.add(PIDS)
        return make_group(self.control_groups, domain, group_name(number, name, self._own_root), sorted(controllers))

    @property
    def _own_root(self) -> str | None:
        """The root of an embedded driver, whose guests' numbers others have as well; None for the system's."""
        assert self.folders is not None
        return None if str(self.folders.run).startswith("/run/") else str(self.folders.run)

    def first_group(self, obj: DomainObject, domain: Domain) -> ControlGroup | None:
        """The control group that a guest begins in. All guests together count as one among those who want CPU time:
        an embedded driver's do only once somebody limits theirs."""
        from virt_qemu.tuning.groups import DEFAULT_PARTITION, limits_cpu
        from virtcore.model.domain.resources import Resource

        with_cpu = self._own_root is None or limits_cpu(domain)
        group = self.group_of(obj.id, obj.name, domain, with_cpu=with_cpu)
        if group is not None:
            domain.resource = domain.resource or Resource()
            domain.resource.partition = domain.resource.partition or DEFAULT_PARTITION
        return group

    def limit_cpu(self, obj: DomainObject, guest: Guest, domain: Domain) -> None:
        """See to it that a running guest's CPU time can be limited.

        :raises VirtError: it cannot.
        """
        from virt_qemu.tuning.groups import enter_process, enter_threads

        if guest.group is None or guest.group.has("cpu") or "cpu" not in self.control_groups.controllers():
            return
        guest.group = self.group_of(obj.id, obj.name, domain)
        enter_process(guest, domain, threads=self.settings.max_threads_per_process)
        enter_threads(guest, domain, self.host_cpus)

    async def remove_left_group(self, number: int, name: str) -> None:
        """Remove the control group of a guest that ended while nobody looked."""
        group = self.group_of(number, name)
        if group is not None and group.exists:
            await in_thread(group.remove)

    def leave_groups(self, guest: Guest) -> None:
        """Remove the control groups of a guest that has ended, beside: the kernel takes its time with it."""
        group, guest.group = guest.group, None
        if group is not None:
            task = asyncio.create_task(in_thread(group.remove))
            self.leaving.add(task)
            task.add_done_callback(self.leaving.discard)

    @cached_property
    def leaving(self) -> set[asyncio.Task[None]]:
        """Control groups that are being removed."""
        return set()

    async def close(self) -> None:
        await super().close()
        await asyncio.gather(*self.leaving)

    async def limit_process(self, guest: Guest, domain: Domain, devices: Iterable[str]) -> None:
        """Confine and watch a QEMU that was just started.

        :param devices: device files that it may open.
        :raises VirtError: the host refuses it.
        """
        from virt_qemu.perf import wanted_events
        from virt_qemu.tuning.groups import enter_process
        from virt_qemu.tuning.pins import pin_process

        # The kernel takes its time with control groups, which nobody else need wait for.
        await in_thread(enter_process, guest, domain, devices, self.settings.max_threads_per_process)
        await self.share_cores(guest)
        pin_process(guest, domain, self.host_cpus)
        if guest.process is not None:
            guest.perf.set(wanted_events(domain), guest.process.pid)

    async def limit_threads(self, guest: Guest, domain: Domain) -> None:
        """Confine the threads of a QEMU whose monitor has told of them.

        :raises VirtError: the host refuses it.
        """
        from virt_qemu.tuning.groups import enter_threads
        from virt_qemu.tuning.pins import pin_threads

        host = self.host_cpus
        await in_thread(enter_threads, guest, domain, host)
        pin_threads(guest, domain, host)
        if self.settings.sched_core == "vcpus":
            from virt_qemu.core_scheduling import Scope, share_cores

            await in_thread(share_cores, guest.threads.values(), Scope.THREAD)

    async def share_cores(self, guest: Guest) -> None:
        """Keep a guest's QEMU, and its helpers where they are to be with it, from sharing cores with others.

        :raises SystemError: the kernel refuses it.
        """
        if self.settings.sched_core not in ("emulator", "full") or guest.process is None:
            return
        from virt_qemu.core_scheduling import Scope, share_cores

        helpers = helpers_of(guest.folder) if self.settings.sched_core == "full" else []
        await in_thread(share_cores, [guest.process.pid, *helpers], Scope.PROCESS)

    def watch_again(self, obj: DomainObject, guest: Guest) -> None:
        """Watch a guest that was found; what is not to be had any more is given up."""
        from virt_qemu.perf import wanted_events

        if obj.live is None or guest.process is None:
            return
        group = self.group_of(obj.id, obj.name, obj.live)
        if group is not None and not group.exists_for("cpu"):
            group = self.group_of(obj.id, obj.name, obj.live, with_cpu=False)
        guest.group = group if group is not None and group.exists else None
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
