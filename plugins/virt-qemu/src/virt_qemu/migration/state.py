"""What the driver's state keeps of migrations, and what both sides need of it."""

from __future__ import annotations

import logging
import socket
from functools import cached_property
from typing import TYPE_CHECKING

from virt_host.description.host_uuid import host_uuid
from virt_qemu.events import GuestEvents
from virt_qemu.guest import Guest
from virt_qemu.migration.address import Ports
from virt_qemu.migration_cookie import CookieFeature, MigrationCookie, format_cookie, load_cookie
from virtcore.driver.toolkit import DomainObject
from virtcore.enums.domain import DomainPausedReason, DomainRunningReason, DomainState
from virtcore.enums.domain_events import (
    DomainEventResumedDetailType,
    DomainEventSuspendedDetailType,
    DomainEventType,
)
from virtcore.errors import InternalError, OperationUnsupported, VirtError

if TYPE_CHECKING:
    from virt_qemu.migration.side import MigrationSide
    from virt_qemu.rules.audio import HostAudio
    from virt_qemu.settings.table import QemuSettings
    from virtcore.driver.toolkit import StateFolders
    from virtcore.model.domain import Domain

__all__ = ["MigrationState"]

log = logging.getLogger(__name__)


class MigrationState(GuestEvents):
    """Migrations that are under way."""

    settings: QemuSettings
    folders: StateFolders

    @cached_property
    def migrations(self) -> dict[str, MigrationSide]:
        """Those that are under way, by the UUID of the guest."""
        return {}

    @cached_property
    def migration_speeds(self) -> dict[str, int]:
        """Most that is sent of a guest, in MiB/s, where somebody has set it; it need not run."""
        return {}

    @cached_property
    def migration_errors(self) -> dict[str, VirtError]:
        """Why guests that were to come did not, by name, until somebody asks."""
        return {}

    @property
    def host_audio(self) -> HostAudio:
        """Hook: what guests may have of the host's sound."""
        raise NotImplementedError

    @cached_property
    def migration_ports(self) -> Ports:
        """Where guests may be waited for."""
        return Ports(self.settings)

    @cached_property
    def host_uuid(self) -> str:
        """Names this host."""
        return host_uuid(self.folders.config)

    @property
    def host_name(self) -> str:
        """What this host is called."""
        return socket.gethostname()

    @staticmethod
    def report(text: str) -> None:
        """Note what went wrong without harm."""
        log.warning("%s", text)

    # -- documents

    def load_inactive(self, xml: str) -> Domain:
        """Read a definition, as one that this host keeps.

        :raises VirtError: it is refused.
        """
        from virtcore.model.domain.rules.context import ParseFlag

        return self.load(xml, ParseFlag.INACTIVE)

    def load_same(self, xml: str, domain: Domain, obj: DomainObject) -> Domain:
        """Read a document that a guest is to have instead of its own.

        :param obj: whose guest it is.
        :raises VirtError: it is refused, or the guest would see another machine.
        """
        from virtcore.model.domain.stability import check_stability

        changed = self.load_inactive(xml)
        check_stability(self.load_inactive(self.migratable_xml(domain, obj)), changed)
        return changed

    # -- cookies

    def write_cookie(self, cookie: MigrationCookie) -> bytes:
        """A cookie as it is sent: text with the zero byte that ends it."""
        return format_cookie(cookie, self.host_audio).encode() + b"\0"

    def bare_cookie(self, obj: DomainObject) -> MigrationCookie:
        """A cookie that says nothing but where it comes from, and of which guest."""
        return MigrationCookie(name=obj.name, uuid=obj.uuid, host_name=self.host_name, host_uuid=self.host_uuid)

    def read_cookie(self, cookie: bytes, uuid: str, *, name: str, caps: bool = True) -> MigrationCookie:
        """The other side's cookie; an empty one says nothing.

        :param uuid: the guest's.
        :param name: the guest's at the source.
        :param caps: it tells what the other side's QEMU can do.
        :raises InternalError: it cannot be used.
        """
        from virtcore.model.domain.rules.context import ParseFlag

        if not cookie:
            return MigrationCookie(name=name, uuid=uuid, host_name="", host_uuid="")
        if not cookie.endswith(b"\0"):
            raise InternalError("Migration cookie was not NULL terminated")
        flags = ParseFlag.INACTIVE | ParseFlag.ABI_UPDATE_MIGRATION | ParseFlag.SKIP_VALIDATE
        known = [each for each in CookieFeature if caps or each is not CookieFeature.CAPABILITIES]
        from virt_qemu.rules import QemuRules

        assert isinstance(self.rules, QemuRules)
        told = load_cookie(
            cookie[:-1],
            self.rules,
            self.context(flags),
            name=name,
            uuid=uuid,
            host_uuid=self.host_uuid,
            features=known,
        )
        locks = self.settings.lock_manager or "nop"
        if told.lock_state is not None and told.lock_state.driver != locks:
            raise OperationUnsupported(
                f"Source host lock driver {told.lock_state.driver} different from target {locks}"
            )
        return told

    # -- events

    def migration_changed(self, obj: DomainObject, guest: Guest, status: str) -> None:
        """QEMU tells of another state of a migration."""
        from virt_qemu.migration.source import Outgoing

        side = self.migrations.get(obj.uuid)
        if side is None:
            return
        paused, kinds = DomainPausedReason, DomainEventSuspendedDetailType
        if status == "postcopy-active" and isinstance(side, Outgoing):
            if obj.state == DomainState.PAUSED and obj.reason == paused.MIGRATION:
                self.set_state(obj, DomainState.PAUSED, paused.POSTCOPY)
                self.emit(obj, DomainEventType.SUSPENDED, kinds.POSTCOPY)
        elif status == "postcopy-paused":
            if side.resting and side.in_postcopy and not side.failed_in_postcopy:
                side.state.spawn(side.postcopy_failed())
        elif status == "postcopy-recover" and side.failed_in_postcopy:
            if isinstance(side, Outgoing):
                self.set_state(obj, DomainState.PAUSED, paused.POSTCOPY)
                self.emit(obj, DomainEventType.SUSPENDED, kinds.POSTCOPY)
            else:
                self.set_state(obj, DomainState.RUNNING, DomainRunningReason.POSTCOPY)
                self.emit(obj, DomainEventType.RESUMED, DomainEventResumedDetailType.POSTCOPY)
        elif status == "completed" and side.resting and side.in_postcopy and side.unattended:
            side.state.spawn(self._finish_unattended(side))

    async def recover_migration(self, obj: DomainObject, guest: Guest) -> None:
        """Settle what was under way with a guest that was found."""
        job = guest.status.job
        if job is None or job.async_ == "none":
            return  # nothing was, as of nearly all: nothing is loaded for that
        from virt_qemu.host import QemuState
        from virt_qemu.migration.recover import recover_migration

        assert isinstance(self, QemuState)
        await recover_migration(self, obj, guest)

    async def _finish_unattended(self, side: MigrationSide) -> None:
        """What had failed behind the guest has come to its end without anybody's help."""
        with side.job.going_on():
            try:
                await side.complete()
            finally:
                side.drop()
