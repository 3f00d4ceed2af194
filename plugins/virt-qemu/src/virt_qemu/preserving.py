"""What becomes of guests when their host goes down, or their user's session ends (``auto_shutdown_*`` in qemu.conf)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from virt_qemu.guest import Guest
from virtcore.enums.domain import DomainSaveRestoreFlags as SaveFlags, DomainState
from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virt_qemu.driver import QemuDriver
    from virtcore.driver.toolkit import DomainObject

__all__ = ["preserve_guests"]

log = logging.getLogger(__name__)

_PATIENCE = 30
"""Seconds that guests have to shut down where the settings do not say."""


async def preserve_guests(driver: QemuDriver) -> None:
    """Save guests, else shut them down, else power them off, each as far as the settings say for guests that are
    defined and for those that are not. Those that are defined start with the host's next boot. Never raises."""
    settings, privileged = driver.state.settings, driver.state.privileged
    save = _scope(settings.auto_shutdown_try_save, "none" if privileged else "persistent")
    shutdown = _scope(settings.auto_shutdown_try_shutdown, "none" if privileged else "all")
    poweroff = _scope(settings.auto_shutdown_poweroff, "none" if privileged else "all")
    if not (save or shutdown or poweroff):
        return
    guests = [obj for obj in driver.state.domains if obj.active]
    if settings.auto_shutdown_restore:
        await _start_with_next_boot(driver, guests)
    await _save(driver, [obj for obj in guests if obj.persistent in save], beside=settings.auto_save_bypass_cache)
    await _shut_down(driver, [obj for obj in guests if obj.persistent in shutdown], settings.auto_shutdown_wait)
    for obj in guests:
        if obj.active and obj.persistent in poweroff:
            try:
                await driver.domain_destroy(obj.ref)
            except VirtError as error:
                log.warning("auto-shutdown: unable to power off '%s': %s", obj.name, error)
        if obj.active:
            log.warning("auto-shutdown: domain '%s' not successfully shut off by any action", obj.name)


def _scope(wanted: str | None, default: str) -> tuple[bool, ...]:
    """Of which guests something is done: those that are defined (True), those that are not."""
    return {"none": (), "persistent": (True,), "transient": (False,), "all": (True, False)}[wanted or default]


async def _start_with_next_boot(driver: QemuDriver, guests: list[DomainObject]) -> None:
    for obj in guests:
        if obj.persistent:
            try:
                await driver.state.set_autostart_once(obj, True)
            except VirtError as error:
                log.warning("Unable to mark domain '%s' for auto restore: %s", obj.name, error)


async def _save(driver: QemuDriver, guests: list[DomainObject], *, beside: bool) -> None:
    """Save guests, one after the other: until its turn comes a guest stands still and changes no more memory.

    :param beside: not through the host's cache.
    """
    ran = set()
    for obj in guests:
        if obj.state != DomainState.PAUSED:
            ran.add(obj.uuid)
            try:
                await driver.domain_suspend(obj.ref)
            except VirtError as error:
                log.debug("domain '%s' is saved while it runs: %s", obj.name, error)
    for obj in guests:
        if not obj.active:
            continue
        flags = SaveFlags.RUNNING if obj.uuid in ran else SaveFlags.PAUSED
        try:
            await driver.domain_managed_save(obj.ref, flags | (SaveFlags.BYPASS_CACHE if beside else 0))
        except VirtError as error:
            log.warning("auto-shutdown: unable to perform managed save of '%s': %s", obj.name, error)
            if obj.active and obj.uuid in ran:
                await _resume(driver, obj)


async def _resume(driver: QemuDriver, obj: DomainObject) -> None:
    try:
        await driver.domain_resume(obj.ref)
    except VirtError as error:
        log.warning("domain '%s' stands still: %s", obj.name, error)


async def _shut_down(driver: QemuDriver, guests: list[DomainObject], seconds: int) -> None:
    """Ask guests to shut down, and wait for their end."""
    asked = []
    for obj in guests:
        guest = obj.private
        if not obj.active or not isinstance(guest, Guest):
            continue
        try:
            await driver.domain_shutdown(obj.ref)
        except VirtError as error:
            log.warning("auto-shutdown: unable to request graceful shutdown of '%s': %s", obj.name, error)
            continue
        if guest.watch is not None:
            asked.append(guest.watch)
    if asked:
        await asyncio.wait(asked, timeout=seconds or _PATIENCE)
