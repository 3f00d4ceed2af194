"""The daemon's side of a connection, call by call, without a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from hypothesis import given, strategies as st

from support import comes
from toyservice import DEFAULT as NETWORK, HostedDriver, ToyNetworks, toy_networks
from virt_remote.protocol import (
    BODY,
    CALL,
    CONTINUE,
    ERROR,
    EVENT,
    OK,
    PING,
    PONG,
    REPLY,
    STREAM,
    decode_error,
    pack,
)
from virt_remote.server.client import MAX_UNSENT
from virt_remote.server.events import monitor_filter
from virtcore.driver.base import Driver, OpenRequest, Place, inline
from virtcore.driver.composition import HostServices
from virtcore.enums import ConnectCloseReason, DomainState
from virtcore.errors import InvalidArg
from virtcore.operations.events import (
    ConnectionClosedEvent,
    DomainRebootEvent,
    NetworkLifecycleEvent,
    QemuMonitorEvent,
    StoragePoolRefreshEvent,
)
from virtcore.operations.procedures import procedure
from virtcore.operations.values import StateInfo
from virtcore.operations.wire.codec import codec
from virtcore.runtime.loop import CoreLoop
from virtcore.runtime.session import Session
from virtcore.types import DomainRef, NetworkRef, StoragePoolRef, TypedParameters

FIRST = DomainRef("first", "6695eb01-f6a4-8304-79aa-97f2502e193f", 1)
SECOND = DomainRef("second", "11111111-2222-4333-8444-555555555555", -1)
REMOTE = 0x20008086

Play = Callable[..., None]


async def refusal(call: Any) -> tuple[int, str]:
    """Code and message of the error that a call is answered with."""
    try:
        await call
    except Exception as error:  # noqa: BLE001  # conftest's RemoteError, a class that cannot be imported from here
        return error.code, str(error)  # type: ignore[attr-defined]
    raise AssertionError("the call was not refused")


def test_before_open(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        assert await peer.call("AUTH_LIST") == ([0],)
        assert await peer.call("CONNECT_SUPPORTS_FEATURE", 10) == (1,)
        assert await refusal(peer.call("CONNECT_SUPPORTS_FEATURE", 14)) == (1, "internal error: connection not open")
        assert await refusal(peer.call("CONNECT_GET_HOSTNAME")) == (1, "internal error: connection not open")
        assert (await refusal(peer.call("AUTH_POLKIT")))[0] == 45
        await peer.call("CONNECT_OPEN", None, 0)
        assert await peer.call("CONNECT_SUPPORTS_FEATURE", 14) == (1,)
        assert await peer.call("CONNECT_SUPPORTS_FEATURE", 8) == (0,)
        assert await refusal(peer.call("CONNECT_OPEN", None, 0)) == (1, "internal error: connection already open")
        await peer.call("CONNECT_CLOSE")
        assert peer.driver.closed

    play(scenario, opened=False)


def test_every_style_and_form(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        assert await peer.call("DOMAIN_GET_STATE", FIRST, 0) == (1, 1)
        assert await peer.call("DOMAIN_GET_INFO", FIRST) == (1, 4, 3, 2, 1)
        assert await peer.call("CONNECT_LIST_ALL_DOMAINS", 1, 0) == ([FIRST, SECOND], 2)
        assert await peer.call("CONNECT_LIST_ALL_DOMAINS", 0, 0) == ([], 2)
        assert await peer.call("CONNECT_NUM_OF_DOMAINS") == (1,)
        assert await peer.call("CONNECT_LIST_DOMAINS", 10) == ([1],)
        assert await peer.call("CONNECT_LIST_DOMAINS", 0) == ([],)
        assert await peer.call("CONNECT_LIST_DEFINED_DOMAINS", 10) == (["second"],)
        assert (await refusal(peer.call("CONNECT_LIST_DOMAINS", 20000)))[0] == 1
        assert await peer.call("DOMAIN_LOOKUP_BY_NAME", "second") == (SECOND,)
        assert await peer.call("DOMAIN_LOOKUP_BY_UUID", SECOND.uuid) == (SECOND,)
        assert await peer.call("DOMAIN_LOOKUP_BY_ID", 1) == (FIRST,)
        assert await peer.call("DOMAIN_GET_SECURITY_LABEL", FIRST) == (b"label\0", 1)
        assert await peer.call("DOMAIN_GET_SECURITY_LABEL_LIST", FIRST) == ([(b"label\0", 1)], 1)

    play(scenario)


def test_a_service_beside_the_driver(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        async def open_session(name: str, readonly: bool) -> Session:
            driver = HostedDriver()
            driver.place = Place(privileged=False)
            core = CoreLoop(asyncio.get_running_loop(), threading.get_ident(), None)
            return Session(core, driver, deadline=None, services=HostServices(driver))

        peer.endpoint.open_session = open_session
        await peer.call("CONNECT_OPEN", None, 0)
        assert await peer.call("CONNECT_LIST_NETWORKS", 10) == (["default"],)
        before = len(peer.transport.sent)
        peer.send("CONNECT_LIST_NETWORKS", 10)
        assert len(peer.transport.sent) == before + 1, "what never waits is answered at once"
        await peer.call("NETWORK_CREATE", NETWORK)
        assert await peer.call("NETWORK_GET_BRIDGE_NAME", NETWORK) == ("virbr0",)
        (instance,) = ToyNetworks.instances
        await peer.call("CONNECT_CLOSE")
        assert instance.closed

    with toy_networks():
        play(scenario, opened=False)


class LightDriver(Driver):
    """Answers lists; the rest is loaded later."""

    name = "LIGHT"
    first: ClassVar[frozenset[str] | None] = frozenset({"connection_list_domains"})
    loaded_in = 0

    @classmethod
    async def open(cls, request: OpenRequest) -> LightDriver:
        return cls()

    @classmethod
    def whole(cls) -> type[Driver]:
        LightDriver.loaded_in = LightDriver.loaded_in or threading.get_ident()
        return WholeDriver

    @inline
    def connection_list_domains(self, flags: int = 0) -> list[DomainRef]:
        return [FIRST, SECOND]


class WholeDriver(LightDriver):
    first = None

    @inline
    def domain_state(self, domain: DomainRef, flags: int = 0) -> StateInfo:
        return StateInfo(DomainState.RUNNING, 1)


def test_the_rest_of_a_driver_is_loaded_beside_the_loop(play: Play) -> None:
    LightDriver.loaded_in = 0

    async def scenario(peer: Any) -> None:
        driver = LightDriver()

        async def open_session(name: str, readonly: bool) -> Session:
            core = CoreLoop(asyncio.get_running_loop(), threading.get_ident(), None)
            return Session(core, driver, deadline=None)

        peer.endpoint.open_session = open_session
        await peer.call("CONNECT_OPEN", None, 0)
        assert await peer.call("CONNECT_LIST_ALL_DOMAINS", 1, 0) == ([FIRST, SECOND], 2)
        assert not LightDriver.loaded_in
        calls = [peer.call("DOMAIN_GET_STATE", FIRST, 0) for _ in range(2)]
        assert list(await asyncio.gather(*calls)) == [(1, 1), (1, 1)]
        assert LightDriver.loaded_in not in (0, threading.get_ident())
        assert type(driver) is WholeDriver
        before = len(peer.transport.sent)
        peer.send("DOMAIN_GET_STATE", FIRST, 0)
        assert len(peer.transport.sent) == before + 1, "what never waits is answered at once"
        assert (await refusal(peer.call("DOMAIN_GET_TIME", FIRST, 0)))[0] == 3, "what it has not got it never has"

    play(scenario, opened=False)


def test_typed_parameters_count_first(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        assert await peer.call("DOMAIN_GET_MEMORY_PARAMETERS", FIRST, 0, 4) == (TypedParameters(), 2)
        assert peer.driver.calls == [("memory", 0)], "the flag for strings is between the ends"
        values, count = await peer.call("DOMAIN_GET_MEMORY_PARAMETERS", FIRST, 2, 4 | 1)
        assert (dict(values.items()), count) == ({"hard_limit": 7, "note": "text"}, 0)
        values, _ = await peer.call("DOMAIN_GET_MEMORY_PARAMETERS", FIRST, 2, 0)
        assert dict(values.items()) == {"hard_limit": 7}, "strings only for who knows them"
        assert (await refusal(peer.call("DOMAIN_GET_MEMORY_PARAMETERS", FIRST, -1, 0)))[0] == 1

    play(scenario)


def test_errors_as_libvirt_sends_them(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        with pytest.raises(Exception, match="Domain not found: no domain with matching name 'x'") as caught:
            await peer.call("DOMAIN_LOOKUP_BY_NAME", "x")
        error: Any = caught.value
        assert (error.code, error.template, error.detail) == (
            42,
            "Domain not found: %1$s",
            "no domain with matching name 'x'",
        )
        unsupported = "this function is not supported by the connection driver: "
        assert await refusal(peer.call("DOMAIN_RESET", FIRST, 0)) == (3, unsupported + "virDomainReset")
        assert await refusal(peer.call("CONNECT_NUM_OF_NETWORKS")) == (3, unsupported + "virConnectNumOfNetworks")
        assert (await refusal(peer.call("DOMAIN_SET_AUTOSTART", FIRST, 1)))[0] == 1

    play(scenario)


def test_readonly(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        forbidden = "operation forbidden: "
        prevented = forbidden + "read only access prevents virDomainCreate"
        assert await refusal(peer.call("DOMAIN_CREATE", FIRST)) == (29, prevented)
        assert await peer.call("DOMAIN_GET_XML_DESC", FIRST, 0) == ("<domain flags='0'/>",)
        secure = forbidden + "virDomainGetXMLDesc with secure flag"
        assert await refusal(peer.call("DOMAIN_GET_XML_DESC", FIRST, 1)) == (29, secure)
        assert (await refusal(peer.call("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)))[0] == 29

    play(scenario, readonly=True)

    async def asked_for(peer: Any) -> None:
        await peer.open(flags=1)
        assert (await refusal(peer.call("DOMAIN_CREATE", FIRST)))[0] == 29

    play(asked_for, opened=False)


def test_what_cannot_be_understood(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        for number, version, wanted in ((1, 1, 1), (REMOTE, 2, 1), (REMOTE, 1, 9999), (REMOTE, 1, 107)):
            peer.client.data_received(pack(number, version, wanted, CALL, 50, OK))
            message = peer.transport.sent.pop()
            assert (message.status, message.serial) == (ERROR, 50)
            assert decode_error(message.data)[0] == 39
        peer.client.data_received(pack(REMOTE, 1, 212, CALL, 51, OK, b"short"))
        assert decode_error(peer.transport.sent.pop().data)[2] == "Unable to decode message payload"
        peer.client.data_received(pack(REMOTE, 1, 212, CALL, 52, ERROR))
        assert peer.transport.sent.pop().status == ERROR
        peer.client.data_received(pack(REMOTE, 1, 212, REPLY, 53, OK) + pack(REMOTE, 1, 212, STREAM, 9, OK))
        assert peer.transport.sent[-1].serial < 50, "neither is answered"
        peer.client.data_received(PING)
        assert peer.transport.sent[-1].procedure == 2
        peer.client.data_received(b"\xff\xff\xff\xff" + bytes(40))
        assert peer.transport.ended == "aborted"

    play(scenario)


def test_slow_calls_do_not_hold_up_others(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        slow = [peer.send("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0) for _ in range(5 - 1)]
        assert await peer.call("DOMAIN_GET_STATE", FIRST, 0) == (1, 1)
        assert peer.transport.reading
        slow.append(peer.send("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0))
        assert not peer.transport.reading, "no more calls until one ends"
        peer.driver.release.set()
        for serial in slow:
            assert (await peer.reply(serial)).status == OK
        await comes(lambda: peer.transport.reading)

    play(scenario)


def test_a_list_too_long_for_the_wire(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        peer.driver.domains = [FIRST] * 16385
        refused = await refusal(peer.call("CONNECT_LIST_ALL_DOMAINS", 1, 0))
        assert refused == (39, "Unable to encode message payload")
        assert await peer.call("CONNECT_LIST_ALL_DOMAINS", 0, 0) == ([], 16385)

    play(scenario)


def test_many_calls_in_one_piece(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        body = codec("remote", "remote_domain_reboot_args").encode((FIRST, 0))
        flow = b"".join(pack(REMOTE, 1, 27, CALL, serial, OK, body) for serial in range(100, 120))
        peer.client.data_received(flow)
        assert not peer.transport.reading
        for serial in range(100, 120):
            assert (await peer.reply(serial)).status == OK
        await comes(lambda: peer.transport.reading)  # all of them end in one turn of the loop

    play(scenario)


def test_a_change_has_a_worker_while_it_runs_and_waits_for_one(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        workers = peer.endpoint.workers
        peer.driver.release.set()
        places = [await workers.acquire(False) for _ in range(100)]
        waiting = peer.send("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0)
        await asyncio.sleep(0)
        assert workers.queued == 1
        workers.release(places.pop())
        assert (await peer.reply(waiting)).status == OK
        for place in places:
            workers.release(place)
        peer.driver.release.clear()
        running = peer.send("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0)
        assert workers.free == workers.current - 1
        peer.driver.release.set()
        assert (await peer.reply(running)).status == OK
        assert workers.free == workers.current

    play(scenario)


def test_what_takes_long_is_answered_later(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        long = peer.send("DOMAIN_GET_XML_DESC", FIRST, 8)
        assert await peer.call("DOMAIN_GET_XML_DESC", FIRST, 2) == ("<domain flags='2'/>",)
        peer.driver.release.set()
        assert b"<domain flags='8'/>" in (await peer.reply(long)).data
        assert (await refusal(peer.call("DOMAIN_GET_XML_DESC", SECOND, 8)))[1].startswith("Domain not found")
        assert peer.endpoint.workers.free == peer.endpoint.workers.current

    play(scenario)


def test_a_client_that_leaves_in_the_middle(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        peer.send("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0)
        await asyncio.sleep(0)
        await peer.leave()
        peer.endpoint.last.clear()
        assert not peer.driver.closed, "the change goes on"
        peer.driver.release.set()
        await comes(lambda: peer.driver.closed)

    play(scenario)


def test_leaving_interrupts_neither_opening_nor_closing(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        slow = asyncio.Event()
        closed: list[str] = []

        async def close() -> None:
            await slow.wait()
            closed.append("whole")

        peer.driver.close = close
        peer.send("CONNECT_CLOSE")
        await asyncio.sleep(0)
        peer.client.connection_lost(None)
        await asyncio.sleep(0.01)
        slow.set()
        await comes(lambda: closed)
        assert closed == ["whole"]

    play(scenario)


def events(peer: Any, name: str) -> list[Any]:
    row = procedure("remote." + name)
    return [
        codec("remote", row.args or "").decode(message.data, BODY)[0]
        for message in peer.transport.sent
        if message.type == EVENT and message.procedure == row.number
    ]


def test_events_with_and_without_callback_id(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        (reboot,) = await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 1, SECOND)
        (lifecycle,) = await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 0, None)
        await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 27, None)
        await peer.call("CONNECT_DOMAIN_EVENT_REGISTER_ANY", 0)
        peer.driver.release.set()
        await peer.call("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0)
        assert events(peer, "DOMAIN_EVENT_CALLBACK_LIFECYCLE") == [(lifecycle, (FIRST, 2, 0))]
        assert events(peer, "DOMAIN_EVENT_LIFECYCLE") == [(FIRST, 2, 0)]
        peer.driver.emit(DomainRebootEvent(FIRST))
        peer.driver.emit(DomainRebootEvent(SECOND))
        assert events(peer, "DOMAIN_EVENT_CALLBACK_REBOOT") == [(reboot, (SECOND,))]
        await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY", lifecycle)
        await peer.call("CONNECT_DOMAIN_EVENT_DEREGISTER_ANY", 0)
        await peer.call("DOMAIN_CREATE_WITH_FLAGS", FIRST, 0)
        assert len(events(peer, "DOMAIN_EVENT_CALLBACK_LIFECYCLE")) == 1
        assert (await refusal(peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY", lifecycle)))[0] == 1
        assert (await refusal(peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 28, None)))[0] == 1
        nobody = DomainRef("nobody", "99999999-2222-4333-8444-555555555555", -1)
        assert (await refusal(peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 0, nobody)))[0] == 42
        assert await peer.call("CONNECT_DOMAIN_EVENT_REGISTER") == (1,)
        assert await peer.call("CONNECT_DOMAIN_EVENT_DEREGISTER") == (0,)
        await peer.call("CONNECT_REGISTER_CLOSE_CALLBACK")
        await peer.call("CONNECT_UNREGISTER_CLOSE_CALLBACK")

    play(scenario)


def test_events_of_other_families(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        network = NetworkRef("net", FIRST.uuid)
        (mine,) = await peer.call("CONNECT_NETWORK_EVENT_REGISTER_ANY", 0, network)
        (refreshed,) = await peer.call("CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY", 1, None)
        peer.driver.emit(NetworkLifecycleEvent(network._replace(uuid=SECOND.uuid), 2))  # type: ignore[arg-type]
        peer.driver.emit(NetworkLifecycleEvent(network, 2))  # type: ignore[arg-type]
        pool = StoragePoolRef("pool", FIRST.uuid)
        peer.driver.emit(StoragePoolRefreshEvent(pool))
        assert events(peer, "NETWORK_EVENT_LIFECYCLE") == [(mine, network, 2, 0)]
        assert events(peer, "STORAGE_POOL_EVENT_REFRESH") == [(refreshed, pool)]
        code, message = await refusal(peer.call("CONNECT_NETWORK_EVENT_DEREGISTER_ANY", refreshed))
        assert (code, message) == (1, f"internal error: network event callback {refreshed} not registered")
        code, message = await refusal(peer.call("CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY", 7, None))
        assert (code, message) == (1, "internal error: unsupported node device event ID 7")
        await peer.call("CONNECT_NETWORK_EVENT_DEREGISTER_ANY", mine)
        await peer.call("CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY", refreshed)
        assert peer.driver.subscribers == []

    play(scenario)


def test_a_client_is_told_once_that_the_hypervisor_has_gone(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        await peer.call("CONNECT_REGISTER_CLOSE_CALLBACK")
        _, message = await refusal(peer.call("CONNECT_REGISTER_CLOSE_CALLBACK"))
        assert message == "invalid argument: A close callback is already registered"
        peer.driver.emit(ConnectionClosedEvent(ConnectCloseReason.KEEPALIVE))
        assert events(peer, "CONNECT_EVENT_CONNECTION_CLOSED") == [(2,)]
        await peer.call("CONNECT_UNREGISTER_CLOSE_CALLBACK")
        peer.driver.emit(ConnectionClosedEvent(ConnectCloseReason.EOF))
        assert len(events(peer, "CONNECT_EVENT_CONNECTION_CLOSED")) == 1
        _, message = await refusal(peer.call("CONNECT_UNREGISTER_CLOSE_CALLBACK"))
        assert message == "invalid argument: A different callback was requested"

    play(scenario)


@pytest.mark.parametrize(
    ("name", "flags", "heard"),
    [
        (None, 0, ["RTC_CHANGE", "RESET", "rtc"]),
        ("RTC_CHANGE", 0, ["RTC_CHANGE"]),
        ("RTC", 0, []),
        ("reset", 2, ["RESET"]),
        ("^R.*E", 1, ["RTC_CHANGE", "RESET"]),
        ("rtc", 3, ["RTC_CHANGE", "rtc"]),
    ],
)
def test_what_monitors_say_is_chosen_by_name(name: str | None, flags: int, heard: list[str]) -> None:
    wanted = monitor_filter(name, flags)
    said = [QemuMonitorEvent(FIRST, event, 1, 2, None) for event in ("RTC_CHANGE", "RESET", "rtc")]
    assert [event.event for event in said if wanted is None or wanted(event)] == heard


def test_monitor_filters_that_make_no_sense() -> None:
    for pattern in ("(", "(" * 5000, "a{99999999999}"):
        with pytest.raises(InvalidArg, match="failed to compile regex"):
            monitor_filter(pattern, 1)
    with pytest.raises(InvalidArg, match="unsupported flags"):
        monitor_filter("x", 4)


def test_a_client_that_never_reads(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        await peer.call("CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY", 1, None)
        peer.client.pause_writing()
        assert not peer.transport.reading, "who does not take replies may not ask"
        peer.driver.emit(DomainRebootEvent(FIRST))
        assert peer.transport.ended == ""
        peer.transport.unsent = MAX_UNSENT + 1
        peer.driver.emit(DomainRebootEvent(FIRST))
        assert peer.transport.ended == "aborted"

    play(scenario)


def test_a_silent_client_is_asked_and_let_go(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        assert await peer.call("CONNECT_SUPPORTS_FEATURE", 10) == (1,)

        def asked() -> int:
            return sum(message.program == 0x6B656570 and message.procedure == 1 for message in peer.transport.sent)

        for question in range(1, 6):
            await comes(lambda wanted=question: asked() >= wanted)  # type: ignore[misc]
            assert peer.transport.ended == "", "who answers stays"
            peer.client.data_received(PONG)
        await comes(lambda: peer.transport.ended == "aborted")

    play(scenario)


def packets(peer: Any, serial: int) -> list[tuple[int, bytes]]:
    return [
        (message.status, message.body)
        for message in peer.transport.sent
        if message.type == STREAM and message.serial == serial
    ]


def packet(peer: Any, serial: int, status: int, data: bytes = b"") -> None:
    peer.client.data_received(pack(REMOTE, 1, 201, STREAM, serial, status, data))


def test_a_stream_both_ways(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        serial = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        assert (await peer.reply(serial)).status == OK
        packet(peer, serial, CONTINUE, b"hello")
        packet(peer, serial, CONTINUE, b"world")
        await comes(lambda: len(packets(peer, serial)) == 2)
        assert packets(peer, serial) == [(CONTINUE, b"hello"), (CONTINUE, b"world")]
        packet(peer, serial, CONTINUE, b"end")
        await comes(lambda: len(packets(peer, serial)) == 3)
        assert packets(peer, serial)[-1] == (CONTINUE, b""), "the end of data"
        packet(peer, serial, OK)
        await comes(lambda: len(packets(peer, serial)) == 4)
        assert packets(peer, serial)[-1] == (OK, b"")
        assert peer.driver.streams[0].ended == "finished"
        packet(peer, serial, CONTINUE, b"late")
        await asyncio.sleep(0.01)
        assert len(packets(peer, serial)) == 4

    play(scenario)


def test_a_stream_that_fails_and_one_that_is_aborted(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        serial = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await peer.reply(serial)
        packet(peer, serial, CONTINUE, b"fail")
        await comes(lambda: len(packets(peer, serial)) == 1)
        status, _ = packets(peer, serial)[0]
        assert status == ERROR
        assert peer.driver.streams[0].ended == "aborted"
        other = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await peer.reply(other)
        packet(peer, other, ERROR)
        await comes(lambda: len(packets(peer, other)) == 1)
        assert packets(peer, other) == [(OK, b"")], "the abort is confirmed"
        third = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await peer.reply(third)

    play(scenario)


def test_a_serial_that_is_used_twice_leaves_no_stream_behind(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        serial = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await peer.reply(serial)
        peer.serial = serial
        peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await comes(lambda: len(peer.driver.streams) == 2)
        before, now = peer.driver.streams
        await comes(lambda: before.ended == "aborted")
        packet(peer, serial, CONTINUE, b"hello")
        await comes(lambda: bool(packets(peer, serial)))
        assert packets(peer, serial) == [(CONTINUE, b"hello")]
        await peer.leave()
        peer.endpoint.last.clear()
        assert now.ended == "aborted"

    play(scenario)


def test_a_slow_stream_stops_the_reading(play: Play) -> None:
    async def scenario(peer: Any) -> None:
        serial = peer.send("DOMAIN_OPEN_CONSOLE", FIRST, None, 0)
        await peer.reply(serial)
        stream = peer.driver.streams[0]
        gate = asyncio.Event()

        async def write(data: bytes) -> None:
            await gate.wait()

        stream.write = write
        for _ in range(8):
            packet(peer, serial, CONTINUE, bytes(262120))
        await comes(lambda: not peer.transport.reading)
        gate.set()
        await comes(lambda: peer.transport.reading)

    play(scenario)


OPENING = b"".join(
    [
        pack(REMOTE, 1, 66, CALL, 0, OK),
        pack(REMOTE, 1, 60, CALL, 1, OK, b"\0\0\0\x0a"),
        pack(REMOTE, 1, 1, CALL, 2, OK, b"\0\0\0\0" + b"\0\0\0\0"),
    ]
)
LATER = [
    pack(REMOTE, 1, 273, CALL, 3, OK, bytes(8)),
    pack(REMOTE, 1, 212, CALL, 4, OK, codec("remote", "remote_domain_get_state_args").encode((FIRST, 0))),
    pack(
        REMOTE, 1, 198, CALL, 5, OK, codec("remote", "remote_domain_get_memory_parameters_args").encode((FIRST, 9, 0))
    ),
    pack(REMOTE, 1, 201, CALL, 6, OK, codec("remote", "remote_domain_open_console_args").encode((FIRST, None, 0))),
    pack(REMOTE, 1, 201, STREAM, 6, CONTINUE, b"data"),
    pack(REMOTE, 1, 201, STREAM, 6, OK),
    pack(REMOTE, 1, 316, CALL, 7, OK, bytes(8)),
    PING,
]


def fuzz(peer: Any, changes: list[tuple[int, int]], pieces: list[int]) -> None:
    flow = bytearray(b"".join(LATER))
    for at, value in changes:
        flow[at % len(flow)] = value
    at = 0
    for size in [*pieces, len(flow)]:
        peer.client.data_received(bytes(flow[at : at + size]))
        at += size
        if peer.transport.ended:
            return


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=12),
    st.lists(st.integers(1, 200), max_size=8),
)
def test_mutated_messages_never_break_the_daemon(changes: list[tuple[int, int]], pieces: list[int]) -> None:
    from remote.conftest import Peer  # the fixture would be shared between examples

    async def main() -> None:
        peer = Peer()
        peer.client.data_received(OPENING)
        await peer.reply(2)
        fuzz(peer, changes, pieces)
        await asyncio.sleep(0)
        await peer.leave()
        # Another client is served as if nothing had happened.
        other = await Peer().open()
        assert await other.call("DOMAIN_GET_STATE", FIRST, 0) == (1, 1)
        await other.leave()

    asyncio.run(main())
