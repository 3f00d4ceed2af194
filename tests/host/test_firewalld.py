"""firewalld tells on the system's bus when it has made the firewall anew."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, MessageType, message_bus, new_error, new_method_return, new_signal  # type: ignore[import-untyped]
from jeepney.io.blocking import open_dbus_connection  # type: ignore[import-untyped]

from private_bus import private_bus
from support import comes
from virt_host import firewalld as zones, system_bus
from virt_host.firewalld import FirewalldWatch, leave_zone, put_into_zone
from virtcore.errors import DBusService, InternalError

_NAME = "org.fedoraproject.FirewallD1"


def _starts(firewalld: Any) -> None:
    firewalld.send_and_get_reply(message_bus.RequestName(_NAME))
    firewalld.send_and_get_reply(message_bus.ReleaseName(_NAME))


def _reloads(firewalld: Any) -> None:
    firewalld.send(new_signal(DBusAddress("/org/fedoraproject/FirewallD1", interface=_NAME), "Reloaded"))


@pytest.mark.parametrize("happens", [_starts, _reloads])
def test_it_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Any], None]) -> None:
    with private_bus(tmp_path) as (address, _):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        told: list[str] = []

        async def work() -> None:
            watch = FirewalldWatch(lambda: told.append("told"))
            with contextlib.closing(open_dbus_connection(address)) as firewalld:

                def come() -> bool:  # again until it is heard: the first time nobody may listen yet
                    happens(firewalld)
                    return bool(told)

                await comes(come)
            watch.close()
            watch.close()

        asyncio.run(work())


def test_there_is_no_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")

    async def work() -> None:
        FirewalldWatch(lambda: None).close()

    asyncio.run(work())


class Firewalld:
    """Has zones and policies, and knows which interface is in which."""

    def __init__(self, address: str) -> None:
        self.zones = ["public", "libvirt"]
        self.policies: list[str] | None = None
        self.inside: dict[str, str] = {}
        self._connection = open_dbus_connection(address)
        self._connection.send_and_get_reply(message_bus.RequestName(_NAME))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            message = self._connection.receive()
            if message.header.message_type is not MessageType.method_call:
                continue
            reply = self._answer(message)
            self._connection.send(reply)
            if message.body == ("end",):
                return

    def _answer(self, message: Any) -> Any:
        method = message.header.fields[3]
        if method == "getZones":
            return new_method_return(message, "as", (self.zones,))
        if method == "getPolicies" and self.policies is not None:
            return new_method_return(message, "as", (self.policies,))
        if method == "changeZoneOfInterface" and message.body[0] in self.zones:
            self.inside[message.body[1]] = message.body[0]
            return new_method_return(message, "s", (message.body[0],))
        if method == "removeInterface" and self.inside.pop(message.body[1], None):
            return new_method_return(message, "s", ("",))
        return new_error(message, f"{_NAME}.Exception", "s", (f"{method}: no",))


@pytest.fixture
def firewalld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Firewalld]:
    with private_bus(tmp_path) as (address, _):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        served = Firewalld(address)
        yield served
        with contextlib.closing(open_dbus_connection(address)) as connection:
            from jeepney import new_method_call

            where = DBusAddress("/", bus_name=_NAME, interface=_NAME)
            connection.send_and_get_reply(new_method_call(where, "end", "s", ("end",)))
        served._thread.join()
        served._connection.close()


def test_bridges_of_networks_are_in_zones(firewalld: Firewalld) -> None:
    put_into_zone("n", "b0", None, routed=False, by_default=True)
    put_into_zone("n", "b1", "public", routed=False, by_default=True)
    put_into_zone("n", "b2", None, routed=False, by_default=False)
    put_into_zone("n", "b3", None, routed=True, by_default=True)
    assert firewalld.inside == {"b0": "libvirt", "b1": "public", "b3": "libvirt"}
    firewalld.zones.append("libvirt-routed")
    firewalld.policies = ["libvirt-routed-out"]
    put_into_zone("n", "b3", None, routed=True, by_default=True)
    assert firewalld.inside["b3"] == "libvirt-routed"
    leave_zone("b3")
    leave_zone("b3")
    assert "b3" not in firewalld.inside
    with pytest.raises(DBusService, match="error from service: changeZoneOfInterface: no"):
        put_into_zone("n", "b0", "none", routed=False, by_default=True)
    firewalld.zones.remove("libvirt")
    with pytest.raises(InternalError, match="firewalld can't find the 'libvirt' zone"):
        put_into_zone("n", "b0", None, routed=False, by_default=True)


def test_a_zone_needs_firewalld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    put_into_zone("n", "b0", None, routed=False, by_default=True)
    leave_zone("b0")
    with pytest.raises(InternalError, match="zone z requested for network n but firewalld is not active"):
        put_into_zone("n", "b0", "z", routed=False, by_default=True)


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_a_bus_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(system_bus, "_LIMIT", 0.1)
    with private_bus(tmp_path) as (address, daemon), contextlib.closing(open_dbus_connection(address)) as connection:
        monkeypatch.setattr(zones, "system_bus", lambda: contextlib.nullcontext(connection))
        daemon.send_signal(number)
        if number is signal.SIGKILL:
            daemon.wait()
        with pytest.raises(DBusService):
            put_into_zone("n", "b0", None, routed=False, by_default=True)
        with caplog.at_level("INFO"):
            leave_zone("b0")
        assert "b0 was in no zone: error from service: " in caplog.text


def test_a_bus_that_lets_nobody_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'bus'}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "bus"))
        listening.listen()

        def refuse() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(4096)
                client.sendall(b"REJECTED EXTERNAL\r\n")

        refusing = threading.Thread(target=refuse)
        refusing.start()
        leave_zone("b0")
        refusing.join()
