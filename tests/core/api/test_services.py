"""A connection is composed of its driver and the services of the place where that runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

import virtcore
from support import eventually
from toydriver import World
from toyservice import DEFAULT, HostedDriver, NetworkStarted, ToyNetworks, toy_networks
from virtcore.driver import loader
from virtcore.driver.service import DriverService
from virtcore.errors import InternalError, NoSupport, OpenFailed, OperationDenied
from virtcore.operations.events import NetworkLifecycleEvent


@pytest.fixture
def networks(world: World) -> Iterator[type[ToyNetworks]]:
    with toy_networks() as service:
        yield service


def test_a_service_is_opened_when_it_is_needed_and_closed_after_its_last_user(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///") as first, virtcore.connect("hosted:///") as second:
        assert first.hostname() == "toy"
        assert networks.instances == []
        (network,) = first.list_networks()
        assert network.ref == DEFAULT
        network.create()
        assert second.network(DEFAULT).bridge_name() == "virbr0"
        (instance,) = networks.instances
        assert instance.started == ["default"]
        assert first.list_networks() == second.list_networks()
        first.close()
        assert not instance.closed
    assert instance.closed
    with virtcore.connect("hosted:///") as third:
        assert third.network(DEFAULT).bridge_name() == "virbr0", "a plain method opens it, too"
    assert len(networks.instances) == 2


def test_places_have_their_own(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///?root=/a") as first, virtcore.connect("hosted:///?root=/b") as second:
        first.list_networks()
        second.list_networks()
        assert [instance.place.root for instance in networks.instances] == ["/a", "/b"]


def test_what_is_supported_follows(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///") as connection:
        assert connection.supports("connection_list_networks")
        assert not connection.supports("network_undefine")
        assert connection.supports("domain_create")
        assert not connection.supports("connection_list_secrets"), "a service that nobody has"
        with pytest.raises(NoSupport, match="virNetworkUndefine"):
            connection.network(DEFAULT).undefine()
        with pytest.raises(NoSupport, match="virConnectListAllSecrets"):
            connection.list_secrets()


def test_a_driver_that_brings_the_service_keeps_it(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("bringing:///") as connection:
        assert connection.list_networks() == []
        assert not connection.supports("network_create")
        with pytest.raises(NoSupport):
            connection.network(DEFAULT).create()
    assert networks.instances == []


def test_what_a_driver_brings_in_a_module_of_its_own_is_not_loaded_before_it_is_needed(
    networks: type[ToyNetworks],
) -> None:
    class Modular(HostedDriver):
        own_services: ClassVar[Mapping[str, str | type[DriverService]]] = {"network": "nowhere.at_all:Networks"}

    with loader.registered("modular", Modular), virtcore.connect("modular:///") as connection:
        assert connection.hostname() == "toy"
        with pytest.raises(ModuleNotFoundError, match="nowhere"):
            connection.list_networks()


def test_a_driver_elsewhere_has_no_services(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("toy:///") as connection, pytest.raises(NoSupport):
        connection.list_networks()


def test_a_read_only_connection_is_refused_before_anything_is_opened(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///", readonly=True) as connection:
        with pytest.raises(OperationDenied, match="virNetworkCreate"):
            connection.network(DEFAULT).create()
        assert networks.instances == []


def test_a_service_that_does_not_open_is_tried_again(networks: type[ToyNetworks]) -> None:
    networks.fails = True
    with virtcore.connect("hosted:///") as connection:
        with pytest.raises(OpenFailed, match="no networks here"):
            connection.list_networks()
        networks.fails = False
        assert connection.list_networks()


def test_coroutines_share_one_opening(networks: type[ToyNetworks]) -> None:
    async def main() -> None:
        async with virtcore.connect_async("hosted:///") as connection:
            lists = await asyncio.gather(*(connection.list_networks() for _ in range(5)))
            assert all(len(found) == 1 for found in lists)
            with pytest.raises(virtcore.DeadlineExpired):
                await connection.sysinfo(deadline=0.01)

    asyncio.run(main())
    (instance,) = networks.instances
    assert instance.closed


def test_one_who_gives_up_does_not_take_it_from_others(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///") as connection:
        with pytest.raises(virtcore.DeadlineExpired):
            connection.list_networks(deadline=0)
        assert connection.list_networks()
        assert len(networks.instances) == 1


def test_events_of_services_reach_subscribers(networks: type[ToyNetworks]) -> None:
    with virtcore.connect("hosted:///") as first, virtcore.connect("hosted:///") as second:
        with first.events() as events:
            second.network(DEFAULT).create()
            assert events.get(60) == NetworkStarted(DEFAULT)
        (instance,) = networks.instances
        second.list_networks()  # after the core loop ended the subscription
        assert instance.subscribers == []


def test_a_kind_of_event_opens_only_its_service(networks: type[ToyNetworks]) -> None:
    async def main() -> None:
        from virtcore.driver.opening import open_session

        session = await open_session("hosted:///")
        session.subscribe(print, (virtcore.DomainLifecycleEvent,))
        await asyncio.sleep(0.1)
        assert networks.instances == []
        got: list[object] = []
        subscriber = session.subscribe(got.append, (NetworkStarted,))  # type: ignore[arg-type]
        await session.call("network_create", DEFAULT)
        assert got == [NetworkStarted(DEFAULT)]
        subscriber.cancel()
        await session.close()
        assert networks.instances[0].closed

    run_on_the_core_loop(main)


def test_a_listener_that_waits_for_nothing_opens_nothing(networks: type[ToyNetworks]) -> None:
    async def main() -> None:
        from virtcore.driver.opening import open_session

        session = await open_session("hosted:///")
        got: list[object] = []
        session.subscribe(got.append, awaken=False)
        await asyncio.sleep(0.05)
        assert networks.instances == []
        await session.call("network_create", DEFAULT)
        assert got == [NetworkStarted(DEFAULT)]
        await session.close()

    run_on_the_core_loop(main)


def test_a_service_that_fails_to_open_is_told(networks: type[ToyNetworks], caplog: pytest.LogCaptureFixture) -> None:
    networks.fails = True
    with (
        virtcore.connect("hosted:///") as connection,
        caplog.at_level(logging.WARNING, "virtcore"),
        connection.events(),
    ):
        with pytest.raises(OpenFailed):
            connection.list_networks()
        eventually(lambda: "there will be no events of service network: " in caplog.text)


def test_who_asks_for_events_of_a_service_that_fails_to_open_gets_the_error(networks: type[ToyNetworks]) -> None:
    networks.fails = True
    with virtcore.connect("hosted:///") as connection:
        with pytest.raises(OpenFailed):
            connection.on_event(print, NetworkLifecycleEvent)
        networks.fails = False
        connection.on_event(print, NetworkLifecycleEvent).cancel()


def run_on_the_core_loop(main: object) -> None:
    from virtcore.runtime.loop import core_loop

    asyncio.run_coroutine_threadsafe(main(), core_loop().loop).result(60)  # type: ignore[operator]


def test_a_service_that_cannot_be_loaded(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "virt_broken-1.0.dist-info"
    info.mkdir()
    rows = "secret = nowhere.at_all:Secrets\nnwfilter = toyservice:ToyNetworks\n"
    (info / "entry_points.txt").write_text(f"[virtcore.services]\n{rows}")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: virt-broken\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(HostedDriver, "wanted_services", None)
    loader.rescan()
    try:
        with toy_networks(), virtcore.connect("hosted:///") as connection:
            for ask in (connection.list_secrets, lambda: connection.supports("secret_xml")):
                with pytest.raises(InternalError, match="'secret' of distribution virt-broken cannot be loaded"):
                    ask()
            with pytest.raises(InternalError, match="'nwfilter' of distribution virt-broken is not that service"):
                connection.list_nwfilters()
    finally:
        loader.rescan()
