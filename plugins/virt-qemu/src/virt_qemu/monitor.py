"""The one place that talks QMP: a :class:`Monitor` around a connection of :mod:`virt_qemu.qmp`.

Every command has a limit of its own: a QEMU that hangs fails the step that waits for it, not the caller's patience.
Events come in order, through one callback.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtcore._tuples import NamedTuple
from virtcore.errors import InternalError, OperationFailed, OperationTimeout
from virtcore.runtime.threads import loaded

if TYPE_CHECKING:
    from virt_qemu.qmp import Connection, Message

__all__ = ["CommandError", "Event", "EventQueue", "JSON", "Monitor", "MonitorClosed", "MonitorTimeout"]

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]

COMMAND_LIMIT = 30.0
"""Seconds an ordinary command may take."""


class Event(NamedTuple):
    """An event of QEMU's; ``time`` in seconds since the epoch."""

    name: str
    data: dict[str, JSON]
    time: float


class CommandError(InternalError):
    """QEMU refused a command.

    :ivar error_class: QEMU's class of error, such as ``GenericError`` or ``CommandNotFound``.
    :ivar reason: QEMU's description.
    """

    def __init__(self, command: str, error_class: str, reason: str) -> None:
        super().__init__(f"unable to execute QEMU command '{command}': {reason}")
        self.error_class = error_class
        self.reason = reason


class MonitorClosed(OperationFailed):
    """QEMU is gone, or its monitor was closed."""


class MonitorTimeout(OperationTimeout):
    """QEMU did not answer within a command's limit."""


class EventQueue:
    """Events that somebody waits for (:meth:`Monitor.events`)."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event | None) -> None:
        """An event has come; None: none will come any more."""
        if event is None or event.name in self._names:
            self._events.put_nowait(event)

    async def next(self, limit: float | None = None) -> Event | None:
        """The next one; None when none came within ``limit`` seconds.

        :raises MonitorClosed: the channel has ended.
        """
        try:
            async with asyncio.timeout(limit):
                event = await self._events.get()
        except TimeoutError:
            return None
        if event is None:
            self._events.put_nowait(None)
            raise MonitorClosed("domain is not running")
        return event


class Monitor:
    """The control channel to one QEMU.

    :param name: the guest's name, for messages.
    :param on_event: called in the loop with every event, in order; must not block.
    :param on_close: called once when the channel ends, whoever ended it.
    """

    def __init__(
        self,
        name: str,
        on_event: Callable[[Event], None] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._on_event = on_event
        self._on_close = on_close
        self._client: Connection | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._waiting: dict[int, float] = {}
        self._sequence = 0
        self._queues: list[EventQueue] = []

    async def connect(self, address: str | socket.socket, limit: float = COMMAND_LIMIT) -> None:
        """Connect to a socket's path, or take over a connected socket, and negotiate.

        :raises MonitorClosed: QEMU ended or is not there.
        :raises MonitorTimeout: QEMU did not greet within ``limit`` seconds.
        """
        await loaded("virt_qemu.qmp")
        from qemu.qmp import ConnectError

        from virt_qemu.qmp import Connection

        client = Connection(self._deliver)
        try:
            async with asyncio.timeout(limit):
                await client.connect(address)
        except ConnectError as error:
            raise self._closed() from error
        except TimeoutError:
            raise MonitorTimeout(f"QEMU did not greet on its monitor within {limit:g} s") from None
        self._client = client
        self._watcher = asyncio.create_task(self._watch(client))

    async def _watch(self, client: Connection) -> None:
        """Wait until the channel ends or is to be closed, then close it; nobody else does."""
        from qemu.qmp import QMPError, Runstate

        async def ended() -> None:
            while client.runstate is Runstate.RUNNING:
                await client.runstate_changed()

        waiting = [asyncio.ensure_future(each) for each in (ended(), self._closing.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            self._client = None
        try:
            await client.disconnect()
        except (QMPError, OSError, EOFError, ValueError):
            pass  # the reason why it ended; whoever waited for an answer was told
        for queue in self._queues:
            queue.put(None)
        if self._on_close is not None:
            self._on_close()

    def _deliver(self, message: Mapping[str, object]) -> None:
        stamp = message.get("timestamp")
        when = time.time()
        if isinstance(stamp, Mapping):
            when = stamp["seconds"] + stamp["microseconds"] / 1e6
        data = message.get("data")
        event = Event(str(message["event"]), data if isinstance(data, dict) else {}, when)
        for queue in self._queues:
            queue.put(event)
        if self._on_event is not None:
            self._on_event(event)

    @contextmanager
    def events(self, *names: str) -> Iterator[EventQueue]:
        """Collect events of these names from now on, for whoever waits for what a command brings about."""
        queue = EventQueue(frozenset(names))
        if not self.connected:
            queue.put(None)
        self._queues.append(queue)
        try:
            yield queue
        finally:
            self._queues.remove(queue)

    @property
    def connected(self) -> bool:
        """Whether commands can be sent."""
        return self._client is not None

    @property
    def last_id(self) -> str:
        """What libvirt would have called the last command."""
        return f"libvirt-{self._sequence}"

    @property
    def waiting_since(self) -> float | None:
        """Since when (monotonic) the oldest unanswered command waits; None when all are answered."""
        return min(self._waiting.values(), default=None)

    def ask(
        self,
        command: str,
        arguments: Mapping[str, JSON] | None = None,
        *,
        limit: float = COMMAND_LIMIT,
        descriptor: int | None = None,
    ) -> Awaitable[JSON]:
        """Send a command now; its value is to be awaited, with errors as of :meth:`execute`. QEMU answers in order.

        :raises MonitorClosed: the channel has ended.
        """
        client = self._client
        if client is None:
            raise MonitorClosed("domain is not running")
        self._sequence += 1
        number = self._sequence
        try:
            if descriptor is not None:
                client.hand_over(descriptor)
            answer = client.ask(command, arguments)
        except (OSError, EOFError) as error:
            raise self._closed() from error
        self._waiting[number] = time.monotonic()
        late = asyncio.get_running_loop().call_later(limit, _give_up, answer)

        def settled(answer: asyncio.Future[Message]) -> None:
            late.cancel()
            del self._waiting[number]
            if not answer.cancelled():
                answer.exception()  # of several that were asked together, whoever asked may have waited for one

        answer.add_done_callback(settled)
        return _Answer(self, command, limit, answer)

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, JSON] | None = None,
        *,
        limit: float = COMMAND_LIMIT,
        descriptor: int | None = None,
    ) -> JSON:
        """Run a command and return its value.

        :param descriptor: a descriptor that QEMU gets a copy of with it, as ``getfd`` and ``add-fd`` want one.

        :raises CommandError: QEMU refused it.
        :raises MonitorClosed: the channel ended before the answer.
        :raises MonitorTimeout: no answer within ``limit`` seconds; what the command did, if anything, is not known.
        """
        return await self.ask(command, arguments, limit=limit, descriptor=descriptor)

    def _closed(self) -> MonitorClosed:
        return MonitorClosed(f"End of file from qemu monitor (vm='{self.name}')")

    async def give(self, name: str, descriptor: int, *, limit: float = COMMAND_LIMIT) -> None:
        """Hand QEMU a copy of a descriptor, by which ``fd:NAME`` then stands (``getfd``). As :meth:`execute`."""
        await self.execute("getfd", {"fdname": name}, limit=limit, descriptor=descriptor)

    async def close(self) -> None:
        """Close the channel, whose end is then told like any other. QEMU goes on."""
        self._closing.set()
        if self._watcher is not None:
            await self._watcher


class _Answer:
    """The value of a command that was sent."""

    __slots__ = ("_answer", "_command", "_limit", "_monitor")

    def __init__(self, monitor: Monitor, command: str, limit: float, answer: asyncio.Future[Message]) -> None:
        self._monitor = monitor
        self._command = command
        self._limit = limit
        self._answer = answer

    def __await__(self) -> Generator[object, None, JSON]:
        try:
            reply = yield from self._answer
        except TimeoutError:
            raise MonitorTimeout(f"QEMU did not answer '{self._command}' within {self._limit:g} s") from None
        except (OSError, EOFError) as error:
            raise self._monitor._closed() from error
        refusal = reply.get("error")
        if isinstance(refusal, dict):
            raise CommandError(self._command, str(refusal.get("class")), str(refusal.get("desc")))
        return reply["return"]  # type: ignore[return-value]


def _give_up(answer: asyncio.Future[Message]) -> None:
    """Nobody waits for an answer any longer."""
    if not answer.done():
        answer.set_exception(TimeoutError())
