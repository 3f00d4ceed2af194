"""Guests that go into files and come back."""

from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from virt_qemu.guest import Boot, Guest
from virt_qemu.long_jobs import LongJobs
from virt_qemu.migration.checks import check_guest
from virt_qemu.saving.cookie import cookie_of, format_cookie, read_cookie, use_cookie
from virt_qemu.saving.files import find_compressor, into_file, out_of_file
from virt_qemu.saving.image import SaveFormat, SaveHeader, SaveImage, is_whole, read_image, rewrite_xml
from virt_qemu.saving.sparse import StateFile, require_mapped_memory
from virt_qemu.saving.stream import migrate_in, migrate_out
from virtcore.driver.toolkit import file_name
from virtcore.driver.toolkit.reconfigure import ReconfigurableState
from virtcore.driver.toolkit.state import check_name
from virtcore.enums.domain import (
    DomainCreateFlags,
    DomainPausedReason,
    DomainRunningReason,
    DomainShutoffReason,
    DomainState,
    DomainUndefineFlags,
)
from virtcore.enums.domain_events import (
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventSuspendedDetailType,
)
from virtcore.enums.domain_more import DomainJobOperation
from virtcore.errors import OperationFailed, OperationInvalid, SystemError, VirtError
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.toolkit import DomainObject
    from virtcore.driver.toolkit.jobs import Job
    from virtcore.model.domain import Domain
    from virtcore.types import DomainRef

__all__ = ["SavingState", "create_file", "open_direct", "remove_half"]

log = logging.getLogger(__name__)


class SavingState(LongJobs, ReconfigurableState):
    """The part of the driver's state that saves guests and restores them."""

    settings: QemuSettings

    async def load_saved(self, xml: str) -> Domain:
        """Hook: read the XML of a saved guest, whose emulator may not have been asked yet what it can do."""
        raise NotImplementedError

    # -- where they are kept

    def managed_path(self, obj: DomainObject) -> Path:
        """The file that the next start of a domain restores, if it is there."""
        return self.folders.lib / "save" / file_name(obj.name, ".save")

    async def open(self) -> None:
        await super().open()
        folder = self.folders.lib / "save"
        found = await self.disk.run(lambda: {path.name for path in folder.iterdir()} if folder.is_dir() else set())
        for obj in self.domains:
            obj.managed_save = self.managed_path(obj).name in found

    async def remove_managed(self, obj: DomainObject, complaint: str) -> None:
        """Remove a domain's managed save image.

        :param complaint: what the error begins with where that fails.
        """
        path = self.managed_path(obj)
        try:
            # One that somebody has taken away himself is as good as removed.
            await in_thread(partial(path.unlink, missing_ok=obj.managed_save))
        except OSError as error:
            raise SystemError(f"{complaint}: {error.strerror}") from None
        obj.managed_save = False

    async def before_undefine(self, obj: DomainObject, flags: DomainUndefineFlags) -> None:
        await super().before_undefine(obj, flags)
        if obj.managed_save:
            await self.remove_managed(obj, "Failed to remove domain managed save image")

    async def rename(self, obj: DomainObject, name: str) -> None:
        path = self.managed_path(obj)
        if not obj.managed_save:
            await super().rename(obj, name)
            return
        # The image goes with its domain, and says so; what cannot say so is found out before anything changes.
        image, saved = await self.open_image(str(path))
        saved.name = name
        image = replace(image, xml=self.migratable_xml(saved)).laid_out()
        await super().rename(obj, name)
        await in_thread(rewrite_xml, str(path), image)
        try:
            await in_thread(path.rename, self.managed_path(obj))
        except OSError as error:
            raise SystemError(f"unable to rename '{path}': {error.strerror}") from None

    # -- saving

    def save_format(self, name: str | None) -> tuple[SaveFormat, str | None]:
        """The format that is asked for, or configured, and the program that compresses it."""
        found = SaveFormat.named(name or self.settings.save_image_format)
        if found is None:
            raise OperationFailed(f"Invalid image_format '{name}'")
        return found, find_compressor(found, "save")

    async def save_guest(
        self,
        obj: DomainObject,
        path: str,
        operation: str,
        *,
        dxml: str | None = None,
        format: str | None = None,
        running: bool | None = None,
        direct: bool = False,
        channels: int = 1,
        managed: bool = False,
        flags: int = 0,
    ) -> None:
        """Save a running guest into a file and end it; whatever fails, it runs on.

        :param operation: the operation that holds the job meanwhile.
        :param dxml: XML in place of its own.
        :param running: whether it is to run when restored; None as it does now.
        :param direct: do not go through the host's cache.
        :param channels: how many write at once, in the format that can.
        :param managed: the domain's next start restores it.
        :raises VirtError: it cannot be saved; there is no file.
        """
        kind, program = self.save_format(format)
        async with self.long_job(obj, operation, DomainJobOperation.SAVE, flags) as (job, guest):
            await check_guest(guest)
            if kind is SaveFormat.SPARSE:
                await require_mapped_memory(guest)  # while it runs
            ran = obj.state == DomainState.RUNNING
            try:
                await self.stop_cpus(obj, guest, DomainPausedReason.SAVE)
                stopped = time.monotonic()
                xml = await self._saved_xml(obj, guest, dxml)
                cookie = format_cookie(cookie_of(guest, guest.status.domain))
                image = SaveImage.make(xml, cookie, running=ran if running is None else running, format=kind)
                await self.write_image(
                    guest, job, path, image, program, "domain save job", direct=direct, channels=channels
                )
                self.tell_completed(obj, job, stopped)
            except BaseException:
                if ran:
                    await self.resume_after_failure(obj, guest)
                raise
            job.endable = False  # the guest is in the file
            obj.managed_save = obj.managed_save or managed
            await self.end_guest(obj, DomainShutoffReason.SAVED, DomainEventStoppedDetailType.SAVED)

    async def end_guest(
        self, obj: DomainObject, reason: DomainShutoffReason, detail: DomainEventStoppedDetailType
    ) -> None:
        """Hook: end a guest."""
        raise NotImplementedError

    async def boot(self, obj: DomainObject, how: Boot) -> None:
        """Hook: start a guest."""
        raise NotImplementedError

    async def _saved_xml(self, obj: DomainObject, guest: Guest, dxml: str | None) -> str:
        assert obj.live is not None
        if dxml is None:
            return self.migratable_xml(obj.live, obj)
        return self.migratable_xml(await self.same_guest(obj.live, dxml, obj))

    async def write_image(
        self,
        guest: Guest,
        job: Job,
        path: str,
        image: SaveImage,
        program: str | None,
        name: str,
        *,
        direct: bool = False,
        channels: int = 1,
    ) -> None:
        """Write a guest's state behind its description into a file. Its virtual CPUs stand still then.

        :param program: what compresses it.
        :param name: what messages call the job.
        :param channels: how many write at once, where every page has its place.
        :raises VirtError: it cannot be written; there is no file.
        """
        head = image.pack(complete=False)
        descriptor = await in_thread(create_file, path, head)
        try:
            beside = await in_thread(open_direct, path, len(head)) if direct else None
            try:
                if image.header.format is SaveFormat.SPARSE:
                    files = (descriptor,) if beside is None else (descriptor, beside)
                    await migrate_out(guest, job, StateFile(files, len(head), channels), name)
                else:
                    target = descriptor if beside is None else beside
                    async with into_file(target, image.header.format, program, direct=direct) as end:
                        await migrate_out(guest, job, end, name)
            finally:
                if beside is not None:
                    os.close(beside)
            await in_thread(_complete, path, descriptor, image.header)
        except BaseException:
            remove_half(path, descriptor)
            raise
        finally:
            os.close(descriptor)

    async def finish_job(self, obj: DomainObject, guest: Guest, name: str) -> bool:
        if name == "save" and obj.persistent:
            complete = await in_thread(is_whole, str(self.managed_path(obj)))
            if complete:
                # All was in the file when we were cut off, and the guest has not run since: it would undo what it does.
                status = await guest.channel().execute("query-status")
                if isinstance(status, dict) and status.get("status") == "postmigrate":
                    obj.managed_save = True
                    await self.end_guest(obj, DomainShutoffReason.SAVED, DomainEventStoppedDetailType.SAVED)
                    return True
            elif complete is False:
                await self.remove_managed(obj, "Failed to remove managed save file")
        return await super().finish_job(obj, guest, name)

    # -- restoring

    async def open_image(self, path: str) -> tuple[SaveImage, Domain]:
        """What a file says of its guest.

        :raises VirtError: it cannot be read, is incomplete or damaged.
        """
        image = await in_thread(_read, path)
        return image, await self.load_saved(image.xml)

    async def restore(
        self,
        path: str,
        *,
        dxml: str | None,
        running: bool | None,
        direct: bool,
        reset_nvram: bool,
        channels: int = 1,
    ) -> DomainRef:
        """Start a guest from a file.

        :param dxml: XML in place of the saved one.
        :param running: whether it is to run; None as the file says.
        :raises VirtError: it cannot be started from it; nothing has changed.
        """
        image, domain = await self.open_image(path)
        if dxml is not None:
            domain = await self.same_guest(domain, dxml)
        check_name(domain.name)
        assert domain.uuid is not None
        with self.domains.holding(domain.name, domain.uuid, running=True) as obj:
            async with obj.job.asynchronous("connection_restore", DomainJobOperation.RESTORE):
                if obj.active:
                    raise OperationInvalid(f"domain '{obj.name}' is already active")
                paused = not (image.header.running if running is None else running)
                await self._restore(
                    obj,
                    domain,
                    path,
                    image,
                    paused=paused,
                    direct=direct,
                    reset_nvram=reset_nvram,
                    channels=channels,
                )
                return obj.ref

    async def same_guest(self, known: Domain, dxml: str, obj: DomainObject | None = None) -> Domain:
        """Read a document that is to take the place of a guest's, as it is saved.

        :param obj: whose running guest it is.
        :raises ConfigUnsupported: it makes another machine of the guest.
        """
        from virtcore.model.domain.stability import check_stability

        given = await self.load_saved(dxml)
        was = await self.load_saved(self.migratable_xml(known, obj))
        becomes = await self.load_saved(self.migratable_xml(given))
        check_stability(was, becomes)
        return becomes

    async def _restore(
        self,
        obj: DomainObject,
        domain: Domain,
        path: str,
        image: SaveImage,
        *,
        paused: bool,
        direct: bool,
        reset_nvram: bool,
        channels: int = 1,
        wanted_paused: bool = False,
    ) -> None:
        cookie = read_cookie(image.cookie) if image.cookie is not None else None
        how = Boot(
            paused=paused,
            incoming="defer",
            load=partial(self.read_state, path, image, direct=direct, channels=channels),
            reset_nvram=reset_nvram,
            running=DomainRunningReason.RESTORED,
            stands=DomainPausedReason.MIGRATION,
            original_cpu=use_cookie(domain, cookie),
        )
        suspended = DomainEventSuspendedDetailType
        await self.bring_up(
            obj,
            domain,
            lambda: self.boot(obj, how),
            DomainEventStartedDetailType.RESTORED,
            suspended.PAUSED if wanted_paused else suspended.RESTORED,
        )
        if not paused:
            self.tell_resumed(obj, DomainRunningReason.RESTORED)

    async def read_state(
        self, path: str, image: SaveImage, guest: Guest, *, direct: bool = False, channels: int = 1
    ) -> None:
        """Give a QEMU that waits for it the state in a file.

        :param channels: how many read at once, where every page has its place.
        """
        sparse = image.header.format is SaveFormat.SPARSE
        # Past the host's cache go pages only: the rest needs a descriptor that does not.
        ways = [False, True] if sparse and direct else [direct]
        with ExitStack() as stack:
            files = []
            for way in ways:
                files.append(await in_thread(_open_stream, path, image.stream_offset, way))
                stack.callback(os.close, files[-1])
            if sparse:
                await migrate_in(guest, StateFile(tuple(files), image.stream_offset, channels), self.start_limit)
            else:
                async with out_of_file(files[0], image.header.format, direct=direct) as end:
                    await migrate_in(guest, end, self.start_limit)
        if guest.balloon is not None:
            guest.tell_memory(guest.status.domain)

    async def create(self, obj: DomainObject, flags: int = 0, owner: object = None) -> DomainRef:
        if not obj.managed_save:
            return await super().create(obj, flags, owner)
        wanted = DomainCreateFlags(flags)
        path = self.managed_path(obj)
        async with obj.job.modify("domain_create"):
            if obj.active:
                raise OperationInvalid("domain is already running")
            if wanted & DomainCreateFlags.START_FORCE_BOOT:
                await self.remove_managed(obj, f"cannot remove managed save file {path}")
            elif (whole := await in_thread(is_whole, str(path))) is None:
                log.warning("The managed state %s has gone", path)
                obj.managed_save = False
            elif not whole:
                log.warning("Ignoring incomplete managed state %s", path)
                await self.remove_managed(obj, f"cannot remove corrupt file: {path}")
            else:
                obj.owner = owner
                await self._restore_managed(obj, str(path), wanted)
                return obj.ref
        return await super().create(obj, flags, owner)

    async def _restore_managed(self, obj: DomainObject, path: str, flags: DomainCreateFlags) -> None:
        image, domain = await self.open_image(path)
        if (domain.name, domain.uuid) != (obj.name, obj.uuid):
            raise OperationFailed(
                f"cannot restore domain '{obj.name}' uuid {obj.uuid} from a file which belongs to domain "
                f"'{domain.name}' uuid {domain.uuid}"
            )
        wanted_paused = bool(flags & DomainCreateFlags.START_PAUSED)
        await self._restore(
            obj,
            domain,
            path,
            image,
            paused=wanted_paused or not image.header.running,
            direct=bool(flags & DomainCreateFlags.START_BYPASS_CACHE),
            reset_nvram=bool(flags & DomainCreateFlags.START_RESET_NVRAM),
            wanted_paused=wanted_paused,
        )
        try:
            await self.remove_managed(obj, "Failed to remove the managed state")
        except VirtError as error:
            log.warning("%s", error)


# -- files; each of these may block


def create_file(path: str, head: bytes) -> int:
    """Make a file, or empty one, and write its beginning; returns a descriptor that stands behind it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise SystemError(f"Failed to create file '{path}': {error.strerror}") from None
    os.set_blocking(descriptor, True)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(head)
    except OSError as error:
        remove_half(path, descriptor)
        os.close(descriptor)
        raise SystemError(f"failed to write header to domain save file '{path}': {error.strerror}") from None
    return descriptor


def open_direct(path: str, position: int) -> int:
    """Open a file past the host's cache; returns a descriptor that stands at a position."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        raise SystemError(f"Failed to open file '{path}': {error.strerror}") from None
    os.lseek(descriptor, position, os.SEEK_SET)
    return descriptor


def _complete(path: str, descriptor: int, header: SaveHeader) -> None:
    """Say that all is there, once it is on disk."""
    try:
        os.fdatasync(descriptor)
        os.pwrite(descriptor, header.pack(complete=True), 0)
        os.fsync(descriptor)
    except OSError as error:
        raise SystemError(f"failed to write header to domain save file '{path}': {error.strerror}") from None


def remove_half(path: str, descriptor: int) -> None:
    """Remove a file that was not finished."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        try:
            os.unlink(path)
        except OSError as error:
            log.warning("cannot remove %s: %s", path, error.strerror)


def _open(path: str, direct: bool = False) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_DIRECT if direct else 0))
    except OSError as error:
        raise SystemError(f"Failed to open file '{path}': {error.strerror}") from None


def _read(path: str) -> SaveImage:
    descriptor = _open(path)
    try:
        return read_image(path, descriptor)
    finally:
        os.close(descriptor)


def _open_stream(path: str, position: int, direct: bool) -> int:
    descriptor = _open(path, direct)
    os.set_blocking(descriptor, True)
    os.lseek(descriptor, position, os.SEEK_SET)
    return descriptor
