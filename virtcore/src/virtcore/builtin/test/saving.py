"""Guests that do not exist, in files that do: saved, restored, dumped; in the format of libvirt's test driver.

A file has a mark, the length of a document in the machine's byte order, and the document. As in libvirt's driver, a
managed save keeps no more of a guest than that there is one; beside it, its document can be read and changed, and the
next start goes on from the changed one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from virtcore.builtin.test.state import TestState
from virtcore.driver.toolkit.stateful import StatefulDriver
from virtcore.enums.domain import DomainCreateFlags, DomainRunningReason, DomainShutoffReason
from virtcore.enums.domain_events import (
    DomainEventStartedDetailType,
    DomainEventStoppedDetailType,
    DomainEventType,
)
from virtcore.errors import (
    ArgumentUnsupported,
    ConfigUnsupported,
    InternalError,
    NoSupport,
    OperationInvalid,
    OperationUnsupported,
    SystemError,
)

if TYPE_CHECKING:
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.enums import (
        DomainCoreDumpFlags,
        DomainCoreDumpFormat,
        DomainSaveImageXMLFlags,
        DomainSaveRestoreFlags,
    )
    from virtcore.model.domain import Domain
    from virtcore.types import DomainRef

__all__ = ["SavingParts"]

_MAGIC = b"TestGuestMagic\0"
_LENGTH = struct.Struct("=i")
_LONGEST = 8192

_RUNNING, _PAUSED = ("VIR_DOMAIN_SAVE_RUNNING", 2), ("VIR_DOMAIN_SAVE_PAUSED", 4)
_CRASH, _LIVE, _RESET = ("VIR_DUMP_CRASH", 1), ("VIR_DUMP_LIVE", 2), ("VIR_DUMP_RESET", 8)


class SavingParts(StatefulDriver[TestState]):
    """Operations that write a guest into a file, or start one from it."""

    # -- starting with descriptors, which nobody here has a use for

    async def domain_create(self, domain: DomainRef, flags: DomainCreateFlags | int = 0) -> DomainRef:
        self.check_flags(flags, 0, "domain_create")
        return await self.state.create(self.domain(domain))

    async def domain_create_with_files(
        self, domain: DomainRef, files: Sequence[int], flags: DomainCreateFlags | int = 0
    ) -> DomainRef:
        return await self.domain_create(domain, flags)

    async def connection_create_domain_with_files(
        self, xml: str, files: Sequence[int], flags: DomainCreateFlags | int = 0
    ) -> DomainRef:
        return await self.connection_create_domain(xml, flags)

    # -- files

    async def domain_save(
        self,
        domain: DomainRef,
        file: str | None = None,
        dxml: str | None = None,
        image_format: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_missing

        if image_format is not None or parallel_channels is not None:
            raise NoSupport("virDomainSaveParams")
        refuse_missing(file, "file", "domain_save")
        assert file is not None
        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, 0, "domain_save", "virDomainSaveFlags")
        _refuse_xml(dxml)
        obj = self.domain(domain)
        obj.require_active()
        async with obj.job.modify("domain_save", endable=False):
            obj.require_active()
            assert obj.live is not None
            await self._write(file, obj.live)
            await self.state.stopped(obj, DomainShutoffReason.SAVED, DomainEventStoppedDetailType.SAVED)

    async def connection_restore(
        self,
        file: str | None = None,
        dxml: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_missing

        if parallel_channels is not None:
            raise NoSupport("virDomainRestoreParams")
        refuse_missing(file, "file", "connection_restore")
        assert file is not None
        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, 0, "connection_restore", "virDomainRestoreFlags")
        _refuse_xml(dxml)
        domain = await self._read(file)
        assert domain.uuid is not None  # completion makes one
        state = self.state
        with state.domains.holding(domain.name, domain.uuid, running=True) as obj:
            async with obj.job.modify("connection_restore"):
                if obj.active:
                    raise OperationInvalid(f"domain '{obj.name}' is already active")
                state.activate(obj, domain)
                state.domains.publish(obj)
                obj.managed_save = False
                state.running(obj, DomainRunningReason.RESTORED)
                state.emit(obj, DomainEventType.STARTED, DomainEventStartedDetailType.RESTORED)

    async def connection_save_image_xml(self, file: str, flags: DomainSaveImageXMLFlags | int = 0) -> str:
        from virtcore.model.domain.document import format_domain

        self.check_flags(flags, 1, "connection_save_image_xml")
        # Secrets are never left out here.
        return format_domain(await self._read(file))

    async def connection_save_image_define_xml(
        self, file: str, dxml: str, flags: DomainSaveRestoreFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both
        from virtcore.model.domain.rules import ParseFlag

        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, _RUNNING[1] | _PAUSED[1], "connection_save_image_define_xml")
        await self._read(file)
        await self._write(file, self.state.load(dxml, ParseFlag.INACTIVE))

    async def _write(self, path: str, domain: Domain) -> None:
        from virtcore.model.domain.document import format_domain

        text = format_domain(domain).encode()
        file = Path(os.path.abspath(path))
        complaint = f"saving domain '{domain.name}' to '{path}': open failed"
        await self._replace(file, _MAGIC + _LENGTH.pack(len(text)) + text, complaint)

    async def _replace(self, file: Path, data: bytes, complaint: str) -> None:
        from virtcore.driver.toolkit.disk import write_file

        await self.state.disk.change(lambda: write_file(file.parent, file.name, data), file.parent, complaint)

    async def _read(self, path: str) -> Domain:
        """The domain of a file."""
        from virtcore.model.domain.rules import ParseFlag

        text = await self.state.disk.run(lambda: _document(path))
        return self.state.load(text, ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)

    # -- managed save

    async def domain_managed_save(self, domain: DomainRef, flags: DomainSaveRestoreFlags | int = 0) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both

        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, 1 | _RUNNING[1] | _PAUSED[1], "domain_managed_save")
        obj = self.domain(domain)
        obj.require_active()
        if not obj.persistent:
            raise OperationInvalid("cannot do managed save for transient domain")
        async with obj.job.modify("domain_managed_save"):
            obj.require_active()
            obj.managed_save = True
            await self.state.stopped(obj, DomainShutoffReason.SAVED, DomainEventStoppedDetailType.SAVED)

    async def domain_managed_save_remove(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_managed_save_remove")
        obj = self.domain(domain)
        obj.managed_save = False
        self.state.guest(obj).saved = None

    async def domain_managed_save_xml(self, domain: DomainRef, flags: DomainSaveImageXMLFlags | int = 0) -> str:
        from virtcore.model.domain.document import format_domain
        from virtcore.model.domain.rules import ParseFlag
        from virtcore.xml import Mode

        self.check_flags(flags, 1, "domain_managed_save_xml")
        saved = self.state.load(self._saved(domain)[1], ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)
        return format_domain(saved, Mode.SECURE if flags & 1 else Mode.NONE)

    async def domain_managed_save_define_xml(
        self, domain: DomainRef, dxml: str | None, flags: DomainSaveRestoreFlags | int = 0
    ) -> None:
        from virtcore.driver.toolkit.arguments import refuse_both, refuse_missing
        from virtcore.model.domain.document import format_domain
        from virtcore.model.domain.rules import ParseFlag

        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, _RUNNING[1] | _PAUSED[1], "domain_managed_save_define_xml")
        refuse_missing(dxml, "dxml", "domain_managed_save_define_xml")
        assert dxml is not None
        obj, _ = self._saved(domain)
        changed = self.state.load(dxml, ParseFlag.INACTIVE)
        if changed.uuid != obj.uuid:
            raise ConfigUnsupported(f"Target domain uuid {changed.uuid} does not match source {obj.uuid}")
        if changed.name != obj.name:
            raise ConfigUnsupported(f"Target domain name '{changed.name}' does not match source '{obj.name}'")
        self.state.guest(obj).saved = format_domain(changed)

    def _saved(self, domain: DomainRef) -> tuple[DomainObject, str]:
        """A domain and the document of its managed save: its definition, from which libvirt's driver starts it again,
        unless another one was given."""
        obj = self.domain(domain)
        if not obj.managed_save:
            raise OperationInvalid("domain does not have managed save image")
        return obj, self.state.guest(obj).saved or self.state.text(obj)

    # -- dump

    async def domain_core_dump(
        self,
        domain: DomainRef,
        to: str,
        dumpformat: DomainCoreDumpFormat | int = 0,
        flags: DomainCoreDumpFlags | int = 0,
    ) -> None:
        from virtcore.driver.toolkit.arguments import invalid_argument, refuse_both
        from virtcore.enums.domain_more import DomainCoreDumpFormat

        if dumpformat not in DomainCoreDumpFormat.__members__.values():
            raise invalid_argument(f"dumpformat '{int(dumpformat)}' is not supported")
        refuse_both(flags, _CRASH, _LIVE)
        refuse_both(flags, _CRASH, _RESET)
        refuse_both(flags, _LIVE, _RESET)
        self.check_flags(flags, _CRASH[1], "domain_core_dump")
        obj = self.domain(domain)
        obj.require_active()
        if dumpformat != DomainCoreDumpFormat.RAW:
            raise OperationUnsupported("kdump-compressed format is not supported here")
        async with obj.job.modify("domain_core_dump", endable=False):
            obj.require_active()
            complaint = f"domain '{obj.name}' coredump: failed to open {to}"
            await self._replace(Path(os.path.abspath(to)), _MAGIC, complaint)
            if flags & _CRASH[1]:
                await self.state.stopped(obj, DomainShutoffReason.CRASHED, DomainEventStoppedDetailType.CRASHED)


def _refuse_xml(dxml: str | None) -> None:
    if dxml is not None:
        raise ArgumentUnsupported("xml modification unsupported")


def _document(path: str) -> str:
    """The document in a file."""
    try:
        with open(path, "rb") as file:
            magic = file.read(len(_MAGIC))
            if len(magic) < len(_MAGIC):
                raise SystemError(f"incomplete save header in '{path}': Success")
            if magic != _MAGIC:
                raise InternalError("mismatched header magic")
            length = file.read(_LENGTH.size)
            if len(length) < _LENGTH.size:
                raise SystemError(f"failed to read metadata length in '{path}': Success")
            (size,) = _LENGTH.unpack(length)
            if not 1 <= size <= _LONGEST:
                raise InternalError("length of metadata out of range")
            text = file.read(size)
    except OSError as error:
        raise SystemError(f"cannot read domain image '{path}': {error.strerror}") from error
    if len(text) < size:
        raise SystemError(f"incomplete metadata in '{path}': Success")
    return text.decode("utf-8", "surrogateescape")
