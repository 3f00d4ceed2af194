"""Framing and the asking end's state, without a socket."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from virt_remote.protocol import (
    BODY,
    CALL,
    CALL_WITH_FDS,
    CONTINUE,
    EVENT,
    KEEPALIVE_PROGRAM,
    OK,
    PING,
    PONG,
    REPLY,
    STREAM,
    ClientState,
    Frames,
    ProtocolError,
    decode_error,
    error_body,
    pack,
    unpack,
)

PROGRAM = 0x20008086


def test_the_length_counts_itself() -> None:
    raw = pack(PROGRAM, 1, 66, CALL, 0, OK, b"body")
    assert raw[:4] == struct.pack(">I", len(raw))
    assert unpack(raw).body == b"body"
    assert PING[4:8] == struct.pack(">I", KEEPALIVE_PROGRAM)


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 50), max_size=20))
def test_frames_whatever_the_pieces(bodies: list[bytes], cuts: list[int]) -> None:
    messages = [pack(PROGRAM, 1, 1, CALL, serial, OK, body) for serial, body in enumerate(bodies)]
    flow = b"".join(messages)
    frames = Frames()
    found = []
    at = 0
    for cut in [*cuts, len(flow)]:
        found += frames.feed(flow[at : at + cut])
        at += cut
    assert found == messages


@pytest.mark.parametrize("length", [0, 1, 4, BODY - 1, 33554437, 0xFFFFFFFF])
def test_impossible_lengths(length: int) -> None:
    with pytest.raises(ProtocolError):
        Frames().feed(struct.pack(">I", length) + bytes(60))


def test_bytes_that_carry_descriptors_follow_their_message() -> None:
    with_descriptors = pack(PROGRAM, 1, 1, CALL_WITH_FDS, 0, OK, struct.pack(">I", 2) + b"args")
    after = pack(PROGRAM, 1, 2, CALL, 1, OK)
    flow = with_descriptors + b"\0\0" + after
    assert Frames().feed(flow) == [with_descriptors, after]
    frames = Frames()
    found = [message for byte in flow for message in frames.feed(bytes([byte]))]
    assert found == [with_descriptors, after]
    with pytest.raises(ProtocolError):
        Frames().feed(pack(PROGRAM, 1, 1, CALL_WITH_FDS, 0, OK, struct.pack(">I", 33)))
    with pytest.raises(ProtocolError):
        Frames().feed(pack(PROGRAM, 1, 1, CALL_WITH_FDS, 0, OK))


def test_serials_start_at_zero_and_replies_find_their_call() -> None:
    state: ClientState[str] = ClientState()
    first, raw = state.call(PROGRAM, 1, 59, b"", "hostname")
    second, _ = state.call(PROGRAM, 1, 4, b"", "version")
    assert (first, second) == (0, 1)
    assert unpack(raw).serial == 0
    received = state.feed(pack(PROGRAM, 1, 4, REPLY, 1, OK, b"v") + pack(PROGRAM, 1, 59, REPLY, 0, OK, b"h"))
    assert [(item.token, item.message.body) for item in received] == [("version", b"v"), ("hostname", b"h")]
    assert state.tokens() == []


def test_replies_nobody_waits_for_are_dropped() -> None:
    state: ClientState[str] = ClientState()
    serial, _ = state.call(PROGRAM, 1, 59, b"", "hostname")
    state.forget(serial)
    assert state.feed(pack(PROGRAM, 1, 59, REPLY, serial, OK)) == []


def test_a_reply_of_another_procedure_breaks_the_protocol() -> None:
    state: ClientState[str] = ClientState()
    state.call(PROGRAM, 1, 59, b"", "hostname")
    with pytest.raises(ProtocolError):
        state.feed(pack(PROGRAM, 1, 60, REPLY, 0, OK))


def test_a_server_may_not_call() -> None:
    with pytest.raises(ProtocolError):
        ClientState[str]().feed(pack(PROGRAM, 1, 60, CALL, 0, OK))


def test_keepalive_requests_are_answered() -> None:
    state: ClientState[str] = ClientState()
    state.feed(PING)
    assert bytes(state.outgoing) == PONG


def test_events_and_streams() -> None:
    state: ClientState[str] = ClientState()
    serial, _ = state.call(PROGRAM, 1, 201, b"", "console")
    state.open_stream(serial, PROGRAM, 201, "stream")
    raw = pack(PROGRAM, 1, 107, EVENT, 0, OK, b"e") + pack(PROGRAM, 1, 201, STREAM, serial, CONTINUE, b"data")
    event, packet = state.feed(raw)
    assert (event.token, event.message.body) == (None, b"e")
    assert (packet.token, packet.message.body) == ("stream", b"data")
    assert unpack(state.stream_packet(serial, OK, b"")).status == OK
    state.close_stream(serial)
    assert state.feed(pack(PROGRAM, 1, 201, STREAM, serial, CONTINUE, b"late")) == []


def test_errors_travel() -> None:
    raw = error_body(42, 10, "Domain not found: x", 2, "Domain not found: %s", "x\0y")
    code, domain, message, level, _, template, detail, *_ = decode_error(raw, 0)
    assert (code, domain, message, level) == (42, 10, "Domain not found: x", 2)
    assert (template, detail) == ("Domain not found: %s", "x?y")
    with pytest.raises(ProtocolError):
        decode_error(b"", 0)


@given(st.binary(max_size=400))
def test_the_asking_end_survives_any_bytes(raw: bytes) -> None:
    state: ClientState[str] = ClientState()
    state.call(PROGRAM, 1, 1, b"", "one")
    try:
        for at in range(0, len(raw), 7):
            state.feed(raw[at : at + 7])
    except ProtocolError:
        pass
