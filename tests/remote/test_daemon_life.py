"""A daemon's life: handed sockets, told to leave, unused, killed; polkit, imports, files that are shipped."""

from __future__ import annotations

import asyncio
import configparser
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import virtcore
import virtcore.uri
from private_bus import private_bus
from support import eventually
from virt_remote.keepalive import Keepalive
from virt_remote.protocol import BODY, CALL, ERROR, OK, decode_error, pack, unpack
from virt_remote.server.access import Request
from virt_remote.server.admin import _shutdown as admin_shutdown
from virt_remote.server.daemon import Daemon
from virt_remote.server.host_end import HostEnd
from virt_remote.server.identity import Identity, forget_names
from virt_remote.server.importing import import_libvirt
from virt_remote.server.logs import Logs
from virt_remote.server.polkit import Authority, PolkitAccess, policy_file
from virt_remote.server.settings import Places, Settings, example
from virt_remote.server.workers import Workers
from virtcore.errors import (
    AuthCancelled,
    AuthFailed,
    AuthUnavailable,
    ConfSyntax,
    InternalError,
    NoNWFilter,
    NoSecret,
    VirtError,
)
from virtcore.operations.procedures import procedure, program
from virtcore.operations.wire.codec import codec
from virtcore.types import DomainRef

FILES = Path(str(__import__("virt_remote").__file__)).parent / "files"


def where(root: Path, name: str = "libvirt-sock") -> str:
    return f"test+unix:///default?socket={root / 'run' / name}"


class AdminConnection:
    """Calls of the admin program over a blocking socket."""

    def __init__(self, root: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(root / "run" / "libvirt-admin-sock"))
        self.call("CONNECT_OPEN", 0)

    def call(self, name: str, *arguments: Any) -> Any:
        row, owner = procedure(f"admin.{name}"), program("admin")
        body = codec("admin", row.args).encode(arguments) if row.args else b""
        self._socket.sendall(pack(owner.number, owner.version, row.number, CALL, 3, OK, body))
        data = self._receive(4)
        data += self._receive(struct.unpack(">I", data)[0] - 4)
        message = unpack(data)
        if message.status == ERROR:
            raise AssertionError(decode_error(data)[2])
        return codec("admin", row.ret).decode(data, BODY)[0] if row.ret else None

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            assert part, "the daemon hung up"
            data += part
        return data

    def close(self) -> None:
        self._socket.close()


def test_systemd_hands_sockets_over(tmp_path: Path) -> None:
    root = tmp_path / "d"
    folder = tmp_path / "s"
    folder.mkdir()
    listening = []
    for name in ("libvirt-sock", "libvirt-sock-ro", "libvirt-admin-sock"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(folder / name))
        sock.listen()
        listening.append(sock)
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(folder / "notify"))
    told.settimeout(60)
    code = (
        "import os, sys\n"
        "for at, fd in enumerate(map(int, sys.argv[1:4]), 50): os.dup2(fd, at)\n"
        "for at in range(3): os.dup2(50 + at, 3 + at); os.set_inheritable(3 + at, True)\n"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='3')\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'virt_remote', *sys.argv[4:]])\n"
    )
    numbers = [str(sock.fileno()) for sock in listening]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *numbers, "--root", str(root)],
        pass_fds=[sock.fileno() for sock in listening],
        env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")},
    )
    try:
        assert told.recv(100) == b"READY=1"
        assert not (root / "run" / "libvirt-sock").exists()
        with virtcore.connect(f"test+unix:///default?socket={folder / 'libvirt-sock'}") as connection:
            assert connection.type() == "TEST"
        readonly = f"test+unix:///default?socket={folder / 'libvirt-sock-ro'}"
        with virtcore.connect(readonly) as connection, pytest.raises(VirtError, match="read only access"):
            connection.lookup_domain("test").destroy()
        process.send_signal(signal.SIGHUP)
        assert told.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert told.recv(100) == b"READY=1"
        process.send_signal(signal.SIGTERM)
        assert told.recv(100) == b"STOPPING=1"
        assert process.wait(60) == 0
        assert (folder / "libvirt-sock").exists(), "the sockets are systemd's"
    finally:
        process.kill()
        process.wait()
        for sock in (*listening, told):
            sock.close()


@pytest.mark.parametrize(("mode", "auth", "method"), [(0o666, None, 2), (0o660, None, 0), (0o666, "none", 0)])
def test_nobody_is_let_in_only_because_systemd_opened_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, auth: str | None, method: int
) -> None:
    monkeypatch.setattr("virt_remote.server.daemon._POLKIT_ACTIONS", tmp_path / "not installed")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "libvirt-sock"))
        (tmp_path / "libvirt-sock").chmod(mode)
        monkeypatch.setattr("virt_remote.server.daemon.inherited_sockets", lambda: [sock])
        daemon = Daemon(Places.below(tmp_path)._replace(privileged=True), Settings(auth_unix_rw=auth))
        daemon._make_endpoints()
        assert [endpoint.auth for endpoint in daemon.server.endpoints] == [method]


def test_an_unused_daemon_leaves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "virt_remote", "--root", str(tmp_path / "d"), "--timeout", "1"]
    with subprocess.Popen(command) as process:
        try:
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_daemon_that_has_a_client_leaves_after_it(serve: Any) -> None:
    with serve("", ended=True) as root, virtcore.connect(where(root)) as connection:
        admin = AdminConnection(root)
        admin.call("CONNECT_SET_DAEMON_TIMEOUT", 1, 0)
        admin.close()
        time.sleep(1.3)
        assert connection.type() == "TEST"


def test_administrators_end_it_and_set_its_time(serve: Any) -> None:
    with serve("", ended=True) as root:
        admin = AdminConnection(root)
        assert admin.call("CONNECT_GET_LIB_VERSION") == (11003000,)
        (servers, count) = admin.call("CONNECT_LIST_SERVERS", 1, 0)
        assert (servers, count) == ([("virtcored",), ("admin",)], 2)
        admin.call("CONNECT_SET_DAEMON_TIMEOUT", 1000, 0)
        admin.call("CONNECT_SET_LOGGING_FILTERS", "1:client", 0)
        assert admin.call("CONNECT_GET_LOGGING_FILTERS", 0) == ("1:*client*", 1)
        with pytest.raises(AssertionError, match=r"unsupported flags \(0x8\) in function adminConnectListServers"):
            admin.call("CONNECT_LIST_SERVERS", 1, 8)
        pid = int((root / "run" / "virtcored.pid").read_text())
        admin.call("CONNECT_DAEMON_SHUTDOWN", 1)
        eventually(lambda: not (root / "run" / "libvirt-admin-sock").exists())
        admin.close()
        assert pid


def test_settings_that_make_no_sense_change_nothing(serve: Any) -> None:
    with serve("max_clients = 7") as root:
        conf, pid = root / "etc" / "virtcored.conf", int((root / "run" / "virtcored.pid").read_text())
        admin = AdminConnection(root)

        def most() -> int:
            (params,) = admin.call("SERVER_GET_CLIENT_LIMITS", ("virtcored",), 0)
            return int(params["nclients_max"])

        def reload(text: str, word: str) -> None:
            conf.write_text(text)
            log = root / "log" / "virtcored.log"
            before = log.read_text().count(word)
            os.kill(pid, signal.SIGHUP)
            eventually(lambda: log.read_text().count(word) > before)

        assert most() == 7
        reload("max_clients = 'many'", "stay as they are")
        assert most() == 7
        reload("max_clients = 9\naccess_drivers = ['policy']", "stay as they are")
        assert most() == 7, "there is no policy"
        reload("max_clients = 9\nlog_filters = '4:virtcored'\nlog_outputs = '1:file:/no/such/log'", "stay as they are")
        assert most() == 7
        assert admin.call("CONNECT_GET_LOGGING_FILTERS", 0) == (None, 0), "nor do the filters come alone"
        reload("max_clients = 9", "were read anew")
        assert most() == 9
        admin.close()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("tcp_min_ssf = 56", ConfSyntax, "'tcp_min_ssf' must be >= 112"),
        ("auth_tcp = 'polkit'", ConfSyntax, "auth_tcp: unsupported auth polkit"),
        ("max_clients = -1", ConfSyntax, "'max_clients' must not be negative"),
        ("unix_sock_ro_perms = '0999'", InternalError, "Failed to parse mode '0999'"),
        ("listen_tcp = 2", InternalError, "expected 0 or 1 for 'listen_tcp' parameter"),
        ("max_clients = 'x'", InternalError, "expected a number for 'max_clients' parameter"),
        ("access_drivers = [ 1 ]", InternalError, "expected a string list for 'access_drivers' parameter"),
        ("min_workers = 30", ConfSyntax, "'min_workers' must not be above 'max_workers'"),
        ("admin_max_workers = 70000", ConfSyntax, "'admin_max_workers' must not be above 65535"),
        ("log_level = 0", ConfSyntax, "'log_level' must be between 1 and 4"),
    ],
)
def test_settings_are_checked(text: str, error: type[VirtError], message: str) -> None:
    with pytest.raises(error, match=message.replace("(", "\\(")):
        Settings.parse(text, "virtcored.conf")


def test_the_log_has_levels_and_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import logging

    path = tmp_path / "log"
    logs = Logs(3, "1:special 4:quiet", f"1:file:{path}")
    try:
        for name in ("virtcored.special", "virtcored.quiet", "virtcored.other"):
            logger = logging.getLogger(name)
            logger.debug("debug of %s", name)
            logger.warning("warning of %s", name)
        text = path.read_text()
        assert "debug of virtcored.special" in text
        assert "warning of virtcored.other" in text
        assert "debug of virtcored.other" not in text
        assert "virtcored.quiet" not in text
        path.rename(tmp_path / "old")
        logging.getLogger("virtcored.other").warning("after it was moved away")
        assert "after it was moved away" in path.read_text()
        with pytest.raises(OSError, match="nowhere"):
            logs.set_outputs(f"1:file:{tmp_path}/nowhere/log")
        assert logs.outputs == f"1:file:{path}", "it stays as it was"
    finally:
        logs.close()


def test_workers_are_shared_out() -> None:
    async def scenario() -> None:
        workers = Workers(1, 2, 1)
        places = [await workers.acquire(False) for _ in range(2)]
        quick = await workers.acquire(True)
        waiting = [asyncio.create_task(workers.acquire(False)), asyncio.create_task(workers.acquire(True))]
        await asyncio.sleep(0)
        assert (workers.current, workers.free, workers.queued) == (2, 0, 2)
        workers.release(quick)
        assert await waiting[1] is True, "what never takes long goes before"
        waiting[0].cancel()
        await asyncio.sleep(0)
        assert workers.queued == 0
        for place in places:
            workers.release(place)
        assert workers.free == 2

    asyncio.run(scenario())


def test_keepalive_that_is_switched_off() -> None:
    class Peer:
        heard = held = False

        def send(self, data: bytes) -> None:
            raise AssertionError("it was asked")

        silent = send

    async def scenario() -> None:
        keepalive = Keepalive(Settings.parse("keepalive_interval = -1", "conf").keepalive_interval, 5)
        keepalive.add(Peer())  # type: ignore[arg-type]
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(scenario())


# -- kills


def define_on(
    connection: virtcore.Connection, source: random.Random, acknowledged: set[str], count: int = 10_000
) -> None:
    """Define one domain after the other."""
    for _ in range(count):
        name = f"d{source.getrandbits(48):x}"
        connection.define_domain(
            f"<domain type='qemu'><name>{name}</name><memory>1024</memory>"
            "<os><type arch='x86_64'>hvm</type></os></domain>"
        )
        acknowledged.add(name)


def kill_and_come_back(root: Path, source: random.Random, acknowledged: set[str]) -> None:
    """Define domains until the daemon is killed at some moment; then all that were acknowledged are there."""
    process = subprocess.Popen([sys.executable, "-m", "virt_remote", "--root", str(root)], stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        connection = None
        while connection is None and time.monotonic() < end:
            try:
                connection = virtcore.connect(f"qemu+unix:///session?socket={root / 'run' / 'libvirt-sock'}")
            except VirtError:
                time.sleep(0.02)
        assert connection is not None
        there = {domain.name for domain in connection.list_domains()}
        assert acknowledged <= there, acknowledged - there
        define_on(connection, source, acknowledged, 1)  # the first takes a look at QEMU, which takes its time
        killer = threading.Timer(source.uniform(0.0, 0.8), process.kill)
        killer.start()
        with pytest.raises(VirtError, match=r"End of file while reading data|Cannot (write|recv)|[Cc]onnection"):
            define_on(connection, source, acknowledged)
        killer.join()
        with pytest.raises(VirtError):
            connection.hostname()
        connection.close()
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(300)
def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    source, acknowledged = random.Random(3), set[str]()
    for _ in range(6):
        kill_and_come_back(tmp_path / "d", source, acknowledged)
    assert acknowledged


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_what_was_acknowledged_survives_hundreds_of_kills(tmp_path: Path) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("qemu-system-x86_64 is not installed")
    source, acknowledged = random.Random(4), set[str]()
    for _ in range(300):
        kill_and_come_back(tmp_path / "d", source, acknowledged)


def test_reading_anew_asks_anew_who_is_in_which_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    who = Identity("unix", uid=4242, gid=4243)
    named: list[str] = []
    monkeypatch.setattr("grp.getgrgid", lambda gid: SimpleNamespace(gr_name=named[-1]))
    named.append("before")
    assert who.groups == {"before"}
    named.append("after")
    assert who.groups == {"before"}
    Daemon(Places.below(tmp_path)).reload()
    try:
        assert who.groups == {"after"}
    finally:
        forget_names()


def test_guests_are_looked_after_before_the_daemon_ends(tmp_path: Path) -> None:
    order: list[str] = []

    async def preserve() -> None:
        order.append("preserved")

    async def ask() -> None:
        daemon = Daemon(Places.below(tmp_path))
        daemon._held = [SimpleNamespace(driver=SimpleNamespace(preserve=preserve))]  # type: ignore[list-item]
        daemon.stop = lambda: order.append("stopped")  # type: ignore[method-assign]
        client = SimpleNamespace(server=SimpleNamespace(daemon=daemon))
        for _ in range(2):  # what goes on already does not begin again
            admin_shutdown(client, 1)  # type: ignore[arg-type]
        await asyncio.gather(*daemon._last)
        admin_shutdown(client, 0)  # type: ignore[arg-type]

    asyncio.run(ask())
    assert order == ["preserved", "stopped", "stopped"]


def test_the_end_of_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One that is not there is no matter.
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")

    async def wait(bus: subprocess.Popen[bytes]) -> None:
        ended = asyncio.Event()
        end = HostEnd(ended.set, privileged=False)
        end.watch()
        try:
            while len(end._connections) < 1:
                await asyncio.sleep(0.01)
            assert not ended.is_set()
            bus.terminate()
            await asyncio.wait_for(ended.wait(), 60)
        finally:
            end.close()

    with private_bus(tmp_path) as (address, bus):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        asyncio.run(wait(bus))


# -- polkit

_FAKE = """
import sys
from jeepney import DBusAddress, HeaderFields, MessageType, new_error, new_method_return, new_method_call
from jeepney.io.blocking import open_dbus_connection
from jeepney.bus_messages import message_bus
connection = open_dbus_connection(sys.argv[1])
connection.send_and_get_reply(message_bus.RequestName("org.freedesktop.PolicyKit1"))
print("ready", flush=True)
while True:
    message = connection.receive()
    if message.header.message_type is not MessageType.method_call:
        continue
    (kind, subject), action, details, flags, _ = message.body
    asked = f"{kind} {subject['pid'][1]} {subject['uid'][1]} {action} {sorted(details.items())} {flags}"
    print(asked, flush=True)
    if action.endswith(".fail"):
        connection.send(new_error(message, "org.freedesktop.PolicyKit1.Error.Failed", "s", ("broken",)))
        continue
    answer = {
        "org.libvirt.api.domain.read": (True, False, {}),
        "org.libvirt.unix.manage": (True, False, {}),
        "org.libvirt.unix.dismissed": (False, False, {"polkit.dismissed": "true"}),
        "org.libvirt.unix.challenge": (False, True, {}),
    }.get(action, (False, False, {}))
    connection.send(new_method_return(message, "(bba{ss})", (answer,)))
"""


def test_polkit_is_asked(tmp_path: Path) -> None:
    with private_bus(tmp_path) as (address, bus):
        polkit = subprocess.Popen([sys.executable, "-c", _FAKE, address], stdout=subprocess.PIPE, text=True)
        try:
            assert polkit.stdout is not None
            assert polkit.stdout.readline() == "ready\n"
            asyncio.run(ask_polkit(address))
            asked = [polkit.stdout.readline().strip() for _ in range(7)]
            assert asked[0] == "unix-process 12 1000 org.libvirt.unix.manage [] 1"
            assert asked[1].endswith("org.libvirt.unix.nothing [] 0")
            details = [("connect_driver", "QEMU"), ("domain_name", "web"), ("domain_uuid", "U")]
            assert asked[5] == f"unix-process 12 1000 org.libvirt.api.domain.read {details} 0"
            assert "org.libvirt.api.domain.read-secure" in asked[6]
            asyncio.run(leave_a_lost_bus(address, bus))
        finally:
            polkit.kill()
            polkit.communicate()


async def ask_polkit(address: str) -> None:
    who = Identity("unix", pid=12, uid=1000, gid=1000, start_time=77)
    authority = Authority(address)
    await authority.check(who, "org.libvirt.unix.manage", {}, interactive=True)
    for action, error, message in (
        ("nothing", AuthFailed, "authentication failed: access denied by policy"),
        ("dismissed", AuthCancelled, "authentication cancelled: user cancelled authentication process"),
        (
            "challenge",
            AuthUnavailable,
            "authentication unavailable: no polkit agent available to authenticate action 'org.libvirt.unix.challenge'",
        ),
        ("fail", VirtError, "polkit: broken"),
    ):
        with pytest.raises(error) as caught:
            await authority.check(who, f"org.libvirt.unix.{action}", {})
        assert str(caught.value) == message
    access = PolkitAccess(authority)
    domain = DomainRef("web", "U", 1)
    assert await access.allows(Request(who, "QEMU", "domain", "read", domain))
    assert not await access.allows(Request(who, "QEMU", "domain", "read_secure", domain))
    with pytest.raises(VirtError, match="No UNIX process ID available"):
        await access.allows(Request(Identity("tcp"), "QEMU", "domain", "read", domain))
    await authority.close()
    nowhere = Authority("unix:path=/nowhere/at/all")
    with pytest.raises(VirtError, match="polkit cannot be asked"):
        await nowhere.check(who, "org.libvirt.unix.manage", {})


async def leave_a_lost_bus(address: str, bus: subprocess.Popen[bytes]) -> None:
    """A daemon ends in order although the bus ended before it."""
    authority = Authority(address)
    await authority.check(Identity("unix", pid=12, uid=1000, gid=1000, start_time=77), "org.libvirt.unix.manage", {})
    bus.kill()
    bus.wait()
    await asyncio.sleep(0.1)
    await authority.close()


def test_a_question_that_fails_leaves_the_bus_of_others_alone() -> None:
    class Router:
        """A connection to the bus that is lost when told so."""

        def __init__(self) -> None:
            self.lost = asyncio.Event()

        async def send_and_get_reply(self, message: object) -> object:
            await self.lost.wait()
            raise OSError("the bus is gone")

    async def main() -> None:
        authority = Authority("unix:path=/nowhere")
        old, new = Router(), Router()
        who = Identity("unix", pid=12, uid=1000, gid=1000, start_time=77)
        authority._router = old
        asked = asyncio.create_task(authority.check(who, "org.libvirt.unix.manage", {}))
        await asyncio.sleep(0.01)
        authority._router = new  # another question found the bus lost, too, and has connected anew
        old.lost.set()
        with pytest.raises(VirtError, match="the bus is gone"):
            await asked
        assert authority._router is new
        again = asyncio.create_task(authority.check(who, "org.libvirt.unix.manage", {}))
        new.lost.set()
        with pytest.raises(VirtError, match="the bus is gone"):
            await again
        assert authority._router is None

    asyncio.run(main())


# -- what is shipped


def test_what_is_shipped_is_what_the_daemon_knows() -> None:
    assert (FILES / "org.libvirt.api.policy").read_text() == policy_file()
    assert (FILES / "virtcored.conf").read_text() == example()
    text = (FILES / "org.libvirt.unix.policy").read_text()
    assert 'id="org.libvirt.unix.manage"' in text
    assert 'id="org.libvirt.unix.monitor"' in text
    for path in FILES.glob("virtcored*.s*"):
        unit = configparser.ConfigParser(strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(path)
        if path.suffix == ".socket":
            assert unit["Socket"]["Service"] == "virtcored.service"
            listen = unit["Socket"]["ListenStream"]
            assert listen in ("16514", "16509") or listen.startswith("/run/virtcore/libvirt-")
        else:
            assert unit["Service"]["Type"] == "notify"


def test_definitions_of_libvirt_are_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "libvirt"
    for name in ("test/autostart", "qemu/networks", "storage"):
        (folder / name).mkdir(parents=True)
    domain = folder / "test" / "one.xml"
    domain.write_text(
        "<!-- made by hand -->\n<domain type='test'><name>one</name>"
        "<uuid>11111111-2222-4333-8444-555555555555</uuid><memory>1</memory><os><type>hvm</type></os></domain>"
    )
    (folder / "test" / "broken.xml").write_text("<domain")
    (folder / "test" / "autostart" / "one.xml").symlink_to(domain)
    (folder / "qemu" / "networks" / "lan.xml").write_text("<network><name>lan</name></network>")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    async def main() -> None:
        from virtcore.driver.opening import open_session

        held = await open_session("test:///default")
        found = {one.name: one for one in await import_libvirt(open_session, ["test:///default"], folder)}
        assert found["one"].outcome == "imported"
        assert found["broken"].failed
        assert found["lan"].outcome == "imported"
        known = await held.call("connection_lookup_domain", "one", None, None)
        assert await held.call("domain_autostart", known)
        again = await import_libvirt(open_session, ["test:///default"], folder)
        assert [one.outcome for one in again if one.name == "one"] == ["there already"]
        await held.close()

    from virtcore.runtime.loop import core_loop

    asyncio.run_coroutine_threadsafe(main(), core_loop().loop).result(60)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "nothing there is written"


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = Places.below(tmp_path)
    assert below.certificate("cacert") == tmp_path / "etc" / "pki" / "CA" / "cacert.pem"
    assert below.certificate("serverkey") == tmp_path / "etc" / "pki" / "libvirt" / "private" / "serverkey.pem"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("CONFIG", "RUNTIME", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_{'DIR' if name == 'RUNTIME' else 'HOME'}", str(tmp_path / name))
    own = Places.usual()
    assert own.run == tmp_path / "RUNTIME" / "virtcore"
    assert own.config == tmp_path / "CONFIG" / "virtcore"
    assert own.certificate("cacert").parts[-3:] == (".pki", "libvirt", "cacert.pem")


def test_the_client_starts_the_users_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from virt_remote.client import address, autostart

    monkeypatch.setattr(address, "privileged", lambda: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    uri = address.address_of(virtcore.uri.ConnectionURI.parse("test+unix:///default"), False)
    assert autostart.own_socket(uri) == str(tmp_path / "run" / "virtcore" / "libvirt-sock")
    started: list[subprocess.Popen[bytes]] = []
    root = tmp_path / "d"

    def start() -> None:
        command = [sys.executable, "-m", "virt_remote", "--root", str(root), "--timeout", "120"]
        started.append(subprocess.Popen(command))

    monkeypatch.setattr(autostart, "_start", start)
    monkeypatch.setattr(autostart, "own_socket", lambda address: str(root / "run" / "libvirt-sock"))
    monkeypatch.setattr(autostart, "START_LIMIT", 100.0)
    try:
        with virtcore.connect("test+unix:///default") as connection:
            assert connection.type() == "TEST"
            with virtcore.connect("test+unix:///default") as other:
                assert other.type() == "TEST"
            assert len(started) == 1, "the second found it"
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_filter_of_a_known_name_takes_its_place(tmp_path: Path) -> None:
    class Filters:
        """A connection that knows of filters alone, and has one of them."""

        defined: ClassVar[list[str]] = []

        def supports(self, operation: str) -> bool:
            return "nwfilter" in operation

        async def call(self, operation: str, *arguments: Any, deadline: None) -> Any:
            if operation == "connection_define_nwfilter":
                self.defined.append(arguments[0])
            elif arguments[0] == "clean":
                return SimpleNamespace(uuid="11111111-2222-4333-8444-555555555555")
            else:
                raise NoNWFilter
            return "it"

        async def close(self) -> None:
            pass

    async def open_filters(uri: str) -> Filters:
        return Filters()

    (tmp_path / "nwfilter").mkdir()
    for name in ("clean", "new"):
        text = f"<filter name='{name}'><uuid>77777777-2222-4333-8444-555555555555</uuid></filter>"
        (tmp_path / "nwfilter" / f"{name}.xml").write_text(text)
    found = asyncio.run(import_libvirt(open_filters, ["qemu:///system"], tmp_path))
    assert [one.outcome for one in found] == ["imported", "imported"]
    assert ["11111111" in text for text in Filters.defined] == [True, False]


def test_a_secret_whose_value_cannot_be_read_is_not_called_imported(tmp_path: Path) -> None:
    class Secrets:
        """A connection that knows of secrets alone."""

        values: ClassVar[list[bytes]] = []

        def supports(self, operation: str) -> bool:
            return "secret" in operation

        async def call(self, operation: str, *arguments: Any, deadline: None) -> Any:
            if operation == "connection_lookup_secret":
                raise NoSecret
            if operation == "secret_set_value":
                self.values.append(arguments[1])
            return "it"

        async def close(self) -> None:
            pass

    async def open_secrets(uri: str) -> Secrets:
        return Secrets()

    (tmp_path / "secrets").mkdir()
    for name, value in (("good", b"c2VzYW1l"), ("bad", b"c2VzYW1")):
        (tmp_path / "secrets" / f"{name}.xml").write_text("<secret><uuid>u</uuid></secret>")
        (tmp_path / "secrets" / f"{name}.base64").write_bytes(value)
    (tmp_path / "secrets" / "empty.xml").write_text("<secret/>")
    found = asyncio.run(import_libvirt(open_secrets, ["qemu:///system"], tmp_path))
    assert {one.name: one.failed for one in found} == {"bad": True, "empty": False, "good": False}
    assert "bad.base64' cannot be read: Incorrect padding" in found[0].outcome
    assert Secrets.values == [b"sesame"]
