"""Domains for coroutines, the hand-written part: migration."""

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING
from virtcore.api.async_base import AsyncObjectBase
from virtcore.api.base import DEFAULT, Deadline
from virtcore.api.migration import MIGRATE, MIGRATE_TO_URI, MigrationParameters, seconds_of, to_connection, to_uri
from virtcore.types import DomainRef

if TYPE_CHECKING:
    from virtcore.api.aio.connection import AsyncConnection
    from virtcore.api.aio.domain import AsyncDomain
    from virtcore.enums import DomainMigrateFlags

__all__ = ["AsyncDomainBase"]


class AsyncDomainBase(AsyncObjectBase[DomainRef]):
    """What domains for coroutines have beside their operations."""

    __slots__ = ()

    async def migrate(
        self,
        destination: AsyncConnection,
        parameters: MigrationParameters | None = None,
        flags: DomainMigrateFlags | int = 0,
        *,
        deadline: Deadline = DEFAULT,
    ) -> AsyncDomain:
        """Move it to the host of another connection; gives the domain there (``virDomainMigrate3``).

        :param parameters: see :data:`virtcore.operations.parameters.MIGRATION`.
        :raises VirtError: it did not work; the guest goes on where it was.
        """
        from virtcore.api.aio.domain import AsyncDomain

        session = self.connection.session
        args = (session, self._ref, *to_connection(destination, parameters, flags))
        return AsyncDomain(destination, await session.run_anywhere(MIGRATE, args, seconds_of(deadline)))

    async def migrate_to_uri(
        self,
        uri: str | None = None,
        parameters: MigrationParameters | None = None,
        flags: DomainMigrateFlags | int = 0,
        *,
        deadline: Deadline = DEFAULT,
    ) -> None:
        """Have its host migrate it by itself (``virDomainMigrateToURI3``).

        :param uri: connection URI of the destination as this host sees it, with flag ``PEER2PEER``; without the flag,
            the parameter ``migrate_uri`` says where to.
        :param parameters: see :data:`virtcore.operations.parameters.MIGRATION`.
        :raises VirtError: it did not work; the guest goes on where it was.
        """
        session = self.connection.session
        args = (session, self._ref, *to_uri(uri, parameters, flags))
        await session.run_anywhere(MIGRATE_TO_URI, args, seconds_of(deadline))
