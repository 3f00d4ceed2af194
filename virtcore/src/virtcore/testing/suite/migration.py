"""Guests that are moved to another host, or to another place on this one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import virtcore
from virtcore import errors
from virtcore.enums import DomainMigrateFlags as Flags, DomainState
from virtcore.testing.suite.target import PREFIX, Target, asks, needs

if TYPE_CHECKING:
    from virtcore.api.sync import Connection, Domain

__all__ = ["TestMigration"]

#: What moving takes of both ends.
_PHASES = (
    "domain_migrate_begin", "connection_migrate_prepare", "domain_migrate_perform", "connection_migrate_finish",
    "domain_migrate_confirm", "connection_lookup_domain", "connection_list_domains", "domain_create", "domain_destroy",
    "domain_undefine", "domain_state",
)  # fmt: skip


@pytest.fixture
def peer(target: Target) -> Iterator[Connection]:
    """The other place, where nothing is left."""
    with virtcore.connect(target.peer()) as connection:
        yield connection
        for domain in connection.list_domains():
            if domain.name.startswith(PREFIX):
                for step in (domain.destroy, domain.undefine):
                    try:
                        step()
                    except (errors.OperationInvalid, errors.NoDomain):
                        continue


class TestMigration:
    """A guest is in one place, whatever happens on the way."""

    @needs(*_PHASES)
    @asks("peer")
    def test_a_guest_moves(self, defined: Domain, request: pytest.FixtureRequest) -> None:
        peer: Connection = request.getfixturevalue("peer")
        defined.create()
        moved = defined.migrate(peer, flags=Flags.LIVE)
        assert (moved.uuid, moved.name) == (defined.uuid, defined.name)
        assert moved.connection is peer
        assert moved.state().state is DomainState.RUNNING
        assert defined.state().state is DomainState.SHUTOFF

    @needs(*_PHASES)
    @asks("peer")
    def test_a_guest_that_cannot_move_stays(self, defined: Domain, request: pytest.FixtureRequest) -> None:
        peer: Connection = request.getfixturevalue("peer")
        with pytest.raises(errors.OperationInvalid):
            defined.migrate(peer, flags=Flags.LIVE)
        defined.create()
        for parameters in ({"destination_xml": "<domain"}, {"migrate_uri": "nonsense:"}):
            with pytest.raises(errors.VirtError):
                defined.migrate(peer, parameters, Flags.LIVE)
            assert defined.state().state is DomainState.RUNNING
            with pytest.raises(errors.NoDomain):
                peer.lookup_domain(uuid=defined.uuid)

    @needs(*_PHASES, "domain_is_persistent")
    @asks("peer")
    def test_where_its_definition_is_afterwards(self, defined: Domain, request: pytest.FixtureRequest) -> None:
        peer: Connection = request.getfixturevalue("peer")
        defined.create()
        moved = defined.migrate(peer, flags=Flags.LIVE | Flags.PERSIST_DEST | Flags.UNDEFINE_SOURCE)
        assert moved.is_persistent()
        with pytest.raises(errors.NoDomain):
            defined.state()
