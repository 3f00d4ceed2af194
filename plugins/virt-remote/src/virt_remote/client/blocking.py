"""A connection driven by the thread that uses it, over a blocking socket, without asyncio.

Opening is always done so. A thread may go on like this; when it wants events, or another thread wants the connection,
the core loop takes over the link and the state of the conversation (:meth:`RemoteDriver.adopt
<virt_remote.client.driver.RemoteDriver.adopt>`), replies that are still to come included.
"""

from __future__ import annotations

import time
from _thread import TIMEOUT_MAX, allocate_lock

from virt_remote.client.credentials import Asker
from virt_remote.client.link import Expired, Link, Waker, Woken
from virt_remote.client.reach import reach
from virt_remote.client.steps import Flow, Request, Steps, ask, remote_error
from virt_remote.descriptors import close_all
from virt_remote.protocol import (
    ERROR,
    EVENT,
    KEEPALIVE_PING,
    KEEPALIVE_PONG,
    KEEPALIVE_PROGRAM,
    PING,
    REPLY_WITH_FDS,
    ClientState,
    ProtocolError,
)
from virtcore import errors
from virtcore._typing import Any, Callable, Self, TypeVar
from virtcore.errors import RPC, InternalError, VirtError
from virtcore.operations.procedures import program

__all__ = ["BlockingClient", "Opening", "Pending", "Successor"]

V = TypeVar("V")

#: Makes a call for a thread that has handed its connection over, and waits for the reply until the given time.
Successor = Callable[[Request, float | None], bytes]


class Pending:
    """A reply that a thread waits for."""

    __slots__ = ("_ended", "error", "result")

    def __init__(self) -> None:
        self.result: bytes | None = None
        self.error: VirtError | None = None
        self._ended = allocate_lock()
        self._ended.acquire()

    def done(self) -> bool:
        """Whether it came, or will not."""
        return self.result is not None or self.error is not None

    def set_result(self, result: bytes, /) -> None:
        """The reply came."""
        self.result = result
        self._ended.release()

    def set_exception(self, exception: VirtError, /) -> None:
        """The call failed."""
        self.error = exception
        self._ended.release()

    def wait(self, end: float | None) -> bool:
        """Wait while others receive; whether it came in time."""
        seconds = -1.0 if end is None else min(max(end - time.monotonic(), 0), TIMEOUT_MAX)
        if self._ended.acquire(timeout=seconds):
            self._ended.release()
            return True
        return False


class BlockingClient:
    """An open connection.

    :ivar uri: its URI, as the daemon has it where it chose.
    :ivar state: the conversation, for whoever takes over.
    """

    def __init__(self, steps: Steps, link: Link) -> None:
        self.steps = steps
        self.link = link
        self.uri = ""
        self.state: ClientState[Any] = ClientState()
        self.lost: VirtError | None = None
        self._closed = False
        #: What came of the question whether the daemon lives; None while nothing did.
        self._answered: bool | None = None
        #: Held while a thread uses the link.
        self._gate = allocate_lock()
        self._waker: Waker | None = None
        #: Makes the calls from when somebody took over.
        self.successor: Successor | None = None
        #: Seconds of silence after which the daemon is asked whether it lives, and how often.
        self.keepalive: tuple[int, int] | None = None

    @classmethod
    def open(cls, steps: Steps, asker: Asker | None, end: float | None = None) -> Self:
        """Connect, authenticate and open.

        :param end: when (monotonic clock) to give up.
        :raises VirtError: it cannot be reached, or does not let us in.
        """
        client = cls(steps, reach(steps.address, asker, end))
        try:
            client.uri = client.drive(steps.open(client.link, asker), end)
        except BaseException:
            client.link.close()
            raise
        return client

    def drive(self, flow: Flow[V], end: float | None = None) -> V:
        """Make a conversation's calls.

        :raises Expired: the daemon did not answer in time; what it was asked may go on.
        """
        try:
            request = next(flow)
            while True:
                try:
                    reply = self._exchange(request, end)
                except VirtError as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(reply)
        except StopIteration as done:
            value: V = done.value
            return value

    def _exchange(self, request: Request, end: float | None) -> bytes:
        with self._gate:
            successor = self.successor
            if successor is None:
                pending = Pending()
                serial = self._send(request, pending)
                try:
                    while not pending.done():
                        self._feed(self._receive(end))
                except Woken:
                    pass  # another thread takes over, once the gate is free: the reply comes by way of it
                except BaseException as error:
                    self.state.forget(serial)
                    if isinstance(error, VirtError) and not isinstance(error, Expired):
                        self.lost = self.lost or error
                    raise
        if successor is not None:
            return successor(request, end)
        if not pending.wait(end):
            self.state.forget(serial)
            raise Expired("the daemon did not answer in time", domain=errors.ErrorDomain.RPC)
        if pending.error is not None:
            raise pending.error
        assert pending.result is not None
        return pending.result

    def is_answered(self, end: float | None, seconds: float) -> bool:
        """Whether the daemon answers, within so many seconds, when it is asked whether it lives.

        :raises VirtError: the connection is lost.
        """
        with self._gate:
            self._check()
            self._answered = None
            last = time.monotonic() + seconds
            try:
                self.link.send(PING)
                while (answered := self._life_sign()) is None:
                    self._feed(self.link.receive(last if end is None else min(end, last)))
            except Expired:
                return False
            except VirtError as error:
                self.lost = self.lost or error
                raise
            return answered

    def _life_sign(self) -> bool | None:
        return self._answered

    def _receive(self, end: float | None) -> bytes:
        """What comes next; a daemon that keeps silent is asked whether it lives, as often as was wished."""
        if self.keepalive is None:
            return self.link.receive(end, self._waker)
        interval, count = self.keepalive
        for asked in range(count + 1):
            look = time.monotonic() + interval
            if end is not None and end <= look:
                return self.link.receive(end, self._waker)
            try:
                return self.link.receive(look, self._waker)
            except Expired:
                if asked < count:
                    self.link.send(PING)
        self.link.close()
        raise InternalError("connection closed due to keepalive timeout", domain=errors.ErrorDomain.RPC)

    def _send(self, request: Request, pending: Pending) -> int:
        self._check()
        row = request.row
        owner = program(row.program)
        try:
            files = request.files
            serial, data = self.state.call(owner.number, owner.version, row.number, request.body, pending, len(files))
        except ProtocolError as error:
            raise RPC(str(error), domain=errors.ErrorDomain.RPC) from None
        try:
            if files:
                self.link.attach_files(files, len(data))
            self.link.send(data + bytes(len(files)))
        except VirtError as error:
            self.lost = error
            raise
        return serial

    def _feed(self, data: bytes) -> None:
        try:
            for message, pending in self.state.feed(data):
                data = message.data
                if message.type == REPLY_WITH_FDS:
                    data = self.link.with_files(data)
                    if pending is None:
                        close_all(data.files)
                if message.program == KEEPALIVE_PROGRAM and message.procedure != KEEPALIVE_PING:
                    self._answered = message.procedure == KEEPALIVE_PONG and message.type == EVENT
                if pending is None:
                    continue  # a keepalive question, answered below; events were not asked for
                if message.status == ERROR:
                    pending.set_exception(remote_error(data))
                else:
                    pending.set_result(data)
        except ProtocolError as error:
            self.link.close()
            raise RPC(str(error), domain=errors.ErrorDomain.RPC) from None
        if self.state.outgoing:
            self.link.send(bytes(self.state.outgoing))
            self.state.outgoing.clear()

    # -- handing over

    def share(self) -> None:
        """From now on another thread may take over while this one waits."""
        if self._waker is None:
            self._waker = Waker()

    def take_over(self, adopt: Callable[[], V]) -> V:
        """Give the link and the state of the conversation to somebody else, in any thread.

        :param adopt: does it, and says how calls go on (:attr:`successor`).
        :raises VirtError: what that raises; then the connection is lost.
        """
        self._check()
        if self._waker is not None:
            self._waker.wake()
        with self._gate:
            try:
                return adopt()
            except BaseException as error:
                self.lost = error if isinstance(error, VirtError) else _closed_error()
                self.link.close()
                for pending in self.state.tokens():
                    if not pending.done():
                        pending.set_exception(self.lost)
                raise
            finally:
                self._unshare()

    def close(self, end: float | None = None) -> None:
        """Take leave and end the connection."""
        if self.alive:
            try:
                self.drive(ask("CONNECT_CLOSE"), end)
            except VirtError:
                pass  # it is closed all the same
        self._closed = True
        self.link.close()
        self._unshare()

    @property
    def alive(self) -> bool:
        """Whether calls may be made."""
        return self.lost is None and not self._closed

    def _check(self) -> None:
        if self.lost is not None:
            raise self.lost
        if self._closed:
            raise _closed_error()

    def _unshare(self) -> None:
        """Nobody takes over from now on."""
        if self._waker is not None:
            self._waker.close()
            self._waker = None


def _closed_error() -> VirtError:
    return InternalError("client socket is closed", domain=errors.ErrorDomain.RPC)


class Opening:
    """Opens a connection in a thread, for a coroutine."""

    def __init__(self, steps: Steps, asker: Asker | None) -> None:
        self._steps = steps
        self._asker = asker
        self._lock = allocate_lock()
        self._cancelled = False

    def run(self, done: Callable[[BlockingClient | None, BaseException | None], None]) -> None:
        """Open it; ``done`` is called in the thread."""

        def work() -> None:
            client, failure = None, None
            try:
                client = BlockingClient.open(self._steps, self._asker)
            except BaseException as error:  # noqa: BLE001  # the coroutine gets it
                failure = error
            with self._lock:
                if self._cancelled:
                    if client is not None:
                        client.close(time.monotonic() + 1)
                    return
            done(client, failure)

        import threading

        threading.Thread(target=work, name="virt-remote-open", daemon=True).start()

    def cancel(self) -> None:
        """Nobody wants the connection any more."""
        with self._lock:
            self._cancelled = True
