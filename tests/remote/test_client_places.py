"""Which daemon a URI of this host goes to, and clients on systems that are not Linux."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import virtcore
from virt_remote.client import autostart
from virt_remote.client.address import libvirt_sockets
from virt_remote.protocol import CALL, KEEPALIVE_PROGRAM, OK, PONG, REPLY, Frames, pack, unpack
from virtcore.operations.procedures import procedure
from virtcore.operations.wire.codec import codec
from virtcore.uri import ConnectionURI

RESULTS = {"AUTH_LIST": ([0],), "CONNECT_OPEN": None, "CONNECT_CLOSE": None, "CONNECT_GET_TYPE": ("FAKE",)}
ROWS = {procedure(f"remote.{name}").number: name for name in RESULTS}


class Listener:
    """A daemon that only says its type; gives the URIs that it was asked to open."""

    def __init__(self, path: Path | None = None) -> None:
        if path is None:
            self.socket = socket.create_server(("127.0.0.1", 0))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
            self.socket.listen()
        self.opened: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.socket.accept()
            except OSError:
                return
            with sock:
                self._talk(sock)

    def _talk(self, sock: socket.socket) -> None:
        frames = Frames()
        while data := sock.recv(65536):
            for call in map(unpack, frames.feed(data)):
                if call.program == KEEPALIVE_PROGRAM:
                    sock.sendall(PONG)
                    continue
                assert call.type == CALL
                name = ROWS[call.procedure]
                row = procedure(f"remote.{name}")
                if name == "CONNECT_OPEN":
                    self.opened.append(codec("remote", row.args or "").decode(call.data, 28)[0][0])
                body = codec("remote", row.ret).encode(RESULTS[name]) if row.ret else b""
                sock.sendall(pack(call.program, call.version, call.procedure, REPLY, call.serial, OK, body))

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime folder of a user who is not root."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def where(uri: str) -> str:
    with virtcore.connect(uri, start_daemon=True) as connection:
        assert connection.type() == "FAKE"
        return connection.uri()


def test_a_running_daemon_serves_the_session(run: Path) -> None:
    libvirtd = Listener(run / "libvirt" / "libvirt-sock")
    assert where("qemu:///session") == "qemu:///session"
    assert libvirtd.opened == ["qemu:///session"]
    virtcored = Listener(run / "virtcore" / "libvirt-sock")
    assert where("qemu:///session") == "qemu:///session"
    assert where("qemu+unix:///session") == "qemu+unix:///session"
    assert (virtcored.opened, libvirtd.opened) == (["qemu:///session"] * 2, ["qemu:///session"])
    virtcored.close()  # its socket is left behind
    assert where("qemu:///session") == "qemu:///session"
    assert len(libvirtd.opened) == 2
    libvirtd.close()


def test_aliases_and_the_default_uri_lead_there_too(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libvirtd = Listener(run / "libvirt" / "libvirt-sock")
    (run / "config" / "libvirt").mkdir(parents=True)
    (run / "config" / "libvirt" / "libvirt.conf").write_text('uri_aliases = ["mine=qemu:///session"]\n')
    assert where("mine") == "qemu:///session"
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu:///session")
    with virtcore.connect() as connection:
        assert connection.uri() == "qemu:///session"
    libvirtd.close()


def test_the_users_daemon_is_started_for_those_who_want_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Listener] = []
    monkeypatch.setattr(autostart, "_start", lambda: started.append(Listener(run / "virtcore" / "libvirt-sock")))
    uri = ConnectionURI.parse("qemu:///session")
    assert not autostart.running(uri)
    monkeypatch.setenv("LIBVIRT_AUTOSTART", "0")
    assert not autostart.running(uri, start=True)
    monkeypatch.delenv("LIBVIRT_AUTOSTART")
    assert not started
    assert where("qemu:///session") == "qemu:///session"
    assert started[0].opened == ["qemu:///session"]
    started[0].close()


def test_the_order_of_sockets(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = ConnectionURI.parse("qemu:///session")
    names = ["libvirt/virtqemud-sock", "libvirt/libvirt-sock"]
    assert libvirt_sockets(session, True) == [str(run / name) for name in names]
    system = ConnectionURI.parse("qemu:///system")
    assert libvirt_sockets(system, True) == [f"/run/{name}-ro" for name in names]
    assert len(libvirt_sockets(ConnectionURI.parse("remote:///"), False)) == 1


ELSEWHERE = """
import sys
for name in ("fcntl", "pwd", "grp", "termios", "resource"):
    sys.modules[name] = None
import _socket, os, select
for module, names in ((_socket, ["AF_UNIX", "socketpair"]), (select, ["epoll", "poll"]),
                      (os, ["geteuid", "getuid", "register_at_fork", "pidfd_open", "fork"])):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import virtcore
with virtcore.connect(sys.argv[1]) as connection:
    print(connection.type(), connection.set_keepalive(5, 5), connection.is_encrypted())
try:
    virtcore.connect("test+unix:///default")
except virtcore.VirtError as error:
    print(error)
"""


def test_a_client_that_is_not_on_linux() -> None:
    daemon = Listener()
    uri = f"test+tcp://127.0.0.1:{daemon.socket.getsockname()[1]}/default"
    done = subprocess.run([sys.executable, "-c", ELSEWHERE, uri], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    assert first == "FAKE True False"
    assert "transport methods unix, ssh and ext are not supported under Windows" in second
    daemon.close()
