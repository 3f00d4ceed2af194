"""What the driver keeps with a running guest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from virt_qemu.perf import PerfCounters
from virtcore.driver.toolkit import DomainObject, file_name
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason
from virtcore.errors import OperationFailed

if TYPE_CHECKING:
    from virt_host.cgroup import ControlGroup
    from virt_qemu.agent.channel import Agent
    from virt_qemu.backup.state import BackupProgress
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.log import GuestLog
    from virt_qemu.monitor import Monitor
    from virt_qemu.status import DomainStatus
    from virtcore.enums.domain import DomainShutoffReason
    from virtcore.model.cpu.element import GuestCPU
    from virtcore.model.domain import Domain
    from virtcore.model.storage.source import Source
    from virtcore.operations.stream import ByteStream
    from virtcore.runtime.launcher import Process

__all__ = ["Boot", "Guest", "guest_of", "state_folder"]

_SHORT_NAME = 20


def state_folder(run: Path, number: int, name: str) -> Path:
    """The folder of one running guest: sockets, keys, pid file."""
    short = file_name(name)[:_SHORT_NAME].rstrip("%")
    return run / f"domain-{number}-{short}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """How a guest comes to run.

    :ivar paused: its virtual CPUs stand still at first.
    :ivar incoming: what QEMU is told with ``-incoming``: its state comes from elsewhere; None where it boots.
    :ivar load: brings a state in that is not its first; called when QEMU answers, before virtual CPUs run.
    :ivar reset_nvram: the firmware's variables are made afresh.
    :ivar running: why it runs then.
    :ivar stands: why it stands still, if it does.
    :ivar original_cpu: the processor that was asked for, where the guest has seen another one already.
    """

    paused: bool = False
    incoming: str | None = None
    load: Callable[[Guest], Awaitable[None]] | None = None
    reset_nvram: bool = False
    running: DomainRunningReason = DomainRunningReason.BOOTED
    stands: DomainPausedReason = DomainPausedReason.USER
    original_cpu: GuestCPU | None = None


@dataclass(slots=True, kw_only=True)
class Guest:
    """A running guest.

    :ivar folder: its folder (see :func:`state_folder`).
    :ivar status: what its status file tells beside what is kept elsewhere: jobs, jobs of the block layer, counters, ...
        Whoever changes something there tells the state (``state_changed``, or ``save`` to know that it is on disk).
    :ivar admission: lets its QEMU have an image, one that is still to be made too; None where it may have every one.
    :ivar process: its QEMU, once started.
    :ivar monitor: the channel to it; None while it is not connected.
    :ivar watch: the task that waits for its end.
    :ivar ending: why it is ended, from the moment that this is decided; None while it is to run.
    :ivar pausing: why its virtual CPUs stand still when QEMU says that they do; likewise ``resuming``.
    :ivar got_shutdown: the guest has powered off; QEMU still stays.
    :ivar reboot: powering off means to boot again (a reboot that was asked for).
    :ivar balloon: memory the guest has, in KiB.
    :ivar threads: host threads of its virtual CPUs, by number.
    :ivar iothreads: host threads of its I/O threads, by number.
    :ivar last: last values of statistics by question, for when QEMU does not answer.
    :ivar becoming: what its configuration is being changed to, while it is.
    :ivar dirty_rate: how fast it changes memory may have been measured; until then nobody asks.
    :ivar group: its control group; None where it has none.
    :ivar io_errors: what its disks' last errors were, by target.
    :ivar perf: what is counted of its process.
    :ivar agent: the agent inside it; None while that is not connected.
    :ivar agent_broken: it has opened its channel for the agent, which cannot be reached all the same.
    :ivar consoles: open streams by alias of the device.
    :ivar backup: how far the backup is that is being made of it.
    :ivar awaited_jobs: jobs of the block layer that somebody waits for, by id.
    :ivar next_fdset: number of the next set of descriptors; None until somebody has asked QEMU which it has.
    :ivar label_given: its label is this host's, its description has none.
    :ivar unplugging: by alias of a device that somebody waits for: whether the guest has let go of it.
    """

    folder: Path
    log: GuestLog
    admission: Callable[[Source, bool], Awaitable[None]] | None = None
    status: DomainStatus
    capabilities: EmulatorCapabilities | None = None
    process: Process | None = None
    monitor: Monitor | None = None
    watch: asyncio.Task[None] | None = None
    ending: DomainShutoffReason | None = None
    pausing: DomainPausedReason = DomainPausedReason.USER
    resuming: DomainRunningReason = DomainRunningReason.UNPAUSED
    got_shutdown: bool = False
    reboot: bool = False
    balloon: int | None = None
    threads: dict[int, int] = field(default_factory=dict)
    iothreads: dict[int, int] = field(default_factory=dict)
    last: dict[str, object] = field(default_factory=dict)
    becoming: Domain | None = None
    dirty_rate: bool = False
    group: ControlGroup | None = None
    io_errors: dict[str, str] = field(default_factory=dict)
    perf: PerfCounters = field(default_factory=PerfCounters)
    agent: Agent | None = None
    agent_broken: bool = False
    consoles: dict[str, ByteStream] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    backup: BackupProgress | None = None
    awaited_jobs: dict[str, asyncio.Event] = field(default_factory=dict)
    next_fdset: int | None = None
    label_given: bool = False
    unplugging: dict[str, asyncio.Future[bool]] = field(default_factory=dict)
    _key: bytes | None = field(default=None, init=False, repr=False)

    @property
    def node_index(self) -> int:
        """Number of the last image that was given one; its nodes are named by it."""
        return self.status.node_index or 0

    @node_index.setter
    def node_index(self, number: int) -> None:
        self.status.node_index = number

    async def admit(self, source: Source, *, new: bool = False) -> None:
        """Let the guest's QEMU have an image that is not one of its disks' yet.

        :param new: it is still to be made.
        :raises VirtError: it cannot have it.
        """
        if self.admission is not None:
            await self.admission(source, new)

    def channel(self) -> Monitor:
        """The channel to QEMU.

        :raises OperationFailed: there is none.
        """
        if self.monitor is None or not self.monitor.connected:
            raise OperationFailed("domain is not running")
        return self.monitor

    def start_task(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside, until the guest ends."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def tell_memory(self, domain: Domain) -> None:
        """Write into a configuration how much memory the guest has: the balloon does not know of what modules of
        virtio-mem give it.
        """
        devices = domain.devices
        if devices is None or devices.memballoon is None or devices.memballoon.model == "none":
            domain.current_memory = domain.memory_total
        elif self.balloon is not None:
            sizes = (getattr(module.target, "current", None) for module in devices.memory)
            domain.current_memory = self.balloon + sum(size for size in sizes if size is not None)

    def next_node(self) -> int:
        """A number for an image that is new to QEMU."""
        self.node_index += 1
        return self.node_index

    def master_key(self) -> bytes:
        """The key by which secrets are sealed for this guest's QEMU."""
        if self._key is None:
            self._key = (self.folder / "master-key.aes").read_bytes()
        return self._key

    def configurations(self, obj: DomainObject) -> list[Domain]:
        """What the guest is, and what it is becoming: what QEMU tells goes into both."""
        return [domain for domain in (obj.live, self.becoming) if domain is not None]


def guest_of(obj: DomainObject) -> Guest:
    """The guest of a running domain."""
    obj.require_active()
    guest = obj.private
    assert isinstance(guest, Guest)
    return guest
