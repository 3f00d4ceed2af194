"""Connections that the calling thread drives by itself, over a blocking socket, without asyncio.

A driver may offer such a backend (entry points ``virtcore.blocking``, by transport, or
:meth:`virtcore.driver.Driver.opens_at_once`); a one-shot command then pays for no loop and no thread. The connection
moves to the core loop, for good, when somebody wants what only that can do: events, a stream, a change with a deadline
or one that can be aborted, or a second thread while the first one waits.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock, get_ident

from virtcore._typing import TYPE_CHECKING, Any, Awaitable, Callable, Protocol, TypeVar
from virtcore.errors import InvalidConn, OperationDenied
from virtcore.operations.declare import Kind, Operation
from virtcore.operations.spellings import canonical_function
from virtcore.runtime.admission import denial, described, forked, needs_write_connection, operation_named
from virtcore.runtime.jobs import DeadlineExpired, Job
from virtcore.runtime.methods import DEFAULT, Deadline, Method, Style, check_deadline

if TYPE_CHECKING:
    from virtcore.runtime.session import Hypervisor, Session

__all__ = ["BlockingBackend", "BlockingSession", "NeedsLoop"]

T = TypeVar("T")


class NeedsLoop(Exception):
    """A backend cannot carry a call out in the calling thread; nothing of it was done."""


class BlockingBackend(Protocol):
    """A driver's connection in the hands of one thread at a time."""

    #: Name of the class that :meth:`adopt` makes one of.
    name: str

    def implements(self, operation: Operation) -> bool:
        """Whether that class has an operation.

        :raises NeedsLoop: that is not known here.
        """

    def call(self, operation: Operation, args: tuple[Any, ...], end: float | None) -> Any:
        """Carry an operation out.

        :param end: when (monotonic clock) to stop waiting; the connection stays usable.
        :raises NeedsLoop: it cannot be done so; nothing was.
        :raises TimeoutError: the end was reached.
        :raises VirtError: what the hypervisor says.
        """

    def hand_over(self, adopt: Callable[[], T]) -> T:
        """Have ``adopt`` called while no thread uses the connection; a thread that waits for an answer then gets it by
        way of whoever took over. May be called in any thread."""

    async def adopt(self) -> Hypervisor:
        """Go on in the core loop, where this is called, as a driver."""

    def close(self, end: float | None) -> None:
        """End the connection. Never raises."""


class BlockingSession:
    """A connection that has not moved to the core loop, or not known to its holder; see
    :class:`~virtcore.runtime.session.Session`, whose rules hold here too.

    :param compose: makes a session of the driver, in the core loop.
    """

    def __init__(
        self,
        backend: BlockingBackend,
        compose: Callable[[Hypervisor], Awaitable[Session]],
        *,
        readonly: bool,
        deadline: float | None,
    ) -> None:
        self._backend = backend
        self._compose = compose
        self._readonly = readonly
        self._deadline = check_deadline(deadline)
        self._closed = False
        self._process = os.getpid()
        self._thread = get_ident()
        self._moving = allocate_lock()
        self._session: Session | None = None

    @property
    def readonly(self) -> bool:
        """Whether changes are refused."""
        return self._readonly

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed if self._session is None else self._session.closed

    @property
    def driver_name(self) -> str:
        """Name of the driver's class."""
        return self._backend.name

    def in_loop(self) -> Session:
        """The session in the core loop, to which it moves now unless it did before.

        :raises InvalidConn: it was closed.
        :raises OperationInvalid: the process was forked.
        :raises VirtError: the connection was lost.
        """
        session = self._session
        if session is not None:
            return session
        self._check("virConnectRef")
        with self._moving:
            if self._session is None:
                self._session = self._backend.hand_over(self._move)
            return self._session

    def _move(self) -> Session:
        from virtcore.runtime.calls import Call, wait_here
        from virtcore.runtime.loop import core_loop

        session: Session = wait_here(
            Call(core_loop(), Method("connection_open", False, Style.ASYNC, self._begin), (), {}), None
        )
        return session

    async def _begin(self) -> Session:
        return await self._compose(await self._backend.adopt())

    def _check(self, function: str) -> None:
        if os.getpid() != self._process:
            raise forked()
        if self._closed:
            raise InvalidConn(function, advice="the connection was closed")

    def supports(self, name: str) -> bool:
        """Whether the driver has an operation.

        :raises InvalidArg: there is no such operation.
        """
        operation = operation_named(name)
        try:
            return self._backend.implements(operation)
        except NeedsLoop:
            return self.in_loop().supports(name)

    def jobs(self) -> list[Job]:
        """The changes that are running on this connection and that this process knows of."""
        return [] if self._session is None else self._session.jobs()

    def call_here(self, name: str, args: tuple[Any, ...], deadline: Deadline = DEFAULT) -> Any:
        """Call an operation and block the calling thread."""
        session = self._session
        if session is None and get_ident() != self._thread:
            session = self.in_loop()
        if session is not None:
            return session.call_here(name, args, deadline)
        operation = operation_named(name)
        self._check(canonical_function(name))
        change = operation.kind is Kind.CHANGE
        if self._readonly and needs_write_connection(name, change, operation, args, {}):
            raise OperationDenied(denial(name))
        operation.check_arguments(args)
        if deadline is not DEFAULT:
            seconds = check_deadline(deadline)
        else:
            seconds = None if change else self._deadline
        if operation.abortable or (change and seconds is not None):
            return self.in_loop().call_here(name, args, deadline)
        try:
            return self._backend.call(operation, args, None if seconds is None else time.monotonic() + seconds)
        except NeedsLoop:
            pass
        except TimeoutError:
            raise DeadlineExpired(described(name, args), seconds or 0, "the query was cancelled", None) from None
        except KeyboardInterrupt as error:
            if change:
                error.add_note(f"{described(name, args)} goes on")
            raise
        return self.in_loop().call_here(name, args, deadline)

    def close_here(self, seconds: float | None) -> None:
        """Close it. In a forked child that does nothing: the parent has it open."""
        if os.getpid() != self._process:
            return
        with self._moving:
            session = self._session
            if session is None:
                if not self._closed:
                    self._closed = True
                    self._backend.close(None if seconds is None else time.monotonic() + seconds)
                return
        session.close_here(seconds)

    def close_soon(self) -> None:
        """Close it without waiting; for connections that nobody holds any more."""
        if self._session is not None:
            self._session.close_soon()
        elif os.getpid() == self._process and not self._closed:
            self._closed = True
            self._backend.close(time.monotonic())
