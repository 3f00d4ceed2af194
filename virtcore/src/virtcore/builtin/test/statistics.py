"""Statistics of guests that do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from virtcore.enums.common import TypedParameterType
from virtcore.types import TypedParameters

if TYPE_CHECKING:
    from virtcore.builtin.test.state import Polling

__all__ = ["iothreads"]


def iothreads(rows: TypedParameters, threads: Mapping[int, Polling]) -> None:
    """Append the group of I/O threads: those that were added, as in libvirt's driver."""
    if not threads:
        return
    rows.add("iothread.count", TypedParameterType.UINT, len(threads))
    for number, polling in threads.items():
        rows.add(f"iothread.{number}.poll-max-ns", TypedParameterType.ULLONG, polling.max_ns)
        rows.add(f"iothread.{number}.poll-grow", TypedParameterType.UINT, polling.grow)
        rows.add(f"iothread.{number}.poll-shrink", TypedParameterType.UINT, polling.shrink)
