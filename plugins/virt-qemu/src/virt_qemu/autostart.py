"""Guests that start with the host: each time, or the next time only."""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from typing import TYPE_CHECKING

from virt_qemu.opening import OpeningState
from virtcore.driver.toolkit.store import Marks
from virtcore.enums.domain import DomainCreateFlags
from virtcore.errors import OperationInvalid, VirtError

if TYPE_CHECKING:
    from virtcore.driver.toolkit import DomainObject

__all__ = ["AutostartState"]

log = logging.getLogger(__name__)


class AutostartState(OpeningState):
    """The part of the driver's state that starts guests with the host."""

    @cached_property
    def autostart_once(self) -> set[str]:
        """UUIDs of the domains that start with the host's next boot only."""
        return set()

    @cached_property
    def _once(self) -> Marks:
        return Marks(self.folders.config / "autostart-once", self.disk)

    async def reattach(self) -> None:
        self.autostart_once = await self._once.open({obj.uuid for obj in self.domains})
        await super().reattach()

    async def drop_definition(self, obj: DomainObject) -> None:
        await super().drop_definition(obj)
        await self._mark_once(obj, False)

    async def set_autostart_once(self, obj: DomainObject, autostart: bool) -> None:
        """Set whether a domain starts with the host's next boot; returns when that is durable."""
        async with obj.config_lock:
            if not obj.persistent:
                raise OperationInvalid("cannot set autostart for transient domain")
            await self._mark_once(obj, autostart)

    async def _mark_once(self, obj: DomainObject, wanted: bool) -> None:
        if (obj.uuid in self.autostart_once) != wanted:
            await self._once.mark(obj.uuid, wanted)
            (self.autostart_once.add if wanted else self.autostart_once.discard)(obj.uuid)

    async def before_autostart(self) -> None:
        """Hook: the first guest is about to start with the host."""

    async def autostart_domains(self) -> None:
        """Start what is marked so, once per uptime of the host."""
        if self.autostarted.present:
            return
        flags = DomainCreateFlags.START_BYPASS_CACHE if self.settings.auto_start_bypass_cache else 0
        started = False
        for obj in list(self.domains):
            once = obj.uuid in self.autostart_once
            if (obj.autostart or once) and not obj.active:
                if started:
                    await asyncio.sleep(self.settings.auto_start_delay / 1000)
                else:
                    await self.before_autostart()
                started = True
                try:
                    await self.create(obj, flags)
                except Exception as error:  # noqa: BLE001  # plugins may raise anything; the others are to start
                    log.error("Failed to start domain '%s': %s", obj.name, error)
            if once:
                await self._had_its_boot(obj)
        self.autostarted.put()  # only now: a program that ends meanwhile leaves the rest to the next one

    async def _had_its_boot(self, obj: DomainObject) -> None:
        try:
            async with obj.config_lock:
                await self._mark_once(obj, False)
        except VirtError as error:
            log.error("domain '%s' is left to start with the host's next boot: %s", obj.name, error)
