"""The hypervisor's side: how guests start, stop, end by themselves and are found again.

One object of this class serves all connections of a process to one place. The toolkit's :class:`DriverState` keeps the
definitions on disk, checks names and UUIDs, queues changes, tells subscribers; what is left to a driver are the hooks
below.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from virtcore.driver.toolkit import DomainObject, DriverState, StateFolders
from virtcore.enums import (
    DomainCreateFlags,
    DomainEventResumedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import ConfigUnsupported
from virtcore.model.domain import Domain
from virtcore.model.domain.document import format_domain
from virtcore.model.domain.rules import DomainContext, DomainRules, ParseFlag
from virtcore.runtime.launcher import Command, Process, attach, launcher

DOMAIN_TYPE = "test"
"""A real hypervisor has a domain type of its own; we borrow that of the test driver."""


GUEST = str(Path(__file__).with_name("guest.py"))
"""What runs as a guest."""


class ExampleRules(DomainRules):
    """What our guests may look like: hooks into the stages that complete and validate every domain document."""

    def validate_domain(self, domain: Domain, context: DomainContext) -> None:
        if domain.type != DOMAIN_TYPE:
            raise ConfigUnsupported(f"domain type '{domain.type}' is not supported here; use '{DOMAIN_TYPE}'")


class Guest(NamedTuple):
    """A running guest and who watches it."""

    process: Process
    watcher: asyncio.Task[None]


class ExampleState(DriverState):
    """Our guests below some folders."""

    driver_name = "example"

    def __init__(self, folders: StateFolders) -> None:
        super().__init__(folders)
        self._folder = folders.run
        self._guests: dict[str, Guest] = {}

    # -- hooks of the toolkit

    def make_rules(self) -> DomainRules:
        return ExampleRules()

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        # On disk first: whoever opens these folders after a crash finds what we were about to start.
        pid_file = self._pid_file(obj)
        pid_file.write_text("")
        await self._save(obj)
        try:
            # By its path: a guest gets none of our environment, and so may not find our packages.
            process = await launcher().start(Command(argv=[sys.executable, "-I", GUEST], pid_file=str(pid_file)))
        except BaseException:
            await self._forget(obj)
            raise
        self._watch(obj, process)
        if flags & DomainCreateFlags.START_PAUSED:
            process.signal(signal.SIGSTOP)
            self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
        else:
            self.running(obj)
        await self._save(obj)

    async def stop_domain(self, obj: DomainObject, graceful: bool) -> None:
        guest = self._guests.pop(obj.uuid, None)
        if guest is None:  # it has just ended by itself
            return
        guest.watcher.cancel()
        guest.process.signal(signal.SIGTERM if graceful else signal.SIGKILL)
        await guest.process.wait()
        guest.process.close()
        self._pid_file(obj).unlink(missing_ok=True)

    async def reattach(self) -> None:
        assert self.status is not None
        for entry in await self.status.open():
            obj = self.domains.claim(entry.name, entry.uuid)
            process = self._find(obj)
            if process is None:  # it ended while nobody looked
                await self._forget(obj)
                if not obj.persistent:
                    self.domains.remove(obj)
                continue
            number = entry.facts["id"]
            assert isinstance(number, int)
            # The configuration becomes objects only when somebody looks at it.
            self.activate(obj, partial(self._read_status, entry.uuid), id=number)
            if entry.facts["paused"]:
                self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
            else:
                self.running(obj)
            self.domains.publish(obj)
            self._watch(obj, process)

    async def close(self) -> None:
        for guest in self._guests.values():
            guest.watcher.cancel()
            guest.process.close()
        self._guests.clear()
        await super().close()

    # -- what the driver needs beyond the generic operations

    def process(self, obj: DomainObject) -> Process:
        """The process of a running domain."""
        return self._guests[obj.uuid].process

    async def pause(self, obj: DomainObject) -> None:
        """Stop a guest's process; it keeps its memory."""
        self.process(obj).signal(signal.SIGSTOP)
        self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
        self.emit(obj, DomainEventType.SUSPENDED, DomainEventSuspendedDetailType.PAUSED)
        await self._save(obj)

    async def resume(self, obj: DomainObject) -> None:
        """Let a paused guest run."""
        self.process(obj).signal(signal.SIGCONT)
        self.running(obj, DomainRunningReason.UNPAUSED)
        self.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.UNPAUSED)
        await self._save(obj)

    def cpu_time(self, obj: DomainObject) -> int:
        """CPU time that a guest has used, in ns; 0 when it has just ended."""
        try:
            fields = Path(f"/proc/{self.process(obj).pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, KeyError):
            return 0
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    # -- one guest

    def _watch(self, obj: DomainObject, process: Process) -> None:
        self._guests[obj.uuid] = Guest(process, asyncio.create_task(self._at_end(obj, process)))

    async def _at_end(self, obj: DomainObject, process: Process) -> None:
        await process.wait()
        del self._guests[obj.uuid]
        process.close()
        self._pid_file(obj).unlink(missing_ok=True)
        if process.status in (0, None):  # None: it was the child of a process before this one
            await self.stopped(obj, DomainShutoffReason.SHUTDOWN, DomainEventStoppedDetailType.SHUTDOWN)
        else:
            await self.stopped(obj, DomainShutoffReason.CRASHED, DomainEventStoppedDetailType.CRASHED)

    def _find(self, obj: DomainObject) -> Process | None:
        """The process that was started for a domain, if it still runs."""
        try:
            pid, started = self._pid_file(obj).read_text().split()
        except (OSError, ValueError):  # we never got as far as starting it
            return None
        return attach(int(pid), int(started))

    def _read_status(self, uuid: str) -> Domain:
        assert self.status is not None
        return self.load(self.status.read(uuid), ParseFlag.SKIP_VALIDATE)

    async def _save(self, obj: DomainObject) -> None:
        assert obj.live is not None
        await self.save_status(obj, format_domain(obj.live), {"id": obj.id, "paused": obj.state == DomainState.PAUSED})

    async def _forget(self, obj: DomainObject) -> None:
        await self.remove_status(obj)
        self._pid_file(obj).unlink(missing_ok=True)

    def _pid_file(self, obj: DomainObject) -> Path:
        # By UUID: nothing that a user may choose gets into a path.
        return self._folder / f"{obj.uuid}.pid"
