"""How domains of a stateful driver change while they are known: the live configuration, the definition, or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from virtcore.driver.toolkit.state import DriverState, check_name
from virtcore.enums.domain import DomainState
from virtcore.enums.domain_events import (
    DomainEventDefinedDetailType,
    DomainEventType,
    DomainEventUndefinedDetailType,
)
from virtcore.errors import OperationInvalid, OperationUnsupported, XMLError

if TYPE_CHECKING:
    from virtcore.driver.toolkit.domains import DomainObject
    from virtcore.model.domain import Domain
    from virtcore.types import CpuMap

__all__ = ["Change", "ReconfigurableState"]

#: Changes a configuration that it is given, or raises; told whether it is the running guest's. Returns another one that
#: takes its place, or None.
Change = Callable[["Domain", bool], "Domain | None"]


class ReconfigurableState(DriverState):
    """Base of a driver's state whose domains can be changed."""

    # -- hooks

    @property
    def host_cpus(self) -> CpuMap:
        """Hook: the host's CPUs: where threads that are not pinned may run."""
        raise NotImplementedError

    async def change_guest(self, obj: DomainObject, changed: Domain) -> None:
        """Hook: make a running guest, which is as ``obj.live`` says, what ``changed`` says.

        Called with the job held. Raising means that it is as it was.
        """
        raise OperationUnsupported("the running guest cannot be changed")

    async def live_changed(self, obj: DomainObject) -> None:
        """Hook: ``obj.live`` is another one now; a driver whose guests outlive the process writes its status."""

    # -- changes

    def impact(self, obj: DomainObject, flags: int, *, one: bool = False) -> tuple[bool, bool]:
        """Whether ``DomainModificationImpact`` flags mean the live configuration, and whether the definition.

        :param one: both together are refused.
        :raises OperationInvalid: they cannot be met.
        """
        if one:
            from virtcore.driver.toolkit.arguments import refuse_both

            refuse_both(flags)
        live = self.affects_live(obj, flags)
        return live, bool(flags & 2) or not live

    async def reconfigure(
        self, obj: DomainObject, operation: str, flags: int, change: Change, *, one: bool = False, guest: bool = True
    ) -> None:
        """Change what ``DomainModificationImpact`` flags select; when ``change`` raises, nothing has changed.

        :param operation: the operation that holds the job meanwhile.
        :param one: the live configuration and the definition are not changed together.
        :param guest: the running guest has to be changed, too; else only what is known of it.
        :raises OperationInvalid: what the flags select is not there.
        """
        self.impact(obj, flags, one=one)  # refused before anybody waits
        async with obj.job.modify(operation), obj.config_lock:
            to_live, to_config = self.impact(obj, flags)
            live = definition = None
            if to_live:
                from copy import deepcopy

                live = deepcopy(obj.live)
                assert live is not None
                live = change(live, True) or live
            if to_config:
                definition = self.definition(obj)
                definition = change(definition, False) or definition
                self.check_readable(definition)
            if live is not None:
                if guest:
                    await self.change_guest(obj, live)
                obj.live = live
                await self.live_changed(obj)
            if definition is not None:
                await self.save_definition(obj, definition)

    def check_readable(self, domain: Domain) -> None:
        """Refuse a definition that could not be read again.

        :raises VirtError: as reading it would.
        """
        from virtcore.model.domain.document import format_domain
        from virtcore.model.domain.rules import ParseFlag

        self.load(format_domain(domain), ParseFlag.INACTIVE | ParseFlag.SKIP_VALIDATE)

    def completed(self, domain: Domain) -> Domain:
        """A changed definition as it would be if it was defined anew: completed and validated.

        :raises VirtError: it is refused.
        """
        from virtcore.model.domain.document import format_domain
        from virtcore.model.domain.rules import ParseFlag

        flags = ParseFlag.INACTIVE | (ParseFlag.ABI_UPDATE if self.abi_update else ParseFlag.NONE)
        return self.load(format_domain(domain), flags)

    async def rename(self, obj: DomainObject, name: str) -> None:
        """Give an inactive domain another name; returns when that is durable.

        :raises OperationInvalid: it runs or has no definition, or the name is taken.
        :raises XMLError: it cannot be a name.
        """
        async with obj.job.modify("domain_rename", endable=False), obj.config_lock:
            if obj.active:
                raise OperationInvalid("cannot rename active domain")
            if not obj.persistent:
                raise OperationInvalid("cannot rename a transient domain")
            if obj.state != DomainState.SHUTOFF:
                raise OperationInvalid("domain has to be shutoff before renaming")
            if name == obj.name:
                raise OperationInvalid("Can't rename domain to itself")
            if self.domains.find(name) is not None:
                raise OperationInvalid(f"domain with name '{name}' already exists")
            if "/" in name:
                raise XMLError(f"name {name} cannot contain '/'")
            check_name(name)
            definition = self.definition(obj)
            definition.name = name
            old = obj.name
            gone = obj.ref
            self.domains.rename(obj, name)  # nobody else takes the name while it is written
            try:
                await self.save_definition(obj, definition)
            except BaseException:
                self.domains.rename(obj, old)
                raise
            from virtcore.operations.events import DomainLifecycleEvent

            undefined, renamed = DomainEventType.UNDEFINED, DomainEventUndefinedDetailType.RENAMED
            self.events.emit(DomainLifecycleEvent(gone, undefined, renamed))
            self.emit(obj, DomainEventType.DEFINED, DomainEventDefinedDetailType.RENAMED)
