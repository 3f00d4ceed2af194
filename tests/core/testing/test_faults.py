from __future__ import annotations

import time

import pytest

import virtcore
from toyservice import toy_networks
from virtcore.errors import OperationFailed
from virtcore.runtime.jobs import DeadlineExpired
from virtcore.testing.faults import Fault, injected

pytest_plugins = ["virtcore.testing.fixtures"]


def test_an_error_so_many_times() -> None:
    with (
        injected("test", Fault("domain_suspend", error=OperationFailed("no luck"), times=2)) as hits,
        virtcore.connect("test:///default") as connection,
    ):
        domain = connection.lookup_domain(name="test")
        for _ in range(2):
            with pytest.raises(OperationFailed, match="no luck"):
                domain.suspend()
        domain.suspend()
        assert domain.state().state.name == "PAUSED"
        assert hits == {"domain_suspend": 2}
    with virtcore.connect("test:///default") as connection:
        connection.lookup_domain(name="test").suspend()


def test_a_delay() -> None:
    with (
        injected("test", Fault("domain_state", delay=0.2)),
        virtcore.connect("test:///default") as connection,
    ):
        domain = connection.lookup_domain(name="test")
        begun = time.monotonic()
        assert domain.state().state.name == "RUNNING"
        assert time.monotonic() - begun >= 0.2
        with pytest.raises(DeadlineExpired):
            domain.state(deadline=0.02)


def test_faults_of_a_service_beside_the_driver() -> None:
    with toy_networks(), injected("hosted", Fault("network_create", error=OperationFailed("no luck"))) as hits:
        with virtcore.connect("hosted:///") as connection:
            (network,) = connection.list_networks()
            with pytest.raises(OperationFailed, match="no luck"):
                network.create()
        assert hits == {"network_create": 1}


def test_mistakes_are_told() -> None:
    for faults in ([Fault("domain_fly")], [Fault("domain_state"), Fault("domain_state")]):
        with pytest.raises(ValueError, match="domain_"), injected("test", *faults):
            raise AssertionError


@pytest.mark.parametrize("round", [1, 2])
def test_the_fixture_is_fresh(virtcore_test_connection: virtcore.Connection, round: int) -> None:
    (domain,) = virtcore_test_connection.list_domains()
    domain.destroy()
    domain.undefine()
    assert virtcore_test_connection.list_domains() == []


def test_the_asynchronous_fixture(virtcore_async_test_connection: object) -> None:
    import asyncio

    async def main() -> None:
        async with virtcore_async_test_connection as connection:  # type: ignore[attr-defined]
            (domain,) = await connection.list_domains()
            assert domain.name == "test"

    asyncio.run(main())
