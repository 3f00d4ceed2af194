"""Events as callbacks and as iterators, in both faces."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator

import pytest

import virtcore
from support import eventually
from toydriver import ONLY, REBOOT, ToyDriver, World
from virtcore.driver import Subscription
from virtcore.driver.loader import registered
from virtcore.errors import InvalidArg, NoSupport, OperationDenied, OperationInvalid, OperationTimeout
from virtcore.operations.events import (
    ConnectionClosedEvent,
    DomainLifecycleEvent,
    DomainRebootEvent,
    Event,
    GapEvent,
    NodeDeviceUpdateEvent,
    QemuMonitorEvent,
    StoragePoolRefreshEvent,
)
from virtcore.types import DomainRef, NodeDeviceRef, StoragePoolRef


@pytest.fixture
def connection(world: World) -> Iterator[virtcore.Connection]:
    with virtcore.connect("toy:///x") as opened:
        yield opened


def test_callbacks_come_in_order_on_one_thread(world: World, connection: virtcore.Connection) -> None:
    got: list[tuple[str, Event, int]] = []
    connection.on_event(lambda event: got.append(("a", event, threading.get_ident())))
    connection.on_event(lambda event: got.append(("b", event, threading.get_ident())), DomainRebootEvent)
    connection.on_event(lambda event: got.append(("c", event, threading.get_ident())), DomainLifecycleEvent)
    for _ in range(3):
        world.emit(REBOOT)
    eventually(lambda: len(got) == 6)
    assert [name for name, _, _ in got] == ["a", "b"] * 3
    assert len({thread for _, _, thread in got}) == 1
    assert threading.get_ident() != got[0][2]


def test_a_sync_call_from_a_callback(world: World, connection: virtcore.Connection) -> None:
    got: list[object] = []

    def callback(event: Event) -> None:
        got.append((connection.hostname(), connection.version(), connection.lib_version()))
        connection.domain(ONLY).set_autostart(True)
        got.append(list(world.steps))

    connection.on_event(callback)
    world.emit(REBOOT)
    eventually(lambda: len(got) == 2)
    assert got == [("toy", 7, 11003000), ["begun", "ended"]]


def test_a_callback_may_close_the_connection(world: World, connection: virtcore.Connection) -> None:
    connection.on_event(lambda event: connection.close())
    world.emit(REBOOT)
    eventually(lambda: world.closed == 1)


def test_a_callback_that_fails_disturbs_nobody(
    world: World, connection: virtcore.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    got: list[Event] = []

    def fail(event: Event) -> None:
        raise ZeroDivisionError

    connection.on_event(fail)
    connection.on_event(got.append)
    world.emit(REBOOT)
    world.emit(REBOOT)
    eventually(lambda: len(got) == 2)
    assert "an event callback failed" in caplog.text


def test_cancelling(world: World, connection: virtcore.Connection) -> None:
    got: list[Event] = []
    subscription = connection.on_event(got.append)
    assert len(world.subscribers) == 1
    subscription.cancel()
    subscription.cancel()
    eventually(lambda: not world.subscribers)
    world.emit(REBOOT)
    connection.hostname()  # by now it would have been delivered
    assert got == []


def test_overflow_is_a_gap(world: World, connection: virtcore.Connection) -> None:
    blocked, entered = threading.Event(), threading.Event()
    got: list[Event] = []

    def slow(event: Event) -> None:
        entered.set()
        blocked.wait(60)
        got.append(event)

    connection.on_event(slow, limit=3)
    world.emit(REBOOT)
    assert entered.wait(60)
    for _ in range(10):
        world.emit(REBOOT)
    connection.hostname()
    blocked.set()
    eventually(lambda: len(got) == 5)
    world.emit(REBOOT)
    eventually(lambda: len(got) == 6)
    assert got == [REBOOT, REBOOT, REBOOT, REBOOT, GapEvent(7), REBOOT]


def test_iterating(world: World, connection: virtcore.Connection) -> None:
    with connection.events(DomainRebootEvent) as events:
        world.emit(REBOOT)
        assert next(events) == REBOOT
        with pytest.raises(OperationTimeout):
            events.get(0.05)
        world.emit(DomainLifecycleEvent(ONLY, 2, 0))  # type: ignore[arg-type]
        world.emit(REBOOT)
        assert events.get(60) == REBOOT
    eventually(lambda: not world.subscribers)
    with pytest.raises(OperationInvalid):
        events.get(60)


def test_iterators_end_with_the_connection(world: World) -> None:
    connection = virtcore.connect("toy:///x")
    events = connection.events(limit=2)
    for _ in range(4):
        world.emit(REBOOT)
    connection.hostname()
    threading.Timer(0.1, connection.close).start()
    assert list(events) == [REBOOT, REBOOT, GapEvent(2)]


def test_a_forgotten_iterator_is_unsubscribed(world: World, connection: virtcore.Connection) -> None:
    events = connection.events()
    assert world.subscribers
    del events
    gc.collect()
    eventually(lambda: not world.subscribers)


def test_a_driver_without_events(world: World) -> None:
    class Silent(ToyDriver):
        def subscribe(self, deliver: object) -> object:  # type: ignore[override]
            raise NoSupport("subscribe")

    with registered("silent", Silent), virtcore.connect("silent:///x") as connection:
        with pytest.raises(NoSupport):
            connection.on_event(print)
        with pytest.raises(NoSupport):
            connection.events()

        async def main() -> None:
            async with virtcore.connect_async("silent:///x") as other:
                with pytest.raises(NoSupport):
                    await other.on_event(print)
                with pytest.raises(NoSupport):
                    await anext(other.events())

        asyncio.run(main())


def test_events_may_come_from_any_thread(world: World, connection: virtcore.Connection) -> None:
    with connection.events() as events:
        (deliver,) = world.subscribers
        deliver(REBOOT)
        assert events.get(60) == REBOOT


def test_async_iterating(world: World) -> None:
    async def main() -> None:
        async with virtcore.connect_async("toy:///x") as connection:
            got = []
            async with connection.events(DomainRebootEvent, limit=3) as events:
                await connection.domain(ONLY).create()  # its event is of another kind
                for _ in range(5):
                    world.emit(REBOOT)
                await connection.hostname()
                async for event in events:
                    got.append(event)
                    if isinstance(event, GapEvent):
                        break
                world.emit(REBOOT)
                got.append(await asyncio.wait_for(anext(events), 60))
            assert got == [REBOOT] * 3 + [GapEvent(2), REBOOT]
            left = connection.events()
            await connection.close()
            assert [event async for event in left] == []

    asyncio.run(main())
    assert not world.subscribers


def test_async_callbacks_come_in_the_subscribers_loop(world: World) -> None:
    async def main() -> None:
        async with virtcore.connect_async("toy:///x") as connection:
            got: list[tuple[Event, int]] = []
            subscription = await connection.on_event(lambda event: got.append((event, threading.get_ident())), limit=3)
            for _ in range(3):
                world.emit(REBOOT)
            async with asyncio.timeout(60):
                while len(got) < 3:
                    await asyncio.sleep(0.005)
            assert got == [(REBOOT, threading.get_ident())] * 3
            subscription.cancel()

    asyncio.run(main())
    eventually(lambda: not world.subscribers)


def test_a_loop_that_is_gone_disturbs_nobody(world: World, connection: virtcore.Connection) -> None:
    kept: list[object] = []

    async def main() -> None:
        other = await virtcore.connect_async("toy:///x")
        await other.on_event(kept.append)
        kept.append(other.events())
        kept.append(other)
        await other.hostname()

    asyncio.run(main())
    events = connection.events()
    world.emit(REBOOT)
    assert events.get(60) == REBOOT


def test_what_is_no_class_of_events_is_refused(connection: virtcore.Connection) -> None:
    with pytest.raises(InvalidArg, match="<class 'int'> is no class of events"):
        connection.on_event(print, int)  # type: ignore[arg-type]
    with pytest.raises(InvalidArg, match="is no class of events"):
        connection.events(REBOOT)  # type: ignore[call-overload]


OTHER = DomainRef("only", "aaaaaaaa-f6a4-8304-79aa-97f2502e193f", 4)
POOL = StoragePoolRef("only", ONLY.uuid)
CLOSED = ConnectionClosedEvent(1)  # type: ignore[arg-type]


def test_events_of_one_object(world: World, connection: virtcore.Connection) -> None:
    renamed = DomainRebootEvent(ONLY._replace(name="renamed", id=9))
    with connection.events(of=connection.domain(ONLY)) as events:
        world.emit(DomainRebootEvent(OTHER))
        world.emit(StoragePoolRefreshEvent(POOL))  # another kind of object, of the same UUID
        world.emit(renamed)
        world.emit(CLOSED)
        assert events.get(60) == renamed
        assert events.get(60) == CLOSED, "that concerns everybody"
    with connection.events(DomainLifecycleEvent, of=ONLY) as events:
        world.emit(REBOOT)
        world.emit(CLOSED)
        started = DomainLifecycleEvent(ONLY, 2, 0)  # type: ignore[arg-type]
        world.emit(started)
        assert events.get(60) == started
    with connection.events(of=NodeDeviceRef("pci")) as events:
        world.emit(NodeDeviceUpdateEvent(NodeDeviceRef("usb")))
        world.emit(NodeDeviceUpdateEvent(NodeDeviceRef("pci")))
        assert events.get(60) == NodeDeviceUpdateEvent(NodeDeviceRef("pci"))


def test_gaps_are_everybodys(world: World, connection: virtcore.Connection) -> None:
    got: list[Event] = []
    connection.on_event(got.append, DomainLifecycleEvent, of=OTHER)
    world.emit(REBOOT)
    world.emit(GapEvent(0))  # a driver that reconnected cannot know how many
    eventually(lambda: got)
    assert got == [GapEvent(0)]


def test_events_of_one_object_in_coroutines(world: World) -> None:
    async def main() -> None:
        async with virtcore.connect_async("toy:///x") as connection:
            got: list[Event] = []
            await connection.on_event(got.append, of=connection.domain(OTHER))
            async with connection.events(of=ONLY) as events:
                world.emit(DomainRebootEvent(OTHER))
                world.emit(REBOOT)
                assert await asyncio.wait_for(anext(events), 60) == REBOOT
                while not got:  # an iterator may look into its queue before the loop comes to the callback
                    await asyncio.sleep(0)
            assert got == [DomainRebootEvent(OTHER)]

    asyncio.run(main())


class MonitoredDriver(ToyDriver):
    listeners: list[Callable[[Event], None]]

    def subscribe_monitor(self, deliver: Callable[[Event], None]) -> Subscription:
        self.listeners.append(deliver)
        return Subscription(lambda: self.listeners.remove(deliver))


def test_what_a_monitor_says_comes_only_to_those_who_ask(world: World) -> None:
    said = QemuMonitorEvent(ONLY, "RTC_CHANGE", 1, 2, None)
    MonitoredDriver.listeners = []
    with registered("monitored", MonitoredDriver):
        with virtcore.connect("monitored:///x") as connection:
            all_events, asked = connection.events(), connection.events(QemuMonitorEvent, DomainRebootEvent)
            assert len(MonitoredDriver.listeners) == 1
            (hear,) = MonitoredDriver.listeners
            hear(said)
            world.emit(REBOOT)
            assert [asked.get(60), asked.get(60)] == [said, REBOOT]
            assert all_events.get(60) == REBOOT
            asked.close()
            eventually(lambda: not MonitoredDriver.listeners)
            assert world.subscribers, "the others still listen"
            with connection.events(QemuMonitorEvent):
                assert len(MonitoredDriver.listeners) == 1
        assert not MonitoredDriver.listeners
        message = "read only access prevents virConnectDomainQemuMonitorEventRegister"
        with virtcore.connect("monitored:///x", readonly=True) as reader, pytest.raises(OperationDenied, match=message):
            reader.events(QemuMonitorEvent)
    with virtcore.connect("toy:///x") as connection:
        with pytest.raises(NoSupport):
            connection.events(QemuMonitorEvent, DomainRebootEvent)
        assert not world.subscribers, "what is refused leaves nothing behind"
