"""firewalld tells on the system's bus when it has made the firewall anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jeepney import DBusAddress, message_bus, new_signal
from jeepney.io.blocking import open_dbus_connection

from private_bus import private_bus
from support import comes
from virt_host.firewalld import FirewalldWatch

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
