"""What becomes of guests when the host goes down: through the daemon, told by a logind that is not one, and by the
driver alone."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from guest_image import MARKER, guest_xml, idle_xml

import virtcore
from private_bus import private_bus
from support import eventually, listens
from virt_qemu.host import QemuState
from virtcore.enums import DomainCreateFlags, DomainPausedReason, DomainShutoffReason, DomainState
from virtcore.errors import OperationFailed
from virtcore.runtime.loop import core_loop
from virtcore.runtime.session import Session

PAUSED = DomainCreateFlags.START_PAUSED
EVERYTHING = (
    'auto_shutdown_try_save = "persistent"\nauto_shutdown_try_shutdown = "all"\nauto_shutdown_poweroff = "all"\n'
    "auto_shutdown_wait = {wait}\n"
)

_LOGIND = """
import os, sys
from jeepney import DBusAddress, MessageType, message_bus, new_method_return, new_signal
from jeepney.io.blocking import open_dbus_connection
connection = open_dbus_connection("SYSTEM", enable_fds=True)
connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.login1"))
print("ready", flush=True)
message = connection.receive()
while message.header.message_type is not MessageType.method_call:
    message = connection.receive()
print(*message.body, flush=True)
ours, theirs = os.pipe()
connection.send(new_method_return(message, "h", (theirs,)))
os.close(theirs)
sys.stdin.readline()
manager = DBusAddress("/org/freedesktop/login1", interface="org.freedesktop.login1.Manager")
connection.send(new_signal(manager, "PrepareForShutdown", "b", (True,)))
print(len(os.read(ours, 1)), flush=True)  # until the daemon lets go
"""


#: Whose guests the daemon keeps.
OWN = "system" if os.geteuid() == 0 else "session"


def configure(root: Path, text: str) -> None:
    (root / "etc").mkdir(parents=True)
    (root / "etc" / "qemu.conf").write_text(text)


@pytest.fixture
def daemons_root(root: Path) -> Path:
    """A root for a daemon, whose driver has another one in it."""
    (root / OWN).mkdir()
    (root / "cache").rename(root / OWN / "cache")
    return root


@contextmanager
def running_daemon(root: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "virt_remote", "--root", str(root)], env={**os.environ, **environment}
    )
    try:
        eventually(lambda: listens(root / "run" / "libvirt-admin-sock"))  # the last one to listen
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def system_bus(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A bus, and who answers for logind on it."""
    with private_bus(folder) as (address, _):
        logind = subprocess.Popen(
            [sys.executable, "-c", _LOGIND],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert logind.stdout is not None
            assert logind.stdout.readline() == "ready\n"
            yield address, logind
        finally:
            logind.kill()
            logind.communicate()


def connect(root: Path) -> virtcore.Connection:
    return virtcore.connect(f"qemu+unix:///{OWN}?socket={root / 'run' / 'libvirt-sock'}")


def test_the_host_goes_down_and_comes_back(daemons_root, boot, tmp_path):
    root, own = daemons_root, daemons_root / OWN
    configure(own, EVERYTHING.format(wait=60))
    with system_bus(tmp_path) as (bus, logind), running_daemon(root, DBUS_SYSTEM_BUS_ADDRESS=bus) as daemon:
        assert logind.stdout is not None
        assert logind.stdin is not None
        assert logind.stdout.readline() == "shutdown virtcore Virtual machines need to be saved delay\n"
        with connect(root) as connection:
            connection.define_domain(idle_xml("kept")).create()
            connection.define_domain(idle_xml("still")).create(PAUSED)
            connection.define_domain(idle_xml("off"))
            serial = f"<serial type='file'><source path='{tmp_path}/serial'/></serial>"
            connection.create_domain(guest_xml("passing", *boot, devices=serial))
            eventually(lambda: MARKER in (tmp_path / "serial").read_text())
        print("now", file=logind.stdin, flush=True)
        assert daemon.wait(200) == 0
        assert logind.stdout.readline() == "0\n"
    assert "power button pressed" in (tmp_path / "serial").read_text()
    logs = own / "log" / "qemu"
    reasons = {path.stem: path.read_text().rpartition("reason=")[2].strip() for path in logs.glob("*.log")}
    assert reasons == {"kept": "saved", "still": "saved", "passing": "shutdown"}
    (own / "run" / "qemu" / "autostarted").unlink()  # as a boot of the host would
    with running_daemon(root), connect(root) as connection:
        eventually(lambda: len(connection.list_domains(1)) == 2)
        found = {domain.name: domain.state().state for domain in connection.list_domains(1)}
        assert found == {"kept": DomainState.RUNNING, "still": DomainState.PAUSED}
        for name in found:
            domain = connection.lookup_domain(name)
            eventually(lambda: not domain.autostart_once())  # noqa: B023  # called before the next turn
            domain.destroy()


def test_guests_of_the_host_stay_unless_somebody_wants_otherwise(daemons_root, tmp_path, image_tools):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with system_bus(tmp_path) as (bus, logind), running_daemon(daemons_root, DBUS_SYSTEM_BUS_ADDRESS=bus) as daemon:
        assert logind.stdin is not None
        with connect(daemons_root) as connection:
            connection.create_domain(idle_xml("stays"), PAUSED)
        print("now", file=logind.stdin, flush=True)
        assert daemon.wait(150) == 0
    with virtcore.connect(f"qemu:///embed?root={daemons_root / OWN}") as connection:
        [domain] = connection.list_domains(1)
        assert domain.state().state == DomainState.PAUSED
        domain.destroy()


# -- by the driver alone


@pytest.fixture
def opened(root: Path):
    connections = []

    def open_(settings: str) -> virtcore.Connection:
        configure(root, settings)
        connections.append(virtcore.connect(f"qemu:///embed?root={root}"))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


def preserve(connection: virtcore.Connection) -> None:
    driver = cast(Session, connection._session).driver
    asyncio.run_coroutine_threadsafe(driver.preserve(), core_loop().loop).result(150)


def test_what_cannot_be_saved_is_shut_down_or_powered_off(opened, image_tools, monkeypatch, caplog):
    connection = opened(EVERYTHING.format(wait=1))
    domain = connection.define_domain(idle_xml("sturdy"))
    domain.create()

    async def save_guest(*_arguments: object, **_options: object) -> None:
        assert domain_state() == (DomainState.PAUSED, DomainPausedReason.USER), "what is saved stands still"
        raise OperationFailed("the disk is full")

    driver = cast(Session, connection._session).driver

    def domain_state() -> object:
        return driver.domain_state(domain.ref)  # type: ignore[attr-defined]

    monkeypatch.setattr(QemuState, "save_guest", save_guest)
    with caplog.at_level(logging.WARNING):
        preserve(connection)
    assert [record.getMessage() for record in caplog.records] == [
        "auto-shutdown: unable to perform managed save of 'sturdy': operation failed: the disk is full"
    ]
    assert domain.state() == (DomainState.SHUTOFF, DomainShutoffReason.DESTROYED)
    assert domain.autostart_once()


def test_only_what_is_wanted_is_done(opened, image_tools, caplog):
    connection = opened(
        'auto_shutdown_poweroff = "transient"\nauto_shutdown_try_save = "none"\nauto_shutdown_restore = 0\n'
        'auto_shutdown_try_shutdown = "none"\n'
    )
    kept, gone = connection.define_domain(idle_xml("kept")), connection.create_domain(idle_xml("gone"))
    kept.create()
    with caplog.at_level(logging.WARNING):
        preserve(connection)
    assert [domain.name for domain in connection.list_domains()] == ["kept"]
    assert kept.state().state == DomainState.RUNNING
    assert not kept.autostart_once()
    assert "auto-shutdown: domain 'kept' not successfully shut off by any action" in caplog.text
    assert "'gone'" not in caplog.text
    kept.destroy()
    assert gone.name == "gone"


def test_saving_goes_beside_the_cache_where_that_is_wanted(opened, image_tools, monkeypatch):
    connection = opened('auto_shutdown_try_save = "persistent"\nauto_save_bypass_cache = 1\n')
    domain = connection.define_domain(idle_xml("direct"))
    domain.create()
    told: list[object] = []
    real = QemuState.save_guest

    async def save_guest(self: QemuState, *arguments: object, **options: object) -> None:
        told.append(options["direct"])
        await real(self, *arguments, **{**options, "direct": False})  # not every file system can

    monkeypatch.setattr(QemuState, "save_guest", save_guest)
    preserve(connection)
    assert told == [True]
    assert domain.has_managed_save()
    domain.managed_save_remove()
