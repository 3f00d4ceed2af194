"""Peer-to-peer migration: this host asks the other one itself, phase by phase, within one call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from virt_qemu.migration.side import MigrationPhase as Phase
from virt_qemu.migration.source import Outgoing
from virt_qemu.migration.tunnel import SendingTunnel
from virtcore.enums.domain import DomainState
from virtcore.enums.domain_more import DomainMigrateFlags as Flags
from virtcore.errors import (
    ArgumentUnsupported,
    ErrorCode,
    ErrorDomain,
    InternalError,
    OperationFailed,
    VirtError,
)
from virtcore.operations.features import DriverFeature
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virt_qemu.migration.driver import MigrationOperations
    from virtcore.driver.toolkit import DomainObject
    from virtcore.operations.values import MigrationFinished
    from virtcore.runtime.session import Session

__all__ = ["migrate_to_peer"]

log = logging.getLogger(__name__)

#: Flags that are the source's alone.
_SOURCE_ONLY = Flags.ABORT_ON_ERROR | Flags.AUTO_CONVERGE


async def migrate_to_peer(
    driver: MigrationOperations, obj: DomainObject, uri: str, params: TypedParameters, flags: int
) -> None:
    """Migrate a guest to the host of a URI. It runs there then, or goes on here.

    :raises VirtError: it did not work.
    """
    if flags & Flags.TUNNELLED:
        for name, what in (
            ("migrate_uri", "migration URI"),
            ("listen_address", "listen address"),
            ("disks_port", "disk port address"),
        ):
            if name in params:
                raise ArgumentUnsupported(f"{what} is not supported by tunnelled migration")
    resume = bool(flags & Flags.POSTCOPY_RESUME)
    if resume:
        side = driver.resumable(obj, flags)
    else:
        side = Outgoing(driver.state, obj, params, flags)
        await side.hold()
    with side.step(last=True):
        if not flags & Flags.OFFLINE:
            obj.require_active()
        peer = await _open(driver, uri)
        try:
            await _Peer(side, peer, params, flags).run()
        finally:
            await peer.close()
    if not obj.active:
        await driver.forget_source(obj, flags)


async def _open(driver: MigrationOperations, uri: str) -> Session:
    """The connection to the other host.

    :raises VirtError: it cannot be reached, or does not do this.
    """
    from virtcore.driver.opening import open_session

    peer = await open_session(uri, deadline=None, aliases=False)
    settings = driver.state.settings
    try:
        if settings.keepalive_interval > 0:
            await peer.call("connection_set_keepalive", settings.keepalive_interval, settings.keepalive_count)
        if not await peer.call("connection_supports_feature", DriverFeature.MIGRATION_P2P):
            raise OperationFailed("Destination libvirt does not support peer-to-peer migration protocol")
    except BaseException:
        await peer.close()
        raise
    return peer


class _Peer:
    """One such migration."""

    def __init__(self, side: Outgoing, peer: Session, params: TypedParameters, flags: int) -> None:
        self.side = side
        self.peer = peer
        self.params = params
        self.flags = flags & ~Flags.CHANGE_PROTECTION
        self._tunnel: SendingTunnel | None = None

    async def _alive(self) -> None:
        if self._tunnel is not None:
            await self._tunnel.check()
        if not await self.peer.call("connection_is_alive"):
            raise OperationFailed("Lost connection to destination host")

    async def run(self) -> None:
        """All phases."""
        side, resume = self.side, bool(self.flags & Flags.POSTCOPY_RESUME)
        offline = bool(self.flags & Flags.OFFLINE)
        if offline and not await self.peer.call("connection_supports_feature", DriverFeature.MIGRATION_OFFLINE):
            raise ArgumentUnsupported("offline migration is not supported by the destination host")
        if resume:
            begun = await side.begin_again(self.params, self.flags)
        else:
            begun = await side.begin()
            if side.obj.state == DomainState.PAUSED:
                self.flags |= Flags.PAUSED
        told = self._replaced({"destination_xml": begun.xml})
        there = self.flags & ~_SOURCE_ONLY
        uri: str | None = None
        if self.flags & Flags.TUNNELLED:
            tunnel = await self.peer.call("connection_migrate_prepare_tunnel", told, begun.cookie, there)
            cookie, self._tunnel = tunnel.cookie, SendingTunnel(tunnel.stream)
        else:
            prepared = await self.peer.call("connection_migrate_prepare", told, begun.cookie, there)
            wanted = self.params.get("migrate_uri")
            cookie, uri = prepared.cookie, prepared.uri or (None if wanted is None else str(wanted))
        error: Exception | None = None
        if not offline:
            try:
                cookie = await self._perform(uri, cookie)
            except Exception as failure:  # noqa: BLE001  # the destination is told first
                error = failure
            except BaseException:
                await self._finish(told, b"", there, cancelled=True, quietly=True)
                raise
        else:
            cookie = b""
        if uri is not None:
            told = self._replaced({"migrate_uri": uri}, told)
        finished, complaint = await self._finish(told, cookie, there, cancelled=error is not None)
        if complaint is not None and (error is None or _tells_more(complaint, error)):
            error = complaint
        arrived = finished is not None and finished.domain is not None
        performed = not (error is not None and side.phase is not Phase.PERFORM3_DONE)
        if offline or performed or resume:
            await self._confirm(finished.cookie if finished is not None else b"", cancelled=not arrived)
        if not arrived:
            raise error or InternalError("the destination finished the migration without a domain")

    async def _perform(self, uri: str | None, cookie: bytes) -> bytes:
        side = self.side
        if self._tunnel is None and uri is None:
            raise InternalError("domainMigratePrepare3 did not set uri")
        if self.flags & Flags.POSTCOPY_RESUME:
            return await side.perform_again(self.params, self.flags, uri or "", cookie)
        await side.enter(Phase.PERFORM3)
        side.flags = self.flags
        try:
            answer = await side.perform(uri, cookie, tunnel=self._tunnel, alive=self._alive)
        finally:
            if self._tunnel is not None:
                await self._tunnel.close()
        await side.enter(Phase.PERFORM3_DONE)
        return answer

    async def _finish(
        self, params: TypedParameters, cookie: bytes, flags: int, *, cancelled: bool, quietly: bool = False
    ) -> tuple[MigrationFinished | None, Exception | None]:
        """Tell the destination how it went.

        :param quietly: nobody wants to know what it says.
        """
        if "destination_name" not in params:
            params = self._replaced({"destination_name": self.side.obj.name}, params)
        try:
            finished: MigrationFinished = await self.peer.call(
                "connection_migrate_finish", params, cookie, flags, cancelled
            )
        except Exception as failure:  # noqa: BLE001  # the guest's place is settled first
            if quietly:
                log.info("the destination was told that '%s' will not come: %s", self.side.obj.name, failure)
            return None, failure
        if cancelled and finished.domain is not None:
            log.error("finish step ignored that migration was cancelled")
        return finished, None

    async def _confirm(self, cookie: bytes, *, cancelled: bool) -> None:
        try:
            await self.side.confirm(cookie, self.flags, cancelled=cancelled)
        except VirtError as failure:
            log.warning("Guest %s probably left in 'paused' state on source: %s", self.side.obj.name, failure)

    def _replaced(self, values: dict[str, str], params: TypedParameters | None = None) -> TypedParameters:
        from virtcore.operations.parameters import MIGRATION

        rows = (params or self.params).rows()
        # What the definition is to be goes in the cookie.
        kept = [row for row in rows if row[0] not in values and row[0] != "persistent_xml"]
        return TypedParameters([*kept, *MIGRATION.typed(values).rows()])


def _tells_more(finishing: Exception, performing: Exception) -> bool:
    """Whether the destination knows better why it failed than the source, which saw it break off."""
    return (
        isinstance(finishing, VirtError)
        and isinstance(performing, VirtError)
        and finishing.domain == ErrorDomain.QEMU
        and performing.code == ErrorCode.OPERATION_FAILED
        and finishing.code != ErrorCode.MIGRATE_FINISH_OK
    )
