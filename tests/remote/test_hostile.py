"""Hostile clients: garbage, lies about lengths, calls out of turn, too much of everything. The daemon stays up."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from virt_remote.protocol import BODY, CALL, ERROR, HEADER, OK, PING, REPLY, Frames, decode_error, pack
from virt_remote.server.client import ANONYMOUS_MAX, MAX_UNSENT
from virt_remote.server.settings import Settings
from virtcore.operations.procedures import Procedure, program
from virtcore.operations.wire.codec import WireError, codec
from wholedriver import GOOD, WholeDriver, arguments_of, every_procedure


def frame_of(row: Procedure, serial: int) -> bytes:
    owner = program(row.program)
    body = codec(row.program, row.args).encode(arguments_of(row, 0)) if row.args else b""
    return pack(owner.number, owner.version, row.number, CALL, serial, OK, body)


def mutated(frame: bytes, source: random.Random) -> bytes:
    """A frame with something wrong in it, more often in its body than in its length."""
    data = bytearray(frame)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(4 if source.random() < 0.9 else 0, len(data))
        match source.randrange(6):
            case 0:
                data[at] = source.randrange(256)
            case 1:
                data[at] ^= 1 << source.randrange(8)
            case 2:
                struct.pack_into(">I", data, min(at & ~3, len(data) - 4), source.choice(NUMBERS))
            case 3 if len(data) > BODY:
                del data[source.randrange(BODY, len(data)) :]
            case 4:
                data += source.randbytes(source.randint(1, 40))
            case _:
                data[at:at] = source.randbytes(4)
    if source.random() < 0.9:
        struct.pack_into(">I", data, 0, len(data))
    return bytes(data)


#: Lengths and numbers that programs get wrong.
NUMBERS = (0, 1, 3, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 4194304, 4194305, 33554436, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


async def fuzz(peer: Any, count: int, seed: int) -> tuple[int, int]:
    """Send frames that are wrong; gives how many were answered, and after how many the connection ended."""
    source = random.Random(seed)
    rows = list(every_procedure())
    skipped = ("CONNECT_CLOSE", "DOMAIN_OPEN_CONSOLE")
    frames = [frame_of(row, 7) for row in rows if row.name not in skipped]
    answered = ended = 0
    for number in range(count):
        answered += len(peer.transport.sent)
        peer.transport.sent.clear()
        peer.client.data_received(mutated(source.choice(frames), source))
        if number % 20 == 0:
            await asyncio.sleep(0.001)
        if peer.client._frames.pending:  # it waits for more: what comes next is another client's
            peer.client._frames = Frames()
            peer.client._account(0)
        if peer.transport.ended:
            ended += 1
            peer.transport.ended = ""
            peer.client.closing = False
            peer.client._frames = Frames()
            peer.client._account(0)
        peer.client._held_by = frozenset()
        if peer.client.session is None:
            await peer.open()
    for _ in range(50):
        await asyncio.sleep(0.001)
    return answered, ended


@pytest.mark.parametrize("seed", range(3))
def test_frames_that_are_wrong(play: Any, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        await peer.open()
        answered, ended = await fuzz(peer, 800, seed)
        assert answered > 50
        assert ended > 0

    play(scenario, opened=False)
    assert "unexpected failure" not in caplog.text


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 140))
def test_very_many_frames_that_are_wrong(play: Any, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    async def scenario(peer: Any) -> None:
        peer.endpoint.driver = WholeDriver()
        await peer.open()
        await fuzz(peer, 2000, seed)

    play(scenario, opened=False)
    assert "unexpected failure" not in caplog.text


def decode_wrong(count: int, seed: int) -> int:
    """Decode the arguments of procedures with something wrong in them; gives how many could be."""
    source = random.Random(seed)
    bodies = [(codec(row.program, row.args), frame_of(row, 7)) for row in every_procedure() if row.args]
    decoded = 0
    for _ in range(count):
        known, frame = source.choice(bodies)
        try:
            known.decode(mutated(frame, source), BODY)
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
        began = time.monotonic()
        peer.client.data_received(pack(owner.number, 1, row.number, CALL, 5, OK, struct.pack(">III", count, 0, 0)))
        message = await peer.reply(5)
        assert message.status == ERROR
        assert decode_error(message.data)[2].endswith(("Unable to decode message payload", "virConnectBaselineCPU"))
        assert time.monotonic() - began < 1

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
        began = time.monotonic()
        with pytest.raises(Exception, match=re.escape(f"internal error: {message}")):
            await peer.call(name, GOOD, *arguments)
        assert time.monotonic() - began < 1

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
    sock.settimeout(10)
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
        began = time.monotonic()
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(100)
        third.settimeout(10)
        assert third.recv(100)[20:24] == AUTH_LIST[20:24], "it is let in when the others had to leave"
        assert time.monotonic() - began < 8
        assert all(ended(sock) for sock in slow)
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
        outside.settimeout(0.5)
        with pytest.raises(TimeoutError):
            outside.recv(100)
        inside[0].close()
        outside.settimeout(10)
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
