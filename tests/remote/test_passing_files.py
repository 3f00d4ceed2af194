"""Descriptors beside messages, both ways and on both ends."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import virtcore
from support import ROOT, eventually, free_port, listens
from virt_remote.client.driver import RemoteDriver
from virt_remote.client.wire import Wire
from virt_remote.descriptors import DescriptorSocket, copies
from virt_remote.protocol import BODY, CALL, CALL_WITH_FDS, OK, Frames, pack, unpack, with_files
from virtcore.driver import OpenRequest
from virtcore.errors import RPC, ArgumentUnsupported, InvalidArg, OperationFailed, SystemError, VirtError
from virtcore.operations.procedures import procedure, program
from virtcore.operations.wire.codec import codec
from virtcore.uri import ConnectionURI

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


class Daemon:
    """The daemon of descriptor_daemon.py."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.socket = root / "run" / "libvirt-sock"
        (root / "etc").mkdir(parents=True)
        self.port = free_port()
        (root / "etc" / "virtcored.conf").write_text(
            f'listen_tls = 0\nlisten_tcp = 1\nauth_tcp = "none"\nlisten_addr = "127.0.0.1"\ntcp_port = "{self.port}"\n'
        )
        self.process = subprocess.Popen([sys.executable, str(ROOT / "tests" / "descriptor_daemon.py"), str(root)])
        eventually(lambda: listens(root / "run" / "libvirt-admin-sock"))  # the last one to listen

    @property
    def uri(self) -> str:
        return f"fds+unix:///x?socket={self.socket}"

    @property
    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settles_at(self, count: int) -> bool:
        """Whether it has so many open again, once it has seen that clients left."""
        eventually(lambda: self.descriptors <= count)
        return True


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    found = Daemon(tmp_path_factory.mktemp("d") / "r")
    try:
        yield found
    finally:
        found.process.terminate()
        found.process.wait()


@pytest.fixture(params=["blocking", "loop"])
def connection(daemon: Daemon, request: pytest.FixtureRequest) -> Iterator[virtcore.Connection]:
    with virtcore.connect(daemon.uri) as opened:
        if request.param == "loop":
            assert opened.session is not None
        yield opened


def files(count: int) -> list[BinaryIO]:
    return [tempfile.TemporaryFile() for _ in range(count)]


def content(file: int | BinaryIO) -> bytes:
    number = file if isinstance(file, int) else file.fileno()
    return os.pread(number, 100, 0)


def content_of_ours(file: int) -> bytes:
    """What a descriptor that was made for us holds; it is closed."""
    with os.fdopen(file, "rb", buffering=0) as opened:
        data: bytes = opened.read(100)
        return data


def test_descriptors_go_to_the_driver(connection: virtcore.Connection) -> None:
    domain = connection.lookup_domain(name="one")
    calls: list[Callable[[list[int]], object]] = [
        lambda given: domain.create_with_files(given),
        lambda given: connection.create_domain_with_files("<domain/>", given),
        lambda given: domain.associate_fds("name", given),
        lambda given: domain.qemu_monitor_command_with_files("x", given),
    ]
    for call in calls:
        for count in (1, 3, 32):
            opened = files(count)
            call([file.fileno() for file in opened])
            assert [content(file) for file in opened] == [b"file %d" % number for number in range(count)]
            for file in opened:
                file.close()  # they are still ours
    domain.create_with_files([])
    assert domain.id == 1


def test_descriptors_come_from_the_driver(connection: virtcore.Connection) -> None:
    domain = connection.lookup_domain(name="one")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        domain.open_graphics(2, theirs.fileno())
        assert ours.recv(100) == b"graphics 2"
    assert content_of_ours(domain.open_graphics_fd(5)) == b"graphics 5"
    found = [content_of_ours(file) for file in domain.lxc_open_namespace()]
    assert found == [b"namespace 0", b"namespace 1", b"namespace 2"]
    reply = domain.qemu_monitor_command_with_files("files", [])
    assert reply.result == "FILES"
    assert [content_of_ours(file) for file in reply.files] == [b"reply"]
    assert domain.qemu_monitor_command_with_files("nothing") == ("NOTHING", [])
    assert domain.name == connection.lookup_domain(name="one").name  # nothing is out of step


def test_nothing_is_left_open_whatever_goes_wrong(daemon: Daemon) -> None:
    with virtcore.connect(daemon.uri) as warm, tempfile.TemporaryFile() as file:
        warm.lookup_domain(name="one").create_with_files([file.fileno()])
    time.sleep(0.2)
    before, ours = daemon.descriptors, len(os.listdir("/proc/self/fd"))
    with virtcore.connect(daemon.uri) as connection:
        domain = connection.lookup_domain(name="one")
        with tempfile.TemporaryFile() as file:
            for _ in range(20):
                with pytest.raises(OperationFailed, match="as was asked for"):
                    domain.create_with_files([file.fileno()] * 5, 1)
            with pytest.raises(RPC, match="33 descriptors, 32 allowed"):
                domain.create_with_files([file.fileno()] * 33)
            with pytest.raises(SystemError, match="Unable to duplicate FD 9999"):
                domain.create_with_files([file.fileno(), 9999])
            with pytest.raises(InvalidArg):
                domain.create_with_files("text")  # type: ignore[arg-type]
            domain.create_with_files([file.fileno()])
    assert daemon.settles_at(before)
    assert len(os.listdir("/proc/self/fd")) <= ours


def test_only_a_socket_of_this_host_passes_them(daemon: Daemon) -> None:
    with virtcore.connect(f"fds+tcp://127.0.0.1:{daemon.port}/x") as connection:
        domain = connection.lookup_domain(name="one")
        assert not connection.supports("domain_open_graphics_fd")
        message = "argument unsupported: fd passing is not supported by this connection"
        for call in (
            lambda: domain.create_with_files([0]),
            lambda: domain.open_graphics_fd(0),
            lambda: domain.lxc_open_namespace(),
        ):
            with pytest.raises(ArgumentUnsupported) as refused:
                call()
            assert str(refused.value) == message
        assert connection.lookup_domain(name="one").name == "one"


class Raw:
    """A client that does as it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(60)
        self.frames = Frames()
        self.call("AUTH_LIST")
        self.call("CONNECT_OPEN", "fds:///x", 0)

    def body(self, name: str, *arguments: object) -> bytes:
        row = procedure("remote." + name)
        return codec(row.program, row.args).encode(arguments) if row.args else b""

    def frame(self, name: str, *arguments: object, files: int | None = None) -> bytes:
        row, owner = procedure("remote." + name), program("remote")
        body = self.body(name, *arguments)
        if files is None:
            return pack(owner.number, 1, row.number, CALL, 7, OK, body)
        return with_files(owner.number, 1, row.number, CALL_WITH_FDS, 7, files, body)

    def answer(self) -> tuple[int, bytes]:
        while True:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            for frame in self.frames.feed(data):
                message = unpack(frame)
                return message.status, message.data[BODY:]

    def call(self, name: str, *arguments: object) -> tuple[int, bytes]:
        self.sock.sendall(self.frame(name, *arguments))
        return self.answer()

    def descriptors(self, numbers: list[int], data: bytes = b"\0") -> None:
        self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))])


@pytest.fixture
def raw(daemon: Daemon) -> Iterator[Raw]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(daemon.socket))
        yield Raw(sock)


DOMAIN = ("one", UUID, 1)


def test_descriptors_that_nobody_takes_are_closed(daemon: Daemon, raw: Raw) -> None:
    before = daemon.descriptors
    raw.call("CONNECT_SUPPORTS_FEATURE", 8)
    for _ in range(20):
        # A procedure that takes none.
        raw.sock.sendall(raw.frame("DOMAIN_LOOKUP_BY_NAME", "one", files=2))
        raw.descriptors([0])
        raw.descriptors([0])
        assert raw.answer()[0] == OK
        # Arguments that cannot be understood.
        frame = raw.frame("DOMAIN_CREATE_WITH_FILES", DOMAIN, 0, files=1)[:-8]
        raw.sock.sendall(len(frame).to_bytes(4, "big") + frame[4:])
        raw.descriptors([0])
        assert raw.answer()[0] != OK
    assert daemon.settles_at(before)


@pytest.mark.parametrize("kind", ["none came", "fewer came", "too many at once", "not asked for"])
def test_who_cheats_loses_the_connection(daemon: Daemon, raw: Raw, kind: str) -> None:
    with virtcore.connect(daemon.uri) as other:
        before = daemon.descriptors
        if kind != "not asked for":
            raw.call("CONNECT_SUPPORTS_FEATURE", 8)
        raw.sock.sendall(raw.frame("DOMAIN_CREATE_WITH_FILES", DOMAIN, 0, files=2))
        try:
            match kind:
                case "none came":
                    raw.sock.sendall(b"\0\0")
                case "fewer came":
                    raw.descriptors([0])
                    raw.sock.sendall(b"\0")
                case "too many at once":
                    for _ in range(3):
                        raw.descriptors([0] * 30)
                case _:
                    raw.descriptors([0])
                    raw.descriptors([0])
            with pytest.raises((EOFError, ConnectionError)):
                raw.answer()
        except ConnectionError:
            pass  # it was quick
        assert daemon.settles_at(before - 1)
        assert other.lookup_domain(name="one").name == "one"


def test_a_call_without_its_descriptor_is_refused(raw: Raw) -> None:
    raw.call("CONNECT_SUPPORTS_FEATURE", 8)
    status, body = raw.call("DOMAIN_OPEN_GRAPHICS", DOMAIN, 0, 0)
    assert status != OK
    fields = codec("rpc", "virNetMessageError").decode(body, 0)[0]
    assert fields[2] == "internal error: No FD available at slot 0"


def test_a_change_that_has_begun_keeps_its_descriptors(daemon: Daemon, raw: Raw) -> None:
    raw.call("CONNECT_SUPPORTS_FEATURE", 8)
    before = daemon.descriptors
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as heard:
        raw.sock.sendall(raw.frame("DOMAIN_CREATE_WITH_FILES", DOMAIN, 2, files=1))
        raw.descriptors([writing])
        os.close(writing)
        eventually(lambda: daemon.descriptors > before)
        raw.sock.close()
        (daemon.root / "go").touch()
        assert heard.read() == b"file 0"
    assert daemon.settles_at(before - 1)


def test_what_comes_for_who_has_just_given_up_is_closed(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        # Any: what a driver's methods give is declared for both kinds of drivers.
        remote: Any = await RemoteDriver.open(OpenRequest(ConnectionURI.parse(daemon.uri), readonly=False, auth=None))
        domain = await remote.connection_lookup_domain(name="one")
        os.close(await remote.domain_open_graphics_fd(domain, 0))
        before = len(os.listdir("/proc/self/fd"))
        asked = asyncio.create_task(remote.domain_open_graphics_fd(domain, 0))
        receive = Wire._receive

        def receive_and_give_up(self: Wire, item: Any) -> None:
            receive(self, item)
            asked.cancel()

        monkeypatch.setattr(Wire, "_receive", receive_and_give_up)
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert len(os.listdir("/proc/self/fd")) == before
        await remote.close()

    asyncio.run(main())


def test_they_wait_for_their_bytes_turn() -> None:
    one, other = socket.socketpair()
    sender, receiver = DescriptorSocket.of(one), DescriptorSocket.of(other)
    with closing(sender), closing(receiver), tempfile.TemporaryFile() as file:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sender.setblocking(False)
        receiver.expect()
        file.write(b"here")
        file.flush()
        message = bytes(range(256)) * 1000
        whole = message + b"\0" + message + b"\0\0"
        sender.attach(copies([file.fileno()]), len(message))
        sender.attach(copies([file.fileno()] * 2), 2 * len(message) + 1)
        left, got = memoryview(whole), b""
        while len(got) < len(whole):
            try:
                left = left[sender.send(left) :]
            except BlockingIOError:
                pass
            if len(got) < len(message):
                assert not receiver.received
            got += receiver.recv(3000)
        assert got == whole
        file.seek(0)  # they are all at the same place in it
        assert [content_of_ours(number) for number in receiver.take(3)] == [b"here", b"", b""]
        with pytest.raises(LookupError):
            receiver.take(1)


def test_a_daemon_that_gives_none_is_not_asked_twice(daemon: Daemon) -> None:
    with virtcore.connect(daemon.uri, readonly=True) as connection, pytest.raises(VirtError):
        connection.lookup_domain(name="one").open_graphics_fd(0)
