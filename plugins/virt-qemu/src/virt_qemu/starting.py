"""How guests come to run: with their host, with what a client lends them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virt_qemu.host import QemuState
from virtcore.driver.toolkit import StatefulDriver
from virtcore.driver.toolkit.arguments import refuse_zero
from virtcore.enums.domain import DomainFDAssociateFlags
from virtcore.operations.declare import inline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtcore.types import DomainRef

__all__ = ["StartingOperations"]


class StartingOperations(StatefulDriver[QemuState]):
    """Operations on what a next start does."""

    @inline
    def domain_autostart_once(self, domain: DomainRef) -> bool:
        return self.domain(domain).uuid in self.state.autostart_once

    async def domain_set_autostart_once(self, domain: DomainRef, autostart: bool) -> None:
        await self.state.set_autostart_once(self.domain(domain), autostart)

    @inline
    def domain_associate_fds(
        self, domain: DomainRef, name: str, files: Sequence[int], flags: DomainFDAssociateFlags | int = 0
    ) -> None:
        # How they are labelled is what the flags are about: files of no path have no label of ours.
        self.check_flags(flags, sum(DomainFDAssociateFlags), "domain_associate_fds")
        refuse_zero(len(files), "nfds", "domain_associate_fds")
        self.state.lend(self.domain(domain), name, files, self)

    async def close(self) -> None:
        self.state.take_back(self)
        await super().close()
