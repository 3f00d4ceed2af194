"""The connection to a guest's agent."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from virt_qemu.agent.protocol import AgentProtocol, value_of
from virt_qemu.resources import connect_socket
from virtcore.errors import AgentCommandTimeout, AgentUnresponsive, OperationTimeout, VirtError

if TYPE_CHECKING:
    from virt_qemu.monitor import JSON

__all__ = ["BLOCK", "DEFAULT", "NOWAIT", "SHUTDOWN_LIMIT", "Agent"]

BLOCK: Final = -2
"""Wait as long as it takes."""
DEFAULT: Final = -1
"""Wait for libvirt's usual time."""
NOWAIT: Final = 0
"""Do not wait."""

_USUAL = 5
"""Seconds of :data:`DEFAULT`, and those that an agent has to synchronize."""
SHUTDOWN_LIMIT = 60
"""Seconds a guest that was told to go has until it does."""
_LONGEST = 3600.0
"""Seconds that even those wait who wait as long as it takes: whoever holds the agent's lock must end some time."""
_LOCK_LIMIT = 30.0
"""Seconds to wait for whoever talks to the agent."""

log = logging.getLogger(__name__)


class _Gone(AgentUnresponsive):
    """The agent is not there any more."""

    def __init__(self) -> None:
        super().__init__("Guest agent disappeared while executing command")


class Agent:
    """A guest's agent, which is asked one thing at a time.

    :param name: the guest's name, for messages.
    :param on_close: called in the loop when the connection has ended by itself.
    :ivar timeout: seconds it has for an answer, or :data:`BLOCK`, :data:`DEFAULT`, :data:`NOWAIT`.
    """

    def __init__(self, name: str, timeout: int = BLOCK, on_close: Callable[[], None] | None = None) -> None:
        self.name = name
        self.timeout = timeout
        self._on_close = on_close
        self._protocol = AgentProtocol()
        self._lock = asyncio.Lock()
        self._holder = ""
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[dict[str, JSON]] | None = None
        self._expected: tuple[frozenset[str], asyncio.Future[str]] | None = None
        self._number = time.time_ns() // 1_000_000

    async def connect(self, path: str) -> None:
        """Connect to the channel's socket.

        :raises OSError: it is not there.
        """
        self._reader, self._writer = await asyncio.open_unix_connection(sock=connect_socket(path))
        self._listening = asyncio.create_task(self._listen(self._reader))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take what comes until the connection ends."""
        try:
            while data := await reader.read(1 << 16):
                try:
                    for reply in self._protocol.receive(data):
                        if self._answer is not None and not self._answer.done():
                            self._answer.set_result(reply)
                except VirtError as error:
                    if self._answer is not None and not self._answer.done():
                        self._answer.set_exception(error)
        except OSError as error:
            log.debug("agent of domain '%s': %s", self.name, error)
        self._broken()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        if self._on_close is not None:
            self._on_close()

    def _broken(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(_Gone())
        if self._expected is not None and not self._expected[1].done():
            self._expected[1].set_exception(_Gone())

    async def close(self) -> None:
        """End the connection; who waits for an answer is told."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
        self._broken()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def notify(self, event: str) -> None:
        """QEMU told something that an answer may be waited for by."""
        if self._expected is not None and event in self._expected[0] and not self._expected[1].done():
            self._expected[1].set_result(event)

    # -- asking

    async def execute(
        self, command: str, arguments: Mapping[str, JSON] | None = None, *, timeout: int | None = None
    ) -> JSON:
        """Run a command and return its value.

        :param timeout: as :attr:`timeout`, which it is by default.
        :raises AgentCommandError: the agent refused it.
        :raises AgentCommandTimeout: there was no answer in time.
        :raises AgentUnresponsive: the agent is not there, or has gone.
        """
        return value_of(command, await self._exchange(command, arguments, timeout))

    async def execute_as_is(self, question: Mapping[str, JSON], *, timeout: int | None = None) -> dict[str, JSON]:
        """Send a command that somebody has put together, and return the whole reply.

        :raises AgentCommandTimeout: there was no answer in time.
        :raises AgentUnresponsive: the agent is not there, or has gone.
        """
        command = str(question.get("execute", ""))
        async with _Held(self, command):
            await self._get_in_step()
            return await self._send(self._protocol.ask_as_is(command, dict(question)), self._seconds(timeout), False)

    async def execute_until(self, command: str, arguments: Mapping[str, JSON] | None, *events: str) -> None:
        """Run a command whose success is an event of QEMU's; an answer need not come.

        That the agent goes means that it was done.

        :raises AgentCommandError: the agent refused it.
        :raises AgentUnresponsive: nothing happened in time.
        """
        async with _Held(self, command):
            await self._get_in_step()
            happened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            happened.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._expected = frozenset(events), happened
            replied = asyncio.ensure_future(
                self._send(self._protocol.ask(command, arguments), float(SHUTDOWN_LIMIT), False)
            )
            try:
                await asyncio.wait((happened, replied), return_when=asyncio.FIRST_COMPLETED)
                if happened.done() and happened.exception() is None:
                    return
                value_of(command, await replied)  # a refusal is told at once; what else it says is not what is awaited
                async with asyncio.timeout(SHUTDOWN_LIMIT):
                    await happened
            except _Gone:
                return  # with the guest, as it was told to
            except TimeoutError:
                raise _silent(False, SHUTDOWN_LIMIT) from None
            finally:
                self._expected = None
                replied.cancel()
                with suppress(asyncio.CancelledError, VirtError):
                    await replied

    async def _exchange(
        self, command: str, arguments: Mapping[str, JSON] | None, timeout: int | None
    ) -> dict[str, JSON]:
        async with _Held(self, command):
            await self._get_in_step()
            return await self._send(self._protocol.ask(command, arguments), self._seconds(timeout), False)

    async def _get_in_step(self) -> None:
        if self._protocol.in_step:
            return
        self._number += 1
        limit = self.timeout if 0 <= self.timeout < _USUAL else _USUAL
        await self._send(self._protocol.synchronize(self._number), float(limit), True)

    def _seconds(self, timeout: int | None) -> float:
        chosen = self.timeout if timeout is None else timeout
        return _LONGEST if chosen == BLOCK else float(_USUAL if chosen == DEFAULT else chosen)

    async def _send(self, data: bytes, limit: float, synchronizing: bool) -> dict[str, JSON]:
        """Send a question and wait for its answer."""
        writer = self._writer
        if writer is None or self._listening is None or self._listening.done():
            raise _Gone()
        self._answer = asyncio.get_running_loop().create_future()
        answered = False
        try:
            async with asyncio.timeout(limit):
                writer.write(data)
                await writer.drain()
                reply = await self._answer
            answered = True
            return reply
        except TimeoutError:
            raise _silent(synchronizing, int(limit)) from None
        except OSError as error:
            raise _Gone() from error
        finally:
            self._answer = None
            if not answered:
                self._protocol.give_up()


class _Held:
    """The right to talk to an agent."""

    def __init__(self, agent: Agent, command: str) -> None:
        self._agent = agent
        self._command = command

    async def __aenter__(self) -> None:
        agent = self._agent
        try:
            async with asyncio.timeout(_LOCK_LIMIT):
                await agent._lock.acquire()
        except TimeoutError:
            raise OperationTimeout(f"cannot acquire state change lock (held by agent={agent._holder})") from None
        agent._holder = self._command

    async def __aexit__(self, *_: object) -> None:
        self._agent._lock.release()


def _silent(synchronizing: bool, limit: int) -> VirtError:
    if synchronizing:
        return AgentUnresponsive(f"guest agent didn't respond to synchronization within '{limit}' seconds")
    return AgentCommandTimeout(f"guest agent didn't respond to command within '{limit}' seconds")  # it may yet do it
