"""Questions for statistics: a guest that does not answer in time yields its last values."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
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
    asked = list(questions)
    answers = await asyncio.gather(*(_ask(guest, question) for question in asked))
    return {question.key: answer for question, answer in zip(asked, answers, strict=True)}


async def _ask(guest: Guest, question: Question) -> object:
    monitor = guest.monitor
    if monitor is not None and monitor.connected:
        waiting = monitor.waiting_since
        # A guest that has not answered for a while is not asked again until it does.
        if waiting is None or time.monotonic() - waiting < ASK_LIMIT:
            try:
                guest.last[question.key] = await monitor.execute(question.command, question.arguments, limit=ASK_LIMIT)
            except VirtError:
                pass  # the last value counts
    return guest.last.get(question.key)
