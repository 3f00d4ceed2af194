"""Services that keep what they have: over restarts, once per uptime, and for as long as a daemon wants."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import ClassVar

import pytest

from virtcore.driver import loader
from virtcore.driver.base import Place
from virtcore.driver.composition import KeptServices, PlaceServices
from virtcore.driver.loader import registered_service
from virtcore.driver.toolkit.folders import StateFolders
from virtcore.driver.toolkit.hosted import HostedService
from virtcore.driver.toolkit.networks import NetworkObject, Networks, StatefulNetworks
from virtcore.errors import InvalidConn, NoConnect, ResourceBusy, SystemError

NETWORK = "<network><name>here</name><bridge name='virbr7'/></network>"


class RememberedNetworks(Networks):
    """What was started before works on."""

    async def recover(self, obj: NetworkObject) -> bool:
        return True


class RememberingService(HostedService, StatefulNetworks):
    name = "network"
    begun: ClassVar[list[str]] = []

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.networks = RememberedNetworks(self.folders.config, self.disk, self.folders.status)

    async def restore(self) -> None:
        await self.networks.open()

    async def start_marked(self) -> None:
        self.begun.append("now")
        await self.networks.start_marked()

    @property
    def in_use(self) -> bool:
        return any(network.active for network in self.networks.table)


@pytest.fixture(autouse=True)
def service():
    RememberingService.begun.clear()
    with registered_service("network", RememberingService):
        yield


async def settled(service: RememberingService) -> None:
    while service._tasks:
        await asyncio.gather(*service._tasks)


def test_what_was_defined_and_started_is_found_again(tmp_path):
    place = Place(False, str(tmp_path))

    async def run():
        first = PlaceServices(place)
        assert await first.begin() == {}
        assert not list(tmp_path.iterdir()), "there is nothing to do, and nothing was made"
        service = await first.open("network")
        await settled(service)
        obj = await service.networks.define(NETWORK)
        await service.networks.set_autostart(obj, True)
        await service.networks.create(obj)
        assert service.in_use
        await first.close()

        second = PlaceServices(place)
        assert await second.begin() == {}
        again = await second.open("network")
        assert again is not service
        (found,) = again.networks.table
        assert (found.name, found.active, found.autostart) == ("here", True, True)
        await settled(again)
        assert RememberingService.begun == ["now"], "once in an uptime of the host"
        await again.networks.destroy(found)
        await again.networks.undefine(found)
        await second.close()
        assert not StateFolders.of(place, "network").have_work()

    asyncio.run(run())


def test_what_starts_with_the_host_does(tmp_path):
    place = Place(False, str(tmp_path))

    async def run():
        first = PlaceServices(place)
        service = await first.open("network")
        await service.networks.set_autostart(await service.networks.define(NETWORK), True)
        await settled(service)
        await first.close()
        (StateFolders.of(place, "network").run / "autostarted").write_text("another uptime")
        second = PlaceServices(place)
        await second.begin()
        again = await second.open("network")
        await settled(again)
        assert again.networks.table.by_name("here").active
        await second.close()

    asyncio.run(run())


def test_who_needs_what_starts_with_the_host_waits_for_it(tmp_path, monkeypatch):
    place = Place(False, str(tmp_path))

    async def run():
        gate = asyncio.Event()

        async def slowly(service: RememberingService) -> None:
            await gate.wait()
            service.begun.append("at last")

        monkeypatch.setattr(RememberingService, "start_marked", slowly)
        (tmp_path / "etc" / "network" / "autostart").mkdir(parents=True)
        (tmp_path / "etc" / "network" / "autostart" / "x").touch()
        services = PlaceServices(place)
        waiting = asyncio.ensure_future(services.settle())
        await (await services.open("network")).restore()
        assert not waiting.done()
        gate.set()
        await waiting
        assert RememberingService.begun == ["at last"]
        await services.settle()
        await services.close()

    asyncio.run(run())


def test_another_process_has_it(tmp_path):
    place = Place(False, str(tmp_path))
    folder = StateFolders.of(place, "network").config
    program = (
        "import sys; from pathlib import Path; from virtcore.driver.toolkit.lock import StateLock\n"
        f"StateLock.acquire(Path({str(folder)!r})); print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"

        async def run():
            services = PlaceServices(place)
            StateFolders.of(place, "network").autostart.mkdir()
            (StateFolders.of(place, "network").autostart / "something").touch()
            failed = await services.begin()
            assert isinstance(failed["network"], ResourceBusy)
            await services.close()

        asyncio.run(run())
        other.communicate()


def test_a_folder_that_cannot_be_used_is_an_error_of_its_service_alone(tmp_path):
    folders = StateFolders.of(Place(False, str(tmp_path)), "network")
    folders.autostart.mkdir(parents=True)
    (folders.autostart / "something").touch()
    folders.run.mkdir(parents=True)
    folders.status.touch()

    async def run():
        services = PlaceServices(Place(False, str(tmp_path)))
        failed = await services.begin()
        assert isinstance(failed["network"], SystemError)
        assert f"cannot use state folder '{folders.status}': File exists" in str(failed["network"])
        folders.status.unlink()
        assert await services.begin() == {}, "it gave the folders back"
        await services.close()

    asyncio.run(run())


@pytest.mark.parametrize("cancelled", [False, True])
def test_what_could_not_be_opened_does_nothing_more(tmp_path, monkeypatch, cancelled):
    done = []

    async def beside() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            done.append("ended")

    async def restore(service: RememberingService) -> None:
        service.spawn(beside())
        await asyncio.sleep(0)
        await (asyncio.sleep(3600) if cancelled else service.networks.open())
        raise ValueError("broken")

    async def rest(service: RememberingService) -> None:
        done.append("at rest")

    monkeypatch.setattr(RememberingService, "restore", restore)
    monkeypatch.setattr(RememberingService, "rest", rest)

    async def run():
        opening = asyncio.ensure_future(RememberingService(Place(False, str(tmp_path))).open())
        if cancelled:
            await asyncio.sleep(0.05)
            opening.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else ValueError):
            await opening
        assert done == ["ended", "at rest"]

    asyncio.run(run())


def test_a_daemon_keeps_what_was_opened(tmp_path):
    async def run():
        kept = KeptServices()
        user, other = PlaceServices(Place(False, str(tmp_path))), PlaceServices(Place(False, str(tmp_path)))
        service = await user.open("network")
        await user.close()
        with pytest.raises(InvalidConn):
            await user.open("network")  # nobody would give it back
        assert list(kept) == [service]
        assert await other.open("network") is service
        await other.close()
        await kept.close()
        again = PlaceServices(Place(False, str(tmp_path)))
        assert await again.open("network") is not service
        await again.close()

    asyncio.run(run())


def test_there_may_be_none(tmp_path, monkeypatch):
    monkeypatch.setattr(loader, "service_names", frozenset)

    async def run():
        with pytest.raises(NoConnect, match="nodedev:///session"):
            await PlaceServices(Place(False, str(tmp_path))).open("nodedev")

    asyncio.run(run())
