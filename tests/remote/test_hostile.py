"""Hostile clients: garbage, lies about lengths, calls out of turn, too much of everything. The daemon stays up."""

from __future__ import annotations

import asyncio
import os
import random
import re
import resource
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import virtcore
from remote.frame_fuzz import EVENT_ROWS, ROLES, Fuzz, Target
from remote.wrong_frames import PROGRAMS, calls_of, damaged
from support import costs_less_than
from virt_remote.protocol import BODY, CALL, ERROR, HEADER, OK, PING, REPLY, decode_error, pack
from virt_remote.server.client import ANONYMOUS_MAX, MAX_UNSENT
from virt_remote.server.settings import Settings
from virtcore.errors import VirtError
from virtcore.operations.procedures import Procedure, program
from virtcore.operations.wire.codec import WireError, codec
from wholedriver import GOOD, WholeDriver, arguments_of, every_procedure


def frame_of(row: Procedure, serial: int) -> bytes:
    owner = program(row.program)
    body = codec(row.program, row.args).encode(arguments_of(row, 0)) if row.args else b""
    return pack(owner.number, owner.version, row.number, CALL, serial, OK, body)


@pytest.mark.parametrize("seed", range(2))
def test_frames_that_are_wrong(seed: int, tmp_path: Path) -> None:
    fuzz = Fuzz(seed, tmp_path)
    fuzz.run(6000)
    assert min(fuzz.replies[role.name] for role in ROLES) > 100
    assert fuzz.errors.total() < 0.9 * fuzz.replies.total()
    assert len(fuzz.answered) > 200
    assert fuzz.events > 10


@pytest.mark.deep
@pytest.mark.parametrize("part", range(20))
def test_millions_of_frames_that_are_wrong(part: int, tmp_path: Path) -> None:
    """Two millions, other ones in each run; a failure tells its seed."""
    Fuzz(random.SystemRandom().randrange(2**32), tmp_path).run(100_000)


def decode_wrong(count: int, seed: int) -> int:
    """Decode the arguments of procedures with something wrong in them; gives how many could be."""
    source = random.Random(seed)
    bodies = [
        (known := codec(row.program, row.args), known.encode(arguments_of(row, 0)))
        for row in every_procedure()
        if row.args
    ]
    decoded = 0
    for _ in range(count):
        known, body = source.choice(bodies)
        try:
            known.decode(damaged(body, source), 0)
        except WireError:
            continue
        decoded += 1
    return decoded


def test_arguments_that_are_wrong() -> None:
    assert decode_wrong(20_000, 1) > 1000


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 110))
def test_millions_of_arguments_that_are_wrong(seed: int) -> None:
    assert decode_wrong(500_000, seed) > 1000


@pytest.mark.parametrize("size", [0, 3, 27, 0x7FFFFFFF, 0xFFFFFFFF, 33554437])
def test_lengths_that_cannot_be(play: Any, size: int) -> None:
    async def scenario(peer: Any) -> None:
        peer.client.data_received(struct.pack(">I", size) + bytes(100))
        assert peer.transport.ended == "aborted"

    play(scenario)


@pytest.mark.parametrize("count", [4, 17, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_counts_that_lie_cost_nothing(play: Any, count: int) -> None:
    """A list that says it has so many elements, in a message that has not."""

    async def scenario(peer: Any) -> None:
        row = next(row for row in every_procedure() if row.name == "CONNECT_BASELINE_CPU")
        owner = program("remote")
        with costs_less_than(1):
            peer.client.data_received(pack(owner.number, 1, row.number, CALL, 5, OK, struct.pack(">III", count, 0, 0)))
            message = await peer.reply(5)
        assert message.status == ERROR
        assert decode_error(message.data)[2].endswith(("Unable to decode message payload", "virConnectBaselineCPU"))

    play(scenario)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("DOMAIN_GET_VCPUS", (300, 0x7FFFFFFF), "maxinfo * maplen > REMOTE_CPUMAPS_MAX"),
        ("DOMAIN_GET_VCPUS", (2, -1), "maxinfo * maplen > REMOTE_CPUMAPS_MAX"),
        ("DOMAIN_GET_VCPU_PIN_INFO", (0x7FFFFFFF, 512, 0), "ncpumaps * maplen > REMOTE_CPUMAPS_MAX"),
        ("DOMAIN_GET_EMULATOR_PIN_INFO", (0x7FFFFFFF, 0), "maplen > REMOTE_CPUMAPS_MAX"),
    ],
)
def test_maps_of_cpus_that_would_take_all_memory(play: Any, name: str, arguments: Any, message: str) -> None:
    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        await peer.open()
        with costs_less_than(1), pytest.raises(Exception, match=re.escape(f"internal error: {message}")):
            await peer.call(name, GOOD, *arguments)

    play(scenario, opened=False)


def test_nothing_but_authentication_before_authentication(play: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        client = peer.client
        client.auth, client.authenticated = 1, False
        client._frames.limit = ANONYMOUS_MAX
        for serial, row in enumerate(every_procedure()):
            if row.name.startswith("AUTH_"):
                continue
            client.data_received(frame_of(row, serial))
            message = await peer.reply(serial)
            assert message.status == ERROR
            assert decode_error(message.data)[2] == "authentication required"
        assert not peer.endpoint.driver.calls
        assert client.session is None
        client.data_received(PING)
        assert peer.transport.sent[-1].procedure == 2, "it may say that it lives"
        client.data_received(struct.pack(">I", ANONYMOUS_MAX + 1) + bytes(24))
        assert peer.transport.ended == "aborted", "and may not send so much"

    play(scenario, opened=False)
    assert "before it has authenticated" in caplog.text


def test_the_walks_leave_no_procedure_out() -> None:
    counts = {name: len(program(name).procedures()) for name in PROGRAMS}
    assert counts == {"remote": 453, "qemu": 7, "lxc": 1, "admin": 20}
    assert {row.name for name in PROGRAMS for row in program(name).procedures() if row.kind != "call"} == {
        row.name for row in EVENT_ROWS.values()
    }
    assert len(list(every_procedure())) + len(calls_of("admin")) + len(EVENT_ROWS) == 481


def test_what_is_no_call_or_not_served_here_is_refused(play: Any) -> None:
    """Events called as procedures, and all of administration on a socket that is not its own."""

    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        await peer.open()
        peer.endpoint.driver.calls.clear()
        for serial, row in enumerate([*EVENT_ROWS.values(), *calls_of("admin")]):
            owner = program(row.program)
            body = bytes(200)
            peer.client.data_received(pack(owner.number, owner.version, row.number, CALL, 100 + serial, OK, body))
            message = await peer.reply(100 + serial)
            assert message.status == ERROR
            code, _, text, *_ = decode_error(message.data)
            assert (code, text.split(":")[0]) in (
                (39, "unknown procedure"),
                (39, f"Cannot find program {owner.number} version {owner.version}"),
            ), row.name
        assert not peer.endpoint.driver.calls
        assert not peer.client.administers

    play(scenario, opened=False)


def test_administration_has_to_be_opened(tmp_path: Path) -> None:
    """Before, none of its procedures does anything."""

    async def main() -> None:
        fuzz = Fuzz(0, tmp_path)
        target = Target(fuzz, next(role for role in ROLES if role.name == "administration"))
        await target.come()
        server = target.server

        def state() -> tuple[object, ...]:
            limits = [(one.max_clients, one.max_anonymous, vars(one.workers)) for one in server.daemon.servers.values()]
            return repr(limits), server.daemon.timeout, list(server.clients), target.transport.ended

        before = state()
        for serial, row in enumerate(calls_of("admin")):
            if row.name in ("CONNECT_OPEN", "CONNECT_CLOSE"):
                continue
            owner = program("admin")
            target.client.data_received(pack(owner.number, owner.version, row.number, CALL, serial, OK, bytes(100)))
            (answer,) = target.transport.written
            target.transport.written.clear()
            assert decode_error(answer)[2] == "internal error: connection not open", row.name
        assert state() == before
        await target.leave()
        fuzz.socket.close()

    asyncio.run(main())


def test_messages_that_never_become_whole_may_not_take_all_memory(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        peer.endpoint.settings = Settings(max_pending_memory=1_000_000)
        peer.client.data_received(struct.pack(">I", 30_000_000) + bytes(500_000))
        assert not peer.transport.ended
        assert peer.endpoint.pending_memory == 500_004
        peer.client.data_received(bytes(600_000))
        assert peer.transport.ended == "aborted"
        peer.client.connection_lost(None)
        assert peer.endpoint.pending_memory == 0

    play(scenario)


def test_who_does_not_read_is_given_up(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        peer.client.pause_writing()
        peer.transport.unsent = MAX_UNSENT + 1
        peer.client.send(PING)
        assert peer.transport.ended == "aborted"

    play(scenario)


def test_replies_and_events_are_not_a_clients_to_send(play: Any) -> None:
    async def scenario(peer: Any) -> None:
        for kind in (REPLY, 2, 7, -1):
            peer.client.data_received(HEADER.pack(BODY, 0x20008086, 1, 5, kind, 1, OK))
        await asyncio.sleep(0.01)
        assert not [message for message in peer.transport.sent if message.serial == 1 and message.type != REPLY]
        assert not peer.transport.ended

    play(scenario)


# -- a daemon with sockets


def raw(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(str(path))
    return sock


def ended(sock: socket.socket) -> bool:
    """Whether the daemon has hung up on us."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


AUTH_LIST = HEADER.pack(BODY, 0x20008086, 1, 66, CALL, 1, OK)


def test_who_does_not_authenticate_in_time_has_to_leave(serve: Any) -> None:
    with serve('auth_unix_rw = "sasl"\nanonymous_timeout = 1\nmax_anonymous_clients = 2\nmax_clients = 10') as root:
        path = root / "run" / "libvirt-sock"
        slow = [raw(path) for _ in range(2)]
        slow[0].send(AUTH_LIST[:5])  # a byte now and then
        third = raw(path)
        third.send(AUTH_LIST)
        assert third.recv(100)[20:24] == AUTH_LIST[20:24]
        slow[0].setblocking(False)
        assert ended(slow[0]), "it is let in when another had to leave"
        assert ended(slow[1])
        for sock in (*slow, third):
            sock.close()


def test_as_many_clients_as_may_come(serve: Any) -> None:
    with serve("max_clients = 3\nmax_anonymous_clients = 3") as root:
        path = root / "run" / "libvirt-sock"
        inside = [raw(path) for _ in range(3)]
        for sock in inside:
            sock.send(AUTH_LIST)
            assert sock.recv(100)
        outside = raw(path)
        outside.send(AUTH_LIST)
        outside.settimeout(0.2)
        with pytest.raises(TimeoutError):
            outside.recv(100)
        inside[0].close()
        outside.settimeout(60)
        assert outside.recv(100), "who waits comes in when somebody leaves"
        for sock in (*inside, outside):
            sock.close()


def test_half_closed_sockets_and_floods(serve: Any) -> None:
    with serve("") as root:
        path = root / "run" / "libvirt-sock"
        source = random.Random(5)
        for _ in range(30):
            with raw(path) as sock:
                try:
                    match source.randrange(4):
                        case 0:
                            sock.send(source.randbytes(2000))
                        case 1:
                            sock.sendall(PING * 5000)
                        case 2:
                            sock.sendall(AUTH_LIST[: source.randrange(28)])
                        case _:
                            sock.sendall(AUTH_LIST * 300)
                    sock.shutdown(socket.SHUT_WR if source.random() < 0.5 else socket.SHUT_RDWR)
                except OSError:
                    pass  # it hung up on us first
        with raw(path) as sock:
            sock.send(AUTH_LIST)
            assert sock.recv(100)[24:28] == bytes(4)


def test_a_thousand_idle_clients_keep_nobody_out(serve: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip(f"only {hard} descriptors may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))  # the daemon's, too
    idle: list[socket.socket] = []
    try:
        with serve("max_clients = 1200") as root:
            path = root / "run" / "libvirt-sock"
            for _ in range(1000):
                idle.append(raw(path))
                idle[-1].send(AUTH_LIST)
            assert all(sock.recv(100)[24:28] == bytes(4) for sock in idle)
            with virtcore.connect(f"test+unix:///default?socket={path}") as connection:
                assert connection.lookup_domain("test").name == "test"
            assert all(sock.send(AUTH_LIST) and sock.recv(100) for sock in idle), "each is still served"
            for sock in idle:
                sock.close()
    finally:
        for sock in idle:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_names_that_lead_elsewhere(serve: Any) -> None:
    """They are refused, and no file is there afterwards that was not before."""
    with serve("") as root:
        path = root / "run" / "libvirt-sock"

        def files() -> list[Path]:
            return sorted(found for found in root.parent.rglob("*.xml") if "cache" not in found.parts)

        before = files()
        place = "system" if os.geteuid() == 0 else "session"
        for uri, kind in ((f"qemu+unix:///{place}", "qemu"), ("test+unix:///default", "test")):
            with virtcore.connect(f"{uri}?socket={path}") as connection:
                documents: list[tuple[Callable[[str], object], str]] = [
                    (connection.define_domain, f"<domain type='{kind}'>NAME<os><type>hvm</type></os></domain>")
                ]
                if kind == "test":
                    documents.append((connection.define_network, "<network>NAME</network>"))
                    pool = "<pool type='dir'>NAME<target><path>/nowhere</path></target></pool>"
                    documents.append((connection.define_storage_pool, pool))
                for name in ("../up", "../../etc/virtcored", "a/b", "/tmp/x"):
                    for define, text in documents:
                        with pytest.raises(VirtError, match=r"cannot contain '/'|invalid char in name"):
                            define(text.replace("NAME", f"<name>{name}</name><memory>1</memory>"))
        assert files() == before
