"""Displays on D-Bus, on real guests: peer to peer, on a bus of the guest's own, and by RDP through a program that says
what qemu-rdp does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guest_image import idle_xml

import virtcore
from private_bus import private_bus
from virtcore.enums import DomainCreateFlags, DomainDeviceModifyFlags, DomainXMLFlags
from virtcore.errors import ConfigUnsupported, InternalError, OperationFailed, OperationUnsupported, SystemError

PAUSED = DomainCreateFlags.START_PAUSED
BUS, PEER = "<graphics type='dbus'/>", "<graphics type='dbus' p2p='yes'/>"
RDP = "<graphics type='rdp' autoport='yes'/>"

_QEMU_RDP = f"""#!{sys.executable}
import sys
from jeepney import HeaderFields, MessageType, message_bus, new_error, new_method_return
from jeepney.io.blocking import open_dbus_connection
if sys.argv[1:] == ["--print-capabilities"]:
    print('{{"type": "rdp", "features": ["dbus-address", "remotefx"]}}')
    raise SystemExit
print(*sys.argv[1:], flush=True)
connection = open_dbus_connection(sys.argv[1].partition("=")[2])
connection.send_and_get_reply(message_bus.RequestName("org.QemuDisplay.RDP"))
while True:
    message = connection.receive()
    if message.header.message_type is MessageType.method_call:
        fields = (HeaderFields.path, HeaderFields.interface, HeaderFields.member)
        print(*(message.header.fields[field] for field in fields), *map(repr, message.body), flush=True)
        if message.body[0] == "nobody":
            connection.send(new_error(message, "org.QemuDisplay.RDP.Failed", "s", (repr(message.body),)))
        else:
            connection.send(new_method_return(message))
"""

pytestmark = pytest.mark.skipif(shutil.which("dbus-daemon") is None, reason="dbus-daemon is not installed")


@pytest.fixture(scope="module", autouse=True)
def with_display(image_tools: None) -> None:
    told = subprocess.run(
        ["qemu-system-x86_64", "-display", "help"], check=False, capture_output=True, text=True
    ).stdout
    if "dbus" not in told.split():
        pytest.skip("this QEMU has no display on D-Bus")


Opened = Callable[[str], virtcore.Connection]


@pytest.fixture
def opened(root: Path) -> Iterator[Opened]:
    """Open a connection with settings."""
    connections = []

    def open_(settings: str = "") -> virtcore.Connection:
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc" / "qemu.conf").write_text(settings)
        connections.append(virtcore.connect(f"qemu:///embed?root={root}"))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


def address_of(domain: virtcore.Domain, flags: int = 0) -> str | None:
    element = domain.xml(flags).partition("<graphics type='dbus'")[2].partition(">")[0]
    return element.partition("address='")[2].partition("'")[0] or None


async def names_on(address: str) -> list[str]:
    """What programs on a bus are called."""
    from jeepney import message_bus  # type: ignore[import-untyped]
    from jeepney.io.asyncio import DBusRouter, open_dbus_connection  # type: ignore[import-untyped]

    connection = await open_dbus_connection(address)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        router = await stack.enter_async_context(DBusRouter(connection))
        return list((await router.send_and_get_reply(message_bus.ListNames())).body[0])


def test_a_guest_has_a_bus_of_its_own_while_it_runs(opened, root):
    connection = opened()
    domain = connection.define_domain(idle_xml("bus", BUS))
    domain.create(PAUSED)
    address = address_of(domain)
    assert address == f"unix:path={root}/run/qemu/dbus/{domain.id}-bus/bus"
    assert "org.qemu" in asyncio.run(names_on(address))
    assert address_of(domain, DomainXMLFlags.INACTIVE) is None
    assert address_of(domain, DomainXMLFlags.MIGRATABLE) is None
    [status] = (root / "run" / "qemu" / "status").glob("*.xml")
    assert "<dbusDaemon/>" in status.read_text()
    folder = Path(address.removeprefix("unix:path=")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    connection.close()
    domain = opened().lookup_domain("bus")  # it outlives us, and is still known
    assert address_of(domain) == address
    assert "org.qemu" in asyncio.run(names_on(address))
    domain.destroy()
    assert not folder.exists()


def test_a_bus_that_somebody_else_keeps(opened, root, tmp_path):
    with private_bus(tmp_path) as (address, bus):
        graphics = f"<graphics type='dbus' address='{address}'/>"
        domain = opened().create_domain(idle_xml("other", graphics), PAUSED)
        assert address_of(domain, DomainXMLFlags.MIGRATABLE) == address
        assert "org.qemu" in asyncio.run(names_on(address))
        assert not (root / "run" / "qemu" / "dbus").exists()
        domain.destroy()
        assert bus.poll() is None


def test_peer_to_peer(opened, root):
    domain = opened().create_domain(idle_xml("peer", PEER, BUS.replace("dbus", "vnc")), PAUSED)
    assert not (root / "run" / "qemu" / "dbus").exists()
    descriptor = domain.open_graphics_fd(0)
    with socket.socket(fileno=descriptor) as peer:
        peer.settimeout(150)
        peer.sendall(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        assert peer.recv(100).startswith(b"OK ")
    domain.destroy()


def test_only_displays_that_can_be_opened_are(opened):
    domain = opened().create_domain(idle_xml("shut", BUS), PAUSED)
    with pytest.raises(InternalError, match="Can only open VNC, SPICE or D-Bus p2p graphics backends, not dbus"):
        domain.open_graphics_fd(0)
    domain.destroy()


def test_a_bus_that_does_not_run(opened, root, tmp_path):
    connection = opened('dbus_daemon = "/nowhere/dbus-daemon"\n')
    with pytest.raises(SystemError, match="'/nowhere/dbus-daemon' is not a suitable dbus-daemon: No such file"):
        connection.create_domain(idle_xml("none", BUS), PAUSED)
    connection.close()
    program = tmp_path / "dbus"
    program.write_text("#!/bin/sh\necho 'no bus today' >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(OperationFailed, match="dbus-daemon died and reported:\nno bus today"):
        opened(f'dbus_daemon = "{program}"\n').create_domain(idle_xml("none", BUS), PAUSED)
    assert list((root / "run" / "qemu" / "dbus").iterdir()) == []


# -- RDP


@pytest.fixture
def rdp(tmp_path: Path) -> str:
    """Settings with a program that speaks as qemu-rdp does, and certificates."""
    program = tmp_path / "qemu-rdp"
    program.write_text(_QEMU_RDP)
    program.chmod(0o755)
    for name in ("server-cert.pem", "server-key.pem"):
        (tmp_path / name).touch()
    return f'qemu_rdp = "{program}"\nrdp_tls_x509_cert_dir = "{tmp_path}"\n'


def test_a_display_by_rdp(opened, root, rdp, tmp_path):
    connection = opened(f'{rdp}rdp_username = "somebody"\nrdp_password = "hunter2"\n')
    domain = connection.define_domain(idle_xml("seen", RDP, BUS))
    domain.create(PAUSED)
    bus = address_of(domain)
    port = int(domain.xml().partition("<graphics type='rdp' port='")[2].partition("'")[0])
    assert port >= 3389
    assert "listen='127.0.0.1'" in domain.xml()
    [log] = (root / "log" / "qemu").glob("seen-qemu-rdp.log")
    place = f"--bind-address 127.0.0.1:{port}"
    files = f"--cert={tmp_path}/server-cert.pem --key={tmp_path}/server-key.pem"
    called, told = log.read_text().splitlines()
    assert called == f"--dbus-address={bus} serve {place} {files}"
    assert told == "/org/qemu_display/rdp org.QemuDisplay.RDP SetCredentials 'somebody' 'hunter2' ''"
    assert "hunter2" not in (root / "log" / "qemu" / "seen.log").read_text()
    changed = (
        f"<graphics type='rdp' port='{port}' autoport='yes' username='me' passwd='again'>"
        "<listen type='address' address='127.0.0.1'/></graphics>"
    )
    domain.update_device(changed, DomainDeviceModifyFlags.LIVE)
    assert log.read_text().endswith("SetCredentials 'me' 'again' ''\n")
    moved = changed.replace(f"port='{port}' autoport='yes'", f"port='{port + 1}'")
    with pytest.raises(OperationUnsupported, match="cannot change port settings on rdp graphics"):
        domain.update_device(moved, DomainDeviceModifyFlags.LIVE)
    domain.destroy()
    assert f"port='{port}'" not in domain.xml()
    own = RDP.replace("autoport='yes'", "port='3390' username='me' passwd='secret'")
    connection.create_domain(idle_xml("mine", own, BUS), PAUSED).destroy()
    assert (root / "log" / "qemu" / "mine-qemu-rdp.log").read_text().endswith(
        "SetCredentials 'me' 'secret' ''\n"
    )  # fmt: skip


def test_rdp_that_cannot_be_had(opened, root, rdp, tmp_path):
    connection = opened('qemu_rdp = "/nowhere/qemu-rdp"\n')
    with pytest.raises(ConfigUnsupported, match="rdp graphics are not supported with this QEMU"):
        connection.define_domain(idle_xml("none", RDP, BUS))
    connection.close()
    connection = opened(f'{rdp}rdp_username = "nobody"\n')
    for displays in ([RDP], [RDP, PEER]):
        with pytest.raises(ConfigUnsupported, match=r"qemu-rdp support requires a D-Bus bus graphics device\."):
            connection.create_domain(idle_xml("none", *displays), PAUSED)
    listens = "<graphics type='rdp'><listen type='address'/><listen type='address' address='::1'/></graphics>"
    with pytest.raises(ConfigUnsupported, match="qemu-rdp does not support multiple listens for one graphics device"):
        connection.create_domain(idle_xml("none", listens, BUS), PAUSED)
    with pytest.raises(InternalError, match="refuses the credentials") as caught:
        connection.create_domain(idle_xml("none", RDP, BUS), PAUSED)
    assert "nobody" not in str(caught.value)
    (tmp_path / "server-key.pem").unlink()
    with pytest.raises(OperationFailed, match=f"Missing key file '{tmp_path}/server-key.pem'"):
        connection.create_domain(idle_xml("none", RDP, BUS), PAUSED)
    assert connection.list_domains() == []
    assert list((root / "run" / "qemu" / "dbus").iterdir()) == []


def test_what_the_host_can_show(opened, rdp):
    with opened(rdp) as connection:
        assert "<value>rdp</value>" in connection.domain_capabilities()
    assert "<value>rdp</value>" not in opened('qemu_rdp = "/nowhere/qemu-rdp"\n').domain_capabilities()
