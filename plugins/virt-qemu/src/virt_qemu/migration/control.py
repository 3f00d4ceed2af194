"""What QEMU is told of a migration, and what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virt_qemu.block.running import as_json
from virt_qemu.migration_cookie import MigrationCapability
from virt_qemu.migration_parameters import Parameters, set_arguments, told_parameters
from virt_qemu.monitor import JSON, CommandError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import Monitor

__all__ = ["ENDED", "MigrationControl", "Progress"]

#: States in which QEMU does nothing more.
ENDED = frozenset({"completed", "failed", "cancelled", "none"})
#: Seconds between two looks at a migration that tells nothing.
_LOOK = 1.0
#: Seconds between two looks at what is about to end.
_MOMENT = 0.01
_EVENTS = MigrationCapability.EVENTS
_KNOWN = frozenset(MigrationCapability) - {_EVENTS}


@dataclass(frozen=True, slots=True)
class Progress:
    """An answer of ``query-migrate``.

    :ivar status: QEMU's name of the state; ``none`` where nothing was begun.
    """

    status: str
    reply: Mapping[str, JSON]

    @property
    def error(self) -> str | None:
        """Why it failed, in QEMU's words."""
        told = self.reply.get("error-desc")
        return told if isinstance(told, str) else None

    @property
    def blockers(self) -> list[str]:
        """Why the guest cannot be migrated, in QEMU's words."""
        told = self.reply.get("blocked-reasons")
        return [str(each) for each in told] if isinstance(told, list) else []

    def number(self, *names: str) -> int | float | None:
        """A number, below the names of what holds it; None where it is not told."""
        value: JSON = dict(self.reply)
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class MigrationControl:
    """The part of a guest's monitor that migration is about. What it raises are the monitor's errors."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    @property
    def _monitor(self) -> Monitor:
        return self._guest.channel()

    async def supported(self) -> frozenset[str]:
        """Capabilities that both QEMU and libvirt know, without the one that is always on."""
        reply = await self._monitor.execute("query-migrate-capabilities")
        rows = [row for row in reply if isinstance(row, dict)] if isinstance(reply, list) else []
        return frozenset(str(row.get("capability")) for row in rows) & _KNOWN

    async def set_capabilities(self, supported: Collection[str], wanted: Collection[str]) -> None:
        """Turn on what is wanted, and off what else there is. QEMU tells of its states from now on."""
        rows: list[JSON] = [{"capability": str(_EVENTS), "state": True}]
        rows += [
            {"capability": str(name), "state": name in wanted} for name in MigrationCapability if name in supported
        ]
        await self._monitor.execute("migrate-set-capabilities", {"capabilities": rows})

    async def parameters(self) -> Parameters:
        """The parameters as they are."""
        reply = await self._monitor.execute("query-migrate-parameters")
        return told_parameters(reply if isinstance(reply, dict) else {})

    async def set_parameters(self, parameters: Parameters, *, resume: bool = False) -> None:
        """Change parameters.

        :param resume: a migration that has stopped behind the guest goes on: only what can be changed then.
        """
        arguments: dict[str, JSON] = dict(set_arguments(parameters, resume=resume))
        if arguments:
            await self._monitor.execute("migrate-set-parameters", arguments)

    async def map_bitmaps(self, mapping: Sequence[Mapping[str, object]]) -> None:
        """Say under which names bitmaps of disks are sent and taken, where that capability is on."""
        await self._monitor.execute(
            "migrate-set-parameters", {"block-bitmap-mapping": [as_json(dict(each)) for each in mapping]}
        )

    async def progress(self) -> Progress:
        """How far it is."""
        reply = await self._monitor.execute("query-migrate")
        told = reply if isinstance(reply, dict) else {}
        status = told.get("status")
        return Progress(status if isinstance(status, str) else "none", told)

    async def migrate(self, uri: str, *, resume: bool = False) -> None:
        """Send the guest.

        :param resume: go on with what has stopped behind the guest.
        """
        arguments: dict[str, JSON] = {"detach": True, "resume": resume, "uri": uri}
        await self._monitor.execute("migrate", arguments)

    async def incoming(self, uri: str) -> None:
        """Wait for the guest at an address."""
        await self._monitor.execute("migrate-incoming", {"uri": uri})

    async def recover(self, uri: str) -> None:
        """Wait for the rest of a guest that runs already."""
        await self._monitor.execute("migrate-recover", {"uri": uri})

    async def go_on(self, status: str) -> None:
        """Leave a state in which QEMU waits for us."""
        await self._monitor.execute("migrate-continue", {"state": status})

    async def cancel(self) -> None:
        """Break it off, where it goes on; returns when QEMU has, and the guest may run again."""
        with self._monitor.events("MIGRATION") as events:
            if (await self.progress()).status not in ENDED:
                await self._monitor.execute("migrate_cancel")
                while (await self.progress()).status not in ENDED:
                    await events.next(_LOOK)
        await self.settle()

    async def settle(self) -> None:
        """Wait until the guest may run again: QEMU tells the end of a migration a moment before it lets go of it."""
        while True:
            reply = await self._monitor.execute("query-status")
            if not isinstance(reply, dict) or reply.get("status") != "finish-migrate":
                return
            await asyncio.sleep(_MOMENT)

    async def pause(self) -> None:
        """Interrupt what goes on behind the guest."""
        await self._monitor.execute("migrate-pause")

    async def start_postcopy(self) -> None:
        """Let the guest run at the destination, and what is left of its memory follow it."""
        await self._monitor.execute("migrate-start-postcopy")

    async def add_object(self, props: Mapping[str, object]) -> None:
        """Add an object, in place of one that was left."""
        await self.remove_object(str(props["id"]))
        await self._monitor.execute("object-add", as_json(dict(props)))

    async def remove_object(self, name: str) -> None:
        """Remove an object, if there is one."""
        try:
            await self._monitor.execute("object-del", {"id": name})
        except CommandError:
            pass  # there was none
