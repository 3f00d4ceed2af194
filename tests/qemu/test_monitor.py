"""The monitor against a server that says what the test wants. Needs no QEMU."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from virt_qemu.monitor import CommandError, Event, Monitor, MonitorClosed, MonitorTimeout

VERSION = {"qemu": {"major": 9, "minor": 0, "micro": 0}, "package": ""}
GREETING = {"QMP": {"version": VERSION, "capabilities": []}}


class Server:
    """The other end of a monitor."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._input = ""

    async def open(self, *, greet: bool = True) -> None:
        self.reader, self.writer = await asyncio.open_connection(sock=self._end)
        if greet:
            self.send(GREETING)
            request = await self.request()
            assert request["execute"] == "qmp_capabilities"
            self.answer(request, {})

    def send(self, message: dict) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")

    def answer(self, request: dict, value: object) -> None:
        reply = {"return": value}
        if "id" in request:
            reply["id"] = request["id"]
        self.send(reply)

    async def request(self) -> dict:
        """The next command; commands follow each other without anything between."""
        while True:
            try:
                request, end = json.JSONDecoder().raw_decode(self._input)
            except json.JSONDecodeError:
                data = await self.reader.read(4096)
                assert data, "the monitor was closed"
                self._input = (self._input + data.decode()).lstrip()
            else:
                self._input = self._input[end:].lstrip()
                return request

    def close(self) -> None:
        self.writer.close()


def run(test, **options):
    """Run a test with a connected monitor, its server and what it has told."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        told: list[Event | str] = []
        monitor = Monitor("guest", told.append, lambda: told.append("closed"))
        server = Server(theirs)
        opening = asyncio.create_task(server.open(**options))
        if options.get("greet", True):
            await monitor.connect(ours, 5)
            await opening
        try:
            async with asyncio.timeout(60):
                await test(monitor, server, told, ours)
        finally:
            await monitor.close()
            opening.cancel()
            if hasattr(server, "writer"):
                server.close()
            ours.close()

    asyncio.run(main())


def test_commands_run_side_by_side():
    async def test(monitor, server, told, ours):
        first = asyncio.create_task(monitor.execute("one", {"a": 1}))
        second = asyncio.create_task(monitor.execute("two"))
        one, two = await server.request(), await server.request()
        assert (one["execute"], one["arguments"]) == ("one", {"a": 1})
        assert monitor.waiting_since is not None
        server.answer(two, [2])
        server.answer(one, {"x": 1})
        assert await second == [2]
        assert await first == {"x": 1}
        assert monitor.waiting_since is None

    run(test)


def test_commands_are_as_short_as_they_can_be():
    """QEMU reads them byte by byte."""

    async def test(monitor, server, told, ours):
        for _ in range(2):  # identifiers are used again
            asked = asyncio.create_task(monitor.execute("query-kvm", {}))
            assert await server.reader.read(100) == b'{"execute":"query-kvm","id":0}'
            server.send({"return": {}, "id": 0})
            assert await asked == {}
        with pytest.raises(MonitorTimeout):
            await monitor.execute("query-kvm", limit=0.05)
        late = await server.request()
        asked = asyncio.create_task(monitor.execute("qom-list", {"path": "/"}))
        request = await server.request()
        assert request["id"] != late["id"]  # which is still to be answered
        server.answer(request, [])
        assert await asked == []

    run(test)


@pytest.mark.parametrize("answer", [{"return": {}, "id": 7}, {"return": {}}, {"error": "no", "id": 0}, ["no"]])
def test_an_answer_that_makes_no_sense_ends_the_channel(answer):
    async def test(monitor, server, told, ours):
        asked = asyncio.create_task(monitor.execute("query-status"))
        await server.request()
        server.send(answer)
        with pytest.raises(MonitorClosed):
            await asked
        while "closed" not in told:
            await asyncio.sleep(0.01)

    run(test)


def test_what_was_asked_is_told_before_what_comes_after():
    async def test(monitor, server, told, ours):
        async def ask():
            told.append(await monitor.execute("cont"))

        asked = asyncio.create_task(ask())
        request = await server.request()
        stamp = {"seconds": 1, "microseconds": 0}
        server.send({"event": "BEFORE", "timestamp": stamp})
        server.answer(request, "answer")
        server.send({"event": "AFTER", "timestamp": stamp})
        await asked
        while len(told) < 3:
            await asyncio.sleep(0.01)
        assert [each if isinstance(each, str) else each.name for each in told] == ["BEFORE", "answer", "AFTER"]

    run(test)


def test_a_refusal_tells_qemus_reason_and_no_arguments():
    async def test(monitor, server, told, ours):
        asked = asyncio.create_task(monitor.execute("set_password", {"password": "secret"}))
        request = await server.request()
        server.send({"error": {"class": "GenericError", "desc": "no such display"}, "id": request["id"]})
        with pytest.raises(CommandError) as caught:
            await asked
        message = "internal error: unable to execute QEMU command 'set_password': no such display"
        assert str(caught.value) == message
        assert caught.value.error_class == "GenericError"
        assert "secret" not in repr(caught.value)

    run(test)


def test_events_come_in_order_and_before_the_end():
    async def test(monitor, server, told, ours):
        for number in range(50):
            server.send({"event": f"E{number}", "data": {}, "timestamp": {"seconds": number, "microseconds": 500_000}})
        server.close()
        while "closed" not in told:
            await asyncio.sleep(0.01)
        assert [event.name for event in told[:-1]] == [f"E{number}" for number in range(50)]
        assert told[3].time == 3.5
        assert told[-1] == "closed"
        assert not monitor.connected
        with pytest.raises(MonitorClosed, match="domain is not running"):
            await monitor.execute("query-status")

    run(test)


def test_an_answer_that_does_not_come():
    async def test(monitor, server, told, ours):
        with pytest.raises(MonitorTimeout, match=r"QEMU did not answer 'query-status' within 0\.05 s"):
            await monitor.execute("query-status", limit=0.05)
        late = await server.request()
        asked = asyncio.create_task(monitor.execute("query-kvm"))
        server.answer(late, "too late")
        server.answer(await server.request(), "in time")
        assert await asked == "in time"

    run(test)


def test_the_end_fails_who_waits():
    async def test(monitor, server, told, ours):
        asked = asyncio.create_task(monitor.execute("query-status"))
        await server.request()
        server.close()
        with pytest.raises(MonitorClosed, match=r"End of file from qemu monitor \(vm='guest'\)"):
            await asked

    run(test)


def test_whoever_asks_while_it_ends_is_told():
    async def test(monitor, server, told, ours):
        asked = []
        server.close()
        while monitor.connected:
            asked.append(asyncio.create_task(monitor.execute("query-status", limit=15)))
            await asyncio.sleep(0)
        assert {type(answer) for answer in await asyncio.gather(*asked, return_exceptions=True)} == {MonitorClosed}

    run(test)


def test_no_greeting():
    async def test(monitor, server, told, ours):
        with pytest.raises(MonitorTimeout, match="did not greet"):
            await monitor.connect(ours, 0.05)

    run(test, greet=False)


def test_words_that_are_no_qmp():
    async def test(monitor, server, told, ours):
        while not hasattr(server, "writer"):
            await asyncio.sleep(0)
        server.writer.write(b"Segmentation fault\n")
        with pytest.raises(MonitorClosed):
            await monitor.connect(ours, 5)

    run(test, greet=False)
