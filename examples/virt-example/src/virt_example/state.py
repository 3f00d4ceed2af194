"""The hypervisor's side: how guests start, stop, end by themselves and are found again.

One object of this class serves all connections of a process to one place. The toolkit's :class:`DriverState` keeps the definitions on
disk, checks names and UUIDs, queues changes, tells subscribers; what is left to a driver are the hooks below.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from virtcore.driver.toolkit import DomainObject, DriverState
from virtcore.enums import (
    DomainCreateFlags,
    DomainEventStoppedDetailType,
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


class ExampleRules(DomainRules):
    """What our guests may look like: hooks into the stages that complete and validate every domain document."""

    def validate_domain(self, domain: Domain, context: DomainContext) -> None:
        if domain.type != DOMAIN_TYPE:
            raise ConfigUnsupported(f"domain type '{domain.type}' is not supported here; use '{DOMAIN_TYPE}'")


class ExampleState(DriverState):
    """Our guests below some folders."""

    driver_name = "example"

    def make_rules(self) -> DomainRules:
        return ExampleRules()

    async def start_domain(self, obj: DomainObject, flags: DomainCreateFlags) -> None:
        # On disk first: whoever opens these folders after a crash finds what we were about to start.
        pid_file = self._pid_file(obj)
        pid_file.write_text("")
        await self._save(obj)
        try:
            command = Command(argv=[sys.executable, "-m", "virt_example.guest"], environment={}, pid_file=str(pid_file))
            process = await launcher().start(command)
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
        process = process_of(obj)
        process.signal(signal.SIGTERM if graceful else signal.SIGKILL)
        await process.wait()
        self._unwatch(obj)
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
            text = self.status.read(entry.uuid)
            # The configuration becomes objects only when somebody looks at it.
            self.activate(
                obj, lambda text=text: self.load(text, ParseFlag.SKIP_VALIDATE), id=_number(entry.facts["id"])
            )
            self.domains.publish(obj)
            if entry.facts["paused"]:
                self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
            else:
                self.running(obj)
            self._watch(obj, process)

    async def close(self) -> None:
        for obj in self.domains:
            if obj.active:
                self._unwatch(obj)
        await super().close()

    # -- what the driver calls beyond the generic operations

    async def pause(self, obj: DomainObject) -> None:
        """Stop a guest's process; it keeps its memory."""
        process_of(obj).signal(signal.SIGSTOP)
        self.set_state(obj, DomainState.PAUSED, DomainPausedReason.USER)
        await self._save(obj)

    async def resume(self, obj: DomainObject) -> None:
        """Let a paused guest run."""
        process_of(obj).signal(signal.SIGCONT)
        self.running(obj, DomainRunningReason.UNPAUSED)
        await self._save(obj)

    # -- one guest

    def _watch(self, obj: DomainObject, process: Process) -> None:
        obj.private = (process, asyncio.create_task(self._at_end(obj, process)))

    def _unwatch(self, obj: DomainObject) -> None:
        if obj.private is not None:
            process, task = obj.private
            obj.private = None
            task.cancel()
            process.close()

    async def _at_end(self, obj: DomainObject, process: Process) -> None:
        await process.wait()
        obj.private = None
        process.close()
        self._pid_file(obj).unlink(missing_ok=True)
        if process.status in (0, None):  # None: it was another process's child
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

    async def _save(self, obj: DomainObject) -> None:
        assert obj.live is not None
        facts = {"id": obj.id, "paused": obj.state == DomainState.PAUSED}
        await self.save_status(obj, format_domain(obj.live), facts)

    async def _forget(self, obj: DomainObject) -> None:
        await self.remove_status(obj)
        self._pid_file(obj).unlink(missing_ok=True)

    def _pid_file(self, obj: DomainObject) -> Path:
        assert self.folders is not None
        # By UUID: nothing that a user may choose gets into a path.
        return self.folders.run / f"{obj.uuid}.pid"


def process_of(obj: DomainObject) -> Process:
    """The process of a running domain."""
    assert obj.private is not None
    process: Process = obj.private[0]
    return process


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def cpu_time(obj: DomainObject) -> int:
    """CPU time that a guest has used, in ns; 0 when it has just ended."""
    try:
        fields = Path(f"/proc/{process_of(obj).pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
