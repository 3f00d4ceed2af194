"""Migration between two connections: the phases, and what becomes of a guest when one fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

import virtcore
from toydriver import ONLY, ToyDriver, World
from virtcore.driver import OpenRequest
from virtcore.driver.loader import registered
from virtcore.enums import DomainMigrateFlags, DomainState
from virtcore.errors import (
    ArgumentUnsupported,
    InternalError,
    InvalidArg,
    MigrateFinishOk,
    NoSupport,
    OperationDenied,
    OperationFailed,
    VirtError,
)
from virtcore.operations.features import DriverFeature
from virtcore.operations.values import MigrationBegun, MigrationFinished, MigrationPrepared, StateInfo
from virtcore.types import DomainRef, TypedParameters

PROTECTION = DomainMigrateFlags.CHANGE_PROTECTION
THERE = DomainRef("only", ONLY.uuid, 9)


class Hosts:
    """What the two hosts do, and what was asked of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, VirtError] = {}
        self.features = set(DriverFeature)
        self.state = DomainState.RUNNING
        self.uri: str | None = "tcp:there:49152"

    def note(self, phase: str, params: TypedParameters, *rest: object) -> None:
        self.calls.append((phase, dict(params.items()), *rest))
        if phase in self.fails:
            raise self.fails[phase]

    def phases(self) -> list[str]:
        return [call[0] for call in self.calls]


hosts = Hosts()


class MigratingDriver(ToyDriver):
    """Serves ``here:///`` and ``there:///``."""

    @classmethod
    async def open(cls, request: OpenRequest) -> MigratingDriver:
        return cls()

    async def connection_supports_feature(self, feature: int) -> bool:
        return feature in hosts.features

    async def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        return StateInfo(hosts.state, 0)

    async def domain_migrate_begin(self, domain: DomainRef, params: TypedParameters, flags: int = 0) -> MigrationBegun:
        hosts.note("begin", params, flags)
        return MigrationBegun(b"begun", "<domain/>")

    async def connection_migrate_prepare(
        self, params: TypedParameters, cookie: bytes = b"", flags: int = 0
    ) -> MigrationPrepared:
        hosts.note("prepare", params, cookie, flags)
        return MigrationPrepared(b"prepared", hosts.uri)

    async def domain_migrate_perform(
        self, domain: DomainRef, dconnuri: str | None, params: TypedParameters, cookie: bytes = b"", flags: int = 0
    ) -> bytes:
        hosts.note("perform", params, dconnuri, cookie, flags)
        return b"performed"

    async def connection_migrate_finish(
        self, params: TypedParameters, cookie: bytes = b"", flags: int = 0, cancelled: bool = False
    ) -> MigrationFinished:
        hosts.note("finish", params, cookie, flags, cancelled)
        return MigrationFinished(None if cancelled else THERE, b"finished")

    async def domain_migrate_confirm(
        self, domain: DomainRef, params: TypedParameters, cookie: bytes = b"", flags: int = 0, cancelled: bool = False
    ) -> None:
        hosts.note("confirm", params, cookie, flags, cancelled)


@pytest.fixture
def pair(world: World) -> Iterator[tuple[virtcore.Domain, virtcore.Connection]]:
    hosts.__init__()  # type: ignore[misc]
    with (
        registered("here", MigratingDriver),
        virtcore.connect("here:///") as source,
        virtcore.connect("here:///") as destination,
    ):
        yield source.domain(ONLY), destination


Pair = tuple[virtcore.Domain, virtcore.Connection]


def test_five_phases(pair: Pair) -> None:
    domain, destination = pair
    flags = DomainMigrateFlags.LIVE | DomainMigrateFlags.AUTO_CONVERGE
    moved = domain.migrate(destination, {"bandwidth": 5}, flags)
    assert moved.ref == THERE
    assert moved.connection is destination
    prepared = {"bandwidth": 5, "destination_xml": "<domain/>"}
    performed = {**prepared, "migrate_uri": "tcp:there:49152"}
    finished = {**performed, "destination_name": "only"}
    live = DomainMigrateFlags.LIVE
    assert hosts.calls == [
        ("begin", {"bandwidth": 5}, flags | PROTECTION),
        ("prepare", prepared, b"begun", live),
        ("perform", performed, None, b"prepared", flags | PROTECTION),
        ("finish", finished, b"performed", live, False),
        ("confirm", finished, b"finished", flags | PROTECTION, False),
    ]


def test_a_paused_guest_stays_paused_and_offline_ones_are_not_performed(pair: Pair) -> None:
    domain, destination = pair
    hosts.state = DomainState.PAUSED
    hosts.features.discard(DriverFeature.MIGRATE_CHANGE_PROTECTION)
    domain.migrate(destination, flags=DomainMigrateFlags.OFFLINE)
    assert hosts.phases() == ["begin", "prepare", "finish", "confirm"]
    assert hosts.calls[1][-1] == DomainMigrateFlags.OFFLINE | DomainMigrateFlags.PAUSED
    assert hosts.calls[2][2:] == (b"", DomainMigrateFlags.OFFLINE | DomainMigrateFlags.PAUSED, False)


@pytest.mark.parametrize(
    ("phase", "phases", "cancelled"),
    [
        ("begin", ["begin"], []),
        ("prepare", ["begin", "prepare", "confirm"], [True]),
        ("perform", ["begin", "prepare", "perform", "finish"], [True]),
        ("finish", ["begin", "prepare", "perform", "finish", "confirm"], [False, True]),
    ],
)
def test_a_phase_that_fails(pair: Pair, phase: str, phases: list[str], cancelled: list[bool]) -> None:
    domain, destination = pair
    hosts.fails[phase] = OperationFailed("no luck")
    with pytest.raises(OperationFailed, match="no luck"):
        domain.migrate(destination)
    assert hosts.phases() == phases
    assert [call[-1] for call in hosts.calls if call[0] in ("finish", "confirm")] == cancelled


def test_without_protection_a_prepare_that_fails_ends_it(pair: Pair) -> None:
    domain, destination = pair
    hosts.features.discard(DriverFeature.MIGRATE_CHANGE_PROTECTION)
    hosts.fails["prepare"] = OperationFailed("no luck")
    with pytest.raises(OperationFailed):
        domain.migrate(destination)
    assert hosts.phases() == ["begin", "prepare"]


def test_the_destination_knows_better_why_it_broke_off(pair: Pair) -> None:
    domain, destination = pair
    qemu = virtcore.ErrorDomain.QEMU
    hosts.fails["perform"] = OperationFailed("migration out job: unexpectedly failed", domain=qemu)
    hosts.fails["finish"] = InternalError("the guest died", domain=qemu)
    with pytest.raises(InternalError, match="the guest died"):
        domain.migrate(destination)
    hosts.fails["finish"] = MigrateFinishOk("only", domain=qemu)
    with pytest.raises(OperationFailed, match="unexpectedly failed"):
        domain.migrate(destination)


def test_a_confirmation_that_fails_is_told_and_changes_nothing(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    domain, destination = pair
    hosts.fails["confirm"] = OperationFailed("no luck")
    with caplog.at_level(logging.WARNING, "virtcore"):
        assert domain.migrate(destination).id == 9
    assert "Guest only probably left in 'paused' state on source" in caplog.text


def test_a_destination_that_says_no_uri(pair: Pair) -> None:
    domain, destination = pair
    hosts.uri = None
    with pytest.raises(InternalError, match="domainMigratePrepare3 did not set uri"):
        domain.migrate(destination)
    assert hosts.phases() == ["begin", "prepare", "finish", "confirm"]
    hosts.calls.clear()
    assert domain.migrate(destination, {"migrate_uri": "tcp:x"}).id == 9


@pytest.mark.parametrize(
    ("flags", "missing", "error", "message"),
    [
        (DomainMigrateFlags.PEER2PEER, None, InvalidArg, "use virDomainMigrateToURI3 for peer-to-peer migration"),
        (DomainMigrateFlags.TUNNELLED, None, InvalidArg, "without using peer2peer flag"),
        (
            DomainMigrateFlags.NON_SHARED_DISK | DomainMigrateFlags.NON_SHARED_INC,
            None,
            InvalidArg,
            "'VIR_MIGRATE_NON_SHARED_DISK' and 'VIR_MIGRATE_NON_SHARED_INC' are mutually exclusive",
        ),
        (
            DomainMigrateFlags.OFFLINE,
            DriverFeature.MIGRATION_OFFLINE,
            ArgumentUnsupported,
            "offline migration is not supported by the source host",
        ),
        (
            PROTECTION,
            DriverFeature.MIGRATE_CHANGE_PROTECTION,
            ArgumentUnsupported,
            "cannot enforce change protection",
        ),
    ],
)
def test_what_is_refused_before_it_begins(
    pair: Pair, flags: int, missing: DriverFeature | None, error: type[VirtError], message: str
) -> None:
    domain, destination = pair
    if missing is not None:
        hosts.features.discard(missing)
    with pytest.raises(error, match=message):
        domain.migrate(destination, flags=flags)
    assert hosts.calls == []


def test_who_may_and_who_can(pair: Pair) -> None:
    domain, destination = pair
    with virtcore.connect("toy:///") as elsewhere, pytest.raises(NoSupport, match="virDomainMigrate3"):
        domain.migrate(elsewhere)
    with virtcore.connect("here:///", readonly=True) as reader:
        with pytest.raises(OperationDenied, match="read only access prevents virDomainMigrate3"):
            domain.migrate(reader)
        with pytest.raises(OperationDenied, match="read only access prevents virDomainMigrateToURI3"):
            reader.domain(ONLY).migrate_to_uri("qemu+ssh://there/system", flags=DomainMigrateFlags.PEER2PEER)
    with pytest.raises(ArgumentUnsupported):
        domain.migrate(destination, {"nonsense": 1})
    assert hosts.calls == []


def test_by_itself(pair: Pair) -> None:
    domain, _ = pair
    peers = DomainMigrateFlags.PEER2PEER
    domain.migrate_to_uri("qemu+ssh://there/system", {"destination_name": "x"}, peers)
    domain.migrate_to_uri(parameters={"migrate_uri": "tcp:there"})
    assert hosts.calls == [
        ("perform", {"destination_name": "x"}, "qemu+ssh://there/system", b"", peers),
        ("perform", {"migrate_uri": "tcp:there"}, None, b"", 0),
    ]
    for uri in ("qemu:///system", "qemu+ssh://localhost/system"):
        with pytest.raises(InvalidArg, match="Attempt to migrate guest to the same host"):
            domain.migrate_to_uri(uri, flags=peers)
    with pytest.raises(InvalidArg, match="dconnuri in virDomainMigrateToURI3 must not be NULL"):
        domain.migrate_to_uri(flags=peers)
    hosts.features.clear()
    with pytest.raises(ArgumentUnsupported, match="p2p migration is not supported by the source host"):
        domain.migrate_to_uri("qemu+ssh://there/system", flags=peers)
    with pytest.raises(ArgumentUnsupported, match="direct migration is not supported by the source host"):
        domain.migrate_to_uri()


def test_in_coroutines(world: World) -> None:
    hosts.__init__()  # type: ignore[misc]

    async def main() -> None:
        async with virtcore.connect_async("here:///") as source, virtcore.connect_async("here:///") as destination:
            moved = await source.domain(ONLY).migrate(destination)
            assert moved.ref == THERE
            await source.domain(ONLY).migrate_to_uri(parameters={"migrate_uri": "tcp:there"})

    with registered("here", MigratingDriver):
        asyncio.run(main())
    assert hosts.phases()[-1] == "perform"
