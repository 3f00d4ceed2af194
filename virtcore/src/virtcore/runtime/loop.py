"""The core loop: the one event loop of a process in which every driver lives.

It runs in a thread of its own, started with the first connection; a daemon adopts the loop of its main thread instead.
After ``fork`` the child has no core loop: connections of the parent raise there, new ones start a loop of their own.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from typing import TypeVarTuple

from virtcore.errors import OperationInvalid
from virtcore.runtime.beforehand import loop_starts

__all__ = ["CoreLoop", "adopt", "at_exit", "core_loop", "current"]

Ts = TypeVarTuple("Ts")

STOP_WAIT = 1.0
"""Seconds the interpreter's exit waits for the loop's thread once nothing is left to wait for."""


class CoreLoop:
    """The loop, and who may use it.

    :ivar loop: the asyncio loop.
    :ivar thread_id: identifier of the thread that runs it.
    :ivar forked: this process is a child that inherited the object without its thread.
    """

    __slots__ = ("adopted", "forked", "loop", "thread", "thread_id")

    def __init__(self, loop: asyncio.AbstractEventLoop, thread_id: int, thread: threading.Thread | None) -> None:
        self.loop = loop
        self.thread_id = thread_id
        self.thread = thread
        self.adopted = thread is None
        self.forked = False

    def is_current(self) -> bool:
        """Whether the calling thread is the loop's."""
        return threading.get_ident() == self.thread_id

    def call_soon(self, function: Callable[[*Ts], object], *args: *Ts) -> None:
        """Have the loop call a function soon; from any thread.

        :raises OperationInvalid: the loop has ended.
        """
        try:
            if threading.get_ident() == self.thread_id:
                self.loop.call_soon(function, *args)
            else:
                self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError as error:
            if not self.loop.is_closed():
                raise
            raise OperationInvalid("the core loop, in which the connection lived, has ended") from error


_lock = threading.Lock()
_core: CoreLoop | None = None
_orphans: list[CoreLoop] = []  # kept in a forked child: closing the parent's selector there would disturb the parent
_exit_functions: list[Callable[[], None]] = []


def core_loop() -> CoreLoop:
    """The process's core loop, started now if need be."""
    core = _core
    return core if core is not None and not core.loop.is_closed() else _start()


def current() -> CoreLoop | None:
    """The core loop if there is one."""
    return _core


def adopt() -> CoreLoop:
    """Make the running loop the core loop; called in a coroutine or callback of it before anything else opens.

    :raises OperationInvalid: the process has another core loop already.
    """
    global _core
    loop = asyncio.get_running_loop()
    with _lock:
        if _core is not None and _core.loop is not loop and not _core.loop.is_closed():
            raise OperationInvalid(
                "this process has a core loop already", advice="adopt the main loop before the first connection opens"
            )
        if _core is None or _core.loop is not loop:
            loop_starts()
            _core = CoreLoop(loop, threading.get_ident(), None)
        return _core


def at_exit(function: Callable[[], None]) -> None:
    """Have a function called at the interpreter's exit while the core loop still runs."""
    _exit_functions.append(function)


def _start() -> CoreLoop:
    global _core
    with _lock:
        if _core is not None and not _core.loop.is_closed():
            return _core
        loop_starts()
        loop = asyncio.new_event_loop()
        started = threading.Lock()
        started.acquire()
        thread = threading.Thread(target=_run, args=(loop, started), name="virtcore", daemon=True)
        thread.start()
        started.acquire()
        assert thread.ident is not None
        _core = CoreLoop(loop, thread.ident, thread)
        return _core


def _run(loop: asyncio.AbstractEventLoop, started: threading.Lock) -> None:
    asyncio.set_event_loop(loop)
    loop.call_soon(started.release)
    try:
        loop.run_forever()
    finally:
        asyncio.set_event_loop(None)


@atexit.register
def _end() -> None:
    for function in _exit_functions:
        function()
    core = _core
    if core is None or core.thread is None or core.loop.is_closed():
        return
    core.loop.call_soon_threadsafe(core.loop.stop)
    core.thread.join(STOP_WAIT)


def _after_fork() -> None:
    global _core, _lock
    _lock = threading.Lock()
    if _core is not None:
        _core.forked = True
        _orphans.append(_core)
        _core = None


os.register_at_fork(after_in_child=_after_fork)
