"""A guest's memory in a file for a debugger: on demand, and when the guest has crashed."""

from __future__ import annotations

import errno
import logging
import os
import time
from typing import TYPE_CHECKING

from virt_qemu.guest import Guest
from virt_qemu.migration.checks import check_guest
from virt_qemu.monitor import JSON, Monitor
from virt_qemu.saving.files import find_compressor, into_file
from virt_qemu.saving.image import SaveFormat
from virt_qemu.saving.state import SavingState, create_file, open_direct, remove_half
from virt_qemu.saving.stream import migrate_out
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainShutoffReason, DomainState
from virtcore.enums.domain_events import DomainEventStoppedDetailType
from virtcore.enums.domain_more import DomainCoreDumpFlags as Flags, DomainCoreDumpFormat, DomainJobOperation
from virtcore.errors import OperationFailed, OperationUnsupported, SystemError, VirtError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.jobs import Job

__all__ = ["DumpingState"]

log = logging.getLogger(__name__)

_NAME = "dump"
"""What the descriptor is called in QEMU."""
_INTERVAL = 0.5
"""Seconds between two questions how far it is."""
_FORMATS = {
    DomainCoreDumpFormat.RAW: None,  # what QEMU does where nothing is said: ELF
    DomainCoreDumpFormat.KDUMP_ZLIB: "kdump-zlib",
    DomainCoreDumpFormat.KDUMP_LZO: "kdump-lzo",
    DomainCoreDumpFormat.KDUMP_SNAPPY: "kdump-snappy",
    DomainCoreDumpFormat.WIN_DMP: "win-dmp",
}


class DumpingState(SavingState):
    """The part of the driver's state that dumps guests."""

    async def dump_guest(self, obj: DomainObject, path: str, format: DomainCoreDumpFormat, flags: Flags) -> None:
        """Write a running guest's memory into a file, and let it go on as the flags say.

        :raises VirtError: it cannot be dumped; there is no file, and the guest runs on.
        """
        async with self.long_job(obj, "domain_core_dump", DomainJobOperation.DUMP, int(flags)) as (job, guest):
            ran = obj.state == DomainState.RUNNING
            try:
                if not flags & Flags.LIVE:
                    await self.stop_cpus(obj, guest, DomainPausedReason.DUMP)
                await self.write_dump(obj, guest, job, path, format, flags)
            except BaseException:
                if ran:
                    await self.resume_after_failure(obj, guest, DomainRunningReason.UNPAUSED)
                raise
            job.refusal, job.endable = None, False
            if flags & Flags.CRASH:
                await self.end_guest(obj, DomainShutoffReason.CRASHED, DomainEventStoppedDetailType.CRASHED)
                return
            if flags & Flags.RESET:
                await guest.channel().execute("system_reset")
            if ran:
                await self.resume_after_failure(obj, guest, DomainRunningReason.UNPAUSED)

    async def write_dump(
        self, obj: DomainObject, guest: Guest, job: Job, path: str, format: DomainCoreDumpFormat, flags: Flags
    ) -> None:
        """Write a guest's memory into a file. For the holder of its long job.

        :raises VirtError: it cannot be written; there is no file.
        """
        only_memory = bool(flags & Flags.MEMORY_ONLY)
        if not only_memory and format is not DomainCoreDumpFormat.RAW:
            raise OperationUnsupported("kdump-compressed format is only supported with memory-only dump")
        direct = bool(flags & Flags.BYPASS_CACHE)
        kind, program = SaveFormat.RAW, None
        if not only_memory:
            await check_guest(guest)
            kind, program = self._dump_format()
        descriptor = await in_thread(create_file, path, b"")
        try:
            target = await in_thread(open_direct, path, 0) if direct else descriptor
            try:
                async with into_file(target, kind, program, direct=direct) as end:
                    if only_memory:
                        job.refusal = "cannot abort memory-only dump"
                        await _dump_memory(guest, job, end, _FORMATS[format])
                    else:
                        guest.pausing = DomainPausedReason.DUMP
                        await migrate_out(guest, job, end, "domain core dump job")
            finally:
                guest.pausing = DomainPausedReason.USER
                if target != descriptor:
                    os.close(target)
            await in_thread(_sync, path, descriptor)
        except BaseException:
            remove_half(path, descriptor)
            raise
        finally:
            os.close(descriptor)
        self.tell_completed(obj, job)

    def _dump_format(self) -> tuple[SaveFormat, str | None]:
        """How dumps are compressed: not at all where that cannot be had, so that there is one."""
        kind = SaveFormat.named(self.settings.dump_image_format) or SaveFormat.RAW
        try:
            return kind, find_compressor(kind, "dump")
        except OperationFailed as error:
            log.warning("%s; dumps are not compressed", error.detail)
            return SaveFormat.RAW, None

    # -- guests that have crashed

    def automatic_path(self, guest: Guest) -> str:
        """Where a guest is dumped that nobody asked for."""
        folder = self.settings.auto_dump_path or str(self.folders.lib / "dump")
        now = time.strftime("%Y-%m-%d-%H:%M:%S")
        return os.path.join(folder, f"{guest.folder.name.removeprefix('domain-')}-{now}")

    async def dump_by_itself(self, obj: DomainObject, guest: Guest, action: str) -> None:
        """A guest has crashed, or its watchdog has run out, and is to be dumped first.

        :param action: what is done then: ``destroy``, ``restart``, or ``resume``.
        """
        flags = Flags.MEMORY_ONLY
        if self.settings.auto_dump_bypass_cache:
            flags |= Flags.BYPASS_CACHE
        try:
            async with self.long_job(obj, "domain_core_dump", DomainJobOperation.DUMP, int(flags)) as (job, _):
                path = self.automatic_path(guest)
                await in_thread(os.makedirs, os.path.dirname(path), 0o700, exist_ok=True)
                try:
                    await self.write_dump(obj, guest, job, path, DomainCoreDumpFormat.RAW, flags)
                finally:
                    if action == "resume":
                        await self.resume_after_failure(obj, guest, DomainRunningReason.UNPAUSED)
                job.refusal = None
                if action == "destroy":
                    await self.end_guest(obj, DomainShutoffReason.CRASHED, DomainEventStoppedDetailType.CRASHED)
                elif action == "restart":
                    await self._boot_again(obj, guest)
        except (VirtError, OSError) as error:
            log.error("domain '%s' cannot be dumped: %s", obj.name, error)


async def _dump_memory(guest: Guest, job: Job, descriptor: int, format: str | None) -> None:
    """Have QEMU write the guest's memory, and nothing else, into a descriptor."""
    monitor = guest.channel()
    if format is not None and format not in await _known_formats(monitor):
        from virtcore.errors import InvalidArg

        raise InvalidArg(f"unsupported dumpformat '{format}' for this QEMU binary", value=format)
    arguments: dict[str, JSON] = {"paging": False, "protocol": f"fd:{_NAME}", "detach": True}
    if format is not None:
        arguments["format"] = format
    with monitor.events("DUMP_COMPLETED") as events:
        await monitor.give(_NAME, descriptor)
        await monitor.execute("dump-guest-memory", arguments)
        while True:
            event = await events.next(_INTERVAL)
            told = await monitor.execute("query-dump")
            info = told if isinstance(told, dict) else {}
            _report(job, info)
            if event is None and info.get("status") in ("completed", "failed"):
                event = await events.next(_INTERVAL)  # it says why
                break
            if event is not None:
                break
    if info.get("status") == "failed":
        reason = event.data.get("error") if event is not None else None
        raise OperationFailed(f"memory-only dump failed{f': {reason}' if reason else ' for unknown reason'}")


async def _known_formats(monitor: Monitor) -> list[str]:
    told = await monitor.execute("query-dump-guest-memory-capability")
    formats = told.get("formats") if isinstance(told, dict) else None
    return [str(each) for each in formats] if isinstance(formats, list) else []


def _report(job: Job, info: dict[str, JSON]) -> None:
    total, done = info.get("total"), info.get("completed")
    if isinstance(total, int) and isinstance(done, int):
        values = {"total": total, "processed": done, "remaining": max(0, total - done)}
        job.report({f"{kind}_{name}": value for kind in ("data", "memory") for name, value in values.items()})


def _sync(path: str, descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return  # a pipe: nothing of it is kept
        raise SystemError(f"unable to close file {path}: {error.strerror}") from None
