"""Work that may block, off the core loop."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from importlib import import_module
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

__all__ = ["in_thread", "loaded"]

P = ParamSpec("P")
T = TypeVar("T")

#: Runs, and returns what tells the result.
_Work = Callable[[], Callable[[], None]]

_MOST_IDLE = 4
#: What threads that have nothing to do take their work from: starting one takes longer than most work.
_idle: list[SimpleQueue[_Work]] = []
os.register_at_fork(after_in_child=_idle.clear)


async def loaded(*modules: str) -> None:
    """Load modules in a thread, unless they are there already: those who do not need them go on meanwhile.

    :raises ImportError: one cannot be loaded.
    """
    missing = [name for name in modules if name not in sys.modules]
    if missing:
        await in_thread(lambda: [import_module(name) for name in missing])


async def in_thread(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run a function in a thread that does nothing else meanwhile, and keeps no process from ending. It belongs to the
    call that it is part of: what it reports (:func:`virtcore.runtime.jobs.report`) is that call's progress.

    :raises Exception: what the function raised.
    """
    loop = asyncio.get_running_loop()
    context = copy_context()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():  # nobody waits any more
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # there is one where there is no error

    def run() -> Callable[[], None]:
        result, error = None, None
        try:
            result = context.run(function, *arguments, **options)
        except BaseException as raised:  # noqa: BLE001  # raised where the work was asked for
            error = raised

        def tell() -> None:
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                pass  # the loop has ended, and with it whoever waited

        return tell

    try:
        works = _idle.pop()
    except IndexError:
        works = _started()
    works.put(run)
    return await answer


def _started() -> SimpleQueue[_Work]:
    """What a new thread takes its work from."""
    works: SimpleQueue[_Work] = SimpleQueue()
    threading.Thread(target=_serve, args=(works,), name="virtcore-thread", daemon=True).start()
    return works


def _serve(works: SimpleQueue[_Work]) -> None:
    stays = True
    while stays:
        tell = works.get()()
        stays = len(_idle) < _MOST_IDLE
        if stays:
            _idle.append(works)  # first, so that whoever is told finds it
        tell()
        del tell  # it holds the result
