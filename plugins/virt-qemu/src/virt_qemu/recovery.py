"""Guests outlive the process that started them: what is written down of them, and how they are found again."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from virt_qemu import process as processes
from virt_qemu.events import GuestEvents
from virt_qemu.foresight import Foreseen, future_status, take_foreseen
from virt_qemu.guest import Guest
from virt_qemu.host_side.owner import owner_of
from virt_qemu.live_status import MONITOR, new_status, refresh, state_of
from virt_qemu.log import GuestLog
from virt_qemu.resources import connect_socket
from virt_qemu.status import DomainStatus, StatusFolders, format_status, load_status, status_flags
from virt_qemu.volumes import find_volumes
from virtcore.driver.toolkit import DomainObject, IndexEntry
from virtcore.driver.toolkit.uptime import boot_id
from virtcore.enums.domain import (
    DomainCrashedReason,
    DomainPausedReason,
    DomainPMSuspendedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
)
from virtcore.errors import InternalError, OperationAborted, VirtError, XMLError
from virtcore.runtime.launcher import Process, attach

if TYPE_CHECKING:
    from virt_qemu.capabilities.cache import CapabilitiesCache
    from virt_qemu.capabilities.model import EmulatorCapabilities
    from virt_qemu.host_side import HostSide
    from virt_qemu.monitor import Monitor
    from virtcore.driver.toolkit import StateFolders
    from virtcore.driver.toolkit.store import Facts
    from virtcore.model.domain import Domain

__all__ = ["GuestRecovery", "iothreads_of", "threads_of"]

log = logging.getLogger(__name__)


def threads_of(cpus: object) -> dict[int, int]:
    """Host threads by virtual CPU, from what ``query-cpus-fast`` says."""
    rows = [row for row in cpus if isinstance(row, dict)] if isinstance(cpus, list) else []
    return {row["cpu-index"]: row["thread-id"] for row in rows if "thread-id" in row}


def iothreads_of(answer: object) -> dict[int, int]:
    """Host threads by I/O thread, from what ``query-iothreads`` says, in its order."""
    rows = [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
    numbered = [(str(row.get("id", "")).removeprefix("iothread"), row.get("thread-id")) for row in rows]
    return {int(name): int(thread) for name, thread in numbered if name.isdecimal() and isinstance(thread, int)}


class GuestRecovery(GuestEvents):
    """The part of the driver's state that keeps status files and finds guests by them.

    A status file is libvirt's ``<domstatus>``; its index entry has what finds the process again. Files of versions that
    wrote the bare domain are read as well.
    """

    folders: StateFolders
    capabilities: CapabilitiesCache
    #: Seconds a starting QEMU has until its monitor answers, and for each further question of the start.
    start_limit: ClassVar[float] = 30.0
    #: Seconds that opening waits for the monitors of running guests; the rest are connected later.
    reattach_wait: ClassVar[float] = 2.0

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Hook: run something beside, until the state is closed."""
        raise NotImplementedError

    def monitor_of(self, obj: DomainObject, guest: Guest) -> Monitor:
        """Hook: a channel to the guest's QEMU, not connected yet."""
        raise NotImplementedError

    @property
    def host_side(self) -> HostSide:
        """Hook: what guests have on the host beside their QEMU."""
        raise NotImplementedError

    async def watch(self, obj: DomainObject, guest: Guest) -> None:
        """Hook: wait for the end of the guest's QEMU and record it."""
        raise NotImplementedError

    async def remove_group(self, number: int, name: str) -> None:
        """Hook: remove the control group of a guest that has ended."""

    async def recover(self, obj: DomainObject, guest: Guest) -> None:
        """Hook: a guest was found and its monitor answers: see to what was being done with it."""

    # -- writing

    async def save(self, obj: DomainObject, guest: Guest) -> None:
        """Write down what is needed to find the guest again; returns when that is there, whatever becomes of us."""
        status = refresh(obj, guest)
        facts = self._facts_of_status(obj, guest, status)
        foreseen = take_foreseen(obj, status, facts)
        if foreseen is not None and self.status is not None:
            await self.status.put(foreseen)
        else:
            await self.save_status(obj, format_status(status), facts)

    def foresee(self, obj: DomainObject, guest: Guest, domain: Domain, aliases: Iterable[str]) -> None:
        """Begin to write the status that a guest will have (:mod:`virt_qemu.foresight`)."""
        if self.status is not None:
            status = future_status(obj, guest, domain, aliases)
            facts = self._facts_of_status(obj, guest, status)
            file = self.status.prepare(obj.uuid, obj.name, format_status(status), facts)
            Foreseen(status, facts, file).keep(obj)

    def _facts_of_status(self, obj: DomainObject, guest: Guest, status: DomainStatus) -> Facts:
        return {
            **self.facts_of(status.domain),
            "id": obj.id,
            "boot": boot_id(),
            "state": int(obj.state),
            "reason": int(obj.reason),
            "folder": guest.folder.name,
            "pid": status.pid,
            "start_time": guest.process.start_time if guest.process is not None else None,
        }

    def describe_status(self, text: str) -> IndexEntry:
        """The index entry of a status that was written by somebody else: it has what the document tells."""
        if not _is_status(text):
            raise XMLError("a status file that somebody has edited")
        status = self._load_status(text)
        domain = status.domain
        state, reason = state_of(status)
        folder = Path(status.lib_folder or "")
        if folder.parent != self.folders.run:
            raise XMLError(f"its folder '{folder}' is not below '{self.folders.run}'")
        facts: dict[str, int | str | bool | None] = {
            **self.facts_of(domain),
            "id": domain.id,
            "boot": boot_id(),
            "state": int(state),
            "reason": reason,
            "folder": folder.name,
            "pid": status.pid,
            "start_time": processes.noted_start(folder, status.pid),
        }
        return IndexEntry(domain.uuid or "", domain.name, facts)

    def state_changed(self, obj: DomainObject, guest: Guest) -> None:
        """Write the status again; a crash before it is written is made good by asking QEMU."""
        if obj.active and guest.ending is None:
            self.spawn(self._save_quietly(obj, guest))

    async def _save_quietly(self, obj: DomainObject, guest: Guest) -> None:
        try:
            if obj.active and guest.ending is None:
                await self.save(obj, guest)
        except VirtError as error:
            log.error("cannot write the status of domain '%s': %s", obj.name, error)

    # -- reading

    def _load_status(self, text: str) -> DomainStatus:
        run = str(self.folders.run)
        return load_status(
            text, self.rules, self.context(status_flags()), StatusFolders(lib=run, channels=run, memory=run)
        )

    async def _read(self, uuid: str, folder: Path) -> tuple[DomainStatus, EmulatorCapabilities | None]:
        """A guest's status, and its emulator's capabilities as they were when it was started.

        :raises VirtError: it cannot be used.
        """
        assert self.status is not None
        text = self.status.read(uuid)
        if _is_status(text):
            status = self._load_status(text)
        else:
            status = new_status(self.load(text, status_flags()), folder, None)
        assert status.domain.devices is not None
        try:
            await find_volumes(self.host_side.services, status.domain.devices.disks)
        except VirtError as error:
            log.warning("volumes of domain '%s' are not known: %s", status.domain.name, error)
        emulator = status.domain.devices.emulator
        try:
            capabilities = None if emulator is None else await self.capabilities.get(emulator)
        except VirtError as error:
            log.warning("the emulator of domain '%s' has gone: %s", status.domain.name, error)
            return status, None
        if capabilities is not None and status.capabilities is not None:
            capabilities = dataclasses.replace(capabilities, flags=frozenset(status.capabilities.flags))
        return status, capabilities

    # -- finding

    async def reattach(self) -> None:
        assert self.status is not None
        boot = boot_id()
        entries = await self.status.open()
        await self._clear_folders({str(entry.facts.get("folder")) for entry in entries})
        waiting: list[asyncio.Task[None]] = []
        for entry in entries:
            facts = entry.facts
            pid, started = facts.get("pid"), facts.get("start_time")
            process = None
            if facts.get("boot") == boot and isinstance(pid, int) and isinstance(started, int):
                process = attach(pid, started)
            if process is None:
                await self._forget(entry, boot)
            elif (task := await self._take_over(entry, process)) is not None:
                waiting.append(task)
                await asyncio.sleep(0)  # its QEMU is asked while the next one's status is read
        if waiting:
            await asyncio.wait(waiting, timeout=self.reattach_wait)

    async def _clear_folders(self, known: set[str]) -> None:
        """Remove folders of guests that never got as far as a status, or whose end did not get past removing it."""
        for left in self.folders.run.glob("domain-*"):
            if left.name not in known:
                if await processes.claim_left_over(left, kill=False):
                    await self.host_side.abandon(left)
                    processes.remove_folder(left)
                else:
                    log.error("a guest runs in %s, but its status is missing or damaged: it is left alone", left)

    async def _forget(self, entry: IndexEntry, boot: str) -> None:
        """A guest does not run any more."""
        assert self.status is not None
        facts = entry.facts
        folder = str(facts.get("folder") or "")
        obj = self.domains.claim(entry.name, entry.uuid)
        if folder:
            place = self.folders.run / folder
            if facts.get("boot") == boot:
                await processes.claim_left_over(place)
            try:
                status, _ = await self._read(entry.uuid, place)
                await self.host_side.release(owner_of(obj, place, status.domain), status.domain)
            except VirtError as error:
                log.warning("what domain '%s' had of the host is left behind: %s", entry.name, error)
            await self.host_side.abandon(place)
            processes.remove_folder(place)
        await self.remove_group(int(facts.get("id") or 0), entry.name)
        await self.status.remove(entry.uuid)
        obj.published = obj.published or obj.persistent
        if facts.get("pid") is not None:
            # It ended while nobody looked; QEMU stays when its guest powers off, so it crashed.
            self.set_state(obj, DomainState.SHUTOFF, DomainShutoffReason.CRASHED)
        if not obj.persistent:
            self.domains.remove(obj)

    async def _take_over(self, entry: IndexEntry, process: Process) -> asyncio.Task[None] | None:
        """A guest runs: it is ours again, and reached by the task that is returned; None where nothing is known of
        it."""
        facts = entry.facts
        folder = self.folders.run / str(facts.get("folder") or "")
        try:
            status, capabilities = await self._read(entry.uuid, folder)
        except VirtError as error:
            process.close()
            log.error("domain '%s' runs, but its status cannot be used, it is left alone: %s", entry.name, error)
            return None
        obj = self.domains.claim(entry.name, entry.uuid)
        guest = Guest(
            folder=folder,
            log=GuestLog(self.folders.log, entry.name),
            status=status,
            capabilities=capabilities,
            process=process,
            reboot=status.fake_reboot,
            dirty_rate=True,
            threads={vcpu.id: vcpu.pid for vcpu in status.vcpus},
        )
        self.activate(obj, status.domain, int(facts.get("id") or 0), facts)
        self.set_state(obj, DomainState(int(facts.get("state") or 0)), int(facts.get("reason") or 0))
        self.domains.publish(obj)
        obj.private = guest
        guest.watch = asyncio.create_task(self.watch(obj, guest))
        return self.spawn(self._connect_again(obj, guest))

    async def _connect_again(self, obj: DomainObject, guest: Guest) -> None:
        """Reach the monitor of a guest that was found, and see to what was being done with it."""
        try:
            async with obj.job.modify("reconnect"):  # whoever wants something of the guest waits until it can be asked
                reached = await self._reach_monitor(obj, guest)
        except OperationAborted:  # it was ended instead
            return
        if not reached:
            return
        if obj.live is not None:
            await self.host_side.prepare_again(owner_of(obj, guest.folder), obj.live)
        try:
            await self.recover(obj, guest)
        except VirtError as error:
            log.error("what was being done with domain '%s' cannot be settled: %s", obj.name, error)

    async def _reach_monitor(self, obj: DomainObject, guest: Guest) -> bool:
        """Go on until the monitor answers or the guest has ended; returns whether it answers."""
        monitor = self.monitor_of(obj, guest)
        while guest.ending is None and guest.process is not None and guest.process.running:
            try:
                await monitor.connect(connect_socket(str(guest.folder / MONITOR)), self.start_limit)
                questions = ("query-status", "query-cpus-fast", "query-iothreads")
                asked = [monitor.ask(question, limit=self.start_limit) for question in questions]
                status, cpus, iothreads = [await answer for answer in asked]
                state = status.get("status") if isinstance(status, dict) else None
                if not isinstance(state, str):
                    raise InternalError("QEMU does not say what its guest does")
            except (VirtError, OSError) as error:
                log.warning("monitor of domain '%s' does not answer: %s", obj.name, error)
                await monitor.close()
                monitor = self.monitor_of(obj, guest)
                await asyncio.sleep(1.0)
                continue
            guest.monitor = monitor
            guest.threads, guest.iothreads = threads_of(cpus), iothreads_of(iothreads)
            self._take_state(obj, guest, state)
            return True
        return False

    def _take_state(self, obj: DomainObject, guest: Guest, state: str) -> None:
        """Follow what happened while nobody listened.

        :param state: QEMU's own.
        """
        if state == "running":
            if obj.state != DomainState.RUNNING:
                self.running(obj, DomainRunningReason.UNKNOWN)
        elif state == "shutdown":
            self._on_shutdown(obj, guest, {})
        elif state == "guest-panicked":
            self.set_state(obj, DomainState.CRASHED, DomainCrashedReason.PANICKED)
        elif state == "suspended":
            self.set_state(obj, DomainState.PMSUSPENDED, DomainPMSuspendedReason.UNKNOWN)
        elif obj.state == DomainState.RUNNING:
            self.set_state(obj, DomainState.PAUSED, DomainPausedReason.UNKNOWN)


def _is_status(text: str) -> bool:
    return text.lstrip().startswith("<domstatus")
