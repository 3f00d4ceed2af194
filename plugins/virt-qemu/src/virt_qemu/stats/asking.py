"""Questions for statistics: a guest that does not answer in time yields its last values."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from virtcore.errors import VirtError

if TYPE_CHECKING:
    from virt_qemu.guest import Guest
    from virt_qemu.monitor import JSON

__all__ = ["ASK_LIMIT", "Question", "ask_all"]

ASK_LIMIT = 0.5
"""Seconds a guest has to answer questions for statistics; then its last values count."""


class Question(NamedTuple):
    """A command that only asks.

    :ivar key: what its answer is kept under.
    """

    key: str
    command: str
    arguments: Mapping[str, JSON] | None = None


async def ask_all(guest: Guest, questions: Iterable[Question]) -> dict[str, object]:
    """The answers by key, asked for together; of what was not answered the last one, None where there was none."""
    asked = [(question.key, _ask(guest, question)) for question in questions]
    for key, answer in asked:
        if answer is not None:
            try:
                guest.last[key] = await answer
            except VirtError:
                pass  # the last value counts
    return {key: guest.last.get(key) for key, _ in asked}


def _ask(guest: Guest, question: Question) -> Awaitable[object] | None:
    """What will be the answer; None where nobody can be asked."""
    monitor = guest.monitor
    if monitor is None or not monitor.connected:
        return None
    waiting = monitor.waiting_since
    # A guest that has not answered for a while is not asked again until it does.
    if waiting is not None and time.monotonic() - waiting >= ASK_LIMIT:
        return None
    try:
        return monitor.ask(question.command, question.arguments, limit=ASK_LIMIT)
    except VirtError:
        return None
