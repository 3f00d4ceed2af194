"""Statistics of guests that do not exist."""

from __future__ import annotations

from collections.abc import Sequence

from virtcore.enums.common import TypedParameterType
from virtcore.types import TypedParameters

__all__ = ["iothreads"]

_POLL_MAX_NS = 32768


def iothreads(rows: TypedParameters, numbers: Sequence[str]) -> None:
    """Append the group of I/O threads."""
    if not numbers:
        return
    rows.add("iothread.count", TypedParameterType.UINT, len(numbers))
    for number in numbers:
        rows.add(f"iothread.{number}.poll-max-ns", TypedParameterType.ULLONG, _POLL_MAX_NS)
        rows.add(f"iothread.{number}.poll-grow", TypedParameterType.UINT, 0)
        rows.add(f"iothread.{number}.poll-shrink", TypedParameterType.UINT, 0)
