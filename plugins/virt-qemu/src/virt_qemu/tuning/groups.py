"""The control groups of guests: one for each, and in it one for each of its threads.

They are where libvirt has them without a machine manager: below the partition, ``/machine`` by default, named after the
guest and the driver.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from virt_host.cgroup import PIDS, ControlGroup, Mounts, partition_path
from virt_host.cgroup.group import DeviceLimit
from virtcore.driver.toolkit.configuration.iothreads import iothreads
from virtcore.driver.toolkit.configuration.vcpus import emulator_pin, pins
from virtcore.enums.common import TypedParameterType as Kind
from virtcore.errors import OperationInvalid, SystemError
from virtcore.model.domain.memory import NUMAMode
from virtcore.operations.events import DomainTunableEvent
from virtcore.runtime.threads import in_thread
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.tuning.live import GuestChange
    from virtcore.model.domain import Domain
    from virtcore.model.domain.cputune import CPUTune
    from virtcore.types import CpuMap

__all__ = [
    "DEFAULT_PARTITION",
    "apply_cpu",
    "apply_io",
    "apply_memory",
    "apply_nodes",
    "apply_threads",
    "enter_process",
    "enter_threads",
    "group_name",
    "limits_cpu",
    "make_group",
]

log = logging.getLogger(__name__)

_LONGEST_NAME = 64
_PERIOD = 100_000
_TERMINALS = "c 136:*"
"""Pseudo-terminals, of which QEMU opens new ones."""
#: Field of ``<blkiotune>`` of a device -> kind of limit.
_PER_DEVICE = {
    "weight": "weight",
    "read_iops_sec": "read_iops",
    "write_iops_sec": "write_iops",
    "read_bytes_sec": "read_bps",
    "write_bytes_sec": "write_bps",
}
#: Parameter of the scheduler -> field of ``<cputune>``.
SCHEDULER_FIELDS = {
    "cpu_shares": "shares",
    "vcpu_period": "period",
    "vcpu_quota": "quota",
    "emulator_period": "emulator_period",
    "emulator_quota": "emulator_quota",
    "global_period": "global_period",
    "global_quota": "global_quota",
    "iothread_period": "iothread_period",
    "iothread_quota": "iothread_quota",
}


def group_name(number: int, name: str, root: str | None) -> str:
    """What a guest's group is called: what its name has of letters, digits, points and hyphens.

    :param root: folder of an embedded driver, whose guests have the numbers of others.
    """
    begin = "qemu-"
    if root is not None:
        begin += f"embed-{hashlib.sha256(root.encode()).hexdigest()[:8]}-"
    found, skip = f"{begin}{number}-", True
    for letter in name:
        if len(found) >= _LONGEST_NAME:
            break
        if letter in ".-":
            found += "" if skip else letter
            skip = True
        elif letter.isascii() and letter.isalnum():
            found += letter
            skip = False
        else:
            skip = False
    return f"{found.rstrip('.-')}.libvirt-qemu"


DEFAULT_PARTITION = "/machine"
"""Below which guests are that do not say where."""


def make_group(mounts: Mounts, domain: Domain | None, name: str, controllers: list[str]) -> ControlGroup | None:
    """A guest's group, which need not be there yet; None where this host has none.

    :param controllers: those to be used.
    """
    partition = domain.resource.partition if domain is not None and domain.resource is not None else None
    group = ControlGroup(mounts, f"{partition_path(partition or DEFAULT_PARTITION)}/{name}", controllers)
    return group if any(group.has(each) for each in mounts.controllers()) else None


# -- at the start


def enter_process(guest: Guest, domain: Domain, devices: Iterable[str] | None = None, threads: int = 0) -> None:
    """Put a QEMU that was just started into its group, with what is limited of it as a whole.

    :param devices: device files that it may open; None leaves what it may.
    :param threads: how many it may have; 0 for what the host allows.
    :raises VirtError: a limit cannot be set.
    """
    group = guest.group
    if group is None or guest.process is None:
        return
    try:
        group.create()
        if devices is not None and group.guards_devices:
            _guard(group, devices)
        if threads and group.has(PIDS):
            group.set_thread_limit(threads)
        group.add_process(guest.process.pid)
    except SystemError as error:
        if _limits_anything(domain):
            raise
        log.warning("guests of this host are in no control groups: %s", error)
        group.remove()
        guest.group = None
        return
    _set_memory(group, domain)
    _set_io(group, domain, None)
    _set_nodes(group, domain)
    tune = domain.cputune
    if tune is not None and tune.shares is not None:
        group.set_cpu_shares(tune.shares)
    if tune is not None and (tune.global_period or tune.global_quota):
        group.set_cpu_quota(tune.global_period or _PERIOD, tune.global_quota or 0)


def _guard(group: ControlGroup, devices: Iterable[str]) -> None:
    group.deny_all_devices()
    for path in devices:
        group.allow_device(path)
    group.allow_devices(_TERMINALS)


def enter_threads(guest: Guest, domain: Domain, host: CpuMap) -> None:
    """Put threads that are new into groups of their own.

    :raises VirtError: a limit cannot be set.
    """
    if guest.group is None:
        return
    tune = domain.cputune
    for group, threads, cpus, (period, quota) in _parts(guest, domain, host):
        group.create(threads=True)
        for thread in threads:
            group.add_thread(thread)
        if group.has("cpuset") and cpus is not None:
            group.set_cpus(cpus)
        if tune is not None and group.has("cpu") and (period or quota):
            group.set_cpu_quota(period or _PERIOD, quota or 0)


def _parts(
    guest: Guest, domain: Domain, host: CpuMap
) -> Iterator[tuple[ControlGroup, list[int], CpuMap | None, tuple[int | None, int | None]]]:
    """The groups in a guest's: their threads, the host's CPUs they may be on where not all, period and quota."""
    whole, tune = guest.group, domain.cputune
    assert whole is not None
    if not any(whole.has(each) for each in ("cpu", "cpuset", "cpuacct")):
        return

    def where(cpus: CpuMap) -> CpuMap | None:
        return None if cpus == host else cpus

    if guest.process is not None:
        limits = (tune.emulator_period, tune.emulator_quota) if tune is not None else (None, None)
        yield whole.below("emulator"), [guest.process.pid], where(emulator_pin(domain, host)), limits
    limits = (tune.period, tune.quota) if tune is not None else (None, None)
    for number, cpus in enumerate(pins(domain, host)):
        if number in guest.threads:
            yield whole.below(f"vcpu{number}"), [guest.threads[number]], where(cpus), limits
    limits = (tune.iothread_period, tune.iothread_quota) if tune is not None else (None, None)
    for entry in iothreads(domain, host):
        if entry.iothread_id in guest.iothreads:
            threads = [guest.iothreads[entry.iothread_id]]
            yield whole.below(f"iothread{entry.iothread_id}"), threads, where(entry.cpumap), limits


def limits_cpu(domain: Domain) -> bool:
    """Whether a configuration limits CPU time."""
    tune = domain.cputune
    return tune is not None and any(getattr(tune, field) for field in SCHEDULER_FIELDS.values())


def _limits_anything(domain: Domain) -> bool:
    return (
        limits_cpu(domain) or domain.memtune is not None or domain.blkiotune is not None or domain.resource is not None
    )


# -- while it runs


async def apply_threads(change: GuestChange) -> None:
    """I/O threads that have come are in groups of their own."""
    enter_threads(change.guest, change.new, change.state.host_cpus)


async def apply_cpu(change: GuestChange) -> None:
    """Shares and limits of CPU time that have changed; tells of them."""
    old, new = change.old.cputune, change.new.cputune

    def changed(*fields: str) -> bool:
        return any(_of(old, field) != _of(new, field) for field in fields)

    if not changed(*SCHEDULER_FIELDS.values()):
        return
    await in_thread(change.state.limit_cpu, change.obj, change.guest, change.old)
    group = change.guest.group
    if group is None:
        raise OperationInvalid("cgroup CPU controller is not mounted")
    group.require("cpu")
    if changed("shares"):
        group.set_cpu_shares(_of(new, "shares") or 1024)
    if changed("global_period", "global_quota"):
        group.set_cpu_quota(_of(new, "global_period") or 0, _of(new, "global_quota") or 0)
    for part, _, _, (period, quota) in _parts(change.guest, change.new, change.state.host_cpus):
        kind = part.path.rpartition("/")[2].rstrip("0123456789")
        prefix = "" if kind == "vcpu" else f"{kind}_"
        if changed(f"{prefix}period", f"{prefix}quota"):
            part.set_cpu_quota(period or 0, quota or 0)
    params = TypedParameters()
    for name, field in SCHEDULER_FIELDS.items():
        value = _of(new, field)
        if changed(field) and value is not None:
            params.add(f"cputune.{name}", Kind.LLONG if name.endswith("quota") else Kind.ULLONG, value)
    if params.rows():
        change.state.events.emit(DomainTunableEvent(change.obj.ref, params))


def _of(tune: CPUTune | None, field: str) -> int | None:
    return getattr(tune, field) if tune is not None else None


async def apply_memory(change: GuestChange) -> None:
    """Limits of memory."""
    if change.guest.group is None:
        raise OperationInvalid("cgroup memory controller is not mounted")
    change.guest.group.require("memory")
    _set_memory(change.guest.group, change.new, unset=True)


def _set_memory(group: ControlGroup, domain: Domain, *, unset: bool = False) -> None:
    tune = domain.memtune
    if tune is not None or unset:
        limits = (tune.hard_limit, tune.soft_limit, tune.swap_hard_limit) if tune is not None else (None, None, None)
        if unset or any(limit is not None for limit in limits):
            group.set_memory_limits(*limits)


async def apply_io(change: GuestChange) -> None:
    """Weights and limits of I/O on the host's devices."""
    if change.guest.group is None:
        raise OperationInvalid("blkio cgroup isn't mounted")
    if not change.guest.group.has("blkio"):
        raise OperationInvalid("blkio cgroup isn't mounted")
    _set_io(change.guest.group, change.new, change.old)


def _set_io(group: ControlGroup, domain: Domain, old: Domain | None) -> None:
    """Set what differs from what there was."""
    new_tune, old_tune = domain.blkiotune, old.blkiotune if old is not None else None
    weight = new_tune.weight if new_tune is not None else None
    if weight and weight != (old_tune.weight if old_tune is not None else None):
        group.set_io_weight(weight)
    before = {device.path: device for device in old_tune.devices} if old_tune is not None else {}
    after = {device.path: device for device in new_tune.devices} if new_tune is not None else {}
    for path in {**before, **after}:
        for field, kind in _PER_DEVICE.items():
            value = getattr(after.get(path), field, None)
            if value != getattr(before.get(path), field, None):
                group.set_device_limit(DeviceLimit(kind, path, value or 0))


async def apply_nodes(change: GuestChange) -> None:
    """The host's nodes that memory may be on.

    :raises OperationInvalid: the guest's memory cannot be moved.
    """
    if change.guest.group is None:
        raise OperationInvalid("cgroup cpuset controller is not mounted")
    change.guest.group.require("cpuset")
    memory = change.new.numatune.memory if change.new.numatune is not None else None
    if memory is not None and memory.mode not in (None, NUMAMode.STRICT, NUMAMode.RESTRICTIVE):
        raise OperationInvalid("change of nodeset for running domain requires strict or restrictive numa mode")
    cells = change.new.cpu.numa.cells if change.new.cpu is not None and change.new.cpu.numa is not None else []
    if cells and memory is not None and memory.mode in (None, NUMAMode.STRICT):
        # QEMU has bound what is behind the cells itself.
        raise OperationInvalid("can't change nodeset for strict mode for running domain")
    _set_nodes(change.guest.group, change.new)
    for part, _, _, _ in _parts(change.guest, change.new, change.state.host_cpus):
        if part.exists:
            _set_nodes(part, change.new)


def _set_nodes(group: ControlGroup, domain: Domain) -> None:
    memory = domain.numatune.memory if domain.numatune is not None else None
    if memory is None or memory.nodeset is None or not group.has("cpuset"):
        return
    if memory.mode in (None, NUMAMode.STRICT, NUMAMode.RESTRICTIVE):
        group.set_memory_nodes(memory.nodeset)
