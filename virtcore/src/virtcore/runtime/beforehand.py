"""Connections whose first questions the calling thread answers by itself, as long as there is no core loop.

Drivers belong to the core loop, and with it comes asyncio. A command that only lists what there is needs neither: until
the loop starts, whoever calls stands in for it, one at a time. From then on, for good, only the loop is at drivers; a
connection moves there with its next call (see :mod:`virtcore.runtime.blocking`).
"""

from __future__ import annotations

import os
from _thread import RLock

from virtcore._typing import TYPE_CHECKING, Any, Callable, Coroutine, TypeVar
from virtcore.operations.declare import Operation, is_inline
from virtcore.runtime.blocking import NeedsLoop
from virtcore.runtime.methods import Method, Style, guarded

if TYPE_CHECKING:
    from virtcore.runtime.session import Hypervisor

__all__ = ["EarlyBackend", "loop_starts", "open_early"]

T = TypeVar("T")

#: Held by whoever stands in for the core loop, and when that starts.
_gate = RLock()
_over = False


def loop_starts() -> None:
    """The core loop is about to start."""
    global _over
    with _gate:
        _over = True


def open_early(opening: Callable[[], Coroutine[Any, Any, Hypervisor]]) -> EarlyBackend | None:
    """Open a driver that waits for nothing; None when there is a core loop.

    :param opening: opens it.
    """
    with _gate:
        return None if _over else EarlyBackend(_at_once(opening()))


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that does not wait."""
    try:
        work.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    work.close()
    raise RuntimeError(f"{work} waits for something, which it is not to do")


class EarlyBackend:
    """A driver in the hands of whoever calls; a :class:`~virtcore.runtime.blocking.BlockingBackend`."""

    def __init__(self, driver: Hypervisor) -> None:
        self._driver = driver
        self.name = type(driver).__name__

    def implements(self, operation: Operation) -> bool:
        """Whether the driver has an operation."""
        if operation.service is not None:
            raise NeedsLoop  # perhaps one beside the driver has it
        return self._driver.has(operation)

    def call(self, operation: Operation, args: tuple[Any, ...], end: float | None) -> Any:
        """Carry an operation out, if it is one of the driver's first and waits for nothing."""
        name = operation.name
        function = getattr(type(self._driver), name, None)
        if name not in (self._driver.first or ()) or function is None or not is_inline(function):
            raise NeedsLoop
        method = guarded(Method(name, False, Style.INLINE, function))
        with _gate:
            if _over:
                raise NeedsLoop
            value = method.function(self._driver, *args)
        if isinstance(value, Coroutine):  # it takes long after all
            value.close()
            raise NeedsLoop
        return value

    def hand_over(self, adopt: Callable[[], T]) -> T:
        """Have the core loop take over."""
        return adopt()

    async def adopt(self) -> Hypervisor:
        """The driver, as it is."""
        return self._driver

    def close(self, end: float | None) -> None:
        """End the connection; without waiting for it, when the core loop has to."""
        with _gate:
            if not _over:
                _at_once(self._driver.close())
                return
        from virtcore.runtime.calls import Call
        from virtcore.runtime.loop import core_loop

        core = core_loop()
        core.call_soon(Call(core, Method("connection_close", True, Style.ASYNC, self._driver.close), (), {}).begin)


def _after_fork() -> None:
    global _gate, _over
    _gate, _over = RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
