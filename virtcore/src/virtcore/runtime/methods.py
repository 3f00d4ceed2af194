"""How a driver's methods are called, and how long callers wait: the facts, without the machinery.

Nothing here loads asyncio: the sync face is built on it, and a client over a blocking socket needs no more.
"""

from __future__ import annotations

import os
import time

from virtcore._quick_enum import Enum
from virtcore._tuples import NamedTuple
from virtcore._typing import Any, Callable, Final, Literal
from virtcore.errors import InternalError, InvalidArg
from virtcore.operations.declare import Kind, Operation, all_operations, is_inline

__all__ = [
    "DEFAULT",
    "QUERY_DEADLINE",
    "Deadline",
    "Method",
    "Style",
    "check_deadline",
    "guarded",
    "methods_of",
]

QUERY_DEADLINE = 30.0
"""Seconds a query may take unless the connection or the caller says otherwise."""

INLINE_LIMIT = 0.005
"""Seconds an inline method may take in debug mode."""

debug_inline: bool = bool(os.environ.get("VIRTCORE_DEBUG_INLINE"))
"""Debug mode (environment ``VIRTCORE_DEBUG_INLINE``): an inline method that exceeds :data:`INLINE_LIMIT` fails."""


class Default(Enum):
    """What stands for "as the connection says"."""

    DEFAULT = "default"

    def __repr__(self) -> str:
        return "DEFAULT"


DEFAULT: Final = Default.DEFAULT

#: Seconds a caller waits; None without end; DEFAULT for the connection's rule.
Deadline = float | None | Literal[Default.DEFAULT]


class Style(Enum):
    """How a driver wrote a method."""

    #: ``@inline def``: never waits, runs in the core loop; may give a coroutine for what takes long.
    INLINE = "inline"
    #: ``async def``: runs in the core loop.
    ASYNC = "async"
    #: ``def``: may block, runs in a worker thread.
    PLAIN = "plain"


class Method(NamedTuple):
    """A function to be called, and how."""

    name: str
    change: bool
    style: Style
    function: Callable[..., Any]
    operation: Operation | None = None


_methods: dict[type, dict[str, Method]] = {}


def methods_of(driver: type) -> dict[str, Method]:
    """How each operation is called on a driver class."""
    known = _methods.get(driver)
    if known is None:
        known = {
            name: Method(name, record.kind is Kind.CHANGE, _style(function), function, record)
            for name, record in all_operations().items()
            if (function := getattr(driver, name, None)) is not None
        }
        _methods[driver] = known
    return known


def _style(function: Callable[..., Any]) -> Style:
    if is_inline(function):
        return Style.INLINE
    import inspect  # a client that drives its connection by itself never comes here

    return Style.ASYNC if inspect.iscoroutinefunction(function) else Style.PLAIN


def check_deadline(deadline: float | None) -> float | None:
    """A deadline as given by a caller.

    :raises InvalidArg: it is negative or not a number.
    """
    if deadline is not None and not (isinstance(deadline, int | float) and deadline >= 0):
        raise InvalidArg(f"deadline must be a number of seconds, not {deadline!r}")
    return deadline


def _timed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """An inline method as debug mode runs it."""

    def run(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        value = function(*args, **kwargs)
        taken = time.perf_counter() - began
        if taken > INLINE_LIMIT:
            raise InternalError(f"inline method {name} took {taken * 1000:.1f} ms; it must not take longer than 5 ms")
        return value

    return run


def guarded(method: Method) -> Method:
    """A method as it is called: in debug mode, inline ones are timed."""
    if debug_inline and method.style is Style.INLINE:
        return method._replace(function=_timed(method.function, method.name))
    return method
