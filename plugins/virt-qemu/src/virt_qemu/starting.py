"""How guests come to run: with their host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.host import QemuState
from virtcore.driver.toolkit import StatefulDriver
from virtcore.operations.declare import inline

if TYPE_CHECKING:
    from virtcore.types import DomainRef

__all__ = ["StartingOperations"]


class StartingOperations(StatefulDriver[QemuState]):
    """Operations on what a next start does."""

    @inline
    def domain_autostart_once(self, domain: DomainRef) -> bool:
        return self.domain(domain).uuid in self.state.autostart_once

    async def domain_set_autostart_once(self, domain: DomainRef, autostart: bool) -> None:
        await self.state.set_autostart_once(self.domain(domain), autostart)
