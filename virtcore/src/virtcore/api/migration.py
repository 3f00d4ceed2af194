"""Domains for threads, the hand-written part: migration, which is about two connections."""

from __future__ import annotations

from virtcore._typing import TYPE_CHECKING, Mapping, Sequence
from virtcore.api.base import DEFAULT, ConnectionBase, Deadline, SyncObjectBase
from virtcore.operations.arguments import require
from virtcore.runtime.methods import Method, Style, check_deadline
from virtcore.types import DomainRef, TypedParameters, TypedValue

if TYPE_CHECKING:
    from virtcore.api.sync.connection import Connection
    from virtcore.api.sync.domain import Domain
    from virtcore.enums import DomainMigrateFlags
    from virtcore.runtime.session import Session

__all__ = [
    "MIGRATE",
    "MIGRATE_TO_URI",
    "MigrationParameters",
    "SyncDomainBase",
    "seconds_of",
    "to_connection",
    "to_uri",
]

#: Names and values of :data:`virtcore.operations.parameters.MIGRATION`, typed or to be typed.
MigrationParameters = Mapping[str, TypedValue | Sequence[str]] | TypedParameters


async def _migrate(
    source: Session, ref: DomainRef, destination: Session, params: TypedParameters, flags: int
) -> DomainRef:
    from virtcore.runtime.migration import migrate

    return await migrate(source, ref, destination, params, flags)


async def _migrate_to_uri(
    source: Session, ref: DomainRef, uri: str | None, params: TypedParameters, flags: int
) -> None:
    from virtcore.runtime.migration import migrate_to_uri

    await migrate_to_uri(source, ref, uri, params, flags)


MIGRATE = Method("domain_migrate", True, Style.ASYNC, _migrate)
MIGRATE_TO_URI = Method("domain_migrate_to_uri", True, Style.ASYNC, _migrate_to_uri)


def _typed(parameters: MigrationParameters | None) -> TypedParameters:
    """Parameters as callers give them, typed.

    :raises ArgumentUnsupported: there is no such parameter.
    :raises InvalidArg: a value does not fit its type.
    """
    if isinstance(parameters, TypedParameters):
        return parameters
    require(parameters, (Mapping, type(None)), "parameters", "a mapping or TypedParameters")
    from virtcore.operations.parameters import MIGRATION

    return MIGRATION.typed(parameters or {})


def to_connection(
    destination: ConnectionBase, parameters: MigrationParameters | None, flags: int
) -> tuple[Session, TypedParameters, int]:
    """What :data:`MIGRATE` takes after the domain.

    :raises InvalidArg: one has the wrong type.
    """
    require(destination, (ConnectionBase,), "destination", "a connection")
    require(flags, (int,), "flags", "int")
    return destination.session, _typed(parameters), flags


def to_uri(
    uri: str | None, parameters: MigrationParameters | None, flags: int
) -> tuple[str | None, TypedParameters, int]:
    """What :data:`MIGRATE_TO_URI` takes after the domain.

    :raises InvalidArg: one has the wrong type.
    """
    require(uri, (str, type(None)), "uri", "str")
    require(flags, (int,), "flags", "int")
    return uri, _typed(parameters), flags


def seconds_of(deadline: Deadline) -> float | None:
    """A change's deadline: none of its own."""
    return None if deadline is DEFAULT else check_deadline(deadline)


class SyncDomainBase(SyncObjectBase[DomainRef]):
    """What domains for threads have beside their operations."""

    __slots__ = ()

    def migrate(
        self,
        destination: Connection,
        parameters: MigrationParameters | None = None,
        flags: DomainMigrateFlags | int = 0,
        *,
        deadline: Deadline = DEFAULT,
    ) -> Domain:
        """Move it to the host of another connection; gives the domain there (``virDomainMigrate3``).

        :param parameters: see :data:`virtcore.operations.parameters.MIGRATION`.
        :raises VirtError: it did not work; the guest goes on where it was.
        """
        from virtcore.api.sync.domain import Domain

        session = self.connection.session
        args = (session, self._ref, *to_connection(destination, parameters, flags))
        return Domain(destination, session.run_here(MIGRATE, args, seconds_of(deadline)))

    def migrate_to_uri(
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
        session.run_here(MIGRATE_TO_URI, args, seconds_of(deadline))
