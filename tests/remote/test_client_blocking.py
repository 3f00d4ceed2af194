"""The sync face over a remote connection: driven by the calling thread until it has to move to the core loop."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import virtcore
from support import eventually, listens
from virt_remote import sasl
from virt_remote.client.backend import _OWN
from virt_remote.client.driver import RemoteDriver
from virt_remote.client.link import Link
from virt_remote.protocol import OK, PONG, REPLY, Frames, pack, unpack
from virtcore.enums import NetworkUpdateCommand, NetworkUpdateSection
from virtcore.errors import (
    RPC,
    AccessDenied,
    InternalError,
    InvalidArg,
    InvalidConn,
    NoSupport,
    OperationDenied,
    OperationInvalid,
    SystemError,
)
from virtcore.operations.declare import all_operations
from virtcore.operations.events import ConnectionClosedEvent, DomainLifecycleEvent, GapEvent
from virtcore.operations.procedures import procedure
from virtcore.operations.wire.codec import codec
from virtcore.runtime.jobs import DeadlineExpired


class FakeDaemon:
    """Answers as told, or not at all."""

    def __init__(self, path: Path) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.silent = False
        #: It does not know keepalive.
        self.deaf = False
        self.seen: list[str] = []
        self.release = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(sock,), daemon=True).start()

    def _talk(self, sock: socket.socket) -> None:
        frames = Frames()
        with suppress(OSError), sock:  # the client may go at any time
            while data := sock.recv(65536):
                for frame in frames.feed(data):
                    call = unpack(frame)
                    if call.type != 0:
                        self.seen.append("ping")
                        if not self.silent and not self.deaf:
                            sock.sendall(PONG)
                        continue
                    threading.Thread(target=self._answer, args=(sock, call), daemon=True).start()

    def _answer(self, sock: socket.socket, call: object) -> None:
        rows = {66: "AUTH_LIST", 1: "CONNECT_OPEN", 2: "CONNECT_CLOSE", 60: "CONNECT_SUPPORTS_FEATURE"}
        rows[procedure("remote.CONNECT_GET_HOSTNAME").number] = "CONNECT_GET_HOSTNAME"
        rows[procedure("remote.CONNECT_GET_TYPE").number] = "CONNECT_GET_TYPE"
        name = rows[call.procedure]  # type: ignore[attr-defined]
        self.seen.append(name)
        if name == "CONNECT_GET_HOSTNAME":
            self.release.wait(100)
        if self.silent:
            return
        row = procedure("remote." + name)
        results = {"AUTH_LIST": ([0],), "CONNECT_SUPPORTS_FEATURE": (1,), "CONNECT_GET_HOSTNAME": ("far",)}
        results["CONNECT_GET_TYPE"] = ("FAKE",)
        body = codec("remote", row.ret).encode(results[name]) if row.ret else b""
        with suppress(OSError):
            sock.sendall(pack(call.program, call.version, call.procedure, REPLY, call.serial, OK, body))  # type: ignore[attr-defined]


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[tuple[FakeDaemon, str]]:
    daemon = FakeDaemon(tmp_path / "s")
    yield daemon, f"test+unix:///default?socket={tmp_path / 's'}"
    daemon.release.set()
    daemon.listener.close()


def test_nothing_of_asyncio_is_loaded(fake: tuple[FakeDaemon, str]) -> None:
    program = (
        "import sys, virtcore\n"
        f"with virtcore.connect({fake[1]!r}) as connection:\n"
        "    assert connection.set_keepalive(5, 6)\n"
        "    print(connection.type(), connection.uri().partition('?')[0], connection.is_alive())\n"
        "print(sorted({'asyncio', 'argparse', 'ssl', 'pluggy', 'paramiko'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["FAKE test+unix:///default True", "[]"]
    assert fake[0].seen == ["AUTH_LIST", "CONNECT_OPEN", "ping", "CONNECT_GET_TYPE", "CONNECT_CLOSE"]


def test_keepalive_is_claimed_only_where_the_daemon_answers(fake: tuple[FakeDaemon, str]) -> None:
    with virtcore.connect(fake[1]) as connection:
        assert connection.set_keepalive(5, 12)
        fake[0].deaf = True
        assert not connection.set_keepalive(1, 1)
        assert connection.set_keepalive(0, 0)
        assert connection.type() == "FAKE"


def test_a_second_thread_does_not_wait_for_the_first(fake: tuple[FakeDaemon, str]) -> None:
    daemon, uri = fake
    with virtcore.connect(uri) as connection:
        found: list[str] = []

        def other() -> None:
            while "CONNECT_GET_HOSTNAME" not in daemon.seen:
                time.sleep(0.01)
            found.append(connection.type())
            daemon.release.set()

        thread = threading.Thread(target=other)
        thread.start()
        assert connection.hostname() == "far"  # asked by this thread, received by the core loop
        thread.join(60)
        assert found == ["FAKE"]
        assert connection.type() == "FAKE"


def test_a_deadline_ends_the_wait_and_nothing_else(fake: tuple[FakeDaemon, str]) -> None:
    daemon, uri = fake
    with virtcore.connect(uri) as connection:
        with pytest.raises(DeadlineExpired, match=r"connection_hostname did not end within 0\.1 s"):
            connection.hostname(deadline=0.1)
        daemon.release.set()
        assert connection.type() == "FAKE"
        assert connection.hostname() == "far"


def test_a_silent_daemon_is_asked_and_given_up(fake: tuple[FakeDaemon, str]) -> None:
    daemon, uri = fake
    connection = virtcore.connect(uri, deadline=None)
    daemon.deaf = True
    connection._session._backend._client.keepalive = (0.05, 2)  # type: ignore[union-attr]
    with pytest.raises(InternalError, match="connection closed due to keepalive timeout"):
        connection.hostname()
    eventually(lambda: daemon.seen.count("ping") == 2)
    with pytest.raises(InternalError, match="keepalive timeout"):
        connection.type()
    assert not connection.is_alive()
    connection.close()


def test_a_daemon_that_ends_is_an_error_of_every_call(fake: tuple[FakeDaemon, str], tmp_path: Path) -> None:
    daemon, uri = fake
    connection = virtcore.connect(uri)
    connection._session._backend._client.link.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
    for _ in range(2):
        with pytest.raises(SystemError):
            connection.type()
    with pytest.raises(SystemError):
        connection.session  # noqa: B018  # it cannot move any more either
    connection.close()
    with pytest.raises(InvalidConn):
        connection.type()
    daemon.silent = True
    with pytest.raises(DeadlineExpired, match="connection_open"):
        virtcore.connect(uri, deadline=0.1)


def test_calls_are_checked_as_in_the_core_loop(fake: tuple[FakeDaemon, str]) -> None:
    _, uri = fake
    with virtcore.connect(uri, readonly=True) as connection:
        assert connection.readonly
        with pytest.raises(OperationDenied, match="read only access prevents virDomainDefineXMLFlags"):
            connection.define_domain("<domain/>")
        with pytest.raises(InvalidArg, match="name must be str"):
            connection.lookup_domain(7)  # type: ignore[arg-type]
        with pytest.raises(InvalidArg, match="there is no operation 'domain_fly'"):
            connection.supports("domain_fly")
        assert connection.supports("connection_hostname")
        assert connection.jobs() == []
        assert repr(connection) == "<read-only Connection to RemoteDriver>"
        child = os.fork()
        if not child:
            try:
                connection.type()
            except OperationInvalid:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert connection.type() == "FAKE"


def test_what_the_driver_writes_by_hand_the_backend_knows() -> None:
    made = "method"  # what the functions of _remote_method() are compiled as
    by_hand = {
        name
        for name, function in vars(RemoteDriver).items()
        if name in all_operations() and function.__code__.co_name != made
    }
    assert by_hand == set(_OWN)


def test_a_network_is_updated_by_the_thread_that_asks(serve: Any) -> None:
    with (
        serve("") as root,
        virtcore.connect(f"test+unix:///default?socket={root / 'run' / 'libvirt-sock'}") as connection,
    ):
        network = connection.lookup_network("default")
        host = "<host ip='192.168.122.9'><hostname>nine</hostname></host>"
        network.update(NetworkUpdateCommand.ADD_LAST, NetworkUpdateSection.DNS_HOST, -1, host)
        assert "<hostname>nine</hostname>" in network.xml()
        assert connection._session._session is None  # type: ignore[union-attr]


def test_events_and_streams_move_the_connection(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(tmp_path / "d")], stderr=-3) as process:
        try:
            path = tmp_path / "d" / "run" / "libvirt-admin-sock"
            eventually(lambda: listens(path))
            uri = f"test+unix:///default?socket={path.with_name('libvirt-sock')}"
            with virtcore.connect(uri) as connection:
                connection.set_keepalive(5, 5)
                domain = connection.lookup_domain("test")
                assert connection._session._session is None  # type: ignore[union-attr]
                with connection.events() as events:
                    domain.suspend()
                    assert isinstance(events.get(60), DomainLifecycleEvent)
                assert domain.state().state == 3
            with virtcore.connect(uri) as connection:
                picture = connection.lookup_domain("test").screenshot()
                assert picture.stream.read(4)
                picture.stream.abort()
        finally:
            process.terminate()


def test_who_listens_is_connected_again_and_told_of_the_gap(tmp_path: Path) -> None:
    root = tmp_path / "d"
    path = root / "run" / "libvirt-admin-sock"

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root)], stderr=-3)
        eventually(lambda: listens(path))
        return process

    process = start()
    try:
        with virtcore.connect(f"test+unix:///default?socket={path.with_name('libvirt-sock')}") as connection:
            with connection.events() as events:
                process.kill()
                process.wait()
                assert isinstance(events.get(60), ConnectionClosedEvent)
                with pytest.raises(SystemError, match="End of file while reading data"):
                    connection.type()
                process = start()
                assert isinstance(events.get(60), GapEvent)
                connection.lookup_domain("test").suspend()
                assert isinstance(events.get(60), DomainLifecycleEvent)
            # Who does not listen is not connected again.
            process.kill()
            process.wait()
            while connection.is_alive():
                time.sleep(0.02)
            process = start()
            time.sleep(0.5)
            with pytest.raises(SystemError):
                connection.type()
    finally:
        process.kill()
        process.wait()


def test_what_no_layer_made_is_an_error_of_the_connection() -> None:
    ours, theirs = socket.socketpair()
    link = Link(ours)
    protection = sasl._Exchange("n", "c", "auth-conf", "libvirt/h", "").layer(bytes(16), server=False, limit=65536)
    assert protection is not None
    link.layers.append(protection)
    with theirs:
        theirs.sendall((16).to_bytes(4, "big") + bytes(16))
        with pytest.raises(RPC, match="Failed to decode SASL data or TLS record: a protected packet was tampered with"):
            link.receive(time.monotonic() + 5)
    link.close()


def test_a_registration_that_the_daemon_refuses_is_an_error(serve: Any, tmp_path: Path) -> None:
    policy = tmp_path / "d" / "etc" / "access.toml"
    policy.parent.mkdir(parents=True)
    policy.write_text('default = "deny"\n[[rule]]\nallow = ["connect:getattr", "connect:read"]\n')
    with (
        serve('access_drivers = ["policy"]') as root,
        virtcore.connect(f"test+unix:///default?socket={root / 'run' / 'libvirt-sock'}") as connection,
    ):
        for kinds in ((DomainLifecycleEvent,), ()):
            with pytest.raises(AccessDenied):
                connection.on_event(print, *kinds)
        assert connection.hostname()


@pytest.mark.parametrize("in_loop", [False, True])
def test_what_the_far_driver_turned_out_not_to_have_is_not_claimed(serve: Any, in_loop: bool) -> None:
    with (
        serve("") as root,
        virtcore.connect(f"test+unix:///default?socket={root / 'run' / 'libvirt-sock'}") as connection,
    ):
        if in_loop:
            assert connection.session is not None
        name = "domain_lxc_open_namespace"
        assert connection.supports(name)
        assert connection.supports("domain_state")
        with pytest.raises(NoSupport):
            connection.lookup_domain(name="test").lxc_open_namespace()
        assert not connection.supports(name)
        assert connection.supports("domain_state")
        assert connection.supports("connection_is_alive")
        assert not connection.supports("connection_recent_stats")  # libvirt has nothing like it
