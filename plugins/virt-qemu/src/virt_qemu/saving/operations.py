"""Saving guests into files and restoring them, and what is in such files."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

from virt_qemu.host import QemuState
from virt_qemu.saving.image import is_whole, rewrite_xml
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.arguments import invalid_argument, refuse_both, refuse_missing
from virtcore.enums.domain import DomainSaveRestoreFlags
from virtcore.errors import InvalidArg, OperationInvalid
from virtcore.runtime.threads import in_thread

if TYPE_CHECKING:
    from virtcore.enums.domain import DomainSaveImageXMLFlags
    from virtcore.enums.domain_more import DomainCoreDumpFlags, DomainCoreDumpFormat
    from virtcore.types import DomainRef

__all__ = ["SavingOperations"]

_RUNNING, _PAUSED = ("VIR_DOMAIN_SAVE_RUNNING", 2), ("VIR_DOMAIN_SAVE_PAUSED", 4)
_SAVE = DomainSaveRestoreFlags.BYPASS_CACHE | DomainSaveRestoreFlags.RUNNING | DomainSaveRestoreFlags.PAUSED
_STATES = DomainSaveRestoreFlags.RUNNING | DomainSaveRestoreFlags.PAUSED
_SECURE = 1


class SavingOperations(StatefulDriver[QemuState]):
    """Operations on guests in files."""

    async def domain_save(
        self,
        domain: DomainRef,
        file: str | None = None,
        dxml: str | None = None,
        image_format: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> None:
        flags = int(flags)
        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, _SAVE, "domain_save")
        _check_channels(parallel_channels, image_format or self.state.settings.save_image_format)
        obj = self.domain(domain)
        if file is None:  # then libvirt's does as a managed save does
            await self._managed_save(domain, "domain_save", dxml, flags)
            return
        await self.state.save_guest(
            obj,
            os.path.abspath(file),
            "domain_save",
            dxml=dxml,
            format=image_format,
            running=_wanted_state(flags),
            direct=bool(flags & DomainSaveRestoreFlags.BYPASS_CACHE),
            channels=parallel_channels or 1,
            flags=flags,
        )

    async def connection_restore(
        self,
        file: str | None = None,
        dxml: str | None = None,
        parallel_channels: int | None = None,
        flags: DomainSaveRestoreFlags | int = 0,
    ) -> None:
        flags = int(flags)
        refuse_both(flags, _RUNNING, _PAUSED)
        self.check_flags(flags, _SAVE | DomainSaveRestoreFlags.RESET_NVRAM, "connection_restore")
        refuse_missing(file, "file", "connection_restore")
        assert file is not None
        if parallel_channels is not None and parallel_channels < 1:
            raise InvalidArg("number of parallel save channels cannot be less than 1", value=str(parallel_channels))
        await self.state.restore(
            os.path.abspath(file),
            dxml=dxml,
            running=_wanted_state(flags),
            direct=bool(flags & DomainSaveRestoreFlags.BYPASS_CACHE),
            reset_nvram=bool(flags & DomainSaveRestoreFlags.RESET_NVRAM),
            channels=parallel_channels or 1,
        )

    # -- what is in a file

    async def connection_save_image_xml(self, file: str, flags: DomainSaveImageXMLFlags | int = 0) -> str:
        self.check_flags(flags, _SECURE, "connection_save_image_xml")
        return await self._image_xml(os.path.abspath(file), int(flags))

    async def connection_save_image_define_xml(
        self, file: str, dxml: str, flags: DomainSaveRestoreFlags | int = 0
    ) -> None:
        refuse_both(int(flags), _RUNNING, _PAUSED)
        self.check_flags(flags, _STATES, "connection_save_image_define_xml")
        await self._define_image(os.path.abspath(file), dxml, int(flags))

    async def _image_xml(self, path: str, flags: int) -> str:
        from virtcore.model.domain.document import format_domain
        from virtcore.xml import Mode

        _, saved = await self.state.open_image(path)
        return format_domain(saved, Mode.SECURE if flags & _SECURE else Mode.NONE)

    async def _define_image(self, path: str, dxml: str, flags: int) -> None:
        image, saved = await self.state.open_image(path)
        running = image.header.running if (wanted := _wanted_state(flags)) is None else wanted
        if dxml == image.xml and running == image.header.running:
            return
        changed = await self.state.same_guest(saved, dxml)
        header = dataclasses.replace(image.header, running=running)
        changed_image = dataclasses.replace(image, header=header, xml=self.state.migratable_xml(changed))
        await in_thread(rewrite_xml, path, changed_image)

    # -- for a debugger

    async def domain_core_dump(
        self,
        domain: DomainRef,
        to: str,
        dumpformat: DomainCoreDumpFormat | int = 0,
        flags: DomainCoreDumpFlags | int = 0,
    ) -> None:
        from virtcore.enums.domain_more import DomainCoreDumpFlags, DomainCoreDumpFormat

        if dumpformat not in DomainCoreDumpFormat.__members__.values():
            raise invalid_argument(f"dumpformat '{int(dumpformat)}' is not supported")
        flags = int(flags)
        for one, other in (("CRASH", "LIVE"), ("CRASH", "RESET"), ("LIVE", "RESET")):
            refuse_both(flags, *((f"VIR_DUMP_{name}", int(DomainCoreDumpFlags[name])) for name in (one, other)))
        self.check_flags(flags, sum(DomainCoreDumpFlags), "domain_core_dump")
        kind = DomainCoreDumpFormat(int(dumpformat))
        await self.state.dump_guest(self.domain(domain), os.path.abspath(to), kind, DomainCoreDumpFlags(flags))

    # -- managed save

    async def domain_managed_save(self, domain: DomainRef, flags: DomainSaveRestoreFlags | int = 0) -> None:
        refuse_both(int(flags), _RUNNING, _PAUSED)
        self.check_flags(flags, _SAVE, "domain_managed_save")
        await self._managed_save(domain, "domain_managed_save", None, int(flags))

    async def _managed_save(self, domain: DomainRef, operation: str, dxml: str | None, flags: int) -> None:
        from virtcore.driver.toolkit.folders import make_folder

        obj = self.domain(domain)
        obj.require_active()
        if not obj.persistent:
            raise OperationInvalid("cannot do managed save for transient domain")
        path = self.state.managed_path(obj)
        await in_thread(make_folder, path.parent)
        await self.state.save_guest(
            obj,
            str(path),
            operation,
            dxml=dxml,
            running=_wanted_state(flags),
            direct=bool(flags & DomainSaveRestoreFlags.BYPASS_CACHE),
            managed=True,
            flags=flags,
        )

    async def domain_managed_save_remove(self, domain: DomainRef, flags: int = 0) -> None:
        self.check_flags(flags, 0, "domain_managed_save_remove")
        obj = self.domain(domain)
        complaint = f"Failed to remove managed save file '{self.state.managed_path(obj)}'"
        await self.state.remove_managed(obj, complaint)

    async def domain_managed_save_xml(self, domain: DomainRef, flags: DomainSaveImageXMLFlags | int = 0) -> str:
        self.check_flags(flags, _SECURE, "domain_managed_save_xml")
        return await self._image_xml(await self._managed(domain), int(flags))

    async def domain_managed_save_define_xml(
        self, domain: DomainRef, dxml: str | None, flags: DomainSaveRestoreFlags | int = 0
    ) -> None:
        refuse_both(int(flags), _RUNNING, _PAUSED)
        self.check_flags(flags, _STATES, "domain_managed_save_define_xml")
        refuse_missing(dxml, "dxml", "domain_managed_save_define_xml")
        assert dxml is not None
        await self._define_image(await self._managed(domain), dxml, int(flags))

    async def _managed(self, domain: DomainRef) -> str:
        """The path of a domain's managed save image.

        :raises OperationInvalid: there is none.
        """
        path = str(self.state.managed_path(self.domain(domain)))
        if await in_thread(is_whole, path) is None:
            raise OperationInvalid("domain does not have managed save image")
        return path


def _wanted_state(flags: int) -> bool | None:
    """Whether the guest is to run when it is restored; None as it did."""
    if flags & DomainSaveRestoreFlags.RUNNING:
        return True
    return False if flags & DomainSaveRestoreFlags.PAUSED else None


def _check_channels(channels: int | None, format: str) -> None:
    if channels is None:
        return
    if format != "sparse":
        raise invalid_argument("Parallel save is only supported with the 'sparse' save image format")
    if channels < 1:
        raise invalid_argument("number of parallel save channels cannot be less than 1")
